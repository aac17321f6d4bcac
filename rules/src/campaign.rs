//! One rollout: it collects findings, closes, is cut into waves, and takes them one by one through their gates. It sees
//! cells, never single targets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_events::action::{Notice, NoticeKind, Nudge};
use tidegate_events::entry::{PinStrength, Standing, WaveCut};
use tidegate_events::event::{Described, Subject};
use tidegate_events::host::{Ping, SpokeFault};
use tidegate_events::id::{CampaignId, InstanceId, Region, TargetKey, WaveId};
use tidegate_events::{Action, Entry, Hold};

use crate::decide::Outcome;
use crate::desk::{Desk, Missing, later, secs_between};
use crate::key::{DOORS, Key};
use crate::policy::Policy;
use crate::state::{Campaign, CampaignPhase, Lane, WaveStage};
use crate::{approval, bake, bucket, bulk, deadline, exemption, gate, health, lane, mirror, pin, plan, target, window};

/// How long a closing campaign waits for answers before it asks again, in seconds.
pub const CLOSING_AGAIN_SECS: i64 = 300;

/// How often an open wave and its cells are looked at although nothing said so, in seconds.
pub const LOOK_EVERY_SECS: i64 = 1800;

/// A notice as an action.
pub fn notice(kind: NoticeKind, subject: &str, message: String, at: Timestamp) -> Action {
    Action::Notify(Notice { kind, subject: subject.to_owned(), message, at })
}

/// Puts a target on the roster of its lane's collecting campaign; opens one where none collects. Who comes while a door is
/// being shut is refused by the commit, decides again, and joins the next campaign: late findings are never dropped and
/// never slip past a gate.
///
/// # Errors
/// When something is not loaded.
pub fn enroll(desk: &mut Desk<'_>, key: &TargetKey, rule: Option<String>) -> Result<(), Missing> {
    let policy = desk.policy();
    let id = policy.lane().map_err(|error| Missing::Corrupt(error.to_string()))?;
    let (door, place) = bucket::place(key);
    let lane = desk.lane(&id)?;
    let campaign = match &lane.collecting {
        Some(campaign) => campaign.clone(),
        None => open(desk, &lane)?,
    };
    desk.need(&[Key::door(&campaign, door), Key::roster(&campaign, door, place, key)])?;
    desk.insist(Key::door(&campaign, door));
    desk.record(Entry::Enrolled { target: key.clone(), campaign, rule })
}

fn open(desk: &mut Desk<'_>, lane: &Lane) -> Result<CampaignId, Missing> {
    let policy = desk.policy();
    let digest = policy.digest();
    let id = CampaignId { lane: lane.id.clone(), number: lane.newest.saturating_add(1) };
    desk.need(&[Key::policy(&digest), Key::campaign(&id)])?;
    if desk.item(&Key::policy(&digest))?.is_none() {
        desk.record(Entry::PolicyPinned { digest, policy: policy.to_json() })?;
    }
    let close_at = closes_at(policy, desk.now());
    desk.record(Entry::CampaignOpened { campaign: id.clone(), policy: digest, close_at, doors: DOORS })?;
    Ok(id)
}

/// When a campaign that opens now closes: so long before a window opens that approvers have their lead time, or after the
/// gathering time where there is no window (or no time to wait for one).
pub fn closes_at(policy: &Policy, now: Timestamp) -> Timestamp {
    let gathered = later(now, i64::from(policy.collect.gather_secs));
    if policy.collect.emergency || policy.windows.is_empty() {
        return gathered;
    }
    let lead = i64::from(policy.collect.close_lead_secs);
    match window::next_opening(&policy.windows, later(gathered, lead)) {
        Ok(Some(opens_at)) => later(opens_at, -lead).max(gathered),
        // No window ever: it closes, and its gates hold for a reason that is shown.
        Ok(None) | Err(_) => gathered,
    }
}

