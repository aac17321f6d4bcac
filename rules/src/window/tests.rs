use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(name: &str, cron: &str, zone: &str, duration_secs: u32, cutoff_secs: u32) -> Window {
    Window { name: name.to_owned(), cron: cron.to_owned(), time_zone: zone.to_owned(), duration_secs, cutoff_secs }
}

fn sundays() -> Vec<Window> {
    vec![window("sunday", "cron(0 2 ? * SUN *)", "Europe/Berlin", 4 * 3600, 3600)]
}

fn open(closes_at: &str, cutoff_at: &str) -> Opening {
    Opening::Open { closes_at: at(closes_at), cutoff_at: at(cutoff_at) }
}

fn openings(windows: &[Window], from: &str, count: usize) -> Vec<String> {
    let calendar = Calendar::new(windows).unwrap();
    let mut now = at(from);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = calendar.next_opening(now) else { break };
        found.push(next.to_string());
        now = next;
    }
    found
}

#[test]
fn without_windows_it_is_always_open() {
    assert_eq!(look(&[], at("2026-11-21T00:00:00Z")), Ok(Opening::Always));
    assert_eq!(next_opening(&[], at("2026-11-21T00:00:00Z")), Ok(None));
    assert!(Opening::Always.lets_start(at("2026-11-21T00:00:00Z")));
}

#[test]
fn a_window_is_open_from_its_start_to_just_before_its_end() {
    let windows = sundays();
    let closed = |opens: &str| Ok(Opening::Closed { opens_at: Some(at(opens)) });
    assert_eq!(look(&windows, at("2026-11-22T00:59:59.999Z")), closed("2026-11-22T01:00:00Z"));
    let expected = open("2026-11-22T05:00:00Z", "2026-11-22T04:00:00Z");
    assert_eq!(look(&windows, at("2026-11-22T01:00:00Z")), Ok(expected));
    assert_eq!(look(&windows, at("2026-11-22T03:00:00.5Z")), Ok(expected));
    assert_eq!(look(&windows, at("2026-11-22T04:30:00Z")), Ok(expected));
    assert!(expected.lets_start(at("2026-11-22T03:59:59.999Z")));
    assert!(!expected.lets_start(at("2026-11-22T04:00:00Z")));
    assert_eq!(look(&windows, at("2026-11-22T05:00:00Z")), closed("2026-11-29T01:00:00Z"));
    // Strictly after.
    assert_eq!(next_opening(&windows, at("2026-11-22T01:00:00Z")), Ok(Some(at("2026-11-29T01:00:00Z"))));
}

#[test]
fn of_overlapping_windows_the_latest_cutoff_counts() {
    let mut windows = sundays();
    windows.push(window("long", "0 3 ? * SUN *", "Europe/Berlin", 4 * 3600, 3 * 3600));
    assert_eq!(look(&windows, at("2026-11-22T02:30:00Z")), Ok(open("2026-11-22T05:00:00Z", "2026-11-22T04:00:00Z")));
    assert_eq!(look(&windows, at("2026-11-22T05:30:00Z")), Ok(open("2026-11-22T06:00:00Z", "2026-11-22T03:00:00Z")));
    // One that opens again before it has closed.
    let hourly = [window("hourly", "0 * * * ? *", "UTC", 2 * 3600, 600)];
    assert_eq!(look(&hourly, at("2026-11-22T02:30:00Z")), Ok(open("2026-11-22T04:00:00Z", "2026-11-22T03:50:00Z")));
}

#[test]
fn a_start_in_the_spring_gap_opens_right_after_it() {
    let berlin = [window("w", "30 2 * * ? *", "Europe/Berlin", 3600, 0)];
    assert_eq!(openings(&berlin, "2027-03-26T12:00:00Z", 3), ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]);
    assert_eq!(look(&berlin, at("2027-03-28T00:59:59Z")), Ok(Opening::Closed { opens_at: Some(at("2027-03-28T01:00:00Z")) }));
    assert_eq!(look(&berlin, at("2027-03-28T01:00:00Z")), Ok(open("2027-03-28T02:00:00Z", "2027-03-28T02:00:00Z")));
    let new_york = [window("w", "30 2 ? * SUN *", "America/New_York", 3600, 0)];
    assert_eq!(openings(&new_york, "2027-03-10T12:00:00Z", 2), ["2027-03-14T07:00:00Z", "2027-03-21T06:30:00Z"]);
    // The edges of the gap: 02:00 is in it, 03:00 is not, and both are the same instant.
    for cron in ["0 2 28 3 ? 2027", "59 2 28 3 ? 2027", "0 3 28 3 ? 2027"] {
        assert_eq!(openings(&[window("w", cron, "Europe/Berlin", 3600, 0)], "2027-01-01T00:00:00Z", 2), ["2027-03-28T01:00:00Z"], "{cron}");
    }
    // A gap of a whole day: Samoa left out 30 December 2011.
    let samoa = [window("w", "0 12 30,31 12 ? 2011", "Pacific/Apia", 3600, 0)];
    assert_eq!(openings(&samoa, "2011-12-01T00:00:00Z", 3), ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]);
}

