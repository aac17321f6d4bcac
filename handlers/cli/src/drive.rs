//! The embedded shell in virtual time: events go in, the world moves, what is due is looked at, people (by name) approve,
//! until nothing moves any more.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tidegate_embedded::EmbeddedStore;
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_events::event::{Approval, Event, Subject, Word};
use tidegate_events::id::{Digest, PersonId, TargetKey};
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::State;
use tidegate_rules::check::Checker;
use tidegate_rules::decide::Outcome;
use tidegate_world::World;

use crate::failure::Failure;
use crate::settle::{self, Rest};
use crate::summary::{self, EventCounts, Invariants, Refused, Summary};

/// The engine of an embedded shell.
pub type EmbeddedEngine = Engine<EmbeddedStore, World>;

/// How often lost findings are looked for, in seconds of virtual time.
const SWEEP_EVERY_SECS: i64 = 6 * 3600;
/// A step of the clock where nothing says when something happens, in seconds.
const STEP_MAX_SECS: i64 = 12 * 3600;
/// A run that is not at rest after so much virtual time has gone wrong.
const GIVE_UP_AFTER_SECS: i64 = 20 * 366 * 86_400;
/// A run whose clock moved so often without a new line in the journal has gone wrong.
const IDLE_STEPS_MAX: u32 = 50_000;
/// Journal lines read at once.
const JOURNAL_PAGE: usize = 4096;

/// Who decides in place of people.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// They approve whatever is asked.
    pub approve_as: Vec<PersonId>,
    /// This one resumes halted lanes.
    pub resume_as: Option<PersonId>,
}

/// One run.
pub struct Drive {
    /// The engine.
    pub engine: EmbeddedEngine,
    /// What the journal says, checked.
    pub checker: Checker,
    /// What became of the events that were read.
    pub events: EventCounts,
    /// Those that were refused.
    pub refused: Vec<Refused>,
    people: People,
    now: Timestamp,
    started: Timestamp,
    swept_at: Option<Timestamp>,
    read: u64,
    said: BTreeSet<(String, Digest, PersonId, Timestamp)>,
    count_deliveries: bool,
}

/// What a step of a run tells whoever watches.
#[derive(Debug)]
pub struct Step<'a> {
    /// The time.
    pub now: Timestamp,
    /// New journal lines, as stored.
    pub lines: &'a [Vec<u8>],
}

