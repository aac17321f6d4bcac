//! Sweeps: what is non-compliant and no event has told. In bounded parts, since an organization has more findings than one
//! invocation of a function has time for: a part reads one page, takes in what is on it, and names the parts that follow.
//!
//! Two kinds. The aggregator's findings are AWS Config's word, and cheap. The nodes' own patch states are the ground truth, also
//! where Config never judged (no rule, no recorder), and are read spoke by spoke, less often (decision 0011).

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::fact::Fact;
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{AccountId, InstanceId, TargetKey};
use tidegate_rules::catalog::PATCH_COMPLIANCE;
use tidegate_rules::decide::Outcome;

use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::{Cloud, RuleAt, Spoke};
use crate::store::Store;

/// How far a patch state's end, which the instance's own clock tells, may be ahead of ours, in seconds.
const AHEAD_SECS: i64 = 300;

/// Which accounts a sweep of nodes is about: `turn` of `of` equal shares. Going through them one after the other spreads the load,
/// and a turn that is missed costs a share one round, not everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// From 0 on.
    pub turn: u32,
    /// How many there are; 0 is read as 1.
    pub of: u32,
}

impl Share {
    /// All accounts at once.
    pub const ALL: Self = Self { turn: 0, of: 1 };

    fn has(self, account: AccountId) -> bool {
        let number: u64 = account.to_string().parse().unwrap_or_default();
        number % u64::from(self.of.max(1)) == u64::from(self.turn)
    }
}

