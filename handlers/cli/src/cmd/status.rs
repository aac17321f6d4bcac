//! `tidegate status`: what is collected, waiting, running and held, from the store alone.

use std::path::Path;

use serde::Serialize;
use tidegate_embedded::{EmbeddedStore, SqliteStore};
use tidegate_engine::store::Store;
use tidegate_events::event::Subject;
use tidegate_rules::apply::Fold;
use tidegate_rules::impact::Impact;
use tidegate_rules::policy::Policy;
use tidegate_rules::{Key, State};

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::line;
use crate::screen::{self, BAD, DIM, GOOD, HEAD, WARN};
use crate::settle;
use crate::summary::{self, CampaignSummary, Summary, Targets};

mod controls;

pub use controls::{MirrorRefused, Quarantined, Stop};

/// What `status --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Status {
    /// `tidegate.status/1`
    pub schema: String,
    /// Lanes, with why they are halted.
    pub lanes: Vec<LaneStatus>,
    /// Campaigns.
    pub campaigns: Vec<CampaignSummary>,
    /// What awaits a yes: `tidegate approve SUBJECT`.
    pub awaiting_approval: Vec<Awaiting>,
    /// Targets that were heard of.
    pub targets: Targets,
    /// Verdicts.
    pub verdicts: std::collections::BTreeMap<String, u64>,
    /// The stop cord, while it is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Targets that are out of attempts, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Vec<Quarantined>>,
    /// Schedules that were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleStatus>,
    /// Deadlines of targets that are not patched, where the policy sets any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadlines: Option<DeadlineStatus>,
    /// Where AWS Config does not let us tell it of exemptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror_refused: Vec<MirrorRefused>,
}

/// A schedule.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ScheduleStatus {
    /// Its name.
    pub name: String,
    /// When it fires next.
    pub next: Option<String>,
    /// The newest occurrence that fired.
    pub fired: Option<String>,
}

/// Deadlines of targets that are not patched.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct DeadlineStatus {
    /// Still to be kept.
    pub open: u64,
    /// Broken.
    pub broken: u64,
    /// The earliest that can still be kept.
    pub next: Option<String>,
}

/// A lane.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct LaneStatus {
    /// Its id.
    pub id: String,
    /// Why it is halted, where it is.
    pub halted: Option<String>,
    /// Who paused it and why, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// The campaign that collects.
    pub collecting: Option<String>,
    /// The campaign that runs.
    pub running: Option<String>,
}

/// Something that awaits a yes.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Awaiting {
    /// A campaign or a wave.
    pub subject: String,
    /// The digest to say yes to.
    pub digest: String,
    /// Given.
    pub have: u32,
    /// Needed.
    pub need: u32,
    /// What a yes would mean. Advisory: no digest covers it, and absent where it could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
}

/// Opens a store that must be there.
///
/// # Errors
/// When it can't be opened.
pub fn open_store(path: &Path) -> Result<EmbeddedStore, Failure> {
    Ok(EmbeddedStore::Sqlite(SqliteStore::open_existing(path)?))
}

/// Everything that a store holds, typed.
///
/// # Errors
/// When it can't be read.
pub async fn load(store: &impl Store, prefixes: &[&str]) -> Result<Fold, Failure> {
    let mut fold = Fold::default();
    for prefix in prefixes {
        let mut after: Option<Key> = None;
        loop {
            let page = store.list(prefix, after.as_ref(), 1000).await.map_err(|error| Failure::machine("the store can't be read", &error))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, stored) in page {
                let state: State =
                    serde_json::from_slice(&stored.body).map_err(|error| Failure::machine(format!("`{key}` in the store is damaged"), &error))?;
                fold.items.insert(key, state);
            }
        }
    }
    Ok(fold)
}

/// What a status is made of.
pub const PREFIXES: [&str; 6] = [Key::LANES, Key::CAMPAIGNS, Key::TARGETS, Key::OPEN, Key::ORGANIZATION, Key::MIRRORS];

/// Runs it.
///
/// # Errors
/// When the store can't be read.
pub async fn run(args: &StatusArgs) -> Result<u8, Failure> {
    let store = open_store(&args.store)?;
    let (fold, mut status) = read(&store).await?;
    status.quarantine = args.quarantine.then(|| controls::quarantine_of(&fold));
    if args.json {
        screen::print_json(&status)?;
    } else {
        screen::print(&words(&status))?;
    }
    let halted = status.lanes.iter().any(|lane| lane.halted.is_some());
    let quarantined = status.targets.by_state.get("quarantined").is_some_and(|count| *count > 0);
    Ok(u8::from(halted || quarantined || status.stop.is_some() || !status.awaiting_approval.is_empty()))
}

