//! Where a target stands: the twelve states of the summary, each with what it needs to be explained.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BatchId, CampaignId, CellId};

/// Where a target stands. Every known target stands in exactly one place (invariant 6, conservation).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Nothing to do.
    Compliant,
    /// On the roster of a campaign; in a wave once that campaign has closed.
    Enrolled {
        /// The campaign.
        campaign: CampaignId,
    },
    /// An attempt failed; it joins a campaign again later.
    Retrying {
        /// Not before.
        not_before: Timestamp,
    },
    /// In a batch that installs or reboots.
    Running {
        /// The batch.
        batch: BatchId,
    },
    /// In a batch that scans what was installed.
    Verifying {
        /// The batch.
        batch: BatchId,
    },
    /// Installed; the reboot is a step of its own and has not happened.
    PendingReboot {
        /// The cell that did it.
        cell: CellId,
    },
    /// Invocation and scan agree; Config has not confirmed it.
    PatchedUnconfirmed {
        /// The cell that did it.
        cell: CellId,
        /// When the install ended: Config's word counts from here.
        installed_at: Timestamp,
        /// When the scan that proves it started: an opposite word newer than this is a failure.
        proven_at: Timestamp,
        /// Why Config's word is no longer awaited, where it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lag: Option<Lag>,
    },
    /// Exempted by its owner.
    Exempt {
        /// Until when.
        until: Timestamp,
        /// Who answers for it.
        owner: String,
        /// Why.
        reason: String,
    },
    /// Out of attempts: a named owner must look.
    Quarantined {
        /// Who.
        owner: String,
        /// Why.
        why: String,
    },
    /// It can't be reached; looked at again by itself.
    Unreachable {
        /// Why.
        why: String,
        /// When it is looked at next.
        look_at: Timestamp,
        /// How often it was looked at in vain.
        looks: u32,
    },
    /// Systems Manager does not know it.
    Unmanaged {
        /// Why.
        why: String,
    },
    /// Terminated.
    Gone,
}

/// Why Config's confirmation is no longer awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lag {
    /// Config records, and had not said so in time.
    ConfigLagging,
    /// Config does not record this resource.
    NotRecorded,
}

impl Standing {
    /// The names of `by_state` in the summary, in its order.
    pub const NAMES: [&'static str; 12] = [
        "compliant",
        "queued",
        "in_wave",
        "running",
        "verifying",
        "pending_reboot",
        "patched_unconfirmed",
        "exempt",
        "quarantined",
        "unreachable",
        "unmanaged",
        "gone",
    ];

    /// The name in `by_state`; an enrolled target is in a wave once its campaign is cut.
    pub fn name(&self, campaign_is_cut: bool) -> &'static str {
        match self {
            Self::Compliant => "compliant",
            Self::Enrolled { .. } if campaign_is_cut => "in_wave",
            Self::Enrolled { .. } | Self::Retrying { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Verifying { .. } => "verifying",
            Self::PendingReboot { .. } => "pending_reboot",
            Self::PatchedUnconfirmed { .. } => "patched_unconfirmed",
            Self::Exempt { .. } => "exempt",
            Self::Quarantined { .. } => "quarantined",
            Self::Unreachable { .. } => "unreachable",
            Self::Unmanaged { .. } => "unmanaged",
            Self::Gone => "gone",
        }
    }
}
