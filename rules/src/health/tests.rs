//! The health gate as tables: what an answer means, what the gate says to it, and what a person's word covers.

use super::*;
use crate::apply::{Fold, apply as make_true};
use crate::key::Key;
use crate::state::State;
use tidegate_events::entry::{ClearanceRecord, PinStrength, WaveCut};
use tidegate_events::id::Digest;

const POLICY: &str = "name = \"t\"\n[approval]\nquorum = 0\n[health]\nalarms = [\"errors\", \"latency\"]\noffline = \"10%\"\nwait_secs = 900\n\
                      [[wave]]\nname = \"canary\"\nshare = \"10%\"\nbake_secs = 60\nalarms = [\"canary-errors\"]\n[[wave]]\nname = \"rest\"\n";

fn policy() -> Policy {
    crate::policy::parse(POLICY, "t.toml").unwrap()
}

fn rule() -> HealthRule {
    policy().health.unwrap()
}

fn at(secs: i64) -> Timestamp {
    later("2026-03-02T09:00:00Z".parse().unwrap(), secs)
}

fn wave(index: u16) -> WaveId {
    format!("patch-t.1.w{index}").parse().unwrap()
}

fn seen(name: &str, state: AlarmState) -> AlarmSeen {
    AlarmSeen::new(name, state, "because")
}

fn names() -> Vec<String> {
    vec!["errors".into(), "latency".into()]
}

/// What an answer means, as `(what, severity)`.
fn judged(alarms: Result<Vec<AlarmSeen>, SpokeFault>, away: Option<(u64, u64)>) -> Vec<(String, Severity)> {
    let away = away.map(|(hosts, of)| Away { hosts, of, named: Vec::new() });
    judge(&rule(), &names(), &alarms, away.as_ref()).into_iter().map(|cause| (cause.what, cause.severity)).collect()
}

#[test]
fn what_an_answer_means() {
    use AlarmState::{Alarm, InsufficientData, Ok as Fine};
    use Severity::{Inconclusive, Unhealthy};
    let both = |one, other| Ok(vec![seen("errors", one), seen("latency", other)]);
    let said = |what: &str, severity| (what.to_owned(), severity);
    let table = [
        (both(Fine, Fine), None, vec![]),
        (both(Fine, Alarm), None, vec![said("alarm latency", Unhealthy)]),
        (both(InsufficientData, Fine), None, vec![said("alarm errors", Inconclusive)]),
        (both(InsufficientData, Alarm), None, vec![said("alarm errors", Inconclusive), said("alarm latency", Unhealthy)]),
        // One that does not exist says nothing, and neither do two that can't be read.
        (Ok(vec![seen("errors", Fine), seen("other", Fine)]), None, vec![said("alarm latency", Inconclusive)]),
        (Ok(Vec::new()), None, vec![said("alarm errors", Inconclusive), said("alarm latency", Inconclusive)]),
        (Err(SpokeFault::Throttled), None, vec![said("alarm errors", Inconclusive), said("alarm latency", Inconclusive)]),
        (
            Err(SpokeFault::RoleDenied("x".into())),
            Some((9, 10)),
            vec![said("alarm errors", Inconclusive), said("alarm latency", Inconclusive), said("agents", Unhealthy)],
        ),
        // Ten percent of thirty are three; of one it is one, and all of them are too many all the same.
        (both(Fine, Fine), Some((0, 0)), vec![]),
        (both(Fine, Fine), Some((3, 30)), vec![]),
        (both(Fine, Fine), Some((4, 30)), vec![said("agents", Unhealthy)]),
        (both(Fine, Fine), Some((1, 2)), vec![]),
        (both(Fine, Fine), Some((1, 1)), vec![said("agents", Unhealthy)]),
    ];
    for (alarms, away, expected) in table {
        let shown = format!("{alarms:?} {away:?}");
        assert_eq!(judged(alarms, away), expected, "{shown}");
    }
    assert_eq!(AlarmState::read("SOMETHING_NEW"), InsufficientData, "a state that nobody knows is no yes");
}

