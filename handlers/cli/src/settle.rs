//! Whether a run has come to rest: everything that could still move by itself, looked for in the folded journal.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_events::Hold;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::id::{Digest, LaneId, PersonId, WaveId};
use tidegate_rules::apply::Fold;
use tidegate_rules::state::{Asked, BatchPhase, Campaign, CampaignPhase, CellHold, SeatAt, WaveStage};
use tidegate_rules::{Key, State};

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
    let cord = match fold.items.get(&Key::organization()) {
        Some(State::Organization(organization)) => organization.cord.clone(),
        _ => None,
    };
    let is_stopped = cord.is_some();
    rest.held.extend(cord.map(|by| Hold::CordPulled { by }));
    let stuck_waves = stuck_waves(fold, &mut rest);
    // Lanes where one campaign waits closed behind one that only a person moves on: whoever collects there goes on collecting.
    let mut queued: BTreeSet<&LaneId> = BTreeSet::new();
    let mut stuck: BTreeSet<&LaneId> = BTreeSet::new();
    let mut collecting: Vec<&LaneId> = Vec::new();
    for state in fold.items.values() {
        match state {
            State::Lane(lane) => {
                if !lane.waiting.is_empty() {
                    queued.insert(&lane.id);
                }
                if let Some(halt) = &lane.halted {
                    stuck.insert(&lane.id);
                    rest.halted.insert(lane.id.clone(), halt.why.clone());
                }
            }
            State::Campaign(campaign) => {
                match &campaign.phase {
                    CampaignPhase::Collecting { .. } => collecting.push(&campaign.id.lane),
                    CampaignPhase::Running { wave, .. }
                        if campaign.holds.iter().any(Hold::needs_a_person) || stuck_waves.contains(&campaign.wave_id(*wave)) =>
                    {
                        stuck.insert(&campaign.id.lane);
                    }
                    _ => {}
                }
                look_at_campaign(campaign, is_stopped, &stuck_waves, &mut rest);
            }
            State::Batch(batch) => {
                rest.moving |= match &batch.phase {
                    BatchPhase::Ended => false,
                    BatchPhase::Ready { hold: Some(hold), .. } if hold.needs_a_person() => {
                        rest.held.push(hold.clone());
                        false
                    }
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
    rest.moving |= collecting.iter().any(|lane| !(queued.contains(lane) && stuck.contains(lane)));
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

/// Waves all of whose unfinished cells only a person moves on, none of their batches under way.
fn stuck_waves(fold: &Fold, rest: &mut Rest) -> BTreeSet<WaveId> {
    let (mut held, mut free) = (BTreeSet::new(), BTreeSet::new());
    for state in fold.items.values() {
        let State::Cell(cell) = state else { continue };
        match &cell.held {
            _ if cell.done => {}
            Some(CellHold { hold: hold @ Hold::NeedsPerson { .. }, .. }) if cell.at(SeatAt::InBatch).next().is_none() => {
                held.insert(cell.id.wave.clone());
                rest.held.push(hold.clone());
            }
            _ => {
                free.insert(cell.id.wave.clone());
            }
        }
    }
    held.retain(|wave| !free.contains(wave));
    held
}

fn look_at_campaign(campaign: &Campaign, is_stopped: bool, stuck: &BTreeSet<WaveId>, rest: &mut Rest) {
    match &campaign.phase {
        CampaignPhase::Closing { .. } => rest.moving = true,
        CampaignPhase::Collecting { .. } | CampaignPhase::Ended { .. } => {}
        CampaignPhase::Cut => rest.asked.extend(unanswered(campaign).map(|asked| (asked.subject.clone(), asked.digest))),
        CampaignPhase::Running { wave, .. } => {
            // What holds an open wave stands in its cells; while the cord is pulled nothing new starts in any of them.
            let is_open = campaign.wave(*wave).is_some_and(|wave| matches!(wave.stage, WaveStage::Open { .. }));
            let is_held = is_open && (is_stopped || stuck.contains(&campaign.wave_id(*wave)));
            let by_person: Vec<&Hold> = campaign.holds.iter().filter(|hold| hold.needs_a_person()).collect();
            // Whoever must act can act whatever else holds; without such a hold it moves by itself.
            rest.moving |= by_person.is_empty() && !is_held;
            for hold in by_person {
                match hold {
                    Hold::AwaitingApproval { .. } => rest.asked.extend(unanswered(campaign).map(|asked| (asked.subject.clone(), asked.digest))),
                    Hold::LaneHalted { .. } => {}
                    other => rest.held.push(other.clone()),
                }
            }
        }
    }
}

/// What is asked for and not yet said yes to by enough people.
pub fn unanswered(campaign: &Campaign) -> impl Iterator<Item = &Asked> {
    campaign.asked.iter().filter(|asked| approvers(campaign, asked).len() < asked.need as usize)
}

/// Who has said yes since it was asked for (anew).
pub fn approvers<'c>(campaign: &'c Campaign, asked: &Asked) -> Vec<&'c PersonId> {
    let counts = |word: &&Approval| word.word == Word::Approve && word.subject == asked.subject && word.digest == asked.digest && word.at >= asked.at;
    campaign.words.iter().filter(counts).map(|word| &word.by).collect()
}
