//! The rows that a ledger keeps.

use jiff::Timestamp;
use tidegate_events::entry::{PinStrength, Standing, WaveCut};
use tidegate_events::event::{Approval, Subject};
use tidegate_events::fact::Verdict;
use tidegate_events::hold::Hold;
use tidegate_events::id::{Digest, LaneId, PersonId, SnapshotId, WaveId};

/// One known instance.
#[derive(Debug, Clone)]
pub struct TargetRow {
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    pub since: Timestamp,
    /// The last verdict on it.
    pub judged: Option<Judged>,
    /// Failed attempts since it was last compliant.
    pub attempts: u32,
    /// The wave that it was last in.
    pub wave: Option<WaveId>,
}

/// A verdict as it was decided.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// One wave.
#[derive(Debug, Clone)]
pub struct WaveRow {
    /// As it was cut.
    pub cut: WaveCut,
    /// How far it is.
    pub state: WaveState,
    /// When it was sealed, and how firmly its patch set was pinned.
    pub sealed: Option<(Timestamp, PinStrength)>,
    /// When a new patch set was pinned for it, where the old one had become too old.
    pub renewed_at: Option<Timestamp>,
    /// When it opened.
    pub opened_at: Option<Timestamp>,
    /// Whose approvals were live when it opened.
    pub approved_by: Vec<PersonId>,
    /// When it began to bake, and until when.
    pub baking: Option<(Timestamp, Timestamp)>,
    /// When it was proven.
    pub proven_at: Option<Timestamp>,
    /// Members proven patched.
    pub ok: u64,
    /// Members failed or unknown.
    pub bad: u64,
    /// Members never touched.
    pub dropped: u64,
    /// What holds it now.
    pub holds: Vec<Hold>,
}

/// How far a wave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaveState {
    /// Its turn has not come.
    Waiting,
    /// Its targets are looked at again.
    Sealing,
    /// Sealed, not open.
    Sealed,
    /// Its batches run.
    Open,
    /// Every member has ended; it is watched.
    Baking,
    /// Proven and baked.
    Proven,
}

impl WaveState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sealing => "sealing",
            Self::Sealed => "sealed",
            Self::Open => "open",
            Self::Baking => "baking",
            Self::Proven => "proven",
        }
    }
}

/// One campaign.
#[derive(Debug, Clone, Default)]
pub struct CampaignRow {
    /// When it opened.
    pub opened_at: Option<Timestamp>,
    /// Its policy.
    pub policy: Option<Digest>,
    /// When it stopped taking members.
    pub closing_at: Option<Timestamp>,
    /// When it was cut: waves, digest and patch set are fixed from there.
    pub cut_at: Option<Timestamp>,
    /// What an approval says yes to.
    pub digest: Option<Digest>,
    /// Its patch set.
    pub snapshot: Option<SnapshotId>,
    /// Its waves.
    pub waves: Vec<WaveRow>,
    /// What was asked: subject, how many must, when.
    pub asked: Vec<(Subject, u32, Timestamp)>,
    /// What people said.
    pub words: Vec<Approval>,
    /// When its turn in its lane came.
    pub started_at: Option<Timestamp>,
    /// When and how it ended, and whether every wave was proven.
    pub ended: Option<(Timestamp, String, bool)>,
    /// Known instances when its percentages were counted.
    pub inventory: Option<u64>,
}

impl CampaignRow {
    /// How far it is, by its name in JSON.
    pub fn state(&self) -> &'static str {
        match self {
            Self { ended: Some((_, _, true)), .. } => "done",
            Self { ended: Some((_, _, false)), .. } => "ended",
            Self { started_at: Some(_), .. } => "running",
            Self { cut_at: Some(_), .. } => "closed",
            Self { closing_at: Some(_), .. } => "closing",
            _ => "collecting",
        }
    }

    /// Whether its members are in waves.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some() || self.ended.is_some()
    }

    pub(super) fn clear_holds(&mut self) {
        for wave in &mut self.waves {
            wave.holds.clear();
        }
    }

    /// All targets in its waves.
    pub fn targets(&self) -> u64 {
        self.waves.iter().map(|wave| wave.cut.targets).fold(0, u64::saturating_add)
    }
}

/// One halt of a lane.
#[derive(Debug, Clone)]
pub struct Halt {
    /// The lane.
    pub lane: LaneId,
    /// The wave that halted it.
    pub wave: WaveId,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// When it was resumed, by whom and why.
    pub resumed: Option<(Timestamp, PersonId, String)>,
}

/// Commands that Systems Manager took, by what they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commands {
    /// Backups before an install: Automation executions.
    pub backup: u64,
    /// Installs.
    pub install: u64,
    /// Reboots.
    pub reboot: u64,
    /// Scans.
    pub scan: u64,
    /// Those among them that were found by a search, not by the answer.
    pub adopted: u64,
}

impl TargetRow {
    /// Moves it as an entry says that gives a reason, and maybe a verdict.
    pub(super) fn move_to(&mut self, to: &Standing, verdict: Option<Verdict>, why: &str, at: Timestamp) {
        match to {
            Standing::Compliant | Standing::Gone => self.attempts = 0,
            Standing::Retrying { .. } | Standing::Quarantined { .. } if verdict.is_some() => self.attempts = self.attempts.saturating_add(1),
            _ => {}
        }
        if let Some(verdict) = verdict {
            self.judged = Some(Judged { verdict, why: why.to_owned(), at });
        }
        self.stand(to.clone(), at);
    }

    pub(super) fn stand(&mut self, to: Standing, at: Timestamp) {
        if self.standing != to {
            self.since = at;
        }
        self.standing = to;
    }
}

impl WaveRow {
    pub(super) fn of(cut: WaveCut) -> Self {
        Self {
            cut,
            state: WaveState::Waiting,
            sealed: None,
            renewed_at: None,
            opened_at: None,
            approved_by: Vec::new(),
            baking: None,
            proven_at: None,
            ok: 0,
            bad: 0,
            dropped: 0,
            holds: Vec::new(),
        }
    }
}
