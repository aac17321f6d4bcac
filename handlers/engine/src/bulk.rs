//! Bulk runs: the spokes that they name are gone through page by page, and what was found is cut by the same function that
//! `tidegate plan` cuts with.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::action::Nudge;
use tidegate_events::bulk::NodePage;
use tidegate_events::entry::WaveCut;
use tidegate_events::event::{Answer, Event};
use tidegate_events::id::{AccountId, CampaignId, Digest, Region};
use tidegate_events::run::BulkRun;
use tidegate_rules::bulk::{self, Known};
use tidegate_rules::plan::{CellPlan, Counts};
use tidegate_rules::policy::Policy;
use tidegate_rules::state::{CampaignPhase, Chunk};
use tidegate_rules::{Key, State};

use crate::commit::read_state;
use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::{Cloud, Spoke};
use crate::store::Store;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// The bulk run that a campaign is; `None` for a campaign of findings.
    pub(crate) async fn run_of(&self, id: &CampaignId, now: Timestamp) -> Result<Option<BulkRun>, EngineError> {
        self.look(now, |desk| {
            let Some(asked) = desk.campaign(id)?.and_then(|campaign| campaign.bulk.as_ref()).map(|bulk| bulk.asked.clone()) else { return Ok(None) };
            match desk.item(&Key::run(&asked))? {
                Some(State::Run(item)) if item.campaign == *id => Ok(Some(item.run.clone())),
                _ => Err(tidegate_rules::Missing::Corrupt(format!("the bulk run of campaign {id} is not there"))),
            }
        })
        .await
    }

    /// Asks for the first page of every spoke that is not listed to its end. What is asked again lists nobody twice.
    pub(crate) async fn list_run(&self, id: &CampaignId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let Some(run) = self.run_of(id, now).await? else { return Ok(Vec::new()) };
        if !self.is_listed(id, now).await? {
            return Ok(Vec::new());
        }
        let spokes: Vec<(AccountId, &Region)> = bulk::ask::spokes(&run).into_iter().collect();
        let keys: Vec<Key> = spokes.iter().map(|(account, region)| Key::listing(id, *account, region)).collect();
        let known = self.store().get(&keys).await.map_err(|source| EngineError::Store { what: "a look-up".into(), source })?;
        let mut actions = Vec::new();
        for (((account, region), key), known) in spokes.into_iter().zip(&keys).zip(known) {
            let done = match known {
                Some(stored) => matches!(read_state(key, &stored.body)?, State::Listing(listing) if listing.done),
                None => false,
            };
            if !done {
                actions.push(Action::ListNodes { campaign: id.clone(), account, region: region.clone(), after: None });
            }
        }
        if actions.is_empty() {
            actions.push(Action::Nudge(Nudge::Campaign(id.clone())));
        }
        Ok(actions)
    }

    async fn is_listed(&self, id: &CampaignId, now: Timestamp) -> Result<bool, EngineError> {
        self.look(now, |desk| Ok(desk.campaign(id)?.is_some_and(|campaign| matches!(campaign.phase, CampaignPhase::Closing { .. })))).await
    }

    /// Reads one page of a spoke's nodes.
    pub(crate) async fn list_nodes(
        &self,
        id: &CampaignId,
        account: AccountId,
        region: &Region,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Action>, EngineError> {
        let Some(run) = self.run_of(id, now).await? else { return Ok(Vec::new()) };
        if !self.is_listed(id, now).await? {
            return Ok(Vec::new());
        }
        // Doubt is no: an exemption by organizational unit must not be missed. The campaign asks again in minutes.
        let Ok(inventory) = self.cloud().inventory(None).await else { return Ok(Vec::new()) };
        let ous = inventory.ous.get(&account).cloned().unwrap_or_default();
        let policy = self.policy();
        let tags = run.waves.iter().any(|wave| !wave.tags.is_empty())
            || policy.blast_radius.tag.is_some()
            || !policy.groups.is_empty()
            || policy.exemptions.iter().any(|exemption| !exemption.select.tags.is_empty());
        let spoke = Spoke { account, region: region.clone() };
        let found = self.cloud().managed_nodes(&spoke, after, tags).await.map(|page| NodePage { hosts: page.items, next: page.next });
        let answer = Answer::NodesListed { campaign: id.clone(), account, region: region.clone(), found, ous };
        self.answer(Event::Answer(answer), now).await
    }
}

/// Cuts what was listed for a run into cells and waves.
pub(crate) fn cut(policy: &Policy, pinned: &Digest, id: &CampaignId, run: &BulkRun, chunks: &[Chunk], counts: &Counts) -> (Vec<CellPlan>, Vec<WaveCut>) {
    let mut rules: BTreeMap<(AccountId, &Region), BTreeSet<&String>> = BTreeMap::new();
    let mut chosen = Vec::new();
    for chunk in chunks {
        rules.entry((chunk.account, &chunk.region)).or_default().extend(&chunk.rules);
        for host in &chunk.hosts {
            let known = Known { account: chunk.account, region: &chunk.region, host };
            // Who joined was taken by a wave; exemptions and silent agents were looked at then.
            if let Ok(wave) = bulk::cut::first_wave(run, &known) {
                chosen.push((wave, known));
            }
        }
    }
    let mut cells = Vec::new();
    let (waves, _) = bulk::cut(policy, pinned, run, &mut chosen, counts, |cell| {
        let rules = rules.get(&(cell.account, cell.region)).map(|rules| rules.iter().take(25).map(|rule| (*rule).clone()).collect()).unwrap_or_default();
        cells.push(bulk::cut::cell_plan(policy, id, &cell, rules));
    });
    (cells, waves.into_iter().map(|(_, wave)| wave).collect())
}
