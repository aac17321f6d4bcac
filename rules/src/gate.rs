//! The gates, top to bottom, in one list. Passing all of them makes a [`Clearance`], which nothing else can make and a send
//! demands (invariant 2). An error inside a gate is a hold (invariant 13).

use jiff::Timestamp;
use tidegate_events::Hold;
use tidegate_events::entry::ClearanceRecord;
use tidegate_events::id::{PersonId, WaveId};

use crate::desk::{Desk, Missing, later};
use crate::policy::Policy;
use crate::state::{Campaign, CampaignPhase, Lane, Organization, Wave, WaveStage};
use crate::window::{self, Opening};
use crate::{approval, freeze, health, pin};

/// What a gate answers. `Fail` is a no that waiting will not change: a person must decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Pass,
    /// Not now.
    Hold(Hold),
    /// Not known: it is asked once every other gate says yes.
    Ask(Hold),
    /// No.
    Fail(Hold),
}

/// Proof that every gate said yes to one wave. Only this module makes one; it does not outlive `not_after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    record: ClearanceRecord,
    cutoff_at: Option<Timestamp>,
}

impl Clearance {
    /// What the journal keeps of it.
    pub fn record(&self) -> &ClearanceRecord {
        &self.record
    }

    /// When starting must stop, where a window says so.
    pub fn cutoff_at(&self) -> Option<Timestamp> {
        self.cutoff_at
    }
}

/// How long a clearance may be used, in seconds: as long as AWS accepts the signature of a request (five minutes).
pub const CLEARANCE_SECS: i64 = 300;

/// What the gates look at.
#[derive(Debug)]
pub struct Look<'a> {
    /// The time.
    pub now: Timestamp,
    /// The stricter of pinned and current policy.
    pub policy: &'a Policy,
    /// Stop cord and calendars.
    pub organization: &'a Organization,
    /// The lane.
    pub lane: &'a Lane,
    /// The campaign.
    pub campaign: &'a Campaign,
    /// The wave.
    pub id: WaveId,
    /// The wave.
    pub wave: &'a Wave,
}

