//! One plain sentence for each entry: the same words in `tidegate explain` and in the report.

use std::fmt;

use tidegate_events::Entry;
use tidegate_events::deadline::{Deadline, DeadlineStep};
use tidegate_events::entry::{ConfirmStep, PinStrength};
use tidegate_events::fact::{Compliance, InvocationStatus, Verdict};
use tidegate_events::health::HealthStep;
use tidegate_events::host::Ping;
use tidegate_events::id::{BatchId, CellId, TargetKey};
use tidegate_events::schedule::ScheduleStep;

use phrases::{after_colon, and_more, approvers, because, counts, fate, named, plural, quoted, standing, times, word_of};

pub(crate) use phrases::{lag_words, subject_name};

use crate::words::{count, ended, finished, number, plain, when};

mod bulk;
mod control;
mod health;
mod mirror;
mod phrases;
#[cfg(test)]
mod tests;

/// The entry as a sentence. With `about`, it is told from that target's side ("it"), and there is none for an entry that
/// concerns only others; entries of campaigns, waves and lanes always have one. Entries of a cell or a batch that name no
/// members are taken to concern the targets of their account and Region.
pub fn sentence(entry: &Entry, about: Option<&TargetKey>) -> Option<String> {
    let concerns = |cell: &CellId| about.is_none_or(|about| here(cell, about));
    if let Entry::Bulk(entry) = entry {
        return bulk::sentence(entry, about).map(|text| finished(&text));
    }
    if let Entry::Mirror(step) = entry {
        return mirror::sentence(step, about).map(|text| finished(&text));
    }
    let text = match level(entry) {
        Level::Targets => about.map_or_else(|| told_of_all(entry), |target| about_target(entry, target)),
        Level::Cell(cell) => concerns(cell).then(|| of_cell(entry, cell)),
        Level::Batch(batch) => concerns(&batch.cell).then(|| of_batch(entry, batch)),
        Level::Campaign => of_campaign(entry),
        Level::Wave => of_wave(entry),
        Level::Lane => of_lane(entry),
    }?;
    // A person's name stays as it is written.
    let begins_with_a_name = matches!(
        entry,
        Entry::ApprovalTaken(_) | Entry::LaneResumed { .. } | Entry::CordMoved { .. } | Entry::Steered(_) | Entry::RetryGranted(_) | Entry::KevLoaded(_)
    ) || matches!(entry, Entry::Health { step: HealthStep::Released { .. }, .. });
    Some(if begins_with_a_name { ended(&text) } else { finished(&text) })
}

