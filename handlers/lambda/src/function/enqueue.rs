//! `enqueue`: what EventBridge delivers becomes findings and signs; what can't be understood goes to the queue of refused
//! records with its reason.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use crate::function::on_batch;
use crate::intake::{self, Door};
use crate::log::Metrics;
use crate::shell::{Body, read_body};
use crate::site::{Site, now};

/// Handles a batch of the events queue.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move {
        let mut metrics = Metrics::default();
        let shell = site.shell().await;
        let done = match read_body(&record.body) {
            Ok(Body::Foreign) => intake::take(shell, shell.queues(), Door::Events, &record, now(), &mut metrics).await.map(drop),
            Ok(Body::Task(_)) => intake::refuse(shell.queues(), &record, 0, "a task of ours does not come by the events queue".into(), &mut metrics).await,
            Err(why) => intake::refuse(shell.queues(), &record, 0, why, &mut metrics).await,
        };
        scope.merge(metrics);
        done
    })
    .await
}
