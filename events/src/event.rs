//! What the outside told us. Facts from AWS, decisions of people, the passing of time, and the answers to our own asks.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::automation::AutomationStatus;
use crate::control::{Retry, Steer};
use crate::fact::{Fact, Invocation, InvocationStatus, PatchState};
use crate::host::{Host, SpokeFault};
use crate::id::{AccountId, BatchId, CampaignId, CellId, CommandId, Digest, ExecutionId, InstanceId, LaneId, PersonId, Region, TargetKey, WaveId};

/// One thing that happened outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", content = "of", rename_all = "snake_case")]
pub enum Event {
    /// A compliance fact about a target: Config, SSM compliance, Security Hub, or our own sweep.
    Finding {
        /// The target.
        target: TargetKey,
        /// The fact.
        fact: Fact,
    },
    /// As [`Event::Finding`], of a Config rule that judges something else than patches: whether anything answers it depends on
    /// the resource type and the rule.
    FindingOf {
        /// The resource type that the rule judged.
        resource_type: String,
        /// The target.
        target: TargetKey,
        /// The fact.
        fact: Fact,
    },
    /// A command as a whole changed. Carries no details: it only makes us look.
    CommandChanged {
        /// The account that runs it.
        account: AccountId,
        /// Its Region.
        region: Region,
        /// The command.
        command: CommandId,
        /// The coarse status in the event.
        status: InvocationStatus,
    },
    /// One invocation changed. Carries no details: it only makes us look.
    InvocationChanged {
        /// The target.
        target: TargetKey,
        /// The command.
        command: CommandId,
        /// The coarse status in the event.
        status: InvocationStatus,
    },
    /// An execution of an Automation runbook changed. Carries no details: it only makes us look.
    AutomationChanged {
        /// The account that runs it.
        account: AccountId,
        /// Its Region.
        region: Region,
        /// The execution.
        execution: ExecutionId,
        /// The status in the event.
        status: AutomationStatus,
    },
    /// EC2 says that an instance changed its state.
    InstanceChanged {
        /// The target.
        target: TargetKey,
        /// The new state.
        state: InstanceState,
        /// When.
        at: Timestamp,
    },
    /// An SSM Change Calendar opened or closed.
    CalendarChanged {
        /// The calendar's ARN or name.
        calendar: String,
        /// Whether changes are allowed.
        open: bool,
        /// When.
        at: Timestamp,
        /// When that changes next, where AWS says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turns_at: Option<Timestamp>,
    },
    /// A person decided about a campaign or a wave.
    Approval(Approval),
    /// A named person lets a halted lane go on.
    LaneResumed {
        /// The lane.
        lane: LaneId,
        /// Who.
        by: PersonId,
        /// Why.
        comment: String,
    },
    /// Somebody asks for a bulk run.
    RunAsked(Box<crate::bulk::RunAsked>),
    /// Whoever asked for a bulk run takes it back.
    RunStopped {
        /// The id under which it was asked for.
        asked: String,
        /// Who.
        by: PersonId,
        /// Why.
        comment: String,
    },
    /// A named person pulled the stop cord, or released it.
    Cord {
        /// Pulled or released.
        pulled: bool,
        /// Cancel what runs, too; without this only what was not delivered.
        #[serde(default)]
        kill: bool,
        /// Who.
        by: PersonId,
        /// Why; required for a release.
        #[serde(default)]
        comment: String,
    },
    /// A named person paused a lane or a campaign, or lets a campaign go on.
    Steer(Steer),
    /// A named person gives targets another attempt.
    Retry(Retry),
    /// A named person loads the catalog of Known Exploited Vulnerabilities.
    KevLoaded(Box<crate::kev::KevLoad>),
    /// Time passed: whatever is due is looked at.
    Tick {
        /// The time.
        at: Timestamp,
    },
    /// Look at one aggregate again: it is due, or something that it waits for has moved.
    Nudge(crate::action::Nudge),
    /// The answer to one of our own asks.
    Answer(Answer),
}

/// EC2 instance states. Source: EC2 Instance State-change Notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Up.
    Running,
    /// Going away.
    ShuttingDown,
    /// Down.
    Stopped,
    /// Going down.
    Stopping,
    /// Gone for good.
    Terminated,
}

/// What an approval is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A whole campaign, asked for when it closes.
    Campaign(CampaignId),
    /// One wave, where the policy asks for each.
    Wave(WaveId),
}

impl Subject {
    /// The campaign in either case.
    pub fn campaign(&self) -> &CampaignId {
        match self {
            Self::Campaign(campaign) => campaign,
            Self::Wave(wave) => &wave.campaign,
        }
    }

    /// Reads `<campaign>` or `<campaign>.w<n>`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, crate::id::IdError> {
        text.parse().map(Self::Wave).or_else(|_| text.parse().map(Self::Campaign))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Campaign(id) => write!(f, "{id}"),
            Self::Wave(id) => write!(f, "{id}"),
        }
    }
}

/// A person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// A yes taken back.
    Revoke,
}

