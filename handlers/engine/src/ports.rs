//! What the engine needs of the outside: the cloud it acts on and the store it remembers in. Adapters implement these:
//! embedded and in-process world here, AWS next.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::action::Notice;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Fact, Invocation, PatchState};
use tidegate_events::health::AlarmSeen;
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{AccountId, CommandId, InstanceId, Region, TargetKey};
use tidegate_events::mirror::{ExceptionNote, ExceptionOutcome, Exceptions};
use tidegate_events::patch::Lacking;
use tidegate_rules::impact::Impact;

/// One account and Region: where a session is opened and an API is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spoke {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
}

/// A SendCommand. The marker travels in `Comment` (at most 100 characters) and is what a search finds it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    /// Where.
    pub spoke: Spoke,
    /// The SSM document.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The instances, at most 50.
    pub instances: Vec<InstanceId>,
    /// Unique for batch, step and generation.
    pub marker: String,
    /// Delivery time-out in seconds, at least 30; SSM adds the document's execution time-out.
    pub timeout_secs: u32,
    /// The document's execution time-out in seconds.
    pub execution_timeout_secs: u32,
    /// At most so many at once.
    pub max_concurrency: u32,
    /// The time the request is signed with: AWS refuses it more than five minutes later.
    pub signed_at: Timestamp,
}

/// A StartAutomationExecution over several instances at once: one child execution for each. The token makes a repeat the same
/// execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomationRequest {
    /// Where.
    pub spoke: Spoke,
    /// The runbook.
    pub document: String,
    /// Its parameters, but for the one that takes the instance.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The parameter that takes the instance.
    pub target_parameter: String,
    /// The instances, at most 50.
    pub instances: Vec<InstanceId>,
    /// `ClientToken`: a UUID.
    pub token: String,
    /// When it is given up on, in seconds after `signed_at`.
    pub timeout_secs: u32,
    /// At most so many at once.
    pub max_concurrency: u32,
    /// The time the request is signed with: AWS refuses it more than five minutes later.
    pub signed_at: Timestamp,
}

/// A line of ListCommands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSeen {
    /// The command.
    pub command: CommandId,
    /// Its `Comment`.
    pub marker: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Its instances.
    pub instances: Vec<InstanceId>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When SSM gives up on it.
    pub expires_at: Timestamp,
}

/// Known instances, counted: what percentages are percentages of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// All.
    pub total: u64,
    /// By account.
    pub by_account: BTreeMap<AccountId, u64>,
    /// By Region.
    pub by_region: BTreeMap<Region, u64>,
    /// By value of the asked tag key.
    pub by_tag: BTreeMap<String, u64>,
    /// By account, Region and value of the asked tag key.
    pub by_tag_at: BTreeMap<AccountId, BTreeMap<Region, BTreeMap<String, u64>>>,
    /// The organizational units above each account, from the root down, ids and names.
    pub ous: BTreeMap<AccountId, Vec<String>>,
}

impl Inventory {
    /// Counts so many more instances whose asked tag has this value.
    pub fn add_tagged(&mut self, account: AccountId, region: &Region, value: &str, more: u64) {
        let here = self.by_tag_at.entry(account).or_default().entry(region.clone()).or_default();
        for counts in [&mut self.by_tag, here] {
            match counts.get_mut(value) {
                Some(count) => *count = count.saturating_add(more),
                None => drop(counts.insert(value.to_owned(), more)),
            }
        }
    }

    /// Every account, Region and value of the asked tag, and how many instances share them.
    pub fn each_tagged(&self, mut each: impl FnMut(AccountId, &Region, &str, u64)) {
        for (account, regions) in &self.by_tag_at {
            for (region, values) in regions {
                for (value, count) in values {
                    each(*account, region, value, *count);
                }
            }
        }
    }
}

/// A Config rule that has findings in one spoke, as the aggregator knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleAt {
    /// The rule's name.
    pub rule: String,
    /// Where it judges.
    pub spoke: Spoke,
}

/// How a Change Calendar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarSeen {
    /// Whether changes are allowed.
    pub open: bool,
    /// When it was so, by AWS's own clock.
    pub at: Timestamp,
    /// When that changes next; `None` where nothing is planned.
    pub turns_at: Option<Timestamp>,
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// What is on it; may be nothing, and still be followed by another page.
    pub items: Vec<T>,
    /// What asks for the next page; `None` after the last.
    pub next: Option<String>,
}

