//! The world from outside: open it, move its time on, and look at what is true in it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_events::id::{AccountId, Region, TargetKey};

use crate::agenda::Happening;
use crate::automation::StartRecord;
use crate::calls::Calls;
use crate::clock::{ms, time};
use crate::command::SendRecord;
use crate::ledger::Counts;
use crate::log::{Call, Line, Log, SCHEMA};
use crate::spec::Spec;
use crate::state::State;
use crate::wire;

/// An event as EventBridge hands it to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When it is delivered.
    pub at: Timestamp,
    /// The event, as JSON.
    pub bytes: Vec<u8>,
}

/// What is really the case with a host, whatever anybody reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTruth {
    /// Approved patches that it does not have, and of which no installation failed.
    pub missing: u32,
    /// Patches whose installation failed.
    pub failed: u32,
    /// Patches that wait for a reboot.
    pub pending_reboot: u32,
    /// Rejected patches that it has.
    pub rejected: u32,
    /// Whether its agent answers.
    pub online: bool,
    /// Whether it is gone for good.
    pub terminated: bool,
    /// Whether Systems Manager knows it.
    pub registered: bool,
    /// Whether an install runs on it right now.
    pub installing_now: bool,
}

impl HostTruth {
    /// Whether it has every patch, in force.
    pub fn is_patched(&self) -> bool {
        self.missing == 0 && self.failed == 0 && self.pending_reboot == 0
    }
}

/// A model of an AWS organization, in virtual time, from one seed.
///
/// What is true in it is a function of its [`Spec`], of the calls that it accepted, and of the time: not of threads, of reads, or
/// of calls that it refused. Nothing reads a clock; time moves by [`World::advance`] alone, and calls happen at [`World::now`].
#[derive(Debug)]
pub struct World {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub state: State,
    pub calls: Calls,
    /// `state.now` as it was given, with what is finer than a millisecond.
    pub now: Timestamp,
    log: Option<Log>,
    log_error: Option<String>,
}

impl Inner {
    /// As [`World::advance`], but for the log: calls are written with their time, and what happens between them happens again by
    /// itself. For a world whose clock is the real one, which would write lines for ever else.
    pub fn pass(&mut self, to: Timestamp) -> Vec<Delivery> {
        self.now = self.now.max(to);
        self.state.run_until(ms(self.now));
        let letters = std::mem::take(&mut self.state.outbox);
        letters.into_iter().filter_map(|(at, letter)| Some(Delivery { at: time(at), bytes: wire::render(&self.state, &letter)? })).collect()
    }

    /// Writes a call down, before it is answered.
    pub fn write(&mut self, call: Call<'_>) -> Result<(), String> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.write(self.now, call).map_err(|error| {
            let error = format!("the world's log can't be written: {error}");
            self.log_error.get_or_insert_with(|| error.clone()).clone()
        })
    }
}

impl World {
    /// A world in memory.
    pub fn new(spec: Spec, start: Timestamp) -> Self {
        Self { inner: Mutex::new(Inner { state: State::new(spec, ms(start)), calls: Calls::default(), now: start, log: None, log_error: None }) }
    }

