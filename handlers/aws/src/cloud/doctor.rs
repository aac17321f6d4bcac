//! What `tidegate doctor` reads of a spoke on AWS. Nothing here changes anything; every list is read to its end, or is an error.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_config::types::{ConfigRuleState, ConfigurationRecorder, RecorderStatus, RecordingFrequency, RecordingScope, RecordingStrategyType, ResourceType};
use aws_sdk_ssm::types::{PingStatus, PlatformType};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use tidegate_engine::ports::Spoke;
use tidegate_engine::probe::facts::{
    AssociationSeen, DefaultBaseline, Frequency, FrequencyOverride, HubFacts, Nodes, Parameters, Recorder, RuleSeen, Scope, Session, TaskSeen, WindowSeen,
};
use tidegate_engine::probe::{Probe, is_patching};
use tidegate_events::host::{Platform, SpokeFault};

use super::AwsCloud;
use super::fault::{Caller, Failure, Kind, Pages};
use super::sessions::SpokeClients;
use crate::clients::Hub;

const WHO_AM_I: &str = "sts:GetCallerIdentity";
const RULES: &str = "config:DescribeConfigRules";
const RECORDERS: &str = "config:DescribeConfigurationRecorders";
const RECORDER_STATUS: &str = "config:DescribeConfigurationRecorderStatus";
const NODES: &str = "ssm:DescribeInstanceInformation";
const BASELINES: &str = "ssm:DescribePatchBaselines";
const ASSOCIATIONS: &str = "ssm:ListAssociations";
const ASSOCIATION: &str = "ssm:DescribeAssociation";
const WINDOWS: &str = "ssm:DescribeMaintenanceWindows";
const TASKS: &str = "ssm:DescribeMaintenanceWindowTasks";
const TASK: &str = "ssm:GetMaintenanceWindowTask";
/// Lines of a page.
const PAGE: i32 = 50;

impl Probe for AwsCloud {
    async fn hub(&self) -> HubFacts {
        let (hub, settings) = (&self.inner.hub, &self.inner.settings);
        let answer = Caller::hub(hub).call(WHO_AM_I, hub.sts().get_caller_identity().send()).await;
        HubFacts {
            partition: settings.partition.clone(),
            principal: answer.ok().and_then(|answer| answer.arn().map(role_of)),
            spoke_role: settings.spoke_role.clone(),
            says_external_id: settings.external_id.is_some(),
        }
    }

    async fn session(&self, spoke: &Spoke) -> Result<Session, SpokeFault> {
        let is_own = self.inner.directory.admit(spoke.account).await?.alone == Some(spoke.account);
        let hub = self.inner.hub.clone();
        let mut session = self.inner.in_spoke(spoke, |caller, clients| identity(caller, clients, hub)).await?;
        session.is_own = is_own;
        if !is_own && self.inner.settings.external_id.is_some() {
            session.opens_without_external_id = self.inner.sessions.opens_without_external_id(spoke.account).await;
        }
        Ok(session)
    }

    async fn rules(&self, spoke: &Spoke) -> Result<Vec<RuleSeen>, SpokeFault> {
        self.inner.in_spoke(spoke, rules).await
    }

    async fn recorder(&self, spoke: &Spoke) -> Result<Option<Recorder>, SpokeFault> {
        self.inner.in_spoke(spoke, recorder).await
    }

    async fn nodes(&self, spoke: &Spoke) -> Result<Vec<Nodes>, SpokeFault> {
        self.inner.in_spoke(spoke, nodes).await
    }

    async fn baselines(&self, spoke: &Spoke) -> Result<Vec<DefaultBaseline>, SpokeFault> {
        self.inner.in_spoke(spoke, baselines).await
    }

    async fn associations(&self, spoke: &Spoke) -> Result<Vec<AssociationSeen>, SpokeFault> {
        self.inner.in_spoke(spoke, associations).await
    }

    async fn windows(&self, spoke: &Spoke) -> Result<Vec<WindowSeen>, SpokeFault> {
        self.inner.in_spoke(spoke, windows).await
    }
}

