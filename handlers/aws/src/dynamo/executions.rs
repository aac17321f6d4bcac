//! Executions of the orchestrating state machine that wait for the end of their run. Each holds the token that ends it: a secret,
//! kept here beside the run, never in its journal.

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use serde::{Deserialize, Serialize};
use tidegate_engine::error::StoreError;

use super::DynamoStore;
use super::failure::patiently;
use super::item::{self, BODY, Item, SK, text_of};
use super::merge::Span;
use super::place::OWN;
use super::units::{self, Kind};
use crate::secret::Secret;

/// So many are looked at by one tick; nobody has more runs at a time.
const OPEN_MAX: usize = 1_000;

/// An execution that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenExecution {
    /// The id under which its run was asked for.
    pub run: String,
    /// Its ARN.
    pub execution: String,
    /// What ends it.
    pub token: Secret,
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    execution: std::borrow::Cow<'a, str>,
    token: std::borrow::Cow<'a, str>,
}

fn partition() -> String {
    format!("{OWN}executions")
}

fn open(item: Item) -> Result<(String, OpenExecution), StoreError> {
    let run = text_of(&item, SK)?.to_owned();
    // The error of a reader may quote what it read.
    let kept: Kept<'_> = serde_json::from_str(text_of(&item, BODY)?).map_err(|_| StoreError::Failed(format!("the execution of run {run} can't be read")))?;
    let open = OpenExecution { run: run.clone(), execution: kept.execution.into_owned(), token: Secret::new(kept.token) };
    Ok((run, open))
}

impl DynamoStore {
    /// Keeps an execution until its run has ended. Kept again, it is the same.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_execution(&self, open: &OpenExecution) -> Result<(), StoreError> {
        let kept = Kept { execution: open.execution.as_str().into(), token: open.token.expose().into() };
        let mut item = item::at_place((partition(), open.run.clone()));
        item.insert(BODY.into(), item::text(serde_json::to_string(&kept).map_err(|error| StoreError::Failed(error.to_string()))?));
        let bytes = item::size(&item);
        let ask = || {
            let request = self.client().put_item().table_name(self.table()).set_item(Some(item.clone()));
            request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let answer = patiently(self.table(), "PutItem", ask).await.map_err(|refused| refused.unexpected(self.table(), "PutItem"))?;
        self.meter().count("PutItem", Kind::Write, answer.consumed_capacity.as_slice(), units::to_write(bytes));
        Ok(())
    }

    /// Executions that wait, the first thousand of them.
    ///
    /// # Errors
    /// When the store does not answer, or an item can't be read.
    pub async fn open_executions(&self) -> Result<Vec<OpenExecution>, StoreError> {
        let all = (" ".to_owned(), char::MAX.to_string());
        let found = self.merged(vec![Span::of_table(partition(), all)], OPEN_MAX, open).await?;
        Ok(found.into_iter().map(|(_, open)| open).collect())
    }

    /// Forgets the execution of a run: it waits no more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget_execution(&self, run: &str) -> Result<(), StoreError> {
        self.delete_at(std::iter::once((partition(), run.to_owned()))).await
    }
}
