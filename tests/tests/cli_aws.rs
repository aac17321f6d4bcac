//! The command line on AWS: decisions by the caller's identity, refused records that come back, and a small estate patched by one
//! host. Queues, users and roles are a third party's; the spokes are the simulated organization over the wire.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_aws::clients::{Hub, endpoint_config};
use tidegate_aws::queue::{EventQueue, Refused};
use tidegate_aws::secret::Secret;
use tidegate_tests::binary::tidegate;
use tidegate_tests::rig::{self, Clock, Ministack};

fn command(env: &[(String, String)]) -> Command {
    let mut command = Command::new(tidegate());
    command.env_clear().envs(env.iter().cloned()).env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "us-east-1").stdin(Stdio::null());
    command
}

fn keys(id: &str, secret: &str) -> Vec<(String, String)> {
    [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn with(mut env: Vec<(String, String)>, more: &[(&str, &str)]) -> Vec<(String, String)> {
    env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A console that answers these in turn, and gives the requests that it got, head and body.
fn console(answers: Vec<(u16, Value)>) -> (String, JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "the request broke off: {head}");
            }
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())).unwrap_or(0);
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            requests.push((head.to_ascii_lowercase(), String::from_utf8(sent).unwrap()));
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        requests
    });
    (url, served)
}

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn asked() -> Value {
    json!({ "schema": "tidegate.asked/1", "subject": "patch-default.1", "digest": DIGEST, "need": 2, "words": [], "open": true,
        "document": "AWS-RunPatchBaseline", "parameters": {"Operation": ["Install"]}, "policy": "default", "cells": [],
        "waves": [{"index": 0, "name": "canary", "targets": 3, "cells": 2, "digest": DIGEST, "bake_secs": 900}] })
}

fn decided(outcome: &str, reason: Value) -> Value {
    json!({ "schema": "tidegate.decision/1", "subject": "patch-default.1", "word": "approve", "by": "alice", "outcome": outcome, "reason": reason, "digest": DIGEST })
}

