//! What a copy of a verdict, and a patch state, may do and may not, and that the order of arrival decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate_events::event::Event;
use tidegate_events::id::{CellId, Digest};

use super::*;
use crate::decide::decide;
use crate::desk::Loaded;
use crate::policy::{Policy, default_policy};
use crate::{Key, State};

/// One target and what else its decisions touch, without a store.
struct World {
    policy: Arc<Policy>,
    effective: BTreeMap<Digest, Arc<Policy>>,
    loaded: Loaded,
}

fn key() -> TargetKey {
    "111122223333/us-east-1/i-0a1b2c3d4e5f67890".parse().unwrap()
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_115_000 + second).unwrap()
}

fn config(compliance: Compliance, second: i64) -> Fact {
    Fact { compliance, ordering: time(second), recorded: time(second + 20), source: FactSource::ConfigRule("patch-rule".into()) }
}

fn copy(compliance: Compliance, second: i64) -> Fact {
    Fact { compliance, ordering: time(second), recorded: time(second), source: FactSource::SecurityHub("SSM.2".into()) }
}

impl World {
    fn new() -> Self {
        let policy = Arc::new(default_policy().unwrap());
        Self { effective: BTreeMap::from([(policy.digest(), policy.clone())]), policy, loaded: Loaded::default() }
    }

    fn at(standing: Standing) -> Self {
        let mut world = Self::new();
        let target = Target { standing, ..Target::new(key()) };
        world.loaded.items.insert(Key::target(&key()), Some(State::Target(Box::new(target))));
        world
    }

    fn take(&mut self, event: &Event) -> Outcome {
        loop {
            let mut desk = Desk::new(time(100_000), &self.policy, &self.effective, &self.loaded);
            match decide(&mut desk, event) {
                Ok(outcome) => {
                    let decided = desk.finish();
                    self.loaded.items.extend(decided.items.into_iter().map(|(key, state)| (key, Some(state))));
                    return outcome;
                }
                Err(Missing::Keys(keys)) => keys.into_iter().for_each(|key| {
                    assert!(self.loaded.items.insert(key.clone(), None).is_none(), "{key:?} is asked for twice");
                }),
                Err(Missing::Corrupt(why)) => panic!("{why}"),
            }
        }
    }

    fn hear(&mut self, fact: &Fact) -> &'static str {
        self.take(&Event::Finding { target: key(), fact: fact.clone() }).name()
    }

    fn target(&self) -> &Target {
        match self.loaded.items.get(&Key::target(&key())) {
            Some(Some(State::Target(target))) => target,
            other => panic!("{other:?}"),
        }
    }

    fn standing(&self) -> &'static str {
        match self.target().standing {
            Standing::Compliant => "compliant",
            Standing::Enrolled { .. } => "enrolled",
            Standing::PatchedUnconfirmed { .. } => "unconfirmed",
            Standing::PendingReboot { .. } => "pending reboot",
            Standing::Quarantined { .. } => "quarantined",
            Standing::Unreachable { .. } => "unreachable",
            _ => "other",
        }
    }
}

use Compliance::{Compliant, NonCompliant};

#[test]
fn a_copy_opens_and_closes_where_nothing_is_known_at_first_hand() {
    let mut world = World::new();
    assert_eq!((world.hear(&copy(NonCompliant, 5)), world.standing()), ("accepted", "enrolled"));
    assert_eq!(world.hear(&copy(NonCompliant, 5)), "duplicate", "a change of a note or a workflow sends it again, with its old time");
    assert_eq!((world.hear(&copy(Compliant, 9)), world.standing()), ("accepted", "compliant"));
    assert_eq!((world.hear(&copy(NonCompliant, 7)), world.standing()), ("stale", "compliant"), "a late import of an old state");
}

#[test]
fn a_copy_never_overrides_what_config_said() {
    let mut world = World::new();
    world.hear(&config(NonCompliant, 10));
    assert_eq!((world.hear(&copy(NonCompliant, 5000)), world.standing()), ("duplicate", "enrolled"));
    assert_eq!((world.hear(&copy(Compliant, 5000)), world.standing()), ("stale", "enrolled"));
    world.hear(&config(Compliant, 20));
    assert_eq!((world.hear(&copy(NonCompliant, 9000)), world.standing()), ("stale", "compliant"));
    // Config's own word takes the place of a copy, also one of the very same time.
    let mut world = World::new();
    world.hear(&copy(NonCompliant, 5000));
    assert_eq!((world.hear(&config(NonCompliant, 5000)), world.hear(&copy(Compliant, 6000)), world.standing()), ("accepted", "stale", "enrolled"));
    assert_eq!((world.hear(&config(Compliant, 5001)), world.standing()), ("accepted", "compliant"));
}

