//! What we ask of the outside. An action is written down with the decision that asks for it, and performed afterwards.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::Retry;
use crate::entry::RunStep;
use crate::id::{AccountId, BatchId, CampaignId, CellId, CommandId, InstanceId, Region, TargetKey, WaveId};

/// One ask. Performing it twice is harmless: each is checked against the aggregate it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", content = "of", rename_all = "snake_case")]
pub enum Action {
    /// Look at a campaign, cell, batch or target again: something that it waits for has moved.
    Nudge(Nudge),
    /// Look at every cell of a wave again: its turn to seal, or to run, has come.
    NudgeCells(WaveId),
    /// List a closing campaign's roster and ask for its look-ups.
    ListRoster(CampaignId),
    /// Ask for the nodes of every spoke that a bulk run names and that is not listed yet.
    ListRun(CampaignId),
    /// Read one page of the nodes of a spoke that a bulk run names.
    ListNodes {
        /// The campaign.
        campaign: CampaignId,
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// What the page before gave; `None` for the first.
        after: Option<String>,
    },
    /// Look up the hosts of one chunk of a roster.
    Describe {
        /// The campaign.
        campaign: CampaignId,
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// Which chunk, from 0.
        chunk: u32,
        /// Its members, at most 50.
        members: Vec<crate::event::RosterMember>,
    },
    /// Cut a described campaign into waves and cells.
    Partition(CampaignId),
    /// Send a batch's command, if every gate still says yes.
    Send {
        /// The batch.
        batch: BatchId,
        /// What to run.
        step: RunStep,
    },
    /// Search for a command that may have been accepted.
    Search(BatchId),
    /// Read a command's invocations.
    ReadInvocations {
        /// The batch.
        batch: BatchId,
        /// Its command.
        command: CommandId,
    },
    /// Read the patch states of a batch's members.
    ReadPatchStates(BatchId),
    /// Read Config's verdicts on a batch's members.
    ReadVerdicts(BatchId),
    /// Cancel invocations of a command.
    Cancel {
        /// The batch.
        batch: BatchId,
        /// Its command.
        command: CommandId,
        /// Which; at most 50.
        instances: Vec<InstanceId>,
    },
    /// The stop cord was pulled: look at every open intent, listed strongly.
    StopOpen,
    /// The stop cord was released: look at the running campaign of every lane, and at its cells.
    GoOn,
    /// Give every target of a campaign that failed in it another attempt.
    RetryCampaign(Retry),
    /// Ask Config to evaluate a cell's rules again.
    Reevaluate {
        /// The cell.
        cell: CellId,
        /// The rules, at most 25.
        rules: Vec<String>,
    },
    /// Read Config's word on these members.
    ReadCompliance {
        /// The cell.
        cell: CellId,
        /// The instances.
        instances: Vec<InstanceId>,
    },
    /// Look at one target again.
    LookAt(TargetKey),
    /// Ask whether what a campaign has touched is well.
    ReadHealth {
        /// The wave that waits for the answer, or is watched.
        wave: WaveId,
        /// When it was asked: names the question.
        asked_at: Timestamp,
        /// Alarms in the hub.
        alarms: Vec<String>,
        /// The wave whose hosts must have been heard of again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        touched: Option<WaveId>,
    },
    /// Tell AWS Config what is exempt, and what no longer is, of these instances; of all that wait for it where none is named.
    Mirror {
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// The instances, at most 100.
        instances: Vec<InstanceId>,
    },
    /// The policy's exemptions have changed: look at everybody who is exempt.
    ReviewExempt,
    /// Tell the operators.
    Notify(Notice),
}

/// What a nudge is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nudge {
    /// A campaign.
    Campaign(CampaignId),
    /// A cell.
    Cell(CellId),
    /// A batch.
    Batch(BatchId),
    /// A target.
    Target(TargetKey),
    /// The organization: a schedule is due.
    Organization,
    /// What AWS Config is told of exemptions in one account and Region.
    Mirror(AccountId, Region),
}

/// What operators are told, over SNS or in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// Its kind; subscribers filter on it.
    pub kind: NoticeKind,
    /// What it is about: a campaign, wave or target.
    pub subject: String,
    /// One sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Kinds of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Somebody is asked to approve.
    ApprovalAsked,
    /// A wave opened.
    WaveOpened,
    /// A campaign ended.
    CampaignEnded,
    /// A lane halted.
    LaneHalted,
    /// A target was quarantined.
    Quarantined,
    /// A spoke can't be entered.
    SpokeClosed,
    /// A schedule did not fire although its time had come.
    ScheduleMissed,
    /// Targets are past the deadline that the policy sets.
    DeadlineBreach,
    /// The stop cord was pulled.
    CordPulled,
    /// An exemption ends within a week.
    ExemptionEnding,
    /// AWS Config does not let us tell it of exemptions.
    MirrorRefused,
    /// The health check said no.
    Unhealthy,
    /// The health check could not say for as long as the policy waits.
    HealthInconclusive,
}

impl NoticeKind {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApprovalAsked => "approval_asked",
            Self::WaveOpened => "wave_opened",
            Self::CampaignEnded => "campaign_ended",
            Self::LaneHalted => "lane_halted",
            Self::Quarantined => "quarantined",
            Self::SpokeClosed => "spoke_closed",
            Self::ScheduleMissed => "schedule_missed",
            Self::DeadlineBreach => "deadline_breach",
            Self::CordPulled => "cord_pulled",
            Self::ExemptionEnding => "exemption_ending",
            Self::MirrorRefused => "mirror_refused",
            Self::Unhealthy => "unhealthy",
            Self::HealthInconclusive => "health_inconclusive",
        }
    }
}
