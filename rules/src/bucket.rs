//! The place of a target on the ring: what makes canaries the same hosts every time, and spreads shares evenly.

use tidegate_events::id::{Digest, TargetKey};

use crate::key::DOORS;

/// The stable place of a target: a hash of nothing but its key, so that fleets can grow without reordering two members.
pub fn ring(target: &TargetKey) -> u64 {
    Digest::of_parts([b"tidegate ring 1".as_slice(), target.to_string().as_bytes()]).prefix()
}

/// The door through which a target joins a roster, and its place behind it.
pub fn place(target: &TargetKey) -> (u16, u64) {
    let ring = ring(target);
    (u16::try_from(ring % u64::from(DOORS)).unwrap_or(0), ring)
}
