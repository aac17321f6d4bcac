//! Automation: StartAutomationExecution under a token, which alone makes a repeat harmless, and what an execution and its children
//! say of their targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_ssm::config::Builder;
use aws_sdk_ssm::types::{AutomationExecutionFilter, AutomationExecutionFilterKey, AutomationExecutionMetadata, StopType, Target};
use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource};
use jiff::{SignedDuration, Timestamp};
use tidegate_engine::ports::{AutomationRequest, CommandSeen};
use tidegate_events::automation::AutomationStatus;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Invocation, InvocationStatus};
use tidegate_events::id::{CommandId, InstanceId};

use super::fault::{Caller, Failure, Kind, Pages};
use super::send::{Handed, unsent};
use super::sessions::SpokeClients;
use super::{Inner, timestamp};

const START: &str = "ssm:StartAutomationExecution";
const GET: &str = "ssm:GetAutomationExecution";
const LIST: &str = "ssm:DescribeAutomationExecutions";
const STOP: &str = "ssm:StopAutomationExecution";

/// Targets of one start: what one look-up of their ids holds, as for commands.
const IDS_MAX: usize = 50;
/// Lines of a page.
const PAGE: i32 = 50;
/// A start without a usable answer is repeated so often, under its token and signing time.
const TRIES: u32 = 3;
/// SSM must not stop a batch by itself: our budgets count.
const MAX_ERRORS: &str = "100%";

/// Starts one execution over all targets. INVARIANT (one writer per target): repeats have the token and the signing time of the first
/// try, so that they are the same execution, and AWS refuses them once the intent is five minutes old.
pub(super) async fn start(inner: &Inner, request: &AutomationRequest) -> SendOutcome {
    if request.instances.is_empty() || request.instances.len() > IDS_MAX || request.token.len() != 36 {
        return SendOutcome::Refused { why: format!("an execution has 1 to {IDS_MAX} targets and a UUID as token, not {} targets", request.instances.len()) };
    }
    let spoke = &request.spoke;
    let clients = match inner.sessions.enter(spoke).await {
        Ok(clients) => clients,
        Err(fault) if fault.is_passing() => return unsent(START, &fault.to_string()),
        Err(fault) => return SendOutcome::Denied { why: fault.to_string() },
    };
    let caller = Caller::spoke(inner.hub.meter(), spoke);
    let mut ambiguous: Option<SendOutcome> = None;
    for _ in 0..TRIES {
        if let Err(failure) = caller.turn(START).await {
            return ambiguous.unwrap_or_else(|| unsent(START, &failure.to_string()));
        }
        let outcome = once(inner, &clients, request).await;
        match outcome {
            SendOutcome::Ambiguous { .. } => ambiguous = Some(outcome),
            // A refusal after a try that may have been taken proves nothing about that one.
            SendOutcome::Accepted { .. } => return outcome,
            other => return ambiguous.unwrap_or(other),
        }
    }
    ambiguous.unwrap_or(SendOutcome::Throttled)
}

async fn once(inner: &Inner, clients: &SpokeClients, request: &AutomationRequest) -> SendOutcome {
    let handed = Handed::default();
    let signing = Builder::new().time_source(SharedTimeSource::new(StaticTimeSource::new(request.signed_at.into())));
    let targets = Target::builder().key("ParameterValues").set_values(Some(request.instances.iter().map(|id| id.as_str().to_owned()).collect()));
    let call = clients
        .ssm_once()
        .start_automation_execution()
        .document_name(&request.document)
        .set_parameters((!request.parameters.is_empty()).then(|| request.parameters.clone().into_iter().collect()))
        .client_token(&request.token)
        .target_parameter_name(&request.target_parameter)
        .targets(targets.build())
        .max_concurrency(request.max_concurrency.max(1).to_string())
        .max_errors(MAX_ERRORS)
        .customize()
        .config_override(signing)
        .interceptor(handed.clone());
    match call.send().await {
        Ok(answer) => match answer.automation_execution_id().and_then(|id| id.parse().ok()) {
            Some(command) => {
                let secs = SignedDuration::from_secs(i64::from(request.timeout_secs));
                SendOutcome::Accepted { command, expires_at: request.signed_at.saturating_add(secs).unwrap_or(request.signed_at) }
            }
            None => SendOutcome::Ambiguous { why: format!("{START}: accepted, but the answer holds no execution id") },
        },
        Err(error) => {
            let mut failure = Failure::of(START, &error);
            if !handed.0.load(Ordering::SeqCst) {
                failure.kind = Kind::Unsent;
            }
            if failure.kind == Kind::Stale {
                inner.sessions.forget(request.spoke.account).await;
            }
            let outcome = outcome(&failure);
            tracing::warn!(account = %request.spoke.account, region = %request.spoke.region, token = request.token, ?outcome, "{failure}");
            outcome
        }
    }
}

/// What a failure proves. That the token stands for another execution proves that there is one: a search tells which.
fn outcome(failure: &Failure) -> SendOutcome {
    match failure.kind {
        Kind::Unsent => SendOutcome::Throttled,
        _ if failure.code == "IdempotentParameterMismatch" => SendOutcome::Ambiguous { why: failure.to_string() },
        _ if !failure.is_refusal() => SendOutcome::Ambiguous { why: failure.to_string() },
        Kind::Throttled | Kind::Stale => SendOutcome::Throttled,
        Kind::Denied => SendOutcome::Denied { why: failure.to_string() },
        _ if failure.code == "AutomationExecutionLimitExceededException" => SendOutcome::Throttled,
        _ => SendOutcome::Refused { why: failure.to_string() },
    }
}

