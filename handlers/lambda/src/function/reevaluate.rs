//! `reevaluate`: look-ups in spokes, outcomes, proofs, and sweeps for what no event has told. The other of the two functions
//! whose role may enter spokes.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use tidegate_engine::sweep::{Part, Swept};

use crate::function::{Scope, on_batch, perform_record};
use crate::intake::words;
use crate::log::Metrics;
use crate::site::{Site, now};
use crate::task::Queue;

/// Handles a batch of the queue of look-ups.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move { perform_record(&site, Queue::Spokes, &record, &scope).await }).await
}

/// Does parts of a sweep: what is non-compliant and no event has told.
pub(crate) async fn sweep(site: &Site, parts: Vec<Part>, tries: u32, scope: &Scope, metrics: &mut Metrics) -> Result<(), String> {
    let shell = site.shell().await;
    let asked = parts.len();
    let end = shell.sweep(parts, tries, &now, &|| scope.leaves()).await.map_err(|error| words(&error))?;
    let Swept { new, nodes, unscanned, doubtful } = end.swept;
    tracing::info!(parts = asked, new, nodes, unscanned, doubtful, again = end.again, left = end.left, "sweep");
    metrics.add("SweepFindings", new);
    metrics.add("SweepNodes", nodes);
    metrics.add("SweepNodesUnscanned", unscanned);
    metrics.add("SweepNodesDoubtful", doubtful);
    metrics.add("SweepPartsAgain", end.again);
    metrics.add("SweepPartsLeft", end.left);
    Ok(())
}
