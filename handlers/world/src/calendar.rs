//! Change calendars: closed at named times, open at any other.

use tidegate_engine::ports::CalendarSeen;

use crate::clock::{Ms, SECOND, time};
use crate::state::State;

impl State {
    /// How a calendar stands now; `None` where there is no such calendar.
    pub(crate) fn calendar(&self, calendar: &str) -> Option<CalendarSeen> {
        self.calendar_at(calendar, self.now)
    }

    /// How a calendar stands at a time.
    pub(crate) fn calendar_at(&self, calendar: &str, at: Ms) -> Option<CalendarSeen> {
        let closed = self.calendars.get(calendar)?;
        let elapsed = u64::try_from(at.saturating_sub(self.started) / SECOND).unwrap_or(0);
        let is_open = |at: u64| !closed.iter().any(|(from, until)| (*from..*until).contains(&at));
        let open = is_open(elapsed);
        let turns = closed.iter().flat_map(|(from, until)| [*from, *until]).filter(|at| *at > elapsed && is_open(*at) != open).min();
        let turns_at = turns.and_then(|at| i64::try_from(at).ok()).map(|at| time(self.started.saturating_add(at.saturating_mul(SECOND))));
        Some(CalendarSeen { open, at: time(at), turns_at })
    }
}
