//! How fast an operation may be called in one account and Region: a bucket of tokens whose rate is halved when AWS says
//! "slow down" and grows again while it does not. The core is pure; the clock comes in with each call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_events::host::SpokeFault;

use super::meter::Place;

/// What one call costs, in millionths of a token.
const TOKEN: i64 = 1_000_000;
/// The longest wait for a turn, in milliseconds: beyond it the caller is told that it is throttled.
const WAIT_MAX_MS: i64 = 5_000;
/// Throttles within so many milliseconds are one sign, not several: a burst is refused as a whole.
const ONE_SIGN_MS: i64 = 1_000;

/// The limits of one kind of operation, in thousandths of a call per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub start: i64,
    pub ceiling: i64,
    /// Calls that may go at once after a quiet time.
    pub burst: i64,
}

/// The slowest rate, in thousandths of a call per second: one call in five seconds, which a caller can still wait for.
const FLOOR: i64 = 200;

impl Limits {
    /// AWS publishes few of its limits (aws-facts 4). These start low, and adapt.
    fn of(operation: &str) -> Self {
        match operation {
            "ssm:SendCommand" => Self { start: 2_000, ceiling: 10_000, burst: 5 },
            // One a second by Service Quotas (aws-facts 4).
            "ssm:StartAutomationExecution" => Self { start: 1_000, ceiling: 2_000, burst: 1 },
            "sts:AssumeRole" => Self { start: 50_000, ceiling: 200_000, burst: 50 },
            _ if operation.starts_with("organizations:") => Self { start: 5_000, ceiling: 10_000, burst: 10 },
            _ => Self { start: 10_000, ceiling: 40_000, burst: 20 },
        }
    }
}

/// The bucket. Times are milliseconds of any steady clock.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    limits: Limits,
    /// Thousandths of a call per second.
    rate: i64,
    /// Millionths of a token; below zero while callers wait for their turn.
    tokens: i64,
    at: i64,
    halved_at: Option<i64>,
}

impl Bucket {
    pub(crate) fn new(limits: Limits, now: i64) -> Self {
        Self { limits, rate: limits.start, tokens: limits.burst.saturating_mul(TOKEN), at: now, halved_at: None }
    }

    fn refill(&mut self, now: i64) {
        let passed = now.saturating_sub(self.at).max(0);
        self.at = self.at.max(now);
        // Thousandths of a call per second, times milliseconds, are millionths of a call.
        let gained = self.rate.saturating_mul(passed);
        self.tokens = self.tokens.saturating_add(gained).min(self.limits.burst.saturating_mul(TOKEN));
    }

    /// Takes a turn: after how many milliseconds it may be used, or `None` where that is too long (then nothing is taken).
    pub(crate) fn take(&mut self, now: i64) -> Option<i64> {
        self.refill(now);
        let missing = TOKEN.saturating_sub(self.tokens).max(0);
        let wait = missing.saturating_add(self.rate - 1) / self.rate.max(1);
        if wait > WAIT_MAX_MS {
            return None;
        }
        self.tokens = self.tokens.saturating_sub(TOKEN);
        Some(wait)
    }

    /// AWS said "slow down": half the rate, and nothing saved up.
    pub(crate) fn throttled(&mut self, now: i64) {
        self.refill(now);
        self.tokens = self.tokens.min(0);
        if self.halved_at.is_some_and(|at| now.saturating_sub(at) < ONE_SIGN_MS) {
            return;
        }
        self.halved_at = Some(now);
        self.rate = (self.rate / 2).max(FLOOR);
    }

    /// AWS answered otherwise: a hundredth of the ceiling more.
    pub(crate) fn answered(&mut self, now: i64) {
        self.refill(now);
        self.rate = self.rate.saturating_add(self.limits.ceiling / 100).min(self.limits.ceiling);
    }

    #[cfg(test)]
    pub(crate) fn rate(&self) -> i64 {
        self.rate
    }
}

/// The buckets of this process.
#[derive(Debug)]
pub(crate) struct Pace {
    started: Instant,
    buckets: Mutex<HashMap<Place, Bucket>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { started: Instant::now(), buckets: Mutex::default() }
    }
}

impl Pace {
    fn now(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn with<T>(&self, place: &Place, act: impl FnOnce(&mut Bucket, i64) -> T) -> T {
        let now = self.now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(place) {
            return act(bucket, now);
        }
        act(buckets.entry(place.clone()).or_insert_with(|| Bucket::new(Limits::of(place.operation), now)), now)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// `Throttled` where the turn would come too late.
    pub(crate) async fn turn(&self, place: &Place) -> Result<(), SpokeFault> {
        let wait = self.with(place, Bucket::take).ok_or(SpokeFault::Throttled)?;
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
        }
        Ok(())
    }

    /// Hears how one attempt ended.
    pub(crate) fn hear(&self, place: &Place, throttled: bool) {
        self.with(place, if throttled { Bucket::throttled } else { Bucket::answered });
    }
}

#[cfg(test)]
#[path = "pace/tests.rs"]
mod tests;
