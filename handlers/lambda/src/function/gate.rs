//! `gate`: time, people's decisions, and every step that needs no spoke.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;

use crate::function::{Scope, on_batch, perform_record};
use crate::intake::{self, Door, words};
use crate::log::Metrics;
use crate::shell::{Body, read_body};
use crate::site::{Site, now};
use crate::task::{Letter, Queue};

/// Handles a batch of the work queue.
pub async fn run(site: Arc<Site>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    on_batch(site, event, |site, record, scope| async move {
        if !matches!(read_body(&record.body), Ok(Body::Foreign)) {
            return perform_record(&site, Queue::Work, &record, &scope).await;
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

/// Looks at what is due, and asks for a sweep when its minute has come.
async fn tick(site: &Site, at: Timestamp, scope: &Scope) -> Result<(), String> {
    let shell = site.shell().await;
    let ticked = shell.tick(&now, &|| scope.leaves()).await.map_err(|error| words(&error))?;
    tracing::info!(due = ticked.due, left = ticked.left, "tick");
    let mut metrics = Metrics::default();
    metrics.count("Ticks");
    metrics.add("Due", u64::try_from(ticked.due).unwrap_or(u64::MAX));
    metrics.add("OutboxLeft", u64::try_from(ticked.left).unwrap_or(u64::MAX));
    scope.merge(metrics);
    let settings = site.settings();
    if settings.aggregator.is_some() && is_sweep(at, settings.sweep_secs) {
        shell.send(Letter::sweep()).await.map_err(|error| words(&error))?;
    }
    Ok(())
}

/// Whether this minute is one that sweeps. By the clock, since a schedule's constant input carries a constant time; a tick that
/// is delivered twice in that minute sweeps twice, which finds nothing new.
fn is_sweep(at: Timestamp, every_secs: u32) -> bool {
    let minute = at.as_second().div_euclid(60) * 60;
    every_secs > 0 && minute.rem_euclid(i64::from(every_secs)) == 0
}

#[cfg(test)]
mod tests {
    use super::is_sweep;

    #[test]
    fn one_minute_in_fifteen_sweeps() {
        let at = |text: &str| text.parse().unwrap();
        assert!(is_sweep(at("2026-11-22T10:15:42Z"), 900));
        assert!(!is_sweep(at("2026-11-22T10:16:00Z"), 900));
        assert!(!is_sweep(at("2026-11-22T10:15:00Z"), 0));
        assert!(is_sweep(at("2026-11-22T10:17:59Z"), 60));
    }
}