/// One bounded part of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A page of the rules that have findings, by the aggregator.
    Rules {
        /// Where the page before ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// A page of one rule's findings in one spoke, by the aggregator.
    Findings {
        /// The rule and the spoke.
        at: RuleAt,
        /// Where the page before ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// The spokes whose nodes are looked at.
    Spokes(Share),
    /// A page of one spoke's managed nodes, with their patch states.
    Nodes {
        /// The spoke.
        spoke: Spoke,
        /// Where the page before ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
}

impl Part {
    /// The beginning of a sweep of the aggregator.
    pub const RULES: Self = Self::Rules { next: None };

    /// The spoke that it is about, where it is about one.
    pub fn spoke(&self) -> Option<&Spoke> {
        match self {
            Self::Rules { .. } | Self::Spokes(_) => None,
            Self::Findings { at, .. } => Some(&at.spoke),
            Self::Nodes { spoke, .. } => Some(spoke),
        }
    }
}

/// What a sweep, or a part of one, came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Findings that no event had told.
    pub new: u64,
    /// Nodes that were looked at.
    pub nodes: u64,
    /// Nodes without a patch state: never scanned, so nothing is known of them, which is no finding.
    pub unscanned: u64,
    /// Nodes whose patch state ended in the future by their own clock: not believed.
    pub doubtful: u64,
}

impl Swept {
    /// Adds what another part came to.
    pub fn add(&mut self, other: Self) {
        self.new = self.new.saturating_add(other.new);
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.unscanned = self.unscanned.saturating_add(other.unscanned);
        self.doubtful = self.doubtful.saturating_add(other.doubtful);
    }
}

/// A part that was done: what it came to, and the parts that follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartDone {
    /// What it came to.
    pub swept: Swept,
    /// What is next, in any order.
    pub then: Vec<Part>,
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

impl<S: Store, C: Cloud> Engine<S, C> {
    /// Does one part of a sweep. Doing it again finds nothing new. `Ok(Err(..))` is the cloud's no to this part alone.
    ///
    /// # Errors
    /// When a finding could not be stored.
    pub async fn sweep_part(&self, part: &Part, now: Timestamp) -> Result<Result<PartDone, SpokeFault>, EngineError> {
        match part {
            Part::Rules { next } => {
                let page = match self.cloud().rules_with_findings(next.as_deref()).await {
                    Ok(page) => page,
                    Err(fault) => return Ok(Err(fault)),
                };
                let more = page.next.map(|next| Part::Rules { next: Some(next) });
                let rules = page.items.into_iter().map(|at| Part::Findings { at, next: None });
                Ok(Ok(PartDone { swept: Swept::default(), then: more.into_iter().chain(rules).collect() }))
            }
            Part::Findings { at, next } => {
                let page = match self.cloud().findings(at, next.as_deref()).await {
                    Ok(page) => page,
                    Err(fault) => return Ok(Err(fault)),
                };
                let new = self.take_in(page.items, now).await?;
                let then = page.next.map(|next| Part::Findings { at: at.clone(), next: Some(next) });
                Ok(Ok(PartDone { swept: Swept { new, ..Swept::default() }, then: then.into_iter().collect() }))
            }
            // A patch state says nothing about what other entries mend.
            Part::Spokes(_) if self.policy().entry().resource_types.first().is_some_and(|kind| kind != PATCH_COMPLIANCE) => Ok(Ok(PartDone::default())),
            Part::Spokes(share) => {
                let spokes = match self.cloud().spokes().await {
                    Ok(spokes) => spokes,
                    Err(fault) => return Ok(Err(fault)),
                };
                let mine = spokes.into_iter().filter(|spoke| share.has(spoke.account));
                Ok(Ok(PartDone { swept: Swept::default(), then: mine.map(|spoke| Part::Nodes { spoke, next: None }).collect() }))
            }
            Part::Nodes { spoke, next } => self.sweep_nodes_of(spoke, next.as_deref(), now).await,
        }
    }

    async fn sweep_nodes_of(&self, spoke: &Spoke, next: Option<&str>, now: Timestamp) -> Result<Result<PartDone, SpokeFault>, EngineError> {
        let page = match self.cloud().managed_nodes(spoke, next, false).await {
            Ok(page) => page,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut asked: BTreeSet<InstanceId> = page.items.into_iter().map(|host| host.instance).collect();
        let mut swept = Swept { nodes: count(asked.len()), ..Swept::default() };
        if !asked.is_empty() {
            let ids: Vec<InstanceId> = asked.iter().cloned().collect();
            let states = match self.cloud().patch_states(spoke, &ids).await {
                Ok(states) => states,
                Err(fault) => return Ok(Err(fault)),
            };
            let mut found = Vec::new();
            // Each counts once, and only who was asked about.
            for state in states {
                if !asked.remove(&state.instance) {
                    continue;
                }
                let Some(fact) = state.finding() else { continue };
                let target = TargetKey { account: spoke.account, region: spoke.region.clone(), instance: state.instance };
                if state.ended_at.duration_since(now).as_secs() > AHEAD_SECS {
                    // Nothing that anybody says later would ever be newer.
                    swept.doubtful += 1;
                    tracing::warn!(%target, ended_at = %state.ended_at, "its patch state ended in the future and is not believed: look at the instance's clock");
                    continue;
                }
                found.push((target, fact));
            }
            swept.unscanned = count(asked.len());
            if !asked.is_empty() {
                let (account, region) = (spoke.account, &spoke.region);
                let instances: Vec<&str> = asked.iter().map(InstanceId::as_str).collect();
                tracing::info!(%account, %region, unscanned = asked.len(), ?instances, "managed nodes that were never scanned: no finding, and no proof");
            }
            swept.new = self.take_in(found, now).await?;
        }
        let then = page.next.map(|next| Part::Nodes { spoke: spoke.clone(), next: Some(next) });
        Ok(Ok(PartDone { swept, then: then.into_iter().collect() }))
    }

    async fn take_in(&self, found: Vec<(TargetKey, Fact)>, now: Timestamp) -> Result<u64, EngineError> {
        let mut new = 0;
        for (target, fact) in found {
            let handled = self.handle(&self.finding(target, fact), now).await?;
            new += u64::from(handled.outcome == Outcome::Accepted);
        }
        Ok(new)
    }

    /// Sweeps the aggregator, every part here and now. Gives how many findings were new.
    ///
    /// # Errors
    /// When a finding could not be stored.
    pub async fn sweep(&self, now: Timestamp) -> Result<Result<u64, SpokeFault>, EngineError> {
        Ok(self.sweep_all(Part::RULES, now).await?.map(|swept| swept.new))
    }

    /// Sweeps the nodes of every spoke by their patch states, every part here and now.
    ///
    /// # Errors
    /// When a finding could not be stored.
    pub async fn sweep_nodes(&self, now: Timestamp) -> Result<Result<Swept, SpokeFault>, EngineError> {
        self.sweep_all(Part::Spokes(Share::ALL), now).await
    }

    /// Every part that follows from one. A part that fails stops no other; where trying again may help, its fault is given at the
    /// end. A spoke that lets nobody in is reported in the log alone: sweeping again would not change that.
    async fn sweep_all(&self, first: Part, now: Timestamp) -> Result<Result<Swept, SpokeFault>, EngineError> {
        let mut swept = Swept::default();
        let mut failed = None;
        let mut parts = VecDeque::from([first.clone()]);
        while let Some(part) = parts.pop_front() {
            match self.sweep_part(&part, now).await? {
                Ok(done) => {
                    swept.add(done.swept);
                    parts.extend(done.then);
                }
                Err(fault) => {
                    tracing::warn!(?part, %fault, "a part of a sweep was not answered");
                    if part == first || fault.is_passing() {
                        failed = failed.or(Some(fault));
                    }
                }
            }
        }
        Ok(failed.map_or(Ok(swept), Err))
    }
}
