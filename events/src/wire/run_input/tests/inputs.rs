//! Inputs that are nearly right, and inputs that are anything. The test of the schema takes them too.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Keys that mean something somewhere, and some that do not.
fn key() -> impl Strategy<Value = String> {
    const OUTER: [&str; 23] = [
        "waves",
        "accountWaves",
        "ec2",
        "accounts",
        "regions",
        "tagFilters",
        "instanceIds",
        "waveId",
        "executionName",
        "comment",
        "dryRun",
        "abortOnIssues",
        "wavePauseSeconds",
        "ssm",
        "approvalRequired",
        "notificationEmail",
        "snsTopicArn",
        "bedrock",
        "preCollect",
        "useCustomDocuments",
        "customDocuments",
        "name",
        "filters",
    ];
    const INNER: [&str; 12] =
        ["tags", "platforms", "maxConcurrency", "maxErrors", "operation", "rebootOption", "tagKey", "tagValue", "agentId", "enabled", "linuxPatch", "Tier"];
    prop_oneof![6 => prop::sample::select(&OUTER[..]).prop_map(str::to_owned), 6 => prop::sample::select(&INNER[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn leaf() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 16] = [
        "111122223333",
        "us-east-1",
        "i-0a1b2c3d",
        "i-dev123456789abcdef0",
        "10%",
        "1",
        "0%",
        "Scan",
        "Install",
        "NoReboot",
        "Linux",
        "",
        " ",
        "*",
        "a",
        "A\u{0}",
    ];
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ]
}

pub(super) fn anything() -> impl Strategy<Value = Value> {
    leaf()
        .prop_recursive(5, 60, 6, |inner| prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), btree_map(key(), inner, 0..8).prop_map(|map| json!(map))])
}

/// The places of a tree, each of which is counted down to.
fn replace(value: &mut Value, place: &mut usize, new: &Value) {
    if *place == 0 {
        *value = new.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, place, new)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, place, new)),
        _ => {}
    }
}

/// An example with something else in one to three of its places.
pub(super) fn changed(examples: Vec<Value>) -> impl Strategy<Value = Value> {
    (prop::sample::select(examples), vec((0..60_usize, anything()), 1..3)).prop_map(|(mut input, places)| {
        for (mut place, new) in places {
            replace(&mut input, &mut place, &new);
        }
        input
    })
}
