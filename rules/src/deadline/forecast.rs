//! Who will miss a deadline, by a simple model: members of a wave are patched in the order of their deadlines, so many at a time,
//! each round takes its time, rounds start only where a window leaves time enough, and a bake lies between waves. It assumes that
//! approvals are there and that every host answers: it is the best that can be hoped for, so whoever misses here will miss.

use jiff::Timestamp;
use tidegate_events::id::TargetKey;

use crate::desk::later;
use crate::forecast::{WaveLoad, finish};
use crate::policy::Policy;
use crate::window::WindowError;

/// A wave that waits for its turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Its members with their deadlines, in any order; those without one count for the time that they take.
    pub members: Vec<(TargetKey, Option<Timestamp>)>,
    /// At most so many at once; 0 is taken for 1.
    pub at_once: u64,
    /// From a command to its proof, in seconds.
    pub round_secs: i64,
    /// How long the wave is watched afterwards, in seconds.
    pub bake_secs: i64,
}

/// A target that will miss its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The target.
    pub target: TargetKey,
    /// Its deadline.
    pub deadline: Timestamp,
    /// When it will be patched at the earliest; `None` where no window is in sight.
    pub patched_at: Option<Timestamp>,
}

/// Who misses, earliest deadline first.
///
/// # Errors
/// When a window is wrong, which parsing has excluded.
pub fn forecast(policy: &Policy, waves: &[Waiting], now: Timestamp) -> Result<Vec<Miss>, WindowError> {
    let mut before: Vec<WaveLoad> = Vec::new();
    let mut misses = Vec::new();
    for wave in waves {
        let at_once = usize::try_from(wave.at_once.max(1)).unwrap_or(usize::MAX);
        let mut members: Vec<&(TargetKey, Option<Timestamp>)> = wave.members.iter().collect();
        members.sort_by_key(|(target, deadline)| (deadline.is_none(), *deadline, target));
        let rounds = members.chunks(at_once).count();
        for (round, group) in (1u64..).zip(members.chunks(at_once)) {
            // The order is by deadline: behind the first round of members without one there is nobody left to miss any.
            if group.iter().all(|(_, deadline)| deadline.is_none()) {
                break;
            }
            let mut loads = before.clone();
            loads.push(WaveLoad { rounds: round, round_secs: wave.round_secs, bake_secs: 0 });
            let patched_at = finish(policy, &loads, now)?.after_secs.map(|secs| later(now, i64::try_from(secs).unwrap_or(i64::MAX)));
            for (target, deadline) in group {
                if let Some(deadline) = deadline.filter(|deadline| patched_at.is_none_or(|at| at > *deadline)) {
                    misses.push(Miss { target: target.clone(), deadline, patched_at });
                }
            }
        }
        before.push(WaveLoad { rounds: u64::try_from(rounds).unwrap_or(u64::MAX), round_secs: wave.round_secs, bake_secs: wave.bake_secs });
    }
    misses.sort_by(|a, b| (a.deadline, &a.target).cmp(&(b.deadline, &b.target)));
    Ok(misses)
}
