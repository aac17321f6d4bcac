//! The KEV catalog in the store: loaded by a named person, whole, and never an older one by mistake. The journal says which version was
//! in force when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::Entry;
use tidegate_events::kev::KevLoad;

use super::Kev;
use crate::book::Book;
use crate::decide::Outcome;
use crate::desk::{Desk, Missing};
use crate::key::Key;
use crate::state::State;

/// Entries of a catalog at most: CISA's has some 1,600. A line of the journal and an item of the store hold all of them, and both have
/// an item's limit of 400 KB.
pub const ENTRIES_MAX: usize = 8_000;
/// Letters of a CVE id at most.
const CVE_CHARS_MAX: usize = 24;
/// Letters of a catalog's version at most.
const VERSION_CHARS_MAX: usize = 64;
/// Letters of a comment at most.
const COMMENT_CHARS_MAX: usize = 1_000;

/// The catalog in force, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedKev {
    /// As it was loaded, and by whom.
    pub load: KevLoad,
    /// When.
    pub at: Timestamp,
}

/// Somebody loads a catalog.
///
/// # Errors
/// When something is not loaded.
pub fn on_loaded(desk: &mut Desk<'_>, load: &KevLoad) -> Result<Outcome, Missing> {
    if let Some(why) = fault(load) {
        return Ok(Outcome::rejected(why));
    }
    if let Some(known) = stored(desk)? {
        let known = &known.load;
        if (&known.version, known.released, &known.due) == (&load.version, load.released, &load.due) {
            return Ok(Outcome::Duplicate);
        }
        if !load.force && is_older(load, known) {
            return Ok(Outcome::Stale {
                why: format!("version {} is loaded, which is newer than {}: `--force` goes back to an older one", known.version, load.version),
            });
        }
        if !load.force && load.due.len() < known.due.len() / 2 {
            let (few, many) = (load.due.len(), known.due.len());
            return Ok(Outcome::rejected(format!("it has {few} entries and version {} has {many}: is it whole? `--force` takes it", known.version)));
        }
    }
    desk.record(Entry::KevLoaded(Box::new(load.clone())))?;
    Ok(Outcome::Accepted)
}

/// By release where both tell it, and by version, which is a date, where not.
fn is_older(load: &KevLoad, known: &KevLoad) -> bool {
    match (load.released, known.released) {
        (Some(ours), Some(theirs)) => ours < theirs,
        _ => load.version < known.version,
    }
}

fn fault(load: &KevLoad) -> Option<String> {
    let is_cve =
        |cve: &str| cve.starts_with("CVE-") && cve.len() <= CVE_CHARS_MAX && cve.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    if load.due.is_empty() || load.due.len() > ENTRIES_MAX {
        return Some(format!("the catalog has {} entries: expected 1 to {ENTRIES_MAX}", load.due.len()));
    }
    if load.version.trim().is_empty() || load.version.chars().count() > VERSION_CHARS_MAX || load.version.chars().any(char::is_control) {
        return Some(format!("the catalog's version is wrong: expected 1 to {VERSION_CHARS_MAX} characters, such as `2026.11.20`"));
    }
    if load.comment.chars().count() > COMMENT_CHARS_MAX {
        return Some(format!("the comment is too long: expected at most {COMMENT_CHARS_MAX} characters"));
    }
    load.due.keys().find(|cve| !is_cve(cve)).map(|wrong| {
        let shown: String = wrong.chars().take(40).collect();
        format!("`{shown}` is no CVE: expected such as `CVE-2026-1234`")
    })
}

fn stored<'d>(desk: &'d Desk<'_>) -> Result<Option<&'d LoadedKev>, Missing> {
    match desk.item(&Key::kev())? {
        Some(State::Kev(loaded)) => Ok(Some(loaded)),
        None => Ok(None),
        Some(_) => Err(Missing::Corrupt(format!("the item stored under `{}` is of another kind", Key::kev()))),
    }
}

/// The catalog in force, where one was loaded.
///
/// # Errors
/// When it is not loaded.
pub fn in_force(desk: &Desk<'_>) -> Result<Option<Kev>, Missing> {
    Ok(stored(desk)?.map(|known| Kev::of(&known.load)))
}

/// Its version, where one was loaded.
pub(super) fn version(desk: &Desk<'_>) -> Result<Option<String>, Missing> {
    Ok(stored(desk)?.map(|known| known.load.version.clone()))
}

/// What a load makes true.
pub(crate) fn apply_load(book: &mut impl Book, load: &KevLoad, at: Timestamp) -> Result<(), Missing> {
    book.put(Key::kev(), State::Kev(Box::new(LoadedKev { load: load.clone(), at })))
}
