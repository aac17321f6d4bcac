//! `tidegate serve`: the embedded shell as a service. Events come in over HTTP, time passes by itself, people approve with
//! `tidegate approve`. Killed at any moment, it goes on where it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidegate_embedded::EmbeddedStore;
use tidegate_engine::ports::Cloud;
use tidegate_engine::store::Store;
use tidegate_engine::{Engine, EngineError};
use tidegate_events::event::Event;
use tidegate_events::fact::Compliance;
use tidegate_events::id::TargetKey;
use tidegate_events::wire::{self, Parsed, Read};
use tidegate_rules::decide::Outcome;
use tidegate_world::{Spec, World};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::args::ServeArgs;
use crate::cmd::{catalog, policy, replay, status};
use crate::failure::Failure;
use crate::screen;
use crate::summary::EventCounts;

/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often what is due is looked at, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often lost findings are looked for, in seconds of engine time.
const SWEEP_EVERY_SECS: i64 = 6 * 3600;
/// How often the nodes' own patch states are read, which is what no event and no rule of AWS Config has told.
const SWEEP_NODES_EVERY_SECS: i64 = 24 * 3600;

/// What `POST /v1/events` answers.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct EventsAnswer {
    /// `tidegate.events/1`
    pub schema: String,
    /// Counts.
    pub events: EventCounts,
    /// What became of each, in order.
    pub outcomes: Vec<EventAnswer>,
}

/// What became of one event.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct EventAnswer {
    /// Its place in the body, from 0.
    pub index: usize,
    /// accepted, duplicate, stale, ignored or rejected.
    pub outcome: String,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Engine time.
