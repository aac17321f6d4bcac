//! Exemptions mirrored to AWS Config, where the policy asks for it: what Config is to be told of exempt targets, what it was told,
//! and when it is tried again. Nothing waits for it, and no verdict comes of it.
//!
//! Each account and Region has one item, so that a refusal is remembered once and not by every target. What is there is known from
//! the journal: an exception is put once, again where its end has moved, and taken back where the exemption is withdrawn. At its
//! end Config forgets it by itself.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::action::NoticeKind;
use tidegate_events::entry::Standing;
use tidegate_events::fact::Compliance;
use tidegate_events::id::{AccountId, Digest, InstanceId, Region, TargetKey};
use tidegate_events::mirror::{EXCEPTIONS_MAX, Excepted, ExceptionCall, ExceptionNote, ExceptionOutcome, Exceptions, MirrorFault, MirrorFaultKind, MirrorStep};
use tidegate_events::{Action, Entry};

use crate::apply::Book;
use crate::campaign::notice;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::exemption::{self, Told};
use crate::key::Key;
use crate::policy::Policy;
use crate::state::{State, Target};
use crate::target::known_rule;

/// When Config is asked again although no answer was written, in seconds: whoever asked has crashed.
const UNANSWERED_SECS: i64 = 600;
/// When those that wait beside the ones that were told are looked at, in seconds.
const REST_SECS: i64 = 60;
/// First wait after no usable answer, and the longest, in seconds.
const PASSING_SECS: (i64, i64) = (60, 3600);
/// First wait after a refusal, and the longest, in seconds: somebody has to give a right first.
const REFUSED_SECS: (i64, i64) = (3600, 86_400);
/// Instances of one account and Region at most: all of them are one stored item. Those beyond are exempt without Config being told.
pub const MIRRORED_MAX: usize = 10_000;
/// Characters of what is said of an exemption: Config takes as many.
const MESSAGE_MAX: usize = 1024;

/// What AWS Config knows of exemptions in one account and Region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Exceptions that are there: by rule and end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub there: BTreeMap<String, BTreeMap<Timestamp, BTreeSet<InstanceId>>>,
    /// Instances that Config is still to be told of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pending: BTreeSet<InstanceId>,
    /// Why it refuses, while it does: operators were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether all calls wait: the last one was not let in, or not answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    /// Failures in a row.
    #[serde(default)]
    pub tries: u32,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
}

impl Mirror {
    /// The exception of an instance at this time: its rule and its end.
    pub fn of(&self, instance: &InstanceId, now: Timestamp) -> Option<(&str, Timestamp)> {
        let ends = self.there.iter().flat_map(|(rule, ends)| ends.iter().map(move |(until, instances)| (rule, *until, instances)));
        ends.filter(|(_, until, instances)| *until > now && instances.contains(instance)).map(|(rule, until, _)| (rule.as_str(), until)).next()
    }

    fn len(&self) -> usize {
        self.pending.len() + self.there.values().flat_map(BTreeMap::values).map(BTreeSet::len).sum::<usize>()
    }

    fn forget(&mut self, rule: &str, instances: &[InstanceId]) {
        for known in self.there.get_mut(rule).into_iter().flat_map(BTreeMap::values_mut) {
            known.retain(|instance| !instances.contains(instance));
        }
    }

    fn tidy(&mut self, at: Timestamp) {
        for ends in self.there.values_mut() {
            ends.retain(|until, instances| *until > at && !instances.is_empty());
        }
        self.there.retain(|_, ends| !ends.is_empty());
    }
}

/// Config is to be told of these targets, where the policy asks for it.
pub(crate) fn ask(desk: &mut Desk<'_>, account: AccountId, region: &Region, instances: &[InstanceId]) {
    if !desk.policy().exemption_terms.mirror {
        return;
    }
    for instances in instances.chunks(EXCEPTIONS_MAX) {
        desk.ask(Action::Mirror { account, region: region.clone(), instances: instances.to_vec() });
    }
}

/// As [`ask`], for one target.
pub(crate) fn ask_one(desk: &mut Desk<'_>, key: &TargetKey) {
    ask(desk, key.account, &key.region, std::slice::from_ref(&key.instance));
}

