//! The engine's store on one machine: [`SqliteStore`] for what must last, [`MemoryStore`] for what need not.

mod memory;
mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{OpenError, SqliteStore};

use std::future::Future;

use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Page, Store, Stored};
use tidegate_events::Action;
use tidegate_rules::Key;

/// Either store, for shells that are told which at run time.
pub enum EmbeddedStore {
    /// In memory.
    Memory(MemoryStore),
    /// In a file.
    Sqlite(SqliteStore),
}

/// Hands a call on to whichever store it is; both answer at once, so the futures are ready.
macro_rules! on_either {
    ($self:ident, $store:ident => $call:expr) => {{
        let answer = match $self {
            EmbeddedStore::Memory($store) => $call,
            EmbeddedStore::Sqlite($store) => $call,
        };
        std::future::ready(answer)
    }};
}

impl Store for EmbeddedStore {
    fn get(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Stored>>, StoreError>> + Send {
        on_either!(self, store => store.read(keys))
    }
    fn counts(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<i64>, StoreError>> + Send {
        on_either!(self, store => store.read_counts(keys))
    }
    fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> impl Future<Output = Result<Page, StoreError>> + Send {
        on_either!(self, store => store.page(prefix, after, limit))
    }
    fn list_counts(&self, prefix: &str) -> impl Future<Output = Result<Vec<(Key, i64)>, StoreError>> + Send {
        on_either!(self, store => store.page_counts(prefix))
    }
    fn commit(&self, commit: &Commit) -> impl Future<Output = Result<(), StoreError>> + Send {
        on_either!(self, store => store.write(commit))
    }
    fn due(&self, now: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<Key>, StoreError>> + Send {
        on_either!(self, store => store.due_keys(now, limit))
    }
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send {
        on_either!(self, store => store.first_due())
    }
    fn outbox(&self, after: Option<ActionId>, limit: usize) -> impl Future<Output = Result<Vec<(ActionId, Action)>, StoreError>> + Send {
        on_either!(self, store => store.oldest_actions(after, limit))
    }
    fn performed(&self, ids: &[ActionId]) -> impl Future<Output = Result<(), StoreError>> + Send {
        on_either!(self, store => store.forget_actions(ids))
    }
    fn journal(&self, after: u64, limit: usize) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send {
        on_either!(self, store => store.lines_after(after, limit))
    }
    fn stream(&self, stream: &Key) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send {
        on_either!(self, store => store.lines_of(stream))
    }
    fn newest(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send {
        on_either!(self, store => store.newest_commit())
    }
}
