//! Pause and resume, and another attempt: what named people do beside approving.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::action::Nudge;
use tidegate_events::control::{Retried, Retry, Steer, Steered};
use tidegate_events::entry::Standing;
use tidegate_events::id::{CampaignId, PersonId, TargetKey, WaveId};
use tidegate_events::{Action, Entry};

use crate::book::{Book, campaign_mut, lane_mut, target_mut};
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::state::CampaignPhase;
use crate::{health, target};

/// Why something is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused it.
    pub by: PersonId,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// A named person paused something, or lets a campaign go on.
///
/// # Errors
/// When something is not loaded.
pub fn steer(desk: &mut Desk<'_>, steer: &Steer) -> Result<Outcome, Missing> {
    let paused = match &steer.on {
        Steered::Lane(id) => {
            let lane = desk.lane(id)?;
            if lane.newest == 0 {
                return Ok(Outcome::rejected(format!("lane `{id}` is not known: `tidegate status` lists what is")));
            }
            if steer.go {
                return crate::lane::resume(desk, id, &steer.by, &steer.comment);
            }
            lane.paused.is_some()
        }
        Steered::Campaign(id) => match desk.campaign(id)? {
            None => return Ok(Outcome::rejected(format!("campaign `{id}` is not known: `tidegate status` lists what is"))),
            Some(campaign) if matches!(campaign.phase, CampaignPhase::Ended { .. }) => return Ok(Outcome::Stale { why: format!("campaign {id} is over") }),
            Some(campaign) => campaign.paused.is_some(),
        },
    };
    if paused != steer.go {
        return match &steer.on {
            // It is not paused, but its health may hold it.
            Steered::Campaign(id) if steer.go && desk.campaign(id)?.is_some_and(health::is_held) => {
                if steer.comment.trim().is_empty() {
                    return Ok(Outcome::rejected("a comment is required: say why it may go on".into()));
                }
                if let Some(halt) = desk.lane(&id.lane)?.halted {
                    return Ok(Outcome::rejected(format!("lane `{}` is halted ({}): resume the lane", id.lane, halt.why)));
                }
                health::release(desk, id, &steer.by, &steer.comment).map(|_| Outcome::Accepted)
            }
            _ => Ok(Outcome::Duplicate),
        };
    }
    if steer.comment.trim().is_empty() {
        return Ok(Outcome::rejected(format!("a comment is required: say why it {}", if steer.go { "may go on" } else { "is paused" })));
    }
    desk.record(Entry::Steered(Steer { comment: steer.comment.trim().to_owned(), ..steer.clone() }))?;
    let campaign = match &steer.on {
        Steered::Campaign(id) => Some(id.clone()),
        Steered::Lane(id) => desk.lane(id)?.running,
    };
    if let Some(campaign) = campaign {
        look_again(desk, &campaign)?;
    }
    Ok(Outcome::Accepted)
}

/// A campaign looks at its gates again, and so do the cells of its wave.
///
/// # Errors
/// When something is not loaded.
pub fn look_again(desk: &mut Desk<'_>, id: &CampaignId) -> Result<(), Missing> {
    if let Some(CampaignPhase::Running { wave, .. }) = desk.campaign(id)?.map(|campaign| campaign.phase.clone()) {
        desk.ask(Action::NudgeCells(WaveId { campaign: id.clone(), index: wave }));
    }
    desk.ask(Action::Nudge(Nudge::Campaign(id.clone())));
    Ok(())
}

/// A named person gives targets another attempt.
///
/// # Errors
/// When something is not loaded.
pub fn retry(desk: &mut Desk<'_>, retry: &Retry) -> Result<Outcome, Missing> {
    if retry.comment.trim().is_empty() {
        return Ok(Outcome::rejected("a comment is required: say what has changed".into()));
    }
    match &retry.what {
        Retried::Target(key) => retry_target(desk, key, retry),
        Retried::Campaign(id) => {
            if desk.campaign(id)?.is_none_or(|campaign| !campaign.is_cut()) {
                return Ok(Outcome::rejected(format!("campaign `{id}` is not known, or has touched nothing yet")));
            }
            desk.record(Entry::RetryGranted(retry.clone()))?;
            desk.ask(Action::RetryCampaign(retry.clone()));
            Ok(Outcome::Accepted)
        }
    }
}

/// Attempts are not forgotten: one that is out of them gets exactly one more.
fn retry_target(desk: &mut Desk<'_>, key: &TargetKey, retry: &Retry) -> Result<Outcome, Missing> {
    let Some(known) = desk.target(key)?.cloned() else {
        return Ok(Outcome::rejected(format!("nothing is known of `{key}`")));
    };
    if known.lease.is_some() {
        return Ok(Outcome::rejected(format!("`{key}` is in a batch: it is retried by itself if that fails")));
    }
    match &known.standing {
        Standing::Quarantined { .. } | Standing::Retrying { .. } => {
            desk.record(Entry::RetryGranted(retry.clone()))?;
            target::open_again(desk, &known)?;
        }
        Standing::Unreachable { .. } => {
            desk.record(Entry::RetryGranted(retry.clone()))?;
            desk.ask(Action::LookAt(key.clone()));
        }
        Standing::Enrolled { .. } => return Ok(Outcome::Duplicate),
        other => return Ok(Outcome::rejected(format!("`{key}` is {}: there is nothing to try again", other.name(true).replace('_', " ")))),
    }
    Ok(Outcome::Accepted)
}

pub(crate) fn home_of(on: &Steered) -> Key {
    match on {
        Steered::Lane(id) => Key::lane(id),
        Steered::Campaign(id) => Key::campaign(id),
    }
}

pub(crate) fn home_of_retry(what: &Retried) -> Key {
    match what {
        Retried::Target(key) => Key::target(key),
        Retried::Campaign(id) => Key::campaign(id),
    }
}

pub(crate) fn apply_steer(book: &mut impl Book, steer: &Steer, at: Timestamp) -> Result<(), Missing> {
    let pause = (!steer.go).then(|| Pause { by: steer.by.clone(), why: steer.comment.clone(), at });
    match &steer.on {
        Steered::Lane(id) => {
            let lane = lane_mut(book, id)?;
            lane.epoch = lane.epoch.saturating_add(1);
            lane.paused = pause;
        }
        Steered::Campaign(id) => campaign_mut(book, id)?.paused = pause,
    }
    Ok(())
}

pub(crate) fn apply_retry(book: &mut impl Book, retry: &Retry) -> Result<(), Missing> {
    match &retry.what {
        Retried::Target(key) => target_mut(book, key).map(|_| ()),
        Retried::Campaign(id) => campaign_mut(book, id).map(|_| ()),
    }
}
