//! One wave in one account and Region: it looks at its members again when their turn comes, draws its share of the blast
//! radius batch by batch, and waits for AWS Config's word when all have ended.

use tidegate_events::action::Nudge;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::entry::{CellMember, ConfirmStep, Lag, RunStep, Standing};
use tidegate_events::fact::{Compliance, Fact};
use tidegate_events::host::{Platform, SpokeFault};
use tidegate_events::id::{BatchId, CellId, InstanceId};
use tidegate_events::run::Operation;
use tidegate_events::{Action, Entry, Hold};

use crate::decide::Outcome;
use crate::desk::{Desk, Missing, later};
use crate::gate;
use crate::key::Key;
use crate::policy::RebootMode;
use crate::state::{Campaign, CampaignPhase, Cell, SeatAt, State, Target, WaveStage};
use crate::{backup, blast_radius, bulk, exemption, mirror};

/// Targets of one command at most: SSM takes 50 ids (aws-facts 3.2).
pub const BATCH_MEMBERS_MAX: usize = 50;
/// Silence after a cell's end before Config is asked to evaluate again, in seconds.
pub const SILENCE_SECS: i64 = 30 * 60;
/// Time that Config has to agree, in seconds from the cell's end.
pub const CONFIRM_SECS: i64 = 3600;
/// How long after it was asked Config's word is read, in seconds.
const READ_AFTER_SECS: i64 = 600;
/// Members whose exemption began after the cut and that leave in one transaction, at most: each is an item of it.
const EXEMPT_MAX: usize = 60;
/// Members dismissed in one transaction at most.
const DISMISS_MAX: usize = 80;

/// Moves a cell as far as it can go now.
///
/// # Errors
/// When something is not loaded.
pub fn advance(desk: &mut Desk<'_>, id: &CellId) -> Result<(), Missing> {
    let Some(campaign) = desk.campaign(&id.wave.campaign)?.cloned() else { return Ok(()) };
    let Some(cell) = desk.cell(id)?.cloned() else { return Ok(()) };
    let Some(wave) = campaign.wave(id.wave.index) else { return Ok(()) };
    if let CampaignPhase::Ended { complete: false, .. } = campaign.phase {
        return dismiss(desk, &campaign, &cell);
    }
    match &wave.stage {
        WaveStage::Sealing if !cell.sealed => seal(desk, &campaign, &cell),
        WaveStage::Open { .. } if cell.sealed && !cell.done => plan(desk, &campaign, &cell),
        _ => confirm(desk, &cell),
    }
}

fn targets<'d>(desk: &'d Desk<'_>, cell: &Cell, instances: &[InstanceId]) -> Result<Vec<Option<&'d Target>>, Missing> {
    let keys: Vec<Key> = instances.iter().map(|instance| Key::target(&cell.id.target(instance))).collect();
    desk.need(&keys)?;
    keys.iter()
        .map(|key| match desk.item(key)? {
            Some(State::Target(target)) => Ok(Some(target.as_ref())),
            _ => Ok(None),
        })
        .collect()
}

/// The wave's turn has come: who is compliant, exempt, gone or elsewhere by now is dropped. Shrinking needs no new yes.
fn seal(desk: &mut Desk<'_>, campaign: &Campaign, cell: &Cell) -> Result<(), Missing> {
    let members: Vec<InstanceId> = cell.at(SeatAt::Waiting).map(|member| member.instance.clone()).collect();
    let unfit = unfit(desk, campaign, cell, &members, SeatAt::Waiting)?;
    let dropped = drop_unfit(desk, cell, unfit)?;
    if dropped == members.len() {
        desk.record(Entry::CellDone { cell: cell.id.clone() })?;
    }
    desk.ask(Action::Nudge(Nudge::Campaign(campaign.id.clone())));
    Ok(())
}

/// Who must not be in a batch of this cell.
struct Unfit {
    instance: InstanceId,
    why: String,
    /// Where it stands from now on, where an exemption is why.
    exempt: Option<Standing>,
}

