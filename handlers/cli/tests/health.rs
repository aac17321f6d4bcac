//! The health gate as people meet it: a canary makes an alarm go off and nobody else is touched; nobody can say, and a person is
//! asked, once; a look-up that fails holds; hosts that do not come back count; and where all is well nothing is in the way.

#![cfg(test)]

mod journal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_cli::drive::{Drive, People};
use tidegate_cli::settle::Rest;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_events::control::{Steer, Steered};
use tidegate_events::event::Event;
use tidegate_events::health::{AlarmState, HealthStep, Severity};
use tidegate_events::host::Platform;
use tidegate_events::id::{TargetKey, WaveId};
use tidegate_events::{Entry, Hold};
use tidegate_rules::decide::Outcome;
use tidegate_rules::policy;
use tidegate_world::{AccountSpec, AlarmSpec, Draw, Faults, HostSpec, Spec, Trouble, World};

const HOSTS: u64 = 30;
const CANARIES: usize = 3;

/// A canary of a tenth and the rest, nobody asked, everything at once, no failure halts; `health` is what a test is about.
fn policy_with(health: &str) -> policy::Policy {
    let text = format!(
        "name = \"t\"\nenvironment = \"development\"\nfailure_budget = \"100%\"\n[collect]\ngather_secs = 600\n[approval]\nquorum = 0\n\
         [blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n{health}\n\
         [[wave]]\nname = \"canary\"\nshare = \"10%\"\nbake_secs = 1800\n[[wave]]\nname = \"rest\"\nbake_secs = 600\n"
    );
    policy::parse(&text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn start() -> Timestamp {
    "2026-11-19T19:00:00Z".parse().unwrap()
}

/// Thirty hosts in one Region that Config reports within minutes; the canaries, by their place on the ring, come first.
fn estate(alarms: Vec<AlarmSpec>) -> Spec {
    let account = "111122223333".parse().unwrap();
    let key = |n: u64| TargetKey { account, region: "eu-west-1".parse().unwrap(), instance: format!("i-{n:017x}").parse().unwrap() };
    let mut keys: Vec<TargetKey> = (0..HOSTS).map(key).collect();
    keys.sort_by_key(tidegate_rules::bucket::ring);
    let hosts = keys.into_iter().map(|key| HostSpec::new(key, Platform::Linux).missing(2).found_after(60)).collect();
    Spec { seed: 3, accounts: vec![AccountSpec::new(account)], hosts, alarms, ..Spec::default() }
}

async fn drive(health: &str, spec: Spec, people: People) -> Drive {
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start()), policy_with(health));
    Drive::new(engine, start(), people).await.unwrap()
}

async fn settled(drive: &mut Drive) -> Rest {
    let rest = drive.settle(&mut |_| {}).await.unwrap();
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
    rest
}

async fn entries(drive: &Drive) -> Vec<(Timestamp, Entry)> {
    journal::lines(drive).await.into_iter().flat_map(|line| line.entries.into_iter().map(move |entry| (line.at, entry))).collect()
}

async fn opened(drive: &Drive) -> Vec<String> {
    let opened = |(_, entry)| match entry {
        Entry::WaveOpened { wave, .. } => Some(wave.to_string()),
        _ => None,
    };
    entries(drive).await.into_iter().filter_map(opened).collect()
}

async fn steps(drive: &Drive) -> Vec<(Timestamp, HealthStep)> {
    let step = |(at, entry)| match entry {
        Entry::Health { step, .. } => Some((at, step)),
        _ => None,
    };
    entries(drive).await.into_iter().filter_map(step).collect()
}

fn patched(drive: &Drive) -> usize {
    let world = drive.engine.cloud();
    world.hosts().iter().filter(|key| world.truth(key).unwrap().is_patched()).count()
}

async fn resume(drive: &mut Drive, what: &str, comment: &str) -> Outcome {
    let (by, comment) = ("kim".parse().unwrap(), comment.to_owned());
    let event = match Steered::parse(what).unwrap() {
        Steered::Lane(lane) => Event::LaneResumed { lane, by, comment },
        on => Event::Steer(Steer { on, go: true, by, comment }),
    };
    drive.ask(&event).await.unwrap()
}

/// Why the lane is halted.
fn halted(rest: &Rest) -> &str {
    rest.halted.values().next().unwrap_or_else(|| panic!("{rest:?}"))
}

const ERRORS: &str = "[health]\nalarms = [\"errors\"]";

