//! One SSM command's worth of targets: sent, watched, scanned, judged, released. It holds its targets' leases while it runs,
//! and no clock takes them away.

use jiff::Timestamp;
use tidegate_events::action::{NoticeKind, Nudge};
use tidegate_events::entry::{ConfirmStep, Count, Outcome, RunStep, Standing};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Compliance, FactSource, Invocation, InvocationStatus, PatchState, Verdict};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{BatchId, CommandId, InstanceId};
use tidegate_events::{Action, Entry, Hold};

use crate::bulk::scan;
use crate::campaign::notice;
use crate::catalog::{Proof, Runner};
use crate::decide;
use crate::desk::{Desk, Missing, later};
use crate::key::Key;
use crate::policy::{Policy, RebootMode};
use crate::sending::proves;
use crate::state::{Backup, Batch, BatchMember, BatchPhase};
use crate::verdict::{Judgement, judge};
use crate::{backup, bulk, retry, sending, stopping, target};

/// How long after the last end a scan follows, in seconds: the agent reports, and a reboot settles.
const SCAN_AFTER_SECS: i64 = 60;
/// How long after a scan its patch states are read, and read again, in seconds.
const PROOF_AFTER_SECS: i64 = 30;
/// Patch states are read so often before they count as unknown.
const PROOF_READS_MAX: u32 = 4;
/// A scan that ran and failed is tried so often before its target counts as unknown for good.
const SCAN_TRIES_MAX: u32 = 3;
/// Wait before a scan that could not be delivered is tried again, in seconds; doubles up to a day.
const STRANDED_SECS: i64 = 3600;
/// Wait after a throttled send, in seconds; doubles up to 16 times that.
const THROTTLED_SECS: i64 = 30;
/// Complete searches that must find nothing before a send is repeated.
const SEARCHES_MIN: u32 = 2;
/// A send older than this is not searchable any more (SSM keeps 30 days): a person must look. In seconds.
const SEARCHABLE_SECS: i64 = 25 * 24 * 3600;

/// Moves a batch as far as it can go now.
///
/// # Errors
/// When something is not loaded.
pub fn advance(desk: &mut Desk<'_>, id: &BatchId) -> Result<(), Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(()) };
    let now = desk.now();
    match &batch.phase {
        BatchPhase::Ready { step, at, .. } if *at <= now => desk.ask(Action::Send { batch: id.clone(), step: *step }),
        // Too old to be searched: it stays held, and a person must look. While the cord is pulled nothing waits for its turn: what
        // is found early is adopted early; only that nothing was found proves nothing yet.
        BatchPhase::Sending { search_at, at, step, .. }
            if crate::desk::secs_between(*at, now) <= SEARCHABLE_SECS && (*search_at <= now || stopping::pulled(desk, *step)?.is_some()) =>
        {
            desk.ask(Action::Search(id.clone()));
        }
        BatchPhase::Sent { command, look_at, step, .. } if *look_at <= now || stopping::pulled(desk, *step)?.is_some() => {
            desk.ask(Action::ReadInvocations { batch: id.clone(), command: command.clone() })
        }
        BatchPhase::Proving { at, .. } if *at <= now => match policy_of(desk, &batch)?.entry().proof {
            Proof::PatchState => desk.ask(Action::ReadPatchStates(id.clone())),
            Proof::ConfigVerdict => desk.ask(Action::ReadVerdicts(id.clone())),
        },
        BatchPhase::Stranded { .. } => {
            desk.need(&batch.present().map(|member| Key::target(&id.target(&member.member.instance))).collect::<Vec<_>>())?;
            desk.record(Entry::ScanDue { batch: id.clone(), at: now })?;
            desk.ask(Action::Send { batch: id.clone(), step: RunStep::Scan });
        }
        _ => {}
    }
    Ok(())
}

/// An event about the batch's command: it is looked at once, soon, however many events say so.
///
/// # Errors
/// When something is not loaded.
pub fn on_status(desk: &mut Desk<'_>, id: &BatchId, command: &CommandId, status: InvocationStatus) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("its batch is gone")) };
    match &batch.phase {
        BatchPhase::Sent { command: current, look_at, .. } if current == command && status.is_final() => {
            let at = desk.after(2);
            if *look_at > at {
                desk.record(Entry::LookSoon { batch: id.clone(), at })?;
                return Ok(decide::Outcome::Accepted);
            }
            Ok(decide::Outcome::Duplicate)
        }
        BatchPhase::Sent { command: current, .. } if current == command => Ok(decide::Outcome::ignored("the command is not at its end")),
        _ => Ok(decide::Outcome::ignored("its batch is not waiting for this command: the tick looks at it in any case")),
    }
}

