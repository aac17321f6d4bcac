//! The engine's view of an organization, on AWS: sessions in spokes, Run Command, AWS Config, the organization's directory,
//! notices. Each part is a file below; this one ties them to the port.

mod aggregate;
mod alarms;
mod automation;
mod calendar;
mod chat;
mod config;
mod directory;
mod doctor;
mod exceptions;
mod fault;
pub mod meter;
mod notices;
mod pace;
mod patches;
mod send;
mod sessions;
mod ssm;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use tidegate_engine::ports::{AutomationRequest, CalendarSeen, Cloud, CommandSeen, Inventory, Paged, RuleAt, SendRequest, Spoke};
use tidegate_events::action::Notice;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Fact, Invocation, PatchState};
use tidegate_events::health::AlarmSeen;
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{AccountId, CommandId, InstanceId, PersonId, Region, TargetKey};
use tidegate_events::mirror::{ExceptionNote, ExceptionOutcome, Exceptions};
use tidegate_events::patch::Lacking;
use tidegate_rules::catalog::CatalogEntry;
use tidegate_rules::impact::Impact;

use crate::clients::Hub;
use crate::secret::Secret;
use directory::Directory;
use fault::{Caller, Failure, Kind};
use sessions::{Sessions, SpokeClients};

/// What the adapter is told once, at start-up.
#[derive(Debug, Clone)]
pub struct CloudSettings {
    /// The partition in ARNs: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// The name of the role in every spoke.
    pub spoke_role: String,
    /// The external id that the spoke roles ask for.
    pub external_id: Option<Secret>,
    /// Tags of every session, for conditions in policies and for CloudTrail: at most 50.
    pub session_tags: BTreeMap<String, String>,
    /// The name of the Config aggregator in the hub. Without one there is neither an inventory nor a sweep.
    pub aggregator: Option<String>,
    /// The ARN of the SNS topic for notices. Without one they are logged.
    pub topic: Option<String>,
    /// The ARN of the SNS topic that chat channels subscribe to.
    pub chat_topic: Option<String>,
    /// Whether look-ups read tags: where no policy selects by tag, they need not.
    pub tags_wanted: bool,
    /// Regions that are looked into beside the hub's own and those where the aggregator knows instances: where AWS Config records
    /// nothing, the aggregator knows none.
    pub regions: Vec<Region>,
    /// How long directory and inventory are taken from memory, in seconds.
    pub directory_secs: u32,
    /// The catalog entry whose findings and verdicts are asked for.
    pub entry: Arc<CatalogEntry>,
    /// The hub's own account. Needed only where there is no organization, and asked of STS where it is not given.
    pub hub_account: Option<AccountId>,
}

impl Default for CloudSettings {
    fn default() -> Self {
        Self {
            partition: "aws".to_owned(),
            spoke_role: "PatchExecRole".to_owned(),
            external_id: None,
            session_tags: BTreeMap::new(),
            aggregator: None,
            topic: None,
            chat_topic: None,
            tags_wanted: false,
            regions: Vec::new(),
            directory_secs: 900,
            entry: Arc::new(tidegate_rules::catalog::patch()),
            hub_account: None,
        }
    }
}

/// The organization on AWS. Cloning it shares sessions, caches, pace and counts.
#[derive(Debug, Clone)]
pub struct AwsCloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hub: Hub,
    settings: Arc<CloudSettings>,
    directory: Arc<Directory>,
    sessions: Sessions,
    inventories: aggregate::Inventories,
    rules: config::Rules,
    /// CloudWatch, made for the first question: most deployments ask none.
    cloudwatch: std::sync::OnceLock<crate::signed::Signed>,
}

impl AwsCloud {
    /// The organization as the hub's credentials see it. Sends nothing yet.
    pub fn new(hub: SdkConfig, settings: CloudSettings) -> Self {
        let hub = Hub::new(hub, settings.hub_account);
        Self::of_hub(hub, settings)
    }

    /// As [`AwsCloud::new`], with clients that are shared with others.
    pub fn of_hub(hub: Hub, settings: CloudSettings) -> Self {
        let settings = Arc::new(settings);
        let directory = Arc::new(Directory::new(hub.clone(), settings.directory_secs));
        let sessions = Sessions::new(hub.clone(), Arc::clone(&settings), Arc::clone(&directory));
        let inner = Inner {
            hub,
            settings,
            directory,
            sessions,
            inventories: aggregate::Inventories::default(),
            rules: config::Rules::default(),
            cloudwatch: std::sync::OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// AWS API calls that were really sent (retries by the SDK included), by account, Region and operation.
    pub fn calls(&self) -> BTreeMap<(Option<AccountId>, Option<Region>, &'static str), u64> {
        self.inner.hub.meter().calls()
    }

    /// Publishes a notice, with the link where its reader answers it, and to whom it is addressed. Sent once: a repeat would be
    /// a second mail. Without a topic it is logged.
    ///
    /// # Errors
    /// When SNS did not take it, or did not say so.
    pub async fn publish(&self, notice: &Notice, link: Option<&str>, approver: Option<&PersonId>, impact: Option<&Impact>) -> Result<(), SpokeFault> {
        notices::publish(&self.inner, notice, link, approver, impact).await
    }

    /// Says a notice once more where chat channels hear it, if they do. Never fails: what matters was published.
    pub async fn tell_chat(&self, notice: &Notice) {
        chat::tell(&self.inner, notice).await;
    }
}

impl Inner {
    /// Enters a spoke and acts there. A session that AWS calls over is forgotten, so that the next call has a new one.
    async fn in_spoke<'s, T, F>(&'s self, spoke: &'s Spoke, act: impl FnOnce(Caller<'s>, Arc<SpokeClients>) -> F) -> Result<T, SpokeFault>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let clients = self.sessions.enter(spoke).await?;
        match act(Caller::spoke(self.hub.meter(), spoke), clients).await {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                if failure.kind == Kind::Stale {
                    self.sessions.forget(spoke.account).await;
                }
                Err(failure.into())
            }
        }
    }
}

