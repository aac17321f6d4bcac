//! The health gate: whether what a wave has touched is well, asked before each wave starts and while one runs and bakes. Three
//! answers: healthy opens, unhealthy stops until a named person has looked, and where nobody can say it is asked again for as long
//! as the policy waits, and then a person is asked.
//!
//! Asking is an action, the answer an event, and what it means stands in the journal before anything follows from it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::action::NoticeKind;
use tidegate_events::health::{AlarmSeen, AlarmState, Away, Cause, HealthStep, Severity};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{CampaignId, PersonId, WaveId};
use tidegate_events::{Action, Entry, Hold};

use crate::campaign::notice;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing, later, secs_between};
use crate::gate::Answer;
use crate::policy::{Amount, Policy};
use crate::state::{Campaign, CampaignPhase, Wave, WaveStage};
use crate::{campaign, control, lane};

/// A yes at the gate may be used so long, in seconds: about as long as a clearance, and longer than an answer takes.
pub const FRESH_SECS: i64 = 120;
/// A question without an answer is asked again after so long, in seconds. Nothing is asked more often.
pub const ASK_EVERY_SECS: i64 = 60;
/// How often it is asked while a wave runs and bakes, in seconds.
pub const WATCH_EVERY_SECS: i64 = 300;
/// How often it is asked where only a person can be expected to mend it, in seconds.
pub const SELDOM_SECS: i64 = 1800;
/// What hosts that stay away are called as a cause.
const AGENTS: &str = "agents";
/// Causes named in a sentence at most.
const NAMED: usize = 3;

/// What is asked, and what follows from a no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRule {
    /// CloudWatch alarms in the hub's account and Region, metric or composite, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// Hosts of a wave that may stay away after it touched them; one more is unhealthy.
    pub offline: Amount,
    /// How long an answer that says nothing is asked for again before operators are told, in seconds.
    pub wait_secs: u32,
    /// Whether a no halts the lane, so that no other campaign of it installs the same; otherwise it holds this campaign alone.
    pub halts: bool,
}

impl Default for HealthRule {
    /// As many hosts may stay away as may fail by default; a quarter of an hour is three periods of a five-minute metric.
    fn default() -> Self {
        Self { alarms: Vec::new(), offline: Amount::Share(crate::policy::ShareBps(500)), wait_secs: 900, halts: true }
    }
}

/// The stricter of two: all alarms, the smaller limits, a halt if either asks for it.
#[must_use]
pub fn stricter(ours: Option<&HealthRule>, theirs: Option<&HealthRule>) -> Option<HealthRule> {
    let (Some(one), Some(other)) = (ours, theirs) else { return ours.or(theirs).cloned() };
    Some(HealthRule {
        alarms: together(&one.alarms, &other.alarms),
        offline: one.offline.min(other.offline),
        wait_secs: one.wait_secs.min(other.wait_secs),
        halts: one.halts || other.halts,
    })
}

/// Ours, then those of theirs that are not among ours.
pub fn together(ours: &[String], theirs: &[String]) -> Vec<String> {
    ours.iter().chain(theirs.iter().filter(|name| !ours.contains(name))).cloned().collect()
}

/// How a campaign's health stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// When the question was asked that has no answer yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// When it is asked (again).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_at: Option<Timestamp>,
    /// The newest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Since when a yes is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Whether operators were told of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Why it stops: somebody said no, and no named person has looked since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Cause>,
    /// Causes that a named person let pass, until each is seen well again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed: BTreeMap<String, Severity>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The wave that it was about.
    pub wave: u16,
    /// When.
    pub at: Timestamp,
    /// What keeps it from being a yes; those that were let pass are among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

