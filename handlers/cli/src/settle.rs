//! Whether a run has come to rest: everything that could still move by itself, looked for in the folded journal.

use std::collections::BTreeMap;

use tidegate_events::Hold;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Subject, Word};
use tidegate_events::id::{Digest, LaneId, PersonId};
use tidegate_rules::State;
use tidegate_rules::apply::Fold;
use tidegate_rules::state::{BatchPhase, Campaign, CampaignPhase};

/// Looks at an unreachable target, and tries of a stranded scan, after which a run no longer waits for it.
const PATIENCE: u32 = 3;

/// What a run waits for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Something moves by itself.
    pub moving: bool,
    /// Lanes that a person must resume.
    pub halted: BTreeMap<LaneId, String>,
    /// Approvals that are asked for and not given by enough people.
    pub asked: Vec<(Subject, Digest)>,
    /// Other holds that only a person lifts.
    pub held: Vec<Hold>,
    /// Targets out of attempts.
    pub quarantined: u64,
}

impl Rest {
    /// Whether a person is needed.
    pub fn needs_a_person(&self) -> bool {
        !self.halted.is_empty() || !self.asked.is_empty() || !self.held.is_empty() || self.quarantined > 0
    }
}

/// Looks at everything.
pub fn look(fold: &Fold) -> Rest {
    let mut rest = Rest::default();
    for state in fold.items.values() {
        match state {
            State::Lane(lane) => {
                if let Some(halt) = &lane.halted {
                    rest.halted.insert(lane.id.clone(), halt.why.clone());
                }
            }
            State::Campaign(campaign) => look_at_campaign(campaign, &mut rest),
            State::Batch(batch) => {
                rest.moving |= match &batch.phase {
                    BatchPhase::Ended => false,
                    BatchPhase::Stranded { tries, .. } => *tries < PATIENCE,
                    _ => true,
                };
            }
            State::Cell(cell) => rest.moving |= cell.confirm.is_some(),
            State::Target(target) => match &target.standing {
                Standing::Retrying { .. } => rest.moving = true,
                Standing::Unreachable { looks, .. } if target.lease.is_none() => rest.moving |= *looks < PATIENCE,
                Standing::Quarantined { .. } => rest.quarantined += 1,
                _ => {}
            },
            _ => {}
        }
    }
    // A campaign behind a halted lane waits for that lane, not for time.
    if !rest.halted.is_empty() {
        rest.asked.clear();
    }
    rest
}

/// Names one thing that still moves, for whoever must find out why a run does not come to rest.
pub fn moving(fold: &Fold) -> Option<String> {
    fold.items.iter().find_map(|(key, state)| {
        let alone = Fold { items: BTreeMap::from([(key.clone(), state.clone())]), counters: BTreeMap::new() };
        look(&alone).moving.then(|| format!("`{key}`: {}", serde_json::to_string(state).unwrap_or_default()))
    })
}

fn look_at_campaign(campaign: &Campaign, rest: &mut Rest) {
    match &campaign.phase {
        CampaignPhase::Collecting { .. } | CampaignPhase::Closing { .. } => rest.moving = true,
        CampaignPhase::Ended { .. } => {}
        CampaignPhase::Cut => rest.asked.extend(unanswered(campaign)),
        CampaignPhase::Running { .. } => {
            let by_person: Vec<&Hold> = campaign.holds.iter().filter(|hold| hold.needs_a_person()).collect();
            // Whoever must act can act whatever else holds; without such a hold it moves by itself.
            rest.moving |= by_person.is_empty();
            for hold in by_person {
                match hold {
                    Hold::AwaitingApproval { .. } => rest.asked.extend(unanswered(campaign)),
                    Hold::LaneHalted { .. } => {}
                    other => rest.held.push(other.clone()),
                }
            }
        }
    }
}

/// What is asked for and not yet said yes to by enough people.
pub fn unanswered(campaign: &Campaign) -> Vec<(Subject, Digest)> {
    campaign
        .asked
        .iter()
        .filter(|asked| approvers(campaign, &asked.subject, &asked.digest).len() < asked.need as usize)
        .map(|asked| (asked.subject.clone(), asked.digest))
        .collect()
}

/// Who said yes to this digest.
pub fn approvers<'c>(campaign: &'c Campaign, subject: &Subject, digest: &Digest) -> Vec<&'c PersonId> {
    campaign.words.iter().filter(|word| word.word == Word::Approve && word.subject == *subject && word.digest == *digest).map(|word| &word.by).collect()
}
