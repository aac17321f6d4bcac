//! TOML with positions: reads a table key by key and keeps every complaint, so that one look at a policy names all its mistakes.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use jiff::Timestamp;
use toml::de::{DeTable, DeValue};

use super::text::{ShareFault, nearest, quoted, share, short};
use super::{Amount, ShareBps};

/// One mistake in a policy. Written `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what is expected.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Every mistake in a policy, in the order of the file; never empty. Written one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(pub Vec<PolicyError>);

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            let newline = if place == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// Collects complaints.
pub(super) struct Report<'t> {
    text: &'t str,
    file: &'t str,
    found: RefCell<Vec<(usize, String)>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        Self { text, file, found: RefCell::default() }
    }

    /// Complains about a place in the text.
    pub(super) fn at(&self, span: &Range<usize>, message: impl Into<String>) {
        self.found.borrow_mut().push((span.start, message.into()));
    }

    /// Complaints so far.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    pub(super) fn into_errors(self) -> PolicyErrors {
        let mut found = self.found.into_inner();
        found.sort();
        found.dedup();
        let place = |(offset, message): (usize, String)| {
            let before = self.text.get(..offset).unwrap_or(self.text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            PolicyError {
                file: self.file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
                message,
            }
        };
        PolicyErrors(found.into_iter().map(place).collect())
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table, with the keys that it may have.
pub(super) struct Section<'a> {
    pub(super) report: &'a Report<'a>,
    table: &'a DeTable<'a>,
    /// Where it stands: its header.
    pub(super) span: Range<usize>,
    /// How to call it in a message, such as ``[approval]``.
    pub(super) name: String,
}

