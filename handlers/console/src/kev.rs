//! The KEV catalog, as the command line sends it: read there, checked again here, loaded in the name of a caller with a proven identity.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tidegate_events::Event;
use tidegate_events::id::PersonId;
use tidegate_events::kev::KevLoad;
use tidegate_rules::decide::Outcome;

/// Longest body that is read, in bytes: the most entries that are taken, with room for spaces.
pub(crate) const BODY_MAX: usize = 512 * 1024;

/// A catalog as it travels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    version: String,
    #[serde(default)]
    released: Option<Timestamp>,
    due: BTreeMap<String, Date>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    comment: String,
}

/// What came of it: the same document as for a decision.
#[derive(Debug, Serialize)]
pub(crate) struct Loaded<'a> {
    schema: &'static str,
    subject: String,
    word: &'static str,
    by: &'a PersonId,
    outcome: &'static str,
    reason: Option<&'a str>,
    digest: Option<&'static str>,
}

/// The answer for the catalog of this version.
pub(crate) fn answer<'a>(version: &str, by: &'a PersonId, outcome: &'a Outcome) -> Loaded<'a> {
    let subject = format!("KEV catalog {version}");
    Loaded { schema: "tidegate.decision/1", subject, word: "load", by, outcome: outcome.name(), reason: outcome.why(), digest: None }
}

/// Reads what is loaded, and by whom, as an event; with the catalog's version.
pub(crate) fn read(body: &[u8], by: &PersonId) -> Result<(String, Event), String> {
    let Body { version, released, due, force, comment } =
        serde_json::from_slice(body).map_err(|error| format!("expected version, released, due, force and comment: {error}"))?;
    Ok((version.clone(), Event::KevLoaded(Box::new(KevLoad { version, released, due, force, by: by.clone(), comment }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(body: &str) -> Result<(String, Event), String> {
        read(body.as_bytes(), &"dana".parse().unwrap())
    }

    #[test]
    fn a_catalog_is_its_callers() {
        let (version, event) = load(r#"{"version":"2026.11.20","due":{"CVE-2026-1111":"2026-11-25"},"comment":"weekly"}"#).unwrap();
        let Event::KevLoaded(load) = event else { panic!("{event:?}") };
        assert_eq!((version.as_str(), load.by.as_str(), load.comment.as_str(), load.force), ("2026.11.20", "dana", "weekly", false));
        assert_eq!(load.due["CVE-2026-1111"].to_string(), "2026-11-25");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in ["{}", "[]", r#"{"version":"1","due":{"CVE-2026-1":"soon"}}"#, r#"{"version":"1","due":{},"by":"erin"}"#] {
            assert!(load(body).is_err(), "{body}");
        }
    }
}
