//! Schedules: bulk runs that begin by the calendar.
//!
//! An occurrence is a civil time in the schedule's zone, put on the time line by the rules of [`window`](crate::window): what the
//! spring change skips fires at the first instant after the gap, what the autumn change repeats fires once, the first time.
//! Each occurrence is settled exactly once, in the organization's own item: it fires, or it is written down as missed and somebody is
//! told. A second tick, a second shell and a restart find it settled.

mod advance;
mod input;
#[cfg(test)]
mod tests;
mod when;

use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use tidegate_events::id::Digest;
use tidegate_events::run::BulkRun;

use crate::cron::CronError;

pub(crate) use advance::apply;
pub use advance::{advance, on_tick};
pub use tidegate_events::schedule::{NAME_CHARS_MAX, ScheduleStep, occurrence_id};
pub use when::Timing;

/// When a bulk run begins by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, unique in the policy.
    pub name: String,
    /// At which civil times.
    pub when: When,
    /// IANA time zone in which those are read.
    pub time_zone: String,
    /// Whether it fires at all.
    pub enabled: bool,
    /// The run input: the name of a JSON file beside the policy.
    pub run: String,
    /// What that file says, once it was read at the edge. A schedule without it never fires: its occurrences are missed, aloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<BulkRun>>,
    /// How late it may still fire, in seconds. What is later is missed.
    pub catch_up_secs: u32,
}

/// The civil times of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// AWS cron, six fields.
    Cron(String),
    /// So many days after the second Tuesday of each month.
    PatchTuesday {
        /// Days, 0 to 27: each month's occurrence comes before the next month's.
        plus_days: u8,
        /// The time of that day.
        at: Time,
    },
}

/// A schedule that can't be evaluated. Parsing a policy excludes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its cron is wrong.
    #[error("schedule `{schedule}` has a wrong cron")]
    Cron {
        /// The schedule.
        schedule: String,
        /// What is wrong.
        source: CronError,
    },
    /// Its zone does not exist.
    #[error("schedule `{schedule}` names the unknown time zone `{zone}`: expected an IANA name such as `Europe/Berlin`")]
    Zone {
        /// The schedule.
        schedule: String,
        /// The zone.
        zone: String,
    },
}

impl Schedule {
    /// Its timing, read once and ready to be asked often.
    ///
    /// # Errors
    /// When its cron or its zone is wrong.
    pub fn timing(&self) -> Result<Timing, ScheduleError> {
        Timing::new(&self.name, &self.when, &self.time_zone)
    }

    /// The digest of what decides when it fires: a changed run or catch-up time is no new schedule.
    pub fn timing_digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(&("schedule 1", &self.name, &self.when, &self.time_zone)).unwrap_or_default())
    }

    /// The first `count` occurrences strictly after `after`.
    ///
    /// # Errors
    /// When its cron or its zone is wrong.
    pub fn next_occurrences(&self, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, ScheduleError> {
        Ok(self.timing()?.occurrences(after).take(count).collect())
    }
}

/// What is to be done about a schedule now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing before the next occurrence; `None` where there is none within ten years.
    NotYet {
        /// The next occurrence.
        next: Option<Timestamp>,
    },
    /// These are not made up for: say so, settle them, and ask again.
    Missed {
        /// The first.
        first: Timestamp,
        /// The last.
        last: Timestamp,
        /// How many, at most [`MISSED_MAX`]: of more, the rest comes with the next question.
        count: u32,
        /// Whether a newer occurrence fires in their place; otherwise they are too old.
        superseded: bool,
    },
    /// This occurrence fires.
    Fire {
        /// The occurrence.
        at: Timestamp,
    },
}

/// Missed occurrences that are counted in one answer at most.
pub const MISSED_MAX: usize = 1_000;

/// What is to be done at `now` about a schedule whose occurrences up to `settled` are settled. Of several that have come, only the
/// newest fires, if it is not older than `catch_up_secs`: two runs of one schedule, one right after the other, patch the same hosts.
pub fn due(timing: &Timing, settled: Timestamp, catch_up_secs: u32, now: Timestamp) -> Due {
    let mut come: Vec<Timestamp> = Vec::new();
    let mut next = None;
    for at in timing.occurrences(settled) {
        if at > now || come.len() > MISSED_MAX {
            next = Some(at);
            break;
        }
        come.push(at);
    }
    let Some((newest, earlier)) = come.split_last() else { return Due::NotYet { next } };
    let missed = |these: &[Timestamp], superseded| match (these.first(), these.last()) {
        (Some(first), Some(last)) => Due::Missed { first: *first, last: *last, count: u32::try_from(these.len()).unwrap_or(u32::MAX), superseded },
        _ => Due::NotYet { next },
    };
    let in_time = crate::desk::secs_between(*newest, now) <= i64::from(catch_up_secs);
    // The newest of a long row is only known once the earlier ones are settled.
    if earlier.len() >= MISSED_MAX {
        return missed(earlier, false);
    }
    match (in_time, earlier.is_empty()) {
        (true, true) => Due::Fire { at: *newest },
        (true, false) => missed(earlier, true),
        (false, _) => missed(&come, false),
    }
}
