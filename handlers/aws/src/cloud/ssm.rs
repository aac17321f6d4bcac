//! What Systems Manager says of a spoke: instances and their tags, commands, invocations, patch states.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey, InstanceInformation, InstanceInformationStringFilter, PatchOperationType, PingStatus, PlatformType};
use jiff::{Timestamp, Unit};
use tidegate_engine::ports::{CommandSeen, Paged, Spoke};
use tidegate_events::fact::{Invocation, InvocationStatus, Operation, PatchState};
use tidegate_events::host::{Host, Ping, Platform};
use tidegate_events::id::{CommandId, InstanceId};

use super::CloudSettings;
use super::fault::{Caller, Failure, Kind, Pages};
use super::sessions::SpokeClients;
use super::timestamp;

const DESCRIBE: &str = "ssm:DescribeInstanceInformation";
const TAGS: &str = "tag:GetResources";
const LIST: &str = "ssm:ListCommands";
const INVOCATIONS: &str = "ssm:ListCommandInvocations";
const CANCEL: &str = "ssm:CancelCommand";
const STATES: &str = "ssm:DescribeInstancePatchStates";

/// Ids of one call, and lines of one page.
const IDS_MAX: usize = 50;
const PAGE: i32 = 50;
/// ARNs of one look-up of tags.
const ARNS_MAX: usize = 100;

/// The ids among `asked` that a message names. Nothing else in it counts as an id.
pub(crate) fn named_in(message: &str, asked: &[InstanceId]) -> Vec<InstanceId> {
    let words: Vec<&str> = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).collect();
    asked.iter().filter(|id| words.contains(&id.as_str())).cloned().collect()
}

