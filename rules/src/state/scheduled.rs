//! A schedule, as far as it went.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::id::Digest;

/// How far the occurrences of a schedule are settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Digest of its timing.
    pub timing: Digest,
    /// Every occurrence up to here has fired, was missed, or is none of its own.
    pub settled: Timestamp,
    /// The next occurrence.
    pub next: Option<Timestamp>,
    /// The newest occurrence that fired.
    pub fired: Option<Timestamp>,
}
