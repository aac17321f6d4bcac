//! What becomes of a command on its hosts.

use super::*;

/// Sends an install to host 1 and lets it end.
fn installed(world: &World) -> InvocationStatus {
    let command = install(world, [1]);
    pass(world, 25 * MINUTE);
    status(world, &command, 1)
}

/// Scans host 1 and reads what it lacks.
fn scanned(world: &World) -> (u32, u32, u32) {
    let before = world.now();
    let command = scan(world, [1]);
    pass(world, 2 * MINUTE);
    assert_eq!(status(world, &command, 1), InvocationStatus::Success);
    let state = patch_state(world, 1);
    assert!(state.operation == Operation::Scan && state.started_at > before && state.ended_at > state.started_at);
    lacks(&state)
}

fn truth(world: &World, n: u32) -> (u32, u32, u32) {
    let truth = world.truth(&key(n)).unwrap();
    (truth.missing, truth.failed, truth.pending_reboot)
}

#[test]
fn an_install_mends_a_host_and_a_scan_proves_it() {
    let world = world([host(1)]);
    assert_eq!(installed(&world), InvocationStatus::Success);
    let own = patch_state(&world, 1);
    assert_eq!((own.operation, lacks(&own)), (Operation::Install, (0, 0, 0)));
    assert!(own.baseline.starts_with("pb-0") && own.baseline.len() == 20 && own.snapshot.is_some());
    assert_eq!(scanned(&world), (0, 0, 0));
    assert_eq!(patch_state(&world, 1).baseline, own.baseline);
    assert!(world.truth(&key(1)).unwrap().is_patched());
}

#[test]
fn an_invocation_is_delivered_runs_and_ends_in_its_time() {
    let world = world([host(1)]);
    let command = install(&world, [1]);
    pass(&world, 3);
    assert!(matches!(status(&world, &command, 1), InvocationStatus::Pending | InvocationStatus::InProgress));
    pass(&world, 20);
    assert_eq!(status(&world, &command, 1), InvocationStatus::InProgress);
    assert!(world.truth(&key(1)).unwrap().installing_now);
    pass(&world, 20 * MINUTE);
    let line = invocation(&world, &command, 1);
    let took = line.ended_at.unwrap().duration_since(start()).as_secs();
    assert!(line.status == InvocationStatus::Success && (4 * MINUTE..=20 * MINUTE).contains(&took), "{took}");
    assert!(!world.truth(&key(1)).unwrap().installing_now);
}

#[test]
fn without_a_reboot_patches_wait_for_one_and_the_next_install_is_just_that() {
    let world = world([host(1)]);
    send(&world, &no_reboot(request(&world, "tidegate/0123456789abcdef/install/1", Operation::Install, [1])));
    pass(&world, 20 * MINUTE);
    assert_eq!((truth(&world, 1), lacks(&patch_state(&world, 1))), ((0, 0, 3), (0, 0, 3)));
    assert_eq!(scanned(&world), (0, 0, 3));
    let reboot = send(&world, &request(&world, "tidegate/0123456789abcdef/reboot/1", Operation::Install, [1]));
    pass(&world, 7 * MINUTE);
    assert_eq!((status(&world, &reboot, 1), truth(&world, 1)), (InvocationStatus::Success, (0, 0, 0)));
}

#[test]
fn a_host_with_nothing_to_install_is_not_rebooted() {
    let world = world([HostSpec::new(key(1), Platform::Windows)]);
    let command = install(&world, [1]);
    pass(&world, 2 * MINUTE);
    assert_eq!(status(&world, &command, 1), InvocationStatus::Success);
}

#[test]
fn installs_fail_so_often_and_then_work() {
    let world = world([troubled(1, Trouble::InstallFails { times: 2 })]);
    for _ in 0..2 {
        assert_eq!(installed(&world), InvocationStatus::Failed);
        assert_eq!(lacks(&patch_state(&world, 1)), (0, 3, 0), "an install lists what failed, never what is missing");
        assert_eq!(scanned(&world), (3, 0, 0));
    }
    assert_eq!((installed(&world), scanned(&world)), (InvocationStatus::Success, (0, 0, 0)));
    let hopeless = self::world([troubled(1, Trouble::InstallFailsAlways)]);
    assert!((0..5).all(|_| installed(&hopeless) == InvocationStatus::Failed));
}

#[test]
fn exit_code_zero_may_be_a_lie() {
    let world = world([troubled(1, Trouble::FalseSuccess { times: 1 })]);
    assert_eq!(installed(&world), InvocationStatus::Success);
    assert_eq!(lacks(&patch_state(&world, 1)), (0, 0, 0), "its own report is clean");
    assert_eq!((scanned(&world), truth(&world, 1)), ((3, 0, 0), (3, 0, 0)));
    assert_eq!((installed(&world), scanned(&world)), (InvocationStatus::Success, (0, 0, 0)), "once");
}

