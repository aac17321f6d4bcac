//! Remediation exceptions of AWS Config in a spoke over the wire.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_events::id::InstanceId;

use super::answer::{Answer, Asked, Refusal, compact, epoch};
use super::config::{limit, wrong_token};
use super::page::Page;
use super::{Service, read};
use crate::clock::Ms;
use crate::exception::ExceptionSaid;

/// Keys of one call.
const KEYS_MAX: usize = 100;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceKey {
    resource_type: String,
    resource_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exceptions {
    config_rule_name: Option<String>,
    resource_keys: Option<Vec<ResourceKey>>,
    message: Option<String>,
    expiration_time: Option<f64>,
    limit: Option<i64>,
    next_token: Option<String>,
}

impl Exceptions {
    /// The rule, which must be one of the caller's account.
    fn rule(&self, asked: &Asked<'_>) -> Result<String, Refusal> {
        let name = self.config_rule_name.clone().ok_or_else(|| Refusal::missing("configRuleName"))?;
        length(&name, "configRuleName", 128)?;
        let account = asked.inner.state.accounts.get(&asked.spoke.account);
        if account.is_none_or(|account| !account.rules.contains(&name)) {
            return Err(Refusal::new("InvalidParameterValueException", format!("The ConfigRule '{name}' provided in the request is invalid.")));
        }
        Ok(name)
    }

    /// The keys, each with the instance that it means in this world.
    fn keys(&self, asked: &Asked<'_>) -> Result<Vec<(ResourceKey, Option<InstanceId>)>, Refusal> {
        let keys = self.resource_keys.as_ref().ok_or_else(|| Refusal::missing("resourceKeys"))?;
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(Refusal::constraint(keys.len(), "resourceKeys", format_args!("Member must have length between 1 and {KEYS_MAX}")));
        }
        let state = &asked.inner.state;
        let one = |key: &ResourceKey| {
            length(&key.resource_type, "resourceKeys.1.member.resourceType", 256)?;
            length(&key.resource_id, "resourceKeys.1.member.resourceId", 1024)?;
            let instance = key.resource_id.rsplit('/').next().and_then(|id| id.parse::<InstanceId>().ok());
            let instance = instance.filter(|instance| key.resource_type == state.resource_type() && key.resource_id == state.resource_id(instance));
            Ok((key.clone(), instance))
        };
        keys.iter().map(one).collect()
    }
}

fn length(text: &str, member: &str, most: usize) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.chars().count() > most {
        return Err(Refusal::constraint(text, member, format_args!("Member must have length between 1 and {most}")));
    }
    Ok(())
}

fn allowed(asked: &Asked<'_>) -> Result<(), Refusal> {
    asked.inner.state.may_except(&asked.spoke, asked.call).map_err(|_| {
        let message = format!("User: arn:aws:sts::{}:assumed-role/role is not authorized to perform: {} on resource: *", asked.spoke.account, asked.call);
        Refusal::new("AccessDeniedException", message)
    })
}

fn broken(why: &str, call: &str) -> Refusal {
    tracing::error!(%why, "{call} was not taken");
    Refusal::broken(Service::Config)
}

/// PutRemediationExceptions: new ones, and others in the place of those that are there. What is not non-compliant is given back.
pub(super) fn put_remediation_exceptions(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    allowed(asked)?;
    let put: Exceptions = read(body)?;
    let (rule, keys) = (put.rule(asked)?, put.keys(asked)?);
    if let Some(message) = &put.message {
        length(message, "message", 1024)?;
    }
    // Exact to the millisecond for any time that a calendar has.
    let until = put.expiration_time.map(|secs| (secs * 1_000.0).round() as Ms);
    if until.is_some_and(|until| until <= asked.inner.state.now) {
        return Err(Refusal::new("InvalidParameterValueException", "The expiration time must be in the future."));
    }
    let said = ExceptionSaid { message: put.message.clone(), until };
    let spoke = asked.spoke.clone();
    let instances: Vec<InstanceId> = keys.iter().filter_map(|(_, instance)| instance.clone()).collect();
    let failed = asked.inner.put_exceptions(&spoke, &rule, &instances, &said).map_err(|why| broken(&why, asked.call))?;
    let is_failed = |instance: &Option<InstanceId>| instance.as_ref().is_none_or(|instance| failed.iter().any(|(of, _)| of == instance));
    let items: Vec<Value> = keys.iter().filter(|(_, instance)| is_failed(instance)).map(|(key, _)| line(&rule, key, &said)).collect();
    let batches: Vec<Value> = (!items.is_empty())
        .then(|| json!({ "FailureMessage": "Remediation exceptions can only be placed on NON_COMPLIANT resources.", "FailedItems": items }))
        .into_iter()
        .collect();
    Ok(json!({ "FailedBatches": batches }))
}

fn line(rule: &str, key: &ResourceKey, said: &ExceptionSaid) -> Value {
    compact(json!({
        "ConfigRuleName": rule, "ResourceType": key.resource_type, "ResourceId": key.resource_id, "Message": said.message,
        "ExpirationTime": said.until.map(epoch),
    }))
}

/// DeleteRemediationExceptions: all of them, or none where one is not there.
pub(super) fn delete_remediation_exceptions(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    allowed(asked)?;
    let delete: Exceptions = read(body)?;
    let (rule, keys) = (delete.rule(asked)?, delete.keys(asked)?);
    let there = |instance: &InstanceId| asked.inner.state.exceptions_in(&asked.spoke).any(|(key, _)| key.rule == rule && key.target.instance == *instance);
    if keys.iter().any(|(_, instance)| !instance.as_ref().is_some_and(there)) {
        return Err(Refusal::new("NoSuchRemediationExceptionException", "You tried to delete a remediation exception that does not exist."));
    }
    let spoke = asked.spoke.clone();
    let instances: Vec<InstanceId> = keys.into_iter().filter_map(|(_, instance)| instance).collect();
    asked.inner.remove_exceptions(&spoke, &rule, &instances).map_err(|why| broken(&why, asked.call))?;
    Ok(json!({ "FailedBatches": [] }))
}

/// DescribeRemediationExceptions, of these resources or of all, in pages.
pub(super) fn describe_remediation_exceptions(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Exceptions = read(body)?;
    let rule = describe.rule(asked)?;
    let wanted = describe.resource_keys.as_ref().map(|_| describe.keys(asked)).transpose()?;
    let page = Page::at(asked, &rule, limit(describe.limit, 25, 100)?, describe.next_token.as_deref()).map_err(wrong_token)?;
    let state = &asked.inner.state;
    let is_wanted = |instance: &InstanceId| wanted.as_ref().is_none_or(|keys| keys.iter().any(|(_, of)| of.as_ref() == Some(instance)));
    let found = state.exceptions_in(&asked.spoke).filter(|(key, _)| key.rule == rule && is_wanted(&key.target.instance));
    let (found, next) = page.cut(found.collect());
    let named = |instance: &InstanceId| ResourceKey { resource_type: state.resource_type().to_owned(), resource_id: state.resource_id(instance) };
    let lines: Vec<Value> = found.into_iter().map(|(key, said)| line(&rule, &named(&key.target.instance), said)).collect();
    Ok(compact(json!({ "RemediationExceptions": lines, "NextToken": next })))
}
