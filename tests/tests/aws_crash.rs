//! The function that sends commands, killed (SIGKILL) at each of its calls: one SendCommand per attempt, always. What is killed and how the
//! story goes on is in `tests/rig/crash.py`; what must have come of it is here. docs/operations/crashes.md says the same in words.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_tests::binary::root;
use tidegate_tests::rig::{self, Clock, Ministack};

const ACCOUNTS: [&str; 5] = ["111122223333", "222233334444", "333344445555", "444455556666", "555566667777"];
const REGIONS: [&str; 12] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-central-1",
    "eu-north-1",
    "ap-south-1",
    "ap-northeast-1",
    "ap-southeast-2",
    "sa-east-1",
];

/// An instance for each account and Region: each is a batch of its own, for one death.
fn fleet() -> Value {
    let accounts = ACCOUNTS.iter().chain([&rig::HUB]).map(|id| json!({ "id": id, "ous": ["root"], "state": "ACTIVE" }));
    let places = ACCOUNTS.iter().flat_map(|account| REGIONS.map(|region| (*account, region)));
    let instances = places.enumerate().map(|(number, (account, region))| {
        json!({ "account": account, "region": region, "instance": format!("i-{number:017x}"), "platform": "Linux", "missing": 3 })
    });
    json!({ "schema": "tidegate.fleet/1", "accounts": accounts.collect::<Vec<_>>(), "instances": instances.collect::<Vec<_>>() })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list `{key}`"))
}

fn count(value: &Value, key: &str) -> usize {
    usize::try_from(value[key].as_u64().unwrap_or_else(|| panic!("no count `{key}` in {value}"))).unwrap()
}

/// What the dead had done, as the outside saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No intent was written.
    Before,
    /// An intent was written, and nothing left.
    Intended,
    /// SSM had the command, and nobody wrote down its id.
    Sent,
    /// The command's id was written.
    Known,
}

/// The calls that had their effect.
fn done(death: &Value) -> Vec<&str> {
    let mut calls: Vec<&str> = list(death, "calls").iter().filter_map(Value::as_str).collect();
    if text(death, "how") != "after" {
        calls.pop();
    }
    calls
}

/// Where a process died that was given a Send.
fn stage(death: &Value) -> Stage {
    stage_of(&done(death))
}

/// Where a process died that searched, as to the resend: its first transaction after the search is the search's own.
fn resent(death: &Value) -> Stage {
    let done = done(death);
    let searched = done.iter().position(|call| *call == "ListCommands").unwrap_or(done.len());
    let own = done[searched..].iter().position(|call| *call == "TransactWriteItems").map_or(done.len(), |own| searched + own + 1);
    stage_of(&done[own..])
}

/// The first transaction is the intent; the next one after SendCommand keeps the id.
fn stage_of(done: &[&str]) -> Stage {
    let sent = done.iter().position(|call| *call == "SendCommand");
    match sent {
        Some(sent) if done[sent..].contains(&"TransactWriteItems") => Stage::Known,
        Some(_) => Stage::Sent,
        None if done.contains(&"TransactWriteItems") => Stage::Intended,
        None => Stage::Before,
    }
}

/// The generation that a marker ends with.
fn generation(command: &Value) -> u32 {
    text(command, "comment").rsplit('/').next().unwrap().parse().unwrap()
}

