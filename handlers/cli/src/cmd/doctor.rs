//! `tidegate doctor`: whether spokes are ready for their first wave, and what mends those that are not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_engine::ports::Spoke;
use tidegate_engine::probe::{self, Probe};
use tidegate_rules::doctor::{self, Check, Outcome};
use tidegate_world::{Fleet, Spec, World};

use crate::args::DoctorArgs;
use crate::cmd::replay;
use crate::failure::Failure;
use crate::line;
use crate::screen::{self, BAD, DIM, GOOD, HEAD, WARN};

/// What `doctor --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Diagnosis {
    /// `tidegate.doctor/1`
    pub schema: String,
    /// Whether every spoke is ready.
    pub ready: bool,
    /// The spokes, by account and Region.
    pub spokes: Vec<SpokeDiagnosis>,
}

/// One spoke.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct SpokeDiagnosis {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// Whether nothing fails and nothing is unknown.
    pub ready: bool,
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
}

/// Looks.
///
/// # Errors
/// When fleet or settings can't be used, or name no spoke.
pub async fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let diagnosis = match &args.fleet {
        Some(path) => {
            let fleet = replay::read_fleet(path)?;
            let spokes = spokes_of(args, &fleet);
            // No time passes: the world is looked at as it begins.
            look(&World::new(Spec::from_fleet(&fleet), Timestamp::UNIX_EPOCH), spokes).await?
        }
        None => on_aws(args).await?,
    };
    if args.json {
        screen::print_json(&diagnosis)?;
    } else {
        screen::print(&words(&diagnosis))?;
    }
    Ok(u8::from(!diagnosis.ready))
}

#[cfg(feature = "aws")]
async fn on_aws(args: &DoctorArgs) -> Result<Diagnosis, Failure> {
    super::doctor_aws::run(args).await
}

#[cfg(not(feature = "aws"))]
async fn on_aws(_: &DoctorArgs) -> Result<Diagnosis, Failure> {
    Err(Failure::without_aws("doctor --cloud aws"))
}

/// The spokes that are asked for: those of the fleet, less what accounts and Regions leave out. What is named and not in the
/// fleet is looked at all the same, and fails.
fn spokes_of(args: &DoctorArgs, fleet: &Fleet) -> BTreeSet<Spoke> {
    let accounts = if args.account.is_empty() { fleet.accounts.iter().map(|account| account.id).collect() } else { args.account.clone() };
    let mut spokes = BTreeSet::new();
    for account in accounts {
        let own = fleet.instances.iter().filter(|instance| instance.account == account).map(|instance| &instance.region);
        let regions: BTreeSet<_> = if args.region.is_empty() { own.collect() } else { args.region.iter().collect() };
        spokes.extend(regions.into_iter().map(|region| Spoke { account, region: region.clone() }));
    }
    spokes
}

/// Looks at these spokes, one after the other.
///
/// # Errors
/// When there are none: nothing was proven then.
pub async fn look(probe: &impl Probe, spokes: BTreeSet<Spoke>) -> Result<Diagnosis, Failure> {
    if spokes.is_empty() {
        return Err(Failure::Usage("there is no account and Region to look at: name them by --account and --region".to_owned()));
    }
    let bar = screen::bar("spokes", u64::try_from(spokes.len()).unwrap_or(0));
    let mut seen = Vec::with_capacity(spokes.len());
    for spoke in spokes {
        let checks = doctor::examine(&probe::look(probe, &spoke).await);
        let ready = checks.iter().all(|check| check.outcome.is_good());
        seen.push(SpokeDiagnosis { account: spoke.account.to_string(), region: spoke.region.to_string(), ready, checks });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Diagnosis { schema: "tidegate.doctor/1".to_owned(), ready: seen.iter().all(|spoke| spoke.ready), spokes: seen })
}

fn words(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for spoke in &diagnosis.spokes {
        let (style, says) = if spoke.ready { (GOOD, "ready") } else { (BAD, "not ready") };
        line!(text, "{HEAD}{} {}{HEAD:#}: {style}{says}{style:#}", spoke.account, spoke.region);
        for check in &spoke.checks {
            let style = match check.outcome {
                Outcome::Ok => GOOD,
                Outcome::Warn => WARN,
                Outcome::Unknown | Outcome::Fail => BAD,
            };
            line!(text, "  {style}{:<7}{style:#}  {:<19}  {}", check.outcome.to_string(), check.name.name().replace('_', " "), check.found);
            for mend in &check.mend {
                let style = if mend.starts_with('#') { DIM } else { HEAD };
                line!(text, "             {style}{mend}{style:#}");
            }
        }
    }
    let ready = diagnosis.spokes.iter().filter(|spoke| spoke.ready).count();
    line!(text, "{ready} of {} spoke(s) ready; commands are for a shell with credentials of the spoke's account", diagnosis.spokes.len());
    text
}
