//! A store in memory, for simulations and for replays that leave nothing behind. It keeps DynamoDB's limits like any other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Page, Stored};
use tidegate_events::Action;
use tidegate_rules::Key;

#[derive(Default)]
struct Inner {
    items: BTreeMap<Key, (Stored, Option<Timestamp>)>,
    counters: BTreeMap<Key, i64>,
    due: BTreeSet<(Timestamp, Key)>,
    lines: Vec<Vec<u8>>,
    streams: HashMap<Key, Vec<usize>>,
    outbox: BTreeMap<u64, Action>,
    actions: u64,
    newest: Option<Timestamp>,
}

/// The store in memory.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let inner = self.inner();
        Ok(keys.iter().map(|key| inner.items.get(key).map(|(stored, _)| stored.clone())).collect())
    }

    pub(crate) fn read_counts(&self, keys: &[Key]) -> Result<Vec<i64>, StoreError> {
        let inner = self.inner();
        Ok(keys.iter().map(|key| inner.counters.get(key).copied().unwrap_or(0)).collect())
    }

    pub(crate) fn page(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let from = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(Key::from_text(prefix)),
        };
        let inner = self.inner();
        Ok(inner
            .items
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .take(limit)
            .map(|(key, (stored, _))| (key.clone(), stored.clone()))
            .collect())
    }

    pub(crate) fn page_counts(&self, prefix: &str) -> Result<Vec<(Key, i64)>, StoreError> {
        let inner = self.inner();
        Ok(inner
            .counters
            .range(Key::from_text(prefix)..)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, value)| (key.clone(), *value))
            .collect())
    }

    pub(crate) fn write(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.check()?;
        let mut inner = self.inner();
        let version = |inner: &Inner, key: &Key| inner.items.get(key).map_or(0, |(stored, _)| stored.version);
        for put in &commit.puts {
            if version(&inner, &put.key) != put.expect {
                return Err(StoreError::Conflict(put.key.clone()));
            }
        }
        for (key, expected) in &commit.unchanged {
            if version(&inner, key) != *expected {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        for (key, add) in &commit.adds {
            let value = inner.counters.get(key).copied().unwrap_or(0).saturating_add(add.delta);
            if add.max.is_some_and(|max| value > max) {
                return Err(StoreError::OverLimit(key.clone()));
            }
        }
        for line in &commit.lines {
            let known = inner.streams.get(&line.stream).map_or(0, Vec::len) as u64;
            if line.seq != known + 1 {
                return Err(StoreError::Conflict(line.stream.clone()));
            }
        }
        for put in &commit.puts {
            let stored = Stored { version: put.expect + 1, body: put.body.clone(), seq: put.seq, head: put.head };
            let before = inner.items.insert(put.key.clone(), (stored, put.due_at)).and_then(|(_, due_at)| due_at);
            if before != put.due_at {
                if let Some(due_at) = before {
                    inner.due.remove(&(due_at, put.key.clone()));
                }
                if let Some(due_at) = put.due_at {
                    inner.due.insert((due_at, put.key.clone()));
                }
            }
        }
        for (key, add) in &commit.adds {
            *inner.counters.entry(key.clone()).or_default() += add.delta;
        }
        for line in &commit.lines {
            let at = inner.lines.len();
            inner.lines.push(line.bytes.clone());
            inner.streams.entry(line.stream.clone()).or_default().push(at);
        }
        for action in &commit.actions {
            inner.actions += 1;
            let id = inner.actions;
            inner.outbox.insert(id, action.clone());
        }
        inner.newest = inner.newest.max(Some(commit.at));
        Ok(())
    }

    pub(crate) fn due_keys(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, StoreError> {
        Ok(self.inner().due.iter().take_while(|(at, _)| *at <= now).take(limit).map(|(_, key)| key.clone()).collect())
    }

    pub(crate) fn first_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.inner().due.first().map(|(at, _)| *at))
    }

    pub(crate) fn oldest_actions(&self, after: Option<ActionId>, limit: usize) -> Result<Vec<(ActionId, Action)>, StoreError> {
        Ok(self.inner().outbox.range(after.map_or(0, |after| after.0 + 1)..).take(limit).map(|(id, action)| (ActionId(*id), action.clone())).collect())
    }

    pub(crate) fn forget_actions(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        for id in ids {
            inner.outbox.remove(&id.0);
        }
        Ok(())
    }

    pub(crate) fn lines_after(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let inner = self.inner();
        let new = inner.lines.get(usize::try_from(after).unwrap_or(usize::MAX)..).unwrap_or_default();
        Ok((after + 1..).zip(new).take(limit).map(|(position, bytes)| (position, bytes.clone())).collect())
    }

    pub(crate) fn lines_of(&self, stream: &Key) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let inner = self.inner();
        let places = inner.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        Ok(places.iter().filter_map(|place| inner.lines.get(*place).map(|bytes| (*place as u64 + 1, bytes.clone()))).collect())
    }

    pub(crate) fn newest_commit(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.inner().newest)
    }
}
