//! JSON read field by field; whatever is wrong is noted with its path, and reading goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::nearest::nearest;
use super::{Problem, Warning};
use crate::wire::reader::quoted;

/// What was found wrong or odd so far.
#[derive(Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
}

impl Report {
    /// Notes a problem. Nothing comes of what has one, so this returns `None`.
    pub(super) fn problem<T>(&self, path: impl Into<String>, text: impl Into<String>) -> Option<T> {
        self.problems.borrow_mut().push(Problem { path: path.into(), text: text.into() });
        None
    }

    /// Notes a warning, once.
    pub(super) fn warn(&self, path: impl Into<String>, text: impl Into<String>) {
        let warning = Warning { path: path.into(), text: text.into() };
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Warning>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }
}

/// The path of a key. One that is no plain word stands in brackets and quotes, cut where a person stops reading.
pub(super) fn step(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.len() <= 80 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:/$".contains(&byte));
    if plain {
        return if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    }
    let cut: String = key.chars().take(80).collect();
    format!("{path}[{cut:?}{}]", if cut.len() < key.len() { "…" } else { "" })
}

/// `` `a`, `b` or `c` ``.
pub(super) fn any_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// What a value is, for the person who wrote it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(items) if items.is_empty() => "an empty list".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) if text.is_empty() => "an empty string".into(),
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::Bool(_) | Value::Number(_) => quoted(&value.to_string()),
    }
}

/// A number without a fraction, which JSON may write as `3` and `3.0`.
fn whole_of(value: &Value) -> Option<i64> {
    let rounded = || value.as_f64().map(|float| format!("{float:.0}")).filter(|text| text.len() <= 15).and_then(|text| text.parse::<i64>().ok());
    let exact = |number: &i64| value.as_f64().is_some_and(|float| float == *number as f64);
    value.as_i64().or_else(|| rounded().filter(exact))
}

/// Whether nothing is to be seen of a text. A byte order mark is white space to JSON Schema's patterns.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\u{feff}')
}