/// Moves a campaign as far as it can go now. Called when it is due, and whenever something that it waits for has moved.
///
/// # Errors
/// When something is not loaded.
pub fn advance(desk: &mut Desk<'_>, id: &CampaignId) -> Result<(), Missing> {
    let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(()) };
    match &campaign.phase {
        CampaignPhase::Collecting { close_at } if desk.now() >= *close_at => close(desk, id),
        CampaignPhase::Collecting { .. } | CampaignPhase::Ended { .. } => Ok(()),
        CampaignPhase::Closing { since, chunks } => {
            let described = desk.count(&Key::described(id))?;
            if chunks.is_some_and(|chunks| described >= u64::from(chunks)) {
                desk.ask(Action::Partition(id.clone()));
            } else if let (Some(bulk), true) = (&campaign.bulk, desk.now() >= later(*since, CLOSING_AGAIN_SECS)) {
                // Some page never came: whatever is not listed is asked for again, from its first page.
                desk.record(Entry::RosterListed { campaign: id.clone(), members: 0, chunks: bulk.spokes })?;
                desk.ask(Action::ListRun(id.clone()));
            } else if desk.now() >= later(*since, CLOSING_AGAIN_SECS) {
                // Some answer never came: whatever is not described is asked for again.
                desk.ask(Action::ListRoster(id.clone()));
            }
            Ok(())
        }
        CampaignPhase::Cut => start(desk, &campaign),
        CampaignPhase::Running { .. } => run(desk, id),
    }
}

fn close(desk: &mut Desk<'_>, id: &CampaignId) -> Result<(), Missing> {
    let doors: Vec<Key> = (0..DOORS).map(|door| Key::door(id, door)).collect();
    // One campaign may wait closed, so that people can approve it ahead of its turn; more would only be asked for in vain.
    if !desk.lane(&id.lane)?.waiting.is_empty() {
        let close_at = desk.after(i64::from(desk.policy().collect.gather_secs).max(60));
        return desk.record(Entry::CollectingOn { campaign: id.clone(), close_at });
    }
    desk.need(&doors)?;
    desk.record(Entry::CampaignClosing { campaign: id.clone() })?;
    desk.ask(Action::ListRoster(id.clone()));
    Ok(())
}

/// The roster was listed: so many chunks are looked up before the campaign is cut.
///
/// # Errors
/// When something is not loaded.
pub fn on_listed(desk: &mut Desk<'_>, id: &CampaignId, members: u64, chunks: u32) -> Result<Outcome, Missing> {
    let Some(campaign) = desk.campaign(id)? else { return Ok(Outcome::ignored("not known")) };
    match campaign.phase {
        CampaignPhase::Closing { chunks: known, since } if known.is_none() || desk.now() >= later(since, CLOSING_AGAIN_SECS) => {
            desk.record(Entry::RosterListed { campaign: id.clone(), members, chunks })?;
            Ok(Outcome::Accepted)
        }
        _ => Ok(Outcome::Duplicate),
    }
}

