//! The one write: from a commit to one TransactWriteItems (or one PutItem where that is all of it), and from its refusal to
//! what the engine does about it.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put as PutAction, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Put};
use tidegate_events::id::Digest;
use tidegate_rules::Key;
use tidegate_rules::desk::Add;

use super::failure::{self, Refused, patiently};
use super::item::{self, BODY, CLK, COUNT, DUE_AT, DUE_P, HEAD, Item, SEQ, VER, WRITE, micros_up, number_of};
use super::journal::line_item;
use super::units::{self, Kind};
use super::{DynamoStore, clock, place, queue};

/// Tries of a commit that lost to one at the same time, was throttled or came with an old clock.
const TRIES: u32 = 8;

/// What stands in one place of a transaction.
enum Part<'c> {
    Put(&'c Key),
    Unchanged(&'c Key),
    Add(&'c Key, &'c Add),
    Line(&'c Key),
    Action,
}

/// One place of a transaction.
struct Planned<'c> {
    part: Part<'c>,
    action: TransactWriteItem,
    /// Bytes that it writes.
    size: usize,
}

/// How one try ended that was not refused for good.
enum Tried {
    Done,
    /// Somebody else wrote one of these at the same moment.
    Contended(Key),
    Throttled,
    /// What is written has a later clock than this process: with the clock moved on it may be written.
    Behind(Key),
}

/// A commit with its numbers: lines first, then actions.
struct Numbered<'c> {
    commit: &'c Commit,
    /// JSON of its actions.
    actions: &'c [Vec<u8>],
    first: u64,
    /// Clock of everything that is written.
    clock: u64,
    /// Names this try.
    token: String,
}

impl DynamoStore {
    pub(super) async fn write(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.check()?;
        // A line's place is the one after those that its item counts: of these no item can have counted the ones before.
        let expected = |stream: &Key| commit.puts.iter().find(|put| put.key == *stream).map_or(0, |put| put.expect);
        if let Some(line) = commit.lines.iter().find(|line| line.seq == 0 || (expected(&line.stream) == 0 && line.seq > 1)) {
            return Err(StoreError::Conflict(line.stream.clone()));
        }
        let actions: Vec<Vec<u8>> =
            commit.actions.iter().map(serde_json::to_vec).collect::<Result<_, _>>().map_err(|error| StoreError::Failed(error.to_string()))?;
        let count = u64::try_from(commit.lines.len() + actions.len()).unwrap_or(u64::MAX).max(1);
        let mut tried = 0;
        loop {
            let first = clock::take(count);
            if !commit.lines.is_empty() {
                self.know_day(first).await?;
                self.know_day(first + count).await?;
            }
            let numbered = Numbered { commit, actions: &actions, first, clock: first + (count - 1), token: crate::random::name() };
            let outcome = match (commit.puts.as_slice(), actions.len()) {
                ([], 0) if commit.unchanged.is_empty() && commit.adds.is_empty() => Tried::Done,
                ([put], 0) if commit.unchanged.is_empty() && commit.adds.is_empty() && commit.lines.is_empty() => self.put_alone(put, &numbered).await?,
                _ => self.transact(&numbered).await?,
            };
            tried += 1;
            match outcome {
                Tried::Done => {
                    self.note_fresh((numbered.first_action()..).map(ActionId).zip(commit.actions.iter().cloned()));
                    self.note_newest(micros_up(commit.at), !commit.lines.is_empty()).await;
                    return Ok(());
                }
                Tried::Contended(key) | Tried::Behind(key) if tried >= TRIES => return Err(StoreError::Conflict(key)),
                Tried::Throttled if tried >= TRIES => return Err(failure::throttled(self.table(), "TransactWriteItems")),
                Tried::Contended(_) | Tried::Throttled => failure::back_off(tried).await,
                Tried::Behind(_) => {}
            }
        }
    }

