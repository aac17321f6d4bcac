//! `tidegate serve --cloud aws`: the embedded shell against AWS, for a small estate on one host. Findings come from the queue that
//! EventBridge fills, the store is a file, people approve with `tidegate approve`. Killed at any moment, it goes on where it was:
//! a message is deleted once what came of it is stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate_aws::clients::Hub;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::environment::{EnvironmentError, Reader};
use tidegate_aws::queue::{EventQueue, Received, Refused};
use tidegate_aws::secret::Secret;
use tidegate_embedded::{EmbeddedStore, SqliteStore};
use tidegate_engine::door::Door;
use tidegate_engine::store::Store;
use tidegate_engine::sweep::{Part, Share, Swept};
use tidegate_engine::{Engine, EngineError};
use tidegate_events::id::Region;
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::decide::Outcome;
use tokio::sync::watch;

use crate::args::ServeArgs;
use crate::cmd::{policy, serve};
use crate::failure::Failure;

/// How long a call waits for messages, in seconds: as long as SQS lets it.
const WAIT_SECS: i32 = 20;
/// How often what is due is looked at.
const TICK_EVERY: Duration = Duration::from_secs(5);
/// How long one tick goes on with a sweep.
const SWEEP_FOR: Duration = Duration::from_secs(2);
/// The first wait after a failure; each further one is twice as long.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

type Service = serve::Service<AwsCloud>;

/// What the environment says: the same names as those of the functions on Lambda.
#[derive(Debug)]
struct Settings {
    events: String,
    refused: String,
    spoke_role: String,
    external_id: Option<Secret>,
    aggregator: Option<String>,
    topic: Option<String>,
    chat_topic: Option<String>,
    sweep_secs: u32,
    sweep_nodes_secs: u32,
    regions: Vec<Region>,
    partition: String,
}

impl Settings {
    fn read(get: &dyn Fn(&str) -> Option<String>, has_region: bool) -> Result<Self, EnvironmentError> {
        let mut reader = Reader::new(get);
        if !has_region {
            reader.fault("`AWS_REGION` is not set: expected the Region of the hub".into());
        }
        let settings = Self {
            events: reader.url("TIDEGATE_QUEUE_EVENTS", "the URL of the queue that EventBridge fills"),
            refused: reader.url("TIDEGATE_QUEUE_REFUSED", "the URL of the queue of refused records"),
            spoke_role: reader.spoke_role(),
            external_id: reader.external_id(),
            aggregator: reader.maybe("TIDEGATE_AGGREGATOR"),
            topic: reader.topic(),
            chat_topic: reader.chat_topic(),
            sweep_secs: reader.sweep_secs(),
            sweep_nodes_secs: reader.sweep_nodes_secs(),
            regions: reader.regions(),
            partition: reader.partition(),
        };
        if !settings.events.is_empty() && settings.events == settings.refused {
            reader.fault("`TIDEGATE_QUEUE_REFUSED` is the same queue as `TIDEGATE_QUEUE_EVENTS`: expected another one".into());
        }
        reader.done(Some(settings))
    }

    fn cloud(&self) -> CloudSettings {
        CloudSettings {
            partition: self.partition.clone(),
            spoke_role: self.spoke_role.clone(),
            external_id: self.external_id.clone(),
            aggregator: self.aggregator.clone(),
            topic: self.topic.clone(),
            chat_topic: self.chat_topic.clone(),
            // Tags decide about waves and exemptions, of older pinned policies too: they are always read.
            tags_wanted: true,
            regions: self.regions.clone(),
            ..CloudSettings::default()
        }
    }
}

