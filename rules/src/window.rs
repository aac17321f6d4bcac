//! Maintenance windows on the time line.
//!
//! A window opens at a civil time in its zone and stays open for a span of real time. Two days a year civil time and real time
//! disagree, and the rules are these:
//!
//! * A start that the spring change skips (02:30 where 02:00 jumps to 03:00) opens at the first instant after the gap.
//!   EventBridge Scheduler leaves such a run out; a patch night that silently does not happen is the worse surprise.
//! * A start that the autumn change repeats opens once, the first time. EventBridge Scheduler does the same.
//!
//! Zones come from the database in the binary, never from the machine: the same policy and time give the same answer everywhere.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Span, Timestamp};

use crate::cron::{Cron, CronError};
use crate::policy::Window;

/// How far ahead an opening is looked for. The rarest day that comes back for ever is 29 February: eight years at most.
pub(crate) const HORIZON_YEARS: i64 = 10;

/// Whether a target may be touched, as far as windows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// There are no windows: any time will do.
    Always,
    /// A window is open. At or after `cutoff_at` it is still open, but nothing may start any more.
    Open {
        /// The first instant after it.
        closes_at: Timestamp,
        /// From here on nothing may start.
        cutoff_at: Timestamp,
    },
    /// No window is open.
    Closed {
        /// When the next one opens; `None` if none does within ten years.
        opens_at: Option<Timestamp>,
    },
}

impl Opening {
    /// Whether something may start at `now`.
    pub fn lets_start(&self, now: Timestamp) -> bool {
        match self {
            Self::Always => true,
            Self::Open { cutoff_at, .. } => now < *cutoff_at,
            Self::Closed { .. } => false,
        }
    }
}

/// A window that can't be evaluated. Parsing a policy excludes it; a gate that meets it all the same must hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Its cron is wrong.
    #[error("maintenance window `{window}` has a wrong cron")]
    Cron {
        /// The window.
        window: String,
        /// What is wrong.
        source: CronError,
    },
    /// Its zone does not exist.
    #[error("maintenance window `{window}` names the unknown time zone `{zone}`: expected an IANA name such as `Europe/Berlin`")]
    Zone {
        /// The window.
        window: String,
        /// The zone.
        zone: String,
    },
}

/// The zone of this IANA name, whatever its case; `None` if there is no such zone.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name().is_some())
}

/// The names of all zones.
pub fn time_zone_names() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
}

/// Windows, read once and ready to be asked often.
#[derive(Debug, Clone)]
pub struct Calendar {
    windows: Vec<Reading>,
}

#[derive(Debug, Clone)]
struct Reading {
    cron: Cron,
    zone: TimeZone,
    duration: SignedDuration,
    cutoff: SignedDuration,
}