/// A chunk was looked up. Who can't be patched is named with the reason before anything is sent, outside every budget.
///
/// # Errors
/// When something is not loaded.
pub fn on_described(desk: &mut Desk<'_>, described: &Described) -> Result<Outcome, Missing> {
    let Described { campaign: id, account, region, chunk, members, found, ous, lacking } = described;
    let Some(campaign) = desk.campaign(id)? else { return Ok(Outcome::ignored("not known")) };
    let policy = desk.effective(&campaign.policy)?;
    let key = Key::chunk(id, *account, region, *chunk);
    if !matches!(campaign.phase, CampaignPhase::Closing { .. }) || desk.item(&key)?.is_some() {
        return Ok(Outcome::Duplicate);
    }
    if found.as_ref().is_err_and(SpokeFault::is_passing) {
        // The campaign is due again in minutes and asks for what is not described then.
        return Ok(Outcome::ignored("no answer yet"));
    }
    let targets: Vec<TargetKey> =
        members.iter().map(|member| TargetKey { account: *account, region: region.clone(), instance: member.instance.clone() }).collect();
    let keys: Vec<Key> = targets.iter().map(Key::target).collect();
    desk.need(&keys)?;
    desk.insist(key);
    let mut hosts = Vec::new();
    let mut rules = BTreeSet::new();
    let mut moved: Vec<(InstanceId, Standing, String)> = Vec::new();
    let lists = deadline::Lists::new(desk, lacking)?;
    let (mut due, mut deadlines, mut lacks) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (member, target) in members.iter().zip(&targets) {
        let still = desk.target(target)?.is_some_and(|known| known.standing == Standing::Enrolled { campaign: id.clone() } && known.lease.is_none());
        if !still {
            continue;
        }
        let host = found.as_ref().ok().and_then(|hosts| hosts.iter().find(|host| host.instance == member.instance));
        let elsewhere = match (found, host) {
            (Err(fault), _) => Some(target::unreachable(desk, &fault.to_string(), 0)),
            (Ok(_), None) => Some(Standing::Unmanaged { why: "Systems Manager does not know it: no agent, or not registered".into() }),
            (Ok(_), Some(host)) => match exemption::of(&policy.exemptions, target, Some(host), ous, desk.now()) {
                Some(exempt) => Some(exempt),
                None if host.ping != Ping::Online => Some(target::unreachable(desk, "its agent does not answer", 0)),
                None => None,
            },
        };
        match (elsewhere, host) {
            (Some(to), _) => moved.push((member.instance.clone(), to, "looked up when its campaign closed".into())),
            (None, Some(host)) => {
                hosts.push(host.clone());
                rules.extend(member.rule.clone());
                if let Some(known) = desk.target(target)? {
                    let judged = lists.judge(desk, known, host, ous);
                    due.extend(judged.deadline.as_ref().or(known.deadline.as_ref()).map(|deadline| (member.instance.clone(), deadline.at)));
                    deadlines.extend(judged.deadline.map(|deadline| (member.instance.clone(), deadline)));
                    lacks.extend(judged.lacks.map(|lacks| (member.instance.clone(), lacks)));
                }
            }
            (None, None) => {}
        }
    }
    if let Err(fault) = found {
        desk.ask(notice(NoticeKind::SpokeClosed, &format!("{account}/{region}"), format!("{} targets can't be reached: {fault}", members.len()), desk.now()));
    }
    let exempt: Vec<InstanceId> = moved.iter().filter(|(_, to, _)| matches!(to, Standing::Exempt { .. })).map(|(instance, ..)| instance.clone()).collect();
    mirror::ask(desk, *account, region, &exempt);
    desk.record(Entry::ChunkDescribed {
        campaign: id.clone(),
        account: *account,
        region: region.clone(),
        chunk: *chunk,
        hosts,
        rules: rules.into_iter().collect(),
        moved,
        due,
        deadlines,
        lacks,
    })?;
    desk.ask(Action::Nudge(Nudge::Campaign(id.clone())));
    Ok(Outcome::Accepted)
}

/// The campaign is cut: what is approved is fixed from here.
///
/// # Errors
/// When something is not loaded.
pub fn on_partitioned(desk: &mut Desk<'_>, id: &CampaignId, waves: &[WaveCut], inventory: &(u64, BTreeMap<Region, u64>)) -> Result<Outcome, Missing> {
    let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(Outcome::ignored("not known")) };
    if !matches!(campaign.phase, CampaignPhase::Closing { .. }) {
        return Ok(Outcome::Duplicate);
    }
    desk.lane(&id.lane)?;
    let policy = desk.effective(&campaign.policy)?;
    desk.record(Entry::InventoryPinned { campaign: id.clone(), total: inventory.0, by_region: inventory.1.clone() })?;
    let digest = match &campaign.bulk {
        Some(_) => bulk::cut::run_digest(&campaign.policy, waves),
        None => plan::campaign_digest(id, &campaign.policy, waves),
    };
    let snapshot = pin::snapshot(id, &campaign.policy, 0);
    desk.record(Entry::CampaignClosed { campaign: id.clone(), waves: waves.to_vec(), digest, snapshot })?;
    if campaign.bulk.is_some()
        && let Some(over) = bulk::stop::at_the_cut(policy, &campaign, waves, inventory.0)
    {
        end(desk, id, &over.why, over.complete)?;
        return Ok(Outcome::Accepted);
    }
    let need = policy.approvals_needed();
    if need > 0 && !policy.approval.per_wave && !waves.is_empty() {
        let targets: u64 = waves.iter().map(|wave| wave.targets).sum();
        desk.record(Entry::ApprovalAsked { subject: Subject::Campaign(id.clone()), digest, need })?;
        desk.ask(notice(
            NoticeKind::ApprovalAsked,
            &id.to_string(),
            format!("{need} approvals are asked for {targets} targets in {} waves", waves.len()),
            desk.now(),
        ));
    }
    advance(desk, id)?;
    Ok(Outcome::Accepted)
}

