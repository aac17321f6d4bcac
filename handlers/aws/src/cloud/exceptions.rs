//! Remediation exceptions of AWS Config in a spoke: what is exempt is said there, and taken back.

use std::sync::Arc;

use aws_sdk_config::types::RemediationExceptionResourceKey;
use aws_smithy_types::DateTime;
use tidegate_events::id::InstanceId;
use tidegate_events::mirror::{EXCEPTIONS_MAX, ExceptionNote, Exceptions};
use tidegate_rules::catalog::resource_id;

use super::config::instance_in;
use super::fault::{Caller, Failure, Kind, trimmed};
use super::sessions::SpokeClients;

const PUT: &str = "config:PutRemediationExceptions";
const DELETE: &str = "config:DeleteRemediationExceptions";

/// An instance that Config did not take, with its reason.
type NotTaken = Vec<(InstanceId, String)>;

fn keys(on: &Exceptions, instances: &[InstanceId]) -> Vec<RemediationExceptionResourceKey> {
    let key = |instance: &InstanceId| {
        let id = resource_id(&on.resource_type, instance);
        RemediationExceptionResourceKey::builder().resource_type(&on.resource_type).resource_id(id).build()
    };
    instances.iter().map(key).collect()
}

/// Those that a failed batch names. One that it names in no way that can be read is nobody's: the call is sent again another day for
/// all that Config is not known to have.
fn named<'a>(ids: impl Iterator<Item = &'a str>, why: Option<&str>) -> NotTaken {
    let why = trimmed(why.unwrap_or("AWS Config did not take it"));
    ids.filter_map(instance_in).map(|instance| (instance, why.clone())).collect()
}

/// A call that was refused for what was asked is a matter of these instances, and no defect of the spoke's. That the role behind
/// Config lacks a right is a denial like any other.
fn refused(failure: Failure, instances: &[InstanceId]) -> Result<NotTaken, Failure> {
    match failure.kind {
        Kind::Refused if failure.code == "InsufficientPermissionsException" => Err(Failure { kind: Kind::Denied, ..failure }),
        Kind::Refused => {
            let why = failure.to_string();
            Ok(instances.iter().map(|instance| (instance.clone(), why.clone())).collect())
        }
        _ => Err(failure),
    }
}

/// `PutRemediationExceptions`: gives those that Config did not take.
pub(crate) async fn put(caller: Caller<'_>, clients: Arc<SpokeClients>, on: &Exceptions, note: &ExceptionNote) -> Result<NotTaken, Failure> {
    let mut failed = Vec::new();
    for instances in on.instances.chunks(EXCEPTIONS_MAX) {
        let request = clients
            .config()
            .put_remediation_exceptions()
            .config_rule_name(&on.rule)
            .set_resource_keys(Some(keys(on, instances)))
            .message(&note.message)
            .expiration_time(DateTime::from_secs(note.until.as_second()));
        match caller.call(PUT, request.send()).await {
            Ok(answer) => {
                for batch in answer.failed_batches() {
                    failed.extend(named(batch.failed_items().iter().map(|item| item.resource_id()), batch.failure_message()));
                }
            }
            Err(failure) => failed.extend(refused(failure, instances)?),
        }
    }
    Ok(failed)
}

/// `DeleteRemediationExceptions`: gives those that Config still has. One that is not there fails the call for all: then they are
/// deleted in halves, down to the one that is gone already.
pub(crate) async fn remove(caller: Caller<'_>, clients: Arc<SpokeClients>, on: &Exceptions) -> Result<NotTaken, Failure> {
    let mut waiting: Vec<&[InstanceId]> = on.instances.chunks(EXCEPTIONS_MAX).collect();
    let mut failed = Vec::new();
    while let Some(instances) = waiting.pop() {
        let request = clients.config().delete_remediation_exceptions().config_rule_name(&on.rule).set_resource_keys(Some(keys(on, instances)));
        match caller.call(DELETE, request.send()).await {
            Ok(answer) => {
                for batch in answer.failed_batches() {
                    let ids = batch.failed_items().iter().filter_map(|item| item.resource_id());
                    failed.extend(named(ids, batch.failure_message()));
                }
            }
            Err(failure) if failure.code == "NoSuchRemediationExceptionException" => {
                if instances.len() > 1 {
                    let (first, second) = instances.split_at(instances.len() / 2);
                    waiting.extend([first, second]);
                }
            }
            Err(failure) => failed.extend(refused(failure, instances)?),
        }
    }
    Ok(failed)
}
