//! One host: what is true of it, what its agent last reported, and what Config made of that.

use std::collections::BTreeMap;

use tidegate_events::fact::{Compliance, Operation};
use tidegate_events::host::Platform;
use tidegate_events::id::{SnapshotId, TargetKey};

use crate::clock::{DAY, HOUR, MINUTE, Ms, secs};
use crate::draw::Draw;
use crate::patch::PatchSpec;
use crate::spec::{HostSpec, Trouble};

/// What a run of the patch document reports to Systems Manager; every report replaces the one before (aws-facts 3.1).
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub operation: Operation,
    pub started: Ms,
    pub ended: Ms,
    pub snapshot: Option<SnapshotId>,
    /// Whether it was judged against the baseline that the account has for this platform.
    pub own_baseline: bool,
    pub missing: u32,
    pub failed: u32,
    pub pending: u32,
    pub rejected: u32,
}

impl Report {
    /// Missing, Failed, InstalledPendingReboot and InstalledRejected are the non-compliant states (aws-facts 3.1).
    pub fn compliance(&self) -> Compliance {
        if self.missing == 0 && self.failed == 0 && self.pending == 0 && self.rejected == 0 { Compliance::Compliant } else { Compliance::NonCompliant }
    }
}

/// What a rule said of one captured state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub compliance: Compliance,
    /// When the configuration item was captured.
    pub ordering: Ms,
    /// When the result was recorded.
    pub recorded: Ms,
}

/// What the n-th install on a host comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Works,
    Fails,
    FalseSuccess,
    FalseFailure,
    Partial,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub key: TargetKey,
    /// Place in the table of spokes.
    pub spoke: u32,
    /// Its identity as a number: what draws about it are about.
    pub id: u64,
    pub platform: Platform,
    pub tags: BTreeMap<String, String>,
    pub announce: bool,
    pub troubles: Vec<Trouble>,
    /// Patches that it lacks, where they are named.
    pub patches: Vec<PatchSpec>,

    pub missing: u32,
    pub failed: u32,
    pub pending: u32,
    pub terminated: bool,
    /// The agent is dead from here on.
    pub dead_from: Option<Ms>,
    pub rebooting_until: Ms,
    /// Installs that run on it right now.
    pub installing: u32,

    /// Ordinals: how many installs, backups, scans and reports there were.
    pub installs: u32,
    pub backups: u32,
    pub scans: u32,
    pub reports: u32,

    pub report: Option<Report>,
    /// A daily recorder will capture it already.
    pub capture_due: bool,
    /// The last configuration item.
    pub captured: Option<(Ms, Compliance)>,
    /// Config's last word.
    pub verdict: Option<Verdict>,
}