/// SSM answered a send, or did not.
///
/// # Errors
/// When something is not loaded.
pub fn on_sent(desk: &mut Desk<'_>, id: &BatchId, generation: u32, outcome: &SendOutcome) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Sending { step, .. } = batch.phase else { return Ok(decide::Outcome::Duplicate) };
    if generation != batch.generation {
        return Ok(decide::Outcome::ignored("the answer to an older send"));
    }
    match outcome {
        SendOutcome::Accepted { command, expires_at } => sent(desk, &batch, step, command, *expires_at, false)?,
        SendOutcome::Throttled => {
            let wait = THROTTLED_SECS << batch.generation.min(4);
            let again_at = desk.after(wait);
            desk.record(Entry::SendPutOff { batch: id.clone(), hold: Hold::SpokeClosed { why: "the API throttled us".into() }, again_at })?;
        }
        SendOutcome::InvalidInstances { named } => invalid(desk, &batch, step, named)?,
        SendOutcome::Denied { why } => denied(desk, &batch, step, why)?,
        SendOutcome::Refused { why } if proves(&batch, step) => strand(desk, &batch, batch.instances(), why)?,
        SendOutcome::Refused { why } => {
            let policy = policy_of(desk, &batch)?;
            let outcomes = fail_all(desk, policy, &batch, &batch.instances_of(step), Verdict::Failed, &format!("SSM refused the {step}: {why}"))?;
            match step {
                RunStep::Backup => backup::go_on(desk, &batch, Vec::new(), outcomes)?,
                _ => release(desk, id, outcomes)?,
            }
        }
        // INVARIANT (one writer per target): nothing is sent again before a search has proven that nothing was sent.
        SendOutcome::Ambiguous { .. } => {}
    }
    Ok(decide::Outcome::Accepted)
}

fn sent(desk: &mut Desk<'_>, batch: &Batch, step: RunStep, command: &CommandId, expires_at: Timestamp, adopted: bool) -> Result<(), Missing> {
    desk.need(&[Key::command(batch.id.cell.account, &batch.id.cell.region, command), Key::organization()])?;
    desk.record(Entry::Sent { batch: batch.id.clone(), step, generation: batch.generation, command: command.clone(), expires_at, adopted })?;
    // The cord was pulled while it was on its way: it is cancelled as soon as its invocations show.
    if stopping::pulled(desk, step)?.is_some() {
        let at = desk.after(2);
        desk.record(Entry::LookSoon { batch: batch.id.clone(), at })?;
    }
    Ok(())
}

/// The whole call failed on ids that SSM does not know: the named ones leave, the rest is sent again. Where nobody is
/// named, half of the batch leaves for another one, until the wrong one is alone.
fn invalid(desk: &mut Desk<'_>, batch: &Batch, step: RunStep, named: &[InstanceId]) -> Result<(), Missing> {
    let present = batch.instances();
    let mut wrong: Vec<InstanceId> = present.iter().filter(|instance| named.contains(instance)).cloned().collect();
    if wrong.is_empty() && present.len() == 1 {
        wrong.clone_from(&present);
    }
    let why = "Systems Manager does not know it any more";
    let outcomes: Vec<Outcome> = if wrong.is_empty() && proves(batch, step) {
        // A scan is not split: those that ran must be judged together with their command.
        return strand(desk, batch, present, "SSM refused the scan and named nobody");
    } else if wrong.is_empty() {
        let back = match batch.step {
            RunStep::Reboot => Standing::PendingReboot { cell: batch.id.cell.clone() },
            _ => Standing::Enrolled { campaign: batch.id.cell.wave.campaign.clone() },
        };
        let half = present.len() / 2;
        let leaving = present.into_iter().skip(half.max(1));
        leaving
            .map(|instance| Outcome {
                instance,
                verdict: None,
                to: back.clone(),
                count: Count::Again,
                why: "SSM refused the batch and named nobody: it is tried in halves".into(),
            })
            .collect()
    } else {
        let count = |instance: &InstanceId| match (proves(batch, step), stranded(batch, instance)) {
            (_, true) => Count::Counted,
            (true, false) => Count::Bad,
            _ => Count::Dropped,
        };
        wrong
            .iter()
            .map(|instance| Outcome {
                instance: instance.clone(),
                verdict: None,
                to: Standing::Unmanaged { why: why.into() },
                count: count(instance),
                why: why.into(),
            })
            .collect()
    };
    let all = outcomes.len() == batch.present().count();
    release(desk, &batch.id, outcomes)?;
    if !all {
        let again_at = desk.now();
        desk.record(Entry::SendPutOff {
            batch: batch.id.clone(),
            hold: Hold::Doubt { what: "SSM refused some ids; the rest is sent again".into() },
            again_at,
        })?;
        desk.ask(Action::Send { batch: batch.id.clone(), step });
    }
    Ok(())
}

