//! A batch that only scans: what became of each member. Nothing is installed, so that there is no attempt and no verdict; a
//! finding that a member had stays open, and what the scan newly finds comes back as AWS Config's own finding.

use jiff::Timestamp;
use tidegate_events::entry::{Count, Outcome, Standing};
use tidegate_events::fact::{Compliance, InvocationStatus, PatchState};
use tidegate_events::id::InstanceId;

use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::state::Batch;
use crate::verdict::{Judgement, judge};

/// What a read patch state makes of a scanned member; `None`: it is not there yet, and read again (unless `for_good`).
///
/// # Errors
/// When something is not loaded.
pub fn judged(
    desk: &Desk<'_>,
    batch: &Batch,
    instance: &InstanceId,
    state: Option<&PatchState>,
    scan_at: Timestamp,
    for_good: bool,
) -> Result<Option<Outcome>, Missing> {
    let (count, why) = match judge(Some(InvocationStatus::Success), state, scan_at, &batch.snapshot) {
        Judgement::ReadAgain if !for_good => return Ok(None),
        Judgement::ReadAgain => (Count::Bad, "no patch state of its scan ever appeared".to_owned()),
        Judgement::Proven(..) | Judgement::Hopeless(..) => (Count::Ok, found(state)),
    };
    Ok(Some(Outcome { instance: instance.clone(), verdict: None, to: back(desk, batch, instance)?, count, why }))
}

/// Members whose scan did not succeed: they count against the wave, and stand where their findings put them.
///
/// # Errors
/// When something is not loaded.
pub fn missed(desk: &Desk<'_>, batch: &Batch) -> Result<Vec<Outcome>, Missing> {
    let missed: Vec<&InstanceId> =
        batch.present().filter(|member| member.scanned != Some(InvocationStatus::Success)).map(|member| &member.member.instance).collect();
    let keys: Vec<Key> = missed.iter().map(|instance| Key::target(&batch.id.target(instance))).collect();
    desk.need(&keys)?;
    missed
        .into_iter()
        .map(|instance| {
            let why = "its scan did not succeed".to_owned();
            Ok(Outcome { instance: instance.clone(), verdict: None, to: back(desk, batch, instance)?, count: Count::Bad, why })
        })
        .collect()
}

/// Where a member goes: with a finding to the collecting campaign, without one to where nothing is owed.
fn back(desk: &Desk<'_>, batch: &Batch, instance: &InstanceId) -> Result<Standing, Missing> {
    let open = desk.target(&batch.id.target(instance))?.and_then(|target| target.fact()).is_some_and(|fact| fact.compliance == Compliance::NonCompliant);
    Ok(if open { Standing::Retrying { not_before: desk.now() } } else { Standing::Compliant })
}

fn found(state: Option<&PatchState>) -> String {
    match state {
        Some(state) if state.is_clean() => "scanned: nothing is missing".to_owned(),
        Some(state) => format!("scanned: {} missing, {} failed, {} pending a reboot", state.missing, state.failed, state.pending_reboot),
        None => "scanned".to_owned(),
    }
}
