//! What is due, and what is in the outbox.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{DeleteRequest, ReturnConsumedCapacity, WriteRequest};
use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::ActionId;
use tidegate_events::Action;
use tidegate_rules::Key;

use super::DynamoStore;
use super::failure::{self, patiently};
use super::item::{self, BODY, DUE_AT, DUE_P, Item, SK, number_of, text_of, time};
use super::merge::Span;
use super::place::{OWN, shard};
use super::read::LEFT_OVER_TRIES;
use super::units::Kind;

/// The index of what is due.
pub(super) const DUE_INDEX: &str = "due";
/// Its partitions.
const DUE_SHARDS: u32 = 16;
/// Partitions of the outbox.
const OUTBOX_SHARDS: u32 = 8;
/// Items in one BatchWriteItem.
const DELETES_MAX: usize = 25;

/// The partition of the index in which an item is due.
pub(super) fn due_partition(key: &Key) -> String {
    due_shard(shard(key.as_str(), DUE_SHARDS))
}

fn due_shard(number: u32) -> String {
    format!("due#{number:02}")
}

fn due_spans(until: i64) -> Vec<Span> {
    let span = |number| Span {
        index: Some(DUE_INDEX),
        hash: DUE_P,
        partition: due_shard(number),
        range: DUE_AT,
        bounds: (item::number(i64::MIN), item::number(until)),
        backwards: false,
    };
    (0..DUE_SHARDS).map(span).collect()
}

fn outbox_partition(number: u64) -> String {
    format!("{OWN}outbox#{number}")
}

/// Where an action lies. Its id is padded, so that the order of texts is the order of ids.
pub(super) fn of_action(id: ActionId) -> (String, String) {
    (outbox_partition(id.0 % u64::from(OUTBOX_SHARDS)), outbox_sort(id.0))
}

fn outbox_sort(id: u64) -> String {
    format!("{id:020}")
}

fn action(mut item: Item) -> Result<(ActionId, Action), StoreError> {
    let id = text_of(&item, SK)?.parse().map_err(|error| StoreError::Failed(format!("an action in the outbox has no id: {error}")))?;
    let body = item::take_bytes(&mut item, BODY)?;
    let action = serde_json::from_slice(&body).map_err(|error| StoreError::Failed(format!("action {id} in the outbox can't be read: {error}")))?;
    Ok((ActionId(id), action))
}

fn due_key(item: Item) -> Result<((i64, Key), ()), StoreError> {
    Ok(((number_of(&item, DUE_AT)?, item::key_of(&item)?), ()))
}

impl DynamoStore {
    pub(super) async fn due_keys(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, StoreError> {
        let found = self.merged(due_spans(now.as_microsecond()), limit, due_key).await?;
        Ok(found.into_iter().map(|((_, key), ())| key).collect())
    }

    pub(super) async fn first_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let first = self.merged(due_spans(i64::MAX), 1, due_key).await?;
        Ok(first.into_iter().next().map(|((at, _), ())| time(at)))
    }

    pub(super) async fn oldest_actions(&self, after: Option<ActionId>, limit: usize) -> Result<Vec<(ActionId, Action)>, StoreError> {
        let bounds = (outbox_sort(after.map_or(0, |after| after.0.saturating_add(1))), outbox_sort(u64::MAX));
        let spans = (0..u64::from(OUTBOX_SHARDS)).map(|number| Span::of_table(outbox_partition(number), bounds.clone())).collect();
        self.merged(spans, limit, action).await
    }

    pub(super) async fn forget_actions(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        let mut distinct = ids.to_vec();
        distinct.sort();
        distinct.dedup();
        for some in distinct.chunks(DELETES_MAX) {
            self.delete_at(some.iter().map(|id| of_action(*id))).await?;
        }
        self.forget_fresh(&distinct);
        Ok(())
    }

    /// Deletes what is at these places, at most 25 of them.
    pub(super) async fn delete_at(&self, places: impl Iterator<Item = (String, String)> + Send) -> Result<(), StoreError> {
        let mut left = Vec::new();
        for place in places {
            let delete = DeleteRequest::builder().set_key(Some(item::at_place(place))).build();
            left.push(WriteRequest::builder().delete_request(delete.map_err(|error| StoreError::Failed(error.to_string()))?).build());
        }
        let mut tried = 0;
        while !left.is_empty() {
            if tried > LEFT_OVER_TRIES {
                return Err(failure::throttled(self.table(), "BatchWriteItem"));
            }
            if tried > 0 {
                failure::back_off(tried).await;
            }
            tried += 1;
            left = self.delete(left).await?;
        }
        Ok(())
    }

    /// One BatchWriteItem: gives what was left undone.
    async fn delete(&self, requests: Vec<WriteRequest>) -> Result<Vec<WriteRequest>, StoreError> {
        let ask = || {
            let request = self.client().batch_write_item().set_request_items(Some(HashMap::from([(self.table().to_owned(), requests.clone())])));
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let answer = patiently(self.table(), "BatchWriteItem", ask).await.map_err(|refused| refused.unexpected(self.table(), "BatchWriteItem"))?;
        let left = answer.unprocessed_items.and_then(|mut tables| tables.remove(self.table())).unwrap_or_default();
        let done = f64::from(u32::try_from(requests.len().saturating_sub(left.len())).unwrap_or(u32::MAX));
        self.meter().count("BatchWriteItem", Kind::Write, answer.consumed_capacity.as_deref().unwrap_or_default(), done);
        Ok(left)
    }
}
