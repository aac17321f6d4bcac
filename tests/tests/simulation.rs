//! Luck as seeds: whole worlds with faults, run to rest with every invariant checked line by line. A failing seed is replayed
//! with `cargo dev sim SEED`.

#![cfg(test)]

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_cli::cmd::{policy, simulate};
use tidegate_cli::drive::Drive;
use tidegate_cli::summary::Summary;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_rules::policy::Policy;
use tidegate_world::{Faults, Spec, World};

/// Seeds that every test run takes; `TIDEGATE_SEEDS` asks for more.
const SEEDS: u64 = 200;

fn run(spec: Spec, policy: Policy, seed: u64) -> Summary {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let start = simulate::start().unwrap();
        let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start), policy);
        let mut drive = Drive::new(engine, start, simulate::people().unwrap()).await.unwrap();
        drive.count_deliveries();
        drive.settle(&mut |_| {}).await.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        drive.check_at_rest().await.unwrap();
        drive.summary(seed)
    })
}

fn builtin(name: &str) -> Policy {
    tidegate_rules::policy::parse(tidegate_rules::policy::builtin(name).unwrap(), name).unwrap()
}

fn separate_reboots() -> Policy {
    tidegate_rules::policy::parse("name = \"reboots\"\nreboot = \"separate\"\n", "reboots.toml").unwrap()
}

/// The same, and every host is backed up first.
fn backups_and_reboots() -> Policy {
    tidegate_rules::policy::parse("name = \"backups\"\nreboot = \"separate\"\n[backup]\ndocument = \"Acme-Backup\"\n", "backups.toml").unwrap()
}

/// What holds of every world at rest.
fn settled(summary: &Summary, seed: u64, hosts: u64) {
    assert_eq!(summary.invariants.violations, Vec::<String>::new(), "seed {seed}");
    assert!(summary.invariants.checked > 0, "seed {seed} checked nothing");
    assert_eq!(summary.commands.doubled, 0, "seed {seed}");
    assert_eq!(summary.targets.total, hosts, "seed {seed}");
    for moving in ["queued", "in_wave", "running", "verifying"] {
        assert_eq!(summary.targets.by_state[moving], 0, "seed {seed}: {moving}");
    }
    let events = summary.events;
    assert_eq!(events.read, events.accepted + events.duplicate + events.stale + events.ignored + events.rejected, "seed {seed}");
    assert_eq!(events.rejected, 0, "seed {seed}: {:?}", summary.refused);
}

#[test]
fn two_hundred_worlds_with_faults_come_to_rest_without_a_violation() {
    let seeds: u64 = std::env::var("TIDEGATE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let next = AtomicU64::new(1);
    let patched = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let faults = if seed.is_multiple_of(4) { Faults::light() } else { Faults::heavy() };
                    let policy = match seed % 5 {
                        0 if seed.is_multiple_of(2) => backups_and_reboots(),
                        0 => separate_reboots(),
                        1 => builtin("accelerated"),
                        2 => builtin("emergency"),
                        3 => builtin("slow-roll"),
                        _ => policy::read(None).unwrap(),
                    };
                    let hosts = 5 + (seed * 7) % 56;
                    let spec =
                        Spec::generate(1 + u32::try_from(seed % 5).unwrap(), 1 + u32::try_from(seed % 3).unwrap(), u32::try_from(hosts).unwrap(), seed, faults);
                    let spec = Spec { documents: vec!["Acme-Backup".to_owned()], ..spec };
                    let summary = run(spec, policy, seed);
                    settled(&summary, seed, hosts);
                    patched.fetch_add(summary.verdicts["remediated"], Ordering::Relaxed);
                }
            });
        }
    });
    assert!(patched.load(Ordering::Relaxed) > seeds, "the worlds are too small or too broken to prove anything");
}

#[test]
fn a_faultless_world_is_remediated_to_the_last_host() {
    for (seed, policy) in [(1, policy::read(None).unwrap()), (2, builtin("emergency")), (3, builtin("accelerated")), (4, separate_reboots())] {
        let name = policy.name.clone();
        let summary = run(Spec::generate(4, 2, 120, seed, Faults::none()), policy, seed);
        settled(&summary, seed, 120);
        assert_eq!(summary.targets.by_state["compliant"], 120, "{name}");
        let dirty = Spec::generate(4, 2, 120, seed, Faults::none()).hosts.iter().filter(|host| host.missing > 0).count() as u64;
        assert_eq!(summary.verdicts["remediated"], dirty, "{name}");
        assert_eq!(summary.commands.reboot > 0, name == "reboots", "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let once = || serde_json::to_string(&run(Spec::generate(3, 2, 50, 9, Faults::heavy()), policy::read(None).unwrap(), 9)).unwrap();
    assert_eq!(once(), once());
}

/// Calls for each thousand remediated hosts stay near the lower bound of docs/operations/performance.md; a regression that
/// polls, or asks one host at a time, shows here.
#[test]
fn calls_stay_in_their_budget() {
    let spec = Spec::generate(20, 1, 3000, 5, Faults::none());
    let wide = "name = \"wide\"\n[blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n[[wave]]\nname = \"all\"\n";
    let policy = tidegate_rules::policy::parse(wide, "wide.toml").unwrap();
    let summary = run(spec, policy, 5);
    settled(&summary, 5, 3000);
    let remediated = summary.verdicts["remediated"];
    assert!(remediated > 900, "{remediated}");
    let cells = 20;
    // Per batch of one cell and platform: install, scan, two looks, one read of patch states.
    for (call, at_most) in [
        ("ssm:SendCommand", 4 * cells + 2 * remediated / 50),
        ("ssm:DescribeInstancePatchStates", 2 * cells + remediated / 50),
        ("config:StartConfigRulesEvaluation", cells),
    ] {
        let made = summary.api_calls.get(call).copied().unwrap_or(0);
        assert!(made <= at_most, "{made} {call} for {remediated} hosts, at most {at_most}");
    }
}

#[test]
fn a_broken_journal_would_be_seen() {
    use tidegate_rules::check::Checker;
    let mut checker = Checker::new();
    checker.line(
        br#"{"stream":"org","seq":2,"at":"2026-11-19T08:00:00Z","previous":"0000000000000000000000000000000000000000000000000000000000000000","entries":[]}"#,
    );
    assert_eq!(checker.violations().len(), 1, "{:?}", checker.violations());
    checker.line(b"not json");
    assert_eq!(checker.violations().len(), 2);
}