fn start(desk: &mut Desk<'_>, campaign: &Campaign) -> Result<(), Missing> {
    let id = &campaign.id;
    let lane = desk.lane(&id.lane)?;
    if campaign.waves.is_empty() {
        return end(desk, id, "nobody was left to patch", true);
    }
    let turn = lane.running.is_none() && lane.waiting.first() == Some(id);
    if !turn {
        return Ok(());
    }
    desk.record(Entry::CampaignStarted { campaign: id.clone() })?;
    run(desk, id)
}

/// Ends a campaign, lets those it never touched join a later one, and gives the lane to the next.
///
/// # Errors
/// When something is not loaded.
pub fn end(desk: &mut Desk<'_>, id: &CampaignId, why: &str, complete: bool) -> Result<(), Missing> {
    let lane = desk.lane(&id.lane)?;
    let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(()) };
    desk.record(Entry::CampaignEnded { campaign: id.clone(), why: why.to_owned(), complete })?;
    // INVARIANT (dry means dry): a dry run leaves nothing outside our own store, not even a notice.
    if campaign.bulk.as_ref().is_none_or(|bulk| !bulk.dry_run) {
        desk.ask(notice(NoticeKind::CampaignEnded, &id.to_string(), format!("campaign {id} ended: {why}"), desk.now()));
    }
    if !complete {
        for (index, _) in (0u16..).zip(&campaign.waves) {
            desk.ask(Action::NudgeCells(campaign.wave_id(index)));
        }
    }
    if let Some(next) = lane.waiting.iter().find(|waiting| *waiting != id) {
        desk.ask(Action::Nudge(Nudge::Campaign(next.clone())));
    }
    Ok(())
}

/// Takes the running campaign through its waves until something holds.
fn run(desk: &mut Desk<'_>, id: &CampaignId) -> Result<(), Missing> {
    loop {
        let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(()) };
        let CampaignPhase::Running { wave: index, look_at } = campaign.phase else { return Ok(()) };
        let wave_id = campaign.wave_id(index);
        let Some(wave) = campaign.wave(index) else {
            return end(desk, id, "every wave is proven and baked", true);
        };
        let policy = desk.effective(&campaign.policy)?;
        let moved = match &wave.stage {
            WaveStage::Waiting => {
                desk.record(Entry::WaveSealing { wave: wave_id.clone() })?;
                desk.ask(Action::NudgeCells(wave_id));
                false
            }
            WaveStage::Sealing => {
                let sealed = bake::tallied(desk, &wave_id)?.sealed >= u64::from(wave.cells);
                if sealed {
                    seal(desk, &campaign, &wave_id)?;
                } else if look_at.is_some_and(|at| at <= desk.now()) {
                    desk.record(Entry::WaveSealing { wave: wave_id.clone() })?;
                    desk.ask(Action::NudgeCells(wave_id));
                }
                sealed
            }
            WaveStage::Sealed => try_open(desk, &campaign, &wave_id)?,
            WaveStage::Open { .. } => watch(desk, policy, &campaign, &wave_id)?,
            WaveStage::Baking { until, .. } => bake_out(desk, policy, &campaign, &wave_id, *until)?,
            WaveStage::Proven => return Ok(()),
        };
        if !moved {
            return Ok(());
        }
    }
}

/// All cells are sealed. A patch set that will have died by the time the wave can start is renewed now, so that approvers
/// have the time until then.
fn seal(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId) -> Result<(), Missing> {
    let policy = desk.effective(&campaign.policy)?;
    let kept = bake::tallied(desk, id)?.kept;
    let start = match window::look(&policy.windows, desk.now()) {
        Ok(window::Opening::Closed { opens_at: Some(opens_at) }) => opens_at,
        _ => desk.now(),
    };
    let strength = campaign.pin.as_ref().map_or(PinStrength::None, |pin| pin::strength(pin, start, false));
    desk.record(Entry::WaveSealed { wave: id.clone(), pin: strength, kept })?;
    if kept > 0 && strength == PinStrength::None && policy.entry().pins_patches() {
        renew(desk, campaign, id)?;
    }
    if kept > 0 && (policy.approval.per_wave || approval::is_renewed(campaign)) {
        ask_for_wave(desk, id)?;
    }
    Ok(())
}

