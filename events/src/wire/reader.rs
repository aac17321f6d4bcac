//! JSON objects read field by field, so that every reason names the path of the field at fault.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde_json::{Map, Value};

use crate::id::InstanceId;

/// Why a piece of input is no event for the engine.
#[derive(Debug)]
pub(super) enum Stop {
    /// Understood, not ours.
    Ignored(String),
    /// Not understood, or it contradicts itself.
    Rejected(String),
}

impl Stop {
    /// The same reason, said of something that is itself found at `path`.
    pub(super) fn inside(self, path: impl Display) -> Self {
        match self {
            Self::Ignored(why) => Self::Ignored(why),
            Self::Rejected(why) => Self::Rejected(format!("{path}: {why}")),
        }
    }
}

/// Input in backticks, cut where a person stops reading.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("`{}…`", text.get(..cut).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

/// Where and why bytes are not JSON. The position comes apart from the error: the bytes may be a part of a larger input.
pub(super) fn not_json(error: &serde_json::Error, line: usize, column: usize) -> String {
    let text = error.to_string();
    let what = text.rfind(" at line ").and_then(|cut| text.get(..cut)).unwrap_or(&text);
    if what.starts_with("recursion limit") {
        return format!("line {line}, column {column}: nested too deep: expected at most 127 levels");
    }
    if error.is_eof() {
        return format!("line {line}, column {column}: the JSON is cut off ({what}): expected a whole event");
    }
    format!("line {line}, column {column}: not JSON ({what}): expected an EventBridge event")
}

/// A JSON object and its place in the event.
pub(super) struct Object<'v> {
    map: &'v Map<String, Value>,
    path: String,
}

impl<'v> Object<'v> {
    /// The object at a path, if it is one; the outermost has an empty path.
    pub(super) fn at(path: String, value: &'v Value) -> Option<Self> {
        value.as_object().map(|map| Self { map, path })
    }

    /// The path of one of its fields.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A reason to reject what one of its fields says.
    pub(super) fn wrong(&self, key: &str, why: impl Display) -> Stop {
        Stop::Rejected(format!("{}: {why}", self.path_of(key)))
    }

    /// The field if it is there; null is as good as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn need(&self, key: &str) -> Result<&'v Value, Stop> {
        self.map.get(key).ok_or_else(|| Stop::Rejected(format!("{} is missing", self.path_of(key))))
    }

    fn expected(&self, key: &str, what: &str, got: &Value) -> Stop {
        self.wrong(key, format_args!("expected {what}, got {}", kind_of(got)))
    }

    /// A field that must be an object.
    pub(super) fn object(&self, key: &str) -> Result<Object<'v>, Stop> {
        match self.need(key)? {
            Value::Object(map) => Ok(Object { map, path: self.path_of(key) }),
            other => Err(self.expected(key, "an object", other)),
        }
    }

    /// A field that must be an array.
    pub(super) fn array(&self, key: &str) -> Result<&'v [Value], Stop> {
        match self.need(key)? {
            Value::Array(items) => Ok(items),
            other => Err(self.expected(key, "an array", other)),
        }
    }

    /// A field that must be true or false.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Stop> {
        let value = self.need(key)?;
        value.as_bool().ok_or_else(|| self.expected(key, "true or false", value))
    }

    /// A field that must be a whole number.
    pub(super) fn whole(&self, key: &str) -> Result<i64, Stop> {
        let value = self.need(key)?;
        value.as_i64().ok_or_else(|| self.expected(key, "a whole number", value))
    }

    /// A field that must be text, and say something.
    pub(super) fn text(&self, key: &str) -> Result<&'v str, Stop> {
        match self.need(key)? {
            Value::String(text) if text.trim().is_empty() => Err(Stop::Rejected(format!("{} is empty: expected text", self.path_of(key)))),
            Value::String(text) => Ok(text),
            other => Err(self.expected(key, "text", other)),
        }
    }

    /// A field that may be absent, and is text otherwise.
    pub(super) fn optional_text(&self, key: &str) -> Result<Option<&'v str>, Stop> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.expected(key, "text", other)),
        }
    }

    /// A field that holds an id or another value with one written form.
    pub(super) fn id<T: FromStr<Err: Display>>(&self, key: &str) -> Result<T, Stop> {
        match self.need(key)? {
            Value::String(text) => text.parse().map_err(|error| self.wrong(key, error)),
            other => Err(self.expected(key, "text", other)),
        }
    }

    /// A field that holds one word of a fixed set.
    pub(super) fn word<T: for<'de> Deserialize<'de>>(&self, key: &str, expected: &str) -> Result<T, Stop> {
        let text = self.text(key)?;
        let word: StrDeserializer<'_, WordError> = text.into_deserializer();
        T::deserialize(word).map_err(|_| self.unknown(key, text, expected))
    }

    /// A reason to reject a word that is none of those expected.
    pub(super) fn unknown(&self, key: &str, got: &str, expected: &str) -> Stop {
        self.wrong(key, format_args!("{} is not known: expected {expected}", quoted(got)))
    }

    /// A field that holds a point in time.
    pub(super) fn time(&self, key: &str) -> Result<Timestamp, Stop> {
        let text = self.text(key)?;
        rfc3339(text).ok_or_else(|| self.wrong(key, format_args!("{} is not a time: expected RFC 3339, such as `2026-11-19T19:04:05Z`", quoted(text))))
    }

    /// A field that holds an instance id, bare or as the last segment of a longer resource id.
    pub(super) fn instance(&self, key: &str) -> Result<InstanceId, Stop> {
        last_segment(self.text(key)?).parse().map_err(|error| self.wrong(key, error))
    }

    /// That nothing is there besides these fields; for our own events, where an unknown key is a typing error.
    pub(super) fn only(&self, keys: &[&str]) -> Result<(), Stop> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) if keys.is_empty() => Err(Stop::Rejected(format!("{} has the unknown key {}: expected none", self.path, quoted(key)))),
            Some(key) => Err(Stop::Rejected(format!("{} has the unknown key {}: expected {}", self.path, quoted(key), keys.join(", ")))),
            None => Ok(()),
        }
    }
}

/// The part behind the last slash.
pub(super) fn last_segment(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// A time as RFC 3339 writes it. jiff alone would take more: dates without a zone's sign, annotations, spaces.
pub(super) fn rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
    let date_and_time = (0..19).all(|at| match at {
        4 | 7 => is(at, b"-"),
        10 => is(at, b"Tt"),
        13 | 16 => is(at, b":"),
        _ => is_digit(at),
    });
    let fraction = if is(19, b".") { 1 + (20..).take_while(|at| is_digit(*at)).count() } else { 0 };
    let zone = bytes.get(19 + fraction..)?;
    let zone_fits = match zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    (date_and_time && fraction != 1 && zone_fits).then(|| text.parse().ok()).flatten()
}

/// What a value is, for a person: small ones are quoted.
pub(super) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Bool(_) | Value::Number(_) => quoted(&value.to_string()),
    }
}
