//! The second door: do the one thing that was asked, and come back through the first. Every action may be performed again
//! after a crash: each looks first whether the aggregate that asked for it still wants it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::Action;
use tidegate_events::action::Nudge;
use tidegate_events::entry::RunStep;
use tidegate_events::event::{Answer, Described, Event, RosterMember};
use tidegate_events::fact::Fact;
use tidegate_events::id::{AccountId, BatchId, CampaignId, CellId, CommandId, InstanceId, Region, TargetKey, WaveId};
use tidegate_rules::catalog::{Job, PATCH_COMPLIANCE, Runner};
use tidegate_rules::desk::later;
use tidegate_rules::plan::{self, CHUNK_MEMBERS_MAX};
use tidegate_rules::sending::SendOrder;
use tidegate_rules::state::{Batch, BatchPhase, Chunk, RosterEntry};
use tidegate_rules::{Key, State, sending};

use crate::commit::read_state;
use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::{AutomationRequest, Cloud, CommandSeen, SendRequest, Spoke};
use crate::store::Store;

/// Items read in one page.
const PAGE: usize = 1000;

impl<S: Store, C: Cloud> Engine<S, C> {
    /// Performs one action. Gives what is asked next; none of it needs to be kept, since whoever waits for it is due.
    ///
    /// # Errors
    /// When what came of it could not be stored. The action stays in the outbox and is performed again.
    pub async fn perform(&self, action: &Action, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        match action {
            Action::Nudge(nudge) => self.answer(Event::Nudge(nudge.clone()), now).await,
            Action::NudgeCells(wave) => self.nudge_cells(wave).await,
            Action::ListRoster(campaign) => self.list_roster(campaign, now).await,
            Action::ListRun(campaign) => self.list_run(campaign, now).await,
            Action::ListNodes { campaign, account, region, after } => self.list_nodes(campaign, *account, region, after.as_deref(), now).await,
            Action::Describe { campaign, account, region, chunk, members } => self.describe(campaign, *account, region, *chunk, members, now).await,
            Action::Partition(campaign) => self.partition(campaign, now).await,
            Action::Send { batch, step } => self.send(batch, *step, now).await,
            Action::Search(batch) => self.search(batch, now).await,
            Action::ReadInvocations { batch, command } => {
                let seen = match self.runner(batch, command, now).await? {
                    Runner::Automation => self.cloud().execution(&spoke(&batch.cell), command).await,
                    Runner::Command | Runner::Report => self.cloud().invocations(&spoke(&batch.cell), command).await,
                };
                self.answer(Event::Answer(Answer::Invocations { batch: batch.clone(), command: command.clone(), seen }), now).await
            }
            Action::ReadVerdicts(batch) => self.read_verdicts(batch, now).await,
            Action::ReadPatchStates(batch) => self.read_patch_states(batch, now).await,
            Action::Cancel { batch, command, instances } => {
                let cancelled = match self.runner(batch, command, now).await? {
                    Runner::Automation => self.cloud().stop_automation(&spoke(&batch.cell), command).await,
                    Runner::Command | Runner::Report => self.cloud().cancel(&spoke(&batch.cell), command, instances).await,
                };
                // Whoever waits for it looks again in seconds, and asks again.
                if let Err(fault) = cancelled {
                    tracing::warn!(%batch, %command, %fault, "a cancel was not taken");
                }
                Ok(Vec::new())
            }
            Action::StopOpen => self.stop_open().await,
            Action::GoOn => self.go_on().await,
            Action::RetryCampaign(retry) => self.retry_campaign(retry, now).await,
            Action::Reevaluate { cell, rules } => {
                let outcome = self.cloud().start_evaluation(&spoke(cell), rules).await;
                self.answer(Event::Answer(Answer::Reevaluated { cell: cell.clone(), outcome }), now).await
            }
            Action::ReadCompliance { cell, instances } => self.read_compliance(cell, instances, now).await,
            Action::LookAt(target) => {
                let spoke = Spoke { account: target.account, region: target.region.clone() };
                let found = self.cloud().describe(&spoke, std::slice::from_ref(&target.instance)).await;
                let found = found.map(|hosts| hosts.into_iter().find(|host| host.instance == target.instance));
                self.answer(Event::Answer(Answer::LookedAt { target: target.clone(), found }), now).await
            }
            Action::ReadHealth { wave, asked_at, alarms, touched } => self.read_health(wave, *asked_at, alarms, touched.as_ref(), now).await,
            Action::Mirror { account, region, instances } => self.mirror(*account, region, instances, now).await,
            Action::ReviewExempt => self.review_exempt().await,
            Action::Notify(notice) => {
                tracing::info!(kind = notice.kind.name(), subject = %notice.subject, "{}", notice.message);
                let told = match self.impact_of(notice, now).await {
                    Some(impact) => self.cloud().ask_approval(notice, &impact).await,
                    None => self.cloud().notify(notice).await,
                };
                match told {
                    Ok(()) => {}
                    // It stays in the outbox and is published with a later tick.
                    Err(fault) if fault.is_passing() => return Err(EngineError::Later(fault.to_string())),
                    Err(fault) => tracing::error!(subject = %notice.subject, %fault, "a notice was not published"),
                }
                Ok(Vec::new())
            }
        }
    }

