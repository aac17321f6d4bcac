//! An SQS queue as a process that reads or mends it needs it: receive, finish, send, and records that were refused with their
//! reason.

use std::collections::BTreeMap;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName};
use aws_smithy_types::timeout::TimeoutConfig;

/// Messages that one ReceiveMessage or DeleteMessageBatch takes (aws-facts 4).
pub const BATCH_MAX: usize = 10;
/// Longest attribute that is written, in characters: SQS counts attributes with the body.
const ATTRIBUTE_CHARS_MAX: usize = 2_000;
/// Time for a call beyond what it waits for messages, in seconds.
const CALL_SECS: u64 = 10;

/// A record that can't be understood, on its way to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The record, whole.
    pub body: String,
    /// Why it was refused, with the field at fault.
    pub reason: String,
    /// Its message id.
    pub message_id: String,
    /// Which piece of the body it is about, from 0.
    pub index: usize,
}

/// A message that was received and is hidden from others for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// What it is deleted by.
    pub receipt: String,
    /// Its body.
    pub body: String,
    /// Its attributes, those that are text.
    pub attributes: BTreeMap<String, String>,
    /// How often it was received.
    pub receives: u32,
    /// Its group, in a FIFO queue.
    pub group: Option<String>,
}

/// A queue.
#[derive(Debug, Clone)]
pub struct EventQueue {
    client: Client,
    url: String,
}

impl EventQueue {
    /// The queue at this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits at most so many seconds (20 at most) for messages, up to [`BATCH_MAX`].
    ///
    /// # Errors
    /// When SQS does not answer.
    pub async fn receive(&self, wait_secs: i32) -> Result<Vec<Received>, String> {
        let wait_secs = wait_secs.clamp(0, 20);
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10).wait_time_seconds(wait_secs);
        let request = request.message_attribute_names("All").message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
        // An answer that is waited for on purpose is not late.
        let secs = u64::try_from(wait_secs).unwrap_or_default() + CALL_SECS;
        let patience = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(secs)).operation_timeout(Duration::from_secs(2 * secs)).build();
        let request = request.customize().config_override(aws_sdk_sqs::config::Builder::new().timeout_config(patience));
        let answer = request.send().await.map_err(|error| format!("sqs:ReceiveMessage: {}", DisplayErrorContext(&error)))?;
        let read = |message: aws_sdk_sqs::types::Message| {
            let attributes = message.message_attributes.unwrap_or_default();
            let mut system = message.attributes.unwrap_or_default();
            let receives = system.remove(&MessageSystemAttributeName::ApproximateReceiveCount);
            Some(Received {
                id: message.message_id?,
                receipt: message.receipt_handle?,
                body: message.body.unwrap_or_default(),
                attributes: attributes.into_iter().filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
                receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
                group: system.remove(&MessageSystemAttributeName::MessageGroupId),
            })
        };
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    /// Deletes messages that are done.
    ///
    /// # Errors
    /// When some could not be deleted: they come again.
    pub async fn delete(&self, done: &[Received]) -> Result<(), String> {
        for chunk in done.chunks(BATCH_MAX) {
            let mut request = self.client.delete_message_batch().queue_url(&self.url);
            for (n, message) in chunk.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&message.receipt).build();
                request = request.entries(entry.map_err(|error| error.to_string())?);
            }
            let answer = request.send().await.map_err(|error| format!("sqs:DeleteMessageBatch: {}", DisplayErrorContext(&error)))?;
            if let Some(failed) = answer.failed().first() {
                return Err(format!("sqs:DeleteMessageBatch left {} message(s): {}", answer.failed().len(), failed.code()));
            }
        }
        Ok(())
    }

    /// Lets others see messages again that were received and are not done.
    ///
    /// # Errors
    /// When some stay hidden: they are seen again when the queue's visibility timeout is over.
    pub async fn release(&self, held: &[Received]) -> Result<(), String> {
        for chunk in held.chunks(BATCH_MAX) {
            let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (n, message) in chunk.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&message.receipt).visibility_timeout(0);
                request = request.entries(entry.build().map_err(|error| error.to_string())?);
            }
            let answer = request.send().await.map_err(|error| format!("sqs:ChangeMessageVisibilityBatch: {}", DisplayErrorContext(&error)))?;
            if let Some(failed) = answer.failed().first() {
                return Err(format!("sqs:ChangeMessageVisibilityBatch left {} message(s) hidden: {}", answer.failed().len(), failed.code()));
            }
        }
        Ok(())
    }

    /// Sends a message with text attributes; to a FIFO queue as one of this group.
    ///
    /// # Errors
    /// When SQS did not take it.
    pub async fn send(&self, body: &str, group: Option<&str>, attributes: &[(&str, &str)]) -> Result<(), String> {
        // SQS refuses an empty body.
        let mut request = self.client.send_message().queue_url(&self.url).message_body(if body.is_empty() { "-" } else { body });
        if self.url.ends_with(".fifo") {
            request = request.message_group_id(group.unwrap_or("replayed")).message_deduplication_id(crate::random::name());
        }
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(attribute(value)).build().map_err(|error| error.to_string())?;
            request = request.message_attributes(*name, value);
        }
        request.send().await.map(drop).map_err(|error| format!("sqs:SendMessage: {}", DisplayErrorContext(&error)))
    }

    /// Puts a refused record here, with its reason as an attribute.
    ///
    /// # Errors
    /// When SQS did not take it.
    pub async fn refuse(&self, refused: &Refused) -> Result<(), String> {
        let index = refused.index.to_string();
        self.send(&refused.body, None, &[("reason", &refused.reason), ("message_id", &refused.message_id), ("index", &index)]).await
    }
}

/// SQS refuses empty values and control characters.
fn attribute(value: &str) -> String {
    let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ATTRIBUTE_CHARS_MAX).collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::attribute;

    #[test]
    fn attributes_are_what_sqs_takes() {
        assert_eq!(attribute(""), "-");
        assert_eq!(attribute("line\nline\u{0}"), "line line ");
        assert_eq!(attribute(&"ä".repeat(5_000)).chars().count(), 2_000);
    }
}