#[test]
fn a_copy_contradicts_no_proof_and_takes_back_no_result_of_ours() {
    let cell: CellId = "patch-default.1.w0/111122223333/us-east-1/0".parse().unwrap();
    let unconfirmed = |lag| Standing::PatchedUnconfirmed { cell: cell.clone(), installed_at: time(50), proven_at: time(60), lag };
    let lagging = tidegate_events::entry::Lag::ConfigLagging;
    for standing in [
        unconfirmed(None),
        unconfirmed(Some(lagging)),
        Standing::PendingReboot { cell: cell.clone() },
        Standing::Quarantined { owner: "ops".into(), why: "it failed".into() },
    ] {
        for compliance in [NonCompliant, Compliant] {
            let mut world = World::at(standing.clone());
            assert_eq!(world.hear(&copy(compliance, 5000)), "accepted");
            assert_eq!(world.target().standing, standing, "{compliance}");
        }
    }
    let mut world = World::at(Standing::Unreachable { why: "stopped".into(), look_at: time(1), looks: 2 });
    assert_eq!((world.hear(&copy(NonCompliant, 5000)), world.standing()), ("accepted", "unreachable"), "it is looked at when it is due");
}

/// What a patch state says: as at first hand, to open; nothing to close.
fn patch_state(second: i64) -> Fact {
    Fact { compliance: NonCompliant, ordering: time(second), recorded: time(second), source: FactSource::PatchState }
}

#[test]
fn a_patch_state_opens_what_nobody_has_judged() {
    let mut world = World::new();
    assert_eq!((world.hear(&patch_state(5)), world.standing()), ("accepted", "enrolled"));
    assert_eq!(world.hear(&patch_state(5)), "duplicate", "every sweep reads the same state until the next scan");
    // What AWS Config says later of the same scan is newer by minutes, and changes nothing.
    assert_eq!((world.hear(&config(NonCompliant, 300)), world.standing()), ("accepted", "enrolled"));
    assert_eq!((world.hear(&patch_state(5)), world.standing()), ("duplicate", "enrolled"));
}

#[test]
fn a_patch_state_that_is_older_than_what_is_known_is_stale() {
    for compliance in [NonCompliant, Compliant] {
        let mut world = World::new();
        world.hear(&config(compliance, 10));
        let standing = world.standing();
        assert_eq!((world.hear(&patch_state(9)), world.standing()), ("stale", standing));
    }
    // A scan after Config's last word finds something missing: Config lags, or does not record.
    let mut world = World::new();
    world.hear(&config(Compliant, 10));
    assert_eq!((world.hear(&patch_state(11)), world.standing()), ("accepted", "enrolled"));
    // It is at first hand: Security Hub's copies say nothing against it, whenever they were made; Config's newer word does.
    assert_eq!((world.hear(&copy(Compliant, 9000)), world.standing()), ("stale", "enrolled"));
    assert_eq!((world.hear(&config(Compliant, 12)), world.standing()), ("accepted", "compliant"));
}

#[test]
fn a_patch_state_closes_nothing() {
    let mut world = World::new();
    world.hear(&config(NonCompliant, 10));
    let clean = Fact { compliance: Compliant, ..patch_state(5000) };
    assert_eq!((world.hear(&clean), world.standing()), ("ignored", "enrolled"));
    assert_eq!(world.target().facts.len(), 1, "nor is it kept");
}

#[test]
fn what_our_own_runs_leave_behind_starts_no_loop() {
    let cell: CellId = "patch-default.1.w0/111122223333/us-east-1/0".parse().unwrap();
    let unconfirmed = |lag| Standing::PatchedUnconfirmed { cell: cell.clone(), installed_at: time(50), proven_at: time(60), lag };
    let lagging = tidegate_events::entry::Lag::ConfigLagging;
    // The state from before the run, and the Install's own report: older than the scan that has proven it.
    for (standing, second) in [(unconfirmed(None), 40), (unconfirmed(None), 55), (unconfirmed(Some(lagging)), 55), (unconfirmed(Some(lagging)), 60)] {
        let mut world = World::at(standing.clone());
        world.hear(&patch_state(second));
        assert_eq!(world.target().standing, standing, "{second}");
    }
    // The run's own result says what is missing: it was judged already.
    for standing in [
        Standing::PendingReboot { cell: cell.clone() },
        Standing::Quarantined { owner: "ops".into(), why: "it failed".into() },
        Standing::Retrying { not_before: time(200_000) },
        Standing::Gone,
    ] {
        let mut world = World::at(standing.clone());
        assert_eq!(world.hear(&patch_state(5000)), "accepted");
        assert_eq!(world.target().standing, standing);
    }
    // While a batch holds the lease it is kept, and decided at its release.
    let batch = "patch-default.1.w0/111122223333/us-east-1/0/0".parse().unwrap();
    let mut world = World::new();
    let target = Target { lease: Some(batch), ..Target::new(key()) };
    world.loaded.items.insert(Key::target(&key()), Some(State::Target(Box::new(target))));
    assert_eq!((world.hear(&patch_state(5000)), world.standing()), ("accepted", "compliant"));
}

