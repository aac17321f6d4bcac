//! One answer from many partitions: each is queried in its order, page by page, and the pages are merged.

use std::collections::VecDeque;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use tidegate_engine::error::StoreError;
use tokio::task::JoinSet;

use super::DynamoStore;
use super::failure::patiently;
use super::item::{self, Item, PK, SK};
use super::units::{self, Kind};

/// The most that one query is asked for; DynamoDB ends a page at 1 MB anyway.
const PAGE_MAX: usize = 1000;
/// The least, so that what ties is mostly seen at once.
const PAGE_MIN: usize = 32;

/// A part of one partition, of the table or of an index.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// The index; `None` for the table, which is read consistently.
    pub(super) index: Option<&'static str>,
    /// The partition key's name.
    pub(super) hash: &'static str,
    /// The partition.
    pub(super) partition: String,
    /// The sort key's name.
    pub(super) range: &'static str,
    /// First and last sort key, both included.
    pub(super) bounds: (AttributeValue, AttributeValue),
    /// Whether to read backwards.
    pub(super) backwards: bool,
}

impl Span {
    /// A part of a partition of the table.
    pub(super) fn of_table(partition: String, (from, to): (String, String)) -> Self {
        Self { index: None, hash: PK, partition, range: SK, bounds: (item::text(from), item::text(to)), backwards: false }
    }

    /// Whether nothing can be in it, which DynamoDB refuses to be asked.
    fn is_empty(&self) -> bool {
        match &self.bounds {
            (AttributeValue::S(from), AttributeValue::S(to)) => from > to,
            (AttributeValue::N(from), AttributeValue::N(to)) => matches!((from.parse::<i128>(), to.parse::<i128>()), (Ok(from), Ok(to)) if from > to),
            _ => false,
        }
    }
}

/// A partition that is being read.
struct Cursor<K, T> {
    span: Span,
    start: Option<Item>,
    is_done: bool,
    read: VecDeque<(K, T)>,
}

impl DynamoStore {
    /// The first `limit` of what lies in these partitions, in the order of the keys that `read` gives. Within a partition
    /// these must come in the order of its sort keys.
    pub(super) async fn merged<K, T>(&self, spans: Vec<Span>, limit: usize, read: fn(Item) -> Result<(K, T), StoreError>) -> Result<Vec<(K, T)>, StoreError>
    where
        K: Ord + Send + 'static,
        T: Send + 'static,
    {
        let mut cursors: Vec<Cursor<K, T>> =
            spans.into_iter().filter(|span| !span.is_empty()).map(|span| Cursor { span, start: None, is_done: limit == 0, read: VecDeque::new() }).collect();
        let share = limit.div_ceil(cursors.len().max(1));
        let page = if cursors.len() == 1 { limit.min(PAGE_MAX) } else { share.saturating_add(share.isqrt().saturating_mul(2)).clamp(PAGE_MIN, PAGE_MAX) };
        let mut found = Vec::new();
        while found.len() < limit {
            self.refill(&mut cursors, page, read).await?;
            let waiting = cursors.iter_mut().filter(|cursor| !cursor.read.is_empty());
            let first = waiting.min_by(|one, other| one.read.front().map(|(key, _)| key).cmp(&other.read.front().map(|(key, _)| key)));
            match first.and_then(|cursor| cursor.read.pop_front()) {
                Some(next) => found.push(next),
                None => break,
            }
        }
        Ok(found)
    }

    /// Reads the next page wherever everything that was read is used up, all at the same time.
    async fn refill<K, T>(&self, cursors: &mut [Cursor<K, T>], page: usize, read: fn(Item) -> Result<(K, T), StoreError>) -> Result<(), StoreError>
    where
        K: Ord + Send + 'static,
        T: Send + 'static,
    {
        loop {
            let mut asked = JoinSet::new();
            for (place, cursor) in cursors.iter_mut().enumerate().filter(|(_, cursor)| cursor.read.is_empty() && !cursor.is_done) {
                let (store, span, start) = (self.clone(), cursor.span.clone(), cursor.start.take());
                asked.spawn(async move { (place, store.page(&span, start, page).await) });
            }
            if asked.is_empty() {
                return Ok(());
            }
            while let Some(answer) = asked.join_next().await {
                let (place, answer) = answer.map_err(|error| StoreError::Failed(format!("a query of table `{}` was broken off: {error}", self.table())))?;
                let (items, start) = answer?;
                let Some(cursor) = cursors.get_mut(place) else { continue };
                cursor.is_done = start.is_none();
                cursor.start = start;
                let mut page = items.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
                page.sort_by(|(one, _), (other, _)| one.cmp(other));
                cursor.read = page.into();
            }
        }
    }

    /// One page of a partition, and where the next one starts.
    pub(super) async fn page(&self, span: &Span, start: Option<Item>, limit: usize) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
        let ask = || {
            let query = self.client().query().table_name(self.table()).set_index_name(span.index.map(str::to_owned)).limit(limit);
            let query = query.consistent_read(span.index.is_none()).scan_index_forward(!span.backwards).set_exclusive_start_key(start.clone());
            let query = query.expression_attribute_names("#p", span.hash).expression_attribute_names("#r", span.range);
            let query = query.key_condition_expression("#p = :p AND #r BETWEEN :from AND :to").expression_attribute_values(":p", item::text(&span.partition));
            let query = query.expression_attribute_values(":from", span.bounds.0.clone()).expression_attribute_values(":to", span.bounds.1.clone());
            query.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let answer = patiently(self.table(), "Query", ask).await.map_err(|refused| refused.unexpected(self.table(), "Query"))?;
        let items = answer.items.unwrap_or_default();
        let units = units::to_read(items.iter().map(item::size).sum());
        self.meter().count("Query", Kind::Read, answer.consumed_capacity.as_slice(), if span.index.is_some() { units / 2.0 } else { units });
        Ok((items, answer.last_evaluated_key.filter(|key| !key.is_empty())))
    }
}