fn renew(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId) -> Result<(), Missing> {
    let policy = desk.effective(&campaign.policy)?;
    let before = id.index.checked_sub(1).and_then(|index| campaign.wave(index));
    let bakes_until = desk.after(before.map_or(0, |wave| bake::bake_secs(policy, &wave.name)));
    let nth = id.index.saturating_add(1);
    let snapshot =
        pin::snapshot(&campaign.id, &campaign.policy, nth.saturating_add(u16::try_from(secs_between(campaign.opened_at, desk.now()) / 86_400).unwrap_or(0)));
    desk.record(Entry::WaveRenewed { wave: id.clone(), snapshot, bakes_until })?;
    ask_for_wave(desk, id)
}

fn ask_for_wave(desk: &mut Desk<'_>, id: &WaveId) -> Result<(), Missing> {
    let Some(campaign) = desk.campaign(&id.campaign)?.cloned() else { return Ok(()) };
    let policy = desk.effective(&campaign.policy)?;
    let (Some(wave), need) = (campaign.wave(id.index), policy.approvals_needed()) else { return Ok(()) };
    let (subject, digest) = approval::subject(policy, &campaign, id, wave);
    let asked = campaign.asked.iter().any(|asked| asked.subject == subject && asked.digest == digest);
    if need > 0 && !asked {
        desk.ask(notice(
            NoticeKind::ApprovalAsked,
            &subject.to_string(),
            format!("{need} approvals are asked for wave `{}` ({} targets)", wave.name, wave.targets),
            desk.now(),
        ));
        desk.record(Entry::ApprovalAsked { subject, digest, need })?;
    }
    Ok(())
}

/// Approvals that were given have expired before the wave's turn came: they are asked for anew.
fn ask_again(desk: &mut Desk<'_>, id: &WaveId) -> Result<(), Missing> {
    let Some(campaign) = desk.campaign(&id.campaign)?.cloned() else { return Ok(()) };
    let policy = desk.effective(&campaign.policy)?;
    let Some(wave) = campaign.wave(id.index) else { return Ok(()) };
    let (subject, digest) = approval::subject(policy, &campaign, id, wave);
    let asked_at = campaign.asked.iter().find(|asked| asked.subject == subject && asked.digest == digest).map(|asked| asked.at);
    let expired = asked_at.is_none_or(|at| secs_between(at, desk.now()) >= i64::from(policy.approval.expires_secs));
    if expired {
        let need = policy.approvals_needed();
        desk.ask(notice(
            NoticeKind::ApprovalAsked,
            &subject.to_string(),
            format!("{need} approvals are asked for again: those that were given have expired"),
            desk.now(),
        ));
        desk.record(Entry::ApprovalAsked { subject, digest, need })?;
    }
    Ok(())
}

/// A sealed wave is at its gates.
fn try_open(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId) -> Result<bool, Missing> {
    if bake::tallied(desk, id)?.kept == 0 {
        desk.record(Entry::WaveProven { wave: id.clone() })?;
        return next_wave(desk, campaign, id);
    }
    if pin::is_over(desk.effective(&campaign.policy)?, campaign.pin.as_ref(), desk.now()) {
        renew(desk, campaign, id)?;
    }
    match gate::clear_wave(desk, id)? {
        Ok(clearance) => {
            let name = campaign.wave(id.index).map(|wave| wave.name.clone()).unwrap_or_default();
            desk.record(Entry::WaveOpened { wave: id.clone(), clearance: clearance.record().clone() })?;
            desk.ask(Action::NudgeCells(id.clone()));
            desk.ask(notice(NoticeKind::WaveOpened, &id.to_string(), format!("wave `{name}` passed every gate"), desk.now()));
        }
        Err(holds) => {
            if holds.iter().any(|hold| matches!(hold, Hold::AwaitingApproval { .. })) {
                ask_again(desk, id)?;
            }
            held(desk, campaign, id, holds.clone())?;
            health::at_gate(desk, id, &holds)?;
        }
    }
    Ok(false)
}

