//! A bulk run that a caller with a proven identity asks for: the run input of `tidegate run`, under a name of the ask.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_events::Event;
use tidegate_events::bulk::RunAsked;
use tidegate_events::id::{Digest, PersonId};
use tidegate_events::wire::run_input::{self, RUN_INPUT_BYTES_MAX};
use tidegate_rules::decide::Outcome;

/// Longest body that is read, in bytes: a run's input, and the name of the ask around it.
pub(crate) const BODY_MAX: usize = RUN_INPUT_BYTES_MAX + 1024;

/// An ask as it travels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    id: String,
    #[serde(borrow)]
    run: &'a RawValue,
}

/// What was asked for, as it is answered.
#[derive(Debug)]
pub(crate) struct Ask {
    id: String,
    digest: Digest,
    dry_run: bool,
    warnings: Vec<String>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Answered<'a> {
    schema: &'static str,
    /// The ask's name.
    id: &'a str,
    /// Of the run as it was understood.
    digest: Digest,
    dry_run: bool,
    by: &'a PersonId,
    outcome: &'static str,
    reason: Option<&'a str>,
    warnings: &'a [String],
}

impl Ask {
    pub(crate) fn answer<'a>(&'a self, by: &'a PersonId, outcome: &'a Outcome) -> Answered<'a> {
        let Self { id, digest, dry_run, warnings } = self;
        Answered { schema: "tidegate.run-asked/1", id, digest: *digest, dry_run: *dry_run, by, outcome: outcome.name(), reason: outcome.why(), warnings }
    }
}

/// Reads what is asked, and by whom, as an event.
///
/// # Errors
/// With everything that is wrong with the run's input, one a line, each beginning with `run: `.
pub(crate) fn read(body: &[u8], by: &PersonId, now: Timestamp) -> Result<(Ask, Event), String> {
    let Body { id, run } = serde_json::from_slice(body).map_err(|error| format!("expected id and run: {error}"))?;
    let parsed = run_input::parse(run.get().as_bytes()).map_err(|problems| {
        let lines: Vec<String> = problems.lines().map(|line| format!("run: {line}")).collect();
        lines.join("\n")
    })?;
    let warnings = parsed.warnings.iter().map(ToString::to_string).collect();
    let ask = Ask { id: id.clone(), digest: parsed.run.digest(), dry_run: parsed.run.dry_run, warnings };
    Ok((ask, Event::RunAsked(Box::new(RunAsked { id, run: parsed.run, by: by.clone(), at: now }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"accounts":["111122223333"],"regions":["eu-central-1"],"dryRun":true}"#;

    fn ask(body: &str) -> Result<(Ask, Event), String> {
        read(body.as_bytes(), &"dana".parse().unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_run_is_its_callers() {
        let (ask, event) = ask(&format!(r#"{{"id":"monday","run":{RUN}}}"#)).unwrap();
        let Event::RunAsked(asked) = event else { panic!("{event:?}") };
        assert_eq!((asked.id.as_str(), asked.by.as_str(), asked.at), ("monday", "dana", Timestamp::UNIX_EPOCH));
        assert_eq!((ask.digest, ask.dry_run), (asked.run.digest(), true));
        assert_eq!(asked.run, run_input::parse(RUN.as_bytes()).unwrap().run, "the very run that the command line reads");
    }

    #[test]
    fn what_is_wrong_is_named_where_it_is() {
        let wrong = ask(r#"{"id":"monday","run":{"accounts":["1"],"regions":["eu-central-1"]}}"#).unwrap_err();
        assert!(wrong.starts_with("run: accounts"), "{wrong}");
        for body in ["{}", "[]", "", r#"{"id":"a"}"#, r#"{"id":"a","run":{},"by":"erin"}"#, r#"{"id":"a","run":7}"#] {
            assert!(ask(body).is_err(), "{body}");
        }
    }
}