/// The role behind the ARN of a session, as a trust policy names it. A path of the role is not in the session's ARN, and is lost.
fn role_of(arn: &str) -> String {
    let role = || {
        let (before, session) = arn.split_once(":sts::")?;
        let (account, role) = session.split_once(":assumed-role/")?;
        Some(format!("{before}:iam::{account}:role/{}", role.split('/').next()?))
    };
    role().unwrap_or_else(|| arn.to_owned())
}

/// Keeps the `Date` of the answer.
#[derive(Debug, Clone, Default)]
struct Dated(Arc<Mutex<Option<String>>>);

#[dyn_dispatch_hint]
impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "TidegateDated"
    }

    fn read_after_attempt(&self, context: &FinalizerInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        let date = context.response().and_then(|response| response.headers().get("date")).map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// Our clock less AWS's, in milliseconds. `Date` has whole seconds: its middle is taken.
fn skew(now: Timestamp, date: &str) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(now.as_millisecond().saturating_sub(theirs.as_millisecond()).saturating_sub(500))
}

async fn identity(caller: Caller<'_>, clients: Arc<SpokeClients>, hub: Hub) -> Result<Session, Failure> {
    let dated = Dated::default();
    let answer = caller.call(WHO_AM_I, clients.sts().get_caller_identity().customize().interceptor(dated.clone()).send()).await?;
    let now = hub.now();
    let account = answer.account().and_then(|account| account.parse().ok()).ok_or_else(|| Failure::unreadable(WHO_AM_I, "no account"))?;
    let date = dated.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Session { account, is_own: false, opens_without_external_id: None, skew_millis: date.and_then(|date| skew(now, &date)) })
}