#[test]
fn a_start_in_the_autumn_fold_opens_once() {
    let berlin = [window("w", "30 2 * * ? *", "Europe/Berlin", 5400, 0)];
    assert_eq!(openings(&berlin, "2027-10-29T12:00:00Z", 3), ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
    // Still open through the change, for as much real time as ever: 02:30 to the second 03:00.
    assert_eq!(look(&berlin, at("2027-10-31T01:15:00Z")), Ok(open("2027-10-31T02:00:00Z", "2027-10-31T02:00:00Z")));
    assert_eq!(look(&berlin, at("2027-10-31T02:00:00Z")), Ok(Opening::Closed { opens_at: Some(at("2027-11-01T01:30:00Z")) }));
    let new_york = [window("w", "30 1 ? * SUN *", "America/New_York", 600, 0)];
    assert_eq!(openings(&new_york, "2027-11-01T12:00:00Z", 2), ["2027-11-07T05:30:00Z", "2027-11-14T06:30:00Z"]);
    // During the second 01:30 nothing opens again.
    assert_eq!(look(&new_york, at("2027-11-07T06:30:00Z")), Ok(Opening::Closed { opens_at: Some(at("2027-11-14T06:30:00Z")) }));
    // At the very second of the change, and one before.
    let before = [window("w", "59 1 7 11 ? 2027", "America/New_York", 600, 0)];
    assert_eq!(look(&before, at("2027-11-07T05:59:59Z")), Ok(open("2027-11-07T06:09:00Z", "2027-11-07T06:09:00Z")));
    assert_eq!(look(&before, at("2027-11-07T06:00:00Z")), Ok(open("2027-11-07T06:09:00Z", "2027-11-07T06:09:00Z")));
}

#[test]
fn what_never_opens_again_says_so() {
    let past = [window("w", "0 2 ? * SUN 2025", "UTC", 3600, 0)];
    assert_eq!(look(&past, at("2026-11-21T00:00:00Z")), Ok(Opening::Closed { opens_at: None }));
    let leap = [window("w", "0 2 29 2 ? *", "UTC", 3600, 0)];
    assert_eq!(next_opening(&leap, at("2096-03-01T00:00:00Z")), Ok(Some(at("2104-02-29T02:00:00Z"))));
    assert_eq!(look(&sundays(), Timestamp::MAX), Ok(Opening::Closed { opens_at: None }));
    assert_eq!(look(&sundays(), Timestamp::MIN).map(|_| ()), Ok(()));
}

#[test]
fn a_window_that_can_not_be_read_is_an_error_that_names_it() {
    let error = look(&[window("sunday", "0 2 * * *", "UTC", 3600, 0)], Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "maintenance window `sunday` has a wrong cron");
    let error = look(&[window("sunday", "0 2 * * ? *", "Europe/Berln", 3600, 0)], Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().contains("unknown time zone `Europe/Berln`"), "{error}");
    assert!(time_zone("Etc/Unknown").is_none());
    assert!(time_zone("utc").is_some());
}

#[test]
fn two_calendars_are_open_when_both_are() {
    let ours = sundays();
    let theirs = [window("late", "0 4 ? * SUN *", "Europe/Berlin", 4 * 3600, 0)];
    let now = |text| look_both(&ours, &theirs, at(text)).unwrap();
    assert_eq!(now("2026-11-22T01:30:00Z"), Opening::Closed { opens_at: Some(at("2026-11-22T03:00:00Z")) });
    assert_eq!(now("2026-11-22T03:30:00Z"), open("2026-11-22T05:00:00Z", "2026-11-22T04:00:00Z"));
    assert_eq!(look_both(&ours, &[], at("2026-11-22T03:30:00Z")), look(&ours, at("2026-11-22T03:30:00Z")));
    let never = [window("monday", "0 4 ? * MON *", "Europe/Berlin", 3600, 0)];
    assert_eq!(look_both(&ours, &never, at("2026-11-22T03:30:00Z")), Ok(Opening::Closed { opens_at: None }));
}

/// Every opening in a span, found the slow and simple way.
fn all_openings(window: &Window, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let cron = Cron::parse(&window.cron).unwrap();
    let zone = time_zone(&window.time_zone).unwrap();
    let day = SignedDuration::from_hours(48);
    let (mut civil, end) = (zone.to_datetime(from).checked_sub(day).unwrap(), zone.to_datetime(until).checked_add(day).unwrap());
    let mut found = Vec::new();
    while let Some(next) = cron.first_from(civil, end) {
        found.push(place(&zone, next).unwrap());
        civil = next.checked_add(SignedDuration::from_secs(1)).unwrap();
    }
    found
}

fn any_window() -> impl Strategy<Value = Window> {
    let cron = prop_oneof![
        (0u8..60, 0u8..4).prop_map(|(minute, hour)| format!("{minute} {hour} * * ? *")),
        (0u8..60, 0u8..24, 1u8..8).prop_map(|(minute, hour, day)| format!("{minute} {hour} ? * {day} *")),
        (0u8..60, 1u8..29).prop_map(|(minute, day)| format!("{minute} 2 {day} * ? *")),
        Just("0/20 * * * ? *".to_owned()),
    ];
    let zone = prop_oneof![Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("UTC"), Just("Asia/Kolkata")];
    (cron, zone, 600u32..200_000).prop_map(|(cron, zone, duration)| window("w", &cron, zone, duration, duration / 4))
}

/// Times around the changes of 2027, where mistakes would be.
fn any_time() -> impl Strategy<Value = Timestamp> {
    let around = |text: &str| {
        let middle = at(text).as_second();
        (middle - 100_000..middle + 100_000).prop_map(|second| Timestamp::from_second(second).unwrap())
    };
    prop_oneof![
        around("2027-03-28T01:00:00Z"),
        around("2027-10-31T01:00:00Z"),
        around("2027-03-14T07:00:00Z"),
        around("2027-11-07T06:00:00Z"),
        around("2027-04-03T15:00:00Z"),
        around("2027-10-02T15:30:00Z"),
    ]
}

proptest! {
    #[test]
    fn looks_agree_with_the_slow_and_simple_way(window in any_window(), now in any_time()) {
        let duration = SignedDuration::from_secs(i64::from(window.duration_secs));
        let cutoff = SignedDuration::from_secs(i64::from(window.cutoff_secs));
        let all = all_openings(&window, now - duration, now + SignedDuration::from_hours(24 * 35));
        let latest = all.iter().copied().filter(|opening| *opening <= now).max();
        let next = all.iter().copied().filter(|opening| *opening > now).min();
        let expected = match latest {
            Some(opening) if now < opening + duration => Opening::Open { closes_at: opening + duration, cutoff_at: opening + duration - cutoff },
            _ => Opening::Closed { opens_at: next },
        };
        let calendar = Calendar::new(std::slice::from_ref(&window)).unwrap();
        prop_assert_eq!(calendar.look(now), expected);
        prop_assert_eq!(calendar.next_opening(now), next);
    }

    #[test]
    fn openings_are_ordered_and_open(windows in proptest::collection::vec(any_window(), 1..4), start in any_time()) {
        let calendar = Calendar::new(&windows).unwrap();
        let mut now = start;
        for _ in 0..5 {
            let next = calendar.next_opening(now).unwrap();
            prop_assert!(next > now);
            let opening = calendar.look(next);
            prop_assert!(opening.lets_start(next), "{:?}", opening);
            if let Opening::Closed { opens_at } = calendar.look(now) {
                prop_assert_eq!(opens_at, Some(next));
                prop_assert!(!calendar.look(next - SignedDuration::from_nanos(1)).lets_start(next));
            }
            if let Opening::Open { closes_at, cutoff_at } = opening {
                prop_assert!(cutoff_at < closes_at && next < cutoff_at);
            }
            now = next;
        }
    }

    #[test]
    fn both_open_is_what_both_say(ours in any_window(), theirs in any_window(), now in any_time()) {
        let (ours, theirs) = ([ours], [theirs]);
        let both = look_both(&ours, &theirs, now).unwrap();
        let each = look(&ours, now).unwrap().lets_start(now) && look(&theirs, now).unwrap().lets_start(now);
        prop_assert_eq!(both.lets_start(now), each);
        if let Opening::Closed { opens_at: Some(next) } = both {
            prop_assert!(next > now);
            prop_assert!(look_both(&ours, &theirs, next).unwrap().lets_start(next));
        }
    }
}