fn stranded(batch: &Batch, instance: &InstanceId) -> bool {
    batch.members.iter().any(|member| member.member.instance == *instance && member.stranded)
}

/// A spoke that can't be entered makes its targets unreachable: outside the budget before anything was dispatched.
fn denied(desk: &mut Desk<'_>, batch: &Batch, step: RunStep, why: &str) -> Result<(), Missing> {
    desk.ask(notice(
        NoticeKind::SpokeClosed,
        &format!("{}/{}", batch.id.cell.account, batch.id.cell.region),
        format!("the spoke does not let us in: {why}"),
        desk.now(),
    ));
    if proves(batch, step) {
        return strand(desk, batch, batch.instances(), why);
    }
    let to = target::unreachable(desk, why, 0);
    let outcomes = batch
        .present()
        .map(|member| Outcome { instance: member.member.instance.clone(), verdict: None, to: to.clone(), count: Count::Dropped, why: why.to_owned() })
        .collect();
    release(desk, &batch.id, outcomes)
}

/// The send was withheld after its intent was written: nothing was sent.
///
/// # Errors
/// When something is not loaded.
pub fn on_withheld(desk: &mut Desk<'_>, id: &BatchId, generation: u32, hold: &Hold) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Sending { step, .. } = batch.phase else { return Ok(decide::Outcome::Duplicate) };
    if generation != batch.generation {
        return Ok(decide::Outcome::ignored("about an older send"));
    }
    if proves(&batch, step) {
        let again_at = desk.after(300);
        desk.record(Entry::SendPutOff { batch: id.clone(), hold: hold.clone(), again_at })?;
    } else {
        sending::give_up(desk, &batch, hold.clone())?;
    }
    Ok(decide::Outcome::Accepted)
}

/// A search for a command that may have been accepted: found, it is adopted; two complete searches that find nothing prove
/// that nothing was sent.
///
/// # Errors
/// When something is not loaded.
pub fn on_searched(
    desk: &mut Desk<'_>,
    id: &BatchId,
    generation: u32,
    found: &Result<Option<(CommandId, Timestamp)>, SpokeFault>,
) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Sending { step, searches, at, .. } = batch.phase else { return Ok(decide::Outcome::Duplicate) };
    if generation != batch.generation {
        return Ok(decide::Outcome::ignored("about an older send"));
    }
    match found {
        Ok(Some((command, expires_at))) => sent(desk, &batch, step, command, *expires_at, true)?,
        // SSM's own index may lag behind: it was looked early since the cord is pulled.
        Ok(None) if desk.now() < later(at, crate::apply::SEARCH_AFTER_SECS) => desk.record(Entry::SearchedInVain { batch: id.clone(), searches })?,
        Ok(None) if searches.saturating_add(1) >= SEARCHES_MIN => {
            let again_at = desk.now();
            let hold = Hold::Doubt { what: "two complete searches found no trace of the send; it is sent again".into() };
            desk.record(Entry::SendPutOff { batch: id.clone(), hold, again_at })?;
            desk.ask(Action::Send { batch: id.clone(), step });
        }
        Ok(None) => desk.record(Entry::SearchedInVain { batch: id.clone(), searches: searches.saturating_add(1) })?,
        // An incomplete search proves nothing: it is repeated.
        Err(_) => desk.record(Entry::SearchedInVain { batch: id.clone(), searches })?,
    }
    Ok(decide::Outcome::Accepted)
}

