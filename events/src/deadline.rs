//! By when a target must be patched, and who says so.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A deadline with its reason: enough to answer an auditor years later, whatever the policy says by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deadline {
    /// From here on it is broken.
    pub at: Timestamp,
    /// Since when the target is known to be non-compliant.
    pub since: Timestamp,
    /// The rule that sets it: the name of an `[[sla]]`, a row of a decision table, or a CVE of the KEV catalog.
    pub sla: String,
    /// Where that rule comes from.
    pub source: String,
    /// Which version of the source.
    pub version: String,
}

/// A step of a target's deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum DeadlineStep {
    /// It is due then.
    Set {
        /// The deadline.
        deadline: Deadline,
    },
    /// The deadline came and the target was not patched. Said once.
    Breached {
        /// The deadline.
        at: Timestamp,
    },
}