/// Seals the cell without these; gives how many left. INVARIANT (nothing lost): who is exempt by now stands so from here on, and is looked at
/// again when that ends. Beyond what one transaction holds they stay where they are, and leave when a batch would take them.
fn drop_unfit(desk: &mut Desk<'_>, cell: &Cell, unfit: Vec<Unfit>) -> Result<usize, Missing> {
    let (mut dropped, mut exempt) = (Vec::new(), Vec::new());
    for Unfit { instance, why, exempt: standing } in unfit {
        if let Some(to) = standing {
            if exempt.len() == EXEMPT_MAX {
                continue;
            }
            desk.record(Entry::Moved { target: cell.id.target(&instance), to, verdict: None, why: why.clone() })?;
            exempt.push(instance.clone());
        }
        dropped.push((instance, why));
    }
    mirror::ask(desk, cell.id.account, &cell.id.region, &exempt);
    let left = dropped.len();
    desk.record(Entry::CellSealed { cell: cell.id.clone(), dropped })?;
    Ok(left)
}

/// Who of these must not be in a batch of this cell, with the reason.
fn unfit(desk: &Desk<'_>, campaign: &Campaign, cell: &Cell, instances: &[InstanceId], at: SeatAt) -> Result<Vec<Unfit>, Missing> {
    let policy = desk.effective(&campaign.policy)?;
    let known = targets(desk, cell, instances)?;
    let mut unfit = Vec::new();
    for (instance, target) in instances.iter().zip(known) {
        let why = match target {
            None => Some("nothing is known of it".to_owned()),
            Some(target) => match (&target.lease, &target.standing, at) {
                (Some(batch), _, _) => Some(format!("batch {batch} holds it")),
                (None, Standing::Enrolled { campaign: of }, SeatAt::Waiting) if *of == campaign.id => None,
                (None, Standing::PendingReboot { cell: of }, SeatAt::AwaitsReboot) if *of == cell.id => None,
                (None, standing, _) => Some(format!("it is {} by now", standing.name(true))),
            },
        };
        let exempt = || exemption::of(&policy.exemptions, &cell.id.target(instance), None, &[], desk.now());
        let instance = instance.clone();
        match (why, exempt) {
            (Some(why), _) => unfit.push(Unfit { instance, why, exempt: None }),
            (None, exempt) => unfit.extend(exempt().map(|to| Unfit { instance, why: "an exemption covers it by now".into(), exempt: Some(to) })),
        }
    }
    Ok(unfit)
}

