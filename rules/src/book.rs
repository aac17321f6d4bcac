//! Where state is kept while entries are applied: a desk, or a whole fold; and typed access to what is in it.

use std::collections::BTreeMap;

use tidegate_events::id::{BatchId, CampaignId, CellId, LaneId, TargetKey};

use crate::desk::Missing;
use crate::key::Key;
use crate::state::{Batch, Campaign, Cell, Lane, Organization, State, Target};

/// Where state is kept while entries are applied: a desk, or a whole fold.
pub trait Book {
    /// The item at this key, to change.
    ///
    /// # Errors
    /// When it is not at hand.
    fn state(&mut self, key: &Key) -> Result<Option<&mut State>, Missing>;
    /// Puts a new item.
    ///
    /// # Errors
    /// When nobody looked whether it is there.
    fn put(&mut self, key: Key, state: State) -> Result<(), Missing>;
    /// Adds to a counter.
    fn add(&mut self, key: Key, delta: i64, max: Option<i64>);
}

/// All items and counters: the state that a journal folds into.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Items.
    pub items: BTreeMap<Key, State>,
    /// Counters; zero ones are absent.
    pub counters: BTreeMap<Key, i64>,
}

impl Book for Fold {
    fn state(&mut self, key: &Key) -> Result<Option<&mut State>, Missing> {
        Ok(self.items.get_mut(key))
    }
    fn put(&mut self, key: Key, state: State) -> Result<(), Missing> {
        self.items.insert(key, state);
        Ok(())
    }
    fn add(&mut self, key: Key, delta: i64, _: Option<i64>) {
        let value = self.counters.entry(key.clone()).or_insert(0);
        *value = value.saturating_add(delta);
        if *value == 0 {
            self.counters.remove(&key);
        }
    }
}

pub(crate) fn target_mut<'b>(book: &'b mut impl Book, key: &TargetKey) -> Result<&'b mut Target, Missing> {
    let at = Key::target(key);
    if book.state(&at)?.is_none() {
        book.put(at.clone(), State::Target(Box::new(Target::new(key.clone()))))?;
    }
    match book.state(&at)? {
        Some(State::Target(target)) => Ok(target),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn lane_mut<'b>(book: &'b mut impl Book, id: &LaneId) -> Result<&'b mut Lane, Missing> {
    let at = Key::lane(id);
    if book.state(&at)?.is_none() {
        book.put(at.clone(), State::Lane(Lane::new(id.clone())))?;
    }
    match book.state(&at)? {
        Some(State::Lane(lane)) => Ok(lane),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn organization_mut(book: &mut impl Book) -> Result<&mut Organization, Missing> {
    let at = Key::organization();
    if book.state(&at)?.is_none() {
        book.put(at.clone(), State::Organization(Organization::default()))?;
    }
    match book.state(&at)? {
        Some(State::Organization(organization)) => Ok(organization),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn campaign_mut<'b>(book: &'b mut impl Book, id: &CampaignId) -> Result<&'b mut Campaign, Missing> {
    let at = Key::campaign(id);
    match book.state(&at)? {
        Some(State::Campaign(campaign)) => Ok(campaign),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn cell_mut<'b>(book: &'b mut impl Book, id: &CellId) -> Result<&'b mut Cell, Missing> {
    let at = Key::cell(id);
    match book.state(&at)? {
        Some(State::Cell(cell)) => Ok(cell),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn batch_mut<'b>(book: &'b mut impl Book, id: &BatchId) -> Result<&'b mut Batch, Missing> {
    let at = Key::batch(id);
    match book.state(&at)? {
        Some(State::Batch(batch)) => Ok(batch),
        _ => Err(strange(&at)),
    }
}

pub(crate) fn strange(key: &Key) -> Missing {
    Missing::Corrupt(format!("an entry changes `{key}`, which is not there or is of another kind"))
}
