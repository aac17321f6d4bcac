//! The Lambda shell: one binary that is every function, by `_HANDLER`. Events come from EventBridge over SQS, time by a tick a
//! minute, people through the console; the engine decides; what follows goes over our own queues to the function whose role
//! may do it.

pub mod batch;
pub mod execution;
pub mod function;
pub mod herald;
pub mod intake;
pub mod log;
pub mod post;
pub mod settings;
pub mod shell;
pub mod site;
pub mod sweep;
pub mod task;

use std::pin::Pin;
use std::sync::Arc;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::settings::{Function, Settings};
use crate::site::Site;

/// Runs the function that `_HANDLER` names until Lambda ends the process.
///
/// # Errors
/// When a setting is missing or wrong, or the Runtime API is gone.
pub async fn run() -> Result<(), Error> {
    log::start();
    let get = |name: &str| std::env::var(name).ok();
    // A handler may be written `bootstrap.enqueue` too, as some tools demand a dot.
    let handler = get("_HANDLER").unwrap_or_default();
    let function = Function::parse(handler.rsplit('.').next().unwrap_or_default())?;
    let settings = Settings::read(function, &get, &read_file).inspect_err(|error| tracing::error!(%error, "the settings are wrong"))?;
    let site = Arc::new(Site::new(settings));
    match function {
        Function::Enqueue => on_sqs(site, function::enqueue::run).await,
        Function::Gate => on_sqs(site, function::gate::run).await,
        Function::Patch => on_sqs(site, function::patch::run).await,
        Function::Reevaluate => on_sqs(site, function::reevaluate::run).await,
        Function::Notify => on_sqs(site, function::notify::run).await,
        Function::Console => {
            let answer = |event: LambdaEvent<LambdaFunctionUrlRequest>| -> Work<_> {
                let site = site.clone();
                Box::pin(async move { Ok(function::console::run(site, event).await) })
            };
            lambda_runtime::run(service_fn(answer)).await
        }
        Function::Report => {
            let write = |event: LambdaEvent<serde_json::Value>| -> Work<_> {
                let site = site.clone();
                Box::pin(async move { function::report::run(site, event).await.map_err(Error::from) })
            };
            lambda_runtime::run(service_fn(write)).await
        }
    }
}

/// What a function does with one event. Its type is not spelt out: nested into the runtime's own, it is deeper than the compiler goes.
type Work<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

async fn on_sqs<W, F>(site: Arc<Site>, work: W) -> Result<(), Error>
where
    W: Fn(Arc<Site>, LambdaEvent<SqsEvent>) -> F,
    F: Future<Output = SqsBatchResponse> + Send + 'static,
{
    let handle = |event: LambdaEvent<SqsEvent>| -> Work<SqsBatchResponse> {
        let done = work(site.clone(), event);
        Box::pin(async move { Ok(done.await) })
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// Reads a policy file of the zip.
fn read_file(name: &str) -> Result<String, String> {
    let root = std::env::var("LAMBDA_TASK_ROOT").unwrap_or_else(|_| ".".into());
    let path = std::path::Path::new(&root).join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("no built-in policy has that name, and `{}` can't be read: {error}", path.display()))
}
