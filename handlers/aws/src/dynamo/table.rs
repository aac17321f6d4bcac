//! Making the table, for tests and for `serve`. Backups (point-in-time recovery) and encryption keys are the template's.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    TableStatus, TimeToLiveSpecification,
};
use tidegate_engine::error::StoreError;

use super::failure::patiently;
use super::item::{DAY_P, DUE_AT, DUE_P, PK, POS, SK, TTL};
use super::journal::JOURNAL_INDEX;
use super::queue::DUE_INDEX;

/// How often, and how far apart, a new table is looked at until it can be used.
const LOOKS: u32 = 120;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes the table with its indexes and its time to live, and waits until it can be used. A table of that name that is there
/// already is taken if it has these keys and indexes.
///
/// # Errors
/// When it can't be made, or is another program's.
pub async fn create_table(client: &Client, name: &str) -> Result<(), StoreError> {
    let built = |error: BuildError| StoreError::Failed(error.to_string());
    let request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let request = request.key_schema(key(PK, KeyType::Hash).map_err(built)?).key_schema(key(SK, KeyType::Range).map_err(built)?);
    let request = [(PK, ScalarAttributeType::S), (SK, ScalarAttributeType::S), (DUE_P, ScalarAttributeType::S), (DUE_AT, ScalarAttributeType::N)]
        .into_iter()
        .chain([(DAY_P, ScalarAttributeType::S), (POS, ScalarAttributeType::N)])
        .try_fold(request, |request, (attribute, kind)| {
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(kind).build().map(|definition| request.attribute_definitions(definition))
        })
        .map_err(built)?;
    let request = request
        .global_secondary_indexes(index(DUE_INDEX, DUE_P, DUE_AT, ProjectionType::KeysOnly).map_err(built)?)
        .global_secondary_indexes(index(JOURNAL_INDEX, DAY_P, POS, ProjectionType::All).map_err(built)?);
    let is_new = match request.send().await {
        Ok(_) => true,
        Err(error) if error.code() == Some("ResourceInUseException") => false,
        Err(error) => {
            return Err(StoreError::Failed(format!("table `{name}` can't be made: {}", DisplayErrorContext(&error))));
        }
    };
    wait_until_usable(client, name).await?;
    if is_new {
        let ttl = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build().map_err(built)?;
        let ask = || client.update_time_to_live().table_name(name).time_to_live_specification(ttl.clone()).send();
        patiently(name, "UpdateTimeToLive", ask).await.map_err(|refused| refused.unexpected(name, "UpdateTimeToLive"))?;
    }
    Ok(())
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build()
}

fn index(name: &str, hash: &str, range: &str, projection: ProjectionType) -> Result<GlobalSecondaryIndex, BuildError> {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(hash, KeyType::Hash)?)
        .key_schema(key(range, KeyType::Range)?)
        .projection(Projection::builder().projection_type(projection).build())
        .build()
}

async fn wait_until_usable(client: &Client, name: &str) -> Result<(), StoreError> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let ask = || client.describe_table().table_name(name).send();
        let answer = patiently(name, "DescribeTable", ask).await.map_err(|refused| refused.unexpected(name, "DescribeTable"))?;
        let Some(table) = answer.table else { continue };
        let has = |name: &str, schema: &[KeySchemaElement], kind: &KeyType| schema.iter().any(|key| key.attribute_name() == name && key.key_type() == kind);
        let keys_are_ours = has(PK, table.key_schema(), &KeyType::Hash) && has(SK, table.key_schema(), &KeyType::Range);
        let indexes = table.global_secondary_indexes();
        let has_index = |name| indexes.iter().any(|index| index.index_name() == Some(name));
        if !keys_are_ours || !has_index(DUE_INDEX) || !has_index(JOURNAL_INDEX) {
            return Err(StoreError::Failed(format!("table `{name}` is there and is not Tidegate's: name another one")));
        }
        // Some emulators give no status of indexes.
        let is_ready = |status: Option<&IndexStatus>| status.is_none_or(|status| *status == IndexStatus::Active);
        if table.table_status() == Some(&TableStatus::Active) && indexes.iter().all(|index| is_ready(index.index_status())) {
            return Ok(());
        }
    }
    Err(StoreError::Failed(format!("table `{name}` is still not ready: look at it in the console, and try again")))
}
