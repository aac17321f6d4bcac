//! The failure budget and the bake: what a finished wave must show before the next opens (invariant 3, order).

use tidegate_events::id::WaveId;

use crate::desk::{Desk, Missing};
use crate::key::{Key, Tally};
use crate::policy::Policy;
use crate::state::Wave;

/// A wave's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tallied {
    /// Cells that looked at their members again.
    pub sealed: u64,
    /// Members that were kept.
    pub kept: u64,
    /// Cells that have ended.
    pub done: u64,
    /// Members proven patched.
    pub ok: u64,
    /// Members failed or unknown.
    pub bad: u64,
}

/// Reads a wave's counters.
///
/// # Errors
/// When they are not loaded.
pub fn tallied(desk: &Desk<'_>, wave: &WaveId) -> Result<Tallied, Missing> {
    let key = |field| Key::tally(wave, field);
    desk.need(&[key(Tally::Sealed), key(Tally::Kept), key(Tally::Done), key(Tally::Ok), key(Tally::Bad)])?;
    Ok(Tallied {
        sealed: desk.count(&key(Tally::Sealed))?,
        kept: desk.count(&key(Tally::Kept))?,
        done: desk.count(&key(Tally::Done))?,
        ok: desk.count(&key(Tally::Ok))?,
        bad: desk.count(&key(Tally::Bad))?,
    })
}

/// Failures that a wave survives. A share is of the members that it kept, rounded down and never below one, like every
/// limit; so that the first failure of a canary of one does not pass for proof, a wave all of whose members failed is
/// always over its budget.
pub fn budget(policy: &Policy, name: &str, kept: u64) -> u64 {
    let own = policy.waves.iter().find(|wave| wave.name == name).and_then(|wave| wave.failure_budget);
    own.unwrap_or(policy.failure_budget).of(kept)
}

/// Why a wave is over its failure budget, where it is. Unknown counts as failed (invariant 4).
pub fn overspent(policy: &Policy, wave: &Wave, tally: Tallied) -> Option<String> {
    let bad = tally.bad.saturating_sub(wave.forgiven);
    let budget = budget(policy, &wave.name, tally.kept);
    let all_failed = bad > 0 && bad >= tally.kept && tally.ok == 0;
    (bad > budget || all_failed).then(|| format!("wave `{}`: {bad} of {} targets failed or are unknown, the failure budget is {budget}", wave.name, tally.kept))
}

/// How long a wave bakes, in seconds. A campaign's waves are found in the policy by name, since empty ones vanish.
pub fn bake_secs(policy: &Policy, name: &str) -> i64 {
    policy.waves.iter().find(|wave| wave.name == name).map_or(0, |wave| i64::from(wave.bake_secs))
}