impl Health {
    /// Causes that nobody has let pass.
    pub fn counted<'c>(&self, causes: &'c [Cause]) -> Vec<&'c Cause> {
        causes.iter().filter(|cause| self.passed.get(&cause.what).is_none_or(|passed| *passed < cause.severity)).collect()
    }

    /// The newest answer, where it is about this wave.
    fn about(&self, wave: u16) -> Option<&Seen> {
        self.seen.as_ref().filter(|seen| seen.wave == wave)
    }

    /// Whether the newest answer is a yes to this wave that may still be used.
    pub fn is_yes(&self, wave: u16, now: Timestamp) -> bool {
        self.stopped.is_empty() && self.about(wave).is_some_and(|seen| self.counted(&seen.causes).is_empty() && secs_between(seen.at, now) <= FRESH_SECS)
    }

    /// What a named person would let pass now.
    pub fn passable(&self) -> Vec<Cause> {
        if !self.stopped.is_empty() {
            return self.stopped.clone();
        }
        self.seen.iter().flat_map(|seen| self.counted(&seen.causes)).cloned().collect()
    }
}

/// In words: the worst first, a few of them.
pub fn say(causes: &[&Cause]) -> String {
    let mut causes = causes.to_vec();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.severity));
    let more = causes.len().saturating_sub(NAMED);
    let mut said = causes.iter().take(NAMED).map(|cause| cause.why.as_str()).collect::<Vec<_>>().join("; ");
    if more > 0 {
        said.push_str(&format!("; and {more} more"));
    }
    said
}

