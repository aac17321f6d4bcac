//! What follows when a named person stops, releases or retries: whoever is concerned is listed, and nudged.

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::action::Nudge;
use tidegate_events::control::{Retried, Retry};
use tidegate_events::event::Event;
use tidegate_events::id::{CampaignId, TargetKey};
use tidegate_rules::state::{CampaignPhase, SeatAt};
use tidegate_rules::{Key, State};

use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::Cloud;
use crate::store::Store;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// INVARIANT (stop): the listing follows the cord's commit and is strongly consistent, so that it holds every intent that was
    /// written before it. One that is written later reads the cord before it sends.
    pub(crate) async fn stop_open(&self) -> Result<Vec<Action>, EngineError> {
        let mut found = Vec::new();
        self.list_all(Key::OPEN, |state| {
            if let State::Open(open) = state {
                found.extend(open.batches.into_iter().map(|batch| Action::Nudge(Nudge::Batch(batch))));
            }
        })
        .await?;
        Ok(found)
    }

    /// The running campaign of every lane looks at its gates again, and its cells with it.
    pub(crate) async fn go_on(&self) -> Result<Vec<Action>, EngineError> {
        let mut running: Vec<CampaignId> = Vec::new();
        self.list_all(Key::LANES, |state| {
            if let State::Lane(lane) = state {
                running.extend(lane.running);
            }
        })
        .await?;
        let mut next = Vec::new();
        for id in running {
            if let Some(State::Campaign(campaign)) = self.state(&Key::campaign(&id)).await?
                && let CampaignPhase::Running { wave, .. } = campaign.phase
            {
                next.push(Action::NudgeCells(campaign.wave_id(wave)));
            }
            next.push(Action::Nudge(Nudge::Campaign(id)));
        }
        Ok(next)
    }

    /// Everybody who failed in a campaign, and stands where another attempt can be given, gets one. Done again after a crash it
    /// finds those who have it already on a roster.
    pub(crate) async fn retry_campaign(&self, retry: &Retry, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let Retried::Campaign(id) = &retry.what else { return Ok(Vec::new()) };
        let Some(State::Campaign(campaign)) = self.state(&Key::campaign(id)).await? else { return Ok(Vec::new()) };
        let mut failed: Vec<TargetKey> = Vec::new();
        for (index, _) in (0u16..).zip(&campaign.waves) {
            self.list_all(&Key::cells_of(&campaign.wave_id(index)), |state| {
                if let State::Cell(cell) = state {
                    let bad = cell.at(SeatAt::Bad).chain(cell.at(SeatAt::Contradicted));
                    failed.extend(bad.map(|member| cell.id.target(&member.instance)));
                }
            })
            .await?;
        }
        let mut next = Vec::new();
        for target in failed {
            let event = Event::Retry(Retry { what: Retried::Target(target), ..retry.clone() });
            next.extend(self.answer(event, now).await?);
        }
        Ok(next)
    }

    pub(crate) async fn state(&self, key: &Key) -> Result<Option<State>, EngineError> {
        let found = self.store().get(std::slice::from_ref(key)).await.map_err(|source| EngineError::Store { what: "a look-up".into(), source })?;
        found.into_iter().flatten().next().map(|stored| crate::commit::read_state(key, &stored.body)).transpose()
    }
}
