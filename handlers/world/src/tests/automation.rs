//! Automation: a token starts one execution, whatever becomes of the answers.

use tidegate_engine::ports::AutomationRequest;
use tidegate_events::fact::Compliance;

use super::*;
use crate::RuleSpec;

const RUNBOOK: &str = "Acme-MendIt";

fn ruled(hosts: impl IntoIterator<Item = HostSpec>, faults: Faults) -> World {
    let rule = RuleSpec { name: "ec2-imdsv2-check".into(), resource_type: "AWS::EC2::Instance".into(), mended_by: RUNBOOK.into() };
    World::new(Spec { rule: Some(rule), faults, ..spec(hosts) }, start())
}

fn request(world: &World, instances: &[u32], token: &str) -> AutomationRequest {
    AutomationRequest {
        spoke: spoke(),
        document: RUNBOOK.into(),
        parameters: BTreeMap::from([("Mode".to_owned(), vec!["required".to_owned()])]),
        target_parameter: "InstanceId".into(),
        instances: instances.iter().map(|n| key(*n).instance).collect(),
        token: token.into(),
        timeout_secs: 7200,
        max_concurrency: 50,
        signed_at: world.now(),
    }
}

fn later(secs: i64) -> Timestamp {
    start() + SignedDuration::from_secs(secs)
}

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

fn started(outcome: SendOutcome) -> CommandId {
    match outcome {
        SendOutcome::Accepted { command, .. } => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_token_is_the_same_execution() {
    let world = ruled([host(1).missing(1).found_after(60), host(2).missing(1).found_after(60)], Faults::default());
    world.advance(later(600));
    let first = started(ask(world.start_automation(&request(&world, &[1, 2], TOKEN))));
    let mut news = world.advance(later(630));
    assert_eq!(started(ask(world.start_automation(&request(&world, &[1, 2], TOKEN)))), first);
    assert_eq!(world.starts().len(), 1);
    // Under a token that was used, nothing else is started.
    match ask(world.start_automation(&request(&world, &[1], TOKEN))) {
        SendOutcome::Refused { why } => assert!(why.starts_with("IdempotentParameterMismatch"), "{why}"),
        other => panic!("{other:?}"),
    }
    let other = started(ask(world.start_automation(&request(&world, &[1], "11111111-2222-3333-4444-666666666666"))));
    assert_ne!(other, first);
    news.extend(world.advance(later(900)));
    let ended = news.iter().filter(|event| String::from_utf8_lossy(&event.bytes).contains("EC2 Automation Execution Status-change Notification")).count();
    assert_eq!(ended, 4, "each execution says that it began and that it ended");
    let lines = ask(world.execution(&spoke(), &first)).unwrap();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.status == InvocationStatus::Success && line.ended_at.is_some()), "{lines:?}");
    world.advance(later(2_400));
    let facts = ask(world.compliance(&spoke(), &[key(1).instance])).unwrap();
    let fact = facts.into_iter().next().and_then(|(_, fact)| fact).unwrap();
    assert!(fact.compliance == Compliance::Compliant && fact.ordering >= lines.iter().find_map(|line| line.ended_at).unwrap(), "{fact:?}");
}

#[test]
fn a_lost_answer_is_an_execution_all_the_same() {
    let world = ruled([host(1).missing(1).found_after(60)], Faults { send_answer_lost: 1_000, ..Faults::default() });
    world.advance(later(600));
    let sent = request(&world, &[1], TOKEN);
    assert!(matches!(ask(world.start_automation(&sent)), SendOutcome::Ambiguous { .. }));
    world.advance(later(660));
    let seen = ask(world.list_executions(&spoke(), RUNBOOK, start(), world.now())).unwrap();
    assert_eq!((seen.len(), seen.first().map(|seen| seen.instances.clone())), (1, Some(sent.instances.clone())));
    let again = started(ask(world.start_automation(&AutomationRequest { signed_at: world.now(), ..sent })));
    assert_eq!((world.starts().len(), Some(again)), (1, seen.first().map(|seen| seen.command.clone())));
}

#[test]
fn a_stop_cancels_what_has_not_ended_and_wrong_starts_leave_no_trace() {
    let world = ruled([host(1).missing(1).found_after(60)], Faults::default());
    world.advance(later(600));
    let sent = request(&world, &[1], TOKEN);
    for wrong in [
        AutomationRequest { document: "No-Such".into(), ..sent.clone() },
        AutomationRequest { instances: Vec::new(), ..sent.clone() },
        AutomationRequest { target_parameter: "Mode".into(), ..sent.clone() },
        AutomationRequest { signed_at: start(), ..sent.clone() },
        AutomationRequest { token: "x".into(), ..sent.clone() },
    ] {
        assert!(matches!(ask(world.start_automation(&wrong)), SendOutcome::Refused { .. }), "{wrong:?}");
    }
    assert!(world.starts().is_empty());
    let execution = started(ask(world.start_automation(&sent)));
    ask(world.stop_automation(&spoke(), &execution)).unwrap();
    world.advance(later(900));
    assert_eq!(ask(world.execution(&spoke(), &execution)).unwrap().first().map(|line| line.status), Some(InvocationStatus::Cancelled));
    assert_eq!(world.truth(&key(1)).map(|truth| truth.missing), Some(1), "a stopped runbook has mended nothing");
}