/// A campaign of two waves whose `wave` stands at its gates, after these steps.
fn campaign(index: u16, steps: &[(i64, HealthStep)]) -> Campaign {
    let id: CampaignId = "patch-t.1".parse().unwrap();
    let mut fold = Fold::default();
    let cut = |name: &str| WaveCut { name: name.into(), cells: 1, targets: 1, digest: Digest::of(name.as_bytes()) };
    let digest = Digest::default();
    let mut entries = vec![
        Entry::CampaignOpened { campaign: id.clone(), policy: digest, close_at: at(-10), doors: crate::key::DOORS },
        Entry::CampaignClosing { campaign: id.clone() },
        Entry::CampaignClosed { campaign: id.clone(), waves: vec![cut("canary"), cut("rest")], digest, snapshot: digest.as_snapshot() },
        Entry::CampaignStarted { campaign: id.clone() },
    ];
    let clearance = ClearanceRecord { digest, cord_epoch: 0, lane_epoch: 0, approved_by: Vec::new(), not_after: at(0) };
    for before in 0..index {
        entries.push(Entry::WaveOpened { wave: wave(before), clearance: clearance.clone() });
        entries.push(Entry::WaveProven { wave: wave(before) });
    }
    entries.push(Entry::WaveSealing { wave: wave(index) });
    entries.push(Entry::WaveSealed { wave: wave(index), pin: PinStrength::Dated, kept: 1 });
    for entry in &entries {
        make_true(&mut fold, at(-5), entry).unwrap();
    }
    for (secs, step) in steps {
        make_true(&mut fold, at(*secs), &Entry::Health { wave: wave(index), step: step.clone() }).unwrap();
    }
    match fold.items.remove(&Key::campaign(&id)) {
        Some(State::Campaign(campaign)) => *campaign,
        other => panic!("{other:?}"),
    }
}

fn asked() -> HealthStep {
    HealthStep::Asked { again_at: at(60) }
}

fn told(causes: &[(&str, Severity)]) -> HealthStep {
    let causes = causes.iter().map(|(what, severity)| Cause { what: (*what).into(), severity: *severity, why: format!("{what} is {severity:?}") }).collect();
    HealthStep::Seen { alarms: Vec::new(), fault: None, away: None, causes, again_at: at(120) }
}

fn released(causes: &[(&str, Severity)]) -> HealthStep {
    let HealthStep::Seen { causes, .. } = told(causes) else { panic!() };
    HealthStep::Released { by: "kim".parse().unwrap(), comment: "known".into(), causes }
}

/// What the gate says to the wave at its gates at this second: the kind of its hold, or `pass`.
fn says(index: u16, now: i64, steps: &[(i64, HealthStep)]) -> String {
    let campaign = campaign(index, steps);
    match gate(&policy(), &campaign, index, campaign.wave(index).unwrap(), at(now)) {
        Answer::Pass => "pass".into(),
        Answer::Hold(hold) | Answer::Fail(hold) => hold.to_string(),
        Answer::Ask(hold) => format!("ask: {hold}"),
    }
}

#[test]
fn only_a_fresh_yes_to_this_wave_opens_it() {
    use Severity::{Inconclusive, Unhealthy};
    assert_eq!(says(0, 0, &[]), "ask: the health check can't say yet: it is being asked; it is asked again until 2026-03-02T09:15:00Z");
    assert!(says(0, 5, &[(0, asked())]).starts_with("ask: "), "a question is no answer");
    let yes = [(0, asked()), (1, told(&[]))];
    assert_eq!(says(0, 1 + FRESH_SECS, &yes), "pass");
    assert!(says(0, 2 + FRESH_SECS, &yes).starts_with("ask: "), "a yes of before is not one of now");
    // Nobody knows: for so long as the policy waits by itself, and then a person is needed.
    let unclear = [(0, asked()), (1, told(&[("alarm errors", Inconclusive)]))];
    assert!(
        says(0, 10, &unclear).contains("can't say yet: alarm errors is Inconclusive; it is asked again until 2026-03-02T09:15:00Z"),
        "{}",
        says(0, 10, &unclear)
    );
    assert!(says(0, 900, &unclear).ends_with("a person must look"), "{}", says(0, 900, &unclear));
    // No is no until somebody has looked, whatever is said later.
    let no = [(0, asked()), (1, told(&[("alarm errors", Unhealthy), ("alarm latency", Inconclusive)]))];
    assert_eq!(says(0, 2, &no), "the health check says no: alarm errors is Unhealthy");
    assert_eq!(says(0, 90_000, &no), "the health check says no: alarm errors is Unhealthy");
    // What was said to the wave before is no answer for this one.
    let mut other = campaign(1, &[]);
    apply(&mut other, &wave(0), at(1), &told(&[]));
    assert!(matches!(gate(&policy(), &other, 1, other.wave(1).unwrap(), at(2)), Answer::Ask(_)));
    // A policy that asks nothing waits for nothing.
    let silent = crate::policy::parse("name = \"t\"\n", "t.toml").unwrap();
    assert_eq!(gate(&silent, &other, 1, other.wave(1).unwrap(), at(2)), Answer::Pass);
}

