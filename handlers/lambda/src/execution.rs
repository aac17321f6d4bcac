//! Executions of the state machine `<prefix>-orchestrator`: each asks for a bulk run and waits for its end by a task token. `gate` starts
//! the run, and every tick looks at those that wait: whose run has ended is answered, and a stopped execution stops its run.
//!
//! The token is a secret: whoever has it, and the right to, ends the execution. It is in no log, no error and no queue of refused records.

use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_aws::dynamo::OpenExecution;
use tidegate_aws::secret::Secret;
use tidegate_events::Event;
use tidegate_events::bulk::RunAsked;
use tidegate_events::id::{Digest, PersonId};
use tidegate_events::wire::run_input;
use tidegate_rules::decide::Outcome;
use tidegate_rules::state::{Campaign, CampaignPhase};
use tidegate_rules::{Key, State, bake};

use crate::intake::words;
use crate::site::Site;

/// Step Functions takes so many characters of a cause. Source: SendTaskFailure.
const CAUSE_CHARS_MAX: usize = 32_000;

/// A secret text that is written and read, and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl std::fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What the state machine puts on the work queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The execution's ARN.
    pub execution: String,
    /// When it started, as Step Functions writes it: names may come again after 90 days.
    pub at: Value,
    /// What ends it.
    pub token: TaskToken,
    /// Its input: a bulk run, in one of the three forms.
    pub input: Value,
}

impl Ask {
    /// Names its run: heard again it is the same one.
    pub fn run(&self) -> String {
        Digest::of_parts([self.execution.as_bytes(), self.at.to_string().as_bytes()]).short()
    }

    fn name(&self) -> &str {
        self.execution.rsplit(':').next().unwrap_or_default()
    }
}

/// A body without its token, for whoever must put it where people look.
pub fn without_token(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(Value::Object(mut fields)) if fields.contains_key("tidegate") && fields.contains_key("token") => {
            fields.insert("token".into(), json!("***"));
            Value::Object(fields).to_string()
        }
        _ => body.to_owned(),
    }
}

/// An execution asks for its run.
///
/// # Errors
/// When something could not be stored or asked: the record comes again.
pub async fn begin(site: &Site, ask: &Ask, now: Timestamp) -> Result<(), String> {
    let open = OpenExecution { run: ask.run(), execution: ask.execution.clone(), token: Secret::new(ask.token.0.clone()) };
    if let Some(over) = over(site, &open).await? {
        tracing::info!(execution = %open.execution, why = %over, "an execution was over before its run began");
        return Ok(());
    }
    let parsed = match run_input::parse(ask.input.to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(problems) => return fail(site, &open, "RunInputRefused", &problems.to_string()).await,
    };
    for warning in &parsed.warnings {
        tracing::warn!(run = %open.run, execution = %open.execution, %warning, "run input");
    }
    let mut run = parsed.run;
    run.name.get_or_insert_with(|| ask.name().to_owned());
    // Kept first: a run that nobody waits for is found by no tick.
    let store = site.shell().await.engine().store();
    store.keep_execution(&open).await.map_err(|error| words(&error))?;
    let asked = RunAsked { id: open.run.clone(), run, by: asker()?, at: now };
    let outcome = site.shell().await.take(&Event::RunAsked(Box::new(asked)), now).await.map_err(|error| words(&error))?;
    tracing::info!(run = %open.run, execution = %open.execution, outcome = outcome.name(), why = outcome.why(), "an execution asks for a run");
    match outcome {
        Outcome::Rejected { why } => {
            fail(site, &open, "RunRefused", &why).await?;
            store.forget_execution(&open.run).await.map_err(|error| words(&error))
        }
        _ => Ok(()),
    }
}

