//! What SendCommand refuses, and what it does with what it takes.

use super::*;
use crate::{AccountState, Role};

fn outcome(world: &World, change: impl FnOnce(&mut SendRequest)) -> SendOutcome {
    let mut request = request(world, "tidegate/0123456789abcdef/install/1", Operation::Install, [1]);
    change(&mut request);
    ask(world.send(&request))
}

fn refused(outcome: SendOutcome, why: &str) {
    assert!(matches!(&outcome, SendOutcome::Refused { why: said } if said.contains(why)), "{outcome:?}");
}

#[test]
fn more_than_fifty_ids_are_throttled_not_refused() {
    let world = world((1..=51).map(host));
    assert_eq!(outcome(&world, |request| request.instances = ids(1..=51)), SendOutcome::Throttled);
    assert!(matches!(outcome(&world, |request| request.instances = ids(1..=50)), SendOutcome::Accepted { .. }));
}

#[test]
fn wrong_requests_are_refused_and_leave_no_trace() {
    let world = world([host(1)]);
    pass(&world, HOUR);
    refused(outcome(&world, |request| request.instances = ids([1, 1])), "DuplicateInstanceId");
    refused(outcome(&world, |request| request.instances.clear()), "InstanceIds");
    refused(outcome(&world, |request| request.timeout_secs = 29), "TimeoutSeconds");
    refused(outcome(&world, |request| request.max_concurrency = 0), "MaxConcurrency");
    refused(outcome(&world, |request| request.marker = "m".repeat(101)), "Comment");
    refused(outcome(&world, |request| request.document = "AWS-RunMagic".to_owned()), "InvalidDocument");
    refused(outcome(&world, |request| drop(request.parameters.insert("Operation".to_owned(), vec!["Remove".to_owned()]))), "Operation");
    refused(outcome(&world, |request| drop(request.parameters.insert("RebootOption".to_owned(), vec!["Maybe".to_owned()]))), "RebootOption");
    refused(outcome(&world, |request| drop(request.parameters.insert("SnapshotId".to_owned(), vec!["x".to_owned()]))), "SnapshotId");
    refused(outcome(&world, |request| drop(request.parameters.insert("Colour".to_owned(), vec![]))), "`Colour`");
    assert!(world.sends().is_empty() && world.next_at().is_none());
}

#[test]
fn a_sender_that_froze_for_more_than_five_minutes_is_refused() {
    let world = world([host(1)]);
    let at = world.now();
    pass(&world, 5 * MINUTE + 1);
    refused(outcome(&world, |request| request.signed_at = at), "signature expired");
    assert!(matches!(outcome(&world, |request| request.signed_at = at + SignedDuration::from_secs(2)), SendOutcome::Accepted { .. }));
}

#[test]
fn one_id_that_is_no_managed_node_fails_the_whole_call() {
    let world = world([host(1), troubled(2, Trouble::NotRegistered), troubled(3, Trouble::TerminatedAt { after_secs: 10 })]);
    pass(&world, MINUTE);
    let named = |hosts: Vec<u32>| SendOutcome::InvalidInstances { named: ids(hosts) };
    assert_eq!(outcome(&world, |request| request.instances = ids([1, 2, 3, 4])), named(vec![2, 3, 4]), "unregistered, terminated, unknown");
    assert_eq!(outcome(&world, |request| request.spoke.region = "eu-west-1".parse().unwrap()), named(vec![1]), "another Region");
    assert!(world.sends().is_empty());
}

#[test]
fn the_invalid_ids_are_not_always_named() {
    let world = faulty([host(1)], Faults { invalid_unnamed: 1_000, ..Faults::none() });
    assert_eq!(outcome(&world, |request| request.instances = ids([1, 2])), SendOutcome::InvalidInstances { named: vec![] });
}

#[test]
fn who_may_not_enter_may_not_send_and_every_try_is_a_call() {
    for (role, state, why) in [
        (Role::Missing, AccountState::Active, "does not exist"),
        (Role::WrongTrust, AccountState::Active, "does not trust"),
        (Role::Ok, AccountState::Suspended, "suspended"),
    ] {
        let account = AccountSpec { role, state, ..AccountSpec::new(key(1).account) };
        let world = World::new(Spec { accounts: vec![account], ..spec([host(1)]) }, start());
        for _ in 0..2 {
            let outcome = outcome(&world, |_| ());
            assert!(matches!(&outcome, SendOutcome::Denied { why: said } if said.contains(why)), "{outcome:?}");
        }
        assert_eq!((calls(&world, "sts:AssumeRole"), calls(&world, "ssm:SendCommand")), (2, 0));
    }
    let outcome = outcome(&world([host(1)]), |request| request.spoke.account = "999999999999".parse().unwrap());
    assert!(matches!(outcome, SendOutcome::Denied { .. }), "{outcome:?}");
}

