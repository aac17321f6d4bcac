//! The passing of time, as an event of our own: the engine has no clock.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::Event;

use super::envelope::{Envelope, ours};
use super::reader::Stop;

pub(super) const TICK: &str = "Tidegate Tick";

/// Whatever is due at the envelope's time is looked at.
pub(super) fn tick(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    envelope.detail.only(&[])?;
    Ok(Event::Tick { at: envelope.time })
}

/// A tick in its wire form.
pub fn tick_to_json(at: Timestamp) -> Value {
    ours(TICK, at, json!({}))
}
