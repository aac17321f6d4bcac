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
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{AccountId, CommandId, InstanceId, Region, TargetKey};

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
    /// The organizational units above each account, from the root down, ids and names.
    pub ous: BTreeMap<AccountId, Vec<String>>,
}

/// The organization that is acted on. Every method is one AWS operation (a few pages of it at most), and every error is a
/// [`SpokeFault`]: the caller decides from its kind, never from its text.
pub trait Cloud: Send + Sync {
    /// `organizations:ListAccounts` and the Config aggregator: what there is. Cached by adapters.
    fn inventory(&self, tag_key: Option<&str>) -> impl Future<Output = Result<Arc<Inventory>, SpokeFault>> + Send;
    /// `ssm:DescribeInstanceInformation` (and tags) for at most 50 ids; unknown ids are absent.
    fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<Host>, SpokeFault>> + Send;
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
    /// `ssm:DescribeInstancePatchStates` for at most 50 ids; never-scanned ones are absent.
    fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<PatchState>, SpokeFault>> + Send;
    /// `config:StartConfigRulesEvaluation` for at most 25 rules; "already running" counts as taken.
    fn start_evaluation(&self, spoke: &Spoke, rules: &[String]) -> impl Future<Output = Result<(), SpokeFault>> + Send;
    /// `config:GetComplianceDetailsByConfigRule` (or by resource), for these; `None` where Config records nothing of it.
    fn compliance(&self, spoke: &Spoke, instances: &[InstanceId]) -> impl Future<Output = Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault>> + Send;
    /// The Config aggregator's list of everything that is NON_COMPLIANT: repairs findings whose event was lost.
    fn non_compliant(&self) -> impl Future<Output = Result<Vec<(TargetKey, Fact)>, SpokeFault>> + Send;
    /// `sns:Publish`.
    fn notify(&self, notice: &Notice) -> impl Future<Output = Result<(), SpokeFault>> + Send;
}