/// The invocations of the command were read.
///
/// # Errors
/// When something is not loaded.
pub fn on_invocations(desk: &mut Desk<'_>, id: &BatchId, command: &CommandId, seen: &Result<Vec<Invocation>, SpokeFault>) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Sent { step, command: current, expires_at, .. } = &batch.phase else { return Ok(decide::Outcome::Duplicate) };
    if current != command {
        return Ok(decide::Outcome::ignored("about an older command"));
    }
    let (step, expires_at) = (*step, *expires_at);
    let no_answer = Vec::new();
    let seen = seen.as_ref().unwrap_or(&no_answer);
    let open = |member: &&BatchMember| match step {
        RunStep::Scan => member.scanned.is_none(),
        RunStep::Backup => member.backup == Some(Backup::Due),
        _ => member.ran.is_none(),
    };
    let ended: Vec<Invocation> = batch
        .present()
        .filter(open)
        .filter_map(|member| seen.iter().find(|seen| seen.instance == member.member.instance && seen.status.is_final()).cloned())
        .collect();
    let expired = desk.now() > later(expires_at, 60);
    if !ended.is_empty() {
        desk.record(Entry::InvocationsEnded { batch: id.clone(), ended })?;
    } else if !expired {
        // Read in vain (too early, or no answer): again in a minute, then in the usual rhythm.
        let at = desk.after(60);
        desk.record(Entry::InvocationsEnded { batch: id.clone(), ended: Vec::new() })?;
        desk.record(Entry::LookSoon { batch: id.clone(), at })?;
    }
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::Accepted) };
    let waiting = batch.present().filter(open).count();
    let is_automation = step == RunStep::Backup || policy_of(desk, &batch)?.entry().runner == Runner::Automation;
    if waiting > 0 && expired && is_automation {
        // SSM ends a command by itself when its time is over; an execution goes on until somebody stops it.
        let instances = batch.present().filter(open).map(|member| member.member.instance.clone()).collect();
        desk.ask(Action::Cancel { batch: id.clone(), command: command.clone(), instances });
    }
    if waiting == 0 || expired {
        match step {
            RunStep::Scan => scanned(desk, &batch)?,
            RunStep::Backup => backup::ended(desk, &batch)?,
            _ => ran(desk, &batch)?,
        }
    } else if let Some(pull) = stopping::pulled(desk, step)?.filter(|pull| !is_automation || pull.kill) {
        // An execution stops as a whole, with what runs of it: that is what pulling the cord to kill means.
        stopping::cancel(desk, &batch, command, seen, &pull)?;
    }
    Ok(decide::Outcome::Accepted)
}

/// Install or reboot have ended (or expired). Those that never ran fail at once; all others are scanned, whatever they
/// reported: a failure may be false, and a time-out may still have run.
fn ran(desk: &mut Desk<'_>, batch: &Batch) -> Result<(), Missing> {
    let never: Vec<InstanceId> =
        batch.present().filter(|member| member.ran.is_some_and(|(status, _)| !status.may_have_run())).map(|member| member.member.instance.clone()).collect();
    let policy = policy_of(desk, batch)?;
    let mut outcomes = stopping::back(batch);
    outcomes.extend(fail_all(desk, policy, batch, &never, Verdict::Failed, "the command never ran on it")?);
    let all = outcomes.len() == batch.present().count();
    if !outcomes.is_empty() {
        release(desk, &batch.id, outcomes)?;
    }
    if !all {
        let keys: Vec<Key> = batch.present().map(|member| Key::target(&batch.id.target(&member.member.instance))).collect();
        desk.need(&keys)?;
        if policy.entry().proof == Proof::ConfigVerdict {
            return crate::verdicts::wait(desk, &batch.id, 0);
        }
        let at = desk.after(SCAN_AFTER_SECS);
        desk.record(Entry::ScanDue { batch: batch.id.clone(), at })?;
    }
    Ok(())
}

