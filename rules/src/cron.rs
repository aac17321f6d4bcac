//! The six-field cron of AWS, checked strictly and evaluated over civil time.
//!
//! `minutes hours day-of-month month day-of-week year`, as EventBridge and Systems Manager write it, with or without `cron( )`.
//! AWS numbers weekdays from Sunday = 1 and wants `?` in exactly one of the two day fields. What is accepted here is no more
//! than that, so that a window can be pasted into a schedule and back.
//!
//! The search for occurrences is croner's, but over civil time alone: this module knows no time zone, and so no daylight
//! saving. [`window`](crate::window) puts civil times on the time line, by rules of our own.

use std::fmt;

use croner::parser::{CronParser, Seconds, Year};
use croner::time::{CivilDateTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;

mod words;

/// A cron expression that is not one of AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not six fields.
    #[error("`{got}` has {fields} fields: expected six (minutes hours day-of-month month day-of-week year), such as `cron(0 2 ? * SUN *)`")]
    Shape {
        /// What was given.
        got: String,
        /// How many fields it has.
        fields: usize,
    },
    /// Another kind of AWS schedule.
    #[error("`{got}` is not a cron expression: expected one such as `cron(0 2 ? * SUN *)`; `rate( )` and `at( )` are not supported")]
    OtherSchedule {
        /// What was given.
        got: String,
    },
    /// One field is wrong.
    #[error("{field} `{got}` in the cron expression is wrong: {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it says.
        got: String,
        /// What is allowed.
        expected: String,
    },
    /// Both day fields say something.
    #[error("day-of-month `{month}` and day-of-week `{week}` are both given: expected `?` in one of them")]
    TwoDays {
        /// The day of the month.
        month: String,
        /// The day of the week.
        week: String,
    },
    /// No day field says anything.
    #[error("day-of-month and day-of-week are both `?`: expected `?` in only one of them, and `*` or a day in the other")]
    NoDay,
    /// Such a day does not exist.
    #[error("`{got}` never occurs between 1970 and 2199: expected a day that exists")]
    Never {
        /// What was given.
        got: String,
    },
    /// The engine refused what the check let pass.
    #[error("`{got}` can't be evaluated: {why}")]
    Engine {
        /// What was given.
        got: String,
        /// What the engine says.
        why: String,
    },
}

/// A checked cron expression.
#[derive(Debug, Clone)]
pub struct Cron {
    minutes: Values,
    hours: Values,
    days: Days,
    months: Values,
    years: Values,
    engine: croner::Cron,
}

/// Which days it names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    OfMonth(Values),
    LastOfMonth,
    LastWorkday,
    NearestWorkday(u16),
    OfWeek(Values),
    /// The last such weekday of the month; 1 is Sunday.
    LastOfWeek(u16),
    /// The nth such weekday of the month.
    NthOfWeek(u16, u16),
}

/// The values that a field matches, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values {
    listed: Vec<u16>,
    all: bool,
}

impl Values {
    fn only(&self) -> Option<u16> {
        match self.listed.as_slice() {
            [value] => Some(*value),
            _ => None,
        }
    }
}

/// As croner reads it: runs, so that a long list stays short.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for value in &self.listed {
            match runs.last_mut() {
                Some((_, end)) if *end + 1 == *value => *end = *value,
                _ => runs.push((*value, *value)),
            }
        }
        for (place, (start, end)) in runs.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if start == end { write!(f, "{comma}{start}")? } else { write!(f, "{comma}{start}-{end}")? }
        }
        Ok(())
    }
}

/// One field's rules.
struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    /// Names of its values from `min` on.
    names: &'static [&'static str],
    expected: &'static str,
}

