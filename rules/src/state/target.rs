//! One target as it is stored: its facts, where it stands, and by when it must be patched.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::deadline::Deadline;
use tidegate_events::entry::Standing;
use tidegate_events::fact::{Fact, Verdict};
use tidegate_events::id::{BatchId, CampaignId, TargetKey};

/// One instance in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which.
    pub key: TargetKey,
    /// Where it stands.
    pub standing: Standing,
    /// The batch that may touch it, exclusively. Never ended by a clock.
    pub lease: Option<BatchId>,
    /// Newest facts first.
    pub facts: Vec<Fact>,
    /// The verdict of the latest attempt.
    pub verdict: Option<Verdict>,
    /// Failed attempts since it was last compliant.
    pub attempts: u32,
    /// Campaigns it was on the roster of, newest first.
    pub campaigns: Vec<CampaignId>,
    /// Batches it was in, newest first.
    pub batches: Vec<BatchId>,
    /// By when it must be patched, while a finding is open and the policy sets a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// The deadline that it broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breached: Option<Timestamp>,
    /// When it was last backed up before an install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backed_up_at: Option<Timestamp>,
    /// What it lacks, as it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<crate::deadline::LacksNow>,
}

impl Target {
    /// A target that nothing is known of.
    pub fn new(key: TargetKey) -> Self {
        Self {
            key,
            standing: Standing::Compliant,
            lease: None,
            facts: Vec::new(),
            verdict: None,
            attempts: 0,
            campaigns: Vec::new(),
            batches: Vec::new(),
            deadline: None,
            breached: None,
            backed_up_at: None,
            lacks: None,
        }
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        let waits = match &self.standing {
            _ if self.lease.is_some() => None,
            Standing::Retrying { not_before } => Some(*not_before),
            Standing::Exempt { until, .. } => Some(*until),
            Standing::Unreachable { look_at, .. } => Some(*look_at),
            _ => None,
        };
        waits.into_iter().chain(self.deadline_due()).min()
    }

    /// Whether it has a finding that is neither patched by two proofs nor excused.
    pub fn owes_a_patch(&self) -> bool {
        !matches!(self.standing, Standing::Compliant | Standing::PatchedUnconfirmed { .. } | Standing::Exempt { .. } | Standing::Gone)
    }

    /// The deadline that it will break, or has broken without a word.
    pub fn deadline_due(&self) -> Option<Timestamp> {
        self.deadline.as_ref().filter(|_| self.breached.is_none() && self.owes_a_patch()).map(|deadline| deadline.at)
    }

    /// The newest fact.
    pub fn fact(&self) -> Option<&Fact> {
        self.facts.first()
    }
}
