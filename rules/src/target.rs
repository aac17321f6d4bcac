//! One target: what a fact about it means where it stands.

#[cfg(test)]
mod tests;

use tidegate_events::action::Nudge;
use tidegate_events::entry::Standing;
use tidegate_events::event::InstanceState;
use tidegate_events::fact::{Compliance, Fact, FactSource, Verdict};
use tidegate_events::host::{Host, Ping, SpokeFault};
use tidegate_events::id::TargetKey;
use tidegate_events::{Action, Entry};

use crate::catalog::{self, Runner};
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::state::Target;
use crate::{campaign, deadline, exemption, mirror, retry};

/// How long after a fruitless look an unreachable target is looked at again, in seconds; doubles up to a day.
const LOOK_AGAIN_SECS: i64 = 3600;
/// After so many fruitless looks a target is looked at once a week: an agent may come back without an event, and nobody is forgotten.
pub const LOOKS_MAX: u32 = 8;
/// How long that is, in seconds.
const WEEK_SECS: i64 = 7 * 86_400;

/// A Config rule, or another source, said something about a resource of this type: taken where the policy's catalog entry answers
/// it. What another entry answers is another lane's, and must not change what this one knows of the target.
///
/// # Errors
/// When something is not loaded.
pub fn on_finding(desk: &mut Desk<'_>, resource_type: &str, key: &TargetKey, fact: &Fact) -> Result<Outcome, Missing> {
    let entry = desk.policy().entry();
    if entry.answers(resource_type, rule_of(fact).as_deref()) {
        return on_fact(desk, key, fact);
    }
    Ok(Outcome::ignored(match catalog::for_finding(resource_type, rule_of(fact).as_deref()) {
        Some(other) => format!("catalog entry `{}` answers it, and the policy rolls out `{}`", other.name, entry.name),
        None => format!("{} judges resources of type `{resource_type}`, which catalog entry `{}` does not answer", fact.source, entry.name),
    }))
}

/// A compliance fact came in: judged first by itself (known? older?), then by where the target stands.
///
/// # Errors
/// When something is not loaded.
pub fn on_fact(desk: &mut Desk<'_>, key: &TargetKey, fact: &Fact) -> Result<Outcome, Missing> {
    if fact.compliance == Compliance::InsufficientData {
        // No verdict never takes the place of one: neither of what is known, nor of what is still on its way.
        return Ok(Outcome::ignored("AWS Config could not judge it, which says nothing"));
    }
    if fact.source == FactSource::PatchState && fact.compliance != Compliance::NonCompliant {
        return Ok(Outcome::ignored("a patch state opens findings, and closes none"));
    }
    let target = desk.target(key)?.cloned();
    if let Some(target) = &target {
        if target.facts.iter().any(|known| known.is_same_as(fact)) {
            return Ok(Outcome::Duplicate);
        }
        if let Some(newest) = target.fact().filter(|newest| !fact.is_newer_than(newest)) {
            if fact.echoes(newest) {
                return Ok(Outcome::Duplicate);
            }
            let at_first_hand = if fact.source.is_copy() && !newest.source.is_copy() { " at first hand" } else { "" };
            return Ok(Outcome::Stale { why: format!("{} as of {} is known{at_first_hand}", newest.compliance, newest.ordering) });
        }
    }
    desk.record(Entry::FactNoted { target: key.clone(), fact: fact.clone() })?;
    let target = target.unwrap_or_else(|| Target::new(key.clone()));
    // INVARIANT (one writer per target): while a batch holds the lease, a fact is kept and decided at its release.
    if target.lease.is_none() {
        match fact.compliance {
            Compliance::NonCompliant => on_non_compliant(desk, &target, fact)?,
            Compliance::Compliant | Compliance::NotApplicable => on_compliant(desk, &target, fact)?,
            Compliance::InsufficientData => {}
        }
    }
    if fact.compliance == Compliance::NonCompliant {
        deadline::note(desk, key)?;
    }
    Ok(Outcome::Accepted)
}

fn on_non_compliant(desk: &mut Desk<'_>, target: &Target, fact: &Fact) -> Result<(), Missing> {
    match &target.standing {
        Standing::Compliant => open(desk, &target.key, rule_of(fact)),
        // A copy is made anew every few hours, of old states too: it may begin something, but it contradicts no proof and
        // brings nobody back.
        _ if fact.source.is_copy() => Ok(()),
        Standing::Unreachable { .. } | Standing::Unmanaged { .. } => open(desk, &target.key, rule_of(fact)),
        // The proof was newer: this fact tells how it was before. It opens nothing.
        Standing::PatchedUnconfirmed { proven_at, .. } if fact.ordering <= *proven_at => Ok(()),
        // Nobody waits for Config's word on that attempt any more: this is a finding of its own.
        Standing::PatchedUnconfirmed { lag: Some(_), .. } => open(desk, &target.key, rule_of(fact)),
        Standing::PatchedUnconfirmed { cell, .. } => {
            // What the bake is for: a wave that two proofs had called good may still go over its budget.
            if desk.cell(cell)?.is_some() {
                desk.record(Entry::Contradicted { target: target.key.clone(), cell: cell.clone() })?;
                desk.ask(Action::Nudge(Nudge::Campaign(cell.wave.campaign.clone())));
            }
            let why = contradiction(&fact.source);
            let to = retry::after_failure(&desk.policy().retry, target.attempts, desk.now(), why);
            moved(desk, &target.key, to, Some(Verdict::FalseSuccess), why)
        }
        // Known already, or not to be touched: the loop guard for what our own installs cause (NoReboot).
        Standing::Enrolled { .. }
        | Standing::Retrying { .. }
        | Standing::Running { .. }
        | Standing::Verifying { .. }
        | Standing::PendingReboot { .. }
        | Standing::Exempt { .. }
        | Standing::Quarantined { .. }
        | Standing::Gone => Ok(()),
    }
}