/// Where a batch is: `lane.campaign.wave/account/region/..`.
fn place(batch: &str) -> (&str, &str) {
    let mut parts = batch.split('/').skip(1);
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn killed_at_any_step_it_sends_one_command_for_each_attempt() {
    let folder = tempfile::tempdir_in(rig::folder().unwrap()).unwrap();
    rig::package(folder.path(), "").unwrap();
    let policy = folder.path().join("crash.toml");
    std::fs::copy(root().join("tests/rig/crash.toml"), &policy).unwrap();
    let clock = Clock::new(folder.path()).unwrap();
    let hub = rig::ministack(Ministack { auth: false, env: clock.env() }).unwrap();
    let fleet = fleet();
    let world = rig::world(&fleet, &hub, &["--tempo", "10"], &clock.env()).unwrap();
    let path = |path: &std::path::Path| path.display().to_string();
    let (bootstrap, policy, file, logs) = (path(&folder.path().join("bootstrap")), path(&policy), path(clock.file()), path(folder.path()));
    let arguments = [
        ["--endpoint", &hub.endpoint],
        ["--world", &world.endpoint],
        ["--bootstrap", &bootstrap],
        ["--policy", &policy],
        ["--clock", &file],
        ["--logs", &logs],
    ];
    let report = rig::drive("crash.py", arguments.as_flattened(), &clock.env()).unwrap();
    // Kept for whoever looks into a failure.
    std::fs::write(rig::folder().unwrap().join("crash.json"), format!("{report:#}")).unwrap();

    let hosts = list(&fleet, "instances").len();
    assert_eq!(report["over"], true, "failures {}, standings {}", report["failures"], report["standings"]);
    assert_eq!(report["failures"], json!([]), "who was not killed did its work");
    assert!(report["hosts"].as_object().unwrap().values().all(|host| host["patched"] == true), "{}", report["hosts"]);

    // One for each attempt: no marker twice, no instance installed twice, whoever died where.
    let commands = list(&report, "commands");
    let markers: BTreeSet<&str> = commands.iter().map(|command| text(command, "comment")).collect();
    assert_eq!(markers.len(), commands.len(), "a marker was sent twice");
    let mut installs: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for command in commands.iter().filter(|command| command["operation"] == "Install") {
        assert_eq!(list(command, "instances").len(), 1, "{command}");
        installs.entry((text(command, "account"), text(command, "region"))).or_default().push(command);
    }
    assert_eq!(installs.len(), hosts);
    for (place, commands) in &installs {
        assert_eq!(commands.len(), 1, "{place:?} got {commands:?}");
    }
    for kind in ["doubled", "overlaps", "mismarked"] {
        assert_eq!(count(&report["counts"], kind), 0, "{kind}");
    }

    // Each death did what the stage at which it came says: no intent, and the same send goes on; an intent without a command, and after
    // the searches the next generation is sent; a command, and that one is adopted, never another sent.
    let deaths = list(&report, "deaths");
    let (first, second): (Vec<&Value>, Vec<&Value>) = deaths.iter().partition(|death| text(death, "message") == "send install");
    let mut stages: BTreeMap<Stage, usize> = BTreeMap::new();
    for death in first {
        let batch = text(death, "batch");
        let stage = stage(death);
        let is_absent = |stage| stage == Stage::Intended;
        // The dead of a second search may have written another intent, of which nothing left either.
        let again = second.iter().filter(|death| text(death, "batch") == batch && is_absent(resent(death))).count();
        let expected = 1 + u32::from(is_absent(stage) && death["arrived"]["status"] != 200) + u32::try_from(again).unwrap();
        assert_eq!(generation(installs[&place(batch)][0]), expected, "{stage:?}: {death}");
        assert!(text(death, "how") != "under_way" || death["arrived"].is_object(), "it never arrived: {death}");
        *stages.entry(stage).or_default() += 1;
    }
    for stage in [Stage::Before, Stage::Intended, Stage::Sent, Stage::Known] {
        assert!(stages.get(&stage).is_some_and(|times| *times >= 2), "{stage:?} of {stages:?}");
    }
    // Four minutes late it is taken, and found by the search; seven minutes late AWS refuses it by its signature.
    let late: BTreeMap<&str, &Value> =
        deaths.iter().filter(|death| death["arrived"].is_object()).map(|death| (text(death, "pool"), &death["arrived"]["status"])).collect();
    assert_eq!(late, BTreeMap::from([("late 240", &json!(200)), ("late 420", &json!(400))]));

    // Every moment was somebody's last: a process outlived each kind of message, and its calls are all there are.
    let pools: [(&str, &[&str]); 5] = [
        ("send", &["AssumeRole", "SendCommand"]),
        ("done", &["AssumeRole", "SendCommand"]),
        ("vain", &["ListCommands"]),
        ("lost", &["ListCommands"]),
        ("again", &["ListCommands", "SendCommand"]),
    ];
    for (pool, needs) in pools {
        let whole = report["whole"][pool].as_array().unwrap_or_else(|| panic!("nobody outlived `{pool}`: the fleet is too small"));
        let calls: Vec<&str> = whole.iter().filter_map(Value::as_str).collect();
        assert_eq!(calls.last(), Some(&"the answer to Lambda"), "{pool}");
        for call in needs.iter().chain(&["TransactWriteItems"]) {
            assert!(calls.contains(call), "{pool}: {calls:?}");
        }
        let counted = |death: &&Value| text(death, "pool") == pool && (matches!(pool, "send" | "done") || text(death, "message") == "search");
        let last: Vec<&str> = deaths.iter().filter(counted).map(|death| text(death, "call")).collect();
        let is_moment = |call: &&&str| pool == "send" || **call == "ListCommands" || !is_read(call);
        let expected: Vec<&str> = calls.iter().filter(is_moment).copied().collect();
        assert_eq!(last, expected, "{pool}");
    }
}

fn is_read(call: &str) -> bool {
    ["BatchGet", "Get", "Query", "List", "Describe", "Select"].iter().any(|start| call.starts_with(start))
}
