//! Exemptions as AWS Config is told of them: a remediation exception of an exempt target keeps the rule's automatic remediation
//! away from it, and tells whoever looks at the rule who answers for it, why, and until when. It changes no verdict.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::SpokeFault;
use crate::id::{AccountId, Digest, InstanceId, Region};

/// Instances of one call at most: `PutRemediationExceptions` and `DeleteRemediationExceptions` take 100 keys.
pub const EXCEPTIONS_MAX: usize = 100;

/// Whom one call is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exceptions {
    /// The Config rule that found them.
    pub rule: String,
    /// The type of resource that it judges.
    pub resource_type: String,
    /// The instances, at most [`EXCEPTIONS_MAX`].
    pub instances: Vec<InstanceId>,
}

/// What is said of exempt targets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExceptionNote {
    /// The first instant after it: Config forgets it then.
    pub until: Timestamp,
    /// Who answers for it, why and in which ticket: one line of at most 1,024 characters.
    pub message: String,
}

/// One call: exceptions are put, or taken back where nothing is said of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionCall {
    /// Of whom.
    pub on: Exceptions,
    /// What is said; `None` takes back what was.
    pub note: Option<ExceptionNote>,
}

/// What came of a call: those of its instances that Config did not take, with its reason.
pub type ExceptionOutcome = Result<Vec<(InstanceId, String)>, SpokeFault>;

/// Instances with the same rule and end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excepted {
    /// The rule.
    pub rule: String,
    /// Until when.
    pub until: Timestamp,
    /// The instances.
    pub instances: Vec<InstanceId>,
}

/// One change of what AWS Config was told about exemptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum MirrorStep {
    /// The policy's exemptions are others than before: whoever is exempt is looked at again.
    Reviewed {
        /// Digest of all of them.
        exemptions: Digest,
    },
    /// Config is to be told of these.
    Asked {
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// The instances.
        instances: Vec<InstanceId>,
        /// When it is asked again, where no answer was written by then.
        again_at: Timestamp,
    },
    /// Config was told, or could not be.
    Told {
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// Exceptions that are there from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        put: Vec<Excepted>,
        /// Exceptions that are no longer there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<Exceptions>,
        /// Instances of which nothing is left to be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        settled: Vec<InstanceId>,
        /// Why some were not taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<MirrorFault>,
        /// When it is tried again; `None` where nothing is left to be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Timestamp>,
    },
}

/// Why Config was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorFault {
    /// What it said.
    pub why: String,
    /// Of which kind that is.
    pub kind: MirrorFaultKind,
}

/// Of which kind a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MirrorFaultKind {
    /// No usable answer, or too many calls: operators are not told of that.
    Passing,
    /// The spoke does not let us.
    Refused,
    /// Config did not take some of the instances.
    Instances,
}
