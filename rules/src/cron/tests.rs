use super::*;
use proptest::prelude::*;

fn civil(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn next(cron: &str, from: &str) -> Option<String> {
    let from = civil(from);
    let until = from.saturating_add(jiff::Span::new().years(10));
    Cron::parse(cron).unwrap().first_from(from, until).map(|at| at.strftime("%a %Y-%m-%d %H:%M").to_string())
}

/// Found by chance: the thirty-first of months that have thirty days.
#[test]
fn a_day_that_no_named_month_has_is_refused() {
    assert!(matches!(Cron::parse("* * 31W 6/5 ? *"), Err(CronError::Never { .. })));
}

#[test]
fn the_examples_of_the_aws_guides_occur_when_the_guides_say() {
    // Expressions from the EventBridge and Systems Manager guides and from the original documents; 2026-11-21 is a Saturday.
    for (cron, from, expected) in [
        ("cron(0 10 * * ? *)", "2026-11-21T10:00", "Sat 2026-11-21 10:00"),
        ("cron(0 10 * * ? *)", "2026-11-21T10:01", "Sun 2026-11-22 10:00"),
        ("cron(15 12 * * ? *)", "2026-11-21T00:00", "Sat 2026-11-21 12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-21T00:00", "Mon 2026-11-23 18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-21T00:00", "Tue 2026-12-01 08:00"),
        ("cron(0/15 * * * ? *)", "2026-11-21T09:31", "Sat 2026-11-21 09:45"),
        ("cron(*/15 * * * ? *)", "2026-11-21T09:31", "Sat 2026-11-21 09:45"),
        ("cron(5/15 * * * ? *)", "2026-11-21T09:51", "Sat 2026-11-21 10:05"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-21T09:31", "Mon 2026-11-23 00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T17:56", "Mon 2026-11-23 08:00"),
        ("cron(0/30 20-2 ? * MON-FRI *)", "2026-11-20T21:31", "Fri 2026-11-20 22:00"),
        ("cron(0/30 20-2 ? * MON-FRI *)", "2026-11-20T02:31", "Fri 2026-11-20 20:00"),
        ("cron(15 10 ? * 6L 2019-2030)", "2026-11-21T00:00", "Fri 2026-11-27 10:15"),
        ("cron(0 09 ? * WED *)", "2026-11-21T00:00", "Wed 2026-11-25 09:00"),
        ("cron(30 23 ? * TUE#3 *)", "2026-11-21T00:00", "Tue 2026-12-15 23:30"),
        ("cron(0 0 ? * THU#2 *)", "2026-11-21T00:00", "Thu 2026-12-10 00:00"),
        ("cron(0 3 ? * SAT *)", "2026-11-21T03:01", "Sat 2026-11-28 03:00"),
        ("cron(0 5 ? * SUN#1 *)", "2026-11-21T00:00", "Sun 2026-12-06 05:00"),
        ("cron(0 2 ? * SUN#2 *)", "2026-11-21T00:00", "Sun 2026-12-13 02:00"),
    ] {
        assert_eq!(next(cron, from).as_deref(), Some(expected), "{cron} from {from}");
    }
}

#[test]
fn special_days_fall_where_the_calendar_puts_them() {
    for (cron, from, expected) in [
        // `L` alone is the last day of the week for AWS.
        ("0 2 ? * L *", "2026-11-22T00:00", "Sat 2026-11-28 02:00"),
        ("0 2 L * ? *", "2026-11-21T00:00", "Mon 2026-11-30 02:00"),
        ("0 2 L 2 ? *", "2027-12-01T00:00", "Tue 2028-02-29 02:00"),
        ("0 2 LW * ? *", "2027-01-01T00:00", "Fri 2027-01-29 02:00"),
        ("0 2 15W * ? *", "2026-11-01T00:00", "Mon 2026-11-16 02:00"),
        ("0 2 15W * ? *", "2027-05-01T00:00", "Fri 2027-05-14 02:00"),
        ("0 2 15W * ? *", "2026-12-01T00:00", "Tue 2026-12-15 02:00"),
        // The nearest working day never leaves the month.
        ("0 2 1W * ? *", "2026-08-01T00:00", "Mon 2026-08-03 02:00"),
        ("0 2 31W * ? *", "2027-01-01T00:00", "Fri 2027-01-29 02:00"),
        ("0 2 ? * 3#2 *", "2026-11-21T00:00", "Tue 2026-12-08 02:00"),
        ("0 2 ? * SAT#5 *", "2026-11-21T00:00", "Sat 2027-01-30 02:00"),
        ("0 2 ? JAN,JUL SUNL *", "2026-11-21T00:00", "Sun 2027-01-31 02:00"),
        ("0 2 ? * 2/2 *", "2026-11-21T00:00", "Mon 2026-11-23 02:00"),
        ("0 2 ? * fri-mon *", "2026-11-24T00:00", "Fri 2026-11-27 02:00"),
        ("0 2 */10 * ? *", "2026-11-22T00:00", "Tue 2026-12-01 02:00"),
        ("0 0 29 2 ? *", "2026-11-21T00:00", "Tue 2028-02-29 00:00"),
        ("0 0 29 2 ? *", "2096-03-01T00:00", "Fri 2104-02-29 00:00"),
        ("0 0 1 1 ? 2030/2", "2026-11-21T00:00", "Tue 2030-01-01 00:00"),
        ("0 0 1 1 ? */2", "2026-11-21T00:00", "Sat 2028-01-01 00:00"),
    ] {
        assert_eq!(next(cron, from).as_deref(), Some(expected), "{cron} from {from}");
    }
}

#[test]
fn what_lies_in_the_past_or_beyond_the_end_of_the_search_is_none() {
    assert_eq!(next("0 2 ? * SUN 2025", "2026-11-21T00:00"), None);
    assert_eq!(next("0 2 ? * SUN 2045", "2026-11-21T00:00"), None);
    let sundays = Cron::parse("0 2 ? * SUN *").unwrap();
    assert_eq!(sundays.first_from(civil("2026-11-16T00:00"), civil("2026-11-22T01:59")), None);
    assert_eq!(sundays.first_from(civil("2026-11-16T00:00"), civil("2026-11-22T02:00")), Some(civil("2026-11-22T02:00")));
    assert_eq!(sundays.last_until(civil("2026-11-22T01:59:59"), civil("2026-11-15T02:00")), Some(civil("2026-11-15T02:00")));
    assert_eq!(sundays.last_until(civil("2026-11-22T01:59:59"), civil("2026-11-15T02:01")), None);
}

#[test]
fn a_wrong_expression_names_the_field_and_what_is_allowed() {
    for (cron, says) in [
        ("", "`` has 0 fields: expected six"),
        ("0 2 * * *", "has 5 fields"),
        ("0 0 2 ? * SUN *", "has 7 fields"),
        ("cron(0 2 ? * SUN *", "is not a cron expression"),
        ("rate(1 day)", "`rate( )` and `at( )` are not supported"),
        ("60 2 ? * SUN *", "minutes `60` in the cron expression is wrong: `60` is outside 0-59"),
        ("? 2 ? * SUN *", "minutes `?`"),
        ("0 24 ? * SUN *", "hours `24`"),
        ("0 two ? * SUN *", "hours `TWO`"),
        ("0 2 0 * ? *", "day-of-month `0`"),
        ("0 2 32 * ? *", "day-of-month `32`"),
        ("0 2 L-3 * ? *", "day-of-month `L-3`"),
        ("0 2 1,L * ? *", "day-of-month `1,L`"),
        ("0 2 32W * ? *", "day-of-month `32W`"),
        ("0 2 ? 13 SUN *", "month `13`"),
        ("0 2 ? JANUARY SUN *", "month `JANUARY`"),
        ("0 2 ? * 0 *", "day-of-week `0`"),
        ("0 2 ? * 8 *", "day-of-week `8`"),
        ("0 2 ? * SUN#6 *", "after `#` stands 1-5"),
        ("0 2 ? * 3#1,6#3 *", "day-of-week `3#1,6#3`"),
        ("0 2 ? * SUNDAY *", "day-of-week `SUNDAY`"),
        ("0 2 ? * SUN 1969", "year `1969`"),
        ("0 2 ? * SUN 2200", "year `2200`"),
        ("0 2 ? * SUN 2030-2028", "runs backwards"),
        ("0 2 * * * *", "day-of-month `*` and day-of-week `*` are both given"),
        ("0 2 1 * SUN *", "day-of-month `1` and day-of-week `SUN` are both given"),
        ("0 2 ? * ? *", "both `?`"),
        ("/10 2 ? * SUN *", "nothing stands before `/`"),
        ("0/0 2 ? * SUN *", "the step after `/`"),
        ("0/x 2 ? * SUN *", "the step after `/`"),
        ("*,5 2 ? * SUN *", "`*` stands alone"),
        ("1,,2 2 ? * SUN *", "minutes `1,,2`"),
        ("+1 2 ? * SUN *", "minutes `+1`"),
        ("0 2 30 2 ? *", "never occurs"),
        ("0 2 31 APR,JUN ? *", "never occurs"),
        ("0 2 29 2 ? 2025-2027", "never occurs"),
        ("0 2 ? 2 SUN#5 2027", "never occurs"),
    ] {
        let error = Cron::parse(cron).unwrap_err().to_string();
        assert!(error.contains(says), "{cron}: {error}");
    }
}

#[test]
fn words_are_those_of_people() {
    for (cron, words) in [
        ("cron(0 2 ? * SUN *)", Some("every Sunday at 02:00")),
        ("30 3 * * ? *", Some("every day at 03:30")),
        ("30 3 ? * * *", Some("every day at 03:30")),
        ("0 22 ? * MON-FRI *", Some("every Monday to Friday at 22:00")),
        ("0 22 ? * TUE,THU *", Some("every Tuesday and Thursday at 22:00")),
        ("0 2,14 ? * SAT,SUN *", Some("every Sunday and Saturday at 02:00 and 14:00")),
        ("0 5 ? * SUN#1 *", Some("the first Sunday of every month at 05:00")),
        ("0 5 ? 1,7 6L *", Some("the last Friday of January and July at 05:00")),
        ("0 5 1 * ? *", Some("day 1 of every month at 05:00")),
        ("0 5 L * ? *", Some("the last day of every month at 05:00")),
        ("0 5 LW * ? *", Some("the last working day of every month at 05:00")),
        ("0 5 15W * ? *", Some("the working day nearest to day 15 of every month at 05:00")),
        ("0/15 5 ? * SUN *", None),
        ("0 0/2 ? * SUN *", None),
        ("0 5 1,15 * ? *", None),
        ("0 5 ? * SUN 2027", None),
    ] {
        assert_eq!(Cron::parse(cron).unwrap().in_words().as_deref(), words, "{cron}");
    }
}

/// Any expression that the check lets pass, built from its grammar, less those that never occur.
pub(crate) fn any_cron() -> impl Strategy<Value = String> {
    let list = |min: u16, max: u16| {
        let item = prop_oneof![
            (min..=max).prop_map(|n| n.to_string()),
            (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (min..=max, 1..=max.min(30)).prop_map(|(a, s)| format!("{a}/{s}")),
        ];
        prop_oneof![Just("*".to_owned()), proptest::collection::vec(item, 1..4).prop_map(|items| items.join(","))]
    };
    let dom = prop_oneof![list(1, 28), Just("L".to_owned()), Just("LW".to_owned()), (1u16..=31).prop_map(|n| format!("{n}W"))];
    let dow =
        prop_oneof![list(1, 7), Just("L".to_owned()), (1u16..=7).prop_map(|n| format!("{n}L")), (1u16..=7, 1u16..=4).prop_map(|(n, k)| format!("{n}#{k}")),];
    let day = prop_oneof![dom.prop_map(|d| (d, "?".to_owned())), dow.prop_map(|d| ("?".to_owned(), d))];
    (list(0, 59), list(0, 23), day, list(1, 12))
        .prop_map(|(minutes, hours, (dom, dow), months)| format!("{minutes} {hours} {dom} {months} {dow} *"))
        // `31W` in months of thirty days names no day at all.
        .prop_filter("names a day", |text| !matches!(Cron::parse(text), Err(CronError::Never { .. })))
}

/// Whether the expression names this day, by the calendar of jiff alone.
fn names_day(cron: &Cron, day: jiff::civil::Date) -> bool {
    let weekday = |number: u16| jiff::civil::Weekday::from_sunday_zero_offset(i8::try_from(number - 1).unwrap()).unwrap();
    let is_workday = |day: jiff::civil::Date| day.weekday().to_monday_one_offset() <= 5;
    let number = u16::try_from(day.day()).unwrap();
    let in_month = cron.months.listed.contains(&u16::try_from(day.month()).unwrap());
    in_month
        && match &cron.days {
            Days::OfMonth(days) => days.listed.contains(&number),
            Days::LastOfMonth => day == day.last_of_month(),
            Days::LastWorkday => {
                (0..3).find_map(|back| day.last_of_month().checked_sub(jiff::Span::new().days(back)).ok().filter(|day| is_workday(*day))) == Some(day)
            }
            Days::NearestWorkday(wanted) => {
                // The nearest of the working days of the month; of two as near, the one before (a Saturday's Friday).
                let Ok(wanted) = jiff::civil::Date::new(day.year(), day.month(), i8::try_from(*wanted).unwrap()) else { return false };
                let all = (1..=day.days_in_month()).map(|number| day.with().day(number).build().unwrap());
                all.filter(|day| is_workday(*day)).min_by_key(|day| (day.since(wanted).unwrap().get_days().abs(), *day)) == Some(day)
            }
            Days::OfWeek(days) => days.listed.iter().any(|wanted| weekday(*wanted) == day.weekday()),
            Days::LastOfWeek(wanted) => day.nth_weekday_of_month(-1, weekday(*wanted)).unwrap() == day,
            Days::NthOfWeek(wanted, nth) => day.nth_weekday_of_month(i8::try_from(*nth).unwrap(), weekday(*wanted)).is_ok_and(|found| found == day),
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn croner_agrees_with_a_second_opinion(text in any_cron(), year in 2024i16..2040) {
        let cron = Cron::parse(&text).unwrap();
        let mut day = jiff::civil::Date::new(year, 1, 1).unwrap();
        let time = (i8::try_from(cron.hours.listed[0]).unwrap(), i8::try_from(cron.minutes.listed[0]).unwrap());
        while day.year() == year {
            let found = cron.first_from(day.at(0, 0, 0, 0), day.at(23, 59, 59, 0));
            let expected = names_day(&cron, day).then(|| day.at(time.0, time.1, 0, 0));
            prop_assert_eq!(found, expected, "{} on {}", text, day);
            day = day.tomorrow().unwrap();
        }
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_check_panic(text in ".{0,40}") {
        let _ = Cron::parse(&text);
    }

    #[test]
    fn nothing_that_looks_like_cron_makes_the_check_panic(text in "(cron\\()?[0-9*?LW#/,A-Z -]{0,40}\\)?") {
        if let Ok(cron) = Cron::parse(&text) {
            let _ = cron.in_words();
        }
    }

    #[test]
    fn backwards_and_forwards_agree(cron in any_cron(), start in 0i64..40_000_000) {
        let cron = Cron::parse(&cron).unwrap();
        let from = civil("2026-11-21T00:00").checked_add(jiff::SignedDuration::from_secs(start)).unwrap();
        let until = from.saturating_add(jiff::Span::new().years(2));
        if let Some(first) = cron.first_from(from, until) {
            prop_assert!(first >= from);
            prop_assert_eq!(cron.last_until(first, from), Some(first));
            let before = first.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
            if before >= from {
                prop_assert_eq!(cron.last_until(before, from), None);
            }
            let after = first.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
            if let Some(second) = cron.first_from(after, until) {
                prop_assert!(second > first);
                let gap_end = second.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
                prop_assert_eq!(cron.last_until(gap_end, from), Some(first));
            }
        }
    }
}
