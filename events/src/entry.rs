//! What is true for us: one change of state each. State is nothing but the fold of entries (`rules::apply`), so that the
//! journal alone rebuilds it byte for byte.
//!
//! The meaning of an entry never changes. A new meaning is a new variant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod parts;

pub use crate::standing::{Lag, Standing};
pub use parts::{CellMember, ClearanceRecord, Count, Grant, Limit, Outcome, PinStrength, RunStep, WaveCut};

use crate::control::{Cancelling, ExemptionEnding, Retry, Steer};
use crate::event::{Approval, Subject};
use crate::fact::{Fact, Invocation, Verdict};
use crate::hold::Hold;
use crate::host::{Host, Platform};
use crate::id::{AccountId, BatchId, CampaignId, CellId, CommandId, Digest, InstanceId, LaneId, PersonId, Region, SnapshotId, TargetKey, WaveId};

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A compliance fact about a target became known.
    FactNoted {
        /// The target.
        target: TargetKey,
        /// The fact.
        fact: Fact,
    },
    /// A target joined the roster of a collecting campaign.
    Enrolled {
        /// The target.
        target: TargetKey,
        /// The campaign.
        campaign: CampaignId,
        /// The Config rule that found it, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A target stands elsewhere now, outside any batch.
    Moved {
        /// The target.
        target: TargetKey,
        /// Where.
        to: Standing,
        /// The verdict, where this decides one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
        /// Why, in a few words.
        why: String,
    },

    /// AWS Config contradicted two proofs while its word was awaited: the wave counts the target as failed after all.
    Contradicted {
        /// The target.
        target: TargetKey,
        /// The cell that had patched it.
        cell: CellId,
    },
    /// A policy was put to use; its text is pinned under its digest.
    PolicyPinned {
        /// Its digest.
        digest: Digest,
        /// Its canonical JSON.
        policy: String,
    },
    /// A lane opened a new collecting campaign.
    CampaignOpened {
        /// The campaign.
        campaign: CampaignId,
        /// Its policy.
        policy: Digest,
        /// When it closes.
        close_at: Timestamp,
        /// Into how many doors its roster is spread.
        doors: u16,
    },
    /// A campaign goes on collecting, since another of its lane waits already.
    CollectingOn {
        /// The campaign.
        campaign: CampaignId,
        /// When it closes now.
        close_at: Timestamp,
    },
    /// A campaign stopped taking members.
    CampaignClosing {
        /// The campaign.
        campaign: CampaignId,
    },
    /// The roster of a closing campaign was counted.
    RosterListed {
        /// The campaign.
        campaign: CampaignId,
        /// Members.
        members: u64,
        /// Chunks that are looked up.
        chunks: u32,
    },
    /// A chunk of the roster was looked up.
    ChunkDescribed {
        /// The campaign.
        campaign: CampaignId,
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// The chunk.
        chunk: u32,
        /// Hosts that can be patched.
        hosts: Vec<Host>,
        /// Config rules that found members of the chunk.
        rules: Vec<String>,
        /// Members that can't be patched: where they stand now, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moved: Vec<(InstanceId, Standing, String)>,
        /// When those that can be patched are due: the order in which their cells take them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        due: BTreeMap<InstanceId, Timestamp>,
        /// Deadlines that the look-up has set or changed: earlier, or, where the policy lets it, later.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deadlines: Vec<(InstanceId, crate::deadline::Deadline)>,
        /// What those that can be patched lack, where that was read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacks: Vec<(InstanceId, crate::patch::Lacks)>,
    },
    /// A cell was cut.
    CellCut {
        /// The cell.
        cell: CellId,
        /// Its members.
        members: Vec<CellMember>,
        /// Its limits, as counts.
        limits: Vec<Limit>,
        /// Config rules to ask again afterwards.
        rules: Vec<String>,
        /// Digest over all that.
        digest: Digest,
        /// The earliest deadline of a member: cells are taken up in this order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
    },
    /// A campaign is cut: waves, digest and patch set are fixed.
    CampaignClosed {
        /// The campaign.
        campaign: CampaignId,
        /// The waves.
        waves: Vec<WaveCut>,
        /// What an approval says yes to.
        digest: Digest,
        /// Pins the patch set.
        snapshot: SnapshotId,
    },
    /// Somebody is asked to approve.
    ApprovalAsked {
        /// What.
        subject: Subject,
        /// The digest to say yes to.
        digest: Digest,
        /// How many must.
        need: u32,
    },
    /// A person's word on a digest was taken.
    ApprovalTaken(Approval),
    /// A campaign became the running one of its lane.
    CampaignStarted {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A wave's turn came: its cells look at their targets again.
    WaveSealing {
        /// The wave.
        wave: WaveId,
    },
    /// All cells of a wave are sealed.
    WaveSealed {
        /// The wave.
        wave: WaveId,
        /// How firmly its patch set is pinned.
        pin: PinStrength,
        /// Members that were kept.
        kept: u64,
    },
    /// The patch set is older than it lives: a new one is pinned, which bakes anew and needs a yes of its own.
    WaveRenewed {
        /// The wave.
        wave: WaveId,
        /// The new patch set.
        snapshot: SnapshotId,
        /// Until when the wave before is watched again.
        bakes_until: Timestamp,
    },
    /// A wave passed every gate.
    WaveOpened {
        /// The wave.
        wave: WaveId,
        /// The proof.
        clearance: ClearanceRecord,
    },
    /// An open wave was looked at, and its cells with it: whatever was forgotten is picked up again.
    WaveLooked {
        /// The wave.
        wave: WaveId,
        /// When it is looked at next.
        again_at: Timestamp,
    },
    /// All members of a wave have ended; it is watched now.
    WaveBaking {
        /// The wave.
        wave: WaveId,
        /// Until when.
        until: Timestamp,
        /// Members proven patched.
        ok: u64,
        /// Members failed or unknown.
        bad: u64,
    },
    /// A wave is proven and baked.
    WaveProven {
        /// The wave.
        wave: WaveId,
    },
    /// A campaign's wave holds for these reasons (empty: for none any more).
    Held {
        /// The wave.
        wave: WaveId,
        /// The reasons, in gate order.
        holds: Vec<Hold>,
    },
    /// A campaign ended.
    CampaignEnded {
        /// The campaign.
        campaign: CampaignId,
        /// How.
        why: String,
        /// Whether all its waves were proven.
        complete: bool,
    },

    /// A cell looked at its members again; those named need nothing any more.
    CellSealed {
        /// The cell.
        cell: CellId,
        /// Members that were dropped, with the reason.
        dropped: Vec<(InstanceId, String)>,
    },
    /// A cell is done: every member has ended.
    CellDone {
        /// The cell.
        cell: CellId,
    },
    /// Nothing more can start in the cell now.
    CellHeld {
        /// The cell.
        cell: CellId,
        /// Why.
        hold: Hold,
        /// When it is looked at again.
        again_at: Timestamp,
    },
    /// The campaign ended before these were touched: they join a later one.
    CellDismissed {
        /// The cell.
        cell: CellId,
        /// The members.
        members: Vec<InstanceId>,
        /// Not before.
        not_before: Timestamp,
    },
    /// Config's word on these is no longer awaited.
    CellLagging {
        /// The cell.
        cell: CellId,
        /// The members.
        members: Vec<InstanceId>,
        /// Why.
        lag: Lag,
    },
    /// Config was asked about the cell's rules again, or its word was read, or no longer waited for.
    CellConfirming {
        /// The cell.
        cell: CellId,
        /// What comes next.
        next: ConfirmStep,
        /// When.
        at: Timestamp,
    },

    /// A batch holds its targets' leases and its grants, and nothing was sent.
    BatchPlanned {
        /// The batch.
        batch: BatchId,
        /// Install or reboot.
        step: RunStep,
        /// Platform.
        platform: Platform,
        /// Its members.
        members: Vec<CellMember>,
        /// What it holds of each limit.
        grants: Vec<Grant>,
        /// The patch set.
        snapshot: SnapshotId,
        /// `RebootIfNeeded` or `NoReboot`.
        reboot_option: String,
        /// Members that are backed up first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        backup: Vec<InstanceId>,
    },
    /// The intent to send is written: only the winner of this write sends.
    Sending {
        /// The batch.
        batch: BatchId,
        /// What.
        step: RunStep,
        /// Counts the sends of this batch, from 1.
        generation: u32,
        /// The signing time of the request.
        at: Timestamp,
        /// The proof that it may.
        clearance: ClearanceRecord,
    },
    /// The send did not happen, provably; it is tried again later.
    SendPutOff {
        /// The batch.
        batch: BatchId,
        /// Why.
        hold: Hold,
        /// When it is tried again.
        again_at: Timestamp,
    },
    /// A search found nothing; a second one decides.
    SearchedInVain {
        /// The batch.
        batch: BatchId,
        /// Complete searches so far for this send.
        searches: u32,
    },
    /// SSM has the command.
    Sent {
        /// The batch.
        batch: BatchId,
        /// What.
        step: RunStep,
        /// Which send.
        generation: u32,
        /// The command.
        command: CommandId,
        /// When SSM gives up on it.
        expires_at: Timestamp,
        /// Found by a search, not by the answer.
        adopted: bool,
    },
    /// Something about the command changed: it is looked at soon, once, however many events say so.
    LookSoon {
        /// The batch.
        batch: BatchId,
        /// When.
        at: Timestamp,
    },
    /// Invocations reached their end.
    InvocationsEnded {
        /// The batch.
        batch: BatchId,
        /// Those that ended.
        ended: Vec<Invocation>,
    },
    /// The backup before the install is over. Whoever is still in the batch is installed next.
    BackedUp {
        /// The batch.
        batch: BatchId,
        /// Members whose backup succeeded.
        members: Vec<InstanceId>,
    },
    /// The batch goes on to its scan.
    ScanDue {
        /// The batch.
        batch: BatchId,
        /// When.
        at: Timestamp,
    },
    /// The scan has ended; patch states are read.
    ProofDue {
        /// The batch.
        batch: BatchId,
        /// When.
        at: Timestamp,
        /// How often they were read in vain.
        reads: u32,
    },
    /// Members left the batch: leases and grants are given back.
    Released {
        /// The batch.
        batch: BatchId,
        /// What became of each.
        outcomes: Vec<Outcome>,
    },
    /// Members can't be scanned now; the wave counts them as unknown, their leases stay until a scan tells.
    Stranded {
        /// The batch.
        batch: BatchId,
        /// The members.
        members: Vec<InstanceId>,
        /// When it is tried again.
        again_at: Timestamp,
        /// How often it was tried.
        tries: u32,
    },
    /// All members have left the batch.
    BatchEnded {
        /// The batch.
        batch: BatchId,
    },

    /// A lane was halted.
    LaneHalted {
        /// The lane.
        lane: LaneId,
        /// By which wave.
        wave: WaveId,
        /// Why.
        why: String,
    },
    /// A named person let a lane go on; what failed so far no longer counts against the wave.
    LaneResumed {
        /// The lane.
        lane: LaneId,
        /// Who.
        by: PersonId,
        /// Why.
        comment: String,
        /// The halted wave and the failures it is forgiven.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forgiven: Option<(WaveId, u64)>,
    },
    /// The stop cord was pulled or released.
    CordMoved {
        /// Pulled or released.
        pulled: bool,
        /// By whom.
        by: PersonId,
        /// Whether what runs is cancelled too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kill: bool,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// The stop cord cancels invocations.
    CancelAsked(Cancelling),
    /// A named person paused a lane or a campaign, or lets a campaign go on.
    Steered(Steer),
    /// A named person gave targets another attempt.
    RetryGranted(Retry),
    /// A change calendar opened or closed.
    CalendarMoved {
        /// The calendar.
        calendar: String,
        /// Whether changes are allowed.
        open: bool,
        /// When that happened, or was heard.
        at: Timestamp,
        /// When that changes next, where AWS says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turns_at: Option<Timestamp>,
    },
    /// Something became of a target's deadline.
    Deadline {
        /// The target.
        target: TargetKey,
        /// What.
        step: crate::deadline::DeadlineStep,
    },
    /// Operators were told of broken deadlines.
    BreachesTold {
        /// How many there were in all by then.
        count: u64,
        /// How many of them were due dates of the KEV catalog.
        #[serde(default, skip_serializing_if = "crate::patch::is_zero")]
        kev: u64,
    },
    /// A named person loaded the catalog of Known Exploited Vulnerabilities.
    KevLoaded(Box<crate::kev::KevLoad>),
    /// Something became of a schedule.
    Scheduled {
        /// Its name.
        schedule: String,
        /// What.
        step: crate::schedule::ScheduleStep,
    },
    /// Something became of a campaign's health.
    Health {
        /// The wave that waits for the answer, or is watched.
        wave: WaveId,
        /// What.
        step: crate::health::HealthStep,
    },
    /// What only bulk runs have.
    Bulk(crate::bulk::BulkEntry),
    /// An exemption ends soon.
    ExemptionEnding(ExemptionEnding),
    /// AWS Config is told about exemptions.
    Mirror(crate::mirror::MirrorStep),
    /// What the organization holds was counted.
    InventoryPinned {
        /// The campaign it is pinned for.
        campaign: CampaignId,
        /// All known instances.
        total: u64,
        /// By Region.
        by_region: BTreeMap<Region, u64>,
    },
}

/// What a cell does about Config's confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmStep {
    /// Ask Config to evaluate the rules again.
    Reevaluate,
    /// Read Config's word by API.
    Read,
    /// Read it a last time.
    LastRead,
    /// The last read is asked for: its answer decides who is lagging; without one it is asked again.
    Deciding,
    /// Nothing more.
    Finished,
}

#[cfg(test)]
mod tests;
