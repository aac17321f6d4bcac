//! The world on a socket: it answers the AWS wire protocols on loopback, so that SDKs run whole against it.
//!
//! One address serves Systems Manager, Config, Organizations and the tagging API (`POST /`, awsJson1.1), CloudWatch's alarms (awsJson1.0), and STS (`POST /`, a form). The caller's Region stands in the
//! scope of the signature, the account follows from the access key. Time is real: the world moves along with the clock. `/_world/...` is a
//! surface for tests: what EventBridge delivers, what was counted, what is true, and faults on demand.

mod aggregator;
mod alarms;
mod answer;
mod calendar;
mod config;
mod control;
mod exceptions;
mod identity;
mod operation;
mod organizations;
mod page;
mod post;
mod script;
mod select;
mod setup;
mod signature;
mod socket;
mod ssm;
mod ssm_automation;
mod ssm_nodes;
mod sts;
mod tagging;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tidegate_engine::ports::Spoke;
use tidegate_events::id::AccountId;
use tokio::net::TcpListener;

use crate::calls;
use crate::clock::ms;
use crate::draw::Draw;
use crate::spec::AccountState;
use crate::world::World;
use answer::{Answer, Asked, Refusal};
use identity::Identities;
use operation::Operation;
use post::Post;
use script::{Kind, Script};
use signature::Caller;
use socket::{Door, Scissors};

pub use aggregator::AGGREGATOR_NAME;

/// How often what happened by itself is looked for, between requests.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The largest request, in bytes.
const BODY_MAX: usize = 1024 * 1024;
/// How long a caller is kept waiting who is to get no answer.
const HANG: Duration = Duration::from_secs(600);

/// A service whose protocol is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ssm,
    Config,
    Organizations,
    Tagging,
    CloudWatch,
    Sts,
}

impl Service {
    /// Its name in the scope of a signature.
    fn scope(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Config => "config",
            Self::Organizations => "organizations",
            Self::Tagging => "tagging",
            Self::CloudWatch => "monitoring",
            Self::Sts => "sts",
        }
    }
}

/// How a world listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The account that owns the organization and the aggregator, and whose calls they are that are signed with an unknown kind of key.
    pub hub: AccountId,
    /// `http://host:port` of an STS endpoint that says whose an access key is. Keys of twelve digits are accounts, without being asked about.
    pub identities: Option<String>,
}

/// What all requests share.
#[derive(Debug)]
struct Wire {
    world: Arc<World>,
    hub: AccountId,
    identities: Arc<Identities>,
    post: Post,
    script: Mutex<Script>,
    /// Requests so far, for their ids.
    requests: AtomicU64,
}

/// Serves a world on this socket until the future is dropped, and says when calls will be answered. The world's time becomes the clock's.
///
/// # Errors
/// When the socket is not on loopback (nobody is asked for a secret here), the STS endpoint is not of the form `http://host:port`, the socket
/// fails, or the world's log can't be written.
pub async fn serve(world: Arc<World>, listener: TcpListener, how: Listening, ready: impl FnOnce()) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let why = format!("`{address}` is not a loopback address: a simulated organization asks nobody for a secret and stays on its machine");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let identities = Arc::new(Identities::new(how.identities.as_deref(), how.hub)?);
    let wire = Wire { world, hub: how.hub, identities, post: Post::default(), script: Mutex::default(), requests: AtomicU64::new(0) };
    let wire = Arc::new(wire);
    let router = Router::new()
        .route("/", post(take))
        .route("/_world/health", get(control::health))
        .route("/_world/events", get(control::events))
        .route("/_world/counts", get(control::counts))
        .route("/_world/hosts", get(control::hosts))
        .route("/_world/commands", get(control::commands))
        .route("/_world/fault", post(control::fault).delete(control::no_fault))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Arc::clone(&wire));
    ready();
    tokio::select! {
        served = async { axum::serve(Door(listener), router.into_make_service_with_connect_info::<Scissors>()).await } => served,
        failed = wire.keep_time() => Err(failed),
    }
}

