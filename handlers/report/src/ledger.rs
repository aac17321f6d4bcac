//! What a report needs to know, folded from the journal line by line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::Entry;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::entry::{Count, Outcome, RunStep, Standing};
use tidegate_events::fact::Verdict;
use tidegate_events::id::{BatchId, CampaignId, InstanceId, PersonId, TargetKey, WaveId};
use tidegate_events::journal::Line;

use crate::sentence::{is_on_the_timeline, sentence};

mod rows;
#[cfg(test)]
mod tests;

pub use rows::{CampaignRow, Commands, Halt, Judged, TargetRow, WaveRow, WaveState};

/// So many rows of the timeline are kept; the rest is counted.
pub const TIMELINE_ROWS: usize = 500;

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

    fn apply_bulk(&mut self, entry: &BulkEntry, at: Timestamp) {
        match entry {
            BulkEntry::Opened { campaign, policy, .. } => {
                let row = self.campaign(campaign);
                row.opened_at = Some(at);
                row.closing_at = Some(at);
                row.policy = Some(*policy);
            }
            BulkEntry::Listed { campaign, account, region, hosts, enrolled: true, .. } => {
                for host in hosts {
                    let key = TargetKey { account: *account, region: region.clone(), instance: host.instance.clone() };
                    self.target(&key, at).stand(Standing::Enrolled { campaign: campaign.clone() }, at);
                }
            }
            BulkEntry::Listed { .. } | BulkEntry::ErrorsPassed { .. } => {}
            BulkEntry::Freed { cell, members } => {
                for instance in members {
                    self.target(&cell.target(instance), at).move_to(&Standing::Compliant, None, "its bulk run ended before it was touched", at);
                }
                if let Some(wave) = self.wave(&cell.wave) {
                    wave.dropped = wave.dropped.saturating_add(members.len() as u64);
                }
            }
        }
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
            Entry::Bulk(entry) => self.apply_bulk(entry, at),
            Entry::Deadline { target, .. } => {
                self.target(target, at);
            }
            Entry::CollectingOn { .. } | Entry::WaveLooked { .. } | Entry::Contradicted { .. } | Entry::Scheduled { .. } | Entry::BreachesTold { .. } => {}
            Entry::CampaignClosing { campaign } => self.campaign(campaign).closing_at = Some(at),
            Entry::CampaignClosed { campaign, waves, digest, snapshot } => {
                let row = self.campaign(campaign);
                row.cut_at = Some(at);
                row.digest = Some(*digest);
                row.snapshot = Some(snapshot.clone());
                row.waves = waves.iter().cloned().map(WaveRow::of).collect();
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
            Entry::CordMoved { pulled, by, .. } => self.cord = pulled.then(|| (at, by.clone())),
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
            | Entry::BackedUp { batch, .. }
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
            | Entry::CancelAsked(_)
            | Entry::Health { .. }
            | Entry::Steered(_)
            | Entry::RetryGranted(_)
            | Entry::ExemptionEnding(_)
            | Entry::Mirror(_)
            | Entry::KevLoaded(_)
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
                    RunStep::Backup => &mut self.commands.backup,
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