/// Looks once at everybody who is exempt whenever the policy's exemptions are others than those that were looked at last.
///
/// # Errors
/// When something is not loaded.
pub fn review(desk: &mut Desk<'_>) -> Result<(), Missing> {
    let policy = desk.policy();
    if !policy.exemption_terms.mirror {
        return Ok(());
    }
    let reviewed = match desk.item(&Key::exemptions())? {
        Some(State::Exemptions(told)) => told.reviewed,
        _ => None,
    };
    let exemptions = Digest::of(&serde_json::to_vec(&policy.exemptions).unwrap_or_default());
    if reviewed == Some(exemptions) || (reviewed.is_none() && policy.exemptions.is_empty()) {
        return Ok(());
    }
    desk.record(Entry::Mirror(MirrorStep::Reviewed { exemptions }))?;
    desk.ask(Action::ReviewExempt);
    Ok(())
}

/// What Config should say of a target: the rule that found it, and what the policy says today of the exemption that it stands under.
fn wish(policy: &Policy, target: &Target, now: Timestamp) -> Option<(String, ExceptionNote)> {
    let Standing::Exempt { until, .. } = &target.standing else { return None };
    let exemption = exemption::behind(&policy.exemptions, &target.key, &target.standing)?;
    // Config takes an exception of a non-compliant resource alone.
    let found = target.fact().is_some_and(|fact| fact.compliance == Compliance::NonCompliant);
    let rule = known_rule(target).filter(|_| found && *until > now)?;
    let ticket = exemption.ticket.as_ref().map(|ticket| format!(" ({ticket})")).unwrap_or_default();
    let message = format!("{} answers for it: {}{ticket}; exempt by Tidegate's policy {}", exemption.owner, exemption.reason, policy.name);
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_MAX).collect();
    Some((rule, ExceptionNote { until: *until, message: line }))
}

/// What has to be told, one call for everybody of whom the same is said.
#[derive(Default)]
struct Calls(BTreeMap<(String, Option<ExceptionNote>), Vec<InstanceId>>);

impl Calls {
    fn add(&mut self, rule: &str, note: Option<ExceptionNote>, instance: &InstanceId) {
        self.0.entry((rule.to_owned(), note)).or_default().push(instance.clone());
    }

    fn made(self, resource_type: &str) -> Vec<ExceptionCall> {
        let call = |((rule, note), instances)| ExceptionCall { on: Exceptions { rule, resource_type: resource_type.to_owned(), instances }, note };
        self.0.into_iter().map(call).collect()
    }
}

fn known(desk: &Desk<'_>, key: &Key) -> Result<Option<Mirror>, Missing> {
    match desk.item(key)? {
        Some(State::Mirror(mirror)) => Ok(Some(mirror.as_ref().clone())),
        None => Ok(None),
        Some(_) => Err(strange(key)),
    }
}