/// What is said of a target that a newer fact calls non-compliant after two proofs had called it patched.
pub fn contradiction(source: &FactSource) -> &'static str {
    match source {
        FactSource::PatchState => "a later scan found it non-compliant after the one that had proven it",
        _ => "AWS Config found it non-compliant after the scan that had proven it",
    }
}

fn on_compliant(desk: &mut Desk<'_>, target: &Target, fact: &Fact) -> Result<(), Missing> {
    let why = format!("{} says {}", fact.source, fact.compliance);
    match &target.standing {
        Standing::PatchedUnconfirmed { installed_at, .. } => {
            // Config's own word is the third proof; SSM's event repeats what the scan has said.
            let confirms = fact.compliance == Compliance::Compliant && fact.ordering >= *installed_at && matches!(fact.source, FactSource::ConfigRule(_));
            if !confirms {
                return Ok(());
            }
            moved(desk, &target.key, Standing::Compliant, Some(confirmed(target.verdict)), &why)
        }
        // Nor is a copy's word enough to take back what a run of ours has found.
        Standing::PendingReboot { .. } | Standing::Quarantined { .. } if fact.source.is_copy() => Ok(()),
        // A bulk run takes compliant hosts too: nobody leaves it for being compliant.
        Standing::Enrolled { campaign } if desk.campaign(campaign)?.is_some_and(|campaign| campaign.bulk.is_some()) => Ok(()),
        Standing::Enrolled { .. }
        | Standing::Retrying { .. }
        | Standing::PendingReboot { .. }
        | Standing::Unreachable { .. }
        | Standing::Unmanaged { .. }
        | Standing::Quarantined { .. } => moved(desk, &target.key, Standing::Compliant, None, &why),
        Standing::Compliant | Standing::Running { .. } | Standing::Verifying { .. } | Standing::Exempt { .. } | Standing::Gone => Ok(()),
    }
}

/// What a confirmed attempt is called: a false failure keeps its name, since its first proof said no.
pub fn confirmed(verdict: Option<Verdict>) -> Verdict {
    match verdict {
        Some(Verdict::FalseFailure) => Verdict::FalseFailure,
        _ => Verdict::Remediated,
    }
}

fn rule_of(fact: &Fact) -> Option<String> {
    match &fact.source {
        FactSource::ConfigRule(name) => Some(name.clone()),
        FactSource::SsmCompliance | FactSource::SecurityHub(_) | FactSource::PatchState => None,
    }
}

/// A finding is opened: exempted by what is known so far, or put on the roster of the collecting campaign.
fn open(desk: &mut Desk<'_>, key: &TargetKey, rule: Option<String>) -> Result<(), Missing> {
    let policy = desk.policy();
    match exemption::of(&policy.exemptions, key, None, &[], desk.now()) {
        Some(exempt) => {
            mirror::ask_one(desk, key);
            moved(desk, key, exempt, None, "an exemption covers it")
        }
        None if policy.entry().runner == Runner::Report => {
            let why = format!("nothing mends it by itself: catalog entry `{}` {}", policy.entry().name, policy.entry().title);
            let to = Standing::Quarantined { owner: policy.retry.owner.clone(), why };
            moved(desk, key, to, None, "its catalog entry reports it")
        }
        None => campaign::enroll(desk, key, rule),
    }
}

/// A target gets another attempt: unless an exemption covers it by now, it joins the campaign that collects.
///
/// # Errors
/// When something is not loaded.
pub fn open_again(desk: &mut Desk<'_>, target: &Target) -> Result<(), Missing> {
    open(desk, &target.key, known_rule(target))
}

/// The rule that last found a target, from its newest fact.
pub(crate) fn known_rule(target: &Target) -> Option<String> {
    target.facts.iter().find_map(rule_of)
}

