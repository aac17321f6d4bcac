//! Splits an input into pieces, so that a broken piece costs itself and not its neighbours.
//!
//! An input that is nothing but JSON values one after the other needs no thought: each is a piece (an array: its elements).
//! Thought begins where that ends. Then the question is whether the break is a broken *line* of JSON Lines, or one document
//! of many lines that was cut off or damaged; a line of the first is one rejected event, and so is all of the second.
//!
//! * What is complete before the break counts. Only text that clings to a value on its own line (`{…}}`) takes it along.
//! * If the break is inside an array, its elements before the break count.
//! * If some line at the margin is a complete object or array by itself, it is JSON Lines: each line stands for itself, but
//!   for what hangs between a lone `{` or `[` and its closing bracket at the margin. In a pretty-printed document no line
//!   at the margin is complete, for there the margin holds the outermost brackets alone.
//! * If no line is, it is documents: each runs to the next `{` or `[` at the margin.
//!
//! The margin is where the first line begins. Each byte is looked at a fixed number of times, so time is linear.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use super::reader::{Object, Stop, kind_of, not_json, quoted};
use super::{Parsed, Read, event, unless_stopped};

/// The pieces of a non-blank input, in order.
pub(super) fn split(bytes: &[u8]) -> Vec<Read> {
    let first = skip_blank(bytes, 0);
    let margin = first - line_start(bytes, first);
    let mut splitter = Splitter { bytes, margin, found: Vec::new(), counted: (0, 1) };
    if let Some(at) = splitter.whole_values(0..bytes.len()) {
        // A first value that stood on a line of its own makes it JSON Lines, whatever follows.
        let is_lines = at > first && splitter.stands_alone(first..line_end(bytes, first), false);
        splitter.after_break(at, is_lines);
    }
    let found = splitter.found.into_iter().enumerate();
    found.flat_map(|(index, pieces)| pieces.into_iter().map(move |parsed| Read { index, parsed })).collect()
}

struct Splitter<'b> {
    bytes: &'b [u8],
    margin: usize,
    /// An element for each event, with what it held: never empty, and one but for events with several findings.
    found: Vec<Vec<Parsed>>,
    /// An offset and its line number, up to which newlines are counted.
    counted: (usize, usize),
}

/// Where something broke, and why.
struct Break {
    /// Where the broken value began, or something else was expected.
    at: usize,
    why: Why,
}

enum Why {
    /// Its position counts from the break.
    Syntax(serde_json::Error),
    Other(&'static str),
}

impl<'b> Splitter<'b> {
    fn slice(&self, range: Range<usize>) -> &'b [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Takes the values of a range up to the first that is broken; says where what was not taken begins.
    fn whole_values(&mut self, range: Range<usize>) -> Option<usize> {
        let (mut values, broken) = values(self.slice(range.clone()));
        let mut rest = broken.map(|(at, _)| range.start + at);
        if let (Some(at), Some(last)) = (rest, values.last()) {
            let (last_start, last_end) = (range.start + last.start, range.start + last.end);
            let is_bracket = |at: usize| matches!(self.bytes.get(at), Some(b'{' | b'['));
            let are_neighbours = is_bracket(last_start) && is_bracket(at);
            if !are_neighbours && !self.slice(last_end..at).contains(&b'\n') {
                rest = Some(last_start);
                values.pop();
            }
        }
        for value in values {
            self.value(range.start + value.start..range.start + value.end);
        }
        rest
    }

    /// Goes on at the first broken value.
    fn after_break(&mut self, at: usize, is_lines: bool) {
        if is_lines || self.bytes.get(at) != Some(&b'[') {
            let is_lines = is_lines || self.any_stands_alone(at, false);
            return self.lines(at, is_lines, false);
        }
        match self.elements(at..self.bytes.len()) {
            Ok(end) => {
                self.reject(&Break { at: end, why: Why::Other("nothing may follow the array on its last line") });
                let next = next_line(self.bytes, end);
                self.lines(next, self.any_stands_alone(next, false), false);
            }
            Err(broken) => {
                // A line that begins where a comma was missing is not the broken one.
                let start = line_start(self.bytes, broken.at);
                let missed_comma = matches!(broken.why, Why::Other(_)) && broken.at == start + indentation(self.slice(start..broken.at));
                let resume = missed_comma && self.stands_alone(start..line_end(self.bytes, start), true);
                let next = if resume { start } else { next_line(self.bytes, broken.at) };
                self.reject(&broken);
                // Elements that have their lines for themselves are read on behind the break; other text belongs to it.
                if self.any_stands_alone(next, true) {
                    self.lines(next, true, true);
                }
            }
        }
    }

