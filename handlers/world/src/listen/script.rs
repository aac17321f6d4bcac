//! Faults on demand: what strikes the next calls of an operation, an account, a Region.

use serde::{Deserialize, Serialize};
use tidegate_engine::ports::Spoke;
use tidegate_events::id::{AccountId, Region};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Refused: too many calls.
    Throttle,
    /// An error of the server; nothing was done.
    Error500,
    /// The connection is closed; nothing was done.
    Reset,
    /// No answer for minutes; nothing was done.
    Hang,
    /// It is done, and the connection is closed.
    LoseAnswer,
}

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scripted {
    /// `SendCommand` or `ssm:SendCommand`; every one where none is named.
    operation: Option<String>,
    account: Option<AccountId>,
    region: Option<Region>,
    kind: Kind,
    /// How many calls it strikes.
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

impl Scripted {
    fn is_about(&self, call: &str, spoke: &Spoke) -> bool {
        let named = |operation: &String| operation == call || call.rsplit(':').next().is_some_and(|name| name == operation);
        self.times > 0
            && self.operation.as_ref().is_none_or(named)
            && self.account.is_none_or(|account| account == spoke.account)
            && self.region.as_ref().is_none_or(|region| *region == spoke.region)
    }
}

/// The faults that wait for their calls, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Scripted>);

impl Script {
    pub fn add(&mut self, fault: Scripted) {
        self.0.push(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What strikes this call, once for each call that it was asked for.
    pub fn strike(&mut self, call: &str, spoke: &Spoke) -> Option<Kind> {
        let fault = self.0.iter_mut().find(|fault| fault.is_about(call, spoke))?;
        fault.times -= 1;
        let kind = fault.kind;
        self.0.retain(|fault| fault.times > 0);
        Some(kind)
    }
}
