//! What DynamoDB answers instead of an answer: what is tried again at once, and in what words the rest is told.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use tidegate_engine::error::StoreError;

/// Tries of one request that is throttled, on top of the SDK's own (three each): some ten seconds in all.
const TRIES: u32 = 4;
/// Tries of one that is not answered at all: each may take the SDK many seconds.
const TRIES_UNANSWERED: u32 = 2;
/// The first wait; each one after may be twice as long, up to [`WAIT_MAX`].
const WAIT: Duration = Duration::from_millis(25);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Why there is no answer.
pub(super) enum Refused<E> {
    /// DynamoDB says no in so many words.
    Said(Box<E>),
    /// There is nothing to be done about it here.
    Failed(StoreError),
}

impl<E: ProvideErrorMetadata> Refused<E> {
    /// For callers that expect no refusal.
    pub(super) fn unexpected(self, table: &str, operation: &str) -> StoreError {
        match self {
            Self::Failed(error) => error,
            Self::Said(said) => StoreError::Failed(told(table, operation, said.code().unwrap_or("an error"), said.message().unwrap_or("no message"))),
        }
    }
}

enum Trouble {
    /// Too much at once.
    Throttled,
    /// Nobody knows whether it was done.
    Unsure,
    /// Said and meant.
    Final,
}

fn trouble<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Trouble {
    match error {
        SdkError::ConstructionFailure(_) => Trouble::Final,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Trouble::Unsure,
        SdkError::ServiceError(context) => match context.err().code() {
            Some("ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "LimitExceededException") => Trouble::Throttled,
            Some("TransactionInProgressException" | "InternalServerError" | "ServiceUnavailable" | "InternalFailure") => Trouble::Unsure,
            _ if context.raw().status().as_u16() >= 500 => Trouble::Unsure,
            _ => Trouble::Final,
        },
        _ => Trouble::Unsure,
    }
}

/// Asks until there is an answer, a refusal, or no hope. `ask` must do no more when done twice than when done once: reads,
/// writes with a condition that their own effect breaks, transactions with a token.
///
/// # Errors
/// As [`Refused`] says.
pub(super) async fn patiently<T, E, F>(table: &str, operation: &'static str, ask: impl Fn() -> F + Send + Sync) -> Result<T, Refused<E>>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    T: Send,
{
    let mut tried = 0;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tried += 1;
        let trouble = trouble(&error);
        let tries = if matches!(trouble, Trouble::Throttled) { TRIES } else { TRIES_UNANSWERED };
        match trouble {
            Trouble::Throttled | Trouble::Unsure if tried < tries => {
                tracing::debug!(operation, tried, error = %DisplayErrorContext(&error), "asked again");
                back_off(tried).await;
            }
            Trouble::Throttled => return Err(Refused::Failed(throttled(table, operation))),
            Trouble::Unsure => {
                let why = DisplayErrorContext(&error);
                return Err(Refused::Failed(StoreError::Failed(format!(
                    "DynamoDB gave no answer to {operation} on table `{table}` ({why}): check the endpoint and the network, then try again"
                ))));
            }
            Trouble::Final => {
                let text = DisplayErrorContext(&error).to_string();
                return Err(match error {
                    SdkError::ServiceError(context) => Refused::Said(Box::new(context.into_err())),
                    _ => Refused::Failed(StoreError::Failed(format!("{operation} on table `{table}` could not be asked: {text}"))),
                });
            }
        }
    }
}

/// Waits a random time that grows with the tries.
pub(super) async fn back_off(tried: u32) {
    let most = WAIT.saturating_mul(1 << tried.min(10)).min(WAIT_MAX);
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
    tokio::time::sleep(Duration::from_micros(crate::random::number() % micros)).await;
}

/// The words for too much at once.
pub(super) fn throttled(table: &str, operation: &str) -> StoreError {
    StoreError::Failed(format!(
        "DynamoDB throttles {operation} on table `{table}`: try again later; if it lasts, look at the table's throttled requests and the account's quotas"
    ))
}

fn told(table: &str, operation: &str, code: &str, message: &str) -> String {
    match code {
        "ResourceNotFoundException" => {
            format!("table `{table}` (or an index of it) does not exist in this account and Region: check its name and the Region, or deploy the hub")
        }
        "AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException" => {
            format!("{operation} on table `{table}` is denied ({code}: {message}): check the role's credentials and its right to dynamodb:{operation}")
        }
        _ => format!("{operation} on table `{table}` was refused ({code}: {message})"),
    }
}
