//! A small estate that is brought to compliance by processes that may die, or that work side by side: the store and the world
//! outlive them, a process is an engine over both. The loop is that of the command line's, in short.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tidegate_cli::settle;
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::error::EngineError;
use tidegate_engine::ports::Cloud;
use tidegate_engine::store::Store;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Approval, Event, Word};
use tidegate_events::fact::Operation;
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, PersonId, TargetKey};
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::check::Checker;
use tidegate_rules::decide::Outcome;
use tidegate_rules::policy::{self, Policy};
use tidegate_rules::state::Campaign;
use tidegate_rules::{Key, State};
use tidegate_world::{AccountSpec, HostSpec, Spec, World};

use crate::crashing::{CrashingCloud, CrashingStore, Fuse};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How often lost findings are looked for, in seconds of virtual time.
const SWEEP_EVERY_SECS: i64 = 6 * 3600;
/// A story that has not come to rest after so long never does.
const GIVE_UP_AFTER_SECS: i64 = 60 * 86_400;

/// The runbook of those who are backed up.
const BACKUP: &str = "Acme-Backup";
const NO_STORE: &str = "a story needs a store";

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// There was nothing left to do.
    Done,
    /// The process was killed.
    Killed,
}

/// The estate, and what the journal says about it.
pub struct Story {
    /// Handles on its store: one for each process that works at the same time.
    stores: Vec<EmbeddedStore>,
    /// The organization.
    pub world: World,
    policy: Policy,
    teller: Teller,
}

struct Teller {
    now: Timestamp,
    give_up: Timestamp,
    swept_at: Option<Timestamp>,
    people: Vec<PersonId>,
    checker: Checker,
    read: u64,
}

impl Story {
    /// So many hosts in two accounts under the default policy; Config reports them within minutes of each other.
    ///
    /// # Errors
    /// When the default policy or an id is wrong.
    pub fn of_hosts(hosts: u64) -> Result<Self, Failed> {
        Self::on(vec![EmbeddedStore::Memory(MemoryStore::new())], hosts)
    }

    /// The same under a policy that has every host backed up before its install.
    ///
    /// # Errors
    /// As for [`Story::of_hosts`].
    pub fn with_backups(hosts: u64) -> Result<Self, Failed> {
        let mut story = Self::of_hosts(hosts)?;
        let text = format!("name = \"backups\"\n[backup]\ndocument = \"{BACKUP}\"\n");
        story.policy = policy::parse(&text, "backups.toml").map_err(|errors| errors.to_string())?;
        Ok(story)
    }

    /// The same on a store that is there; the first handle is the one that is looked through.
    ///
    /// # Errors
    /// As for [`Story::of_hosts`].
    pub fn on(stores: Vec<EmbeddedStore>, hosts: u64) -> Result<Self, Failed> {
        let accounts: [AccountId; 2] = ["111122223333".parse()?, "444455556666".parse()?];
        let mut spec = Spec { seed: 7, accounts: accounts.map(AccountSpec::new).to_vec(), documents: vec![BACKUP.to_owned()], ..Spec::default() };
        for (number, account) in (0..hosts).zip(accounts.iter().cycle()) {
            let key = TargetKey { account: *account, region: "eu-west-1".parse()?, instance: format!("i-{number:017x}").parse()? };
            spec.hosts.push(HostSpec::new(key, Platform::Linux).missing(3).found_after(60 + 40 * number));
        }
        let now: Timestamp = "2026-11-19T19:04:05.123456789Z".parse()?;
        let teller = Teller {
            now,
            give_up: now.checked_add(SignedDuration::from_secs(GIVE_UP_AFTER_SECS))?,
            swept_at: None,
            people: vec!["dana".parse()?, "erin".parse()?],
            checker: Checker::new(),
            read: 0,
        };
        let policy = policy::default_policy().map_err(|errors| format!("{errors:?}"))?;
        Ok(Self { stores, world: World::new(spec, now), policy, teller })
    }

    /// A process begins, and goes on until nothing is left to do or its fuse kills it. Errors are met as a service manager
    /// meets them: it is started again.
    ///
    /// # Errors
    /// When the engine fails without its fuse's doing, or nothing comes to rest.
    pub async fn live(&mut self, fuse: &Fuse) -> Result<Life, Failed> {
        let (store, world) = (self.stores.first().ok_or(NO_STORE)?, &self.world);
        let engine = Engine::new(CrashingStore::new(store, fuse), CrashingCloud::new(world, fuse), self.policy.clone());
        let teller = &mut self.teller;
        tokio::select! {
            biased;
            () = fuse.killed() => Ok(Life::Killed),
            done = teller.tell(&engine, store, world) => match done {
                Ok(()) => Ok(Life::Done),
                Err(error) if fuse.has_struck() && error.is::<EngineError>() => teller.tell(&engine, store, world).await.map(|()| Life::Done),
                Err(error) => Err(error),
            },
        }
    }

