//! What travels on our own queues: actions with their place in the outbox, grouped so that one message is one account's work,
//! and which queue each kind of action belongs on. Only two queues lead to functions that may enter spokes.

use serde::{Deserialize, Serialize};
use tidegate_engine::store::ActionId;
use tidegate_engine::sweep::Part;
use tidegate_events::Action;
use tidegate_events::id::AccountId;

use crate::execution::Ask;

/// Items in one message at most: what fails comes again together.
const ITEMS_MAX: usize = 20;
/// Bytes in one message at most. SQS takes 1 MiB for a batch of ten messages (aws-facts 4).
const BYTES_MAX: usize = 96 * 1024;

/// One of our own queues, named by what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Decisions that need no spoke: nudges, rosters, cuts. Read by `gate`.
    Work,
    /// Commands and the search for them. Read by `patch`, one account at a time.
    Sends,
    /// Look-ups in spokes. Read by `reevaluate`, one account at a time.
    Spokes,
    /// What operators are told. Read by `notify`.
    Notices,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 4] = [Self::Work, Self::Sends, Self::Spokes, Self::Notices];

    /// The name in settings and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Sends => "sends",
            Self::Spokes => "spokes",
            Self::Notices => "notices",
        }
    }
}

/// An action on its way, with its place in the outbox where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the outbox: it is taken out when the action is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The action.
    pub action: Action,
}

impl Item {
    /// An action that is kept in the outbox.
    pub fn kept(id: ActionId, action: Action) -> Self {
        Self { id: Some(id.0), action }
    }

    /// An ask that nothing depends on being kept.
    pub fn passing(action: Action) -> Self {
        Self { id: None, action }
    }
}

/// A message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tidegate", deny_unknown_fields)]
pub enum Task {
    /// Perform these.
    #[serde(rename = "items/1")]
    Items {
        /// In this order.
        items: Vec<Item>,
    },
    /// Ask the aggregator what is non-compliant, and take in what no event has told. As [`Part::RULES`].
    #[serde(rename = "sweep/1")]
    Sweep,
    /// Do these parts of a sweep.
    #[serde(rename = "sweep/2")]
    Parts {
        /// In any order; of one account, where its nodes are read.
        parts: Vec<Part>,
        /// How often they were tried in vain.
        #[serde(default)]
        tries: u32,
    },
    /// An execution of the state machine asks for a run, and waits for its end.
    #[serde(rename = "run/1")]
    Run(Box<Ask>),
}

impl Task {
    /// Reads a body that is a message of ours; `None` where it is none (an event, then).
    ///
    /// # Errors
    /// When it says that it is ours and can't be read.
    pub fn read(body: &str) -> Option<Result<Self, String>> {
        #[derive(Deserialize)]
        struct Mark {
            tidegate: Option<String>,
        }
        let mark: Mark = serde_json::from_str(body).ok()?;
        mark.tidegate?;
        Some(serde_json::from_str(body).map_err(|error| format!("a task of ours can't be read: {error}")))
    }
}

/// A message and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The queue.
    pub queue: Queue,
    /// Messages of one group are handled one after the other: an account, on the queues whose readers enter spokes.
    pub group: Option<String>,
    /// The body.
    pub body: String,
    /// Seconds before it can be received, at most 900. Only on queues without groups.
    pub delay_secs: u32,
}