#[test]
fn a_persons_word_covers_what_was_shown_and_nothing_else() {
    use Severity::{Inconclusive, Unhealthy};
    let no = [(0, asked()), (1, told(&[("alarm errors", Unhealthy)])), (9, released(&[("alarm errors", Unhealthy)]))];
    assert!(says(1, 10, &no).starts_with("ask: "), "it is asked afresh");
    let then = |step| no.iter().cloned().chain([(10, asked()), (11, step)]).collect::<Vec<_>>();
    assert_eq!(says(1, 12, &then(told(&[("alarm errors", Unhealthy)]))), "pass", "that alarm was let pass");
    assert_eq!(says(1, 12, &then(told(&[("alarm errors", Inconclusive)]))), "pass");
    assert!(says(1, 12, &then(told(&[("alarm errors", Unhealthy), ("agents", Unhealthy)]))).contains("says no: agents"));
    // Seen well once, it counts again.
    let mut again = then(told(&[]));
    again.extend([(20, asked()), (21, told(&[("alarm errors", Unhealthy)]))]);
    assert!(says(1, 22, &again).contains("says no: alarm errors"));
    // Who let pass that nobody can say has not let pass a no.
    let unclear = [
        (0, asked()),
        (1, told(&[("alarm errors", Inconclusive)])),
        (2, released(&[("alarm errors", Inconclusive)])),
        (3, asked()),
        (4, told(&[("alarm errors", Unhealthy)])),
    ];
    assert!(says(1, 5, &unclear).contains("says no: alarm errors"));
}

#[test]
fn an_open_wave_goes_on_while_nobody_says_no() {
    use Severity::{Inconclusive, Unhealthy};
    let open = |step: HealthStep| {
        let mut campaign = campaign(1, &[]);
        campaign.waves[1].stage = WaveStage::Baking { until: at(100), opened_at: at(0) };
        apply(&mut campaign, &wave(1), at(1), &step);
        gate(&policy(), &campaign, 1, campaign.wave(1).unwrap(), at(9_000))
    };
    assert_eq!(open(told(&[])), Answer::Pass);
    assert_eq!(open(told(&[("alarm errors", Inconclusive)])), Answer::Pass);
    assert!(matches!(open(told(&[("alarm errors", Unhealthy)])), Answer::Hold(Hold::Unhealthy { .. })));
}

#[test]
fn the_alarms_of_the_wave_that_was_touched_are_asked_beside_the_policys() {
    let (policy, campaign) = (policy(), campaign(1, &[]));
    let of = |index: u16, stage: WaveStage| alarms(&policy, policy.health.as_ref().unwrap(), &campaign, &wave(index), &stage);
    let baking = WaveStage::Baking { until: at(0), opened_at: at(0) };
    assert_eq!(of(0, WaveStage::Sealed), ["errors", "latency", "canary-errors"]);
    assert_eq!(of(0, baking.clone()), ["errors", "latency", "canary-errors"]);
    assert_eq!(of(1, WaveStage::Sealed), ["errors", "latency", "canary-errors"], "the canary was touched last");
    assert_eq!(of(1, baking.clone()), ["errors", "latency"]);
    assert_eq!(touched(&wave(0), &WaveStage::Sealed), None);
    assert_eq!(touched(&wave(1), &WaveStage::Sealed), Some(wave(0)));
    assert_eq!(touched(&wave(1), &baking), Some(wave(1)));
}

#[test]
fn it_is_never_asked_more_than_once_a_minute_and_seldom_once_a_person_was_told() {
    let of = |wait_secs, waited: i64| {
        let health = Health { waits_since: Some(at(0)), ..Health::default() };
        pace(&HealthRule { wait_secs, ..rule() }, &health, at(waited))
    };
    assert_eq!(of(900, 0), 60);
    assert_eq!(of(900, 899), 60);
    assert_eq!(of(900, 900), SELDOM_SECS);
    assert_eq!(of(86_400, 0), 1_440);
    assert_eq!(of(60, 0), 60);
}

