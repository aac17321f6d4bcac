//! SSM Change Calendars, as the hub sees them: its own, and those that other accounts share with it.

use aws_sdk_ssm::types::CalendarState;
use jiff::Timestamp;
use tidegate_engine::ports::CalendarSeen;
use tidegate_events::host::SpokeFault;

use super::Inner;
use super::fault::{Caller, Failure};

const CALENDAR: &str = "ssm:GetCalendarState";

/// How a calendar stands now. Only a clear `OPEN` allows changes.
pub(super) async fn look(inner: &Inner, calendar: &str) -> Result<CalendarSeen, SpokeFault> {
    let request = inner.hub.ssm().get_calendar_state().calendar_names(calendar);
    let answer = Caller::hub(&inner.hub).call(CALENDAR, request.send()).await.map_err(Failure::in_hub)?;
    let unreadable = |why: String| SpokeFault::from(Failure::unreadable(CALENDAR, &why));
    let open = match answer.state() {
        Some(CalendarState::Open) => true,
        Some(CalendarState::Closed) => false,
        other => return Err(unreadable(format!("a state that is neither open nor closed: {}", other.map_or("none", CalendarState::as_str)))),
    };
    // AWS's own clock where it tells the time, so that an event that it sent a moment later is not taken for an older word.
    let at = answer.at_time().map_or(Ok(inner.hub.now()), |at| time(at).ok_or_else(|| unreadable(format!("a time that is none: `{at}`"))))?;
    let next = answer.next_transition_time().filter(|at| !at.is_empty());
    let turns_at = next.map(|at| time(at).ok_or_else(|| unreadable(format!("a next change that is no time: `{at}`")))).transpose()?;
    Ok(CalendarSeen { open, at, turns_at })
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
