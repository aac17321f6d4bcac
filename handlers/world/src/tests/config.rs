//! What Config makes of reports: configuration items, verdicts, events, the aggregator.

use tidegate_events::fact::{Compliance, Fact, FactSource};

use super::*;
use crate::{AccountState, RULE, Recording};

const CHANGE: &str = "Config Rules Compliance Change";

fn fact(world: &World, n: u32) -> Option<Fact> {
    ask(world.compliance(&spoke(), &ids([n]))).unwrap().remove(0).1
}

fn words(events: &[Value]) -> Vec<&str> {
    of_type(events, CHANGE).iter().map(|event| event["detail"]["newEvaluationResult"]["complianceType"].as_str().unwrap()).collect()
}

fn time_of(event: &Value, pointer: &str) -> Timestamp {
    event.pointer(pointer).and_then(Value::as_str).unwrap().parse().unwrap()
}

/// Installs and scans host 1, and waits for Config.
fn remediate(world: &World) -> Vec<Value> {
    install(world, [1]);
    let mut events = pass(world, 25 * MINUTE);
    scan(world, [1]);
    events.extend(pass(world, 12 * MINUTE));
    events
}

fn with_recording(recording: Recording) -> World {
    let account = AccountSpec { recording, ..AccountSpec::new(key(0).account) };
    World::new(Spec { accounts: vec![account], ..spec([host(1).found_after(600)]) }, start())
}

#[test]
fn a_finding_is_announced_once_and_from_then_on_known() {
    let world = world([host(1).found_after(600)]);
    assert_eq!(fact(&world, 1).map(|fact| fact.compliance), Some(Compliance::Compliant), "as of the last scan");
    assert!(pass(&world, 9 * MINUTE).is_empty());
    let events = pass(&world, 2 * MINUTE);
    assert_eq!(words(&events), ["NON_COMPLIANT"]);
    let recorded = time_of(&events[0], "/detail/newEvaluationResult/resultRecordedTime");
    assert_eq!(recorded, start() + SignedDuration::from_mins(10));
    let known = fact(&world, 1).unwrap();
    assert_eq!((known.compliance, known.recorded, known.source), (Compliance::NonCompliant, recorded, FactSource::ConfigRule(RULE.to_owned())));
    let lag = recorded.duration_since(known.ordering).as_secs();
    assert!((11..=39).contains(&lag), "{lag}");
    assert!(words(&pass(&world, 24 * HOUR)).is_empty(), "a host that stays NON_COMPLIANT emits nothing more");
}

#[test]
fn the_first_evaluation_has_no_old_result() {
    let world = world((1..=40).map(|n| host(n).found_after(60)));
    let events = pass(&world, 5 * MINUTE);
    let (with, without): (Vec<_>, Vec<_>) = events.iter().partition(|event| event["detail"].get("oldEvaluationResult").is_some());
    assert_eq!(events.len(), 40);
    assert!(with.len() > 20 && without.len() > 2, "{} {}", with.len(), without.len());
    assert!(with.iter().all(|event| event["detail"]["oldEvaluationResult"]["complianceType"] == "COMPLIANT"));
}

#[test]
fn a_patched_host_turns_compliant_minutes_later_by_itself() {
    let world = world([host(1).found_after(60)]);
    pass(&world, 5 * MINUTE);
    let events = remediate(&world);
    assert_eq!(words(&events), ["COMPLIANT"]);
    let ended = of_type(&events, "EC2 Command Invocation")
        .iter()
        .filter(|event| event["detail"]["status"] == "Success")
        .map(|event| time_of(event, "/time"))
        .min()
        .unwrap();
    let change = of_type(&events, CHANGE)[0];
    assert!(time_of(change, "/detail/newEvaluationResult/evaluationResultIdentifier/orderingTimestamp") > ended);
    assert!(fact(&world, 1).is_some_and(|fact| fact.compliance == Compliance::Compliant && fact.ordering > ended));
}

