//! Facts about one target as AWS states them: compliance, invocations, patch states; and our verdict over them.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, SnapshotId};

/// What a Config rule says of a resource. Source: the Config API model, `ComplianceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Compliance {
    /// The resource passes the rule.
    Compliant,
    /// The resource fails the rule: a finding.
    NonCompliant,
    /// The rule does not apply; also what a deleted resource turns into.
    NotApplicable,
    /// Config cannot say.
    InsufficientData,
}

impl fmt::Display for Compliance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::NotApplicable => "NOT_APPLICABLE",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        })
    }
}

/// Who told us a compliance fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactSource {
    /// A Config rule, by the (possibly suffixed) name in its event.
    ConfigRule(String),
    /// SSM's own `Configuration Compliance State Change`; it names no rule.
    SsmCompliance,
    /// A Security Hub control, by its id, such as `SSM.2`: it repeats a Config rule's verdict without the time of capture.
    SecurityHub(String),
    /// The instance's own patch state in Systems Manager: what its agent reported last, read by API. It opens findings that no
    /// event has told and AWS Config has not judged; it never closes one.
    PatchState,
}

impl FactSource {
    /// Whether it only repeats what another has judged, at a time that says nothing about when the judged state was captured.
    pub fn is_copy(&self) -> bool {
        matches!(self, Self::SecurityHub(_))
    }
}

impl fmt::Display for FactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigRule(name) => write!(f, "Config rule `{name}`"),
            Self::SsmCompliance => f.write_str("Systems Manager compliance"),
            Self::SecurityHub(control) => write!(f, "Security Hub control `{control}`"),
            Self::PatchState => f.write_str("its patch state"),
        }
    }
}

/// One statement about one target's compliance.
///
/// Two statements with equal `compliance` and `ordering` are one fact, whoever emits it: several rules (standalone,
/// organization, conformance pack, Security Hub's) judge the same configuration item. A copy (Security Hub) has no
/// time of capture: it counts where nothing is known at first hand, and is known already or stale everywhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// What was found.
    pub compliance: Compliance,
    /// When the judged state was captured (`orderingTimestamp`); decides what is newer. Of a copy: when it was made, which is
    /// later by an unknown span.
    pub ordering: Timestamp,
    /// When the result was recorded; only breaks ties, since a re-evaluation stamps old facts anew.
    pub recorded: Timestamp,
    /// Who said so.
    pub source: FactSource,
}

impl Fact {
    /// Whether both state the same thing about the same captured state. A copy and a fact at first hand are never the same,
    /// even of one time: only one of the two times is that of the capture.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.compliance == other.compliance && self.ordering == other.ordering && self.source.is_copy() == other.source.is_copy()
    }

    /// Whether this is a copy of a verdict that is known at first hand.
    pub fn echoes(&self, known: &Self) -> bool {
        self.compliance == known.compliance && self.source.is_copy() && !known.source.is_copy()
    }

    /// Whether this is newer than `other`. What is known at first hand is newer than any copy, whenever that was made: a copy
    /// may be made of an old state at any time. Then by capture time, then by recording time; where all are equal,
    /// non-compliant counts as newer. So any order of arrival ends in the same verdict, and in the safe one.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let place = |fact: &Self| (!fact.source.is_copy(), fact.ordering, fact.recorded, fact.compliance == Compliance::NonCompliant);
        place(self) > place(other)
    }
}

/// How an invocation stands, from `Status` and `StatusDetails` together (aws-facts 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvocationStatus {
    /// Not delivered yet, or being delivered again.
    Pending,
    /// Running on the instance.
    InProgress,
    /// The document ended with exit code 0; that is not yet proof of anything.
    Success,
    /// The document ended with an error.
    Failed,
    /// The agent took it and did not end in time.
    ExecutionTimedOut,
    /// The agent did not take it in time; it may still run.
    DeliveryTimedOut,
    /// The instance could not be reached.
    Undeliverable,
    /// The caller may not reach this instance.
    AccessDenied,
    /// The document does not run on this platform.
    InvalidPlatform,
    /// Cancelled before or while running.
    Cancelled,
    /// The parent command gave up (max errors, pending-invocation quota) before it ran here.
    NeverRan,
}

impl InvocationStatus {
    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }

    /// Whether the document may have run, or may still run, on the instance.
    pub fn may_have_run(self) -> bool {
        !matches!(self, Self::Undeliverable | Self::AccessDenied | Self::InvalidPlatform | Self::NeverRan)
    }

    /// Reads `Status` with `StatusDetails` (empty where an event carries none). Documentation prints the details with
    /// spaces, filters without: both compare equal here. `None` for words that SSM does not know today.
    pub fn from_words(status: &str, details: &str) -> Option<Self> {
        let squash = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
        let by_word = |word: &str| {
            Some(match word {
                // What is delivered again has not been delivered.
                "pending" | "delayed" => Self::Pending,
                "inprogress" | "cancelling" => Self::InProgress,
                "success" => Self::Success,
                "failed" | "incomplete" => Self::Failed,
                "executiontimedout" => Self::ExecutionTimedOut,
                "deliverytimedout" | "timedout" => Self::DeliveryTimedOut,
                "undeliverable" => Self::Undeliverable,
                "accessdenied" => Self::AccessDenied,
                "invalidplatform" => Self::InvalidPlatform,
                "cancelled" => Self::Cancelled,
                "terminated" | "rateexceeded" | "limitexceeded" | "noinstancesintag" => Self::NeverRan,
                _ => return None,
            })
        };
        by_word(&squash(details)).or_else(|| by_word(&squash(status)))
    }
}