/// Entries that name targets, from the side of one of them.
fn about_target(entry: &Entry, about: &TargetKey) -> Option<String> {
    match entry {
        Entry::FactNoted { target, .. } | Entry::Enrolled { target, .. } | Entry::Contradicted { target, .. } | Entry::Moved { target, .. }
            if target == about =>
        {
            told_of_one(entry, &"it")
        }
        Entry::Deadline { target, step } if target == about => Some(of_deadline(step, &"it")),
        Entry::ChunkDescribed { campaign, account, region, hosts, moved, deadlines, lacks, .. } if (*account, region) == (about.account, &about.region) => {
            if let Some((_, to, _)) = moved.iter().find(|(instance, ..)| *instance == about.instance) {
                return Some(format!("for campaign {campaign} it was looked up: it {}", standing(to)));
            }
            let host = hosts.iter().find(|host| host.instance == about.instance)?;
            let agent = match host.ping {
                Ping::Online => "its agent answers",
                Ping::ConnectionLost => "its agent has not answered for a while",
                Ping::Inactive => "its agent has not answered for a long time",
            };
            let missing = lacks.iter().find(|(instance, _)| *instance == about.instance).map(|(_, lacks)| format!("; {}", phrases::lacking(lacks)));
            let due = deadlines.iter().find(|(instance, _)| *instance == about.instance).map(|(_, deadline)| format!("; {}", must(deadline, &"it")));
            let (missing, due) = (missing.unwrap_or_default(), due.unwrap_or_default());
            Some(format!("for campaign {campaign} it was looked up: a {} host, {agent}{missing}{due}", host.platform))
        }
        Entry::CellCut { cell, members, digest, .. } if here(cell, about) && members.iter().any(|m| m.instance == about.instance) => {
            Some(format!("it was put into wave {}, in cell {cell} of {} (digest {})", cell.wave, count(members.len() as u64, "target"), digest.short()))
        }
        Entry::CellSealed { cell, dropped } if here(cell, about) => {
            let (_, why) = dropped.iter().find(|(instance, _)| *instance == about.instance)?;
            Some(format!("it was dropped from wave {} when that was sealed: {}", cell.wave, plain(why)))
        }
        Entry::CellDismissed { cell, members, not_before } if here(cell, about) && members.contains(&about.instance) => {
            Some(format!("campaign {} ended before it was touched; it joins a later one, not before {}", cell.wave.campaign, when(*not_before)))
        }
        Entry::CellLagging { cell, members, lag } if here(cell, about) && members.contains(&about.instance) => {
            Some(format!("its confirmation is no longer waited for: {}", lag_words(*lag)))
        }
        Entry::BatchPlanned { batch, step, members, .. } if here(&batch.cell, about) && members.iter().any(|m| m.instance == about.instance) => {
            Some(format!("it was taken into batch {batch} of {} to {step}; nothing is sent yet", count(members.len() as u64, "target")))
        }
        Entry::BackedUp { batch, members } if here(&batch.cell, about) && members.contains(&about.instance) => {
            Some("it was backed up; the install is next".to_owned())
        }
        Entry::InvocationsEnded { batch, ended } if here(&batch.cell, about) => {
            let own = ended.iter().find(|invocation| invocation.instance == about.instance)?;
            let at = own.ended_at.map(|at| format!(" at {}", when(at))).unwrap_or_default();
            Some(format!("its command ended{at} with `{}`, which proves nothing yet", own.status))
        }
        Entry::Released { batch, outcomes } if here(&batch.cell, about) => {
            let own = outcomes.iter().find(|outcome| outcome.instance == about.instance)?;
            Some(format!("it left batch {batch} and {}", fate(own)))
        }
        Entry::Stranded { batch, members, again_at, tries } if here(&batch.cell, about) && members.contains(&about.instance) => {
            let tried = if *tries > 0 { format!(" ({} so far)", times(u64::from(*tries), "tried")) } else { String::new() };
            Some(format!("it can't be scanned now, so that the wave counts it as unknown; a scan is tried again at {}{tried}", when(*again_at)))
        }
        _ => None,
    }
}

/// The same entries, told of everyone in them.
fn told_of_all(entry: &Entry) -> Option<String> {
    match entry {
        Entry::FactNoted { target, .. } | Entry::Enrolled { target, .. } | Entry::Contradicted { target, .. } | Entry::Moved { target, .. } => {
            told_of_one(entry, target)
        }
        Entry::Deadline { target, step } => Some(of_deadline(step, target)),
        Entry::ChunkDescribed { campaign, account, region, hosts, moved, .. } => {
            let (hosts, others) = (count(hosts.len() as u64, "host"), count(moved.len() as u64, "member"));
            Some(format!("for campaign {campaign}, {hosts} in {account}/{region} can be patched; {others} can't"))
        }
        Entry::CellCut { cell, members, digest, .. } => {
            Some(format!("cell {cell} was cut with {} (digest {})", count(members.len() as u64, "target"), digest.short()))
        }
        Entry::CellSealed { cell, dropped } if dropped.is_empty() => Some(format!("cell {cell} was sealed: every member still needs the patches")),
        Entry::CellSealed { cell, dropped } => {
            let names: Vec<String> = dropped.iter().take(5).map(|(instance, why)| format!("{instance} ({})", plain(why))).collect();
            Some(format!("cell {cell} was sealed without {}: {}", count(dropped.len() as u64, "target"), and_more(&names, dropped.len())))
        }
        Entry::CellDismissed { cell, members, not_before } => Some(format!(
            "{} of cell {cell} {} left untouched when the campaign ended, to join a later one not before {}",
            count(members.len() as u64, "target"),
            if members.len() == 1 { "was" } else { "were" },
            when(*not_before)
        )),
        Entry::CellLagging { cell, members, lag } => {
            Some(format!("the confirmation of {} in cell {cell} is no longer waited for: {}", count(members.len() as u64, "target"), lag_words(*lag)))
        }
        Entry::BatchPlanned { batch, step, platform, members, .. } => {
            Some(format!("batch {batch} was planned: {step} on {} {}; nothing is sent yet", members.len(), plural(members.len(), &format!("{platform} host"))))
        }
        Entry::BackedUp { batch, members } => {
            Some(format!("{} of batch {batch} {} backed up", count(members.len() as u64, "target"), if members.len() == 1 { "was" } else { "were" }))
        }
        Entry::InvocationsEnded { batch, ended } => {
            let done = ended.iter().filter(|invocation| invocation.status == InvocationStatus::Success).count();
            Some(format!(
                "{} of batch {batch} ended, {} of them with success, which proves nothing yet",
                count(ended.len() as u64, "invocation"),
                number(done as u64)
            ))
        }
        Entry::Released { batch, outcomes } => Some(format!("{} left batch {batch}: {}", count(outcomes.len() as u64, "target"), counts(outcomes))),
        Entry::Stranded { batch, members, again_at, .. } => Some(format!(
            "{} of batch {batch} can't be scanned now, counted as unknown ({}); a scan is tried again at {}",
            count(members.len() as u64, "target"),
            named(members),
            when(*again_at)
        )),
        _ => None,
    }
}

