//! From what was decided to the one write: journal lines chained per stream, items with their versions, counters, outbox.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::Entry;
use tidegate_events::journal::Line;
use tidegate_rules::desk::{Decided, Loaded};
use tidegate_rules::{Key, State, apply};

use crate::error::{EngineError, StoreError};
use crate::store::{Commit, NewLine, Put, Stored};

/// What was loaded for a decision, with what the store needs to write it back.
#[derive(Debug, Default)]
pub struct Working {
    /// What the decision sees.
    pub loaded: Loaded,
    /// What the store had.
    pub stored: BTreeMap<Key, Stored>,
}

impl Working {
    /// Takes in an item that was read.
    ///
    /// # Errors
    /// When it is not JSON of ours.
    pub fn take(&mut self, key: Key, stored: Option<Stored>) -> Result<(), EngineError> {
        let state = match &stored {
            Some(stored) => Some(read_state(&key, &stored.body)?),
            None => None,
        };
        self.loaded.items.insert(key.clone(), state);
        if let Some(stored) = stored {
            self.stored.insert(key, stored);
        }
        Ok(())
    }

    /// Builds the commit of a decision.
    ///
    /// # Errors
    /// When a line or item can't be written as JSON, or an entry's stream has no item.
    pub fn commit(&self, at: Timestamp, decided: Decided) -> Result<Commit, EngineError> {
        let durable = decided.entries.iter().any(|entry| matches!(entry, Entry::Sending { .. }));
        let mut by_stream: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
        let mut order: Vec<Key> = Vec::new();
        for entry in decided.entries {
            let home = apply::home(&entry);
            if !by_stream.contains_key(&home) {
                order.push(home.clone());
            }
            by_stream.entry(home).or_default().push(entry);
        }
        let mut heads: BTreeMap<Key, (u64, tidegate_events::id::Digest)> = BTreeMap::new();
        let mut lines = Vec::with_capacity(order.len());
        for stream in order {
            let entries = by_stream.remove(&stream).unwrap_or_default();
            let (seq, previous) = self.stored.get(&stream).map_or((0, tidegate_events::id::Digest::default()), |stored| (stored.seq, stored.head));
            let line = Line { stream: stream.as_str().to_owned(), seq: seq + 1, at, previous, entries };
            let bytes = line.to_bytes().map_err(|error| EngineError::Damaged(error.to_string()))?;
            heads.insert(stream.clone(), (seq + 1, Line::hash(&bytes)));
            lines.push(NewLine { stream, seq: seq + 1, bytes });
        }
        let mut items = decided.items;
        for stream in heads.keys() {
            // Every line moves its stream's head, so the aggregate itself is written even where nothing else of it changed.
            if !items.contains_key(stream) {
                match self.loaded.items.get(stream) {
                    Some(Some(state)) => {
                        items.insert(stream.clone(), state.clone());
                    }
                    _ => return Err(EngineError::Damaged(format!("stream `{stream}` has no item"))),
                }
            }
        }
        let mut puts = Vec::with_capacity(items.len());
        for (key, state) in &items {
            let stored = self.stored.get(key);
            let (seq, head) =
                heads.get(key).copied().unwrap_or_else(|| stored.map_or((0, tidegate_events::id::Digest::default()), |stored| (stored.seq, stored.head)));
            let body = serde_json::to_vec(state).map_err(|error| EngineError::Damaged(error.to_string()))?;
            puts.push(Put { key: key.clone(), expect: stored.map_or(0, |stored| stored.version), body, due_at: state.due_at(), seq, head });
        }
        let unchanged = decided.unchanged.into_iter().filter(|key| !items.contains_key(key)).map(|key| {
            let version = self.stored.get(&key).map_or(0, |stored| stored.version);
            (key, version)
        });
        let unchanged = unchanged.collect();
        let adds = decided.adds.into_iter().filter(|(_, add)| add.delta != 0).collect();
        Ok(Commit { at, puts, unchanged, adds, lines, actions: decided.actions, durable })
    }
}

/// Reads a stored item.
///
/// # Errors
/// When it is not JSON of ours: nothing is decided on it.
pub fn read_state(key: &Key, body: &[u8]) -> Result<State, EngineError> {
    serde_json::from_slice(body).map_err(|error| EngineError::Damaged(format!("`{key}`: {error}")))
}

/// Whether a failed commit is worth deciding again.
pub fn is_race(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(_) | StoreError::OverLimit(_))
}