#[test]
fn a_failure_may_be_a_lie_too() {
    let world = world([troubled(1, Trouble::FalseFailure { times: 1 })]);
    assert_eq!((installed(&world), scanned(&world)), (InvocationStatus::Failed, (0, 0, 0)));
}

#[test]
fn a_partial_install_leaves_failed_patches_until_one_works() {
    let world = world([troubled(1, Trouble::Partial { times: 1 })]);
    installed(&world);
    assert_eq!((scanned(&world), scanned(&world)), ((0, 1, 0), (0, 1, 0)), "the scan lists them, every time");
    assert_eq!((installed(&world), scanned(&world)), (InvocationStatus::Success, (0, 0, 0)));
}

#[test]
fn a_rejected_patch_is_never_mended() {
    let world = world([troubled(1, Trouble::RejectedPatch)]);
    assert_eq!((installed(&world), scanned(&world)), (InvocationStatus::Success, (0, 0, 0)));
    assert_eq!(patch_state(&world, 1).rejected, 1);
}

#[test]
fn an_agent_that_dies_in_the_reboot_leaves_its_invocation_in_progress_until_it_expires() {
    let world = world([troubled(1, Trouble::RebootNeverReturns)]);
    let command = install(&world, [1]);
    pass(&world, 60 * MINUTE);
    assert_eq!(status(&world, &command, 1), InvocationStatus::InProgress);
    let interim = patch_state(&world, 1);
    assert_eq!((interim.operation, lacks(&interim)), (Operation::Install, (0, 0, 3)), "reported before the reboot");
    pass(&world, 10 * MINUTE);
    assert_eq!(status(&world, &command, 1), InvocationStatus::ExecutionTimedOut);
    let truth = world.truth(&key(1)).unwrap();
    assert!(!truth.online && truth.registered && truth.is_patched() && !truth.installing_now);
    let scan = scan(&world, [1]);
    pass(&world, 11 * MINUTE);
    assert_eq!(status(&world, &scan, 1), InvocationStatus::DeliveryTimedOut);
}

#[test]
fn a_silent_host_is_accepted_and_times_out_undelivered() {
    let world = world([troubled(1, Trouble::OFFLINE_ALWAYS), troubled(2, Trouble::offline_until(300))]);
    let command = install(&world, [1, 2]);
    pass(&world, 9 * MINUTE);
    assert_eq!((status(&world, &command, 1), status(&world, &command, 2)), (InvocationStatus::Pending, InvocationStatus::InProgress));
    pass(&world, MINUTE);
    assert_eq!((status(&world, &command, 1), truth(&world, 1)), (InvocationStatus::DeliveryTimedOut, (3, 0, 0)));
}

#[test]
fn what_ends_in_silence_is_heard_of_later_and_ended_when_it_did() {
    let silence = Trouble::Offline { from_secs: 60, until_secs: Some(1_800) };
    let world = world([troubled(1, silence), troubled(2, Trouble::Offline { from_secs: 60, until_secs: None })]);
    let command = install(&world, [1, 2]);
    pass(&world, 29 * MINUTE);
    assert_eq!((status(&world, &command, 1), invocation(&world, &command, 1).ended_at), (InvocationStatus::InProgress, None));
    assert_eq!((truth(&world, 1), truth(&world, 2), world.truth(&key(2)).unwrap().installing_now), ((0, 0, 0), (0, 0, 0), false));
    pass(&world, 2 * MINUTE);
    let line = invocation(&world, &command, 1);
    assert_eq!((line.status, line.ended_at), (InvocationStatus::Success, Some(patch_state(&world, 1).ended_at)));
    assert!(line.ended_at.unwrap() < start() + SignedDuration::from_mins(21));
    pass(&world, HOUR);
    assert_eq!(status(&world, &command, 2), InvocationStatus::ExecutionTimedOut, "never heard of");
}

#[test]
fn what_timed_out_may_run_all_the_same() {
    let world = faulty([troubled(1, Trouble::offline_until(1_200))], Faults { late_run: 1_000, ..Faults::none() });
    let command = install(&world, [1]);
    pass(&world, 11 * MINUTE);
    assert_eq!(status(&world, &command, 1), InvocationStatus::DeliveryTimedOut);
    pass(&world, HOUR);
    assert_eq!((status(&world, &command, 1), truth(&world, 1)), (InvocationStatus::DeliveryTimedOut, (0, 0, 0)));
}

#[test]
fn an_instance_that_ends_in_flight_times_out_and_ec2_says_so() {
    let world = faulty([host(1)], Faults { terminated_in_flight: 1_000, ..Faults::none() });
    let command = install(&world, [1]);
    let events = pass(&world, 20 * MINUTE);
    assert_eq!(of_type(&events, "EC2 Instance State-change")[0]["detail"]["state"], "terminated");
    assert!(world.truth(&key(1)).unwrap().terminated);
    pass(&world, HOUR);
    assert_eq!(status(&world, &command, 1), InvocationStatus::ExecutionTimedOut);
}