/// What an answer means. An alarm that can't be read, does not exist or has too little data says nothing; so do hosts that could
/// not be counted.
pub fn judge(rule: &HealthRule, names: &[String], alarms: &Result<Vec<AlarmSeen>, SpokeFault>, away: Option<&Away>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for name in names {
        let unclear = |why: String| Some((Severity::Inconclusive, why));
        let found = match alarms {
            Err(fault) => unclear(format!("alarm `{name}` could not be read: {fault}")),
            Ok(seen) => match seen.iter().find(|seen| seen.name == *name).map(|seen| (seen.state, seen.reason.as_str())) {
                Some((AlarmState::Ok, _)) => None,
                Some((AlarmState::Alarm, reason)) => Some((Severity::Unhealthy, format!("alarm `{name}` is in ALARM{}", because(reason)))),
                Some((AlarmState::InsufficientData, _)) => unclear(format!("alarm `{name}` has too little data")),
                None => unclear(format!("alarm `{name}` does not exist in the hub")),
            },
        };
        causes.extend(found.map(|(severity, why)| Cause { what: format!("alarm {name}"), severity, why }));
    }
    if let Some(away) = away.filter(|away| away.hosts > 0) {
        let limit = rule.offline.of(away.of);
        // As with the failure budget, a wave all of whose hosts are away is over every limit.
        if away.hosts > limit || away.hosts >= away.of {
            let named = away.named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let named = if named.is_empty() { String::new() } else { format!(" ({named}{})", if away.hosts > away.named.len() as u64 { ", ..." } else { "" }) };
            let why = format!("{} of {} hosts were not heard of again after they were touched{named}, at most {limit} may be", away.hosts, away.of);
            causes.push(Cause { what: AGENTS.into(), severity: Severity::Unhealthy, why });
        }
    }
    causes
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// The wave whose hosts were touched last, seen from this one.
fn touched(wave: &WaveId, stage: &WaveStage) -> Option<WaveId> {
    match stage {
        WaveStage::Open { .. } | WaveStage::Baking { .. } | WaveStage::Proven => Some(wave.clone()),
        WaveStage::Waiting | WaveStage::Sealing | WaveStage::Sealed => Some(WaveId { campaign: wave.campaign.clone(), index: wave.index.checked_sub(1)? }),
    }
}

/// The alarms that are asked: the policy's, and those of the wave that was touched last (of the first one before it).
fn alarms(policy: &Policy, rule: &HealthRule, campaign: &Campaign, id: &WaveId, stage: &WaveStage) -> Vec<String> {
    let of = touched(id, stage).unwrap_or_else(|| id.clone());
    let name = campaign.wave(of.index).map(|wave| wave.name.as_str()).unwrap_or_default();
    let own = policy.waves.iter().find(|wave| wave.name == name).map(|wave| wave.alarms.as_slice()).unwrap_or_default();
    together(&rule.alarms, own)
}

/// The gate. A wave that is open may go on while nobody says no.
pub fn gate(policy: &Policy, campaign: &Campaign, index: u16, wave: &Wave, now: Timestamp) -> Answer {
    let Some(rule) = &policy.health else { return Answer::Pass };
    let blank = Health::default();
    let health = campaign.health.as_deref().unwrap_or(&blank);
    if !health.stopped.is_empty() {
        return Answer::Hold(Hold::Unhealthy { why: say(&health.stopped.iter().collect::<Vec<_>>()) });
    }
    if !matches!(wave.stage, WaveStage::Sealed) || health.is_yes(index, now) {
        return Answer::Pass;
    }
    let until = Some(later(health.waits_since.unwrap_or(now), i64::from(rule.wait_secs))).filter(|until| now < *until);
    let unclear = health.about(index).map(|seen| health.counted(&seen.causes)).filter(|counted| !counted.is_empty());
    let why = unclear.map_or_else(|| "it is being asked".to_owned(), |counted| say(&counted));
    Answer::Ask(Hold::HealthInconclusive { why, until })
}

/// Asks, where a wave waits at its gates for nothing but the answer; and tells operators who has waited long enough.
///
/// # Errors
/// When something is not loaded.
pub fn at_gate(desk: &mut Desk<'_>, id: &WaveId, holds: &[Hold]) -> Result<(), Missing> {
    let [Hold::HealthInconclusive { why, until }] = holds else { return Ok(()) };
    let Some(campaign) = desk.campaign(&id.campaign)?.cloned() else { return Ok(()) };
    let health = campaign.health.as_deref().cloned().unwrap_or_default();
    if until.is_none() && !health.told {
        desk.record(Entry::Health { wave: id.clone(), step: HealthStep::Told })?;
        let message = format!("wave `{}` waits for a healthy answer: {why}; `tidegate resume {}` lets it go on", name(&campaign, id), id.campaign);
        desk.ask(notice(NoticeKind::HealthInconclusive, &id.to_string(), message, desk.now()));
    }
    let unclear = health.about(id.index).is_some_and(|seen| !health.counted(&seen.causes).is_empty());
    let not_before = if health.asked.is_some() || unclear { health.ask_at } else { None };
    if not_before.is_none_or(|at| at <= desk.now()) {
        // Where answers do not come at all, it is not asked for ever at the same pace.
        let again = if until.is_none() { SELDOM_SECS } else { ASK_EVERY_SECS };
        ask(desk, &campaign, id, again)?;
    }
    Ok(())
}

/// Asks while a wave runs and bakes.
///
/// # Errors
/// When something is not loaded.
pub fn watch(desk: &mut Desk<'_>, policy: &Policy, campaign: &Campaign, id: &WaveId) -> Result<(), Missing> {
    if policy.health.is_none() || campaign.health.as_deref().is_some_and(|health| !health.stopped.is_empty()) {
        return Ok(());
    }
    if campaign.health.as_deref().and_then(|health| health.ask_at).is_some_and(|at| at > desk.now()) {
        return Ok(());
    }
    let lane = desk.lane(&id.campaign.lane)?;
    let still = lane.halted.is_some() || lane.paused.is_some() || campaign.paused.is_some();
    ask(desk, campaign, id, if still { SELDOM_SECS } else { WATCH_EVERY_SECS })
}

fn ask(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId, again_secs: i64) -> Result<(), Missing> {
    let policy = desk.effective(&campaign.policy)?;
    let (Some(rule), Some(wave)) = (&policy.health, campaign.wave(id.index)) else { return Ok(()) };
    let (asked_at, again_at) = (desk.now(), desk.after(again_secs));
    desk.record(Entry::Health { wave: id.clone(), step: HealthStep::Asked { again_at } })?;
    desk.ask(Action::ReadHealth { wave: id.clone(), asked_at, alarms: alarms(policy, rule, campaign, id, &wave.stage), touched: touched(id, &wave.stage) });
    Ok(())
}

/// The answer to [`Action::ReadHealth`].
#[derive(Debug)]
pub struct Told<'a> {
    /// The wave.
    pub wave: &'a WaveId,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The alarms.
    pub alarms: &'a Result<Vec<AlarmSeen>, SpokeFault>,
    /// The hosts.
    pub away: Option<&'a Away>,
}