    /// A world on file where a path is given, else in memory.
    ///
    /// A new file begins with this spec and start. In a file that is there already, its own spec and start count, and the world stands
    /// where the file ends; accounts and hosts that only the given spec has are added. What was delivered within the last hour is
    /// delivered once more, since nobody knows whether it was handled: EventBridge is at-least-once anyway.
    ///
    /// # Errors
    /// When the file can't be read or written, is open in another process, or is no world.
    pub fn open(spec: Spec, start: Timestamp, path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::new(spec, start)) };
        let mut rebuilt: Option<(State, Timestamp)> = None;
        let mut log = Log::open(path, |line| replay(&mut rebuilt, line))?;
        let (mut state, now) = match rebuilt {
            Some(rebuilt) => rebuilt,
            None => {
                log.write(start, Call::Opened { schema: Cow::Borrowed(SCHEMA), spec: Cow::Borrowed(&spec) })?;
                (State::new(spec.clone(), ms(start)), start)
            }
        };
        let accounts: Vec<_> = spec.accounts.into_iter().filter(|account| !state.accounts.contains_key(&account.id)).collect();
        let hosts: Vec<_> = spec.hosts.into_iter().filter(|host| state.find(&host.key).is_none()).collect();
        if !accounts.is_empty() || !hosts.is_empty() {
            log.write(now, Call::Added { accounts: Cow::Borrowed(&accounts), hosts: Cow::Borrowed(&hosts) })?;
            state.add(accounts, hosts);
        }
        for (_, letter) in std::mem::take(&mut state.outbox) {
            state.agenda.put(state.now + 1, Happening::Delivered(letter));
        }
        Ok(Self { inner: Mutex::new(Inner { state, calls: Calls::default(), now, log: Some(log), log_error: None }) })
    }

    /// Adds the accounts and hosts that this world does not have yet; what it has stays as it is.
    ///
    /// # Errors
    /// When the world's log can't be written: then nothing was added.
    pub fn add(&self, spec: Spec) -> Result<(), String> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        let accounts: Vec<_> = spec.accounts.into_iter().filter(|account| !inner.state.accounts.contains_key(&account.id)).collect();
        let hosts: Vec<_> = spec.hosts.into_iter().filter(|host| inner.state.find(&host.key).is_none()).collect();
        if !accounts.is_empty() || !hosts.is_empty() {
            inner.write(Call::Added { accounts: Cow::Borrowed(&accounts), hosts: Cow::Borrowed(&hosts) })?;
            inner.state.add(accounts, hosts);
        }
        Ok(())
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time on, never backwards, and returns what EventBridge delivers up to then, in the order of delivery.
    pub fn advance(&self, to: Timestamp) -> Vec<Delivery> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        if to > inner.now {
            // A failed write stops every later call that would change something; time may go on.
            inner.now = to;
            drop(inner.write(Call::Advanced));
        }
        inner.pass(to)
    }

    /// The time of the next thing that will happen by itself; `None` where nothing will.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.inner().state.agenda.next_at().map(time)
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.inner().now
    }

    /// When this world began.
    pub fn started_at(&self) -> Timestamp {
        time(self.inner().state.started)
    }

    /// Why the world's log could not be written, where it could not: no call that changes something is taken since.
    pub fn log_error(&self) -> Option<String> {
        self.inner().log_error.clone()
    }

    /// Every host, terminated ones included.
    pub fn hosts(&self) -> Vec<TargetKey> {
        self.inner().state.hosts.iter().map(|host| host.key.clone()).collect()
    }

    /// What is really the case with a host; `None` where there is no such host.
    pub fn truth(&self, key: &TargetKey) -> Option<HostTruth> {
        let inner = self.inner();
        let host = inner.state.find(key)?;
        Some(HostTruth {
            missing: host.missing,
            failed: host.failed,
            pending_reboot: host.pending,
            rejected: host.rejected(),
            online: host.is_online(inner.state.now, inner.state.started),
            terminated: host.terminated,
            registered: host.is_registered(),
            installing_now: host.installing > 0,
        })
    }

    /// Accepted commands, counted, those from before a restart included.
    pub fn counts(&self) -> Counts {
        self.inner().state.ledger.counts
    }

    /// Accepted commands, oldest first.
    pub fn sends(&self) -> Vec<Arc<SendRecord>> {
        self.inner().state.ledger.records.clone()
    }

    /// Accepted starts of executions, oldest first; a start that was repeated under its token is one.
    pub fn starts(&self) -> Vec<Arc<StartRecord>> {
        self.inner().state.executions.iter().map(|execution| Arc::clone(&execution.record)).collect()
    }

    /// Accepted commands that were not taken before; those from before a restart come once more.
    pub fn take_sends(&self) -> Vec<Arc<SendRecord>> {
        let mut inner = self.inner();
        let ledger = &mut inner.state.ledger;
        let fresh = ledger.records.get(ledger.taken..).unwrap_or_default().to_vec();
        ledger.taken = ledger.records.len();
        fresh
    }

    /// API calls since this process opened the world, by operation (`ssm:SendCommand`).
    pub fn api_calls(&self) -> BTreeMap<String, u64> {
        self.inner().calls.by_call()
    }

    /// API calls by account, Region and operation. Calls of the hub in its own account stand under account `000000000000` in
    /// `us-east-1`; `sts:AssumeRole` under the entered account in the hub's Region.
    pub fn api_calls_by_spoke(&self) -> BTreeMap<(AccountId, Region, String), u64> {
        self.inner().calls.by_spoke()
    }
}

/// Does again what a line of the log says.
fn replay(world: &mut Option<(State, Timestamp)>, line: Line<'static>) -> io::Result<()> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some((state, now)) = world else {
        let Call::Opened { schema, spec } = line.call else { return Err(wrong("the world does not begin with its spec".to_owned())) };
        if schema != SCHEMA {
            return Err(wrong(format!("expected a world of schema `{SCHEMA}`, got `{schema}`")));
        }
        *world = Some((State::new(spec.into_owned(), ms(line.at)), line.at));
        return Ok(());
    };
    *now = line.at;
    state.replay_until(ms(line.at));
    match line.call {
        Call::Opened { .. } => return Err(wrong("the world begins twice".to_owned())),
        Call::Advanced => {}
        Call::Added { accounts, hosts } => state.add(accounts.into_owned(), hosts.into_owned()),
        Call::Sent { request, answered, max_errors } => {
            state.accept(&request, answered, max_errors).ok_or_else(|| wrong(format!("this world can't have accepted `{}`", request.marker)))?;
        }
        Call::Started { request, answered } => {
            state.start(&request, answered).ok_or_else(|| wrong(format!("this world can't have started `{}`", request.token)))?;
        }
        Call::Stopped { spoke, execution } => {
            let at = state.execution_in(&spoke, &execution).ok_or_else(|| wrong(format!("this world has no execution `{execution}`")))?;
            state.stop_execution(at);
        }
        Call::Cancelled { spoke, command, instances } => {
            let at = state.command_in(&spoke, &command).ok_or_else(|| wrong(format!("this world has no command `{command}`")))?;
            state.cancel(at, &instances);
        }
        Call::Evaluated { spoke } => {
            let at = *state.spoke_of.get(&*spoke).ok_or_else(|| wrong(format!("this world has no {}/{}", spoke.account, spoke.region)))?;
            state.reevaluate(at);
        }
        Call::Excepted { spoke, rule, instances, said: Some(said) } => state.except(&spoke, &rule, &instances, &said),
        Call::Excepted { spoke, rule, instances, said: None } => state.unexcept(&spoke, &rule, &instances),
    }
    Ok(())
}