impl Calendar {
    /// Reads windows.
    ///
    /// # Errors
    /// When a cron or a zone is wrong.
    pub fn new(windows: &[Window]) -> Result<Self, WindowError> {
        let read = |window: &Window| {
            Ok(Reading {
                cron: Cron::parse(&window.cron).map_err(|source| WindowError::Cron { window: window.name.clone(), source })?,
                zone: time_zone(&window.time_zone).ok_or_else(|| WindowError::Zone { window: window.name.clone(), zone: window.time_zone.clone() })?,
                duration: SignedDuration::from_secs(i64::from(window.duration_secs)),
                cutoff: SignedDuration::from_secs(i64::from(window.cutoff_secs)),
            })
        };
        Ok(Self { windows: windows.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// How things stand at `now`. Where several windows are open, the one whose cutoff is latest answers.
    pub fn look(&self, now: Timestamp) -> Opening {
        if self.windows.is_empty() {
            return Opening::Always;
        }
        let open = self.windows.iter().filter_map(|window| window.open_at(now)).max_by_key(|(closes_at, cutoff_at)| (*cutoff_at, *closes_at));
        match open {
            Some((closes_at, cutoff_at)) => Opening::Open { closes_at, cutoff_at },
            None => Opening::Closed { opens_at: self.next_opening(now) },
        }
    }

    /// When the next window opens, strictly after `after`; `None` if none does within ten years.
    pub fn next_opening(&self, after: Timestamp) -> Option<Timestamp> {
        self.windows.iter().filter_map(|window| window.next_opening(after)).min()
    }
}

impl Reading {
    /// End and cutoff of the opening that holds at `now`. The latest one that has begun: all last equally long.
    fn open_at(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let latest = latest_begun(&self.zone, now);
        // No zone has ever skipped more than a day.
        let earliest = latest.checked_sub(self.duration).ok()?.checked_sub(SignedDuration::from_hours(26)).ok()?;
        let opened_at = place(&self.zone, self.cron.last_until(latest, earliest)?)?;
        let closes_at = later(opened_at, self.duration);
        (opened_at <= now && now < closes_at).then(|| (closes_at, later(closes_at, -self.cutoff).max(opened_at)))
    }

    fn next_opening(&self, after: Timestamp) -> Option<Timestamp> {
        let from = latest_begun(&self.zone, after).checked_add(SignedDuration::from_secs(1)).ok()?;
        let until = from.saturating_add(Span::new().years(HORIZON_YEARS));
        place(&self.zone, self.cron.first_from(from, until)?)
    }
}

/// The latest civil time, in whole seconds, that has come at `now`: [`place`] puts every later one after `now` and no earlier
/// one after it. That is the time on the clock, except while the clock repeats an hour: all of that hour has come already.
pub(crate) fn latest_begun(zone: &TimeZone, now: Timestamp) -> DateTime {
    let offset = zone.to_offset(now);
    let shown = offset.to_datetime(now);
    let shown = shown.with().subsec_nanosecond(0).build().unwrap_or(shown);
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Fold { before, after } if offset == after => {
            let second = SignedDuration::from_secs(1);
            // Strictly before the next second: so a change at this very second counts.
            let change = zone.preceding(later(now, second)).next().map(|change| before.to_datetime(change.timestamp()));
            change.and_then(|end| end.checked_sub(second).ok()).unwrap_or(shown)
        }
        _ => shown,
    }
}

/// The instant of a civil time: the first of two, or the first after a gap.
pub(crate) fn place(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { .. } => {
            // Read with the new offset, a time in the gap lies before the change: the change is the next one after it.
            let before_change = ambiguous.earlier().ok()?;
            zone.following(before_change).next().map(|change| change.timestamp())
        }
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// How things stand at `now`; see [`Calendar::look`]. Reads the windows anew, which takes a few microseconds each.
///
/// # Errors
/// When a cron or a zone is wrong.
pub fn look(windows: &[Window], now: Timestamp) -> Result<Opening, WindowError> {
    Calendar::new(windows).map(|calendar| calendar.look(now))
}

/// When the next window opens, strictly after `after`; see [`Calendar::next_opening`].
///
/// # Errors
/// When a cron or a zone is wrong.
pub fn next_opening(windows: &[Window], after: Timestamp) -> Result<Option<Timestamp>, WindowError> {
    Calendar::new(windows).map(|calendar| calendar.next_opening(after))
}

/// How things stand at `now` where two sets of windows must both be open, as when a policy changes during a campaign. Both
/// ends come from whichever is stricter; `opens_at` is when something may next start under both.
///
/// # Errors
/// When a cron or a zone is wrong.
pub fn look_both(ours: &[Window], theirs: &[Window], now: Timestamp) -> Result<Opening, WindowError> {
    let (ours, theirs) = (Calendar::new(ours)?, Calendar::new(theirs)?);
    Ok(match (ours.look(now), theirs.look(now)) {
        (Opening::Always, other) | (other, Opening::Always) => other,
        (Opening::Open { closes_at, cutoff_at }, Opening::Open { closes_at: closes, cutoff_at: cutoff }) => {
            Opening::Open { closes_at: closes_at.min(closes), cutoff_at: cutoff_at.min(cutoff) }
        }
        _ => Opening::Closed { opens_at: next_common(&ours, &theirs, now) },
    })
}

/// The first instant after `now` at which something may start under both. It is an opening of one of them, so it is enough
/// to look at those; a pair that has not met after so many is taken never to meet, which holds.
fn next_common(ours: &Calendar, theirs: &Calendar, now: Timestamp) -> Option<Timestamp> {
    const LOOKS: usize = 2_000;
    let mut at = now;
    for _ in 0..LOOKS {
        at = match (ours.next_opening(at), theirs.next_opening(at)) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        if ours.look(at).lets_start(at) && theirs.look(at).lets_start(at) {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
