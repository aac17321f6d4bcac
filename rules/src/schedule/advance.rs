//! Schedules in the organization's own item: what a tick settles, and what that makes true.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::action::{NoticeKind, Nudge};
use tidegate_events::bulk::RunAsked;
use tidegate_events::id::CampaignId;
use tidegate_events::schedule::asker;
use tidegate_events::{Action, Entry};

use super::{Due, MISSED_MAX, Schedule, ScheduleStep, due, occurrence_id};
use crate::bulk;
use crate::campaign::notice;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::state::{CampaignPhase, Organization, Scheduled, State};

/// Answers of [`due`] that one decision settles: a schedule that was asleep for years is caught up with over several ticks.
const ROUNDS_MAX: usize = 4;

/// Time has come to `now`: looks at the schedules, where the policy has any. The organization's item says by itself when the next
/// occurrence is due; this finds schedules that it has not met yet.
///
/// # Errors
/// When something is not loaded.
pub fn on_tick(desk: &mut Desk<'_>) -> Result<(), Missing> {
    if desk.policy().schedules.is_empty() { Ok(()) } else { advance(desk) }
}

/// Settles every occurrence that has come.
///
/// # Errors
/// When something is not loaded.
pub fn advance(desk: &mut Desk<'_>) -> Result<(), Missing> {
    let known = desk.organization()?.schedules;
    let policy = desk.policy();
    for schedule in &policy.schedules {
        if one(desk, schedule, known.get(&schedule.name))? {
            return Ok(());
        }
    }
    // INVARIANT (nothing lost): an occurrence that somebody expected is never dropped without a word.
    for (name, forgotten) in known.iter().filter(|(name, _)| !policy.schedules.iter().any(|schedule| schedule.name == **name)) {
        give_up(desk, name, forgotten, "no schedule of the policy has this name any more")?;
    }
    Ok(())
}

