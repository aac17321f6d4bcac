//! The first door: load what the decision needs, decide, commit all of it in one conditional write; on a lost race load
//! again and decide again, a bounded number of times.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use tidegate_events::id::Digest;
use tidegate_events::{Action, Event};
use tidegate_rules::decide::Outcome;
use tidegate_rules::policy::Policy;
use tidegate_rules::{Desk, Key, Missing, State, decide};

use crate::commit::{Working, is_race};
use crate::error::EngineError;
use crate::ports::Cloud;
use crate::store::Store;

/// How often a lost race is run again.
const RACES_MAX: u32 = 12;
/// How often a decision may name something more to load.
const LOADS_MAX: u32 = 64;

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// What became of it.
    pub outcome: Outcome,
    /// Asks that nothing depends on being kept: whoever is due asks for them again. All others are in the outbox.
    pub actions: Vec<Action>,
}

/// The engine, over a store and a cloud.
pub struct Engine<S, C> {
    store: S,
    cloud: C,
    policy: Arc<Policy>,
    effective: RwLock<BTreeMap<Digest, Arc<Policy>>>,
    /// When change calendars were last asked, in seconds: once a minute at most, however often this process ticks.
    pub(crate) watched_at: AtomicI64,
}

impl<S: Store, C: Cloud> Engine<S, C> {
    /// An engine under this policy.
    pub fn new(store: S, cloud: C, policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let effective = RwLock::new(BTreeMap::from([(policy.digest(), policy.clone())]));
        Self { store, cloud, policy, effective, watched_at: AtomicI64::new(i64::MIN) }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The cloud.
    pub fn cloud(&self) -> &C {
        &self.cloud
    }

    /// The current policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes one event, now.
    ///
    /// # Errors
    /// When it could not be decided or stored: nothing of it happened, hand it in again.
    pub async fn handle(&self, event: &Event, now: Timestamp) -> Result<Handled, EngineError> {
        let (outcome, actions) = self.transact(&"an event", now, |desk| decide(desk, event)).await?;
        Ok(Handled { outcome, actions })
    }

    /// Decides with `decision` and commits. Gives its answer and the asks that are not in the outbox.
    ///
    /// # Errors
    /// As for [`Engine::handle`].
    pub async fn transact<T>(
        &self,
        what: &(impl std::fmt::Display + Sync),
        now: Timestamp,
        decision: impl Fn(&mut Desk<'_>) -> Result<T, Missing> + Sync,
    ) -> Result<(T, Vec<Action>), EngineError>
    where
        T: Send,
    {
        for _ in 0..RACES_MAX {
            let mut working = Working::default();
            let (answer, decided) = self.decide_on(&mut working, now, &decision).await?;
            if decided.entries.is_empty() {
                return Ok((answer, decided.actions));
            }
            let commit = working.commit(now, decided)?;
            match self.store.commit(&commit).await {
                Ok(()) => return Ok((answer, Vec::new())),
                Err(error) if is_race(&error) => tracing::debug!(%what, %error, "decide again"),
                Err(source) => return Err(EngineError::Store { what: what.to_string(), source }),
            }
        }
        Err(EngineError::Contended { what: what.to_string(), tries: RACES_MAX })
    }

    /// Decides without writing: for looks that change nothing.
    ///
    /// # Errors
    /// As for [`Engine::handle`].
    pub async fn look<T>(&self, now: Timestamp, decision: impl Fn(&mut Desk<'_>) -> Result<T, Missing> + Sync) -> Result<T, EngineError>
    where
        T: Send,
    {
        let mut working = Working::default();
        Ok(self.decide_on(&mut working, now, &decision).await?.0)
    }

    async fn decide_on<T>(
        &self,
        working: &mut Working,
        now: Timestamp,
        decision: &(impl Fn(&mut Desk<'_>) -> Result<T, Missing> + Sync),
    ) -> Result<(T, tidegate_rules::desk::Decided), EngineError>
    where
        T: Send,
    {
        for _ in 0..LOADS_MAX {
            let effective = self.effective();
            let missing = {
                let mut desk = Desk::new(now, &self.policy, &effective, &working.loaded);
                match decision(&mut desk) {
                    Ok(answer) => return Ok((answer, desk.finish())),
                    Err(Missing::Corrupt(what)) => return Err(EngineError::Damaged(what)),
                    Err(Missing::Keys(keys)) => keys,
                }
            };
            self.load(working, missing).await?;
        }
        Err(EngineError::Damaged("a decision never had enough to decide on".into()))
    }

    async fn load(&self, working: &mut Working, missing: Vec<Key>) -> Result<(), EngineError> {
        let failed = |source| EngineError::Store { what: "a look-up".into(), source };
        let (counters, items): (Vec<Key>, Vec<Key>) = missing.into_iter().partition(Key::is_counter);
        if !counters.is_empty() {
            let counts = self.store.counts(&counters).await.map_err(failed)?;
            working.loaded.counters.extend(counters.into_iter().zip(counts));
        }
        if !items.is_empty() {
            let found = self.store.get(&items).await.map_err(failed)?;
            for (key, stored) in items.into_iter().zip(found) {
                working.take(key.clone(), stored)?;
                if let Some(Some(State::Policy { json })) = working.loaded.items.get(&key) {
                    self.pin(&key, json)?;
                }
            }
        }
        Ok(())
    }

    /// From here on the stricter of this pinned policy and the current one holds for its campaigns.
    fn pin(&self, key: &Key, json: &str) -> Result<(), EngineError> {
        let pinned: Policy = serde_json::from_str(json).map_err(|error| EngineError::Damaged(format!("`{key}`: {error}")))?;
        let digest = pinned.digest();
        if Key::policy(&digest) != *key {
            return Err(EngineError::Damaged(format!("`{key}` holds another policy than its key says")));
        }
        let mut effective = self.effective.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        effective.entry(digest).or_insert_with(|| Arc::new(pinned.stricter(&self.policy)));
        Ok(())
    }

    fn effective(&self) -> BTreeMap<Digest, Arc<Policy>> {
        self.effective.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
