//! Reading items and counters, by their keys and by what their keys begin with. All of it strongly consistent.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{Page, Stored};
use tidegate_rules::Key;

use super::DynamoStore;
use super::failure::{self, patiently};
use super::item::{self, COUNT, Item, VER, text_of};
use super::merge::Span;
use super::place::{self, Listing};
use super::units::{self, Kind};

/// Keys in one BatchGetItem.
const KEYS_MAX: usize = 100;
/// How often what DynamoDB left unread (or unwritten) is asked for again before it counts as throttled.
pub(super) const LEFT_OVER_TRIES: u32 = 8;

type Place = (String, String);

impl DynamoStore {
    pub(super) async fn read_items(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let places: Vec<Place> = keys.iter().map(place::of_item).collect();
        let mut found: HashMap<Place, Stored> = HashMap::new();
        for (place, item) in self.items_at(&places).await? {
            found.insert(place, item::stored(item)?);
        }
        Ok(places.iter().map(|place| found.get(place).cloned()).collect())
    }

    pub(super) async fn read_counts(&self, keys: &[Key]) -> Result<Vec<i64>, StoreError> {
        let places: Vec<Place> = keys.iter().map(place::of_counter).collect();
        let mut found: HashMap<Place, i64> = HashMap::new();
        for (place, item) in self.items_at(&places).await? {
            found.insert(place, item::counted(&item)?);
        }
        Ok(places.iter().map(|place| found.get(place).copied().unwrap_or(0)).collect())
    }

    /// What there is at these places, in no order.
    pub(super) async fn items_at(&self, places: &[Place]) -> Result<Vec<(Place, Item)>, StoreError> {
        // The same place twice in one request is refused.
        let mut distinct: Vec<&Place> = places.iter().collect();
        distinct.sort();
        distinct.dedup();
        let mut found = Vec::with_capacity(distinct.len());
        for some in distinct.chunks(KEYS_MAX) {
            let mut left: Vec<Item> = some.iter().map(|place| item::at_place((*place).clone())).collect();
            let mut tried = 0;
            while !left.is_empty() {
                if tried > LEFT_OVER_TRIES {
                    return Err(failure::throttled(self.table(), "BatchGetItem"));
                }
                if tried > 0 {
                    failure::back_off(tried).await;
                }
                tried += 1;
                let (items, unread) = self.batch(left).await?;
                left = unread;
                for item in items {
                    let place = (text_of(&item, item::PK)?.to_owned(), text_of(&item, item::SK)?.to_owned());
                    found.push((place, item));
                }
            }
        }
        Ok(found)
    }

    /// One BatchGetItem: what was found, and the keys that were left unread.
    async fn batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), StoreError> {
        let asked = keys.len();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let keys = keys.map_err(|error| StoreError::Failed(error.to_string()))?;
        let ask = || {
            let request = self.client().batch_get_item().request_items(self.table(), keys.clone());
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let answer = patiently(self.table(), "BatchGetItem", ask).await.map_err(|refused| refused.unexpected(self.table(), "BatchGetItem"))?;
        let items = answer.responses.and_then(|mut tables| tables.remove(self.table())).unwrap_or_default();
        let unread = answer.unprocessed_keys.and_then(|mut tables| tables.remove(self.table())).map(|keys| keys.keys).unwrap_or_default();
        // A key with nothing behind it takes a unit too.
        let absent = f64::from(u32::try_from(asked.saturating_sub(items.len() + unread.len())).unwrap_or(0));
        let units = absent + items.iter().map(|item| units::to_read(item::size(item))).sum::<f64>();
        self.meter().count("BatchGetItem", Kind::Read, answer.consumed_capacity.as_deref().unwrap_or_default(), units);
        Ok((items, unread))
    }

    pub(super) async fn list_items(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let read = |item: Item| Ok((item::key_of(&item)?, item::stored(item)?));
        self.listed(prefix, after, limit, VER, place::of_listing(prefix, after, false), read).await
    }

    pub(super) async fn list_counters(&self, prefix: &str) -> Result<Vec<(Key, i64)>, StoreError> {
        let read = |item: Item| Ok((item::key_of(&item)?, item::counted(&item)?));
        self.listed(prefix, None, usize::MAX, COUNT, place::of_listing(prefix, None, true), read).await
    }

    async fn listed<T: Send + 'static>(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
        marked_by: &'static str,
        listing: Listing,
        read: fn(Item) -> Result<(Key, T), StoreError>,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let bounds = place::bounds(prefix, after.map(Key::as_str));
        match listing {
            Listing::Merged(partitions) => {
                let spans = partitions.into_iter().map(|partition| Span::of_table(partition, bounds.clone())).collect();
                self.merged(spans, limit, read).await
            }
            Listing::InOrder(partitions) => {
                let mut found = Vec::new();
                for partition in partitions {
                    if found.len() >= limit {
                        break;
                    }
                    found.extend(self.merged(vec![Span::of_table(partition, bounds.clone())], limit - found.len(), read).await?);
                }
                Ok(found)
            }
            Listing::Everywhere => self.scanned(&bounds, limit, marked_by, read).await,
        }
    }

    /// The first of everything in the table that has this attribute and lies within these keys. Reads the whole table: for
    /// the checker of a store at rest, and for tests.
    async fn scanned<T: Send>(
        &self,
        (from, to): &(String, String),
        limit: usize,
        marked_by: &'static str,
        read: fn(Item) -> Result<(Key, T), StoreError>,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let mut found: BTreeMap<Key, T> = BTreeMap::new();
        let mut start: Option<Item> = None;
        loop {
            let ask = || {
                let scan = self.client().scan().table_name(self.table()).consistent_read(true).set_exclusive_start_key(start.clone());
                let scan = scan.filter_expression("attribute_exists(#marked)").expression_attribute_names("#marked", marked_by);
                scan.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
            };
            let answer = patiently(self.table(), "Scan", ask).await.map_err(|refused| refused.unexpected(self.table(), "Scan"))?;
            let items = answer.items.unwrap_or_default();
            self.meter().count("Scan", Kind::Read, answer.consumed_capacity.as_slice(), units::to_read(items.iter().map(item::size).sum()));
            for item in items {
                let key = item::key_of(&item)?;
                if key.as_str() >= from.as_str() && key.as_str() <= to.as_str() {
                    let (key, value) = read(item)?;
                    found.insert(key, value);
                    if found.len() > limit {
                        found.pop_last();
                    }
                }
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(found.into_iter().collect());
            }
        }
    }
}