/// Gives whether it fired.
fn one(desk: &mut Desk<'_>, schedule: &Schedule, known: Option<&Scheduled>) -> Result<bool, Missing> {
    let name = &schedule.name;
    if !schedule.enabled {
        if known.is_some() {
            step(desk, name, ScheduleStep::Paused)?;
        }
        return Ok(false);
    }
    let timing = match schedule.timing() {
        Ok(timing) => timing,
        // Parsing excludes it. Doubt is no: it does not fire.
        Err(error) => {
            if let Some(known) = known {
                give_up(desk, name, known, &error.to_string())?;
            }
            return Ok(false);
        }
    };
    let digest = schedule.timing_digest();
    let Some(known) = known.filter(|known| known.timing == digest) else {
        if let Some(changed) = known {
            give_up(desk, name, changed, "its times were changed before it could fire")?;
        }
        let next = timing.next_after(desk.now());
        step(desk, name, ScheduleStep::Noted { timing: digest, next })?;
        return Ok(false);
    };
    let mut settled = known.settled;
    for _ in 0..ROUNDS_MAX {
        match due(&timing, settled, schedule.catch_up_secs, desk.now()) {
            Due::NotYet { next } => {
                if next != known.next && settled == known.settled {
                    step(desk, name, ScheduleStep::Noted { timing: digest, next })?;
                }
                return Ok(false);
            }
            Due::Missed { first, last, count, superseded } => {
                let why = if superseded { "a newer occurrence fires in its place" } else { "it is later than the policy lets it catch up" };
                missed(desk, name, (first, last, count), why, timing.next_after(last))?;
                settled = last;
            }
            Due::Fire { at } => {
                let next = timing.next_after(at);
                // A lane that is held would gather a run for each occurrence, and let all of them go when it opens.
                if let Some((before, campaign)) = unfinished(desk, name, known)? {
                    let why = format!("its run of {before} ({campaign}) is not over");
                    missed(desk, name, (at, at, 1), &why, next)?;
                    return Ok(false);
                }
                fire(desk, schedule, at, next)?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The run that the schedule fired last, where it is not over yet.
fn unfinished(desk: &Desk<'_>, name: &str, known: &Scheduled) -> Result<Option<(Timestamp, CampaignId)>, Missing> {
    let Some(before) = known.fired else { return Ok(None) };
    let Some(State::Run(run)) = desk.item(&Key::run(&occurrence_id(name, before)))? else { return Ok(None) };
    let id = run.campaign.clone();
    let is_over = desk.campaign(&id)?.is_none_or(|campaign| matches!(campaign.phase, CampaignPhase::Ended { .. }));
    Ok((!is_over).then_some((before, id)))
}

/// Settles an occurrence and takes its run in, in one commit: neither is there without the other.
fn fire(desk: &mut Desk<'_>, schedule: &Schedule, at: Timestamp, next: Option<Timestamp>) -> Result<(), Missing> {
    let name = &schedule.name;
    let Some(run) = &schedule.input else {
        return missed(desk, name, (at, at, 1), &format!("its run input `{}` was not read", schedule.run), next);
    };
    let by = asker(name).map_err(|error| Missing::Corrupt(error.to_string()))?;
    let asked = RunAsked { id: occurrence_id(name, at), run: run.as_ref().clone(), by, at: desk.now() };
    match bulk::ask::on_asked(desk, &asked)? {
        Outcome::Accepted | Outcome::Duplicate => step(desk, name, ScheduleStep::Fired { occurrence: at, run: run.digest(), next })?,
        Outcome::Stale { why } | Outcome::Ignored { why } | Outcome::Rejected { why } => {
            return missed(desk, name, (at, at, 1), &format!("its run was refused: {why}"), next);
        }
    }
    // One run a commit, which has its limits: the next schedule's turn comes at once.
    desk.ask(Action::Nudge(Nudge::Organization));
    Ok(())
}

/// The occurrence that was expected next will not fire: where its time has come, that is said.
fn give_up(desk: &mut Desk<'_>, name: &str, known: &Scheduled, why: &str) -> Result<(), Missing> {
    match known.next {
        Some(next) if next <= desk.now() => missed(desk, name, (next, next, 1), why, None),
        _ => Ok(()),
    }
}

fn missed(desk: &mut Desk<'_>, name: &str, (first, last, count): (Timestamp, Timestamp, u32), why: &str, next: Option<Timestamp>) -> Result<(), Missing> {
    let when = match count {
        1 => format!("at {first}"),
        more if usize::try_from(more).is_ok_and(|more| more >= MISSED_MAX) => format!("{more} times or more from {first} on"),
        more => format!("{more} times from {first} to {last}"),
    };
    let message = format!("schedule `{name}` did not fire {when}: {why}");
    desk.ask(notice(NoticeKind::ScheduleMissed, &occurrence_id(name, last), message, desk.now()));
    step(desk, name, ScheduleStep::Missed { first, last, count, why: why.to_owned(), next })
}

fn step(desk: &mut Desk<'_>, schedule: &str, step: ScheduleStep) -> Result<(), Missing> {
    desk.record(Entry::Scheduled { schedule: schedule.to_owned(), step })
}

/// What a step makes true.
pub(crate) fn apply(organization: &mut Organization, at: Timestamp, schedule: &str, step: &ScheduleStep) {
    let schedules: &mut BTreeMap<String, Scheduled> = &mut organization.schedules;
    match step {
        ScheduleStep::Noted { timing, next } => {
            let fired = schedules.get(schedule).and_then(|known| known.fired);
            schedules.insert(schedule.to_owned(), Scheduled { timing: *timing, settled: at, next: *next, fired });
        }
        ScheduleStep::Fired { occurrence, next, .. } => {
            if let Some(known) = schedules.get_mut(schedule) {
                known.settled = known.settled.max(*occurrence);
                known.fired = Some(*occurrence);
                known.next = *next;
            }
        }
        ScheduleStep::Missed { last, next, .. } => {
            if let Some(known) = schedules.get_mut(schedule) {
                known.settled = known.settled.max(*last);
                known.next = *next;
            }
        }
        ScheduleStep::Paused => {
            schedules.remove(schedule);
        }
    }
}
