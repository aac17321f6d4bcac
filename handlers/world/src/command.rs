//! A command as Systems Manager keeps it: the request, and one invocation for each host.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_engine::ports::Spoke;
use tidegate_events::fact::{InvocationStatus, Operation};
use tidegate_events::id::{CommandId, InstanceId, SnapshotId};

use crate::clock::Ms;

/// A SendCommand that was accepted, whether or not the caller learned of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRecord {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub spoke: Spoke,
    /// Its `Comment`.
    pub marker: String,
    /// The command that it became.
    pub command: CommandId,
    /// The document.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Whether it installs and scans patches; what does not is written down as an install.
    pub patches: bool,
    /// What was asked for.
    pub operation: Operation,
    /// Whether `RebootOption` allows a reboot; that is its default.
    pub reboots: bool,
    /// The snapshot that pins the patch set.
    pub snapshot: Option<SnapshotId>,
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// When SSM gives up on it: delivery and execution time-out together.
    pub expires_at: Timestamp,
    /// Whether the caller got the answer.
    pub answered: bool,
}

/// How far an invocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Behind the `MaxConcurrency` of its command.
    Queued,
    /// Waits for the agent.
    Sent,
    /// Runs on the host, before or during the installation or scan.
    Running,
    /// Runs on the host, after the installation.
    Finishing,
    /// Nothing of it runs or will run.
    Done,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub host: u32,
    pub phase: Phase,
    pub status: InvocationStatus,
    /// Which install or scan of its host this is, counted from 0.
    pub ordinal: u32,
    /// When delivery times out.
    pub due: Ms,
    pub started: Ms,
    /// When the document ended on the host, whether or not anybody has heard of it.
    pub ended: Option<Ms>,
    /// Its delivery timed out, and it runs all the same.
    pub is_late: bool,
    /// Cut off by the execution time-out.
    pub overran: bool,
    /// It has the package manager's lock, or another install had it.
    pub has_lock: bool,
    pub locked_out: bool,
    /// Patches that it could not install.
    pub left: u32,
    /// The hook before the install failed.
    pub hook_failed: bool,
}

impl Slot {
    pub fn new(host: u32) -> Self {
        Self {
            host,
            phase: Phase::Queued,
            status: InvocationStatus::Pending,
            ordinal: 0,
            due: 0,
            started: 0,
            ended: None,
            is_late: false,
            overran: false,
            has_lock: false,
            locked_out: false,
            left: 0,
            hook_failed: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Command {
    pub record: Arc<SendRecord>,
    /// Identity as a number: what draws about it are about.
    pub id: u64,
    pub requested: Ms,
    pub expires: Ms,
    /// How long after its request a host may pick it up.
    pub delivery: Ms,
    /// How long the document may run.
    pub execution: Ms,
    /// From when on ListCommands and ListCommandInvocations show it.
    pub listed_from: Ms,
    pub invocations_from: Ms,
    pub max_concurrency: u32,
    /// So many errors are borne; any number where there is no bound.
    pub max_errors: Option<u32>,
    pub slots: Vec<Slot>,
    /// The next slot that waits for a place.
    pub next: usize,
    /// Slots without a final status.
    pub open: usize,
    pub is_begun: bool,
    pub is_cancelled: bool,
    /// Whether its expiry is on the agenda.
    pub expiry_known: bool,
}

impl Command {
    /// The status of the whole (aws-facts 2.2): an undeliverable invocation does not spoil a success.
    pub fn status(&self) -> &'static str {
        let any = |status: InvocationStatus| self.slots.iter().any(|slot| slot.status == status);
        if self.open > 0 {
            if self.is_begun { "InProgress" } else { "Pending" }
        } else if self.is_cancelled {
            "Cancelled"
        } else if any(InvocationStatus::Failed) {
            "Failed"
        } else if any(InvocationStatus::ExecutionTimedOut) || !any(InvocationStatus::Success) {
            "TimedOut"
        } else {
            "Success"
        }
    }
}

/// The coarse status that events and `Status` carry; `StatusDetails` tells the rest (aws-facts 2.2).
pub(crate) fn coarse(status: InvocationStatus) -> &'static str {
    match status {
        InvocationStatus::Pending => "Pending",
        InvocationStatus::InProgress => "InProgress",
        InvocationStatus::Success => "Success",
        InvocationStatus::Cancelled | InvocationStatus::NeverRan => "Cancelled",
        InvocationStatus::ExecutionTimedOut | InvocationStatus::DeliveryTimedOut => "TimedOut",
        InvocationStatus::Failed | InvocationStatus::Undeliverable | InvocationStatus::AccessDenied | InvocationStatus::InvalidPlatform => "Failed",
    }
}
