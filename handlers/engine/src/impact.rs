//! The note of impact, read from the store: what is asked, the targets that it covers, how campaigns before it ended. Bounded: of a
//! large campaign the first targets are looked at. Off the path of every decision.

use jiff::Timestamp;
use tidegate_events::action::{Notice, NoticeKind};
use tidegate_events::event::Subject;
use tidegate_events::host::Platform;
use tidegate_events::id::{CampaignId, TargetKey, WaveId};
use tidegate_events::run::BedrockAgent;
use tidegate_rules::impact::{self, Before, Impact, ImpactFacts, Seen};
use tidegate_rules::key::Tally;
use tidegate_rules::policy::RebootMode;
use tidegate_rules::state::Campaign;
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
/// Earlier campaigns that are looked at, at most.
const BEFORE_MAX: u32 = 3;

/// A note, and who may put it into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The note.
    pub impact: Impact,
    /// The agent that the run's input names, where the campaign is a bulk run that names one.
    pub agent: Option<BedrockAgent>,
}

/// Writes the note on what is asked of this subject; `None` where nothing is.
///
/// # Errors
/// When the store can't be read, or what is stored is damaged.
pub async fn impact<S: Store, C: Cloud>(engine: &Engine<S, C>, subject: &Subject, now: Timestamp) -> Result<Option<Note>, EngineError> {
    let found = engine
        .look(now, |desk| {
            let Some(campaign) = desk.campaign(subject.campaign())?.cloned() else { return Ok(None) };
            let reboot = desk.effective(&campaign.policy)?.reboot;
            Ok(Some((campaign, reboot)))
        })
        .await?;
    let Some((campaign, reboot)) = found.filter(|(campaign, _)| campaign.asked.iter().any(|asked| asked.subject == *subject)) else { return Ok(None) };
    let impact = of_campaign(engine.store(), &campaign, subject, reboot).await?;
    let agent = engine.run_of(&campaign.id, now).await?.and_then(|run| run.bedrock);
    Ok(Some(Note { impact, agent }))
}

impl<S: Store, C: Cloud> Engine<S, C> {
    /// The note that goes with this notice, where it asks for an approval and its readers can be told.
    pub(crate) async fn impact_of(&self, notice: &Notice, now: Timestamp) -> Option<Impact> {
        let subject = Subject::parse(&notice.subject).ok().filter(|_| C::TELLS_IMPACT && notice.kind == NoticeKind::ApprovalAsked)?;
        let note = impact(self, &subject, now).await.unwrap_or_else(|error| {
            tracing::warn!(%subject, %error, "an approval is asked for without a note of its impact");
            None
        });
        note.map(|note| note.impact)
    }
}

/// Writes the note on this part of a campaign, whether or not it is asked for.
///
/// # Errors
/// As for [`impact`].
pub async fn of_campaign<S: Store>(store: &S, campaign: &Campaign, subject: &Subject, reboot: RebootMode) -> Result<Impact, EngineError> {
    let is_covered = |index: u16| match subject {
        Subject::Campaign(_) => true,
        Subject::Wave(wave) => wave.index == index,
    };
    let covered: Vec<(u16, u64)> = (0u16..).zip(&campaign.waves).filter(|(index, _)| is_covered(*index)).map(|(index, wave)| (index, wave.targets)).collect();
    let mut members: Vec<(TargetKey, Platform)> = Vec::new();
    for (index, _) in &covered {
        if members.len() < TARGETS_MAX {
            add_members(store, &WaveId { campaign: campaign.id.clone(), index: *index }, &mut members).await?;
        }
    }
    members.truncate(TARGETS_MAX);
    let mut seen = Vec::with_capacity(members.len());
    for some in members.chunks(READ) {
        let keys: Vec<Key> = some.iter().map(|(target, _)| Key::target(target)).collect();
        let stored = store.get(&keys).await.map_err(|source| EngineError::Store { what: "targets".into(), source })?;
        for (((_, platform), key), stored) in some.iter().zip(&keys).zip(stored) {
            if let Some(State::Target(target)) = stored.map(|stored| read_state(key, &stored.body)).transpose()? {
                seen.push(Seen { platform: *platform, target: *target });
            }
        }
    }
    let facts = ImpactFacts {
        targets: covered.iter().map(|(_, targets)| targets).sum(),
        waves: u64::try_from(covered.len()).unwrap_or(u64::MAX),
        reboot,
        seen: &seen,
        before: before(store, &campaign.id).await?,
    };
    Ok(impact::note(&facts))
}

/// How the lane's campaigns right before this one ended: their waves' tallies.
async fn before<S: Store>(store: &S, id: &CampaignId) -> Result<Before, EngineError> {
    let numbers = (1..id.number).rev().take(BEFORE_MAX as usize);
    let keys: Vec<Key> = numbers.map(|number| Key::campaign(&CampaignId { lane: id.lane.clone(), number })).collect();
    let stored = store.get(&keys).await.map_err(|source| EngineError::Store { what: "earlier campaigns".into(), source })?;
    let mut before = Before::default();
    let mut tallies = Vec::new();
    for (key, stored) in keys.iter().zip(stored) {
        if let Some(State::Campaign(campaign)) = stored.map(|stored| read_state(key, &stored.body)).transpose()?
            && !campaign.waves.is_empty()
        {
            before.campaigns += 1;
            let waves = (0u16..).zip(&campaign.waves).map(|(index, _)| campaign.wave_id(index));
            tallies.extend(waves.flat_map(|wave| [Key::tally(&wave, Tally::Ok), Key::tally(&wave, Tally::Bad)]));
        }
    }
    let counts = store.counts(&tallies).await.map_err(|source| EngineError::Store { what: "tallies".into(), source })?;
    for pair in counts.chunks(2) {
        let count = |n: usize| pair.get(n).and_then(|count| u64::try_from(*count).ok()).unwrap_or(0);
        before.ok = before.ok.saturating_add(count(0));
        before.bad = before.bad.saturating_add(count(1));
    }
    Ok(before)
}

/// Members of a wave's cells, in their order, until there are enough.
async fn add_members<S: Store>(store: &S, wave: &WaveId, members: &mut Vec<(TargetKey, Platform)>) -> Result<(), EngineError> {
    let prefix = Key::cells_of(wave);
    let mut after: Option<Key> = None;
    while members.len() < TARGETS_MAX {
        let failed = |source| EngineError::Store { what: format!("a listing of `{prefix}`"), source };
        let page = store.list(&prefix, after.as_ref(), CELLS).await.map_err(failed)?;
        let whole = page.len() == CELLS;
        for (key, stored) in page {
            if let State::Cell(cell) = read_state(&key, &stored.body)? {
                members.extend(cell.members.iter().map(|seat| {
                    let target = TargetKey { account: cell.id.account, region: cell.id.region.clone(), instance: seat.member.instance.clone() };
                    (target, seat.member.platform)
                }));
            }
            after = Some(key);
        }
        if !whole {
            return Ok(());
        }
    }
    Ok(())
}