impl<'a> Section<'a> {
    /// Opens a table; complains about keys that are not among `known`.
    pub(super) fn open(report: &'a Report<'a>, table: &'a DeTable<'a>, span: Range<usize>, name: impl Into<String>, known: &[&str]) -> Self {
        let section = Self { report, table, span, name: name.into() };
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let hint = match nearest(key.get_ref(), known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("expected one of {}", quoted(known)),
            };
            report.at(&key.span(), format!("unknown key `{}` in {}: {hint}", short(key.get_ref()), section.name));
        }
        section
    }

    fn get(&self, key: &str) -> Option<At<&'a DeValue<'a>>> {
        self.table.get(key).map(|found| At { value: found.get_ref(), span: found.span() })
    }

    /// Whether a table stands there.
    pub(super) fn has_table(&self, key: &str) -> bool {
        self.get(key).is_some_and(|found| found.value.is_table())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Keys and values of a table whose keys are free.
    pub(super) fn entries(&self) -> impl Iterator<Item = (At<&'a str>, At<&'a DeValue<'a>>)> {
        self.table.iter().map(|(key, value)| (At { value: key.get_ref().as_ref(), span: key.span() }, At { value: value.get_ref(), span: value.span() }))
    }

    /// Complains that a value is of the wrong type.
    pub(super) fn wrong(&self, key: &str, expected: &str, found: &At<&DeValue<'_>>) {
        self.report.at(&found.span, format!("`{key}` in {} must be {expected}, not {}", self.name, described(found.value)));
    }

    /// Complains that a key is missing.
    pub(super) fn missing(&self, keys: &[&str], why: &str) {
        let noun = if keys.len() == 1 { "is" } else { "are" };
        self.report.at(&self.span, format!("{} {noun} missing in {}: {why}", quoted(keys), self.name));
    }

    pub(super) fn text(&self, key: &str) -> Option<At<&'a str>> {
        let found = self.get(key)?;
        match found.value {
            DeValue::String(text) => Some(At { value: text.as_ref(), span: found.span }),
            _ => {
                self.wrong(key, "a string", &found);
                None
            }
        }
    }

    /// A string that says something, and not too much.
    pub(super) fn words(&self, key: &str, chars_max: usize) -> Option<At<&'a str>> {
        let found = self.text(key)?;
        let chars = found.value.chars().count();
        if found.value.trim().is_empty() {
            self.report.at(&found.span, format!("`{key}` in {} is empty: expected a text", self.name));
            return None;
        }
        if chars > chars_max {
            self.report.at(&found.span, format!("`{key}` in {} has {chars} characters: expected at most {chars_max}", self.name));
            return None;
        }
        Some(found)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let found = self.get(key)?;
        match found.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong(key, "`true` or `false`", &found);
                None
            }
        }
    }

    /// A whole number in a range; `unit` is what it counts, such as `seconds`.
    pub(super) fn whole(&self, key: &str, range: RangeInclusive<u64>, unit: &str) -> Option<At<u64>> {
        let found = self.get(key)?;
        let expected = format!("a whole number of {unit} from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = found.value else {
            self.wrong(key, &expected, &found);
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Some(At { value: number, span: found.span }),
            _ => {
                self.report.at(&found.span, format!("`{key}` in {} is `{integer}`: expected {expected}", self.name));
                None
            }
        }
    }

    /// A whole number of seconds in a range.
    pub(super) fn secs(&self, key: &str, range: RangeInclusive<u32>) -> Option<At<u32>> {
        let found = self.whole(key, u64::from(*range.start())..=u64::from(*range.end()), "seconds")?;
        Some(At { value: u32::try_from(found.value).unwrap_or(u32::MAX), span: found.span })
    }

    /// A whole number in a range that fits 32 bits.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<u32>, unit: &str) -> Option<At<u32>> {
        let found = self.whole(key, u64::from(*range.start())..=u64::from(*range.end()), unit)?;
        Some(At { value: u32::try_from(found.value).unwrap_or(u32::MAX), span: found.span })
    }

    /// A share such as `"5%"` or `"0.25%"`: above 0 %, at most 100 %.
    pub(super) fn share(&self, key: &str) -> Option<At<ShareBps>> {
        let found = self.get(key)?;
        let DeValue::String(text) = found.value else {
            self.wrong(key, "a percentage in quotes, such as \"5%\"", &found);
            return None;
        };
        match share(text) {
            Ok(share) => Some(At { value: share, span: found.span }),
            Err(why) => {
                self.report.at(&found.span, format!("`{key}` in {} is `{}`: {why}", self.name, short(text)));
                None
            }
        }
    }

    /// A limit: a number of targets, or a share. `zero` tells whether the number may be 0, and if not, what to write instead.
    pub(super) fn amount(&self, key: &str, zero: Result<(), &str>) -> Option<Amount> {
        const COUNT_MAX: u64 = 10_000_000;
        let found = self.get(key)?;
        let said = |why: &str| self.report.at(&found.span, format!("`{key}` in {} {why}", self.name));
        match found.value {
            DeValue::Integer(integer) => match (u64::from_str_radix(integer.as_str(), integer.radix()), zero) {
                (Ok(0), Err(instead)) => said(&format!("is 0, with which nothing would ever be patched: {instead}")),
                (Ok(count), _) if count <= COUNT_MAX => return Some(Amount::Count(count)),
                _ => said(&format!("is `{integer}`: expected a number of targets up to {COUNT_MAX}, or a percentage such as \"10%\"")),
            },
            DeValue::String(text) => match (share(text), zero) {
                (Ok(share), _) => return Some(Amount::Share(share)),
                (Err(ShareFault::Zero), Ok(())) => said("is 0%, which would still mean one target: write 0 without `%` for none"),
                (Err(ShareFault::Zero), Err(instead)) => said(&format!("is 0%, with which nothing would ever be patched: {instead}")),
                (Err(why), _) => said(&format!("is `{}`: {why}, or a plain number of targets", short(text))),
            },
            _ => self.wrong(key, "a number of targets such as 3, or a percentage in quotes such as \"10%\"", &found),
        }
        None
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = self.get(key)?;
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let DeValue::String(text) = found.value else {
            self.wrong(key, &format!("one of {}", quoted(&words)), &found);
            return None;
        };
        let chosen = choices.iter().find(|(word, _)| *word == text.as_ref()).map(|(_, choice)| *choice);
        if chosen.is_none() {
            self.report.at(&found.span, format!("`{key}` in {} is `{}`: expected one of {}", self.name, short(text), quoted(&words)));
        }
        chosen
    }

    /// An instant: RFC 3339 with `Z` or an offset, quoted or not.
    pub(super) fn instant(&self, key: &str) -> Option<At<Timestamp>> {
        const EXPECTED: &str = "a time with its offset, such as 2026-12-20T00:00:00Z or 2026-12-20T00:00:00+01:00";
        let found = self.get(key)?;
        let written = match found.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            _ => {
                self.wrong(key, EXPECTED, &found);
                return None;
            }
        };
        match written.parse() {
            Ok(instant) => Some(At { value: instant, span: found.span }),
            Err(_) => {
                self.report.at(&found.span, format!("`{key}` in {} is `{}`: expected {EXPECTED}", self.name, short(&written)));
                None
            }
        }
    }

    /// A list of strings.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<At<&'a str>>> {
        let found = self.get(key)?;
        self.texts_of(key, found, false)
    }

    /// A list of strings out of a value; with `or_one`, a lone string too.
    pub(super) fn texts_of(&self, key: &str, found: At<&'a DeValue<'a>>, or_one: bool) -> Option<Vec<At<&'a str>>> {
        let expected = if or_one { "a string or a list of strings" } else { "a list of strings, such as [\"a\", \"b\"]" };
        match found.value {
            DeValue::String(text) if or_one => Some(vec![At { value: text.as_ref(), span: found.span }]),
            DeValue::Array(array) => {
                let mut texts = Vec::new();
                for item in array.iter() {
                    match item.get_ref() {
                        DeValue::String(text) => texts.push(At { value: text.as_ref(), span: item.span() }),
                        other => self.wrong(key, expected, &At { value: other, span: item.span() }),
                    }
                }
                Some(texts)
            }
            _ => {
                self.wrong(key, expected, &found);
                None
            }
        }
    }

    /// A list of strings, each of which parses and none of which comes twice.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display> + PartialEq>(&self, key: &str) -> Option<Vec<At<T>>> {
        let mut all: Vec<At<T>> = Vec::new();
        for text in self.texts(key)? {
            match text.value.parse::<T>() {
                Ok(value) if all.iter().any(|seen| seen.value == value) => {
                    self.report.at(&text.span, format!("`{}` stands twice in `{key}` in {}: expected each once", short(text.value), self.name));
                }
                Ok(value) => all.push(At { value, span: text.span }),
                Err(why) => self.report.at(&text.span, format!("`{key}` in {}: {why}", self.name)),
            }
        }
        Some(all)
    }

    pub(super) fn table(&self, key: &str, name: impl Into<String>, known: &[&str]) -> Option<Section<'a>> {
        let found = self.get(key)?;
        match found.value {
            DeValue::Table(table) => Some(Section::open(self.report, table, found.span, name, known)),
            _ => {
                self.wrong(key, "a table", &found);
                None
            }
        }
    }

    /// A table whose keys are free.
    pub(super) fn table_of_any(&self, key: &str) -> Option<Section<'a>> {
        let found = self.get(key)?;
        match found.value {
            DeValue::Table(table) => Some(Section { report: self.report, table, span: found.span, name: format!("`{key}` in {}", self.name) }),
            _ => {
                self.wrong(key, "a table", &found);
                None
            }
        }
    }

    /// A list of tables, `[[key]]`.
    pub(super) fn tables(&self, key: &str, count_max: usize, known: &[&str]) -> Option<At<Vec<Section<'a>>>> {
        let found = self.get(key)?;
        let expected = format!("a list of tables, each under `[[{key}]]`");
        let DeValue::Array(array) = found.value else {
            self.wrong(key, &expected, &found);
            return None;
        };
        if array.len() > count_max {
            self.report.at(&found.span, format!("there are {} of `[[{key}]]`: expected at most {count_max}", array.len()));
            return None;
        }
        let mut sections = Vec::new();
        for (place, item) in array.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let named = table.get("name").and_then(|name| name.get_ref().as_str()).filter(|name| !name.is_empty());
                    let name = named.map_or_else(|| format!("`[[{key}]]` number {}", place + 1), |name| format!("{key} `{}`", short(name)));
                    sections.push(Section::open(self.report, table, item.span(), name, known));
                }
                other => self.wrong(key, &expected, &At { value: other, span: item.span() }),
            }
        }
        Some(At { value: sections, span: found.span })
    }
}

/// What a value is, for a person.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", short(text)),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the decimal number {float}"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(datetime) => format!("the time {datetime}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