/// Everything that the status of a store is made of, and the status.
///
/// # Errors
/// When the store can't be read.
pub async fn read(store: &impl Store) -> Result<(Fold, Status), Failure> {
    let fold = load(store, &PREFIXES).await?;
    let mut status = of(&fold);
    for awaiting in &mut status.awaiting_approval {
        awaiting.impact = impact_of(store, &fold, &awaiting.subject).await;
    }
    Ok((fold, status))
}

/// What a yes to this would mean; `None` where that can't be said, since nothing waits for it.
async fn impact_of(store: &impl Store, fold: &Fold, subject: &str) -> Option<Impact> {
    let subject = Subject::parse(subject).ok()?;
    let State::Campaign(campaign) = fold.items.get(&Key::campaign(subject.campaign()))? else { return None };
    let pinned = store.get(&[Key::policy(&campaign.policy)]).await.ok()?.pop()??;
    let State::Policy { json } = serde_json::from_slice(&pinned.body).ok()? else { return None };
    let policy: Policy = serde_json::from_str(&json).ok()?;
    tidegate_engine::impact::of_campaign(store, campaign, &subject, policy.reboot).await.ok()
}

/// The status of what was loaded.
pub fn of(fold: &Fold) -> Status {
    let lanes = fold.items.values().filter_map(|state| match state {
        State::Lane(lane) => Some(LaneStatus {
            id: lane.id.to_string(),
            halted: lane.halted.as_ref().map(|halt| halt.why.clone()),
            paused: lane.paused.as_ref().map(|pause| format!("{} paused it: {}", pause.by, pause.why)),
            collecting: lane.collecting.as_ref().map(ToString::to_string),
            running: lane.running.as_ref().map(ToString::to_string),
        }),
        _ => None,
    });
    let awaiting =
        summary::campaigns_of(fold).filter(|campaign| !matches!(campaign.phase, tidegate_rules::state::CampaignPhase::Ended { .. })).flat_map(|campaign| {
            settle::unanswered(campaign).map(move |asked| Awaiting {
                have: u32::try_from(settle::approvers(campaign, asked).len()).unwrap_or(u32::MAX),
                need: asked.need,
                subject: asked.subject.to_string(),
                digest: asked.digest.to_string(),
                impact: None,
            })
        });
    let (targets, verdicts) = summary::targets(fold, &[]);
    Status {
        schema: "tidegate.status/1".into(),
        lanes: lanes.collect(),
        campaigns: summary::campaigns(fold),
        awaiting_approval: awaiting.collect(),
        targets,
        verdicts,
        schedules: schedules(fold),
        deadlines: deadlines(fold),
        stop: controls::stop_of(fold),
        mirror_refused: controls::mirror_refused_of(fold),
        quarantine: None,
    }
}

fn schedules(fold: &Fold) -> Vec<ScheduleStatus> {
    let Some(State::Organization(organization)) = fold.items.get(&Key::organization()) else { return Vec::new() };
    let one = |(name, known): (&String, &tidegate_rules::state::Scheduled)| ScheduleStatus {
        name: name.clone(),
        next: known.next.map(|at| at.to_string()),
        fired: known.fired.map(|at| at.to_string()),
    };
    organization.schedules.iter().map(one).collect()
}

fn deadlines(fold: &Fold) -> Option<DeadlineStatus> {
    let owing = fold.items.values().filter_map(|state| match state {
        State::Target(target) if target.owes_a_patch() => target.deadline.as_ref().map(|deadline| (deadline.at, target.breached.is_some())),
        _ => None,
    });
    let (broken, open): (Vec<_>, Vec<_>) = owing.partition(|(_, broken)| *broken);
    let next = open.iter().map(|(at, _)| *at).min().map(|at| at.to_string());
    (!open.is_empty() || !broken.is_empty()).then_some(DeadlineStatus { open: open.len() as u64, broken: broken.len() as u64, next })
}