    /// As many processes as there are handles work at the same time, each on a thread of its own: all of them hear everything
    /// and look at everything that is due.
    ///
    /// # Errors
    /// When an engine fails, or nothing comes to rest.
    pub async fn work_together(&mut self) -> Result<(), Failed> {
        let fuse = &Fuse::never();
        let engine = |store| Engine::new(CrashingStore::new(store, fuse), CrashingCloud::new(&self.world, fuse), self.policy.clone());
        let engines: Vec<_> = self.stores.iter().map(engine).collect();
        let (store, world) = (self.stores.first().ok_or(NO_STORE)?, &self.world);
        let first = engines.first().ok_or(NO_STORE)?;
        let teller = &mut self.teller;
        loop {
            let (now, heard) = (teller.now, teller.hear(world));
            std::thread::scope(|scope| {
                let working: Vec<_> = engines.iter().map(|engine| scope.spawn(|| work_at(engine, &heard, now))).collect();
                working.into_iter().try_for_each(|thread| thread.join().map_err(|_| "an engine panicked")?)
            })?;
            teller.follow(store).await?;
            if teller.approve(first).await? {
                continue;
            }
            let Some(next) = teller.go_on(first, store, world).await? else { return Ok(()) };
            teller.now = next;
        }
    }

    /// Nothing runs for so long; the organization goes on, and what it tells meanwhile is lost.
    ///
    /// # Errors
    /// When that is longer than time lasts.
    pub fn pause(&mut self, secs: i64) -> Result<(), Failed> {
        self.teller.now = self.teller.now.checked_add(SignedDuration::from_secs(secs))?;
        drop(self.world.advance(self.teller.now));
        Ok(())
    }

    /// What the journal folds into.
    pub fn checker(&self) -> &Checker {
        &self.teller.checker
    }

    /// The journal as text, one line for each line.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal(&self) -> Result<String, Failed> {
        let lines = self.stores.first().ok_or(NO_STORE)?.journal(0, usize::MAX).await?;
        Ok(lines.into_iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned() + "\n").collect())
    }

    /// Everything that is not as it should be at the end: nothing, if the engine keeps its word.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn complaints(&mut self) -> Result<Vec<String>, Failed> {
        let mut wrong = Vec::new();
        let hosts = self.world.hosts();
        for host in &hosts {
            if !self.world.truth(host).is_some_and(|truth| truth.is_patched() && !truth.installing_now) {
                wrong.push(format!("{host} is not patched: {:?}", self.world.truth(host)));
            }
            let standing = self.standing(host);
            if standing != Some(&Standing::Compliant) {
                wrong.push(format!("{host} is thought to be {standing:?}"));
            }
        }
        let mut installs: BTreeMap<TargetKey, u32> = BTreeMap::new();
        let mut markers: BTreeMap<(TargetKey, String), u32> = BTreeMap::new();
        for sent in self.world.sends() {
            for instance in &sent.instances {
                let key = TargetKey { account: sent.spoke.account, region: sent.spoke.region.clone(), instance: instance.clone() };
                *markers.entry((key.clone(), sent.marker.clone())).or_default() += 1;
                *installs.entry(key).or_default() += u32::from(sent.operation == Operation::Install);
            }
        }
        // Nothing fails here, so that one attempt, and one Install, is enough for every host.
        wrong.extend(hosts.iter().filter(|host| installs.get(*host) != Some(&1)).map(|host| format!("{host}: {:?} Installs", installs.get(host))));
        wrong.extend(markers.iter().filter(|(_, times)| **times > 1).map(|((host, marker), times)| format!("{host} got `{marker}` {times} times")));
        let counts = self.world.counts();
        if (counts.doubled, counts.overlaps, counts.mismarked) != (0, 0, 0) {
            wrong.push(format!("{counts:?}"));
        }
        let store = self.stores.first().ok_or(NO_STORE)?;
        let outbox = store.outbox(None, 1000).await?;
        wrong.extend(outbox.iter().map(|(_, action)| format!("left in the outbox: {action:?}")));
        let teller = &mut self.teller;
        teller.checker.at_rest();
        for (key, stored) in store.list("", None, usize::MAX).await? {
            teller.checker.same(&key, &stored.body);
        }
        wrong.extend(teller.checker.violations().iter().cloned());
        Ok(wrong)
    }

    fn standing(&self, host: &TargetKey) -> Option<&Standing> {
        match self.teller.checker.fold().items.get(&Key::target(host)) {
            Some(State::Target(target)) => Some(&target.standing),
            _ => None,
        }
    }
}