const MINUTES: Field = Field { name: "minutes", min: 0, max: 59, names: &[], expected: "0-59 with `,` `-` `*` `/`" };
const HOURS: Field = Field { name: "hours", min: 0, max: 23, names: &[], expected: "0-23 with `,` `-` `*` `/`" };
const DAY_OF_MONTH: Field = Field {
    name: "day-of-month",
    min: 1,
    max: 31,
    names: &[],
    expected: "1-31 with `,` `-` `*` `/`, or one of `?`, `L` (last day), `LW` (last working day), `15W` (working day nearest the 15th)",
};
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    expected: "1-12 or JAN-DEC with `,` `-` `*` `/`",
};
const DAY_OF_WEEK: Field = Field {
    name: "day-of-week",
    min: 1,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    expected: "1-7 (1 is Sunday) or SUN-SAT with `,` `-` `*` `/`, or one of `?`, `L` (Saturday), `6L` (last Friday), `SUN#1` (first Sunday)",
};
const YEAR: Field = Field { name: "year", min: 1970, max: 2199, names: &[], expected: "1970-2199 with `,` `-` `*` `/`" };

impl Field {
    fn wrong(&self, got: &str, why: &str) -> CronError {
        let expected = if why.is_empty() { format!("expected {}", self.expected) } else { format!("{why}; expected {}", self.expected) };
        CronError::Field { field: self.name, got: shown(got), expected }
    }

    /// One value: a number or a name.
    fn value(&self, whole: &str, text: &str) -> Result<u16, CronError> {
        if let Some(place) = self.names.iter().position(|name| *name == text) {
            return u16::try_from(place).map(|place| place + self.min).map_err(|_| self.wrong(whole, ""));
        }
        let number = plain_number(text).ok_or_else(|| self.wrong(whole, ""))?;
        if number < self.min || number > self.max {
            return Err(self.wrong(whole, &format!("`{number}` is outside {}-{}", self.min, self.max)));
        }
        Ok(number)
    }

    /// A list of values, ranges and steps.
    fn values(&self, whole: &str) -> Result<Values, CronError> {
        let mut listed = Vec::new();
        for part in whole.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => {
                    let step = plain_number(step).filter(|step| (1..=self.max).contains(step));
                    (range, Some(step.ok_or_else(|| self.wrong(whole, &format!("the step after `/` must be 1-{}", self.max)))?))
                }
                None => (part, None),
            };
            let (start, end) = match range {
                "" if step.is_some() => return Err(self.wrong(whole, "nothing stands before `/`, where `*` means from the start")),
                "*" if step.is_none() && whole != "*" => return Err(self.wrong(whole, "`*` stands alone")),
                "*" => (self.min, self.max),
                _ => match range.split_once('-') {
                    Some((start, end)) => (self.value(whole, start)?, self.value(whole, end)?),
                    None => {
                        let start = self.value(whole, range)?;
                        (start, if step.is_some() { self.max } else { start })
                    }
                },
            };
            // Backwards it runs over the end, as in AWS's own `20-2` for the night hours; years have no such end.
            let turn = self.max - self.min + 1;
            let end = match start > end {
                true if self.max > 1000 => return Err(self.wrong(whole, &format!("the range `{range}` runs backwards"))),
                true => end + turn,
                false => end,
            };
            listed.extend((start..=end).step_by(usize::from(step.unwrap_or(1))).map(|value| if value > self.max { value - turn } else { value }));
        }
        listed.sort_unstable();
        listed.dedup();
        let all = listed.len() == usize::from(self.max - self.min) + 1;
        Ok(Values { listed, all })
    }
}

/// Up to four digits.
fn plain_number(text: &str) -> Option<u16> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// At most so much of a wrong input as a person wants to read.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn day_of_month(text: &str) -> Result<Days, CronError> {
    match text {
        "L" => Ok(Days::LastOfMonth),
        "LW" => Ok(Days::LastWorkday),
        _ => match text.strip_suffix('W') {
            Some(day) => Ok(Days::NearestWorkday(DAY_OF_MONTH.value(text, day)?)),
            None => Ok(Days::OfMonth(DAY_OF_MONTH.values(text)?)),
        },
    }
}