fn words(status: &Status) -> String {
    let mut text = String::new();
    if let Some(stop) = &status.stop {
        controls::say_stop(&mut text, stop);
    }
    for lane in &status.lanes {
        match &lane.halted {
            Some(why) => line!(text, "lane {} is {BAD}halted{BAD:#}: {why}\n  look, then: tidegate resume {} --comment \"...\"", lane.id, lane.id),
            None => line!(text, "lane {}", lane.id),
        }
        if let Some(paused) = &lane.paused {
            line!(text, "  {WARN}paused{WARN:#}: {paused}\n  tidegate resume {} --comment \"...\"", lane.id);
        }
        if let Some(collecting) = &lane.collecting {
            line!(text, "  collects into {collecting}");
        }
    }
    campaigns(&mut text, &status.campaigns);
    for awaiting in &status.awaiting_approval {
        let digest: String = awaiting.digest.chars().take(12).collect();
        line!(
            text,
            "{WARN}{} awaits approval{WARN:#} ({} of {}): tidegate approve {} --digest {digest}",
            awaiting.subject,
            awaiting.have,
            awaiting.need,
            awaiting.subject
        );
        for sentence in awaiting.impact.iter().flat_map(|impact| &impact.sentences) {
            line!(text, "  {DIM}{sentence}{DIM:#}");
        }
    }
    states(&mut text, &status.targets, &status.verdicts);
    for schedule in &status.schedules {
        let next = schedule.next.as_deref().unwrap_or("never again");
        let fired = schedule.fired.as_ref().map(|at| format!(", last for {at}")).unwrap_or_default();
        line!(text, "{HEAD}schedule{HEAD:#}  {} fires next: {next}{fired}", schedule.name);
    }
    if let Some(deadlines) = &status.deadlines {
        let next = deadlines.next.as_ref().map(|at| format!(", the next at {at}")).unwrap_or_default();
        let style = if deadlines.broken > 0 { BAD } else { GOOD };
        line!(text, "{HEAD}deadlines{HEAD:#} {} to keep{next}; {style}{} broken{style:#}", deadlines.open, deadlines.broken);
    }
    for refused in &status.mirror_refused {
        line!(text, "{WARN}exemptions{WARN:#} AWS Config is not told of {} in {}: {}", refused.waiting, refused.at, refused.why);
    }
    for target in status.quarantine.iter().flatten() {
        line!(text, "{BAD}quarantined{BAD:#}  {}  {} must look: {}", target.target, target.owner, target.why);
    }
    text
}

/// A summary in words.
pub fn text(summary: &Summary) -> String {
    let mut text = String::new();
    let events = &summary.events;
    line!(
        text,
        "{HEAD}events{HEAD:#}    {} read: {} accepted, {} duplicate, {} stale, {} ignored, {} rejected",
        events.read,
        events.accepted,
        events.duplicate,
        events.stale,
        events.ignored,
        events.rejected
    );
    // What the simulated organization sends by itself is ignored by the hundred; --json lists it.
    let refused: Vec<_> = summary.refused.iter().filter(|refused| refused.source != crate::drive::DELIVERED).collect();
    for refused in refused.iter().take(20) {
        line!(text, "          {DIM}{}[{}] {}:{DIM:#} {}", refused.source, refused.index, refused.outcome, refused.reason);
    }
    if refused.len() > 20 {
        line!(text, "          {DIM}and {} more: --json lists them all{DIM:#}", refused.len() - 20);
    }
    campaigns(&mut text, &summary.campaigns);
    states(&mut text, &summary.targets, &summary.verdicts);
    let commands = &summary.commands;
    line!(text, "{HEAD}commands{HEAD:#}  {} install, {} scan, {} reboot; {} doubled", commands.install, commands.scan, commands.reboot, commands.doubled);
    let calls: u64 = summary.api_calls.values().sum();
    line!(text, "{HEAD}calls{HEAD:#}     {calls} AWS API calls in {} of virtual time", span(summary.virtual_secs));
    match summary.invariants.violations.as_slice() {
        [] => line!(text, "{HEAD}checks{HEAD:#}    {GOOD}{} checks of the invariants, none violated{GOOD:#}", summary.invariants.checked),
        violations => {
            for violation in violations {
                line!(text, "{BAD}violated{BAD:#}  {violation}");
            }
        }
    }
    text
}

fn campaigns(text: &mut String, campaigns: &[CampaignSummary]) {
    for campaign in campaigns {
        line!(text, "{HEAD}campaign{HEAD:#}  {} is {}", campaign.id, campaign.state);
        for wave in &campaign.waves {
            let style = match wave.state.as_str() {
                "proven" => GOOD,
                "halted" => BAD,
                _ => WARN,
            };
            line!(text, "          wave {:<10} {:>6} targets  {style}{}{style:#}", wave.name, wave.targets, wave.state);
            for hold in &wave.holds {
                line!(text, "            {DIM}held:{DIM:#} {}", hold.detail);
            }
        }
    }
}

fn states(text: &mut String, targets: &Targets, verdicts: &std::collections::BTreeMap<String, u64>) {
    let list = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
        let shown: Vec<String> = counts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    let by_state = |name: &&str| targets.by_state.get(*name).copied().unwrap_or(0);
    let by_verdict = |name: &str| verdicts.get(name).copied().unwrap_or(0);
    let states = list(&mut tidegate_events::entry::Standing::NAMES.iter().map(|name| (*name, by_state(name))));
    line!(text, "{HEAD}targets{HEAD:#}   {}: {states}", targets.total);
    let verdicts = list(&mut tidegate_events::fact::Verdict::ALL.iter().map(|verdict| (verdict.name(), by_verdict(verdict.name()))));
    line!(text, "{HEAD}verdicts{HEAD:#}  {verdicts}");
}

/// Seconds for people.
pub fn span(secs: i64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