/// The scan has ended. Those that took it are judged by their patch state; the others wait for another scan.
fn scanned(desk: &mut Desk<'_>, batch: &Batch) -> Result<(), Missing> {
    let at = desk.after(PROOF_AFTER_SECS);
    if batch.present().any(|member| member.scanned == Some(InvocationStatus::Success)) {
        return desk.record(Entry::ProofDue { batch: batch.id.clone(), at, reads: 0 });
    }
    unscanned(desk, batch)
}

/// What becomes of members whose scan did not succeed.
fn unscanned(desk: &mut Desk<'_>, batch: &Batch) -> Result<(), Missing> {
    if batch.step == RunStep::Scan {
        // Nothing was installed: nobody needs to be held until a later scan.
        let outcomes = scan::missed(desk, batch)?;
        return if outcomes.is_empty() { Ok(()) } else { release(desk, &batch.id, outcomes) };
    }
    let tries = batch.scan_tries;
    let (hopeless, waiting): (Vec<&BatchMember>, Vec<&BatchMember>) =
        batch.present().filter(|member| member.scanned != Some(InvocationStatus::Success)).partition(|member| {
            let took_it = member
                .scanned
                .is_some_and(|status| matches!(status, InvocationStatus::Failed | InvocationStatus::ExecutionTimedOut | InvocationStatus::Cancelled));
            took_it && tries.saturating_add(1) >= SCAN_TRIES_MAX
        });
    let hopeless: Vec<InstanceId> = hopeless.iter().map(|member| member.member.instance.clone()).collect();
    let waiting: Vec<InstanceId> = waiting.iter().map(|member| member.member.instance.clone()).collect();
    if !hopeless.is_empty() {
        let policy = policy_of(desk, batch)?;
        let outcomes = fail_all(desk, policy, batch, &hopeless, Verdict::Unknown, "its scan failed again and again")?;
        release(desk, &batch.id, outcomes)?;
    }
    if waiting.is_empty() { Ok(()) } else { strand(desk, batch, waiting, "its scan was not delivered") }
}

/// Members that can't be scanned now keep their lease: nobody knows what the last command left, or still does.
fn strand(desk: &mut Desk<'_>, batch: &Batch, members: Vec<InstanceId>, _why: &str) -> Result<(), Missing> {
    let tries = batch.scan_tries.saturating_add(1);
    let keys: Vec<Key> = members.iter().map(|instance| Key::target(&batch.id.target(instance))).collect();
    desk.need(&keys)?;
    desk.cell(&batch.id.cell)?;
    let again_at = desk.after((STRANDED_SECS << tries.saturating_sub(1).min(5)).min(86_400));
    desk.record(Entry::Stranded { batch: batch.id.clone(), members, again_at, tries })?;
    after_release(desk, &batch.id)
}

/// The patch states after the scan were read: the second proof.
///
/// # Errors
/// When something is not loaded.
pub fn on_patch_states(desk: &mut Desk<'_>, id: &BatchId, seen: &Result<Vec<PatchState>, SpokeFault>) -> Result<decide::Outcome, Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::ignored("not known")) };
    let BatchPhase::Proving { scan_at, reads, .. } = batch.phase else { return Ok(decide::Outcome::Duplicate) };
    let reads = reads.saturating_add(1);
    let policy = policy_of(desk, &batch)?;
    let keys: Vec<Key> = batch.present().map(|member| Key::target(&id.target(&member.member.instance))).collect();
    desk.need(&keys)?;
    let mut outcomes = Vec::new();
    let mut unread = 0usize;
    for member in batch.present().filter(|member| member.scanned == Some(InvocationStatus::Success)) {
        let instance = &member.member.instance;
        let state = seen.as_ref().ok().and_then(|seen| seen.iter().find(|state| state.instance == *instance));
        let ran = member.ran.map(|(status, _)| status);
        if batch.step == RunStep::Scan {
            match scan::judged(desk, &batch, instance, state, scan_at, reads >= PROOF_READS_MAX)? {
                Some(outcome) => outcomes.push(outcome),
                None => unread += 1,
            }
            continue;
        }
        match judge(ran, state, scan_at, &batch.snapshot) {
            Judgement::ReadAgain if reads < PROOF_READS_MAX => unread += 1,
            Judgement::ReadAgain => outcomes.push(fail(desk, policy, &batch, member, Verdict::Unknown, "no patch state of its scan ever appeared")?),
            Judgement::Hopeless(verdict, why) => outcomes.push(Outcome {
                instance: instance.clone(),
                verdict: Some(verdict),
                to: quarantine(policy, why),
                count: counted(member, Count::Bad),
                why: why.into(),
            }),
            Judgement::Proven(verdict, why) => outcomes.push(proven(desk, policy, &batch, member, state, verdict, why)?),
        }
    }
    if !outcomes.is_empty() {
        release(desk, id, outcomes)?;
    }
    if unread > 0 {
        let at = desk.after(PROOF_AFTER_SECS);
        desk.record(Entry::ProofDue { batch: id.clone(), at, reads })?;
        return Ok(decide::Outcome::Accepted);
    }
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(decide::Outcome::Accepted) };
    if batch.present().next().is_some() {
        unscanned(desk, &batch)?;
    }
    Ok(decide::Outcome::Accepted)
}

