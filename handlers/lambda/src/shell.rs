//! What every function does with what it is given, whatever the store, the cloud and the queues are: take events, perform
//! actions and what follows from them, and hand on what another function must do. Free of AWS, so that the simulated
//! organization can run it whole.

use std::collections::VecDeque;

use jiff::Timestamp;
use tidegate_engine::ports::Cloud;
use tidegate_engine::shell::nudge_of;
use tidegate_engine::store::{ActionId, Store};
use tidegate_engine::{Engine, EngineError};
use tidegate_events::action::Notice;
use tidegate_events::{Action, Event};
use tidegate_rules::decide::Outcome;

use crate::task::{Item, Letter, Queue, Task, pack, route};

/// Actions that one message may lead to before the rest is handed on: a function's time is bounded.
const STEPS_MAX: usize = 200;
/// Due aggregates that one tick takes up.
const DUE_MAX: usize = 5_000;
/// Due aggregates that a tick looks at by itself; more are spread over messages.
const DUE_HERE_MAX: usize = 25;
/// Outbox entries that one tick hands on again.
const LEFT_MAX: usize = 1_000;

/// A store that remembers what it was asked to keep since it was last asked.
pub trait Fresh: Store {
    /// Actions that were committed through this value since the last call, with their places in the outbox.
    fn take_fresh(&self) -> Vec<(ActionId, Action)>;
    /// When an action was put into the outbox, by its place.
    fn kept_at(&self, id: ActionId) -> Timestamp;
}

/// The queues, as seen by whoever puts something on them.
pub trait Post: Send + Sync {
    /// Puts these on their queues, all or an error; those that were taken may be taken again.
    fn post(&self, letters: Vec<Letter>) -> impl Future<Output = Result<(), String>> + Send;
}

/// How operators are told: the links that people decide by are made here, so that nothing else ever holds a token.
pub trait Herald: Send + Sync {
    /// Tells them.
    fn announce(&self, notice: &Notice, now: Timestamp) -> impl Future<Output = Result<(), EngineError>> + Send;
}

/// Why a message must come again.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The engine could not decide or store it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What follows could not be handed on.
    #[error("what follows could not be put on its queue: {0}")]
    Post(String),
    /// An action of ours can't be written.
    #[error("an action can't be written: {0}")]
    Write(#[from] serde_json::Error),
}

/// The engine with queues around it.
pub struct Shell<S, C, P> {
    engine: Engine<S, C>,
    post: P,
}

