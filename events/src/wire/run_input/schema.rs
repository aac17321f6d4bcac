//! The JSON Schema of a run input: exactly the forms that are read, for editors and pipelines.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::forms::{ACCOUNT_WAVES_KEYS, COMMENT_CHARS_MAX, FLAT_KEYS, NAME_CHARS_MAX, PAUSE_SECS_MAX, WAVES_KEYS};
use super::ssm::COUNT_MAX;
use super::{fields, forms};
use crate::id::{AccountId, InstanceId, Region};

/// The schema. Whatever it refuses, [`super::parse`] refuses too; `parse` also refuses what no schema can tell, such as two
/// waves of one name.
pub fn schema() -> Schema {
    let mut generator = SchemaGenerator::default();
    let (account, region, instance) = (AccountId::json_schema(&mut generator), Region::json_schema(&mut generator), InstanceId::json_schema(&mut generator));
    let text = |max: usize, what: &str| json!({ "type": "string", "minLength": 1, "maxLength": max, "pattern": "\\S", "description": what });
    let list = |of: &str, what: &str| json!({ "type": "array", "minItems": 1, "items": { "$ref": format!("#/$defs/{of}") }, "description": what });
    let flag = |what: &str| json!({ "type": "boolean", "description": what });
    let object =
        |required: &[&str], properties: Value| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    let amount =
        |pattern: &str, min: u64| json!({ "anyOf": [{ "type": "string", "pattern": pattern }, { "type": "integer", "minimum": min, "maximum": COUNT_MAX }] });
    let name = || text(NAME_CHARS_MAX, "The wave's name, its own in the run. Made (`wave1`) where it is missing.");
    let accounts = || list("account", "AWS account ids.");
    let regions = || list("region", "AWS Regions.");
    let instances = || list("instance", "Only these instances.");

    let form = |own: &[&str], required: &[&str]| {
        let others = [&WAVES_KEYS[..], &ACCOUNT_WAVES_KEYS, &FLAT_KEYS].concat().into_iter().filter(|key| !own.contains(key));
        let refused: serde_json::Map<String, Value> = others.map(|key| (key.to_owned(), Value::Bool(false))).collect();
        json!({ "required": required, "properties": refused })
    };
    let document = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:/-]{3,128}$" });
    let documents: serde_json::Map<String, Value> = fields::DOCUMENT_KEYS.iter().map(|key| ((*key).to_owned(), document.clone())).collect();

    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "RunInput",
        "description": "The input of a bulk run, in one of three forms: `waves`, `accountWaves`, or flat with `accounts` and `regions`.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "$schema": { "type": "string", "description": "The address of this schema, for editors." },
            "executionName": text(NAME_CHARS_MAX, "What the run is called."),
            "comment": text(COMMENT_CHARS_MAX, "Why, for people."),
            "dryRun": flag("Decide and show everything, send nothing. Default: false."),
            "abortOnIssues": flag("Whether a wave over its failure budget halts the run. Default: true."),
            "wavePauseSeconds": { "type": "integer", "minimum": 0, "maximum": PAUSE_SECS_MAX, "description": "How long a finished wave is watched before the next one begins." },
            "ssm": { "$ref": "#/$defs/ssm", "description": "For all waves; a wave's own goes before it." },
            "approvalRequired": flag("Whether people are asked where the policy does not ask them."),
            "notificationEmail": { "type": "string", "maxLength": 320, "pattern": "^[^@\\s]+@[^@\\s]+$", "description": "Kept in the record." },
            "snsTopicArn": { "type": "string", "pattern": "^arn:aws[a-z-]*:sns:[a-z]+(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\\.fifo)?$", "description": "An SNS topic." },
            "bedrock": object(&["agentId", "agentAliasId"], json!({ "agentId": text(64, "The agent."), "agentAliasId": text(64, "Its alias.") })),
            "preCollect": object(&["enabled"], json!({ "enabled": flag("Kept in the record.") })),
            "useCustomDocuments": flag("false: `customDocuments` is not used. Default: whether it is there."),
            "customDocuments": { "type": "object", "additionalProperties": false, "minProperties": 1, "properties": documents },
            "waves": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/wave" }, "description": "In their order, strictly one after the other." },
            "accountWaves": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/accountWave" }, "description": "In their order, strictly one after the other." },
            "ec2": object(&["tagKey", "tagValue"], json!({
                "tagKey": text(fields::TAG_KEY_CHARS_MAX, "The key of the tag that hosts of all `accountWaves` have."),
                "tagValue": { "$ref": "#/$defs/tagValues" },
            })),
            "waveId": text(NAME_CHARS_MAX, "The name of the one wave, and of the run where `executionName` is missing."),
            "accounts": accounts(),
            "regions": regions(),
            "tagFilters": { "$ref": "#/$defs/tags" },
            "instanceIds": instances(),
        },
        "oneOf": [
            form(&WAVES_KEYS, &["waves"]),
            form(&ACCOUNT_WAVES_KEYS, &["accountWaves"]),
            form(&FLAT_KEYS, &["accounts", "regions"]),
        ],
        // Custom documents are asked for, so that some must be named.
        "if": { "properties": { "useCustomDocuments": { "const": true } }, "required": ["useCustomDocuments"] },
        "then": { "required": ["customDocuments"] },
        "$defs": {
            "account": account,
            "region": region,
            "instance": instance,
            "tags": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "minLength": 1, "maxLength": fields::TAG_KEY_CHARS_MAX, "pattern": "\\S" },
                "additionalProperties": { "$ref": "#/$defs/tagValues" },
                "description": "A host has every key with one of its values.",
            },
            "tagValues": {
                "anyOf": [{ "$ref": "#/$defs/tagValue" }, { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/tagValue" } }],
                "description": "A value, or several of which any will do.",
            },
            "tagValue": { "type": "string", "maxLength": fields::TAG_VALUE_CHARS_MAX },
            "ssm": object(&[], json!({
                "maxConcurrency": amount("^([1-9][0-9]{0,6}|[1-9][0-9]?%|100%)$", 1),
                "maxErrors": amount("^(0|[1-9][0-9]{0,6}|[0-9]%|[1-9][0-9]%|100%)$", 0),
                "operation": { "enum": ["Install", "Scan"] },
                "rebootOption": { "enum": ["RebootIfNeeded", "NoReboot"] },
            })),
            "wave": object(&["accounts", "regions"], wave_properties(&forms::WAVE_KEYS, [
                name(),
                accounts(),
                regions(),
                object(&[], json!({
                    "tags": { "$ref": "#/$defs/tags" },
                    "platforms": { "type": "array", "minItems": 1, "items": { "enum": ["Linux", "Windows"] }, "description": "Default: both." },
                })),
                json!({ "$ref": "#/$defs/ssm" }),
                instances(),
            ])),
            "accountWave": object(&["accounts", "regions"], wave_properties(&forms::ACCOUNT_WAVE_KEYS, [name(), accounts(), regions()])),
        },
    })
}

/// The keys that the parser knows, each with its schema: the two cannot differ in number.
fn wave_properties<const N: usize>(keys: &[&str; N], schemas: [Value; N]) -> Value {
    Value::Object(keys.iter().map(|key| (*key).to_owned()).zip(schemas).collect())
}