impl fmt::Display for InvocationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::InProgress => "In Progress",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::ExecutionTimedOut => "Execution Timed Out",
            Self::DeliveryTimedOut => "Delivery Timed Out",
            Self::Undeliverable => "Undeliverable",
            Self::AccessDenied => "Access Denied",
            Self::InvalidPlatform => "Invalid Platform",
            Self::Cancelled => "Cancelled",
            Self::NeverRan => "Terminated",
        })
    }
}

/// One instance's line of `ListCommandInvocations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invocation {
    /// The instance.
    pub instance: InstanceId,
    /// How it stands.
    pub status: InvocationStatus,
    /// When the document ended on the instance, where it ran to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What `AWS-RunPatchBaseline` was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// Look, install nothing.
    Scan,
    /// Install what the baseline approves.
    Install,
}

/// One instance's line of `DescribeInstancePatchStates`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatchState {
    /// The instance.
    pub instance: InstanceId,
    /// The baseline that was applied.
    pub baseline: String,
    /// The snapshot that was applied, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// What ran.
    pub operation: Operation,
    /// When it started on the instance.
    pub started_at: Timestamp,
    /// When it ended on the instance.
    pub ended_at: Timestamp,
    /// Approved patches that are not installed.
    pub missing: u32,
    /// Patches whose installation failed.
    pub failed: u32,
    /// Installed, but not in force before a reboot.
    pub pending_reboot: u32,
    /// Installed although rejected: no Install can mend that.
    pub rejected: u32,
}

impl PatchState {
    /// Nothing missing, failed, waiting for a reboot or rejected.
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.failed == 0 && self.pending_reboot == 0 && self.rejected == 0
    }

    /// What this states of compliance: non-compliant as of the operation's end, or nothing. A clean state is no statement: an
    /// Install's own report lists nothing missing, and where a scan is clean AWS Config says so itself.
    pub fn finding(&self) -> Option<Fact> {
        (!self.is_clean()).then_some(Fact {
            compliance: Compliance::NonCompliant,
            ordering: self.ended_at,
            recorded: self.ended_at,
            source: FactSource::PatchState,
        })
    }

    /// Only a reboot is missing.
    pub fn awaits_reboot_only(&self) -> bool {
        self.missing == 0 && self.failed == 0 && self.rejected == 0 && self.pending_reboot > 0
    }
}

/// What an attempt came to, by the three proofs: the invocation's end, the scan after it, and Config's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All three proofs agree.
    Remediated,
    /// Invocation and scan agree; Config has not spoken (yet, or does not record).
    PatchedUnconfirmed,
    /// Installed, not in force before a reboot.
    PendingReboot,
    /// The invocation said success, the scan or Config says otherwise.
    FalseSuccess,
    /// The invocation said failure, the scan says patched.
    FalseFailure,
    /// Some patches failed to install.
    Partial,
    /// Another scanner replaced the patch state that would have proven it.
    Overwritten,
    /// Not provable: treated as bad.
    Unknown,
    /// Failed, and the scan says so too (or there was nothing to scan).
    Failed,
}

impl Verdict {
    /// Every verdict, in the order of the summary.
    pub const ALL: [Self; 9] = [
        Self::Remediated,
        Self::PendingReboot,
        Self::FalseSuccess,
        Self::FalseFailure,
        Self::Partial,
        Self::Overwritten,
        Self::PatchedUnconfirmed,
        Self::Unknown,
        Self::Failed,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Remediated => "remediated",
            Self::PatchedUnconfirmed => "patched_unconfirmed",
            Self::PendingReboot => "pending_reboot",
            Self::FalseSuccess => "false_success",
            Self::FalseFailure => "false_failure",
            Self::Partial => "partial",
            Self::Overwritten => "overwritten",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }

    /// Whether the scan proved the instance patched, so that lease and grants may go and the bake may start.
    pub fn is_patched(self) -> bool {
        matches!(self, Self::Remediated | Self::PatchedUnconfirmed | Self::FalseFailure)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_details_decide_over_the_status() {
        let read = InvocationStatus::from_words;
        assert_eq!(read("TimedOut", "Execution Timed Out"), Some(InvocationStatus::ExecutionTimedOut));
        assert_eq!(read("TimedOut", "DeliveryTimedOut"), Some(InvocationStatus::DeliveryTimedOut));
        assert_eq!(read("TimedOut", ""), Some(InvocationStatus::DeliveryTimedOut));
        assert_eq!(read("Failed", "Access Denied"), Some(InvocationStatus::AccessDenied));
        assert_eq!(read("Failed", "NewWordOf2027"), Some(InvocationStatus::Failed));
        assert_eq!(read("Exploded", ""), None);
    }

    #[test]
    fn unknown_is_never_good() {
        let good: Vec<Verdict> = Verdict::ALL.into_iter().filter(|verdict| verdict.is_patched()).collect();
        assert_eq!(good, [Verdict::Remediated, Verdict::FalseFailure, Verdict::PatchedUnconfirmed]);
    }
}
