//! Who is in which wave: decided once, when a campaign closes, over all its members.

use std::collections::BTreeSet;

use tidegate_events::host::Host;
use tidegate_events::id::TargetKey;

use crate::bucket;
use crate::exemption::selects;
use crate::policy::{Policy, Wave};

/// Under so many members there is one canary and the rest, whatever the shares say.
pub const SMALL: usize = 10;

/// A member that can be patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which target.
    pub target: TargetKey,
    /// What is known of it.
    pub host: Host,
}

/// Splits members over a policy's waves: every member in exactly one, named ones and lowest places on the ring first, empty
/// waves gone. Gives each wave's name and its members, in ring order. `ous_of` names the organizational units above an
/// account.
pub fn split<'m, 'o>(policy: &Policy, members: &'m [Member], ous_of: impl Fn(&TargetKey) -> &'o [String]) -> Vec<(String, Vec<&'m Member>)> {
    let mut left: Vec<(u64, &Member)> = members.iter().map(|member| (bucket::ring(&member.target), member)).collect();
    left.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.target.cmp(&y.target)));
    let total = left.len();
    let small = total < SMALL && policy.waves.iter().all(|wave| wave.select.is_empty());
    let mut waves: Vec<(String, Vec<&Member>)> = Vec::new();
    let last = policy.waves.len().saturating_sub(1);
    for (index, wave) in policy.waves.iter().enumerate() {
        let chosen: BTreeSet<usize> = if index == last { (0..left.len()).collect() } else { choose(wave, index, &left, total, small, &ous_of) };
        let (taken, rest): (Vec<_>, Vec<_>) = left.iter().enumerate().partition(|(at, _)| chosen.contains(at));
        let taken: Vec<&Member> = taken.into_iter().map(|(_, (_, member))| *member).collect();
        left = rest.into_iter().map(|(_, pair)| *pair).collect();
        if !taken.is_empty() {
            waves.push((wave.name.clone(), taken));
        }
    }
    waves
}

/// The places in `left` that a wave (never the last) takes.
fn choose<'o>(wave: &Wave, index: usize, left: &[(u64, &Member)], total: usize, small: bool, ous_of: &impl Fn(&TargetKey) -> &'o [String]) -> BTreeSet<usize> {
    let named: Vec<usize> = places(left, |member| wave.instances.contains(&member.target.instance));
    let mut chosen: BTreeSet<usize> = named.iter().copied().collect();
    let room = match (small, wave.share) {
        (true, _) => usize::from(index == 0),
        (false, Some(share)) => usize::try_from(share.of(u64::try_from(total).unwrap_or(u64::MAX))).unwrap_or(usize::MAX),
        // A wave that only names instances takes those and nobody else.
        (false, None) if wave.select.is_empty() && !wave.instances.is_empty() => 0,
        (false, None) => usize::MAX,
    };
    let selected = places(left, |member| selects(&wave.select, &member.target, Some(&member.host), ous_of(&member.target)));
    for place in selected {
        if chosen.len() >= room.max(named.len()) {
            break;
        }
        chosen.insert(place);
    }
    // A canary that nobody qualifies for would make the first real wave the canary.
    if index == 0 && chosen.is_empty() && total > 1 {
        chosen.insert(0);
    }
    chosen
}

fn places(left: &[(u64, &Member)], meant: impl Fn(&Member) -> bool) -> Vec<usize> {
    left.iter().enumerate().filter(|(_, (_, member))| meant(member)).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_events::host::{Ping, Platform};

    fn members(n: usize) -> Vec<Member> {
        (0..n)
            .map(|i| {
                let target: TargetKey = format!("{:012}/eu-west-1/i-{:017x}", 100_000_000_000 + (i % 7) as u64, i * 7919).parse().unwrap();
                Member { host: Host { instance: target.instance.clone(), platform: Platform::Linux, ping: Ping::Online, tags: Default::default() }, target }
            })
            .collect()
    }

    fn policy(text: &str) -> Policy {
        crate::policy::parse(text, "test.toml").unwrap()
    }

    const THREE: &str = "name = \"t\"\n[[wave]]\nname = \"canary\"\nshare = \"5%\"\nbake_secs = 60\n[[wave]]\nname = \"early\"\nshare = \"25%\"\nbake_secs = 60\n[[wave]]\nname = \"rest\"\n";

    #[test]
    fn under_ten_members_there_is_one_canary_and_the_rest() {
        for n in 2..SMALL {
            let all = members(n);
            let waves = split(&policy(THREE), &all, |_| &[]);
            assert_eq!(waves.iter().map(|(name, members)| (name.as_str(), members.len())).collect::<Vec<_>>(), [("canary", 1), ("rest", n - 1)]);
        }
        let one = members(1);
        assert_eq!(split(&policy(THREE), &one, |_| &[]).len(), 1);
    }

    proptest! {
        #[test]
        fn waves_cover_never_overlap_and_keep_their_shares(n in 1usize..400) {
            let all = members(n);
            let waves = split(&policy(THREE), &all, |_| &[]);
            let mut seen = BTreeSet::new();
            for (_, wave) in &waves {
                for member in wave {
                    prop_assert!(seen.insert(member.target.clone()), "{} is in two waves", member.target);
                }
            }
            prop_assert_eq!(seen.len(), n);
            if n >= 20 {
                prop_assert_eq!(waves[0].1.len(), n * 5 / 100);
                prop_assert_eq!(waves[1].1.len(), n * 25 / 100);
            }
        }

        #[test]
        fn growth_never_reorders_two_members(n in 20usize..200, more in 1usize..200) {
            let place = |count: usize| {
                let all = members(count);
                let mut of = std::collections::BTreeMap::new();
                for (at, member) in split(&policy(THREE), &all, |_| &[]).iter().flat_map(|(_, members)| members).enumerate() {
                    of.insert(member.target.clone(), at);
                }
                of
            };
            let (before, after) = (place(n), place(n + more));
            let mut old: Vec<_> = before.iter().collect();
            old.sort_by_key(|(_, at)| **at);
            let places: Vec<usize> = old.iter().map(|(target, _)| after[*target]).collect();
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn a_canary_spreads_over_accounts(seed in 0u64..50) {
            let all: Vec<Member> = members(700).into_iter().map(|mut member| {
                member.target = format!("{:012}/eu-west-1/i-{:017x}", 100_000_000_000 + seed * 100 + u64::from(bucket::place(&member.target).0) % 10, bucket::ring(&member.target)).parse().unwrap();
                member
            }).collect();
            let waves = split(&policy(THREE), &all, |_| &[]);
            let accounts: BTreeSet<_> = waves[0].1.iter().map(|member| member.target.account).collect();
            prop_assert!(accounts.len() >= 4, "35 canaries in only {} of 10 accounts", accounts.len());
        }
    }
}