/// Runs it until it is stopped.
///
/// # Errors
/// When settings, store, policy or address can't be used, or the store fails while it runs.
pub async fn run(args: &ServeArgs) -> Result<u8, Failure> {
    let policy = policy::read_with(args.policy.as_deref(), args.catalog.as_deref())?;
    let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
    let settings = Settings::read(&|name| std::env::var(name).ok(), hub.region().is_some()).map_err(|error| Failure::Usage(error.to_string()))?;
    let store = EmbeddedStore::Sqlite(SqliteStore::open(&args.store)?);
    let newest = store.newest().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
    let cloud = AwsCloud::of_hub(hub.clone(), CloudSettings { entry: std::sync::Arc::new(policy.entry().clone()), ..settings.cloud() });
    let service = Arc::new(Service::new(Engine::new(store, cloud, policy), serve::Clock::Wall { not_before: newest.unwrap_or(Timestamp::MIN) }));
    let post = Post { events: EventQueue::new(hub.sqs().clone(), &settings.events), refused: EventQueue::new(hub.sqs().clone(), &settings.refused) };
    let listener = serve::listen(args.listen).await?;
    // Whoever sends here is not asked who they are: events come by the queue alone, whose policy says who may send.
    let router = serve::routes().with_state(service.clone());
    let (stop, stopping) = watch::channel(false);
    let work = async { tokio::try_join!(read(&service, &post, stopping.clone()), tick(&service, Sweeper::new(&settings), stopping.clone())) };
    tokio::pin!(work);
    let heard = tokio::select! {
        served = serve::answer_on(listener, router) => return served,
        worked = &mut work => return worked.map(|_| 0),
        heard = serve::stop_signal() => heard,
    };
    // What is under way is ended: between two records nothing is half done.
    stop.send_replace(true);
    work.await?;
    heard
}

/// Both queues.
struct Post {
    events: EventQueue,
    refused: EventQueue,
}

/// Reads the queue until it is told to stop.
async fn read(service: &Service, post: &Post, mut stopping: watch::Receiver<bool>) -> Result<(), Failure> {
    let mut back_off = BackOff::default();
    while !*stopping.borrow() {
        let received = tokio::select! {
            _ = stopping.changed() => break,
            received = post.events.receive(WAIT_SECS) => received,
        };
        let batch = match received {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "the queue was not read");
                back_off.wait(&mut stopping).await;
                continue;
            }
        };
        let mut failed = false;
        let mut left = Vec::new();
        for message in batch {
            if *stopping.borrow() {
                left.push(message);
                continue;
            }
            match take(service, post, &message, service.clock.now()).await {
                Ok(()) => {}
                Err(Trouble::Stop(failure)) => return Err(failure),
                // It comes again when its visibility timeout is over.
                Err(Trouble::Again(error)) => {
                    tracing::warn!(message_id = %message.id, receives = message.receives, %error, "a record was not finished");
                    failed = true;
                }
            }
        }
        if let Err(error) = post.events.release(&left).await {
            tracing::warn!(%error, "messages stay hidden until the queue's visibility timeout is over");
        }
        if failed { back_off.wait(&mut stopping).await } else { back_off = BackOff::default() }
    }
    Ok(())
}

/// Why something did not happen.
enum Trouble {
    /// It is tried again later.
    Again(String),
    /// Nothing can go on.
    Stop(Failure),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Later(_) | EngineError::Contended { .. } => Self::Again(error.to_string()),
            EngineError::Store { .. } | EngineError::Damaged(_) => Self::Stop(error.into()),
        }
    }
}

/// Takes one message: decides on each of its pieces, puts what is refused where people find it, and deletes it.
async fn take(service: &Service, post: &Post, message: &Received, now: Timestamp) -> Result<(), Trouble> {
    for mut piece in wire::read(message.body.as_bytes()) {
        let index = piece.index;
        // Whoever may put events on a bus is not thereby an approver.
        let refuses = match &piece.parsed {
            Parsed::Event { event, .. } => Door::Events.refuses(event),
            _ => None,
        };
        if let Some(why) = refuses {
            piece.parsed = Parsed::Rejected { why: why.to_owned() };
        }
        let outcome = {
            let _turn = service.turn.lock().await;
            service.take(piece, now).await?
        };
        tracing::info!(message_id = %message.id, index, outcome = outcome.name(), reason = outcome.why(), "event");
        if let Outcome::Rejected { why } = outcome {
            let refused = Refused { body: message.body.clone(), reason: why, message_id: message.id.clone(), index };
            post.refused.refuse(&refused).await.map_err(Trouble::Again)?;
        }
    }
    post.events.delete(std::slice::from_ref(message)).await.map_err(Trouble::Again)
}

/// Time passes: what is due is looked at, and now and then what no event has told.
async fn tick(service: &Service, mut sweeper: Sweeper, mut stopping: watch::Receiver<bool>) -> Result<(), Failure> {
    while !*stopping.borrow() {
        let turn = service.turn.lock().await;
        let now = service.clock.now();
        let mut step = service.engine.tick(now).await.map_err(Trouble::from);
        if step.is_ok() && !*stopping.borrow() {
            step = sweeper.step(service, now).await;
        }
        drop(turn);
        match step {
            Ok(()) => {}
            Err(Trouble::Again(error)) => tracing::warn!(%error, "put off until the next tick"),
            Err(Trouble::Stop(failure)) => return Err(failure),
        }
        tokio::select! {
            _ = stopping.changed() => break,
            () = tokio::time::sleep(TICK_EVERY) => {}
        }
    }
    Ok(())
}

