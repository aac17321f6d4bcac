//! `tidegate simulate`: a generated organization with seeded faults, until it settles, with the invariants checked on the way.

use jiff::Timestamp;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_events::id::PersonId;
use tidegate_world::{Faults, Spec, World};

use crate::args::{FaultLevel, SimulateArgs};
use crate::cmd::{catalog, policy, replay};
use crate::drive::{Drive, People};
use crate::failure::Failure;
use crate::screen;

/// When simulations begin: a Thursday, so that weekend windows lie ahead.
pub const START: &str = "2026-11-19T08:00:00Z";

/// Scenarios by name, with the organization and the faults of each.
const SCENARIOS: [(&str, &str, u32, u32, u32, FaultLevel); 4] = [
    ("quiet", "no faults at all", 3, 2, 60, FaultLevel::None),
    ("usual", "a usual day", 5, 2, 200, FaultLevel::Light),
    ("storm", "a very bad day", 5, 2, 200, FaultLevel::Heavy),
    ("large", "1,000 accounts, 100,000 instances", 1000, 2, 100_000, FaultLevel::Light),
];

/// The beginning of simulated time.
///
/// # Errors
/// Never: it is a constant.
pub fn start() -> Result<Timestamp, Failure> {
    START.parse().map_err(|error: jiff::Error| Failure::machine("the start of simulated time", &error))
}

/// The people of a simulation.
///
/// # Errors
/// Never: they are constants.
pub fn people() -> Result<People, Failure> {
    let person = |name: &str| name.parse::<PersonId>().map_err(|error| Failure::machine("a simulated person", &error));
    Ok(People { approve_as: vec![person("sim-1")?, person("sim-2")?], resume_as: Some(person("sim-1")?) })
}

/// Runs it.
///
/// # Errors
/// When the policy or scenario can't be used.
pub async fn run(args: &SimulateArgs) -> Result<u8, Failure> {
    let policy = policy::read_with(args.policy.as_deref(), args.catalog.as_deref())?;
    let (accounts, regions, instances, faults) = match args.scenario.as_deref() {
        None => (args.accounts, args.regions, args.instances, args.faults),
        Some("list") => {
            let list: String = SCENARIOS.iter().map(|(name, what, ..)| format!("{name}: {what}\n")).collect();
            screen::print(&list)?;
            return Ok(0);
        }
        Some(name) => {
            let found = SCENARIOS.iter().find(|(known, ..)| *known == name);
            let (_, _, accounts, regions, instances, faults) = found
                .ok_or_else(|| Failure::Usage(format!("scenario `{name}` is not known: expected one of {}", SCENARIOS.map(|(name, ..)| name).join(", "))))?;
            (*accounts, *regions, *instances, *faults)
        }
    };
    let faults = match faults {
        FaultLevel::None => Faults::none(),
        FaultLevel::Light => Faults::light(),
        FaultLevel::Heavy => Faults::heavy(),
    };
    let start = start()?;
    let world = World::new(catalog::simulated(Spec::generate(accounts, regions, instances, args.seed, faults), &policy), start);
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), world, policy);
    let mut drive = Drive::new(engine, start, people()?).await?;
    drive.count_deliveries();
    let bar = screen::bar("virtual hours", 0);
    let rest = drive
        .settle(&mut |step| {
            let hours = u64::try_from(step.now.duration_since(start).as_hours()).unwrap_or(0);
            bar.set_length(hours);
            bar.set_position(hours);
        })
        .await?;
    bar.finish_and_clear();
    drive.check_at_rest().await?;
    replay::report(&drive.summary(args.seed), &rest, args.json)
}
