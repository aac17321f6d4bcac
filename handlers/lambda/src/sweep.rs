//! Sweeps over queues: every part of one is bounded, what follows from it is another message, and what fails is tried again later
//! by itself, so that no account's trouble stops another's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_engine::ports::Cloud;
use tidegate_engine::sweep::{Part, Share, Swept};
use tidegate_events::id::AccountId;

use crate::shell::{Fresh, Post, Shell, ShellError};
use crate::task::{Letter, Queue, Task};

/// Parts in one message at most; each is a page of at most 100 findings or 50 nodes.
const PARTS_MAX: usize = 20;
/// How many messages of the aggregator's findings are read at once: its API is one and the same for all accounts.
const HUB_GROUPS: u64 = 4;
/// How long the parts of an account that failed wait before they are tried again, in seconds; after the last try they are left to
/// the next sweep.
const AGAIN_SECS: [u32; 3] = [60, 300, 900];
/// How often one share of the accounts is swept, in seconds, where there is more than one.
const SHARE_SECS: u32 = 900;

/// How a message of parts ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepEnd {
    /// What was found.
    pub swept: Swept,
    /// Parts that will be tried again.
    pub again: u64,
    /// Parts that are left to the next sweep.
    pub left: u64,
}

/// Whether this minute is one that sweeps. By the clock, since a schedule's constant input carries a constant time; a tick that
/// is delivered twice in that minute sweeps twice, which finds nothing new.
pub fn is_turn(at: Timestamp, every_secs: u32) -> bool {
    every_secs > 0 && minute(at).rem_euclid(i64::from(every_secs)) == 0
}

/// The share of accounts whose nodes this minute sweeps, so that everybody has had a turn after `every_secs`.
pub fn share(at: Timestamp, every_secs: u32) -> Option<Share> {
    let each = every_secs.min(SHARE_SECS);
    if !is_turn(at, each) {
        return None;
    }
    let of = (every_secs / each).max(1);
    let turn = minute(at).div_euclid(i64::from(each)).rem_euclid(i64::from(of));
    Some(Share { turn: u32::try_from(turn).unwrap_or(0), of })
}

fn number(account: AccountId) -> u64 {
    account.to_string().parse().unwrap_or_default()
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60) * 60
}

/// Puts parts into messages on the queue whose reader may enter spokes. Each account's nodes have a group of their own: not that of
/// its look-ups, which need not wait for a sweep. The aggregator's parts enter no account and share a few.
///
/// # Errors
/// When a part can't be written as JSON.
pub fn pack(parts: Vec<Part>, tries: u32) -> Result<Vec<Letter>, serde_json::Error> {
    let mut heaps: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for part in parts {
        let group = match &part {
            Part::Nodes { spoke, .. } => format!("sweep-{}", spoke.account),
            Part::Findings { at, .. } => format!("sweep-hub-{}", number(at.spoke.account) % HUB_GROUPS),
            Part::Rules { .. } | Part::Spokes(_) => "sweep".to_owned(),
        };
        heaps.entry(group).or_default().push(part);
    }
    let mut letters = Vec::new();
    for (group, heap) in heaps {
        for parts in heap.chunks(PARTS_MAX) {
            let body = serde_json::to_string(&Task::Parts { parts: parts.to_vec(), tries })?;
            letters.push(Letter { queue: Queue::Spokes, group: Some(group.clone()), body, delay_secs: 0 });
        }
    }
    Ok(letters)
}

