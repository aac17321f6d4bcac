//! The desk that a decision is made at: what was loaded lies on it, what is decided is written on it, and later steps of
//! the same decision see the earlier ones. It does no IO: what is not there is named, and the caller brings it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_events::id::{AccountId, BatchId, CampaignId, CellId, CommandId, Digest, LaneId, Region, TargetKey};
use tidegate_events::{Action, Entry};

use crate::apply::{Book, apply};
use crate::key::Key;
use crate::policy::Policy;
use crate::state::{Batch, Campaign, Cell, Lane, Organization, State, Target};

/// Why a decision could not be made (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// These must be loaded first; then decide again from the start.
    Keys(Vec<Key>),
    /// A stored item is not what its key says: nothing is decided on it.
    Corrupt(String),
}

impl Missing {
    fn one(key: Key) -> Self {
        Self::Keys(vec![key])
    }
}

/// What was loaded. `None` means: looked, and it is not there.
#[derive(Debug, Default, Clone)]
pub struct Loaded {
    /// Items.
    pub items: BTreeMap<Key, Option<State>>,
    /// Counters.
    pub counters: BTreeMap<Key, i64>,
}

/// A change of a counter. With `max`, the whole commit fails where it would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add {
    /// By how much.
    pub delta: i64,
    /// The value that must not be exceeded afterwards.
    pub max: Option<i64>,
}

/// What was decided.
#[derive(Debug, Default)]
pub struct Decided {
    /// Items that changed.
    pub items: BTreeMap<Key, State>,
    /// Counters that change.
    pub adds: BTreeMap<Key, Add>,
    /// Items that must still be as they were loaded.
    pub unchanged: BTreeSet<Key>,
    /// What became true, in order.
    pub entries: Vec<Entry>,
    /// What is asked.
    pub actions: Vec<Action>,
}

/// One decision in the making.
pub struct Desk<'a> {
    now: Timestamp,
    policy: &'a Policy,
    effective: &'a BTreeMap<Digest, Arc<Policy>>,
    loaded: &'a Loaded,
    decided: Decided,
}

impl<'a> Desk<'a> {
    /// A desk with what was loaded. `effective` maps the digest of each pinned policy to the stricter of it and the
    /// current one.
    pub fn new(now: Timestamp, policy: &'a Policy, effective: &'a BTreeMap<Digest, Arc<Policy>>, loaded: &'a Loaded) -> Self {
        Self { now, policy, effective, loaded, decided: Decided::default() }
    }

    /// The time of this decision.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// `now` and so many seconds.
    pub fn after(&self, secs: i64) -> Timestamp {
        later(self.now, secs)
    }

