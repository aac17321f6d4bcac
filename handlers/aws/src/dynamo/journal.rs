//! The journal: lines by their stream, lines of all streams by their positions, and the time of the newest commit.
//!
//! The index of the journal is read day by day and shard by shard. Which days there are stands in one item, to which each
//! process adds a day once before its first line of that day: so nothing is scanned and no item is hot.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::NewLine;
use tidegate_rules::Key;

use super::failure::{Refused, patiently};
use super::item::{self, AT, BYTES, CLK, DAY_P, Item, POS, number_of, time};
use super::merge::Span;
use super::place::{ALONE, OWN};
use super::units::Kind;
use super::{DynamoStore, clock};

/// The index of the journal.
pub(super) const JOURNAL_INDEX: &str = "journal";
/// Its partitions for each day.
const DAY_SHARDS: u64 = 8;
/// Items that hold the time of the newest commit; a process writes one of them.
const NEWEST_SHARDS: u64 = 8;
/// The set of days.
const DAYS: &str = "days";
/// A commit without a line that is later than what is written by less is not written down, in microseconds.
const NEWEST_STEP: i64 = 1_000_000;

/// A line's position and its bytes.
type Line = (u64, Vec<u8>);

/// What one handle knows of days and of the newest commit.
#[derive(Default)]
pub(super) struct Known {
    days: BTreeSet<String>,
    /// Time of the newest commit by this handle, in microseconds.
    newest: Option<i64>,
    /// What of it is written down.
    written: Option<i64>,
}

fn day_of(position: u64) -> String {
    clock::time_of(position).strftime("%Y-%m-%d").to_string()
}

fn day_partition(day: &str, shard: u64) -> String {
    format!("{day}#{shard}")
}

fn days_place() -> (String, String) {
    (format!("{OWN}{DAYS}"), ALONE.to_owned())
}

fn newest_place(shard: u64) -> (String, String) {
    (format!("{OWN}newest#{shard}"), ALONE.to_owned())
}

/// Where the lines of a stream lie.
fn stream_partition(stream: &Key) -> String {
    format!("{OWN}line#{stream}")
}

fn line_sort(seq: u64) -> String {
    format!("{seq:020}")
}

/// A line as an item.
pub(super) fn line_item(line: &NewLine, position: u64, at: i64) -> Item {
    let mut item = item::at_place((stream_partition(&line.stream), line_sort(line.seq)));
    item.insert(BYTES.into(), item::bytes(line.bytes.clone()));
    item.insert(POS.into(), item::number(position));
    item.insert(DAY_P.into(), item::text(day_partition(&day_of(position), position % DAY_SHARDS)));
    item.insert(AT.into(), item::number(at));
    item
}

fn line(mut item: Item) -> Result<Line, StoreError> {
    let position = number_of(&item, POS)?;
    clock::observe(position);
    Ok((position, item::take_bytes(&mut item, BYTES)?))
}

impl DynamoStore {
    pub(super) async fn lines_of(&self, stream: &Key) -> Result<Vec<Line>, StoreError> {
        let read: fn(Item) -> Result<(u64, Line), StoreError> = |item| {
            let seq = item::text_of(&item, item::SK)?.parse().map_err(|error| StoreError::Failed(format!("a line has no place: {error}")))?;
            Ok((seq, line(item)?))
        };
        let span = Span::of_table(stream_partition(stream), (line_sort(0), line_sort(u64::MAX)));
        Ok(self.merged(vec![span], usize::MAX, read).await?.into_iter().map(|(_, line)| line).collect())
    }

    pub(super) async fn lines_after(&self, after: u64, limit: usize) -> Result<Vec<Line>, StoreError> {
        let first = day_of(after);
        let mut found: Vec<Line> = Vec::new();
        // One more than asked for tells whether the last position is whole.
        let most = limit.saturating_add(usize::from(limit > 0));
        for day in self.days().await?.into_iter().filter(|day| *day >= first) {
            if found.len() >= most {
                break;
            }
            let spans = (0..DAY_SHARDS).map(|shard| journal_span(&day, shard, after.saturating_add(1), false)).collect();
            found.extend(self.merged(spans, most - found.len(), line).await?);
        }
        // Lines of one position (see `clock`) go into one page, or the reader, who goes on behind it, would miss some: the
        // page ends before them. Where they alone are more than a page, it is as long as it must be.
        if found.len() > limit {
            let Some((next, _)) = found.get(limit) else { return Ok(found) };
            let next = *next;
            let whole = found.iter().take(limit).take_while(|(position, _)| *position < next).count();
            if whole > 0 {
                found.truncate(whole);
            } else {
                let spans = (0..DAY_SHARDS).map(|shard| journal_span(&day_of(next), shard, next, false)).collect();
                found = self.merged(spans, most.saturating_add(64), line).await?.into_iter().take_while(|(position, _)| *position == next).collect();
            }
        }
        Ok(found)
    }

