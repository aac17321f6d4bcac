//! The Lambda shell with queues, crashes and the simulated organization: the same promises as the embedded shell.

#![cfg(test)]

use tidegate_cli::cmd::{policy, simulate};
use tidegate_rules::policy::Policy;
use tidegate_tests::luck::Luck;
use tidegate_tests::site::{Ended, Site};
use tidegate_world::{Faults, Spec};

const CALM: Luck = Luck { store: 0, post: 0, twice: 0 };
const ROUGH: Luck = Luck { store: 15, post: 20, twice: 50 };

fn run(spec: Spec, policy: Policy, seed: u64, luck: Luck, bodies: &[&str]) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let site = Site::new(spec, policy, simulate::start().unwrap(), seed, luck);
        bodies.iter().for_each(|body| site.deliver(body));
        site.settle().await.unwrap_or_else(|why| panic!("seed {seed}: {why}"))
    })
}

fn promises_are_kept(ended: &Ended, seed: u64) {
    assert_eq!(ended.violations, Vec::<String>::new(), "seed {seed}");
    assert!(ended.checked > 0 && ended.messages > 0, "seed {seed} did nothing");
    assert_eq!(ended.doubled, 0, "seed {seed}");
    assert_eq!(ended.moving, None, "seed {seed}");
    assert_eq!(ended.left, [], "seed {seed}: actions are left in the outbox after {} s", ended.secs);
}

#[test]
fn a_faultless_organization_is_patched_to_the_last_host() {
    let ended = run(Spec::generate(4, 2, 80, 1, Faults::none()), policy::read(None).unwrap(), 1, CALM, &[]);
    promises_are_kept(&ended, 1);
    assert_eq!(ended.patched, 80);
    assert_eq!(ended.refused, []);
    assert!(ended.notices > 0, "nobody was told anything");
}

#[test]
fn functions_that_die_at_any_step_lose_nothing_and_send_nothing_twice() {
    for seed in 1..=60 {
        let faults = if seed % 3 == 0 { Faults::heavy() } else { Faults::none() };
        let ended = run(Spec::generate(3, 2, 40, seed, faults), policy::read(None).unwrap(), seed, ROUGH, &[]);
        promises_are_kept(&ended, seed);
        if seed % 3 != 0 {
            assert_eq!(ended.patched, 40, "seed {seed}");
        }
    }
}

#[test]
fn what_nobody_understands_is_refused_with_its_reason_and_costs_nothing_else() {
    let approval = r#"{"version":"0","id":"1","source":"tidegate","detail-type":"Tidegate Approval","time":"2026-11-19T08:00:00Z","detail":{"subject":"patch-default.1","digest":"0000000000000000000000000000000000000000000000000000000000000000","word":"approve","by":"mallory"}}"#;
    let bodies = ["not json", approval, r#"{"tidegate":"items/1","items":[]}"#, r#"{"tidegate":"items/2"}"#];
    let ended = run(Spec::generate(1, 1, 10, 3, Faults::none()), policy::read(None).unwrap(), 3, CALM, &bodies);
    promises_are_kept(&ended, 3);
    assert_eq!(ended.patched, 10);
    assert_eq!(ended.refused.len(), 4, "{:?}", ended.refused);
    assert!(ended.refused.iter().all(|refused| !refused.reason.is_empty()));
    assert!(ended.refused.iter().any(|refused| refused.reason.contains("person's decision")), "{:?}", ended.refused);
}