impl<S: Fresh, C: Cloud, P: Post> Shell<S, C, P> {
    /// Does these parts of a sweep, and hands on what follows from them. A part that fails is handed on by itself, with a delay
    /// (over the work queue, whose reader brings it back: a queue with groups knows no delays), up to three times.
    ///
    /// # Errors
    /// When what follows was not taken: the message comes again, which finds nothing twice.
    pub async fn sweep(
        &self,
        parts: Vec<Part>,
        tries: u32,
        clock: &(impl Fn() -> Timestamp + Sync),
        leave: &(impl Fn() -> bool + Sync),
    ) -> Result<SweepEnd, ShellError> {
        let mut end = SweepEnd::default();
        let (mut then, mut failed) = (Vec::new(), Vec::new());
        let mut parts = parts.into_iter();
        while let Some(part) = parts.next() {
            if leave() {
                let rest: Vec<Part> = std::iter::once(part).chain(parts).collect();
                self.post_all(pack(rest, tries)?).await?;
                break;
            }
            let done = self.engine().sweep_part(&part, clock()).await;
            // What was found before a failure is on its way too.
            self.hand_on(self.fresh().collect()).await?;
            match done {
                Ok(Ok(done)) => {
                    end.swept.add(done.swept);
                    then.extend(done.then);
                }
                Ok(Err(fault)) if !fault.is_passing() => {
                    end.left += 1;
                    tracing::error!(?part, %fault, "ERROR a part of a sweep was refused; the next sweep asks again");
                }
                Ok(Err(fault)) => {
                    tracing::warn!(?part, tries, %fault, "a part of a sweep was not answered");
                    failed.push(part);
                }
                Err(error) => {
                    tracing::warn!(?part, tries, %error, "what a part of a sweep found was not stored");
                    failed.push(part);
                }
            }
        }
        self.post_all(pack(then, 0)?).await?;
        let count = u64::try_from(failed.len()).unwrap_or(u64::MAX);
        match usize::try_from(tries).ok().and_then(|tries| AGAIN_SECS.get(tries)) {
            _ if failed.is_empty() => {}
            Some(delay_secs) => {
                let body = serde_json::to_string(&Task::Parts { parts: failed, tries: tries.saturating_add(1) })?;
                self.send(Letter { queue: Queue::Work, group: None, body, delay_secs: *delay_secs }).await?;
                end.again = count;
            }
            None => {
                tracing::error!(parts = ?failed, "ERROR parts of a sweep failed too often; the next sweep asks again");
                end.left = end.left.saturating_add(count);
            }
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_engine::ports::{RuleAt, Spoke};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nodes(account: &str, region: &str) -> Part {
        Part::Nodes { spoke: Spoke { account: account.parse().unwrap(), region: region.parse().unwrap() }, next: None }
    }

    #[test]
    fn one_minute_in_fifteen_sweeps() {
        assert!(is_turn(at("2026-11-22T10:15:42Z"), 900));
        assert!(!is_turn(at("2026-11-22T10:16:00Z"), 900));
        assert!(!is_turn(at("2026-11-22T10:15:00Z"), 0));
        assert!(is_turn(at("2026-11-22T10:17:59Z"), 60));
    }

    #[test]
    fn every_share_of_accounts_has_one_turn_a_day() {
        let midnight = at("2026-11-22T00:00:30Z");
        let minutes = (0..1440).map(|minute| midnight + jiff::SignedDuration::from_mins(minute));
        let shares: Vec<Share> = minutes.filter_map(|minute| share(minute, 86_400)).collect();
        assert_eq!(shares.len(), 96);
        let mut turns: Vec<u32> = shares.iter().map(|share| share.turn).collect();
        turns.sort_unstable();
        assert_eq!(turns, (0..96).collect::<Vec<u32>>());
        assert!(shares.iter().all(|share| share.of == 96));
        assert_eq!(share(midnight, 0), None);
        assert_eq!(share(midnight, 60), Some(Share::ALL));
    }

    #[test]
    fn a_message_is_about_one_account_and_nodes_wait_for_nobody_else() {
        let mut parts: Vec<Part> = (0..45).map(|n| nodes("111122223333", &format!("eu-west-{}", n + 1))).collect();
        parts.push(nodes("444455556666", "eu-west-1"));
        let spoke = Spoke { account: "111122223333".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
        parts.push(Part::Findings { at: RuleAt { rule: "patch".into(), spoke }, next: None });
        parts.push(Part::RULES);
        let letters = pack(parts.clone(), 1).unwrap();
        let groups: Vec<&str> = letters.iter().filter_map(|letter| letter.group.as_deref()).collect();
        assert_eq!(groups, ["sweep", "sweep-111122223333", "sweep-111122223333", "sweep-111122223333", "sweep-444455556666", "sweep-hub-1"]);
        let mut read = Vec::new();
        for letter in letters {
            assert_eq!(letter.queue, Queue::Spokes);
            let Some(Ok(Task::Parts { parts, tries: 1 })) = Task::read(&letter.body) else { panic!("{}", letter.body) };
            read.extend(parts);
        }
        assert!(read.len() == parts.len() && parts.iter().all(|part| read.contains(part)));
    }

    #[test]
    fn a_sweep_can_be_asked_for_by_hand() {
        let body = r#"{"tidegate":"sweep/2","parts":[{"spokes":{"turn":0,"of":1}},{"rules":{}}]}"#;
        assert_eq!(Task::read(body), Some(Ok(Task::Parts { parts: vec![Part::Spokes(Share::ALL), Part::RULES], tries: 0 })));
    }
}
