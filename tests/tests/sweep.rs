//! What no event has told is found: by the aggregator, and by the nodes' own patch states where AWS Config never judged.

#![cfg(test)]

use jiff::SignedDuration;
use tidegate_cli::cmd::{policy, simulate};
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::sweep::Swept;
use tidegate_tests::luck::Luck;
use tidegate_tests::site::{Ended, Site};
use tidegate_world::{Faults, Fleet, Recording, Role, Spec, World};

const CALM: Luck = Luck { store: 0, post: 0, twice: 0 };
const ROUGH: Luck = Luck { store: 15, post: 20, twice: 50 };

fn run(spec: Spec, seed: u64, luck: Luck, sweeps_nodes: bool) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let site = Site::new(spec, policy::read(None).unwrap(), simulate::start().unwrap(), seed, luck);
        let site = if sweeps_nodes { site.with_node_sweeps() } else { site };
        site.settle().await.unwrap_or_else(|why| panic!("seed {seed}: {why}"))
    })
}

fn promises_are_kept(ended: &Ended, seed: u64) {
    assert_eq!(ended.violations, Vec::<String>::new(), "seed {seed}");
    assert_eq!((ended.doubled, &ended.moving), (0, &None), "seed {seed}");
    assert_eq!(ended.left, [], "seed {seed}: actions are left in the outbox after {} s", ended.secs);
}

/// An organization that Config says nothing about: what its instances lack, only their agents have reported.
fn unjudged(seed: u64) -> Spec {
    Spec { seed, ..Spec::from_fleet(&Fleet::generate(4, 2, 80, seed)) }
}

#[test]
fn what_config_never_judged_is_found_by_patch_states() {
    let spec = unjudged(7);
    let dirty = spec.hosts.iter().filter(|host| host.missing > 0).count();
    assert!(dirty > 10, "{dirty}");
    // Without them nobody would ever know: no event, and nothing in the aggregator.
    let blind = run(spec.clone(), 7, CALM, false);
    assert_eq!((blind.violations, blind.patched, blind.notices), (Vec::new(), 80 - dirty, 0));
    let ended = run(spec, 7, CALM, true);
    promises_are_kept(&ended, 7);
    assert_eq!(ended.patched, 80);
    assert_eq!(ended.compliant, dirty, "remediated: in the end Config has judged, and agrees");
}

#[test]
fn no_spokes_trouble_stops_a_sweep_of_the_others() {
    for seed in 1..=12 {
        let mut spec = unjudged(seed);
        // One records nothing at all, one lets nobody in; reads are throttled and unanswered for a day.
        spec.accounts[0].recording = Recording::Off;
        spec.accounts[1].role = Role::Missing;
        spec.faults = Faults { read_throttled: 100, read_unanswered: 100, calm_after_secs: Some(24 * 3600), ..Faults::none() };
        let shut = spec.accounts[1].id;
        let lost = spec.hosts.iter().filter(|host| host.key.account == shut && host.missing > 0).count();
        let ended = run(spec, seed, if seed % 2 == 0 { ROUGH } else { CALM }, true);
        promises_are_kept(&ended, seed);
        assert_eq!(ended.patched, 80 - lost, "seed {seed}: all but those of the account that lets nobody in");
    }
}

#[test]
fn no_message_of_a_sweep_has_more_than_a_page_to_take_in() {
    // No event of 300 findings ever comes.
    let mut spec = Spec::generate(1, 1, 300, 5, Faults::none());
    spec.hosts.iter_mut().for_each(|host| host.announce = false);
    let ended = run(spec, 5, CALM, true);
    promises_are_kept(&ended, 5);
    assert_eq!(ended.patched, 300);
    let (parts, most) = ended.largest_sweep;
    assert!(parts <= 20 && (20..=100).contains(&most), "{parts} parts, {most} findings or nodes");
}

#[tokio::test]
async fn a_state_from_the_future_is_not_believed_and_a_second_sweep_finds_nothing() {
    let spec = unjudged(3);
    let dirty = u64::try_from(spec.hosts.iter().filter(|host| host.missing > 0).count()).unwrap();
    let start = simulate::start().unwrap();
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start), policy::read(None).unwrap());
    // As of a day before, every instance's clock is ahead: nothing that is said later would ever be newer.
    let early = engine.sweep_nodes(start - SignedDuration::from_hours(24)).await.unwrap().unwrap();
    assert_eq!(early, Swept { new: 0, nodes: 80, unscanned: 0, doubtful: dirty });
    let found = engine.sweep_nodes(start).await.unwrap().unwrap();
    assert_eq!(found, Swept { new: dirty, nodes: 80, unscanned: 0, doubtful: 0 });
    let again = engine.sweep_nodes(start).await.unwrap().unwrap();
    assert_eq!(again, Swept { new: 0, nodes: 80, unscanned: 0, doubtful: 0 });
}