/// It was answered. A no stops the campaign at once, and the lane where the policy says so and something was touched.
///
/// # Errors
/// When something is not loaded.
pub fn on_told(desk: &mut Desk<'_>, told: &Told<'_>) -> Result<Outcome, Missing> {
    let id = told.wave;
    let Some(campaign) = desk.campaign(&id.campaign)?.cloned() else { return Ok(Outcome::ignored("not known")) };
    let runs = matches!(campaign.phase, CampaignPhase::Running { wave, .. } if wave == id.index);
    let health = campaign.health.as_deref().cloned().unwrap_or_default();
    if !runs || health.asked != Some(told.asked_at) {
        return Ok(Outcome::Duplicate);
    }
    let policy = desk.effective(&campaign.policy)?;
    let (Some(rule), Some(wave)) = (&policy.health, campaign.wave(id.index)) else { return Ok(Outcome::ignored("no health is asked for")) };
    let causes = judge(rule, &alarms(policy, rule, &campaign, id, &wave.stage), told.alarms, told.away);
    let counted: Vec<&Cause> = health.counted(&causes);
    let worst = counted.iter().map(|cause| cause.severity).max();
    let at_gate = matches!(wave.stage, WaveStage::Sealed);
    // While a wave is only watched, the same answer again is no news: the question alone is written down.
    if !at_gate && worst != Some(Severity::Unhealthy) && health.about(id.index).is_some_and(|seen| seen.causes == causes) {
        return Ok(Outcome::Duplicate);
    }
    let again_at = match (at_gate, worst) {
        (false, _) => health.ask_at.unwrap_or_else(|| desk.after(WATCH_EVERY_SECS)),
        (true, Some(Severity::Inconclusive)) => desk.after(pace(rule, &health, desk.now())),
        (true, _) => desk.after(WATCH_EVERY_SECS),
    };
    let (alarms, fault) = match told.alarms {
        Ok(alarms) => (alarms.clone(), None),
        Err(fault) => (Vec::new(), Some(fault.to_string())),
    };
    // What stops it is what a person is told, and what their word covers.
    let unhealthy: Vec<&Cause> = counted.iter().copied().filter(|cause| cause.severity == Severity::Unhealthy).collect();
    let why = say(&unhealthy);
    let step = HealthStep::Seen { alarms, fault, away: told.away.cloned(), causes: causes.clone(), again_at };
    desk.record(Entry::Health { wave: id.clone(), step })?;
    if worst == Some(Severity::Unhealthy) {
        match touched(id, &wave.stage).filter(|_| rule.halts) {
            Some(touched) => lane::halt(desk, &touched, &halt_reason(&why))?,
            None => {
                let message =
                    format!("wave `{}` is held, the health check says no: {why}; `tidegate resume {}` lets it go on", name(&campaign, id), id.campaign);
                desk.ask(notice(NoticeKind::Unhealthy, &id.to_string(), message, desk.now()));
            }
        }
    }
    campaign::advance(desk, &id.campaign)?;
    Ok(Outcome::Accepted)
}

/// How soon an unclear answer is asked for again, in seconds: a wait of an hour and one of a day are both some sixty questions.
fn pace(rule: &HealthRule, health: &Health, now: Timestamp) -> i64 {
    let waited = health.waits_since.map_or(0, |since| secs_between(since, now));
    if waited >= i64::from(rule.wait_secs) { SELDOM_SECS } else { (i64::from(rule.wait_secs) / 60).clamp(ASK_EVERY_SECS, SELDOM_SECS) }
}

fn halt_reason(why: &str) -> String {
    format!("the health check says no: {why}")
}

/// Whether a lane was halted for what stops this campaign.
pub fn is_cause(campaign: &Campaign, halted: &str) -> bool {
    let stopped = campaign.health.as_deref().map(|health| health.stopped.iter().collect::<Vec<_>>()).unwrap_or_default();
    !stopped.is_empty() && halted == halt_reason(&say(&stopped))
}

/// A named person lets a campaign go on although the answer is not yes. Gives whether there was anything to let pass.
///
/// # Errors
/// When something is not loaded.
pub fn release(desk: &mut Desk<'_>, id: &CampaignId, by: &PersonId, comment: &str) -> Result<bool, Missing> {
    let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(false) };
    let CampaignPhase::Running { wave, .. } = campaign.phase else { return Ok(false) };
    let causes = campaign.health.as_deref().map(Health::passable).unwrap_or_default();
    if causes.is_empty() {
        return Ok(false);
    }
    let step = HealthStep::Released { by: by.clone(), comment: comment.trim().to_owned(), causes };
    desk.record(Entry::Health { wave: campaign.wave_id(wave), step })?;
    control::look_again(desk, id)?;
    Ok(true)
}

