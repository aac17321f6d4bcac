//! Approval: a yes to exactly one digest, by enough people, alive when the wave starts (invariant 2).

use jiff::Timestamp;
use tidegate_events::action::Nudge;
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::id::{Digest, PersonId, WaveId};
use tidegate_events::{Action, Entry, Hold};

use crate::decide::Outcome;
use crate::desk::{Desk, Missing, secs_between};
use crate::policy::Policy;
use crate::state::{Campaign, CampaignPhase, Wave, WaveStage};

/// What must be approved before a wave may start: the campaign's digest, or the wave's own where the policy asks for each
/// wave or the wave's patch set was renewed.
pub fn subject(policy: &Policy, campaign: &Campaign, id: &WaveId, wave: &Wave) -> (Subject, Digest) {
    match (&campaign.pin, is_renewed(campaign)) {
        (Some(pin), true) => (Subject::Wave(id.clone()), Digest::of_parts([wave.digest.as_bytes().as_slice(), pin.snapshot.as_str().as_bytes()])),
        _ if policy.approval.per_wave => (Subject::Wave(id.clone()), wave.digest),
        _ => (Subject::Campaign(campaign.id.clone()), campaign.digest),
    }
}

/// Whether the patch set that was approved with the whole campaign is no longer the one that runs: every wave from then on
/// needs a yes of its own, to its targets under the patch set of today.
pub fn is_renewed(campaign: &Campaign) -> bool {
    campaign.waves.iter().any(|wave| wave.renewed_until.is_some())
}

/// The people whose yes to this digest is alive: given, not taken back, not rejected, and not expired at `as_of`.
pub fn live<'c>(policy: &Policy, campaign: &'c Campaign, subject: &Subject, digest: &Digest, as_of: Timestamp) -> Vec<&'c PersonId> {
    let mut people: Vec<&PersonId> = campaign
        .words
        .iter()
        .filter(|word| word.word == Word::Approve && word.subject == *subject && word.digest == *digest)
        .filter(|word| secs_between(word.at, as_of) < i64::from(policy.approval.expires_secs))
        .filter(|word| policy.approval.approvers.is_empty() || policy.approval.approvers.iter().any(|known| known.is_same_person(&word.by)))
        .map(|word| &word.by)
        .collect();
    people.sort_by_key(|person| person.as_str().to_ascii_lowercase());
    people.dedup_by(|a, b| a.is_same_person(b));
    people
}

/// The approval gate. An approval must be alive when the wave starts: for an open wave that is when it opened, so that an
/// expiry does not stop what runs; a revocation removes the word itself and stops it at any time.
///
/// # Errors
/// The hold, when too few people said yes.
pub fn gate(policy: &Policy, campaign: &Campaign, id: &WaveId, wave: &Wave, now: Timestamp) -> Result<Vec<PersonId>, Hold> {
    let (subject, digest) = subject(policy, campaign, id, wave);
    let as_of = match wave.stage {
        WaveStage::Open { at, .. } => at,
        WaveStage::Baking { opened_at, .. } => opened_at,
        _ => now,
    };
    let live = live(policy, campaign, &subject, &digest, as_of);
    let have = u32::try_from(live.len()).unwrap_or(u32::MAX);
    let need = policy.approvals_needed();
    if have >= need { Ok(live.into_iter().cloned().collect()) } else { Err(Hold::AwaitingApproval { digest, have, need }) }
}

/// Takes a person's word, or refuses it with the reason.
///
/// # Errors
/// When something is not loaded.
pub fn take(desk: &mut Desk<'_>, approval: &Approval) -> Result<Outcome, Missing> {
    let id = approval.subject.campaign();
    let Some(campaign) = desk.campaign(id)?.cloned() else {
        return Ok(Outcome::rejected(format!("`{}` is not known: `tidegate status` lists what awaits approval", approval.subject)));
    };
    let policy = desk.effective(&campaign.policy)?;
    if matches!(campaign.phase, CampaignPhase::Ended { .. }) {
        return Ok(Outcome::Stale { why: format!("campaign {id} is over") });
    }
    let Some(asked) = campaign.asked.iter().find(|asked| asked.subject == approval.subject) else {
        return Ok(Outcome::rejected(format!("nobody asked for an approval of `{}`", approval.subject)));
    };
    if asked.digest != approval.digest {
        return Ok(Outcome::Stale {
            why: format!("the yes is to digest {}, what is asked for is {}: look again and decide again", approval.digest.short(), asked.digest.short()),
        });
    }
    if secs_between(desk.now(), approval.at) > 300 {
        return Ok(Outcome::rejected(format!("it is dated {}, in the future", approval.at)));
    }
    if !policy.approval.approvers.is_empty() && !policy.approval.approvers.iter().any(|known| known.is_same_person(&approval.by)) {
        return Ok(Outcome::rejected(format!("`{}` is not among the approvers of policy `{}`", approval.by, policy.name)));
    }
    if approval.comment.trim().is_empty() && (approval.word == Word::Reject || policy.approval.comment_required) {
        return Ok(Outcome::rejected("a comment is required: say why".into()));
    }
    let same = |word: &&Approval| word.by.is_same_person(&approval.by) && word.subject == approval.subject && word.digest == approval.digest;
    match (campaign.words.iter().rev().find(same).map(|word| (word.word, word.at)), approval.word) {
        // The same word again counts anew only where it was asked for anew.
        (Some((word, at)), new) if word == new && (at >= asked.at || at == approval.at) => return Ok(Outcome::Duplicate),
        (Some((_, at)), _) if at > approval.at => return Ok(Outcome::Stale { why: "a later word of the same person is known".into() }),
        (None, Word::Revoke) => {
            return Ok(Outcome::rejected(format!("`{}` has not approved `{}`: there is nothing to take back", approval.by, approval.subject)));
        }
        _ => {}
    }
    desk.record(Entry::ApprovalTaken(approval.clone()))?;
    if approval.word == Word::Reject {
        crate::campaign::end(desk, id, &format!("rejected by {}: {}", approval.by, approval.comment.trim()), false)?;
        return Ok(Outcome::Accepted);
    }
    crate::campaign::advance(desk, id)?;
    // Whoever drives the campaign looks again, under its own policy: the word may have come in through another process.
    desk.ask(Action::Nudge(Nudge::Campaign(id.clone())));
    Ok(Outcome::Accepted)
}
