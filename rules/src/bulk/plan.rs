//! What a bulk run would do to a fleet: exact waves, what each host is left out for, sums that add up, and a forecast. Nothing
//! is touched, and the same run, policy, fleet and time give the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, Digest, Region};
use tidegate_events::run::{BulkRun, LeftOut, Operation};

use crate::bulk::cut::{self, CellScope, Known, cut, wave_limit};
use crate::bulk::terms::policy_for;
use crate::cell::BATCH_MEMBERS_MAX;
use crate::deadline::{self, About, Waiting};
use crate::forecast::{self, Finish, INSTALL_ROUND_SECS, Load, SCAN_ROUND_SECS, WaveLoad};
use crate::plan::Counts;
use crate::policy::{Amount, Policy};
use crate::window::WindowError;

/// The fleet that a plan is made for.
#[derive(Debug, Clone, Default)]
pub struct Fleet<'h> {
    /// Every known host, in any order.
    pub hosts: Vec<Known<'h>>,
    /// Accounts with the organizational units above each.
    pub accounts: BTreeMap<AccountId, Vec<String>>,
    /// Accounts of these that are suspended or closed: nothing in them can be reached, and nothing in them is counted.
    pub closed: BTreeSet<AccountId>,
    /// What percentages are percentages of, where `hosts` is only a part of what there is. Without it, `hosts` is counted.
    pub counts: Option<Counts>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What an approval signs.
    pub digest: Digest,
    /// The digest of the run's terms: policy and run together.
    pub policy_digest: Digest,
    /// The waves of the run, empty ones too.
    pub waves: Vec<PlannedWave>,
    /// All known hosts.
    pub inventory: u64,
    /// Hosts in waves.
    pub selected: u64,
    /// Hosts in none.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Per host of the fleet, in its order: the index of its wave, or why it has none.
    pub placed: Vec<Result<u16, LeftOut>>,
    /// The forecast.
    pub forecast: Forecast,
    /// Belts that the run is above: `run` refuses it.
    pub belts: Vec<String>,
    /// What else somebody should know.
    pub warnings: Vec<String>,
}

/// A wave of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWave {
    /// Its name.
    pub name: String,
    /// Its operation.
    pub operation: Operation,
    /// Its hosts.
    pub targets: u64,
    /// Commands that they need: 50 hosts of one account, Region and platform at most.
    pub batches: u64,
    /// Accounts.
    pub accounts: u64,
    /// Regions.
    pub regions: u64,
    /// Live approvals that it needs when it starts.
    pub needs_approvals: u32,
    /// How long it is watched afterwards, in seconds.
    pub pause_after_secs: u32,
    /// At most so many at once, as the stricter of run and policy says it.
    pub max_concurrency: Amount,
    /// The same as a count.
    pub at_once: u64,
    /// Failures that it survives, as the stricter of run and policy says it.
    pub max_errors: Amount,
    /// The same as a count.
    pub failures_max: u64,
}

/// What it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// When it ends.
    pub finish: Finish,
    /// Hosts that will miss their deadline, counted from now.
    pub sla_misses: u64,
    /// Calls to AWS.
    pub api_calls: u64,
    /// Millionths of a dollar.
    pub cost_micros: u64,
}

/// What the cells of a wave add up to.
#[derive(Debug, Default)]
struct Sums {
    batches: u64,
    sends: u64,
    accounts: BTreeSet<AccountId>,
    regions: BTreeSet<Region>,
    /// Members and limit of each scope that several cells share.
    scopes: BTreeMap<(u8, String), (u64, u64)>,
    cells: u64,
}

impl Sums {
    fn rounds(&self) -> u64 {
        self.scopes.values().map(|(members, limit)| members.div_ceil((*limit).max(1))).max().unwrap_or(0)
    }
}

