//! The functions: one file each, and what they share.

pub mod console;
pub mod enqueue;
pub mod gate;
pub mod notify;
pub mod patch;
pub mod reevaluate;
pub mod report;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use tidegate_engine::sweep::Part;

use crate::batch::{self, Record};
use crate::log::Metrics;
use crate::shell::{Body, read_body};
use crate::site::{Site, left_by, now};
use crate::sweep;
use crate::task::{Item, Queue, Task};

/// Runs `work` on every record of a batch, and writes the invocation's metrics.
pub(crate) async fn on_batch<W, F>(site: Arc<Site>, event: LambdaEvent<SqsEvent>, work: W) -> SqsBatchResponse
where
    W: Fn(Arc<Site>, Record, Scope) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    site.learn(&event.context);
    let scope = Scope { metrics: Arc::default(), left: Arc::new(left_by(&event.context)) };
    let name = site.settings().function.name();
    let shared = scope.clone();
    let response = batch::each(event.payload, move |record| work(site.clone(), record, shared.clone())).await;
    let failed = response.batch_item_failures.len();
    let mut metrics = scope.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    metrics.add("RecordsFailed", u64::try_from(failed).unwrap_or(u64::MAX));
    metrics.write(name, now());
    response
}

/// What the records of one invocation share.
#[derive(Clone)]
pub(crate) struct Scope {
    metrics: Arc<Mutex<Metrics>>,
    left: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Scope {
    /// Counts what a record was counted for.
    pub fn merge(&self, other: Metrics) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).merge(other);
    }

    /// Whether it is time to stop taking up more.
    pub fn leaves(&self) -> bool {
        self.left().is_zero()
    }

    /// Time that is left for more.
    pub fn left(&self) -> Duration {
        (self.left)()
    }
}

/// Performs a record of tasks as `me`'s reader; anything else is refused.
pub(crate) async fn perform_record(site: &Site, me: Queue, record: &Record, scope: &Scope) -> Result<(), String> {
    let mut metrics = Metrics::default();
    let done = match read_body(&record.body) {
        Ok(Body::Task(Task::Items { items })) => perform_items(site, me, items, scope, &mut metrics).await,
        Ok(Body::Task(task @ (Task::Sweep | Task::Parts { .. }))) => {
            let (parts, tries) = match task {
                Task::Parts { parts, tries } => (parts, tries),
                _ => (vec![Part::RULES], 0),
            };
            if me == Queue::Spokes { reevaluate::sweep(site, parts, tries, scope, &mut metrics).await } else { forward(site, parts, tries).await }
        }
        Ok(Body::Task(Task::Run(_))) => {
            let why = format!("an execution asks for its run on the {} queue, whose reader starts none", me.name());
            crate::intake::refuse(site.shell().await.queues(), record, 0, why, &mut metrics).await
        }
        Ok(Body::Foreign) => {
            let why = format!("the {} queue carries tasks of ours only: expected `{{\"tidegate\":\"items/1\",..}}`", me.name());
            crate::intake::refuse(site.shell().await.queues(), record, 0, why, &mut metrics).await
        }
        Err(why) => crate::intake::refuse(site.shell().await.queues(), record, 0, why, &mut metrics).await,
    };
    scope.merge(metrics);
    done
}

/// Parts of a sweep that were put off, or asked for by hand, on a queue whose reader enters no spoke.
async fn forward(site: &Site, parts: Vec<Part>, tries: u32) -> Result<(), String> {
    let letters = sweep::pack(parts, tries).map_err(|error| error.to_string())?;
    site.shell().await.post_all(letters).await.map_err(|error| crate::intake::words(&error))
}

async fn perform_items(site: &Site, me: Queue, items: Vec<Item>, scope: &Scope, metrics: &mut Metrics) -> Result<(), String> {
    metrics.add("ActionsPerformed", u64::try_from(items.len()).unwrap_or(u64::MAX));
    let shell = site.shell().await;
    shell.perform(me, items, &now, &|| scope.leaves()).await.map_err(|error| crate::intake::words(&error))
}