#[tokio::test]
async fn a_canary_that_makes_an_alarm_go_off_is_the_last_that_is_touched() {
    let spec = estate(vec![AlarmSpec::ok("errors").fires_after_hosts(1)]);
    let mut drive = drive(ERRORS, spec, People::default()).await;
    let rest = settled(&mut drive).await;
    let why = halted(&rest);
    assert!(why.starts_with("the health check says no: alarm `errors` is in ALARM (Threshold Crossed"), "{why}");
    assert_eq!(opened(&drive).await, ["patch-t.1.w0"]);
    assert!(patched(&drive) <= CANARIES);
    // A day later still nobody else was touched, and nobody was asked again and again.
    let asked = steps(&drive).await.len();
    let tomorrow = drive.now().checked_add(jiff::SignedDuration::from_hours(24)).unwrap();
    drive.move_to(tomorrow, &mut |_| {}).await.unwrap();
    assert_eq!((opened(&drive).await.len(), steps(&drive).await.len()), (1, asked));
    // A person needs a reason, and says of that alarm alone that it may pass.
    assert!(matches!(resume(&mut drive, "patch-t", " ").await, Outcome::Rejected { .. }));
    assert_eq!(resume(&mut drive, "patch-t", "the alarm is wrong, INC-7").await, Outcome::Accepted);
    let rest = settled(&mut drive).await;
    assert!(!rest.needs_a_person(), "{rest:?}");
    assert_eq!(patched(&drive), HOSTS as usize);
    let steps = steps(&drive).await;
    let released: Vec<&HealthStep> = steps.iter().map(|(_, step)| step).filter(|step| matches!(step, HealthStep::Released { .. })).collect();
    assert!(
        matches!(released.as_slice(), [HealthStep::Released { by, comment, causes }]
        if by.as_str() == "kim" && comment == "the alarm is wrong, INC-7" && causes.len() == 1 && causes[0].what == "alarm errors"),
        "{released:?}"
    );
    let forgiven = entries(&drive).await.into_iter().find_map(|(_, entry)| match entry {
        Entry::LaneResumed { forgiven, .. } => forgiven,
        _ => None,
    });
    assert_eq!(forgiven.unwrap().1, 0, "an alarm that may pass forgives no failures");
}

#[tokio::test]
async fn a_campaign_may_be_held_alone() {
    let spec = estate(vec![AlarmSpec::ok("errors").fires_after_hosts(1)]);
    let mut drive = drive(&format!("{ERRORS}\non_unhealthy = \"hold\""), spec, People::default()).await;
    let rest = settled(&mut drive).await;
    assert!(rest.halted.is_empty());
    assert!(matches!(rest.held.as_slice(), [Hold::Unhealthy { why }] if why.contains("alarm `errors`")), "{rest:?}");
    assert_eq!(opened(&drive).await.len(), 1);
    assert!(matches!(resume(&mut drive, "patch-t.1", "").await, Outcome::Rejected { .. }));
    assert_eq!(resume(&mut drive, "patch-t.1", "known").await, Outcome::Accepted);
    assert!(!settled(&mut drive).await.needs_a_person());
    assert_eq!(patched(&drive), HOSTS as usize);
    assert!(matches!(resume(&mut drive, "patch-t.1", "again").await, Outcome::Stale { .. }));
}

