use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_events::event::Event;
use tidegate_events::{Action, Entry};

use super::*;
use crate::desk::{Decided, Desk, Loaded, Missing, later};
use crate::key::Key;
use crate::policy::{self, Policy};
use crate::state::State;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn timing(when: When, zone: &str) -> Timing {
    Timing::new("t", &when, zone).unwrap()
}

fn cron(text: &str, zone: &str) -> Timing {
    timing(When::Cron(text.to_owned()), zone)
}

fn year_2026(timing: &Timing, zone: &str) -> Vec<Timestamp> {
    let zone = crate::window::time_zone(zone).unwrap();
    let start = jiff::civil::date(2026, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
    let end = jiff::civil::date(2027, 1, 1).to_zoned(zone).unwrap().timestamp();
    timing.occurrences(later(start, -1)).take_while(|at| *at < end).collect()
}

/// Rows of equally spaced occurrences, computed with Python's `zoneinfo` (`fold=0`; a time in a gap is the first instant after it).
/// Each is the first occurrence and how many follow one another at this distance.
#[test]
fn a_year_of_occurrences_is_that_of_an_independent_computation() {
    const DAY: i64 = 86_400;
    #[expect(clippy::type_complexity, reason = "a table, read once")]
    let tables: [(&str, &str, i64, &[(&str, usize)]); 11] = [
        (
            "Europe/Berlin",
            "cron(30 2 * * ? *)",
            DAY,
            &[("2026-01-01T01:30:00Z", 87), ("2026-03-29T01:00:00Z", 1), ("2026-03-30T00:30:00Z", 210), ("2026-10-26T01:30:00Z", 67)],
        ),
        ("Europe/Berlin", "cron(0 3 * * ? *)", DAY, &[("2026-01-01T02:00:00Z", 87), ("2026-03-29T01:00:00Z", 210), ("2026-10-25T02:00:00Z", 68)]),
        ("America/New_York", "cron(30 1 * * ? *)", DAY, &[("2026-01-01T06:30:00Z", 67), ("2026-03-09T05:30:00Z", 238), ("2026-11-02T06:30:00Z", 60)]),
        ("America/New_York", "cron(0 2 * * ? *)", DAY, &[("2026-01-01T07:00:00Z", 67), ("2026-03-09T06:00:00Z", 237), ("2026-11-01T07:00:00Z", 61)]),
        (
            "Australia/Lord_Howe",
            "cron(15 2 * * ? *)",
            DAY,
            &[("2025-12-31T15:15:00Z", 94), ("2026-04-04T15:45:00Z", 182), ("2026-10-03T15:30:00Z", 1), ("2026-10-04T15:15:00Z", 88)],
        ),
        ("Australia/Lord_Howe", "cron(45 1 * * ? *)", DAY, &[("2025-12-31T14:45:00Z", 95), ("2026-04-05T15:15:00Z", 182), ("2026-10-04T14:45:00Z", 88)]),
        (
            "Africa/Cairo",
            "cron(30 0 * * ? *)",
            DAY,
            &[("2025-12-31T22:30:00Z", 113), ("2026-04-23T22:00:00Z", 1), ("2026-04-24T21:30:00Z", 188), ("2026-10-29T22:30:00Z", 63)],
        ),
        ("Asia/Kolkata", "cron(59 23 * * ? *)", DAY, &[("2026-01-01T18:29:00Z", 365)]),
        ("UTC", "cron(0 0 * * ? *)", DAY, &[("2026-01-01T00:00:00Z", 365)]),
        ("America/New_York", "cron(30 1 ? * SUN *)", 7 * DAY, &[("2026-01-04T06:30:00Z", 10), ("2026-03-15T05:30:00Z", 34), ("2026-11-08T06:30:00Z", 8)]),
        ("Europe/Berlin", "cron(0 2 ? * SUN *)", 7 * DAY, &[("2026-01-04T01:00:00Z", 13), ("2026-04-05T00:00:00Z", 30), ("2026-11-01T01:00:00Z", 9)]),
    ];
    for (zone, text, step, rows) in tables {
        let expected: Vec<Timestamp> = rows.iter().flat_map(|(first, count)| (0..*count).map(|n| later(at(first), step * n as i64))).collect();
        assert_eq!(year_2026(&cron(text, zone), zone), expected, "{text} in {zone}");
    }
}

#[test]
fn patch_tuesday_and_some_days_is_that_of_an_independent_computation() {
    #[expect(clippy::type_complexity, reason = "a table, read once")]
    let tables: [(&str, u8, (i8, i8), [&str; 12]); 3] = [
        // The occurrence of March lies in the hour that the spring change skips.
        (
            "Europe/Berlin",
            19,
            (2, 30),
            [
                "2026-02-01T01:30:00Z",
                "2026-03-01T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-05-03T00:30:00Z",
                "2026-05-31T00:30:00Z",
                "2026-06-28T00:30:00Z",
                "2026-08-02T00:30:00Z",
                "2026-08-30T00:30:00Z",
                "2026-09-27T00:30:00Z",
                "2026-11-01T01:30:00Z",
                "2026-11-29T01:30:00Z",
                "2026-12-27T01:30:00Z",
            ],
        ),
        (
            "America/Los_Angeles",
            3,
            (22, 0),
            [
                "2026-01-17T06:00:00Z",
                "2026-02-14T06:00:00Z",
                "2026-03-14T05:00:00Z",
                "2026-04-18T05:00:00Z",
                "2026-05-16T05:00:00Z",
                "2026-06-13T05:00:00Z",
                "2026-07-18T05:00:00Z",
                "2026-08-15T05:00:00Z",
                "2026-09-12T05:00:00Z",
                "2026-10-17T05:00:00Z",
                "2026-11-14T06:00:00Z",
                "2026-12-12T06:00:00Z",
            ],
        ),
        // Twenty-seven days later is mostly the next month, and each month has one all the same.
        (
            "Asia/Kolkata",
            27,
            (9, 15),
            [
                "2026-01-05T03:45:00Z",
                "2026-02-09T03:45:00Z",
                "2026-03-09T03:45:00Z",
                "2026-04-06T03:45:00Z",
                "2026-05-11T03:45:00Z",
                "2026-06-08T03:45:00Z",
                "2026-07-06T03:45:00Z",
                "2026-08-10T03:45:00Z",
                "2026-09-07T03:45:00Z",
                "2026-10-05T03:45:00Z",
                "2026-11-09T03:45:00Z",
                "2026-12-07T03:45:00Z",
            ],
        ),
    ];
    for (zone, plus_days, (hour, minute), expected) in tables {
        let timing = timing(When::PatchTuesday { plus_days, at: jiff::civil::time(hour, minute, 0, 0) }, zone);
        let expected: Vec<Timestamp> = expected.into_iter().map(at).collect();
        assert_eq!(year_2026(&timing, zone), expected, "{plus_days} days after Patch Tuesday in {zone}");
    }
}

#[test]
fn an_occurrence_fires_once_and_what_is_too_late_is_missed() {
    let sunday = cron("cron(0 2 ? * SUN *)", "UTC");
    let asked = |settled: &str, now: &str| due(&sunday, at(settled), 3600, at(now));
    let next = Some(at("2026-11-22T02:00:00Z"));
    assert_eq!(asked("2026-11-15T02:00:00Z", "2026-11-22T01:59:59Z"), Due::NotYet { next });
    assert_eq!(asked("2026-11-15T02:00:00Z", "2026-11-22T02:00:00Z"), Due::Fire { at: at("2026-11-22T02:00:00Z") });
    assert_eq!(asked("2026-11-15T02:00:00Z", "2026-11-22T03:00:00Z"), Due::Fire { at: at("2026-11-22T02:00:00Z") });
    let (first, last) = (at("2026-11-22T02:00:00Z"), at("2026-11-22T02:00:00Z"));
    assert_eq!(asked("2026-11-15T02:00:00Z", "2026-11-22T03:00:01Z"), Due::Missed { first, last, count: 1, superseded: false });
    assert_eq!(asked("2026-11-22T02:00:00Z", "2026-11-22T02:00:00Z"), Due::NotYet { next: Some(at("2026-11-29T02:00:00Z")) });
    // Three have come, the newest in time: it alone fires, after the others were written down.
    let (first, last) = (at("2026-11-08T02:00:00Z"), at("2026-11-15T02:00:00Z"));
    assert_eq!(asked("2026-11-01T02:00:00Z", "2026-11-22T02:30:00Z"), Due::Missed { first, last, count: 2, superseded: true });
    assert_eq!(due(&cron("cron(0 2 1 1 ? 2020)", "UTC"), at("2026-01-01T00:00:00Z"), 60, at("2026-01-01T00:00:00Z")), Due::NotYet { next: None });
}

#[test]
fn a_minute_schedule_that_slept_for_a_year_is_settled_row_by_row() {
    let minutely = cron("cron(* * * * ? *)", "UTC");
    let mut settled = at("2026-11-20T00:00:00Z");
    let now = at("2026-11-22T00:00:00Z");
    let mut rows = Vec::new();
    let fired = loop {
        match due(&minutely, settled, 60, now) {
            Due::Missed { last, count, .. } => {
                rows.push(count);
                settled = last;
            }
            other => break other,
        }
    };
    assert_eq!(rows, [1_000, 1_000, 879]);
    assert_eq!(fired, Due::Fire { at: now });
}

proptest! {
    /// Whenever the ticks come, every occurrence of two weeks over the autumn change is settled exactly once.
    #[test]
    fn whenever_ticks_come_each_occurrence_is_settled_exactly_once(gaps in prop::collection::vec(1i64..40_000, 1..200), catch_up in 60u32..90_000) {
        let timing = cron("cron(15/30 1-3 * * ? *)", "Europe/Berlin");
        let start = at("2026-10-18T00:00:00Z");
        let (mut settled, mut now, mut seen) = (start, start, Vec::new());
        for gap in gaps {
            now = later(now, gap);
            loop {
                match due(&timing, settled, catch_up, now) {
                    Due::NotYet { next } => {
                        prop_assert!(next.is_none_or(|next| next > now));
                        break;
                    }
                    Due::Fire { at } => {
                        prop_assert!(crate::desk::secs_between(at, now) <= i64::from(catch_up) && at <= now);
                        seen.push(at);
                        settled = at;
                    }
                    Due::Missed { first, last, count, .. } => {
                        let row: Vec<Timestamp> = timing.occurrences(settled).take_while(|at| *at <= last).collect();
                        prop_assert_eq!((row.first(), row.len()), (Some(&first), count as usize));
                        seen.extend(row);
                        settled = last;
                    }
                }
            }
        }
        let all: Vec<Timestamp> = timing.occurrences(start).take_while(|at| *at <= now).collect();
        prop_assert_eq!(seen, all);
    }
}

const POLICY: &str = "name = \"t\"\n[[schedule]]\nname = \"weekly\"\ncron = \"cron(0 2 ? * SUN *)\"\ntime_zone = \"UTC\"\nrun = \"weekly.json\"\n";

fn run() -> BulkRun {
    let run = r#"{"abort_on_issues":true,"waves":[{"name":"wave1","accounts":["111122223333"],"regions":["eu-west-1"],"operation":"Install"}]}"#;
    serde_json::from_str(run).unwrap()
}

fn policy_with(text: &str, input: Option<BulkRun>) -> Policy {
    let mut policy = policy::parse(text, "t.toml").unwrap();
    for schedule in &mut policy.schedules {
        schedule.input = input.clone().map(Box::new);
    }
    policy
}

/// One tick over this organization, where nothing else is stored: what was decided, and the organization afterwards.
fn tick(policy: &Policy, organization: Option<State>, now: &str) -> (Decided, Option<State>) {
    decide_on(policy, organization, &Event::Tick { at: at(now) }, now)
}

fn decide_on(policy: &Policy, organization: Option<State>, event: &Event, now: &str) -> (Decided, Option<State>) {
    let mut loaded = Loaded { items: BTreeMap::from([(Key::organization(), organization.clone())]), counters: BTreeMap::new() };
    let effective = BTreeMap::new();
    let decided = loop {
        let mut desk = Desk::new(at(now), policy, &effective, &loaded);
        match crate::decide(&mut desk, event) {
            Ok(_) => break desk.finish(),
            Err(Missing::Keys(keys)) => loaded.items.extend(keys.into_iter().map(|key| (key, None))),
            Err(other) => panic!("{other:?}"),
        }
    };
    let after = decided.items.get(&Key::organization()).cloned().or(organization);
    (decided, after)
}

fn steps(decided: &Decided) -> Vec<&ScheduleStep> {
    decided.entries.iter().filter_map(|entry| if let Entry::Scheduled { step, .. } = entry { Some(step) } else { None }).collect()
}

/// The runs that were taken in.
fn asked(decided: &Decided) -> Vec<String> {
    let opened = |entry: &Entry| match entry {
        Entry::Bulk(tidegate_events::bulk::BulkEntry::Opened { asked, .. }) => Some(format!("{} by {}", asked.id, asked.by)),
        _ => None,
    };
    decided.entries.iter().filter_map(opened).collect()
}

fn notices(decided: &Decided) -> Vec<&str> {
    decided.actions.iter().filter_map(|action| if let Action::Notify(notice) = action { Some(notice.message.as_str()) } else { None }).collect()
}

#[test]
fn a_schedule_is_met_fires_once_and_a_second_shell_finds_it_settled() {
    let policy = policy_with(POLICY, Some(run()));
    let (met, state) = tick(&policy, None, "2026-11-22T02:00:30Z");
    // Met half a minute after its time: that occurrence was none of its own.
    assert!(matches!(steps(&met)[..], [ScheduleStep::Noted { next: Some(next), .. }] if *next == at("2026-11-29T02:00:00Z")), "{met:?}");
    assert_eq!(state.as_ref().unwrap().due_at(), Some(at("2026-11-29T02:00:00Z")));
    let (early, state) = tick(&policy, state, "2026-11-29T01:59:59Z");
    assert!(early.entries.is_empty() && early.actions.is_empty());
    let (fired, state) = tick(&policy, state, "2026-11-29T02:00:20Z");
    assert!(
        matches!(steps(&fired)[..], [ScheduleStep::Fired { occurrence, run: of, .. }] if *occurrence == at("2026-11-29T02:00:00Z") && *of == run().digest())
    );
    assert_eq!(asked(&fired), ["weekly.20261129T020000Z by schedule.weekly"]);
    let (again, state) = tick(&policy, state, "2026-11-29T02:00:20Z");
    assert!(again.entries.is_empty() && again.actions.is_empty());
    assert_eq!(state.unwrap().due_at(), Some(at("2026-12-06T02:00:00Z")));
}

#[test]
fn what_is_missed_is_written_down_and_told_once() {
    let policy = policy_with(POLICY, Some(run()));
    let (_, state) = tick(&policy, None, "2026-11-01T00:00:00Z");
    let (woken, state) = tick(&policy, state, "2026-11-22T02:30:00Z");
    assert!(matches!(steps(&woken)[..], [ScheduleStep::Missed { count: 3, .. }, ScheduleStep::Fired { .. }]), "{woken:?}");
    assert_eq!(
        notices(&woken),
        ["schedule `weekly` did not fire 3 times from 2026-11-01T02:00:00Z to 2026-11-15T02:00:00Z: a newer occurrence fires in its place"]
    );
    let (late, state) = tick(&policy, state, "2026-11-29T04:00:00Z");
    assert!(matches!(steps(&late)[..], [ScheduleStep::Missed { count: 1, .. }]));
    assert_eq!(notices(&late), ["schedule `weekly` did not fire at 2026-11-29T02:00:00Z: it is later than the policy lets it catch up"]);
    assert!(tick(&policy, state, "2026-11-29T04:01:00Z").0.entries.is_empty());
}

#[test]
fn a_run_input_that_was_not_read_never_fires() {
    let policy = policy_with(POLICY, None);
    let (_, state) = tick(&policy, None, "2026-11-16T00:00:00Z");
    let (decided, _) = tick(&policy, state, "2026-11-22T02:00:00Z");
    assert_eq!(notices(&decided), ["schedule `weekly` did not fire at 2026-11-22T02:00:00Z: its run input `weekly.json` was not read"]);
    assert!(asked(&decided).is_empty());
}

#[test]
fn a_changed_removed_or_paused_schedule_leaves_nothing_unsaid() {
    let policy = policy_with(POLICY, Some(run()));
    let (_, met) = tick(&policy, None, "2026-11-16T00:00:00Z");
    // Changed before its time: met anew. After its time: what it owed is said first.
    let moved = policy_with(&POLICY.replace("0 2", "0 5"), Some(run()));
    let (early, _) = tick(&moved, met.clone(), "2026-11-17T00:00:00Z");
    assert!(matches!(steps(&early)[..], [ScheduleStep::Noted { .. }]));
    let (late, _) = tick(&moved, met.clone(), "2026-11-22T03:00:00Z");
    assert!(matches!(steps(&late)[..], [ScheduleStep::Missed { .. }, ScheduleStep::Noted { .. }]));
    // Removed: only its due item brings it up again, and it ends there.
    let none = policy_with("name = \"t\"\n", None);
    let (silent, _) = tick(&none, met.clone(), "2026-11-22T02:00:00Z");
    assert!(silent.entries.is_empty(), "a policy without schedules reads nothing");
    let paused = policy_with(&format!("{POLICY}enabled = false\n"), Some(run()));
    let (decided, state) = tick(&paused, met, "2026-11-22T02:00:00Z");
    assert_eq!(steps(&decided), [&ScheduleStep::Paused]);
    assert_eq!(state.unwrap().due_at(), None);
}

#[test]
fn a_removed_schedule_is_given_up_when_its_time_comes() {
    let policy = policy_with(POLICY, Some(run()));
    let (_, met) = tick(&policy, None, "2026-11-16T00:00:00Z");
    let none = policy_with("name = \"t\"\n", None);
    let nudge = Event::Nudge(tidegate_events::action::Nudge::Organization);
    let (decided, _) = decide_on(&none, met, &nudge, "2026-11-22T02:00:00Z");
    assert!(matches!(steps(&decided)[..], [ScheduleStep::Missed { next: None, .. }]));
    assert_eq!(decided.items[&Key::organization()].due_at(), None);
}

#[test]
fn a_run_that_is_refused_is_missed_with_the_reason() {
    let mut refused = run();
    // A document instead of the patch, and one before it: nothing would run the latter.
    let both = tidegate_events::run::CustomDocuments { pre_patch: Some("Pre".into()), patch: Some("Own".into()), post_patch: None };
    refused.custom_documents.insert(tidegate_events::host::Platform::Linux, both);
    let policy = policy_with(POLICY, Some(refused));
    let (_, state) = tick(&policy, None, "2026-11-16T00:00:00Z");
    let (decided, state) = tick(&policy, state, "2026-11-22T02:00:00Z");
    assert!(asked(&decided).is_empty() && notices(&decided)[0].contains("its run was refused: "), "{decided:?}");
    assert_eq!(state.unwrap().due_at(), Some(at("2026-11-29T02:00:00Z")));
}

#[test]
fn two_schedules_of_one_time_fire_one_after_the_other() {
    let policy = policy_with(&format!("{POLICY}{}", POLICY.replace("name = \"t\"\n", "").replace("weekly", "other")), Some(run()));
    let (_, state) = tick(&policy, None, "2026-11-16T00:00:00Z");
    let (first, state) = tick(&policy, state, "2026-11-22T02:00:00Z");
    assert_eq!(asked(&first), ["weekly.20261122T020000Z by schedule.weekly"]);
    assert!(first.actions.contains(&Action::Nudge(tidegate_events::action::Nudge::Organization)));
    let (second, state) = tick(&policy, state, "2026-11-22T02:00:00Z");
    assert_eq!(asked(&second), ["other.20261122T020000Z by schedule.other"]);
    assert!(tick(&policy, state, "2026-11-22T02:00:00Z").0.entries.is_empty());
}

#[test]
fn an_occurrence_waits_for_nobody_while_the_run_before_it_is_not_over() {
    let policy = policy_with(POLICY, Some(run()));
    let (_, state) = tick(&policy, None, "2026-11-16T00:00:00Z");
    let (fired, state) = tick(&policy, state, "2026-11-22T02:00:00Z");
    assert_eq!(asked(&fired), ["weekly.20261122T020000Z by schedule.weekly"]);
    // The items of the run that was fired, as they lie in the store.
    let mut items: BTreeMap<Key, Option<State>> = fired.items.iter().map(|(key, state)| (key.clone(), Some(state.clone()))).collect();
    let next = |items: &BTreeMap<Key, Option<State>>, state: &Option<State>| {
        let mut loaded = Loaded { items: items.clone(), counters: BTreeMap::new() };
        loaded.items.insert(Key::organization(), state.clone());
        let effective = BTreeMap::new();
        loop {
            let now = "2026-11-29T02:00:00Z";
            let mut desk = Desk::new(at(now), &policy, &effective, &loaded);
            match crate::decide(&mut desk, &Event::Tick { at: at(now) }) {
                Ok(_) => break desk.finish(),
                Err(Missing::Keys(keys)) => loaded.items.extend(keys.into_iter().map(|key| (key, None))),
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    let held = next(&items, &state);
    assert!(matches!(steps(&held)[..], [ScheduleStep::Missed { count: 1, next: Some(_), .. }]) && asked(&held).is_empty(), "{held:?}");
    assert_eq!(notices(&held), ["schedule `weekly` did not fire at 2026-11-29T02:00:00Z: its run of 2026-11-22T02:00:00Z (patch-t.1) is not over"]);
    for state in items.values_mut() {
        if let Some(State::Campaign(campaign)) = state {
            campaign.phase = crate::state::CampaignPhase::Ended { why: "done".into(), complete: true };
        }
    }
    assert_eq!(asked(&next(&items, &state)), ["weekly.20261129T020000Z by schedule.weekly"]);
}
