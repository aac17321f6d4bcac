//! What a plan will take: time, calls, dollars. A forecast, not a promise: it assumes that approvals are there, that every host
//! answers, and the times of a usual patch day. Nothing is decided by it.

use jiff::Timestamp;
use tidegate_events::entry::RunStep;

use crate::desk::{later, secs_between};
use crate::freeze;
use crate::gate::TIMEOUT_MIN_SECS;
use crate::policy::{Policy, ShareBps};
use crate::window::{Calendar, Opening, WindowError};

/// From a command to its targets' proof, in seconds: an installation of five minutes with its reboot, a minute's wait, a scan,
/// and what lies between them.
pub const INSTALL_ROUND_SECS: i64 = 600;
/// The same for a command that only scans, in seconds.
pub const SCAN_ROUND_SECS: i64 = 180;
/// A backup before an install, in seconds: an image of a disk that was copied before.
const BACKUP_ROUND_SECS: i64 = 600;
/// Windows that are looked ahead; a run that needs more is said not to end.
const WINDOWS_MAX: u32 = 520;

/// A wave as the forecast sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaveLoad {
    /// Rounds that its limits make of it: the most of members over limit, over all its scopes.
    pub rounds: u64,
    /// How long a round takes, in seconds.
    pub round_secs: i64,
    /// How long it is watched afterwards, in seconds.
    pub bake_secs: i64,
}

/// What a policy's backup adds to a round of installs, in seconds.
pub fn backup_secs(policy: &Policy) -> i64 {
    policy.backup.as_ref().map_or(0, |rule| i64::from(rule.timeout_secs).min(BACKUP_ROUND_SECS))
}

/// When a run would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// Whether it ends in the first window that it can use (always, where there are none).
    pub fits_window: bool,
    /// Seconds from now to the end of the last bake; `None` where no end is in sight.
    pub after_secs: Option<u64>,
}

/// Walks waves through windows and freezes: a round starts where a window leaves time enough, and waits for the next one where
/// it does not.
///
/// # Errors
/// When a window is wrong, which parsing has excluded.
pub fn finish(policy: &Policy, waves: &[WaveLoad], now: Timestamp) -> Result<Finish, WindowError> {
    let calendar = Calendar::new(&policy.windows)?;
    let needed = crate::backup::room_secs(policy, RunStep::Backup).saturating_add(TIMEOUT_MIN_SECS);
    let mut at = now;
    let mut first_closes: Option<Timestamp> = None;
    let mut fits = true;
    let mut windows = 0u32;
    for wave in waves.iter().filter(|wave| wave.rounds > 0) {
        let mut left = wave.rounds;
        while left > 0 {
            windows = windows.saturating_add(1);
            if windows > WINDOWS_MAX {
                return Ok(Finish { fits_window: false, after_secs: None });
            }
            if let Some(freeze) = freeze::active(&policy.freezes, at) {
                at = freeze.until;
                continue;
            }
            match calendar.look(at) {
                Opening::Always => {
                    let secs = wave.round_secs.saturating_mul(i64::try_from(left).unwrap_or(i64::MAX));
                    at = later(at, secs);
                    left = 0;
                }
                Opening::Open { closes_at, cutoff_at } => {
                    let spare = secs_between(at, cutoff_at) - needed;
                    let rounds = if spare < 0 { 0 } else { u64::try_from(spare / wave.round_secs.max(1) + 1).unwrap_or(0) };
                    let rounds = rounds.min(left);
                    if rounds > 0 {
                        fits &= *first_closes.get_or_insert(closes_at) == closes_at;
                    }
                    at = later(at, wave.round_secs.saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX)));
                    left -= rounds;
                    if left > 0 {
                        match calendar.next_opening(at) {
                            Some(opens_at) => at = opens_at,
                            None => return Ok(Finish { fits_window: false, after_secs: None }),
                        }
                    }
                }
                Opening::Closed { opens_at: Some(opens_at) } => at = opens_at,
                Opening::Closed { opens_at: None } => return Ok(Finish { fits_window: false, after_secs: None }),
            }
        }
        at = later(at, wave.bake_secs);
    }
    let after_secs = u64::try_from(secs_between(now, at)).unwrap_or(0);
    Ok(Finish { fits_window: fits, after_secs: Some(after_secs) })
}

/// What is called and stored for a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Accounts of the directory.
    pub accounts: u64,
    /// All known instances.
    pub inventory: u64,
    /// Accounts and Regions that are listed.
    pub spokes: u64,
    /// Accounts that are entered, once for each wave.
    pub entered: u64,
    /// Pages of 50 nodes of these.
    pub pages: u64,
    /// Cells.
    pub cells: u64,
    /// Targets.
    pub targets: u64,
    /// Commands' worth of targets whose batch also scans afterwards.
    pub install_batches: u64,
    /// Commands' worth of targets that are only scanned.
    pub scan_batches: u64,
    /// Whether those that install are backed up first.
    pub backups: bool,
    /// Whether anything is sent.
    pub dry_run: bool,
}

