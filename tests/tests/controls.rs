//! The stop cord over a thousand accounts: from its pull no send begins, what was not delivered is cancelled within a bounded time,
//! and after its release everybody is patched all the same, nobody twice.
//!
//! `cargo test -p tidegate-tests --test controls -- --nocapture` prints the times of docs/operations/stop.md.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use tidegate_cli::cmd::simulate;
use tidegate_cli::drive::{Drive, People, Step};
use tidegate_embedded::{EmbeddedStore, MemoryStore};
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_events::Entry;
use tidegate_events::Hold;
use tidegate_events::control::{Retried, Retry, Steer, Steered};
use tidegate_events::entry::{RunStep, Standing};
use tidegate_events::event::Event;
use tidegate_events::fact::InvocationStatus;
use tidegate_events::id::{AccountId, PersonId, Region, TargetKey};
use tidegate_events::journal::Line;
use tidegate_rules::State;
use tidegate_rules::apply::Fold;
use tidegate_rules::check::Checker;
use tidegate_rules::decide::Outcome;
use tidegate_rules::state::BatchPhase;
use tidegate_world::{Faults, Spec, World};

const WIDE: &str = "name = \"wide\"\nenvironment = \"development\"\nfailure_budget = \"100%\"\n[approval]\nquorum = 0\n[blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n[[wave]]\nname = \"all\"\n";

