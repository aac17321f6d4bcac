//! The invariants, checked line by line over the journal, beside the code that should hold them. The numbers are those of
//! docs/architecture.md. What a line claims is checked against what earlier lines made true, and leases, grants and sends
//! are counted here a second time, without the aggregates.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_events::Entry;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::entry::{CellMember, Count, RunStep, Standing};
use tidegate_events::fact::{Compliance, FactSource, InvocationStatus, Verdict};
use tidegate_events::hold::Scope;
use tidegate_events::id::{BatchId, CellId, Digest, InstanceId, TargetKey, WaveId};
use tidegate_events::journal::Line;
use tidegate_events::run::Operation;

use crate::apply::{Fold, apply};
use crate::catalog::Proof;
use crate::freeze;
use crate::key::Key;
use crate::policy::Policy;
use crate::state::{Backup, Batch, BatchMember, BatchPhase, Campaign, CampaignPhase, Cell, SeatAt, State, Target, WaveStage};
use crate::window::{self, Opening};

/// Violations kept; more are only counted.
const KEPT: usize = 50;

/// Watches a journal.
#[derive(Debug, Default)]
pub struct Checker {
    fold: Fold,
    policies: BTreeMap<Digest, Policy>,
    leases: BTreeMap<TargetKey, BatchId>,
    grants: BTreeMap<Scope, u64>,
    /// Sends of each batch's current step that were neither put off nor proven absent.
    open_sends: BTreeMap<BatchId, u32>,
    seqs: BTreeMap<String, (u64, Digest)>,
    cord_pulled: bool,
    /// Sends that were decided before the cord's commit and written after it: they must be withheld.
    late_sends: BTreeMap<BatchId, u32>,
    checked: u64,
    violations: Vec<String>,
    more: u64,
}

