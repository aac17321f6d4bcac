//! `patch`: commands and the search for them. One of the two functions whose role may enter spokes.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use crate::function::{on_batch, perform_record};
use crate::site::Site;
use crate::task::Queue;

/// Handles a batch of the queue of sends.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move { perform_record(&site, Queue::Sends, &record, &scope).await }).await
}