impl Cloud for AwsCloud {
    async fn inventory(&self, tag_key: Option<&str>) -> Result<Arc<Inventory>, SpokeFault> {
        aggregate::inventory(&self.inner, tag_key).await
    }

    async fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Host>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::describe(caller, clients, spoke, instances, &self.inner.settings)).await
    }

    async fn spokes(&self) -> Result<Vec<Spoke>, SpokeFault> {
        aggregate::spokes(&self.inner).await
    }

    async fn managed_nodes(&self, spoke: &Spoke, next: Option<&str>, tags: bool) -> Result<Paged<Host>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::managed_nodes(caller, clients, spoke, next, tags.then_some(&self.inner.settings.partition))).await
    }

    async fn send(&self, request: &SendRequest) -> SendOutcome {
        send::send(&self.inner, request).await
    }

    async fn list_commands(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::list_commands(caller, clients, document, after, before)).await
    }

    async fn invocations(&self, spoke: &Spoke, command: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::invocations(caller, clients, command)).await
    }

    async fn cancel(&self, spoke: &Spoke, command: &CommandId, instances: &[InstanceId]) -> Result<(), SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::cancel(caller, clients, command, instances)).await
    }

    async fn start_automation(&self, request: &AutomationRequest) -> SendOutcome {
        automation::start(&self.inner, request).await
    }

    async fn list_executions(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| automation::list(caller, clients, document, after, before)).await
    }

    async fn execution(&self, spoke: &Spoke, execution: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| automation::lines(caller, clients, execution)).await
    }

    async fn stop_automation(&self, spoke: &Spoke, execution: &CommandId) -> Result<(), SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| automation::stop(caller, clients, execution)).await
    }

    async fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<PatchState>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| ssm::patch_states(caller, clients, instances)).await
    }

    async fn missing_patches(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Lacking>, SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| patches::missing(caller, clients, instances)).await
    }

    async fn start_evaluation(&self, spoke: &Spoke, rules: &[String]) -> Result<(), SpokeFault> {
        self.inner.in_spoke(spoke, |caller, clients| config::start_evaluation(caller, clients, rules)).await
    }

    async fn compliance(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault> {
        let nodes = self.inner.inventories.nodes_of(spoke.account).await;
        self.inner.in_spoke(spoke, |caller, clients| config::compliance(caller, clients, spoke, instances, nodes, &self.inner)).await
    }

    async fn rules_with_findings(&self, next: Option<&str>) -> Result<Paged<RuleAt>, SpokeFault> {
        aggregate::rules_with_findings(&self.inner, next).await
    }

    async fn findings(&self, at: &RuleAt, next: Option<&str>) -> Result<Paged<(TargetKey, Fact)>, SpokeFault> {
        aggregate::findings(&self.inner, at, next).await
    }

    async fn calendar(&self, calendar: &str) -> Result<CalendarSeen, SpokeFault> {
        calendar::look(&self.inner, calendar).await
    }

    async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmSeen>, SpokeFault> {
        alarms::read(&self.inner, names).await
    }

    async fn notify(&self, notice: &Notice) -> Result<(), SpokeFault> {
        self.publish(notice, None, None, None).await?;
        self.tell_chat(notice).await;
        Ok(())
    }

    const TELLS_IMPACT: bool = true;

    async fn ask_approval(&self, notice: &Notice, impact: &Impact) -> Result<(), SpokeFault> {
        self.publish(notice, None, None, Some(impact)).await?;
        self.tell_chat(notice).await;
        Ok(())
    }

    async fn put_exceptions(&self, spoke: &Spoke, on: &Exceptions, note: &ExceptionNote) -> ExceptionOutcome {
        self.inner.in_spoke(spoke, |caller, clients| exceptions::put(caller, clients, on, note)).await
    }

    async fn remove_exceptions(&self, spoke: &Spoke, on: &Exceptions) -> ExceptionOutcome {
        self.inner.in_spoke(spoke, |caller, clients| exceptions::remove(caller, clients, on)).await
    }
}

/// AWS's time as ours; `None` outside of what either can hold. To the millisecond, as AWS states it: on this wire a time is a
/// floating-point number of seconds, and what its last bits say would make one fact two.
fn timestamp(at: &DateTime) -> Option<Timestamp> {
    let nanos = i64::from(at.subsec_nanos());
    let millis = at.secs().checked_mul(1_000)?.checked_add((nanos + 500_000) / 1_000_000)?;
    Timestamp::from_millisecond(millis).ok()
}

#[cfg(test)]
mod time_tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_whichever_way_it_came() {
        let told: Timestamp = "2026-11-22T04:05:27.187Z".parse().unwrap();
        for nanos in [187_000_036, 186_999_999, 187_000_000] {
            assert_eq!(timestamp(&DateTime::from_secs_and_nanos(told.as_second(), nanos)), Some(told));
        }
        assert_eq!(timestamp(&DateTime::from_secs_and_nanos(-1, 999_999_999)), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(timestamp(&DateTime::from_secs(i64::MAX)), None);
    }
}
