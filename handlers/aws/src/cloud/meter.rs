//! What was really sent: an interceptor on every client counts each attempt, the SDK's own retries included, and tells the
//! pace how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tidegate_events::id::{AccountId, Region};

use super::fault;
use super::pace::Pace;

/// Where an operation is called: AWS limits it there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The account whose credentials call; `None` where the hub does not know its own.
    pub account: Option<AccountId>,
    /// The Region.
    pub region: Option<Region>,
    /// The operation, as IAM writes it: `ssm:SendCommand`.
    pub operation: &'static str,
}

/// Counts and pace of one process. Cloning it shares both.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Mutex<BTreeMap<Place, u64>>,
    names: Mutex<BTreeSet<&'static str>>,
    pace: Pace,
}

impl Meter {
    /// What was sent, by account, Region and operation.
    pub fn calls(&self) -> BTreeMap<(Option<AccountId>, Option<Region>, &'static str), u64> {
        let counts = self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(place, times)| ((place.account, place.region.clone(), place.operation), *times)).collect()
    }

    /// Counts what no client of the SDK sent.
    pub(crate) fn count(&self, place: Place) {
        *self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(place).or_default() += 1;
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.inner.pace
    }

    /// The interceptor for a client of `service` (IAM's prefix) that calls in this account and Region.
    pub fn watch(&self, account: Option<AccountId>, region: Option<Region>, service: &'static str) -> Watch {
        Watch { meter: self.clone(), account, region, service }
    }

    /// `service:operation`, kept for good: there are as many as this code calls.
    fn name(&self, service: &str, operation: &str) -> &'static str {
        let name = format!("{service}:{operation}");
        let mut names = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name.as_str()) {
            return known;
        }
        let kept: &'static str = Box::leak(name.into_boxed_str());
        names.insert(kept);
        kept
    }
}

/// The interceptor.
#[derive(Clone)]
pub struct Watch {
    meter: Meter,
    account: Option<AccountId>,
    region: Option<Region>,
    service: &'static str,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Watch {
    fn place(&self, cfg: &ConfigBag) -> Place {
        let operation = cfg.load::<Metadata>().map_or("?", Metadata::name);
        Place { account: self.account, region: self.region.clone(), operation: self.meter.name(self.service, operation) }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "TidegateMeter"
    }

    fn read_before_transmit(&self, _: &BeforeTransmitInterceptorContextRef<'_>, _: &RuntimeComponents, cfg: &mut ConfigBag) -> Result<(), BoxError> {
        let place = self.place(cfg);
        let mut counts = self.meter.inner.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(place).or_default() += 1;
        Ok(())
    }

    fn read_after_attempt(&self, context: &FinalizerInterceptorContextRef<'_>, _: &RuntimeComponents, cfg: &mut ConfigBag) -> Result<(), BoxError> {
        // Without a response nobody said anything about the rate.
        if let Some(response) = context.response() {
            let code = if response.status().is_success() { None } else { response.body().bytes().and_then(fault::code_in) };
            let throttled = response.status().as_u16() == 429 || code.as_deref().is_some_and(fault::is_throttle);
            // A 5xx is no sign of either kind.
            if throttled || !response.status().is_server_error() {
                self.meter.inner.pace.hear(&self.place(cfg), throttled);
            }
        }
        Ok(())
    }
}
