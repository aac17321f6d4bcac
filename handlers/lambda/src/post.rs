//! Our queues on SQS.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tidegate_aws::queue::{BATCH_MAX, EventQueue};

pub use tidegate_aws::queue::Refused;

use crate::settings::Queues;
use crate::shell::Post;
use crate::task::{Letter, Queue};

/// Bytes in one SendMessageBatch: SQS takes 1 MiB, and attributes count too.
const BATCH_BYTES_MAX: usize = 900 * 1024;
/// The longest delay that SQS knows, in seconds.
const DELAY_SECS_MAX: u32 = 900;
/// How often what a batch did not take is sent again.
const TRIES_MAX: usize = 4;

/// Where refused records go.
pub trait Bin: Send + Sync {
    /// Puts a refused record where people find it, with its reason.
    fn refuse(&self, refused: Refused) -> impl Future<Output = Result<(), String>> + Send;
}

/// The queues on SQS.
pub struct SqsPost {
    client: Client,
    queues: Queues,
}

impl SqsPost {
    /// The queues, over this client.
    pub fn new(client: Client, queues: Queues) -> Self {
        Self { client, queues }
    }

    fn url(&self, queue: Queue) -> &str {
        match queue {
            Queue::Work => &self.queues.work,
            Queue::Sends => &self.queues.sends,
            Queue::Spokes => &self.queues.spokes,
            Queue::Notices => &self.queues.notices,
        }
    }

    async fn send(&self, queue: Queue, letters: &[&Letter]) -> Result<(), String> {
        let mut left: Vec<&Letter> = letters.to_vec();
        let mut why = String::new();
        for _ in 0..TRIES_MAX {
            let mut request = self.client.send_message_batch().queue_url(self.url(queue));
            for (n, letter) in left.iter().enumerate() {
                let mut entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(&letter.body);
                if let Some(group) = &letter.group {
                    // A new id for every message: an ask that is made again a minute later is no duplicate.
                    entry = entry.message_group_id(group).message_deduplication_id(tidegate_aws::random::name());
                } else if letter.delay_secs > 0 {
                    entry = entry.delay_seconds(i32::try_from(letter.delay_secs.min(DELAY_SECS_MAX)).unwrap_or(0));
                }
                request = request.entries(entry.build().map_err(|error| error.to_string())?);
            }
            let answer = request.send().await.map_err(|error| format!("sqs:SendMessageBatch on `{}`: {}", queue.name(), DisplayErrorContext(&error)))?;
            let failed: Vec<usize> = answer.failed().iter().filter_map(|entry| entry.id().parse().ok()).collect();
            if failed.is_empty() {
                return Ok(());
            }
            why = answer.failed().iter().map(|entry| format!("{}: {}", entry.code(), entry.message().unwrap_or_default())).collect::<Vec<_>>().join("; ");
            left = failed.into_iter().filter_map(|n| left.get(n).copied()).collect();
        }
        Err(format!("sqs:SendMessageBatch on `{}` did not take {} message(s): {why}", queue.name(), left.len()))
    }
}

impl Post for SqsPost {
    async fn post(&self, letters: Vec<Letter>) -> Result<(), String> {
        for queue in Queue::ALL {
            let mut batch: Vec<&Letter> = Vec::new();
            let mut bytes = 0;
            for letter in letters.iter().filter(|letter| letter.queue == queue) {
                if batch.len() >= BATCH_MAX || (bytes + letter.body.len() > BATCH_BYTES_MAX && !batch.is_empty()) {
                    self.send(queue, &batch).await?;
                    batch.clear();
                    bytes = 0;
                }
                bytes += letter.body.len();
                batch.push(letter);
            }
            if !batch.is_empty() {
                self.send(queue, &batch).await?;
            }
        }
        Ok(())
    }
}

impl Bin for SqsPost {
    async fn refuse(&self, refused: Refused) -> Result<(), String> {
        let Some(url) = &self.queues.refused else { return Err("`TIDEGATE_QUEUE_REFUSED` is not set".into()) };
        EventQueue::new(self.client.clone(), url).refuse(&refused).await
    }
}