    /// Writes the only item of a commit, at half the price of a transaction.
    async fn put_alone(&self, put: &Put, numbered: &Numbered<'_>) -> Result<Tried, StoreError> {
        let mut item = put_item(put, numbered.clock);
        item.insert(WRITE.into(), item::text(&numbered.token));
        let bytes = item::size(&item);
        let ask = || {
            let request = self.client().put_item().table_name(self.table()).set_item(Some(item.clone())).expression_attribute_names("#ver", VER);
            let request = match put.expect {
                0 => request.condition_expression("attribute_not_exists(#ver)"),
                version => request.condition_expression("#ver = :ver").expression_attribute_values(":ver", item::number(version)),
            };
            let request = request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        match patiently(self.table(), "PutItem", ask).await {
            Ok(answer) => {
                self.meter().count("PutItem", Kind::Write, answer.consumed_capacity.as_slice(), units::to_write(bytes));
                Ok(Tried::Done)
            }
            Err(Refused::Said(said)) => match *said {
                PutItemError::ConditionalCheckFailedException(refusal) => {
                    self.meter().count("PutItem", Kind::Write, &[], 1.0);
                    // Asked again after an answer was lost, it meets what it wrote itself.
                    let is_ours = refusal.item().and_then(|item| item.get(WRITE)).and_then(|name| name.as_s().ok()) == Some(&numbered.token);
                    if is_ours { Ok(Tried::Done) } else { Err(StoreError::Conflict(put.key.clone())) }
                }
                PutItemError::TransactionConflictException(_) => Ok(Tried::Contended(put.key.clone())),
                said => Err(Refused::Said(Box::new(said)).unexpected(self.table(), "PutItem")),
            },
            Err(refused) => Err(refused.unexpected(self.table(), "PutItem")),
        }
    }

    async fn transact(&self, numbered: &Numbered<'_>) -> Result<Tried, StoreError> {
        let planned = self.plan(numbered)?;
        let actions: Vec<TransactWriteItem> = planned.iter().map(|place| place.action.clone()).collect();
        let ask = || {
            let request = self.client().transact_write_items().set_transact_items(Some(actions.clone())).client_request_token(&numbered.token);
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let estimate = planned.iter().map(|place| 2.0 * units::to_write(place.size)).sum();
        match patiently(self.table(), "TransactWriteItems", ask).await {
            Ok(answer) => {
                self.meter().count("TransactWriteItems", Kind::Write, answer.consumed_capacity.as_deref().unwrap_or_default(), estimate);
                Ok(Tried::Done)
            }
            Err(Refused::Said(said)) => match *said {
                TransactWriteItemsError::TransactionCanceledException(canceled) => {
                    self.meter().count("TransactWriteItems", Kind::Write, &[], estimate);
                    let reasons = canceled.cancellation_reasons();
                    match self.judge(&planned, reasons)? {
                        Some(tried) => Ok(tried),
                        None => Err(StoreError::Failed(format!(
                            "TransactWriteItems on table `{}` was cancelled for no known reason: {}",
                            self.table(),
                            canceled.meta().message().unwrap_or("no message")
                        ))),
                    }
                }
                said => Err(Refused::Said(Box::new(said)).unexpected(self.table(), "TransactWriteItems")),
            },
            Err(refused) => Err(refused.unexpected(self.table(), "TransactWriteItems")),
        }
    }

    /// The transaction, place by place.
    fn plan<'c>(&self, numbered: &Numbered<'c>) -> Result<Vec<Planned<'c>>, StoreError> {
        let commit = numbered.commit;
        let mut planned = Vec::new();
        let mut add = |part, action, size| planned.push(Planned { part, action, size });
        let broken = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Failed(error.to_string());
        for put in &commit.puts {
            let line = commit.lines.iter().find(|line| line.stream == put.key);
            let item = put_item(put, numbered.clock);
            let size = item::size(&item);
            let builder = PutAction::builder().table_name(self.table()).set_item(Some(item)).expression_attribute_names("#ver", VER);
            let builder = match (put.expect, line) {
                (0, _) => builder.condition_expression("attribute_not_exists(#ver)"),
                (version, None) => builder.condition_expression("#ver = :ver").expression_attribute_values(":ver", item::number(version)),
                (version, Some(line)) => {
                    // The first line of an item that has none: it has no `seq` either.
                    let counted = if line.seq == 1 { "(attribute_not_exists(#seq) OR #seq = :seq)" } else { "#seq = :seq" };
                    let builder = builder.condition_expression(format!("#ver = :ver AND {counted}")).expression_attribute_names("#seq", SEQ);
                    builder.expression_attribute_values(":ver", item::number(version)).expression_attribute_values(":seq", item::number(line.seq - 1))
                }
            };
            add(Part::Put(&put.key), TransactWriteItem::builder().put(builder.build().map_err(broken)?).build(), size);
        }
        for (key, version) in &commit.unchanged {
            let builder = ConditionCheck::builder().table_name(self.table()).set_key(Some(item::at_place(place::of_item(key))));
            let builder = builder.expression_attribute_names("#ver", VER);
            let builder = match version {
                0 => builder.condition_expression("attribute_not_exists(#ver)"),
                version => builder.condition_expression("#ver = :ver").expression_attribute_values(":ver", item::number(version)),
            };
            add(Part::Unchanged(key), TransactWriteItem::builder().condition_check(builder.build().map_err(broken)?).build(), 1);
        }
        for (key, wanted) in &commit.adds {
            let update = self.add_update(key, wanted, numbered.clock).map_err(broken)?;
            add(Part::Add(key, wanted), TransactWriteItem::builder().update(update).build(), 1);
        }
        for (line, position) in commit.lines.iter().zip(numbered.first..) {
            let item = line_item(line, position, micros_up(commit.at));
            // In the index it is written once more, outside of transactions.
            let size = item::size(&item);
            let builder = PutAction::builder().table_name(self.table()).set_item(Some(item)).condition_expression("attribute_not_exists(#pk)");
            let put = builder.expression_attribute_names("#pk", item::PK).build().map_err(broken)?;
            add(Part::Line(&line.stream), TransactWriteItem::builder().put(put).build(), size);
        }
        for (body, id) in numbered.actions.iter().zip(numbered.first_action()..) {
            let mut item = item::at_place(queue::of_action(ActionId(id)));
            item.insert(BODY.into(), item::bytes(body.clone()));
            let size = item::size(&item);
            let builder = PutAction::builder().table_name(self.table()).set_item(Some(item)).condition_expression("attribute_not_exists(#pk)");
            let put = builder.expression_attribute_names("#pk", item::PK).build().map_err(broken)?;
            add(Part::Action, TransactWriteItem::builder().put(put).build(), size);
        }
        Ok(planned)
    }

