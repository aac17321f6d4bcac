//! The civil times of a schedule, and where they lie on the time line.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::{ScheduleError, When};
use crate::cron::Cron;
use crate::window::{self, HORIZON_YEARS, latest_begun, place};

/// When a schedule fires, ready to be asked.
#[derive(Debug, Clone)]
pub struct Timing {
    rule: Rule,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Rule {
    Cron(Box<Cron>),
    PatchTuesday { plus_days: i64, at: Time },
}

impl Timing {
    /// Reads it; `schedule` is what an error calls it.
    ///
    /// # Errors
    /// When the cron or the zone is wrong.
    pub fn new(schedule: &str, when: &When, time_zone: &str) -> Result<Self, ScheduleError> {
        let rule = match when {
            When::Cron(cron) => Rule::Cron(Box::new(Cron::parse(cron).map_err(|source| ScheduleError::Cron { schedule: schedule.to_owned(), source })?)),
            When::PatchTuesday { plus_days, at } => Rule::PatchTuesday { plus_days: i64::from(*plus_days), at: *at },
        };
        let zone = window::time_zone(time_zone).ok_or_else(|| ScheduleError::Zone { schedule: schedule.to_owned(), zone: time_zone.to_owned() })?;
        Ok(Self { rule, zone })
    }

    /// The first occurrence strictly after `after`; `None` if there is none within ten years.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let from = latest_begun(&self.zone, after).checked_add(SignedDuration::from_secs(1)).ok()?;
        let until = from.saturating_add(Span::new().years(HORIZON_YEARS));
        let civil = match &self.rule {
            Rule::Cron(cron) => cron.first_from(from, until)?,
            Rule::PatchTuesday { plus_days, at } => first_patch_tuesday(*plus_days, *at, from, until)?,
        };
        place(&self.zone, civil)
    }

    /// All occurrences strictly after `after`, in order.
    pub fn occurrences(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
    }
}

/// The first `plus_days` after a second Tuesday, at that time of day, from `from` on (inclusive) and not after `until`.
fn first_patch_tuesday(plus_days: i64, at: Time, from: DateTime, until: DateTime) -> Option<DateTime> {
    // Counted from the month before: its second Tuesday and 27 days may lie in this one.
    let mut month = from.date().first_of_month().checked_sub(Span::new().months(1)).ok()?;
    loop {
        let tuesday = month.nth_weekday_of_month(2, Weekday::Tuesday).ok()?;
        let day = tuesday.checked_add(Span::new().days(plus_days)).ok()?.to_datetime(at);
        if day > until {
            return None;
        }
        if day >= from {
            return Some(day);
        }
        month = month.checked_add(Span::new().months(1)).ok()?;
    }
}
