//! What EventBridge has delivered, kept for a courier to fetch.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::world::Delivery;

/// So many are kept; older ones are forgotten.
const KEPT: usize = 100_000;
/// So many are handed out at once.
const BATCH: usize = 1_000;

#[derive(Debug, Default)]
struct Shelf {
    /// The number of the oldest one that is kept, counted from 1, less 1.
    gone: u64,
    kept: VecDeque<Delivery>,
}

/// Deliveries by number, from 1, since this process opened the world.
#[derive(Debug, Default)]
pub(super) struct Post {
    shelf: Mutex<Shelf>,
    came: Notify,
}

impl Post {
    /// Takes deliveries in.
    pub fn put(&self, delivered: Vec<Delivery>) {
        if delivered.is_empty() {
            return;
        }
        {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.kept.extend(delivered);
            while shelf.kept.len() > KEPT {
                shelf.kept.pop_front();
                shelf.gone += 1;
            }
        }
        self.came.notify_waiters();
    }

    /// What came after this number, with numbers. A number beyond the last one is another process's: everything is given then.
    pub fn after(&self, number: u64) -> Vec<(u64, Delivery)> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let last = shelf.gone + u64::try_from(shelf.kept.len()).unwrap_or(0);
        let skip = if number > last { 0 } else { number.saturating_sub(shelf.gone) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let numbered = (shelf.gone + 1..).zip(shelf.kept.iter().cloned());
        numbered.skip(skip).take(BATCH).collect()
    }

    /// As [`Self::after`], waiting so long where there is nothing yet.
    pub async fn wait(&self, number: u64, patience: Duration) -> Vec<(u64, Delivery)> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            // Asked for before looking, so that nothing slips in between.
            let came = self.came.notified();
            let found = self.after(number);
            if !found.is_empty() || tokio::time::timeout_at(deadline, came).await.is_err() {
                return found;
            }
        }
    }
}