#[tokio::test]
async fn where_nobody_can_say_a_person_is_asked_once() {
    let cases = [
        ("too little data", vec![AlarmSpec::ok("errors").then(0, AlarmState::InsufficientData)], false),
        ("does not exist", vec![AlarmSpec::ok("another")], false),
        ("could not be read", vec![AlarmSpec::ok("errors")], true),
    ];
    for (why, alarms, denied) in cases {
        let spec = Spec { alarms_denied: denied, ..estate(alarms) };
        let mut drive = drive(ERRORS, spec, People::default()).await;
        let rest = settled(&mut drive).await;
        assert!(matches!(rest.held.as_slice(), [Hold::HealthInconclusive { why: said, until: None }] if said.contains(why)), "{why}: {rest:?}");
        assert!(opened(&drive).await.is_empty() && patched(&drive) == 0, "{why}");
        let told = |steps: &[(Timestamp, HealthStep)]| steps.iter().filter(|(_, step)| *step == HealthStep::Told).count();
        let asks = |steps: &[(Timestamp, HealthStep)]| -> Vec<Timestamp> {
            steps.iter().filter(|(_, step)| matches!(step, HealthStep::Asked { .. })).map(|(at, _)| *at).collect()
        };
        let asked = asks(&steps(&drive).await);
        assert!((10..=16).contains(&asked.len()), "{why}: a quarter of an hour, once a minute: {}", asked.len());
        assert!(asked.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_secs() >= 60), "{why}");
        // For a day it is asked seldom, and nobody is told again.
        let tomorrow = drive.now().checked_add(jiff::SignedDuration::from_hours(24)).unwrap();
        drive.move_to(tomorrow, &mut |_| {}).await.unwrap();
        let steps_then = steps(&drive).await;
        assert!(asks(&steps_then).len() <= asked.len() + 50, "{why}: {}", asks(&steps_then).len());
        assert_eq!(told(&steps_then), 1, "{why}");
        assert!(opened(&drive).await.is_empty(), "{why}");
        // One word is enough for the whole campaign, as long as nothing else is wrong.
        assert_eq!(resume(&mut drive, "patch-t.1", "looked myself").await, Outcome::Accepted, "{why}");
        let rest = settled(&mut drive).await;
        assert!(!rest.needs_a_person(), "{why}: {rest:?}");
        assert_eq!(patched(&drive), HOSTS as usize, "{why}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_late_needs_nobody() {
    // Until eleven minutes after the campaign closed there is too little data.
    let alarm = AlarmSpec::ok("errors").then(0, AlarmState::InsufficientData).then(1_300, AlarmState::Ok);
    let mut drive = drive(ERRORS, estate(vec![alarm]), People::default()).await;
    assert!(!settled(&mut drive).await.needs_a_person());
    assert_eq!(patched(&drive), HOSTS as usize);
    let steps = steps(&drive).await;
    assert!(steps.iter().all(|(_, step)| !matches!(step, HealthStep::Told | HealthStep::Released { .. })), "{steps:?}");
    assert!(
        steps.iter().any(|(_, step)| matches!(step, HealthStep::Seen { causes, .. } if causes.iter().any(|cause| cause.severity == Severity::Inconclusive)))
    );
}

#[tokio::test]
async fn an_alarm_that_goes_off_during_the_bake_counts_although_it_is_over_by_then() {
    // Off for a quarter of an hour in the middle of the canary's bake, and again an hour later: the first time is what counts.
    let mut calm = drive(ERRORS, estate(vec![AlarmSpec::ok("errors")]), People::default()).await;
    assert!(!settled(&mut calm).await.needs_a_person());
    let bakes = entries(&calm).await.into_iter().find_map(|(at, entry)| matches!(entry, Entry::WaveBaking { .. }).then_some(at)).unwrap();
    let off = u64::try_from(bakes.duration_since(start()).as_secs()).unwrap() + 400;
    let alarm = AlarmSpec::ok("errors").then(off, AlarmState::Alarm).then(off + 900, AlarmState::Ok);
    let mut drive = drive(ERRORS, estate(vec![alarm]), People::default()).await;
    let rest = settled(&mut drive).await;
    assert!(halted(&rest).contains("alarm `errors`"), "{rest:?}");
    assert_eq!(opened(&drive).await.len(), 1);
    assert_eq!(resume(&mut drive, "patch-t", "it was a deployment").await, Outcome::Accepted);
    assert!(!settled(&mut drive).await.needs_a_person());
    assert_eq!(patched(&drive), HOSTS as usize);
}

#[tokio::test]
async fn where_all_is_well_nothing_is_in_the_way() {
    let mut without = drive("", estate(Vec::new()), People::default()).await;
    assert!(!settled(&mut without).await.needs_a_person());
    assert!(steps(&without).await.is_empty() && !without.engine.cloud().api_calls().contains_key("cloudwatch:DescribeAlarms"));
    let mut with = drive(ERRORS, estate(vec![AlarmSpec::ok("errors")]), People::default()).await;
    assert!(!settled(&mut with).await.needs_a_person());
    assert_eq!(patched(&with), HOSTS as usize);
    assert_eq!(opened(&with).await, ["patch-t.1.w0", "patch-t.1.w1"]);
    let openings = |entries: Vec<(Timestamp, Entry)>| -> Vec<Timestamp> {
        entries.into_iter().filter(|(_, entry)| matches!(entry, Entry::WaveOpened { .. })).map(|(at, _)| at).collect()
    };
    let (plain, asked) = (openings(entries(&without).await), openings(entries(&with).await));
    for (plain, asked) in plain.iter().zip(&asked) {
        assert!(asked.duration_since(*plain).as_secs().abs() <= 120, "asking takes no time: {plain} {asked}");
    }
    let calls = with.engine.cloud().api_calls()["cloudwatch:DescribeAlarms"];
    assert!((4..=40).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn hosts_that_are_not_heard_of_again_stop_what_follows() {
    let mut spec = estate(Vec::new());
    spec.hosts[0].troubles.push(Trouble::RebootNeverReturns);
    let gone = spec.hosts[0].key.instance.clone();
    let mut strict = drive("[health]\noffline = 0", spec.clone(), People::default()).await;
    let rest = settled(&mut strict).await;
    let why = halted(&rest);
    assert!(why.contains("1 of 3 hosts were not heard of again after they were touched") && why.contains(gone.as_str()), "{why}");
    assert_eq!(opened(&strict).await.len(), 1);
    assert!(!strict.engine.cloud().api_calls().contains_key("cloudwatch:DescribeAlarms"), "it is known without a call");
    // One of three is within half of them.
    let mut lenient = drive("[health]\noffline = \"50%\"", spec, People::default()).await;
    let rest = settled(&mut lenient).await;
    assert!(rest.halted.is_empty(), "{rest:?}");
    assert_eq!(opened(&lenient).await.len(), 2);
}

/// Whatever alarms do and however badly calls fare: no wave starts but on an answer all of whose causes a named person has let pass.
#[tokio::test]
async fn no_wave_starts_while_the_answer_is_not_healthy() {
    let (mut held, mut passed) = (0, 0);
    for seed in 0..16u64 {
        let draw = |what: &str, n: u64| Draw::new(seed, what).on(n);
        let mut alarms = Vec::new();
        for n in 0..2 {
            let mut alarm = AlarmSpec::ok(if n == 0 { "errors" } else { "latency" });
            let mut after = 0;
            for turn in 0..6 {
                after += draw("pause", 10 * n + turn).below(2_400);
                alarm = alarm.then(
                    after,
                    [AlarmState::Ok, AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData][draw("state", 10 * n + turn).below(4) as usize],
                );
            }
            alarms.push(alarm.then(after + 1_200, AlarmState::Ok));
        }
        let spec = Spec { seed, ..estate(alarms) }.troubled(Faults { read_throttled: 200, read_unanswered: 100, ..Faults::none() });
        let health = "[health]\nalarms = [\"errors\", \"latency\"]\non_unhealthy = \"hold\"";
        let mut drive = drive(health, spec, People::default()).await;
        for _ in 0..20 {
            let rest = settled(&mut drive).await;
            if !rest.held.iter().any(|hold| matches!(hold, Hold::Unhealthy { .. } | Hold::HealthInconclusive { .. })) {
                break;
            }
            held += 1;
            let later = drive.now().checked_add(jiff::SignedDuration::from_secs(600)).unwrap();
            drive.move_to(later, &mut |_| {}).await.unwrap();
            resume(&mut drive, "patch-t.1", "looked").await;
        }
        let mut let_pass: BTreeMap<String, Severity> = BTreeMap::new();
        let mut answer: Option<(WaveId, BTreeSet<(String, Severity)>)> = None;
        for (at, entry) in entries(&drive).await {
            match entry {
                Entry::Health { wave, step: HealthStep::Seen { causes, .. } } => {
                    let_pass.retain(|what, _| causes.iter().any(|cause| cause.what == *what));
                    answer = Some((wave, causes.into_iter().map(|cause| (cause.what, cause.severity)).collect()));
                }
                Entry::Health { step: HealthStep::Released { causes, .. }, .. } => {
                    answer = None;
                    for cause in causes {
                        let known = let_pass.entry(cause.what).or_insert(cause.severity);
                        *known = cause.severity.max(*known);
                    }
                }
                Entry::WaveOpened { wave, .. } => {
                    let (about, causes) = answer.clone().unwrap_or_else(|| panic!("seed {seed}: {wave} opened at {at} without an answer"));
                    assert_eq!(about, wave, "seed {seed}");
                    for (what, severity) in causes {
                        assert!(
                            let_pass.get(&what).is_some_and(|passed| *passed >= severity),
                            "seed {seed}: {wave} opened at {at} although {what} is {severity:?}"
                        );
                        passed += 1;
                    }
                }
                _ => {}
            }
        }
        assert_eq!(patched(&drive), HOSTS as usize, "seed {seed}: it ends");
    }
    assert!(held > 10, "the alarms of {held} stops were nothing to stop for");
    assert!(passed > 0, "nobody ever let anything pass");
}
