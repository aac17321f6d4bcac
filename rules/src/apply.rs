//! What each entry makes true. State is the fold of this function and nothing else (invariant 9, replay).
//!
//! Entries of one decision may stand in the lines of several streams, so what they change must not depend on the order of
//! streams within a decision: no two of them write the same field of one item.

use jiff::Timestamp;
use tidegate_events::Entry;
use tidegate_events::entry::{CellMember, ConfirmStep, Count, Outcome, RunStep, Standing};
use tidegate_events::event::Word;
use tidegate_events::host::Host;
use tidegate_events::id::{BatchId, Digest, InstanceId, TargetKey, WaveId};

mod home;

pub use crate::book::{Book, Fold};
pub use home::home;

use crate::book::{batch_mut, campaign_mut, cell_mut, lane_mut, organization_mut, target_mut};
use crate::desk::{Missing, later};
use crate::key::{Key, Tally};
use crate::state::{
    Asked, Backup, Batch, BatchMember, BatchPhase, Campaign, CampaignPhase, Cell, CellHold, Chunk, FACTS_KEPT, Halt, PAST_KEPT, Pin, RosterEntry, Seat, SeatAt,
    State, Target, Wave, WaveStage,
};
use crate::{blast_radius, bucket, control, open};

/// How long SSM's index may lag before a search proves anything, in seconds (design: dispatch).
pub const SEARCH_AFTER_SECS: i64 = 15 * 60;

