//! The Lambda shell without AWS: queues that deliver at least once and in groups, functions that die between any two steps,
//! and the simulated organization behind them; all from one seed, in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tidegate_cli::settle;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::store::Store;
use tidegate_engine::sweep::Part;
use tidegate_engine::{Engine, EngineError};
use tidegate_events::Action;
use tidegate_events::action::Notice;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Approval, Event, Word};
use tidegate_events::wire::approval_to_json;
use tidegate_lambda::batch::Record;
use tidegate_lambda::intake::{self, Door};
use tidegate_lambda::log::Metrics;
use tidegate_lambda::post::Refused;
use tidegate_lambda::shell::{Body, Herald, Shell, read_body};
use tidegate_lambda::sweep;
use tidegate_lambda::task::{Letter, Queue, Task};
use tidegate_rules::State;
use tidegate_rules::check::Checker;
use tidegate_rules::policy::Policy;
use tidegate_world::{Spec, World};

use crate::luck::{Backing, Dice, Luck, Unlucky, held};
use crate::queues::{Message, Posted, Queues};

#[derive(Debug, Default)]
struct Crier(Mutex<Vec<Notice>>);

impl Herald for Crier {
    async fn announce(&self, notice: &Notice, _now: Timestamp) -> Result<(), EngineError> {
        held(&self.0).push(notice.clone());
        Ok(())
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Broken invariants.
    pub violations: Vec<String>,
    /// Facts that were checked.
    pub checked: u64,
    /// Targets that got an Install twice for one attempt.
    pub doubled: u64,
    /// Hosts that really have every patch, of those that are up and known.
    pub patched: usize,
    /// What still moves; none at rest.
    pub moving: Option<String>,
    /// Records in the bin.
    pub refused: Vec<Refused>,
    /// What operators were told.
    pub notices: usize,
    /// Actions left in the outbox.
    pub left: Vec<Action>,
    /// How much virtual time it took, in seconds.
    pub secs: i64,
    /// Messages handled.
    pub messages: u64,
    /// Messages by the queue that they were put on.
    pub posted: BTreeMap<&'static str, Posted>,
    /// Targets that stand compliant.
    pub compliant: usize,
    /// The most parts in one message of a sweep, and the most that one such message found or looked at.
    pub largest_sweep: (u64, u64),
    /// Calls in spokes and to the hub's Organizations, Config and STS, by name.
    pub api_calls: BTreeMap<String, u64>,
}

/// The functions, their queues and the organization.
pub struct Site<S = Unlucky> {
    shell: Shell<S, World, Queues>,
    crier: Crier,
    checker: Checker,
    read: u64,
    started_at: Timestamp,
    now: Timestamp,
    ticked_at: Timestamp,
    swept_at: Timestamp,
    said: BTreeSet<(String, String, String, Timestamp)>,
    messages: u64,
    sweeps_nodes: bool,
    /// The most parts in one message of a sweep, and the most that one message found or looked at.
    largest: Mutex<(u64, u64)>,
}

/// Longest virtual time of a run.
const DAYS_MAX: i64 = 60;
/// What fails is delivered again after this, in seconds.
const AGAIN_SECS: i64 = 30;

impl Site {
    /// A site over a simulated organization, on a store in memory.
    pub fn new(spec: Spec, policy: Policy, start: Timestamp, seed: u64, luck: Luck) -> Self {
        let store = Unlucky {
            inner: EmbeddedStore::Memory(MemoryStore::new()),
            dice: Dice(Mutex::new(seed)),
            luck,
            now: Mutex::new(start),
            fresh: Mutex::default(),
            kept: Mutex::default(),
        };
        Self::over(store, spec, policy, start, seed, luck)
    }
}

impl<S: Backing> Site<S> {
    /// A site over a simulated organization, on this store.
    pub fn over(store: S, spec: Spec, policy: Policy, start: Timestamp, seed: u64, luck: Luck) -> Self {
        let queues = Queues {
            dice: Dice(Mutex::new(!seed)),
            luck,
            now: Mutex::new(start),
            waiting: Mutex::default(),
            refused: Mutex::default(),
            posted: Mutex::default(),
        };
        let shell = Shell::new(Engine::new(store, World::new(spec, start), policy), queues);
        Self {
            shell,
            crier: Crier::default(),
            checker: Checker::new(),
            read: 0,
            started_at: start,
            now: start,
            ticked_at: start,
            swept_at: start,
            said: BTreeSet::new(),
            messages: 0,
            sweeps_nodes: false,
            largest: Mutex::default(),
        }
    }

    /// Puts a body on the events queue, as EventBridge does.
    pub fn deliver(&self, body: &str) {
        self.shell.queues().push("events", None, body.to_owned());
    }

