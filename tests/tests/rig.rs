//! The parts by third parties start, answer, and leave nothing behind; the clock moves for all of them at once.

#![cfg(test)]

use std::net::TcpStream;
use std::path::Path;

use tidegate_tests::rig::{self, Clock, Ministack, Server};

fn answers(server: &Server, access_key: &str, secret: &str, env: &[(String, String)]) -> serde_json::Value {
    rig::drive("answers.py", &[&server.endpoint, access_key, secret], env).unwrap()
}

/// Nobody listens on its port any more, and what it kept is gone.
fn stopped(server: Server) {
    let (port, folder) = (server.port(), server.folder().to_owned());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} is still served");
    assert!(!Path::new(&folder).exists());
}

#[test]
fn the_hubs_services_know_who_signed() {
    let hub = rig::ministack(Ministack { auth: true, ..Ministack::default() }).unwrap();
    assert_eq!(answers(&hub, "test", "test", &[])["account"], rig::HUB);
    assert_eq!(answers(&hub, "111122223333", "test", &[])["account"], "111122223333");
    let stranger = answers(&hub, "AKIAIOSFODNN7EXAMPLE", "guessed", &[]);
    assert!(stranger["account"]["refused"].is_string() && stranger["tables"]["refused"].is_string(), "{stranger}");
    stopped(hub);
}

#[test]
fn the_second_opinion_answers() {
    let moto = rig::moto().unwrap();
    assert_eq!(answers(&moto, "test", "test", &[])["tables"], 1);
    stopped(moto);
}

#[test]
fn faults_come_between_caller_and_server() {
    let hub = rig::ministack(Ministack::default()).unwrap();
    let faults = "rules:\n- service: dynamodb\n  operation: ListTables\n  error: {code: ThrottlingException}\n";
    let between = rig::microburst(&hub.endpoint, faults).unwrap();
    let answered = answers(&between, "test", "test", &[]);
    assert_eq!(answered["tables"]["refused"], "ThrottlingException", "{answered}");
    assert!(answered["created"].is_number(), "what no rule names goes through: {answered}");
    stopped(between);
    stopped(hub);
}

#[test]
fn one_clock_moves_everybody() {
    let folder = tempfile::tempdir_in(rig::folder().unwrap()).unwrap();
    let mut clock = Clock::new(folder.path()).unwrap();
    let hub = rig::ministack(Ministack { auth: true, env: clock.env() }).unwrap();
    for moved_secs in [0, 3_600, 86_400] {
        clock.advance(moved_secs).unwrap();
        let before = clock.now();
        let answered = answers(&hub, "test", "test", &clock.env());
        let after = clock.now();
        assert_eq!(answered["account"], rig::HUB, "signatures hold: {answered}");
        for whose in ["created", "time"] {
            // DynamoDB's times are whole seconds.
            let shown = answered[whose].as_f64().unwrap().ceil() as i64;
            assert!((before.as_second()..=after.as_second() + 1).contains(&shown), "after {moved_secs} s, {whose} shows {shown}, not {before} to {after}");
        }
    }
    stopped(hub);
}
