//! Change calendars, asked by every tick: an event about one may be lost, and none comes of a calendar that another account shares.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tidegate_events::{Action, Event};

use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::Cloud;
use crate::store::Store;

/// Calendars are asked at most so often, in seconds.
const ASK_EVERY_SECS: i64 = 60;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// Asks how the policy's calendars stand. Gives what follows that is not in the outbox. A policy without calendars costs nothing.
    ///
    /// # Errors
    /// As for [`Engine::handle`].
    pub async fn watch(&self, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let mut next = Vec::new();
        let due = now.as_second().saturating_sub(ASK_EVERY_SECS) >= self.watched_at.load(Ordering::Relaxed);
        if self.policy().calendars.is_empty() || !due {
            return Ok(next);
        }
        self.watched_at.store(now.as_second(), Ordering::Relaxed);
        let calendars = &self.policy().calendars;
        let first = usize::try_from(now.as_second().div_euclid(ASK_EVERY_SECS)).unwrap_or(0) % calendars.len().max(1);
        for calendar in calendars.iter().cycle().skip(first).take(calendars.len()) {
            match self.cloud().calendar(calendar).await {
                Ok(seen) => {
                    let event = Event::CalendarChanged { calendar: calendar.clone(), open: seen.open, at: seen.at, turns_at: seen.turns_at };
                    next.extend(self.answer(event, now).await?);
                }
                // Doubt is no: what was never heard of holds, and what is known counts until it was to change. Whoever waits for the
                // rest of this tick does not wait for more answers that may not come: the next minute begins with another calendar.
                Err(fault) => {
                    tracing::warn!(calendar, %fault, "a change calendar could not be asked");
                    break;
                }
            }
        }
        Ok(next)
    }
}