    /// Runs until nothing moves by itself.
    ///
    /// # Errors
    /// When a step can't be made at all: a defect.
    pub async fn settle(mut self) -> Result<Ended, String> {
        let end = self.now.checked_add(SignedDuration::from_hours(24 * DAYS_MAX)).map_err(|error| error.to_string())?;
        let mut rested = 0;
        while rested < 3 && self.now < end {
            self.step().await?;
            let rest = settle::look(self.checker.fold());
            let waiting: usize = held(&self.shell.queues().waiting).values().map(VecDeque::len).sum();
            let quiet = !rest.moving && waiting == 0 && self.shell.engine().cloud().next_at().is_none_or(|at| at > self.later(2 * 3600));
            if !quiet || !self.left().await?.is_empty() {
                rested = 0;
            } else {
                // Before it is called rest: has an event been lost?
                rested += 1;
                self.sweep();
                for lane in rest.halted.keys() {
                    let event =
                        Event::LaneResumed { lane: lane.clone(), by: "sim-1".parse().map_err(|error| format!("{error}"))?, comment: "looked at".into() };
                    rested = 0;
                    // A person tries until it is taken.
                    while self.shell.take(&event, self.now).await.is_err() {}
                }
            }
        }
        self.end().await
    }

    async fn left(&self) -> Result<Vec<Action>, String> {
        let left = self.shell.engine().store().seen().outbox(None, 1000).await.map_err(|error| error.to_string())?;
        Ok(left.into_iter().map(|(_, action)| action).collect())
    }

    fn later(&self, secs: i64) -> Timestamp {
        self.now.checked_add(SignedDuration::from_secs(secs)).unwrap_or(Timestamp::MAX)
    }

    /// One moment: time moves to what happens next, and every message that is there is handled.
    async fn step(&mut self) -> Result<(), String> {
        let store = self.shell.engine().store();
        let due = store.seen().next_due().await.map_err(|error| error.to_string())?;
        let minute = self.ticked_at.checked_add(SignedDuration::from_secs(60)).unwrap_or(Timestamp::MAX);
        let messages = held(&self.shell.queues().waiting).values().flatten().map(|message| message.visible_at).min();
        let left = !self.left().await?.is_empty();
        let tick = due.map(|due| due.max(minute)).into_iter().chain(left.then_some(minute)).min();
        let next = [tick, messages, self.shell.engine().cloud().next_at(), Some(self.later(6 * 3600))].into_iter().flatten().min().unwrap_or(self.now);
        self.now = self.now.max(next);
        store.set_now(self.now);
        *held(&self.shell.queues().now) = self.now;
        for delivery in self.shell.engine().cloud().advance(self.now) {
            self.deliver(&String::from_utf8_lossy(&delivery.bytes));
        }
        if self.now >= minute {
            self.ticked_at = self.now;
            let at = self.now;
            self.shell.queues().push("work", None, tidegate_events::wire::tick_to_json(at).to_string());
        }
        if self.now.duration_since(self.swept_at).as_secs() > 6 * 3600 {
            self.swept_at = self.now;
            self.sweep();
        }
        self.approve();
        for queue in ["events", "work", "sends", "spokes", "notices"] {
            self.drain(queue).await;
        }
        self.follow().await
    }

    /// Hands out every message of a queue that is visible: the first of each group, then the next.
    async fn drain(&mut self, queue: &'static str) {
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        let mut at = 0;
        loop {
            let message = {
                let mut waiting = held(&self.shell.queues().waiting);
                let Some(line) = waiting.get_mut(queue) else { return };
                let found = (at..line.len()).find(|n| {
                    let message = &line[*n];
                    message.visible_at <= self.now && message.group.as_ref().is_none_or(|group| !blocked.contains(group))
                });
                let Some(found) = found else { return };
                at = found;
                line.remove(found)
            };
            let Some(message) = message else { return };
            self.messages += 1;
            let times = if self.shell.queues().dice.hits(self.shell.queues().luck.twice) { 2 } else { 1 };
            let mut done = Ok(());
            for _ in 0..times {
                done = self.handle(queue, &message).await;
            }
            if done.is_err() {
                // It comes again, and nothing of its group before it.
                blocked.extend(message.group.clone());
                let again = Message { visible_at: self.later(AGAIN_SECS), ..message };
                let mut waiting = held(&self.shell.queues().waiting);
                let line = waiting.entry(queue).or_default();
                let place = at.min(line.len());
                line.insert(place, again);
                at += 1;
            }
        }
    }

