//! Queues as the functions know them: they deliver at least once and in groups, take only some of what they are given, and keep what is
//! refused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tidegate_lambda::post::{Bin, Refused};
use tidegate_lambda::shell::Post;
use tidegate_lambda::task::{Letter, Queue};

use crate::luck::{Dice, Luck, held};

/// Where a message is.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) group: Option<String>,
    pub(crate) body: String,
    pub(crate) visible_at: Timestamp,
}

/// All queues.
pub struct Queues {
    pub(crate) dice: Dice,
    pub(crate) luck: Luck,
    pub(crate) now: Mutex<Timestamp>,
    pub(crate) waiting: Mutex<BTreeMap<&'static str, VecDeque<Message>>>,
    pub(crate) refused: Mutex<Vec<Refused>>,
    pub(crate) posted: Mutex<BTreeMap<&'static str, Posted>>,
}

/// What was put on one queue by the functions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Posted {
    /// Messages.
    pub messages: u64,
    /// Requests, of at most ten messages each.
    pub requests: u64,
}

impl Queues {
    pub(crate) fn push(&self, queue: &'static str, group: Option<String>, body: String) {
        self.put(queue, group, body, 0);
    }

    fn put(&self, queue: &'static str, group: Option<String>, body: String, delay_secs: u32) {
        let visible_at = *held(&self.now) + SignedDuration::from_secs(i64::from(delay_secs));
        held(&self.waiting).entry(queue).or_default().push_back(Message { group, body, visible_at });
    }
}

impl Post for Queues {
    async fn post(&self, letters: Vec<Letter>) -> Result<(), String> {
        for queue in Queue::ALL {
            let messages = u64::try_from(letters.iter().filter(|letter| letter.queue == queue).count()).unwrap_or(u64::MAX);
            if messages > 0 {
                let mut posted = held(&self.posted);
                let posted = posted.entry(queue.name()).or_default();
                posted.messages += messages;
                posted.requests += messages.div_ceil(10);
            }
        }
        for letter in letters {
            if self.dice.hits(self.luck.post) {
                return Err("the queue took only a part".into());
            }
            if letter.group.is_some() && letter.delay_secs > 0 {
                return Err("a queue with groups knows no delays".into());
            }
            self.put(letter.queue.name(), letter.group, letter.body, letter.delay_secs);
        }
        Ok(())
    }
}

impl Bin for Queues {
    async fn refuse(&self, refused: Refused) -> Result<(), String> {
        if self.dice.hits(self.luck.post) {
            return Err("the bin does not answer".into());
        }
        held(&self.refused).push(refused);
        Ok(())
    }
}
