//! The surface for tests: `/_world/...`. It is no part of AWS, and nobody signs here.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};
use tidegate_events::fact::Operation;

use super::Wire;
use super::script::Scripted;

/// The longest that a courier is kept waiting.
const WAIT_MAX: u64 = 60_000;

fn json_response(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn ok(value: &Value) -> Response<Body> {
    json_response(StatusCode::OK, value.to_string())
}

/// `GET /_world/health`
pub(super) async fn health(State(wire): State<Arc<Wire>>) -> Response<Body> {
    wire.catch_up();
    let (started, now, hosts) = (wire.world.started_at(), wire.world.now(), wire.world.hosts().len());
    let accounts: Vec<_> = wire.world.inner().state.accounts.keys().copied().collect();
    ok(&json!({ "ok": true, "started": started, "now": now, "hub": wire.hub, "accounts": accounts, "hosts": hosts }))
}

/// A number of the query string; 0 where it is not there.
fn number(uri: &Uri, name: &str) -> Result<u64, String> {
    let named = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    named.map_or(Ok(0), |text| text.parse().map_err(|_| format!("`{name}` is a number, not `{text}`")))
}

#[derive(serde::Serialize)]
struct Event<'a> {
    n: u64,
    at: Timestamp,
    event: &'a RawValue,
}

#[derive(serde::Serialize)]
struct Events<'a> {
    next: u64,
    events: Vec<Event<'a>>,
}

/// `GET /_world/events?after=N&wait_ms=M`: deliveries with numbers beyond N, their bytes as they were delivered. `next` is the N of the next
/// question.
pub(super) async fn events(State(wire): State<Arc<Wire>>, uri: Uri) -> Response<Body> {
    let (after, wait) = match (number(&uri, "after"), number(&uri, "wait_ms")) {
        (Ok(after), Ok(wait)) => (after, wait.min(WAIT_MAX)),
        (Err(wrong), _) | (_, Err(wrong)) => return json_response(StatusCode::BAD_REQUEST, json!({ "error": wrong }).to_string()),
    };
    wire.catch_up();
    let found = wire.post.wait(after, Duration::from_millis(wait)).await;
    let events: Vec<Event<'_>> =
        found.iter().filter_map(|(n, delivery)| Some(Event { n: *n, at: delivery.at, event: serde_json::from_slice(&delivery.bytes).ok()? })).collect();
    let next = found.last().map_or(after, |(n, _)| *n);
    match serde_json::to_string(&Events { next, events }) {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(error) => json_response(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error.to_string() }).to_string()),
    }
}

/// `GET /_world/counts`: API calls since this process began, and accepted commands since the world began.
pub(super) async fn counts(State(wire): State<Arc<Wire>>) -> Response<Body> {
    wire.catch_up();
    let calls = wire.world.api_calls_by_spoke().into_iter();
    let calls: Vec<Value> =
        calls.map(|((account, region, call), times)| json!({ "account": account, "region": region, "operation": call, "times": times })).collect();
    let counts = wire.world.counts();
    ok(&json!({
        "calls": calls, "by_operation": wire.world.api_calls(),
        "commands": {
            "install": counts.install, "scan": counts.scan, "reboot": counts.reboot, "doubled": counts.doubled, "overlaps": counts.overlaps,
            "mismarked": counts.mismarked,
        },
    }))
}

/// `GET /_world/hosts`: what is true, by target.
pub(super) async fn hosts(State(wire): State<Arc<Wire>>) -> Response<Body> {
    wire.catch_up();
    let truth = |key: tidegate_events::id::TargetKey| {
        let truth = wire.world.truth(&key)?;
        let line = json!({
            "patched": truth.is_patched(), "missing": truth.missing, "failed": truth.failed, "pending_reboot": truth.pending_reboot,
            "rejected": truth.rejected, "online": truth.online, "terminated": truth.terminated, "registered": truth.registered,
            "installing_now": truth.installing_now,
        });
        Some((key.to_string(), line))
    };
    ok(&Value::Object(wire.world.hosts().into_iter().filter_map(truth).collect()))
}

/// `GET /_world/commands`: accepted commands, oldest first, whether or not the caller learned of them.
pub(super) async fn commands(State(wire): State<Arc<Wire>>) -> Response<Body> {
    wire.catch_up();
    let sends = wire.world.sends();
    let line = |record: &Arc<crate::SendRecord>| {
        json!({
            "at": record.at, "account": record.spoke.account, "region": record.spoke.region, "comment": record.marker, "command": record.command,
            "document": record.document, "operation": if record.operation == Operation::Scan { "Scan" } else { "Install" }, "reboots": record.reboots,
            "parameters": record.parameters, "instances": record.instances, "expires_at": record.expires_at, "answered": record.answered,
        })
    };
    ok(&json!({ "commands": sends.iter().map(line).collect::<Vec<_>>() }))
}

/// `POST /_world/fault`: what is to happen to the next calls.
pub(super) async fn fault(State(wire): State<Arc<Wire>>, body: Bytes) -> Response<Body> {
    match serde_json::from_slice::<Scripted>(&body) {
        Ok(fault) => {
            wire.script.lock().unwrap_or_else(PoisonError::into_inner).add(fault);
            ok(&json!({ "ok": true }))
        }
        Err(error) => json_response(StatusCode::BAD_REQUEST, json!({ "error": error.to_string() }).to_string()),
    }
}

/// `DELETE /_world/fault`: nothing more is to happen.
pub(super) async fn no_fault(State(wire): State<Arc<Wire>>) -> Response<Body> {
    wire.script.lock().unwrap_or_else(PoisonError::into_inner).clear();
    ok(&json!({ "ok": true }))
}
