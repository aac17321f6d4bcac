//! Automation over the wire: starting executions, what lists of them, and stopping them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_engine::ports::AutomationRequest;
use tidegate_events::event::SendOutcome;
use tidegate_events::id::{CommandId, InstanceId};

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page};
use super::read;
use super::ssm::instance;
use crate::automation::{Child, Execution, word};
use crate::clock::{ms, time};
use crate::draw::Draw;

/// What is not on the wire: an execution has no time-out of its own here.
const TIMEOUT_SECS: u32 = 7_200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetOf {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    document_name: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    client_token: Option<String>,
    target_parameter_name: Option<String>,
    #[serde(default)]
    targets: Vec<TargetOf>,
    max_concurrency: Option<String>,
}

/// StartAutomationExecution: the same token is the same execution.
pub(super) fn start_automation_execution(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let start: Start = read(body)?;
    let document = start.document_name.ok_or_else(|| Refusal::missing("documentName"))?;
    let [target] = start.targets.as_slice() else {
        return Err(Refusal::new("InvalidTarget", "this simulated organization takes one list of targets"));
    };
    if target.key.as_deref() != Some("ParameterValues") {
        return Err(Refusal::new("InvalidTarget", "this simulated organization takes targets by ParameterValues"));
    }
    let instances = target.values.iter().map(|text| instance(text, "targets")).collect::<Result<Vec<InstanceId>, _>>()?;
    // Without a token every start is another one.
    let random = || Draw::new(0, "token").at(asked.inner.state.now).on(u64::try_from(asked.inner.state.executions.len()).unwrap_or(0)).uuid();
    let token = start.client_token.unwrap_or_else(random);
    if token.len() != 36 {
        return Err(Refusal::constraint(&token, "clientToken", "Member must have length equal to 36"));
    }
    let request = AutomationRequest {
        spoke: asked.spoke.clone(),
        document: document.rsplit('/').next().unwrap_or_default().to_owned(),
        parameters: start.parameters,
        target_parameter: start.target_parameter_name.unwrap_or_default(),
        max_concurrency: start.max_concurrency.and_then(|text| text.parse().ok()).unwrap_or(10),
        instances,
        token,
        timeout_secs: TIMEOUT_SECS,
        signed_at: time(asked.caller.signed),
    };
    match asked.inner.start(&request) {
        SendOutcome::Accepted { command, .. } => Ok(json!({ "AutomationExecutionId": command })),
        SendOutcome::Throttled => Err(Refusal::throttled(super::Service::Ssm)),
        SendOutcome::Denied { why } => Err(Refusal::new("AccessDeniedException", why)),
        SendOutcome::Refused { why } => Err(refused(&why)),
        SendOutcome::InvalidInstances { .. } | SendOutcome::Ambiguous { .. } => Err(Refusal::Cut),
    }
}