/// Looks at every execution that waits. One that can't be looked at waits for the next tick.
///
/// # Errors
/// When the store does not answer.
pub async fn look(site: &Site, now: Timestamp) -> Result<(), String> {
    let store = site.shell().await.engine().store();
    for open in store.open_executions().await.map_err(|error| words(&error))? {
        match settle(site, &open, now).await {
            Ok(true) => store.forget_execution(&open.run).await.map_err(|error| words(&error))?,
            Ok(false) => {}
            Err(why) => tracing::warn!(run = %open.run, execution = %open.execution, %why, "an execution can't be looked at"),
        }
    }
    Ok(())
}

/// Whether nothing is left to do for an execution.
async fn settle(site: &Site, open: &OpenExecution, now: Timestamp) -> Result<bool, String> {
    let over = over(site, open).await?;
    let end = end_of(site, open, now).await?;
    match (over, end) {
        // The record of a run that was not stored comes again, or the execution ends by its own time-out.
        (None, Found::NoRun | Found::Open) => Ok(false),
        (Some(_), Found::NoRun | Found::Ended { .. }) => Ok(true),
        (None, Found::Ended { complete: true, summary, .. }) => succeed(site, open, &summary).await.map(|()| true),
        (None, Found::Ended { complete: false, why, summary }) => {
            let cause = format!("{why}\n{summary}");
            fail(site, open, "RunEnded", &cause).await.map(|()| true)
        }
        (Some(why), Found::Open) => {
            let event = Event::RunStopped { asked: open.run.clone(), by: asker()?, comment: why };
            let outcome = site.shell().await.take(&event, now).await.map_err(|error| words(&error))?;
            tracing::info!(run = %open.run, execution = %open.execution, outcome = outcome.name(), why = outcome.why(), "a stopped execution stops its run");
            // A run whose nodes are still listed is held, and ended by a later tick: it is forgotten once it is over.
            Ok(matches!(end_of(site, open, now).await?, Found::Ended { .. }))
        }
    }
}

/// What became of the run of an execution.
enum Found {
    /// It is not known.
    NoRun,
    /// It goes on.
    Open,
    /// It is over.
    Ended { complete: bool, why: String, summary: Value },
}

async fn end_of(site: &Site, open: &OpenExecution, now: Timestamp) -> Result<Found, String> {
    let looked = site.shell().await.engine().look(now, |desk| {
        let Some(State::Run(item)) = desk.item(&Key::run(&open.run))? else { return Ok(Found::NoRun) };
        let id = item.campaign.clone();
        let Some(campaign) = desk.campaign(&id)?.cloned() else { return Ok(Found::Open) };
        let CampaignPhase::Ended { why, complete } = &campaign.phase else { return Ok(Found::Open) };
        let mut tallies = Vec::new();
        for (index, _) in (0u16..).zip(&campaign.waves) {
            tallies.push(bake::tallied(desk, &campaign.wave_id(index))?);
        }
        Ok(Found::Ended { complete: *complete, why: why.clone(), summary: summary(&open.run, &campaign, why, *complete, &tallies) })
    });
    looked.await.map_err(|error| words(&error))
}

/// What an execution is answered with.
fn summary(run: &str, campaign: &Campaign, why: &str, complete: bool, tallies: &[bake::Tallied]) -> Value {
    let waves: Vec<Value> = campaign
        .waves
        .iter()
        .zip(tallies)
        .map(|(wave, tally)| json!({"name": wave.name, "targets": wave.targets, "kept": tally.kept, "patched": tally.ok, "failed": tally.bad}))
        .collect();
    let sum = |of: fn(&bake::Tallied) -> u64| tallies.iter().map(of).sum::<u64>();
    json!({
        "schema": "tidegate.run_end/1",
        "run": run,
        "campaign": campaign.id,
        "dry_run": campaign.bulk.as_ref().is_some_and(|bulk| bulk.dry_run),
        "complete": complete,
        "why": why,
        "targets": campaign.waves.iter().map(|wave| wave.targets).sum::<u64>(),
        "patched": sum(|tally| tally.ok),
        "failed": sum(|tally| tally.bad),
        "waves": waves,
    })
}

/// Who asks for the run of an execution.
fn asker() -> Result<PersonId, String> {
    "orchestrator".parse::<PersonId>().map_err(|error| error.to_string())
}

