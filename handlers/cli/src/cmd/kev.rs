//! `tidegate kev`: CISA's catalog of Known Exploited Vulnerabilities, written into the store by a named person, or given on AWS by the
//! caller's own identity.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_engine::Engine;
use tidegate_events::event::Event;
use tidegate_events::kev::KevLoad;
use tidegate_rules::deadline::Kev;
use tidegate_rules::{Key, State};
use tidegate_world::{Spec, World};

use crate::args::{KevArgs, KevCommand, KevLoadArgs, KevShowArgs};
use crate::cmd::{approve, policy, status};
use crate::failure::Failure;
use crate::screen;

/// Broken entries that are shown; the rest is counted.
const FAULTS_SHOWN: usize = 5;

/// What `kev show --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct KevStatus {
    /// `tidegate.kev/1`
    pub schema: String,
    /// `catalogVersion` of the catalog in force; `null` where none was loaded.
    pub version: Option<String>,
    /// `dateReleased`.
    pub released: Option<Timestamp>,
    /// CVEs in it.
    pub entries: u64,
    /// When it was loaded.
    pub loaded_at: Option<Timestamp>,
    /// By whom.
    pub by: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When file or store can't be used, or (exit 1) the catalog was not taken.
pub async fn run(args: &KevArgs) -> Result<u8, Failure> {
    match &args.what {
        KevCommand::Load(args) => load(args).await,
        KevCommand::Show(args) => show(args).await,
    }
}

async fn load(args: &KevLoadArgs) -> Result<u8, Failure> {
    let bytes = std::fs::read(&args.file).map_err(|error| Failure::file(&args.file, "read", &error))?;
    let kev = Kev::parse(&bytes).map_err(|error| Failure::Usage(format!("{}: {error}", args.file.display())))?;
    for fault in kev.faults.iter().take(FAULTS_SHOWN) {
        screen::warn(&format!("{}: {fault}: left out", args.file.display()));
    }
    if let Some(more) = kev.faults.len().checked_sub(FAULTS_SHOWN).filter(|more| *more > 0) {
        screen::warn(&format!("{more} more entries that can't be read are left out"));
    }
    let subject = format!("KEV catalog {}", kev.version);
    if let Some(url) = &args.who.console {
        #[cfg(feature = "aws")]
        return crate::cmd::console::load_kev(url, &kev, args.force, &args.who).await;
        #[cfg(not(feature = "aws"))]
        return Err(Failure::without_aws(&format!("--console {url} ({subject})")));
    }
    let by = approve::person(args.who.by.as_deref())?;
    let store = status::open_store(&args.who.store)?;
    let at = approve::now(&store).await?;
    let load =
        KevLoad { version: kev.version.clone(), released: kev.released, due: kev.due(), force: args.force, by: by.clone(), comment: args.who.comment.clone() };
    // A catalog touches nothing outside the store: the organization behind it may be empty.
    let engine = Engine::new(store, World::new(Spec::default(), at), policy::read(None)?);
    let outcome = engine.handle(&Event::KevLoaded(Box::new(load)), at).await?.outcome;
    approve::answer(approve::decision(&subject, "load", &by, None, &outcome), args.who.json)
}

async fn show(args: &KevShowArgs) -> Result<u8, Failure> {
    let store = status::open_store(&args.store)?;
    let mut fold = status::load(&store, &[Key::kev().as_str()]).await?;
    let loaded = match fold.items.remove(&Key::kev()) {
        Some(State::Kev(loaded)) => Some(loaded),
        _ => None,
    };
    let shown = KevStatus {
        schema: "tidegate.kev/1".into(),
        version: loaded.as_ref().map(|loaded| loaded.load.version.clone()),
        released: loaded.as_ref().and_then(|loaded| loaded.load.released),
        entries: loaded.as_ref().map_or(0, |loaded| loaded.load.due.len() as u64),
        loaded_at: loaded.as_ref().map(|loaded| loaded.at),
        by: loaded.as_ref().map(|loaded| loaded.load.by.to_string()),
    };
    if args.json {
        screen::print_json(&shown)?;
    } else {
        screen::print(&words(&shown))?;
    }
    Ok(0)
}

fn words(shown: &KevStatus) -> String {
    let (Some(version), Some(at), Some(by)) = (&shown.version, shown.loaded_at, &shown.by) else {
        return "no KEV catalog is loaded: `tidegate kev load FILE` loads one\n".to_owned();
    };
    let released = shown.released.map(|at| format!(", released {at}")).unwrap_or_default();
    format!("KEV catalog {version}{released}: {} CVEs, loaded {at} by {by}\n", shown.entries)
}