pub(crate) fn counted(member: &BatchMember, count: Count) -> Count {
    if member.stranded { Count::Counted } else { count }
}

fn proven(
    desk: &Desk<'_>,
    policy: &Policy,
    batch: &Batch,
    member: &BatchMember,
    state: Option<&PatchState>,
    verdict: Verdict,
    why: &str,
) -> Result<Outcome, Missing> {
    let instance = member.member.instance.clone();
    let cell = batch.id.cell.clone();
    let proven_at = state.map_or(desk.now(), |state| state.started_at);
    let wave = &batch.id.cell.wave;
    let reboot = desk.campaign(&wave.campaign)?.map_or(policy.reboot, |campaign| bulk::orders(policy, campaign, wave.index).reboot);
    let (to, verdict, count) = match verdict {
        Verdict::PatchedUnconfirmed | Verdict::FalseFailure => {
            // What Config counts from: the end on the instance, or for time-outs the scan that found it installed.
            let installed_at = member.ran.and_then(|(_, ended_at)| ended_at).unwrap_or(proven_at);
            let facts = desk.target(&batch.id.target(&instance))?.map(|target| target.facts.clone()).unwrap_or_default();
            match facts.first() {
                Some(fact) if fact.compliance == Compliance::Compliant && fact.ordering >= installed_at && matches!(fact.source, FactSource::ConfigRule(_)) => {
                    (Standing::Compliant, target::confirmed(Some(verdict)), Count::Ok)
                }
                Some(fact) if fact.compliance == Compliance::NonCompliant && fact.ordering > proven_at && !fact.source.is_copy() => {
                    return fail(desk, policy, batch, member, Verdict::FalseSuccess, target::contradiction(&fact.source));
                }
                _ => (Standing::PatchedUnconfirmed { cell, installed_at, proven_at, lag: None }, verdict, Count::Ok),
            }
        }
        Verdict::PendingReboot if reboot == RebootMode::Separate && batch.step == RunStep::Install && !member.stranded => {
            (Standing::PendingReboot { cell }, verdict, Count::Again)
        }
        Verdict::PendingReboot if reboot == RebootMode::Never => (Standing::PendingReboot { cell }, verdict, Count::Ok),
        _ => return fail(desk, policy, batch, member, verdict, why),
    };
    Ok(Outcome { instance, verdict: Some(verdict), to, count: counted(member, count), why: why.to_owned() })
}

fn quarantine(policy: &Policy, why: &str) -> Standing {
    Standing::Quarantined { owner: policy.retry.owner.clone(), why: why.to_owned() }
}

pub(crate) fn fail(desk: &Desk<'_>, policy: &Policy, batch: &Batch, member: &BatchMember, verdict: Verdict, why: &str) -> Result<Outcome, Missing> {
    let instance = member.member.instance.clone();
    let attempts = desk.target(&batch.id.target(&instance))?.map_or(0, |target| target.attempts);
    let to = retry::after_failure(&policy.retry, attempts, desk.now(), why);
    Ok(Outcome { instance, verdict: Some(verdict), to, count: counted(member, Count::Bad), why: why.to_owned() })
}

