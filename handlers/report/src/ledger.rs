//! What a report needs to know, folded from the journal line by line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::Entry;
use tidegate_events::entry::{Count, Outcome, PinStrength, RunStep, Standing, WaveCut};
use tidegate_events::event::{Approval, Subject};
use tidegate_events::fact::Verdict;
use tidegate_events::hold::Hold;
use tidegate_events::id::{BatchId, CampaignId, Digest, InstanceId, LaneId, PersonId, SnapshotId, TargetKey, WaveId};
use tidegate_events::journal::Line;

use crate::sentence::{is_on_the_timeline, sentence};

/// So many rows of the timeline are kept; the rest is counted.
pub const TIMELINE_ROWS: usize = 500;

/// One known instance.
#[derive(Debug, Clone)]
pub struct TargetRow {
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    pub since: Timestamp,
    /// The last verdict on it.
    pub judged: Option<Judged>,
    /// Failed attempts since it was last compliant.
    pub attempts: u32,
    /// The wave that it was last in.
    pub wave: Option<WaveId>,
}

/// A verdict as it was decided.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// One wave.
#[derive(Debug, Clone)]
pub struct WaveRow {
    /// As it was cut.
    pub cut: WaveCut,
    /// How far it is.
    pub state: WaveState,
    /// When it was sealed, and how firmly its patch set was pinned.
    pub sealed: Option<(Timestamp, PinStrength)>,
    /// When a new patch set was pinned for it, where the old one had become too old.
    pub renewed_at: Option<Timestamp>,
    /// When it opened.
    pub opened_at: Option<Timestamp>,
    /// Whose approvals were live when it opened.
    pub approved_by: Vec<PersonId>,
    /// When it began to bake, and until when.
    pub baking: Option<(Timestamp, Timestamp)>,
    /// When it was proven.
    pub proven_at: Option<Timestamp>,
    /// Members proven patched.
    pub ok: u64,
    /// Members failed or unknown.
    pub bad: u64,
    /// Members never touched.
    pub dropped: u64,
    /// What holds it now.
    pub holds: Vec<Hold>,
}

/// How far a wave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaveState {
    /// Its turn has not come.
    Waiting,
    /// Its targets are looked at again.
    Sealing,
    /// Sealed, not open.
    Sealed,
    /// Its batches run.
    Open,
    /// Every member has ended; it is watched.
    Baking,
    /// Proven and baked.
    Proven,
}

impl WaveState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sealing => "sealing",
            Self::Sealed => "sealed",
            Self::Open => "open",
            Self::Baking => "baking",
            Self::Proven => "proven",
        }
    }
}

/// One campaign.
#[derive(Debug, Clone, Default)]
pub struct CampaignRow {
    /// When it opened.
    pub opened_at: Option<Timestamp>,
    /// Its policy.
    pub policy: Option<Digest>,
    /// When it stopped taking members.
    pub closing_at: Option<Timestamp>,
    /// When it was cut: waves, digest and patch set are fixed from there.
    pub cut_at: Option<Timestamp>,
    /// What an approval says yes to.
    pub digest: Option<Digest>,
    /// Its patch set.
    pub snapshot: Option<SnapshotId>,
    /// Its waves.
    pub waves: Vec<WaveRow>,
    /// What was asked: subject, how many must, when.
    pub asked: Vec<(Subject, u32, Timestamp)>,
    /// What people said.
    pub words: Vec<Approval>,
    /// When its turn in its lane came.
    pub started_at: Option<Timestamp>,
    /// When and how it ended, and whether every wave was proven.
    pub ended: Option<(Timestamp, String, bool)>,
    /// Known instances when its percentages were counted.
    pub inventory: Option<u64>,
}

