use super::*;
use crate::json::summary_json;
use crate::sample::{story, target};

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    story().lines().for_each(|line| ledger.apply(&line));
    ledger
}

#[test]
fn every_known_instance_is_in_exactly_one_state() {
    let mut ledger = Ledger::default();
    for line in story().lines() {
        ledger.apply(&line);
        assert_eq!(ledger.by_state().iter().map(|(_, n)| n).sum::<u64>(), ledger.targets.len() as u64);
    }
    let states: BTreeMap<&str, u64> = ledger.by_state().into_iter().collect();
    assert_eq!(ledger.targets.len(), 121);
    // 36 of the halted wave without the dropped one and the three in a batch, and 8 of the third campaign.
    assert_eq!((states["in_wave"], states["verifying"], states["unreachable"]), (40, 2, 2));
    assert_eq!((states["compliant"], states["patched_unconfirmed"], states["queued"]), (54, 15, 2));
    assert_eq!((states["quarantined"], states["pending_reboot"], states["unmanaged"], states["exempt"], states["gone"]), (2, 1, 1, 1, 1));
}

#[test]
fn enrolled_ones_wait_until_their_campaign_is_cut() {
    let mut ledger = Ledger::default();
    let state = |ledger: &Ledger| ledger.targets.get(&target(0)).map(|row| ledger.state_of(row));
    let mut seen = Vec::new();
    for line in story().lines() {
        ledger.apply(&line);
        let now = state(&ledger);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    let told: Vec<&str> = seen.into_iter().flatten().collect();
    assert_eq!(told, ["queued", "in_wave", "running", "verifying", "patched_unconfirmed", "compliant"]);
}

#[test]
fn waves_count_as_the_rules_do() {
    let ledger = ledger();
    let two = &ledger.campaigns[&"patch-default.2".parse().unwrap()];
    let told: Vec<(u64, u64, u64, WaveState)> = two.waves.iter().map(|wave| (wave.ok, wave.bad, wave.dropped, wave.state)).collect();
    assert_eq!(told, [(2, 0, 0, WaveState::Proven), (8, 4, 0, WaveState::Proven), (0, 1, 1, WaveState::Open)]);
    assert_eq!(two.state(), "running");
    assert_eq!(ledger.open_halts().count(), 1);
    assert_eq!(ledger.halts.len(), 2);
    assert_eq!(ledger.targets[&target(62)].attempts, 1);
    assert_eq!(ledger.commands, Commands { backup: 0, install: 19, scan: 18, reboot: 0, adopted: 1 });
}

#[test]
fn stranded_ones_count_once_and_are_not_scanned() {
    let (mut ledger, book) = (Ledger::default(), story());
    let stranded: Vec<Line> = book.lines().filter(|line| matches!(line.entries.first(), Some(Entry::Stranded { .. }))).collect();
    book.lines().for_each(|line| ledger.apply(&line));
    ledger.apply(&stranded[0]);
    let wave = &ledger.campaigns[&"patch-default.2".parse().unwrap()].waves[2];
    assert_eq!(wave.bad, 1, "the same member again");
    let row = &ledger.targets[&target(80)];
    assert!(matches!(row.standing, Standing::Unreachable { .. }));
    assert_eq!(row.judged.as_ref().map(|judged| judged.verdict), Some(Verdict::Unknown));
}

#[test]
fn the_summary_in_json_adds_up() {
    let ledger = ledger();
    let summary = summary_json(&ledger);
    let sum: u64 = summary["targets"]["by_state"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(summary["targets"]["total"], sum);
    assert_eq!(summary["targets"]["by_state"].as_object().unwrap().len(), Standing::NAMES.len());
    assert_eq!(summary["verdicts"]["remediated"], 53);
    assert_eq!(summary["campaigns"][1]["waves"][2]["holds"][0]["kind"], "lane_halted");
    assert_eq!(summary["halts"][0]["resumed"]["by"], "carol");
    assert_eq!(summary["from"], "2026-03-02T08:00:00Z");
}