pub(crate) fn fail_all(
    desk: &Desk<'_>,
    policy: &Policy,
    batch: &Batch,
    instances: &[InstanceId],
    verdict: Verdict,
    why: &str,
) -> Result<Vec<Outcome>, Missing> {
    let keys: Vec<Key> = instances.iter().map(|instance| Key::target(&batch.id.target(instance))).collect();
    desk.need(&keys)?;
    batch.present().filter(|member| instances.contains(&member.member.instance)).map(|member| fail(desk, policy, batch, member, verdict, why)).collect()
}

pub(crate) fn policy_of<'a>(desk: &Desk<'a>, batch: &Batch) -> Result<&'a Policy, Missing> {
    let campaign =
        desk.campaign(&batch.id.cell.wave.campaign)?.ok_or_else(|| Missing::Corrupt(format!("the campaign of batch `{}` is not there", batch.id)))?;
    let digest = campaign.policy;
    desk.effective(&digest)
}

/// An instance of this batch was terminated: it leaves. Had it been touched, the wave counts it as failed.
///
/// # Errors
/// When something is not loaded.
pub fn on_gone(desk: &mut Desk<'_>, id: &BatchId, instance: &InstanceId) -> Result<(), Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(()) };
    let Some(member) = batch.present().find(|member| member.member.instance == *instance) else { return Ok(()) };
    if matches!(batch.phase, BatchPhase::Sending { .. }) {
        // Whether the command reached it is being found out; the scan will meet an id that SSM does not know.
        return Ok(());
    }
    let untouched = match batch.phase {
        BatchPhase::Ready { step, .. } => !proves(&batch, step),
        BatchPhase::Sent { step, .. } => step == RunStep::Backup,
        _ => false,
    };
    let count = counted(member, if untouched { Count::Dropped } else { Count::Bad });
    let verdict = (!untouched && !member.stranded).then_some(Verdict::Unknown);
    let outcome = Outcome { instance: instance.clone(), verdict, to: Standing::Gone, count, why: "EC2 says that it is terminated".into() };
    release(desk, id, vec![outcome])
}

/// Lets members go with what became of them, and tells the cell when it matters.
///
/// # Errors
/// When something is not loaded.
pub fn release(desk: &mut Desk<'_>, id: &BatchId, outcomes: Vec<Outcome>) -> Result<(), Missing> {
    let keys: Vec<Key> = outcomes.iter().map(|outcome| Key::target(&id.target(&outcome.instance))).collect();
    desk.need(&keys)?;
    desk.cell(&id.cell)?;
    // One notice for all of them: every action is an item of the transaction.
    let quarantined = outcomes.iter().filter_map(|outcome| match &outcome.to {
        Standing::Quarantined { owner, .. } => Some((owner.clone(), outcome.instance.to_string())),
        _ => None,
    });
    let (owners, names): (Vec<String>, Vec<String>) = quarantined.unzip();
    if let Some(owner) = owners.first() {
        let message = format!("{} targets are out of attempts, {owner} must look: {}", names.len(), names.join(", "));
        desk.ask(notice(NoticeKind::Quarantined, &id.to_string(), message, desk.now()));
    }
    let bad = outcomes.iter().any(|outcome| outcome.count == Count::Bad);
    let late = outcomes.iter().any(|outcome| outcome.count == Count::Counted && matches!(outcome.to, Standing::PatchedUnconfirmed { .. }));
    desk.record(Entry::Released { batch: id.clone(), outcomes })?;
    if bad {
        desk.ask(Action::Nudge(Nudge::Campaign(id.cell.wave.campaign.clone())));
    }
    if late && desk.cell(&id.cell)?.is_some_and(|cell| cell.done && cell.confirm.is_none()) {
        let at = desk.after(crate::cell::SILENCE_SECS);
        desk.record(Entry::CellConfirming { cell: id.cell.clone(), next: ConfirmStep::Reevaluate, at })?;
    }
    after_release(desk, id)
}

fn after_release(desk: &mut Desk<'_>, id: &BatchId) -> Result<(), Missing> {
    let Some(batch) = desk.batch(id)?.cloned() else { return Ok(()) };
    if batch.present().next().is_none() {
        desk.record(Entry::BatchEnded { batch: id.clone() })?;
    }
    if batch.present().all(|member| member.stranded) {
        desk.ask(Action::Nudge(Nudge::Cell(id.cell.clone())));
        desk.ask(Action::Nudge(Nudge::Campaign(id.cell.wave.campaign.clone())));
    }
    Ok(())
}