impl CampaignRow {
    /// How far it is, by its name in JSON.
    pub fn state(&self) -> &'static str {
        match self {
            Self { ended: Some((_, _, true)), .. } => "done",
            Self { ended: Some((_, _, false)), .. } => "ended",
            Self { started_at: Some(_), .. } => "running",
            Self { cut_at: Some(_), .. } => "closed",
            Self { closing_at: Some(_), .. } => "closing",
            _ => "collecting",
        }
    }

    /// Whether its members are in waves.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some() || self.ended.is_some()
    }

    fn clear_holds(&mut self) {
        for wave in &mut self.waves {
            wave.holds.clear();
        }
    }

    /// All targets in its waves.
    pub fn targets(&self) -> u64 {
        self.waves.iter().map(|wave| wave.cut.targets).fold(0, u64::saturating_add)
    }
}

/// One halt of a lane.
#[derive(Debug, Clone)]
pub struct Halt {
    /// The lane.
    pub lane: LaneId,
    /// The wave that halted it.
    pub wave: WaveId,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// When it was resumed, by whom and why.
    pub resumed: Option<(Timestamp, PersonId, String)>,
}

/// Commands that Systems Manager took, by what they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commands {
    /// Installs.
    pub install: u64,
    /// Reboots.
    pub reboot: u64,
    /// Scans.
    pub scan: u64,
    /// Those among them that were found by a search, not by the answer.
    pub adopted: u64,
}

/// Everything a report needs, folded from the journal.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Lines so far.
    pub lines: u64,
    /// Time of the first line and of the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Every known instance.
    pub targets: BTreeMap<TargetKey, TargetRow>,
    /// Every campaign.
    pub campaigns: BTreeMap<CampaignId, CampaignRow>,
    /// Every halt, in order.
    pub halts: Vec<Halt>,
    /// Who pulled the stop cord, and when, while it is pulled.
    pub cord: Option<(Timestamp, PersonId)>,
    /// Commands.
    pub commands: Commands,
    /// The first [`TIMELINE_ROWS`] entries of campaigns, waves and lanes, as sentences.
    pub timeline: Vec<(Timestamp, String)>,
    /// How many more there were.
    pub timeline_cut: u64,
    /// Members that have not left, and whether each is stranded.
    batches: BTreeMap<BatchId, BTreeMap<InstanceId, bool>>,
}

impl Ledger {
    /// Takes the next line.
    pub fn apply(&mut self, line: &Line) {
        self.lines = self.lines.saturating_add(1);
        self.span = Some(self.span.map_or((line.at, line.at), |(first, last)| (first.min(line.at), last.max(line.at))));
        for entry in &line.entries {
            self.apply_entry(entry, line.at);
            if is_on_the_timeline(entry) {
                if self.timeline.len() < TIMELINE_ROWS {
                    self.timeline.extend(sentence(entry, None).map(|text| (line.at, text)));
                } else {
                    self.timeline_cut = self.timeline_cut.saturating_add(1);
                }
            }
        }
    }

