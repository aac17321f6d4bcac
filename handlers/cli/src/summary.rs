//! The summary that `demo`, `replay`, `simulate` and `status` print (`tidegate.summary/1`). Same input, same seed, same
//! policy: same bytes.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use tidegate_events::Hold;
use tidegate_events::entry::Standing;
use tidegate_events::fact::Verdict;
use tidegate_events::id::{CampaignId, TargetKey};
use tidegate_rules::State;
use tidegate_rules::apply::Fold;
use tidegate_rules::decide::Outcome;
use tidegate_rules::state::{Campaign, CampaignPhase};
use tidegate_world::Counts;

/// The name of this document.
pub const SCHEMA: &str = "tidegate.summary/1";

/// The whole document.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// `tidegate.summary/1`
    pub schema: String,
    /// The seed of the simulated organization.
    pub seed: u64,
    /// Virtual time from the first event to rest, in seconds.
    pub virtual_secs: i64,
    /// What became of the events.
    pub events: EventCounts,
    /// Every ignored and rejected event.
    pub refused: Vec<Refused>,
    /// Targets by where they stand.
    pub targets: Targets,
    /// Targets by the verdict of their latest attempt.
    pub verdicts: BTreeMap<String, u64>,
    /// Campaigns, oldest first.
    pub campaigns: Vec<CampaignSummary>,
    /// Commands, counted by the simulated organization.
    pub commands: Commands,
    /// API calls by operation, counted by the simulated organization.
    pub api_calls: BTreeMap<String, u64>,
    /// Invariants.
    pub invariants: Invariants,
}

/// What became of the events; `read` is the sum of the other five.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventCounts {
    /// All.
    pub read: u64,
    /// Changed what we know.
    pub accepted: u64,
    /// Known already.
    pub duplicate: u64,
    /// Older than what is known.
    pub stale: u64,
    /// Understood, not ours.
    pub ignored: u64,
    /// Not understood, or contradicting themselves.
    pub rejected: u64,
}

impl EventCounts {
    /// Counts one.
    pub fn count(&mut self, outcome: &Outcome) {
        self.read += 1;
        *match outcome {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Stale { .. } => &mut self.stale,
            Outcome::Ignored { .. } => &mut self.ignored,
            Outcome::Rejected { .. } => &mut self.rejected,
        } += 1;
    }
}

/// An event that was ignored or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// The base name of its file.
    pub source: String,
    /// Its place in it, from 0.
    pub index: usize,
    /// `ignored` or `rejected`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

/// Targets; `total` is the sum of `by_state`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Targets {
    /// Every known instance.
    pub total: u64,
    /// Each in exactly one.
    pub by_state: BTreeMap<String, u64>,
}

/// A campaign.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignSummary {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: String,
    /// The digest of its policy; of a bulk run, of its terms.
    pub policy_digest: String,
    /// What an approval of a bulk run signs, once it is cut: the digest that `tidegate plan` shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its waves.
    pub waves: Vec<WaveSummary>,
}

/// A wave.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WaveSummary {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: String,
    /// Its targets when it was cut.
    pub targets: u64,
    /// Its digest.
    pub digest: String,
    /// Why it is not moving.
    pub holds: Vec<HoldSummary>,
}

/// A hold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HoldSummary {
    /// Its name.
    pub kind: String,
    /// In words.
    pub detail: String,
}

impl From<&Hold> for HoldSummary {
    fn from(hold: &Hold) -> Self {
        Self { kind: hold.kind().to_owned(), detail: hold.to_string() }
    }
}

/// Accepted commands.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Commands {
    /// That installed.
    pub install: u64,
    /// That scanned.
    pub scan: u64,
    /// That rebooted, as a step of its own.
    pub reboot: u64,
    /// Targets that got an Install twice for one attempt.
    pub doubled: u64,
}

impl From<Counts> for Commands {
    fn from(counts: Counts) -> Self {
        Self { install: counts.install, scan: counts.scan, reboot: counts.reboot, doubled: counts.doubled }
    }
}

