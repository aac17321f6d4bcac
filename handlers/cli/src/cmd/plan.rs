//! `tidegate plan`: what a bulk run would do to a fleet. Nothing is touched, and the same files give the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(feature = "aws")]
use tidegate_aws::cloud::CloudSettings;
use tidegate_events::host::{Host, Ping};
use tidegate_events::id::{AccountId, Region};
use tidegate_events::run::{BulkRun, Operation};
use tidegate_events::wire::run_input;
use tidegate_rules::bulk::{self, Known, Plan};
use tidegate_rules::plan::Counts;
use tidegate_rules::policy::Policy;
use tidegate_world::{AccountState, Fleet, FleetInstance};

use crate::args::PlanArgs;
use crate::cmd::{policy, replay, simulate};
use crate::failure::Failure;
use crate::line;
use crate::screen::{self, DIM, HEAD, WARN};

#[cfg(any(feature = "aws", test))]
mod spokes;

/// What `plan --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanReport {
    /// `tidegate.plan/1`
    pub schema: String,
    /// What an approval signs.
    pub digest: String,
    /// Whether the run would send nothing.
    pub dry_run: bool,
    /// What the run does: `Install`, `Scan`, or `Mixed` where its waves differ.
    pub operation: String,
    /// When it would start.
    pub at: String,
    /// The waves.
    pub waves: Vec<PlanWave>,
    /// All hosts of the fleet: `selected` and `left_out`.
    pub inventory: u64,
    /// Hosts in waves.
    pub selected: u64,
    /// Hosts in none.
    pub left_out: u64,
    /// The same by reason.
    pub left_out_by_reason: BTreeMap<String, u64>,
    /// What it will take.
    pub forecast: PlanForecast,
    /// What somebody should know before it runs; belts that it is above among them.
    pub warnings: Vec<String>,
    /// Every host (`--list` alone).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<PlanHost>>,
}

/// A wave of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanWave {
    /// Its name.
    pub name: String,
    /// `Install` or `Scan`.
    pub operation: String,
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
    /// At most so many at once: the stricter of run and policy.
    pub max_concurrency: String,
    /// Failures that it survives: the stricter of run and policy.
    pub max_errors: String,
    /// `max_concurrency` as a count.
    pub at_once: u64,
    /// `max_errors` as a count.
    pub failures_max: u64,
}

/// What a run will take.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanForecast {
    /// Whether it ends in the first window that it can use.
    pub fits_window: bool,
    /// When it ends, in seconds from its start; absent where no end is in sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_after_secs: Option<u64>,
    /// Hosts that miss their deadline.
    pub sla_misses: u64,
    /// Calls to AWS.
    pub api_calls: u64,
    /// What Tidegate itself costs at list prices, in US dollars.
    pub cost_usd: f64,
}

/// A host of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanHost {
    /// `account/region/instance-id`
    pub target: String,
    /// Its wave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The name of the document.
const SCHEMA: &str = "tidegate.plan/1";

/// A run that was read.
pub struct Asked {
    /// As it was written.
    pub text: String,
    /// The run.
    pub run: BulkRun,
    /// What its writer should know.
    pub warnings: Vec<String>,
}

