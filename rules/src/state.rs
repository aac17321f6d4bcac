//! The aggregates as they are stored. Each is the fold of its entries; nothing else may change one.

mod batch;
mod scheduled;
mod target;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::entry::{CellMember, ClearanceRecord, ConfirmStep, Limit, PinStrength};
use tidegate_events::event::{Approval, RosterMember, Subject};
use tidegate_events::hold::Hold;
use tidegate_events::host::Host;
use tidegate_events::id::{BatchId, CampaignId, CellId, Digest, InstanceId, LaneId, PersonId, Region, SnapshotId, TargetKey, WaveId};

pub use crate::control::Pause;
pub use crate::lane::Halt;
pub use crate::open::{Open, Pull};
pub use batch::{Backup, Batch, BatchMember, BatchPhase};
pub use scheduled::Scheduled;
pub use target::Target;

/// Facts kept per target: enough to tell a redelivery from something old.
pub const FACTS_KEPT: usize = 8;
/// Past campaigns and batches kept per target, for the explanation.
pub const PAST_KEPT: usize = 8;

/// Any stored item that is not a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The organization.
    Organization(Organization),
    /// What was done about exemptions.
    Exemptions(crate::exemption::Told),
    /// What AWS Config is told of exemptions in one account and Region.
    Mirror(Box<crate::mirror::Mirror>),
    /// The KEV catalog in force.
    Kev(Box<crate::deadline::LoadedKev>),
    /// A lane.
    Lane(Lane),
    /// A pinned policy, as its canonical JSON.
    Policy {
        /// The JSON.
        json: String,
    },
    /// A shut door of a roster.
    Door,
    /// A roster member.
    Roster(RosterEntry),
    /// A described chunk.
    Chunk(Chunk),
    /// A bulk run as it was asked for.
    Run(Box<crate::bulk::state::RunItem>),
    /// How far the nodes of a spoke are listed for a bulk run.
    Listing(crate::bulk::state::Listing),
    /// A campaign.
    Campaign(Box<Campaign>),
    /// A cell.
    Cell(Box<Cell>),
    /// A batch.
    Batch(Box<Batch>),
    /// Which batch a command belongs to.
    Command {
        /// The batch.
        batch: BatchId,
    },
    /// The open intents of one account and Region.
    Open(Open),
    /// A target.
    Target(Box<Target>),
}

impl State {
    /// When this item must be looked at, whatever events say or don't say.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Campaign(campaign) => campaign.due_at(),
            Self::Cell(cell) => cell.due_at(),
            Self::Batch(batch) => batch.due_at(),
            Self::Target(target) => target.due_at(),
            Self::Mirror(mirror) => mirror.again_at,
            Self::Organization(organization) => organization.schedules.values().filter_map(|schedule| schedule.next).min(),
            _ => None,
        }
    }
}

/// What holds for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Who pulled the stop cord, while it is pulled.
    pub cord: Option<PersonId>,
    /// Counts the moves of the cord.
    pub cord_epoch: u64,
    /// Calendars that were heard of: whether open, and since when.
    pub calendars: BTreeMap<String, (bool, Timestamp)>,
    /// When those change next, where AWS said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendar_turns: BTreeMap<String, Timestamp>,
    /// The latest pull of the cord, while it is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
    /// Schedules that were met, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<String, Scheduled>,
    /// Broken deadlines that operators were told of, and when they were last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaches: Option<(u64, Timestamp)>,
    /// How many of these were due dates of the KEV catalog.
    #[serde(default, skip_serializing_if = "crate::deadline::is_zero")]
    pub kev_breaches: u64,
}

/// A lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its id.
    pub id: LaneId,
    /// Counts halts and resumes.
    pub epoch: u64,
    /// Why it is halted, while it is.
    pub halted: Option<Halt>,
    /// Who paused it, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The campaign that collects.
    pub collecting: Option<CampaignId>,
    /// The campaign that runs.
    pub running: Option<CampaignId>,
    /// Closing and closed ones, in order.
    pub waiting: Vec<CampaignId>,
    /// The number of the newest campaign.
    pub newest: u32,
}