/// Entries with exactly one target, who is called `who`.
fn told_of_one(entry: &Entry, who: &dyn fmt::Display) -> Option<String> {
    Some(match entry {
        Entry::FactNoted { fact, .. } => {
            let says = match fact.compliance {
                Compliance::Compliant => "is compliant",
                Compliance::NonCompliant => "is not compliant",
                Compliance::NotApplicable => "is not judged by it any more",
                Compliance::InsufficientData => "can't be judged",
            };
            format!("{} says that {who} {says}, as captured at {}", plain(&fact.source.to_string()), when(fact.ordering))
        }
        Entry::Enrolled { campaign, rule: Some(rule), .. } => format!("{who} joined campaign {campaign}, found by Config rule `{}`", plain(rule)),
        Entry::Enrolled { campaign, rule: None, .. } => format!("{who} joined campaign {campaign}"),
        Entry::Contradicted { cell, .. } => format!("AWS Config contradicted the two proofs of {who}: wave {} counts it as failed", cell.wave),
        Entry::Moved { to, verdict, why, .. } => {
            let verdict = verdict.map(|verdict| format!(", verdict {verdict}")).unwrap_or_default();
            format!("{who} {}{verdict}{}", standing(to), because(to, why))
        }
        _ => return None,
    })
}

/// What an entry is about. A new entry has to be given its place here, and then its words below.
enum Level<'a> {
    /// Targets that it names.
    Targets,
    /// All that a cell holds.
    Cell(&'a CellId),
    /// All that a batch holds.
    Batch(&'a BatchId),
    Campaign,
    Wave,
    Lane,
}

fn level(entry: &Entry) -> Level<'_> {
    match entry {
        Entry::FactNoted { .. }
        | Entry::Enrolled { .. }
        | Entry::Moved { .. }
        | Entry::Contradicted { .. }
        | Entry::Deadline { .. }
        | Entry::ChunkDescribed { .. }
        | Entry::CellCut { .. }
        | Entry::CellSealed { .. }
        | Entry::CellDismissed { .. }
        | Entry::CellLagging { .. }
        | Entry::BatchPlanned { .. }
        | Entry::BackedUp { .. }
        | Entry::InvocationsEnded { .. }
        | Entry::Released { .. }
        | Entry::Stranded { .. }
        | Entry::Mirror(_) => Level::Targets,
        Entry::CellDone { cell } | Entry::CellHeld { cell, .. } | Entry::CellConfirming { cell, .. } => Level::Cell(cell),
        Entry::Sending { batch, .. }
        | Entry::SendPutOff { batch, .. }
        | Entry::SearchedInVain { batch, .. }
        | Entry::Sent { batch, .. }
        | Entry::LookSoon { batch, .. }
        | Entry::ScanDue { batch, .. }
        | Entry::ProofDue { batch, .. }
        | Entry::BatchEnded { batch } => Level::Batch(batch),
        Entry::PolicyPinned { .. }
        | Entry::CampaignOpened { .. }
        | Entry::CollectingOn { .. }
        | Entry::CampaignClosing { .. }
        | Entry::RosterListed { .. }
        | Entry::CampaignClosed { .. }
        | Entry::ApprovalAsked { .. }
        | Entry::ApprovalTaken(_)
        | Entry::CampaignStarted { .. }
        | Entry::CampaignEnded { .. }
        | Entry::InventoryPinned { .. } => Level::Campaign,
        Entry::WaveSealing { .. }
        | Entry::WaveSealed { .. }
        | Entry::WaveRenewed { .. }
        | Entry::WaveOpened { .. }
        | Entry::WaveLooked { .. }
        | Entry::WaveBaking { .. }
        | Entry::WaveProven { .. }
        | Entry::Health { .. }
        | Entry::Held { .. } => Level::Wave,
        Entry::LaneHalted { .. }
        | Entry::LaneResumed { .. }
        | Entry::CordMoved { .. }
        | Entry::CalendarMoved { .. }
        | Entry::Scheduled { .. }
        | Entry::BreachesTold { .. } => Level::Lane,
        Entry::Bulk(entry) => bulk::level(entry),
        Entry::Steered(_) | Entry::RetryGranted(_) | Entry::ExemptionEnding(_) | Entry::KevLoaded(_) => Level::Lane,
        Entry::CancelAsked(asked) => Level::Batch(&asked.batch),
    }
}

