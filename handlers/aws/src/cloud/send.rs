//! SendCommand: sent at most once, signed with the time of its intent, and its answer read for what it proves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_ssm::config::Builder;
use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::SignedDuration;
use tidegate_engine::ports::SendRequest;
use tidegate_events::event::SendOutcome;

use super::Inner;
use super::fault::{Caller, Failure, Kind};
use super::ssm::named_in;
use super::timestamp;

const SEND: &str = "ssm:SendCommand";
/// Ids of one command: with more, AWS has answered with a throttle that no waiting ends (aws-facts 3.2).
const IDS_MAX: usize = 50;
/// Characters of a comment.
const MARKER_MAX: usize = 100;
/// SSM must never stop a batch by itself: it does not count time-outs of delivery, denials and unreachable instances, so that
/// its limit and ours would disagree on what is left; our own budgets count all of them, between batches.
const MAX_ERRORS: &str = "100%";
/// Delivery time-outs that SSM takes, in seconds.
const TIMEOUTS: std::ops::RangeInclusive<u32> = 30..=2_592_000;

/// Set once the request is handed to the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Handed(pub(super) Arc<AtomicBool>);

#[dyn_dispatch_hint]
impl Intercept for Handed {
    fn name(&self) -> &'static str {
        "TidegateHanded"
    }

    fn read_before_transmit(&self, _: &BeforeTransmitInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Sends one command.
pub(super) async fn send(inner: &Inner, request: &SendRequest) -> SendOutcome {
    if let Some(why) = unfit(request) {
        return SendOutcome::Refused { why };
    }
    let spoke = &request.spoke;
    let clients = match inner.sessions.enter(spoke).await {
        Ok(clients) => clients,
        // Nothing has left yet: what may pass by itself is tried again, under all gates.
        Err(fault) if fault.is_passing() => return unsent(SEND, &fault.to_string()),
        Err(fault) => return SendOutcome::Denied { why: fault.to_string() },
    };
    let caller = Caller::spoke(inner.hub.meter(), spoke);
    if let Err(failure) = caller.turn(SEND).await {
        return unsent(SEND, &failure.to_string());
    }
    let handed = Handed::default();
    // INVARIANT (one writer per target): signed with the intent's time, so that AWS refuses a sender that froze meanwhile.
    let signing = Builder::new().time_source(SharedTimeSource::new(StaticTimeSource::new(request.signed_at.into())));
    let call = clients
        .ssm_once()
        .send_command()
        .set_instance_ids(Some(request.instances.iter().map(|id| id.as_str().to_owned()).collect()))
        .document_name(&request.document)
        .set_parameters(Some(request.parameters.clone().into_iter().collect()))
        .comment(&request.marker)
        .timeout_seconds(i32::try_from(request.timeout_secs).unwrap_or(i32::MAX))
        .max_concurrency(request.max_concurrency.max(1).to_string())
        .max_errors(MAX_ERRORS)
        .customize()
        .config_override(signing)
        .interceptor(handed.clone());
    match call.send().await {
        Ok(answer) => accepted(request, answer.command()),
        Err(error) => {
            let mut failure = Failure::of(SEND, &error);
            if !handed.0.load(Ordering::SeqCst) {
                failure.kind = Kind::Unsent;
            }
            if failure.kind == Kind::Stale {
                inner.sessions.forget(spoke.account).await;
            }
            let outcome = outcome(request, &failure);
            tracing::warn!(account = %spoke.account, region = %spoke.region, marker = request.marker, ?outcome, "{failure}");
            outcome
        }
    }
}

/// What no SendCommand can hold. Asked before anything is sent.
fn unfit(request: &SendRequest) -> Option<String> {
    if request.instances.is_empty() || request.instances.len() > IDS_MAX {
        return Some(format!("a command goes to 1 to {IDS_MAX} instances, not to {}", request.instances.len()));
    }
    if request.marker.chars().count() > MARKER_MAX {
        return Some(format!("the marker `{}` is longer than the {MARKER_MAX} characters of a comment", request.marker));
    }
    if !TIMEOUTS.contains(&request.timeout_secs) {
        return Some(format!("a delivery time-out of {} s is not within {} to {} s", request.timeout_secs, TIMEOUTS.start(), TIMEOUTS.end()));
    }
    None
}

pub(super) fn unsent(operation: &str, why: &str) -> SendOutcome {
    tracing::warn!(operation, "nothing was sent: {why}");
    SendOutcome::Throttled
}

fn accepted(request: &SendRequest, command: Option<&aws_sdk_ssm::types::Command>) -> SendOutcome {
    let Some(id) = command.and_then(|command| command.command_id()).and_then(|id| id.parse().ok()) else {
        return SendOutcome::Ambiguous { why: format!("{SEND}: accepted, but the answer holds no command id") };
    };
    let secs = i64::from(request.timeout_secs).saturating_add(i64::from(request.execution_timeout_secs));
    let expires_at = command.and_then(|command| command.expires_after()).and_then(timestamp);
    let expires_at = expires_at.unwrap_or_else(|| request.signed_at.saturating_add(SignedDuration::from_secs(secs)).unwrap_or(request.signed_at));
    SendOutcome::Accepted { command: id, expires_at }
}

/// What a failure proves. Only a parsed 4xx, and a request that never left, prove that nothing was sent.
fn outcome(request: &SendRequest, failure: &Failure) -> SendOutcome {
    match failure.kind {
        // What never left may be sent again under all gates; so may what AWS refused as too old.
        Kind::Unsent => SendOutcome::Throttled,
        _ if !failure.is_refusal() => SendOutcome::Ambiguous { why: failure.to_string() },
        Kind::Throttled | Kind::Stale => SendOutcome::Throttled,
        Kind::Denied => SendOutcome::Denied { why: failure.to_string() },
        _ if failure.code == "InvalidInstanceId" => SendOutcome::InvalidInstances { named: named_in(&failure.message, &request.instances) },
        _ => SendOutcome::Refused { why: failure.to_string() },
    }
}
