//! Stories about the world, told with its own API: what the engine sees, and what is true behind it.

mod automation;
mod calendars;
mod config;
mod durable;
mod events;
mod law;
mod probe;
mod reads;
mod run;
mod send;
mod tempo;

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_engine::ports::{Cloud as _, SendRequest, Spoke};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Fact, Invocation, InvocationStatus, Operation, PatchState};
use tidegate_events::host::Platform;
use tidegate_events::id::{CommandId, InstanceId, TargetKey};

use crate::{AccountSpec, Faults, HostSpec, Spec, Trouble, World};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// What a call answers; the world answers at once.
fn ask<F: Future>(call: F) -> F::Output {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the world keeps nobody waiting"),
    }
}

/// Everything that the aggregator lists, page by page.
fn non_compliant(world: &World) -> Vec<(TargetKey, Fact)> {
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = ask(world.rules_with_findings(next.as_deref())).unwrap();
        for at in page.items {
            let mut next = None;
            loop {
                let page = ask(world.findings(&at, next.as_deref())).unwrap();
                found.extend(page.items);
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
        next = page.next;
        if next.is_none() {
            return found;
        }
    }
}

fn start() -> Timestamp {
    "2026-11-19T00:00:00Z".parse().unwrap()
}

fn key(n: u32) -> TargetKey {
    format!("111122223333/us-east-1/i-{n:017x}").parse().unwrap()
}

fn ids(hosts: impl IntoIterator<Item = u32>) -> Vec<InstanceId> {
    hosts.into_iter().map(|n| key(n).instance).collect()
}

fn spoke() -> Spoke {
    Spoke { account: key(0).account, region: key(0).region }
}

/// Host `n`, which lacks three patches that Config does not know of.
fn host(n: u32) -> HostSpec {
    HostSpec::new(key(n), Platform::Linux).missing(3)
}

fn troubled(n: u32, trouble: Trouble) -> HostSpec {
    host(n).trouble(trouble)
}

fn spec(hosts: impl IntoIterator<Item = HostSpec>) -> Spec {
    Spec { seed: 7, accounts: vec![AccountSpec::new(key(0).account)], hosts: hosts.into_iter().collect(), ..Spec::default() }
}

fn world(hosts: impl IntoIterator<Item = HostSpec>) -> World {
    World::new(spec(hosts), start())
}

fn faulty(hosts: impl IntoIterator<Item = HostSpec>, faults: Faults) -> World {
    World::new(Spec { faults, ..spec(hosts) }, start())
}

/// A request as the engine makes it, for these hosts; `Install` reboots.
fn request(world: &World, marker: &str, operation: Operation, hosts: impl IntoIterator<Item = u32>) -> SendRequest {
    let one = |word: &str| vec![word.to_owned()];
    let mut parameters = BTreeMap::from([("Operation".to_owned(), one(if operation == Operation::Scan { "Scan" } else { "Install" }))]);
    parameters.insert("RebootOption".to_owned(), one("RebootIfNeeded"));
    parameters.insert("SnapshotId".to_owned(), one("12345699-9405-4f69-bc5e-931500000000"));
    SendRequest {
        spoke: spoke(),
        document: "AWS-RunPatchBaseline".to_owned(),
        parameters,
        instances: ids(hosts),
        marker: marker.to_owned(),
        timeout_secs: 600,
        execution_timeout_secs: 3_600,
        max_concurrency: 50,
        signed_at: world.now(),
    }
}

fn no_reboot(mut request: SendRequest) -> SendRequest {
    request.parameters.insert("RebootOption".to_owned(), vec!["NoReboot".to_owned()]);
    request
}

fn send(world: &World, request: &SendRequest) -> CommandId {
    match ask(world.send(request)) {
        SendOutcome::Accepted { command, .. } => command,
        other => panic!("{other:?}"),
    }
}

fn install(world: &World, hosts: impl IntoIterator<Item = u32>) -> CommandId {
    send(world, &request(world, "tidegate/0123456789abcdef/install/1", Operation::Install, hosts))
}

fn scan(world: &World, hosts: impl IntoIterator<Item = u32>) -> CommandId {
    send(world, &request(world, "tidegate/0123456789abcdef/scan/1", Operation::Scan, hosts))
}

/// Lets so much time pass, and returns the events that were delivered in it.
fn pass(world: &World, secs: i64) -> Vec<Value> {
    let to = world.now() + SignedDuration::from_secs(secs);
    world.advance(to).iter().map(|delivery| serde_json::from_slice(&delivery.bytes).unwrap()).collect()
}

fn invocation(world: &World, command: &CommandId, n: u32) -> Invocation {
    let all = ask(world.invocations(&spoke(), command)).unwrap();
    all.into_iter().find(|line| line.instance == key(n).instance).unwrap()
}

fn status(world: &World, command: &CommandId, n: u32) -> InvocationStatus {
    invocation(world, command, n).status
}

fn patch_state(world: &World, n: u32) -> PatchState {
    ask(world.patch_states(&spoke(), &ids([n]))).unwrap().remove(0)
}

/// Missing, failed and pending patches of a report.
fn lacks(state: &PatchState) -> (u32, u32, u32) {
    (state.missing, state.failed, state.pending_reboot)
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["detail-type"].as_str().is_some_and(|text| text.starts_with(kind))).collect()
}

fn calls(world: &World, call: &str) -> u64 {
    world.api_calls().get(call).copied().unwrap_or(0)
}
