//! Laws: what holds for every seed and every story.

use proptest::prelude::*;
use tidegate_events::wire::{self, Parsed};

use super::*;
use crate::Delivery;

/// One thing that a story does.
#[derive(Debug, Clone)]
enum Step {
    Send { attempt: u8, operation: bool, from: usize, count: usize, reboot: bool },
    Cancel(usize),
    Evaluate,
    Read(usize),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (any::<u8>(), any::<bool>(), 0..30_usize, 1..12_usize, any::<bool>()).prop_map(|(attempt, operation, from, count, reboot)| Step::Send { attempt, operation, from, count, reboot }),
        1 => (0..10_usize).prop_map(Step::Cancel),
        1 => Just(Step::Evaluate),
        1 => (0..30_usize).prop_map(Step::Read),
        4 => (0..5_000_i64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

/// Plays a story. `reads` decides whether the reads happen, `slices` into how many pieces time is cut.
fn play(spec: &Spec, story: &[Step], reads: bool, slices: i64) -> (Vec<Delivery>, Vec<SendOutcome>, String) {
    let world = World::new(spec.clone(), start());
    let hosts: Vec<TargetKey> = world.hosts();
    let (mut told, mut outcomes) = (Vec::new(), Vec::new());
    for step in story {
        match step {
            Step::Send { attempt, operation, from, count, reboot } => {
                let operation = if *operation { Operation::Install } else { Operation::Scan };
                let mut request = request(&world, &format!("tidegate/{attempt:016x}/install/1"), operation, []);
                request.instances = hosts.iter().skip(*from).take(*count).map(|key| key.instance.clone()).collect();
                request.max_concurrency = 5;
                outcomes.push(ask(world.send(&if *reboot { request } else { no_reboot(request) })));
            }
            Step::Cancel(n) => {
                if let Some(record) = world.sends().get(*n) {
                    drop(ask(world.cancel(&record.spoke, &record.command, &record.instances)));
                }
            }
            Step::Evaluate => drop(ask(world.start_evaluation(&spoke(), &[]))),
            Step::Read(n) if reads => {
                drop(ask(world.describe(&spoke(), &ids([1]))));
                drop(ask(world.rules_with_findings(None)));
                drop(ask(world.inventory(None)));
                drop(ask(world.patch_states(&spoke(), &[hosts[*n].instance.clone()])));
            }
            Step::Read(_) => {}
            Step::Pass(secs) => {
                let from = world.now();
                for slice in 1..=slices {
                    told.extend(world.advance(from + SignedDuration::from_millis(secs * 1_000 * slice / slices)));
                }
            }
        }
    }
    told.extend(world.advance(world.now() + SignedDuration::from_hours(48)));
    let truths: Vec<_> = hosts.iter().map(|key| world.truth(key)).collect();
    (told, outcomes, format!("{truths:?} {:?}", world.counts()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_spec_and_calls_give_the_same_world(seed in any::<u64>(), story in steps()) {
        let mut spec = Spec::generate(1, 1, 30, seed, Faults::heavy());
        spec.accounts[0].role = crate::Role::Ok;
        spec.accounts[0].state = crate::AccountState::Active;
        let once = play(&spec, &story, true, 1);
        prop_assert_eq!(&once, &play(&spec, &story, true, 1));
        prop_assert_eq!(&once, &play(&spec, &story, false, 1), "reads change nothing");
        prop_assert_eq!(&once, &play(&spec, &story, true, 7), "nor does how time is cut");
    }

    #[test]
    fn the_engines_own_parser_understands_every_event(seed in any::<u64>(), story in steps()) {
        let mut spec = Spec::generate(1, 1, 30, seed, Faults::heavy());
        spec.ssm_compliance_events = true;
        for delivery in play(&spec, &story, false, 1).0 {
            match wire::parse(&delivery.bytes) {
                Parsed::Event { at, id, .. } => prop_assert!(at <= delivery.at && id.is_some()),
                Parsed::Ignored { why } => prop_assert!(why.contains("started to evaluate"), "{}", why),
                Parsed::Rejected { why } => prop_assert!(false, "{why}"),
            }
        }
    }

    #[test]
    fn time_never_runs_backwards_and_everything_ends(seed in any::<u64>(), story in steps()) {
        let spec = Spec::generate(1, 1, 30, seed, Faults::heavy());
        let (told, ..) = play(&spec, &story, true, 3);
        prop_assert!(told.is_sorted_by_key(|delivery| delivery.at));
        let world = World::new(spec, start());
        install_all(&world);
        let mut steps = 0;
        while let Some(at) = world.next_at() {
            world.advance(at);
            steps += 1;
            prop_assert!(steps < 10_000);
        }
        let inner = world.inner();
        for command in &inner.state.commands {
            prop_assert_eq!((command.open, command.slots.iter().all(|slot| slot.status.is_final())), (0, true), "every invocation ends");
        }
        prop_assert!(inner.state.hosts.iter().all(|host| host.installing == 0));
    }
}

fn install_all(world: &World) {
    for key in world.hosts() {
        let mut request = request(world, "tidegate/0123456789abcdef/install/1", Operation::Install, []);
        request.instances = vec![key.instance];
        for _ in 0..20 {
            if !matches!(ask(world.send(&request)), SendOutcome::Throttled | SendOutcome::Ambiguous { .. }) {
                break;
            }
            world.advance(world.now() + SignedDuration::from_millis(500));
        }
    }
}

#[test]
fn a_hundred_thousand_hosts_in_a_thousand_accounts_are_light() {
    let world = World::new(Spec::generate(1_000, 2, 100_000, 5, Faults::light()), start());
    let mut told = 0;
    for minute in 1..=60 {
        told += world.advance(start() + SignedDuration::from_mins(minute)).len();
    }
    assert!((30_000..60_000).contains(&told), "{told}");
}

#[test]
fn futures_can_go_to_other_threads() {
    fn is_send<T: Send>(_: T) {}
    let world = world([host(1)]);
    is_send(&world);
    is_send(world.inventory(None));
    is_send(world.describe(&spoke(), &[]));
}