/// `DescribeInstanceInformation` for these, with tags where they are wanted. Ids that SSM does not know fail its whole call: the
/// named ones are dropped, and where it names none, halves are asked, so that unknown ids are absent and nobody else is.
pub(crate) async fn describe(
    caller: Caller<'_>,
    clients: Arc<SpokeClients>,
    spoke: &Spoke,
    instances: &[InstanceId],
    settings: &CloudSettings,
) -> Result<Vec<Host>, Failure> {
    let mut waiting: Vec<Vec<InstanceId>> = instances.chunks(IDS_MAX).map(<[InstanceId]>::to_vec).collect();
    let mut hosts = Vec::new();
    while let Some(ids) = waiting.pop() {
        match describe_known(&caller, &clients, &ids).await {
            Ok(found) => hosts.extend(found),
            Err(failure) if is_unknown_id(&failure) => {
                let named = named_in(&failure.message, &ids);
                let rest: Vec<InstanceId> = ids.iter().filter(|id| !named.contains(id)).cloned().collect();
                if named.is_empty() {
                    let (first, second) = ids.split_at(ids.len() / 2);
                    waiting.extend([first, second].into_iter().filter(|half| !half.is_empty() && half.len() < ids.len()).map(<[InstanceId]>::to_vec));
                } else if !rest.is_empty() {
                    waiting.push(rest);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    if settings.tags_wanted && !hosts.is_empty() {
        let mut tags = tags_of(&caller, &clients, spoke, &hosts, &settings.partition).await?;
        for host in &mut hosts {
            host.tags = tags.remove(&host.instance).unwrap_or_default();
        }
    }
    hosts.sort_by(|a, b| a.instance.cmp(&b.instance));
    Ok(hosts)
}

pub(crate) fn is_unknown_id(failure: &Failure) -> bool {
    failure.kind == Kind::Refused && matches!(failure.code.as_str(), "InvalidInstanceId" | "InvalidInstanceInformationFilterValue")
}

async fn describe_known(caller: &Caller<'_>, clients: &SpokeClients, ids: &[InstanceId]) -> Result<Vec<Host>, Failure> {
    let values = ids.iter().map(|id| id.as_str().to_owned()).collect();
    let filter = InstanceInformationStringFilter::builder().key("InstanceIds").set_values(Some(values)).build();
    let filter = filter.map_err(|error| Failure::unreadable(DESCRIBE, &error.to_string()))?;
    let mut pages = Pages::of(DESCRIBE);
    let mut hosts = Vec::new();
    loop {
        let request = clients.ssm().describe_instance_information().filters(filter.clone()).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(DESCRIBE, request.send()).await?;
        hosts.extend(page.instance_information_list().iter().filter_map(host));
        if !pages.turn(page.next_token())? {
            return Ok(hosts);
        }
    }
}

/// One page of `DescribeInstanceInformation` over everything that Systems Manager manages in a spoke. Tags are read where a
/// partition, which their ARNs need, is given.
pub(crate) async fn managed_nodes(
    caller: Caller<'_>,
    clients: Arc<SpokeClients>,
    spoke: &Spoke,
    next: Option<&str>,
    tags_in: Option<&String>,
) -> Result<Paged<Host>, Failure> {
    let request = clients.ssm().describe_instance_information().max_results(PAGE).set_next_token(next.map(str::to_owned));
    let page = caller.call(DESCRIBE, request.send()).await?;
    let mut items: Vec<Host> = page.instance_information_list().iter().filter_map(host).collect();
    if let Some(partition) = tags_in.filter(|_| !items.is_empty()) {
        let mut tags = tags_of(&caller, &clients, spoke, &items, partition).await?;
        for host in &mut items {
            host.tags = tags.remove(&host.instance).unwrap_or_default();
        }
    }
    let next_token = page.next_token().filter(|token| !token.is_empty());
    if next_token.is_some() && next_token == next {
        return Err(Failure::unreadable(DESCRIBE, "a page that is followed by itself"));
    }
    Ok(Paged { items, next: next_token.map(str::to_owned) })
}

/// A line without an id or a platform that we know is left out, as an instance that SSM does not manage (yet): nothing is sent
/// to it. An agent whose ping says something new does not answer.
fn host(line: &InstanceInformation) -> Option<Host> {
    let instance = line.instance_id()?.parse().ok()?;
    let platform = match line.platform_type() {
        Some(PlatformType::Linux) => Platform::Linux,
        Some(PlatformType::Windows) => Platform::Windows,
        Some(PlatformType::Macos) => Platform::MacOS,
        other => {
            tracing::warn!(%instance, platform = other.map_or("none", PlatformType::as_str), "the instance's platform is not known, it is left out");
            return None;
        }
    };
    let ping = match line.ping_status() {
        Some(PingStatus::Online) => Ping::Online,
        Some(PingStatus::ConnectionLost) => Ping::ConnectionLost,
        _ => Ping::Inactive,
    };
    Some(Host { instance, platform, ping, tags: BTreeMap::new() })
}

async fn tags_of(
    caller: &Caller<'_>,
    clients: &SpokeClients,
    spoke: &Spoke,
    hosts: &[Host],
    partition: &str,
) -> Result<BTreeMap<InstanceId, BTreeMap<String, String>>, Failure> {
    let mut tags = BTreeMap::new();
    for some in hosts.chunks(ARNS_MAX) {
        let arns = some.iter().map(|host| arn(partition, spoke, &host.instance)).collect();
        // A list of ARNs can't be paged; the loop guards against a server that pages anyway.
        let mut pages = Pages::of(TAGS);
        loop {
            let mut request = clients.tagging().get_resources().set_pagination_token(pages.token());
            if pages.token().is_none() {
                request = request.set_resource_arn_list(Some(Vec::clone(&arns)));
            }
            let page = caller.call(TAGS, request.send()).await?;
            for line in page.resource_tag_mapping_list() {
                let Some(instance) = line.resource_arn().and_then(|arn| arn.rsplit('/').next()).and_then(|id| id.parse().ok()) else { continue };
                let of: BTreeMap<String, String> = line.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
                tags.insert(instance, of);
            }
            if !pages.turn(page.pagination_token())? {
                break;
            }
        }
    }
    Ok(tags)
}

/// The ARN that carries an instance's tags: EC2's, or SSM's own for hybrid nodes.
fn arn(partition: &str, spoke: &Spoke, instance: &InstanceId) -> String {
    let (service, kind) = if instance.is_hybrid() { ("ssm", "managed-instance") } else { ("ec2", "instance") };
    format!("arn:{partition}:{service}:{}:{}:{kind}/{instance}", spoke.region, spoke.account)
}

/// `ListCommands` over a span for one document: all pages, or an error. "Not found" may only be concluded from all of it.
pub(crate) async fn list_commands(
    caller: Caller<'_>,
    clients: Arc<SpokeClients>,
    document: &str,
    after: Timestamp,
    before: Timestamp,
) -> Result<Vec<CommandSeen>, Failure> {
    // AWS's filters hold whole seconds and leave their bounds out: one second more on each side.
    let filters = [
        (CommandFilterKey::InvokedAfter, whole_seconds(after, -1)),
        (CommandFilterKey::InvokedBefore, whole_seconds(before, 2)),
        (CommandFilterKey::DocumentName, document.to_owned()),
    ];
    let filters = filters.into_iter().map(|(key, value)| CommandFilter::builder().key(key).value(value).build());
    let filters = filters.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::unreadable(LIST, &error.to_string()))?;
    let mut pages = Pages::of(LIST);
    let mut seen = Vec::new();
    loop {
        let request = clients.ssm().list_commands().set_filters(Some(filters.clone())).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(LIST, request.send()).await?;
        for line in page.commands() {
            let command = line.command_id().and_then(|id| id.parse().ok());
            let times = line.requested_date_time().and_then(timestamp).zip(line.expires_after().and_then(timestamp));
            let (Some(command), Some((requested_at, expires_at))) = (command, times) else {
                return Err(Failure::unreadable(LIST, "a command without an id or a time"));
            };
            seen.push(CommandSeen {
                command,
                marker: line.comment().unwrap_or_default().to_owned(),
                parameters: line.parameters().map(|all| all.iter().map(|(key, values)| (key.clone(), values.clone())).collect()).unwrap_or_default(),
                instances: line.instance_ids().iter().filter_map(|id| id.parse().ok()).collect(),
                requested_at,
                expires_at,
            });
        }
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

fn whole_seconds(at: Timestamp, more: i64) -> String {
    let second = at.as_second().saturating_add(more);
    Timestamp::from_second(second).unwrap_or(at).round(Unit::Second).unwrap_or(at).to_string()
}

/// `ListCommandInvocations` of one command, with details: only a plugin says when the document ended on the instance.
pub(crate) async fn invocations(caller: Caller<'_>, clients: Arc<SpokeClients>, command: &CommandId) -> Result<Vec<Invocation>, Failure> {
    let mut pages = Pages::of(INVOCATIONS);
    let mut seen = Vec::new();
    loop {
        let request = clients.ssm().list_command_invocations().command_id(command.as_str()).details(true).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(INVOCATIONS, request.send()).await?;
        for line in page.command_invocations() {
            let (word, details) = (line.status().map_or("", |status| status.as_str()), line.status_details().unwrap_or_default());
            let (Some(instance), Some(status)) = (line.instance_id().and_then(|id| id.parse().ok()), InvocationStatus::from_words(word, details)) else {
                // It stays open, and the batch's time-out decides.
                tracing::error!(%command, instance = line.instance_id(), word, details, "ERROR an invocation's line can't be read");
                continue;
            };
            let ended_at = line.command_plugins().iter().filter_map(|plugin| plugin.response_finish_date_time()).filter_map(timestamp).max();
            seen.push(Invocation { instance, status, ended_at: ended_at.filter(|_| status.is_final() && status.may_have_run()) });
        }
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

/// `CancelCommand` for these instances. Without any, AWS would cancel the whole command: nobody asks for that.
pub(crate) async fn cancel(caller: Caller<'_>, clients: Arc<SpokeClients>, command: &CommandId, instances: &[InstanceId]) -> Result<(), Failure> {
    if instances.is_empty() {
        return Ok(());
    }
    let ids = instances.iter().map(|id| id.as_str().to_owned()).collect();
    caller.call(CANCEL, clients.ssm().cancel_command().command_id(command.as_str()).set_instance_ids(Some(ids)).send()).await.map(|_| ())
}

/// `DescribeInstancePatchStates` for these; who was never scanned is absent.
pub(crate) async fn patch_states(caller: Caller<'_>, clients: Arc<SpokeClients>, instances: &[InstanceId]) -> Result<Vec<PatchState>, Failure> {
    let mut states = Vec::new();
    for some in instances.chunks(IDS_MAX) {
        let ids: Vec<String> = some.iter().map(|id| id.as_str().to_owned()).collect();
        let mut pages = Pages::of(STATES);
        loop {
            let request = clients.ssm().describe_instance_patch_states().set_instance_ids(Some(ids.clone())).max_results(PAGE).set_next_token(pages.token());
            let page = caller.call(STATES, request.send()).await?;
            states.extend(page.instance_patch_states().iter().filter_map(patch_state));
            if !pages.turn(page.next_token())? {
                break;
            }
        }
    }
    Ok(states)
}

/// A line that can't be read proves nothing: it is absent.
fn patch_state(line: &aws_sdk_ssm::types::InstancePatchState) -> Option<PatchState> {
    let count = |n: i32| u32::try_from(n).ok();
    Some(PatchState {
        instance: line.instance_id().parse().ok()?,
        baseline: line.baseline_id().to_owned(),
        snapshot: line.snapshot_id().and_then(|id| id.parse().ok()),
        operation: match line.operation() {
            PatchOperationType::Scan => Operation::Scan,
            PatchOperationType::Install => Operation::Install,
            _ => return None,
        },
        started_at: timestamp(line.operation_start_time())?,
        ended_at: timestamp(line.operation_end_time())?,
        missing: count(line.missing_count())?,
        failed: count(line.failed_count())?,
        pending_reboot: count(line.installed_pending_reboot_count().unwrap_or(0))?,
        rejected: count(line.installed_rejected_count().unwrap_or(0))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_were_asked_are_taken_from_a_message() {
        let asked: Vec<InstanceId> = ["i-0123456789abcdef0", "i-0aaaaaaaaaaaaaaa1", "mi-0123456789abcdef0"].iter().map(|id| id.parse().unwrap()).collect();
        let named = named_in("Instances [[i-0123456789abcdef0, i-0ffffffffffffffff]] not in a valid state for account 111122223333", &asked);
        assert_eq!(named, [asked[0].clone()]);
        // `mi-…` ends with the letters of an EC2 id, and is none.
        assert_eq!(named_in("[[mi-0123456789abcdef0]]", &asked), [asked[2].clone()]);
        assert!(named_in("Instances [[]] not in a valid state", &asked).is_empty());
    }

    #[test]
    fn a_search_covers_more_than_its_span() {
        let at: Timestamp = "2026-11-21T10:00:00.5Z".parse().unwrap();
        assert_eq!((whole_seconds(at, -1), whole_seconds(at, 2)), ("2026-11-21T09:59:59Z".into(), "2026-11-21T10:00:02Z".into()));
    }
}
