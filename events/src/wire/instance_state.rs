//! EC2: an instance changed its state. Source: EC2 user guide, "EC2 Instance State-change Notification"; best effort.

use crate::event::Event;

use super::envelope::Envelope;
use super::reader::Stop;

/// `EC2 Instance State-change Notification`.
pub(super) fn instance(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    let state = detail.word("state", "pending, running, shutting-down, stopped, stopping or terminated")?;
    Ok(Event::InstanceChanged { target: envelope.target(detail.instance("instance-id")?)?, state, at: envelope.time })
}