/// Reads a run's input.
///
/// # Errors
/// When it can't be read, or everything that is wrong with it: `file: path.to.field: message`, one a line.
pub fn read_input(path: &Path) -> Result<Asked, Failure> {
    let size = std::fs::metadata(path).map_err(|error| Failure::file(path, "read", &error))?;
    if size.is_dir() {
        return Err(Failure::Usage(format!("`{}` is a folder: expected a run's input in JSON", path.display())));
    }
    let most = run_input::RUN_INPUT_BYTES_MAX as u64;
    if size.len() > most {
        return Err(Failure::Placed(format!("{}: {} bytes: a run's input has at most {most}", path.display(), size.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = run_input::parse(&bytes).map_err(|problems| {
        let lines: Vec<String> = problems.lines().map(|line| format!("{}: {line}", path.display())).collect();
        Failure::Placed(lines.join("\n"))
    })?;
    Ok(Asked { text, run: parsed.run, warnings: parsed.warnings.iter().map(ToString::to_string).collect() })
}

/// The hosts that a plan is made for, as a look-up finds them.
pub struct Estate {
    hosts: Vec<(AccountId, Region, Host)>,
    accounts: BTreeMap<AccountId, Vec<String>>,
    closed: std::collections::BTreeSet<AccountId>,
    /// What there is, where `hosts` is a part of it.
    counts: Option<Counts>,
    /// What could not be read.
    gaps: Vec<String>,
}

impl From<Fleet> for Estate {
    fn from(fleet: Fleet) -> Self {
        let closed = fleet.accounts.iter().filter(|account| AccountState::from(account.state) != AccountState::Active).map(|account| account.id).collect();
        let host = |found: FleetInstance| {
            let ping = if found.online { Ping::Online } else { Ping::ConnectionLost };
            (found.account, found.region, Host { instance: found.instance, platform: found.platform, ping, tags: found.tags })
        };
        Self {
            closed,
            counts: None,
            gaps: Vec::new(),
            accounts: fleet.accounts.into_iter().map(|account| (account.id, account.ous)).collect(),
            hosts: fleet.instances.into_iter().map(host).collect(),
        }
    }
}

impl Estate {
    fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.hosts.iter().map(|(account, region, host)| Known { account: *account, region, host })
    }

    /// Plans a run over it.
    ///
    /// # Errors
    /// When the policy's windows are wrong.
    pub fn plan(&self, policy: &Policy, run: &BulkRun, at: Timestamp) -> Result<Plan, Failure> {
        let fleet =
            bulk::plan::Fleet { hosts: self.known().collect(), accounts: self.accounts.clone(), closed: self.closed.clone(), counts: self.counts.clone() };
        bulk::plan(policy, run, &fleet, at).map_err(|error| Failure::machine("the policy's windows", &error))
    }

    fn list(&self, plan: &Plan) -> Vec<PlanHost> {
        let hosts = self.known().zip(&plan.placed).map(|(known, placed)| PlanHost {
            target: known.target().to_string(),
            wave: placed.ok().and_then(|wave| plan.waves.get(usize::from(wave))).map(|wave| wave.name.clone()),
            reason: placed.err().map(|why| why.to_string()),
        });
        hosts.collect()
    }
}

/// Runs it.
///
/// # Errors
/// When input, fleet or policy can't be used.
pub async fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let policy = policy::read(args.policy.as_deref())?;
    let mut asked = read_input(&args.input)?;
    let (mut estate, start) = match &args.fleet {
        Some(fleet) => (Estate::from(replay::read_fleet(fleet)?), simulate::start()?),
        None => (of_aws(&policy, &asked.run).await?, Timestamp::now()),
    };
    asked.warnings.splice(0..0, std::mem::take(&mut estate.gaps));
    let at = args.at.unwrap_or(start);
    let plan = estate.plan(&policy, &asked.run, at)?;
    let report = report(&plan, &asked, at, args.list.then(|| estate.list(&plan)));
    if args.json {
        screen::print_json(&report)?;
    } else {
        screen::print(&words(&report))?;
    }
    Ok(0)
}

#[cfg(feature = "aws")]
async fn of_aws(policy: &Policy, run: &BulkRun) -> Result<Estate, Failure> {
    let (cloud, _) = super::on_aws::cloud(|reader, settings| CloudSettings {
        aggregator: Some(reader.needed("TIDEGATE_AGGREGATOR", "the name of the hub's Config aggregator: shares are of what it counts")),
        tags_wanted: true,
        ..settings
    })
    .await?;
    spokes::read(&cloud, policy, run).await
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "asks nobody without AWS")]
async fn of_aws(_: &Policy, _: &BulkRun) -> Result<Estate, Failure> {
    Err(Failure::without_aws("plan --aws"))
}

/// A plan as it is printed.
pub(crate) fn report(plan: &Plan, asked: &Asked, at: Timestamp, hosts: Option<Vec<PlanHost>>) -> PlanReport {
    let waves: Vec<PlanWave> = plan
        .waves
        .iter()
        .map(|wave| PlanWave {
            name: wave.name.clone(),
            operation: wave.operation.to_string(),
            targets: wave.targets,
            batches: wave.batches,
            accounts: wave.accounts,
            regions: wave.regions,
            needs_approvals: wave.needs_approvals,
            pause_after_secs: wave.pause_after_secs,
            max_concurrency: wave.max_concurrency.to_string(),
            max_errors: wave.max_errors.to_string(),
            at_once: wave.at_once,
            failures_max: wave.failures_max,
        })
        .collect();
    let first = plan.waves.first().map_or(Operation::Install, |wave| wave.operation);
    let mixed = plan.waves.iter().any(|wave| wave.operation != first);
    // A belt refuses a run, not a plan: here it is the first thing to know.
    let belts = plan.belts.iter().map(|belt| format!("`tidegate run` refuses this: {belt}"));
    PlanReport {
        schema: SCHEMA.to_owned(),
        digest: plan.digest.to_string(),
        dry_run: asked.run.dry_run,
        operation: if mixed { "Mixed".to_owned() } else { first.to_string() },
        at: at.to_string(),
        waves,
        inventory: plan.inventory,
        selected: plan.selected,
        left_out: plan.left_out.values().sum(),
        left_out_by_reason: plan.left_out.iter().map(|(why, hosts)| (why.to_string(), *hosts)).collect(),
        forecast: PlanForecast {
            fits_window: plan.forecast.finish.fits_window,
            finish_after_secs: plan.forecast.finish.after_secs,
            sla_misses: plan.forecast.sla_misses,
            api_calls: plan.forecast.api_calls,
            cost_usd: dollars(plan.forecast.cost_micros),
        },
        warnings: belts.chain(asked.warnings.iter().cloned()).chain(plan.warnings.iter().cloned()).collect(),
        hosts,
    }
}

/// Dollars, to the hundredth of a cent.
fn dollars(micros: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 for any sum that somebody would pay")]
    let tenths = (micros.div_ceil(100)) as f64;
    tenths / 10_000.0
}

/// The plan as a table.
pub(crate) fn words(report: &PlanReport) -> String {
    let mut text = String::new();
    let dry = if report.dry_run { ", dry run: nothing would be sent" } else { "" };
    line!(text, "{HEAD}plan{HEAD:#}      {} of {} hosts, {}{dry}", report.selected, report.inventory, report.operation);
    line!(text, "          digest {}", report.digest);
    line!(text);
    let widest = report.waves.iter().map(|wave| wave.name.chars().count()).max().unwrap_or(0).max(4);
    line!(text, "{DIM}{:<widest$}  operation   hosts  batches  accounts  Regions  at once  may fail  pause     approvals{DIM:#}", "wave");
    for wave in &report.waves {
        line!(
            text,
            "{:<widest$}  {:<9}  {:>6}  {:>7}  {:>8}  {:>7}  {:>7}  {:>8}  {:<8}  {:>9}",
            wave.name,
            wave.operation,
            wave.targets,
            wave.batches,
            wave.accounts,
            wave.regions,
            wave.at_once,
            wave.failures_max,
            span(u64::from(wave.pause_after_secs)),
            wave.needs_approvals
        );
    }
    line!(text);
    if report.left_out > 0 {
        let reasons: Vec<String> = report.left_out_by_reason.iter().map(|(why, hosts)| format!("{hosts} {why}")).collect();
        line!(text, "{HEAD}left out{HEAD:#}  {}: {}", report.left_out, reasons.join(", "));
    }
    let forecast = &report.forecast;
    let ends = forecast.finish_after_secs.map_or("no end in sight".to_owned(), |secs| format!("ends after {}", span(secs)));
    let fits = if forecast.fits_window { "" } else { ", in more than one window" };
    line!(
        text,
        "{HEAD}forecast{HEAD:#}  {ends}{fits}; {} calls to AWS, ${:.4}; {} hosts miss their deadline",
        forecast.api_calls,
        forecast.cost_usd,
        forecast.sla_misses
    );
    for warning in &report.warnings {
        line!(text, "{WARN}warning{WARN:#}   {warning}");
    }
    for host in report.hosts.iter().flatten() {
        match (&host.wave, &host.reason) {
            (Some(wave), _) => line!(text, "{}  {wave}", host.target),
            (None, why) => line!(text, "{DIM}{}  left out: {}{DIM:#}", host.target, why.as_deref().unwrap_or_default()),
        }
    }
    text
}

/// Seconds for people.
fn span(secs: u64) -> String {
    match (secs / 86_400, secs % 86_400 / 3_600, secs % 3_600 / 60, secs % 60) {
        (0, 0, 0, secs) => format!("{secs} s"),
        (0, 0, minutes, 0) => format!("{minutes} min"),
        (0, 0, minutes, secs) => format!("{minutes} min {secs} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}
