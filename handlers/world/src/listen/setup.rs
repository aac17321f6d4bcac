//! What a spoke is set up with, over the wire: the configuration recorder, patch baselines, associations, maintenance windows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page};
use super::read;
use crate::clock::{DAY, MINUTE};
use crate::probe::{RECORDER, RECORDER_ROLE};
use crate::setup::{Association, Window};
use crate::spec::Recording;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Recorders {
    #[serde(default)]
    configuration_recorder_names: Vec<String>,
}

/// Whether the recorder is among those that are asked for.
fn is_asked_for(body: &[u8]) -> Result<(), Refusal> {
    let describe: Recorders = read(body)?;
    match describe.configuration_recorder_names.iter().find(|name| *name != RECORDER) {
        Some(other) => {
            Err(Refusal::new("NoSuchConfigurationRecorderException", format!("Cannot find configuration recorder with the specified name '{other}'.")))
        }
        None => Ok(()),
    }
}

/// DescribeConfigurationRecorders: one, which records everything.
pub(super) fn describe_configuration_recorders(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    is_asked_for(body)?;
    let (account, region) = (asked.spoke.account, &asked.spoke.region);
    let partition = crate::wire::partition(region);
    let frequency = if asked.inner.state.recording(account) == Recording::Daily { "DAILY" } else { "CONTINUOUS" };
    Ok(json!({ "ConfigurationRecorders": [{
        "arn": format!("arn:{partition}:config:{region}:{account}:configuration-recorder/{RECORDER}/0123456789abcdef"), "name": RECORDER,
        "roleARN": format!("arn:{partition}:iam::{account}:{RECORDER_ROLE}"),
        "recordingGroup": { "allSupported": true, "includeGlobalResourceTypes": false, "resourceTypes": [], "exclusionByResourceTypes": { "resourceTypes": [] },
            "recordingStrategy": { "useOnly": "ALL_SUPPORTED_RESOURCE_TYPES" } },
        "recordingMode": { "recordingFrequency": frequency, "recordingModeOverrides": [] }, "recordingScope": "PAID",
    }] }))
}

