//! Sending without an idempotency token: the intent is written first, only the winner of that write sends, once, and what
//! is sent is fixed here, by pure code.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::entry::{Count, Outcome, RunStep, Standing};
use tidegate_events::id::{BatchId, InstanceId, SnapshotId};
use tidegate_events::{Entry, Hold};

use crate::desk::{Desk, Missing, later, secs_between};
use crate::gate::{self, Clearance, TIMEOUT_MIN_SECS};
use crate::policy::{Policy, RebootMode};
use crate::state::{Batch, BatchPhase};

/// Delivery time-out where no window's cutoff bounds it, in seconds.
const DELIVERY_SECS: i64 = 3600;
/// Delivery time-out of a scan, in seconds: who does not take it soon is looked after separately.
const SCAN_DELIVERY_SECS: i64 = 900;
/// Execution time-out of a scan, in seconds.
const SCAN_EXECUTION_SECS: u32 = 1800;

/// How often a scan that the stop cord holds looks whether it still does, in seconds.
const CORD_AGAIN_SECS: i64 = 3600;

/// The parameters that every command of a campaign shares; part of what is approved.
pub fn parameters_of(policy: &Policy, snapshot: &SnapshotId) -> BTreeMap<String, Vec<String>> {
    parameters(RunStep::Install, reboot_option(policy), snapshot)
}

/// The `RebootOption` of installs under a policy.
pub fn reboot_option(policy: &Policy) -> &'static str {
    match policy.reboot {
        RebootMode::InCommand => "RebootIfNeeded",
        RebootMode::Separate | RebootMode::Never => "NoReboot",
    }
}

/// The parameters of `AWS-RunPatchBaseline` for one step. The reboot step is an Install that may reboot under the same
/// snapshot: the set that it approves is installed already, so that only the pending reboot is left to do; and no other
/// document needs to be allowed in the spoke.
pub fn parameters(step: RunStep, reboot_option: &str, snapshot: &SnapshotId) -> BTreeMap<String, Vec<String>> {
    let operation = if step == RunStep::Scan { "Scan" } else { "Install" };
    let reboot = match step {
        RunStep::Install => reboot_option,
        RunStep::Reboot => "RebootIfNeeded",
        RunStep::Scan => "NoReboot",
    };
    [("Operation", operation), ("RebootOption", reboot), ("SnapshotId", snapshot.as_str())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
        .collect()
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
    /// The document.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
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
    let Some(entry) = crate::catalog::entry(&policy.remediation) else {
        return Err(Missing::Corrupt(format!("catalog entry `{}` is not known", policy.remediation)));
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
                let execution = policy.execution_timeout_secs;
                let timeout = clearance.cutoff_at().map_or(DELIVERY_SECS, |cutoff| secs_between(desk.now(), cutoff) - i64::from(execution)).min(DELIVERY_SECS);
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
    let (mut document, mut parameters) = (entry.document.clone(), parameters(step, &batch.reboot_option, &batch.snapshot));
    crate::bulk::documents::put(&campaign, batch.platform, step, &mut document, &mut parameters);
    desk.record(Entry::Sending { batch: id.clone(), step, generation, at: now, clearance: record })?;
    Ok(Some(SendOrder {
        lease: LeaseProof { batch: id.clone(), generation },
        clearance,
        step,
        document,
        parameters,
        instances: batch.instances(),
        marker: batch.marker(step, generation),
        timeout_secs: u32::try_from(timeout_secs).unwrap_or(u32::MAX),
        execution_timeout_secs,
        at: now,
    }))
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
        RunStep::Install | RunStep::Scan => Standing::Enrolled { campaign: batch.id.cell.wave.campaign.clone() },
    };
    let outcomes = batch
        .present()
        .map(|member| Outcome { instance: member.member.instance.clone(), verdict: None, to: back.clone(), count: Count::Again, why: hold.to_string() })
        .collect();
    crate::batch::release(desk, &batch.id, outcomes)?;
    crate::cell::hold(desk, &batch.id.cell, hold)
}
