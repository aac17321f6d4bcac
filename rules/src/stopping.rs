//! What the stop cord does to a command that was sent: who has not got it yet does not get it any more, and who runs it is left to
//! end, unless the cord was pulled to kill.

use tidegate_events::control::Cancelling;
use tidegate_events::entry::{Count, Outcome, RunStep, Standing};
use tidegate_events::fact::{Invocation, InvocationStatus};
use tidegate_events::id::{CommandId, InstanceId};
use tidegate_events::{Action, Entry};

use crate::desk::{Desk, Missing};
use crate::state::{Backup, Batch, BatchMember, BatchPhase, Pull};

/// How soon a command is looked at again of which something waits to be cancelled, in seconds.
const AGAIN_SECS: i64 = 10;

/// The pull of the cord that concerns this step. A scan changes nothing on a host: one that was sent goes on.
///
/// # Errors
/// When the organization is not loaded.
pub fn pulled(desk: &Desk<'_>, step: RunStep) -> Result<Option<Pull>, Missing> {
    if step == RunStep::Scan { Ok(None) } else { Ok(desk.organization()?.pull) }
}

/// Invocations were read while the cord is pulled.
///
/// # Errors
/// When something is not loaded.
pub fn cancel(desk: &mut Desk<'_>, batch: &Batch, command: &CommandId, seen: &[Invocation], pull: &Pull) -> Result<(), Missing> {
    let status = |member: &&BatchMember| seen.iter().find(|seen| seen.instance == member.member.instance).map(|seen| seen.status);
    let backs_up = matches!(batch.phase, BatchPhase::Sent { step: RunStep::Backup, .. });
    let is_open = |member: &&BatchMember| if backs_up { member.backup == Some(Backup::Due) } else { member.ran.is_none() };
    let open: Vec<&BatchMember> = batch.present().filter(is_open).collect();
    let named = |members: &[&BatchMember]| -> Vec<InstanceId> { members.iter().map(|member| member.member.instance.clone()).collect() };
    let waiting: Vec<&BatchMember> = open.iter().copied().filter(|member| status(member) == Some(InvocationStatus::Pending)).collect();
    let running: Vec<&BatchMember> = open.iter().copied().filter(|member| pull.kill && status(member) == Some(InvocationStatus::InProgress)).collect();
    let unseen = open.iter().any(|member| status(member).is_none());
    let undelivered = named(&waiting.iter().copied().filter(|member| !member.cancelled).collect::<Vec<_>>());
    let killed = named(&running.iter().copied().filter(|member| !member.killed).collect::<Vec<_>>());
    if !undelivered.is_empty() || !killed.is_empty() {
        desk.record(Entry::CancelAsked(Cancelling { batch: batch.id.clone(), command: command.clone(), undelivered, running: killed }))?;
    }
    // Asked again as long as it has not come about: nobody guarantees a cancel.
    let instances: Vec<InstanceId> = named(&waiting).into_iter().chain(named(&running)).collect();
    if !instances.is_empty() {
        desk.ask(Action::Cancel { batch: batch.id.clone(), command: command.clone(), instances });
    } else if !unseen {
        return Ok(());
    }
    let at = desk.after(AGAIN_SECS);
    desk.record(Entry::LookSoon { batch: batch.id.clone(), at })
}

/// Whether a member was cancelled by us before it was delivered, and never ran: neither patched nor failed.
pub fn is_untouched(member: &BatchMember) -> bool {
    member.cancelled && member.ran == Some((InvocationStatus::Cancelled, None))
}

/// Untouched members go back to where they were: outside the failure budget, with no attempt spent.
pub fn back(batch: &Batch) -> Vec<Outcome> {
    let to = match batch.step {
        RunStep::Reboot => Standing::PendingReboot { cell: batch.id.cell.clone() },
        RunStep::Install | RunStep::Scan | RunStep::Backup => Standing::Enrolled { campaign: batch.id.cell.wave.campaign.clone() },
    };
    let untouched = batch.present().filter(|member| is_untouched(member));
    let why = "the stop cord cancelled its command before it was delivered";
    untouched.map(|member| Outcome { instance: member.member.instance.clone(), verdict: None, to: to.clone(), count: Count::Again, why: why.into() }).collect()
}
