//! Sending without an idempotency token: the intent is written first, only the winner of that write sends, once, and what
//! is sent is fixed here, by pure code.

use jiff::Timestamp;
use tidegate_events::entry::{Count, Outcome, RunStep, Standing};
use tidegate_events::host::Platform;
use tidegate_events::id::{BatchId, CellId, Digest, InstanceId, SnapshotId};
use tidegate_events::{Entry, Hold};

use crate::backup;
use crate::catalog::{Fill, Job, JobFault, Proof, Runner};
use crate::desk::{Desk, Missing, later, secs_between};
use crate::gate::{self, Clearance, TIMEOUT_MIN_SECS};
use crate::policy::{Policy, RebootMode};
use crate::state::{Batch, BatchPhase};

/// Delivery time-out where no window's cutoff bounds it, in seconds.
const DELIVERY_SECS: i64 = 3600;
/// Delivery time-out of a scan, in seconds: who does not take it soon is looked after separately.
const SCAN_DELIVERY_SECS: i64 = 900;
/// How long a backup may take to begin, in seconds: no agent is waited for.
const BACKUP_DELIVERY_SECS: i64 = 300;
/// Execution time-out of a scan, in seconds.
const SCAN_EXECUTION_SECS: u32 = 1800;

/// How often a scan that the stop cord holds looks whether it still does, in seconds.
const CORD_AGAIN_SECS: i64 = 3600;

/// What a batch's command or execution runs for a step.
///
/// # Errors
/// When the policy's entry is not known, or says nothing to run: nothing is sent then.
pub fn job_of(policy: &Policy, wave: &str, batch: &Batch, step: RunStep) -> Result<Job, JobFault> {
    let CellId { account, region, .. } = &batch.id.cell;
    let fill = Fill { reboot_option: &batch.reboot_option, snapshot: &batch.snapshot, place: Some((*account, region)) };
    if let (RunStep::Backup, Some(rule)) = (step, &policy.backup) {
        return Ok(rule.job(&fill));
    }
    policy.entry().job(step, batch.platform, &policy.wish_for(wave, batch.platform), &fill)
}

/// What runs in a wave on a platform, step by step, account and Region left open, reboots left out where none is a step of its own: what people are shown, and
/// what they approve.
///
/// # Errors
/// As for [`job_of`].
pub fn jobs_of(policy: &Policy, wave: &str, platform: Platform, snapshot: &SnapshotId) -> Result<Vec<(RunStep, Job)>, JobFault> {
    let fill = Fill { reboot_option: reboot_option(policy), snapshot, place: None };
    let (entry, wish) = (policy.entry(), policy.wish_for(wave, platform));
    let steps: &[RunStep] = match (entry.runner, entry.proof) {
        (Runner::Report, _) => &[],
        (_, Proof::ConfigVerdict) => &[RunStep::Install],
        (_, Proof::PatchState) if policy.reboot == RebootMode::Separate => &[RunStep::Install, RunStep::Reboot, RunStep::Scan],
        (_, Proof::PatchState) => &[RunStep::Install, RunStep::Scan],
    };
    let backup = policy.backup.iter().filter(|_| !steps.is_empty()).map(|rule| Ok((RunStep::Backup, rule.job(&fill))));
    backup.chain(steps.iter().map(|step| Ok((*step, entry.job(*step, platform, &wish, &fill)?)))).collect()
}

/// The `RebootOption` of installs under a policy.
pub fn reboot_option(policy: &Policy) -> &'static str {
    match policy.reboot {
        RebootMode::InCommand => "RebootIfNeeded",
        RebootMode::Separate | RebootMode::Never => "NoReboot",
    }
}

/// Proof that a batch holds the leases of its targets for one send. Only [`start`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseProof {
    batch: BatchId,
    generation: u32,
}

impl LeaseProof {
    /// The batch.
    pub fn batch(&self) -> &BatchId {
        &self.batch
    }
    /// Which send of it.
    pub fn generation(&self) -> u32 {
        self.generation
    }
}

