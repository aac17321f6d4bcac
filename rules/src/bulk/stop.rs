//! What ends a bulk run before its first command, and what does not end it although it could.

use tidegate_events::Entry;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::control::{Steer, Steered};
use tidegate_events::entry::WaveCut;
use tidegate_events::id::{PersonId, WaveId};

use crate::bake::Tallied;
use crate::bulk::terms::amount;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::forecast;
use crate::key::Key;
use crate::policy::Policy;
use crate::state::{Campaign, CampaignPhase, State};

/// Whoever asked for a run takes it back: nothing new of it begins, and what was sent goes on to its proof. While its nodes are still
/// listed it is paused, since only a run that is cut lets go of them all: said again then, it ends.
///
/// # Errors
/// When something is not loaded.
pub fn on_stopped(desk: &mut Desk<'_>, asked: &str, by: &PersonId, comment: &str) -> Result<Outcome, Missing> {
    let Some(State::Run(item)) = desk.item(&Key::run(asked))? else { return Ok(Outcome::rejected(format!("no bulk run was asked for as `{asked}`"))) };
    let id = item.campaign.clone();
    let Some(campaign) = desk.campaign(&id)? else { return Ok(Outcome::rejected(format!("campaign `{id}` is not known"))) };
    let comment = comment.trim();
    if comment.is_empty() {
        return Ok(Outcome::rejected("a comment is required: say why the run is stopped".into()));
    }
    match campaign.phase {
        CampaignPhase::Ended { .. } => Ok(Outcome::Stale { why: format!("campaign {id} is over") }),
        CampaignPhase::Collecting { .. } | CampaignPhase::Closing { .. } => {
            crate::control::steer(desk, &Steer { on: Steered::Campaign(id), go: false, by: by.clone(), comment: comment.to_owned() })
        }
        CampaignPhase::Cut | CampaignPhase::Running { .. } => {
            crate::campaign::end(desk, &id, &format!("stopped by {by}: {comment}"), false)?;
            Ok(Outcome::Accepted)
        }
    }
}

/// A run that is over before it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// Why.
    pub why: String,
    /// Whether that is what was asked for.
    pub complete: bool,
}

/// Whether a run that is cut goes no further: a dry run has shown what it would do, and one above a belt is refused, not cut
/// down.
pub fn at_the_cut(policy: &Policy, campaign: &Campaign, waves: &[WaveCut], inventory: u64) -> Option<Over> {
    let bulk = campaign.bulk.as_ref()?;
    let targets = waves.iter().map(|wave| wave.targets).sum();
    let above = forecast::belts(policy, targets, inventory);
    if !above.is_empty() {
        return Some(Over { why: format!("refused by a safety belt: {}", above.join("; ")), complete: false });
    }
    bulk.dry_run.then(|| Over { why: format!("a dry run: {targets} targets in {} waves were planned, and nothing was sent", waves.len()), complete: true })
}

/// More of an open wave failed than the run itself bears, and it said to go on: written down once. The policy's own budget is
/// looked at before this, and halts the lane whatever a run says.
///
/// # Errors
/// When something is not loaded.
pub fn pass_errors(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId, tally: Tallied) -> Result<(), Missing> {
    let (Some(bulk), Some(wave)) = (&campaign.bulk, campaign.wave(id.index)) else { return Ok(()) };
    let Some(own) = bulk.wave(&wave.name).and_then(|asked| asked.max_errors).filter(|_| !bulk.abort_on_issues && !wave.errors_passed) else { return Ok(()) };
    let (bears, bad) = (amount(own).of(tally.kept), tally.bad.saturating_sub(wave.forgiven));
    if bad <= bears {
        return Ok(());
    }
    let why =
        format!("wave `{}`: {bad} of {} targets failed or are unknown, the run bears {bears} and goes on: `abortOnIssues` is false", wave.name, tally.kept);
    desk.record(Entry::Bulk(BulkEntry::ErrorsPassed { wave: id.clone(), bad, why }))
}