async fn client(site: &Site) -> aws_sdk_sfn::Client {
    aws_sdk_sfn::Client::new(site.hub().await.sdk_config())
}

/// Why an execution does not wait any more; `None` while it does.
async fn over(site: &Site, open: &OpenExecution) -> Result<Option<String>, String> {
    match client(site).await.describe_execution().execution_arn(&open.execution).send().await {
        Ok(said) if matches!(said.status, ExecutionStatus::Running | ExecutionStatus::PendingRedrive) => Ok(None),
        Ok(said) => {
            let told = [said.error, said.cause].into_iter().flatten().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
            let name = open.execution.rsplit(':').next().unwrap_or_default();
            Ok(Some(format!("execution {name} is {}{}{told}", said.status.as_str(), if told.is_empty() { "" } else { ": " })))
        }
        Err(error) if error.as_service_error().is_some_and(aws_sdk_sfn::operation::describe_execution::DescribeExecutionError::is_execution_does_not_exist) => {
            Ok(Some("the execution is not known any more".into()))
        }
        Err(error) => Err(format!("states:DescribeExecution: {}", plain(&error))),
    }
}

async fn succeed(site: &Site, open: &OpenExecution, summary: &Value) -> Result<(), String> {
    let sent = client(site).await.send_task_success().task_token(open.token.expose()).output(summary.to_string()).send().await;
    answered(open, "states:SendTaskSuccess", sent)
}

async fn fail(site: &Site, open: &OpenExecution, error: &str, cause: &str) -> Result<(), String> {
    let cause: String = cause.chars().take(CAUSE_CHARS_MAX).collect();
    let sent = client(site).await.send_task_failure().task_token(open.token.expose()).error(error).cause(cause).send().await;
    answered(open, "states:SendTaskFailure", sent)
}

/// An execution that is over needs no answer.
fn answered<T, E: ProvideErrorMetadata>(open: &OpenExecution, call: &str, sent: Result<T, E>) -> Result<(), String> {
    let Err(error) = sent else {
        tracing::info!(run = %open.run, execution = %open.execution, call, "an execution is answered");
        return Ok(());
    };
    if matches!(error.code(), Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken")) {
        tracing::info!(run = %open.run, execution = %open.execution, code = error.code(), "an execution waits for no answer any more");
        return Ok(());
    }
    Err(format!("{call}: {}", plain(&error)))
}

/// Code and message alone: what a request held is a secret.
fn plain(error: &impl ProvideErrorMetadata) -> String {
    format!("{}: {}", error.code().unwrap_or("no answer"), error.message().unwrap_or("try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    const BODY: &str = r#"{"tidegate":"run/1","execution":"arn:aws:states:us-east-1:123456789012:execution:ec2patch-orchestrator:manual-patch-1","at":"2026-11-22T09:00:00.000Z","token":"AAAAKgAAAAIA","input":{"accounts":["111122223333"]}}"#;

    fn ask() -> Ask {
        match Task::read(BODY) {
            Some(Ok(Task::Run(ask))) => *ask,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_execution_asks_for_the_same_run() {
        let (one, mut other) = (ask(), ask());
        assert_eq!((one.run(), one.name()), (other.run(), "manual-patch-1"));
        other.at = json!("2027-03-01T09:00:00.000Z");
        assert_ne!(one.run(), other.run(), "a name that came again after 90 days");
    }

    #[test]
    fn a_token_is_never_shown() {
        assert!(!format!("{:?}", Task::read(BODY)).contains("AAAAKg"));
        assert!(!without_token(BODY).contains("AAAAKg"));
        assert!(without_token(BODY).contains("manual-patch-1"));
        assert_eq!(without_token("{not json"), "{not json");
        let open = OpenExecution { run: "r".into(), execution: "e".into(), token: Secret::new("AAAAKg") };
        assert!(!format!("{open:?}").contains("AAAAKg"));
    }
}