/// What the checker found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Invariants {
    /// Checks that were made.
    pub checked: u64,
    /// What was violated.
    pub violations: Vec<String>,
}

/// Targets by state and by verdict, over what is folded and over instances of which nothing is known but that they exist.
pub fn targets(fold: &Fold, others: &[TargetKey]) -> (Targets, BTreeMap<String, u64>) {
    let cut: BTreeSet<&CampaignId> = campaigns_of(fold).filter(|campaign| campaign.is_cut()).map(|campaign| &campaign.id).collect();
    let mut by_state: BTreeMap<String, u64> = Standing::NAMES.iter().map(|name| ((*name).to_owned(), 0)).collect();
    let mut verdicts: BTreeMap<String, u64> = Verdict::ALL.iter().map(|verdict| (verdict.name().to_owned(), 0)).collect();
    let mut known: BTreeSet<&TargetKey> = BTreeSet::new();
    let mut count = |name: &str, by: u64| *by_state.entry(name.to_owned()).or_default() += by;
    for state in fold.items.values() {
        let State::Target(target) = state else { continue };
        known.insert(&target.key);
        let in_wave = matches!(&target.standing, Standing::Enrolled { campaign } if cut.contains(campaign));
        count(target.standing.name(in_wave), 1);
        if let Some(verdict) = target.verdict {
            *verdicts.entry(verdict.name().to_owned()).or_default() += 1;
        }
    }
    count("compliant", others.iter().filter(|key| !known.contains(key)).count() as u64);
    let total = by_state.values().sum();
    (Targets { total, by_state }, verdicts)
}

/// Every campaign, in key order.
pub fn campaigns_of(fold: &Fold) -> impl Iterator<Item = &Campaign> {
    fold.items.values().filter_map(|state| match state {
        State::Campaign(campaign) => Some(campaign.as_ref()),
        _ => None,
    })
}

/// The campaigns, oldest first.
pub fn campaigns(fold: &Fold) -> Vec<CampaignSummary> {
    let mut all: Vec<&Campaign> = campaigns_of(fold).collect();
    all.sort_by_key(|campaign| (campaign.id.lane.clone(), campaign.id.number));
    let halted = |campaign: &Campaign, index: u16| {
        let lane = fold.items.get(&tidegate_rules::Key::lane(&campaign.id.lane));
        matches!(lane, Some(State::Lane(lane)) if lane.halted.as_ref().is_some_and(|halt| halt.wave == campaign.wave_id(index)))
    };
    all.into_iter()
        .map(|campaign| CampaignSummary {
            id: campaign.id.to_string(),
            state: campaign.phase.name().to_owned(),
            policy_digest: campaign.policy.to_string(),
            digest: (campaign.bulk.is_some() && campaign.cut_at.is_some()).then(|| campaign.digest.to_string()),
            waves: (0u16..)
                .zip(&campaign.waves)
                .map(|(index, wave)| {
                    let current = matches!(campaign.phase, CampaignPhase::Running { wave, .. } if wave == index);
                    WaveSummary {
                        name: wave.name.clone(),
                        state: if halted(campaign, index) { "halted".to_owned() } else { wave.stage.name().to_owned() },
                        targets: wave.targets,
                        digest: wave.digest.to_string(),
                        holds: if current { campaign.holds.iter().map(HoldSummary::from).collect() } else { waiting_holds(campaign, index) },
                    }
                })
                .collect(),
        })
        .collect()
}

/// A closed campaign that waits for its lane, or for a yes, says so at its first wave.
fn waiting_holds(campaign: &Campaign, index: u16) -> Vec<HoldSummary> {
    if index != 0 || !matches!(campaign.phase, CampaignPhase::Cut) {
        return Vec::new();
    }
    crate::settle::unanswered(campaign)
        .map(|asked| {
            let have = u32::try_from(crate::settle::approvers(campaign, asked).len()).unwrap_or(u32::MAX);
            HoldSummary::from(&Hold::AwaitingApproval { digest: asked.digest, have, need: asked.need })
        })
        .collect()
}
