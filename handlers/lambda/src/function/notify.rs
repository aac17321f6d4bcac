//! `notify`: what operators are told, over SNS.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use crate::function::on_batch;
use crate::herald::{Analyst, SnsHerald};
use crate::intake::{self, words};
use crate::log::Metrics;
use crate::shell::{Body, read_body};
use crate::site::{Site, now};
use crate::task::Task;

/// Handles a batch of the queue of notices.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move {
        let mut metrics = Metrics::default();
        let shell = site.shell().await;
        let done = match read_body(&record.body) {
            Ok(Body::Task(Task::Items { items })) => {
                metrics.add("Notices", u64::try_from(items.len()).unwrap_or(u64::MAX));
                let left = || scope.left();
                let usual = site.settings().bedrock.as_ref();
                let analyst = site.bedrock().await.map(|bedrock| Analyst { bedrock, usual, left: &left });
                let herald = SnsHerald::new(shell.engine(), site.settings().console_url.as_deref(), analyst);
                shell.announce(items, &herald, now()).await.map_err(|error| words(&error))
            }
            Ok(_) => intake::refuse(shell.queues(), &record, 0, "the notices queue carries tasks of ours only".into(), &mut metrics).await,
            Err(why) => intake::refuse(shell.queues(), &record, 0, why, &mut metrics).await,
        };
        scope.merge(metrics);
        done
    })
    .await
}