impl Host {
    /// A host as it stands at `now`, the start of the world or the time it is added.
    ///
    /// Hosts with a finding to come were clean when last scanned; clean hosts have a verdict from the day before; a host that
    /// lacks patches and has no finding to come is known to its agent, but not to Config.
    pub fn new(spec: HostSpec, spoke: u32, seed: u64, now: Ms) -> Self {
        let id = Draw::new(0, "host").text(&spec.key.to_string()).value();
        let draw = |what: &str| Draw::new(seed, what).on(id);
        let (has, awaited) = (|trouble: Trouble| spec.troubles.contains(&trouble), spec.finding_after_secs.is_some());
        let ended = now - draw("last scan").between(2 * HOUR, 20 * HOUR);
        let (missing, rejected) = if awaited { (0, 0) } else { (spec.missing, u32::from(has(Trouble::RejectedPatch))) };
        let report =
            Report { operation: Operation::Scan, started: ended - MINUTE, ended, snapshot: None, own_baseline: true, missing, failed: 0, pending: 0, rejected };
        let ordering = ended + draw("first capture").between(MINUTE, 8 * MINUTE);
        let recorded = ordering + draw("first evaluation").between(11_000, 39_000);
        let is_known = !has(Trouble::ConfigNotRecording) && if awaited { draw("seen before").happens(750) } else { !spec.is_dirty() };
        let verdict = is_known.then_some(Verdict { compliance: Compliance::Compliant, ordering, recorded });
        Self {
            spoke,
            id,
            platform: spec.platform,
            announce: spec.announce,
            missing: spec.missing,
            failed: 0,
            pending: 0,
            terminated: false,
            dead_from: None,
            rebooting_until: now,
            installing: 0,
            installs: 0,
            backups: 0,
            scans: 0,
            reports: 0,
            report: (!has(Trouble::NotRegistered)).then_some(report),
            capture_due: false,
            captured: verdict.map(|verdict| (verdict.ordering, verdict.compliance)),
            verdict,
            key: spec.key,
            tags: spec.tags,
            troubles: spec.troubles,
            patches: spec.patches,
        }
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Whether Systems Manager has it as a managed node.
    pub fn is_registered(&self) -> bool {
        !self.terminated && !self.has(Trouble::NotRegistered)
    }

    pub fn rejected(&self) -> u32 {
        u32::from(self.has(Trouble::RejectedPatch))
    }

    /// Patches that the next install would install.
    pub fn installable(&self) -> u32 {
        self.missing.saturating_add(self.failed)
    }

    /// Whether EC2 has it stopped, `since` milliseconds after the world's start.
    pub fn is_stopped(&self, since: Ms) -> bool {
        self.troubles.iter().any(|trouble| matches!(trouble, Trouble::Stopped { from_secs, until_secs } if within(since, *from_secs, *until_secs)))
    }

    /// Whether its agent answers at `now`, in a world that started at `start`.
    pub fn is_online(&self, now: Ms, start: Ms) -> bool {
        !self.terminated && self.silent_until(now, start).is_none()
    }

    /// When its agent answers again, `now` included; never where it does not.
    pub fn online_from(&self, now: Ms, start: Ms) -> Option<Ms> {
        let mut at = now;
        // Each round leaves one silence behind; a few nested ones are as many as a spec has reason to have.
        for _ in 0..16 {
            match self.silent_until(at, start) {
                None => return (!self.terminated).then_some(at),
                Some(None) => return None,
                Some(Some(end)) => at = end,
            }
        }
        None
    }

    /// `Some` while it is silent, with the end where there is one.
    fn silent_until(&self, now: Ms, start: Ms) -> Option<Option<Ms>> {
        if self.dead_from.is_some_and(|dead| dead <= now) {
            return Some(None);
        }
        let since = now.saturating_sub(start);
        self.troubles.iter().find_map(|trouble| match trouble {
            Trouble::Offline { from_secs, until_secs } | Trouble::Stopped { from_secs, until_secs } if within(since, *from_secs, *until_secs) => {
                Some(until_secs.map(|until| start.saturating_add(secs(until))))
            }
            Trouble::Flaps { period_secs, down_secs } => {
                let period = secs(*period_secs).clamp(1, 365 * DAY);
                let place = (since + Draw::new(0, "flap").on(self.id).between(0, period - 1)) % period;
                let left = secs(*down_secs).min(period - 1) - place;
                (left > 0).then_some(Some(now.saturating_add(left)))
            }
            _ => None,
        })
    }

    /// What its n-th install comes to, counted from 0: the list of troubles is used up from the front.
    pub fn effect(&self, n: u32) -> Effect {
        let mut left = n;
        for trouble in &self.troubles {
            let (times, effect) = match *trouble {
                Trouble::InstallFails { times } => (times, Effect::Fails),
                Trouble::InstallFailsAlways => (u32::MAX, Effect::Fails),
                Trouble::FalseSuccess { times } => (times, Effect::FalseSuccess),
                Trouble::FalseFailure { times } => (times, Effect::FalseFailure),
                Trouble::Partial { times } => (times, Effect::Partial),
                _ => continue,
            };
            if left < times {
                return effect;
            }
            left -= times;
        }
        Effect::Works
    }

    /// Whether the hook before its n-th install fails, counted from 0.
    pub fn hook_fails(&self, n: u32) -> bool {
        self.troubles.iter().any(|trouble| matches!(trouble, Trouble::PreHookFails { times } if n < *times))
    }

    /// Whether its n-th backup fails, counted from 0.
    pub fn backup_fails(&self, n: u32) -> bool {
        self.troubles.iter().any(|trouble| matches!(trouble, Trouble::BackupFails { times } if n < *times))
    }

    /// Whether another scanner comes after its n-th scan, counted from 0.
    pub fn is_overwritten(&self, n: u32) -> bool {
        self.troubles.iter().any(|trouble| matches!(trouble, Trouble::OverwrittenByOtherScanner { times } if n < *times))
    }
}

fn within(since: Ms, from_secs: u64, until_secs: Option<u64>) -> bool {
    secs(from_secs) <= since && until_secs.is_none_or(|until| since < secs(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(troubles: &[Trouble]) -> Host {
        let spec = HostSpec::new("111122223333/us-east-1/i-0a1b2c3d4e5f67890".parse().unwrap(), Platform::Linux);
        Host::new(HostSpec { troubles: troubles.to_vec(), ..spec }, 0, 1, 0)
    }

    #[test]
    fn troubles_of_installs_are_used_up_in_order() {
        let host = host(&[Trouble::InstallFails { times: 2 }, Trouble::Partial { times: 1 }]);
        assert_eq!((0..4).map(|n| host.effect(n)).collect::<Vec<_>>(), [Effect::Fails, Effect::Fails, Effect::Partial, Effect::Works]);
    }

    #[test]
    fn silences_nest_and_end() {
        let host = host(&[Trouble::offline_until(100), Trouble::Stopped { from_secs: 90, until_secs: Some(200) }]);
        assert!(!host.is_online(0, 0) && host.is_stopped(150_000) && !host.is_stopped(50_000));
        assert_eq!(host.online_from(0, 0), Some(200_000));
        assert_eq!(host.online_from(300_000, 0), Some(300_000));
        assert_eq!(self::host(&[Trouble::OFFLINE_ALWAYS]).online_from(5, 0), None);
    }

    #[test]
    fn a_flapping_agent_is_silent_for_its_share() {
        let host = host(&[Trouble::Flaps { period_secs: 100, down_secs: 30 }]);
        let silent = (0..1_000).filter(|second| !host.is_online(second * 1_000, 0)).count();
        assert!((290..=310).contains(&silent), "{silent}");
        let from = (0..100_000).find(|at| !host.is_online(*at, 0)).unwrap();
        assert!(host.online_from(from, 0).is_some_and(|back| back > from && host.is_online(back, 0)));
    }
}