#[test]
fn nothing_is_due_for_health_that_nobody_waits_for() {
    let waits = campaign(0, &[(0, asked())]);
    assert_eq!(due_at(&waits), None, "other holds are looked at first");
    let mut alone = waits.clone();
    alone.holds = vec![Hold::HealthInconclusive { why: "x".into(), until: None }];
    assert_eq!(due_at(&alone), Some(at(60)));
    let no = campaign(0, &[(0, asked()), (1, told(&[("alarm errors", Severity::Unhealthy)]))]);
    assert_eq!(due_at(&Campaign { holds: alone.holds.clone(), ..no }), None, "only a person moves it on");
}

#[test]
fn the_policies_of_the_guides_are_right() {
    let fences = |page: &str| page.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect::<Vec<_>>();
    let health = fences(include_str!("../../../docs/guides/health.md"));
    let backup = fences(include_str!("../../../docs/guides/backup.md"));
    assert_eq!((health.len(), backup.len()), (1, 2));
    let policy = crate::policy::parse(&health[0], "health.md").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(policy.health.as_ref().unwrap().alarms, ["shop-errors", "shop-latency"]);
    assert_eq!(policy.waves[0].alarms, ["shop-canary-errors"]);
    let rules = backup.iter().map(|text| crate::policy::parse(text, "backup.md").unwrap_or_else(|errors| panic!("{errors}")).backup.unwrap());
    assert_eq!(rules.map(|rule| (rule.document, rule.parameters.len())).collect::<Vec<_>>(), [("ec2patch-backup".into(), 0), ("Acme-BackUpToVault".into(), 2)]);
}

#[test]
fn a_policy_says_what_it_asks_and_wrong_names_are_found() {
    let plain = crate::policy::parse("name = \"p\"\n", "p.toml").unwrap();
    assert!(!plain.to_json().contains("health") && !plain.to_json().contains("alarms"), "digests of yesterday stay");
    let said = crate::policy::explain(&policy()).join("\n");
    assert!(
        said.contains("if one of the alarms `errors` and `latency` is in ALARM, or if more than 10% of the hosts of the wave are not heard of after it"),
        "{said}"
    );
    assert!(
        said.contains("asked again for 15 minutes, and then a person is asked") && said.contains("Waves have alarms of their own: `canary` `canary-errors`."),
        "{said}"
    );
    // A wave's alarms alone are asked, too.
    let own = "name = \"p\"\n[[wave]]\nname = \"a\"\nshare = \"5%\"\nalarms = [\"x\"]\n[[wave]]\nname = \"b\"\n";
    assert_eq!(crate::policy::parse(own, "p.toml").unwrap().health, Some(HealthRule::default()));
    let wrong = |text: &str| crate::policy::parse(&format!("name = \"p\"\n{text}"), "p.toml").unwrap_err().to_string();
    assert!(wrong("[health]\nalarms = [\"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:x\"]\n").contains("3:11: the alarm"), "ARN");
    assert!(wrong("[health]\nalarms = [\"x\", \"x\"]\n").contains("stands twice"));
    assert!(wrong("[health]\nalarms = [\"\"]\n").contains("is no name of one"));
    assert!(wrong("[health]\nalarm = [\"x\"]\n").contains("unknown key `alarm`"));
    assert!(wrong("[health]\nwait_secs = 5\n").contains("from 60 to 604800"));
    assert!(wrong("[health]\non_unhealthy = \"panic\"\n").contains("expected one of"));
}

#[test]
fn of_two_policies_all_alarms_are_asked() {
    let mut other = policy();
    other.health = Some(HealthRule { alarms: vec!["latency".into(), "more".into()], offline: Amount::Count(1), wait_secs: 60, halts: false });
    other.waves[0].alarms = vec!["another".into()];
    let both = policy().stricter(&other);
    let rule = both.health.as_ref().unwrap();
    assert_eq!(rule.alarms, ["errors", "latency", "more"]);
    assert_eq!((rule.offline.of(100), rule.wait_secs, rule.halts), (1, 60, true));
    assert_eq!(both.waves[0].alarms, ["canary-errors", "another"]);
    other.health = None;
    assert_eq!(policy().stricter(&other).health, policy().health, "what was approved is asked, whatever the policy says today");
    assert_eq!(other.stricter(&policy()).health, policy().health);
}
