//! What the store has cost: capacity units and requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Capacity units and requests, as DynamoDB reports and bills them. Where it reports none (some emulators), units are counted
/// by the size of what was written or read; indexes are not in those.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Units {
    /// Read units: half a unit for 4 KB read eventually consistently, one consistently.
    pub read: f64,
    /// Write units: one for 1 KB, two in a transaction, and those of the indexes.
    pub write: f64,
    /// Requests by operation, each with its retries as one.
    pub requests: BTreeMap<&'static str, u64>,
}

/// Which units a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Sums up.
#[derive(Default)]
pub(super) struct Meter(Mutex<Units>);

impl Meter {
    /// Counts one request, with what it was reported to take, or else the estimate.
    pub(super) fn count(&self, operation: &'static str, kind: Kind, reported: &[ConsumedCapacity], estimate: f64) {
        let known: Vec<f64> = reported.iter().filter_map(|capacity| capacity.capacity_units).collect();
        let units = if known.is_empty() { estimate } else { known.iter().sum() };
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            Kind::Read => sums.read += units,
            Kind::Write => sums.write += units,
        }
        *sums.requests.entry(operation).or_default() += 1;
    }

    pub(super) fn sums(&self) -> Units {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Units for writing so many bytes outside a transaction.
pub(super) fn to_write(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX))
}

/// Units for reading so many bytes consistently.
pub(super) fn to_read(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(4096).max(1)).unwrap_or(u32::MAX))
}