fn filter(key: AutomationExecutionFilterKey, value: &str) -> Result<AutomationExecutionFilter, Failure> {
    AutomationExecutionFilter::builder().key(key).values(value).build().map_err(|error| Failure::unreadable(LIST, &error.to_string()))
}

/// All pages of `DescribeAutomationExecutions`.
async fn executions(caller: &Caller<'_>, clients: &SpokeClients, filters: Vec<AutomationExecutionFilter>) -> Result<Vec<AutomationExecutionMetadata>, Failure> {
    let mut pages = Pages::of(LIST);
    let mut found = Vec::new();
    loop {
        let request = clients.ssm().describe_automation_executions().set_filters(Some(filters.clone())).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(LIST, request.send()).await?;
        found.extend_from_slice(page.automation_execution_metadata_list());
        if !pages.turn(page.next_token())? {
            return Ok(found);
        }
    }
}

/// Executions of one runbook in a span of time, children left out. The filter takes a name's beginning, and whole seconds.
pub(super) async fn list(
    caller: Caller<'_>,
    clients: Arc<SpokeClients>,
    document: &str,
    after: Timestamp,
    before: Timestamp,
) -> Result<Vec<CommandSeen>, Failure> {
    // A runbook that is given by its ARN is listed by its name.
    let name = document.rsplit('/').next().unwrap_or(document);
    let whole = |at: Timestamp, more: i64| Timestamp::from_second(at.as_second().saturating_add(more)).unwrap_or(at).to_string();
    let filters = vec![
        filter(AutomationExecutionFilterKey::DocumentNamePrefix, name)?,
        filter(AutomationExecutionFilterKey::StartTimeAfter, &whole(after, -1))?,
        filter(AutomationExecutionFilterKey::StartTimeBefore, &whole(before, 2))?,
    ];
    let mut seen = Vec::new();
    for line in executions(&caller, &clients, filters).await? {
        let of = line.document_name().unwrap_or_default();
        if line.parent_automation_execution_id().is_some() || of.rsplit('/').next() != Some(name) {
            continue;
        }
        let (Some(command), Some(requested_at)) =
            (line.automation_execution_id().and_then(|id| id.parse().ok()), line.execution_start_time().and_then(timestamp))
        else {
            return Err(Failure::unreadable(LIST, "an execution without an id or a time"));
        };
        let instances = targets(line.targets());
        seen.push(CommandSeen { command, marker: String::new(), parameters: BTreeMap::new(), instances, requested_at, expires_at: before });
    }
    Ok(seen)
}

fn targets(targets: &[Target]) -> Vec<InstanceId> {
    targets.iter().filter(|target| target.key() == Some("ParameterValues")).flat_map(Target::values).filter_map(|value| value.parse().ok()).collect()
}

/// How an execution stands on each of its targets. A child that is not listed has not ended, unless the whole has: then it failed with
/// the whole.
pub(super) async fn lines(caller: Caller<'_>, clients: Arc<SpokeClients>, execution: &CommandId) -> Result<Vec<Invocation>, Failure> {
    let whole = caller.call(GET, clients.ssm().get_automation_execution().automation_execution_id(execution.as_str()).send()).await?;
    let Some(whole) = whole.automation_execution() else { return Err(Failure::unreadable(GET, "no execution in the answer")) };
    let children = executions(&caller, &clients, vec![filter(AutomationExecutionFilterKey::ParentExecutionId, execution.as_str())?]).await?;
    let mut found: BTreeMap<InstanceId, Invocation> = BTreeMap::new();
    for child in &children {
        let word = child.automation_execution_status().map_or("", |status| status.as_str());
        let Some(instance) = child.target().and_then(|target| target.parse::<InstanceId>().ok()) else {
            tracing::error!(%execution, target = child.target(), "ERROR a child execution names no instance");
            continue;
        };
        if let Some(line) = line(instance.clone(), word, child.execution_end_time().and_then(timestamp)) {
            found.insert(instance, line);
        }
    }
    let word = whole.automation_execution_status().map_or("", |status| status.as_str());
    let ended = word.parse::<AutomationStatus>().is_ok_and(AutomationStatus::is_final);
    let ended_at = whole.execution_end_time().and_then(timestamp);
    for instance in targets(whole.targets()).into_iter().filter(|_| ended) {
        let failed = Invocation { instance: instance.clone(), status: InvocationStatus::Failed, ended_at };
        found.entry(instance).or_insert(failed);
    }
    Ok(found.into_values().collect())
}

fn line(instance: InstanceId, word: &str, ended_at: Option<Timestamp>) -> Option<Invocation> {
    match word.parse::<AutomationStatus>() {
        Ok(status) => Some(Invocation { instance, status: status.as_invocation(), ended_at: ended_at.filter(|_| status.is_final()) }),
        Err(error) => {
            // It stays open, and the batch's time-out decides.
            tracing::error!(%instance, "ERROR {error}");
            None
        }
    }
}

/// `StopAutomationExecution`: steps that run are cancelled, nothing more begins.
pub(super) async fn stop(caller: Caller<'_>, clients: Arc<SpokeClients>, execution: &CommandId) -> Result<(), Failure> {
    let request = clients.ssm().stop_automation_execution().automation_execution_id(execution.as_str()).r#type(StopType::Cancel);
    caller.call(STOP, request.send()).await.map(|_| ())
}