/// Makes an entry true.
///
/// # Errors
/// When an item that it changes is not at hand, or is of another kind.
pub fn apply(book: &mut impl Book, at: Timestamp, entry: &Entry) -> Result<(), Missing> {
    match entry {
        Entry::FactNoted { target, fact } => {
            let target = target_mut(book, target)?;
            target.facts.insert(0, fact.clone());
            target.facts.truncate(FACTS_KEPT);
        }
        Entry::Enrolled { target: key, campaign, rule } => {
            let target = target_mut(book, key)?;
            if matches!(target.standing, Standing::PatchedUnconfirmed { .. }) {
                // A finding of its own, after a patch that was proven: its time counts anew.
                (target.deadline, target.breached, target.lacks) = (None, None, None);
            }
            target.standing = Standing::Enrolled { campaign: campaign.clone() };
            if target.campaigns.first() != Some(campaign) {
                target.campaigns.insert(0, campaign.clone());
                target.campaigns.truncate(PAST_KEPT);
            }
            let (door, place) = bucket::place(key);
            book.put(Key::roster(campaign, door, place, key), State::Roster(RosterEntry { target: key.clone(), rule: rule.clone() }))?;
        }
        Entry::Moved { target, to, verdict, .. } => {
            let target = target_mut(book, target)?;
            move_target(target, to, *verdict);
        }
        Entry::Contradicted { target, cell: id } => {
            target_mut(book, target)?;
            let cell = cell_mut(book, id)?;
            seat_all(cell, std::iter::once(&target.instance), SeatAt::Contradicted);
            tally(book, &id.wave, Tally::Bad, 1);
        }
        Entry::PolicyPinned { digest, policy } => book.put(Key::policy(digest), State::Policy { json: policy.clone() })?,
        Entry::CampaignOpened { campaign, policy, close_at, .. } => {
            let lane = lane_mut(book, &campaign.lane)?;
            lane.collecting = Some(campaign.clone());
            lane.newest = campaign.number;
            let opened = Campaign {
                id: campaign.clone(),
                policy: *policy,
                opened_at: at,
                phase: CampaignPhase::Collecting { close_at: *close_at },
                waves: Vec::new(),
                digest: Digest::default(),
                cut_at: None,
                pin: None,
                asked: Vec::new(),
                words: Vec::new(),
                holds: Vec::new(),
                inventory: 0,
                bulk: None,
                paused: None,
                health: None,
            };
            book.put(Key::campaign(campaign), State::Campaign(Box::new(opened)))?;
        }
        Entry::CollectingOn { campaign, close_at } => campaign_mut(book, campaign)?.phase = CampaignPhase::Collecting { close_at: *close_at },
        Entry::CampaignClosing { campaign } => {
            campaign_mut(book, campaign)?.phase = CampaignPhase::Closing { since: at, chunks: None };
            let lane = lane_mut(book, &campaign.lane)?;
            lane.collecting = None;
            lane.waiting.push(campaign.clone());
            for door in 0..crate::key::DOORS {
                book.put(Key::door(campaign, door), State::Door)?;
            }
        }
        Entry::RosterListed { campaign, chunks, .. } => {
            campaign_mut(book, campaign)?.phase = CampaignPhase::Closing { since: at, chunks: Some(*chunks) };
        }
        Entry::InventoryPinned { campaign, total, .. } => campaign_mut(book, campaign)?.inventory = *total,
        Entry::ChunkDescribed { campaign, account, region, chunk, hosts, rules, moved, due, deadlines, lacks } => {
            for (instance, to, _) in moved {
                let key = TargetKey { account: *account, region: region.clone(), instance: instance.clone() };
                move_target(target_mut(book, &key)?, to, None);
            }
            crate::deadline::looked_up(book, at, (*account, region), deadlines, lacks)?;
            let hosts: Vec<Host> = hosts.clone();
            let described = Chunk { account: *account, region: region.clone(), hosts, rules: rules.clone(), due: due.clone() };
            book.put(Key::chunk(campaign, *account, region, *chunk), State::Chunk(described))?;
            book.add(Key::described(campaign), 1, None);
        }
        Entry::CellCut { cell, members, limits, rules, digest, due } => {
            let cut = Cell {
                id: cell.clone(),
                members: members.iter().map(|member| Seat { member: member.clone(), at: SeatAt::Waiting }).collect(),
                limits: limits.clone(),
                rules: rules.clone(),
                digest: *digest,
                sealed: false,
                done: false,
                next_batch: 0,
                held: None,
                confirm: None,
                due: *due,
            };
            book.put(Key::cell(cell), State::Cell(Box::new(cut)))?;
        }
        Entry::CampaignClosed { campaign, waves, digest, snapshot } => {
            let campaign = campaign_mut(book, campaign)?;
            campaign.phase = CampaignPhase::Cut;
            campaign.digest = *digest;
            campaign.cut_at = Some(at);
            campaign.pin = Some(Pin { snapshot: snapshot.clone(), used_at: None });
            campaign.waves = waves
                .iter()
                .map(|cut| Wave {
                    name: cut.name.clone(),
                    cells: cut.cells,
                    targets: cut.targets,
                    digest: cut.digest,
                    stage: WaveStage::Waiting,
                    forgiven: 0,
                    pin: None,
                    renewed_until: None,
                    errors_passed: false,
                })
                .collect();
        }
        Entry::ApprovalAsked { subject, digest, need } => {
            let campaign = campaign_mut(book, subject.campaign())?;
            campaign.asked.retain(|asked| asked.subject != *subject);
            campaign.asked.push(Asked { subject: subject.clone(), digest: *digest, need: *need, at });
        }
        Entry::ApprovalTaken(approval) => {
            let campaign = campaign_mut(book, approval.subject.campaign())?;
            if approval.word != Word::Reject {
                campaign.words.retain(|word| !word.by.is_same_person(&approval.by) || word.subject != approval.subject || word.digest != approval.digest);
            }
            campaign.words.push(approval.clone());
        }
        Entry::CampaignStarted { campaign } => {
            campaign_mut(book, campaign)?.phase = CampaignPhase::Running { wave: 0, look_at: None };
            let lane = lane_mut(book, &campaign.lane)?;
            lane.running = Some(campaign.clone());
            lane.waiting.retain(|waiting| waiting != campaign);
        }
        Entry::WaveSealing { wave } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            campaign.phase = CampaignPhase::Running { wave: wave.index, look_at: Some(later(at, 600)) };
            stage(campaign, wave, WaveStage::Sealing)?;
        }
        Entry::WaveSealed { wave, pin, .. } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            look_at(campaign, None);
            stage(campaign, wave, WaveStage::Sealed)?;
            wave_mut(campaign, wave)?.pin = Some(*pin);
        }
        Entry::WaveRenewed { wave, snapshot, bakes_until } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            campaign.pin = Some(Pin { snapshot: snapshot.clone(), used_at: None });
            let wave = wave_mut(campaign, wave)?;
            // An open wave goes back to its gates; what was sent goes on to its proof.
            wave.stage = WaveStage::Sealed;
            wave.renewed_until = Some(*bakes_until);
            wave.pin = Some(tidegate_events::entry::PinStrength::None);
        }
        Entry::WaveOpened { wave, clearance } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            campaign.holds.clear();
            crate::health::opened(campaign, at);
            look_at(campaign, Some(later(at, crate::campaign::LOOK_EVERY_SECS)));
            if let Some(pin) = &mut campaign.pin {
                pin.used_at = pin.used_at.or(Some(at));
            }
            stage(campaign, wave, WaveStage::Open { at, clearance: clearance.clone() })?;
        }
        Entry::WaveLooked { wave, again_at } => look_at(campaign_mut(book, &wave.campaign)?, Some(*again_at)),
        Entry::WaveBaking { wave, until, .. } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            look_at(campaign, Some(*until));
            crate::health::baking(campaign, at);
            let opened_at = match &wave_mut(campaign, wave)?.stage {
                WaveStage::Open { at, .. } => *at,
                _ => at,
            };
            stage(campaign, wave, WaveStage::Baking { until: *until, opened_at })?;
        }
        Entry::WaveProven { wave } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            campaign.holds.clear();
            crate::health::proven(campaign);
            look_at(campaign, None);
            stage(campaign, wave, WaveStage::Proven)?;
        }
        Entry::Held { wave, holds } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            look_at(campaign, holds.iter().filter_map(tidegate_events::Hold::lifts_at).min());
            campaign.holds.clone_from(holds);
        }
        Entry::CampaignEnded { campaign: id, why, complete } => {
            let campaign = campaign_mut(book, id)?;
            campaign.phase = CampaignPhase::Ended { why: why.clone(), complete: *complete };
            campaign.holds.clear();
            let lane = lane_mut(book, &id.lane)?;
            lane.waiting.retain(|waiting| waiting != id);
            if lane.running.as_ref() == Some(id) {
                lane.running = None;
            }
        }
        Entry::CellSealed { cell: id, dropped } => {
            let cell = cell_mut(book, id)?;
            let first = !cell.sealed;
            cell.sealed = true;
            for seat in &mut cell.members {
                if dropped.iter().any(|(instance, _)| *instance == seat.member.instance) {
                    seat.at = SeatAt::Dropped;
                }
            }
            let kept = count(cell.at(SeatAt::Waiting).count());
            tally(book, &id.wave, Tally::Dropped, count(dropped.len()));
            if first {
                tally(book, &id.wave, Tally::Sealed, 1);
                tally(book, &id.wave, Tally::Kept, kept);
            }
        }
        Entry::CellDone { cell: id } => {
            let cell = cell_mut(book, id)?;
            cell.done = true;
            cell.held = None;
            tally(book, &id.wave, Tally::Done, 1);
        }
        Entry::CellHeld { cell, hold, again_at } => {
            let cell = cell_mut(book, cell)?;
            let tries = cell.held.as_ref().map_or(0, |held| held.tries);
            cell.held = Some(CellHold { hold: hold.clone(), again_at: *again_at, tries: tries.saturating_add(1) });
        }
        Entry::CellDismissed { cell: id, members, not_before } => {
            for instance in members {
                move_target(target_mut(book, &id.target(instance))?, &Standing::Retrying { not_before: *not_before }, None);
            }
            let cell = cell_mut(book, id)?;
            seat_all(cell, members.iter(), SeatAt::Dropped);
            tally(book, &id.wave, Tally::Dropped, count(members.len()));
        }
        Entry::CellLagging { cell, members, lag: why } => {
            for instance in members {
                if let Standing::PatchedUnconfirmed { lag, .. } = &mut target_mut(book, &cell.target(instance))?.standing {
                    *lag = Some(*why);
                }
            }
            cell_mut(book, cell)?;
        }
        Entry::CellConfirming { cell, next, at } => cell_mut(book, cell)?.confirm = (*next != ConfirmStep::Finished).then_some((*next, *at)),

        Entry::BatchPlanned { batch: id, step, platform, members, grants, snapshot, reboot_option, backup } => {
            for member in members {
                let target = target_mut(book, &id.target(&member.instance))?;
                target.lease = Some(id.clone());
                target.standing = Standing::Running { batch: id.clone() };
                target.batches.insert(0, id.clone());
                target.batches.truncate(PAST_KEPT);
            }
            let cell = cell_mut(book, &id.cell)?;
            cell.next_batch = cell.next_batch.max(id.number.saturating_add(1));
            cell.held = None;
            seat_all(cell, members.iter().map(|member| &member.instance), SeatAt::InBatch);
            for grant in grants {
                book.add(Key::grant(&grant.scope), signed(grant.count), Some(signed(grant.limit)));
            }
            let planned = Batch {
                id: id.clone(),
                step: *step,
                platform: *platform,
                members: members
                    .iter()
                    .map(|member| BatchMember {
                        member: member.clone(),
                        ran: None,
                        scanned: None,
                        released: false,
                        stranded: false,
                        cancelled: false,
                        killed: false,
                        backup: backup.contains(&member.instance).then_some(Backup::Due),
                    })
                    .collect(),
                grants: grants.clone(),
                snapshot: snapshot.clone(),
                reboot_option: reboot_option.clone(),
                generation: 0,
                ran_at: None,
                scan_tries: 0,
                backup: None,
                phase: BatchPhase::Ready { step: if backup.is_empty() { *step } else { RunStep::Backup }, at, hold: None, put_off: 0 },
            };
            book.put(Key::batch(id), State::Batch(Box::new(planned)))?;
        }
        Entry::Sending { batch: id, step, generation, at, .. } => {
            open::begun(book, id, *step, *at)?;
            let batch = batch_mut(book, id)?;
            batch.generation = *generation;
            if !matches!(step, RunStep::Scan | RunStep::Backup) {
                batch.ran_at = Some(*at);
            }
            batch.phase = BatchPhase::Sending { step: *step, at: *at, searches: 0, search_at: later(*at, SEARCH_AFTER_SECS) };
        }
        Entry::SendPutOff { batch: id, hold, again_at } => {
            open::ended(book, id)?;
            let batch = batch_mut(book, id)?;
            let (step, put_off) = match &batch.phase {
                BatchPhase::Sending { step, .. } | BatchPhase::Sent { step, .. } => (*step, 0),
                BatchPhase::Ready { step, put_off, .. } => (*step, *put_off),
                _ => (RunStep::Scan, 0),
            };
            batch.phase = BatchPhase::Ready { step, at: *again_at, hold: Some(hold.clone()), put_off: put_off.saturating_add(1) };
        }
        Entry::SearchedInVain { batch, searches: done } => {
            if let BatchPhase::Sending { searches, search_at, .. } = &mut batch_mut(book, batch)?.phase {
                *searches = *done;
                *search_at = later(at, 60);
            }
        }
        Entry::Sent { batch: id, step, command, expires_at, .. } => {
            let batch = batch_mut(book, id)?;
            let sent_at = match &batch.phase {
                BatchPhase::Sending { at, .. } => *at,
                _ => at,
            };
            if *step == RunStep::Backup {
                batch.backup = Some(command.clone());
            }
            batch.phase = BatchPhase::Sent { step: *step, command: command.clone(), at: sent_at, expires_at: *expires_at, look_at: look_next(at, *expires_at) };
            book.put(Key::command(id.cell.account, &id.cell.region, command), State::Command { batch: id.clone() })?;
        }
        Entry::LookSoon { batch, at } => {
            if let BatchPhase::Sent { look_at, .. } = &mut batch_mut(book, batch)?.phase {
                *look_at = (*look_at).min(*at);
            }
        }
        Entry::InvocationsEnded { batch, ended } => {
            let batch = batch_mut(book, batch)?;
            let BatchPhase::Sent { step, expires_at, look_at, .. } = &mut batch.phase else { return Ok(()) };
            *look_at = look_next(at, *expires_at);
            for member in &mut batch.members {
                if let Some(seen) = ended.iter().find(|seen| seen.instance == member.member.instance) {
                    match step {
                        RunStep::Scan => member.scanned = Some(seen.status),
                        RunStep::Backup => member.backup = Some(Backup::Ended(seen.status)),
                        RunStep::Install | RunStep::Reboot => member.ran = Some((seen.status, seen.ended_at)),
                    }
                }
            }
        }
        Entry::BackedUp { batch, members } => crate::backup::apply(book, batch, members, at)?,
        Entry::ScanDue { batch: id, at } => {
            open::ended(book, id)?;
            let batch = batch_mut(book, id)?;
            batch.phase = BatchPhase::Ready { step: RunStep::Scan, at: *at, hold: None, put_off: 0 };
            let mut verifying = Vec::new();
            for member in batch.members.iter_mut().filter(|member| !member.released) {
                member.scanned = None;
                if !member.stranded {
                    verifying.push(member.member.instance.clone());
                }
            }
            for instance in verifying {
                target_mut(book, &id.target(&instance))?.standing = Standing::Verifying { batch: id.clone() };
            }
        }
        Entry::ProofDue { batch: id, at, reads } => {
            let batch = batch_mut(book, id)?;
            let (scan_at, unscanned) = match &batch.phase {
                BatchPhase::Sent { at, step, .. } => (*at, *step != RunStep::Scan),
                BatchPhase::Proving { scan_at, .. } => (*scan_at, false),
                _ => (*at, false),
            };
            batch.phase = BatchPhase::Proving { scan_at, at: *at, reads: *reads };
            if unscanned {
                // No scan comes between: the run's own end begins the proof.
                for instance in batch.instances() {
                    target_mut(book, &id.target(&instance))?.standing = Standing::Verifying { batch: id.clone() };
                }
            }
        }
        Entry::Released { batch, outcomes } => release(book, batch, outcomes)?,
        Entry::Stranded { batch, members, again_at, tries } => strand(book, batch, members, *again_at, *tries)?,
        Entry::BatchEnded { batch } => {
            open::ended(book, batch)?;
            batch_mut(book, batch)?.phase = BatchPhase::Ended;
        }
        Entry::CancelAsked(asked) => open::cancelling(book, asked, at)?,
        Entry::Steered(steer) => control::apply_steer(book, steer, at)?,
        // Where the target stands follows in entries of its own.
        Entry::RetryGranted(retry) => control::apply_retry(book, retry)?,

        Entry::LaneHalted { lane, wave, why } => {
            let lane = lane_mut(book, lane)?;
            lane.epoch = lane.epoch.saturating_add(1);
            lane.halted = Some(Halt { wave: wave.clone(), why: why.clone(), at });
        }
        Entry::LaneResumed { lane, forgiven, .. } => {
            let lane = lane_mut(book, lane)?;
            lane.epoch = lane.epoch.saturating_add(1);
            lane.halted = None;
            lane.paused = None;
            if let Some((wave, bad)) = forgiven {
                let campaign = campaign_mut(book, &wave.campaign)?;
                campaign.holds.clear();
                wave_mut(campaign, wave)?.forgiven = *bad;
            }
        }
        Entry::Health { wave, step } => crate::health::apply(campaign_mut(book, &wave.campaign)?, wave, at, step),
        Entry::Bulk(entry) => crate::bulk::apply::apply(book, at, entry)?,
        Entry::CordMoved { pulled, by, kill, comment } => open::cord_moved(organization_mut(book)?, *pulled, by, *kill, comment, at),
        Entry::Deadline { target, step } => crate::deadline::apply(book, target, step)?,
        Entry::BreachesTold { count, kev } => {
            let organization = organization_mut(book)?;
            (organization.breaches, organization.kev_breaches) = (Some((*count, at)), *kev);
        }
        Entry::KevLoaded(load) => crate::deadline::apply_load(book, load, at)?,
        Entry::Scheduled { schedule, step } => crate::schedule::apply(organization_mut(book)?, at, schedule, step),
        Entry::ExemptionEnding(ending) => crate::exemption::announced(book, at, ending)?,
        Entry::Mirror(step) => crate::mirror::apply(book, at, step)?,
        Entry::CalendarMoved { calendar, open, at, turns_at } => organization_mut(book)?.hear_calendar(calendar, *open, *at, *turns_at),
    }
    Ok(())
}

