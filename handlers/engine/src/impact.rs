//! The note of impact, read from the store: what is asked, and the targets that it covers. Bounded: of a large campaign the first
//! targets are looked at. Off the path of every decision.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_events::event::Subject;
use tidegate_events::id::{TargetKey, WaveId};
use tidegate_rules::impact::{self, Impact, ImpactFacts};
use tidegate_rules::{Key, State};

use crate::commit::read_state;
use crate::error::EngineError;
use crate::handle::Engine;
use crate::ports::Cloud;
use crate::store::Store;

/// Targets that are looked at, at most.
const TARGETS_MAX: usize = 500;
/// Cells of one listing.
const CELLS: usize = 50;
/// Targets of one read.
const READ: usize = 100;
/// How long a model may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes the note on what is asked of this subject; `None` where nothing is.
///
/// # Errors
/// When the store can't be read, or what is stored is damaged.
pub async fn impact<S: Store, C: Cloud>(engine: &Engine<S, C>, subject: &Subject, now: Timestamp) -> Result<Option<Impact>, EngineError> {
    let found = engine
        .look(now, |desk| {
            let Some(campaign) = desk.campaign(subject.campaign())?.cloned() else { return Ok(None) };
            let reboot = desk.effective(&campaign.policy)?.reboot;
            Ok(Some((campaign, reboot)))
        })
        .await?;
    let Some((campaign, reboot)) = found.filter(|(campaign, _)| campaign.asked.iter().any(|asked| asked.subject == *subject)) else { return Ok(None) };
    let is_covered = |index: u16| match subject {
        Subject::Campaign(_) => true,
        Subject::Wave(wave) => wave.index == index,
    };
    let covered: Vec<(u16, u64)> =
        (0u16..).zip(&campaign.waves).filter(|(index, _)| is_covered(*index)).map(|(index, wave)| (index, wave.targets)).collect();
    let mut keys: Vec<TargetKey> = Vec::new();
    for (index, _) in &covered {
        if keys.len() < TARGETS_MAX {
            members(engine, &WaveId { campaign: campaign.id.clone(), index: *index }, &mut keys).await?;
        }
    }
    keys.truncate(TARGETS_MAX);
    let mut seen = Vec::with_capacity(keys.len());
    for some in keys.chunks(READ) {
        let some: Vec<Key> = some.iter().map(Key::target).collect();
        let stored = engine.store().get(&some).await.map_err(|source| EngineError::Store { what: "targets".into(), source })?;
        for (key, stored) in some.iter().zip(stored) {
            if let Some(State::Target(target)) = stored.map(|stored| read_state(key, &stored.body)).transpose()? {
                seen.push(*target);
            }
        }
    }
    let facts = ImpactFacts {
        targets: covered.iter().map(|(_, targets)| targets).sum(),
        waves: u64::try_from(covered.len()).unwrap_or(u64::MAX),
        reboot,
        seen: &seen,
        // Patch states are read of attempts only, and tell no severity.
        severities: None,
        known_exploited: None,
    };
    Ok(Some(impact::note(&facts)))
}

/// Members of a wave's cells, in their order, until there are enough.
async fn members<S: Store, C: Cloud>(engine: &Engine<S, C>, wave: &WaveId, keys: &mut Vec<TargetKey>) -> Result<(), EngineError> {
    let prefix = Key::cells_of(wave);
    let mut after: Option<Key> = None;
    while keys.len() < TARGETS_MAX {
        let failed = |source| EngineError::Store { what: format!("a listing of `{prefix}`"), source };
        let page = engine.store().list(&prefix, after.as_ref(), CELLS).await.map_err(failed)?;
        let whole = page.len() == CELLS;
        for (key, stored) in page {
            if let State::Cell(cell) = read_state(&key, &stored.body)? {
                let member = |instance: &tidegate_events::id::InstanceId| TargetKey {
                    account: cell.id.account,
                    region: cell.id.region.clone(),
                    instance: instance.clone(),
                };
                keys.extend(cell.members.iter().map(|seat| member(&seat.member.instance)));
            }
            after = Some(key);
        }
        if !whole {
            return Ok(());
        }
    }
    Ok(())
}

/// Somebody who puts a note into words: a model. What it says decides nothing.
pub trait Analyst: Send + Sync {
    /// Its words on this prompt, or why there are none.
    fn analyse(&self, prompt: &str) -> impl Future<Output = Result<String, String>> + Send;
}

/// Adds a model's words to a note. Where it fails, or takes longer than 20 seconds, the note stays as it is.
pub async fn analysed(mut impact: Impact, analyst: &impl Analyst) -> Impact {
    match tokio::time::timeout(PATIENCE, analyst.analyse(&impact::prompt(&impact))).await {
        Ok(Ok(words)) => impact.analysis = impact::analysis(&words),
        Ok(Err(why)) => tracing::warn!(%why, "the note of impact goes without an analysis"),
        Err(_) => tracing::warn!(secs = PATIENCE.as_secs(), "the note of impact goes without an analysis: none came in time"),
    }
    impact
}