    /// The current policy.
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// The stricter of the policy pinned under this digest and the current one.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn effective(&self, digest: &Digest) -> Result<&'a Policy, Missing> {
        self.effective.get(digest).map(Arc::as_ref).ok_or_else(|| Missing::one(Key::policy(digest)))
    }

    /// Writes an entry down and makes it true on this desk.
    ///
    /// # Errors
    /// When an item that it changes is not loaded.
    pub fn record(&mut self, entry: Entry) -> Result<(), Missing> {
        let now = self.now;
        apply(self, now, &entry)?;
        self.decided.entries.push(entry);
        Ok(())
    }

    /// Asks for something.
    pub fn ask(&mut self, action: Action) {
        if !self.decided.actions.contains(&action) {
            self.decided.actions.push(action);
        }
    }

    /// Demands that this item is still as it was loaded when the decision is committed.
    pub fn insist(&mut self, key: Key) {
        self.decided.unchanged.insert(key);
    }

    /// What was decided.
    pub fn finish(self) -> Decided {
        self.decided
    }

    /// Whether nothing was decided so far.
    pub fn is_blank(&self) -> bool {
        self.decided.entries.is_empty() && self.decided.actions.is_empty()
    }

    /// The item at this key.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn item(&self, key: &Key) -> Result<Option<&State>, Missing> {
        if let Some(state) = self.decided.items.get(key) {
            return Ok(Some(state));
        }
        self.loaded.items.get(key).map(Option::as_ref).ok_or_else(|| Missing::one(key.clone()))
    }

    /// Names every one of these that is not loaded, at once: fifty targets are one look-up.
    ///
    /// # Errors
    /// When any is not loaded.
    pub fn need<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Result<(), Missing> {
        let here = |key: &Key| self.decided.items.contains_key(key) || self.loaded.items.contains_key(key) || self.loaded.counters.contains_key(key);
        let missing: Vec<Key> = keys.into_iter().filter(|key| !here(key)).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(Missing::Keys(missing)) }
    }

    /// A counter's value.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn count(&self, key: &Key) -> Result<u64, Missing> {
        let loaded = self.loaded.counters.get(key).ok_or_else(|| Missing::one(key.clone()))?;
        let added = self.decided.adds.get(key).map_or(0, |add| add.delta);
        Ok(u64::try_from(loaded.saturating_add(added)).unwrap_or(0))
    }

    /// The organization; a blank one where nothing happened yet.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn organization(&self) -> Result<Organization, Missing> {
        match self.item(&Key::organization())? {
            Some(State::Organization(organization)) => Ok(organization.clone()),
            None => Ok(Organization::default()),
            Some(_) => Err(corrupt(&Key::organization())),
        }
    }

    /// A lane; a blank one where nothing happened yet.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn lane(&self, id: &LaneId) -> Result<Lane, Missing> {
        match self.item(&Key::lane(id))? {
            Some(State::Lane(lane)) => Ok(lane.clone()),
            None => Ok(Lane::new(id.clone())),
            Some(_) => Err(corrupt(&Key::lane(id))),
        }
    }

    /// A campaign.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn campaign(&self, id: &CampaignId) -> Result<Option<&Campaign>, Missing> {
        match self.item(&Key::campaign(id))? {
            Some(State::Campaign(campaign)) => Ok(Some(campaign)),
            None => Ok(None),
            Some(_) => Err(corrupt(&Key::campaign(id))),
        }
    }

    /// A cell.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn cell(&self, id: &CellId) -> Result<Option<&Cell>, Missing> {
        match self.item(&Key::cell(id))? {
            Some(State::Cell(cell)) => Ok(Some(cell)),
            None => Ok(None),
            Some(_) => Err(corrupt(&Key::cell(id))),
        }
    }

    /// A batch.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn batch(&self, id: &BatchId) -> Result<Option<&Batch>, Missing> {
        match self.item(&Key::batch(id))? {
            Some(State::Batch(batch)) => Ok(Some(batch)),
            None => Ok(None),
            Some(_) => Err(corrupt(&Key::batch(id))),
        }
    }

    /// A target.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn target(&self, key: &TargetKey) -> Result<Option<&Target>, Missing> {
        match self.item(&Key::target(key))? {
            Some(State::Target(target)) => Ok(Some(target)),
            None => Ok(None),
            Some(_) => Err(corrupt(&Key::target(key))),
        }
    }

    /// The batch that a command belongs to, where the command is ours.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn batch_of(&self, account: AccountId, region: &Region, command: &CommandId) -> Result<Option<BatchId>, Missing> {
        match self.item(&Key::command(account, region, command))? {
            Some(State::Command { batch }) => Ok(Some(batch.clone())),
            None => Ok(None),
            Some(_) => Err(corrupt(&Key::command(account, region, command))),
        }
    }
}

impl Book for Desk<'_> {
    fn state(&mut self, key: &Key) -> Result<Option<&mut State>, Missing> {
        if !self.decided.items.contains_key(key) {
            match self.loaded.items.get(key) {
                None => return Err(Missing::one(key.clone())),
                Some(None) => return Ok(None),
                Some(Some(state)) => {
                    self.decided.items.insert(key.clone(), state.clone());
                }
            }
        }
        Ok(self.decided.items.get_mut(key))
    }

    fn put(&mut self, key: Key, state: State) -> Result<(), Missing> {
        if !self.loaded.items.contains_key(&key) && !self.decided.items.contains_key(&key) {
            return Err(Missing::one(key));
        }
        self.decided.items.insert(key, state);
        Ok(())
    }

    fn add(&mut self, key: Key, delta: i64, max: Option<i64>) {
        let add = self.decided.adds.entry(key).or_insert(Add { delta: 0, max: None });
        add.delta = add.delta.saturating_add(delta);
        add.max = add.max.or(max);
    }
}

/// `from` and so many seconds; the end of time where there is none.
pub fn later(from: Timestamp, secs: i64) -> Timestamp {
    from.checked_add(jiff::SignedDuration::from_secs(secs)).unwrap_or(Timestamp::MAX)
}

/// Seconds from `from` to `to`, negative when `to` is earlier.
pub fn secs_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

fn corrupt(key: &Key) -> Missing {
    Missing::Corrupt(format!("the item stored under `{key}` is of another kind"))
}