fn day_of_week(text: &str) -> Result<Days, CronError> {
    if text == "L" {
        // AWS: alone it means the last day of the week. (croner finds no occurrence for it.)
        return Ok(Days::OfWeek(Values { listed: vec![7], all: false }));
    }
    if let Some((day, nth)) = text.split_once('#') {
        let nth = plain_number(nth).filter(|nth| (1..=5).contains(nth)).ok_or_else(|| DAY_OF_WEEK.wrong(text, "after `#` stands 1-5"))?;
        return Ok(Days::NthOfWeek(DAY_OF_WEEK.value(text, day)?, nth));
    }
    match text.strip_suffix('L') {
        Some(day) => Ok(Days::LastOfWeek(DAY_OF_WEEK.value(text, day)?)),
        None => Ok(Days::OfWeek(DAY_OF_WEEK.values(text)?)),
    }
}

impl Cron {
    /// Checks an expression.
    ///
    /// # Errors
    /// Which field is wrong and what is allowed there.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let trimmed = text.trim();
        let inner = match trimmed.strip_prefix("cron(") {
            Some(rest) => rest.strip_suffix(')').ok_or_else(|| CronError::OtherSchedule { got: shown(text) })?,
            None if trimmed.contains(['(', ')']) => return Err(CronError::OtherSchedule { got: shown(text) }),
            None => trimmed,
        };
        let upper = inner.to_ascii_uppercase();
        let fields: Vec<&str> = upper.split_ascii_whitespace().collect();
        let [minutes, hours, of_month, months, of_week, years] = fields.as_slice() else {
            return Err(CronError::Shape { got: shown(text), fields: fields.len() });
        };
        let minutes = MINUTES.values(minutes)?;
        let hours = HOURS.values(hours)?;
        let months = MONTH.values(months)?;
        let years = YEAR.values(years)?;
        let days = match (*of_month, *of_week) {
            ("?", "?") => return Err(CronError::NoDay),
            (_, "?") => day_of_month(of_month)?,
            ("?", _) => day_of_week(of_week)?,
            _ => {
                day_of_month(of_month)?;
                day_of_week(of_week)?;
                return Err(CronError::TwoDays { month: shown(of_month), week: shown(of_week) });
            }
        };
        let engine = engine(&minutes, &hours, &days, &months, &years).map_err(|why| CronError::Engine { got: shown(text), why: why.to_string() })?;
        let cron = Self { minutes, hours, days, months, years, engine };
        if cron.can_be_rare() && cron.first_from(DateTime::constant(1970, 1, 1, 0, 0, 0, 0), DateTime::constant(2199, 12, 31, 23, 59, 59, 0)).is_none() {
            return Err(CronError::Never { got: shown(text) });
        }
        Ok(cron)
    }

    /// Whether some year, or every year, might lack the day: only then is it worth a search.
    fn can_be_rare(&self) -> bool {
        match &self.days {
            Days::OfMonth(days) => days.listed.first().is_some_and(|day| *day > 28),
            Days::NearestWorkday(day) => *day > 28,
            Days::NthOfWeek(_, nth) => *nth == 5,
            _ => false,
        }
    }

    /// Whether any of its years lies in the span: croner would look through the rest of time.
    fn years_meet(&self, from: DateTime, until: DateTime) -> bool {
        let span = i32::from(from.year())..=i32::from(until.year());
        self.years.listed.iter().any(|year| span.contains(&i32::from(*year)))
    }

    /// The first occurrence from `from` on (inclusive) and not after `until`.
    pub fn first_from(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        if !self.years_meet(from, until) {
            return None;
        }
        let origin = Bounded::new(from, from, until)?;
        self.engine.find_next_occurrence(&origin, true).ok().and_then(|found| found.within())
    }

    /// The last occurrence up to `until` (inclusive) and not before `from`.
    pub fn last_until(&self, until: DateTime, from: DateTime) -> Option<DateTime> {
        if !self.years_meet(from, until) {
            return None;
        }
        let origin = Bounded::new(until, from, until)?;
        self.engine.find_previous_occurrence(&origin, true).ok().and_then(|found| found.within())
    }
}