/// Calls to AWS where nothing goes wrong: sessions, the inventory, the listing; a command, its scan, their invocations and patch
/// states for each batch; Config's word for each cell.
pub fn api_calls(load: &Load) -> u64 {
    let inventory = load.accounts.div_ceil(20).max(1) + load.inventory.div_ceil(100).max(1);
    let read = inventory + load.pages + load.accounts_listed();
    if load.dry_run {
        return read;
    }
    // A start, the execution, its children.
    let backups = if load.backups { 3 * load.install_batches } else { 0 };
    read + load.entered + backups + 5 * load.install_batches + 3 * load.scan_batches + load.cells
}

impl Load {
    fn accounts_listed(&self) -> u64 {
        self.spokes.min(self.accounts)
    }
}

/// Millionths of a dollar that Tidegate itself costs for a target: some 20 write and 20 read units of DynamoDB on demand (list
/// prices of us-east-1, 2026: 0.625 and 0.125 dollars a million).
const MICROS_PER_TARGET: u64 = 15;
/// The same for a batch: some 200 write units, and 20 messages with the functions that read them.
const MICROS_PER_BATCH: u64 = 140;
/// The same for a page of a listing.
const MICROS_PER_PAGE: u64 = 60;

/// What Tidegate itself costs, in millionths of a dollar at list prices. Run Command is free; what AWS Config bills for recording
/// and judging the scans, and what backups and their runbook cost, is the account's own and is not in it.
pub fn cost_micros(load: &Load) -> u64 {
    let listed = load.pages.saturating_mul(MICROS_PER_PAGE);
    if load.dry_run {
        return listed;
    }
    let batches = load.install_batches.saturating_add(load.scan_batches);
    listed.saturating_add(load.targets.saturating_mul(MICROS_PER_TARGET)).saturating_add(batches.saturating_mul(MICROS_PER_BATCH))
}

/// Known instances from which on a share of them means something.
pub const BELT_SHARE_FROM: u64 = 50;

/// Why a bulk run is refused: it is above a belt of the policy.
pub fn belts(policy: &Policy, targets: u64, inventory: u64) -> Vec<String> {
    let belts = &policy.belts;
    let mut above = Vec::new();
    if targets > belts.targets_max {
        above.push(format!("{targets} targets are more than the {} that the policy lets one run have (`belts.targets_max`)", belts.targets_max));
    }
    let share = belts.share_max.of(inventory);
    if inventory >= BELT_SHARE_FROM && targets > share {
        let part = u32::try_from(u128::from(targets) * 10_000 / u128::from(inventory.max(1))).unwrap_or(u32::MAX);
        above.push(format!(
            "{targets} targets are {} of {inventory} known instances, and the policy lets one run have {} ({share}; `belts.share_max`)",
            ShareBps(part),
            belts.share_max
        ));
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        crate::policy::parse(&format!("name = \"t\"\nexecution_timeout_secs = 600\n{text}"), "t.toml").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NIGHTS: &str = "[[window]]\nname = \"nights\"\ncron = \"0 22 * * ? *\"\ntime_zone = \"UTC\"\nduration_secs = 3600\n";

    #[test]
    fn without_windows_rounds_and_bakes_add_up() {
        let waves = [WaveLoad { rounds: 3, round_secs: 600, bake_secs: 60 }, WaveLoad::default(), WaveLoad { rounds: 1, round_secs: 180, bake_secs: 0 }];
        assert_eq!(finish(&policy(""), &waves, at("2026-11-19T08:00:00Z")).unwrap(), Finish { fits_window: true, after_secs: Some(3 * 600 + 60 + 180) });
    }

    #[test]
    fn what_does_not_fit_goes_on_in_the_next_window() {
        let policy = policy(NIGHTS);
        let noon = at("2026-11-19T12:00:00Z");
        let one = [WaveLoad { rounds: 5, round_secs: 600, bake_secs: 0 }];
        // Starts at 22:00, 22:10, .. 22:40 (22:49:30 is the last moment): five rounds.
        assert_eq!(finish(&policy, &one, noon).unwrap(), Finish { fits_window: true, after_secs: Some(10 * 3600 + 3000) });
        let two = [WaveLoad { rounds: 6, ..one[0].clone() }];
        assert_eq!(finish(&policy, &two, noon).unwrap(), Finish { fits_window: false, after_secs: Some(34 * 3600 + 600) });
        let frozen =
            Policy { freezes: vec![crate::policy::Freeze { name: "f".into(), from: noon, until: at("2026-11-20T12:00:00Z"), reason: "r".into() }], ..policy };
        assert_eq!(finish(&frozen, &one, noon).unwrap(), Finish { fits_window: true, after_secs: Some(34 * 3600 + 3000) });
    }

    #[test]
    fn belts_name_what_is_above_them() {
        let policy = policy("[belts]\ntargets_max = 10\nshare_max = \"20%\"\n");
        assert_eq!(belts(&policy, 10, 49), Vec::<String>::new());
        assert_eq!(belts(&policy, 11, 49).len(), 1);
        assert_eq!(belts(&policy, 11, 50).len(), 2);
        assert_eq!(belts(&policy, 10, 50), Vec::<String>::new());
        assert!(belts(&policy, 10, 45).is_empty());
    }
}
