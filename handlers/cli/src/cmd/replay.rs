//! `tidegate replay`: recorded events through the real engine, over a simulated organization, in virtual time.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tidegate_embedded::{EmbeddedStore, MemoryStore, SqliteStore};
use tidegate_engine::Engine;
use tidegate_events::event::Event;
use tidegate_events::fact::Compliance;
use tidegate_events::id::{PersonId, TargetKey};
use tidegate_events::wire::{self, Parsed};
use tidegate_world::{Fleet, Spec, World};

use crate::args::ReplayArgs;
use crate::cmd::{catalog, policy};
use crate::drive::{Drive, People};
use crate::failure::Failure;
use crate::screen;
use crate::settle::Rest;
use crate::summary::Summary;

/// One input, whole.
pub struct Input {
    /// Its base name.
    pub source: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Runs it.
///
/// # Errors
/// When a path, policy, fleet or store can't be used.
pub async fn run(args: &ReplayArgs) -> Result<u8, Failure> {
    let policy = policy::read_with(args.policy.as_deref(), args.catalog.as_deref())?;
    let approve_as = names(&args.approve_as)?;
    let inputs = read_inputs(&args.path)?;
    let fleet = args.fleet.as_deref().map(read_fleet).transpose()?;
    let seen = look_ahead(&inputs);
    // A virtual clock needs a beginning even where no event can be read.
    let start = seen.first_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let spec = match &fleet {
        Some(fleet) => Spec::from_fleet(fleet),
        None => Spec::from_targets(seen.targets),
    };
    let (store, world) = open(args.store.as_deref(), catalog::simulated(spec, &policy), start)?;
    let engine = Engine::new(store, world, policy);
    let mut drive = Drive::new(engine, start, People { approve_as, resume_as: None }).await?;
    let bar = screen::bar("events", inputs.iter().map(|input| input.bytes.len() as u64).sum());
    for input in &inputs {
        drive.feed(&input.source, &input.bytes).await?;
        bar.inc(input.bytes.len() as u64);
    }
    bar.set_message("settling");
    let rest = drive.settle(&mut |_| {}).await?;
    bar.finish_and_clear();
    drive.check_at_rest().await?;
    let summary = drive.summary(0);
    report(&summary, &rest, args.json)
}

/// Prints a summary and gives the exit code: 1 where somebody must look.
///
/// # Errors
/// When stdout can't be written.
pub fn report(summary: &Summary, rest: &Rest, json: bool) -> Result<u8, Failure> {
    if json {
        screen::print_json(summary)?
    } else {
        screen::print(&crate::cmd::status::text(summary))?
    }
    if !json {
        for (lane, why) in &rest.halted {
            screen::warn(&format!("lane `{lane}` is halted: {why}"));
        }
        for (subject, digest) in &rest.asked {
            screen::warn(&format!("`{subject}` awaits approval of digest {}", digest.short()));
        }
        for hold in &rest.held {
            screen::warn(&hold.to_string());
        }
    }
    let violated = !summary.invariants.violations.is_empty() || summary.commands.doubled > 0;
    Ok(u8::from(violated || rest.needs_a_person()))
}

/// People's names.
///
/// # Errors
/// When one is not a name.
pub fn names(given: &[String]) -> Result<Vec<PersonId>, Failure> {
    given.iter().map(|name| name.parse().map_err(|error: tidegate_events::id::IdError| Failure::Usage(format!("--approve-as: {error}")))).collect()
}

/// Reads a fleet file.
///
/// # Errors
/// When it can't be read or is wrong.
pub fn read_fleet(path: &Path) -> Result<Fleet, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
    Fleet::parse(&bytes, &path.display().to_string()).map_err(Failure::Usage)
}

/// Opens store and world: in memory, or in a file and the file beside it.
///
/// # Errors
/// When either can't be opened.
pub fn open(path: Option<&Path>, spec: Spec, start: Timestamp) -> Result<(EmbeddedStore, World), Failure> {
    let Some(path) = path else {
        return Ok((EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start)));
    };
    let store = SqliteStore::open(path)?;
    let beside = world_file(path);
    let world = World::open(spec, start, Some(&beside)).map_err(|error| Failure::file(&beside, "opened", &error))?;
    Ok((EmbeddedStore::Sqlite(store), world))
}

/// Where the simulated organization of a store is kept.
pub fn world_file(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".world");
    PathBuf::from(name)
}

fn read_inputs(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| Failure::machine("stdin can't be read", &error))?;
            inputs.push(Input { source: "-".into(), bytes });
        } else {
            read_path(path, &mut inputs)?;
        }
    }
    Ok(inputs)
}

/// A file, or every `.json`, `.jsonl` and `.ndjson` file of a folder, in the order of names (sub-folders are left alone).
fn read_path(path: &Path, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file(path, "read", &error);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        let bytes = std::fs::read(path).map_err(failed)?;
        inputs.push(Input { source: base_name(path), bytes });
        return Ok(());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_events = file.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| matches!(extension, "json" | "jsonl" | "ndjson"));
        let hidden = base_name(&file).starts_with('.');
        if is_events && !hidden && !file.is_dir() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::Usage(format!("`{}` has no .json, .jsonl or .ndjson file", path.display())));
    }
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| Failure::file(&file, "read", &error))?;
        inputs.push(Input { source: base_name(&file), bytes });
    }
    Ok(())
}

fn base_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

struct Seen {
    first_at: Option<Timestamp>,
    targets: BTreeMap<TargetKey, bool>,
}

/// What the events name, before any is fed: the organization must be there first.
fn look_ahead(inputs: &[Input]) -> Seen {
    let mut seen = Seen { first_at: None, targets: BTreeMap::new() };
    for read in inputs.iter().flat_map(|input| wire::read(&input.bytes)) {
        let Parsed::Event { event, at, .. } = read.parsed else { continue };
        seen.first_at.get_or_insert(at);
        match event {
            Event::Finding { target, fact } | Event::FindingOf { target, fact, .. } => {
                *seen.targets.entry(target).or_default() |= fact.compliance == Compliance::NonCompliant
            }
            Event::InstanceChanged { target, .. } | Event::InvocationChanged { target, .. } => {
                seen.targets.entry(target).or_default();
            }
            _ => {}
        }
    }
    seen
}
