//! Run Command over the wire: SendCommand, what lists of it, and CancelCommand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_engine::ports::SendRequest;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::InvocationStatus as Status;
use tidegate_events::id::{CommandId, InstanceId};

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page, WrongToken};
use super::read;
use crate::clock::{Ms, iso_secs, ms, time};
use crate::command::{Command, Phase, Slot, coarse};
use crate::host::Host;
use crate::state::State;

/// Delivery time-out where none is given, and the execution time-out of the documents, both in seconds.
const DELIVERY_SECS: u32 = 3_600;
const EXECUTION_SECS: u32 = 3_600;
/// `MaxConcurrency` where none is given.
const CONCURRENCY: u32 = 50;

impl From<WrongToken> for Refusal {
    fn from(_: WrongToken) -> Self {
        Self::new("InvalidNextToken", "The specified token isn't valid.")
    }
}

/// An instance id as the model's pattern has it.
pub(super) fn instance(text: &str, member: &str) -> Result<InstanceId, Refusal> {
    text.parse().map_err(|_| Refusal::constraint(text, member, "Member must satisfy regular expression pattern: (^i-(\\w{8}|\\w{17})$)|(^mi-\\w{17}$)"))
}

/// Instance ids, at most 50.
pub(super) fn instances(texts: &[String]) -> Result<Vec<InstanceId>, Refusal> {
    texts.iter().map(|text| instance(text, "instanceIds")).collect()
}

/// `InvalidInstanceId`, which names the instances at most times.
pub(super) fn invalid_instances(asked: &Asked<'_>, named: &[InstanceId]) -> Refusal {
    let list = named.iter().map(InstanceId::as_str).collect::<Vec<_>>().join(", ");
    let message = if named.is_empty() { String::new() } else { format!("Instances [[{list}]] not in a valid state for account {}", asked.spoke.account) };
    Refusal::new("InvalidInstanceId", message)
}

