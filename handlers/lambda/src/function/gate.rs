//! `gate`: time, people's decisions, and every step that needs no spoke.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tidegate_engine::sweep::Part;

use crate::execution;
use crate::function::{Scope, on_batch, perform_record};
use crate::intake::{self, Door, words};
use crate::log::Metrics;
use crate::shell::{Body, read_body};
use crate::site::{Site, now};
use crate::sweep;
use crate::task::{Letter, Queue, Task};

/// Handles a batch of the work queue.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move {
        match read_body(&record.body) {
            Ok(Body::Foreign) => {}
            Ok(Body::Task(Task::Run(ask))) => return execution::begin(&site, &ask, now()).await,
            _ => return perform_record(&site, Queue::Work, &record, &scope).await,
        }
        let mut metrics = Metrics::default();
        let shell = site.shell().await;
        let taken = intake::take(shell, shell.queues(), Door::Work, &record, now(), &mut metrics).await;
        scope.merge(metrics);
        if !taken?.ticks.is_empty() {
            tick(&site, now(), &scope).await?;
        }
        Ok(())
    })
    .await
}

/// Looks at what is due, and asks for sweeps when their minute has come.
async fn tick(site: &Site, at: Timestamp, scope: &Scope) -> Result<(), String> {
    let shell = site.shell().await;
    let ticked = shell.tick(&now, &|| scope.leaves()).await.map_err(|error| words(&error))?;
    tracing::info!(due = ticked.due, left = ticked.left, "tick");
    let mut metrics = Metrics::default();
    metrics.count("Ticks");
    metrics.add("Due", u64::try_from(ticked.due).unwrap_or(u64::MAX));
    metrics.add("OutboxLeft", u64::try_from(ticked.left).unwrap_or(u64::MAX));
    scope.merge(metrics);
    match shell.engine().oldest_question().await {
        // A filter makes the metric PendingApprovals of this line.
        Ok(Some(asked_at)) => tracing::info!(pending_approvals_minutes = at.duration_since(asked_at).as_mins().max(0), "an approval is waited for"),
        Ok(None) => {}
        // A number that nobody reads now stops no sweep.
        Err(error) => tracing::warn!(error = %words(&error), "how long approvals are waited for is not known"),
    }
    let settings = site.settings();
    let mut letters = Vec::new();
    if settings.aggregator.is_some() && sweep::is_turn(at, settings.sweep_secs) {
        letters.push(Letter::sweep());
    }
    if let Some(share) = sweep::share(at, settings.sweep_nodes_secs) {
        letters.extend(sweep::pack(vec![Part::Spokes(share)], 0).map_err(|error| error.to_string())?);
    }
    shell.post_all(letters).await.map_err(|error| words(&error))?;
    if settings.orchestrator.is_some() {
        execution::look(site, at).await?;
    }
    Ok(())
}