    /// A counter's update. DynamoDB does not add in conditions, so the limit is moved instead; and the clock only goes on.
    fn add_update(&self, key: &Key, add: &Add, clock: u64) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
        let delta = i128::from(add.delta);
        let most = i128::from(add.max.unwrap_or(i64::MAX)) - delta;
        let least = i128::from(i64::MIN) - delta.min(0);
        // Without a value it counts from 0.
        let fresh = if (least..=most).contains(&0) { "attribute_not_exists(#n) OR " } else { "" };
        let builder = Update::builder().table_name(self.table()).set_key(Some(item::at_place(place::of_counter(key))));
        let builder = builder.update_expression("SET #n = if_not_exists(#n, :zero) + :delta, #clk = :clk");
        let builder = builder.condition_expression(format!("{fresh}(#n >= :least AND #n <= :most AND #clk < :clk)"));
        let builder = builder.expression_attribute_names("#n", COUNT).expression_attribute_names("#clk", CLK);
        let builder = builder.expression_attribute_values(":zero", item::number(0)).expression_attribute_values(":delta", item::number(delta));
        let builder = builder.expression_attribute_values(":least", item::number(least)).expression_attribute_values(":most", item::number(most));
        let builder = builder.expression_attribute_values(":clk", item::number(clock));
        builder.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).build()
    }

    /// What a cancelled transaction means, from the reasons in the order of its places: a lost race first, since nothing is to
    /// be tried again then.
    fn judge(&self, planned: &[Planned<'_>], reasons: &[CancellationReason]) -> Result<Option<Tried>, StoreError> {
        let mut tried = None;
        for (Planned { part, .. }, reason) in planned.iter().zip(reasons) {
            let now = match (reason.code().unwrap_or("None"), part) {
                ("None", _) => continue,
                ("ConditionalCheckFailed", Part::Put(key) | Part::Unchanged(key) | Part::Line(key)) => return Err(StoreError::Conflict((*key).clone())),
                ("ConditionalCheckFailed", Part::Add(key, add)) => refused_add(key, add, reason.item())?,
                // Another process gave the same id in the same microsecond.
                ("ConditionalCheckFailed", Part::Action) => Tried::Behind(Key::from_text("the outbox")),
                ("TransactionConflict", part) => Tried::Contended(part.key()),
                ("ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded", _) => Tried::Throttled,
                (code, part) => {
                    let message = reason.message().unwrap_or("no message");
                    return Err(StoreError::Failed(format!("table `{}` refused `{}` ({code}: {message})", self.table(), part.key())));
                }
            };
            tried = Some(match (tried, now) {
                (Some(Tried::Throttled), _) | (_, Tried::Throttled) => Tried::Throttled,
                (Some(first @ Tried::Contended(_)), _) => first,
                (_, now) => now,
            });
        }
        Ok(tried)
    }
}

impl Part<'_> {
    fn key(&self) -> Key {
        match self {
            Self::Put(key) | Self::Unchanged(key) | Self::Add(key, _) | Self::Line(key) => (*key).clone(),
            Self::Action => Key::from_text("the outbox"),
        }
    }
}

impl Numbered<'_> {
    fn first_action(&self) -> u64 {
        self.first.saturating_add(self.commit.lines.len() as u64)
    }
}

/// Why a counter did not take an add.
fn refused_add(key: &Key, add: &Add, found: Option<&Item>) -> Result<Tried, StoreError> {
    let value = match found {
        Some(item) if item.contains_key(COUNT) => {
            item::observe(item);
            i128::from(number_of::<i64>(item, COUNT)?)
        }
        _ => 0,
    };
    let sum = value + i128::from(add.delta);
    match add.max {
        Some(max) if sum > i128::from(max) => Err(StoreError::OverLimit(key.clone())),
        _ if i64::try_from(sum).is_err() => Err(StoreError::Failed(format!("counter `{key}` would leave the numbers that it can hold"))),
        _ => Ok(Tried::Behind(key.clone())),
    }
}

/// An item as it is stored.
fn put_item(put: &Put, clock: u64) -> Item {
    let mut item = item::at_place(place::of_item(&put.key));
    item.insert(VER.into(), item::number(u128::from(put.expect) + 1));
    item.insert(BODY.into(), item::bytes(put.body.clone()));
    item.insert(CLK.into(), item::number(clock));
    if put.seq != 0 || put.head != Digest::default() {
        item.insert(SEQ.into(), item::number(put.seq));
        item.insert(HEAD.into(), item::bytes(put.head.as_bytes().as_slice()));
    }
    if let Some(due_at) = put.due_at {
        item.insert(DUE_P.into(), item::text(queue::due_partition(&put.key)));
        item.insert(DUE_AT.into(), item::number(micros_up(due_at)));
    }
    item
}