fn kim() -> PersonId {
    "kim".parse().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn drive(spec: Spec) -> Drive {
    drive_under(WIDE, People::default(), spec).await
}

async fn drive_under(policy: &str, people: People, spec: Spec) -> Drive {
    let start = simulate::start().unwrap();
    let policy = tidegate_rules::policy::parse(policy, "wide.toml").unwrap();
    let engine = Engine::new(EmbeddedStore::Memory(MemoryStore::new()), World::new(spec, start), policy);
    Drive::new(engine, start, people).await.unwrap()
}

async fn say(drive: &Drive, event: Event) -> Outcome {
    drive.engine.take(&event, drive.now()).await.unwrap().outcome
}

/// Time goes on until at least so many commands were sent.
async fn until_sent(drive: &mut Drive, commands: usize) {
    for _ in 0..20_000 {
        if drive.engine.cloud().sends().len() >= commands {
            return;
        }
        let next = drive.now().checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
        let due = drive.engine.store().next_due().await.unwrap().into_iter().chain(drive.engine.cloud().next_at()).min();
        drive.move_to(due.map_or(next, |due| due.max(next)), &mut |_| {}).await.unwrap();
    }
    panic!("{} of {commands} commands were sent", drive.engine.cloud().sends().len());
}

async fn entries(drive: &Drive) -> Vec<(Timestamp, Entry)> {
    let lines = drive.engine.store().journal(0, usize::MAX).await.unwrap();
    let lines = lines.into_iter().map(|(_, bytes)| serde_json::from_slice::<Line>(&bytes).unwrap());
    lines.flat_map(|line| line.entries.into_iter().map(move |entry| (line.at, entry))).collect()
}

fn secs(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

fn open_intents(drive: &Drive) -> usize {
    let open = |state: &State| match state {
        State::Open(open) => open.batches.len(),
        _ => 0,
    };
    drive.checker.fold().items.values().map(open).sum()
}

/// What was measured of a stop, in virtual seconds from the pull, and in real time.
struct Stop {
    /// Commands open when it was pulled, and invocations that were cancelled undelivered.
    open: usize,
    cancelled: usize,
    /// To the last send, the last cancel, and until nothing was open.
    sent: i64,
    cancel: i64,
    complete: i64,
    /// Real time in which everything was listed, read and cancelled, in milliseconds.
    real_ms: u128,
}

async fn stop(drive: &mut Drive, kill: bool) -> Stop {
    let (pulled_at, open) = (drive.now(), open_intents(drive));
    let began = Instant::now();
    let pull = Event::Cord { pulled: true, kill, by: kim(), comment: "smoke".into() };
    assert_eq!(say(drive, pull.clone()).await, Outcome::Accepted);
    let real_ms = began.elapsed().as_millis();
    assert_eq!(say(drive, pull).await, Outcome::Duplicate);
    let mut complete = 0;
    for second in (0..120).chain((120..3 * 3600).step_by(30)) {
        drive.move_to(pulled_at.checked_add(jiff::SignedDuration::from_secs(second)).unwrap(), &mut |_| {}).await.unwrap();
        complete = second;
        if open_intents(drive) == 0 {
            break;
        }
    }
    assert_eq!(open_intents(drive), 0, "the stop is never complete");
    let rest = drive.settle(&mut |_| {}).await.unwrap();
    assert!(rest.held.iter().any(|hold| matches!(hold, Hold::CordPulled { by } if *by == kim())), "{rest:?}");
    let since: Vec<(Timestamp, Entry)> = entries(drive).await.into_iter().filter(|(at, _)| *at >= pulled_at).collect();
    let cancel = since.iter().filter(|(_, entry)| matches!(entry, Entry::CancelAsked(_))).map(|(at, _)| secs(pulled_at, *at)).max().unwrap_or(0);
    let sent = drive.engine.cloud().sends().iter().map(|sent| secs(pulled_at, sent.at)).max().unwrap_or(0).max(0);
    let ended = since.iter().flat_map(|(_, entry)| match entry {
        Entry::InvocationsEnded { ended, .. } => ended.clone(),
        _ => Vec::new(),
    });
    let cancelled = ended.filter(|seen| seen.status == InvocationStatus::Cancelled && seen.ended_at.is_none()).count();
    let begun = since.iter().any(|(at, entry)| matches!(entry, Entry::Sending { .. }) && *at > pulled_at);
    assert!(!begun, "an intent was written after the pull");
    Stop { open, cancelled, sent, cancel, complete, real_ms }
}

async fn release(drive: &mut Drive) {
    let silent = Event::Cord { pulled: false, kill: false, by: kim(), comment: " ".into() };
    assert!(matches!(say(drive, silent).await, Outcome::Rejected { .. }), "a release says why");
    let release = Event::Cord { pulled: false, kill: false, by: kim(), comment: "it was steam".into() };
    assert_eq!(say(drive, release).await, Outcome::Accepted);
}

#[test]
fn a_stop_over_a_thousand_accounts_is_complete_in_bounded_time() {
    block_on(async {
        let mut drive = drive(Spec::generate(1_000, 1, 3_000, 5, Faults::none())).await;
        until_sent(&mut drive, 300).await;
        let stop = stop(&mut drive, false).await;
        eprintln!(
            "stop cord, 1,000 accounts: {} commands open; last send after {} s, last cancel after {} s ({} invocations undelivered), nothing open after {} s; \
             listed, read and cancelled in {} ms of real time",
            stop.open, stop.sent, stop.cancel, stop.cancelled, stop.complete, stop.real_ms
        );
        assert!(stop.open >= 300 && stop.cancelled > 0, "{} open, {} cancelled", stop.open, stop.cancelled);
        assert_eq!(stop.sent, 0, "a send began after the pull");
        assert!(stop.cancel <= 60, "the last cancel took {} s", stop.cancel);
        assert!(stop.complete <= 3600, "{} s until nothing was open", stop.complete);
        let untouched = drive.checker.fold().items.values().filter(|state| matches!(state, State::Target(target) if target.attempts > 0)).count();
        assert_eq!(untouched, 0, "being cancelled undelivered is no failed attempt");
        release(&mut drive).await;
        drive.settle(&mut |_| {}).await.unwrap();
        drive.check_at_rest().await.unwrap();
        let summary = drive.summary(5);
        assert_eq!(summary.invariants.violations, Vec::<String>::new());
        assert_eq!((summary.commands.doubled, summary.targets.by_state["compliant"]), (0, 3_000));
    });
}

#[test]
fn under_faults_a_lost_send_is_adopted_or_proven_absent_and_a_kill_is_scanned() {
    for (seed, kill) in [(3, false), (4, true), (8, false), (9, true)] {
        block_on(async {
            let faults = Faults { send_answer_lost: 300, send_lost: 200, cancel_kills: 500, ..Faults::light() };
            let mut drive = drive(Spec::generate(20, 2, 300, seed, faults)).await;
            until_sent(&mut drive, 10).await;
            let stop = stop(&mut drive, kill).await;
            assert!(stop.open > 0 && stop.sent == 0, "seed {seed}");
            release(&mut drive).await;
            drive.settle(&mut |_| {}).await.unwrap();
            drive.check_at_rest().await.unwrap();
            let summary = drive.summary(seed);
            assert_eq!(summary.invariants.violations, Vec::<String>::new(), "seed {seed}");
            assert_eq!(summary.commands.doubled, 0, "seed {seed}");
            for moving in ["queued", "in_wave", "running", "verifying"] {
                assert_eq!(summary.targets.by_state[moving], 0, "seed {seed}: {moving}");
            }
        });
    }
}

#[test]
fn a_pause_holds_what_has_not_started_and_a_resume_lets_it_go_on() {
    for lane in [false, true] {
        block_on(async {
            let mut drive = drive(Spec::generate(3, 1, 60, 5, Faults::none())).await;
            let mut campaign = None;
            while campaign.is_none() {
                let next = drive.now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
                drive.move_to(next, &mut |_| {}).await.unwrap();
                campaign = tidegate_cli::summary::campaigns_of(drive.checker.fold()).next().map(|campaign| campaign.id.clone());
            }
            let campaign = campaign.unwrap();
            let on = if lane { Steered::Lane(campaign.lane.clone()) } else { Steered::Campaign(campaign.clone()) };
            let steer = |go, comment: &str| Event::Steer(Steer { on: on.clone(), go, by: kim(), comment: comment.into() });
            assert!(matches!(say(&drive, steer(false, "")).await, Outcome::Rejected { .. }));
            assert_eq!(say(&drive, steer(true, "not paused")).await, Outcome::Duplicate);
            assert_eq!(say(&drive, steer(false, "the vendor warns")).await, Outcome::Accepted);
            assert_eq!(say(&drive, steer(false, "again")).await, Outcome::Duplicate);
            let rest = drive.settle(&mut |_| {}).await.unwrap();
            assert!(rest.held.contains(&Hold::Paused { by: kim(), why: "the vendor warns".into() }), "{rest:?}");
            assert_eq!(drive.engine.cloud().sends().len(), 0, "nothing starts while it is paused");
            assert_eq!(say(&drive, steer(true, "all clear")).await, Outcome::Accepted);
            drive.settle(&mut |_| {}).await.unwrap();
            drive.check_at_rest().await.unwrap();
            let summary = drive.summary(5);
            assert_eq!(summary.invariants.violations, Vec::<String>::new());
            assert_eq!(summary.targets.by_state["compliant"], 60);
        });
    }
}

#[test]
fn a_retry_gives_one_more_attempt_and_only_to_who_needs_one() {
    block_on(async {
        let mut spec = Spec::generate(2, 1, 30, 5, Faults::none());
        let broken: Vec<_> = spec.hosts.iter_mut().filter(|host| host.missing > 0).take(2).collect();
        let keys: Vec<_> = broken.iter().map(|host| host.key.clone()).collect();
        for host in broken {
            // Three attempts are the policy's; the fourth is the person's.
            host.troubles.push(tidegate_world::Trouble::InstallFails { times: 3 });
        }
        // A wave all of whose members fail halts its lane: somebody looks, and resumes it.
        let people = People { resume_as: Some(kim()), ..People::default() };
        let mut drive = drive_under(WIDE, people, spec).await;
        drive.settle(&mut |_| {}).await.unwrap();
        let summary = drive.summary(5);
        assert_eq!(summary.targets.by_state["quarantined"], 2, "{:?} {:?} {:?}", summary.targets, summary.verdicts, summary.campaigns);
        let retry = |what| Event::Retry(Retry { what, by: kim(), comment: "the disk is larger now".into() });
        assert_eq!(say(&drive, retry(Retried::Target(keys[0].clone()))).await, Outcome::Accepted);
        assert_eq!(say(&drive, retry(Retried::Target(keys[0].clone()))).await, Outcome::Duplicate, "it is on a roster already");
        let failed_in = tidegate_cli::summary::campaigns_of(drive.checker.fold()).map(|campaign| campaign.id.clone()).max_by_key(|id| id.number).unwrap();
        assert_eq!(say(&drive, retry(Retried::Campaign(failed_in))).await, Outcome::Accepted);
        drive.settle(&mut |_| {}).await.unwrap();
        drive.check_at_rest().await.unwrap();
        let summary = drive.summary(5);
        assert_eq!(summary.invariants.violations, Vec::<String>::new());
        assert_eq!(summary.targets.by_state["compliant"], 30, "{:?}", summary.targets);
        assert!(matches!(say(&drive, retry(Retried::Target(keys[1].clone()))).await, Outcome::Rejected { .. }), "a compliant one has nothing to try again");
        let granted = entries(&drive).await.into_iter().filter(|(_, entry)| matches!(entry, Entry::RetryGranted(_))).count();
        assert_eq!(granted, 3, "one by name, the campaign, and the other one through it");
        let standings = drive
            .checker
            .fold()
            .items
            .values()
            .filter(|state| matches!(state, State::Target(target) if matches!(target.standing, Standing::Quarantined { .. })));
        assert_eq!(standings.count(), 0);
        assert!(drive.engine.cloud().sends().len() > 3 && RunStep::Install != RunStep::Scan);
    });
}

#[test]
fn a_host_that_was_offline_for_weeks_is_patched_when_it_is_back() {
    block_on(async {
        let mut spec = Spec::generate(2, 1, 30, 5, Faults::none());
        let host = spec.hosts.iter_mut().find(|host| host.missing > 0).unwrap();
        let key = host.key.clone();
        // Longer than the eight looks of the first days.
        host.troubles.push(tidegate_world::Trouble::offline_until(20 * 86_400));
        let mut drive = drive(spec).await;
        drive.settle(&mut |_| {}).await.unwrap();
        assert_eq!(drive.summary(5).targets.by_state["unreachable"], 1, "it is queued, and does not hold the others up");
        assert_eq!(drive.summary(5).targets.by_state["compliant"], 29);
        let back = drive.now().checked_add(jiff::SignedDuration::from_hours(30 * 24)).unwrap();
        drive.move_to(back, &mut |_| {}).await.unwrap();
        drive.settle(&mut |_| {}).await.unwrap();
        let summary = drive.summary(5);
        assert_eq!(summary.targets.by_state["compliant"], 30, "{key} was forgotten: {:?}", summary.targets);
        assert_eq!(summary.invariants.violations, Vec::<String>::new());
    });
}

/// Members of each group in batches that have not let them go: what the journal says, as of each of its lines.
fn touched(fold: &Fold) -> BTreeMap<(AccountId, Region, String), u64> {
    let mut touched = BTreeMap::new();
    for state in fold.items.values() {
        let State::Batch(batch) = state else { continue };
        let held = batch.members.iter().filter(|member| batch.phase != BatchPhase::Ended && !member.released && !member.stranded);
        for tag in held.flat_map(|member| &member.member.groups) {
            *touched.entry((batch.id.cell.account, batch.id.cell.region.clone(), tag.clone())).or_default() += 1;
        }
    }
    touched
}

/// Steps through a run until it is at rest: the most of any group that was ever held at once by its journal, and in truth, and the
/// most of all groups together.
async fn most_at_once(drive: &mut Drive, groups: &[Vec<TargetKey>]) -> (u64, usize, usize) {
    let (mut held, mut installing, mut together) = (0, 0, 0);
    let mut law = Checker::new();
    for _ in 0..4_000 {
        let next = drive.now().checked_add(jiff::SignedDuration::from_secs(30)).unwrap();
        let mut watch = |step: Step<'_>| {
            for line in step.lines {
                law.line(line);
                held = held.max(touched(law.fold()).into_values().max().unwrap_or(0));
            }
        };
        drive.move_to(next, &mut watch).await.unwrap();
        let now: Vec<usize> = groups.iter().map(|group| group.iter().filter(|key| drive.engine.cloud().truth(key).unwrap().installing_now).count()).collect();
        installing = installing.max(now.iter().copied().max().unwrap());
        together = together.max(now.iter().sum());
        if groups.iter().flatten().all(|key| drive.engine.cloud().truth(key).unwrap().is_patched()) {
            break;
        }
    }
    assert_eq!(law.violations(), Vec::<String>::new());
    (held, installing, together)
}

/// `size` unpatched hosts of each account become one group, all with the same value of the tag.
fn grouped(spec: &mut Spec, size: usize) -> Vec<Vec<TargetKey>> {
    let accounts: Vec<AccountId> = spec.accounts.iter().map(|account| account.id).collect();
    let mut groups = Vec::new();
    for account in accounts {
        let mut group = Vec::new();
        for host in spec.hosts.iter_mut().filter(|host| host.key.account == account && host.missing > 0).take(size) {
            host.tags.insert(ASG.into(), "web".into());
            group.push(host.key.clone());
        }
        assert_eq!(group.len(), size);
        groups.push(group);
    }
    groups
}

const ASG: &str = "aws:autoscaling:groupName";

#[test]
fn of_a_group_of_three_with_a_quorum_of_two_one_is_touched_at_once() {
    block_on(async {
        let mut spec = Spec::generate(2, 1, 40, 5, Faults::none());
        let groups = grouped(&mut spec, 3);
        // One of each group is a canary: what holds across hosts holds across waves.
        let canaries: Vec<String> = groups.iter().map(|group| format!("{:?}", group[0].instance.as_str())).collect();
        let waves = format!("[[wave]]\nname = \"canary\"\ninstances = [{}]\nbake_secs = 60\n[[wave]]\nname = \"all\"\n", canaries.join(", "));
        let head = WIDE.split("[[wave]]").next().unwrap();
        let policy = format!("{head}{waves}[[group]]\ntag = \"{ASG}\"\navailable_min = 2\n");
        let mut drive = drive_under(&policy, People::default(), spec).await;
        let (held, installing, together) = most_at_once(&mut drive, &groups).await;
        assert_eq!((held, installing), (1, 1), "two of three must stay untouched");
        assert_eq!(together, 2, "the group of the same name in the other account is another group");
        drive.settle(&mut |_| {}).await.unwrap();
        assert_eq!(drive.summary(5).targets.by_state["compliant"], 40, "everybody's turn comes");

        assert_eq!(drive.checker.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_group_that_spans_the_organization_keeps_one_quorum() {
    block_on(async {
        let mut spec = Spec::generate(2, 1, 40, 5, Faults::none());
        let groups = grouped(&mut spec, 4);
        let policy = format!("{WIDE}[[group]]\ntag = \"{ASG}\"\navailable_min = \"75%\"\nspan = \"organization\"\n");
        let mut drive = drive_under(&policy, People::default(), spec).await;
        let everybody = [groups.concat()];
        let (_, installing, _) = most_at_once(&mut drive, &everybody).await;
        assert_eq!(installing, 2, "a quarter of eight");
        drive.settle(&mut |_| {}).await.unwrap();
        assert_eq!(drive.summary(5).targets.by_state["compliant"], 40);
        assert_eq!(drive.checker.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_group_that_is_no_larger_than_its_quorum_waits_for_a_person() {
    block_on(async {
        let mut spec = Spec::generate(2, 1, 40, 5, Faults::none());
        let groups = grouped(&mut spec, 2);
        let policy = format!("{WIDE}[[group]]\ntag = \"{ASG}\"\navailable_min = 2\n");
        let mut drive = drive_under(&policy, People::default(), spec).await;
        let rest = drive.settle(&mut |_| {}).await.unwrap();
        assert!(rest.held.iter().any(|hold| matches!(hold, Hold::NeedsPerson { what } if what.contains("2 known members"))), "{:?}", rest.held);
        assert!(groups.iter().flatten().all(|key| !drive.engine.cloud().truth(key).unwrap().is_patched()));
        let others = drive.engine.cloud().hosts().into_iter().filter(|key| !groups.iter().flatten().any(|member| member == key));
        let patched = others.filter(|key| drive.engine.cloud().truth(key).unwrap().is_patched()).count();
        assert_eq!(patched, 36, "nobody waits behind a group that may not be touched");
        assert_eq!(drive.checker.violations(), Vec::<String>::new());
    });
}

#[test]
fn an_exemption_is_announced_once_before_its_end_and_its_targets_are_patched_then() {
    block_on(async {
        let hours = |hours: i64| simulate::start().unwrap().checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        let ends = hours(10 * 24);
        let spec = Spec::generate(2, 1, 30, 5, Faults::none());
        let exempt = spec.accounts[0].id;
        let policy = format!(
            "{WIDE}[exemptions]\nannounce_secs = 259200\n[[exemption]]\nselect = {{ accounts = [\"{exempt}\"] }}\nowner = \"payments\"\nreason = \"replaced\"\nticket = \"CHG-7\"\nuntil = {ends}\n"
        );
        let mut drive = drive_under(&policy, People::default(), spec).await;
        let mut told = Vec::new();
        for hour in 1..13 * 24 {
            drive.move_to(hours(hour), &mut |_| {}).await.unwrap();
            drive.engine.tick(drive.now()).await.unwrap();
            if hour == 10 * 24 - 2 {
                assert!(drive.summary(5).targets.by_state["exempt"] > 0, "until then nothing touches them");
            }
        }
        for (at, entry) in entries(&drive).await {
            if let Entry::ExemptionEnding(ending) = entry {
                told.push((at, ending.ticket, ending.until));
            }
        }
        let [(at, ticket, until)] = told.as_slice() else { panic!("told {told:?}") };
        assert_eq!((ticket.as_deref(), *until), (Some("CHG-7"), ends));
        assert!((3 * 24 - 1..=3 * 24).contains(&(secs(*at, ends) / 3600)), "three days ahead, not at {at}");
        drive.settle(&mut |_| {}).await.unwrap();
        assert_eq!(drive.summary(5).targets.by_state["compliant"], 30, "afterwards its targets are patched");
        assert_eq!(drive.checker.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_change_calendar_is_asked_and_one_that_nobody_knows_holds() {
    // Sends so far after each hour, and how often the journal speaks of the calendar.
    let run = |closed: Option<Vec<(u64, u64)>>| {
        block_on(async {
            let policy = format!("calendars = [\"change-calendar\"]\n{WIDE}");
            let mut spec = Spec::generate(2, 1, 30, 5, Faults::none());
            spec.calendars.extend(closed.map(|closed| ("change-calendar".to_owned(), closed)));
            let mut drive = drive_under(&policy, People::default(), spec).await;
            let mut sent = Vec::new();
            for _ in 0..4 * 24 {
                let to = drive.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
                drive.move_to(to, &mut |_| {}).await.unwrap();
                drive.engine.tick(drive.now()).await.unwrap();
                sent.push(drive.engine.cloud().sends().len());
            }
            assert_eq!(drive.checker.violations(), Vec::<String>::new());
            let moves = entries(&drive).await.into_iter().filter(|(_, entry)| matches!(entry, Entry::CalendarMoved { .. })).count();
            (sent, moves)
        })
    };
    let (sent, moves) = run(Some(vec![(0, 2 * 86_400)]));
    assert_eq!((sent[46], moves), (0, 2), "closed for two days, then open; what is asked every minute and says nothing new is not written down");
    assert!(sent[95] > 0, "it opened without an event");
    let (sent, moves) = run(Some(vec![(3_000, 5 * 86_400)]));
    assert_eq!((sent[0], sent[94], moves), (0, 0, 2), "it closed without an event before anything was due");
    let (sent, moves) = run(None);
    assert_eq!((sent[95], moves), (0, 0), "a calendar that was never heard of holds");
}
