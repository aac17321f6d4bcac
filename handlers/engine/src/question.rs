//! How long people have been waited for: a number for dashboards and alarms, off the path of every decision.

use jiff::Timestamp;
use tidegate_events::hold::Hold;
use tidegate_events::id::CampaignId;
use tidegate_rules::{Key, State};

use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::Cloud;
use crate::store::Store;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// When the oldest question was asked that holds the running campaign of a lane; `None` where nobody's word is waited for.
    ///
    /// # Errors
    /// When the store does not answer, or holds what can't be read.
    pub async fn oldest_question(&self) -> Result<Option<Timestamp>, EngineError> {
        let mut running: Vec<CampaignId> = Vec::new();
        self.list_all(Key::LANES, |state| {
            if let State::Lane(lane) = state {
                running.extend(lane.running);
            }
        })
        .await?;
        let mut oldest: Option<Timestamp> = None;
        for id in running {
            let Some(State::Campaign(campaign)) = self.state(&Key::campaign(&id)).await? else { continue };
            if campaign.holds.iter().any(|hold| matches!(hold, Hold::AwaitingApproval { .. }))
                && let Some(asked) = campaign.asked.last()
            {
                oldest = Some(oldest.map_or(asked.at, |at| at.min(asked.at)));
            }
        }
        Ok(oldest)
    }
}
