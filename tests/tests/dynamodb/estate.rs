//! An engine's whole work on a table: a small estate is brought to compliance by two engines in turn, the journal is checked in
//! the order that the table tells it in, and what every kind of decision costs is counted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::SignedDuration;
use tidegate_cli::settle;
use tidegate_engine::Engine;
use tidegate_engine::error::StoreError;
use tidegate_engine::store::Store;
use tidegate_events::event::{Approval, Event, Word};
use tidegate_events::host::Platform;
use tidegate_events::id::TargetKey;
use tidegate_events::wire::{self, Parsed};
use tidegate_rules::check::Checker;
use tidegate_rules::policy;
use tidegate_rules::state::Campaign;
use tidegate_rules::{Key, State};
use tidegate_tests::crashing::{CrashingCloud, Fuse};
use tidegate_world::{AccountSpec, HostSpec, Spec, World};

use super::*;

/// Commits by the entries that they record: how many, and their write units in all.
type Costs = Mutex<BTreeMap<String, (u32, f64)>>;

/// Counts what commits cost.
struct Counting<'s> {
    store: &'s DynamoStore,
    costs: &'s Costs,
}

fn kinds(commit: &Commit) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for line in &commit.lines {
        let line: serde_json::Value = serde_json::from_slice(&line.bytes).expect("a line");
        kinds.extend(line["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["entry"].as_str().map(str::to_owned)));
    }
    kinds.dedup();
    if kinds.is_empty() {
        kinds.extend(commit.puts.iter().map(|put| format!("({})", put.key.as_str().split('/').next().unwrap_or_default())));
        kinds.dedup();
    }
    kinds.join(" + ")
}

impl Store for Counting<'_> {
    tidegate_tests::reads_go_to!(store);
    tidegate_tests::endings_go_to!(store);
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let before = self.store.units().write;
        let answer = self.store.commit(commit).await;
        let mut costs = self.costs.lock().expect("no panic");
        let cost = costs.entry(kinds(commit)).or_default();
        *cost = (cost.0 + 1, cost.1 + self.store.units().write - before);
        answer
    }
}

fn estate(hosts: u64, now: Timestamp) -> World {
    let accounts = ["111122223333", "444455556666"].map(|account| account.parse().expect("an account"));
    let mut spec = Spec { seed: 7, accounts: accounts.map(AccountSpec::new).to_vec(), ..Spec::default() };
    for (number, account) in (0..hosts).zip(accounts.iter().cycle()) {
        let instance = format!("i-{number:017x}").parse().expect("an instance");
        let key = TargetKey { account: *account, region: "eu-west-1".parse().expect("a Region"), instance };
        spec.hosts.push(HostSpec::new(key, Platform::Linux).missing(3).found_after(60 + 40 * number));
    }
    World::new(spec, now)
}

/// Approves what is asked and not answered; whether anything was.
async fn approve(engine: &Engine<Counting<'_>, CrashingCloud<'_, World>>, now: Timestamp) -> bool {
    let mut said = false;
    for (_, stored) in engine.store().list(Key::CAMPAIGNS, None, 1000).await.expect("the campaigns") {
        let Ok(State::Campaign(campaign)) = serde_json::from_slice(&stored.body) else { continue };
        let campaign: Campaign = *campaign;
        for asked in settle::unanswered(&campaign) {
            for by in ["dana", "erin"] {
                let (subject, digest, by) = (asked.subject.clone(), asked.digest, by.parse().expect("a person"));
                let approval = Approval { subject, digest, word: Word::Approve, by, at: now, comment: String::new() };
                engine.take(&Event::Approval(approval), now).await.expect("a word is taken");
                said = true;
            }
        }
    }
    said
}

#[test]
fn engines_bring_an_estate_to_compliance_and_the_journal_tells_it_in_order() {
    let (stores, ()) = stores(&ministack(), 2);
    let costs = Costs::default();
    let mut now: Timestamp = "2026-11-19T19:04:05.123456789Z".parse().expect("a time");
    let world = estate(6, now);
    let fuse = &Fuse::never();
    let policy = policy::default_policy().expect("the default policy");
    let engines: Vec<_> = stores.iter().map(|store| Engine::new(Counting { store, costs: &costs }, CrashingCloud::new(&world, fuse), policy.clone())).collect();
    let (mut checker, mut read) = (Checker::new(), 0);
    run(async {
        for turn in 0.. {
            assert!(turn < 2000, "not at rest at {now}: {:?}", settle::moving(checker.fold()));
            // What one engine has begun the other goes on with.
            let engine = &engines[turn % 2];
            let heard = world.advance(now).into_iter().flat_map(|delivery| wire::read(&delivery.bytes)).filter_map(|read| match read.parsed {
                Parsed::Event { event, .. } => Some(event),
                _ => None,
            });
            for event in heard.collect::<Vec<_>>() {
                engine.take(&event, now).await.expect("an event is taken");
            }
            engine.tick(now).await.expect("a tick");
            for (position, bytes) in engine.store().journal(read, usize::MAX).await.expect("the journal") {
                checker.line(&bytes);
                read = position;
            }
            if approve(engine, now).await {
                continue;
            }
            let next = engine.store().next_due().await.expect("what is next").into_iter().chain(world.next_at()).min();
            if turn > 0 && !settle::look(checker.fold()).moving && next.is_none_or(|next| next.duration_since(now).as_hours() > 2) {
                break;
            }
            let minute = now + SignedDuration::from_secs(60);
            now = next.map_or(minute, |next| if next <= now { minute } else { next });
        }
        assert_eq!(stores[0].outbox(None, 10).await, Ok(vec![]));
        checker.at_rest();
        for (key, stored) in stores[0].list("", None, usize::MAX).await.expect("everything") {
            checker.same(&key, &stored.body);
        }
        assert_eq!(checker.violations(), &[] as &[String], "the journal, read in its order, is what the table holds");
        let patched = |host| world.truth(host).is_some_and(|truth| truth.is_patched());
        assert!(world.hosts().iter().all(patched));
    });
    let units = stores.iter().map(DynamoStore::units).fold((0.0, 0.0), |sum, units| (sum.0 + units.read, sum.1 + units.write));
    println!("{} hosts: {} read units, {} write units; {:?}", world.hosts().len(), units.0, units.1, stores[0].units().requests);
    for (kinds, (commits, units)) in costs.lock().expect("no panic").iter() {
        println!("{commits:>4} x {:>5.1}  {kinds}", units / f64::from(*commits));
    }
}