/// A decision about exactly one digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// What it is about.
    pub subject: Subject,
    /// The digest that the person saw; a yes to anything else is refused.
    pub digest: Digest,
    /// Yes, no, or taken back.
    pub word: Word,
    /// Who.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// The answer to one of our own asks; it comes back through the same door as everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// A chunk of a closing campaign's roster was looked up.
    Described(Box<Described>),
    /// A page of the nodes of a spoke that a bulk run names was read.
    NodesListed {
        /// The campaign.
        campaign: CampaignId,
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// The page, or why there is none.
        found: Result<crate::bulk::NodePage, SpokeFault>,
        /// The organizational units above the account.
        ous: Vec<String>,
    },
    /// The campaign was cut into waves and cells, and every cell is written.
    Partitioned {
        /// The campaign.
        campaign: CampaignId,
        /// What each wave holds.
        waves: Vec<crate::entry::WaveCut>,
        /// Known instances, all and by Region.
        inventory: (u64, std::collections::BTreeMap<Region, u64>),
    },
    /// A closing campaign's roster was counted.
    Listed {
        /// The campaign.
        campaign: CampaignId,
        /// Its members.
        members: u64,
        /// Chunks of at most 50 members of one account and Region, always cut the same way.
        chunks: u32,
    },
    /// SSM answered a SendCommand (or did not).
    Sent {
        /// The batch.
        batch: BatchId,
        /// Which send of this batch: answers to older ones are void.
        generation: u32,
        /// What came back.
        outcome: SendOutcome,
    },
    /// The send was withheld after the intent was written: what was read again said no. Nothing was sent.
    Withheld {
        /// The batch.
        batch: BatchId,
        /// Which send.
        generation: u32,
        /// Why.
        hold: crate::hold::Hold,
    },
    /// A search for a command that may have been accepted.
    Searched {
        /// The batch.
        batch: BatchId,
        /// Which send.
        generation: u32,
        /// The command and when SSM gives up on it, if it was found; an error where the search was not complete.
        found: Result<Option<(CommandId, Timestamp)>, SpokeFault>,
    },
    /// The invocations of a batch's command.
    Invocations {
        /// The batch.
        batch: BatchId,
        /// The command.
        command: CommandId,
        /// All of them, or why not.
        seen: Result<Vec<Invocation>, SpokeFault>,
    },
    /// The patch states of a batch's members, read after its scan.
    PatchStates {
        /// The batch.
        batch: BatchId,
        /// What was found; instances without a state are absent.
        seen: Result<Vec<PatchState>, SpokeFault>,
    },
    /// Config's verdicts on a batch's members were read; what they say came in before, as findings.
    Verdicts {
        /// The batch.
        batch: BatchId,
        /// Whether they could be read.
        read: Result<(), SpokeFault>,
    },
    /// Config was asked to evaluate a cell's rules again.
    Reevaluated {
        /// The cell.
        cell: CellId,
        /// Whether it took the request.
        outcome: Result<(), SpokeFault>,
    },
    /// Config's word on a cell's unconfirmed members, read by API.
    ComplianceRead {
        /// The cell.
        cell: CellId,
        /// The instances that were asked about.
        asked: Vec<InstanceId>,
        /// Facts by instance; `None` where Config does not record.
        seen: Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault>,
    },
    /// A target that could not be reached was looked at again.
    LookedAt {
        /// The target.
        target: TargetKey,
        /// What was found; `None` where it is not registered.
        found: Result<Option<Host>, SpokeFault>,
    },
    /// Whether what a campaign has touched is well.
    Health {
        /// The wave that waits for the answer, or is watched.
        wave: WaveId,
        /// When it was asked: answers to older questions are void.
        asked_at: Timestamp,
        /// The alarms that were found, or why they could not be read; those that are absent do not exist.
        alarms: Result<Vec<crate::health::AlarmSeen>, SpokeFault>,
        /// Hosts that were not heard of again, where that was asked.
        away: Option<crate::health::Away>,
    },
    /// AWS Config was told about exemptions.
    Mirrored {
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// Each call, and what came of it.
        calls: Vec<(crate::mirror::ExceptionCall, crate::mirror::ExceptionOutcome)>,
    },
}

/// What was found of a chunk of a closing campaign's roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The campaign.
    pub campaign: CampaignId,
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: Region,
    /// Which chunk of the roster, from 0.
    pub chunk: u32,
    /// The members that were asked about.
    pub members: Vec<RosterMember>,
    /// What was found, or why nothing was.
    pub found: Result<Vec<Host>, SpokeFault>,
    /// The organizational units above the account.
    pub ous: Vec<String>,
    /// What those that can be patched lack, where the policy asks for it and somebody could say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<crate::patch::Lacking>,
}

/// A member of a roster, before anything is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RosterMember {
    /// The instance.
    pub instance: InstanceId,
    /// The Config rule that found it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What came of a SendCommand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SendOutcome {
    /// Accepted.
    Accepted {
        /// The command.
        command: CommandId,
        /// When SSM gives up on it.
        expires_at: Timestamp,
    },
    /// Refused, nothing was sent: these instances are not valid (empty where SSM names none).
    InvalidInstances {
        /// The named ones.
        named: Vec<InstanceId>,
    },
    /// Refused, nothing was sent, try later.
    Throttled,
    /// Refused, nothing was sent: the spoke does not let us.
    Denied {
        /// What it said.
        why: String,
    },
    /// Refused, nothing was sent, and trying again will not help.
    Refused {
        /// What it said.
        why: String,
    },
    /// It may or may not have been accepted.
    Ambiguous {
        /// What happened.
        why: String,
    },
}
