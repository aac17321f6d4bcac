//! What each entry about a bulk run makes true.

use jiff::Timestamp;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::entry::Standing;
use tidegate_events::id::{Digest, TargetKey};

use crate::book::{Book, campaign_mut, cell_mut, lane_mut, strange, target_mut};
use crate::bulk::state::{Bulk, BulkWave, Listing, RunItem};
use crate::desk::Missing;
use crate::key::{Key, Tally};
use crate::state::{Campaign, CampaignPhase, Chunk, PAST_KEPT, SeatAt, State};

/// The stream that an entry belongs to.
pub fn home(entry: &BulkEntry) -> Key {
    match entry {
        BulkEntry::Opened { campaign, .. } => Key::campaign(campaign),
        BulkEntry::Listed { campaign, account, region, .. } => Key::listing(campaign, *account, region),
        BulkEntry::ErrorsPassed { wave, .. } => Key::campaign(&wave.campaign),
        BulkEntry::Freed { cell, .. } => Key::cell(cell),
    }
}

/// Makes an entry true.
///
/// # Errors
/// When an item that it changes is not at hand, or is of another kind.
pub fn apply(book: &mut impl Book, at: Timestamp, entry: &BulkEntry) -> Result<(), Missing> {
    match entry {
        BulkEntry::Opened { campaign, policy, asked, spokes } => {
            let run = &asked.run;
            let lane = lane_mut(book, &campaign.lane)?;
            lane.newest = campaign.number;
            if !run.dry_run {
                lane.waiting.push(campaign.clone());
            }
            let wave = |wave: &tidegate_events::run::RunWave| BulkWave {
                name: wave.name.clone(),
                operation: wave.operation,
                reboot: wave.reboot,
                max_errors: wave.max_errors,
            };
            let opened = Campaign {
                id: campaign.clone(),
                policy: *policy,
                opened_at: at,
                phase: CampaignPhase::Closing { since: at, chunks: Some(*spokes) },
                waves: Vec::new(),
                digest: Digest::default(),
                cut_at: None,
                pin: None,
                asked: Vec::new(),
                words: Vec::new(),
                holds: Vec::new(),
                inventory: 0,
                paused: None,
                health: None,
                bulk: Some(Bulk {
                    asked: asked.id.clone(),
                    by: asked.by.clone(),
                    dry_run: run.dry_run,
                    abort_on_issues: run.abort_on_issues,
                    spokes: *spokes,
                    waves: run.waves.iter().map(wave).collect(),
                }),
            };
            book.put(Key::campaign(campaign), State::Campaign(Box::new(opened)))?;
            book.put(Key::run(&asked.id), State::Run(Box::new(RunItem { campaign: campaign.clone(), run: run.clone() })))?;
        }
        BulkEntry::Listed { campaign, account, region, hosts, rules, enrolled, last, .. } => {
            if *enrolled {
                for host in hosts {
                    let key = TargetKey { account: *account, region: region.clone(), instance: host.instance.clone() };
                    let target = target_mut(book, &key)?;
                    target.standing = Standing::Enrolled { campaign: campaign.clone() };
                    target.campaigns.insert(0, campaign.clone());
                    target.campaigns.truncate(PAST_KEPT);
                }
            }
            let at = Key::listing(campaign, *account, region);
            if book.state(&at)?.is_none() {
                book.put(at.clone(), State::Listing(Listing::default()))?;
            }
            let Some(State::Listing(listing)) = book.state(&at)? else { return Err(strange(&at)) };
            let page = listing.pages;
            listing.pages = page.saturating_add(u32::from(!hosts.is_empty()));
            listing.done = *last;
            if !hosts.is_empty() {
                let chunk =
                    Chunk { account: *account, region: region.clone(), hosts: hosts.clone(), rules: rules.clone(), due: std::collections::BTreeMap::new() };
                book.put(Key::chunk(campaign, *account, region, page), State::Chunk(chunk))?;
            }
            if *last {
                book.add(Key::described(campaign), 1, None);
            }
        }
        BulkEntry::ErrorsPassed { wave, .. } => {
            let campaign = campaign_mut(book, &wave.campaign)?;
            if let Some(found) = campaign.waves.get_mut(usize::from(wave.index)) {
                found.errors_passed = true;
            }
        }
        BulkEntry::Freed { cell: id, members } => {
            for instance in members {
                target_mut(book, &id.target(instance))?.standing = Standing::Compliant;
            }
            let cell = cell_mut(book, id)?;
            for seat in cell.members.iter_mut().filter(|seat| members.contains(&seat.member.instance)) {
                seat.at = SeatAt::Dropped;
            }
            book.add(Key::tally(&id.wave, Tally::Dropped), i64::try_from(members.len()).unwrap_or(i64::MAX), None);
        }
    }
    Ok(())
}
