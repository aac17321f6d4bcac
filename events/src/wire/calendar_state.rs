//! SSM Change Calendar: a calendar opened or closed.
//!
//! Source: Systems Manager user guide, "EventBridge event examples", Change Calendar. AWS sends none for calendars that
//! another account shares.

use serde_json::Value;

use crate::event::Event;

use super::envelope::Envelope;
use super::reader::{Stop, kind_of, rfc3339};

/// `Calendar State Change`. The detail does not name the calendar; the envelope's resources do.
pub(super) fn calendar(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let calendar = match envelope.resources.first() {
        Some(Value::String(arn)) if arn.starts_with("arn:") => arn.clone(),
        Some(other) => return Err(Stop::Rejected(format!("resources[0]: expected the calendar's ARN, got {}", kind_of(other)))),
        None => return Err(Stop::Rejected("resources is empty: expected the calendar's ARN".into())),
    };
    let state = detail.text("state")?;
    let open = match state.to_ascii_uppercase().as_str() {
        "OPEN" => true,
        "CLOSED" => false,
        _ => return Err(detail.unknown("state", state, "OPEN or CLOSED")),
    };
    // That a calendar closed must be heard, whatever is said of its next change.
    let turns_at = detail.optional_text("nextTransitionTime").ok().flatten().and_then(rfc3339);
    Ok(Event::CalendarChanged { calendar, open, at: detail.time("atTime")?, turns_at })
}