#[test]
fn every_report_moves_the_ordering_and_only_a_change_is_told() {
    let world = world([HostSpec::new(key(1), Platform::Linux)]);
    let before = fact(&world, 1).unwrap();
    scan(&world, [1]);
    let events = pass(&world, 15 * MINUTE);
    let after = fact(&world, 1).unwrap();
    assert!(words(&events).is_empty() && after.ordering > before.ordering && after.compliance == before.compliance);
}

#[test]
fn an_install_without_reboot_leaves_it_non_compliant() {
    let world = world([host(1).found_after(60)]);
    pass(&world, 5 * MINUTE);
    send(&world, &no_reboot(request(&world, "tidegate/0123456789abcdef/install/1", Operation::Install, [1])));
    assert!(words(&pass(&world, HOUR)).is_empty());
    assert_eq!(fact(&world, 1).unwrap().compliance, Compliance::NonCompliant);
}

#[test]
fn a_false_success_looks_compliant_until_it_is_scanned() {
    let world = world([troubled(1, Trouble::FalseSuccess { times: 1 }).found_after(60)]);
    pass(&world, 5 * MINUTE);
    install(&world, [1]);
    assert_eq!(words(&pass(&world, HOUR)), ["COMPLIANT"], "the install's own report lists nothing missing");
    scan(&world, [1]);
    assert_eq!(words(&pass(&world, HOUR)), ["NON_COMPLIANT"]);
}

#[test]
fn a_daily_recorder_takes_up_to_a_day() {
    let world = with_recording(Recording::Daily);
    pass(&world, 15 * MINUTE);
    assert!(words(&remediate(&world)).is_empty());
    assert_eq!(words(&pass(&world, 24 * HOUR)), ["COMPLIANT"]);
}

#[test]
fn where_config_does_not_record_it_never_confirms() {
    let off = with_recording(Recording::Off);
    assert_eq!(words(&pass(&off, 15 * MINUTE)), ["NON_COMPLIANT"], "its last word");
    assert!(words(&remediate(&off)).is_empty());
    assert!(fact(&off, 1).is_none() && non_compliant(&off).is_empty());

    let world = world([troubled(1, Trouble::ConfigNotRecording).found_after(60), host(2).found_after(60)]);
    assert_eq!(words(&pass(&world, 15 * MINUTE)).len(), 2);
    assert!(fact(&world, 1).is_none() && fact(&world, 2).is_some());
}

#[test]
fn a_finding_that_is_fed_from_outside_is_unknown_to_config_until_we_report() {
    let world = world([host(1)]);
    pass(&world, HOUR);
    assert!(fact(&world, 1).is_none() && non_compliant(&world).is_empty());
    assert_eq!(patch_state(&world, 1).missing, 3, "its agent knows");
    let events = remediate(&world);
    assert_eq!(words(&events), ["COMPLIANT"]);
    assert!(of_type(&events, CHANGE)[0]["detail"].get("oldEvaluationResult").is_none());
}

#[test]
fn evaluating_again_stamps_old_facts_anew() {
    let world = world([host(1).found_after(60)]);
    pass(&world, 5 * MINUTE);
    let before = fact(&world, 1).unwrap();
    ask(world.start_evaluation(&spoke(), &[RULE.to_owned()])).unwrap();
    let events = pass(&world, MINUTE);
    let after = fact(&world, 1).unwrap();
    assert!(after.ordering == before.ordering && after.recorded > before.recorded && after.is_newer_than(&before));
    assert!(words(&events).is_empty());
    assert_eq!(of_type(&events, "Config Rules Re-evaluation Status").len(), 1);
}

#[test]
fn evaluating_again_within_a_minute_is_taken_and_does_nothing() {
    let world = world([host(1).found_after(60)]);
    let again = |secs| {
        ask(world.start_evaluation(&spoke(), &[RULE.to_owned()])).unwrap();
        of_type(&pass(&world, secs), "Config Rules Re-evaluation Status").len()
    };
    assert_eq!((again(30), again(30), again(30)), (1, 0, 1));
    assert_eq!(calls(&world, "config:StartConfigRulesEvaluation"), 3);
}

