//! The world as `tidegate doctor` looks at it, in process. The hub's clock is the world's own, and it always says an external id.

use std::collections::BTreeMap;

use tidegate_engine::ports::Spoke;
use tidegate_engine::probe::facts::{AssociationSeen, DefaultBaseline, Frequency, HubFacts, Nodes, Recorder, RuleSeen, Scope, Session, TaskSeen, WindowSeen};
use tidegate_engine::probe::{Probe, is_patching};
use tidegate_events::host::{Platform, SpokeFault};

use crate::setup::system;
use crate::spec::{Recording, Role};
use crate::world::{Inner, World};

/// AWS's identifier of the rule that every account has.
pub(crate) const RULE_IDENTIFIER: &str = "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK";
/// The configuration recorder's name and its role's.
pub(crate) const RECORDER: &str = "default";
pub(crate) const RECORDER_ROLE: &str = "role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig";
/// The role of the hub, and the one that it assumes.
pub(crate) const HUB_ROLE: &str = "tidegate-patch";
pub(crate) const SPOKE_ROLE: &str = "PatchExecRole";

impl Probe for World {
    async fn hub(&self) -> HubFacts {
        HubFacts {
            partition: "aws".to_owned(),
            principal: Some(format!("arn:aws:iam::123456789012:role/{HUB_ROLE}")),
            spoke_role: SPOKE_ROLE.to_owned(),
            says_external_id: true,
        }
    }

    async fn session(&self, spoke: &Spoke) -> Result<Session, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "sts:GetCallerIdentity", 1, "")?;
        calls.count_hub("sts:AssumeRole", 1);
        let role = state.accounts.get(&spoke.account).map(|account| account.role);
        Ok(Session { account: spoke.account, is_own: false, opens_without_external_id: role.map(|role| role == Role::Unguarded), skew_millis: Some(0) })
    }

    async fn rules(&self, spoke: &Spoke) -> Result<Vec<RuleSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "config:DescribeConfigRules", 1, "")?;
        let names = state.accounts.get(&spoke.account).map(|account| account.rules.clone()).unwrap_or_default();
        Ok(names.into_iter().map(|name| RuleSeen { name, identifier: RULE_IDENTIFIER.to_owned(), is_active: true }).collect())
    }

    async fn recorder(&self, spoke: &Spoke) -> Result<Option<Recorder>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "config:DescribeConfigurationRecorders", 1, "")?;
        calls.read(state, spoke, "config:DescribeConfigurationRecorderStatus", 1, "")?;
        let recording = state.recording(spoke.account);
        Ok(Some(Recorder {
            name: RECORDER.to_owned(),
            role: Some(format!("arn:aws:iam::{}:{RECORDER_ROLE}", spoke.account)),
            is_recording: Some(recording != Recording::Off),
            last_failure: None,
            scope: Scope::All,
            has_global_types: false,
            frequency: Some(if recording == Recording::Daily { Frequency::Daily } else { Frequency::Continuous }),
            overrides: Vec::new(),
        }))
    }

    async fn nodes(&self, spoke: &Spoke) -> Result<Vec<Nodes>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let since = state.now - state.started;
        let mut counted: BTreeMap<Platform, (u64, u64)> = BTreeMap::new();
        let mut lines = 0_usize;
        for host in state.hosts_in(spoke).filter(|host| host.is_registered() && !host.is_stopped(since)) {
            lines += 1;
            let (online, silent) = counted.entry(host.platform).or_default();
            *(if host.is_online(state.now, state.started) { online } else { silent }) += 1;
        }
        calls.read(state, spoke, "ssm:DescribeInstanceInformation", lines.div_ceil(50).max(1), "")?;
        let nodes = |(platform, (online, silent))| {
            let (name, version) = system(platform);
            Nodes { platform: Some(platform), name: name.to_owned(), version: version.to_owned(), online, silent }
        };
        Ok(counted.into_iter().map(nodes).collect())
    }

    async fn baselines(&self, spoke: &Spoke) -> Result<Vec<DefaultBaseline>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribePatchBaselines", 1, "")?;
        let defaults = state.baselines(spoke).into_iter().filter(|baseline| baseline.is_default);
        Ok(defaults.map(|one| DefaultBaseline { system: one.system.to_owned(), id: one.id, name: one.name.to_owned() }).collect())
    }

    async fn associations(&self, spoke: &Spoke) -> Result<Vec<AssociationSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        let all = state.associations(spoke);
        calls.read(state, spoke, "ssm:ListAssociations", all.len().div_ceil(50).max(1), "")?;
        let mut seen = Vec::with_capacity(all.len());
        for one in all {
            let parameters = if is_patching(one.document) {
                calls.read(state, spoke, "ssm:DescribeAssociation", 1, &one.id)?;
                Some(one.parameters)
            } else {
                None
            };
            let (document, schedule) = (one.document.to_owned(), Some(one.schedule.to_owned()));
            seen.push(AssociationSeen { id: one.id, name: one.name, document, schedule, parameters });
        }
        Ok(seen)
    }

    async fn windows(&self, spoke: &Spoke) -> Result<Vec<WindowSeen>, SpokeFault> {
        let mut guard = self.inner();
        let Inner { state, calls, .. } = &mut *guard;
        calls.read(state, spoke, "ssm:DescribeMaintenanceWindows", 1, "")?;
        let mut seen = Vec::new();
        for one in state.windows(spoke) {
            calls.read(state, spoke, "ssm:DescribeMaintenanceWindowTasks", 1, &one.id)?;
            let parameters = if is_patching(one.document) {
                calls.read(state, spoke, "ssm:GetMaintenanceWindowTask", 1, &one.task)?;
                Some(one.parameters)
            } else {
                None
            };
            let task = TaskSeen { id: one.task, document: one.document.to_owned(), parameters };
            seen.push(WindowSeen { id: one.id, name: one.name, is_enabled: one.is_enabled, tasks: vec![task] });
        }
        Ok(seen)
    }
}