/// The organization that is acted on. Every method is one AWS operation (a few pages of it at most), and every error is a
/// [`SpokeFault`]: the caller decides from its kind, never from its text.
pub trait Cloud: Send + Sync {
    /// `organizations:ListAccounts` and the Config aggregator: what there is. Cached by adapters.
    fn inventory(&self, tag_key: Option<&str>) -> impl Future<Output = Result<Arc<Inventory>, SpokeFault>> + Send;
    /// `ssm:DescribeInstanceInformation` (and tags) for at most 50 ids; unknown ids are absent.
    fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<Host>, SpokeFault>> + Send;
    /// Every account that may be entered, in every Region that is looked into: those where the organization is known to have
    /// nodes, and those that the settings name. In order; a spoke of it may have no nodes, or not let us in.
    fn spokes(&self) -> impl Future<Output = Result<Vec<Spoke>, SpokeFault>> + Send;
    /// One page (at most 50) of all nodes that Systems Manager manages in a spoke, by `ssm:DescribeInstanceInformation` without
    /// ids, `next` being what the page before gave. Their tags are read where `tags` says so, which is calls of their own.
    fn managed_nodes(&self, spoke: &Spoke, next: Option<&str>, tags: bool) -> impl Future<Output = Result<Paged<Host>, SpokeFault>> + Send;
    /// `ssm:SendCommand`, sent at most once: no retry below this line.
    fn send(&self, request: &SendRequest) -> impl Future<Output = SendOutcome> + Send;
    /// `ssm:ListCommands` over a span of time for one document, all pages or an error.
    fn list_commands(
        &self,
        spoke: &Spoke,
        document: &str,
        after: Timestamp,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<CommandSeen>, SpokeFault>> + Send;
    /// `ssm:ListCommandInvocations` of one command; eventually consistent.
    fn invocations(&self, spoke: &Spoke, command: &CommandId) -> impl Future<Output = Result<Vec<Invocation>, SpokeFault>> + Send;
    /// `ssm:CancelCommand` for these of its instances, at most 50. What runs on one of them may be cut off half-way.
    fn cancel(&self, spoke: &Spoke, command: &CommandId, instances: &[InstanceId]) -> impl Future<Output = Result<(), SpokeFault>> + Send;
    /// `ssm:StartAutomationExecution`. Repeats below this line are allowed, under the same token and signing time alone. The
    /// execution's id comes back as the command's.
    fn start_automation(&self, request: &AutomationRequest) -> impl Future<Output = SendOutcome> + Send;
    /// `ssm:DescribeAutomationExecutions` over a span of time for one runbook, children left out; all pages or an error. Neither
    /// marker nor parameters are told, and `expires_at` is the end of the span.
    fn list_executions(
        &self,
        spoke: &Spoke,
        document: &str,
        after: Timestamp,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<CommandSeen>, SpokeFault>> + Send;
    /// `ssm:GetAutomationExecution` and `ssm:DescribeAutomationExecutions` of its children: how it stands on each instance.
    fn execution(&self, spoke: &Spoke, execution: &CommandId) -> impl Future<Output = Result<Vec<Invocation>, SpokeFault>> + Send;
    /// `ssm:StopAutomationExecution`.
    fn stop_automation(&self, spoke: &Spoke, execution: &CommandId) -> impl Future<Output = Result<(), SpokeFault>> + Send;
    /// `ssm:DescribeInstancePatchStates` for at most 50 ids; never-scanned ones are absent.
    fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<PatchState>, SpokeFault>> + Send;
    /// `ssm:DescribeInstancePatches` with `State=Missing`, all pages, for each of at most 50 ids: what they lack, patch by patch. `None` where
    /// nobody can say of one: never scanned, not known, or no answer.
    fn missing_patches(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<Lacking>, SpokeFault>> + Send;
    /// `config:StartConfigRulesEvaluation` for at most 25 rules; "already running" counts as taken.
    fn start_evaluation(&self, spoke: &Spoke, rules: &[String]) -> impl Future<Output = Result<(), SpokeFault>> + Send;
    /// `config:GetComplianceDetailsByConfigRule` (or by resource), for these; `None` where Config records nothing of it.
    fn compliance(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault>> + Send;
    /// One page of what the Config aggregator knows of rules with findings, and where (accounts that may be entered only).
    fn rules_with_findings(&self, next: Option<&str>) -> impl Future<Output = Result<Paged<RuleAt>, SpokeFault>> + Send;
    /// One page of what a rule calls NON_COMPLIANT in a spoke, as the aggregator lists it: repairs findings whose event was lost.
    fn findings(&self, at: &RuleAt, next: Option<&str>) -> impl Future<Output = Result<Paged<(TargetKey, Fact)>, SpokeFault>> + Send;
    /// `ssm:GetCalendarState` of one Change Calendar, by the name or ARN that the policy gives it: whether changes are allowed now.
    fn calendar(&self, calendar: &str) -> impl Future<Output = Result<CalendarSeen, SpokeFault>> + Send;
    /// `cloudwatch:DescribeAlarms` in the hub for at most 100 names, metric and composite alarms; unknown ones are absent.
    fn alarms(&self, names: &[String]) -> impl Future<Output = Result<Vec<AlarmSeen>, SpokeFault>> + Send;
    /// `sns:Publish`.
    fn notify(&self, notice: &Notice) -> impl Future<Output = Result<(), SpokeFault>> + Send;
    /// Whether what it tells operators has room for a note of impact: where it has none, none is written.
    const TELLS_IMPACT: bool = false;
    /// Tells operators that an approval is asked for, with what a yes would mean.
    fn ask_approval(&self, notice: &Notice, _impact: &Impact) -> impl Future<Output = Result<(), SpokeFault>> + Send {
        self.notify(notice)
    }
    /// `config:PutRemediationExceptions` of at most 100 instances, each as [`resource_id`](tidegate_rules::catalog::resource_id) names
    /// it: new ones, and others in the place of those that are there. Gives those that Config did not take.
    fn put_exceptions(&self, spoke: &Spoke, on: &Exceptions, note: &ExceptionNote) -> impl Future<Output = ExceptionOutcome> + Send;
    /// `config:DeleteRemediationExceptions` of at most 100 instances; one that is not there counts as deleted. Gives those that
    /// Config still has.
    fn remove_exceptions(&self, spoke: &Spoke, on: &Exceptions) -> impl Future<Output = ExceptionOutcome> + Send;
}