#[test]
fn an_instance_that_ends_before_delivery_is_undeliverable() {
    let world = world([HostSpec { troubles: vec![Trouble::OFFLINE_ALWAYS, Trouble::TerminatedAt { after_secs: 60 }], ..host(1) }]);
    let command = install(&world, [1]);
    pass(&world, 11 * MINUTE);
    assert_eq!(status(&world, &command, 1), InvocationStatus::Undeliverable);
}

#[test]
fn another_scanner_overwrites_the_proof_once() {
    let world = world([troubled(1, Trouble::OverwrittenByOtherScanner { times: 1 })]);
    installed(&world);
    let ours = patch_state(&world, 1).baseline;
    scan(&world, [1]);
    pass(&world, 3 * MINUTE);
    let theirs = patch_state(&world, 1);
    assert!(theirs.baseline != ours && theirs.missing > 0 && theirs.snapshot.is_none() && theirs.operation == Operation::Scan);
    assert_eq!((scanned(&world), patch_state(&world, 1).baseline), ((0, 0, 0), ours));
}

#[test]
fn a_second_install_on_a_busy_host_is_an_overlap_and_fails() {
    let world = world([host(1)]);
    let (first, second) = (install(&world, [1]), install(&world, [1]));
    pass(&world, 25 * MINUTE);
    let mut ends = [status(&world, &first, 1), status(&world, &second, 1)];
    ends.sort();
    assert_eq!(ends, [InvocationStatus::Success, InvocationStatus::Failed]);
    assert_eq!((world.counts().overlaps, truth(&world, 1)), (1, (0, 0, 0)));
}

#[test]
fn max_concurrency_holds() {
    let world = world((1..=6).map(host));
    let mut request = request(&world, "tidegate/0123456789abcdef/install/1", Operation::Install, 1..=6);
    request.max_concurrency = 2;
    let command = send(&world, &request);
    let mut most = 0;
    for _ in 0..120 {
        pass(&world, MINUTE);
        most = most.max((1..=6).filter(|n| world.truth(&key(*n)).unwrap().installing_now).count());
    }
    assert_eq!(most, 2);
    let ends: Vec<_> = (1..=6).map(|n| status(&world, &command, n)).collect();
    assert!(ends.iter().filter(|end| **end == InvocationStatus::Success).count() >= 4, "{ends:?}");
    assert!(ends.iter().all(|end| end.is_final()), "who had no turn before the expiry was never delivered");
}

#[test]
fn what_runs_past_its_execution_time_out_is_cut_off() {
    let world = world([host(1)]);
    let mut request = request(&world, "tidegate/0123456789abcdef/install/1", Operation::Install, [1]);
    request.execution_timeout_secs = 60;
    let command = send(&world, &request);
    pass(&world, 5 * MINUTE);
    assert_eq!((status(&world, &command, 1), truth(&world, 1)), (InvocationStatus::ExecutionTimedOut, (3, 0, 0)));
    assert!(!world.truth(&key(1)).unwrap().installing_now);
}

#[test]
fn a_cancel_stops_what_was_not_delivered_and_nothing_else() {
    let world = world([host(1), troubled(2, Trouble::OFFLINE_ALWAYS)]);
    let command = install(&world, [1, 2]);
    pass(&world, 30);
    ask(world.cancel(&spoke(), &command, &ids([1, 2]))).unwrap();
    assert_eq!((status(&world, &command, 1), status(&world, &command, 2)), (InvocationStatus::InProgress, InvocationStatus::Cancelled));
    let events = pass(&world, 25 * MINUTE);
    assert_eq!((status(&world, &command, 1), truth(&world, 1), truth(&world, 2)), (InvocationStatus::Success, (0, 0, 0), (3, 0, 0)));
    let whole: Vec<_> = of_type(&events, "EC2 Command Status").iter().map(|event| event["detail"]["status"].clone()).collect();
    assert_eq!(whole, ["Cancelled"]);
    let killing = faulty([host(1)], Faults { cancel_kills: 1_000, ..Faults::none() });
    let command = install(&killing, [1]);
    pass(&killing, 30);
    ask(killing.cancel(&spoke(), &command, &ids([1]))).unwrap();
    assert_eq!((status(&killing, &command, 1), truth(&killing, 1)), (InvocationStatus::Cancelled, (2, 0, 1)), "half-way");
    pass(&killing, HOUR);
    assert_eq!(truth(&killing, 1), (2, 0, 1));
}

#[test]
fn association_scans_do_not_touch_the_patch_state() {
    let world = world([host(1)]);
    let before = patch_state(&world, 1);
    let mut request = request(&world, "tidegate/0123456789abcdef/scan/1", Operation::Scan, [1]);
    request.document = "AWS-RunPatchBaselineAssociation".to_owned();
    send(&world, &request);
    pass(&world, 5 * MINUTE);
    assert_eq!(patch_state(&world, 1), before);
}
