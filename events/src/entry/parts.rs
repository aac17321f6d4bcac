//! What entries are made of: steps, pins, cuts, members, limits, grants, clearances and outcomes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fact::Verdict;
use crate::hold::Scope;
use crate::host::Platform;
use crate::id::{Digest, InstanceId, PersonId};
use crate::standing::Standing;

/// What a batch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStep {
    /// Install what the baseline approves.
    Install,
    /// Reboot what an install without reboot left pending.
    Reboot,
    /// Scan afterwards: the second proof.
    Scan,
    /// Back up before the install.
    Backup,
}

impl std::fmt::Display for RunStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Reboot => "reboot",
            Self::Scan => "scan",
            Self::Backup => "backup",
        })
    }
}

/// How firmly the patch set of a wave is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinStrength {
    /// The snapshot is alive and pins packages (Windows).
    Exact,
    /// The snapshot is alive and pins rules, not packages (Linux).
    Dated,
    /// The snapshot is older than it lives (three days): a new one was taken.
    None,
}

/// A wave as it was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaveCut {
    /// Its name in the policy.
    pub name: String,
    /// Number of cells.
    pub cells: u32,
    /// Number of targets.
    pub targets: u64,
    /// Digest over its cells.
    pub digest: Digest,
}

/// A member of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellMember {
    /// The instance.
    pub instance: InstanceId,
    /// Its platform: a command goes to one.
    pub platform: Platform,
    /// Its value of the policy's scope tag, written `key=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The groups that it belongs to, each written `key=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A limit as a count, pinned when the cell was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// What it limits.
    pub scope: Scope,
    /// At most so many targets at once.
    pub limit: u64,
    /// Of so many known ones: what a changed policy's percentage is taken of.
    pub base: u64,
}

/// The part of a limit that a batch holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// What is limited.
    pub scope: Scope,
    /// So many targets.
    pub count: u64,
    /// Of at most so many.
    pub limit: u64,
}

/// A record of a clearance: proof, in the journal, that every gate said yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClearanceRecord {
    /// The wave's digest.
    pub digest: Digest,
    /// The stop cord's epoch.
    pub cord_epoch: u64,
    /// The lane's epoch.
    pub lane_epoch: u64,
    /// Who approved.
    pub approved_by: Vec<PersonId>,
    /// Nothing may start after this.
    pub not_after: Timestamp,
}

/// What became of one member of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The instance.
    pub instance: InstanceId,
    /// The verdict, where something ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Where it stands now.
    pub to: Standing,
    /// How the wave counts it.
    pub count: Count,
    /// Why, in a few words.
    pub why: String,
}

/// How a wave counts a released member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Proven patched.
    Ok,
    /// Failed or unknown: spends the failure budget.
    Bad,
    /// Never touched (compliant, exempt, gone, unreachable before dispatch): outside the budget.
    Dropped,
    /// Goes back to the cell, for a later batch or for its reboot.
    Again,
    /// Counted before; only the lease is given back.
    Counted,
}
