//! Exactly what a digest covers: what somebody who says yes says yes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_engine::commit::read_state;
use tidegate_engine::ports::Cloud;
use tidegate_engine::store::Store;
use tidegate_engine::{Engine, EngineError};
use tidegate_events::entry::RunStep;
use tidegate_events::event::{Approval, Subject};
use tidegate_events::host::Platform;
use tidegate_events::id::{Digest, PersonId, WaveId};
use tidegate_rules::impact::Impact;
use tidegate_rules::policy::{self, Policy};
use tidegate_rules::state::{Asked, Campaign, CampaignPhase, Cell};
use tidegate_rules::{Key, State, sending};

/// Cells that one page lists; the rest is on further pages.
pub const CELLS_PER_PAGE: usize = 50;

/// What is asked, and everything that its digest covers.
#[derive(Debug, Serialize)]
pub struct Coverage {
    /// `tidegate.asked/1`
    pub schema: &'static str,
    /// What is asked for.
    pub subject: String,
    /// The digest that a yes is about.
    pub digest: Digest,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Approvals that are needed.
    pub need: u32,
    /// Who may; empty means anyone who can reach the engine.
    pub approvers: Vec<PersonId>,
    /// Whether a yes needs a comment.
    pub comment_required: bool,
    /// How long a yes lives, in seconds.
    pub expires_secs: u32,
    /// What was said of this digest so far.
    pub words: Vec<Approval>,
    /// Whether it still waits for an answer.
    pub open: bool,
    /// The SSM document.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The pinned policy's name.
    pub policy: String,
    /// The pinned policy's digest.
    pub policy_digest: Digest,
    /// The pinned policy in sentences.
    pub rules: Vec<String>,
    /// The waves that it covers, in order.
    pub waves: Vec<CoveredWave>,
    /// Cells of the page that was asked for.
    pub cells: Vec<CoveredCell>,
    /// The wave that `cells` are of.
    pub cells_of: Option<u16>,
    /// Where the next page of cells begins; `None` after the last.
    pub next: Option<String>,
    /// What a yes would mean. Advisory; `None` where it could not be written.
    pub impact: Option<Impact>,
}

/// A wave that is covered.
#[derive(Debug, Serialize)]
pub struct CoveredWave {
    /// Its place, from 0.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// Its targets.
    pub targets: u64,
    /// Its cells.
    pub cells: u32,
    /// Its digest, over those of its cells.
    pub digest: Digest,
    /// How long it is watched afterwards, in seconds.
    pub bake_secs: u32,
}

/// A cell that is covered.
#[derive(Debug, Serialize)]
pub struct CoveredCell {
    /// Its id.
    pub id: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Its instances.
    pub instances: Vec<String>,
    /// Its limits, as counts.
    pub limits: Vec<(String, u64)>,
    /// Its digest, over all that.
    pub digest: Digest,
}

/// Which cells are listed.
#[derive(Debug, Clone, Default)]
pub struct CellPage {
    /// The wave, from 0; the first that is covered where none is named.
    pub wave: Option<u16>,
    /// After this cell's id.
    pub after: Option<String>,
}