/// Plans a run over a fleet.
///
/// # Errors
/// When a window of the policy is wrong, which parsing has excluded.
pub fn plan(policy: &Policy, run: &BulkRun, fleet: &Fleet<'_>, now: Timestamp) -> Result<Plan, WindowError> {
    let terms = policy_for(policy, run);
    let policy_digest = terms.digest();
    let none: Vec<String> = Vec::new();
    let place = |known: &Known<'_>| {
        let ous = fleet.accounts.get(&known.account).unwrap_or(&none);
        match cut::place(&terms, run, known, ous, now) {
            Ok(_) if fleet.closed.contains(&known.account) => Err(LeftOut::Unreachable),
            placed => placed,
        }
    };
    let placed: Vec<Result<u16, LeftOut>> = fleet.hosts.iter().map(place).collect();
    let mut left_out: BTreeMap<LeftOut, u64> = BTreeMap::new();
    for why in placed.iter().filter_map(|placed| placed.err()) {
        *left_out.entry(why).or_default() += 1;
    }
    let mut chosen: Vec<(u16, Known<'_>)> = placed.iter().zip(&fleet.hosts).filter_map(|(placed, known)| placed.ok().map(|wave| (wave, *known))).collect();
    let open = fleet.hosts.iter().filter(|known| !fleet.closed.contains(&known.account)).copied();
    let counts = fleet.counts.clone().unwrap_or_else(|| cut::counts(&terms, open, &fleet.accounts));
    let mut sums: Vec<Sums> = run.waves.iter().map(|_| Sums::default()).collect();
    let (cuts, digest) = cut(&terms, &policy_digest, run, &mut chosen, &counts, |cell| {
        let of_run = cell.members.first().map_or(0, |(wave, _)| *wave);
        if let Some(sums) = sums.get_mut(usize::from(of_run)) {
            add(sums, &cell);
        }
    });
    let targets = |wave: usize| cuts.iter().find(|(of_run, _)| usize::from(*of_run) == wave).map_or(0, |(_, cut)| cut.targets);
    let waves: Vec<PlannedWave> = run
        .waves
        .iter()
        .zip(&terms.waves)
        .zip(&sums)
        .enumerate()
        .map(|(at, ((asked, wave), sums))| {
            let targets = targets(at);
            let errors = asked.max_errors.map_or(policy.failure_budget, |errors| crate::bulk::terms::amount(errors).min(policy.failure_budget));
            let concurrency = wave.at_once.map_or(policy.blast_radius.wave, |own| own.min(policy.blast_radius.wave));
            PlannedWave {
                name: wave.name.clone(),
                operation: asked.operation,
                targets,
                batches: sums.batches,
                accounts: count(sums.accounts.len()),
                regions: count(sums.regions.len()),
                needs_approvals: terms.approvals_needed(),
                pause_after_secs: wave.bake_secs,
                max_concurrency: told(concurrency, targets),
                at_once: wave_limit(&terms, &wave.name, targets),
                max_errors: told(errors, targets),
                failures_max: errors.of(targets),
            }
        })
        .collect();
    let inventory = count(fleet.hosts.len());
    let selected = count(chosen.len());
    let loads: Vec<WaveLoad> = waves
        .iter()
        .zip(&sums)
        .map(|(wave, sums)| WaveLoad { rounds: sums.rounds(), round_secs: round_secs(policy, wave.operation), bake_secs: i64::from(wave.pause_after_secs) })
        .collect();
    let finish = forecast::finish(policy, &loads, now)?;
    let load = load(policy, run, fleet, &waves, &sums, counts.total);
    let forecast = Forecast {
        finish,
        sla_misses: sla_misses(policy, fleet, &chosen, &waves, &sums, now)?,
        api_calls: forecast::api_calls(&load),
        cost_micros: forecast::cost_micros(&load),
    };
    let belts = forecast::belts(policy, selected, counts.total);
    let warnings = warnings(run, &waves, &finish);
    Ok(Plan { digest, policy_digest, waves, inventory, selected, left_out, placed, forecast, belts, warnings })
}

