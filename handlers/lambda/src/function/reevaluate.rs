//! `reevaluate`: look-ups in spokes, outcomes, proofs, and sweeps for what no event has told. The other of the two functions
//! whose role may enter spokes.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use crate::function::{on_batch, perform_record};
use crate::intake::words;
use crate::log::Metrics;
use crate::site::{Site, now};
use crate::task::Queue;

/// Handles a batch of the queue of look-ups.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move { perform_record(&site, Queue::Spokes, &record, &scope).await }).await
}

/// Asks the aggregator for everything that is non-compliant, and takes in what no event has told.
pub(crate) async fn sweep(site: &Site, metrics: &mut Metrics) -> Result<(), String> {
    let shell = site.shell().await;
    match shell.sweep(now()).await.map_err(|error| words(&error))? {
        Ok(found) => {
            tracing::info!(found, "sweep");
            metrics.add("SweepFindings", found);
        }
        // The next sweep asks again.
        Err(fault) => {
            tracing::error!(%fault, "lost findings could not be looked for");
            metrics.count("SweepsFailed");
        }
    }
    Ok(())
}