/// Loads what is asked of this subject; `None` where nothing is.
///
/// # Errors
/// When the store can't be read or what is stored is damaged.
pub async fn cover<S: Store, C: Cloud>(engine: &Engine<S, C>, subject: &Subject, page: &CellPage, now: Timestamp) -> Result<Option<Coverage>, EngineError> {
    let found = engine
        .look(now, |desk| {
            let Some(campaign) = desk.campaign(subject.campaign())?.cloned() else { return Ok(None) };
            let pinned = match desk.item(&Key::policy(&campaign.policy))? {
                Some(State::Policy { json }) => Some(json.clone()),
                _ => None,
            };
            let needed = desk.effective(&campaign.policy)?;
            Ok(Some((campaign, pinned, needed.approval.clone())))
        })
        .await?;
    let Some((campaign, pinned, rule)) = found else { return Ok(None) };
    let Some(asked) = campaign.asked.iter().rev().find(|asked| asked.subject == *subject).cloned() else { return Ok(None) };
    let Some(json) = pinned else { return Err(EngineError::Damaged(format!("policy `{}` of campaign `{}` is not stored", campaign.policy, campaign.id))) };
    let policy: Policy = serde_json::from_str(&json).map_err(|error| EngineError::Damaged(format!("policy `{}`: {error}", campaign.policy)))?;
    let waves = waves(&campaign, subject, &policy);
    let wave = page.wave.filter(|index| waves.iter().any(|wave| wave.index == *index)).or(waves.first().map(|wave| wave.index));
    let (cells, next) = match wave {
        Some(index) => cells(engine, &WaveId { campaign: campaign.id.clone(), index }, page.after.as_deref()).await?,
        None => (Vec::new(), None),
    };
    let shown = waves.iter().find(|known| Some(known.index) == wave).map(|wave| wave.name.as_str()).unwrap_or_default();
    // What most instances get; other platforms' documents and hooks are among the rules.
    let job = campaign
        .pin
        .as_ref()
        .and_then(|pin| sending::jobs_of(&policy, shown, Platform::Linux, &pin.snapshot).ok()?.into_iter().find(|(step, _)| *step != RunStep::Backup));
    let (document, parameters) = job.map(|(_, job)| (job.document, job.parameters)).unwrap_or_default();
    let note = tidegate_engine::impact::impact(engine, subject, now).await.unwrap_or_else(|error| {
        tracing::warn!(%subject, %error, "an approval is shown without a note of its impact");
        None
    });
    Ok(Some(Coverage {
        schema: "tidegate.asked/1",
        subject: subject.to_string(),
        digest: asked.digest,
        asked_at: asked.at,
        need: asked.need,
        approvers: rule.approvers,
        comment_required: rule.comment_required,
        expires_secs: rule.expires_secs,
        words: campaign.words.iter().filter(|word| word.digest == asked.digest && word.subject == *subject).cloned().collect(),
        open: is_open(&campaign, &asked),
        document,
        parameters,
        policy_digest: campaign.policy,
        rules: policy::explain(&policy),
        policy: policy.name.clone(),
        waves,
        cells,
        cells_of: wave,
        next,
        impact: note.map(|note| note.impact),
    }))
}

/// Whether an answer still moves anything.
fn is_open(campaign: &Campaign, asked: &Asked) -> bool {
    !matches!(campaign.phase, CampaignPhase::Ended { .. })
        && match &asked.subject {
            Subject::Campaign(_) => asked.digest == campaign.digest,
            Subject::Wave(_) => true,
        }
}

fn waves(campaign: &Campaign, subject: &Subject, policy: &Policy) -> Vec<CoveredWave> {
    let is_covered = |index: u16| match subject {
        Subject::Campaign(_) => true,
        Subject::Wave(wave) => wave.index == index,
    };
    let bake = |name: &str| policy.waves.iter().find(|wave| wave.name == name).map_or(0, |wave| wave.bake_secs);
    (0u16..)
        .zip(&campaign.waves)
        .filter(|(index, _)| is_covered(*index))
        .map(|(index, wave)| CoveredWave {
            index,
            name: wave.name.clone(),
            targets: wave.targets,
            cells: wave.cells,
            digest: wave.digest,
            bake_secs: bake(&wave.name),
        })
        .collect()
}

async fn cells<S: Store, C: Cloud>(engine: &Engine<S, C>, wave: &WaveId, after: Option<&str>) -> Result<(Vec<CoveredCell>, Option<String>), EngineError> {
    let prefix = Key::cells_of(wave);
    // Only a cell of this wave is a place to go on from.
    let after = after.filter(|id| id.starts_with(&format!("{wave}/"))).map(|id| Key::from_text(format!("cell/{id}")));
    let failed = |source| EngineError::Store { what: format!("a listing of `{prefix}`"), source };
    let page = engine.store().list(&prefix, after.as_ref(), CELLS_PER_PAGE).await.map_err(failed)?;
    let whole = page.len() == CELLS_PER_PAGE;
    let mut cells = Vec::with_capacity(page.len());
    for (key, stored) in page {
        if let State::Cell(cell) = read_state(&key, &stored.body)? {
            cells.push(covered(&cell));
        }
    }
    let next = cells.last().filter(|_| whole).map(|cell| cell.id.clone());
    Ok((cells, next))
}

fn covered(cell: &Cell) -> CoveredCell {
    CoveredCell {
        id: cell.id.to_string(),
        account: cell.id.account.to_string(),
        region: cell.id.region.to_string(),
        instances: cell.members.iter().map(|seat| seat.member.instance.to_string()).collect(),
        limits: cell.limits.iter().map(|limit| (limit.scope.to_string(), limit.limit)).collect(),
        digest: cell.digest,
    }
}