fn command_id(text: &str) -> Result<CommandId, Refusal> {
    text.parse().map_err(|_| Refusal::constraint(text, "commandId", "Member must have length equal to 36"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    #[serde(default)]
    instance_ids: Vec<String>,
    #[serde(default)]
    targets: Vec<Value>,
    document_name: Option<String>,
    timeout_seconds: Option<u32>,
    comment: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    max_concurrency: Option<String>,
    max_errors: Option<String>,
}

/// A count, or a share of so many instances, as MaxConcurrency and MaxErrors are written.
fn count(text: &str, member: &str, least: u32, of: usize) -> Result<u32, Refusal> {
    let wrong = || Refusal::constraint(text, member, "Member must satisfy regular expression pattern: a number, or a share up to 100%");
    let of = u32::try_from(of).unwrap_or(u32::MAX);
    let (digits, is_share) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
    let is_plain = !digits.is_empty() && digits.len() <= 7 && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number: u32 = if is_plain { digits.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    match is_share {
        true if number <= 100 && number >= least => Ok(of.saturating_mul(number).div_euclid(100).max(least)),
        false if number >= least => Ok(number),
        _ => Err(wrong()),
    }
}

/// SendCommand: nothing makes the same request the same command.
pub(super) fn send_command(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let send: Send = read(body)?;
    let document = send.document_name.ok_or_else(|| Refusal::missing("documentName"))?;
    if !send.targets.is_empty() {
        return Err(Refusal::new("InvalidParameters", "this simulated organization takes InstanceIds, not Targets"));
    }
    let instances = instances(&send.instance_ids)?;
    let max_concurrency = send.max_concurrency.as_deref().map_or(Ok(CONCURRENCY), |text| count(text, "maxConcurrency", 1, instances.len()))?;
    let max_errors = send.max_errors.as_deref().map_or(Ok(0), |text| count(text, "maxErrors", 0, instances.len()))?;
    let request = SendRequest {
        spoke: asked.spoke.clone(),
        // A document is named, or given by its ARN.
        document: document.rsplit('/').next().unwrap_or_default().to_owned(),
        parameters: send.parameters,
        instances,
        marker: send.comment.unwrap_or_default(),
        timeout_secs: send.timeout_seconds.unwrap_or(DELIVERY_SECS),
        execution_timeout_secs: EXECUTION_SECS,
        max_concurrency,
        signed_at: time(asked.caller.signed),
    };
    match asked.inner.send(&request, Some(max_errors)) {
        SendOutcome::Accepted { command, .. } => {
            let state = &asked.inner.state;
            let shown = state.command_in(&request.spoke, &command).and_then(|at| state.command(at)).map(command_json);
            Ok(json!({ "Command": shown.ok_or(Refusal::Cut)? }))
        }
        SendOutcome::InvalidInstances { named } => Err(invalid_instances(asked, &named)),
        SendOutcome::Throttled => Err(Refusal::throttled(super::Service::Ssm)),
        SendOutcome::Denied { why } => Err(Refusal::new("AccessDeniedException", why)),
        SendOutcome::Refused { why } => Err(refused(&why)),
        SendOutcome::Ambiguous { .. } => Err(Refusal::Cut),
    }
}

/// The model words its refusals as `Code: message`.
fn refused(why: &str) -> Refusal {
    let (code, message) = why.split_once(": ").unwrap_or(("ValidationException", why));
    let known = ["InvalidDocument", "InvalidParameters", "DuplicateInstanceId", "InvalidSignatureException"];
    Refusal::new(known.into_iter().find(|known| *known == code).unwrap_or("ValidationException"), message)
}

/// As Run Command spells `StatusDetails`: with spaces.
fn details(status: Status) -> &'static str {
    match status {
        Status::Pending => "Pending",
        Status::InProgress => "In Progress",
        Status::Success => "Success",
        Status::Failed => "Failed",
        Status::ExecutionTimedOut => "Execution Timed Out",
        Status::DeliveryTimedOut => "Delivery Timed Out",
        Status::Undeliverable => "Undeliverable",
        Status::AccessDenied => "Access Denied",
        Status::InvalidPlatform => "Invalid Platform",
        Status::Cancelled => "Cancelled",
        Status::NeverRan => "Terminated",
    }
}

fn command_json(command: &Command) -> Value {
    let (record, status) = (&command.record, command.status());
    let slots = |wanted: &[Status]| command.slots.iter().filter(|slot| wanted.contains(&slot.status)).count();
    let timed_out = if slots(&[Status::ExecutionTimedOut]) > 0 { "Execution Timed Out" } else { "Delivery Timed Out" };
    // CancelCommand is under way while some hosts still run.
    let status = if command.is_cancelled && command.open > 0 { "Cancelling" } else { status };
    let details = match status {
        "InProgress" => "In Progress",
        "TimedOut" => timed_out,
        other => other,
    };
    json!({
        "CommandId": record.command, "DocumentName": record.document, "DocumentVersion": "$DEFAULT", "Comment": record.marker,
        "ExpiresAfter": epoch(command.expires), "Parameters": record.parameters, "InstanceIds": record.instances, "Targets": [],
        "RequestedDateTime": epoch(command.requested), "Status": status, "StatusDetails": details, "OutputS3BucketName": "", "OutputS3KeyPrefix": "",
        "MaxConcurrency": command.max_concurrency.to_string(), "MaxErrors": command.max_errors.unwrap_or(0).to_string(),
        "TargetCount": command.slots.len(), "CompletedCount": command.slots.len() - command.open.min(command.slots.len()),
        "ErrorCount": slots(&[Status::Failed, Status::ExecutionTimedOut]), "DeliveryTimedOutCount": slots(&[Status::DeliveryTimedOut]),
        "ServiceRole": "", "NotificationConfig": { "NotificationArn": "", "NotificationEvents": [], "NotificationType": "" },
        "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
        "TimeoutSeconds": command.delivery / 1_000,
    })
}

#[derive(Deserialize)]
struct Filter {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    command_id: Option<String>,
    instance_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    details: bool,
}

/// What ListCommands and ListCommandInvocations are to show.
#[derive(Default)]
struct Wanted {
    after: Option<Ms>,
    before: Option<Ms>,
    status: Option<String>,
    is_complete: Option<bool>,
    document: Option<String>,
}

fn wanted(filters: &[Filter]) -> Result<Wanted, Refusal> {
    if filters.len() > 5 {
        return Err(Refusal::constraint(filters.len(), "filters", "Member must have length less than or equal to 5"));
    }
    let (mut wanted, mut keys) = (Wanted::default(), BTreeSet::new());
    for filter in filters {
        let key = filter.key.as_deref().ok_or_else(|| Refusal::missing("filters.1.member.key"))?;
        let value = filter.value.as_deref().filter(|value| !value.is_empty()).ok_or_else(|| Refusal::missing("filters.1.member.value"))?;
        if !keys.insert(key) {
            return Err(Refusal::new("InvalidFilterKey", format!("the filter {key} is given twice")));
        }
        let moment = || {
            value
                .parse::<Timestamp>()
                .map(ms)
                .map_err(|_| Refusal::new("ValidationException", format!("{key} is a time such as 2026-07-07T00:00:00Z, not {value}")))
        };
        match key {
            "InvokedAfter" => wanted.after = Some(moment()?),
            "InvokedBefore" => wanted.before = Some(moment()?),
            "Status" => wanted.status = Some(value.to_owned()),
            "DocumentName" => wanted.document = Some(value.to_owned()),
            "ExecutionStage" => wanted.is_complete = Some(value == "Complete"),
            other => return Err(Refusal::new("InvalidFilterKey", format!("{other} is no filter"))),
        }
    }
    Ok(wanted)
}

impl Wanted {
    fn shows(&self, command: &Command) -> bool {
        self.after.is_none_or(|after| command.requested >= after)
            && self.before.is_none_or(|before| command.requested <= before)
            && self.document.as_ref().is_none_or(|document| *document == command.record.document)
            && self.is_complete.is_none_or(|complete| complete == (command.open == 0))
    }
}

/// ListCommands: newest first, seconds late.
pub(super) fn list_commands(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let (wanted, state) = (wanted(&list.filters)?, &asked.inner.state);
    let one = list.command_id.as_deref().map(command_id).transpose()?;
    let on = list.instance_id.as_deref().map(|id| instance(id, "instanceId")).transpose()?;
    if on.is_some() && wanted.status.as_deref() == Some("Pending") {
        return Err(Refusal::new("InvalidFilterKey", "Pending can't be asked for with InstanceId"));
    }
    let question = format!("{one:?} {on:?} {}", question(&list.filters));
    let page = Page::at(asked, &question, page::size(list.max_results, "maxResults", (1, 50, 50))?, list.next_token.as_deref())?;
    let shown = state.commands_listed(&asked.spoke, wanted.after.unwrap_or(Ms::MIN)).filter(|command| wanted.shows(command));
    let shown = shown.filter(|command| one.as_ref().is_none_or(|id| command.record.command == *id));
    let shown = shown.filter(|command| on.as_ref().is_none_or(|id| command.record.instances.contains(id)));
    let shown = shown.filter(|command| wanted.status.as_deref().is_none_or(|status| command.status() == status));
    let (commands, next) = page.cut(shown.collect());
    let commands: Vec<Value> = commands.into_iter().map(command_json).collect();
    Ok(compact(json!({ "Commands": commands, "NextToken": next })))
}

fn question(filters: &[Filter]) -> String {
    filters.iter().map(|filter| format!("{:?}={:?};", filter.key, filter.value)).collect()
}

/// ListCommandInvocations: nothing for the first seconds.
pub(super) fn list_command_invocations(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: List = read(body)?;
    let (wanted, state) = (wanted(&list.filters)?, &asked.inner.state);
    let one = list.command_id.as_deref().map(command_id).transpose()?;
    let on = list.instance_id.as_deref().map(|id| instance(id, "instanceId")).transpose()?;
    let question = format!("{one:?} {on:?} {} {}", list.details, question(&list.filters));
    let page = Page::at(asked, &question, page::size(list.max_results, "maxResults", (1, 50, 50))?, list.next_token.as_deref())?;
    let commands: Vec<&Command> = match &one {
        Some(id) => state.command_shown(&asked.spoke, id).into_iter().collect(),
        None => state.commands_listed(&asked.spoke, wanted.after.unwrap_or(Ms::MIN)).filter(|command| command.invocations_from <= state.now).collect(),
    };
    let lines = commands.into_iter().filter(|command| wanted.shows(command)).flat_map(|command| command.slots.iter().map(move |slot| (command, slot)));
    let lines = lines.filter_map(|(command, slot)| Some((command, slot, state.host(slot.host)?)));
    let lines = lines.filter(|(_, _, host)| on.as_ref().is_none_or(|id| host.key.instance == *id));
    let lines = lines.filter(|(_, slot, _)| wanted.status.as_deref().is_none_or(|status| coarse(slot.status) == status));
    let (lines, next) = page.cut(lines.collect());
    let lines: Vec<Value> = lines.into_iter().map(|(command, slot, host)| invocation(command, slot, host, list.details)).collect();
    Ok(compact(json!({ "CommandInvocations": lines, "NextToken": next })))
}

fn invocation(command: &Command, slot: &Slot, host: &Host, with_details: bool) -> Value {
    let record = &command.record;
    json!({
        "CommandId": record.command, "InstanceId": host.key.instance, "InstanceName": host.tags.get("Name").cloned().unwrap_or_default(),
        "Comment": record.marker, "DocumentName": record.document, "DocumentVersion": "$DEFAULT", "RequestedDateTime": epoch(command.requested),
        "Status": coarse(slot.status), "StatusDetails": details(slot.status), "StandardOutputUrl": "", "StandardErrorUrl": "",
        "CommandPlugins": if with_details { plugins(slot, host) } else { Vec::new() }, "ServiceRole": "",
        "NotificationConfig": { "NotificationArn": "", "NotificationEvents": [], "NotificationType": "" },
        "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
    })
}

/// The steps of the patch documents, one for each platform; those of other platforms are skipped.
const STEPS: [&str; 3] = ["PatchWindows", "PatchLinux", "PatchMacOS"];

fn own_step(host: &Host) -> &'static str {
    match host.platform {
        tidegate_events::host::Platform::Windows => "PatchWindows",
        tidegate_events::host::Platform::Linux => "PatchLinux",
        tidegate_events::host::Platform::MacOS => "PatchMacOS",
    }
}

/// What one step says: its status in words, its exit code and its times.
struct Step {
    status: &'static str,
    details: &'static str,
    code: i32,
    started: Option<Ms>,
    ended: Option<Ms>,
    output: &'static str,
}

fn step(slot: &Slot, is_own: bool) -> Step {
    let began = matches!(slot.phase, Phase::Running | Phase::Finishing) || slot.ended.is_some();
    let started = began.then_some(slot.started);
    let ended = slot.ended.filter(|_| slot.status.is_final());
    if !is_own && began {
        let output = "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType]'.";
        return Step { status: "Success", details: "Success", code: 0, started, ended: started, output };
    }
    let (code, output) = match slot.status {
        Status::Success => (0, "Patch operation ended."),
        Status::Failed if slot.locked_out => (1, "Unable to take the package manager's lock."),
        Status::Failed => (1, "failed to run commands: exit status 1"),
        _ => (-1, ""),
    };
    // A plugin is never delayed, undeliverable or terminated by that name.
    let status = match coarse(slot.status) {
        "Delayed" => "Pending",
        other => other,
    };
    Step { status, details: details(slot.status), code, started, ended, output }
}

fn plugins(slot: &Slot, host: &Host) -> Vec<Value> {
    let line = |name: &&'static str| {
        let step = step(slot, *name == own_step(host));
        compact(json!({
            "Name": name, "Status": step.status, "StatusDetails": step.details, "ResponseCode": step.code, "ResponseStartDateTime": step.started.map(epoch),
            "ResponseFinishDateTime": step.ended.map(epoch), "Output": step.output, "StandardOutputUrl": "", "StandardErrorUrl": "",
            "OutputS3Region": host.key.region, "OutputS3BucketName": "", "OutputS3KeyPrefix": "",
        }))
    };
    STEPS.iter().map(line).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetInvocation {
    command_id: Option<String>,
    instance_id: Option<String>,
    plugin_name: Option<String>,
}

/// GetCommandInvocation of one step: the patch documents have several, so it must be named.
pub(super) fn get_command_invocation(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let get: GetInvocation = read(body)?;
    let id = command_id(&get.command_id.ok_or_else(|| Refusal::missing("commandId"))?)?;
    let on = instance(&get.instance_id.ok_or_else(|| Refusal::missing("instanceId"))?, "instanceId")?;
    let state: &State = &asked.inner.state;
    let found = state.command_shown(&asked.spoke, &id);
    let found =
        found.and_then(|command| command.slots.iter().find_map(|slot| Some((command, slot, state.host(slot.host).filter(|host| host.key.instance == on)?))));
    let (command, slot, host) = found.ok_or_else(|| Refusal::new("InvocationDoesNotExist", ""))?;
    let name = get.plugin_name.as_deref().and_then(|name| STEPS.into_iter().find(|step| *step == name));
    let name = name.ok_or_else(|| Refusal::new("InvalidPluginName", "the document has several steps: name one of PatchWindows, PatchLinux, PatchMacOS"))?;
    let step = step(slot, name == own_step(host));
    let elapsed = step.started.zip(step.ended).map(|(started, ended)| format!("PT{}.{:03}S", (ended - started) / 1_000, (ended - started) % 1_000));
    Ok(json!({
        "CommandId": id, "InstanceId": on, "Comment": command.record.marker, "DocumentName": command.record.document, "DocumentVersion": "$DEFAULT",
        "PluginName": name, "ResponseCode": step.code, "ExecutionStartDateTime": step.started.map(iso_secs).unwrap_or_default(),
        "ExecutionElapsedTime": elapsed.unwrap_or_default(), "ExecutionEndDateTime": step.ended.map(iso_secs).unwrap_or_default(),
        "Status": coarse(slot.status), "StatusDetails": details(slot.status), "StandardOutputContent": step.output, "StandardOutputUrl": "",
        "StandardErrorContent": "", "StandardErrorUrl": "",
        "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cancel {
    command_id: Option<String>,
    #[serde(default)]
    instance_ids: Vec<String>,
}

/// CancelCommand, of a whole command or of some of its instances.
pub(super) fn cancel_command(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let cancel: Cancel = read(body)?;
    let id = command_id(&cancel.command_id.ok_or_else(|| Refusal::missing("commandId"))?)?;
    let named: BTreeSet<InstanceId> = instances(&cancel.instance_ids)?.into_iter().collect();
    let state = &asked.inner.state;
    let found = state.command_in(&asked.spoke, &id).and_then(|at| state.command(at)).ok_or_else(|| Refusal::new("InvalidCommandId", ""))?;
    if named.iter().any(|instance| !found.record.instances.contains(instance)) {
        return Err(Refusal::new("InvalidInstanceId", "an instance is not one of this command's"));
    }
    let (spoke, named): (_, Vec<InstanceId>) = (asked.spoke.clone(), named.into_iter().collect());
    match asked.inner.cancel(&spoke, &id, &named) {
        Ok(_) => Ok(json!({})),
        Err(why) => {
            tracing::error!(%why, "CancelCommand was not taken");
            Err(Refusal::broken(super::Service::Ssm))
        }
    }
}
