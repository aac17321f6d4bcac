//! Bytes to a tree of JSON, keys written twice told: of those, everybody else's parser silently takes the last.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::RUN_INPUT_BYTES_MAX;
use super::read::{Report, step};

/// The tree, or a problem that says why there is none.
pub(super) fn read(bytes: &[u8], report: &Report) -> Option<Value> {
    if bytes.len() > RUN_INPUT_BYTES_MAX {
        let text = format!("the input has {} bytes: expected at most {RUN_INPUT_BYTES_MAX} (256 KiB); split it into several runs", bytes.len());
        return report.problem("", text);
    }
    // Windows PowerShell redirects as UTF-16, and as UTF-8 with a mark.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return report.problem("", "the input is UTF-16: save it as UTF-8");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return report.problem("", "the input is empty: expected a JSON object, such as one of examples/run-inputs");
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = Tree { report, place: &Place::Root }.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) => Some(value),
        Err(error) => report.problem("", not_json(&error, bytes)),
    }
}

fn not_json(error: &serde_json::Error, bytes: &[u8]) -> String {
    // A fault at a line's end is put before the first column of the next line, where nobody looks.
    let (line, column) = match (error.line(), error.column()) {
        (line @ 2.., 0) => (line - 1, bytes.split(|byte| *byte == b'\n').nth(line - 2).map_or(0, <[u8]>::len) + 1),
        place => place,
    };
    let text = error.to_string();
    let what = text.rfind(" at line ").and_then(|cut| text.get(..cut)).unwrap_or(&text);
    if what.starts_with("recursion limit") {
        return format!("line {line}, column {column}: nested too deep: a run input has at most 5 levels");
    }
    if error.is_eof() {
        return format!("line {line}, column {column}: the JSON is cut off ({what})");
    }
    format!("line {line}, column {column}: not JSON ({what})")
}

/// Where a value stands. Written out only where there is something to tell: a long key with many values under it would
/// otherwise be copied once for each of them.
enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => step(&parent.path(), key),
            Self::Index(parent, index) => format!("{}[{index}]", parent.path()),
        }
    }
}

#[derive(Clone, Copy)]
struct Tree<'r> {
    report: &'r Report,
    place: &'r Place<'r>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Tree { report: self.report, place: &Place::Index(self.place, items.len()) })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Tree { report: self.report, place: &Place::Key(self.place, &key) })?;
            if map.contains_key(&key) {
                self.report.problem::<()>(step(&self.place.path(), &key), "written twice: keep one");
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
