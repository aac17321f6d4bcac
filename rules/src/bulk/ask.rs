//! A bulk run is asked for, and its nodes are listed: who joins it, and who is left out for which reason.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_events::action::{NoticeKind, Nudge};
use tidegate_events::bulk::{BulkEntry, NodePage, RunAsked};
use tidegate_events::entry::Standing;
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{AccountId, CampaignId, InstanceId, Region, TargetKey};
use tidegate_events::run::{BulkRun, LeftOut};
use tidegate_events::{Action, Entry};

use crate::bulk::cut::{Known, place};
use crate::bulk::state::RunItem;
use crate::bulk::terms::policy_for;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::state::{CampaignPhase, State, Target};

/// Letters of the id of an ask at most.
const ID_MAX: usize = 64;
/// Accounts and Regions of one run at most: its listings are counted, and each is a call at least.
pub const SPOKES_MAX: usize = 100_000;

/// The accounts and Regions that a run names, in order.
pub fn spokes(run: &BulkRun) -> BTreeSet<(AccountId, &Region)> {
    run.waves.iter().flat_map(|wave| wave.accounts.iter().flat_map(|account| wave.regions.iter().map(|region| (*account, region)))).collect()
}

/// Somebody asks for a bulk run: it is opened as a campaign that nobody else joins, and its nodes are listed.
///
/// # Errors
/// When something is not loaded.
pub fn on_asked(desk: &mut Desk<'_>, asked: &RunAsked) -> Result<Outcome, Missing> {
    let named = !asked.id.is_empty() && asked.id.len() <= ID_MAX && asked.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !named {
        return Ok(Outcome::rejected(format!("the id of a bulk run has 1 to {ID_MAX} letters, digits, `.`, `_` and `-`")));
    }
    if desk.item(&Key::run(&asked.id))?.is_some() {
        return Ok(Outcome::Duplicate);
    }
    let spokes = spokes(&asked.run).len();
    if spokes == 0 || spokes > SPOKES_MAX {
        return Ok(Outcome::rejected(format!("the run names {spokes} accounts and Regions, expected 1 to {SPOKES_MAX}")));
    }
    if let Some(why) = crate::bulk::documents::fault(&asked.run.custom_documents) {
        return Ok(Outcome::rejected(why));
    }
    let terms = policy_for(desk.policy(), &asked.run);
    let policy = terms.digest();
    let lane = desk.lane(&terms.lane().map_err(|error| Missing::Corrupt(error.to_string()))?)?;
    let campaign = CampaignId { lane: lane.id.clone(), number: lane.newest.saturating_add(1) };
    desk.need(&[Key::policy(&policy), Key::campaign(&campaign)])?;
    if desk.item(&Key::policy(&policy))?.is_none() {
        desk.record(Entry::PolicyPinned { digest: policy, policy: terms.to_json() })?;
    }
    let spokes = u32::try_from(spokes).unwrap_or(u32::MAX);
    desk.record(Entry::Bulk(BulkEntry::Opened { campaign: campaign.clone(), policy, asked: Box::new(asked.clone()), spokes }))?;
    desk.ask(Action::ListRun(campaign));
    Ok(Outcome::Accepted)
}

/// Which spoke of which run.
#[derive(Debug, Clone, Copy)]
pub struct Spoke<'a> {
    /// The campaign.
    pub campaign: &'a CampaignId,
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: &'a Region,
}

/// A page of a spoke's nodes was read: those that a wave takes join the run, and the next page is asked for. A spoke that does
/// not let us in is left out whole, and said so; the run goes on without it.
///
/// # Errors
/// When something is not loaded.
pub fn on_nodes(desk: &mut Desk<'_>, spoke: &Spoke<'_>, found: &Result<NodePage, SpokeFault>, ous: &[String]) -> Result<Outcome, Missing> {
    let id = spoke.campaign;
    let Some(campaign) = desk.campaign(id)?.cloned() else { return Ok(Outcome::ignored("not known")) };
    let Some(bulk) = campaign.bulk.clone() else { return Ok(Outcome::ignored("not a bulk run")) };
    let key = Key::listing(id, spoke.account, spoke.region);
    let listing = match desk.item(&key)? {
        Some(State::Listing(listing)) => listing.clone(),
        _ => crate::bulk::state::Listing::default(),
    };
    if listing.done || !matches!(campaign.phase, CampaignPhase::Closing { .. }) {
        return Ok(Outcome::Duplicate);
    }
    let page = match found {
        Ok(page) => page,
        // The campaign is due again in minutes and asks for what is not listed then.
        Err(fault) if fault.is_passing() => return Ok(Outcome::ignored("no answer yet")),
        Err(fault) => return closed(desk, spoke, fault, bulk.dry_run),
    };
    let run = run_of(desk, &bulk.asked, id)?;
    let policy = desk.effective(&campaign.policy)?;
    let mut passed_over: BTreeMap<LeftOut, u64> = BTreeMap::new();
    let mut left_out: Vec<(InstanceId, String)> = Vec::new();
    let mut meant: Vec<(TargetKey, &Host)> = Vec::new();
    for host in &page.hosts {
        let known = Known { account: spoke.account, region: spoke.region, host };
        match place(policy, &run, &known, ous, desk.now()) {
            Ok(_) => meant.push((known.target(), host)),
            Err(why @ (LeftOut::Exempt | LeftOut::Unreachable)) => left_out.push((host.instance.clone(), why.to_string())),
            Err(why) => *passed_over.entry(why).or_default() += 1,
        }
    }
    let keys: Vec<Key> = meant.iter().map(|(target, _)| Key::target(target)).chain([Key::chunk(id, spoke.account, spoke.region, listing.pages)]).collect();
    desk.need(&keys)?;
    let mut hosts: Vec<Host> = Vec::new();
    let mut rules: BTreeSet<String> = BTreeSet::new();
    for (target, host) in &meant {
        match joins(desk, id, target)? {
            Joins::Yes => {
                rules.extend(desk.target(target)?.and_then(crate::target::known_rule));
                hosts.push((*host).clone());
            }
            Joins::Already => {}
            Joins::No(why) => left_out.push((host.instance.clone(), why)),
        }
    }
    let last = page.next.is_none();
    let says = !hosts.is_empty() || !left_out.is_empty() || !passed_over.is_empty() || last;
    if says {
        let (campaign, account, region) = (id.clone(), spoke.account, spoke.region.clone());
        let rules = rules.into_iter().collect();
        let enrolled = !bulk.dry_run;
        desk.record(Entry::Bulk(BulkEntry::Listed { campaign, account, region, hosts, rules, enrolled, left_out, passed_over, fault: None, last }))?;
    }
    match &page.next {
        Some(after) => {
            desk.ask(Action::ListNodes { campaign: id.clone(), account: spoke.account, region: spoke.region.clone(), after: Some(after.clone()) });
        }
        None => desk.ask(Action::Nudge(Nudge::Campaign(id.clone()))),
    }
    Ok(Outcome::Accepted)
}

