//! What was read of a spoke, before anybody judges it. Each part was read or was not, by itself: a call that is denied says
//! nothing of the others.

use std::collections::BTreeMap;

use tidegate_events::host::{Platform, SpokeFault};
use tidegate_events::id::{AccountId, Region};

/// Parameters of an SSM document, as AWS keeps them: every value a list.
pub type Parameters = BTreeMap<String, Vec<String>>;

/// One account and Region as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokeFacts {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Who looked.
    pub hub: HubFacts,
    /// The session in it.
    pub session: Result<Session, SpokeFault>,
    /// Its Config rules, all of them.
    pub rules: Result<Vec<RuleSeen>, SpokeFault>,
    /// Its configuration recorder; `None` where there is none.
    pub recorder: Result<Option<Recorder>, SpokeFault>,
    /// Its managed instances.
    pub nodes: Result<Vec<Nodes>, SpokeFault>,
    /// Its default patch baselines.
    pub baselines: Result<Vec<DefaultBaseline>, SpokeFault>,
    /// Its State Manager associations.
    pub associations: Result<Vec<AssociationSeen>, SpokeFault>,
    /// Its maintenance windows.
    pub windows: Result<Vec<WindowSeen>, SpokeFault>,
}

/// The hub, as its spokes must know it. The external id itself is a secret, and no fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFacts {
    /// The partition in ARNs: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// The ARN of the role (or user) that enters the spokes, where it is known.
    pub principal: Option<String>,
    /// The name of the role in every spoke.
    pub spoke_role: String,
    /// Whether the hub says an external id.
    pub says_external_id: bool,
}

/// A session that STS gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The account that it is in, by `sts:GetCallerIdentity`.
    pub account: AccountId,
    /// Whether it is the hub's own, without a role: where there is no organization.
    pub is_own: bool,
    /// Whether the role lets the hub in without the external id, too; `None` where that was not tried, or nobody knows.
    pub opens_without_external_id: Option<bool>,
    /// Our clock less AWS's, in milliseconds; `None` where AWS said no time.
    pub skew_millis: Option<i64>,
}

/// A line of `config:DescribeConfigRules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSeen {
    /// Its deployed name.
    pub name: String,
    /// Which managed rule it is: `EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK`.
    pub identifier: String,
    /// Whether it is `ACTIVE`, or evaluated right now.
    pub is_active: bool,
}

/// The customer-managed configuration recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// Its name: `default`, usually.
    pub name: String,
    /// The role that it reads with.
    pub role: Option<String>,
    /// Whether it records; `None` where its status does not say.
    pub is_recording: Option<bool>,
    /// What became of its last delivery, where that failed.
    pub last_failure: Option<String>,
    /// What it records.
    pub scope: Scope,
    /// Whether global resource types are among them.
    pub has_global_types: bool,
    /// How often, where no override says otherwise; `None` for a word that is not known.
    pub frequency: Option<Frequency>,
    /// The overrides of how often: AWS takes one at most.
    pub overrides: Vec<FrequencyOverride>,
}

/// What a recorder records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every type that Config knows.
    All,
    /// These types.
    Only(Vec<String>),
    /// All types but these.
    AllBut(Vec<String>),
}

/// How often a change becomes a configuration item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Minutes after it happened.
    Continuous,
    /// Once a day.
    Daily,
}

/// How often these types are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrequencyOverride {
    /// The types.
    pub types: Vec<String>,
    /// How often; `None` for a word that is not known.
    pub frequency: Option<Frequency>,
}

/// Managed instances of one operating system, counted. Stopped ones are not among them: Systems Manager does not list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// The platform; `None` where Systems Manager does not say, or says something new.
    pub platform: Option<Platform>,
    /// The operating system's name as Systems Manager has it: `Amazon Linux`.
    pub name: String,
    /// Its version: `2023`.
    pub version: String,
    /// Those whose agent answers.
    pub online: u64,
    /// Those whose agent does not.
    pub silent: u64,
}

/// The baseline that counts where no patch group names another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultBaseline {
    /// The operating system as Patch Manager writes it: `AMAZON_LINUX_2023`.
    pub system: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A State Manager association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationSeen {
    /// Its id.
    pub id: String,
    /// Its name; empty where it has none.
    pub name: String,
    /// The document that it runs.
    pub document: String,
    /// When it runs, where it has a schedule.
    pub schedule: Option<String>,
    /// What it runs the document with; `None` where that was not read. Read for documents that patch.
    pub parameters: Option<Parameters>,
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSeen {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it opens at all.
    pub is_enabled: bool,
    /// What it does.
    pub tasks: Vec<TaskSeen>,
}

/// A task of a maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSeen {
    /// Its id.
    pub id: String,
    /// The document that it runs.
    pub document: String,
    /// What it runs the document with; `None` where that was not read. Read for documents that patch.
    pub parameters: Option<Parameters>,
}