impl Lane {
    /// A lane that nothing happened in.
    pub fn new(id: LaneId) -> Self {
        Self { id, epoch: 0, halted: None, paused: None, collecting: None, running: None, waiting: Vec::new(), newest: 0 }
    }
}

/// A target on a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The target.
    pub target: TargetKey,
    /// The Config rule that found it, where one did.
    pub rule: Option<String>,
}

impl RosterEntry {
    /// The member as look-ups take it.
    pub fn member(&self) -> RosterMember {
        RosterMember { instance: self.target.instance.clone(), rule: self.rule.clone() }
    }
}

/// A described chunk of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where.
    pub account: tidegate_events::id::AccountId,
    /// Where.
    pub region: Region,
    /// Hosts that can be patched.
    pub hosts: Vec<Host>,
    /// Rules that found them.
    pub rules: Vec<String>,
    /// When they are due.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub due: BTreeMap<InstanceId, Timestamp>,
}

/// A campaign. It sees cells, never single targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// The policy that it was opened under.
    pub policy: Digest,
    /// When it opened.
    pub opened_at: Timestamp,
    /// Where it stands.
    pub phase: CampaignPhase,
    /// Its waves, once cut.
    pub waves: Vec<Wave>,
    /// What an approval says yes to; zeros before it is cut.
    pub digest: Digest,
    /// When it was cut.
    pub cut_at: Option<Timestamp>,
    /// The pinned patch set.
    pub pin: Option<Pin>,
    /// What is asked for and not decided by quorum yet, and what was.
    pub asked: Vec<Asked>,
    /// Words that were given, in order.
    pub words: Vec<Approval>,
    /// Why the current wave is not moving.
    pub holds: Vec<Hold>,
    /// Known instances when it was cut.
    pub inventory: u64,
    /// The bulk run that it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<crate::bulk::state::Bulk>,
    /// Who paused it, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// How its health stands, once it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Box<crate::health::Health>>,
}

/// A patch set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// When a command first used it: its three days count from here.
    pub used_at: Option<Timestamp>,
}

/// An approval that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// For what.
    pub subject: Subject,
    /// For which digest.
    pub digest: Digest,
    /// From how many.
    pub need: u32,
    /// When.
    pub at: Timestamp,
}

/// Where a campaign stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum CampaignPhase {
    /// It takes members.
    Collecting {
        /// Until when.
        close_at: Timestamp,
    },
    /// It takes none any more; its roster is being looked up.
    Closing {
        /// Since when.
        since: Timestamp,
        /// Chunks to look up, once counted.
        chunks: Option<u32>,
    },
    /// It is cut and waits for its turn in the lane.
    Cut,
    /// It runs this wave.
    Running {
        /// The wave, from 0.
        wave: u16,
        /// When to look again, where time alone moves it.
        look_at: Option<Timestamp>,
    },
    /// It is over.
    Ended {
        /// How.
        why: String,
        /// Whether all waves were proven.
        complete: bool,
    },
}

impl CampaignPhase {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Collecting { .. } => "collecting",
            Self::Closing { .. } => "closing",
            Self::Cut => "closed",
            Self::Running { .. } => "running",
            Self::Ended { complete: true, .. } => "done",
            Self::Ended { complete: false, .. } => "ended",
        }
    }
}

impl Campaign {
    fn due_at(&self) -> Option<Timestamp> {
        match &self.phase {
            CampaignPhase::Collecting { close_at } => Some(*close_at),
            CampaignPhase::Closing { since, .. } => Some(crate::desk::later(*since, crate::campaign::CLOSING_AGAIN_SECS)),
            CampaignPhase::Running { look_at, .. } => look_at.iter().copied().chain(crate::health::due_at(self)).min(),
            CampaignPhase::Cut | CampaignPhase::Ended { .. } => None,
        }
    }