/// The run of a campaign, from its own item.
fn run_of(desk: &Desk<'_>, asked: &str, id: &CampaignId) -> Result<BulkRun, Missing> {
    match desk.item(&Key::run(asked))? {
        Some(State::Run(item)) if item.campaign == *id => {
            let RunItem { run, .. } = item.as_ref();
            Ok(run.clone())
        }
        _ => Err(Missing::Corrupt(format!("the bulk run of campaign {id} is not there"))),
    }
}

/// The spoke can't be entered: an isolated failure, reported loudly.
fn closed(desk: &mut Desk<'_>, spoke: &Spoke<'_>, fault: &SpokeFault, dry_run: bool) -> Result<Outcome, Missing> {
    desk.record(Entry::Bulk(BulkEntry::Listed {
        campaign: spoke.campaign.clone(),
        account: spoke.account,
        region: spoke.region.clone(),
        hosts: Vec::new(),
        rules: Vec::new(),
        enrolled: !dry_run,
        left_out: Vec::new(),
        passed_over: BTreeMap::new(),
        fault: Some(fault.to_string()),
        last: true,
    }))?;
    if !dry_run {
        let what = format!("{}/{}", spoke.account, spoke.region);
        desk.ask(crate::campaign::notice(NoticeKind::SpokeClosed, &what, format!("bulk run {} goes on without it: {fault}", spoke.campaign), desk.now()));
    }
    desk.ask(Action::Nudge(Nudge::Campaign(spoke.campaign.clone())));
    Ok(Outcome::Accepted)
}

enum Joins {
    Yes,
    Already,
    No(String),
}

/// Whether a target that the run's filters take may join it. Who waits in a collecting campaign moves over, with its finding;
/// who is in a batch, cut into another campaign, or in a person's hands stays there.
fn joins(desk: &mut Desk<'_>, id: &CampaignId, key: &TargetKey) -> Result<Joins, Missing> {
    let Some(target): Option<Target> = desk.target(key)?.cloned() else { return Ok(Joins::Yes) };
    // INVARIANT (one writer per target): a leased target is its batch's alone.
    if let Some(batch) = &target.lease {
        return Ok(Joins::No(format!("batch {batch} holds it")));
    }
    Ok(match &target.standing {
        Standing::Compliant | Standing::Retrying { .. } | Standing::Unreachable { .. } | Standing::Unmanaged { .. } => Joins::Yes,
        Standing::Enrolled { campaign } if campaign == id => Joins::Already,
        Standing::Enrolled { campaign } => {
            let collecting = desk.campaign(campaign)?.is_none_or(|of| matches!(of.phase, CampaignPhase::Collecting { .. } | CampaignPhase::Ended { .. }));
            if !collecting {
                return Ok(Joins::No(format!("campaign {campaign} has it in a wave")));
            }
            // It must not be cut meanwhile.
            desk.insist(Key::campaign(campaign));
            Joins::Yes
        }
        Standing::PendingReboot { cell } => match desk.campaign(&cell.wave.campaign)?.map(|of| of.phase.clone()) {
            None | Some(CampaignPhase::Ended { .. }) => Joins::Yes,
            Some(_) => Joins::No(format!("it awaits its reboot in wave {}", cell.wave)),
        },
        Standing::PatchedUnconfirmed { lag: Some(_), .. } => Joins::Yes,
        Standing::PatchedUnconfirmed { cell, .. } => Joins::No(format!("wave {} has patched it, and AWS Config's word is awaited", cell.wave)),
        Standing::Exempt { until, .. } if *until <= desk.now() => Joins::Yes,
        Standing::Exempt { until, .. } => Joins::No(format!("exempt until {until}")),
        Standing::Quarantined { owner, .. } => Joins::No(format!("quarantined: {owner} must look first")),
        Standing::Gone => Joins::No("EC2 says that it is terminated".to_owned()),
        Standing::Running { .. } | Standing::Verifying { .. } => Joins::No("a batch works on it".to_owned()),
    })
}