/// One of several engines: it takes all that is heard and looks at all that is due. Who loses too many races tries again.
fn work_at<S: Store, C: Cloud>(engine: &Engine<S, C>, heard: &[Event], now: Timestamp) -> Result<(), Failed> {
    let patient = |done: Result<(), EngineError>| match done {
        Err(EngineError::Contended { .. }) => Ok(false),
        Ok(()) => Ok(true),
        Err(error) => Err(error),
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        for event in heard {
            while !patient(engine.take(event, now).await.map(drop))? {}
        }
        while !patient(engine.tick(now).await)? {}
        Ok(())
    })
}

impl Teller {
    /// Until nothing moves by itself, and nobody has anything left to say.
    async fn tell<S: Store, C: Cloud>(&mut self, engine: &Engine<S, C>, store: &EmbeddedStore, world: &World) -> Result<(), Failed> {
        loop {
            let heard = self.hear(world);
            for event in &heard {
                engine.take(event, self.now).await?;
            }
            engine.tick(self.now).await?;
            self.follow(store).await?;
            if self.approve(engine).await? {
                continue;
            }
            match self.go_on(engine, store, world).await? {
                Some(next) => self.now = next,
                None => return Ok(()),
            }
        }
    }

    /// When something happens next; `None` at the end.
    async fn go_on<S: Store, C: Cloud>(&mut self, engine: &Engine<S, C>, store: &EmbeddedStore, world: &World) -> Result<Option<Timestamp>, Failed> {
        if self.swept_at.is_none_or(|at| -self.secs_to(at) > SWEEP_EVERY_SECS) {
            self.sweep(engine, store).await?;
        }
        let next = self.next(store, world).await?;
        let at_rest = || !settle::look(self.checker.fold()).moving && world.next_at().is_none_or(|at| self.secs_to(at) > 2 * 3600);
        if next.is_none_or(|next| self.secs_to(next) > 60) && at_rest() {
            // Before it is called rest: has an event been lost?
            if self.swept_at == Some(self.now) {
                return Ok(None);
            }
            self.sweep(engine, store).await?;
            return Ok(Some(self.now));
        }
        if self.now > self.give_up {
            return Err(format!("not at rest on {}: {:?}", self.now, settle::moving(self.checker.fold())).into());
        }
        let latest = self.now.checked_add(SignedDuration::from_secs(SWEEP_EVERY_SECS))?;
        Ok(Some(next.map_or(latest, |next| next.min(latest))))
    }

    fn secs_to(&self, at: Timestamp) -> i64 {
        at.duration_since(self.now).as_secs()
    }

    async fn next(&self, store: &EmbeddedStore, world: &World) -> Result<Option<Timestamp>, Failed> {
        let tick = self.now.checked_add(SignedDuration::from_secs(60))?;
        let ahead = |at: Timestamp| if at <= self.now { tick } else { at };
        Ok(store.next_due().await?.into_iter().chain(world.next_at()).map(ahead).min())
    }

    /// Moves the organization on to now; what it tells.
    fn hear(&self, world: &World) -> Vec<Event> {
        let reads = world.advance(self.now).into_iter().flat_map(|delivery| wire::read(&delivery.bytes));
        reads
            .filter_map(|read| match read.parsed {
                Parsed::Event { event, .. } => Some(event),
                _ => None,
            })
            .collect()
    }

    async fn sweep<S: Store, C: Cloud>(&mut self, engine: &Engine<S, C>, store: &EmbeddedStore) -> Result<(), Failed> {
        if engine.sweep(self.now).await?.is_ok() {
            self.swept_at = Some(self.now);
        }
        engine.run(Vec::new(), self.now).await?;
        self.follow(store).await
    }

    async fn follow(&mut self, store: &EmbeddedStore) -> Result<(), Failed> {
        for (position, bytes) in store.journal(self.read, usize::MAX).await? {
            self.checker.line(&bytes);
            self.read = position;
        }
        Ok(())
    }

    /// The people approve what is asked and not answered. Whoever was not heard says it again.
    async fn approve<S: Store, C: Cloud>(&self, engine: &Engine<S, C>) -> Result<bool, Failed> {
        let mut said = false;
        for (_, stored) in engine.store().list(Key::CAMPAIGNS, None, 1000).await? {
            let State::Campaign(campaign) = serde_json::from_slice(&stored.body)? else { continue };
            let campaign: Campaign = *campaign;
            for asked in settle::unanswered(&campaign) {
                let heard: BTreeSet<&PersonId> = settle::approvers(&campaign, asked).into_iter().collect();
                for by in self.people.iter().filter(|by| !heard.contains(by)) {
                    let (subject, digest) = (asked.subject.clone(), asked.digest);
                    let approval = Approval { subject, digest, word: Word::Approve, by: by.clone(), at: self.now, comment: String::new() };
                    said |= engine.take(&Event::Approval(approval), self.now).await?.outcome == Outcome::Accepted;
                }
            }
        }
        Ok(said)
    }
}