/// A send that may happen once the intent is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOrder {
    /// The leases.
    pub lease: LeaseProof,
    /// The gates; a scan runs under the clearance of what it proves, and is exempt from window and freeze.
    pub clearance: Option<Clearance>,
    /// What runs.
    pub step: RunStep,
    /// Document and parameters, and what runs them.
    pub job: Job,
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// What a search finds it by.
    pub marker: String,
    /// Delivery time-out in seconds.
    pub timeout_secs: u32,
    /// Execution time-out in seconds.
    pub execution_timeout_secs: u32,
    /// Signing time.
    pub at: Timestamp,
    /// The idempotency token of an execution: the same for every send of one batch to the same instances, so that whatever
    /// happened to the first of them, there is one execution.
    pub token: String,
}

/// Whether a step is the scan that proves what the batch has installed; a batch that only scans goes through every gate.
pub fn proves(batch: &Batch, step: RunStep) -> bool {
    step == RunStep::Scan && batch.step != RunStep::Scan
}

/// Writes the intent to send a ready batch, or puts it off. `None`: nothing is to be sent (not ready, or held).
///
/// # Errors
/// When something is not loaded.
pub fn start(desk: &mut Desk<'_>, id: &BatchId, step: RunStep) -> Result<Option<SendOrder>, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(None) };
    let BatchPhase::Ready { step: ready, at, .. } = &batch.phase else { return Ok(None) };
    if *ready != step || *at > desk.now() {
        return Ok(None);
    }
    let Some(campaign) = desk.campaign(&id.cell.wave.campaign)?.cloned() else { return Ok(None) };
    let policy = desk.effective(&campaign.policy)?;
    let wave = campaign.wave(id.cell.wave.index).map(|wave| wave.name.as_str()).unwrap_or_default();
    let job = match job_of(policy, wave, &batch, step) {
        Ok(job) => job,
        // Only the current policy had asked for it, and does no longer: it is planned anew, which needs no person.
        Err(_) if step == RunStep::Backup => {
            give_up(desk, &batch, Hold::Doubt { what: "a backup was planned that no policy asks for any more".into() })?;
            return Ok(None);
        }
        // INVARIANT (doubt is no): what can't be said can't be sent.
        Err(fault) => {
            give_up(desk, &batch, Hold::NeedsPerson { what: format!("{fault}: change the policy or the catalog entry") })?;
            return Ok(None);
        }
    };
    if campaign.bulk.as_ref().is_some_and(|bulk| bulk.dry_run) {
        // INVARIANT (dry means dry): a dry run has no batches; should it ever have one, nothing is sent.
        return Ok(None);
    }
    let (clearance, timeout_secs, execution_timeout_secs) = if proves(&batch, step) {
        // INVARIANT (stop): a scan asks nothing of the other gates, but no intent at all is written while the cord is pulled.
        if let Some(by) = desk.organization()?.cord {
            let again_at = desk.after(CORD_AGAIN_SECS);
            desk.record(Entry::SendPutOff { batch: id.clone(), hold: Hold::CordPulled { by }, again_at })?;
            return Ok(None);
        }
        (None, SCAN_DELIVERY_SECS, SCAN_EXECUTION_SECS)
    } else {
        match gate::clear_wave(desk, &id.cell.wave)? {
            Ok(clearance) => {
                let (delivery, execution) = time_of(policy, step);
                let room = backup::room_secs(policy, step);
                let timeout = clearance.cutoff_at().map_or(delivery, |cutoff| secs_between(desk.now(), cutoff) - room).min(delivery);
                if timeout < TIMEOUT_MIN_SECS {
                    give_up(desk, &batch, Hold::Doubt { what: "too little time is left before the cutoff".into() })?;
                    return Ok(None);
                }
                (Some(clearance), timeout, execution)
            }
            Err(holds) => {
                give_up(desk, &batch, holds.into_iter().next().unwrap_or(Hold::Doubt { what: "a gate said no".into() }))?;
                return Ok(None);
            }
        }
    };
    let generation = batch.generation.saturating_add(1);
    let now = desk.now();
    let record = match &clearance {
        Some(clearance) => clearance.record().clone(),
        None => scan_record(desk, &batch)?,
    };
    desk.record(Entry::Sending { batch: id.clone(), step, generation, at: now, clearance: record })?;
    Ok(Some(SendOrder {
        lease: LeaseProof { batch: id.clone(), generation },
        clearance,
        step,
        job,
        instances: batch.instances_of(step),
        marker: batch.marker(step, generation),
        token: token(&batch, step),
        timeout_secs: u32::try_from(timeout_secs).unwrap_or(u32::MAX),
        execution_timeout_secs,
        at: now,
    }))
}