/// The model words its refusals as `Code: message`.
fn refused(why: &str) -> Refusal {
    let (code, message) = why.split_once(": ").unwrap_or(("ValidationException", why));
    let known = [
        "AutomationDefinitionNotFoundException",
        "InvalidAutomationExecutionParametersException",
        "IdempotentParameterMismatch",
        "InvalidTarget",
        "InvalidSignatureException",
    ];
    Refusal::new(known.into_iter().find(|known| *known == code).unwrap_or("ValidationException"), message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    automation_execution_id: Option<String>,
}

/// The place of the execution that is named, or of none.
fn place(asked: &Asked<'_>, id: Option<String>) -> Result<(u32, CommandId), Refusal> {
    let id = id.ok_or_else(|| Refusal::missing("automationExecutionId"))?;
    let parsed: CommandId = id.parse().map_err(|_| Refusal::constraint(&id, "automationExecutionId", "Member must have length equal to 36"))?;
    let missing = || Refusal::new("AutomationExecutionNotFoundException", format!("Automation Execution ID: {id}"));
    let at = asked.inner.state.execution_in(&asked.spoke, &parsed).ok_or_else(missing)?;
    Ok((at, parsed))
}

fn whole(execution: &Execution) -> Value {
    let record = &execution.record;
    compact(json!({
        "AutomationExecutionId": record.execution, "DocumentName": record.document, "DocumentVersion": "1", "ExecutionStartTime": epoch(execution.requested),
        "ExecutionEndTime": execution.ended.map(epoch), "AutomationExecutionStatus": execution.status(), "Mode": "Auto", "ExecutedBy": "tidegate",
        "TargetParameterName": record.target_parameter, "Targets": [{ "Key": "ParameterValues", "Values": record.instances }],
        "ResolvedTargets": { "ParameterValues": record.instances, "Truncated": false }, "MaxErrors": "100%",
    }))
}

fn part(execution: &Execution, child: &Child) -> Value {
    let record = &execution.record;
    compact(json!({
        "AutomationExecutionId": child.id, "DocumentName": record.document, "DocumentVersion": "1", "ExecutionStartTime": epoch(child.started),
        "ExecutionEndTime": child.ended.map(epoch), "AutomationExecutionStatus": word(child.status), "Mode": "Auto", "ExecutedBy": "tidegate",
        "ParentAutomationExecutionId": record.execution, "TargetParameterName": record.target_parameter, "Target": child.instance, "AutomationType": "Local",
    }))
}

/// GetAutomationExecution of a whole one.
pub(super) fn get_automation_execution(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: One = read(body)?;
    let (at, _) = place(asked, get.automation_execution_id)?;
    let execution = asked.inner.state.execution(at).ok_or(Refusal::Cut)?;
    let mut shown = whole(execution);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("Parameters".to_owned(), json!(execution.record.parameters));
        fields.insert("StepExecutions".to_owned(), json!([]));
    }
    Ok(json!({ "AutomationExecution": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<TargetOf>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribeAutomationExecutions, newest first: whole ones and children alike, seconds late.
pub(super) fn describe_automation_executions(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Describe = read(body)?;
    let (mut parent, mut prefix, mut after, mut before) = (None, None, i64::MIN, i64::MAX);
    for filter in &describe.filters {
        let value = filter.values.first().ok_or_else(|| Refusal::missing("filters.1.member.values"))?;
        let moment =
            || value.parse::<Timestamp>().map(ms).map_err(|_| Refusal::new("InvalidFilterValue", format!("{value} is no time such as 2026-07-07T00:00:00Z")));
        match filter.key.as_deref().unwrap_or_default() {
            "ParentExecutionId" => parent = Some(value.clone()),
            "DocumentNamePrefix" => prefix = Some(value.clone()),
            "StartTimeAfter" => after = moment()?,
            "StartTimeBefore" => before = moment()?,
            other => return Err(Refusal::new("InvalidFilterKey", format!("{other} is no filter here"))),
        }
    }
    let question: String = describe.filters.iter().map(|filter| format!("{:?}={:?};", filter.key, filter.values)).collect();
    let page = Page::at(asked, &question, page::size(describe.max_results, "maxResults", (1, 50, 50))?, describe.next_token.as_deref())?;
    let state = &asked.inner.state;
    let shown = state.executions_listed(&asked.spoke).filter(|execution| execution.requested >= after && execution.requested <= before);
    let shown = shown.filter(|execution| prefix.as_ref().is_none_or(|prefix| execution.record.document.starts_with(prefix.as_str())));
    let mut lines: Vec<Value> = Vec::new();
    for execution in shown {
        match &parent {
            Some(id) if execution.record.execution.as_str() == id => lines.extend(execution.children.iter().map(|child| part(execution, child))),
            Some(_) => {}
            None => {
                lines.push(whole(execution));
                lines.extend(execution.children.iter().map(|child| part(execution, child)));
            }
        }
    }
    let (lines, next) = page.cut(lines);
    Ok(compact(json!({ "AutomationExecutionMetadataList": lines, "NextToken": next })))
}

/// StopAutomationExecution
pub(super) fn stop_automation_execution(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let stop: One = read(body)?;
    let (at, id) = place(asked, stop.automation_execution_id)?;
    if asked.inner.state.execution(at).is_some_and(|execution| execution.ended.is_some()) {
        return Err(Refusal::new("InvalidAutomationStatusUpdateException", "the execution has ended"));
    }
    let spoke = asked.spoke.clone();
    match asked.inner.stop(&spoke, &id) {
        Ok(_) => Ok(json!({})),
        Err(why) => {
            tracing::error!(%why, "StopAutomationExecution was not taken");
            Err(Refusal::broken(super::Service::Ssm))
        }
    }
}
