//! What a caller with a proven identity may do beside approving, as the command line sends it: pull or release the stop cord, pause,
//! resume, give another attempt.

use serde::{Deserialize, Serialize};
use tidegate_events::Event;
use tidegate_events::control::{Retried, Retry, Steer, Steered};
use tidegate_events::id::PersonId;
use tidegate_rules::decide::Outcome;

/// What the stop cord is about.
const EVERYTHING: &str = "organization";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Stop,
    Pause,
    Resume,
    Retry,
}

/// A control as it travels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    word: Word,
    subject: String,
    #[serde(default)]
    kill: bool,
    #[serde(default)]
    comment: String,
}

/// What came of it: the same document as for a decision.
#[derive(Debug, Serialize)]
pub(crate) struct Controlled<'a> {
    schema: &'static str,
    subject: &'a str,
    word: Word,
    by: &'a PersonId,
    outcome: &'static str,
    reason: Option<&'a str>,
    digest: Option<&'static str>,
}

impl Control {
    pub(crate) fn answer<'a>(&'a self, by: &'a PersonId, outcome: &'a Outcome) -> Controlled<'a> {
        Controlled { schema: "tidegate.decision/1", subject: &self.subject, word: self.word, by, outcome: outcome.name(), reason: outcome.why(), digest: None }
    }
}

/// Reads what is asked, and by whom, as an event.
pub(crate) fn read(body: &[u8], by: &PersonId) -> Result<(Control, Event), String> {
    let control: Control = serde_json::from_slice(body).map_err(|error| format!("expected word, subject and comment: {error}"))?;
    let (by, comment) = (by.clone(), control.comment.clone());
    if control.kill && control.word != Word::Stop {
        return Err("only `stop` kills".into());
    }
    let steered = || Steered::parse(&control.subject).map_err(|error| error.to_string());
    let event = match control.word {
        Word::Stop if control.subject == EVERYTHING => Event::Cord { pulled: true, kill: control.kill, by, comment },
        Word::Stop => return Err(format!("the stop cord stops everything: its subject is `{EVERYTHING}`")),
        Word::Resume if control.subject == EVERYTHING => Event::Cord { pulled: false, kill: false, by, comment },
        Word::Resume => match steered()? {
            Steered::Lane(lane) => Event::LaneResumed { lane, by, comment },
            on => Event::Steer(Steer { on, go: true, by, comment }),
        },
        Word::Pause => Event::Steer(Steer { on: steered()?, go: false, by, comment }),
        Word::Retry => Event::Retry(Retry { what: Retried::parse(&control.subject).map_err(|error| error.to_string())?, by, comment }),
    };
    Ok((control, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str) -> Result<Event, String> {
        read(body.as_bytes(), &"dana".parse().unwrap()).map(|(_, event)| event)
    }

    #[test]
    fn a_word_becomes_an_event_of_its_callers() {
        let by: PersonId = "dana".parse().unwrap();
        let stop = event(r#"{"word":"stop","subject":"organization","kill":true}"#);
        assert_eq!(stop, Ok(Event::Cord { pulled: true, kill: true, by: by.clone(), comment: String::new() }));
        let release = event(r#"{"word":"resume","subject":"organization","comment":"ok"}"#);
        assert_eq!(release, Ok(Event::Cord { pulled: false, kill: false, by: by.clone(), comment: "ok".into() }));
        let lane = event(r#"{"word":"resume","subject":"patch-default","comment":"ok"}"#);
        assert_eq!(lane, Ok(Event::LaneResumed { lane: "patch-default".parse().unwrap(), by: by.clone(), comment: "ok".into() }));
        let pause = event(r#"{"word":"pause","subject":"patch-default.1","comment":"no"}"#);
        assert_eq!(pause, Ok(Event::Steer(Steer { on: Steered::parse("patch-default.1").unwrap(), go: false, by, comment: "no".into() })));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            "{}",
            r#"{"word":"stop","subject":"patch-default"}"#,
            r#"{"word":"stop","subject":"organization","by":"erin"}"#,
            r#"{"word":"pause","subject":"Not An Id"}"#,
            r#"{"word":"pause","subject":"patch-default","kill":true}"#,
            r#"{"word":"retry","subject":"patch-default"}"#,
        ] {
            assert!(event(body).is_err(), "{body}");
        }
    }
}
