//! A bulk run that EventBridge Scheduler asks for: the run input in an envelope of our own, whose time is the scheduled one.
//!
//! Scheduler delivers at least once and its attempts have ids of their own, so what names the run is the schedule and the time that it
//! was scheduled for, as in our own ticks: whoever fires it twice asks for one run.

use serde_json::Value;

use crate::bulk::RunAsked;
use crate::event::Event;
use crate::schedule::{NAME_CHARS_MAX, asker, occurrence_id};

use super::envelope::Envelope;
use super::reader::{Stop, last_segment, quoted};
use super::run_input;

pub(super) const RUN: &str = "Tidegate Scheduled Run";

/// The run of one occurrence. `schedule` is the schedule's ARN, or its name.
pub(super) fn run(envelope: &Envelope<'_>) -> Result<Event, Stop> {
    let detail = &envelope.detail;
    detail.only(&["schedule", "run"])?;
    let text = detail.text("schedule")?;
    let name = last_segment(text);
    let fits = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !fits {
        let expected = format!("expected a schedule's ARN or name, of at most {NAME_CHARS_MAX} letters, digits, `.`, `_` and `-`");
        return Err(detail.wrong("schedule", format_args!("{}: {expected}", quoted(text))));
    }
    detail.object("run")?;
    let bytes = serde_json::to_vec(detail.get("run").unwrap_or(&Value::Null)).unwrap_or_default();
    let run = run_input::parse(&bytes).map_err(|problems| {
        let first = problems.iter().next().map(ToString::to_string).unwrap_or_default();
        let more = problems.iter().count().saturating_sub(1);
        let rest = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        detail.wrong("run", format_args!("{first}{rest}"))
    })?;
    let by = asker(name).map_err(|error| detail.wrong("schedule", error))?;
    Ok(Event::RunAsked(Box::new(RunAsked { id: occurrence_id(name, envelope.time), run: run.run, by, at: envelope.time })))
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, parse};
    use super::*;
    use serde_json::json;

    fn message(schedule: &str, run: &Value) -> Value {
        json!({ "source": "tidegate", "detail-type": RUN, "time": "2026-10-25T01:00:00Z", "id": "d32c5kddcf5bb8c3", "detail": { "schedule": schedule, "run": run } })
    }

    fn read(message: &Value) -> Result<RunAsked, String> {
        match parse(message.to_string().as_bytes()) {
            Parsed::Event { event: Event::RunAsked(asked), .. } => Ok(*asked),
            Parsed::Rejected { why } => Err(why),
            other => panic!("{other:?}"),
        }
    }

    const ARN: &str = "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/weekly";

    #[test]
    fn schedule_and_time_name_the_run() {
        let run = json!({ "executionName": "October", "waves": [{ "name": "all", "accounts": ["111122223333"], "regions": ["us-east-1"] }] });
        let asked = read(&message(ARN, &run)).unwrap();
        assert_eq!((asked.id.as_str(), asked.by.as_str()), ("weekly.20261025T010000Z", "schedule.weekly"));
        assert_eq!(asked.at, "2026-10-25T01:00:00Z".parse().unwrap());
        assert_eq!(asked.run.name.as_deref(), Some("October"));
        // By name, and in another attempt: the same run.
        let mut again = message("weekly", &run);
        again["id"] = json!("e43d6leedg6cc9d4");
        assert_eq!(read(&again).unwrap(), asked);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_path() {
        let run = json!({ "waves": [{ "name": "all", "accounts": ["111122223333"], "regions": ["us-east-1"] }] });
        let refused = |message: &Value| read(message).unwrap_err();
        assert!(refused(&message("a b", &run)).starts_with("detail.schedule: `a b`: expected a schedule's ARN or name"));
        assert!(refused(&message(&"w".repeat(41), &run)).contains("at most 40"));
        assert!(refused(&message(ARN, &json!("{}"))).starts_with("detail.run: expected an object"));
        let why = refused(&message(ARN, &json!({ "waves": [], "wavez": 1 })));
        assert!(why.starts_with("detail.run: "), "{why}");
        let mut unfilled = message(ARN, &run);
        unfilled["time"] = json!("<aws.scheduler.scheduled-time>");
        assert!(refused(&unfilled).starts_with("time: `<aws.scheduler.scheduled-time>` is not a time"));
        let mut strange = message(ARN, &run);
        strange["detail"]["dryRun"] = json!(true);
        assert!(refused(&strange).contains("unknown key `dryRun`"));
    }
}
