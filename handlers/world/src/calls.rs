//! API calls, counted as AWS would bill and limit them, and the hub's side of them: sessions, and calls that fail on the way.

use std::collections::{BTreeMap, HashMap};

use tidegate_engine::ports::{Inventory, Spoke};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::{AccountId, Region};

use crate::clock::{HOUR, Ms, SECOND};
use crate::spec::{AccountState, Role};
use crate::state::{State, spoke_id};

/// Counts and caches of this process. They are no part of the world: a restarted process starts with none.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    counts: BTreeMap<(AccountId, Region, &'static str), u64>,
    /// Until when the session in an account holds.
    sessions: HashMap<AccountId, Ms>,
    /// The inventory by tag key, and when it was taken.
    pub inventories: BTreeMap<Option<String>, (Ms, std::sync::Arc<Inventory>)>,
    /// When the inventory's calls were last made.
    pub inventory_at: Option<Ms>,
}

/// Where calls are counted that the hub makes in its own account.
pub(crate) fn hub() -> Option<Spoke> {
    Some(Spoke { account: AccountId::from_number(0)?, region: "us-east-1".parse().ok()? })
}

impl Calls {
    pub fn count(&mut self, spoke: &Spoke, call: &'static str, times: usize) {
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        if times > 0 {
            *self.counts.entry((spoke.account, spoke.region.clone(), call)).or_default() += times;
        }
    }

    pub fn count_hub(&mut self, call: &'static str, times: usize) {
        if let Some(hub) = hub() {
            self.count(&hub, call, times);
        }
    }

    pub fn by_call(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for ((_, _, call), times) in &self.counts {
            *sums.entry((*call).to_owned()).or_default() += times;
        }
        sums
    }

    pub fn by_spoke(&self) -> BTreeMap<(AccountId, Region, String), u64> {
        self.counts.iter().map(|((account, region, call), times)| ((*account, region.clone(), (*call).to_owned()), *times)).collect()
    }

    /// A session in an account: `sts:AssumeRole` once an hour, since a chained role's session holds no longer (aws-facts 4), and
    /// at every try where it is denied.
    pub fn enter(&mut self, state: &State, account: AccountId) -> Result<(), SpokeFault> {
        let Some(spec) = state.accounts.get(&account) else { return Err(SpokeFault::AccountUnknown) };
        let allowed = match (spec.state, spec.role) {
            (AccountState::Suspended, _) => Err(SpokeFault::AccountSuspended),
            (AccountState::Active, Role::Ok | Role::Unguarded) => Ok(()),
            (AccountState::Active, Role::Missing) => Err(SpokeFault::RoleDenied("AccessDenied: the role does not exist".to_owned())),
            (AccountState::Active, Role::WrongTrust) => Err(SpokeFault::RoleDenied("AccessDenied: the role does not trust the hub".to_owned())),
        };
        if allowed.is_ok() && self.sessions.get(&account).is_some_and(|until| state.now < *until) {
            return Ok(());
        }
        if let Some(hub) = hub() {
            self.count(&Spoke { account, region: hub.region }, "sts:AssumeRole", 1);
        }
        if allowed.is_ok() {
            self.sessions.insert(account, state.now + HOUR);
        }
        allowed
    }

    /// A read in a spoke: entered, counted, and answered, unless a fault comes between. The same read in the same second meets
    /// the same fault.
    pub fn read(&mut self, state: &State, spoke: &Spoke, call: &'static str, times: usize, about: &str) -> Result<(), SpokeFault> {
        self.enter(state, spoke.account)?;
        self.count(spoke, call, times);
        fault(state, spoke, call, about)
    }

    /// A read in the hub's own account.
    pub fn read_hub(&mut self, state: &State, call: &'static str, about: &str) -> Result<(), SpokeFault> {
        self.count_hub(call, 1);
        hub().map_or(Ok(()), |hub| fault(state, &hub, call, about))
    }
}

/// The fault that meets a read, if one does.
pub(crate) fn fault(state: &State, spoke: &Spoke, call: &str, about: &str) -> Result<(), SpokeFault> {
    let draw = |what: &str| state.draw(what).on(spoke_id(spoke)).text(call).text(about).at(state.now / SECOND);
    if state.strikes(state.faults.read_throttled, draw("read throttled")) {
        Err(SpokeFault::Throttled)
    } else if state.strikes(state.faults.read_unanswered, draw("read unanswered")) {
        Err(SpokeFault::NoAnswer(format!("{call}: connection reset")))
    } else {
        Ok(())
    }
}
