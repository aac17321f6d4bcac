//! Two weeks of virtual time over a daylight-saving change: three schedules, a freeze, and two days on which nothing ran, one
//! maintenance window among them. What is written down is compared with `calendar/two-weeks.txt`; what must hold of every start is
//! computed here from the calendar alone. `TIDEGATE_BLESS=1` writes the file anew.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tidegate_cli::drive::{Drive, People};
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_events::Entry;
use tidegate_events::bulk::BulkEntry;
use tidegate_events::entry::RunStep;
use tidegate_events::journal::Line;
use tidegate_events::schedule::ScheduleStep;
use tidegate_rules::policy::{self, Policy};
use tidegate_world::{Faults, Spec, World};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calendar")
}

fn calendar() -> Policy {
    let read = |name: &str| std::fs::read(folder().join(name)).map_err(|error| error.to_string());
    let text = String::from_utf8(read("policy.toml").unwrap()).unwrap();
    policy::parse(&text, "policy.toml").unwrap().with_runs(read).unwrap()
}

async fn lines(store: &impl Store) -> Vec<Line> {
    let mut after = 0;
    let mut lines = Vec::new();
    loop {
        let page = store.journal(after, 4096).await.unwrap();
        let Some((last, _)) = page.last() else { return lines };
        after = *last;
        lines.extend(page.iter().map(|(_, bytes)| serde_json::from_slice::<Line>(bytes).unwrap()));
    }
}

/// Monday to Monday; nothing runs from Wednesday noon to Friday noon of the second week.
async fn two_weeks() -> (Vec<Line>, tidegate_world::Counts) {
    let (start, down, up, end) = (at("2026-10-19T00:00:00Z"), at("2026-10-28T12:00:00Z"), at("2026-10-30T12:00:00Z"), at("2026-11-02T12:00:00Z"));
    let world = World::new(Spec::generate(1, 1, 24, 7, Faults::none()), start);
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), world, calendar());
    let mut drive = Drive::new(engine, start, People::default()).await.unwrap();
    drive.move_to(down, &mut |_| {}).await.unwrap();
    let engine = drive.engine;
    let waiting = engine.cloud().advance(up);
    let mut drive = Drive::new(engine, up, People::default()).await.unwrap();
    for delivery in waiting {
        drive.feed("the queue", &delivery.bytes).await.unwrap();
    }
    drive.move_to(end, &mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
    let counts = drive.engine.cloud().counts();
    (lines(drive.engine.store()).await, counts)
}

#[tokio::test]
async fn two_weeks_over_the_change() {
    let (lines, counts) = two_weeks().await;
    assert_eq!((counts.doubled, counts.overlaps), (0, 0));
    starts_keep_the_calendar(&lines);
    every_occurrence_is_settled_once(&lines);
    let told = story(&lines);
    let path = folder().join("two-weeks.txt");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let differs = told.lines().zip(golden.lines()).find(|(told, golden)| told != golden);
    assert!(told == golden, "first difference: {differs:?}; run again with TIDEGATE_BLESS=1 and look at the diff");
}

/// Every install starts in the first 34.5 minutes of a night from two o'clock (90 minutes, less 15 of cutoff, 40 that a patch may run
/// and half a minute to deliver), never in the freeze, never while nothing ran, and no host twice; and the wave needs several nights.
fn starts_keep_the_calendar(lines: &[Line]) {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let (from, until) = (at("2026-10-21T00:00:00Z"), at("2026-10-24T00:00:00Z"));
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut nights = BTreeSet::new();
    let mut patched = BTreeSet::new();
    for line in lines {
        for entry in &line.entries {
            match entry {
                Entry::BatchPlanned { batch, members: in_it, .. } => {
                    members.insert(batch.to_string(), in_it.iter().map(|member| member.instance.to_string()).collect());
                }
                Entry::Sending { batch, step: RunStep::Install, at, .. } => {
                    let local = at.to_zoned(berlin.clone());
                    assert!(matches!(local.weekday(), Weekday::Tuesday | Weekday::Thursday | Weekday::Sunday), "{local}");
                    // Of the hour that comes twice, the first: the window opens once.
                    let opened = local.date().at(2, 0, 0, 0).to_zoned(berlin.clone()).unwrap().timestamp();
                    let since = at.duration_since(opened);
                    assert!(SignedDuration::ZERO <= since && since <= SignedDuration::from_secs(2_070), "{local} is {since} after the window opened");
                    assert!(*at < from || *at >= until, "{at} lies in the freeze");
                    nights.insert(local.date());
                    for instance in &members[&batch.to_string()] {
                        assert!(patched.insert(instance.clone()), "{instance} was installed twice");
                    }
                }
                _ => {}
            }
        }
    }
    assert!(nights.len() >= 3 && patched.len() >= 7, "{} hosts in {nights:?}", patched.len());
}

