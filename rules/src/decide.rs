//! The product on one screen: an event comes to the aggregate that it concerns, which decides on what lies on the desk.

use tidegate_events::Action;
use tidegate_events::action::Nudge;
use tidegate_events::event::{Answer, Event};
use tidegate_events::fact::InvocationStatus;

use crate::catalog::PATCH_COMPLIANCE;
use crate::desk::{Desk, Missing};
use crate::{approval, batch, bulk, campaign, cell, control, deadline, exemption, health, lane, mirror, schedule, target, verdicts};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It changed what we know.
    Accepted,
    /// Known already: redelivered, or a second emitter of the same fact.
    Duplicate,
    /// Older than what is known.
    Stale {
        /// Than what.
        why: String,
    },
    /// Understood, not ours.
    Ignored {
        /// Why.
        why: String,
    },
    /// It can't be taken.
    Rejected {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// A refusal with its reason.
    pub fn rejected(why: String) -> Self {
        Self::Rejected { why }
    }

    /// Ignored, with the reason.
    pub fn ignored(why: impl Into<String>) -> Self {
        Self::Ignored { why: why.into() }
    }

    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Stale { .. } => "stale",
            Self::Ignored { .. } => "ignored",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The reason, where there is one.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Accepted | Self::Duplicate => None,
            Self::Stale { why } | Self::Ignored { why } | Self::Rejected { why } => Some(why),
        }
    }
}

/// Decides what an event means. Nothing is done here: entries, changed items and actions are on the desk afterwards.
///
/// # Errors
/// When something that the decision needs is not on the desk: load it, and decide again from the start.
pub fn decide(desk: &mut Desk<'_>, event: &Event) -> Result<Outcome, Missing> {
    match event {
        Event::Finding { target, fact } => target::on_finding(desk, PATCH_COMPLIANCE, target, fact),
        Event::FindingOf { resource_type, target, fact } => target::on_finding(desk, resource_type, target, fact),
        Event::InstanceChanged { target, state, .. } => target::on_instance_state(desk, target, *state),
        Event::CommandChanged { account, region, command, status } => match desk.batch_of(*account, region, command)? {
            Some(id) => batch::on_status(desk, &id, command, *status),
            None => Ok(Outcome::ignored("a command that Tidegate did not send")),
        },
        // One look per batch follows the end of the whole command; a single invocation only hurries it when it went wrong.
        Event::InvocationChanged { target, command, status } => match desk.batch_of(target.account, &target.region, command)? {
            Some(_) if matches!(status, InvocationStatus::Success | InvocationStatus::Pending | InvocationStatus::InProgress) => {
                Ok(Outcome::ignored("one invocation of a command: the command's own end is what counts"))
            }
            Some(id) => batch::on_status(desk, &id, command, *status),
            None => Ok(Outcome::ignored("an invocation of a command that Tidegate did not send")),
        },
        // One look per batch follows the end of the whole execution, never those of its single targets.
        Event::AutomationChanged { account, region, execution, status } => match desk.batch_of(*account, region, &execution.as_command())? {
            Some(id) => batch::on_status(desk, &id, &execution.as_command(), status.as_invocation()),
            None => Ok(Outcome::ignored("an automation execution that Tidegate did not start")),
        },
        Event::CalendarChanged { calendar, open, at, turns_at } => lane::on_calendar(desk, calendar, *open, *at, *turns_at),
        Event::Cord { pulled, kill, by, comment } => lane::on_cord(desk, *pulled, *kill, by, comment),
        Event::Steer(steer) => control::steer(desk, steer),
        Event::Retry(retry) => control::retry(desk, retry),
        Event::KevLoaded(load) => deadline::on_loaded(desk, load),
        Event::Approval(approval) => approval::take(desk, approval),
        Event::RunAsked(asked) => bulk::ask::on_asked(desk, asked),
        Event::RunStopped { asked, by, comment } => bulk::stop::on_stopped(desk, asked, by, comment),
        Event::LaneResumed { lane, by, comment } => lane::resume(desk, lane, by, comment),
        // A tick is the engine's: it looks up what is due and nudges each. Here it finds what no item is due for yet.
        Event::Tick { .. } => {
            schedule::on_tick(desk)?;
            deadline::tell(desk)?;
            exemption::announce(desk)?;
            mirror::review(desk)?;
            Ok(Outcome::Accepted)
        }
        Event::Nudge(nudge) => nudged(desk, nudge),
        Event::Answer(answer) => answered(desk, answer),
    }
}

fn nudged(desk: &mut Desk<'_>, nudge: &Nudge) -> Result<Outcome, Missing> {
    match nudge {
        Nudge::Campaign(id) => campaign::advance(desk, id)?,
        Nudge::Cell(id) => cell::advance(desk, id)?,
        Nudge::Batch(id) => batch::advance(desk, id)?,
        Nudge::Target(key) => target::advance(desk, key)?,
        Nudge::Organization => schedule::advance(desk)?,
        Nudge::Mirror(account, region) => desk.ask(Action::Mirror { account: *account, region: region.clone(), instances: Vec::new() }),
    }
    Ok(Outcome::Accepted)
}

fn answered(desk: &mut Desk<'_>, answer: &Answer) -> Result<Outcome, Missing> {
    match answer {
        Answer::Listed { campaign, members, chunks } => campaign::on_listed(desk, campaign, *members, *chunks),
        Answer::Described(described) => campaign::on_described(desk, described),
        Answer::NodesListed { campaign, account, region, found, ous } => {
            bulk::ask::on_nodes(desk, &bulk::ask::Spoke { campaign, account: *account, region }, found, ous)
        }
        Answer::Partitioned { campaign, waves, inventory } => campaign::on_partitioned(desk, campaign, waves, inventory),
        Answer::Sent { batch, generation, outcome } => batch::on_sent(desk, batch, *generation, outcome),
        Answer::Withheld { batch, generation, hold } => batch::on_withheld(desk, batch, *generation, hold),
        Answer::Searched { batch, generation, found } => batch::on_searched(desk, batch, *generation, found),
        Answer::Invocations { batch, command, seen } => batch::on_invocations(desk, batch, command, seen),
        Answer::PatchStates { batch, seen } => batch::on_patch_states(desk, batch, seen),
        Answer::Verdicts { batch, read } => verdicts::on_read(desk, batch, read),
        Answer::Reevaluated { cell, outcome } => cell::on_reevaluated(desk, cell, outcome),
        Answer::ComplianceRead { cell, asked, seen } => cell::on_compliance_read(desk, cell, asked, seen),
        Answer::LookedAt { target, found } => target::on_looked_at(desk, target, found),
        Answer::Health { wave, asked_at, alarms, away } => health::on_told(desk, &health::Told { wave, asked_at: *asked_at, alarms, away: away.as_ref() }),
        Answer::Mirrored { account, region, calls } => mirror::on_told(desk, *account, region, calls),
    }?;
    Ok(Outcome::Accepted)
}
