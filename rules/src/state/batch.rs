//! One batch as it is stored: its members, what it holds, and where it stands between intent and proof.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::Hold;
use tidegate_events::entry::{CellMember, Grant, RunStep};
use tidegate_events::fact::InvocationStatus;
use tidegate_events::host::Platform;
use tidegate_events::id::{BatchId, CommandId, Digest, InstanceId, SnapshotId};

/// Up to 50 targets of one cell and platform: one SSM command's worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// Install or reboot.
    pub step: RunStep,
    /// Platform.
    pub platform: Platform,
    /// Its members.
    pub members: Vec<BatchMember>,
    /// What it holds of each limit.
    pub grants: Vec<Grant>,
    /// The patch set.
    pub snapshot: SnapshotId,
    /// `RebootIfNeeded` or `NoReboot`.
    pub reboot_option: String,
    /// Counts the sends.
    pub generation: u32,
    /// When the install or reboot was sent.
    pub ran_at: Option<Timestamp>,
    /// Scans that could not be delivered or failed.
    pub scan_tries: u32,
    /// The execution that backs its members up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<CommandId>,
    /// Where it stands.
    pub phase: BatchPhase,
}

/// A member of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMember {
    /// Who.
    pub member: CellMember,
    /// How its install or reboot ended, and when on the instance.
    pub ran: Option<(InvocationStatus, Option<Timestamp>)>,
    /// How its latest scan ended.
    pub scanned: Option<InvocationStatus>,
    /// Whether it has left.
    pub released: bool,
    /// Whether it waits, counted as unknown, for a scan.
    pub stranded: bool,
    /// Whether the stop cord asked to cancel it before it was delivered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Whether the stop cord asked to cancel it while it ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
    /// Its backup before the install, where it gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
}

/// A member's backup before its install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backup {
    /// It has not ended.
    Due,
    /// How it ended.
    Ended(InvocationStatus),
}

/// Where a batch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum BatchPhase {
    /// Nothing is sent of this step, provably.
    Ready {
        /// Which step.
        step: RunStep,
        /// When it is sent.
        at: Timestamp,
        /// Why not before.
        hold: Option<Hold>,
        /// How often it was put off.
        put_off: u32,
    },
    /// The intent is written; the send may have happened.
    Sending {
        /// Which step.
        step: RunStep,
        /// Signing time of the request.
        at: Timestamp,
        /// Complete searches that found nothing.
        searches: u32,
        /// When it is searched.
        search_at: Timestamp,
    },
    /// SSM has it.
    Sent {
        /// Which step.
        step: RunStep,
        /// The command.
        command: CommandId,
        /// When it was sent.
        at: Timestamp,
        /// When SSM gives up.
        expires_at: Timestamp,
        /// When it is looked at.
        look_at: Timestamp,
    },
    /// The scan ended; patch states are read.
    Proving {
        /// When the scan was sent: a state must be newer.
        scan_at: Timestamp,
        /// When they are read.
        at: Timestamp,
        /// How often in vain.
        reads: u32,
    },
    /// Some members could not be scanned; tried again later.
    Stranded {
        /// When.
        at: Timestamp,
        /// How often it was tried.
        tries: u32,
    },
    /// All members have left.
    Ended,
}

impl Batch {
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        match &self.phase {
            BatchPhase::Ready { at, .. } | BatchPhase::Proving { at, .. } | BatchPhase::Stranded { at, .. } => Some(*at),
            BatchPhase::Sending { search_at, .. } => Some(*search_at),
            BatchPhase::Sent { look_at, .. } => Some(*look_at),
            BatchPhase::Ended => None,
        }
    }

    /// Members that have not left.
    pub fn present(&self) -> impl Iterator<Item = &BatchMember> {
        self.members.iter().filter(|member| !member.released)
    }

    /// Instances that have not left.
    pub fn instances(&self) -> Vec<InstanceId> {
        self.present().map(|member| member.member.instance.clone()).collect()
    }

    /// Those of them that a step is about: a backup leaves out who has one.
    pub fn instances_of(&self, step: RunStep) -> Vec<InstanceId> {
        self.present().filter(|member| step != RunStep::Backup || member.backup.is_some()).map(|member| member.member.instance.clone()).collect()
    }

    /// Names this batch's attempt: unique, and the same for every send of it.
    pub fn attempt(&self) -> Digest {
        Digest::of_parts([b"attempt".as_slice(), self.id.to_string().as_bytes()])
    }

    /// What travels in the command's `Comment`, and what a search finds it by. At most 100 characters.
    pub fn marker(&self, step: RunStep, generation: u32) -> String {
        let attempt: String = self.attempt().to_string().chars().take(24).collect();
        format!("tidegate/{attempt}/{step}/{generation}")
    }
}