/// Whether an entry belongs on the report's timeline: what people decided, and how campaigns, waves and lanes moved; without
/// the steps that only lead to the next.
pub(crate) fn is_on_the_timeline(entry: &Entry) -> bool {
    match entry {
        Entry::Held { .. }
        | Entry::RosterListed { .. }
        | Entry::WaveLooked { .. }
        | Entry::CollectingOn { .. }
        | Entry::CampaignClosing { .. }
        | Entry::WaveSealing { .. }
        | Entry::Health { step: HealthStep::Asked { .. }, .. }
        | Entry::Scheduled { step: ScheduleStep::Noted { .. }, .. } => false,
        entry => matches!(level(entry), Level::Campaign | Level::Wave | Level::Lane),
    }
}

fn of_campaign(entry: &Entry) -> Option<String> {
    Some(match entry {
        Entry::PolicyPinned { digest, .. } => format!("policy {} was put to use", digest.short()),
        Entry::CampaignOpened { campaign, policy, close_at, .. } => {
            format!("campaign {campaign} opened under policy {} and takes findings until {}", policy.short(), when(*close_at))
        }
        Entry::CollectingOn { campaign, close_at } => {
            format!("campaign {campaign} goes on collecting until {}, since another of its lane waits already", when(*close_at))
        }
        Entry::CampaignClosing { campaign } => format!("campaign {campaign} stopped taking members"),
        Entry::RosterListed { campaign, members, .. } => format!("campaign {campaign} has {}, which are looked up now", count(*members, "member")),
        Entry::CampaignClosed { campaign, waves, digest, .. } => {
            let total = waves.iter().map(|wave| wave.targets).fold(0, u64::saturating_add);
            let parts: Vec<String> = waves.iter().map(|wave| format!("{} {}", plain(&wave.name), number(wave.targets))).collect();
            format!(
                "campaign {campaign} was cut into {} with {} ({}); digest {}",
                count(waves.len() as u64, "wave"),
                count(total, "target"),
                parts.join(", "),
                digest.short()
            )
        }
        Entry::ApprovalAsked { subject, digest, need } => format!(
            "{} of {} {} asked for; digest {}",
            count(u64::from(*need), "approval"),
            subject_name(subject),
            if *need == 1 { "is" } else { "are" },
            digest.short()
        ),
        Entry::ApprovalTaken(approval) => word_of(approval),
        Entry::CampaignStarted { campaign } => format!("campaign {campaign} became the running one of its lane"),
        Entry::CampaignEnded { campaign, why, complete: true } => format!("campaign {campaign} ended{}", after_colon(why)),
        Entry::CampaignEnded { campaign, why, complete: false } => format!("campaign {campaign} ended before every wave was proven{}", after_colon(why)),
        Entry::InventoryPinned { campaign, total, by_region } => {
            format!("for campaign {campaign} the inventory was pinned: {} in {}", count(*total, "known instance"), count(by_region.len() as u64, "Region"))
        }
        _ => return None,
    })
}

