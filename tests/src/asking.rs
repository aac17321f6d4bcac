//! A campaign of the simulated organization, led to the moment at which it asks people.

use jiff::{SignedDuration, Timestamp};
use tidegate_engine::commit::read_state;
use tidegate_engine::store::Store;
use tidegate_engine::{Engine, EngineError};
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::State;
use tidegate_rules::state::Asked;
use tidegate_world::World;

/// Minutes after which nobody asks any more.
const MINUTES_MAX: u32 = 300;

/// Lets minutes pass until a campaign asks for an approval. Gives when that was and what it asks; `None` where none does in five hours.
///
/// # Errors
/// As for [`Engine::take`].
pub async fn until_asked<S: Store>(engine: &Engine<S, World>, from: Timestamp) -> Result<Option<(Timestamp, Asked)>, EngineError> {
    let mut now = from;
    for _ in 0..MINUTES_MAX {
        now = now.saturating_add(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX);
        for delivery in engine.cloud().advance(now) {
            for read in wire::read(&delivery.bytes) {
                if let Parsed::Event { event, .. } = read.parsed {
                    engine.take(&event, now).await?;
                }
            }
        }
        engine.tick(now).await?;
        let failed = |source| EngineError::Store { what: "the campaigns".into(), source };
        for (key, stored) in engine.store().list("campaign/", None, 10).await.map_err(failed)? {
            if let State::Campaign(campaign) = read_state(&key, &stored.body)?
                && let Some(asked) = campaign.asked.first()
            {
                return Ok(Some((now, asked.clone())));
            }
        }
    }
    Ok(None)
}
