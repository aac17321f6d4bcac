//! What a policy says about the calendar: schedules and deadlines, one table each.

use jiff::civil::Time;

use super::parts::{need, own_name, select, time_zone};
use crate::cron::Cron;
use crate::deadline::{Severity, Sla};
use crate::policy::read::{At, Section};
use crate::policy::{Selector, defaults, text::quoted, text::short};
use crate::schedule::{NAME_CHARS_MAX, Schedule, When};

/// How late a schedule may be told to fire at most, in seconds: later than a week it is another week's run.
const CATCH_UP_SECS_MAX: u32 = 7 * 86_400;

pub(super) fn schedules(top: &Section<'_>) -> Vec<Schedule> {
    const KEYS: [&str; 8] = ["name", "cron", "patch_tuesday_plus_days", "at", "time_zone", "enabled", "run", "catch_up_secs"];
    let sections = top.tables("schedule", 100, &KEYS).map(|found| found.value).unwrap_or_default();
    let mut schedules: Vec<Schedule> = Vec::new();
    for section in &sections {
        need(section, &["name", "time_zone", "run"], "expected such as `name = \"weekly\"`, `time_zone = \"Europe/Berlin\"`, `run = \"weekly.json\"`");
        let name = own_name(section, schedules.iter().map(|schedule| schedule.name.as_str()));
        // It stands in the ids of its runs.
        let fits = |name: &str| super::is_slug(name) && name.len() <= NAME_CHARS_MAX;
        if let Some(found) = section.text("name").filter(|found| !found.value.trim().is_empty() && !fits(found.value)) {
            section.report.at(
                &found.span,
                format!("the schedule name `{}` is wrong: expected 1 to {NAME_CHARS_MAX} lower-case letters, digits or `-`", short(found.value)),
            );
        }
        schedules.push(Schedule {
            name,
            when: when(section),
            time_zone: section.text("time_zone").map(|zone| time_zone(section, &zone)).unwrap_or_default(),
            enabled: section.flag("enabled").unwrap_or(true),
            run: section.words("run", 255).map(|run| file_name(section, &run)).unwrap_or_default(),
            input: None,
            catch_up_secs: section.secs("catch_up_secs", 60..=CATCH_UP_SECS_MAX).map_or(defaults::CATCH_UP_SECS, |secs| secs.value),
        });
    }
    schedules
}

/// A file beside the policy: never a path that leads elsewhere.
fn file_name(section: &Section<'_>, found: &At<&str>) -> String {
    let plain = !found.value.contains(['/', '\\', ':'])
        && !found.value.chars().any(char::is_control)
        && found.value.ends_with(".json")
        && !found.value.starts_with('.');
    if !plain {
        section.report.at(
            &found.span,
            format!("`run` in {} is `{}`: expected the name of a JSON file beside the policy, such as `weekly.json`", section.name, short(found.value)),
        );
    }
    found.value.to_owned()
}

fn when(section: &Section<'_>) -> When {
    const EITHER: &str = "expected `cron = \"cron(0 2 ? * SUN *)\"`, or `patch_tuesday_plus_days = 3` with `at = \"22:00\"`";
    let cron = section.text("cron");
    match (&cron, section.has("cron"), section.has("patch_tuesday_plus_days")) {
        (_, true, true) => {
            section.report.at(&section.span, format!("{} names both `cron` and `patch_tuesday_plus_days`: expected one of them", section.name));
        }
        (_, false, false) => section.missing(&["cron"], EITHER),
        (Some(cron), true, false) => {
            if let Err(error) = Cron::parse(cron.value) {
                section.report.at(&cron.span, format!("{error}, in {}", section.name));
            }
            if let Some(at) = section.text("at") {
                section.report.at(&at.span, format!("`at` in {} stands beside a `cron`, which names its own times: remove one of them", section.name));
            }
        }
        (None, true, false) => {}
        (_, false, true) => {
            let plus_days = section.number("patch_tuesday_plus_days", 0..=27, "days").map_or(0, |days| u8::try_from(days.value).unwrap_or(0));
            if !section.has("at") {
                section.missing(&["at"], "expected the time of that day, such as `at = \"22:00\"`");
            }
            let at = section.text("at").and_then(|found| {
                let read = time_of_day(found.value);
                if read.is_none() {
                    section
                        .report
                        .at(&found.span, format!("`at` in {} is `{}`: expected a time of the day such as \"22:00\"", section.name, short(found.value)));
                }
                read
            });
            return When::PatchTuesday { plus_days, at: at.unwrap_or_default() };
        }
    }
    When::Cron(cron.map(|cron| cron.value.trim().to_owned()).unwrap_or_default())
}

/// `HH:MM`, and nothing else that might be read as a time.
fn time_of_day(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hours)?, two(minutes)?, 0, 0).ok()
}

pub(super) fn slas(top: &Section<'_>) -> Vec<Sla> {
    const KEYS: [&str; 7] = ["name", "framework", "severity", "select", "days", "source", "version"];
    let sections = top.tables("sla", 100, &KEYS).map(|found| found.value).unwrap_or_default();
    let mut slas: Vec<Sla> = Vec::new();
    for section in &sections {
        need(
            section,
            &["name", "days", "source", "version"],
            "expected such as `name = \"critical\"`, `days = 14`, `source = \"patch standard 7\"`, `version = \"2026-03\"`",
        );
        let words = |key: &str| section.words(key, 200).map(|text| text.value.trim().to_owned()).unwrap_or_default();
        slas.push(Sla {
            name: own_name(section, slas.iter().map(|sla| sla.name.as_str())),
            framework: words("framework"),
            severities: severities(section),
            select: if section.has("select") { select(section) } else { Selector::default() },
            days: section.number("days", 0..=3_650, "days").map_or(0, |days| days.value),
            source: words("source"),
            version: words("version"),
        });
    }
    slas
}

fn severities(section: &Section<'_>) -> Vec<Severity> {
    let names = Severity::ALL.map(Severity::name);
    let mut severities: Vec<Severity> = Vec::new();
    for found in section.texts("severity").unwrap_or_default() {
        match Severity::ALL.into_iter().find(|severity| severity.name() == found.value) {
            Some(severity) if severities.contains(&severity) => {
                section.report.at(&found.span, format!("`{severity}` stands twice in `severity` in {}: expected each once", section.name));
            }
            Some(severity) => severities.push(severity),
            None => section
                .report
                .at(&found.span, format!("the severity `{}` in {} is unknown: expected one of {}", short(found.value), section.name, quoted(&names))),
        }
    }
    severities
}
