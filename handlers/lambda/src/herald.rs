//! Notices over SNS. A notice that asks for an approval carries a link that decides: one for each person who may, made here
//! and kept nowhere but in the message.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_aws::bedrock::{AgentId, Bedrock};
use tidegate_aws::cloud::AwsCloud;
use tidegate_aws::dynamo::{DynamoStore, new_token, token_hash};
use tidegate_engine::impact::impact;
use tidegate_engine::store::Store;
use tidegate_engine::tokens::{TokenRecord, Tokens};
use tidegate_engine::{Engine, EngineError};
use tidegate_events::action::{Notice, NoticeKind};
use tidegate_events::event::Subject;
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{CampaignId, Digest, PersonId};
use tidegate_rules::bake;
use tidegate_rules::impact::Impact;

use crate::shell::Herald;

/// How long an agent may take over its words.
const PATIENCE: Duration = Duration::from_secs(20);
/// With less time than this left, no agent is asked.
const PATIENCE_LEAST: Duration = Duration::from_secs(2);

/// Who puts notes of impact into words, and for how long that may go on.
#[derive(Clone, Copy)]
pub struct Analyst<'a> {
    /// Where agents are asked.
    pub bedrock: &'a Bedrock,
    /// The agent that is asked about campaigns whose input names none.
    pub usual: Option<&'a AgentId>,
    /// Time that this process has left for it.
    pub left: &'a (dyn Fn() -> Duration + Send + Sync),
}

/// SNS.
pub struct SnsHerald<'a, S = DynamoStore> {
    engine: &'a Engine<S, AwsCloud>,
    console: Option<&'a str>,
    analyst: Option<Analyst<'a>>,
}

/// What an approval notice asks.
struct Question {
    subject: Subject,
    digest: Digest,
    expires_at: Timestamp,
    /// Who gets a link; `None` for a place that anyone may take.
    people: Vec<Option<PersonId>>,
}

impl<'a, S: Store + Tokens> SnsHerald<'a, S> {
    /// A herald; with the console's URL its notices carry links, with an analyst notes of impact a paragraph of an agent's words.
    pub fn new(engine: &'a Engine<S, AwsCloud>, console: Option<&'a str>, analyst: Option<Analyst<'a>>) -> Self {
        Self { engine, console, analyst }
    }

    /// What a yes would mean. Advisory: where it can't be written, the notice goes without.
    async fn impact(&self, subject: &Subject, now: Timestamp) -> Option<Impact> {
        let note = match impact(self.engine, subject, now).await {
            Ok(note) => note?,
            Err(error) => {
                tracing::warn!(%subject, %error, "an approval is asked for without a note of its impact");
                return None;
            }
        };
        let Some(analyst) = self.analyst else { return Some(note.impact) };
        let named = note.agent.map(|agent| AgentId::new(&agent.agent_id, &agent.agent_alias_id)).transpose();
        let agent = match &named {
            Ok(named) => named.as_ref().or(analyst.usual),
            Err(why) => {
                tracing::warn!(%subject, %why, "the note of impact goes without an analysis");
                None
            }
        };
        let patience = PATIENCE.min((analyst.left)());
        Some(match agent {
            Some(agent) if patience >= PATIENCE_LEAST => analyst.bedrock.analysed(note.impact, agent, patience).await,
            _ => note.impact,
        })
    }