/// One value and its path.
pub(super) struct Field<'a> {
    pub(super) report: &'a Report,
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    /// The input as a whole.
    pub(super) fn root(report: &'a Report, value: &'a Value) -> Self {
        Self { report, path: String::new(), value }
    }

    /// Notes that it is wrong.
    pub(super) fn wrong<T>(&self, text: impl Into<String>) -> Option<T> {
        self.report.problem(&self.path, text)
    }

    /// Notes that it is something else than expected.
    pub(super) fn expected<T>(&self, what: impl Display) -> Option<T> {
        let leave = if self.value.is_null() { "; leave the key out where it says nothing" } else { "" };
        self.wrong(format!("expected {what}, got {}{leave}", shown(self.value)))
    }

    /// Notes something odd.
    pub(super) fn warn(&self, text: impl Into<String>) {
        self.report.warn(&self.path, text);
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if matches!(text.as_str(), "true" | "false") => {
                self.wrong(format!("expected true or false without quotes, got {}", shown(self.value)))
            }
            _ => self.expected("true or false"),
        }
    }

    /// A whole number from 0 to a limit.
    pub(super) fn whole(&self, what: &str, max: u32) -> Option<u32> {
        match whole_of(self.value) {
            Some(number) => {
                u32::try_from(number).ok().filter(|number| *number <= max).or_else(|| self.wrong(format!("expected {what} from 0 to {max}, got `{number}`")))
            }
            None => self.expected(format_args!("{what}, a number from 0 to {max}")),
        }
    }

    /// A number without a fraction, if it is one; nothing is noted where it is not.
    pub(super) fn as_whole(&self) -> Option<i64> {
        whole_of(self.value)
    }

    /// A string that says something, at most so many characters.
    pub(super) fn text(&self, what: &str, max: usize) -> Option<&'a str> {
        let Value::String(text) = self.value else { return self.expected(what) };
        if is_blank(text) {
            return self.wrong(format!("expected {what}, got {}", if text.is_empty() { "an empty string" } else { "only spaces" }));
        }
        match text.chars().count() {
            length if length > max => self.wrong(format!("expected {what} of at most {max} characters, got {length}")),
            _ if text.chars().any(char::is_control) => self.wrong(format!("expected {what} on one line, without control characters")),
            _ => Some(text),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let Value::String(text) = self.value else { return self.expected(any_of(&names)) };
        if let Some((_, meant)) = words.iter().find(|(name, _)| name == text) {
            return Some(*meant);
        }
        match nearest(text, &names) {
            Some(near) => self.wrong(format!("{} is not known: did you mean `{near}`?", quoted(text))),
            None => self.wrong(format!("{} is not known: expected {}", quoted(text), any_of(&names))),
        }
    }

    /// The elements of a list that is not empty.
    pub(super) fn list(&self, what: &str) -> Option<Vec<Field<'a>>> {
        match self.value {
            Value::Array(items) if items.is_empty() => self.wrong(format!("the list is empty: expected {what}")),
            Value::Array(items) => {
                let at = |(index, value)| Field { report: self.report, path: format!("{}[{index}]", self.path), value };
                Some(items.iter().enumerate().map(at).collect())
            }
            Value::String(text) if text.len() <= 60 && !text.contains(['"', '\\', '`']) => {
                self.wrong(format!("expected {what}, got {}: write `[\"{text}\"]`", shown(self.value)))
            }
            _ => self.expected(what),
        }
    }

    /// A list as a set. `None` where any element is wrong; an element that is there twice warns.
    pub(super) fn set<T: Ord + Display>(&self, what: &str, each: impl Fn(&Field<'a>) -> Option<T>) -> Option<BTreeSet<T>> {
        let fields = self.list(what)?;
        let mut all = BTreeSet::new();
        let mut whole = true;
        for field in &fields {
            match each(field) {
                Some(item) if all.contains(&item) => field.warn(format!("names `{item}` for the second time")),
                Some(item) => whole &= all.insert(item),
                None => whole = false,
            }
        }
        whole.then_some(all)
    }

    /// The fields of an object.
    pub(super) fn section(&self, what: &str) -> Option<Section<'a>> {
        match self.value {
            Value::Object(map) => Some(Section { report: self.report, path: self.path.clone(), map }),
            _ => self.expected(what),
        }
    }
}

/// An object and its path.
pub(super) struct Section<'a> {
    pub(super) report: &'a Report,
    pub(super) path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    pub(super) fn path_of(&self, key: &str) -> String {
        step(&self.path, key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        self.map.get(key).map(|value| Field { report: self.report, path: self.path_of(key), value })
    }

    /// A field that must be there.
    pub(super) fn need(&self, key: &str, what: &str) -> Option<Field<'a>> {
        self.get(key).or_else(|| self.report.problem(self.path_of(key), format!("missing: expected {what}")))
    }

    /// All fields, where the keys are free.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.map.iter().map(|(key, value)| (key.as_str(), Field { report: self.report, path: self.path_of(key), value }))
    }

    /// Notes every key that is not known: where it belongs if `misplaced` knows, else the nearest one. Returns what was
    /// probably meant.
    pub(super) fn only(&self, known: &[&'static str], misplaced: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
        let mut meant = Vec::new();
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = nearest(key, known);
            let text = match (misplaced(key), near) {
                (Some(hint), _) => format!("not known here: {hint}"),
                (None, Some(near)) => format!("unknown key: did you mean `{near}`?"),
                (None, None) => format!("unknown key: expected {}", any_of(known)),
            };
            meant.extend(near);
            self.report.problem::<()>(self.path_of(key), text);
        }
        meant
    }
}

/// A field that need not be there: `None` where it is there and wrong, which was noted.
pub(super) fn optional<'a, T>(field: Option<Field<'a>>, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(field) => read(&field).map(Some),
    }
}
