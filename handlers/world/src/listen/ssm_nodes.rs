//! Managed nodes over the wire: DescribeInstanceInformation, patch states, patches, compliance items.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_events::fact::Operation;
use tidegate_events::host::Platform;
use tidegate_events::id::InstanceId;
use tidegate_events::patch::Severity;

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::page::{self, Page};
use super::read;
use super::ssm::{instance, instances, invalid_instances};
use crate::clock::{MINUTE, iso_secs};
use crate::host::{Host, Report};
use crate::patch::{self, Listed, installed};
use crate::ssm::IDS_MAX;
use crate::state::State;
use crate::wire;

#[derive(Deserialize)]
struct OldFilter {
    key: Option<String>,
    #[serde(rename = "valueSet", default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    instance_information_filter_list: Vec<OldFilter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribeInstanceInformation: managed nodes that are not stopped. An id that this account does not have fails the call.
pub(super) fn describe_instance_information(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Describe = read(body)?;
    if !describe.filters.is_empty() && !describe.instance_information_filter_list.is_empty() {
        return Err(Refusal::new("ValidationException", "Filters and InstanceInformationFilterList can't be used together"));
    }
    let old = describe.instance_information_filter_list.into_iter().map(|filter| (filter.key, filter.values));
    let filters: Vec<(Option<String>, Vec<String>)> = describe.filters.into_iter().map(|filter| (filter.key, filter.values)).chain(old).collect();
    let is_tag = |key: &Option<String>| key.as_ref().is_some_and(|key| key.starts_with("tag:") || key == "tag-key");
    if filters.len() > 1 && filters.iter().any(|(key, _)| is_tag(key)) {
        return Err(Refusal::new("InvalidInstanceInformationFilterValue", "tag filters can't be combined with other filters"));
    }
    let mut tests: Vec<(String, Vec<String>)> = Vec::new();
    for (key, values) in filters {
        let key = key.ok_or_else(|| Refusal::missing("filters.1.member.key"))?;
        if values.is_empty() || values.len() > 100 {
            return Err(Refusal::constraint(values.len(), "filters.1.member.values", "Member must have length between 1 and 100"));
        }
        tests.push((key, values));
    }
    let (state, spoke) = (&asked.inner.state, &asked.spoke);
    for (key, values) in &tests {
        match key.as_str() {
            "InstanceIds" => {
                let ids = values.iter().map(|id| id.parse::<InstanceId>()).collect::<Result<Vec<_>, _>>().map_err(|_| invalid_instances(asked, &[]))?;
                let foreign: Vec<InstanceId> = ids.into_iter().filter(|id| state.find_in(spoke, id).is_none()).collect();
                if !foreign.is_empty() {
                    return Err(invalid_instances(asked, &foreign));
                }
            }
            "PingStatus" => allowed(values, &["Online", "ConnectionLost", "Inactive"])?,
            "PlatformTypes" => allowed(values, &["Windows", "Linux", "MacOS"])?,
            "ResourceType" => allowed(values, &["EC2Instance", "ManagedInstance"])?,
            "AgentVersion" | "ActivationIds" | "IamRole" | "AssociationStatus" | "SourceIds" | "SourceTypes" | "tag-key" => {}
            key if key.starts_with("tag:") => {}
            other => return Err(Refusal::new("InvalidFilterKey", format!("{other} is no filter"))),
        }
    }
    let question = format!("{tests:?}");
    let page = Page::at(asked, &question, page::size(describe.max_results, "maxResults", (5, 10, 50))?, describe.next_token.as_deref())?;
    let since = state.now - state.started;
    let mut hosts: Vec<&Host> = state.hosts_in(spoke).filter(|host| host.is_registered() && !host.is_stopped(since)).collect();
    hosts.retain(|host| tests.iter().all(|(key, values)| passes(state, host, key, values)));
    let (hosts, next) = page.cut(hosts);
    let list: Vec<Value> = hosts.into_iter().map(|host| information(state, host)).collect();
    Ok(compact(json!({ "InstanceInformationList": list, "NextToken": next })))
}

fn allowed(values: &[String], known: &[&str]) -> Result<(), Refusal> {
    match values.iter().find(|value| !known.contains(&value.as_str())) {
        Some(wrong) => Err(Refusal::new("InvalidInstanceInformationFilterValue", format!("{wrong} is not one of {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn ping(state: &State, host: &Host) -> &'static str {
    if host.is_online(state.now, state.started) { "Online" } else { "ConnectionLost" }
}

fn resource_type(host: &Host) -> &'static str {
    if host.key.instance.is_hybrid() { "ManagedInstance" } else { "EC2Instance" }
}

fn platform(host: &Host) -> (&'static str, &'static str, &'static str) {
    let (name, version) = crate::setup::system(host.platform);
    let kind = match host.platform {
        Platform::Windows => "Windows",
        Platform::Linux => "Linux",
        Platform::MacOS => "MacOS",
    };
    (kind, name, version)
}

const AGENT: &str = "3.3.2299.0";

fn passes(state: &State, host: &Host, key: &str, values: &[String]) -> bool {
    let is = |word: &str| values.iter().any(|value| value == word);
    match key {
        "InstanceIds" => is(host.key.instance.as_str()),
        "PingStatus" => is(ping(state, host)),
        "PlatformTypes" => is(platform(host).0),
        "ResourceType" => is(resource_type(host)),
        "AgentVersion" => is(AGENT),
        "tag-key" => values.iter().any(|key| host.tags.contains_key(key)),
        "SourceTypes" => is(source_type(host)),
        "SourceIds" => is(host.key.instance.as_str()),
        // No activation, no role by name and no association is known here.
        key => key.strip_prefix("tag:").and_then(|key| host.tags.get(key)).is_some_and(|value| is(value)),
    }
}

fn source_type(host: &Host) -> &'static str {
    if host.key.instance.is_hybrid() { "AWS::SSM::ManagedInstance" } else { "AWS::EC2::Instance" }
}

fn information(state: &State, host: &Host) -> Value {
    let (kind, name, version) = platform(host);
    let id = &host.key.instance;
    let seen = state.now - if ping(state, host) == "Online" { state.now.rem_euclid(5 * MINUTE) } else { 30 * MINUTE };
    let address = format!("10.{}.{}.{}", host.id % 256, host.id / 256 % 256, host.id / 65_536 % 254 + 1);
    json!({
        "InstanceId": id, "PingStatus": ping(state, host), "LastPingDateTime": epoch(seen), "AgentVersion": AGENT, "IsLatestVersion": true,
        "PlatformType": kind, "PlatformName": name, "PlatformVersion": version, "ResourceType": resource_type(host), "IPAddress": address,
        "ComputerName": format!("ip-{}.internal", address.replace('.', "-")), "SourceId": id, "SourceType": source_type(host),
        "RegistrationDate": epoch(state.started),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PatchStates {
    instance_ids: Option<Vec<String>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribeInstancePatchStates: the last report of each; who never reported is absent.
pub(super) fn describe_instance_patch_states(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let states: PatchStates = read(body)?;
    let ids = states.instance_ids.ok_or_else(|| Refusal::missing("instanceIds"))?;
    if ids.len() > IDS_MAX {
        return Err(Refusal::constraint(ids.len(), "instanceIds", format!("Member must have length less than or equal to {IDS_MAX}")));
    }
    let ids = instances(&ids)?;
    let page = Page::at(asked, &format!("{ids:?}"), page::size(states.max_results, "maxResults", (10, 100, 100))?, states.next_token.as_deref())?;
    let state = &asked.inner.state;
    let (found, next) = page.cut(state.patch_states(&asked.spoke, &ids));
    let line = |seen: tidegate_events::fact::PatchState| {
        let host = state.find_in(&asked.spoke, &seen.instance)?;
        let group = host.tags.get("Patch Group").or_else(|| host.tags.get("PatchGroup")).cloned().unwrap_or_default();
        let operation = if seen.operation == Operation::Scan { "Scan" } else { "Install" };
        let lacking = seen.missing.saturating_add(seen.failed).saturating_add(seen.pending_reboot).saturating_add(seen.rejected);
        Some(compact(json!({
            "InstanceId": seen.instance, "PatchGroup": group, "BaselineId": seen.baseline, "SnapshotId": seen.snapshot, "OwnerInformation": "",
            "InstalledCount": installed(host), "InstalledOtherCount": 12, "InstalledPendingRebootCount": seen.pending_reboot,
            "InstalledRejectedCount": seen.rejected, "MissingCount": seen.missing, "FailedCount": seen.failed, "UnreportedNotApplicableCount": 0,
            "NotApplicableCount": 1_000, "AvailableSecurityUpdateCount": 0, "OperationStartTime": epoch(seen.started_at.as_millisecond()),
            "OperationEndTime": epoch(seen.ended_at.as_millisecond()), "Operation": operation, "RebootOption": "RebootIfNeeded",
            "CriticalNonCompliantCount": 0, "SecurityNonCompliantCount": lacking, "OtherNonCompliantCount": 0,
        })))
    };
    let lines: Vec<Value> = found.into_iter().filter_map(line).collect();
    Ok(compact(json!({ "InstancePatchStates": lines, "NextToken": next })))
}

/// The words of compliance items are others than those of patches.
fn compliance_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "CRITICAL",
        Severity::Important => "HIGH",
        Severity::Medium => "MEDIUM",
        Severity::Low => "LOW",
        Severity::Unspecified => "UNSPECIFIED",
    }
}

fn title(listed: &Listed) -> String {
    format!("Security update {}", listed.patch.id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Patches {
    instance_id: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// DescribeInstancePatches: what the last report listed.
pub(super) fn describe_instance_patches(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Patches = read(body)?;
    let id = instance(&describe.instance_id.ok_or_else(|| Refusal::missing("instanceId"))?, "instanceId")?;
    let mut states: Option<Vec<String>> = None;
    for filter in describe.filters {
        match filter.key.as_deref() {
            Some("State") => states = Some(filter.values.iter().map(|value| value.to_lowercase().replace('_', "")).collect()),
            other => return Err(Refusal::new("InvalidFilter", format!("the filter is State, not {}", other.unwrap_or_default()))),
        }
    }
    let page = Page::at(asked, &format!("{id} {states:?}"), page::size(describe.max_results, "maxResults", (10, 50, 100))?, describe.next_token.as_deref())?;
    let host = asked.inner.state.find_in(&asked.spoke, &id).filter(|host| host.is_registered());
    let host = host.ok_or_else(|| invalid_instances(asked, std::slice::from_ref(&id)))?;
    let all = host.report.as_ref().map_or_else(Vec::new, |report| patch::listed(host, report));
    let all = all.into_iter().filter(|patch| states.as_ref().is_none_or(|states| states.contains(&patch.state.to_lowercase().replace('_', ""))));
    let (found, next) = page.cut(all.collect());
    let ended = host.report.as_ref().map_or(0, |report| report.ended);
    let platform = host.platform;
    let line = |listed: Listed| {
        json!({
            "Title": title(&listed), "KBId": listed.patch.id, "Classification": "Security", "Severity": listed.severity(platform), "State": listed.state,
            "InstalledTime": epoch(if listed.is_installed { ended } else { 0 }), "CVEIds": listed.cve_ids(),
        })
    };
    let lines: Vec<Value> = found.into_iter().map(line).collect();
    Ok(compact(json!({ "Patches": lines, "NextToken": next })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Items {
    #[serde(default)]
    resource_ids: Vec<String>,
    #[serde(default)]
    resource_types: Vec<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// ListComplianceItems of managed nodes: their patches, and nothing else.
pub(super) fn list_compliance_items(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let items: Items = read(body)?;
    if let Some(other) = items.resource_types.iter().find(|kind| *kind != "ManagedInstance") {
        return Err(Refusal::new("InvalidResourceType", format!("{other} is not ManagedInstance")));
    }
    let is_wanted = |key: &str, value: &str| {
        let filters = items.filters.iter().filter(|filter| filter.key.as_deref() == Some(key));
        filters.into_iter().all(|filter| filter.values.iter().any(|wanted| wanted == value))
    };
    if let Some(other) = items.filters.iter().find(|filter| !matches!(filter.key.as_deref(), Some("ComplianceType" | "Status"))) {
        return Err(Refusal::new("InvalidFilter", format!("the filters are ComplianceType and Status, not {}", other.key.as_deref().unwrap_or_default())));
    }
    let mut ids = Vec::new();
    for id in &items.resource_ids {
        ids.push(id.parse::<InstanceId>().map_err(|_| Refusal::new("InvalidResourceId", format!("{id} is no managed node")))?);
    }
    let question = format!("{ids:?} {:?}", items.filters.iter().map(|filter| (&filter.key, &filter.values)).collect::<Vec<_>>());
    let page = Page::at(asked, &question, page::size(items.max_results, "maxResults", (1, 50, 50))?, items.next_token.as_deref())?;
    let state = &asked.inner.state;
    let hosts = state.hosts_in(&asked.spoke).filter(|host| host.is_registered() && (ids.is_empty() || ids.contains(&host.key.instance)));
    let mut lines = Vec::new();
    for (host, report) in hosts.filter_map(|host| Some((host, host.report.as_ref()?))) {
        for patch in patch::listed(host, report) {
            let status = if patch.state == "INSTALLED" { "COMPLIANT" } else { "NON_COMPLIANT" };
            if is_wanted("ComplianceType", "Patch") && is_wanted("Status", status) {
                lines.push((host, report, patch, status));
            }
        }
    }
    let (lines, next) = page.cut(lines);
    let line = |(host, report, listed, status): (&Host, &Report, Listed, &str)| {
        let severity = listed.severity(host.platform);
        json!({
            "ComplianceType": "Patch", "ResourceType": "ManagedInstance", "ResourceId": host.key.instance, "Id": listed.patch.id, "Title": title(&listed),
            "Status": status, "Severity": if status == "COMPLIANT" { "UNSPECIFIED" } else { compliance_severity(listed.patch.severity) },
            "ExecutionSummary": { "ExecutionTime": epoch(report.ended), "ExecutionId": "", "ExecutionType": "Command" },
            "Details": {
                "PatchBaselineId": wire::baseline(state, host, report.own_baseline), "PatchState": listed.state, "PatchSeverity": severity,
                "Classification": "Security", "DocumentName": "AWS-RunPatchBaseline", "InstalledTime": if listed.is_installed { iso_secs(report.ended) } else { String::new() },
            },
        })
    };
    let lines: Vec<Value> = lines.into_iter().map(line).collect();
    Ok(compact(json!({ "ComplianceItems": lines, "NextToken": next })))
}
