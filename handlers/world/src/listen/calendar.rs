//! Change calendars over the wire. They are the hub's: other accounts have none.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Asked, Refusal, compact};
use super::read;
use crate::clock::{iso_secs, ms};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Question {
    calendar_names: Option<Vec<String>>,
    at_time: Option<String>,
}

/// GetCalendarState: open only if every named calendar is.
pub(super) fn get_calendar_state(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let question: Question = read(body)?;
    let names = question.calendar_names.ok_or_else(|| Refusal::missing("calendarNames"))?;
    let at = match &question.at_time {
        None => asked.inner.state.now,
        Some(text) => text.parse::<Timestamp>().map(ms).map_err(|_| Refusal::new("ValidationException", format!("Invalid ISO 8601 string: {text}")))?,
    };
    let (mut open, mut turns) = (true, Vec::new());
    for name in &names {
        // By name, or by the ARN of its document.
        let known = name.rsplit_once(":document/").map_or(name.as_str(), |(_, name)| name);
        let seen = (asked.spoke.account == asked.hub).then(|| asked.inner.state.calendar_at(known, at)).flatten();
        let seen = seen.ok_or_else(|| Refusal::new("InvalidDocument", format!("Document with name {name} does not exist.")))?;
        open &= seen.open;
        turns.extend(seen.turns_at.map(ms));
    }
    let state = if open { "OPEN" } else { "CLOSED" };
    Ok(compact(json!({ "State": state, "AtTime": iso_secs(at), "NextTransitionTime": turns.into_iter().min().map(iso_secs) })))
}
