//! The clock that numbers journal lines and actions: a hybrid logical clock. It goes with the wall clock, and never behind
//! anything that this process has read or written.
//!
//! INVARIANT (causal order): every item carries the clock of its last write (`clk`), and whoever reads it moves on to that.
//! So whatever was decided on a read is numbered after what was read, in whichever process and on however wrong a wall clock,
//! and reading the journal by number gives causes before effects, across streams. Two things that did not know of each other
//! come in the order of their wall clocks; if they were written in the same microsecond by two processes they may even have
//! the same number (one in some millions), and then readers get both together.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// Low bits that are no time: random, so that two processes hardly ever give the same number. The rest is microseconds since
/// 1970, and all of it fits an `i64` until the year 2112.
const LOW_BITS: u32 = 11;

/// One for the whole process: what one handle has read, all others know.
static NEWEST: AtomicU64 = AtomicU64::new(0);

/// Moves on to a number that was read.
pub(super) fn observe(seen: u64) {
    NEWEST.fetch_max(seen, Ordering::SeqCst);
}

/// So many consecutive numbers, greater than all that this process has seen: gives the first.
pub(super) fn take(count: u64) -> u64 {
    take_at(&NEWEST, Timestamp::now(), crate::random::number(), count)
}

fn take_at(newest: &AtomicU64, wall: Timestamp, random: u64, count: u64) -> u64 {
    let micros = u64::try_from(wall.as_microsecond()).unwrap_or(0);
    let wall = (micros << LOW_BITS) | (random & ((1 << LOW_BITS) - 1));
    let mut last = newest.load(Ordering::SeqCst);
    loop {
        let first = wall.max(last.saturating_add(1));
        match newest.compare_exchange_weak(last, first.saturating_add(count.saturating_sub(1)), Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return first,
            Err(now) => last = now,
        }
    }
}

/// The wall clock's time of a number.
pub(super) fn time_of(number: u64) -> Timestamp {
    let micros = i64::try_from(number >> LOW_BITS).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_grow_whatever_the_wall_clock_does() {
        let newest = AtomicU64::new(0);
        let first = take_at(&newest, at("2026-11-19T12:00:00Z"), 7, 3);
        assert_eq!(time_of(first), at("2026-11-19T12:00:00Z"));
        assert_eq!(take_at(&newest, at("2026-11-19T11:00:00Z"), 9, 1), first + 3, "the wall clock went back");
        assert!(take_at(&newest, at("2026-11-19T12:00:01Z"), 0, 1) > first + 3);
    }

    #[test]
    fn what_was_read_comes_before_what_is_numbered_next() {
        let newest = AtomicU64::new(0);
        let ahead = take_at(&AtomicU64::new(0), at("2026-11-19T12:05:00Z"), 5, 1);
        newest.fetch_max(ahead, Ordering::SeqCst);
        assert_eq!(take_at(&newest, at("2026-11-19T12:00:00Z"), 5, 1), ahead + 1, "the writer's clock was five minutes ahead of ours");
    }

    #[test]
    fn numbers_fit_what_holds_them() {
        let newest = AtomicU64::new(0);
        let late = take_at(&newest, at("2111-12-31T23:59:59Z"), u64::MAX, 100);
        assert!(i64::try_from(late).is_ok());
        let newest = AtomicU64::new(0);
        assert_eq!(take_at(&newest, at("1960-01-01T00:00:00Z"), 0, 1), 1, "before 1970 there is only counting");
    }
}
