//! Tokens of approval links: each may be used once, for one word by one person, until it expires. Only their hashes are
//! stored, so that whoever reads the table can approve nothing.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_engine::error::StoreError;
use tidegate_engine::tokens::{TokenError, TokenRecord, Tokens, UsedToken};
use tidegate_events::event::Subject;
use tidegate_events::id::{Digest, PersonId};

use super::DynamoStore;
use super::failure::{Refused, patiently};
use super::item::{self, BODY, Item, TTL, WRITE, micros_up, number_of, text_of};
use super::place::{ALONE, OWN};
use super::units::{self, Kind};

/// When the token expires, in microseconds since 1970.
const EXPIRES: &str = "expires";
/// JSON of its use.
const USED: &str = "used";
/// DynamoDB may delete a token so long after it has expired, in seconds: until then its use can still be repeated and looked
/// up. Whether it has expired is never told by its absence.
const KEPT_SECS: i64 = 30 * 86_400;

/// What never changes of a record.
#[derive(Serialize, Deserialize)]
struct Given {
    subject: Subject,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approver: Option<PersonId>,
    expires_at: Timestamp,
}

/// A new token for a link: 64 hex digits that nobody can guess.
///
/// # Errors
/// When the system has no randomness to give: then there is no link.
pub fn new_token() -> Result<String, StoreError> {
    let bytes = crate::random::secret().ok_or_else(|| StoreError::Failed("the system gives no random bytes for a token".into()))?;
    Ok(Digest::from_bytes(bytes).to_string())
}

/// What of a token is stored, and what it is found by.
pub fn token_hash(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

fn place(hash: &Digest) -> (String, String) {
    (format!("{OWN}token#{hash}"), ALONE.to_owned())
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(format!("a token can't be written: {error}")))
}

fn record(item: &Item) -> Result<TokenRecord, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Failed(format!("a token in the table can't be read: {error}; ask for a new one"));
    let Given { subject, digest, approver, expires_at } = serde_json::from_str(text_of(item, BODY)?).map_err(damaged)?;
    let used = item.get(USED).map(|_| text_of(item, USED)).transpose()?.map(serde_json::from_str).transpose().map_err(damaged)?;
    Ok(TokenRecord { subject, digest, approver, expires_at, used })
}

impl DynamoStore {
    /// Stores a new token under its hash ([`token_hash`]).
    ///
    /// # Errors
    /// When there is one of this hash already, or the store does not answer.
    pub async fn put_token(&self, hash: &Digest, record: &TokenRecord) -> Result<(), StoreError> {
        let name = crate::random::name();
        let given = Given { subject: record.subject.clone(), digest: record.digest, approver: record.approver.clone(), expires_at: record.expires_at };
        let mut item = item::at_place(place(hash));
        item.insert(BODY.into(), item::text(json(&given)?));
        item.insert(EXPIRES.into(), item::number(micros_up(record.expires_at)));
        item.insert(TTL.into(), item::number(record.expires_at.as_second().saturating_add(KEPT_SECS)));
        item.insert(WRITE.into(), item::text(&name));
        if let Some(used) = &record.used {
            item.insert(USED.into(), item::text(json(used)?));
        }
        let bytes = item::size(&item);
        let ask = || {
            let request = self.client().put_item().table_name(self.table()).set_item(Some(item.clone()));
            let request = request.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", item::PK);
            let request = request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        match patiently(self.table(), "PutItem", ask).await {
            Ok(answer) => {
                self.meter().count("PutItem", Kind::Write, answer.consumed_capacity.as_slice(), units::to_write(bytes));
                Ok(())
            }
            Err(Refused::Said(said)) => match *said {
                PutItemError::ConditionalCheckFailedException(refusal) => {
                    // Asked again after an answer was lost, it meets what it wrote itself.
                    let is_ours = refusal.item().and_then(|item| item.get(WRITE)).and_then(|name| name.as_s().ok()) == Some(&name);
                    if is_ours { Ok(()) } else { Err(StoreError::Failed("this token is given already: make a new one".into())) }
                }
                said => Err(Refused::Said(Box::new(said)).unexpected(self.table(), "PutItem")),
            },
            Err(refused) => Err(refused.unexpected(self.table(), "PutItem")),
        }
    }

    /// What a token stands for; `None` where there is none, or where it has expired at `now`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn token(&self, hash: &Digest, now: Timestamp) -> Result<Option<TokenRecord>, StoreError> {
        let found = self.items_at(&[place(hash)]).await?;
        let found = found.first().map(|(_, item)| record(item)).transpose()?;
        Ok(found.filter(|record| now < record.expires_at))
    }