    /// Whether members are in waves.
    pub fn is_cut(&self) -> bool {
        matches!(self.phase, CampaignPhase::Cut | CampaignPhase::Running { .. } | CampaignPhase::Ended { .. })
    }

    /// The id of its wave with this index.
    pub fn wave_id(&self, index: u16) -> WaveId {
        WaveId { campaign: self.id.clone(), index }
    }

    /// Its wave with this index.
    pub fn wave(&self, index: u16) -> Option<&Wave> {
        self.waves.get(usize::from(index))
    }
}

/// A wave of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Its name.
    pub name: String,
    /// Its cells.
    pub cells: u32,
    /// Its targets when it was cut.
    pub targets: u64,
    /// Digest over its cells.
    pub digest: Digest,
    /// Where it stands.
    pub stage: WaveStage,
    /// Failures that a person has forgiven.
    pub forgiven: u64,
    /// How firmly its patch set is pinned, once sealed.
    pub pin: Option<PinStrength>,
    /// The patch set was renewed for this wave: it bakes until then, and needs a yes of its own.
    pub renewed_until: Option<Timestamp>,
    /// More failed than the bulk run itself bears, and it went on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub errors_passed: bool,
}

/// Where a wave stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum WaveStage {
    /// Its turn has not come.
    Waiting,
    /// Its cells look at their targets again.
    Sealing,
    /// Fixed; it waits at its gates.
    Sealed,
    /// Cleared: batches run.
    Open {
        /// Since when: approvals must have been live then.
        at: Timestamp,
        /// The proof.
        clearance: ClearanceRecord,
    },
    /// All members have ended; it is watched.
    Baking {
        /// Until when.
        until: Timestamp,
        /// When it had opened.
        opened_at: Timestamp,
    },
    /// Proven and baked.
    Proven,
}

impl WaveStage {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sealing => "sealing",
            Self::Sealed => "sealed",
            Self::Open { .. } => "open",
            Self::Baking { .. } => "baking",
            Self::Proven => "proven",
        }
    }
}

/// One wave in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Its id.
    pub id: CellId,
    /// Its members and where each stands.
    pub members: Vec<Seat>,
    /// Its limits.
    pub limits: Vec<Limit>,
    /// Config rules to ask again.
    pub rules: Vec<String>,
    /// Digest over all that, as approved.
    pub digest: Digest,
    /// Whether it looked at its members again.
    pub sealed: bool,
    /// Whether all have ended.
    pub done: bool,
    /// The number of its next batch.
    pub next_batch: u32,
    /// Why nothing starts, and when it is looked at again.
    pub held: Option<CellHold>,
    /// What comes next about Config's confirmation.
    pub confirm: Option<(ConfirmStep, Timestamp)>,
    /// The earliest deadline of a member when it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// Why nothing starts in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellHold {
    /// Why.
    pub hold: Hold,
    /// When it is looked at again.
    pub again_at: Timestamp,
    /// How often in a row it was held by the blast radius.
    pub tries: u32,
}

/// A member of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub member: CellMember,
    /// Where it stands in this cell.
    pub at: SeatAt,
}

/// Where a member stands in its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatAt {
    /// Waits for a batch.
    Waiting,
    /// Is in a batch.
    InBatch,
    /// Waits for its reboot.
    AwaitsReboot,
    /// Proven patched.
    Ok,
    /// Proven patched, and contradicted by AWS Config later: counted as both, since tallies only grow.
    Contradicted,
    /// Failed or unknown.
    Bad,
    /// Never touched.
    Dropped,
}

impl Cell {
    fn due_at(&self) -> Option<Timestamp> {
        let held = self.held.as_ref().map(|held| held.again_at);
        let confirm = self.confirm.as_ref().filter(|(step, _)| *step != ConfirmStep::Finished).map(|(_, at)| *at);
        held.into_iter().chain(confirm).min()
    }

    /// Instances that stand there.
    pub fn at(&self, at: SeatAt) -> impl Iterator<Item = &CellMember> {
        self.members.iter().filter(move |seat| seat.at == at).map(|seat| &seat.member)
    }
}