    /// Known instances by the names of [`Standing::NAMES`], in that order; they add up to `self.targets.len()`.
    pub fn by_state(&self) -> Vec<(&'static str, u64)> {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for row in self.targets.values() {
            *counts.entry(self.state_of(row)).or_default() += 1;
        }
        Standing::NAMES.iter().map(|name| (*name, counts.get(name).copied().unwrap_or(0))).collect()
    }

    /// The name of a target's state: enrolled ones are in a wave once their campaign is cut.
    pub fn state_of(&self, row: &TargetRow) -> &'static str {
        let cut = match &row.standing {
            Standing::Enrolled { campaign } => self.campaigns.get(campaign).is_some_and(CampaignRow::is_cut),
            _ => false,
        };
        row.standing.name(cut)
    }

    /// Targets by their last verdict.
    pub fn by_verdict(&self) -> Vec<(Verdict, u64)> {
        let of = |verdict: Verdict| self.targets.values().filter(|row| row.judged.as_ref().is_some_and(|judged| judged.verdict == verdict)).count() as u64;
        Verdict::ALL.into_iter().map(|verdict| (verdict, of(verdict))).collect()
    }

    /// Halts that nobody has resumed.
    pub fn open_halts(&self) -> impl Iterator<Item = &Halt> {
        self.halts.iter().filter(|halt| halt.resumed.is_none())
    }

    fn apply_entry(&mut self, entry: &Entry, at: Timestamp) {
        match entry {
            Entry::FactNoted { target, .. } => {
                self.target(target, at);
            }
            Entry::Enrolled { target, campaign, .. } => self.target(target, at).stand(Standing::Enrolled { campaign: campaign.clone() }, at),
            Entry::Moved { target, to, verdict, why } => self.target(target, at).move_to(to, *verdict, why, at),
            Entry::ChunkDescribed { account, region, moved, .. } => {
                for (instance, to, why) in moved {
                    let key = TargetKey { account: *account, region: region.clone(), instance: instance.clone() };
                    self.target(&key, at).move_to(to, None, why, at);
                }
            }
            Entry::CampaignOpened { campaign, policy, .. } => {
                let row = self.campaign(campaign);
                row.opened_at = Some(at);
                row.policy = Some(*policy);
            }
            Entry::CampaignClosing { campaign } => self.campaign(campaign).closing_at = Some(at),
            Entry::CampaignClosed { campaign, waves, digest, snapshot } => {
                let row = self.campaign(campaign);
                row.cut_at = Some(at);
                row.digest = Some(*digest);
                row.snapshot = Some(snapshot.clone());
                row.waves = waves.iter().cloned().map(WaveRow::cut).collect();
            }
            Entry::ApprovalAsked { subject, need, .. } => self.campaign(subject.campaign()).asked.push((subject.clone(), *need, at)),
            Entry::ApprovalTaken(approval) => self.campaign(approval.subject.campaign()).words.push(approval.clone()),
            Entry::CampaignStarted { campaign } => self.campaign(campaign).started_at = Some(at),
            Entry::CampaignEnded { campaign, why, complete } => {
                let row = self.campaign(campaign);
                row.ended = Some((at, why.clone(), *complete));
                row.clear_holds();
            }
            Entry::InventoryPinned { campaign, total, .. } => self.campaign(campaign).inventory = Some(*total),
            Entry::CordMoved { pulled, by } => self.cord = pulled.then(|| (at, by.clone())),
            Entry::LaneHalted { lane, wave, why } => {
                self.halts.push(Halt { lane: lane.clone(), wave: wave.clone(), why: why.clone(), at, resumed: None });
            }
            Entry::LaneResumed { lane, by, comment, forgiven } => {
                if let Some((wave, _)) = forgiven {
                    self.campaign(&wave.campaign).clear_holds();
                }
                for halt in self.halts.iter_mut().filter(|halt| halt.lane == *lane && halt.resumed.is_none()) {
                    halt.resumed = Some((at, by.clone(), comment.clone()));
                }
            }
            Entry::CellCut { cell, members, .. } => {
                for member in members {
                    self.target(&cell.target(&member.instance), at).wave = Some(cell.wave.clone());
                }
            }
            Entry::CellSealed { cell, dropped } => {
                if let Some(wave) = self.wave(&cell.wave) {
                    wave.dropped = wave.dropped.saturating_add(dropped.len() as u64);
                }
            }
            Entry::CellDismissed { cell, members, not_before } => {
                for instance in members {
                    let to = Standing::Retrying { not_before: *not_before };
                    self.target(&cell.target(instance), at).move_to(&to, None, "its campaign ended before it was touched", at);
                }
                if let Some(wave) = self.wave(&cell.wave) {
                    wave.dropped = wave.dropped.saturating_add(members.len() as u64);
                }
            }
            Entry::CellLagging { cell, members, lag: why } => {
                for instance in members {
                    if let Standing::PatchedUnconfirmed { lag, .. } = &mut self.target(&cell.target(instance), at).standing {
                        *lag = Some(*why);
                    }
                }
            }
            Entry::WaveSealing { .. }
            | Entry::WaveSealed { .. }
            | Entry::WaveRenewed { .. }
            | Entry::WaveOpened { .. }
            | Entry::WaveBaking { .. }
            | Entry::WaveProven { .. }
            | Entry::Held { .. } => {
                self.apply_wave(entry, at);
            }
            Entry::BatchPlanned { batch, .. }
            | Entry::Sent { batch, .. }
            | Entry::ScanDue { batch, .. }
            | Entry::Released { batch, .. }
            | Entry::Stranded { batch, .. }
            | Entry::BatchEnded { batch } => self.apply_batch(entry, batch, at),
            Entry::PolicyPinned { .. }
            | Entry::RosterListed { .. }
            | Entry::CellDone { .. }
            | Entry::CellHeld { .. }
            | Entry::CellConfirming { .. }
            | Entry::Sending { .. }
            | Entry::SendPutOff { .. }
            | Entry::SearchedInVain { .. }
            | Entry::LookSoon { .. }
            | Entry::InvocationsEnded { .. }
            | Entry::ProofDue { .. }
            | Entry::CalendarMoved { .. } => {}
        }
    }

    fn apply_wave(&mut self, entry: &Entry, at: Timestamp) {
        let (Entry::WaveSealing { wave: id }
        | Entry::WaveSealed { wave: id, .. }
        | Entry::WaveRenewed { wave: id, .. }
        | Entry::WaveOpened { wave: id, .. }
        | Entry::WaveBaking { wave: id, .. }
        | Entry::WaveProven { wave: id }
        | Entry::Held { wave: id, .. }) = entry
        else {
            return;
        };
        let campaign = self.campaign(&id.campaign);
        if matches!(entry, Entry::Held { .. } | Entry::WaveOpened { .. } | Entry::WaveProven { .. }) {
            // Only one wave of a campaign can be waiting for its gates.
            campaign.clear_holds();
        }
        if let Entry::WaveRenewed { snapshot, .. } = entry {
            campaign.snapshot = Some(snapshot.clone());
        }
        let Some(wave) = campaign.waves.get_mut(usize::from(id.index)) else { return };
        match entry {
            Entry::WaveSealing { .. } => wave.state = WaveState::Sealing,
            Entry::WaveSealed { pin, .. } => {
                wave.state = WaveState::Sealed;
                wave.sealed = Some((at, *pin));
            }
            Entry::WaveRenewed { .. } => wave.renewed_at = Some(at),
            Entry::WaveOpened { clearance, .. } => {
                wave.state = WaveState::Open;
                wave.opened_at = Some(at);
                wave.approved_by.clone_from(&clearance.approved_by);
            }
            Entry::WaveBaking { until, ok, bad, .. } => {
                wave.state = WaveState::Baking;
                wave.baking = Some((at, *until));
                (wave.ok, wave.bad) = (*ok, *bad);
            }
            Entry::WaveProven { .. } => {
                wave.state = WaveState::Proven;
                wave.proven_at = Some(at);
            }
            Entry::Held { holds, .. } => wave.holds.clone_from(holds),
            _ => {}
        }
    }

    fn apply_batch(&mut self, entry: &Entry, batch: &BatchId, at: Timestamp) {
        match entry {
            Entry::BatchPlanned { members, .. } => {
                for member in members {
                    let row = self.target(&batch.target(&member.instance), at);
                    row.wave = Some(batch.cell.wave.clone());
                    row.stand(Standing::Running { batch: batch.clone() }, at);
                }
                self.batches.insert(batch.clone(), members.iter().map(|member| (member.instance.clone(), false)).collect());
            }
            Entry::Sent { step, adopted, .. } => {
                let sent = match step {
                    RunStep::Install => &mut self.commands.install,
                    RunStep::Reboot => &mut self.commands.reboot,
                    RunStep::Scan => &mut self.commands.scan,
                };
                *sent = sent.saturating_add(1);
                self.commands.adopted = self.commands.adopted.saturating_add(u64::from(*adopted));
            }
            Entry::ScanDue { .. } => {
                let present = self.batches.get(batch).into_iter().flatten();
                let scanned: Vec<InstanceId> = present.filter(|(_, stranded)| !**stranded).map(|(instance, _)| instance.clone()).collect();
                for instance in scanned {
                    self.target(&batch.target(&instance), at).stand(Standing::Verifying { batch: batch.clone() }, at);
                }
            }
            Entry::Released { outcomes, .. } => {
                for outcome in outcomes {
                    self.release(batch, outcome, at);
                }
            }
            Entry::Stranded { members, again_at, tries, .. } => self.strand(batch, members, *again_at, *tries, at),
            Entry::BatchEnded { .. } => {
                self.batches.remove(batch);
            }
            _ => {}
        }
    }

    fn release(&mut self, batch: &BatchId, outcome: &Outcome, at: Timestamp) {
        if let Some(members) = self.batches.get_mut(batch) {
            members.remove(&outcome.instance);
        }
        self.target(&batch.target(&outcome.instance), at).move_to(&outcome.to, outcome.verdict, &outcome.why, at);
        self.count(batch, |wave| match outcome.count {
            Count::Ok => Some(&mut wave.ok),
            Count::Bad => Some(&mut wave.bad),
            Count::Dropped => Some(&mut wave.dropped),
            Count::Again | Count::Counted => None,
        });
    }

    fn strand(&mut self, batch: &BatchId, members: &[InstanceId], again_at: Timestamp, tries: u32, at: Timestamp) {
        for instance in members {
            let why = "it waits for a scan: nobody knows what the last command left";
            let row = self.target(&batch.target(instance), at);
            row.judged = Some(Judged { verdict: Verdict::Unknown, why: why.to_owned(), at });
            row.stand(Standing::Unreachable { why: why.to_owned(), look_at: again_at, looks: tries }, at);
            let stranded_before = self.batches.get_mut(batch).and_then(|members| members.insert(instance.clone(), true)).unwrap_or(false);
            if !stranded_before {
                self.count(batch, |wave| Some(&mut wave.bad));
            }
        }
    }

    /// Counts one member of a batch in its wave. Once that bakes, its own count stands.
    fn count(&mut self, batch: &BatchId, counter: impl FnOnce(&mut WaveRow) -> Option<&mut u64>) {
        let wave = self.wave(&batch.cell.wave).filter(|wave| wave.state <= WaveState::Open);
        if let Some(counter) = wave.and_then(counter) {
            *counter = counter.saturating_add(1);
        }
    }

    /// A known instance; one never heard of before is compliant until an entry says otherwise.
    fn target(&mut self, key: &TargetKey, at: Timestamp) -> &mut TargetRow {
        let unknown = || TargetRow { standing: Standing::Compliant, since: at, judged: None, attempts: 0, wave: None };
        self.targets.entry(key.clone()).or_insert_with(unknown)
    }

    fn campaign(&mut self, id: &CampaignId) -> &mut CampaignRow {
        self.campaigns.entry(id.clone()).or_default()
    }

    fn wave(&mut self, id: &WaveId) -> Option<&mut WaveRow> {
        self.campaigns.get_mut(&id.campaign)?.waves.get_mut(usize::from(id.index))
    }
}

impl TargetRow {
    /// Moves it as an entry says that gives a reason, and maybe a verdict.
    fn move_to(&mut self, to: &Standing, verdict: Option<Verdict>, why: &str, at: Timestamp) {
        match to {
            Standing::Compliant | Standing::Gone => self.attempts = 0,
            Standing::Retrying { .. } | Standing::Quarantined { .. } if verdict.is_some() => self.attempts = self.attempts.saturating_add(1),
            _ => {}
        }
        if let Some(verdict) = verdict {
            self.judged = Some(Judged { verdict, why: why.to_owned(), at });
        }
        self.stand(to.clone(), at);
    }

    fn stand(&mut self, to: Standing, at: Timestamp) {
        if self.standing != to {
            self.since = at;
        }
        self.standing = to;
    }
}

impl WaveRow {
    fn cut(cut: WaveCut) -> Self {
        Self {
            cut,
            state: WaveState::Waiting,
            sealed: None,
            renewed_at: None,
            opened_at: None,
            approved_by: Vec::new(),
            baking: None,
            proven_at: None,
            ok: 0,
            bad: 0,
            dropped: 0,
            holds: Vec::new(),
        }
    }
}