/// What Config has to be told now of these instances, or of those that wait where none is named. That it is about to be told is
/// written down first.
///
/// # Errors
/// When something is not loaded.
pub fn look(desk: &mut Desk<'_>, account: AccountId, region: &Region, asked: &[InstanceId]) -> Result<Vec<ExceptionCall>, Missing> {
    let key = Key::mirror(account, region);
    let found = known(desk, &key)?;
    let (policy, now) = (desk.policy(), desk.now());
    if !policy.exemption_terms.mirror {
        // Asked for no longer: nothing is called any more, and what is there ends by itself.
        if let Some(mirror) = found.filter(|mirror| mirror.again_at.is_some()) {
            let settled = mirror.pending.into_iter().collect();
            desk.record(told(account, region, Answered { settled, ..Answered::default() }, None))?;
        }
        return Ok(Vec::new());
    }
    let mirror = found.unwrap_or_default();
    let new: Vec<InstanceId> = asked.iter().filter(|instance| !mirror.pending.contains(*instance)).cloned().collect();
    if let (true, Some(again_at)) = (mirror.blocked, mirror.again_at.filter(|again_at| *again_at > now)) {
        // What does not let us in is not asked for each of them: they wait together.
        if !new.is_empty() && mirror.len() + new.len() <= MIRRORED_MAX {
            desk.record(Entry::Mirror(MirrorStep::Asked { account, region: region.clone(), instances: new, again_at }))?;
        }
        return Ok(Vec::new());
    }
    let due: Vec<InstanceId> = if asked.is_empty() { mirror.pending.iter().cloned().collect() } else { asked.to_vec() };
    let due = due.into_iter().take(EXCEPTIONS_MAX).map(|instance| TargetKey { account, region: region.clone(), instance }).collect::<Vec<_>>();
    desk.need(&due.iter().map(Key::target).collect::<Vec<_>>())?;
    let mut calls = Calls::default();
    let (mut open, mut settled) = (Vec::new(), Vec::new());
    for target in &due {
        let instance = &target.instance;
        let there = mirror.of(instance, now);
        let wish = desk.target(target)?.and_then(|target| wish(policy, target, now));
        match (wish, there) {
            (None, None) => settled.push(instance.clone()),
            (Some((_, note)), Some((_, until))) if until == note.until => settled.push(instance.clone()),
            (Some(_), None) if mirror.len() + open.len() >= MIRRORED_MAX && !mirror.pending.contains(instance) => settled.push(instance.clone()),
            (wish, there) => {
                if let Some((rule, _)) = there.filter(|(rule, _)| wish.as_ref().is_none_or(|(other, _)| rule != other)) {
                    calls.add(rule, None, instance);
                }
                if let Some((rule, note)) = wish {
                    calls.add(&rule, Some(note), instance);
                }
                open.push(instance.clone());
            }
        }
    }
    if open.is_empty() {
        settled.retain(|instance| mirror.pending.contains(instance));
        if !settled.is_empty() || asked.is_empty() && mirror.again_at.is_some() {
            let again_at = rest(desk, &mirror, &settled);
            desk.record(told(account, region, Answered { settled, ..Answered::default() }, again_at))?;
        }
        return Ok(Vec::new());
    }
    let again_at = desk.after(UNANSWERED_SECS);
    desk.record(Entry::Mirror(MirrorStep::Asked { account, region: region.clone(), instances: open, again_at }))?;
    // A finding of another type is another catalog entry's: what the policy's answers is named first.
    Ok(calls.made(policy.entry().resource_types.first().map(String::as_str).unwrap_or_default()))
}

/// When those are looked at that wait besides: whoever was refused before, as long after this as after the refusal.
fn rest(desk: &Desk<'_>, mirror: &Mirror, settled: &[InstanceId]) -> Option<Timestamp> {
    let left = mirror.pending.iter().any(|instance| !settled.contains(instance));
    let secs = if mirror.refused.is_some() { wait(REFUSED_SECS, mirror.tries.saturating_sub(1)) } else { REST_SECS };
    left.then(|| desk.after(secs))
}

/// Doubles with every failure before, up to the longest.
fn wait((first, longest): (i64, i64), tries: u32) -> i64 {
    (first << tries.min(16)).min(longest)
}

/// What came of the calls of one look.
#[derive(Default)]
struct Answered {
    put: Vec<Excepted>,
    removed: Vec<Exceptions>,
    settled: Vec<InstanceId>,
    failed: Option<MirrorFault>,
}

fn told(account: AccountId, region: &Region, answered: Answered, again_at: Option<Timestamp>) -> Entry {
    let Answered { put, removed, settled, failed } = answered;
    Entry::Mirror(MirrorStep::Told { account, region: region.clone(), put, removed, settled, failed, again_at })
}

