//! A store and a cloud that fail at a chosen moment: just before a call that changes something takes effect, or just after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tidegate_engine::error::StoreError;
use tidegate_engine::ports::{AutomationRequest, CalendarSeen, Cloud, CommandSeen, Inventory, Paged, RuleAt, SendRequest, Spoke};
use tidegate_engine::store::{ActionId, Commit, Store};
use tidegate_events::action::Notice;
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Fact, Invocation, PatchState};
use tidegate_events::health::AlarmSeen;
use tidegate_events::host::{Host, SpokeFault};
use tidegate_events::id::{CommandId, InstanceId, TargetKey};
use tidegate_events::mirror::{ExceptionNote, ExceptionOutcome, Exceptions};
use tidegate_events::patch::Lacking;
use tokio::sync::Notify;

/// What happens at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The process ends there: nothing after it runs.
    Killed,
    /// The call gives an error, and everything after it works.
    Failed,
}

/// A moment in the life of a process: before or after one of its calls took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The call.
    pub call: &'static str,
    /// Whether it has taken effect.
    pub done: bool,
}

/// Counts the moments of a process, and strikes at one of them.
#[derive(Debug)]
pub struct Fuse {
    at: Option<usize>,
    how: How,
    blind: bool,
    passed: AtomicUsize,
    struck: AtomicBool,
    bell: Notify,
    moments: Mutex<Vec<Moment>>,
}

impl Fuse {
    /// It strikes at the moment with this number, counted from 0.
    pub fn at(moment: usize, how: How) -> Self {
        Self { at: Some(moment), ..Self::never_how(how) }
    }

    /// It never strikes.
    pub fn never() -> Self {
        Self::never_how(How::Killed)
    }

    fn never_how(how: How) -> Self {
        Self { at: None, how, blind: false, passed: AtomicUsize::new(0), struck: AtomicBool::new(false), bell: Notify::new(), moments: Mutex::new(Vec::new()) }
    }

    /// Searches for commands find nothing, whatever there is: what an engine that did not search would see.
    #[must_use]
    pub fn blind(self) -> Self {
        Self { blind: true, ..self }
    }

    /// Comes to its end when the process is killed.
    pub async fn killed(&self) {
        self.bell.notified().await;
    }

    /// Whether it has struck.
    pub fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// The moments that passed, in order.
    pub fn moments(&self) -> Vec<Moment> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives true where the call must fail; does not come back where the process ends.
    async fn passes(&self, call: &'static str, done: bool) -> bool {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).push(Moment { call, done });
        if self.at != Some(self.passed.fetch_add(1, Ordering::SeqCst)) {
            return false;
        }
        self.struck.store(true, Ordering::SeqCst);
        if self.how == How::Killed {
            self.bell.notify_one();
            std::future::pending::<()>().await;
        }
        true
    }

    async fn around<T>(&self, call: &'static str, work: impl Future<Output = T>, failed: impl Fn() -> T) -> T {
        if self.passes(call, false).await {
            return failed();
        }
        let answer = work.await;
        if self.passes(call, true).await { failed() } else { answer }
    }
}

/// A store that fails when its fuse strikes.
#[derive(Debug)]
pub struct CrashingStore<'w, S> {
    inner: &'w S,
    fuse: &'w Fuse,
}

impl<'w, S> CrashingStore<'w, S> {
    /// Around this store.
    pub fn new(inner: &'w S, fuse: &'w Fuse) -> Self {
        Self { inner, fuse }
    }
}

fn broken<T>() -> Result<T, StoreError> {
    Err(StoreError::Failed("the disk is gone".to_owned()))
}

impl<S: Store> Store for CrashingStore<'_, S> {
    crate::reads_go_to!(inner);
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.fuse.around("commit", self.inner.commit(commit), broken).await
    }
    async fn performed(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        self.fuse.around("performed", self.inner.performed(ids), broken).await
    }
}

/// A cloud that gives no answer when its fuse strikes, before or after it did what it was asked.
#[derive(Debug)]
pub struct CrashingCloud<'w, C> {
    inner: &'w C,
    fuse: &'w Fuse,
}

impl<'w, C> CrashingCloud<'w, C> {
    /// Around this cloud.
    pub fn new(inner: &'w C, fuse: &'w Fuse) -> Self {
        Self { inner, fuse }
    }
}

fn unanswered<T>() -> Result<T, SpokeFault> {
    Err(SpokeFault::NoAnswer("the line is cut".to_owned()))
}