    /// The days that have lines, oldest first.
    async fn days(&self) -> Result<Vec<String>, StoreError> {
        let found = self.items_at(&[days_place()]).await?;
        let days = found.into_iter().next().and_then(|(_, mut item)| item.remove(DAYS));
        match days {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ss(days)) => Ok(days.into_iter().collect::<BTreeSet<_>>().into_iter().collect()),
            Some(_) => Err(StoreError::Failed("the set of the journal's days is damaged: restore the table to a point in time before".into())),
        }
    }

    /// The day of this position can be found, before a line is written on it.
    pub(super) async fn know_day(&self, position: u64) -> Result<(), StoreError> {
        let day = day_of(position);
        if self.known().days.contains(&day) {
            return Ok(());
        }
        let ask = || {
            let update = self.client().update_item().table_name(self.table()).set_key(Some(item::at_place(days_place())));
            let update = update.update_expression("ADD #days :day").expression_attribute_names("#days", DAYS);
            let update = update.expression_attribute_values(":day", AttributeValue::Ss(vec![day.clone()]));
            update.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let answer =
            patiently(self.table(), "UpdateItem", ask).await.map_err(|refused: Refused<UpdateItemError>| refused.unexpected(self.table(), "UpdateItem"))?;
        self.meter().count("UpdateItem", Kind::Write, answer.consumed_capacity.as_slice(), 1.0);
        self.known().days.insert(day);
        Ok(())
    }

    /// A commit of this time is done. Those with a line are found by it; of those without, each process writes down at most one
    /// a second, in an item of its own among eight, so that no item is hot.
    pub(super) async fn note_newest(&self, at: i64, has_line: bool) {
        {
            let mut known = self.known();
            known.newest = known.newest.max(Some(at));
            if has_line || known.written.is_some_and(|written| at < written.saturating_add(NEWEST_STEP)) {
                return;
            }
        }
        let ask = || {
            let update = self.client().update_item().table_name(self.table()).set_key(Some(item::at_place(newest_place(self.number() % NEWEST_SHARDS))));
            let update = update.update_expression("SET #at = :at, #clk = :clk").condition_expression("attribute_not_exists(#at) OR #at < :at");
            let update = update.expression_attribute_names("#at", AT).expression_attribute_names("#clk", CLK);
            let update = update.expression_attribute_values(":at", item::number(at)).expression_attribute_values(":clk", item::number(clock::take(1)));
            update.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let capacity = match patiently(self.table(), "UpdateItem", ask).await {
            Ok(answer) => answer.consumed_capacity,
            Err(Refused::Said(said)) if said.is_conditional_check_failed_exception() => None,
            // The commit is done, whatever becomes of this.
            Err(refused) => {
                tracing::warn!(error = %refused.unexpected(self.table(), "UpdateItem"), "the time of the newest commit was not written down");
                return;
            }
        };
        self.meter().count("UpdateItem", Kind::Write, capacity.as_slice(), 1.0);
        let mut known = self.known();
        known.written = known.written.max(Some(at));
    }

    /// The latest of what this handle committed, what was written down, and the last lines.
    pub(super) async fn newest_commit(&self) -> Result<Option<Timestamp>, StoreError> {
        let places: Vec<_> = (0..NEWEST_SHARDS).map(newest_place).collect();
        let mut newest = self.known().newest;
        for (_, item) in self.items_at(&places).await? {
            item::observe(&item);
            newest = newest.max(Some(number_of(&item, AT)?));
        }
        for day in self.days().await?.into_iter().rev() {
            let mut has_line = false;
            for shard in 0..DAY_SHARDS {
                let (last, _) = self.page(&journal_span(&day, shard, 0, true), None, 1).await?;
                for item in last {
                    has_line = true;
                    newest = newest.max(Some(number_of(&item, AT)?));
                }
            }
            // A day may be known and have no line: its first one was refused.
            if has_line {
                break;
            }
        }
        Ok(newest.map(time))
    }
}

fn journal_span(day: &str, shard: u64, from: u64, backwards: bool) -> Span {
    Span {
        index: Some(JOURNAL_INDEX),
        hash: DAY_P,
        partition: day_partition(day, shard),
        range: POS,
        bounds: (item::number(from), item::number(u64::MAX)),
        backwards,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_names_its_day() {
        let noon: Timestamp = "2026-11-19T12:00:00Z".parse().unwrap();
        let position = u64::try_from(noon.as_microsecond()).unwrap() << 11;
        assert_eq!(day_of(position), "2026-11-19");
        assert_eq!(day_of(0), "1970-01-01");
        assert!(day_of(i64::MAX.unsigned_abs()).as_str() > "2100");
    }
}