/// The idempotency token of an execution: a UUID, as the API asks for. Generations are no part of it: what was sent before and
/// may have been accepted is what a later send must not repeat.
pub fn token(batch: &Batch, step: RunStep) -> String {
    let head = ["token".to_owned(), batch.id.to_string(), step.to_string()];
    let instances = batch.instances_of(step);
    Digest::of_parts(head.iter().map(String::as_bytes).chain(instances.iter().map(|instance| instance.as_str().as_bytes()))).as_snapshot().to_string()
}

/// How long a step may take to begin, and then to end, in seconds.
fn time_of(policy: &Policy, step: RunStep) -> (i64, u32) {
    match (step, &policy.backup) {
        (RunStep::Backup, Some(rule)) => (BACKUP_DELIVERY_SECS, rule.timeout_secs),
        _ => (DELIVERY_SECS, policy.execution_timeout_secs),
    }
}

/// When an execution of a step that was sent at this time is given up on.
pub fn expires_at(policy: &Policy, step: RunStep, at: Timestamp) -> Timestamp {
    let (delivery, execution) = time_of(policy, step);
    later(at, delivery + i64::from(execution))
}

/// A scan goes under the clearance of the wave that it proves: what the journal keeps of it.
fn scan_record(desk: &Desk<'_>, batch: &Batch) -> Result<tidegate_events::entry::ClearanceRecord, Missing> {
    let wave = &batch.id.cell.wave;
    let digest = desk.campaign(&wave.campaign)?.and_then(|campaign| campaign.wave(wave.index)).map(|wave| wave.digest).unwrap_or_default();
    Ok(tidegate_events::entry::ClearanceRecord {
        digest,
        cord_epoch: desk.organization()?.cord_epoch,
        lane_epoch: desk.lane(&wave.campaign.lane)?.epoch,
        approved_by: Vec::new(),
        not_after: later(desk.now(), gate::CLEARANCE_SECS),
    })
}

/// Whether what was read again, after the intent was committed, still says yes. A scan asks nothing of the gates but the
/// stop cord.
///
/// # Errors
/// When something is not loaded.
pub fn still_cleared(desk: &Desk<'_>, order: &SendOrder) -> Result<Result<(), Hold>, Missing> {
    let Some(clearance) = &order.clearance else {
        return Ok(match desk.organization()?.cord {
            Some(by) => Err(Hold::CordPulled { by }),
            None => Ok(()),
        });
    };
    match gate::clear_wave(desk, &order.lease.batch.cell.wave)? {
        Ok(again) if again.record().cord_epoch != clearance.record().cord_epoch || again.record().lane_epoch != clearance.record().lane_epoch => {
            Ok(Err(Hold::Doubt { what: "the stop cord or the lane moved in between".into() }))
        }
        Ok(_) => Ok(Ok(())),
        Err(holds) => Ok(Err(holds.into_iter().next().unwrap_or(Hold::Doubt { what: "a gate said no".into() }))),
    }
}

/// A batch that may not go gives everything back at once: leases and grants must not wait for a window or a person.
///
/// # Errors
/// When something is not loaded.
pub fn give_up(desk: &mut Desk<'_>, batch: &Batch, hold: Hold) -> Result<(), Missing> {
    let back = match batch.step {
        RunStep::Reboot => Standing::PendingReboot { cell: batch.id.cell.clone() },
        RunStep::Install | RunStep::Scan | RunStep::Backup => Standing::Enrolled { campaign: batch.id.cell.wave.campaign.clone() },
    };
    let outcomes = batch
        .present()
        .map(|member| Outcome { instance: member.member.instance.clone(), verdict: None, to: back.clone(), count: Count::Again, why: hold.to_string() })
        .collect();
    crate::batch::release(desk, &batch.id, outcomes)?;
    crate::cell::hold(desk, &batch.id.cell, hold)
}