impl<S: Fresh, C: Cloud, P: Post> Shell<S, C, P> {
    /// A shell.
    pub fn new(engine: Engine<S, C>, post: P) -> Self {
        Self { engine, post }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<S, C> {
        &self.engine
    }

    /// The queues.
    pub fn queues(&self) -> &P {
        &self.post
    }

    /// Takes one event and hands on what follows.
    ///
    /// # Errors
    /// When it was not stored, or what follows was not taken: hand it in again.
    pub async fn take(&self, event: &Event, now: Timestamp) -> Result<Outcome, ShellError> {
        let handled = self.engine.handle(event, now).await?;
        let mut next: Vec<Item> = handled.actions.into_iter().map(Item::passing).collect();
        next.extend(self.fresh());
        self.hand_on(next).await?;
        Ok(handled.outcome)
    }

    /// Performs these items and what follows from them as far as it is `me`'s work, and hands on the rest.
    ///
    /// # Errors
    /// When something could not be stored or handed on: what was done stays done, and the message comes again.
    pub async fn perform(
        &self,
        me: Queue,
        items: Vec<Item>,
        clock: &(impl Fn() -> Timestamp + Sync),
        leave: &(impl Fn() -> bool + Sync),
    ) -> Result<(), ShellError> {
        let mut here: VecDeque<Item> = items.into();
        let group = here.front().map(|item| route(&item.action));
        let mut away: Vec<Item> = Vec::new();
        let mut done: Vec<ActionId> = Vec::new();
        let mut failed = None;
        let mut steps = 0;
        while let Some(item) = here.pop_front() {
            steps += 1;
            if steps > STEPS_MAX || leave() {
                away.push(item);
                away.extend(here.drain(..));
                break;
            }
            match self.engine.perform(&item.action, clock()).await {
                Ok(next) => {
                    for item in next.into_iter().map(Item::passing).chain(self.fresh()) {
                        // What enters another account is another message's work, so that an account has one reader.
                        if route(&item.action).0 == me && Some(route(&item.action)) == group { here.push_back(item) } else { away.push(item) }
                    }
                    done.extend(item.id.map(ActionId));
                }
                // It stays in the outbox; a tick hands it on again.
                Err(EngineError::Later(why)) if item.id.is_some() => tracing::warn!(action = ?item.action, %why, "put off"),
                Err(error) => {
                    away.extend(here.drain(..));
                    failed = Some(error);
                }
            }
        }
        // INVARIANT (nothing lost): what follows lies on a queue before what it follows from is forgotten.
        self.hand_on(away).await?;
        self.forget(&done).await?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Tells operators, and forgets that they were to be told.
    ///
    /// # Errors
    /// When they could not be told: the message comes again.
    pub async fn announce(&self, items: Vec<Item>, herald: &impl Herald, now: Timestamp) -> Result<(), ShellError> {
        for item in items {
            let Action::Notify(notice) = &item.action else {
                self.hand_on(vec![item]).await?;
                continue;
            };
            herald.announce(notice, now).await?;
            self.forget(&item.id.map(ActionId).into_iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// Time has come to `now`: what is due is looked at, and what was left in the outbox is handed on again.
    ///
    /// # Errors
    /// When the store or a queue does not answer; what is due stays due.
    pub async fn tick(&self, clock: &(impl Fn() -> Timestamp + Sync), leave: &(impl Fn() -> bool + Sync)) -> Result<Ticked, ShellError> {
        let failed = |source| EngineError::Store { what: "what is due".into(), source };
        let told = self.engine.watch(clock()).await?;
        self.hand_on(told.into_iter().map(Item::passing).chain(self.fresh()).collect()).await?;
        let due = self.engine.store().due(clock(), DUE_MAX).await.map_err(failed)?;
        let nudges: Vec<Item> = due.iter().filter_map(nudge_of).map(|nudge| Item::passing(Action::Nudge(nudge))).collect();
        let mut ticked = Ticked { due: nudges.len(), left: 0 };
        if self.engine.reads_the_clock() {
            let at = clock();
            self.take(&Event::Tick { at }, at).await?;
        }
        if nudges.len() > DUE_HERE_MAX {
            self.hand_on(nudges).await?;
        } else {
            self.perform(Queue::Work, nudges, clock, leave).await?;
        }
        let mut after = None;
        loop {
            let page = self.engine.store().outbox(after, LEFT_MAX).await.map_err(failed)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let whole = page.len() == LEFT_MAX;
            let left: Vec<Item> = page
                .into_iter()
                .filter(|(id, _)| is_turn(clock().duration_since(self.engine.store().kept_at(*id)).as_secs()))
                .map(|(id, action)| Item::kept(id, action))
                .collect();
            ticked.left += left.len();
            self.hand_on(left).await?;
            if !whole || leave() {
                break;
            }
        }
        Ok(ticked)
    }

    /// Puts a message on a queue.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn send(&self, letter: Letter) -> Result<(), ShellError> {
        self.post_all(vec![letter]).await
    }

    /// Puts messages on their queues.
    ///
    /// # Errors
    /// When they were not taken.
    pub async fn post_all(&self, letters: Vec<Letter>) -> Result<(), ShellError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.post.post(letters).await.map_err(ShellError::Post)
    }

    /// Puts items on their queues.
    ///
    /// # Errors
    /// When they were not taken.
    pub async fn hand_on(&self, items: Vec<Item>) -> Result<(), ShellError> {
        if items.is_empty() {
            return Ok(());
        }
        self.post.post(pack(items)?).await.map_err(ShellError::Post)
    }

    async fn forget(&self, done: &[ActionId]) -> Result<(), ShellError> {
        if done.is_empty() {
            return Ok(());
        }
        Ok(self.engine.store().performed(done).await.map_err(|source| EngineError::Store { what: "the outbox".into(), source })?)
    }

    /// What was put into the outbox since the last call.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = Item> + use<S, C, P> {
        self.engine.store().take_fresh().into_iter().map(|(id, action)| Item::kept(id, action))
    }
}

/// Whether an action that has lain in the outbox for so long is handed on again by this minute's tick: after 2, 4, 8 ..
/// minutes, then every 64. What is merely late on a full queue is not multiplied by every tick.
fn is_turn(age_secs: i64) -> bool {
    let minutes = age_secs / 60;
    minutes >= 2 && (minutes % 64 == 0 || (minutes < 64 && minutes.count_ones() == 1))
}

/// What a tick found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticked {
    /// Aggregates that were due.
    pub due: usize,
    /// Actions that had been left in the outbox.
    pub left: usize,
}

/// What a body on one of our queues is.
#[derive(Debug)]
pub enum Body {
    /// A message of ours.
    Task(Task),
    /// An event, to be read by `tidegate_events::wire`.
    Foreign,
}

/// Reads a body.
///
/// # Errors
/// When it says that it is ours and can't be read.
pub fn read_body(body: &str) -> Result<Body, String> {
    match Task::read(body) {
        None => Ok(Body::Foreign),
        Some(task) => task.map(Body::Task),
    }
}

#[cfg(test)]
mod tests {
    use super::is_turn;

    #[test]
    fn what_is_left_is_handed_on_ever_less_often() {
        let turns: Vec<i64> = (0..=192).filter(|minute| is_turn(minute * 60 + 30)).collect();
        assert_eq!(turns, [2, 4, 8, 16, 32, 64, 128, 192]);
        assert!(!is_turn(-120), "a clock behind the writer's hands nothing on");
    }
}
