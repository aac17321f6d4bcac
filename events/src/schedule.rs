//! What becomes of one schedule: the journal's words for it. What a schedule says is policy; when it fires is decided elsewhere.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, IdError, PersonId};

/// A step of one schedule. An occurrence is settled once: fired or missed, never both and never twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ScheduleStep {
    /// It was met for the first time, or its timing has changed: occurrences up to now are none of its own.
    Noted {
        /// Digest of its timing.
        timing: Digest,
        /// Its next occurrence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Timestamp>,
    },
    /// It fired.
    Fired {
        /// For this occurrence.
        occurrence: Timestamp,
        /// Digest of the run that it asked for.
        run: Digest,
        /// The occurrence after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Timestamp>,
    },
    /// It did not fire although its time had come.
    Missed {
        /// The first occurrence that was missed.
        first: Timestamp,
        /// The last one of a row; the same where it is only one.
        last: Timestamp,
        /// How many.
        count: u32,
        /// Why.
        why: String,
        /// The occurrence after them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Timestamp>,
    },
    /// It is switched off: its occurrences are none until it is met again.
    Paused,
}

/// Who asks for the runs of a schedule.
///
/// # Errors
/// When the name is no schedule's.
pub fn asker(schedule: &str) -> Result<PersonId, IdError> {
    format!("schedule.{schedule}").parse()
}

/// Longest name of a schedule, in characters: it stands in the id of its runs, which has 64 at most.
pub const NAME_CHARS_MAX: usize = 40;

/// Names one occurrence of one schedule, such as `weekly.20261025T010000Z`: whatever asks for the same run twice says the same name.
pub fn occurrence_id(schedule: &str, at: Timestamp) -> String {
    format!("{schedule}.{}", at.strftime("%Y%m%dT%H%M%SZ"))
}
