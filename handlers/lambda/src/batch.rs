//! An SQS batch: every record on its own, and an answer that names exactly those that must come again.
//!
//! TRAP (aws-facts 7): an answer whose keys are spelt in another way counts as success, and the messages are lost; so the type
//! of `aws_lambda_events` is used and a test holds the JSON.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tokio::task::JoinSet;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its message id: what an answer names it by.
    pub id: String,
    /// Its body.
    pub body: String,
    /// The group, where the queue is FIFO.
    pub group: Option<String>,
}

/// Handles the records: those of one group one after the other, stopping at the first that fails; groups at the same time.
///
/// A record that fails, and on a FIFO queue everything of its group after it, comes again.
pub async fn each<F, W>(event: SqsEvent, work: W) -> SqsBatchResponse
where
    W: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut lines: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut nameless = 0;
    for message in event.records {
        let Some(record) = read(message) else {
            // Without an id it can't be reported, and without a body there is nothing to do: SQS sends neither.
            nameless += 1;
            continue;
        };
        let line = record.group.clone().map_or_else(|| format!("message {}", record.id), |group| format!("group {group}"));
        lines.entry(line).or_default().push(record);
    }
    if nameless > 0 {
        tracing::error!(nameless, "records without an id or a body were left out");
    }
    let work = Arc::new(work);
    let mut running = JoinSet::new();
    for (_, records) in lines {
        let work = work.clone();
        let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        let line = async move {
            let mut records = records.into_iter();
            let mut failed = Vec::new();
            for record in records.by_ref() {
                let id = record.id.clone();
                // On the heap: the future of a whole decision is deep, and its layout need not be part of every other.
                if let Err(why) = Box::pin(work(record)).await {
                    tracing::error!(message_id = %id, %why, "a record was not handled; it comes again");
                    failed.push(id);
                    break;
                }
            }
            failed.extend(records.map(|record| record.id));
            failed
        };
        // A panic in one line must not report the others' records as done, nor its own.
        running.spawn(async move { tokio::spawn(line).await.unwrap_or(ids) });
    }
    let mut failed: Vec<String> = Vec::new();
    while let Some(line) = running.join_next().await {
        failed.extend(line.unwrap_or_default());
    }
    failed.sort();
    answer(failed)
}

/// The answer that names these.
pub fn answer(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

fn read(message: SqsMessage) -> Option<Record> {
    let group = message.attributes.get("MessageGroupId").cloned();
    Some(Record { id: message.message_id.filter(|id| !id.is_empty())?, body: message.body.unwrap_or_default(), group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn event(records: &[(&str, &str, Option<&str>)]) -> SqsEvent {
        let records: Vec<serde_json::Value> = records
            .iter()
            .map(|(id, body, group)| {
                let attributes = group.map_or_else(|| serde_json::json!({}), |group| serde_json::json!({"MessageGroupId": group}));
                serde_json::json!({"messageId": id, "body": body, "attributes": attributes, "messageAttributes": {}})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"Records": records})).unwrap()
    }

    fn run(event: SqsEvent) -> (String, Vec<String>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler_seen = seen.clone();
        let response = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(each(event, move |record| {
            let seen = handler_seen.clone();
            async move {
                seen.lock().unwrap().push(record.id.clone());
                match record.body.as_str() {
                    "bad" => Err("bad".into()),
                    "panic" => panic!("asked for"),
                    _ => Ok(()),
                }
            }
        }));
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        (serde_json::to_string(&response).unwrap(), seen)
    }

    #[test]
    fn the_answer_is_spelt_as_lambda_reads_it() {
        let (json, seen) = run(event(&[("a", "good", None), ("b", "bad", None), ("c", "good", None)]));
        assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#);
        assert_eq!(seen, ["a", "b", "c"], "a failing record costs its neighbours nothing");
        assert_eq!(run(event(&[("a", "good", None)])).0, r#"{"batchItemFailures":[]}"#);
    }

    #[test]
    fn a_group_stops_at_its_first_failure() {
        let records = [("a1", "good", Some("a")), ("a2", "bad", Some("a")), ("a3", "good", Some("a")), ("b1", "good", Some("b"))];
        let (json, seen) = run(event(&records));
        assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"a2"},{"itemIdentifier":"a3"}]}"#);
        assert_eq!(seen, ["a1", "a2", "b1"]);
    }

    #[test]
    fn a_panic_brings_back_its_own_line_only() {
        let (json, _) = run(event(&[("a1", "panic", Some("a")), ("a2", "good", Some("a")), ("b1", "good", Some("b"))]));
        assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"a1"},{"itemIdentifier":"a2"}]}"#);
    }
}