/// Plans one batch, then asks to be called again for the next: one transaction a batch.
fn plan(desk: &mut Desk<'_>, campaign: &Campaign, cell: &Cell) -> Result<(), Missing> {
    if let Some(held) = &cell.held
        && matches!(held.hold, Hold::BlastRadius { .. })
        && held.again_at > desk.now()
    {
        return Ok(());
    }
    let policy = desk.effective(&campaign.policy)?;
    let waiting: Vec<&CellMember> = cell.at(SeatAt::Waiting).collect();
    let rebooting: Vec<&CellMember> = cell.at(SeatAt::AwaitsReboot).collect();
    let busy = cell.at(SeatAt::InBatch).count();
    let orders = bulk::orders(policy, campaign, cell.id.wave.index);
    let first = if orders.operation == Operation::Scan { RunStep::Scan } else { RunStep::Install };
    let (step, seat, members) = match (waiting.is_empty(), rebooting.is_empty()) {
        (false, _) => (first, SeatAt::Waiting, waiting),
        (true, false) if orders.reboot == RebootMode::Separate && busy == 0 => (RunStep::Reboot, SeatAt::AwaitsReboot, rebooting),
        (true, false) if busy == 0 => return dismiss_reboots(desk, cell, &rebooting),
        (true, true) if busy == 0 => return done(desk, campaign, cell),
        _ => return Ok(()),
    };
    if let Err(holds) = gate::clear_wave(desk, &cell.id.wave)? {
        if holds.contains(&Hold::PatchSetExpired) {
            desk.ask(Action::Nudge(Nudge::Campaign(campaign.id.clone())));
        }
        return hold(desk, &cell.id, holds.into_iter().next().unwrap_or(Hold::Doubt { what: "a gate said no".into() }));
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for member in &members {
        if !platforms.contains(&member.platform) {
            platforms.push(member.platform);
        }
    }
    // A limit may hold all of one platform while another may start: INVARIANT (nothing lost), nobody waits behind who can't move.
    let mut held = None;
    for platform in platforms {
        let of_platform = members.iter().filter(|member| member.platform == platform).copied().take(2 * BATCH_MEMBERS_MAX).collect();
        match start(desk, campaign, cell, &orders, (step, seat, platform), of_platform)? {
            Ok(()) => return Ok(()),
            Err(hold) => held = held.or(Some(hold)),
        }
    }
    hold(desk, &cell.id, held.unwrap_or(Hold::Doubt { what: "no member could be chosen".into() }))
}

/// Plans a batch of these waiting members of one platform, or says what holds all of them.
fn start(
    desk: &mut Desk<'_>,
    campaign: &Campaign,
    cell: &Cell,
    orders: &bulk::terms::Orders,
    (step, seat, platform): (RunStep, SeatAt, Platform),
    mut members: Vec<&CellMember>,
) -> Result<Result<(), Hold>, Missing> {
    let policy = desk.effective(&campaign.policy)?;
    let instances: Vec<InstanceId> = members.iter().map(|member| member.instance.clone()).collect();
    let unfit = unfit(desk, campaign, cell, &instances, seat)?;
    members.retain(|member| !unfit.iter().any(|unfit| unfit.instance == member.instance));
    // Their targets fill the transaction: a batch is planned in the next one.
    let is_full = unfit.iter().any(|unfit| unfit.exempt.is_some());
    if !unfit.is_empty() {
        drop_unfit(desk, cell, unfit)?;
    }
    if members.is_empty() || is_full {
        desk.ask(Action::Nudge(Nudge::Cell(cell.id.clone())));
        return Ok(Ok(()));
    }
    let instances: Vec<InstanceId> = members.iter().map(|member| member.instance.clone()).collect();
    if step == RunStep::Install
        && !backup::due(desk, policy, &BatchId { cell: cell.id.clone(), number: cell.next_batch }, &instances)?.is_empty()
        && let Some(hold) = backup::too_late(policy, desk.now())
    {
        return Ok(Err(hold));
    }
    let wave_name = campaign.wave(cell.id.wave.index).map(|wave| wave.name.as_str()).unwrap_or_default();
    let snapshot = match &campaign.pin {
        Some(pin) => pin.snapshot.clone(),
        None => return Err(Missing::Corrupt(format!("campaign {} has no patch set", campaign.id))),
    };
    match blast_radius::draw(desk, policy, wave_name, &cell.limits, &members, BATCH_MEMBERS_MAX)? {
        Err(held) => Ok(Err(held)),
        Ok((members, grants)) => {
            let batch = BatchId { cell: cell.id.clone(), number: cell.next_batch };
            desk.need(&[Key::batch(&batch)])?;
            let instances: Vec<InstanceId> = members.iter().map(|member| member.instance.clone()).collect();
            let backup = if step == RunStep::Install { backup::due(desk, policy, &batch, &instances)? } else { Vec::new() };
            let first = if backup.is_empty() { step } else { RunStep::Backup };
            let reboot_option = orders.reboot_option.into();
            desk.record(Entry::BatchPlanned { batch: batch.clone(), step, platform, members, grants, snapshot, reboot_option, backup })?;
            desk.ask(Action::Send { batch, step: first });
            desk.ask(Action::Nudge(Nudge::Cell(cell.id.clone())));
            Ok(Ok(()))
        }
    }
}

/// Nothing more can start in a cell now: written down with the reason, and looked at again when that may have changed.
///
/// # Errors
/// When something is not loaded.
pub fn hold(desk: &mut Desk<'_>, id: &CellId, hold: Hold) -> Result<(), Missing> {
    let Some(cell) = desk.cell(id)?.cloned() else { return Ok(()) };
    let tries = cell.held.as_ref().map_or(0, |held| held.tries);
    let again_at = match (&hold, hold.lifts_at()) {
        // Grants come back with other cells' batches: asked again in minutes, not polled.
        (Hold::BlastRadius { .. }, _) => desk.after((60i64 << tries.min(4)).min(600)),
        (_, Some(at)) => at.max(desk.after(1)),
        // Events say when these change; the tick makes sure within the hour.
        _ if hold.needs_a_person() => jiff::Timestamp::MAX,
        _ => desk.after(3600),
    };
    if cell.held.as_ref().is_some_and(|held| held.hold == hold && held.again_at == again_at) {
        return Ok(());
    }
    desk.record(Entry::CellHeld { cell: id.clone(), hold, again_at })
}

fn done(desk: &mut Desk<'_>, campaign: &Campaign, cell: &Cell) -> Result<(), Missing> {
    desk.record(Entry::CellDone { cell: cell.id.clone() })?;
    let at = desk.after(SILENCE_SECS);
    desk.record(Entry::CellConfirming { cell: cell.id.clone(), next: ConfirmStep::Reevaluate, at })?;
    desk.ask(Action::Nudge(Nudge::Campaign(campaign.id.clone())));
    Ok(())
}

/// The policy's reboot step was taken away while members waited for it: they stay as they are, and the wave goes on.
fn dismiss_reboots(desk: &mut Desk<'_>, cell: &Cell, rebooting: &[&CellMember]) -> Result<(), Missing> {
    let dropped = rebooting.iter().map(|member| (member.instance.clone(), "the policy has no reboot step any more".to_owned())).collect();
    desk.record(Entry::CellSealed { cell: cell.id.clone(), dropped })?;
    desk.ask(Action::Nudge(Nudge::Cell(cell.id.clone())));
    Ok(())
}

/// The campaign ended before its time: whoever was not touched joins a later one, a day from now (a no is not asked again
/// at once).
fn dismiss(desk: &mut Desk<'_>, campaign: &Campaign, cell: &Cell) -> Result<(), Missing> {
    let waiting: Vec<InstanceId> = cell.at(SeatAt::Waiting).map(|member| member.instance.clone()).take(DISMISS_MAX).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let known = targets(desk, cell, &waiting)?;
    let enrolled = Standing::Enrolled { campaign: cell.id.wave.campaign.clone() };
    let (members, dropped): (Vec<_>, Vec<_>) =
        waiting.iter().zip(known).partition(|(_, target)| target.is_some_and(|target| target.standing == enrolled && target.lease.is_none()));
    // A bulk run takes hosts about which no finding is open: nothing is owed to those.
    let (freed, members): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|(_, target)| campaign.bulk.is_some() && target.and_then(Target::fact).is_none_or(|fact| fact.compliance != Compliance::NonCompliant));
    let freed: Vec<InstanceId> = freed.into_iter().map(|(instance, _)| instance.clone()).collect();
    let members: Vec<InstanceId> = members.into_iter().map(|(instance, _)| instance.clone()).collect();
    let dropped: Vec<(InstanceId, String)> = dropped.into_iter().map(|(instance, _)| (instance.clone(), "the campaign is over".to_owned())).collect();
    if !dropped.is_empty() {
        desk.record(Entry::CellSealed { cell: cell.id.clone(), dropped })?;
    }
    if !freed.is_empty() {
        desk.record(Entry::Bulk(BulkEntry::Freed { cell: cell.id.clone(), members: freed }))?;
    }
    if !members.is_empty() {
        let not_before = desk.after(86_400);
        desk.record(Entry::CellDismissed { cell: cell.id.clone(), members, not_before })?;
    }
    desk.ask(Action::Nudge(Nudge::Cell(cell.id.clone())));
    Ok(())
}