impl Checker {
    /// A checker that saw nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many checks were made.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// What was violated: number of the invariant first.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The state that the journal folds into so far.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    fn expect(&mut self, holds: bool, invariant: u8, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violate(invariant, &what());
        }
    }

    fn violate(&mut self, invariant: u8, what: &str) {
        if self.violations.len() < KEPT {
            self.violations.push(format!("invariant {invariant}: {what}"));
        } else {
            self.more += 1;
        }
    }

    /// Takes the next line of the journal, in commit order, as stored.
    pub fn line(&mut self, bytes: &[u8]) {
        let line: Line = match serde_json::from_slice(bytes) {
            Ok(line) => line,
            Err(error) => return self.violate(10, &format!("a line is not a journal line: {error}")),
        };
        let (seq, head) = self.seqs.get(&line.stream).copied().unwrap_or_default();
        self.expect(line.seq == seq + 1, 10, || format!("stream `{}` goes from {seq} to {}", line.stream, line.seq));
        self.expect(line.previous == head, 10, || format!("stream `{}` breaks its chain at {}", line.stream, line.seq));
        self.seqs.insert(line.stream.clone(), (line.seq, Line::hash(bytes)));
        for entry in &line.entries {
            self.entry(&line, entry);
            if let Err(error) = apply(&mut self.fold, line.at, entry) {
                self.violate(9, &format!("an entry does not apply: {error:?}"));
            }
        }
    }

    fn entry(&mut self, line: &Line, entry: &Entry) {
        match entry {
            Entry::PolicyPinned { digest, policy } => match serde_json::from_str::<Policy>(policy) {
                Ok(policy) => {
                    self.policies.insert(*digest, policy);
                }
                Err(error) => self.violate(9, &format!("a pinned policy can't be read: {error}")),
            },
            Entry::CordMoved { pulled, .. } => self.cord_pulled = *pulled,
            Entry::WaveOpened { wave, .. } => {
                let earlier_proven =
                    self.campaign(wave).is_some_and(|campaign| campaign.waves.iter().take(usize::from(wave.index)).all(|wave| wave.stage == WaveStage::Proven));
                self.expect(earlier_proven, 3, || format!("wave {wave} opened before an earlier one was proven"));
                let asks = self.campaign(wave).and_then(|campaign| self.policies.get(&campaign.policy)).is_some_and(|policy| policy.health.is_some());
                let healthy = self.campaign(wave).and_then(|campaign| campaign.health.as_deref()).is_some_and(|health| health.is_yes(wave.index, line.at));
                self.expect(!asks || healthy, 13, || format!("wave {wave} opened although nobody said that all is well"));
            }
            Entry::WaveProven { wave } => {
                let baked = self.campaign(wave).and_then(|campaign| campaign.wave(wave.index)).is_some_and(|wave| match wave.stage {
                    WaveStage::Baking { until, .. } => line.at >= until,
                    // A wave that nobody was left in.
                    WaveStage::Sealed => true,
                    _ => false,
                });
                self.expect(baked, 3, || format!("wave {wave} was proven before it was baked"));
            }
            Entry::BatchPlanned { batch, step, members, grants, backup, .. } => {
                let open = self
                    .campaign(&batch.cell.wave)
                    .and_then(|campaign| campaign.wave(batch.cell.wave.index))
                    .is_some_and(|wave| matches!(wave.stage, WaveStage::Open { .. }));
                self.expect(open, 2, || format!("batch {batch} was planned in a wave that is not open"));
                for member in members {
                    let key = batch.target(&member.instance);
                    let before = self.leases.insert(key.clone(), batch.clone());
                    self.expect(before.is_none(), 1, || format!("{key} is in batch {batch} and in {before:?}"));
                }
                self.expect(*step != RunStep::Install || self.are_backed_up(batch, members, backup, line.at), 2, || {
                    format!("batch {batch} was planned to install hosts that nobody backs up")
                });
                for grant in grants {
                    let granted = self.grants.entry(grant.scope.clone()).or_default();
                    *granted += grant.count;
                    let granted = *granted;
                    self.expect(granted <= grant.limit, 4, || format!("{granted} targets at once in {}, at most {}", grant.scope, grant.limit));
                }
            }
            Entry::Sending { batch, step, generation, at, clearance } => self.sending(line, batch, *step, *generation, *at, clearance),
            Entry::SendPutOff { batch, .. } | Entry::ScanDue { batch, .. } | Entry::BackedUp { batch, .. } => {
                self.open_sends.remove(batch);
                self.late_sends.remove(batch);
            }
            Entry::Sent { batch, generation, .. } => {
                let late = self.late_sends.get(batch) == Some(generation);
                self.expect(!late, 11, || format!("batch {batch} was sent although its intent was written after the stop cord was pulled"));
            }
            Entry::CancelAsked(asked) => {
                let cord = self.cord_pulled;
                self.expect(cord, 11, || format!("invocations of batch {} were cancelled although the stop cord is not pulled", asked.batch));
            }
            Entry::Released { batch, outcomes } => {
                let mut freed = Vec::new();
                for outcome in outcomes {
                    let key = batch.target(&outcome.instance);
                    let lease = self.leases.remove(&key);
                    self.expect(lease.as_ref() == Some(batch), 1, || format!("{key} left batch {batch} but was held by {lease:?}"));
                    if outcome.count != Count::Counted {
                        freed.push(outcome.instance.clone());
                    }
                    if let (Some(Verdict::Remediated), Standing::Compliant) = (outcome.verdict, &outcome.to) {
                        self.remediated(&key);
                    }
                }
                self.give_back(batch, &freed);
                // What a send that is still open may do is unknown: nobody may leave then, unless it is proven absent.
                let open = self.batch(batch).is_some_and(|batch| matches!(batch.phase, BatchPhase::Sending { .. }));
                let answered = outcomes.iter().all(|outcome| !matches!(outcome.to, Standing::Retrying { .. }) || outcome.verdict.is_some());
                self.expect(!open || answered, 1, || format!("members left batch {batch} while its send was open"));
            }
            Entry::Stranded { batch, members, .. } => {
                let newly: Vec<InstanceId> = members
                    .iter()
                    .filter(|instance| {
                        self.batch(batch).is_some_and(|batch| batch.members.iter().any(|member| member.member.instance == **instance && !member.stranded))
                    })
                    .cloned()
                    .collect();
                self.give_back(batch, &newly);
            }
            Entry::Moved { target, to: Standing::Compliant, verdict: Some(Verdict::Remediated), .. } => self.remediated(target),
            Entry::Bulk(BulkEntry::Listed { account, region, hosts, enrolled: true, .. }) => {
                for host in hosts {
                    let key = TargetKey { account: *account, region: region.clone(), instance: host.instance.clone() };
                    let leased = self.leases.get(&key).cloned();
                    self.expect(leased.is_none(), 1, || format!("{key} joined a bulk run while batch {leased:?} holds it"));
                    let cut = self.waits_in_a_cut(&key);
                    self.expect(cut.is_none(), 1, || format!("{key} joined a bulk run although campaign {cut:?} has it in a wave"));
                }
            }
            Entry::Enrolled { target, .. } => {
                let leased = self.leases.contains_key(target);
                self.expect(!leased, 1, || format!("{target} was enrolled while a batch holds it"));
            }
            _ => {}
        }
    }

    /// Whether everybody whose policy asks for a backup gets one now or has a young one.
    fn are_backed_up(&self, batch: &BatchId, members: &[CellMember], backup: &[InstanceId], now: tidegate_events::Timestamp) -> bool {
        let rule = self.campaign(&batch.cell.wave).and_then(|campaign| self.policies.get(&campaign.policy)).and_then(|policy| policy.backup.as_ref());
        let Some(rule) = rule else { return true };
        let is_young = |instance: &InstanceId| match self.fold.items.get(&Key::target(&batch.target(instance))) {
            Some(State::Target(target)) => target.backed_up_at.is_some_and(|at| crate::desk::secs_between(at, now) < i64::from(rule.reuse_secs)),
            _ => false,
        };
        members.iter().all(|member| backup.contains(&member.instance) || is_young(&member.instance))
    }

    fn sending(
        &mut self,
        line: &Line,
        batch: &BatchId,
        step: RunStep,
        generation: u32,
        at: tidegate_events::Timestamp,
        clearance: &tidegate_events::entry::ClearanceRecord,
    ) {
        let bulk = self.campaign(&batch.cell.wave).and_then(|campaign| campaign.bulk.as_ref().zip(campaign.wave(batch.cell.wave.index)));
        let dry = bulk.is_some_and(|(bulk, _)| bulk.dry_run);
        let only_scans = bulk.and_then(|(bulk, wave)| bulk.wave(&wave.name)).is_some_and(|wave| wave.operation == Operation::Scan);
        self.expect(!dry, 12, || format!("batch {batch} of a dry run was sent"));
        self.expect(!only_scans || step == RunStep::Scan, 12, || format!("batch {batch} was sent to {step}, and its wave only scans"));
        let proves = self.batch(batch).is_some_and(|batch| crate::sending::proves(batch, step));
        let is_safe = |member: &BatchMember| matches!(member.backup, None | Some(Backup::Ended(InvocationStatus::Success)));
        let safe = step == RunStep::Backup || self.batch(batch).is_none_or(|batch| batch.present().all(is_safe));
        self.expect(safe, 2, || format!("batch {batch} was sent to {step} before all of it was backed up"));
        let open = self.open_sends.insert(batch.clone(), generation);
        self.expect(open.is_none(), 1, || format!("batch {batch} was sent again as {generation} while {open:?} was open"));
        self.expect(at == line.at, 2, || format!("batch {batch} is signed with another time than its intent's"));
        // Whoever decided before the pull may still write its intent after it, and reads the cord again before it sends.
        let epoch = match self.fold.items.get(&Key::organization()) {
            Some(State::Organization(organization)) => organization.cord_epoch,
            _ => 0,
        };
        if self.cord_pulled && clearance.cord_epoch < epoch {
            self.late_sends.insert(batch.clone(), generation);
        } else {
            let cord = self.cord_pulled;
            self.expect(!cord, 11, || format!("batch {batch} began to be sent although the stop cord is pulled"));
        }
        if proves {
            return;
        }
        let wave = &batch.cell.wave;
        let halted = matches!(self.fold.items.get(&Key::lane(&wave.campaign.lane)), Some(State::Lane(lane)) if lane.halted.is_some());
        self.expect(!halted, 4, || format!("batch {batch} was sent although its lane is halted"));
        let digest = self.campaign(wave).and_then(|campaign| campaign.wave(wave.index)).map(|wave| wave.digest);
        self.expect(digest == Some(clearance.digest), 2, || format!("batch {batch} was sent under the clearance of another wave"));
        self.expect(at <= clearance.not_after, 2, || format!("batch {batch} was sent after its clearance had ended"));
        let Some(policy) = self.campaign(wave).and_then(|campaign| self.policies.get(&campaign.policy)).cloned() else {
            return self.violate(2, &format!("batch {batch} was sent under no known policy"));
        };
        let people: BTreeSet<String> = clearance.approved_by.iter().map(|person| person.as_str().to_ascii_lowercase()).collect();
        self.expect(u32::try_from(people.len()).unwrap_or(0) >= policy.approvals_needed(), 2, || {
            format!("batch {batch} was sent with {} of {} approvals", people.len(), policy.approvals_needed())
        });
        let frozen = freeze::active(&policy.freezes, at).map(|freeze| freeze.name.clone());
        self.expect(frozen.is_none(), 5, || format!("batch {batch} was sent in freeze {frozen:?}"));
        let in_window = match window::look(&policy.windows, at) {
            Ok(Opening::Always) => true,
            Ok(Opening::Open { cutoff_at, .. }) => at < cutoff_at,
            Ok(Opening::Closed { .. }) | Err(_) => false,
        };
        self.expect(in_window, 5, || format!("batch {batch} was sent outside its window"));
    }

    /// The cut campaign that a target waits in, where it does.
    fn waits_in_a_cut(&self, key: &TargetKey) -> Option<String> {
        let Some(Standing::Enrolled { campaign }) = self.target(key).map(|target| &target.standing) else { return None };
        match self.fold.items.get(&Key::campaign(campaign)) {
            Some(State::Campaign(of)) if matches!(of.phase, CampaignPhase::Cut | CampaignPhase::Running { .. }) => Some(campaign.to_string()),
            _ => None,
        }
    }

    /// Remediated only on three proofs: an invocation that succeeded, a scan that was read, and Config's own word.
    fn remediated(&mut self, key: &TargetKey) {
        let Some(target) = self.target(key) else { return self.violate(8, &format!("{key} was remediated but is not known")) };
        let config = target.facts.first().is_some_and(|fact| fact.compliance == Compliance::Compliant && matches!(fact.source, FactSource::ConfigRule(_)));
        let batch = target.batches.first().and_then(|id| self.batch(id));
        let member = batch.and_then(|batch| batch.members.iter().find(|member| member.member.instance == key.instance));
        let ran = member.is_some_and(|member| matches!(member.ran, Some((InvocationStatus::Success, _))));
        let scanned = member.is_some_and(|member| member.scanned == Some(InvocationStatus::Success));
        let after = match (target.facts.first(), member.and_then(|member| member.ran)) {
            (Some(fact), Some((_, Some(ended_at)))) => fact.ordering >= ended_at,
            _ => false,
        };
        // Where Config is the only witness there is no scan.
        let by_config = batch
            .and_then(|batch| self.campaign(&batch.id.cell.wave))
            .and_then(|campaign| self.policies.get(&campaign.policy))
            .is_some_and(|policy| policy.entry().proof == Proof::ConfigVerdict);
        let scanned = scanned || by_config;
        self.expect(config && ran && scanned && after, 8, || {
            format!("{key} was remediated without three proofs (config {config}, ran {ran}, scanned {scanned}, in order {after})")
        });
    }

    fn give_back(&mut self, id: &BatchId, freed: &[InstanceId]) {
        let Some(batch) = self.batch(id).cloned() else { return self.violate(9, &format!("batch {id} is not known")) };
        let members: Vec<_> = batch.members.iter().filter(|member| freed.contains(&member.member.instance)).collect();
        for grant in &batch.grants {
            let back = members.iter().filter(|member| crate::blast_radius::binds(&grant.scope, &member.member)).count();
            let granted = self.grants.entry(grant.scope.clone()).or_default();
            let enough = *granted >= back as u64;
            *granted = granted.saturating_sub(back as u64);
            self.expect(enough, 4, || format!("batch {id} gave back more of {} than was granted", grant.scope));
        }
    }

    /// When everything has settled: tallies are the sums, nothing is leased or granted without a batch that explains it.
    pub fn at_rest(&mut self) {
        let granted: Vec<(Scope, u64)> = self.grants.iter().filter(|(_, granted)| **granted > 0).map(|(scope, granted)| (scope.clone(), *granted)).collect();
        let counted: BTreeMap<Key, i64> =
            self.fold.counters.iter().filter(|(key, _)| key.as_str().starts_with(Key::GRANTS)).map(|(key, value)| (key.clone(), *value)).collect();
        let ours: BTreeMap<Key, i64> = granted.iter().map(|(scope, granted)| (Key::grant(scope), i64::try_from(*granted).unwrap_or(i64::MAX))).collect();
        self.expect(counted == ours, 6, || format!("grants are {counted:?}, counted again {ours:?}"));
        let held: BTreeMap<TargetKey, BatchId> = self.targets().filter_map(|target| target.lease.clone().map(|batch| (target.key.clone(), batch))).collect();
        let same = held == self.leases;
        self.expect(same, 6, || "the leases of the targets are not those that batches hold".into());
        let count = |cell: &Cell, at: SeatAt| (cell.at(at).count() + cell.at(SeatAt::Contradicted).count()) as u64;
        let cells: Vec<(CellId, u64, u64)> = self
            .fold
            .items
            .values()
            .filter_map(|state| match state {
                State::Cell(cell) => Some((cell.id.clone(), count(cell, SeatAt::Ok), count(cell, SeatAt::Bad))),
                _ => None,
            })
            .collect();
        let mut sums: BTreeMap<Key, i64> = BTreeMap::new();
        for (cell, ok, bad) in cells {
            for (field, by) in [(crate::key::Tally::Ok, ok), (crate::key::Tally::Bad, bad)] {
                if by > 0 {
                    *sums.entry(Key::tally(&cell.wave, field)).or_default() += i64::try_from(by).unwrap_or(0);
                }
            }
        }
        let tallied: BTreeMap<Key, i64> = self
            .fold
            .counters
            .iter()
            .filter(|(key, _)| key.as_str().starts_with("tally/") && (key.as_str().ends_with("/ok") || key.as_str().ends_with("/bad")))
            .map(|(key, value)| (key.clone(), *value))
            .collect();
        self.expect(sums == tallied, 6, || format!("tallies are {tallied:?}, the sum of the cells is {sums:?}"));
    }

    /// Compares a stored item with the fold (invariant 9): byte for byte.
    pub fn same(&mut self, key: &Key, body: &[u8]) {
        let folded = self.fold.items.get(key).and_then(|state| serde_json::to_vec(state).ok());
        let same = folded.as_deref() == Some(body);
        self.expect(same, 9, || format!("`{key}` is not what its journal folds into"));
    }

    fn campaign(&self, wave: &WaveId) -> Option<&Campaign> {
        match self.fold.items.get(&Key::campaign(&wave.campaign)) {
            Some(State::Campaign(campaign)) => Some(campaign),
            _ => None,
        }
    }

    fn batch(&self, id: &BatchId) -> Option<&Batch> {
        match self.fold.items.get(&Key::batch(id)) {
            Some(State::Batch(batch)) => Some(batch),
            _ => None,
        }
    }

    fn target(&self, key: &TargetKey) -> Option<&Target> {
        match self.fold.items.get(&Key::target(key)) {
            Some(State::Target(target)) => Some(target),
            _ => None,
        }
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.fold.items.values().filter_map(|state| match state {
            State::Target(target) => Some(target.as_ref()),
            _ => None,
        })
    }
}
