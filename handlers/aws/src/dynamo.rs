//! The store in one DynamoDB table: nothing in it scans (but the checker of a whole store), no key is hot, and every decision
//! is one conditional write. `docs/operations/dynamodb.md` has the layout, the costs, and what is eventually consistent.

mod clock;
mod commit;
mod executions;
mod failure;
mod item;
mod journal;
mod merge;
mod place;
mod queue;
mod read;
mod table;
mod tokens;
mod units;

pub use executions::OpenExecution;
pub use table::create_table;
pub use tokens::{new_token, token_hash};
pub use units::Units;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Page, Store, Stored};
use tidegate_events::Action;
use tidegate_rules::Key;

/// So many fresh actions are kept for [`DynamoStore::take_fresh`]; what comes beyond is found in the outbox only.
const FRESH_MAX: usize = 10_000;

/// The store in a table. Clones are the same handle.
#[derive(Clone)]
pub struct DynamoStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    table: String,
    /// Tells this handle from others, to spread what handles write.
    number: u64,
    meter: units::Meter,
    fresh: Mutex<BTreeMap<ActionId, Action>>,
    known: Mutex<journal::Known>,
}

impl DynamoStore {
    /// A handle on a table that must be there ([`create_table`], or the hub's template).
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let inner = Inner {
            client,
            table: table.into(),
            number: crate::random::number(),
            meter: units::Meter::default(),
            fresh: Mutex::default(),
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The actions that this handle has committed since the last call and nobody has performed, oldest first: a Lambda hands
    /// these on at its end instead of reading the outbox. They stay in the outbox until they are performed, so whatever is lost
    /// here is found there.
    pub fn take_fresh(&self) -> Vec<(ActionId, Action)> {
        std::mem::take(&mut *self.fresh()).into_iter().collect()
    }

    /// When an action was put into the outbox, by the clock of whoever put it there.
    pub fn kept_at(id: ActionId) -> Timestamp {
        clock::time_of(id.0)
    }

    /// What this handle has cost so far.
    pub fn units(&self) -> Units {
        self.inner.meter.sums()
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.inner.table
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn number(&self) -> u64 {
        self.inner.number
    }

    fn meter(&self) -> &units::Meter {
        &self.inner.meter
    }

    fn known(&self) -> MutexGuard<'_, journal::Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, BTreeMap<ActionId, Action>> {
        self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_fresh(&self, actions: impl Iterator<Item = (ActionId, Action)>) {
        let mut fresh = self.fresh();
        let free = FRESH_MAX.saturating_sub(fresh.len());
        fresh.extend(actions.take(free));
    }

    fn forget_fresh(&self, ids: &[ActionId]) {
        let mut fresh = self.fresh();
        for id in ids {
            fresh.remove(id);
        }
    }
}

impl Store for DynamoStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read_items(keys).await
    }
    async fn counts(&self, keys: &[Key]) -> Result<Vec<i64>, StoreError> {
        self.read_counts(keys).await
    }
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        self.list_items(prefix, after, limit).await
    }
    async fn list_counts(&self, prefix: &str) -> Result<Vec<(Key, i64)>, StoreError> {
        self.list_counters(prefix).await
    }
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.write(commit).await
    }
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.due_keys(now, limit).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.first_due().await
    }
    async fn outbox(&self, after: Option<ActionId>, limit: usize) -> Result<Vec<(ActionId, Action)>, StoreError> {
        self.oldest_actions(after, limit).await
    }
    async fn performed(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        self.forget_actions(ids).await
    }
    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.lines_after(after, limit).await
    }
    async fn stream(&self, stream: &Key) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.lines_of(stream).await
    }
    async fn newest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.newest_commit().await
    }
}