/// Sweeps, a few parts with every tick: events and people wait for none of them.
struct Sweeper {
    rules: Every,
    nodes: Every,
    parts: VecDeque<Part>,
    swept: Swept,
}

/// What comes round. The first time is at the start: it finds what was non-compliant before this began.
struct Every {
    secs: u32,
    last: Option<Instant>,
}

impl Every {
    fn comes(&mut self) -> bool {
        let is_time = self.secs > 0 && self.last.is_none_or(|last| last.elapsed().as_secs() >= u64::from(self.secs));
        if is_time {
            self.last = Some(Instant::now());
        }
        is_time
    }
}

impl Sweeper {
    fn new(settings: &Settings) -> Self {
        let every = |secs| Every { secs, last: None };
        let rules = every(if settings.aggregator.is_some() { settings.sweep_secs } else { 0 });
        Self { rules, nodes: every(settings.sweep_nodes_secs), parts: VecDeque::new(), swept: Swept::default() }
    }

    async fn step(&mut self, service: &Service, now: Timestamp) -> Result<(), Trouble> {
        if self.rules.comes() && !self.parts.iter().any(|part| matches!(part, Part::Rules { .. } | Part::Findings { .. })) {
            self.parts.push_back(Part::RULES);
        }
        if self.nodes.comes() && !self.parts.iter().any(|part| matches!(part, Part::Spokes(_) | Part::Nodes { .. })) {
            self.parts.push_back(Part::Spokes(Share::ALL));
        }
        let began = Instant::now();
        while let Some(part) = self.parts.pop_front() {
            match service.engine.sweep_part(&part, now).await {
                Ok(Ok(done)) => {
                    self.swept.add(done.swept);
                    self.parts.extend(done.then);
                }
                Ok(Err(fault)) => tracing::warn!(?part, %fault, "a part of a sweep was not answered; the next sweep asks again"),
                Err(error) => {
                    self.parts.push_front(part);
                    return Err(error.into());
                }
            }
            service.engine.run(Vec::new(), now).await?;
            if self.parts.is_empty() {
                let Swept { new, nodes, unscanned, doubtful } = std::mem::take(&mut self.swept);
                tracing::info!(new, nodes, unscanned, doubtful, "looked for lost findings");
            }
            if began.elapsed() >= SWEEP_FOR {
                break;
            }
        }
        Ok(())
    }
}

/// Waits that grow while something keeps failing.
#[derive(Debug, Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    async fn wait(&mut self, stopping: &mut watch::Receiver<bool>) {
        let wait = self.next();
        tokio::select! {
            _ = stopping.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn next(&mut self) -> Duration {
        let wait = BACK_OFF_FIRST.saturating_mul(2u32.saturating_pow(self.failures)).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let get = |name: &str| match name {
            "TIDEGATE_QUEUE_REFUSED" => Some("refused".to_owned()),
            "TIDEGATE_SWEEP_SECS" => Some("90".to_owned()),
            "TIDEGATE_TOPIC" => Some("tidegate".to_owned()),
            "TIDEGATE_EXTERNAL_ID" => Some("?".to_owned()),
            _ => None,
        };
        let said = Settings::read(&get, false).unwrap_err().to_string();
        for name in ["AWS_REGION", "TIDEGATE_QUEUE_EVENTS", "TIDEGATE_QUEUE_REFUSED", "TIDEGATE_SWEEP_SECS", "TIDEGATE_TOPIC", "TIDEGATE_EXTERNAL_ID"] {
            assert!(said.contains(&format!("`{name}`")), "{name} is not in {said}");
        }
        assert!(!said.contains("`?`"), "{said}");
    }

    #[test]
    fn refused_records_do_not_go_back_to_the_queue_they_came_from() {
        let get = |name: &str| name.starts_with("TIDEGATE_QUEUE").then(|| "https://sqs.eu-central-1.amazonaws.com/123456789012/events".to_owned());
        assert!(Settings::read(&get, true).unwrap_err().to_string().contains("same queue"));
    }

    #[test]
    fn waits_grow_to_a_minute() {
        let mut back_off = BackOff::default();
        let waits: Vec<u64> = (0..8).map(|_| back_off.next().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