    /// What the function behind a queue does with one record.
    async fn handle(&self, queue: &str, message: &Message) -> Result<(), String> {
        let record = Record { id: format!("m{}", self.messages), body: message.body.clone(), group: message.group.clone() };
        let mut metrics = Metrics::default();
        let clock = || self.now;
        let stay = || false;
        let words = |error: &dyn std::error::Error| intake::words(error);
        let me = match queue {
            "events" => return intake::take(&self.shell, self.shell.queues(), Door::Events, &record, self.now, &mut metrics).await.map(drop),
            "sends" => Queue::Sends,
            "spokes" => Queue::Spokes,
            "notices" => Queue::Notices,
            _ => Queue::Work,
        };
        match read_body(&record.body)? {
            Body::Foreign => {
                let taken = intake::take(&self.shell, self.shell.queues(), Door::Work, &record, self.now, &mut metrics).await?;
                for _ in taken.ticks {
                    self.shell.tick(&clock, &stay).await.map_err(|error| words(&error))?;
                }
                Ok(())
            }
            Body::Task(Task::Sweep) if me == Queue::Spokes => self.sweep_parts(vec![Part::RULES], 0).await,
            Body::Task(Task::Parts { parts, tries }) if me == Queue::Spokes => self.sweep_parts(parts, tries).await,
            Body::Task(Task::Parts { parts, tries }) => {
                let letters = sweep::pack(parts, tries).map_err(|error| error.to_string())?;
                self.shell.post_all(letters).await.map_err(|error| words(&error))
            }
            Body::Task(Task::Sweep) => Err("a sweep lies on a queue whose reader does not sweep".into()),
            Body::Task(Task::Run(_)) => Err("no state machine is simulated here".into()),
            Body::Task(Task::Items { items }) if me == Queue::Notices => self.shell.announce(items, &self.crier, self.now).await.map_err(|error| words(&error)),
            Body::Task(Task::Items { items }) => self.shell.perform(me, items, &clock, &stay).await.map_err(|error| words(&error)),
        }
    }

    async fn sweep_parts(&self, parts: Vec<Part>, tries: u32) -> Result<(), String> {
        let most = usize::try_from(held(&self.largest).0).unwrap_or(usize::MAX).max(parts.len());
        let end = self.shell.sweep(parts, tries, &|| self.now, &|| false).await.map_err(|error| intake::words(&error))?;
        let mut largest = held(&self.largest);
        largest.0 = u64::try_from(most).unwrap_or(u64::MAX);
        largest.1 = largest.1.max(end.swept.new.max(end.swept.nodes));
        Ok(())
    }

    /// Asks for a sweep of the aggregator, and of the nodes where that is wanted.
    fn sweep(&self) {
        self.shell.queues().push("spokes", Some("sweep".into()), Letter::sweep().body);
        if self.sweeps_nodes {
            let body = r#"{"tidegate":"sweep/2","parts":[{"spokes":{"turn":0,"of":1}}]}"#;
            self.shell.queues().push("work", None, body.to_owned());
        }
    }

    /// Sweeps read the nodes' patch states too.
    #[must_use]
    pub fn with_node_sweeps(mut self) -> Self {
        self.sweeps_nodes = true;
        self
    }

    /// Two people approve whatever is asked, each once, by a message on the work queue.
    fn approve(&mut self) {
        let campaigns = self.checker.fold().items.values().filter_map(|state| match state {
            State::Campaign(campaign) => Some(campaign),
            _ => None,
        });
        let asked: Vec<_> = campaigns.flat_map(|campaign| settle::unanswered(campaign)).map(|asked| (asked.subject.clone(), asked.digest, asked.at)).collect();
        for (subject, digest, at) in asked {
            for name in ["sim-1", "sim-2"] {
                let Ok(by) = name.parse() else { continue };
                if self.said.insert((subject.to_string(), digest.to_string(), name.into(), at)) {
                    let approval = Approval { subject: subject.clone(), digest, word: Word::Approve, by, at: self.now, comment: format!("approved by {name}") };
                    self.shell.queues().push("work", None, approval_to_json(&approval).to_string());
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<(), String> {
        loop {
            let page = self.shell.engine().store().seen().journal(self.read, 1000).await.map_err(|error| error.to_string())?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.read = *last;
            for (_, line) in &page {
                self.checker.line(line);
            }
        }
    }

    async fn end(mut self) -> Result<Ended, String> {
        self.checker.at_rest();
        let items = self.shell.engine().store().seen().list("", None, usize::MAX).await.map_err(|error| error.to_string())?;
        for (key, stored) in &items {
            self.checker.same(key, &stored.body);
        }
        let world = self.shell.engine().cloud();
        let counts = world.counts();
        let mut violations = self.checker.violations().to_vec();
        if counts.overlaps > 0 {
            violations.push(format!("{} installs began on a host while another ran on it", counts.overlaps));
        }
        let truths = world.hosts().into_iter().filter_map(|host| world.truth(&host));
        let left = self.left().await?;
        let refused = held(&self.shell.queues().refused).clone();
        let notices = held(&self.crier.0).len();
        let is_compliant = |state: &&State| matches!(state, State::Target(target) if target.standing == Standing::Compliant);
        let compliant = self.checker.fold().items.values().filter(is_compliant).count();
        Ok(Ended {
            compliant,
            violations,
            checked: self.checker.checked(),
            doubled: counts.doubled,
            patched: truths.filter(|truth| truth.is_patched()).count(),
            moving: settle::moving(self.checker.fold()),
            refused,
            notices,
            left,
            secs: self.now.duration_since(self.started_at).as_secs(),
            messages: self.messages,
            posted: held(&self.shell.queues().posted).clone(),
            largest_sweep: *held(&self.largest),
            api_calls: world.api_calls(),
        })
    }
}