impl Drive {
    /// A run over this engine. Its clock starts at `start`, or at the store's newest commit where that is later.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn new(engine: EmbeddedEngine, start: Timestamp, people: People) -> Result<Self, Failure> {
        let newest = engine.store().newest().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
        let now = newest.map_or(start, |newest| newest.max(start)).max(engine.cloud().now());
        let mut drive = Self {
            engine,
            checker: Checker::new(),
            events: EventCounts::default(),
            refused: Vec::new(),
            people,
            now,
            started: now,
            swept_at: None,
            read: 0,
            said: BTreeSet::new(),
            count_deliveries: false,
        };
        drive.follow(&mut |_| {}).await?;
        Ok(drive)
    }

    /// Counts what the simulated organization sends among the events that were read.
    pub fn count_deliveries(&mut self) {
        self.count_deliveries = true;
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Feeds one input (a file, a request body): every event in it, in order, at its own time where that is ahead.
    ///
    /// # Errors
    /// When the engine or its store fails.
    pub async fn feed(&mut self, source: &str, bytes: &[u8]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::new();
        for read in wire::read(bytes) {
            let outcome = match read.parsed {
                Parsed::Rejected { why } => Outcome::Rejected { why },
                Parsed::Ignored { why } => Outcome::Ignored { why },
                Parsed::Event { event, at, .. } => {
                    self.move_to(at, &mut |_| {}).await?;
                    let outcome = self.take(&event).await?;
                    self.follow(&mut |_| {}).await?;
                    self.approve().await?;
                    outcome
                }
            };
            self.count(&outcome, source, read.index);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Takes what somebody asks for here and now.
    ///
    /// # Errors
    /// When the engine or its store fails.
    pub async fn ask(&mut self, event: &Event) -> Result<Outcome, Failure> {
        let outcome = self.take(event).await?;
        self.follow(&mut |_| {}).await?;
        Ok(outcome)
    }

    async fn take(&mut self, event: &Event) -> Result<Outcome, Failure> {
        if let Event::Tick { at } = event {
            self.move_to(*at, &mut |_| {}).await?;
        }
        Ok(self.engine.take(event, self.now).await?.outcome)
    }

    fn count(&mut self, outcome: &Outcome, source: &str, index: usize) {
        self.events.count(outcome);
        if let Outcome::Ignored { why } | Outcome::Rejected { why } = outcome {
            self.refused.push(Refused { source: source.to_owned(), index, outcome: outcome.name().to_owned(), reason: why.clone() });
        }
    }

    /// Moves the clock on to `to`, with everything that happens in between, at its own time.
    ///
    /// # Errors
    /// When the engine or its store fails.
    pub async fn move_to(&mut self, to: Timestamp, watch: &mut impl FnMut(Step<'_>)) -> Result<(), Failure> {
        while self.now < to {
            let next = self.next().await?.map_or(to, |next| next.min(to));
            self.step(next, watch).await?;
            self.approve().await?;
        }
        Ok(())
    }

    /// When something happens next by itself: in the world, or because it is due.
    async fn next(&self) -> Result<Option<Timestamp>, Failure> {
        let due = self.engine.store().next_due().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
        let tick = self.now.checked_add(SignedDuration::from_secs(60)).unwrap_or(Timestamp::MAX);
        // What stays due although it was looked at is looked at again with the next tick.
        let due = due.map(|due| if due <= self.now { tick } else { due });
        let world = self.engine.cloud().next_at().map(|at| if at <= self.now { tick } else { at });
        Ok(due.into_iter().chain(world).min())
    }

    async fn step(&mut self, to: Timestamp, watch: &mut impl FnMut(Step<'_>)) -> Result<(), Failure> {
        self.now = self.now.max(to);
        for delivery in self.engine.cloud().advance(self.now) {
            for read in wire::read(&delivery.bytes) {
                let outcome = match read.parsed {
                    Parsed::Rejected { why } => Outcome::Rejected { why },
                    Parsed::Ignored { why } => Outcome::Ignored { why },
                    Parsed::Event { event, .. } => self.engine.take(&event, self.now).await?.outcome,
                };
                if self.count_deliveries {
                    let index = usize::try_from(self.events.read).unwrap_or(usize::MAX);
                    self.count(&outcome, DELIVERED, index);
                }
            }
        }
        self.engine.tick(self.now).await?;
        if let Some(error) = self.engine.cloud().log_error() {
            return Err(Failure::Usage(error));
        }
        self.follow(watch).await
    }

    /// Reads what the journal got since the last time.
    async fn follow(&mut self, watch: &mut impl FnMut(Step<'_>)) -> Result<(), Failure> {
        loop {
            let page = self.engine.store().journal(self.read, JOURNAL_PAGE).await.map_err(|error| Failure::machine("the journal can't be read", &error))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.read = *last;
            let lines: Vec<Vec<u8>> = page.into_iter().map(|(_, bytes)| bytes).collect();
            for line in &lines {
                self.checker.line(line);
            }
            watch(Step { now: self.now, lines: &lines });
        }
    }

    /// Runs until nothing moves by itself and nobody who decides here has anything left to say.
    ///
    /// # Errors
    /// When the engine or its store fails, or the run never comes to rest.
    pub async fn settle(&mut self, watch: &mut impl FnMut(Step<'_>)) -> Result<Rest, Failure> {
        let give_up = self.now.checked_add(SignedDuration::from_secs(GIVE_UP_AFTER_SECS)).unwrap_or(Timestamp::MAX);
        let mut idle = (self.read, 0u32);
        self.step(self.now, watch).await?;
        loop {
            if self.approve().await? {
                self.step(self.now, watch).await?;
                continue;
            }
            let next = self.next().await?;
            let far = next.is_none_or(|next| seconds(self.now, next) > 60);
            if far {
                let rest = settle::look(self.checker.fold());
                let soon = self.engine.cloud().next_at().is_some_and(|at| seconds(self.now, at) < 2 * 3600);
                if !rest.moving && !soon {
                    // Before it is called rest: has an event been lost?
                    if self.swept_at.is_none_or(|at| at < self.now) && self.sweep(watch).await? > 0 {
                        continue;
                    }
                    if self.resume(&rest, watch).await? {
                        continue;
                    }
                    return Ok(rest);
                }
            }
            idle = if idle.0 == self.read { (self.read, idle.1 + 1) } else { (self.read, 0) };
            if self.now > give_up || idle.1 > IDLE_STEPS_MAX {
                let what = settle::moving(self.checker.fold()).unwrap_or_else(|| "events of the simulated organization".to_owned());
                let mut rest = settle::look(self.checker.fold());
                rest.held.push(tidegate_events::Hold::NeedsPerson { what: format!("this run does not come to rest; still moving: {what}") });
                return Ok(rest);
            }
            // Nothing happens before `next`: a freeze of months is one step.
            let latest = self.now.checked_add(SignedDuration::from_secs(STEP_MAX_SECS)).unwrap_or(Timestamp::MAX);
            self.step(next.unwrap_or(latest), watch).await?;
            if self.swept_at.is_none_or(|at| seconds(at, self.now) > SWEEP_EVERY_SECS) {
                self.sweep(watch).await?;
            }
        }
    }

    async fn sweep(&mut self, watch: &mut impl FnMut(Step<'_>)) -> Result<u64, Failure> {
        self.swept_at = Some(self.now);
        let new = self.engine.sweep(self.now).await?.unwrap_or(0);
        if new > 0 {
            self.engine.run(Vec::new(), self.now).await?;
        }
        self.follow(watch).await?;
        Ok(new)
    }

    /// The people named approve whatever is asked and not answered by them. Gives whether anything was said.
    async fn approve(&mut self) -> Result<bool, Failure> {
        if self.people.approve_as.is_empty() {
            return Ok(false);
        }
        let asked: Vec<(Subject, Digest, Timestamp)> = self
            .campaigns()
            .filter(|campaign| !matches!(campaign.phase, tidegate_rules::state::CampaignPhase::Ended { .. }))
            .flat_map(settle::unanswered)
            .map(|asked| (asked.subject.clone(), asked.digest, asked.at))
            .collect();
        let mut said = false;
        for (subject, digest, at) in asked {
            for by in self.people.approve_as.clone() {
                if !self.said.insert((subject.to_string(), digest, by.clone(), at)) {
                    continue;
                }
                let comment = format!("approved by {by}");
                let approval = Approval { subject: subject.clone(), digest, word: Word::Approve, by, at: self.now, comment };
                said |= self.engine.take(&Event::Approval(approval), self.now).await?.outcome == Outcome::Accepted;
            }
        }
        self.follow(&mut |_| {}).await?;
        Ok(said)
    }

    /// The named person resumes lanes that are halted. Gives whether one was.
    async fn resume(&mut self, rest: &Rest, watch: &mut impl FnMut(Step<'_>)) -> Result<bool, Failure> {
        let Some(by) = self.people.resume_as.clone() else { return Ok(false) };
        let mut resumed = false;
        for lane in rest.halted.keys() {
            let event = Event::LaneResumed { lane: lane.clone(), by: by.clone(), comment: "the failures were looked at".into() };
            resumed |= self.engine.take(&event, self.now).await?.outcome == Outcome::Accepted;
        }
        self.follow(watch).await?;
        Ok(resumed)
    }

    fn campaigns(&self) -> impl Iterator<Item = &tidegate_rules::state::Campaign> {
        // Campaigns stand together in key order: no need to look at every item.
        let from = tidegate_rules::Key::from_text(tidegate_rules::Key::CAMPAIGNS);
        self.checker.fold().items.range(from..).take_while(|(key, _)| key.as_str().starts_with(tidegate_rules::Key::CAMPAIGNS)).filter_map(|(_, state)| {
            match state {
                State::Campaign(campaign) => Some(campaign.as_ref()),
                _ => None,
            }
        })
    }

    /// Compares every stored item with what the journal folds into (invariant 9), and the sums at rest (invariant 6).
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn check_at_rest(&mut self) -> Result<(), Failure> {
        self.checker.at_rest();
        let mut after = None;
        loop {
            let page = self.engine.store().list("", after.as_ref(), JOURNAL_PAGE).await.map_err(|error| Failure::machine("the store can't be read", &error))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, stored) in &page {
                self.checker.same(key, &stored.body);
            }
        }
    }

    /// The summary of this run, over every instance of the organization.
    pub fn summary(&self, seed: u64) -> Summary {
        let world = self.engine.cloud();
        let hosts: Vec<TargetKey> = world.hosts();
        let fold = self.checker.fold();
        let (targets, verdicts) = summary::targets(fold, &hosts);
        let counts = world.counts();
        let mut violations = self.checker.violations().to_vec();
        if counts.overlaps > 0 {
            violations.push(format!("invariant 1: {} installs began on a host while another ran on it", counts.overlaps));
        }
        Summary {
            schema: summary::SCHEMA.to_owned(),
            seed,
            virtual_secs: seconds(self.started, self.now),
            events: self.events,
            refused: self.refused.clone(),
            targets,
            verdicts,
            campaigns: summary::campaigns(fold),
            commands: counts.into(),
            api_calls: world.api_calls(),
            invariants: Invariants { checked: self.checker.checked(), violations },
        }
    }
}

/// The source of what the simulated organization itself delivers.
pub const DELIVERED: &str = "eventbridge";

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}