/// Writes down why a wave holds, when that has changed (approvals that were counted before are not counted aloud again).
fn held(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId, holds: Vec<Hold>) -> Result<(), Missing> {
    let overdue = matches!(campaign.phase, CampaignPhase::Running { look_at: Some(at), .. } if at <= desk.now());
    if campaign.holds != holds || overdue {
        desk.record(Entry::Held { wave: id.clone(), holds })?;
    }
    Ok(())
}

/// An open wave: over its budget it halts the lane at once; when all its cells have ended it starts to bake.
fn watch(desk: &mut Desk<'_>, policy: &Policy, campaign: &Campaign, id: &WaveId) -> Result<bool, Missing> {
    let Some(wave) = campaign.wave(id.index) else { return Ok(false) };
    let tally = bake::tallied(desk, id)?;
    health::watch(desk, policy, campaign, id)?;
    if let Some(why) = bake::overspent(policy, wave, tally)
        && desk.lane(&id.campaign.lane)?.halted.is_none()
    {
        lane::halt(desk, id, &why)?;
        held(desk, campaign, id, vec![Hold::LaneHalted { why }])?;
    }
    if let gate::Answer::Hold(hold) = health::gate(policy, campaign, id.index, wave, desk.now()) {
        held(desk, campaign, id, vec![hold])?;
    }
    bulk::stop::pass_errors(desk, campaign, id, tally)?;
    if pin::is_over(policy, campaign.pin.as_ref(), desk.now()) && tally.done < u64::from(wave.cells) {
        // The wave took longer than its patch set lives: whoever has not started waits for the new one at the gates.
        renew(desk, campaign, id)?;
        return Ok(true);
    }
    if tally.done >= u64::from(wave.cells) {
        // Where nobody was touched there is nothing to watch.
        let bake = if tally.ok + tally.bad == 0 { 0 } else { bake::bake_secs(policy, &wave.name) };
        let until = desk.after(bake);
        desk.record(Entry::WaveBaking { wave: id.clone(), until, ok: tally.ok, bad: tally.bad })?;
        return Ok(true);
    }
    if matches!(campaign.phase, CampaignPhase::Running { look_at: Some(at), .. } if at <= desk.now()) {
        let again_at = desk.after(LOOK_EVERY_SECS);
        desk.record(Entry::WaveLooked { wave: id.clone(), again_at })?;
        desk.ask(Action::NudgeCells(id.clone()));
    }
    Ok(false)
}

/// A baking wave is proven when its time is over and nothing has changed its mind.
fn bake_out(desk: &mut Desk<'_>, policy: &Policy, campaign: &Campaign, id: &WaveId, until: Timestamp) -> Result<bool, Missing> {
    let Some(wave) = campaign.wave(id.index) else { return Ok(false) };
    let tally = bake::tallied(desk, id)?;
    let lane_state = desk.lane(&id.campaign.lane)?;
    health::watch(desk, policy, campaign, id)?;
    if let Some(halt) = &lane_state.halted {
        held(desk, campaign, id, vec![Hold::LaneHalted { why: halt.why.clone() }])?;
        return Ok(false);
    }
    if let Some(why) = bake::overspent(policy, wave, tally) {
        lane::halt(desk, id, &why)?;
        held(desk, campaign, id, vec![Hold::LaneHalted { why }])?;
        return Ok(false);
    }
    if let gate::Answer::Hold(hold) = health::gate(policy, campaign, id.index, wave, desk.now()) {
        held(desk, campaign, id, vec![hold])?;
        return Ok(false);
    }
    if desk.now() < until {
        held(desk, campaign, id, vec![Hold::Baking { wave: id.clone(), until }])?;
        return Ok(false);
    }
    desk.record(Entry::WaveProven { wave: id.clone() })?;
    next_wave(desk, campaign, id)
}

/// The next wave's turn, or the end.
fn next_wave(desk: &mut Desk<'_>, campaign: &Campaign, id: &WaveId) -> Result<bool, Missing> {
    let next = id.index.saturating_add(1);
    if campaign.wave(next).is_none() {
        end(desk, &campaign.id, "every wave is proven and baked", true)?;
        return Ok(false);
    }
    let wave = campaign.wave_id(next);
    desk.record(Entry::WaveSealing { wave: wave.clone() })?;
    desk.ask(Action::NudgeCells(wave));
    Ok(false)
}
