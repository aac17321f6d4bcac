//! The store as the engine needs it: items by key, one conditional write that moves state, journal, outbox and counters
//! together, listing by prefix, and what is due. Nothing here scans.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::id::Digest;
use tidegate_rules::Key;
use tidegate_rules::desk::Add;

use crate::error::StoreError;

/// A stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Counts its writes, from 1.
    pub version: u64,
    /// The item's JSON.
    pub body: Vec<u8>,
    /// Lines in its stream so far.
    pub seq: u64,
    /// Hash of its stream's newest line; zeros where there is none.
    pub head: Digest,
}

/// An item as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its key.
    pub key: Key,
    /// The version that it must still have; 0 means that it must not be there.
    pub expect: u64,
    /// Its new JSON.
    pub body: Vec<u8>,
    /// When it must be looked at.
    pub due_at: Option<Timestamp>,
    /// Lines in its stream afterwards.
    pub seq: u64,
    /// Hash of its stream's newest line afterwards.
    pub head: Digest,
}

/// A journal line as it is to be written, together with the [`Put`] of its stream's item, which counts it: the version of the
/// item alone then keeps the stream without gaps, on a store that can't ask for a stream's last line inside a write too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// The stream's key.
    pub stream: Key,
    /// Place in the stream, from 1: one more than the item counted before, and what its [`Put`] counts afterwards.
    pub seq: u64,
    /// The line's bytes.
    pub bytes: Vec<u8>,
}

/// The one write: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// When it was decided.
    pub at: Timestamp,
    /// Items.
    pub puts: Vec<Put>,
    /// Items that must still have this version.
    pub unchanged: Vec<(Key, u64)>,
    /// Counters.
    pub adds: Vec<(Key, Add)>,
    /// Journal lines.
    pub lines: Vec<NewLine>,
    /// Outbox.
    pub actions: Vec<Action>,
    /// Whether this, and everything before it, must survive a power cut before the call returns: an intent to send.
    pub durable: bool,
}

/// DynamoDB's limit on actions in one TransactWriteItems (aws-facts 4).
pub const ACTIONS_MAX: usize = 100;
/// DynamoDB's limit on the bytes of one transaction is 4 MB. This is 3 MB, since some servers count bytes as they travel (in
/// base64), less what keys, attribute names and actions take: 4 KB for each of its places.
pub const COMMIT_BYTES_MAX: usize = 3 * 1024 * 1024 - ACTIONS_MAX * 4096;
/// DynamoDB's limit on one item, less what keys and attribute names take.
pub const ITEM_BYTES_MAX: usize = 400 * 1024 - 4096;

impl Commit {
    /// Refuses what DynamoDB would refuse, so that nothing passes on one store and fails on another; and a line that does not
    /// come with the item that counts it.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] with the limit that is broken.
    pub fn check(&self) -> Result<(), StoreError> {
        let too_large = |what: String| Err(StoreError::TooLarge(what));
        let actions = self.puts.len() + self.unchanged.len() + self.adds.len() + self.lines.len() + self.actions.len();
        if actions > ACTIONS_MAX {
            return too_large(format!("{actions} items in one transaction, at most {ACTIONS_MAX}"));
        }
        let sizes = self.puts.iter().map(|put| put.body.len()).chain(self.lines.iter().map(|line| line.bytes.len()));
        let mut total = 0usize;
        for size in sizes {
            if size > ITEM_BYTES_MAX {
                return too_large(format!("an item of {size} bytes, at most {ITEM_BYTES_MAX}"));
            }
            total += size;
        }
        if total > COMMIT_BYTES_MAX {
            return too_large(format!("{total} bytes in one transaction, at most {COMMIT_BYTES_MAX}"));
        }
        let mut keys: Vec<&Key> =
            self.puts.iter().map(|put| &put.key).chain(self.unchanged.iter().map(|(key, _)| key)).chain(self.adds.iter().map(|(key, _)| key)).collect();
        keys.sort();
        if let Some(pair) = keys.windows(2).find(|pair| pair.first() == pair.last()) {
            return too_large(format!("`{}` stands twice in one transaction", pair.first().map_or("", |key| key.as_str())));
        }
        let counted: BTreeMap<&Key, u64> = self.puts.iter().map(|put| (&put.key, put.seq)).collect();
        let mut streams: BTreeSet<&Key> = BTreeSet::new();
        for line in &self.lines {
            if counted.get(&line.stream) != Some(&line.seq) {
                return too_large(format!("line {} of `{}` stands in it without the item that counts it", line.seq, line.stream));
            }
            if !streams.insert(&line.stream) {
                return too_large(format!("`{}` has two lines in one transaction", line.stream));
            }
        }
        Ok(())
    }
}

/// Names an action in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u64);

/// What was stored under keys, in the order of a listing.
pub type Page = Vec<(Key, Stored)>;

/// The store. Reads are strongly consistent. Written against by a conformance suite that every adapter passes.
pub trait Store: Send + Sync {
    /// Items by key, in the order of the keys; `None` where there is none.
    fn get(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Stored>>, StoreError>> + Send;
    /// Counters by key, in the order of the keys; 0 where nothing was added.
    fn counts(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<i64>, StoreError>> + Send;
    /// Items whose key starts with `prefix`, in key order, after `after`, at most `limit`.
    fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> impl Future<Output = Result<Page, StoreError>> + Send;
    /// Counters whose key starts with `prefix`, in key order.
    fn list_counts(&self, prefix: &str) -> impl Future<Output = Result<Vec<(Key, i64)>, StoreError>> + Send;
    /// The one write.
    fn commit(&self, commit: &Commit) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Keys of items that are due at `now`, earliest first, at most `limit`.
    fn due(&self, now: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<Key>, StoreError>> + Send;
    /// When the next item is due.
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
    /// Actions in the outbox after this one, oldest first, at most `limit`.
    fn outbox(&self, after: Option<ActionId>, limit: usize) -> impl Future<Output = Result<Vec<(ActionId, Action)>, StoreError>> + Send;
    /// An action was performed.
    fn performed(&self, ids: &[ActionId]) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Journal lines in commit order, after this position, with their positions, at most `limit`.
    fn journal(&self, after: u64, limit: usize) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send;
    /// All lines of one stream, in order, with their positions.
    fn stream(&self, stream: &Key) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send;
    /// The latest time of any commit: virtual clocks never run backwards over it.
    fn newest(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
}