#[test]
fn a_spoke_takes_ten_at_once_and_three_a_second() {
    let world = world((1..=20).map(host));
    let burst =
        |from: u32| (from..from + 10).filter(|n| matches!(outcome(&world, |request| request.instances = ids([*n])), SendOutcome::Accepted { .. })).count();
    assert_eq!((burst(1), burst(11)), (10, 0));
    pass(&world, 1);
    assert_eq!(burst(11), 3);
}

#[test]
fn there_is_no_idempotency() {
    let world = world([host(1)]);
    let (first, second) = (install(&world, [1]), install(&world, [1]));
    assert_ne!(first, second);
    assert_eq!((world.counts().install, world.counts().doubled), (2, 1));
}

#[test]
fn a_host_is_doubled_only_by_one_attempt() {
    let world = world([host(1), host(2)]);
    let send = |marker: &str, operation, host| drop(super::send(&world, &request(&world, marker, operation, [host])));
    send("tidegate/aaaaaaaaaaaaaaaa/install/1", Operation::Install, 1);
    send("tidegate/aaaaaaaaaaaaaaaa/reboot/1", Operation::Install, 1);
    send("tidegate/bbbbbbbbbbbbbbbb/install/1", Operation::Install, 1);
    send("tidegate/aaaaaaaaaaaaaaaa/install/1", Operation::Install, 2);
    send("tidegate/aaaaaaaaaaaaaaaa/scan/1", Operation::Scan, 1);
    send("tidegate/aaaaaaaaaaaaaaaa/scan/2", Operation::Scan, 1);
    let counts = world.counts();
    assert_eq!((counts.install, counts.reboot, counts.scan, counts.doubled, counts.mismarked), (3, 1, 2, 0, 0));
    send("tidegate/aaaaaaaaaaaaaaaa/install/2", Operation::Install, 1);
    send("tidegate/aaaaaaaaaaaaaaaa/install/3", Operation::Install, 1);
    assert_eq!(world.counts().doubled, 1, "however often");
    send("tidegate/aaaaaaaaaaaaaaaa/scan/3", Operation::Install, 2);
    assert_eq!((world.counts().mismarked, world.counts().install), (1, 6), "an install under a scan's name counts as what it is");
}

#[test]
fn a_lost_answer_may_mean_yes_or_no() {
    let lost = faulty([host(1)], Faults { send_lost: 1_000, ..Faults::none() });
    assert!(matches!(outcome(&lost, |_| ()), SendOutcome::Ambiguous { .. }));
    assert!(lost.sends().is_empty());

    let taken = faulty([host(1)], Faults { send_answer_lost: 1_000, ..Faults::none() });
    assert!(matches!(outcome(&taken, |_| ()), SendOutcome::Ambiguous { .. }));
    assert!(matches!(taken.sends().as_slice(), [record] if !record.answered));
    pass(&taken, 10);
    let seen = ask(taken.list_commands(&spoke(), "AWS-RunPatchBaseline", start(), taken.now())).unwrap();
    assert_eq!(seen.first().map(|seen| seen.marker.as_str()), Some("tidegate/0123456789abcdef/install/1"), "a search finds it");
}

#[test]
fn delivery_and_execution_time_out_add_up_to_the_expiry() {
    let world = world([host(1)]);
    let SendOutcome::Accepted { expires_at, .. } = outcome(&world, |_| ()) else { panic!("accepted") };
    assert_eq!(expires_at, start() + SignedDuration::from_secs(4_200));
}

#[test]
fn sends_are_taken_once_and_kept() {
    let world = world([host(1)]);
    install(&world, [1]);
    assert_eq!((world.take_sends().len(), world.take_sends().len(), world.sends().len()), (1, 0, 1));
    scan(&world, [1]);
    assert!(matches!(world.take_sends().as_slice(), [record] if record.operation == Operation::Scan && record.reboots && record.instances == ids([1])));
}

#[test]
fn command_ids_follow_from_seed_spoke_marker_and_count() {
    let ids = || {
        let world = world([host(1), host(2)]);
        [install(&world, [1]), install(&world, [2]), scan(&world, [1])]
    };
    assert_eq!(ids(), ids());
    let other = World::new(Spec { seed: 8, ..spec([host(1)]) }, start());
    assert_ne!(install(&other, [1]), ids()[0]);
}

#[test]
fn faults_throttle_until_the_world_is_calm() {
    let world = faulty([host(1)], Faults { send_throttled: 1_000, calm_after_secs: Some(60), ..Faults::none() });
    assert_eq!(outcome(&world, |_| ()), SendOutcome::Throttled);
    pass(&world, MINUTE);
    assert!(matches!(outcome(&world, |_| ()), SendOutcome::Accepted { .. }));
}
