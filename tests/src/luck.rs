//! What goes wrong by chance, from one seed: the same each time. A store in memory that loses writes and answers, and what else a store
//! of the [`site`](crate::site) must do.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_embedded::EmbeddedStore;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Store};
use tidegate_events::Action;
use tidegate_lambda::shell::Fresh;

/// How often something goes wrong, of a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Luck {
    /// A write of the store is lost, or done and not answered.
    pub store: u64,
    /// A queue takes only some of what it is given, and says that it failed.
    pub post: u64,
    /// A message is delivered twice.
    pub twice: u64,
}

/// A small generator: the same numbers for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) Mutex<u64>);

impl Dice {
    pub(crate) fn roll(&self) -> u64 {
        let mut state = held(&self.0);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn hits(&self, of_thousand: u64) -> bool {
        of_thousand > 0 && self.roll() % 1000 < of_thousand
    }
}

/// What a mutex holds, whoever panicked with it.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store in memory that fails by chance, and tells what was put into its outbox.
pub struct Unlucky {
    pub(crate) inner: EmbeddedStore,
    pub(crate) dice: Dice,
    pub(crate) luck: Luck,
    pub(crate) now: Mutex<Timestamp>,
    pub(crate) fresh: Mutex<Vec<(ActionId, Action)>>,
    pub(crate) kept: Mutex<BTreeMap<ActionId, Timestamp>>,
}

impl Unlucky {
    async fn unlucky<T>(&self, write: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        if self.dice.hits(self.luck.store) {
            return Err(StoreError::Failed("the write was lost".into()));
        }
        let written = write.await?;
        if self.dice.hits(self.luck.store) {
            // Done, but the process that asked dies before it hears so.
            held(&self.fresh).clear();
            return Err(StoreError::Failed("the answer was lost".into()));
        }
        Ok(written)
    }
}

impl Store for Unlucky {
    crate::reads_go_to!(inner);
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.unlucky(async {
            self.inner.commit(commit).await?;
            let last = held(&self.kept).last_key_value().map(|(id, _)| *id);
            let new = self.inner.outbox(last, 1000).await?;
            let now = *held(&self.now);
            held(&self.kept).extend(new.iter().map(|(id, _)| (*id, now)));
            held(&self.fresh).extend(new);
            Ok(())
        })
        .await
    }
    async fn performed(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        self.unlucky(self.inner.performed(ids)).await
    }
}

impl Fresh for Unlucky {
    fn take_fresh(&self) -> Vec<(ActionId, Action)> {
        std::mem::take(&mut *held(&self.fresh))
    }
    fn kept_at(&self, id: ActionId) -> Timestamp {
        held(&self.kept).get(&id).copied().unwrap_or(Timestamp::MIN)
    }
}

/// A store that a [`Site`] runs on: it is told the time, and looked at without that being one of its functions' reads.
pub trait Backing: Fresh {
    /// What the site looks at.
    type Seen: Store;
    /// Virtual time has come to this.
    fn set_now(&self, now: Timestamp);
    /// The store, or one that holds the same, for the site's own looks.
    fn seen(&self) -> &Self::Seen;
}

impl Backing for Unlucky {
    type Seen = Self;
    fn set_now(&self, now: Timestamp) {
        *held(&self.now) = now;
    }
    fn seen(&self) -> &Self {
        self
    }
}
