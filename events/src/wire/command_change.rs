//! Run Command: a command, or one of its invocations, changed its status.
//!
//! Source: Systems Manager user guide, "EventBridge event examples", Run Command. Best effort, and without details: these
//! events only make us look earlier than the tick would.

use crate::event::Event;
use crate::fact::InvocationStatus;

use super::envelope::Envelope;
use super::reader::{Object, Stop};

/// `EC2 Command Status-change Notification`. A command's `Success` may hide invocations that never ran.
pub(super) fn command(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let (account, region) = envelope.place()?;
    let status = status(&envelope.detail, "Pending, InProgress, Success, Cancelled, Failed, TimedOut or Cancelling")?;
    Ok(Event::CommandChanged { account, region, command: envelope.detail.id("command-id")?, status })
}

/// `EC2 Command Invocation Status-change Notification`. The instance is the detail's: the guide's own example has an ARN in
/// `resources` that names another one.
pub(super) fn invocation(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let status = status(detail, "Pending, InProgress, Delayed, Success, Cancelled, TimedOut, Failed or Cancelling")?;
    Ok(Event::InvocationChanged { target: envelope.target(detail.instance("instance-id")?)?, command: detail.id("command-id")?, status })
}

/// The words are those of the SSM API model; an event has no `StatusDetails` beside them.
fn status(detail: &Object<'_>, expected: &str) -> Result<InvocationStatus, Stop> {
    let status = detail.text("status")?;
    InvocationStatus::from_words(status, "").ok_or_else(|| detail.unknown("status", status, expected))
}