    /// Takes the text from `at` line by line, or document by document. `commas`: the lines may be elements of an array.
    fn lines(&mut self, mut at: usize, is_lines: bool, commas: bool) {
        // Where a document of several lines began, and whether it has a line inside yet: a lone `{` may be just a broken line.
        let mut open: Option<(usize, bool)> = None;
        while at < self.bytes.len() {
            let line = at..line_end(self.bytes, at);
            at = next_line(self.bytes, at);
            let text = self.slice(line.clone());
            let trimmed = text.trim_ascii();
            let Some(first) = trimmed.first() else { continue };
            let is_indented = indentation(text) > self.margin;
            let (opens, closes) = (matches!(first, b'{' | b'['), matches!(first, b'}' | b']'));
            if let Some((start, has_inside)) = open {
                if is_indented || !(is_lines || opens) {
                    open = Some((start, true));
                    continue;
                }
                open = None;
                if is_lines && closes && has_inside {
                    self.piece(start..line.end);
                    continue;
                }
                self.piece(start..line.start);
            }
            if opens && (!is_lines || trimmed.len() == 1) {
                open = Some((line.start, false));
            } else if commas && trimmed.len() > 1 && trimmed.ends_with(b",") {
                let kept = text.trim_ascii_end().len().saturating_sub(1);
                self.piece(line.start..line.start + kept);
            } else if !(commas && trimmed == b"]" && skip_blank(self.bytes, at) == self.bytes.len()) {
                self.piece(line);
            }
        }
        if let Some((start, _)) = open {
            self.piece(start..self.bytes.len());
        }
    }

    /// One line or one document: what is whole in it, and at most one rejection.
    fn piece(&mut self, range: Range<usize>) {
        let Some(at) = self.whole_values(range.clone()) else { return };
        if self.bytes.get(at) == Some(&b'[') {
            let before = self.found.len();
            let broken = match self.elements(at..range.end) {
                Ok(end) => Break { at: end, why: Why::Other("nothing may follow the array on its last line") },
                Err(broken) => broken,
            };
            // A broken line is one rejection; what else was wrong in it does not count on its own.
            let elements = self.found.split_off(before);
            for mut pieces in elements {
                pieces.retain(|parsed| !matches!(parsed, Parsed::Rejected { .. }));
                self.push(pieces);
            }
            return self.reject(&broken);
        }
        let (whole, broken) = values(self.slice(at..range.end));
        // What precedes the break here was held back because text clings to it.
        let broken = match whole.first() {
            Some(value) if self.bytes.get(at) == Some(&b'{') => Break { at: at + value.end, why: Why::Other("nothing may follow the event on its last line") },
            _ => Break { at, why: broken.map_or(Why::Other("not JSON"), |(_, error)| Why::Syntax(error)) },
        };
        self.reject(&broken);
    }

    /// Takes the elements of the array at the range's start; says where the array ended, or broke.
    fn elements(&mut self, range: Range<usize>) -> Result<usize, Break> {
        const COMMA: Why = Why::Other("expected `,` or `]` after an element of the array");
        const CUT_OFF: Why = Why::Other("the array is cut off");
        let bytes = self.slice(0..range.end);
        let mut at = skip_blank(bytes, range.start + 1);
        if bytes.get(at) == Some(&b']') {
            return Ok(at + 1);
        }
        loop {
            let mut stream = Deserializer::from_slice(bytes.get(at..).unwrap_or_default()).into_iter::<&RawValue>();
            let end = match stream.next() {
                Some(Ok(_)) => at + stream.byte_offset(),
                Some(Err(error)) => return Err(Break { at, why: Why::Syntax(error) }),
                None => return Err(Break { at: bytes.len(), why: CUT_OFF }),
            };
            self.element(at..end);
            at = skip_blank(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_blank(bytes, at + 1),
                Some(b']') => return Ok(at + 1),
                Some(_) => return Err(Break { at, why: COMMA }),
                None => return Err(Break { at, why: CUT_OFF }),
            }
        }
    }

    /// A value that is whole.
    fn value(&mut self, range: Range<usize>) {
        if self.bytes.get(range.start) != Some(&b'[') {
            return self.element(range);
        }
        if let Err(broken) = self.elements(range) {
            self.reject(&broken);
        }
    }

    /// A value that is whole, and if it is an array, one in the wrong place.
    fn element(&mut self, range: Range<usize>) {
        let raw = self.slice(range);
        let parsed = match records(raw) {
            Some(records) => return records.into_iter().for_each(|record| self.push(record)),
            None if raw.first() == Some(&b'{') => event(raw, ""),
            None if raw.first() == Some(&b'[') => Err(Stop::Rejected("an array inside an array: expected an event, which is a JSON object".into())),
            None => Err(Stop::Rejected(format!("expected an event, which is a JSON object, got {}", quoted(&String::from_utf8_lossy(raw))))),
        };
        self.push(unless_stopped(parsed));
    }

