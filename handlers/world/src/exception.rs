//! Remediation exceptions of AWS Config: which resources a rule's automatic remediation leaves alone, with a message, until when.
//! They change no verdict.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_engine::ports::Spoke;
use tidegate_events::fact::Compliance;
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{InstanceId, Region, TargetKey};

use crate::clock::{Ms, time};
use crate::log::Call;
use crate::state::State;
use crate::world::{Inner, World};

/// Where an exception stands: a rule's resource in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExceptionKey {
    pub target: TargetKey,
    pub rule: String,
}

/// What an exception says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExceptionSaid {
    pub message: Option<String>,
    /// When it goes by itself.
    pub until: Option<Ms>,
}

/// An exception that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionSeen {
    /// Whose.
    pub target: TargetKey,
    /// Of which rule.
    pub rule: String,
    /// What it says.
    pub message: Option<String>,
    /// When it goes by itself.
    pub until: Option<jiff::Timestamp>,
}

impl State {
    /// Why there can be no exception of an instance: Config takes those of non-compliant resources alone.
    pub fn exception_refusal(&self, spoke: &Spoke, instance: &InstanceId) -> Option<&'static str> {
        match self.find_in(spoke, instance).and_then(|host| host.verdict) {
            Some(verdict) if verdict.compliance == Compliance::NonCompliant => None,
            _ => Some("The resource is not NON_COMPLIANT"),
        }
    }

    /// Whether the role that the hub enters with may do this.
    pub fn may_except(&self, spoke: &Spoke, call: &str) -> Result<(), SpokeFault> {
        match self.accounts.get(&spoke.account) {
            Some(account) if account.exceptions_denied => Err(SpokeFault::RoleDenied(format!("{call}: AccessDeniedException (HTTP 400)"))),
            _ => Ok(()),
        }
    }

    /// Exceptions of one account and Region that have not ended.
    pub fn exceptions_in(&self, spoke: &Spoke) -> impl Iterator<Item = (&ExceptionKey, &ExceptionSaid)> {
        self.exceptions.iter().filter(move |(key, said)| {
            key.target.account == spoke.account && key.target.region == spoke.region && said.until.is_none_or(|until| until > self.now)
        })
    }

    pub fn except(&mut self, spoke: &Spoke, rule: &str, instances: &[InstanceId], said: &ExceptionSaid) {
        for key in keys(spoke, rule, instances) {
            self.exceptions.insert(key, said.clone());
        }
    }

    pub fn unexcept(&mut self, spoke: &Spoke, rule: &str, instances: &[InstanceId]) {
        for key in keys(spoke, rule, instances) {
            self.exceptions.remove(&key);
        }
    }
}

fn keys(spoke: &Spoke, rule: &str, instances: &[InstanceId]) -> impl Iterator<Item = ExceptionKey> {
    let target = |instance: &InstanceId| TargetKey { account: spoke.account, region: Region::clone(&spoke.region), instance: instance.clone() };
    instances.iter().map(move |instance| ExceptionKey { target: target(instance), rule: rule.to_owned() })
}

/// An instance, and why Config did not take it.
pub(crate) type NotTaken = Vec<(InstanceId, &'static str)>;

impl Inner {
    /// PutRemediationExceptions: gives those that Config does not take. `Err` where the world's log can't be written.
    pub fn put_exceptions(&mut self, spoke: &Spoke, rule: &str, instances: &[InstanceId], said: &ExceptionSaid) -> Result<NotTaken, String> {
        let mut failed = Vec::new();
        let mut taken = Vec::new();
        for instance in instances {
            match self.state.exception_refusal(spoke, instance) {
                Some(why) => failed.push((instance.clone(), why)),
                None => taken.push(instance.clone()),
            }
        }
        if !taken.is_empty() {
            self.write(Call::Excepted { spoke: Cow::Borrowed(spoke), rule: Cow::Borrowed(rule), instances: Cow::Borrowed(&taken), said: Some(said.clone()) })?;
            self.state.except(spoke, rule, &taken, said);
        }
        Ok(failed)
    }

    /// DeleteRemediationExceptions: gives those that are not there. `Err` where the world's log can't be written.
    pub fn remove_exceptions(&mut self, spoke: &Spoke, rule: &str, instances: &[InstanceId]) -> Result<Vec<InstanceId>, String> {
        let there: BTreeSet<InstanceId> =
            self.state.exceptions_in(spoke).filter(|(key, _)| key.rule == rule).map(|(key, _)| key.target.instance.clone()).collect();
        let (taken, missing): (Vec<InstanceId>, Vec<InstanceId>) = instances.iter().cloned().partition(|instance| there.contains(instance));
        if !taken.is_empty() {
            self.write(Call::Excepted { spoke: Cow::Borrowed(spoke), rule: Cow::Borrowed(rule), instances: Cow::Borrowed(&taken), said: None })?;
            self.state.unexcept(spoke, rule, &taken);
        }
        Ok(missing)
    }
}

impl World {
    /// Remediation exceptions that have not ended, in order.
    pub fn exceptions(&self) -> Vec<ExceptionSeen> {
        let inner = self.inner();
        let state = &inner.state;
        let there = state.exceptions.iter().filter(|(_, said)| said.until.is_none_or(|until| until > state.now));
        there
            .map(|(key, said)| ExceptionSeen { target: key.target.clone(), rule: key.rule.clone(), message: said.message.clone(), until: said.until.map(time) })
            .collect()
    }
}