    pub(crate) async fn answer(&self, event: Event, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        Ok(self.handle(&event, now).await?.actions)
    }

    pub(crate) async fn list_all(&self, prefix: &str, mut each: impl FnMut(State) + Send) -> Result<(), EngineError> {
        let mut after: Option<Key> = None;
        loop {
            let page = self
                .store()
                .list(prefix, after.as_ref(), PAGE)
                .await
                .map_err(|source| EngineError::Store { what: format!("a listing of `{prefix}`"), source })?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, stored) in page {
                each(read_state(&key, &stored.body)?);
            }
        }
    }

    async fn nudge_cells(&self, wave: &WaveId) -> Result<Vec<Action>, EngineError> {
        let mut cells = Vec::new();
        self.list_all(&Key::cells_of(wave), |state| {
            if let State::Cell(cell) = state {
                cells.push((cell.due.unwrap_or(Timestamp::MAX), cell.id));
            }
        })
        .await?;
        // Who is due first draws first of what all share.
        cells.sort();
        Ok(cells.into_iter().map(|(_, cell)| Action::Nudge(Nudge::Cell(cell))).collect())
    }

    /// Reads the roster and cuts it into chunks: by account and Region, in the order of the ring, so that a second listing
    /// gives the same chunks (the doors are shut, so nobody joins).
    async fn list_roster(&self, campaign: &CampaignId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let mut spokes: BTreeMap<(AccountId, Region), Vec<RosterEntry>> = BTreeMap::new();
        self.list_all(&Key::roster_of(campaign), |state| {
            if let State::Roster(entry) = state {
                spokes.entry((entry.target.account, entry.target.region.clone())).or_default().push(entry);
            }
        })
        .await?;
        let mut chunks = Vec::new();
        let mut members = 0u64;
        for ((account, region), entries) in &spokes {
            members += entries.len() as u64;
            for entries in entries.chunks(CHUNK_MEMBERS_MAX) {
                chunks.push((*account, region.clone(), entries.iter().map(RosterEntry::member).collect::<Vec<RosterMember>>()));
            }
        }
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let mut actions = self.answer(Event::Answer(Answer::Listed { campaign: campaign.clone(), members, chunks: count }), now).await?;
        let keys: Vec<Key> = (0u32..).zip(&chunks).map(|(n, (account, region, _))| Key::chunk(campaign, *account, region, n)).collect();
        let known = self.store().get(&keys).await.map_err(|source| EngineError::Store { what: "a look-up".into(), source })?;
        for ((chunk, (account, region, members)), known) in (0u32..).zip(chunks).zip(known) {
            if known.is_none() {
                actions.push(Action::Describe { campaign: campaign.clone(), account, region, chunk, members });
            }
        }
        if !actions.iter().any(|action| matches!(action, Action::Describe { .. })) {
            actions.push(Action::Nudge(Nudge::Campaign(campaign.clone())));
        }
        Ok(actions)
    }

    async fn describe(
        &self,
        campaign: &CampaignId,
        account: AccountId,
        region: &Region,
        chunk: u32,
        members: &[RosterMember],
        now: Timestamp,
    ) -> Result<Vec<Action>, EngineError> {
        let instances: Vec<InstanceId> = members.iter().map(|member| member.instance.clone()).collect();
        let spoke = Spoke { account, region: region.clone() };
        // Doubt is no: an exemption by organizational unit must not be missed. The campaign asks again in minutes.
        let Ok(inventory) = self.cloud().inventory(None).await else { return Ok(Vec::new()) };
        let ous = inventory.ous.get(&account).cloned().unwrap_or_default();
        let found = self.cloud().describe(&spoke, &instances).await;
        let lacking = self.lacking(&spoke, &found).await;
        let described = Described { campaign: campaign.clone(), account, region: region.clone(), chunk, members: members.to_vec(), found, ous, lacking };
        self.answer(Event::Answer(Answer::Described(Box::new(described))), now).await
    }

    /// Cuts a described campaign. Cells are written one by one; a crash in between is continued by doing all of it again.
    async fn partition(&self, id: &CampaignId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let wanted = self
            .look(now, |desk| {
                let Some(campaign) = desk.campaign(id)? else { return Ok(None) };
                let (pinned, closing) = (campaign.policy, matches!(campaign.phase, tidegate_rules::state::CampaignPhase::Closing { chunks: Some(_), .. }));
                // The partition is made under the pinned policy alone; stricter limits of today apply when batches draw.
                desk.effective(&pinned)?;
                match desk.item(&Key::policy(&pinned))? {
                    Some(State::Policy { json }) if closing => Ok(Some((pinned, json.clone()))),
                    _ => Ok(None),
                }
            })
            .await?;
        let Some((pinned, json)) = wanted else { return Ok(Vec::new()) };
        let policy = serde_json::from_str(&json).map_err(|error| EngineError::Damaged(format!("policy `{pinned}`: {error}")))?;
        let policy: tidegate_rules::policy::Policy = policy;
        let mut chunks: Vec<Chunk> = Vec::new();
        self.list_all(&Key::chunks_of(id), |state| {
            if let State::Chunk(chunk) = state {
                chunks.push(chunk);
            }
        })
        .await?;
        let counts = match crate::counts::count(self.cloud(), &policy).await {
            Ok(counts) => counts,
            Err(fault) => {
                // Doubt is no: without an inventory there are no limits. The campaign is due again in minutes.
                tracing::warn!(campaign = %id, %fault, "the inventory could not be read; the campaign is cut later");
                return Ok(Vec::new());
            }
        };
        let (cells, waves) = match self.run_of(id, now).await? {
            Some(run) => crate::bulk::cut(&policy, &pinned, id, &run, &chunks, &counts),
            None => {
                let cut = plan::cut(&policy, &pinned, id, &chunks, &counts);
                (cut.cells, cut.waves)
            }
        };
        for cell in &cells {
            let (written, _) = self.transact(&"a cell", now, |desk| plan::write_cell(desk, cell)).await?;
            if let Err(hold) = written {
                return Err(EngineError::Damaged(hold.to_string()));
            }
        }
        self.answer(Event::Answer(Answer::Partitioned { campaign: id.clone(), waves, inventory: (counts.total, counts.by_region) }), now).await
    }

    /// INVARIANT (no clearance, no command): the intent is committed first; cord, lane, campaign, freeze, window and approval
    /// are read again after that commit; then the request goes out, once, signed with the intent's time.
    async fn send(&self, batch: &BatchId, step: RunStep, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let (order, mut actions) = self.transact(&"a send", now, |desk| sending::start(desk, batch, step)).await?;
        let Some(order) = order else { return Ok(actions) };
        let generation = order.lease.generation();
        if let Err(hold) = self.look(now, |desk| sending::still_cleared(desk, &order)).await? {
            actions.extend(self.answer(Event::Answer(Answer::Withheld { batch: batch.clone(), generation, hold }), now).await?);
            return Ok(actions);
        }
        if let (Runner::Automation, Some(target_parameter)) = (order.job.runner, order.job.target_parameter.clone()) {
            let outcome = self.cloud().start_automation(&start_of(batch, &order, target_parameter)).await;
            tracing::debug!(%batch, %step, generation, ?outcome, "started");
            actions.extend(self.answer(Event::Answer(Answer::Sent { batch: batch.clone(), generation, outcome }), now).await?);
            return Ok(actions);
        }
        let request = SendRequest {
            spoke: spoke(&batch.cell),
            document: order.job.document.clone(),
            parameters: order.job.parameters.clone(),
            max_concurrency: u32::try_from(order.instances.len()).unwrap_or(u32::MAX),
            instances: order.instances.clone(),
            marker: order.marker.clone(),
            timeout_secs: order.timeout_secs,
            execution_timeout_secs: order.execution_timeout_secs,
            signed_at: order.at,
        };
        let outcome = self.cloud().send(&request).await;
        tracing::debug!(%batch, %step, generation, ?outcome, "sent");
        actions.extend(self.answer(Event::Answer(Answer::Sent { batch: batch.clone(), generation, outcome }), now).await?);
        Ok(actions)
    }

    /// Looks for a command that may have been accepted, by document, marker, parameters and ids, from five minutes before
    /// the intent to fifteen after it.
    async fn search(&self, id: &BatchId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let batch = self.look(now, |desk| desk.batch(id).map(|batch| batch.cloned())).await?;
        let Some(batch) = batch else { return Ok(Vec::new()) };
        let BatchPhase::Sending { step, at, .. } = batch.phase else { return Ok(Vec::new()) };
        let (job, expires_at) = self.job(&batch, step, at, now).await?;
        if job.runner == Runner::Automation {
            let found = self.cloud().list_executions(&spoke(&id.cell), &job.document, later(at, -300), later(at, 900)).await.map(|seen| {
                let mut ids = batch.instances_of(step);
                ids.sort();
                // Nobody else may run anything on these while their leases are ours: document, instances and time say enough.
                let is_ours = |theirs: &CommandSeen| {
                    let mut theirs = theirs.instances.clone();
                    theirs.sort();
                    theirs == ids
                };
                seen.into_iter().find(is_ours).map(|execution| (execution.command, expires_at))
            });
            return self.answer(Event::Answer(Answer::Searched { batch: id.clone(), generation: batch.generation, found }), now).await;
        }
        let found = self.cloud().list_commands(&spoke(&id.cell), &job.document, later(at, -300), later(at, 900)).await.map(|seen| {
            let marker = batch.marker(step, batch.generation);
            let mut ids = batch.instances();
            ids.sort();
            seen.into_iter()
                .find(|command| {
                    let mut theirs = command.instances.clone();
                    theirs.sort();
                    command.marker == marker && command.parameters == job.parameters && theirs == ids
                })
                .map(|command| (command.command, command.expires_at))
        });
        self.answer(Event::Answer(Answer::Searched { batch: id.clone(), generation: batch.generation, found }), now).await
    }

    /// What a step of a batch runs, as it was sent at `at`, and when an execution of it is given up on.
    async fn job(&self, batch: &Batch, step: RunStep, at: Timestamp, now: Timestamp) -> Result<(Job, Timestamp), EngineError> {
        let job = self
            .look(now, |desk| {
                let Some(found) = desk.campaign(&batch.id.cell.wave.campaign)? else { return Ok(None) };
                let wave = found.wave(batch.id.cell.wave.index).map(|wave| wave.name.clone()).unwrap_or_default();
                let digest = found.policy;
                let policy = desk.effective(&digest)?;
                Ok(Some((sending::job_of(policy, &wave, batch, step), sending::expires_at(policy, step, at))))
            })
            .await?;
        match job {
            Some((Ok(job), expires_at)) => Ok((job, expires_at)),
            Some((Err(fault), _)) => Err(EngineError::Damaged(format!("batch `{}`: {fault}", batch.id))),
            None => Err(EngineError::Damaged(format!("batch `{}` is of no campaign", batch.id))),
        }
    }

    /// What runs a batch's command.
    async fn runner(&self, batch: &BatchId, command: &CommandId, now: Timestamp) -> Result<Runner, EngineError> {
        self.look(now, |desk| {
            if desk.batch(batch)?.is_some_and(|batch| batch.backup.as_ref() == Some(command)) {
                return Ok(Runner::Automation);
            }
            let Some(digest) = desk.campaign(&batch.cell.wave.campaign)?.map(|campaign| campaign.policy) else { return Ok(Runner::Command) };
            Ok(desk.effective(&digest)?.entry().runner)
        })
        .await
    }

    /// Config's word on a batch's members: what it says comes in as findings, then the batch judges.
    async fn read_verdicts(&self, id: &BatchId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let batch = self.look(now, |desk| desk.batch(id).map(|batch| batch.cloned())).await?;
        let Some(batch) = batch.filter(|batch| matches!(batch.phase, BatchPhase::Proving { .. })) else { return Ok(Vec::new()) };
        let seen = self.cloud().compliance(&spoke(&id.cell), &batch.instances()).await;
        let mut actions = Vec::new();
        for (instance, fact) in seen.iter().flatten() {
            if let Some(fact) = fact {
                actions.extend(self.answer(self.finding(id.target(instance), fact.clone()), now).await?);
            }
        }
        actions.extend(self.answer(Event::Answer(Answer::Verdicts { batch: id.clone(), read: seen.map(|_| ()) }), now).await?);
        Ok(actions)
    }

    /// What the cloud said of a resource that the policy's catalog entry answers.
    pub(crate) fn finding(&self, target: TargetKey, fact: Fact) -> Event {
        match self.policy().entry().resource_types.first() {
            Some(resource_type) if resource_type != PATCH_COMPLIANCE => Event::FindingOf { resource_type: resource_type.clone(), target, fact },
            _ => Event::Finding { target, fact },
        }
    }

    async fn read_patch_states(&self, id: &BatchId, now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let batch = self.look(now, |desk| desk.batch(id).map(|batch| batch.cloned())).await?;
        let Some(batch) = batch else { return Ok(Vec::new()) };
        if !matches!(batch.phase, BatchPhase::Proving { .. }) {
            return Ok(Vec::new());
        }
        let seen = self.cloud().patch_states(&spoke(&id.cell), &batch.instances()).await;
        self.answer(Event::Answer(Answer::PatchStates { batch: id.clone(), seen }), now).await
    }

    /// Config's word by API: what an event would have told comes in as a finding, then the cell hears who has none.
    async fn read_compliance(&self, cell: &CellId, instances: &[InstanceId], now: Timestamp) -> Result<Vec<Action>, EngineError> {
        let seen = self.cloud().compliance(&spoke(cell), instances).await;
        let mut actions = Vec::new();
        if let Ok(seen) = &seen {
            for (instance, fact) in seen {
                if let Some(fact) = fact {
                    actions.extend(self.answer(self.finding(cell.target(instance), fact.clone()), now).await?);
                }
            }
        }
        actions.extend(self.answer(Event::Answer(Answer::ComplianceRead { cell: cell.clone(), asked: instances.to_vec(), seen }), now).await?);
        Ok(actions)
    }
}

fn start_of(batch: &BatchId, order: &SendOrder, target_parameter: String) -> AutomationRequest {
    AutomationRequest {
        spoke: spoke(&batch.cell),
        document: order.job.document.clone(),
        parameters: order.job.parameters.clone(),
        target_parameter,
        instances: order.instances.clone(),
        token: order.token.clone(),
        timeout_secs: order.timeout_secs.saturating_add(order.execution_timeout_secs),
        max_concurrency: u32::try_from(order.instances.len()).unwrap_or(u32::MAX),
        signed_at: order.at,
    }
}

fn spoke(cell: &CellId) -> Spoke {
    Spoke { account: cell.account, region: cell.region.clone() }
}