pub(crate) enum Clock {
    /// The machine's, but never before what is stored: it may have been set back.
    #[cfg(feature = "aws")]
    Wall {
        /// What is stored.
        not_before: Timestamp,
    },
    /// From where the store left off; faster, to try things out.
    Running {
        /// Where the store left off.
        from: Timestamp,
        /// When this began.
        since: Instant,
        /// Seconds for each real one.
        speed: u32,
    },
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            #[cfg(feature = "aws")]
            Self::Wall { not_before } => Timestamp::now().max(*not_before),
            Self::Running { from, since, speed } => {
                let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
                from.checked_add(passed.saturating_mul(i32::try_from(*speed).unwrap_or(i32::MAX))).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// An engine on this machine, over whichever cloud.
pub(crate) struct Service<C> {
    pub(crate) engine: Engine<EmbeddedStore, C>,
    pub(crate) clock: Clock,
    /// One thing at a time: whatever decides takes turns.
    pub(crate) turn: Mutex<()>,
}

impl<C: Cloud> Service<C> {
    pub(crate) fn new(engine: Engine<EmbeddedStore, C>, clock: Clock) -> Self {
        Self { engine, clock, turn: Mutex::new(()) }
    }

    /// Takes a piece of a body.
    pub(crate) async fn take(&self, read: Read, now: Timestamp) -> Result<Outcome, EngineError> {
        match read.parsed {
            Parsed::Rejected { why } => Ok(Outcome::Rejected { why }),
            Parsed::Ignored { why } => Ok(Outcome::Ignored { why }),
            Parsed::Event { event, .. } => Ok(self.engine.take(&event, now).await?.outcome),
        }
    }
}

/// Runs it until it is stopped.
///
/// # Errors
/// When store, policy, fleet or address can't be used, or the store fails while it runs.
pub async fn run(args: &ServeArgs) -> Result<u8, Failure> {
    if args.cloud.is_some() {
        #[cfg(feature = "aws")]
        return crate::cmd::serve_aws::run(args).await;
        #[cfg(not(feature = "aws"))]
        return Err(Failure::without_aws("--cloud aws"));
    }
    let policy = policy::read_with(args.policy.as_deref(), args.catalog.as_deref())?;
    let spec = match &args.fleet {
        Some(path) => Spec::from_fleet(&replay::read_fleet(path)?),
        None => Spec::default(),
    };
    let (store, world) = replay::open(Some(&args.store), catalog::simulated(spec, &policy), Timestamp::now())?;
    let newest = store.newest().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
    let from = newest.into_iter().chain([Timestamp::now(), world.now()]).max().unwrap_or_default();
    let clock = Clock::Running { from, since: Instant::now(), speed: args.speed };
    let service = Arc::new(Service::new(Engine::new(store, world, policy), clock));
    let listener = listen(args.listen).await?;
    let router = routes().route("/v1/events", post(take_events)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(service.clone());
    tokio::select! {
        served = answer_on(listener, router) => served,
        ticked = tick(&service) => ticked,
        stopped = stop_signal() => stopped,
    }
}

/// Listens, says where, and warns where others can reach it.
pub(crate) async fn listen(on: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(on).await.map_err(|error| Failure::machine(format!("can't listen on `{on}`"), &error))?;
    let address = listener.local_addr().map_err(|error| Failure::machine("the address is not known", &error))?;
    if !address.ip().is_loopback() {
        screen::warn(&format!("`{address}` is reachable from other machines, and nothing here asks who sends: keep it behind something that does"));
    }
    screen::tell(&format!("listening on http://{address}"));
    Ok(listener)
}

/// What can be asked over any cloud.
pub(crate) fn routes<C: Cloud + 'static>() -> Router<Arc<Service<C>>> {
    Router::new().route("/v1/status", get(show_status::<C>)).route("/healthz", get(|| async { "ok\n" }))
}

/// Answers requests until it can't.
pub(crate) async fn answer_on(listener: TcpListener, router: Router) -> Result<u8, Failure> {
    axum::serve(listener, router).await.map(|()| 0).map_err(|error| Failure::machine("the service stopped", &error))
}

/// Time passes: what the simulated organization sends is taken in, and what is due is looked at.
async fn tick(service: &Service<World>) -> Result<u8, Failure> {
    let mut swept_at = service.clock.now();
    let mut nodes_at = swept_at;
    loop {
        {
            let _turn = service.turn.lock().await;
            let now = service.clock.now();
            // In the order in which it happens, also where a second here is an hour there.
            loop {
                let due = service.engine.store().next_due().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
                let at = due.into_iter().chain(service.engine.cloud().next_at()).chain([now]).min().unwrap_or(now).max(service.engine.cloud().now()).min(now);
                let before = service.engine.cloud().now();
                for delivery in service.engine.cloud().advance(at) {
                    for read in wire::read(&delivery.bytes) {
                        service.take(read, at).await?;
                    }
                }
                service.engine.tick(at).await?;
                if at >= now || at <= before {
                    break;
                }
            }
            service.engine.tick(now).await?;
            if now.duration_since(swept_at).as_secs() > SWEEP_EVERY_SECS {
                swept_at = now;
                if let Err(fault) = service.engine.sweep(now).await? {
                    tracing::warn!(%fault, "lost findings could not be looked for");
                }
                service.engine.run(Vec::new(), now).await?;
            }
            if now.duration_since(nodes_at).as_secs() > SWEEP_NODES_EVERY_SECS {
                nodes_at = now;
                if let Err(fault) = service.engine.sweep_nodes(now).await? {
                    tracing::warn!(%fault, "not every node's patch state could be read");
                }
                service.engine.run(Vec::new(), now).await?;
            }
            if let Some(error) = service.engine.cloud().log_error() {
                return Err(Failure::Usage(error));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn take_events(State(service): State<Arc<Service<World>>>, body: Bytes) -> Response {
    let _turn = service.turn.lock().await;
    match answer(&service, &body).await {
        Ok(answer) => json(StatusCode::OK, &answer),
        // Nothing of what failed is half done: the sender sends all of it again, and what was taken is a duplicate then.
        Err(failure) => {
            tracing::error!(%failure, "events were not taken");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response()
        }
    }
}

async fn answer(service: &Service<World>, body: &[u8]) -> Result<EventsAnswer, Failure> {
    let reads = wire::read(body);
    learn(service, &reads)?;
    let mut events = EventCounts::default();
    let mut outcomes = Vec::with_capacity(reads.len());
    for read in reads {
        let index = read.index;
        let now = service.clock.now().max(service.engine.cloud().now());
        let outcome = service.take(read, now).await?;
        events.count(&outcome);
        tracing::info!(index, outcome = outcome.name(), reason = outcome.why(), "event");
        outcomes.push(EventAnswer { index, outcome: outcome.name().into(), reason: outcome.why().map(str::to_owned) });
    }
    Ok(EventsAnswer { schema: "tidegate.events/1".into(), events, outcomes })
}

/// The simulated organization has whatever events name.
fn learn(service: &Service<World>, reads: &[Read]) -> Result<(), Failure> {
    let mut targets: BTreeMap<TargetKey, bool> = BTreeMap::new();
    for read in reads {
        match &read.parsed {
            Parsed::Event { event: Event::Finding { target, fact } | Event::FindingOf { target, fact, .. }, .. } => {
                *targets.entry(target.clone()).or_default() |= fact.compliance == Compliance::NonCompliant
            }
            Parsed::Event { event: Event::InstanceChanged { target, .. }, .. } => {
                targets.entry(target.clone()).or_default();
            }
            _ => {}
        }
    }
    service.engine.cloud().add(Spec::from_targets(targets)).map_err(Failure::Usage)
}

async fn show_status<C: Cloud + 'static>(State(service): State<Arc<Service<C>>>) -> Response {
    // Without a turn: each commit leaves a store that can be read, and AWS may be slow.
    match status::read(service.engine.store()).await {
        Ok((_, status)) => json(StatusCode::OK, &status),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response(),
    }
}

fn json(code: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (code, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Waits for somebody to stop the process.
///
/// # Errors
/// When it is interrupted, or signals can't be heard.
pub async fn stop_signal() -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::machine("signals can't be heard", &error);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        heard = tokio::signal::ctrl_c() => {
            heard.map_err(failed)?;
            Err(Failure::Interrupted)
        }
        _ = terminate.recv() => Ok(0),
    }
}