/// DescribeConfigurationRecorderStatus
pub(super) fn describe_configuration_recorder_status(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    is_asked_for(body)?;
    let state = &asked.inner.state;
    let records = state.recording(asked.spoke.account) != Recording::Off;
    let stopped = (!records).then(|| epoch(state.started - DAY));
    let status = compact(json!({
        "name": RECORDER, "recording": records, "lastStatus": if records { "Success" } else { "Pending" }, "lastStartTime": epoch(state.started - 2 * DAY),
        "lastStopTime": stopped, "lastStatusChangeTime": epoch(state.now - state.now.rem_euclid(10 * MINUTE)),
    }));
    Ok(json!({ "ConfigurationRecordersStatus": [status] }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    #[serde(default)]
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribePatchBaselines
pub(super) fn describe_patch_baselines(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: Listing = read(body)?;
    let mut baselines = asked.inner.state.baselines(&asked.spoke);
    for filter in &list.filters {
        match filter.key.as_str() {
            "OPERATING_SYSTEM" => baselines.retain(|one| filter.values.iter().any(|value| value == one.system)),
            "NAME_PREFIX" => baselines.retain(|one| filter.values.iter().any(|value| one.name.starts_with(value.as_str()))),
            "OWNER" => baselines.retain(|_| filter.values.iter().any(|value| value == "AWS")),
            other => return Err(Refusal::new("ValidationException", format!("{other} is no filter of DescribePatchBaselines"))),
        }
    }
    let question = format!("{:?}", list.filters.iter().map(|filter| (&filter.key, &filter.values)).collect::<Vec<_>>());
    let page = Page::at(asked, &question, page::size(list.max_results, "maxResults", (1, 100, 100))?, list.next_token.as_deref())?;
    let (baselines, next) = page.cut(baselines);
    let line = |one: crate::setup::Baseline| {
        json!({ "BaselineId": one.id, "BaselineName": one.name, "OperatingSystem": one.system, "BaselineDescription": "Predefined by AWS.",
            "DefaultBaseline": one.is_default })
    };
    let lines: Vec<Value> = baselines.into_iter().map(line).collect();
    Ok(compact(json!({ "BaselineIdentities": lines, "NextToken": next })))
}

#[derive(Deserialize)]
struct AssociationFilter {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Associations {
    #[serde(default)]
    association_filter_list: Vec<AssociationFilter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// ListAssociations
pub(super) fn list_associations(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: Associations = read(body)?;
    let mut found = asked.inner.state.associations(&asked.spoke);
    for filter in &list.association_filter_list {
        match filter.key.as_str() {
            "Name" => found.retain(|one| one.document == filter.value),
            "AssociationId" => found.retain(|one| one.id == filter.value),
            "AssociationName" => found.retain(|one| one.name == filter.value),
            other => return Err(Refusal::constraint(other, "associationFilterList.1.member.key", "Member must satisfy enum value set")),
        }
    }
    let question = format!("{:?}", list.association_filter_list.iter().map(|filter| (&filter.key, &filter.value)).collect::<Vec<_>>());
    let page = Page::at(asked, &question, page::size(list.max_results, "maxResults", (1, 50, 50))?, list.next_token.as_deref())?;
    let (found, next) = page.cut(found);
    let lines: Vec<Value> = found.iter().map(line).collect();
    Ok(compact(json!({ "Associations": lines, "NextToken": next })))
}

/// What both answers say of an association.
fn line(one: &Association) -> Value {
    json!({ "Name": one.document, "AssociationId": one.id, "AssociationName": one.name, "AssociationVersion": "1", "DocumentVersion": "$DEFAULT",
        "Targets": [{ "Key": "InstanceIds", "Values": ["*"] }], "ScheduleExpression": one.schedule, "Overview": { "Status": "Success" } })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Which {
    association_id: Option<String>,
    window_id: Option<String>,
    window_task_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribeAssociation, by id.
pub(super) fn describe_association(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let which: Which = read(body)?;
    let id = which.association_id.ok_or_else(|| Refusal::missing("associationId"))?;
    let all = asked.inner.state.associations(&asked.spoke);
    let one = all.into_iter().find(|one| one.id == id).ok_or_else(|| Refusal::new("AssociationDoesNotExist", ""))?;
    let mut description = line(&one);
    if let Some(fields) = description.as_object_mut() {
        fields.insert("Parameters".to_owned(), json!(one.parameters));
        fields.insert("ComplianceSeverity".to_owned(), json!("UNSPECIFIED"));
    }
    Ok(json!({ "AssociationDescription": description }))
}

/// DescribeMaintenanceWindows
pub(super) fn describe_maintenance_windows(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let list: Listing = read(body)?;
    let page = Page::at(asked, "", page::size(list.max_results, "maxResults", (10, 50, 100))?, list.next_token.as_deref())?;
    let (windows, next) = page.cut(asked.inner.state.windows(&asked.spoke));
    let line =
        |one: Window| json!({ "WindowId": one.id, "Name": one.name, "Enabled": one.is_enabled, "Duration": 4, "Cutoff": 1, "Schedule": "cron(0 2 ? * SUN *)" });
    let lines: Vec<Value> = windows.into_iter().map(line).collect();
    Ok(compact(json!({ "WindowIdentities": lines, "NextToken": next })))
}

fn window(asked: &Asked<'_>, which: &Which) -> Result<Window, Refusal> {
    let id = which.window_id.as_deref().ok_or_else(|| Refusal::missing("windowId"))?;
    let gone = || Refusal::new("DoesNotExistException", format!("Maintenance window {id} does not exist"));
    asked.inner.state.windows(&asked.spoke).into_iter().find(|one| one.id == id).ok_or_else(gone)
}

/// DescribeMaintenanceWindowTasks
pub(super) fn describe_maintenance_window_tasks(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let which: Which = read(body)?;
    let window = window(asked, &which)?;
    let page = Page::at(asked, &window.id, page::size(which.max_results, "maxResults", (10, 50, 100))?, which.next_token.as_deref())?;
    let (tasks, next) = page.cut(vec![task(&window, "Type")]);
    Ok(compact(json!({ "Tasks": tasks, "NextToken": next })))
}

/// What both answers say of a task; the two name its type otherwise.
fn task(window: &Window, kind: &str) -> Value {
    let mut task = json!({ "WindowId": window.id, "WindowTaskId": window.task, "TaskArn": window.document, "Priority": 1, "MaxConcurrency": "10", "MaxErrors": "1",
        "Targets": [{ "Key": "InstanceIds", "Values": ["*"] }] });
    if let Some(fields) = task.as_object_mut() {
        fields.insert(kind.to_owned(), json!("RUN_COMMAND"));
    }
    task
}

/// GetMaintenanceWindowTask
pub(super) fn get_maintenance_window_task(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let which: Which = read(body)?;
    let window = window(asked, &which)?;
    let id = which.window_task_id.ok_or_else(|| Refusal::missing("windowTaskId"))?;
    if id != window.task {
        return Err(Refusal::new("DoesNotExistException", format!("Task {id} does not exist in window {}", window.id)));
    }
    let mut answer = task(&window, "TaskType");
    if let Some(fields) = answer.as_object_mut() {
        let parameters: &BTreeMap<String, Vec<String>> = &window.parameters;
        fields.insert("TaskInvocationParameters".to_owned(), json!({ "RunCommand": { "Parameters": parameters, "TimeoutSeconds": 600 } }));
    }
    Ok(answer)
}
