//! Blast radius as escrow: a limit is a counter that is added to under a condition, never a number that is read and then
//! acted on (invariant 4).

use tidegate_events::Hold;
use tidegate_events::entry::{CellMember, Grant, Limit};
use tidegate_events::hold::Scope;

use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::plan::limit_of;
use crate::policy::Policy;

/// Most different tag values in one batch: each is a counter of its own in the transaction.
const TAG_VALUES_MAX: usize = 20;

/// Members that may start, and what they hold of each limit.
pub type Drawn = (Vec<CellMember>, Vec<Grant>);

/// How many of these waiting members may start now, and what they hold then. Reading the counters only sizes the batch;
/// what holds the limit is the conditional add when the batch is written.
///
/// # Errors
/// When a counter is not loaded.
pub fn draw(desk: &Desk<'_>, policy: &Policy, wave: &str, limits: &[Limit], waiting: &[&CellMember], at_most: usize) -> Result<Result<Drawn, Hold>, Missing> {
    let limits: Vec<&Limit> = limits.iter().filter(|limit| waiting.iter().any(|member| binds(&limit.scope, member))).collect();
    let keys: Vec<Key> = limits.iter().map(|limit| Key::grant(&limit.scope)).collect();
    desk.need(&keys)?;
    // The stricter of what was approved and what the policy says today.
    let limits: Vec<Limit> = limits
        .into_iter()
        .map(|limit| Limit { limit: limit_of(policy, wave, &limit.scope, limit.base).map_or(limit.limit, |today| today.min(limit.limit)), ..limit.clone() })
        .collect();
    let mut room: Vec<(&Limit, u64)> = Vec::with_capacity(limits.len());
    for (limit, key) in limits.iter().zip(&keys) {
        room.push((limit, limit.limit.saturating_sub(desk.count(key)?)));
    }
    let mut chosen: Vec<CellMember> = Vec::new();
    let mut used: Vec<u64> = vec![0; room.len()];
    let mut tags: Vec<&str> = Vec::new();
    let mut blocked: Option<Hold> = None;
    for member in waiting {
        if chosen.len() >= at_most {
            break;
        }
        let new: Vec<&str> = member.tag.iter().chain(&member.groups).map(String::as_str).filter(|tag| !tags.contains(tag)).collect();
        if !new.is_empty() && tags.len() + new.len() > TAG_VALUES_MAX {
            continue;
        }
        let full = room.iter().zip(&used).find(|((limit, room), used)| binds(&limit.scope, member) && **used >= *room);
        if let Some(((limit, _), _)) = full {
            blocked.get_or_insert(held_by(limit));
            continue;
        }
        tags.extend(new);
        for ((limit, _), used) in room.iter().zip(&mut used) {
            *used += u64::from(binds(&limit.scope, member));
        }
        chosen.push((*member).clone());
    }
    if chosen.is_empty() {
        return Ok(Err(blocked.unwrap_or(Hold::Doubt { what: "no member could be chosen".into() })));
    }
    let grants = room
        .iter()
        .zip(used)
        .filter(|(_, used)| *used > 0)
        .map(|((limit, _), count)| Grant { scope: limit.scope.clone(), count, limit: limit.limit })
        .collect();
    Ok(Ok((chosen, grants)))
}

fn held_by(limit: &Limit) -> Hold {
    if limit.limit > 0 {
        return Hold::BlastRadius { scope: limit.scope.clone(), limit: limit.limit };
    }
    let what = format!(
        "{} has {} known members, and the policy's `available_min` lets none of them be touched: lower it, then reject this campaign, so that they join the next",
        limit.scope, limit.base
    );
    Hold::NeedsPerson { what }
}

/// Whether a limit concerns a member.
pub(crate) fn binds(scope: &Scope, member: &CellMember) -> bool {
    match scope {
        Scope::Tag(value) => member.tag.as_ref() == Some(value) || member.groups.contains(value),
        // Whoever is in the cell is in its account and Region.
        Scope::Group { tag, .. } => member.groups.contains(tag),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_binds_the_members_of_its_group_alone() {
        let member = CellMember {
            instance: "i-0123456789abcdef0".parse().unwrap(),
            platform: tidegate_events::host::Platform::Linux,
            tag: Some("PatchGroup=a".into()),
            groups: vec!["asg=web".into()],
        };
        let group = |tag: &str| Scope::Group { account: "111122223333".parse().unwrap(), region: "eu-west-1".parse().unwrap(), tag: tag.into() };
        for scope in [Scope::Organization, Scope::Tag("asg=web".into()), Scope::Tag("PatchGroup=a".into()), group("asg=web")] {
            assert!(binds(&scope, &member), "{scope}");
        }
        for scope in [Scope::Tag("asg=db".into()), group("asg=db"), group("PatchGroup=a")] {
            assert!(!binds(&scope, &member), "{scope}");
        }
    }
}