fn of_wave(entry: &Entry) -> Option<String> {
    Some(match entry {
        Entry::WaveSealing { wave } => format!("the turn of wave {wave} came: its targets are looked at again"),
        Entry::WaveSealed { wave, pin, kept } => {
            let pinned = match pin {
                PinStrength::Exact => "its patch set pins packages exactly",
                PinStrength::Dated => "its patch set pins rules, not packages",
                PinStrength::None => "its patch set is too old to pin anything",
            };
            format!("wave {wave} was sealed with {}; {pinned}", count(*kept, "target"))
        }
        Entry::WaveRenewed { wave, snapshot, bakes_until } => {
            format!(
                "the patch set of wave {wave} had become too old: {snapshot} is pinned now, the wave before is watched again until {}, and a new \
                    approval is needed",
                when(*bakes_until)
            )
        }
        Entry::WaveLooked { wave, again_at } => format!("wave {wave} and its cells were looked at again; next at {}", when(*again_at)),
        Entry::WaveOpened { wave, clearance } => {
            format!(
                "wave {wave} passed every gate and opened, {}; digest {}, nothing starts after {}",
                approvers(clearance),
                clearance.digest.short(),
                when(clearance.not_after)
            )
        }
        Entry::WaveBaking { wave, until, ok, bad } => {
            format!("every member of wave {wave} ended: {} proven patched, {} failed or unknown; it bakes until {}", number(*ok), number(*bad), when(*until))
        }
        Entry::WaveProven { wave } => format!("wave {wave} is proven and baked"),
        Entry::Health { wave, step } => health::health(wave, step),
        Entry::Held { wave, holds } if holds.is_empty() => format!("nothing holds wave {wave} any more"),
        Entry::Held { wave, holds } => {
            let why: Vec<String> = holds.iter().map(|hold| plain(&hold.to_string())).collect();
            format!("wave {wave} holds: {}", why.join("; "))
        }
        _ => return None,
    })
}

fn of_lane(entry: &Entry) -> Option<String> {
    Some(match entry {
        Entry::LaneHalted { lane, wave, why } => format!("wave {wave} halted lane {lane}: {}; a named person must resume it", plain(why)),
        Entry::LaneResumed { lane, by, comment, forgiven } => {
            let forgiven = forgiven.as_ref().filter(|(_, bad)| *bad > 0);
            let forgiven = forgiven.map(|(wave, bad)| format!("; {} of wave {wave} no longer count against it", count(*bad, "failure"))).unwrap_or_default();
            format!("{by} resumed lane {lane}{}{forgiven}", quoted(comment))
        }
        Entry::CordMoved { pulled: true, by, kill, comment } => {
            let kill = if *kill { ", and what runs is cancelled too" } else { "" };
            format!("{by} pulled the stop cord: nothing is sent any more{kill}{}", quoted(comment))
        }
        Entry::CordMoved { pulled: false, by, comment, .. } => format!("{by} released the stop cord{}", quoted(comment)),
        Entry::Steered(steer) => control::steered(steer),
        Entry::RetryGranted(retry) => control::retried(retry),
        Entry::Scheduled { schedule, step } => of_schedule(schedule, step),
        Entry::BreachesTold { count: all, kev } => {
            let of_kev = if *kev > 0 { format!(", {} of them by a due date of the KEV catalog", number(*kev)) } else { String::new() };
            format!("operators were told that targets are past their deadline, {} in all so far{of_kev}", number(*all))
        }
        Entry::ExemptionEnding(ending) => control::ending(ending),
        Entry::KevLoaded(load) => control::loaded(load),
        Entry::CalendarMoved { calendar, open, at, .. } => {
            format!("change calendar `{}` {} at {}", plain(calendar), if *open { "opened" } else { "closed" }, when(*at))
        }
        _ => return None,
    })
}

fn of_schedule(schedule: &str, step: &ScheduleStep) -> String {
    let name = format!("schedule `{}`", plain(schedule));
    match step {
        ScheduleStep::Noted { next: Some(next), .. } => format!("{name} was met; it fires next at {}", when(*next)),
        ScheduleStep::Noted { next: None, .. } => format!("{name} was met; it does not fire any more"),
        ScheduleStep::Fired { occurrence, run, .. } => format!("{name} fired for {} and asked for bulk run {}", when(*occurrence), run.short()),
        ScheduleStep::Missed { first, count: 1, why, .. } => format!("{name} did not fire at {}: {}", when(*first), plain(why)),
        ScheduleStep::Missed { first, last, count: missed, why, .. } => {
            format!("{name} did not fire {} times from {} to {}: {}", number(u64::from(*missed)), when(*first), when(*last), plain(why))
        }
        ScheduleStep::Paused => format!("{name} was switched off"),
    }
}