impl<C: Cloud> Cloud for CrashingCloud<'_, C> {
    async fn inventory(&self, tag_key: Option<&str>) -> Result<Arc<Inventory>, SpokeFault> {
        self.fuse.around("inventory", self.inner.inventory(tag_key), unanswered).await
    }
    async fn describe(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Host>, SpokeFault> {
        self.fuse.around("describe", self.inner.describe(spoke, instances), unanswered).await
    }
    async fn spokes(&self) -> Result<Vec<Spoke>, SpokeFault> {
        self.fuse.around("spokes", self.inner.spokes(), unanswered).await
    }
    async fn managed_nodes(&self, spoke: &Spoke, next: Option<&str>, tags: bool) -> Result<Paged<Host>, SpokeFault> {
        self.fuse.around("managed_nodes", self.inner.managed_nodes(spoke, next, tags), unanswered).await
    }
    async fn send(&self, request: &SendRequest) -> SendOutcome {
        self.fuse.around("send", self.inner.send(request), || SendOutcome::Ambiguous { why: "the line is cut".to_owned() }).await
    }
    async fn list_commands(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        let found = self.fuse.around("list_commands", self.inner.list_commands(spoke, document, after, before), unanswered).await;
        if self.fuse.blind { Ok(Vec::new()) } else { found }
    }
    async fn invocations(&self, spoke: &Spoke, command: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        self.fuse.around("invocations", self.inner.invocations(spoke, command), unanswered).await
    }
    async fn cancel(&self, spoke: &Spoke, command: &CommandId, instances: &[InstanceId]) -> Result<(), SpokeFault> {
        self.fuse.around("cancel", self.inner.cancel(spoke, command, instances), unanswered).await
    }
    async fn start_automation(&self, request: &AutomationRequest) -> SendOutcome {
        self.fuse.around("send", self.inner.start_automation(request), || SendOutcome::Ambiguous { why: "the line is cut".to_owned() }).await
    }
    async fn list_executions(&self, spoke: &Spoke, document: &str, after: Timestamp, before: Timestamp) -> Result<Vec<CommandSeen>, SpokeFault> {
        self.fuse.around("list_executions", self.inner.list_executions(spoke, document, after, before), unanswered).await
    }
    async fn execution(&self, spoke: &Spoke, execution: &CommandId) -> Result<Vec<Invocation>, SpokeFault> {
        self.fuse.around("execution", self.inner.execution(spoke, execution), unanswered).await
    }
    async fn stop_automation(&self, spoke: &Spoke, execution: &CommandId) -> Result<(), SpokeFault> {
        self.fuse.around("cancel", self.inner.stop_automation(spoke, execution), unanswered).await
    }
    async fn patch_states(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<PatchState>, SpokeFault> {
        self.fuse.around("patch_states", self.inner.patch_states(spoke, instances), unanswered).await
    }
    async fn missing_patches(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<Lacking>, SpokeFault> {
        self.fuse.around("missing_patches", self.inner.missing_patches(spoke, instances), unanswered).await
    }
    async fn start_evaluation(&self, spoke: &Spoke, rules: &[String]) -> Result<(), SpokeFault> {
        self.fuse.around("start_evaluation", self.inner.start_evaluation(spoke, rules), unanswered).await
    }
    async fn compliance(&self, spoke: &Spoke, instances: &[InstanceId]) -> Result<Vec<(InstanceId, Option<Fact>)>, SpokeFault> {
        self.fuse.around("compliance", self.inner.compliance(spoke, instances), unanswered).await
    }
    async fn rules_with_findings(&self, next: Option<&str>) -> Result<Paged<RuleAt>, SpokeFault> {
        self.fuse.around("rules_with_findings", self.inner.rules_with_findings(next), unanswered).await
    }
    async fn findings(&self, at: &RuleAt, next: Option<&str>) -> Result<Paged<(TargetKey, Fact)>, SpokeFault> {
        self.fuse.around("findings", self.inner.findings(at, next), unanswered).await
    }
    async fn calendar(&self, calendar: &str) -> Result<CalendarSeen, SpokeFault> {
        self.fuse.around("calendar", self.inner.calendar(calendar), unanswered).await
    }
    async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmSeen>, SpokeFault> {
        self.fuse.around("alarms", self.inner.alarms(names), unanswered).await
    }
    async fn notify(&self, notice: &Notice) -> Result<(), SpokeFault> {
        self.fuse.around("notify", self.inner.notify(notice), unanswered).await
    }
    async fn put_exceptions(&self, spoke: &Spoke, on: &Exceptions, note: &ExceptionNote) -> ExceptionOutcome {
        self.fuse.around("put_exceptions", self.inner.put_exceptions(spoke, on, note), unanswered).await
    }
    async fn remove_exceptions(&self, spoke: &Spoke, on: &Exceptions) -> ExceptionOutcome {
        self.fuse.around("remove_exceptions", self.inner.remove_exceptions(spoke, on), unanswered).await
    }
}