    /// Uses a token, once. The very same word by the same person gives the same record again, even after it has expired: a
    /// process may have died between this and what follows from it.
    ///
    /// # Errors
    /// By name, when it is not known, has expired, was used for something else, or belongs to somebody else.
    pub async fn use_token(&self, hash: &Digest, used: &UsedToken, now: Timestamp) -> Result<TokenRecord, TokenError> {
        // Whom it belongs to never changes, so it needs no condition.
        let found = self.items_at(&[place(hash)]).await?;
        let Some((_, found)) = found.first() else { return Err(TokenError::Unknown) };
        if let Some(approver) = record(found)?.approver.filter(|approver| !approver.is_same_person(&used.by)) {
            return Err(TokenError::NotYours(approver));
        }
        let use_json = json(used)?;
        let ask = || {
            let update = self.client().update_item().table_name(self.table()).set_key(Some(item::at_place(place(hash))));
            let update = update.update_expression("SET #used = :used");
            let update = update.condition_expression("attribute_exists(#expires) AND attribute_not_exists(#used) AND #expires > :now");
            let update = update.expression_attribute_names("#used", USED).expression_attribute_names("#expires", EXPIRES);
            let update = update.expression_attribute_values(":used", item::text(&use_json)).expression_attribute_values(":now", item::number(micros_up(now)));
            let update = update.return_values(ReturnValue::AllNew).return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            update.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        match patiently(self.table(), "UpdateItem", ask).await {
            Ok(answer) => {
                self.meter().count("UpdateItem", Kind::Write, answer.consumed_capacity.as_slice(), 1.0);
                Ok(record(&answer.attributes.unwrap_or_default())?)
            }
            Err(Refused::Said(said)) => match *said {
                UpdateItemError::ConditionalCheckFailedException(refusal) => refused_use(refusal.item(), used, now),
                said => Err(Refused::Said(Box::new(said)).unexpected(self.table(), "UpdateItem").into()),
            },
            Err(refused) => Err(refused.unexpected(self.table(), "UpdateItem").into()),
        }
    }
}

fn refused_use(found: Option<&Item>, used: &UsedToken, now: Timestamp) -> Result<TokenRecord, TokenError> {
    let Some(found) = found.filter(|item| item.contains_key(EXPIRES)) else { return Err(TokenError::Unknown) };
    let record = record(found)?;
    let expires: i64 = number_of(found, EXPIRES)?;
    match &record.used {
        Some(before) if before.is_same_use(used) => Ok(record),
        Some(before) => Err(TokenError::UsedOtherwise(Box::new(before.clone()))),
        None if expires <= micros_up(now) => Err(TokenError::Expired(record.expires_at)),
        // Refused, and nothing of it is wrong: doubt is no.
        None => Err(StoreError::Failed("a token was refused for no known reason: try again".into()).into()),
    }
}

impl Tokens for DynamoStore {
    async fn put_token(&self, hash: &Digest, record: &TokenRecord) -> Result<(), StoreError> {
        Self::put_token(self, hash, record).await
    }
    async fn token(&self, hash: &Digest, now: Timestamp) -> Result<Option<TokenRecord>, StoreError> {
        Self::token(self, hash, now).await
    }
    async fn use_token(&self, hash: &Digest, used: &UsedToken, now: Timestamp) -> Result<TokenRecord, TokenError> {
        Self::use_token(self, hash, used, now).await
    }
}