#[test]
fn a_scan_after_the_proof_is_a_finding_of_its_own() {
    let cell: CellId = "patch-default.1.w0/111122223333/us-east-1/0".parse().unwrap();
    let unconfirmed = |lag| Standing::PatchedUnconfirmed { cell: cell.clone(), installed_at: time(50), proven_at: time(60), lag };
    let mut world = World::at(unconfirmed(Some(tidegate_events::entry::Lag::ConfigLagging)));
    assert_eq!((world.hear(&patch_state(5000)), world.standing()), ("accepted", "enrolled"));
    // While Config's word is awaited, it is what that word would be.
    let mut world = World::at(unconfirmed(None));
    assert_eq!(world.hear(&patch_state(5000)), "accepted");
    assert!(matches!(world.target().standing, Standing::Retrying { .. }), "{:?}", world.target().standing);
    assert_eq!(world.target().verdict, Some(Verdict::FalseSuccess));
}

#[test]
fn an_execution_that_somebody_else_started_is_left_alone() {
    let event = Event::AutomationChanged {
        account: key().account,
        region: key().region,
        execution: "333ba70b-2333-48db-b17e-a5e69c6f4d1c".parse().unwrap(),
        status: tidegate_events::automation::AutomationStatus::Success,
    };
    let outcome = World::new().take(&event);
    assert_eq!(outcome, Outcome::ignored("an automation execution that Tidegate did not start"));
}

#[test]
fn what_another_entry_answers_changes_nothing() {
    let mut world = World::new();
    let of = |resource_type: &str, rule: &str| {
        let fact = Fact { source: FactSource::ConfigRule(rule.into()), ..config(NonCompliant, 10) };
        Event::FindingOf { resource_type: resource_type.into(), target: key(), fact }
    };
    let why = "catalog entry `imdsv2` answers it, and the policy rolls out `patch`";
    assert_eq!(world.take(&of("AWS::EC2::Instance", "OrgConfigRule-ec2-imdsv2-check-a1b2c3d4")), Outcome::ignored(why));
    let why = "Config rule `no-public-ip` judges resources of type `AWS::EC2::Instance`, which catalog entry `patch` does not answer";
    assert_eq!(world.take(&of("AWS::EC2::Instance", "no-public-ip")), Outcome::ignored(why));
    assert_eq!((world.hear(&config(NonCompliant, 10)), world.standing()), ("accepted", "enrolled"), "nothing of that was kept");
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact = (0..3, any::<bool>(), 0..6_i64).prop_map(|(source, is_bad, second)| {
        let compliance = if is_bad { NonCompliant } else { Compliant };
        match source {
            0 => copy(compliance, second),
            // An agent's end and Config's capture are never the same moment.
            1 if is_bad => {
                let at = time(second) + jiff::SignedDuration::from_millis(500);
                Fact { ordering: at, recorded: at, ..patch_state(second) }
            }
            _ => config(compliance, second),
        }
    });
    proptest::collection::vec(fact, 1..8)
}

proptest! {
    #[test]
    fn any_order_of_arrival_ends_in_the_same_verdict(facts in facts(), seed in any::<u64>(), again in any::<prop::sample::Index>()) {
        let hear_all = |facts: &[Fact]| {
            let mut world = World::new();
            for fact in facts {
                world.hear(fact);
            }
            let newest = world.target().fact().cloned().unwrap();
            (newest.compliance, newest.ordering, newest.source.is_copy(), world.standing())
        };
        let mut shuffled = facts.clone();
        shuffled.push(again.get(&facts).clone());
        let mut order = seed;
        for at in (1..shuffled.len()).rev() {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, usize::try_from(order >> 33).unwrap() % (at + 1));
        }
        prop_assert_eq!(hear_all(&facts), hear_all(&shuffled));
        let at_first_hand: Vec<Fact> = facts.iter().filter(|fact| !fact.source.is_copy()).cloned().collect();
        if !at_first_hand.is_empty() {
            prop_assert_eq!(hear_all(&facts), hear_all(&at_first_hand), "where Config speaks, copies change nothing");
        }
    }
}