/// Croner's form of the same: seconds and years given, weekdays from Sunday = 1, nothing left to its own reading of `*/n`.
fn engine(minutes: &Values, hours: &Values, days: &Days, months: &Values, years: &Values) -> Result<croner::Cron, croner::errors::CronError> {
    let (of_month, of_week) = match days {
        Days::OfMonth(days) if days.all => ("*".to_owned(), "*".to_owned()),
        Days::OfMonth(days) => (days.to_string(), "*".to_owned()),
        Days::LastOfMonth => ("L".to_owned(), "*".to_owned()),
        Days::LastWorkday => ("LW".to_owned(), "*".to_owned()),
        Days::NearestWorkday(day) => (format!("{day}W"), "*".to_owned()),
        Days::OfWeek(days) if days.all => ("*".to_owned(), "*".to_owned()),
        Days::OfWeek(days) => ("*".to_owned(), days.to_string()),
        Days::LastOfWeek(day) => ("*".to_owned(), format!("{day}L")),
        Days::NthOfWeek(day, nth) => ("*".to_owned(), format!("{day}#{nth}")),
    };
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        .build()
        .parse(&format!("0 {minutes} {hours} {of_month} {months} {of_week} {years}"))
}

/// Civil time with an end to the search: croner itself looks as far as the year 5000.
#[derive(Debug, Clone)]
struct Bounded {
    civil: CivilDateTime,
    weekday: Weekday,
    from: CivilDateTime,
    until: CivilDateTime,
}

impl Bounded {
    fn new(civil: DateTime, from: DateTime, until: DateTime) -> Option<Self> {
        Some(Self { civil: to_croner(civil)?, weekday: weekday_of(civil), from: to_croner(from)?, until: to_croner(until)? })
    }

    fn within(&self) -> Option<DateTime> {
        (self.from <= self.civil && self.civil <= self.until).then(|| from_croner(self.civil)).flatten()
    }
}

fn to_croner(civil: DateTime) -> Option<CivilDateTime> {
    let part = |value: i8| u32::try_from(value).ok();
    CivilDateTime::from_ymd_hms_opt(
        i32::from(civil.year()),
        part(civil.month())?,
        part(civil.day())?,
        part(civil.hour())?,
        part(civil.minute())?,
        part(civil.second())?,
    )
}

fn from_croner(civil: CivilDateTime) -> Option<DateTime> {
    let part = |value: u32| i8::try_from(value).ok();
    DateTime::new(
        i16::try_from(civil.year()).ok()?,
        part(civil.month())?,
        part(civil.day())?,
        part(civil.hour())?,
        part(civil.minute())?,
        part(civil.second())?,
        0,
    )
    .ok()
}

fn weekday_of(civil: DateTime) -> Weekday {
    Weekday::from_days_from_sunday(u32::try_from(civil.weekday().to_sunday_zero_offset()).unwrap_or_default())
}

impl CronDateTime for Bounded {
    fn to_civil(&self) -> CivilDateTime {
        self.civil
    }

    fn civil_weekday(&self) -> Weekday {
        self.weekday
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, croner::errors::CronError> {
        if civil < self.from || civil > self.until {
            return Err(croner::errors::CronError::TimeSearchLimitExceeded);
        }
        let weekday = weekday_of(from_croner(civil).ok_or(croner::errors::CronError::InvalidDate)?);
        Ok(Resolution::Single(Self { civil, weekday, ..self.clone() }))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let civil = from_croner(self.civil)?.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
        Some(Self { civil: to_croner(civil)?, weekday: weekday_of(civil), ..self.clone() })
    }

    fn cmp_instant(&self, other: &Self) -> std::cmp::Ordering {
        self.civil.cmp(&other.civil)
    }
}

#[cfg(test)]
mod tests;