fn of_deadline(step: &DeadlineStep, who: &dyn fmt::Display) -> String {
    match step {
        DeadlineStep::Set { deadline } => must(deadline, who),
        DeadlineStep::Breached { at } => format!("{who} was not patched by its deadline, {}", when(*at)),
    }
}

fn must(deadline: &Deadline, who: &dyn fmt::Display) -> String {
    format!(
        "{who} must be patched by {}, as `{}` says ({}, version {}; non-compliant since {})",
        when(deadline.at),
        plain(&deadline.sla),
        plain(&deadline.source),
        plain(&deadline.version),
        when(deadline.since)
    )
}

fn of_cell(entry: &Entry, cell: &CellId) -> String {
    match entry {
        Entry::CellHeld { hold, again_at, .. } => {
            format!("nothing more starts in cell {cell} now: {}; it is looked at again at {}", plain(&hold.to_string()), when(*again_at))
        }
        Entry::CellConfirming { next, at, .. } => match next {
            ConfirmStep::Reevaluate => format!("Config is asked to evaluate the rules of cell {cell} again at {}", when(*at)),
            ConfirmStep::Read => format!("Config's word on cell {cell} is read at {}", when(*at)),
            ConfirmStep::LastRead => format!("Config's word on cell {cell} is read a last time at {}", when(*at)),
            ConfirmStep::Deciding => format!(
                "Config's word on cell {cell} is being read a last time: who is not confirmed then counts as lagging; without an answer it is read again at {}",
                when(*at)
            ),
            ConfirmStep::Finished => format!("Config's word on cell {cell} is no longer waited for"),
        },
        _ => format!("every member of cell {cell} has ended"),
    }
}

fn of_batch(entry: &Entry, batch: &BatchId) -> String {
    match entry {
        Entry::Sending { step, generation, clearance, .. } => {
            format!(
                "the intent to send the {step} of batch {batch} was written (send {generation}), {}; digest {}",
                approvers(clearance),
                clearance.digest.short()
            )
        }
        Entry::SendPutOff { hold, again_at, .. } => {
            format!("the command of batch {batch} was provably not sent: {}; it is tried again at {}", plain(&hold.to_string()), when(*again_at))
        }
        Entry::SearchedInVain { searches, .. } => {
            let found = if *searches == 1 { "a complete search".to_owned() } else { format!("{searches} complete searches") };
            format!("whether the command of batch {batch} was sent is not known: {found} found nothing")
        }
        Entry::Sent { step, command, expires_at, adopted: false, .. } => {
            format!("Systems Manager took the {step} of batch {batch} as command {command} and gives up on it at {}", when(*expires_at))
        }
        Entry::Sent { step, command, expires_at, adopted: true, .. } => {
            format!(
                "a search found that Systems Manager had taken the {step} of batch {batch} as command {command}; it gives up on it at {}",
                when(*expires_at)
            )
        }
        Entry::CancelAsked(asked) => control::cancelling(asked),
        Entry::LookSoon { at, .. } => format!("the command of batch {batch} changed; it is looked at at {}", when(*at)),
        Entry::ScanDue { at, .. } => format!("batch {batch} is scanned at {}: an install's own report proves nothing", when(*at)),
        Entry::ProofDue { at, reads: 0, .. } => format!("the scan of batch {batch} ended; patch states are read at {}", when(*at)),
        Entry::ProofDue { at, reads, .. } => {
            format!("patch states of batch {batch} were {} in vain and are read again at {}", times(u64::from(*reads), "read"), when(*at))
        }
        _ => format!("every member of batch {batch} has left it"),
    }
}

fn here(cell: &CellId, about: &TargetKey) -> bool {
    (cell.account, &cell.region) == (about.account, &about.region)
}

/// Whether a verdict tells of an attempt that did not go well.
pub(crate) fn is_bad(verdict: Verdict) -> bool {
    !verdict.is_patched() && verdict != Verdict::PendingReboot
}