/// Waits for Config's word, cheaply: after half an hour of silence the rules are evaluated again (once per cell), then the
/// word is read by API, and after an hour whoever is not confirmed is called lagging.
fn confirm(desk: &mut Desk<'_>, cell: &Cell) -> Result<(), Missing> {
    let Some((step, at)) = cell.confirm else { return Ok(()) };
    if at > desk.now() {
        return Ok(());
    }
    let asked = unconfirmed(desk, cell)?;
    let id = cell.id.clone();
    if asked.is_empty() {
        return desk.record(Entry::CellConfirming { cell: id, next: ConfirmStep::Finished, at });
    }
    match step {
        ConfirmStep::Reevaluate => {
            if !cell.rules.is_empty() {
                desk.ask(Action::Reevaluate { cell: id.clone(), rules: cell.rules.clone() });
            }
            let at = later(at, READ_AFTER_SECS);
            desk.record(Entry::CellConfirming { cell: id, next: ConfirmStep::Read, at })
        }
        ConfirmStep::Read => {
            ask_to_read(desk, &id, &asked);
            let at = later(at, CONFIRM_SECS - SILENCE_SECS - READ_AFTER_SECS);
            desk.record(Entry::CellConfirming { cell: id, next: ConfirmStep::LastRead, at })
        }
        ConfirmStep::LastRead | ConfirmStep::Deciding => {
            ask_to_read(desk, &id, &asked);
            let at = desk.after(READ_AFTER_SECS);
            desk.record(Entry::CellConfirming { cell: id, next: ConfirmStep::Deciding, at })
        }
        ConfirmStep::Finished => Ok(()),
    }
}

