//! What holds for a whole lane, or for everything: halts and resumes, the stop cord, change calendars.

use jiff::Timestamp;
use tidegate_events::action::{NoticeKind, Nudge};
use tidegate_events::id::{LaneId, PersonId, WaveId};
use tidegate_events::{Action, Entry};

use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::state::{Lane, Organization};
use crate::{bake, control};

/// Halts a lane: the next campaign must not install what this one failed with.
///
/// # Errors
/// When something is not loaded.
pub fn halt(desk: &mut Desk<'_>, wave: &WaveId, why: &str) -> Result<(), Missing> {
    let lane = desk.lane(&wave.campaign.lane)?;
    if lane.halted.is_some() {
        return Ok(());
    }
    desk.record(Entry::LaneHalted { lane: lane.id, wave: wave.clone(), why: why.to_owned() })?;
    desk.ask(crate::campaign::notice(NoticeKind::LaneHalted, &wave.to_string(), format!("the lane is halted: {why}"), desk.now()));
    Ok(())
}

/// A named person lets a lane go on. What failed so far is forgiven, what fails from now on counts again.
///
/// # Errors
/// When something is not loaded.
pub fn resume(desk: &mut Desk<'_>, id: &LaneId, by: &PersonId, comment: &str) -> Result<Outcome, Missing> {
    let lane: Lane = desk.lane(id)?;
    if lane.halted.is_none() && lane.paused.is_none() {
        return Ok(if lane.newest == 0 { Outcome::rejected(format!("lane `{id}` is not known")) } else { Outcome::Duplicate });
    }
    if comment.trim().is_empty() {
        return Ok(Outcome::rejected("a comment is required: say why the lane may go on".into()));
    }
    let Some(halt) = &lane.halted else {
        desk.record(Entry::LaneResumed { lane: id.clone(), by: by.clone(), comment: comment.trim().to_owned(), forgiven: None })?;
        return match &lane.running {
            Some(running) => control::look_again(desk, running).map(|()| Outcome::Accepted),
            None => Ok(Outcome::Accepted),
        };
    };
    let bad = bake::tallied(desk, &halt.wave)?.bad;
    if desk.campaign(&halt.wave.campaign)?.is_none() {
        return Err(Missing::Corrupt(format!("lane `{id}` is halted by a campaign that is not there")));
    }
    desk.record(Entry::LaneResumed { lane: id.clone(), by: by.clone(), comment: comment.trim().to_owned(), forgiven: Some((halt.wave.clone(), bad)) })?;
    desk.ask(Action::NudgeCells(halt.wave.clone()));
    desk.ask(Action::Nudge(Nudge::Campaign(halt.wave.campaign.clone())));
    Ok(Outcome::Accepted)
}

/// A named person pulled the stop cord, or released it. Every intent whose send has begun by then is looked at: whoever performs
/// that lists them after this commit, so that none is missed, and an intent that is written later reads the cord before it sends.
///
/// # Errors
/// When something is not loaded.
pub fn on_cord(desk: &mut Desk<'_>, pulled: bool, kill: bool, by: &PersonId, comment: &str) -> Result<Outcome, Missing> {
    let organization = desk.organization()?;
    let harder = pulled && kill && organization.pull.as_ref().is_none_or(|pull| !pull.kill);
    if organization.cord.is_some() == pulled && !harder {
        return Ok(Outcome::Duplicate);
    }
    if !pulled && comment.trim().is_empty() {
        return Ok(Outcome::rejected("a comment is required: say why everything may go on".into()));
    }
    desk.record(Entry::CordMoved { pulled, by: by.clone(), kill: pulled && kill, comment: comment.trim().to_owned() })?;
    if pulled {
        desk.ask(Action::StopOpen);
        let message = format!(
            "{by} pulled the stop cord: nothing is sent any more{}",
            if comment.trim().is_empty() { String::new() } else { format!(" ({})", comment.trim()) }
        );
        desk.ask(crate::campaign::notice(NoticeKind::CordPulled, "organization", message, desk.now()));
        nudge_lane(desk)?;
    } else {
        desk.ask(Action::GoOn);
    }
    Ok(Outcome::Accepted)
}

impl Organization {
    /// Whether what is known of a calendar has ended since, and nobody has told what came of it.
    pub fn is_over(&self, calendar: &str, now: Timestamp) -> bool {
        self.calendar_turns.get(calendar).is_some_and(|turns_at| now >= *turns_at)
    }

    pub(crate) fn hear_calendar(&mut self, calendar: &str, open: bool, at: Timestamp, turns_at: Option<Timestamp>) {
        self.calendars.insert(calendar.to_owned(), (open, at));
        match turns_at {
            Some(turns_at) => self.calendar_turns.insert(calendar.to_owned(), turns_at),
            None => self.calendar_turns.remove(calendar),
        };
    }
}

/// A change calendar opened or closed, and when that changes next. Told by an event, and by whoever asks every minute: what says
/// nothing new is not written down.
///
/// # Errors
/// When something is not loaded.
pub fn on_calendar(desk: &mut Desk<'_>, calendar: &str, open: bool, at: Timestamp, turns_at: Option<Timestamp>) -> Result<Outcome, Missing> {
    let organization = desk.organization()?;
    match organization.calendars.get(calendar) {
        Some((known, since)) if *since <= at && *known == open && organization.calendar_turns.get(calendar) == turns_at.as_ref() => {
            return Ok(Outcome::Duplicate);
        }
        Some((_, since)) if *since >= at => return Ok(Outcome::Stale { why: format!("the calendar's state at {since} is known") }),
        _ => {}
    }
    if !desk.policy().calendars.iter().any(|known| known == calendar) {
        return Ok(Outcome::ignored(format!("calendar `{calendar}` is not in the policy")));
    }
    desk.record(Entry::CalendarMoved { calendar: calendar.to_owned(), open, at, turns_at })?;
    nudge_lane(desk)?;
    Ok(Outcome::Accepted)
}

/// The running campaign of the current policy's lane looks at its gates again.
fn nudge_lane(desk: &mut Desk<'_>) -> Result<(), Missing> {
    let Ok(id) = desk.policy().lane() else { return Ok(()) };
    match desk.lane(&id)?.running {
        Some(running) => control::look_again(desk, &running),
        None => Ok(()),
    }
}