#[test]
fn a_decision_is_signed_by_whoever_gives_it() {
    let env = with(keys("AKIDEXAMPLE", "wJalrXUtnFEMI"), &[("AWS_SESSION_TOKEN", "a-session")]);
    let (url, served) = console(vec![(200, asked()), (200, decided("accepted", Value::Null))]);
    let output = command(&env).args(["approve", "patch-default.1", "--console", &url, "--comment", "looked at", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((&said(&output)["by"], &said(&output)["outcome"]), (&json!("alice"), &json!("accepted")));
    let shown = String::from_utf8_lossy(&output.stderr);
    for covered in ["wave canary: 3 target(s)", "AWS-RunPatchBaseline", "Operation = Install", "0 of 2 approvals"] {
        assert!(shown.contains(covered), "{covered} is not in {shown}");
    }
    let requests = served.join().unwrap();
    assert!(requests[0].0.starts_with("get /v1/asked?subject=patch-default.1 "), "{}", requests[0].0);
    assert!(requests[1].0.starts_with("post /v1/decisions "), "{}", requests[1].0);
    let given: Value = serde_json::from_str(&requests[1].1).unwrap();
    assert_eq!(given, json!({"subject": "patch-default.1", "digest": DIGEST, "word": "approve", "comment": "looked at"}));
    for (head, _) in &requests {
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_else(|| panic!("no {name} in {head}"));
        let date = header("x-amz-date");
        let authorization = header("authorization");
        let scope = format!("aws4-hmac-sha256 credential=akidexample/{}/us-east-1/lambda/aws4_request, signedheaders=", &date[..8]);
        let rest = authorization.strip_prefix(&scope).unwrap_or_else(|| panic!("{authorization}"));
        let (headers, signature) = rest.split_once(", signature=").unwrap();
        assert!(["host", "x-amz-date", "x-amz-security-token"].iter().all(|name| headers.split(';').any(|signed| signed == *name)), "{headers}");
        assert!(signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit()), "{signature}");
        assert_eq!(header("x-amz-security-token"), "a-session");
    }
}

#[test]
fn a_catalog_is_read_here_and_loaded_there() {
    let env = keys("AKIDEXAMPLE", "wJalrXUtnFEMI");
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("known_exploited_vulnerabilities.json");
    let entries = r#"{"cveID": "CVE-2026-1111", "dueDate": "2026-11-25", "vendorProject": "V"}, {"cveID": "CVE-2026-2222", "dueDate": "soon"}"#;
    let text = |count: u8| {
        format!(r#"{{"catalogVersion": "2026.11.20", "dateReleased": "2026-11-20T15:00:00.0Z", "count": {count}, "vulnerabilities": [{entries}]}}"#)
    };
    std::fs::write(&feed, text(2)).unwrap();
    let answered = json!({ "schema": "tidegate.decision/1", "subject": "KEV catalog 2026.11.20", "word": "load", "by": "alice", "outcome": "accepted", "reason": null, "digest": null });
    let (url, served) = console(vec![(200, answered)]);
    let output = command(&env).args(["kev", "load", "--console", &url, "--comment", "weekly", "--json"]).arg(&feed).output().unwrap();
    assert_eq!((output.status.code(), &said(&output)["by"]), (Some(0), &json!("alice")), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("vulnerabilities[1]"), "{output:?}");
    let requests = served.join().unwrap();
    assert!(requests[0].0.starts_with("post /v1/kev "), "{}", requests[0].0);
    let given: Value = serde_json::from_str(&requests[0].1).unwrap();
    let loaded =
        json!({"version": "2026.11.20", "released": "2026-11-20T15:00:00Z", "due": {"CVE-2026-1111": "2026-11-25"}, "force": false, "comment": "weekly"});
    assert_eq!(given, loaded);
    // What is cut off goes nowhere.
    std::fs::write(&feed, text(9)).unwrap();
    let output = command(&env).args(["kev", "load", "--console", "http://127.0.0.1:9"]).arg(&feed).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("says that it has 9 entries and holds 2"), "{output:?}");
}

#[test]
fn a_run_is_asked_for_as_it_is_written() {
    let env = keys("AKIDEXAMPLE", "wJalrXUtnFEMI");
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("run.json");
    let run = r#"{"accounts": ["111122223333"], "regions": ["us-east-1"], "ssm": {"maxErrors": "10%"}, "dryRun": true}"#;
    std::fs::write(&input, run).unwrap();
    let answered = |outcome: &str, reason: Value| json!({ "schema": "tidegate.run-asked/1", "id": "monday", "digest": DIGEST, "dry_run": true, "by": "alice", "outcome": outcome, "reason": reason, "warnings": [] });
    let refusal = json!({"schema": "tidegate.error/1", "error": "run: accounts[0]: what the console says"});
    for (status, answer, code) in [
        (200, answered("accepted", Value::Null), 0),
        (200, answered("duplicate", Value::Null), 0),
        (409, answered("rejected", json!("too many spokes")), 1),
        (422, refusal, 2),
    ] {
        let (url, served) = console(vec![(status, answer.clone())]);
        let output = command(&env).args(["run", "--console", &url, "--ask", "monday", "--json", "--input"]).arg(&input).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        match code {
            2 => assert!(String::from_utf8_lossy(&output.stderr).contains("run: accounts[0]: what the console says"), "{output:?}"),
            _ => assert_eq!(said(&output), answer),
        }
        let requests = served.join().unwrap();
        assert!(requests[0].0.starts_with("post /v1/runs ") && requests[0].0.contains("authorization: aws4-hmac-sha256"), "{}", requests[0].0);
        let sent: Value = serde_json::from_str(&requests[0].1).unwrap();
        assert_eq!(sent, json!({"id": "monday", "run": serde_json::from_str::<Value>(run).unwrap()}));
    }
    // Without a name, the same run is asked for under the same one.
    let names: Vec<Value> = (0..2)
        .map(|_| {
            let (url, served) = console(vec![(200, answered("accepted", Value::Null))]);
            command(&env).args(["run", "--console", &url, "--yes", "--input"]).arg(&input).output().unwrap();
            serde_json::from_str::<Value>(&served.join().unwrap()[0].1).unwrap()["id"].clone()
        })
        .collect();
    assert!(names[0].is_string() && names[0] == names[1], "{names:?}");
    // What is wrong is told before anybody is asked.
    std::fs::write(&input, r#"{"accounts": ["1"], "regions": ["us-east-1"]}"#).unwrap();
    let output = command(&env).args(["run", "--console", "http://127.0.0.1:9", "--yes", "--input"]).arg(&input).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("accounts[0]"), "{output:?}");
}

#[test]
fn a_word_that_is_not_taken_is_told_apart_from_one_that_was_not_heard() {
    let env = keys("AKIDEXAMPLE", "wJalrXUtnFEMI");
    let cases = [
        (vec![(200, asked()), (409, decided("rejected", json!("`alice` is not an approver")))], 1, "is not an approver"),
        (vec![(403, json!({"Message": "Forbidden"}))], 2, "Forbidden: this AWS identity is not let in"),
        (vec![(404, json!({"schema": "tidegate.error/1", "error": "nobody asked for an approval of `patch-default.1`"}))], 2, "nobody asked"),
        (vec![(200, asked()), (503, json!({"schema": "tidegate.error/1", "error": "try again in a minute"}))], 2, "try again in a minute"),
        (vec![(200, json!({"hello": "world"}))], 2, "is not a console"),
    ];
    for (answers, code, why) in cases {
        let (url, served) = console(answers);
        let output = command(&env).args(["approve", "patch-default.1", "--console", &url]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(why), "{why} is not in {stderr}");
        served.join().unwrap();
    }
    for wrong in [
        &["approve", "patch-default.1", "--console", "https://c.lambda-url.us-east-1.on.aws", "--as", "alice"][..],
        &["approve", "patch-default.1", "--console", "http://example.com"],
        &["reject", "patch-default.1", "--console", "https://c.lambda-url.us-east-1.on.aws"],
    ] {
        assert_eq!(command(&env).args(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

/// A small runtime for what the test itself asks of queues.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn hub(endpoint: &str) -> Hub {
    Hub::new(endpoint_config(endpoint, &"us-east-1".parse().unwrap(), rig::HUB, &Secret::new("test")), None)
}

#[test]
fn refused_records_are_shown_and_come_back() {
    let rig = rig::ministack(Ministack::default()).unwrap();
    let made = rig::drive("one_host.py", &["make", "--endpoint", &rig.endpoint], &[]).unwrap();
    let url = |name: &str| made["queues"][name].as_str().unwrap().to_owned();
    let (refused, parked) = (url("refused"), url("parked"));
    let env = with(keys(rig::HUB, "test"), &[("AWS_ENDPOINT_URL", &rig.endpoint)]);
    let queue = |url: &str| EventQueue::new(hub(&rig.endpoint).sqs().clone(), url);
    wait(async {
        let bin = queue(&refused);
        for n in 0..12 {
            let reason = if n < 4 { "detail.resourceId is missing" } else { "not JSON" };
            bin.refuse(&Refused { body: format!("{{\"n\":{n}}}{}", "x".repeat(300)), reason: reason.into(), message_id: format!("m{n}"), index: n })
                .await
                .unwrap();
        }
        bin.send("{\"crashed\":true}", None, &[]).await.unwrap();
    });
    let run = |args: &[&str]| command(&env).args(args).output().unwrap();
    for _ in 0..2 {
        // Looking changes nothing: all of it is there the second time too.
        let output = run(&["refused", "list", "--queue", &refused, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let list = said(&output);
        let records = list["refused"].as_array().unwrap();
        assert_eq!(records.len(), 13, "{list}");
        let missing = records.iter().filter(|record| record["reason"] == "detail.resourceId is missing").count();
        assert_eq!(missing, 4);
        assert!(records.iter().any(|record| record["reason"].is_null() && record["body"] == "{\"crashed\":true}"));
        assert!(records.iter().all(|record| record["body"].as_str().unwrap().chars().count() <= 200));
    }
    let replay = |more: &[&str]| {
        let args = ["refused", "replay", "--queue", &refused, "--to", &parked, "--json"];
        run(&args.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let dry = said(&replay(&["--reason-contains", "resourceId"]));
    assert_eq!((&dry["dry_run"], &dry["replayed"], &dry["left"]), (&json!(true), &json!(4), &json!(9)));
    let some = said(&replay(&["--reason-contains", "resourceId", "--yes"]));
    assert_eq!((&some["replayed"], &some["left"]), (&json!(4), &json!(9)), "{some}");
    let rest = said(&replay(&["--yes"]));
    assert_eq!((&rest["replayed"], &rest["left"]), (&json!(9), &json!(0)), "{rest}");
    let empty = run(&["refused", "list", "--queue", &refused]);
    assert_eq!(empty.status.code(), Some(0), "{empty:?}");
    let list = said(&run(&["refused", "list", "--queue", &parked, "--json"]));
    let bodies: std::collections::BTreeSet<&str> = list["refused"].as_array().unwrap().iter().map(|record| record["body"].as_str().unwrap()).collect();
    assert_eq!(bodies.len(), 13, "{list}");
    for wrong in
        [&["--queue", "refused", "--to", &parked][..], &["--queue", &refused, "--to", &refused], &["--queue", "http://127.0.0.1:9/1/nowhere", "--to", &parked]]
    {
        let output = command(&env).args(["refused", "replay", "--yes"]).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

const POLICY: &str = r#"
name = "small"
description = "one person says yes, short waits"
environment = "development"
execution_timeout_secs = 600
failure_budget = 1

[collect]
gather_secs = 600

[approval]
quorum = 1
four_eyes = false
approvers = ["dana"]

[blast_radius]
wave = "100%"
account = "100%"
region = "100%"
organization = "100%"

[[wave]]
name = "all"
bake_secs = 60
"#;

fn fleet() -> Value {
    let spokes = ["111122223333", "222233334444"];
    let instances: Vec<Value> = (0..4)
        .map(|n| json!({ "account": spokes[n % 2], "region": "us-east-1", "instance": format!("i-{n:017x}"), "platform": "Linux", "missing": 2 }))
        .collect();
    let accounts: Vec<Value> = [spokes[0], spokes[1], rig::HUB].map(|id| json!({ "id": id, "ous": ["root", "workloads"], "state": "ACTIVE" })).into();
    json!({ "schema": "tidegate.fleet/1", "accounts": accounts, "instances": instances })
}

/// A running `serve`; killed where a test gives up on it.
struct Serving(Child);

impl Serving {
    /// Asks it to end, and gives its exit code.
    fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn status(store: &Path) -> Value {
    said(&command(&[]).args(["status", "--json", "--store"]).arg(store).output().unwrap())
}

#[test]
fn one_host_patches_a_small_estate() {
    let folder = tempfile::tempdir_in(rig::folder().unwrap()).unwrap();
    let mut clock = Clock::new(folder.path()).unwrap();
    let hub_rig = rig::ministack(Ministack { auth: true, env: clock.env() }).unwrap();
    let world = rig::world(&fleet(), &hub_rig, &["--tempo", "10"], &clock.env()).unwrap();
    let made = rig::drive("one_host.py", &["make", "--endpoint", &hub_rig.endpoint], &clock.env()).unwrap();
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let (events, refused) = (text("/queues/events"), text("/queues/refused"));
    let env = with(
        keys(&text("/key"), &text("/secret")).into_iter().chain(clock.env()).collect(),
        &[
            ("AWS_ENDPOINT_URL", hub_rig.endpoint.as_str()),
            ("AWS_ENDPOINT_URL_SSM", &world.endpoint),
            ("AWS_ENDPOINT_URL_CONFIG_SERVICE", &world.endpoint),
            ("AWS_ENDPOINT_URL_ORGANIZATIONS", &world.endpoint),
            ("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API", &world.endpoint),
            ("TIDEGATE_QUEUE_EVENTS", &events),
            ("TIDEGATE_QUEUE_REFUSED", &refused),
            ("TIDEGATE_EXTERNAL_ID", &text("/external_id")),
            ("TIDEGATE_AGGREGATOR", "organization"),
            ("TIDEGATE_SWEEP_SECS", "0"),
            ("TIDEGATE_SWEEP_NODES_SECS", "0"),
        ],
    );
    let (policy, store, log) = (folder.path().join("policy.toml"), folder.path().join("tidegate.db"), folder.path().join("serve.log"));
    std::fs::write(&policy, POLICY).unwrap();
    // Whoever may send to the queue is no approver, and what nobody can read stops nothing.
    wait(async {
        let queue = EventQueue::new(hub(&hub_rig.endpoint).sqs().clone(), &events);
        for body in ["{not json", include_str!("../../events/samples/20-approval.json")] {
            queue.send(body, None, &[]).await.unwrap();
        }
    });
    let serving = |log: &Path| {
        let said = std::fs::File::create(log).unwrap();
        let mut command = command(&env);
        command.args(["serve", "--cloud", "aws", "--listen", "127.0.0.1:0", "--store"]).arg(&store).arg("--policy").arg(&policy);
        Serving(command.stdout(Stdio::null()).stderr(said).spawn().unwrap())
    };
    // What a run would do is the same by the look at AWS as by the file that the world was made of.
    let (input, file) = (folder.path().join("run.json"), folder.path().join("fleet.json"));
    std::fs::write(&file, fleet().to_string()).unwrap();
    std::fs::write(&input, json!({"accounts": ["111122223333", "222233334444", "999999999999"], "regions": ["us-east-1"], "dryRun": true}).to_string())
        .unwrap();
    let plan = |more: &[&str]| {
        let output = command(&env)
            .args(["plan", "--json", "--at", "2026-11-19T08:00:00Z", "--policy"])
            .arg(&policy)
            .arg("--input")
            .arg(&input)
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        said(&output)
    };
    let (on_aws, of_file) = (plan(&["--aws"]), plan(&["--fleet", file.to_str().unwrap()]));
    assert_eq!((&on_aws["selected"], &on_aws["digest"], &on_aws["waves"]), (&json!(4), &of_file["digest"], &of_file["waves"]), "{on_aws:#}");
    assert!(on_aws["warnings"][0].as_str().unwrap().starts_with("999999999999 in us-east-1 is not part of this plan"), "{on_aws:#}");
    let mut service = serving(&log);
    let driver = {
        let (endpoint, world, file, env) = (hub_rig.endpoint.clone(), world.endpoint.clone(), clock.file().display().to_string(), clock.env());
        std::thread::spawn(move || rig::drive("one_host.py", &["run", "--endpoint", &endpoint, "--world", &world, "--clock", &file], &env))
    };
    let mut approved = Vec::new();
    while !driver.is_finished() {
        std::thread::sleep(Duration::from_secs(1));
        assert!(service.0.try_wait().unwrap().is_none(), "it ended by itself: {}", std::fs::read_to_string(&log).unwrap());
        if !store.exists() {
            continue;
        }
        for asked in status(&store)["awaiting_approval"].as_array().unwrap() {
            let subject = asked["subject"].as_str().unwrap().to_owned();
            let output = command(&clock.env()).args(["approve", &subject, "--as", "dana", "--comment", "looked at", "--store"]).arg(&store).output().unwrap();
            approved.push((subject, output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
    let report = driver.join().unwrap().unwrap();
    let said_by_serve = || std::fs::read_to_string(&log).unwrap();
    assert_eq!(report["over"], true, "{report:#}\n{approved:?}\n{:#}\n{}", status(&store), said_by_serve());
    assert!(approved.iter().any(|(_, code, _)| *code == Some(0)), "{approved:?}");
    assert_eq!((&report["counts"]["commands"]["doubled"], &report["counts"]["commands"]["install"].is_u64()), (&json!(0), &true), "{report:#}");
    assert_eq!(service.stop(), Some(0), "{}", said_by_serve());

    let output = command(&env).args(["refused", "list", "--json", "--queue", &refused]).output().unwrap();
    let list = said(&output);
    let reasons: Vec<&str> = list["refused"].as_array().unwrap().iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 2, "{list:#}");
    assert!(
        reasons.iter().any(|why| why.contains("JSON")) && reasons.iter().any(|why| why.contains("a person's decision does not come by EventBridge")),
        "{reasons:?}"
    );

    // The proofs come later than the patches: it goes on where it was, with nothing asked of it but time. The driver moved the clock.
    let ahead_secs = i64::from_ne_bytes(std::fs::read(clock.file()).unwrap().try_into().unwrap());
    clock.advance(ahead_secs.try_into().unwrap()).unwrap();
    let service = serving(&folder.path().join("again.log"));
    let begun = Instant::now();
    while status(&store).pointer("/targets/by_state/compliant").and_then(Value::as_u64) != Some(4) {
        // Nobody carries events any more: whoever Config has not confirmed yet is asked about after half an hour of silence, and again after an hour.
        assert!(begun.elapsed() < Duration::from_secs(120), "{:#}\n{}", status(&store), std::fs::read_to_string(folder.path().join("again.log")).unwrap());
        clock.advance(60).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(service.stop(), Some(0));
}