    fn reject(&mut self, broken: &Break) {
        let (line, column) = (self.line_of(broken.at), broken.at - line_start(self.bytes, broken.at) + 1);
        let why = match &broken.why {
            Why::Other(why) => format!("line {line}, column {column}: {why}"),
            Why::Syntax(error) if error.line() > 1 => not_json(error, line + error.line() - 1, error.column()),
            Why::Syntax(error) => not_json(error, line, column + error.column().saturating_sub(1)),
        };
        self.push(vec![Parsed::from(Err(Stop::Rejected(why)))]);
    }

    fn push(&mut self, pieces: Vec<Parsed>) {
        if !pieces.is_empty() {
            self.found.push(pieces);
        }
    }

    /// The number of the line that holds `at`. Breaks come in order, so that the newlines are counted once.
    fn line_of(&mut self, at: usize) -> usize {
        let (from, line) = if at < self.counted.0 { (0, 1) } else { self.counted };
        let line = line + self.slice(from..at).iter().filter(|byte| **byte == b'\n').count();
        self.counted = (at, line);
        line
    }

    /// Whether a line at the margin is a complete object or array that says something.
    fn stands_alone(&self, line: Range<usize>, commas: bool) -> bool {
        let text = self.slice(line);
        let mut trimmed = text.trim_ascii();
        if commas {
            trimmed = trimmed.strip_suffix(b",").unwrap_or(trimmed);
        }
        let is_at_margin = indentation(text) <= self.margin;
        is_at_margin && trimmed.len() > 2 && matches!(trimmed.first(), Some(b'{' | b'[')) && values(trimmed).1.is_none()
    }

    fn any_stands_alone(&self, mut at: usize, commas: bool) -> bool {
        while at < self.bytes.len() {
            if self.stands_alone(at..line_end(self.bytes, at), commas) {
                return true;
            }
            at = next_line(self.bytes, at);
        }
        false
    }
}

/// The values that stand one after the other, and where and why they end early. Values are skimmed, not built, so that
/// depth costs nothing here.
fn values(bytes: &[u8]) -> (Vec<Range<usize>>, Option<(usize, serde_json::Error)>) {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut stream = Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    loop {
        match stream.next() {
            None => return (found, None),
            Some(Ok(raw)) => {
                let end = stream.byte_offset();
                found.push(end.saturating_sub(raw.get().len())..end);
            }
            Some(Err(error)) => {
                let at = skip_blank(bytes, found.last().map_or(0, |last| last.end));
                return (found, Some((at, error)));
            }
        }
    }
}

/// The events of an SQS batch as Lambda hands it over, or `None` if this is no batch. Source: Lambda developer guide, "SQS".
/// An event of AWS's could gain a field `Records` one day; an event has a detail type, a batch has none.
fn records(raw: &[u8]) -> Option<Vec<Vec<Parsed>>> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(rename = "Records", borrow)]
        records: Option<&'a RawValue>,
        #[serde(rename = "detail-type")]
        detail_type: Option<IgnoredAny>,
    }
    let peek: Peek<'_> = serde_json::from_slice(raw).ok()?;
    let records = peek.records.filter(|_| peek.detail_type.is_none())?;
    let Ok(records) = serde_json::from_str::<Vec<&RawValue>>(records.get()) else {
        return Some(vec![vec![Parsed::from(Err(Stop::Rejected("Records: expected an array of SQS messages".into())))]]);
    };
    Some(records.iter().enumerate().map(|(index, raw)| unless_stopped(record(index, raw.get()))).collect())
}

fn record(index: usize, raw: &str) -> Result<Vec<Parsed>, Stop> {
    let path = format!("Records[{index}]");
    let value: Value = serde_json::from_str(raw).map_err(|error| Stop::Rejected(not_json(&error, error.line(), error.column())).inside(&path))?;
    let record = Object::at(path.clone(), &value).ok_or_else(|| Stop::Rejected(format!("{path}: expected an SQS message, got {}", kind_of(&value))))?;
    event(super::checked(record.text("body")?.as_bytes())?, &record.path_of("body"))
}

/// White space as JSON has it.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn indentation(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_blank(**byte)).count()
}

fn skip_blank(bytes: &[u8], at: usize) -> usize {
    at + indentation(bytes.get(at..).unwrap_or_default())
}

fn line_start(bytes: &[u8], at: usize) -> usize {
    bytes.get(..at).unwrap_or_default().iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| **byte != b'\n').count()
}

fn next_line(bytes: &[u8], at: usize) -> usize {
    (line_end(bytes, at) + 1).min(bytes.len())
}
