//! Queues of records that were refused or gave up on: looked into without changing them, and replayed without losing any.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_events::id::Digest;

use crate::clients::Hub;
use crate::queue::{EventQueue, Received};

/// How long an answer is waited for, in seconds: a call that waits asks all of SQS's servers, one that does not may miss messages.
const WAIT_SECS: i32 = 2;

/// A message in such a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its id in this queue.
    pub id: String,
    /// Why it is here; `None` where its reader crashed instead of refusing it.
    pub reason: Option<String>,
    /// The id that it had where it was refused.
    pub message_id: Option<String>,
    /// Which piece of the body it is about, from 0.
    pub index: Option<String>,
    /// Its body.
    pub body: String,
}

impl Letter {
    fn of(message: &Received) -> Self {
        let named = |name: &str| message.attributes.get(name).cloned();
        Self { id: message.id.clone(), reason: named("reason"), message_id: named("message_id"), index: named("index"), body: message.body.clone() }
    }

    /// Whether its reason has this text in it; the empty text is in every one.
    fn is_for(&self, reason_contains: &str) -> bool {
        reason_contains.is_empty() || self.reason.as_ref().is_some_and(|reason| reason.contains(reason_contains))
    }
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Sent to the other queue and deleted here.
    pub replayed: u64,
    /// Deleted here without sending: the same record refused for another of its pieces, which the one that was sent has in it.
    pub merged: u64,
    /// Left here: not asked for, or the same body as one that was sent, which may be the very one that came back.
    pub left: u64,
}

/// What becomes of a message in a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent,
    Merged,
    Left,
}

/// Bodies that were sent, with the id that their record had where it was refused.
#[derive(Debug, Default)]
struct Sent(BTreeMap<Digest, Option<String>>);

impl Sent {
    fn fate(&self, letter: &Letter, reason_contains: &str) -> Fate {
        if !letter.is_for(reason_contains) {
            return Fate::Left;
        }
        match self.0.get(&Digest::of(letter.body.as_bytes())) {
            None => Fate::Sent,
            Some(id) if id.is_some() && *id == letter.message_id => Fate::Merged,
            Some(_) => Fate::Left,
        }
    }

    fn add(&mut self, letter: &Letter) {
        self.0.insert(Digest::of(letter.body.as_bytes()), letter.message_id.clone());
    }
}

impl Replayed {
    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Sent => self.replayed += 1,
            Fate::Merged => self.merged += 1,
            Fate::Left => self.left += 1,
        }
    }
}

/// What a replay of these would do.
pub fn plan(letters: &[Letter], reason_contains: &str) -> Replayed {
    let (mut sent, mut done) = (Sent::default(), Replayed::default());
    for letter in letters {
        let fate = sent.fate(letter, reason_contains);
        if fate == Fate::Sent {
            sent.add(letter);
        }
        done.count(fate);
    }
    done
}

/// All messages of a queue, which stay there and are visible again afterwards. `warn` gets what could not be made visible at once.
///
/// # Errors
/// When SQS does not answer.
pub async fn list(hub: &Hub, url: &str, warn: &mut (dyn FnMut(String) + Send)) -> Result<Vec<Letter>, String> {
    let queue = EventQueue::new(hub.sqs().clone(), url);
    let mut held = BTreeMap::new();
    let ended = loop {
        match queue.receive(WAIT_SECS).await {
            Ok(batch) if batch.is_empty() => break Ok(()),
            Ok(batch) => {
                // The visibility timeout of the first is over: it went round once.
                let known = batch.iter().all(|message| held.contains_key(&message.id));
                held.extend(batch.into_iter().map(|message| (message.id.clone(), message)));
                if known {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    let held: Vec<Received> = held.into_values().collect();
    release(&queue, &held, warn).await;
    ended.map(|()| held.iter().map(Letter::of).collect())
}

/// Sends what is in one queue to another, and deletes it here afterwards: whatever fails in between is in both, never in none. Only
/// those whose reason has this text in it. One body is sent once, so that what is refused again at once does not go round.
///
/// # Errors
/// When SQS does not answer, with what was done until then.
pub async fn replay(hub: &Hub, from: &str, to: &str, reason_contains: &str, warn: &mut (dyn FnMut(String) + Send)) -> Result<Replayed, (Replayed, String)> {
    let (queue, target) = (EventQueue::new(hub.sqs().clone(), from), EventQueue::new(hub.sqs().clone(), to));
    let (mut sent, mut done) = (Sent::default(), Replayed::default());
    let (mut seen, mut held) = (BTreeSet::new(), Vec::new());
    let ended = 'all: loop {
        let mut batch = match queue.receive(WAIT_SECS).await {
            // What comes a second time was left the first time.
            Ok(batch) if batch.iter().any(|message| !seen.contains(&message.id)) => batch.into_iter(),
            Ok(_) => break Ok(()),
            Err(error) => break Err(error),
        };
        while let Some(message) = batch.next() {
            let letter = Letter::of(&message);
            let is_new = seen.insert(message.id.clone());
            let fate = if is_new { sent.fate(&letter, reason_contains) } else { Fate::Left };
            let mut step = Ok(());
            if fate == Fate::Sent {
                step = target.send(&message.body, message.group.as_deref(), &[]).await;
                if step.is_ok() {
                    sent.add(&letter);
                }
            }
            if fate != Fate::Left && step.is_ok() {
                // INVARIANT (nothing lost): gone from here only once it is there.
                step = queue.delete(std::slice::from_ref(&message)).await;
            }
            if let Err(error) = step {
                done.count(Fate::Left);
                held.push(message);
                held.extend(batch);
                break 'all Err(error);
            }
            if fate == Fate::Left {
                held.push(message);
            }
            if is_new {
                done.count(fate);
            }
        }
    };
    release(&queue, &held, warn).await;
    ended.map(|()| done).map_err(|error| (done, error))
}

async fn release(queue: &EventQueue, held: &[Received], warn: &mut (dyn FnMut(String) + Send)) {
    if let Err(error) = queue.release(held).await {
        warn(format!("some messages stay hidden until the queue's visibility timeout is over: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, reason: Option<&str>, message_id: Option<&str>, body: &str) -> Letter {
        Letter { id: id.into(), reason: reason.map(Into::into), message_id: message_id.map(Into::into), index: None, body: body.into() }
    }

    #[test]
    fn a_record_goes_once_and_no_other_is_deleted_for_it() {
        let letters = [
            letter("a", Some("no JSON"), Some("m1"), "batch"),
            letter("b", Some("no JSON either"), Some("m1"), "batch"),
            letter("c", Some("no JSON"), Some("m2"), "batch"),
            letter("d", None, None, "crashed"),
            letter("e", None, None, "crashed"),
        ];
        assert_eq!(plan(&letters, ""), Replayed { replayed: 2, merged: 1, left: 2 });
        assert_eq!(plan(&letters, "either"), Replayed { replayed: 1, merged: 0, left: 4 });
        assert_eq!(plan(&letters, "nothing says so"), Replayed { replayed: 0, merged: 0, left: 5 });
    }
}