/// Fired and missed together are what the three calendars say, computed with Python's `zoneinfo`; nothing twice.
fn every_occurrence_is_settled_once(lines: &[Line]) {
    let mut fired: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut missed: BTreeMap<&str, Vec<(String, u32)>> = BTreeMap::new();
    for entry in lines.iter().flat_map(|line| &line.entries) {
        match entry {
            Entry::Scheduled { schedule, step: ScheduleStep::Fired { occurrence, .. } } => fired.entry(schedule).or_default().push(occurrence.to_string()),
            Entry::Scheduled { schedule, step: ScheduleStep::Missed { first, count, .. } } => {
                missed.entry(schedule).or_default().push((first.to_string(), *count));
            }
            _ => {}
        }
    }
    assert_eq!(fired["sundays"], ["2026-10-25T00:30:00Z", "2026-11-01T01:30:00Z"]);
    assert_eq!(fired["patch-tuesday"], ["2026-10-27T21:00:00Z"]);
    let mornings: Vec<String> = (19..=31)
        .filter(|day| *day != 29 && *day != 30)
        .map(|day| format!("2026-10-{day}T10:00:00Z"))
        .chain(["2026-11-01T11:00:00Z", "2026-11-02T11:00:00Z"].map(str::to_owned))
        .collect();
    assert_eq!(fired["mornings"], mornings);
    assert_eq!(missed, BTreeMap::from([("mornings", vec![("2026-10-29T10:00:00Z".to_owned(), 2)])]));
}

/// What the journal says about the calendar, a sentence a line.
fn story(lines: &[Line]) -> String {
    let mut told = String::new();
    for line in lines {
        for entry in &line.entries {
            let is_told = match entry {
                Entry::Sending { step, .. } => *step == RunStep::Install,
                Entry::Scheduled { .. }
                | Entry::BreachesTold { .. }
                | Entry::Deadline { .. }
                | Entry::CampaignClosed { .. }
                | Entry::CampaignEnded { .. }
                | Entry::WaveOpened { .. }
                | Entry::WaveProven { .. }
                | Entry::WaveRenewed { .. }
                | Entry::CellHeld { .. }
                | Entry::Held { .. } => true,
                _ => false,
            };
            if let Some(sentence) = tidegate_report::sentence::sentence(entry, None).filter(|_| is_told) {
                writeln!(told, "{}  {sentence}", line.at.strftime("%a %d %H:%M:%S")).unwrap();
            }
        }
    }
    told
}

const OVERLAP: &str = r#"
name = "overlap"
environment = "staging"

[approval]
quorum = 0
four_eyes = false

[blast_radius]
wave = "50%"
account = "50%"
region = "50%"
organization = "50%"

[[schedule]]
name = "one"
cron = "cron(0 2 * * ? *)"
time_zone = "UTC"
run = "run.json"

[[schedule]]
name = "two"
cron = "cron(0 2 * * ? *)"
time_zone = "UTC"
run = "run.json"
"#;

/// Two schedules of one time mean the same fleet, while findings about it come in: each host is installed once, and each is installed.
#[tokio::test]
async fn overlapping_schedules_never_patch_a_host_twice() {
    let run = std::fs::read_to_string(folder().join("run.json")).unwrap().replace("\"dryRun\": true", "\"dryRun\": false");
    let policy = policy::parse(OVERLAP, "overlap.toml").unwrap().with_runs(|_| Ok(run.clone().into_bytes())).unwrap();
    let (start, end) = (at("2026-10-19T00:00:00Z"), at("2026-10-20T01:00:00Z"));
    let world = World::new(Spec::generate(1, 1, 24, 7, Faults::none()), start);
    let hosts = world.hosts().len();
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), world, policy);
    let mut drive = Drive::new(engine, start, People::default()).await.unwrap();
    drive.move_to(end, &mut |_| {}).await.unwrap();
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
    let counts = drive.engine.cloud().counts();
    assert_eq!((counts.doubled, counts.overlaps), (0, 0));
    let mut asked = Vec::new();
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut installs: BTreeMap<String, u32> = BTreeMap::new();
    for entry in lines(drive.engine.store()).await.iter().flat_map(|line| &line.entries) {
        match entry {
            Entry::Bulk(BulkEntry::Opened { asked: run, .. }) => asked.push(run.id.clone()),
            Entry::BatchPlanned { batch, members: in_it, .. } => {
                members.insert(batch.to_string(), in_it.iter().map(|member| member.instance.to_string()).collect());
            }
            // What a campaign of findings installed before the runs were asked for is none of theirs: a run takes patched hosts too.
            Entry::Sending { batch, step: RunStep::Install, at: sent_at, .. } if *sent_at >= at("2026-10-19T02:00:00Z") => {
                for instance in &members[&batch.to_string()] {
                    *installs.entry(instance.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    assert_eq!(asked, ["one.20261019T020000Z", "two.20261019T020000Z"]);
    let twice: Vec<&String> = installs.iter().filter(|(_, count)| **count > 1).map(|(instance, _)| instance).collect();
    assert_eq!(twice, Vec::<&String>::new());
    assert!(installs.len() * 10 >= hosts * 8, "only {} of {hosts} hosts were installed", installs.len());
}