/// How long after a send, and after a look, a batch is looked at although no event said so, in seconds.
const LOOK_EVERY_SECS: i64 = 15 * 60;

fn look_next(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let after_end = later(expires_at, 60);
    if after_end <= now { later(now, 60) } else { later(now, LOOK_EVERY_SECS).min(after_end) }
}

fn move_target(target: &mut Target, to: &Standing, verdict: Option<tidegate_events::fact::Verdict>) {
    match to {
        Standing::Compliant | Standing::Gone => {
            target.attempts = 0;
            (target.deadline, target.breached, target.lacks) = (None, None, None);
        }
        Standing::Retrying { .. } | Standing::Quarantined { .. } if verdict.is_some() => target.attempts = target.attempts.saturating_add(1),
        _ => {}
    }
    target.standing = to.clone();
    target.verdict = verdict.or(target.verdict);
}

fn release(book: &mut impl Book, id: &BatchId, outcomes: &[Outcome]) -> Result<(), Missing> {
    for outcome in outcomes {
        let target = target_mut(book, &id.target(&outcome.instance))?;
        target.lease = None;
        move_target(target, &outcome.to, outcome.verdict);
    }
    let batch = batch_mut(book, id)?;
    let mut freed: Vec<CellMember> = Vec::new();
    for member in &mut batch.members {
        if outcomes.iter().any(|outcome| outcome.instance == member.member.instance) {
            if !member.stranded {
                freed.push(member.member.clone());
            }
            member.released = true;
            member.stranded = false;
        }
    }
    let grants = batch.grants.clone();
    return_grants(book, &grants, &freed);
    let cell = cell_mut(book, &id.cell)?;
    let (mut ok, mut bad, mut dropped) = (0, 0, 0);
    for outcome in outcomes {
        let at = match (outcome.count, &outcome.to) {
            (Count::Counted, _) => continue,
            (Count::Ok, _) => SeatAt::Ok,
            (Count::Bad, _) => SeatAt::Bad,
            (Count::Dropped, _) => SeatAt::Dropped,
            (Count::Again, Standing::PendingReboot { .. }) => SeatAt::AwaitsReboot,
            (Count::Again, _) => SeatAt::Waiting,
        };
        ok += i64::from(at == SeatAt::Ok);
        bad += i64::from(at == SeatAt::Bad);
        dropped += i64::from(at == SeatAt::Dropped);
        seat_all(cell, std::iter::once(&outcome.instance), at);
    }
    for (field, by) in [(Tally::Ok, ok), (Tally::Bad, bad), (Tally::Dropped, dropped)] {
        tally(book, &id.cell.wave, field, by);
    }
    Ok(())
}

