//! Items as DynamoDB holds them: attribute names, and reading what was written.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::Stored;
use tidegate_events::id::Digest;
use tidegate_rules::Key;

use super::{clock, place};

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Partition key.
pub(super) const PK: &str = "pk";
/// Sort key.
pub(super) const SK: &str = "sk";
/// Version of an item.
pub(super) const VER: &str = "ver";
/// JSON of an item, an action or a token.
pub(super) const BODY: &str = "body";
/// Lines in the item's stream.
pub(super) const SEQ: &str = "seq";
/// Hash of the newest of them.
pub(super) const HEAD: &str = "head";
/// Partition of the index of what is due.
pub(super) const DUE_P: &str = "due_p";
/// When it is due, in microseconds since 1970.
pub(super) const DUE_AT: &str = "due_at";
/// The clock of the last write.
pub(super) const CLK: &str = "clk";
/// Names the write, where a repeat must know its own.
pub(super) const WRITE: &str = "w";
/// A counter's value.
pub(super) const COUNT: &str = "n";
/// Partition of the index of the journal.
pub(super) const DAY_P: &str = "day_p";
/// A line's place in the journal.
pub(super) const POS: &str = "pos";
/// A line's bytes.
pub(super) const BYTES: &str = "bytes";
/// When it was committed, in microseconds since 1970.
pub(super) const AT: &str = "at";
/// When DynamoDB may delete it, in seconds since 1970.
pub(super) const TTL: &str = "ttl";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// An item with only its primary key.
pub(super) fn at_place((partition, sort): (String, String)) -> Item {
    HashMap::from([(PK.to_owned(), text(partition)), (SK.to_owned(), text(sort))])
}

/// What DynamoDB counts as the item's size.
pub(super) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        _ => 1,
    }
}

/// The text of an attribute.
pub(super) fn text_of<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| damaged(item, name, "a text"))
}

/// The number of an attribute.
pub(super) fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, StoreError> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok()).ok_or_else(|| damaged(item, name, "a whole number"))
}

/// The bytes of an attribute.
pub(super) fn take_bytes(item: &mut Item, name: &str) -> Result<Vec<u8>, StoreError> {
    match item.remove(name) {
        Some(AttributeValue::B(blob)) => Ok(blob.into_inner()),
        _ => Err(damaged(item, name, "bytes")),
    }
}

fn damaged(item: &Item, name: &str, expected: &str) -> StoreError {
    let at = |part| item.get(part).and_then(|value: &AttributeValue| value.as_s().ok()).map_or("?", String::as_str);
    StoreError::Failed(format!("the item at `{}`, `{}` is damaged: `{name}` is not {expected}; restore the table to a point in time before", at(PK), at(SK)))
}

/// The key of an item or a counter.
pub(super) fn key_of(item: &Item) -> Result<Key, StoreError> {
    Ok(place::key_at(text_of(item, PK)?, text_of(item, SK)?))
}

/// Moves this process's clock on to what it has read.
pub(super) fn observe(item: &Item) {
    if let Ok(seen) = number_of::<i64>(item, CLK) {
        clock::observe(seen.unsigned_abs());
    }
}

/// What an item holds.
pub(super) fn stored(mut item: Item) -> Result<Stored, StoreError> {
    observe(&item);
    let version = number_of(&item, VER)?;
    let (seq, head) = if item.contains_key(SEQ) {
        let head = take_bytes(&mut item, HEAD)?;
        (number_of(&item, SEQ)?, Digest::from_bytes(head.try_into().map_err(|_| damaged(&item, HEAD, "a digest"))?))
    } else {
        (0, Digest::default())
    };
    Ok(Stored { version, body: take_bytes(&mut item, BODY)?, seq, head })
}

/// What a counter holds.
pub(super) fn counted(item: &Item) -> Result<i64, StoreError> {
    observe(item);
    number_of(item, COUNT)
}

/// Microseconds, rounded up: nothing is due before its time, and no clock starts before the newest line.
pub(super) fn micros_up(at: Timestamp) -> i64 {
    at.as_microsecond().saturating_add(i64::from(at.subsec_nanosecond() % 1000 != 0))
}

/// The time of so many microseconds; the end of time, rounded up, lies after it.
pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