/// Time passed for a target that waits by itself.
///
/// # Errors
/// When something is not loaded.
pub fn advance(desk: &mut Desk<'_>, key: &TargetKey) -> Result<(), Missing> {
    let Some(target) = desk.target(key)?.cloned() else { return Ok(()) };
    deadline::look(desk, &target)?;
    if target.lease.is_some() {
        return Ok(());
    }
    match &target.standing {
        Standing::Retrying { not_before } if *not_before <= desk.now() => open(desk, key, known_rule(&target)),
        Standing::Exempt { until, .. } if *until <= desk.now() => freed(desk, &target, "its exemption ended and no finding is open"),
        // The policy has it no longer, or moved its end: whoever knows of that nudges the target.
        Standing::Exempt { .. } if exemption::behind(&desk.policy().exemptions, key, &target.standing).is_none() => {
            mirror::ask_one(desk, key);
            freed(desk, &target, "its exemption was withdrawn and no finding is open")
        }
        Standing::Unreachable { look_at, .. } if *look_at <= desk.now() => {
            desk.ask(Action::LookAt(key.clone()));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A target is no longer exempt: it is opened again where it is non-compliant.
fn freed(desk: &mut Desk<'_>, target: &Target, compliant: &str) -> Result<(), Missing> {
    match target.fact().map(|fact| fact.compliance) {
        Some(Compliance::NonCompliant) => open(desk, &target.key, known_rule(target)),
        _ => moved(desk, &target.key, Standing::Compliant, None, compliant),
    }
}

/// EC2 says that an instance changed its state. Best effort: only what is known is looked at.
///
/// # Errors
/// When something is not loaded.
pub fn on_instance_state(desk: &mut Desk<'_>, key: &TargetKey, state: InstanceState) -> Result<Outcome, Missing> {
    let Some(target) = desk.target(key)?.cloned() else {
        return Ok(Outcome::ignored("nothing is known of this instance"));
    };
    match (state, &target.standing) {
        (InstanceState::Terminated, Standing::Gone) => Ok(Outcome::Duplicate),
        (InstanceState::Terminated, _) => {
            // A leased target is released by its batch, which is told to look.
            match &target.lease {
                Some(batch) => crate::batch::on_gone(desk, batch, &key.instance)?,
                None => {
                    if matches!(target.standing, Standing::Exempt { .. }) {
                        mirror::ask_one(desk, key);
                    }
                    moved(desk, key, Standing::Gone, None, "EC2 says that it is terminated")?;
                }
            }
            Ok(Outcome::Accepted)
        }
        (InstanceState::Running, Standing::Unreachable { .. }) => {
            match &target.lease {
                Some(batch) => desk.ask(Action::Nudge(Nudge::Batch(batch.clone()))),
                None => desk.ask(Action::LookAt(key.clone())),
            }
            Ok(Outcome::Accepted)
        }
        _ => Ok(Outcome::ignored("a change of state that changes nothing for a finding")),
    }
}

/// A target that could not be reached was looked at again.
///
/// # Errors
/// When something is not loaded.
pub fn on_looked_at(desk: &mut Desk<'_>, key: &TargetKey, found: &Result<Option<Host>, SpokeFault>) -> Result<Outcome, Missing> {
    let Some(target) = desk.target(key)?.cloned() else { return Ok(Outcome::ignored("not known")) };
    let Standing::Unreachable { looks, why, .. } = &target.standing else { return Ok(Outcome::ignored("reachable meanwhile")) };
    if target.lease.is_some() {
        return Ok(Outcome::ignored("its batch looks after it"));
    }
    match found {
        Ok(Some(host)) if host.ping == Ping::Online => open(desk, key, known_rule(&target))?,
        Ok(Some(_)) => again(desk, key, why, *looks)?,
        Ok(None) => moved(desk, key, Standing::Unmanaged { why: "Systems Manager does not know it".into() }, None, "it was looked at again")?,
        Err(fault) => again(desk, key, &fault.to_string(), *looks)?,
    }
    Ok(Outcome::Accepted)
}

fn again(desk: &mut Desk<'_>, key: &TargetKey, why: &str, looks: u32) -> Result<(), Missing> {
    let to = unreachable(desk, why, looks.saturating_add(1));
    moved(desk, key, to, None, "it was looked at again in vain")
}

/// Unreachable, with the time of the next look: an hour, doubling up to a day, and then once a week, if no event or person asks
/// before.
pub fn unreachable(desk: &Desk<'_>, why: &str, looks: u32) -> Standing {
    let look_at = desk.after(if looks >= LOOKS_MAX { WEEK_SECS } else { (LOOK_AGAIN_SECS << looks.min(5)).min(86_400) });
    Standing::Unreachable { why: why.to_owned(), look_at, looks }
}

fn moved(desk: &mut Desk<'_>, key: &TargetKey, to: Standing, verdict: Option<Verdict>, why: &str) -> Result<(), Missing> {
    if let Standing::Quarantined { owner, why } = &to {
        desk.ask(campaign::notice(
            tidegate_events::action::NoticeKind::Quarantined,
            &key.to_string(),
            format!("quarantined, {owner} must look: {why}"),
            desk.now(),
        ));
    }
    desk.record(Entry::Moved { target: key.clone(), to, verdict, why: why.to_owned() })
}