impl Letter {
    /// A sweep of the aggregator. Written as it always was, so that functions of yesterday read it too.
    pub fn sweep() -> Self {
        Self { queue: Queue::Spokes, group: Some("sweep".into()), body: r#"{"tidegate":"sweep/1"}"#.into(), delay_secs: 0 }
    }
}

/// A queue, and the account that its reader enters for it.
pub type Route = (Queue, Option<AccountId>);

/// Which queue an action belongs on, and whose account it enters.
pub fn route(action: &Action) -> Route {
    match action {
        Action::Nudge(_)
        | Action::NudgeCells(_)
        | Action::ListRoster(_)
        | Action::ListRun(_)
        | Action::Partition(_)
        | Action::StopOpen
        | Action::GoOn
        | Action::ReadHealth { .. }
        | Action::RetryCampaign(_)
        | Action::ReviewExempt => (Queue::Work, None),
        Action::Send { batch, .. } | Action::Search(batch) | Action::Cancel { batch, .. } => (Queue::Sends, Some(batch.cell.account)),
        Action::Describe { account, .. } | Action::ListNodes { account, .. } | Action::Mirror { account, .. } => (Queue::Spokes, Some(*account)),
        Action::ReadInvocations { batch, .. } | Action::ReadPatchStates(batch) | Action::ReadVerdicts(batch) => (Queue::Spokes, Some(batch.cell.account)),
        Action::Reevaluate { cell, .. } | Action::ReadCompliance { cell, .. } => (Queue::Spokes, Some(cell.account)),
        Action::LookAt(target) => (Queue::Spokes, Some(target.account)),
        Action::Notify(_) => (Queue::Notices, None),
    }
}

/// Puts items into messages: by queue and account, in their order, as many together as fit.
///
/// # Errors
/// When an item can't be written as JSON.
pub fn pack(items: Vec<Item>) -> Result<Vec<Letter>, serde_json::Error> {
    let mut heaps: Vec<(Route, Vec<Item>)> = Vec::new();
    for item in items {
        let route = route(&item.action);
        match heaps.iter_mut().find(|(known, _)| *known == route) {
            Some((_, heap)) => heap.push(item),
            None => heaps.push((route, vec![item])),
        }
    }
    let mut letters = Vec::new();
    for ((queue, account), heap) in heaps {
        // A command that can't be sent must not bring back one that was: sends travel alone.
        let most = if queue == Queue::Sends { 1 } else { ITEMS_MAX };
        let group = account.map(|account| account.to_string());
        let mut together: Vec<Item> = Vec::new();
        let mut bytes = 0;
        for item in heap {
            let size = serde_json::to_string(&item)?.len();
            if !together.is_empty() && (together.len() >= most || bytes + size > BYTES_MAX) {
                letters.push(letter(queue, group.clone(), std::mem::take(&mut together))?);
                bytes = 0;
            }
            bytes += size;
            together.push(item);
        }
        if !together.is_empty() {
            letters.push(letter(queue, group, together)?);
        }
    }
    Ok(letters)
}

fn letter(queue: Queue, group: Option<String>, items: Vec<Item>) -> Result<Letter, serde_json::Error> {
    Ok(Letter { queue, group, body: serde_json::to_string(&Task::Items { items })?, delay_secs: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_events::action::Nudge;

    fn look_at(account: &str, n: u32) -> Action {
        Action::LookAt(format!("{account}/eu-central-1/i-{n:017x}").parse().unwrap())
    }

    #[test]
    fn a_message_is_one_accounts_work() {
        let items: Vec<Item> = (0..50).map(|n| Item::passing(look_at(if n % 2 == 0 { "111122223333" } else { "444455556666" }, n))).collect();
        let letters = pack(items).unwrap();
        assert_eq!(letters.len(), 4, "25 of each account, at most 20 together");
        for letter in letters {
            let Some(Ok(Task::Items { items })) = Task::read(&letter.body) else { panic!("not a task") };
            assert!(items.iter().all(|item| route(&item.action).1.map(|account| account.to_string()) == letter.group));
        }
    }

    #[test]
    fn sends_travel_alone() {
        let batch: tidegate_events::id::BatchId = "patch-default.1.w0/111122223333/eu-central-1/0/0".parse().unwrap();
        let send = |batch: &tidegate_events::id::BatchId| Action::Send { batch: batch.clone(), step: tidegate_events::entry::RunStep::Install };
        let letters = pack(vec![Item::kept(ActionId(1), send(&batch)), Item::kept(ActionId(2), send(&batch))]).unwrap();
        assert_eq!(letters.len(), 2);
        assert!(letters.iter().all(|letter| letter.queue == Queue::Sends && letter.group.as_deref() == Some("111122223333")));
    }

    #[test]
    fn what_is_not_ours_is_not_read_as_ours() {
        assert_eq!(Task::read("{\"source\":\"aws.config\"}"), None);
        assert_eq!(Task::read("not JSON"), None);
        assert_eq!(Task::read(r#"{"tidegate":"sweep/1"}"#), Some(Ok(Task::Sweep)));
        assert!(matches!(Task::read(r#"{"tidegate":"items/9","items":[]}"#), Some(Err(_))));
    }

    #[test]
    fn a_task_is_read_as_it_was_written() {
        let item = Item::kept(ActionId(7), Action::Nudge(Nudge::Campaign("patch-default.1".parse().unwrap())));
        let letters = pack(vec![item.clone()]).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(Task::read(&letters[0].body), Some(Ok(Task::Items { items: vec![item] })));
        assert!(letters[0].body.starts_with(r#"{"tidegate":"items/1""#), "{}", letters[0].body);
    }
}