async fn rules(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Vec<RuleSeen>, Failure> {
    let mut pages = Pages::of(RULES);
    let mut seen = Vec::new();
    loop {
        let page = caller.call(RULES, clients.config().describe_config_rules().set_next_token(pages.token()).send()).await?;
        seen.extend(page.config_rules().iter().map(|rule| RuleSeen {
            name: rule.config_rule_name().unwrap_or_default().to_owned(),
            identifier: rule.source().and_then(|source| source.source_identifier()).unwrap_or_default().to_owned(),
            is_active: matches!(rule.config_rule_state(), Some(ConfigRuleState::Active | ConfigRuleState::Evaluating)),
        }));
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

async fn recorder(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Option<Recorder>, Failure> {
    let answer = caller.call(RECORDERS, clients.config().describe_configuration_recorders().send()).await?;
    // Services have recorders of their own, for themselves: rules are not judged by what those record.
    let is_customers = |one: &&ConfigurationRecorder| one.service_principal().is_none() && !matches!(one.recording_scope(), Some(RecordingScope::Internal));
    let Some(one) = answer.configuration_recorders().iter().find(is_customers) else { return Ok(None) };
    let name = one.name().unwrap_or_default().to_owned();
    let answer = caller.call(RECORDER_STATUS, clients.config().describe_configuration_recorder_status().send()).await?;
    let status = answer.configuration_recorders_status().iter().find(|status| status.name() == Some(name.as_str()));
    let failed = status.filter(|status| matches!(status.last_status(), Some(RecorderStatus::Failure)));
    let mode = one.recording_mode();
    Ok(Some(Recorder {
        role: one.role_arn().map(str::to_owned),
        is_recording: status.map(|status| status.recording()),
        last_failure: failed.map(|status| format!("{} {}", status.last_error_code().unwrap_or_default(), status.last_error_message().unwrap_or_default())),
        scope: scope(one).ok_or_else(|| Failure::unreadable(RECORDERS, "a recorder whose recording group can't be understood"))?,
        has_global_types: one.recording_group().is_some_and(|group| group.include_global_resource_types()),
        // Recorders from before there were frequencies have none, and record continuously.
        frequency: mode.map_or(Some(Frequency::Continuous), |mode| frequency(mode.recording_frequency())),
        overrides: mode.map(|mode| mode.recording_mode_overrides()).unwrap_or_default().iter().map(override_of).collect(),
        name,
    }))
}

fn override_of(one: &aws_sdk_config::types::RecordingModeOverride) -> FrequencyOverride {
    FrequencyOverride { types: words(one.resource_types()), frequency: frequency(one.recording_frequency()) }
}

fn frequency(word: &RecordingFrequency) -> Option<Frequency> {
    match word {
        RecordingFrequency::Continuous => Some(Frequency::Continuous),
        RecordingFrequency::Daily => Some(Frequency::Daily),
        _ => None,
    }
}

fn words(types: &[ResourceType]) -> Vec<String> {
    types.iter().map(|one| one.as_str().to_owned()).collect()
}

/// What a recorder records; `None` for a strategy that is not known. The strategy counts, and older recorders have none.
fn scope(recorder: &ConfigurationRecorder) -> Option<Scope> {
    let Some(group) = recorder.recording_group() else { return Some(Scope::All) };
    let left_out = || group.exclusion_by_resource_types().map(|types| words(types.resource_types())).unwrap_or_default();
    match group.recording_strategy().and_then(|strategy| strategy.use_only()) {
        Some(RecordingStrategyType::AllSupportedResourceTypes) => Some(Scope::All),
        Some(RecordingStrategyType::InclusionByResourceTypes) => Some(Scope::Only(words(group.resource_types()))),
        Some(RecordingStrategyType::ExclusionByResourceTypes) => Some(Scope::AllBut(left_out())),
        None if group.all_supported() => Some(Scope::All),
        None => Some(Scope::Only(words(group.resource_types()))),
        Some(_) => None,
    }
}

async fn nodes(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Vec<Nodes>, Failure> {
    let mut pages = Pages::of(NODES);
    let mut counted: BTreeMap<(Option<Platform>, String, String), (u64, u64)> = BTreeMap::new();
    loop {
        let page = caller.call(NODES, clients.ssm().describe_instance_information().max_results(PAGE).set_next_token(pages.token()).send()).await?;
        for line in page.instance_information_list() {
            let platform = match line.platform_type() {
                Some(PlatformType::Linux) => Some(Platform::Linux),
                Some(PlatformType::Windows) => Some(Platform::Windows),
                Some(PlatformType::Macos) => Some(Platform::MacOS),
                _ => None,
            };
            let which = (platform, line.platform_name().unwrap_or_default().to_owned(), line.platform_version().unwrap_or_default().to_owned());
            let (online, silent) = counted.entry(which).or_default();
            *(if matches!(line.ping_status(), Some(PingStatus::Online)) { online } else { silent }) += 1;
        }
        if !pages.turn(page.next_token())? {
            let nodes = |((platform, name, version), (online, silent))| Nodes { platform, name, version, online, silent };
            return Ok(counted.into_iter().map(nodes).collect());
        }
    }
}

async fn baselines(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Vec<DefaultBaseline>, Failure> {
    let mut pages = Pages::of(BASELINES);
    let mut seen = Vec::new();
    loop {
        let page = caller.call(BASELINES, clients.ssm().describe_patch_baselines().max_results(100).set_next_token(pages.token()).send()).await?;
        seen.extend(page.baseline_identities().iter().filter(|one| one.default_baseline()).map(|one| DefaultBaseline {
            system: one.operating_system().map_or("WINDOWS", |system| system.as_str()).to_owned(),
            id: one.baseline_id().unwrap_or_default().to_owned(),
            name: one.baseline_name().unwrap_or_default().to_owned(),
        }));
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

/// A document's parameters as the SDK has them.
fn parameters(map: Option<&HashMap<String, Vec<String>>>) -> Parameters {
    map.map(|map| map.iter().map(|(key, values)| (key.clone(), values.clone())).collect()).unwrap_or_default()
}

async fn associations(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Vec<AssociationSeen>, Failure> {
    let mut pages = Pages::of(ASSOCIATIONS);
    let mut seen = Vec::new();
    loop {
        let page = caller.call(ASSOCIATIONS, clients.ssm().list_associations().max_results(PAGE).set_next_token(pages.token()).send()).await?;
        for line in page.associations() {
            let document = line.name().unwrap_or_default().to_owned();
            let id = line.association_id().unwrap_or_default().to_owned();
            let mut parameters_seen = None;
            if is_patching(&document) {
                match caller.call(ASSOCIATION, clients.ssm().describe_association().association_id(&id).send()).await {
                    Ok(answer) => parameters_seen = answer.association_description().map(|one| parameters(one.parameters())),
                    // Deleted since it was listed.
                    Err(failure) if failure.code == "AssociationDoesNotExist" => continue,
                    Err(failure) => return Err(failure),
                }
            }
            let name = line.association_name().unwrap_or_default().to_owned();
            let schedule = line.schedule_expression().map(str::to_owned);
            seen.push(AssociationSeen { id, name, document, schedule, parameters: parameters_seen });
        }
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

async fn windows(caller: Caller<'_>, clients: Arc<SpokeClients>) -> Result<Vec<WindowSeen>, Failure> {
    let mut pages = Pages::of(WINDOWS);
    let mut seen = Vec::new();
    loop {
        let page = caller.call(WINDOWS, clients.ssm().describe_maintenance_windows().max_results(PAGE).set_next_token(pages.token()).send()).await?;
        for line in page.window_identities() {
            let id = line.window_id().unwrap_or_default().to_owned();
            let tasks = match tasks(&caller, &clients, &id).await {
                Ok(tasks) => tasks,
                Err(failure) if is_gone(&failure) => continue,
                Err(failure) => return Err(failure),
            };
            seen.push(WindowSeen { id, name: line.name().unwrap_or_default().to_owned(), is_enabled: line.enabled(), tasks });
        }
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

/// Whether what was listed has been deleted since.
fn is_gone(failure: &Failure) -> bool {
    failure.kind == Kind::Refused && failure.code == "DoesNotExistException"
}

async fn tasks(caller: &Caller<'_>, clients: &SpokeClients, window: &str) -> Result<Vec<TaskSeen>, Failure> {
    let mut pages = Pages::of(TASKS);
    let mut seen = Vec::new();
    loop {
        let request = clients.ssm().describe_maintenance_window_tasks().window_id(window).max_results(PAGE).set_next_token(pages.token());
        let page = caller.call(TASKS, request.send()).await?;
        for line in page.tasks() {
            let document = line.task_arn().unwrap_or_default().to_owned();
            let id = line.window_task_id().unwrap_or_default().to_owned();
            let mut parameters_seen = None;
            if is_patching(&document) {
                match caller.call(TASK, clients.ssm().get_maintenance_window_task().window_id(window).window_task_id(&id).send()).await {
                    Ok(answer) => {
                        let invoked = answer.task_invocation_parameters();
                        let command = invoked.and_then(|invoked| invoked.run_command()).and_then(|run| run.parameters());
                        let automation = invoked.and_then(|invoked| invoked.automation()).and_then(|run| run.parameters());
                        parameters_seen = command.or(automation).map(|map| parameters(Some(map)));
                    }
                    Err(failure) if is_gone(&failure) => continue,
                    Err(failure) => return Err(failure),
                }
            }
            seen.push(TaskSeen { id, document, parameters: parameters_seen });
        }
        if !pages.turn(page.next_token())? {
            return Ok(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_role_in_a_trust_policy() {
        assert_eq!(role_of("arn:aws:sts::123456789012:assumed-role/tidegate-patch/i-0a1b"), "arn:aws:iam::123456789012:role/tidegate-patch");
        assert_eq!(role_of("arn:aws-cn:iam::123456789012:user/kim"), "arn:aws-cn:iam::123456789012:user/kim");
    }

    #[test]
    fn skew_is_ours_less_theirs() {
        let now: Timestamp = "2026-11-22T05:49:24.500Z".parse().unwrap();
        assert_eq!(skew(now, "Sun, 22 Nov 2026 05:49:24 GMT"), Some(0));
        assert_eq!(skew(now, "Sun, 22 Nov 2026 05:50:24 GMT"), Some(-60_000));
        assert_eq!(skew(now, "yesterday"), None);
    }
}
