//! The world on file: killed at any point, it goes on as if nothing had been.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::{Delivery, RULE};

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.world");
    (dir, path)
}

fn troubled_spec() -> Spec {
    let mut spec = Spec::generate(1, 1, 40, 11, Faults::heavy());
    spec.accounts = vec![AccountSpec::new(spec.accounts[0].id)];
    spec
}

/// The n-th call of the story: something of everything that changes the world.
fn step(world: &World, n: u32) -> Vec<Delivery> {
    let hosts: Vec<InstanceId> = world.hosts().into_iter().map(|key| key.instance).collect();
    let some: Vec<InstanceId> = hosts.iter().skip(usize::try_from(n).unwrap() % 30).step_by(3).take(6).cloned().collect();
    let operation = if n.is_multiple_of(3) { Operation::Scan } else { Operation::Install };
    match n % 5 {
        0..=2 => {
            let mut request = request(world, &format!("tidegate/{n:016x}/install/1"), operation, []);
            request.instances = some;
            drop(ask(world.send(&request)));
        }
        3 => {
            if let Some(record) = world.sends().last() {
                drop(ask(world.cancel(&record.spoke, &record.command, &record.instances)));
            }
        }
        _ => drop(ask(world.start_evaluation(&spoke(), &[RULE.to_owned()]))),
    }
    world.advance(world.now() + SignedDuration::from_millis(1 + i64::from(n % 7) * 91_337))
}

/// What can be seen of a world, behind the scenes and by API.
fn picture(world: &World) -> String {
    let hosts: Vec<InstanceId> = world.hosts().into_iter().map(|key| key.instance).collect();
    let truths: Vec<_> = world.hosts().iter().map(|key| world.truth(key)).collect();
    let inner = world.inner();
    let state = &inner.state;
    let facts: Vec<_> = state.hosts.iter().map(|host| host.verdict.map(|verdict| state.fact(host, verdict))).collect();
    let invocations: Vec<_> = state.commands.iter().map(|command| state.invocations(&spoke(), &command.record.command)).collect();
    let states = state.patch_states(&spoke(), &hosts);
    format!("{}\n{truths:?}\n{facts:?}\n{invocations:?}\n{states:?}\n{:?}\n{:?}", inner.now, state.ledger.counts, state.ledger.records)
}

#[test]
fn killed_between_any_two_calls_the_world_is_the_same() {
    const STEPS: u32 = 40;
    let whole = World::new(troubled_spec(), start());
    let mut pictures = Vec::new();
    let mut told: Vec<Delivery> = Vec::new();
    for n in 0..STEPS {
        told.extend(step(&whole, n));
        pictures.push(picture(&whole));
    }
    told.extend(whole.advance(whole.now() + SignedDuration::from_hours(30)));
    assert!(whole.counts().install > 10 && told.len() > 100, "{:?} {}", whole.counts(), told.len());

    for kill in [0, 1, 7, 18, 39] {
        let (_dir, path) = place();
        let open = || World::open(troubled_spec(), start(), Some(&path)).unwrap();
        let mut world = open();
        let mut heard: Vec<Delivery> = Vec::new();
        for n in 0..STEPS {
            heard.extend(step(&world, n));
            if n == kill {
                drop(world);
                world = open();
                assert_eq!((world.started_at(), world.take_sends().len()), (start(), world.sends().len()));
            }
            assert!(picture(&world) == pictures[usize::try_from(n).unwrap()], "killed after {kill}, at {n}");
        }
        heard.extend(world.advance(world.now() + SignedDuration::from_hours(30)));
        let bytes = |events: &[Delivery]| events.iter().map(|event| event.bytes.clone()).collect::<BTreeSet<_>>();
        assert_eq!(bytes(&heard), bytes(&told), "nothing is lost, nothing is new");
        assert!(heard.len() >= told.len() && heard.iter().map(|event| event.at).is_sorted());
    }
}

#[test]
fn the_last_hour_is_delivered_once_more() {
    let (_dir, path) = place();
    let spec = spec([host(1).found_after(60), host(2).found_after(7_000)]);
    let world = World::open(spec.clone(), start(), Some(&path)).unwrap();
    assert_eq!(pass(&world, 2 * HOUR).len(), 2);
    drop(world);
    let world = World::open(spec, start(), Some(&path)).unwrap();
    assert!(world.next_at().is_some_and(|at| at > world.now()));
    let again = pass(&world, 1);
    assert_eq!(again.len(), 1);
    assert!(again[0]["detail"]["resourceId"].as_str().unwrap().ends_with(key(2).instance.as_str()));
    assert!(pass(&world, HOUR).is_empty());
}

#[test]
fn a_torn_last_line_is_dropped() {
    let (_dir, path) = place();
    let world = World::open(spec([host(1)]), start(), Some(&path)).unwrap();
    install(&world, [1]);
    let whole = fs::read(&path).unwrap();
    scan(&world, [1]);
    let longer = fs::read(&path).unwrap();
    drop(world);
    for cut in [whole.len() + 1, longer.len() - 1] {
        fs::write(&path, &longer[..cut]).unwrap();
        let world = World::open(spec([host(1)]), start(), Some(&path)).unwrap();
        assert_eq!((world.counts().install, world.counts().scan), (1, 0));
        drop(world);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    fs::write(&path, &whole[..10]).unwrap();
    let world = World::open(spec([host(1)]), start(), Some(&path)).unwrap();
    assert_eq!(world.counts().install, 0, "torn in its first line, it was no world yet");
    drop(world);
    assert!(fs::read(&path).unwrap().ends_with(b"\n"));
}

#[test]
fn the_file_wins_and_new_hosts_are_added() {
    let (_dir, path) = place();
    drop(World::open(spec([host(1)]), start(), Some(&path)).unwrap());
    let later = start() + SignedDuration::from_hours(5);
    let more = || spec([HostSpec { missing: 9, ..host(1) }, host(2)]);
    let world = World::open(Spec { seed: 99, ..more() }, later, Some(&path)).unwrap();
    assert_eq!((world.started_at(), world.hosts().len(), world.truth(&key(1)).unwrap().missing), (start(), 2, 3));
    let command = install(&world, [1, 2]);
    drop(world);
    let lines = fs::read(&path).unwrap().split(|byte| *byte == b'\n').count();
    let world = World::open(more(), later, Some(&path)).unwrap();
    pass(&world, HOUR);
    assert_eq!(status(&world, &command, 2), InvocationStatus::Success);
    drop(world);
    assert_eq!(fs::read(&path).unwrap().split(|byte| *byte == b'\n').count(), lines + 1, "added once; one line for the hour");
}

#[test]
fn a_file_that_is_no_world_is_refused_with_its_line() {
    let (_dir, path) = place();
    let open = || World::open(spec([host(1)]), start(), Some(&path)).unwrap_err().to_string();
    fs::write(&path, "{}\n").unwrap();
    assert!(open().contains("test.world:1: missing field"), "{}", open());
    fs::write(&path, "{\"at\":\"2026-11-19T00:00:00Z\",\"call\":\"advanced\"}\n").unwrap();
    assert!(open().contains("test.world:1: the world does not begin with its spec"), "{}", open());
    assert_eq!(fs::read(&path).unwrap().len(), 48, "and left as it is");
}

#[test]
fn two_processes_do_not_share_a_world() {
    let (_dir, path) = place();
    let _world = World::open(spec([host(1)]), start(), Some(&path)).unwrap();
    let error = World::open(spec([host(1)]), start(), Some(&path)).unwrap_err().to_string();
    assert!(error.contains("another process has this world open"), "{error}");
}
