//! Bulk runs as executions of the state machine that hub.yaml deploys: what `tests/rig/stacks_orchestrator.py` starts and stops, and what
//! must have come of it.

#![cfg(test)]

use serde_json::{Value, json};
use tidegate_tests::rig;

/// Accounts and Regions of the example of two waves: one host each in the canary's, one in each of the main wave's.
const HOSTS: [(&str, &str); 6] = [
    ("111122223333", "us-east-1"),
    ("111122223333", "us-east-1"),
    ("444455556666", "us-east-1"),
    ("444455556666", "us-west-2"),
    (rig::HUB, "us-east-1"),
    (rig::HUB, "us-west-2"),
];

fn fleet() -> Value {
    let instance = |(number, (account, region)): (usize, (&str, &str))| {
        let (instance, tags) = (format!("i-{:017x}", number + 1), json!({ "PatchGroup": "default" }));
        json!({ "account": account, "region": region, "instance": instance, "platform": "Linux", "missing": 2, "tags": tags })
    };
    let instances: Vec<Value> = HOSTS.into_iter().enumerate().map(instance).collect();
    let accounts = ["111122223333", "444455556666", rig::HUB].map(|id| json!({ "id": id, "ous": ["root", "workloads"], "state": "ACTIVE" }));
    json!({ "schema": "tidegate.fleet/1", "accounts": accounts, "instances": instances })
}

#[test]
fn executions_start_a_run_wait_for_its_end_and_stop_it() {
    let report = rig::drive_deployed("stacks_orchestrator.py", &fleet(), "").unwrap();

    assert_eq!(report["name"], "ec2patch-orchestrator");
    assert_eq!((&report["errors"], &report["trouble"]), (&json!({}), &json!([])), "{report:#}");
    assert_eq!(report["refused_records"], json!({"refused": [], "refused-fifo": []}));

    // What the original documents schedule, by the same name, at the same time, with the same role.
    let monthly = json!({"when": "cron(0 5 ? * SUN#1 *)", "flexible": "OFF", "starts": true, "as": "SchedulerInvokeRole", "with_the_example": true});
    assert_eq!(report["monthly"], monthly);

    // What is wrong with an input is the execution's own failure, in the parser's words.
    let refused = &report["refused"];
    assert_eq!((&refused["status"], &refused["error"], &refused["steps"]), (&json!("FAILED"), &json!("RunInputRefused"), &json!(0)), "{refused}");
    assert!(refused["cause"].as_str().unwrap().contains("waves"), "{refused}");

    // A dry run ends well, and nothing was sent.
    let dry = &report["dry"];
    assert_eq!((&dry["status"], &dry["installs"], &dry["output"]["dry_run"]), (&json!("SUCCEEDED"), &json!(0), &json!(true)), "{dry}");
    assert_eq!((&dry["output"]["targets"], &dry["output"]["complete"]), (&json!(2), &json!(true)), "{dry}");

    // A stopped execution stops its run, which says who and why.
    let stopped = &report["stopped"];
    assert_eq!((&stopped["status"], &stopped["installs"], &stopped["waiting"]), (&json!("ABORTED"), &json!(0), &json!([1, 0])), "{stopped}");
    let ended = |phase: &Value| {
        let why = "stopped by orchestrator: execution ec2patch-20261122-1 is ABORTED: operator: wrong window";
        phase["phase"] == "ended" && phase["complete"] == false && phase["why"] == why
    };
    assert!(stopped["campaigns"].as_object().unwrap().values().any(ended), "{stopped}");

    // Through its waves to its end: it waits, then it has succeeded, with what became of everybody.
    assert_eq!(report["running"], json!({"status": "RUNNING"}));
    let whole = &report["whole"];
    assert_eq!(whole["status"], "SUCCEEDED", "{whole:#}");
    let output = &whole["output"];
    assert_eq!((&output["schema"], &output["complete"]), (&json!("tidegate.run_end/1"), &json!(true)), "{output:#}");
    let waves: Vec<(&str, u64, u64, u64)> = output["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| (wave["name"].as_str().unwrap(), wave["targets"].as_u64().unwrap(), wave["patched"].as_u64().unwrap(), wave["failed"].as_u64().unwrap()))
        .collect();
    assert_eq!(waves, [("canary", 2, 2, 0), ("main", 4, 4, 0)]);
    let commands = report["commands"].as_array().unwrap();
    let mut installed: Vec<&str> =
        commands.iter().flat_map(|command| command["instances"].as_array().unwrap()).map(|instance| instance.as_str().unwrap()).collect();
    installed.sort_unstable();
    assert_eq!(installed, (1..=HOSTS.len()).map(|number| format!("i-{number:017x}")).collect::<Vec<_>>());
    // The canary's account came first.
    assert_eq!(commands[0]["account"], "111122223333", "{commands:#?}");

    // Nobody waits any more. The token was beside the run while it did, and is in no item and no log afterwards.
    assert_eq!(report["waiting"], 0);
    let token = &report["token"];
    assert!(token["length"].as_u64() > Some(16), "{token}");
    assert_eq!((&token["kept_in"], &token["left_in"]), (&json!(["~executions"]), &json!([])));
}
