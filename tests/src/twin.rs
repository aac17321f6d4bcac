//! A store in DynamoDB whose every write is made in memory too: the functions read and write DynamoDB, as they do when they are
//! deployed, and whoever watches them looks at the other, which costs nothing. In virtual time: the calls themselves are real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_aws::dynamo::DynamoStore;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Store};
use tidegate_events::Action;
use tidegate_lambda::shell::Fresh;
use tidegate_rules::Key;

use crate::luck::Backing;

/// What was written of one kind of thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// How often.
    pub times: u64,
    /// Bytes of bodies, without keys and attribute names.
    pub bytes: u64,
}

/// By kind, as keys begin: `target`, `batch`, ..; `+` before the name of a counter's, `line of` before that of a stream's.
pub type Ledger = Arc<Mutex<BTreeMap<String, Written>>>;

/// The pair.
pub struct Twin {
    ledger: Ledger,
    dynamo: DynamoStore,
    memory: EmbeddedStore,
    state: Mutex<Places>,
    /// Writes are made one after the other, so that both outboxes have one order.
    turn: tokio::sync::Mutex<()>,
    now: Mutex<Timestamp>,
}

#[derive(Default)]
struct Places {
    fresh: Vec<(ActionId, Action)>,
    /// By the place in DynamoDB's outbox: the place in the other, and when it was put there.
    kept: BTreeMap<ActionId, (ActionId, Timestamp)>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Twin {
    /// A pair over an empty table, that writes down what it is given to write.
    pub fn new(dynamo: DynamoStore, start: Timestamp, ledger: Ledger) -> Self {
        Self {
            ledger,
            dynamo,
            memory: EmbeddedStore::Memory(MemoryStore::new()),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            now: Mutex::new(start),
        }
    }
}

fn kind(key: &Key) -> &str {
    key.as_str().split('/').next().unwrap_or_default()
}

fn note(ledger: &Ledger, commit: &Commit) {
    let mut ledger = held(ledger);
    let mut add = |kind: String, bytes: usize| {
        let written = ledger.entry(kind).or_default();
        written.times += 1;
        written.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    };
    commit.puts.iter().for_each(|put| add(kind(&put.key).to_owned(), put.body.len()));
    commit.unchanged.iter().for_each(|(key, _)| add(format!("unchanged {}", kind(key)), 0));
    commit.adds.iter().for_each(|(key, _)| add(format!("+{}", kind(key)), 0));
    commit.lines.iter().for_each(|line| add(format!("line of {}", kind(&line.stream)), line.bytes.len()));
    commit.actions.iter().for_each(|_| add("action".to_owned(), 0));
}

impl Store for Twin {
    crate::reads_go_to!(dynamo);
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.dynamo.commit(commit).await?;
        note(&self.ledger, commit);
        let last = held(&self.state).kept.values().map(|(place, _)| *place).max();
        self.memory.commit(commit).await?;
        let fresh = self.dynamo.take_fresh();
        let twins = self.memory.outbox(last, 1000).await?;
        if !fresh.iter().map(|(_, action)| action).eq(twins.iter().map(|(_, action)| action)) {
            return Err(StoreError::Failed("the two outboxes differ".into()));
        }
        let now = *held(&self.now);
        let mut state = held(&self.state);
        state.kept.extend(fresh.iter().zip(&twins).map(|((id, _), (twin, _))| (*id, (*twin, now))));
        state.fresh.extend(fresh);
        Ok(())
    }
    async fn performed(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        self.dynamo.performed(ids).await?;
        let twins: Vec<ActionId> = {
            let state = held(&self.state);
            ids.iter().filter_map(|id| state.kept.get(id)).map(|(twin, _)| *twin).collect()
        };
        self.memory.performed(&twins).await
    }
}

impl Fresh for Twin {
    fn take_fresh(&self) -> Vec<(ActionId, Action)> {
        std::mem::take(&mut held(&self.state).fresh)
    }
    fn kept_at(&self, id: ActionId) -> Timestamp {
        held(&self.state).kept.get(&id).map_or(Timestamp::MIN, |(_, at)| *at)
    }
}

impl Backing for Twin {
    type Seen = EmbeddedStore;
    fn set_now(&self, now: Timestamp) {
        *held(&self.now) = now;
    }
    fn seen(&self) -> &EmbeddedStore {
        &self.memory
    }
}