#[test]
fn an_evaluation_that_config_dropped_is_made_up_for_by_asking() {
    let world = faulty([host(1).found_after(60)], Faults { evaluation_missed: 1_000, ..Faults::none() });
    pass(&world, 5 * MINUTE);
    assert!(words(&remediate(&world)).is_empty());
    assert_eq!(fact(&world, 1).unwrap().compliance, Compliance::NonCompliant);
    ask(world.start_evaluation(&spoke(), &[RULE.to_owned()])).unwrap();
    assert_eq!(words(&pass(&world, MINUTE)), ["COMPLIANT"]);
}

#[test]
fn the_aggregator_lists_findings_minutes_later_in_active_accounts() {
    let mut spec = Spec::generate(3, 2, 300, 5, Faults::none());
    spec.accounts[2].state = AccountState::Suspended;
    let findings = spec.hosts.iter().filter(|host| host.missing > 0 && host.key.account != spec.accounts[2].id).count();
    let world = World::new(spec, start());
    assert!(non_compliant(&world).is_empty());
    pass(&world, HOUR);
    let before = world.api_calls();
    let listed = non_compliant(&world);
    assert_eq!(listed.len(), findings);
    assert!(listed.iter().all(|(_, fact)| fact.compliance == Compliance::NonCompliant));
    let grew = |call: &str| world.api_calls()[call] - before.get(call).copied().unwrap_or(0);
    assert_eq!((grew("config:DescribeAggregateComplianceByConfigRules"), grew("config:GetAggregateComplianceDetailsByConfigRule")), (1, 4));
}

#[test]
fn the_aggregator_forgets_what_was_mended() {
    let world = world([host(1).found_after(60)]);
    pass(&world, 30 * MINUTE);
    assert_eq!(non_compliant(&world).len(), 1);
    remediate(&world);
    pass(&world, 10 * MINUTE);
    assert!(non_compliant(&world).is_empty());
}

#[test]
fn a_silent_finding_is_only_in_the_aggregator() {
    let silent = HostSpec { announce: false, ..host(1).found_after(60) };
    let world = world([silent]);
    assert!(pass(&world, 10 * MINUTE).is_empty());
    assert_eq!(non_compliant(&world)[0].0, key(1));
}

#[test]
fn several_rules_tell_one_fact() {
    let mut spec = spec([host(1).found_after(60)]);
    spec.accounts[0].rules.extend([
        format!("OrgConfigRule-{RULE}-dbgzf8ba"),
        format!("{RULE}-conformance-pack-qayjyopmd"),
        "securityhub-ec2-managedinstance-patch-compliance-0a1b2c3d".to_owned(),
    ]);
    let events = pass(&World::new(spec, start()), 5 * MINUTE);
    assert_eq!(words(&events).len(), 4);
    let orderings: std::collections::BTreeSet<_> =
        events.iter().map(|event| time_of(event, "/detail/newEvaluationResult/evaluationResultIdentifier/orderingTimestamp")).collect();
    assert_eq!(orderings.len(), 1);
    let arns: Vec<_> = events.iter().map(|event| event["detail"]["configRuleARN"].as_str().unwrap()).collect();
    for (arn, service) in arns.iter().zip(["config-rule/config-rule-", "config-multiaccountsetup", "config-conforms", "securityhub."]) {
        assert!(arn.contains(service), "{arn}");
    }
}

#[test]
fn a_deleted_resource_is_not_applicable() {
    let world = world([troubled(1, Trouble::TerminatedAt { after_secs: 300 }).found_after(60)]);
    let events = pass(&world, 20 * MINUTE);
    assert_eq!(words(&events), ["NON_COMPLIANT", "NOT_APPLICABLE"]);
    assert!(non_compliant(&world).is_empty());
}

#[test]
fn compliance_is_read_by_whichever_call_is_cheaper() {
    let world = world((1..=30).map(|n| HostSpec::new(key(n), Platform::Linux)));
    ask(world.compliance(&spoke(), &ids([1]))).unwrap();
    ask(world.compliance(&spoke(), &ids(1..=30))).unwrap();
    assert_eq!((calls(&world, "config:GetComplianceDetailsByResource"), calls(&world, "config:GetComplianceDetailsByConfigRule")), (1, 1));
}
