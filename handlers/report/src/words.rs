//! How numbers, times and foreign text are written for people.

use std::fmt;

use jiff::Timestamp;

/// A time for people, to the minute, always in UTC.
pub fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `1234567` as `1,234,567`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 target`, `2 targets`.
pub fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `part` of `whole` in percent, to the nearest tenth; a part is never shown as nothing, nor less than all as all.
pub fn share(part: u64, whole: u64) -> String {
    let (part, whole) = (u128::from(part), u128::from(whole));
    let Some(tenths) = (part * 1000 + whole / 2).checked_div(whole) else { return "0%".to_owned() };
    match tenths {
        0 if part > 0 => "<0.1%".to_owned(),
        1000 if part < whole => "99.9%".to_owned(),
        tenths if tenths % 10 == 0 => format!("{}%", tenths / 10),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<T: fmt::Display>(items: &[T]) -> String {
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.to_string(),
        Some((last, rest)) => {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            format!("{} and {last}", rest.join(", "))
        }
    }
}

/// Text that somebody else wrote, in one line: what would move a terminal's cursor or turn the writing's direction is shown
/// as `�` instead.
pub fn plain(text: &str) -> String {
    text.trim().chars().map(safe).collect()
}

/// One character of foreign text.
pub fn safe(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A sentence out of its parts: first letter large, one full stop.
pub fn finished(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => ended(&format!("{}{}", first.to_uppercase(), chars.as_str())),
        None => String::new(),
    }
}

/// The same without a large letter: what begins with a name keeps it.
pub fn ended(text: &str) -> String {
    format!("{}.", text.trim_end_matches(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(number), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "target"), "1 target");
        assert_eq!(count(0, "target"), "0 targets");
    }

    #[test]
    fn shares_never_claim_all_or_nothing_wrongly() {
        assert_eq!(
            [share(0, 9), share(1, 100_000), share(1, 3), share(99_999, 100_000), share(5, 5), share(0, 0), share(2, 3)],
            ["0%", "<0.1%", "33.3%", "99.9%", "100%", "0%", "66.7%"]
        );
    }

    #[test]
    fn foreign_text_stays_in_its_line() {
        assert_eq!(plain(" a\nb\u{1b}[2Jc\u{202e}d "), "a b\u{fffd}[2Jc\u{fffd}d");
        assert_eq!(finished("it ended.."), "It ended.");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(when("2026-03-02T10:00:59Z".parse().unwrap()), "2026-03-02 10:00 UTC");
    }
}
