//! What every embedded shell does between two moments: perform what is asked until nothing is, and look at what is due.
//! The Lambda shell does the same with queues in between.

use std::collections::VecDeque;

use jiff::Timestamp;
use tidegate_events::action::Nudge;
use tidegate_events::{Action, Event};
use tidegate_rules::Key;

use crate::error::EngineError;
use crate::handle::{Engine, Handled};
use crate::ports::Cloud;
use crate::store::{ActionId, Store};

/// Outbox entries taken at once.
const OUTBOX_PAGE: usize = 256;
/// Due keys taken at once.
const DUE_PAGE: usize = 256;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// Takes one event and performs everything that follows from it now.
    ///
    /// # Errors
    /// When something could not be stored; what is in the outbox stays there.
    pub async fn take(&self, event: &Event, now: Timestamp) -> Result<Handled, EngineError> {
        let handled = self.handle(event, now).await?;
        self.run(handled.actions.clone(), now).await?;
        Ok(handled)
    }

    /// Performs these actions, what follows from them, and what is in the outbox, until nothing is left.
    ///
    /// # Errors
    /// When something could not be stored; what is in the outbox stays there.
    pub async fn run(&self, actions: Vec<Action>, now: Timestamp) -> Result<(), EngineError> {
        self.drain(actions, now).await?;
        // What is put off is passed over until the next run.
        let mut after: Option<ActionId> = None;
        loop {
            let kept = self.store().outbox(after, OUTBOX_PAGE).await.map_err(|source| EngineError::Store { what: "the outbox".into(), source })?;
            let Some((last, _)) = kept.last() else { return Ok(()) };
            after = Some(*last);
            let mut done = Vec::with_capacity(kept.len());
            for (id, action) in &kept {
                match self.perform(action, now).await {
                    // INVARIANT (nothing lost): what follows from an action is done before the action is forgotten, since
                    // nothing else may remember it.
                    Ok(next) => {
                        self.drain(next, now).await?;
                        done.push(*id);
                    }
                    Err(EngineError::Later(why)) => tracing::warn!(?action, %why, "put off"),
                    Err(error) => return Err(error),
                }
            }
            self.store().performed(&done).await.map_err(|source| EngineError::Store { what: "the outbox".into(), source })?;
        }
    }

    /// Performs these actions and all that follows from them without a place in the outbox.
    async fn drain(&self, actions: Vec<Action>, now: Timestamp) -> Result<(), EngineError> {
        let mut asked: VecDeque<Action> = actions.into();
        while let Some(action) = asked.pop_front() {
            asked.extend(self.perform(&action, now).await?);
        }
        Ok(())
    }

    /// Time has come to `now`: everything that is due is looked at, and what follows is performed.
    ///
    /// # Errors
    /// When something could not be stored; what is due stays due.
    pub async fn tick(&self, now: Timestamp) -> Result<(), EngineError> {
        let told = self.watch(now).await?;
        self.run(told, now).await?;
        self.look_at_due(now).await?;
        if self.reads_the_clock() {
            self.take(&Event::Tick { at: now }, now).await?;
        }
        Ok(())
    }

    /// Whether a tick by itself, with nothing due, may mean something under this policy.
    pub fn reads_the_clock(&self) -> bool {
        let policy = self.policy();
        // The last exemption may have been withdrawn while AWS Config still knows of it.
        !policy.schedules.is_empty() || !policy.slas.is_empty() || !policy.exemptions.is_empty() || policy.exemption_terms.mirror
    }

    async fn look_at_due(&self, now: Timestamp) -> Result<(), EngineError> {
        loop {
            let due = self.store().due(now, DUE_PAGE).await.map_err(|source| EngineError::Store { what: "what is due".into(), source })?;
            let mut moved = false;
            for key in &due {
                let Some(nudge) = nudge_of(key) else { continue };
                let before = self.version(key).await?;
                let handled = self.handle(&Event::Nudge(nudge), now).await?;
                self.run(handled.actions, now).await?;
                moved |= self.version(key).await? != before;
            }
            // What stays due although it was looked at (an ask without an answer) waits for the next tick.
            if due.len() < DUE_PAGE || !moved {
                return Ok(());
            }
        }
    }

    async fn version(&self, key: &Key) -> Result<u64, EngineError> {
        let found = self.store().get(std::slice::from_ref(key)).await.map_err(|source| EngineError::Store { what: "a look-up".into(), source })?;
        Ok(found.into_iter().flatten().next().map_or(0, |stored| stored.version))
    }
}

/// Whom to nudge for a due key.
pub fn nudge_of(key: &Key) -> Option<Nudge> {
    if *key == Key::organization() {
        return Some(Nudge::Organization);
    }
    let (kind, id) = key.as_str().split_once('/')?;
    match kind {
        "campaign" => id.parse().ok().map(Nudge::Campaign),
        "cell" => id.parse().ok().map(Nudge::Cell),
        "batch" => id.parse().ok().map(Nudge::Batch),
        "target" => id.parse().ok().map(Nudge::Target),
        "mirror" => id.split_once('/').and_then(|(account, region)| Some(Nudge::Mirror(account.parse().ok()?, region.parse().ok()?))),
        _ => None,
    }
}