/// Config was told, or could not be.
///
/// # Errors
/// When something is not loaded.
pub fn on_told(desk: &mut Desk<'_>, account: AccountId, region: &Region, calls: &[(ExceptionCall, ExceptionOutcome)]) -> Result<Outcome, Missing> {
    let Some(mirror) = known(desk, &Key::mirror(account, region))? else { return Ok(Outcome::ignored("not known")) };
    let mut answered = Answered::default();
    let (mut taken, mut left) = (BTreeSet::new(), BTreeSet::new());
    for (call, outcome) in calls {
        let failed: &[(InstanceId, String)] = outcome.as_ref().map_or(&[], Vec::as_slice);
        let (not, did): (Vec<InstanceId>, Vec<InstanceId>) =
            call.on.instances.iter().cloned().partition(|instance| outcome.is_err() || failed.iter().any(|(of, _)| of == instance));
        let fault = match outcome {
            Err(fault) if fault.is_passing() => Some(MirrorFault { why: fault.to_string(), kind: MirrorFaultKind::Passing }),
            Err(fault) => Some(MirrorFault { why: fault.to_string(), kind: MirrorFaultKind::Refused }),
            Ok(failed) => {
                failed.first().map(|(instance, why)| MirrorFault { why: format!("rule {}, {instance}: {why}", call.on.rule), kind: MirrorFaultKind::Instances })
            }
        };
        // Whatever holds up all calls is worth more than what one of them said.
        if answered.failed.as_ref().is_none_or(|known| known.kind == MirrorFaultKind::Instances) {
            answered.failed = fault.or(answered.failed);
        }
        left.extend(not);
        taken.extend(did.iter().cloned());
        match &call.note {
            _ if did.is_empty() => {}
            Some(note) => answered.put.push(Excepted { rule: call.on.rule.clone(), until: note.until, instances: did }),
            None => answered.removed.push(Exceptions { instances: did, ..call.on.clone() }),
        }
    }
    answered.settled = taken.into_iter().filter(|instance| !left.contains(instance)).collect();
    let again_at = match &answered.failed {
        None => rest(desk, &mirror, &answered.settled),
        Some(fault) => {
            let span = if fault.kind == MirrorFaultKind::Passing { PASSING_SECS } else { REFUSED_SECS };
            Some(desk.after(wait(span, mirror.tries)))
        }
    };
    if let (Some(fault), None) = (answered.failed.as_ref().filter(|fault| fault.kind != MirrorFaultKind::Passing), &mirror.refused) {
        let message = format!("AWS Config is not told of all exemptions there ({}): they hold all the same, and it is tried again", fault.why);
        desk.ask(notice(NoticeKind::MirrorRefused, &format!("{account}/{region}"), message, desk.now()));
    }
    desk.record(told(account, region, answered, again_at))?;
    Ok(Outcome::Accepted)
}

pub(crate) fn home(step: &MirrorStep) -> Key {
    match step {
        MirrorStep::Reviewed { .. } => Key::exemptions(),
        MirrorStep::Asked { account, region, .. } | MirrorStep::Told { account, region, .. } => Key::mirror(*account, region),
    }
}

/// Makes a step true.
pub(crate) fn apply(book: &mut impl Book, at: Timestamp, step: &MirrorStep) -> Result<(), Missing> {
    let key = home(step);
    if book.state(&key)?.is_none() {
        let blank = match step {
            MirrorStep::Reviewed { .. } => State::Exemptions(Told::default()),
            _ => State::Mirror(Box::default()),
        };
        book.put(key.clone(), blank)?;
    }
    match (step, book.state(&key)?) {
        (MirrorStep::Reviewed { exemptions }, Some(State::Exemptions(told))) => told.reviewed = Some(*exemptions),
        (MirrorStep::Asked { instances, again_at, .. }, Some(State::Mirror(mirror))) => {
            mirror.pending.extend(instances.iter().cloned());
            mirror.again_at = Some(*again_at);
        }
        (MirrorStep::Told { put, removed, settled, failed, again_at, .. }, Some(State::Mirror(mirror))) => {
            for gone in removed {
                mirror.forget(&gone.rule, &gone.instances);
            }
            for excepted in put {
                mirror.forget(&excepted.rule, &excepted.instances);
                let ends = mirror.there.entry(excepted.rule.clone()).or_default();
                ends.entry(excepted.until).or_default().extend(excepted.instances.iter().cloned());
            }
            mirror.pending.retain(|instance| !settled.contains(instance));
            mirror.tidy(at);
            mirror.again_at = *again_at;
            mirror.blocked = failed.as_ref().is_some_and(|fault| fault.kind != MirrorFaultKind::Instances);
            match failed {
                Some(fault) => {
                    mirror.tries = mirror.tries.saturating_add(1);
                    if fault.kind != MirrorFaultKind::Passing {
                        mirror.refused = Some(fault.why.clone());
                    }
                }
                None if mirror.pending.is_empty() => (mirror.tries, mirror.refused) = (0, None),
                None => {}
            }
        }
        _ => return Err(strange(&key)),
    }
    Ok(())
}

fn strange(key: &Key) -> Missing {
    Missing::Corrupt(format!("the item stored under `{key}` is of another kind"))
}