fn ask_to_read(desk: &mut Desk<'_>, id: &CellId, asked: &[InstanceId]) {
    for instances in asked.chunks(BATCH_MEMBERS_MAX) {
        desk.ask(Action::ReadCompliance { cell: id.clone(), instances: instances.to_vec() });
    }
}

/// Members that are patched and wait for Config.
fn unconfirmed(desk: &Desk<'_>, cell: &Cell) -> Result<Vec<InstanceId>, Missing> {
    let members: Vec<InstanceId> =
        cell.members.iter().filter(|seat| matches!(seat.at, SeatAt::Ok | SeatAt::Bad)).map(|seat| seat.member.instance.clone()).collect();
    let known = targets(desk, cell, &members)?;
    let waits = |target: &Option<&Target>| {
        target.is_some_and(|target| matches!(&target.standing, Standing::PatchedUnconfirmed { cell: of, lag: None, .. } if *of == cell.id))
    };
    Ok(members.iter().zip(known).filter(|(_, target)| waits(target)).map(|(instance, _)| instance.clone()).collect())
}

/// Config took the request, or did not: its word is read either way.
///
/// # Errors
/// Never by itself.
pub fn on_reevaluated(_: &mut Desk<'_>, _: &CellId, _: &Result<(), SpokeFault>) -> Result<Outcome, Missing> {
    Ok(Outcome::Accepted)
}

/// Config's word was read. Facts that were not known have come in as findings before this; here it is about who has none.
///
/// # Errors
/// When something is not loaded.
pub fn on_compliance_read(
    desk: &mut Desk<'_>,
    id: &CellId,
    asked: &[InstanceId],
    seen: &Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault>,
) -> Result<Outcome, Missing> {
    let Some(cell) = desk.cell(id)?.cloned() else { return Ok(Outcome::ignored("not known")) };
    let Ok(seen) = seen else { return Ok(Outcome::ignored("no answer")) };
    let still = unconfirmed(desk, &cell)?;
    let unrecorded: Vec<InstanceId> = asked
        .iter()
        .filter(|instance| still.contains(instance))
        .filter(|instance| !seen.iter().any(|(of, fact)| of == *instance && fact.is_some()))
        .cloned()
        .collect();
    let last = matches!(cell.confirm, Some((ConfirmStep::Deciding, _)));
    let lagging: Vec<InstanceId> =
        if last { asked.iter().filter(|instance| still.contains(instance) && !unrecorded.contains(instance)).cloned().collect() } else { Vec::new() };
    for (members, lag) in [(unrecorded, Lag::NotRecorded), (lagging, Lag::ConfigLagging)] {
        if !members.is_empty() {
            desk.record(Entry::CellLagging { cell: id.clone(), members, lag })?;
        }
    }
    if unconfirmed(desk, &cell)?.is_empty() {
        desk.record(Entry::CellConfirming { cell: id.clone(), next: ConfirmStep::Finished, at: desk.now() })?;
    }
    Ok(Outcome::Accepted)
}