/// One gate.
type Gate = fn(&Look<'_>) -> Answer;

/// The gates in order. Adding one is one line here and one row in the decision table.
const GATES: [(&str, Gate); 9] = [
    ("stop cord", stop_cord),
    ("lane", lane),
    ("pause", paused),
    ("freeze", frozen),
    ("earlier wave", earlier_wave),
    ("window", open_window),
    ("patch set", patch_set),
    ("health", healthy),
    ("approval", approved),
];

/// Asks every gate. Blast radius is not among them: it is a counter, drawn in the commit that plans a batch.
///
/// # Errors
/// Every hold, in gate order; the first is the one that matters most.
pub fn clear(look: &Look<'_>) -> Result<Clearance, Vec<Hold>> {
    let (mut holds, mut unasked) = (Vec::new(), Vec::new());
    for (_, gate) in GATES {
        match gate(look) {
            Answer::Pass => {}
            Answer::Hold(hold) | Answer::Fail(hold) => holds.push(hold),
            Answer::Ask(hold) => unasked.push(hold),
        }
    }
    // What nobody has asked yet is no reason beside those that are known; alone it holds like any other.
    if holds.is_empty() {
        holds = unasked;
    }
    if !holds.is_empty() {
        return Err(holds);
    }
    let approved_by: Vec<PersonId> = approval::gate(look.policy, look.campaign, &look.id, look.wave, look.now).map_err(|hold| vec![hold])?;
    let cutoff_at = cutoff(look);
    let not_after = cutoff_at.map_or(Timestamp::MAX, |cutoff| cutoff).min(later(look.now, CLEARANCE_SECS));
    let record = ClearanceRecord { digest: look.wave.digest, cord_epoch: look.organization.cord_epoch, lane_epoch: look.lane.epoch, approved_by, not_after };
    Ok(Clearance { record, cutoff_at })
}

/// Asks the gates about a wave of the running campaign, from what lies on the desk. Outer error: not loaded.
///
/// # Errors
/// When something is not loaded.
pub fn clear_wave(desk: &Desk<'_>, id: &WaveId) -> Result<Result<Clearance, Vec<Hold>>, Missing> {
    let organization = desk.organization()?;
    let lane = desk.lane(&id.campaign.lane)?;
    let Some(campaign) = desk.campaign(&id.campaign)? else {
        return Ok(Err(vec![Hold::Doubt { what: format!("campaign {} is not known", id.campaign) }]));
    };
    let policy = desk.effective(&campaign.policy)?;
    let Some(wave) = campaign.wave(id.index) else {
        return Ok(Err(vec![Hold::Doubt { what: format!("wave {id} is not known") }]));
    };
    Ok(clear(&Look { now: desk.now(), policy, organization: &organization, lane: &lane, campaign, id: id.clone(), wave }))
}

fn stop_cord(look: &Look<'_>) -> Answer {
    look.organization.cord.as_ref().map_or(Answer::Pass, |by| Answer::Hold(Hold::CordPulled { by: by.clone() }))
}

fn lane(look: &Look<'_>) -> Answer {
    if let Some(halt) = &look.lane.halted {
        return Answer::Fail(Hold::LaneHalted { why: halt.why.clone() });
    }
    match (&look.campaign.phase, &look.lane.running) {
        (CampaignPhase::Ended { why, .. }, _) => Answer::Fail(Hold::CampaignOver { why: why.clone() }),
        (CampaignPhase::Running { .. }, Some(running)) if *running == look.campaign.id => Answer::Pass,
        (_, Some(running)) => Answer::Hold(Hold::LaneBusy { running: running.clone() }),
        (_, None) => Answer::Hold(Hold::Doubt { what: "the campaign is not the running one of its lane".into() }),
    }
}

fn paused(look: &Look<'_>) -> Answer {
    match look.lane.paused.as_ref().or(look.campaign.paused.as_ref()) {
        Some(pause) => Answer::Hold(Hold::Paused { by: pause.by.clone(), why: pause.why.clone() }),
        None => Answer::Pass,
    }
}

fn frozen(look: &Look<'_>) -> Answer {
    if let Some(freeze) = freeze::active(&look.policy.freezes, look.now) {
        return Answer::Hold(Hold::Frozen { freeze: freeze.name.clone(), until: freeze.until });
    }
    for calendar in &look.policy.calendars {
        match look.organization.calendars.get(calendar) {
            Some((true, _)) if !look.organization.is_over(calendar, look.now) => {}
            Some(_) => return Answer::Hold(Hold::CalendarClosed { calendar: calendar.clone() }),
            None => {
                return Answer::Hold(Hold::NeedsPerson {
                    what: format!("the state of change calendar `{calendar}` is not known: no event about it came in, and it could not be asked"),
                });
            }
        }
    }
    Answer::Pass
}

fn earlier_wave(look: &Look<'_>) -> Answer {
    for (index, wave) in (0u16..).zip(&look.campaign.waves).take(usize::from(look.id.index)) {
        let id = look.campaign.wave_id(index);
        match wave.stage {
            WaveStage::Proven => {}
            WaveStage::Baking { until, .. } => return Answer::Hold(Hold::Baking { wave: id, until }),
            _ => return Answer::Hold(Hold::EarlierWave { wave: id }),
        }
    }
    if let (Some(until), Some(before)) = (look.wave.renewed_until, look.id.index.checked_sub(1))
        && look.now < until
    {
        return Answer::Hold(Hold::Baking { wave: look.campaign.wave_id(before), until });
    }
    Answer::Pass
}

/// Both calendars must be open: the pinned policy's and, where it differs, the current one's.
fn open_window(look: &Look<'_>) -> Answer {
    too_late(look.policy, i64::from(look.policy.execution_timeout_secs), look.now).map_or(Answer::Pass, Answer::Hold)
}

/// The hold where what runs for so many seconds, begun now, would not end before the cutoff of a window, or no window is open.
pub(crate) fn too_late(policy: &Policy, secs: i64, now: Timestamp) -> Option<Hold> {
    for windows in [&policy.windows, &policy.also_windows] {
        match window::look(windows, now) {
            Ok(Opening::Always) => {}
            Ok(Opening::Closed { opens_at }) => return Some(Hold::WindowClosed { opens_at }),
            Ok(Opening::Open { cutoff_at, .. }) => {
                if later(now, secs.saturating_add(TIMEOUT_MIN_SECS)) > cutoff_at {
                    return Some(match window::next_opening(windows, now) {
                        Ok(opens_at) => Hold::TooLateInWindow { cutoff_at, opens_at },
                        Err(error) => Hold::Doubt { what: error.to_string() },
                    });
                }
            }
            Err(error) => return Some(Hold::Doubt { what: error.to_string() }),
        }
    }
    None
}

/// The shortest delivery time-out that SSM takes, in seconds (aws-facts 3.2).
pub const TIMEOUT_MIN_SECS: i64 = 30;

fn cutoff(look: &Look<'_>) -> Option<Timestamp> {
    [&look.policy.windows, &look.policy.also_windows]
        .into_iter()
        .filter_map(|windows| match window::look(windows, look.now) {
            Ok(Opening::Open { cutoff_at, .. }) => Some(cutoff_at),
            _ => None,
        })
        .min()
}

fn patch_set(look: &Look<'_>) -> Answer {
    match &look.campaign.pin {
        _ if !look.policy.entry().pins_patches() => Answer::Pass,
        Some(pin) if pin::is_dead(pin, look.now) => Answer::Hold(Hold::PatchSetExpired),
        Some(_) => Answer::Pass,
        None => Answer::Hold(Hold::Doubt { what: "no patch set is pinned".into() }),
    }
}

fn healthy(look: &Look<'_>) -> Answer {
    health::gate(look.policy, look.campaign, look.id.index, look.wave, look.now)
}

fn approved(look: &Look<'_>) -> Answer {
    match approval::gate(look.policy, look.campaign, &look.id, look.wave, look.now) {
        Ok(_) => Answer::Pass,
        Err(hold) => Answer::Hold(hold),
    }
}