/// Whether [`release`] would let anything pass.
pub fn is_held(campaign: &Campaign) -> bool {
    matches!(campaign.phase, CampaignPhase::Running { .. }) && campaign.health.as_deref().is_some_and(|health| !health.passable().is_empty())
}

fn name<'c>(campaign: &'c Campaign, id: &WaveId) -> &'c str {
    campaign.wave(id.index).map(|wave| wave.name.as_str()).unwrap_or_default()
}

/// Makes a step true.
pub(crate) fn apply(campaign: &mut Campaign, wave: &WaveId, at: Timestamp, step: &HealthStep) {
    let health = campaign.health.get_or_insert_default();
    match step {
        HealthStep::Asked { again_at } => {
            (health.asked, health.ask_at) = (Some(at), Some(*again_at));
            health.waits_since = health.waits_since.or(Some(at));
        }
        HealthStep::Seen { causes, again_at, .. } => {
            health.passed.retain(|what, _| causes.iter().any(|cause| cause.what == *what));
            let counted = health.counted(causes);
            let unhealthy: Vec<Cause> = counted.iter().filter(|cause| cause.severity == Severity::Unhealthy).map(|cause| (*cause).clone()).collect();
            if counted.is_empty() {
                (health.waits_since, health.told) = (None, false);
            }
            health.asked = None;
            health.ask_at = unhealthy.is_empty().then_some(*again_at);
            health.stopped = unhealthy;
            health.seen = Some(Seen { wave: wave.index, at, causes: causes.clone() });
        }
        HealthStep::Told => health.told = true,
        HealthStep::Released { causes, .. } => {
            let mut passed = std::mem::take(&mut health.passed);
            for cause in causes {
                let known = passed.entry(cause.what.clone()).or_insert(cause.severity);
                *known = cause.severity.max(*known);
            }
            **health = Health { passed, ..Health::default() };
            campaign.holds.retain(|hold| !matches!(hold, Hold::Unhealthy { .. } | Hold::HealthInconclusive { .. }));
            if let CampaignPhase::Running { look_at, .. } = &mut campaign.phase {
                *look_at = Some(at);
            }
        }
    }
}

/// A wave opened: it is watched from now on.
pub(crate) fn opened(campaign: &mut Campaign, at: Timestamp) {
    if let Some(health) = campaign.health.as_deref_mut() {
        (health.asked, health.waits_since, health.told) = (None, None, false);
        health.ask_at = Some(later(at, WATCH_EVERY_SECS));
    }
}

/// A wave begins to bake: it is asked at once, however short the bake.
pub(crate) fn baking(campaign: &mut Campaign, at: Timestamp) {
    if let Some(health) = campaign.health.as_deref_mut().filter(|health| health.stopped.is_empty()) {
        (health.asked, health.ask_at) = (None, Some(at));
    }
}

/// A wave is proven: nothing is asked before the next one is at its gates, and only from there on somebody waits for a yes.
pub(crate) fn proven(campaign: &mut Campaign) {
    if let Some(health) = campaign.health.as_deref_mut() {
        (health.asked, health.ask_at, health.waits_since, health.told) = (None, None, None, false);
    }
}

/// When it must be asked, whatever events say: while the running wave is watched, and at its gates where only the answer is missing.
pub(crate) fn due_at(campaign: &Campaign) -> Option<Timestamp> {
    let CampaignPhase::Running { wave, .. } = campaign.phase else { return None };
    let watched = match campaign.wave(wave)?.stage {
        WaveStage::Open { .. } | WaveStage::Baking { .. } => true,
        WaveStage::Sealed => matches!(campaign.holds.as_slice(), [Hold::HealthInconclusive { .. }]),
        _ => false,
    };
    campaign.health.as_deref()?.ask_at.filter(|_| watched)
}

#[cfg(test)]
mod tests;
