//! What EventBridge delivers: the shapes, the order, and what goes wrong on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The paths of all fields, with what kind of value stands there.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| shape(value, &format!("{path}/{key}"), into)),
        Value::Array(items) => items.iter().for_each(|value| shape(value, &format!("{path}[]"), into)),
        Value::String(text) => {
            let kind = if text.parse::<Timestamp>().is_ok() { format!("time of {}", text.len()) } else { "text".to_owned() };
            into.insert(format!("{path}: {kind}"));
        }
        other => {
            into.insert(format!("{path}: {other}"));
        }
    }
}

fn same_shape(event: &Value, sample: &str) {
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    shape(event, "", &mut ours);
    shape(&serde_json::from_str(sample).unwrap(), "", &mut theirs);
    assert_eq!(ours, theirs);
}

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../../events/samples/", $name, ".json"))
    };
}

#[test]
fn events_have_the_shapes_of_the_samples() {
    let mut spec = spec((1..=8).map(|n| troubled(n, Trouble::TerminatedAt { after_secs: 3_000 }).found_after(60)));
    spec.ssm_compliance_events = true;
    let world = World::new(spec, start());
    let mut events = pass(&world, 5 * MINUTE);
    ask(world.start_evaluation(&spoke(), &[])).unwrap();
    install(&world, [1]);
    events.extend(pass(&world, HOUR));
    let first = |kind: &str, old: bool| *of_type(&events, kind).iter().find(|event| event["detail"].get("oldEvaluationResult").is_some() == old).unwrap();
    same_shape(first("Config Rules Compliance Change", true), sample!("01-config-noncompliant-standalone-rule"));
    same_shape(first("Config Rules Compliance Change", false), sample!("02-config-noncompliant-first-evaluation-conformance-pack"));
    same_shape(first("Config Rules Re-evaluation Status", false), sample!("05-config-rules-reevaluation-started"));
    same_shape(first("Configuration Compliance State Change", false), sample!("07-ssm-configuration-compliance-state-change-patch"));
    same_shape(first("EC2 Command Status-change", false), sample!("08-ssm-command-status-change"));
    same_shape(first("EC2 Command Invocation Status-change", false), sample!("09-ssm-command-invocation-success"));
    same_shape(first("EC2 Instance State-change", false), sample!("12-ec2-instance-state-change-terminated"));
}

#[test]
fn a_command_tells_its_steps() {
    let world = world([host(1), troubled(2, Trouble::InstallFailsAlways), troubled(3, Trouble::OFFLINE_ALWAYS)]);
    install(&world, [1, 2, 3]);
    let events = pass(&world, HOUR);
    let told = |kind: &str, instance: Option<u32>| -> Vec<String> {
        let of = |event: &&&Value| instance.is_none_or(|n| event["detail"]["instance-id"] == key(n).instance.as_str());
        of_type(&events, kind).iter().filter(of).map(|event| event["detail"]["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("EC2 Command Invocation", Some(1)), ["InProgress", "Success"]);
    assert_eq!(told("EC2 Command Invocation", Some(2)), ["InProgress", "Failed"]);
    assert_eq!(told("EC2 Command Invocation", Some(3)), ["TimedOut"]);
    assert_eq!(told("EC2 Command Status", None), ["InProgress", "Failed"]);
}

#[test]
fn a_command_may_succeed_although_a_host_was_never_reached() {
    let world = world([host(1), troubled(2, Trouble::OFFLINE_ALWAYS)]);
    install(&world, [1, 2]);
    let events = pass(&world, HOUR);
    assert_eq!(of_type(&events, "EC2 Command Status").last().unwrap()["detail"]["status"], "Success");
}

#[test]
fn hybrid_nodes_have_no_state_in_ec2() {
    let key: TargetKey = "111122223333/us-east-1/mi-0123456789abcdef0".parse().unwrap();
    let world = world([HostSpec::new(key, Platform::Linux).missing(1).found_after(60).trouble(Trouble::TerminatedAt { after_secs: 600 })]);
    let events = pass(&world, HOUR);
    assert!(of_type(&events, "EC2 Instance").is_empty());
    assert_eq!(events[0]["detail"]["resourceId"], "AWS::SSM::ManagedInstanceInventory/mi-0123456789abcdef0");
}

fn story(faults: Faults) -> (Vec<Timestamp>, Vec<Value>) {
    let world = faulty((1..=300).map(|n| host(n).found_after(u64::from(n) * 10)), faults);
    let deliveries = world.advance(start() + SignedDuration::from_hours(6));
    let events = deliveries.iter().map(|delivery| serde_json::from_slice(&delivery.bytes).unwrap()).collect();
    (deliveries.into_iter().map(|delivery| delivery.at).collect(), events)
}

fn happened(event: &Value) -> Timestamp {
    event["detail"]["newEvaluationResult"]["resultRecordedTime"].as_str().unwrap().parse().unwrap()
}

#[test]
fn without_faults_events_come_exactly_once_in_order_within_seconds() {
    let (times, events) = story(Faults::none());
    assert_eq!(events.len(), 300);
    assert!(events.is_sorted_by_key(happened));
    assert!(times.iter().zip(&events).all(|(at, event)| (1..=2).contains(&at.duration_since(happened(event)).as_secs())));
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 300);
}

#[test]
fn with_faults_events_are_lost_repeated_late_and_out_of_order() {
    let (times, events) = story(Faults { event_lost: 100, event_repeated: 100, event_late: 100, event_reordered: 200, ..Faults::none() });
    let mut copies: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in &events {
        copies.entry(event["id"].as_str().unwrap()).or_default().push(event);
    }
    assert!((250..290).contains(&copies.len()), "{} of 300 arrived", copies.len());
    let repeated = copies.values().filter(|copies| copies.len() > 1).count();
    assert!((10..50).contains(&repeated) && copies.values().all(|copies| copies.windows(2).all(|pair| pair[0] == pair[1])), "{repeated}");
    assert!(times.is_sorted() && !events.is_sorted_by_key(happened));
    let late = times.iter().zip(&events).filter(|(at, event)| at.duration_since(happened(event)).as_secs() > 120).count();
    assert!((15..100).contains(&late), "{late}");
    assert!(times.iter().zip(&events).all(|(at, event)| at.duration_since(happened(event)).as_secs() <= HOUR + 12 * MINUTE));
}

#[test]
fn systems_manager_tells_compliance_only_where_that_is_forwarded() {
    let story = |forwarded| {
        let mut spec = spec([host(1)]);
        spec.ssm_compliance_events = forwarded;
        let world = World::new(spec, start());
        install(&world, [1]);
        of_type(&pass(&world, HOUR), "Configuration Compliance State Change")
            .iter()
            .map(|event| event["detail"]["compliance-status"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((story(false).len(), story(true)), (0, vec![Value::from("compliant")]));
}

#[test]
fn nothing_comes_by_itself_in_a_world_at_rest() {
    assert_eq!(world([host(1), troubled(2, Trouble::Flaps { period_secs: 100, down_secs: 50 })]).next_at(), None);
    let world = world([host(1).found_after(600)]);
    let mut steps = 0;
    while let Some(at) = world.next_at() {
        assert!(at > world.now());
        world.advance(at);
        steps += 1;
    }
    assert!((3..10).contains(&steps), "{steps}");
    assert!(world.advance(start()).is_empty() && world.now() > start(), "time does not run backwards");
}