/// Hosts that would not be patched by their deadline if each was found now: a fleet does not say since when a host lacks patches.
fn sla_misses(
    policy: &Policy,
    fleet: &Fleet<'_>,
    chosen: &[(u16, Known<'_>)],
    waves: &[PlannedWave],
    sums: &[Sums],
    now: Timestamp,
) -> Result<u64, WindowError> {
    if policy.slas.is_empty() {
        return Ok(0);
    }
    let mut waiting: Vec<Waiting> = waves
        .iter()
        .zip(sums)
        .map(|(wave, sums)| Waiting {
            members: Vec::new(),
            at_once: wave.targets.div_ceil(sums.rounds().max(1)),
            round_secs: round_secs(policy, wave.operation),
            bake_secs: i64::from(wave.pause_after_secs),
        })
        .collect();
    let none: Vec<String> = Vec::new();
    for (wave, known) in chosen {
        let (target, at) = (known.target(), usize::from(*wave));
        let ous = fleet.accounts.get(&known.account).unwrap_or(&none);
        // A scan patches nobody.
        let patches = waves.get(at).is_some_and(|wave| wave.operation == Operation::Install);
        let due = deadline::of_finding(&policy.slas, &About { target: &target, host: Some(known.host), ous, since: now }).filter(|_| patches);
        if let Some(waiting) = waiting.get_mut(at) {
            waiting.members.push((target, due.map(|due| due.at)));
        }
    }
    Ok(count(deadline::forecast(policy, &waiting, now)?.len()))
}

fn round_secs(policy: &Policy, operation: Operation) -> i64 {
    match operation {
        Operation::Install => forecast::backup_secs(policy).saturating_add(INSTALL_ROUND_SECS),
        Operation::Scan => SCAN_ROUND_SECS,
    }
}

/// An amount as one of its two forms: where a count and a share both bound it, the count that they come to.
fn told(amount: Amount, targets: u64) -> Amount {
    match amount {
        Amount::Least { .. } => Amount::Count(amount.of(targets)),
        other => other,
    }
}

fn add(sums: &mut Sums, cell: &cut::RunCell<'_, '_>) {
    let members = count(cell.members.len());
    let most = count(BATCH_MEMBERS_MAX);
    let group = |scope: &CellScope| matches!(scope, CellScope::Other(tidegate_events::hold::Scope::Group { .. }));
    let smallest = cell.limits.iter().filter(|(scope, ..)| !group(scope)).map(|(_, limit, _)| *limit).min().unwrap_or(most).clamp(1, most);
    sums.batches += members.div_ceil(most);
    sums.sends += members.div_ceil(smallest);
    sums.cells += 1;
    sums.accounts.insert(cell.account);
    if !sums.regions.contains(cell.region) {
        sums.regions.insert(cell.region.clone());
    }
    for (scope, limit, _) in cell.limits {
        let key = match scope {
            CellScope::Wave => (0, String::new()),
            CellScope::Other(tidegate_events::hold::Scope::Tag(_) | tidegate_events::hold::Scope::Group { .. }) => continue,
            CellScope::Other(scope) => (1, scope.to_string()),
        };
        let (seen, bound) = sums.scopes.entry(key).or_insert((0, *limit));
        *seen += members;
        *bound = (*bound).min(*limit);
    }
}

fn load(policy: &Policy, run: &BulkRun, fleet: &Fleet<'_>, waves: &[PlannedWave], sums: &[Sums], inventory: u64) -> Load {
    let mut nodes: BTreeMap<(AccountId, &Region), u64> = BTreeMap::new();
    for wave in &run.waves {
        for account in wave.accounts.iter().filter(|account| fleet.accounts.contains_key(account)) {
            for region in &wave.regions {
                nodes.entry((*account, region)).or_default();
            }
        }
    }
    for known in &fleet.hosts {
        if let Some(nodes) = nodes.get_mut(&(known.account, known.region)) {
            *nodes += 1;
        }
    }
    let sends = |operation| waves.iter().zip(sums).filter(|(wave, _)| wave.operation == operation).map(|(_, sums)| sums.sends).sum();
    Load {
        accounts: count(fleet.accounts.len()),
        inventory,
        spokes: count(nodes.len()),
        entered: sums.iter().map(|sums| count(sums.accounts.len())).sum(),
        pages: nodes.values().map(|nodes| nodes.div_ceil(count(BATCH_MEMBERS_MAX)).max(1)).sum(),
        cells: sums.iter().map(|sums| sums.cells).sum(),
        targets: waves.iter().map(|wave| wave.targets).sum(),
        install_batches: sends(Operation::Install),
        scan_batches: sends(Operation::Scan),
        backups: policy.backup.is_some(),
        dry_run: run.dry_run,
    }
}

fn warnings(run: &BulkRun, waves: &[PlannedWave], finish: &Finish) -> Vec<String> {
    let mut warnings = Vec::new();
    for wave in waves.iter().filter(|wave| wave.targets == 0) {
        warnings.push(format!("wave `{}` takes nobody: no host matches it, or earlier waves have taken them", wave.name));
    }
    for (asked, wave) in run.waves.iter().zip(waves) {
        if asked.max_concurrency.is_some_and(|own| crate::bulk::terms::amount(own).of(wave.targets) > wave.at_once) {
            warnings.push(format!("wave `{}`: the policy lets {} at once, fewer than `maxConcurrency` asks for", wave.name, wave.at_once));
        }
        if asked.max_errors.is_some_and(|own| crate::bulk::terms::amount(own).of(wave.targets) > wave.failures_max) {
            warnings.push(format!("wave `{}`: the policy bears {} failures, fewer than `maxErrors` asks for", wave.name, wave.failures_max));
        }
        if asked.platforms.contains(&Platform::MacOS) {
            warnings.push(format!("wave `{}` takes macOS: the document must support it in its Region", wave.name));
        }
    }
    match finish {
        Finish { after_secs: None, .. } => warnings.push("no end is in sight: no window of the policy lets it finish".to_owned()),
        Finish { fits_window: false, .. } => warnings.push("it does not fit into one maintenance window: the rest goes on in the next".to_owned()),
        Finish { .. } => {}
    }
    warnings
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