    /// What a campaign that ended leaves, in instances and in percent: filters make the metrics InstancesTotal, InstancesWithIssues and
    /// SuccessRate of this line. A notice that comes again is counted again.
    async fn count(&self, id: &CampaignId, now: Timestamp) -> Result<(), EngineError> {
        let (kept, bad) = self
            .engine
            .look(now, |desk| {
                let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok((0, 0)) };
                let (mut kept, mut bad) = (0u64, 0u64);
                for (index, _) in (0u16..).zip(&campaign.waves) {
                    let tallied = bake::tallied(desk, &campaign.wave_id(index))?;
                    kept = kept.saturating_add(tallied.kept);
                    bad = bad.saturating_add(tallied.bad);
                }
                Ok((kept, bad))
            })
            .await?;
        if let Some(success_rate) = (kept.saturating_sub(bad) * 100).checked_div(kept) {
            tracing::info!(campaign = %id, instances_total = kept, instances_with_issues = bad, success_rate = success_rate, "campaign ended");
        }
        Ok(())
    }

    async fn question(&self, subject: Subject, now: Timestamp) -> Result<Option<Question>, EngineError> {
        self.engine
            .look(now, |desk| {
                let Some(campaign) = desk.campaign(subject.campaign())?.cloned() else { return Ok(None) };
                let Some(asked) = campaign.asked.iter().rev().find(|asked| asked.subject == subject) else { return Ok(None) };
                let rule = desk.effective(&campaign.policy)?.approval.clone();
                let said = |person: &PersonId| campaign.words.iter().any(|word| word.digest == asked.digest && word.by.is_same_person(person));
                let people = if rule.approvers.is_empty() {
                    (0..asked.need).map(|_| None).collect()
                } else {
                    rule.approvers.iter().filter(|person| !said(person)).cloned().map(Some).collect()
                };
                let expires_at = now.checked_add(SignedDuration::from_secs(i64::from(rule.expires_secs))).unwrap_or(Timestamp::MAX);
                Ok(Some(Question { subject: subject.clone(), digest: asked.digest, expires_at, people }))
            })
            .await
    }
}

impl<S: Store + Tokens> Herald for SnsHerald<'_, S> {
    async fn announce(&self, notice: &Notice, now: Timestamp) -> Result<(), EngineError> {
        tracing::info!(kind = notice.kind.name(), subject = %notice.subject, "{}", notice.message);
        if let (NoticeKind::CampaignEnded, Ok(Subject::Campaign(id))) = (notice.kind, Subject::parse(&notice.subject))
            && let Err(error) = self.count(&id, now).await
        {
            // Numbers for a dashboard hold no notice up.
            tracing::warn!(campaign = %id, %error, "what the campaign leaves is not counted");
        }
        let question = match (notice.kind, self.console, Subject::parse(&notice.subject)) {
            (NoticeKind::ApprovalAsked, Some(console), Ok(subject)) => self.question(subject, now).await?.map(|question| (console, question)),
            _ => None,
        };
        let impact = match (notice.kind, Subject::parse(&notice.subject)) {
            (NoticeKind::ApprovalAsked, Ok(subject)) => self.impact(&subject, now).await,
            _ => None,
        };
        let Some((console, question)) = question.filter(|(_, question)| !question.people.is_empty()) else {
            told(notice, self.engine.cloud().publish(notice, None, None, impact.as_ref()).await)?;
            self.engine.cloud().tell_chat(notice).await;
            return Ok(());
        };
        for person in &question.people {
            let token = new_token().map_err(|source| EngineError::Store { what: "a token".into(), source })?;
            let record = TokenRecord {
                subject: question.subject.clone(),
                digest: question.digest,
                approver: person.clone(),
                expires_at: question.expires_at,
                used: None,
            };
            let kept = self.engine.store().put_token(&token_hash(&token), &record).await;
            kept.map_err(|source| EngineError::Store { what: "a token".into(), source })?;
            let link = format!("{console}/approval?token={token}");
            told(notice, self.engine.cloud().publish(notice, Some(&link), person.as_ref(), impact.as_ref()).await)?;
        }
        self.engine.cloud().tell_chat(notice).await;
        Ok(())
    }
}

/// What passes is tried again; what does not would block the queue, and is in the log as an error.
fn told(notice: &Notice, published: Result<(), SpokeFault>) -> Result<(), EngineError> {
    match published {
        Ok(()) => Ok(()),
        Err(fault) if fault.is_passing() => Err(EngineError::Later(fault.to_string())),
        Err(fault) => {
            tracing::error!(subject = %notice.subject, %fault, "a notice was not published");
            Ok(())
        }
    }
}

/// The store is one that keeps tokens.
const _: fn() = || {
    fn keeps_tokens<S: Store + Tokens>() {}
    keeps_tokens::<DynamoStore>();
};