fn strand(book: &mut impl Book, id: &BatchId, members: &[InstanceId], again_at: Timestamp, tries: u32) -> Result<(), Missing> {
    let batch = batch_mut(book, id)?;
    let mut newly: Vec<CellMember> = Vec::new();
    for member in &mut batch.members {
        if members.contains(&member.member.instance) && !member.stranded {
            member.stranded = true;
            newly.push(member.member.clone());
        }
    }
    batch.scan_tries = tries;
    batch.phase = BatchPhase::Stranded { at: again_at, tries };
    let grants = batch.grants.clone();
    return_grants(book, &grants, &newly);
    for instance in members {
        let target = target_mut(book, &id.target(instance))?;
        target.verdict = Some(tidegate_events::fact::Verdict::Unknown);
        target.standing = Standing::Unreachable { why: "it waits for a scan: nobody knows what the last command left".into(), look_at: again_at, looks: tries };
    }
    let cell = cell_mut(book, &id.cell)?;
    seat_all(cell, newly.iter().map(|member| &member.instance), SeatAt::Bad);
    tally(book, &id.cell.wave, Tally::Bad, count(newly.len()));
    Ok(())
}

/// Gives back what these members held of each limit.
fn return_grants(book: &mut impl Book, grants: &[tidegate_events::entry::Grant], freed: &[CellMember]) {
    for grant in grants {
        let back = freed.iter().filter(|member| blast_radius::binds(&grant.scope, member)).count();
        if back > 0 {
            book.add(Key::grant(&grant.scope), -count(back), None);
        }
    }
}

fn seat_all<'a>(cell: &mut Cell, instances: impl Iterator<Item = &'a InstanceId>, at: SeatAt) {
    for instance in instances {
        if let Some(seat) = cell.members.iter_mut().find(|seat| seat.member.instance == *instance) {
            seat.at = at;
        }
    }
}

fn tally(book: &mut impl Book, wave: &WaveId, field: Tally, by: i64) {
    if by != 0 {
        book.add(Key::tally(wave, field), by, None);
    }
}

fn look_at(campaign: &mut Campaign, when: Option<Timestamp>) {
    if let CampaignPhase::Running { look_at, .. } = &mut campaign.phase {
        *look_at = when;
    }
}

fn stage(campaign: &mut Campaign, wave: &WaveId, stage: WaveStage) -> Result<(), Missing> {
    wave_mut(campaign, wave)?.stage = stage;
    Ok(())
}

fn wave_mut<'c>(campaign: &'c mut Campaign, wave: &WaveId) -> Result<&'c mut Wave, Missing> {
    campaign.waves.get_mut(usize::from(wave.index)).ok_or_else(|| Missing::Corrupt(format!("wave `{wave}` is not in its campaign")))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
