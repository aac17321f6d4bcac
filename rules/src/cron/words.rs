//! A cron expression in words, for people who read a policy and not cron.

use super::{Cron, Days};

impl Cron {
    /// What it says, in words, such as `every Sunday at 02:00`; `None` where words would be longer than the expression.
    pub fn in_words(&self) -> Option<String> {
        let minute = self.minutes.only()?;
        if !self.years.all || self.hours.listed.len() > 4 || (self.months.listed.len() > 3 && !self.months.all) {
            return None;
        }
        let times: Vec<String> = self.hours.listed.iter().map(|hour| format!("{hour:02}:{minute:02}")).collect();
        let months: Vec<String> = self.months.listed.iter().map(|month| month_name(*month).to_owned()).collect();
        let of_months = if self.months.all { "of every month".to_owned() } else { format!("of {}", and(&months)) };
        let days = match &self.days {
            Days::OfMonth(days) if days.all && self.months.all => "every day".to_owned(),
            Days::OfWeek(days) if days.all && self.months.all => "every day".to_owned(),
            Days::OfMonth(days) if days.all => format!("every day {of_months}"),
            Days::OfMonth(days) => format!("day {} {of_months}", days.only()?),
            Days::LastOfMonth => format!("the last day {of_months}"),
            Days::LastWorkday => format!("the last working day {of_months}"),
            Days::NearestWorkday(day) => format!("the working day nearest to day {day} {of_months}"),
            Days::LastOfWeek(day) => format!("the last {} {of_months}", day_name(*day)),
            Days::NthOfWeek(day, nth) => format!("the {} {} {of_months}", ordinal(*nth), day_name(*day)),
            Days::OfWeek(days) => {
                let every = if days.listed == [2, 3, 4, 5, 6] {
                    "every Monday to Friday".to_owned()
                } else if days.listed.len() <= 3 {
                    format!("every {}", and(&days.listed.iter().map(|day| day_name(*day).to_owned()).collect::<Vec<_>>()))
                } else if days.all {
                    "every day".to_owned()
                } else {
                    return None;
                };
                if self.months.all { every } else { format!("{every} {of_months}") }
            }
        };
        Some(format!("{days} at {}", and(&times)))
    }
}

fn day_name(day: u16) -> &'static str {
    match day {
        1 => "Sunday",
        2 => "Monday",
        3 => "Tuesday",
        4 => "Wednesday",
        5 => "Thursday",
        6 => "Friday",
        _ => "Saturday",
    }
}

fn month_name(month: u16) -> &'static str {
    match month {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

fn ordinal(nth: u16) -> &'static str {
    match nth {
        1 => "first",
        2 => "second",
        3 => "third",
        4 => "fourth",
        _ => "fifth",
    }
}

/// `a`, `a and b`, `a, b and c`.
fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
