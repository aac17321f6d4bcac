//! One pinned patch set per campaign. A SnapshotId fixes what a baseline approves for three days from its first use
//! (aws-facts 3.1); a wave that would run later gets a new one, which nobody has watched yet: it bakes anew and needs a
//! yes of its own.

use jiff::Timestamp;
use tidegate_events::entry::PinStrength;
use tidegate_events::id::{CampaignId, Digest, SnapshotId};

use crate::desk::secs_between;
use crate::policy::Policy;
use crate::state::Pin;

/// How long a snapshot lives after its first use, in seconds. Source: SSM guide, three days; one hour is kept in hand.
pub const SNAPSHOT_LIVES_SECS: i64 = 3 * 24 * 3600 - 3600;

/// The snapshot of a campaign's `nth` patch set: a UUID made of its digest, so that a crash gives the same one again.
pub fn snapshot(campaign: &CampaignId, digest: &Digest, nth: u16) -> SnapshotId {
    Digest::of_parts([b"snapshot".as_slice(), campaign.to_string().as_bytes(), digest.as_bytes(), &nth.to_be_bytes()]).as_snapshot()
}

/// Whether a campaign needs a new patch set before anything more of it may start: only where patches are pinned at all.
pub fn is_over(policy: &Policy, pin: Option<&Pin>, now: Timestamp) -> bool {
    policy.entry().pins_patches() && pin.is_none_or(|pin| is_dead(pin, now))
}

/// Whether a patch set is older than it lives.
pub fn is_dead(pin: &Pin, now: Timestamp) -> bool {
    strength(pin, now, false) == PinStrength::None
}

/// How firmly a patch set is pinned for a wave that starts at `start`. Linux snapshots pin rules, not packages.
pub fn strength(pin: &Pin, start: Timestamp, all_windows: bool) -> PinStrength {
    match pin.used_at {
        Some(used_at) if secs_between(used_at, start) > SNAPSHOT_LIVES_SECS => PinStrength::None,
        _ if all_windows => PinStrength::Exact,
        _ => PinStrength::Dated,
    }
}