/// A loopback address in words, for people and scripts.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Wire {
    /// Moves the world to the present, and keeps what was delivered on the way.
    fn catch_up(&self) {
        let delivered = self.world.inner().pass(Timestamp::now());
        self.post.put(delivered);
    }

    /// Time passes by itself. Ends where the world can no longer be written down.
    async fn keep_time(&self) -> io::Error {
        loop {
            self.catch_up();
            if let Some(error) = self.world.log_error() {
                return io::Error::other(error);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Draw::new(0, "request id").on(number).at(Timestamp::now().as_microsecond()).uuid()
    }

    /// Who is calling, and from where.
    async fn who(&self, headers: &HeaderMap, operation: &Operation) -> Result<(Caller, Spoke), Refusal> {
        let caller = signature::caller(headers, operation.service, ms(self.world.now()))?;
        let account = self.identities.account(&caller.key).await?;
        let spoke = Spoke { account, region: caller.region.clone() };
        Ok((caller, spoke))
    }

    /// Does what an operation asks for, now.
    fn act(&self, operation: &Operation, caller: &Caller, spoke: Spoke, body: &[u8]) -> Answer {
        let mut guard = self.world.inner();
        let inner = &mut *guard;
        let account = inner.state.accounts.get(&spoke.account);
        if account.is_none() && spoke.account != self.hub {
            return Err(Refusal::new("UnrecognizedClientException", "The security token included in the request is invalid."));
        }
        inner.calls.count(&spoke, operation.call, 1);
        if account.is_some_and(|account| account.state == AccountState::Suspended) {
            return Err(Refusal::new("AccessDeniedException", format!("account {} is suspended", spoke.account)));
        }
        if !operation.is_send() {
            calls::fault(&inner.state, &spoke, operation.call, &String::from_utf8_lossy(body)).map_err(|fault| match fault {
                tidegate_events::host::SpokeFault::Throttled => Refusal::throttled(operation.service),
                // Half of the calls without a usable answer get an unusable one.
                _ if Draw::new(0, "unusable").text(operation.call).at(inner.state.now).happens(500) => Refusal::broken(operation.service),
                _ => Refusal::Cut,
            })?;
        }
        (operation.act)(&mut Asked { inner, spoke, hub: self.hub, caller, call: operation.call }, body)
    }

    /// One call of an AWS operation.
    async fn answer(&self, headers: &HeaderMap, body: &[u8], operation: &Operation) -> Answer {
        let (caller, spoke) = self.who(headers, operation).await?;
        let struck = self.script.lock().unwrap_or_else(PoisonError::into_inner).strike(operation.call, &spoke);
        let Some(kind) = struck else { return self.act(operation, &caller, spoke, body) };
        if kind != Kind::LoseAnswer {
            // What does not come through is a call all the same.
            self.world.inner().calls.count(&spoke, operation.call, 1);
        }
        match kind {
            Kind::Throttle => Err(Refusal::throttled(operation.service)),
            Kind::Error500 => Err(Refusal::broken(operation.service)),
            Kind::Reset => Err(Refusal::Cut),
            Kind::Hang => {
                tokio::time::sleep(HANG).await;
                Err(Refusal::Cut)
            }
            Kind::LoseAnswer => {
                drop(self.act(operation, &caller, spoke, body));
                Err(Refusal::Cut)
            }
        }
    }
}

/// `POST /`
async fn take(State(wire): State<Arc<Wire>>, ConnectInfo(scissors): ConnectInfo<Scissors>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    wire.catch_up();
    if !headers.contains_key("x-amz-target") && body.starts_with(b"Action=") {
        return sts::take(&wire, &headers, &body).await;
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = operation::find(target);
    let answer = match operation {
        Some(operation) => wire.answer(&headers, &body, operation).await,
        None => Err(Refusal::new("UnknownOperationException", "")),
    };
    if answer == Err(Refusal::Cut) {
        scissors.cut();
    }
    let id = wire.request_id();
    tracing::debug!(target, id, refused = ?answer.as_ref().err(), "call");
    answer::respond(service, &answer, &id)
}

/// The input of an operation.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::new("SerializationException", error.to_string()))
}
