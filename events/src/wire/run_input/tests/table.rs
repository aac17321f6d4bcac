//! Wrong inputs, what is said of them, and whether the schema can tell too. Data alone: the test of the schema takes it too.

use Tell::{Both, ParserAlone};

/// Who can tell that an input is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// The schema too.
    Both,
    /// No schema can.
    ParserAlone,
}

/// `FLAT` stands for accounts and Regions, `WAVE` for a wave that lacks nothing.
pub(super) fn spelled(input: &str) -> String {
    let flat = r#""accounts":["111122223333"],"regions":["us-east-1"]"#;
    input.replace("WAVE", &format!("{{{flat}}}")).replace("FLAT", flat)
}

pub(super) const TABLE: &[(&str, &[&str], Tell)] = &[
    // No form, or more than one.
    ("[]", &["expected a JSON object, which says which hosts to patch, got an empty list"], Both),
    ("{}", &["nothing says which hosts: expected `waves`, `accountWaves`, or `accounts` and `regions`"], Both),
    (r#"{"dryRun":true}"#, &["nothing says which hosts: expected `waves`, `accountWaves`, or `accounts` and `regions`"], Both),
    (r#"{"wave":[WAVE]}"#, &["wave: unknown key: did you mean `waves`?"], Both),
    (
        r#"{"waves":[WAVE],"accountWaves":[WAVE]}"#,
        &["accountWaves: `accountWaves` does not go together with `waves`: keep one of them, or make two runs of it"],
        Both,
    ),
    (
        r#"{"waves":[WAVE],"tagFilters":{"Tier":"web"}}"#,
        &["tagFilters: `tagFilters` does not go together with `waves`: write the tags into each wave's `filters.tags`"],
        Both,
    ),
    (r#"{"waves":[WAVE],"regions":["us-east-1"]}"#, &["regions: `regions` does not go together with `waves`: write it into each wave"], Both),
    (r#"{"waves":[WAVE],"waveId":"a"}"#, &["waveId: `waveId` does not go together with `waves`: write it as `executionName`, or as `name` in a wave"], Both),
    (
        r#"{"accountWaves":[WAVE],"instanceIds":["i-0a1b2c3d"]}"#,
        &["instanceIds: `instanceIds` does not go together with `accountWaves`: use `waves`, whose waves may name instances"],
        Both,
    ),
    (r#"{"ec2":{"tagKey":"Tier","tagValue":"web"},FLAT}"#, &["ec2: `ec2` does not go together with `accounts`: write the tag into `tagFilters`"], Both),
    (
        r#"{"ec2":{"tagKey":"Tier","tagValue":"web"}}"#,
        &["nothing says which hosts: expected `waves`, `accountWaves`, or `accounts` and `regions`; `ec2` says which hosts of `accountWaves`"],
        Both,
    ),
    (
        r#"{"waveId":"wave1-critical"}"#,
        &[
            "accounts: missing: expected a list of account ids, such as `[\"111122223333\"]`",
            "regions: missing: expected a list of Regions, such as `[\"us-east-1\"]`",
        ],
        Both,
    ),
    // Keys that are unknown, or elsewhere at home.
    (r#"{"region":[],FLAT}"#, &["region: unknown key: did you mean `regions`?"], Both),
    (r#"{"dry_run":true,FLAT}"#, &["dry_run: unknown key: did you mean `dryRun`?"], Both),
    (r#"{"maxErrors":"1",FLAT}"#, &["maxErrors: not known here: write it into `ssm`"], Both),
    (r#"{"waves":[WAVE],"filters":{}}"#, &["filters: not known here: write it into each of `waves`"], Both),
    (r#"{"waves":[{FLAT,"tags":{"Tier":"web"}}]}"#, &["waves[0].tags: not known here: write it into `filters`"], Both),
    (r#"{"waves":[{FLAT,"wavePauseSeconds":3}]}"#, &["waves[0].wavePauseSeconds: not known here: write it at the top level, for all waves"], Both),
    (r#"{"waves":[{FLAT,"maxConcurrency":"1"}]}"#, &["waves[0].maxConcurrency: not known here: write it into `ssm`"], Both),
    (
        r#"{"accountWaves":[{FLAT,"filters":{}}]}"#,
        &["accountWaves[0].filters: not known here: write the tag into `ec2` at the top level, or use `waves`"],
        Both,
    ),
    (r#"{"accountWaves":[{FLAT,"ssm":{}}]}"#, &["accountWaves[0].ssm: not known here: write it at the top level, for all waves, or use `waves`"], Both),
    (
        r#"{"waves":[{FLAT,"ssm":{"timeout":3}}]}"#,
        &["waves[0].ssm.timeout: unknown key: expected `maxConcurrency`, `maxErrors`, `operation` or `rebootOption`"],
        Both,
    ),
    (r#"{"waves":[{FLAT,"filters":{"tag":{}}}]}"#, &["waves[0].filters.tag: unknown key: did you mean `tags`?"], Both),
    // Lists.
    (
        r#"{"waves":[]}"#,
        &["waves: the list is empty: expected a list of waves, such as `[{\"accounts\": [\"111122223333\"], \"regions\": [\"us-east-1\"]}]`"],
        Both,
    ),
    (
        r#"{"waves":WAVE}"#,
        &["waves: expected a list of waves, such as `[{\"accounts\": [\"111122223333\"], \"regions\": [\"us-east-1\"]}]`, got an object"],
        Both,
    ),
    (r#"{"waves":["canary"]}"#, &["waves[0]: expected a wave, which is an object, got the string `canary`"], Both),
    (
        r#"{"accounts":"111122223333","regions":["us-east-1"]}"#,
        &["accounts: expected a list of account ids, such as `[\"111122223333\"]`, got the string `111122223333`: write `[\"111122223333\"]`"],
        Both,
    ),
    (r#"{"instanceIds":[],FLAT}"#, &["instanceIds: the list is empty: expected a list of instance ids, such as `[\"i-0a1b2c3d4e5f67890\"]`"], Both),
    (r#"{"tagFilters":{},FLAT}"#, &["tagFilters: no tag is named: leave it out to take every host, or write such as `{\"PatchGroup\": [\"default\"]}`"], Both),
    (r#"{"tagFilters":{"Tier":[]},FLAT}"#, &["tagFilters.Tier: the list is empty: expected at least one value, such as `[\"default\"]`"], Both),
    (
        r#"{"tagFilters":{"Tier":null},FLAT}"#,
        &["tagFilters.Tier: expected a string or a list of strings, got null; leave the key out where it says nothing"],
        Both,
    ),
    (r#"{"tagFilters":{"my tag":[true]},FLAT}"#, &["tagFilters[\"my tag\"][0]: expected a string, got `true`"], Both),
    (r#"{"tagFilters":{"":"x"},FLAT}"#, &["tagFilters[\"\"]: the tag key is empty"], Both),
    // Ids.
    (
        r#"{"accounts":[111122223333],"regions":["us-east-1"]}"#,
        &["accounts[0]: expected 12 digits in quotes, got the number `111122223333`: write `\"111122223333\"`"],
        Both,
    ),
    (
        r#"{"accounts":[12345678901],"regions":["us-east-1"]}"#,
        &["accounts[0]: expected 12 digits in quotes, got the number `12345678901`: write `\"012345678901\"`"],
        Both,
    ),
    (
        r#"{"accounts":["1111-2222-3333"],"regions":["us-east-1"]}"#,
        &["accounts[0]: `1111-2222-3333` is not an AWS account id: expected 12 digits, such as `111122223333`"],
        Both,
    ),
    (r#"{"accounts":["111122223333"],"regions":["us-east"]}"#, &["regions[0]: `us-east` is not an AWS Region: did you mean `us-east-1`?"], Both),
    (r#"{"accounts":["111122223333"],"regions":["US-EAST-1"]}"#, &["regions[0]: `US-EAST-1` is not an AWS Region: did you mean `us-east-1`?"], Both),
    (r#"{"accounts":["111122223333"],"regions":["Frankfurt"]}"#, &["regions[0]: `Frankfurt` is not an AWS Region: expected a name such as `eu-west-1`"], Both),
    (
        r#"{"instanceIds":["i-dev123456789abcdef0"],FLAT}"#,
        &[
            "instanceIds[0]: `i-dev123456789abcdef0` is not an instance id: expected `i-` and 8 or 17 hex digits, or `mi-` and 17 characters; `v` is no hex digit, and 19 characters follow `i-`",
        ],
        Both,
    ),
    (
        r#"{"instanceIds":["web-1"],FLAT}"#,
        &["instanceIds[0]: `web-1` is not an instance id: expected `i-` and 8 or 17 hex digits, or `mi-` and 17 characters"],
        Both,
    ),
    // Words and numbers.
    (r#"{"ssm":{"operation":"install"},FLAT}"#, &["ssm.operation: `install` is not known: did you mean `Install`?"], Both),
    (r#"{"ssm":{"rebootOption":"Never"},FLAT}"#, &["ssm.rebootOption: `Never` is not known: expected `RebootIfNeeded` or `NoReboot`"], Both),
    (
        r#"{"ssm":{"maxConcurrency":"0"},FLAT}"#,
        &["ssm.maxConcurrency: 0 would let no host begin: expected at least 1; to change nothing, write `\"dryRun\": true`"],
        Both,
    ),
    (r#"{"ssm":{"maxErrors":"101%"},FLAT}"#, &["ssm.maxErrors: expected at most 100%, got the string `101%`"], Both),
    (
        r#"{"ssm":{"maxErrors":"10 %"},FLAT}"#,
        &["ssm.maxErrors: expected a count such as `\"3\"` or a whole percentage such as `\"10%\"`, without spaces, got the string `10 %`"],
        Both,
    ),
    (r#"{"ssm":{"maxErrors":-1},FLAT}"#, &["ssm.maxErrors: expected a count such as `\"3\"` or a whole percentage such as `\"10%\"`, got `-1`"], Both),
    (r#"{"ssm":{"maxErrors":0.5},FLAT}"#, &["ssm.maxErrors: expected a count such as `\"3\"` or a whole percentage such as `\"10%\"`, got `0.5`"], Both),
    (r#"{"ssm":{"maxConcurrency":10000000},FLAT}"#, &["ssm.maxConcurrency: expected at most 9999999, got `10000000`"], Both),
    (r#"{"dryRun":"true",FLAT}"#, &["dryRun: expected true or false without quotes, got the string `true`"], Both),
    (r#"{"abortOnIssues":1,FLAT}"#, &["abortOnIssues: expected true or false, got `1`"], Both),
    (r#"{"wavePauseSeconds":-5,FLAT}"#, &["wavePauseSeconds: expected whole seconds from 0 to 31622400, got `-5`"], Both),
    (r#"{"waves":[{FLAT,"filters":{"platforms":["linux"]}}]}"#, &["waves[0].filters.platforms[0]: `linux` is not known: did you mean `Linux`?"], Both),
    (
        r#"{"waves":[{FLAT,"filters":{"platforms":["macOS"]}}]}"#,
        &["waves[0].filters.platforms[0]: `macOS` is not patched here: expected `Linux` or `Windows`"],
        Both,
    ),
    (r#"{"executionName":"  ",FLAT}"#, &["executionName: expected a name for the run, got only spaces"], Both),
    (r#"{"executionName":"a\nb",FLAT}"#, &["executionName: expected a name for the run on one line, without control characters"], ParserAlone),
    (
        r#"{"snsTopicArn":"ec2patch-PatchAlerts",FLAT}"#,
        &[
            "snsTopicArn: expected the ARN of an SNS topic, such as `arn:aws:sns:us-east-1:111122223333:ec2patch-PatchAlerts`, got the string `ec2patch-PatchAlerts`",
        ],
        Both,
    ),
    (r#"{"notificationEmail":"ops",FLAT}"#, &["notificationEmail: expected a mail address, such as `ops@example.com`, got the string `ops`"], Both),
    (r#"{"bedrock":{"agentId":"A"},FLAT}"#, &["bedrock.agentAliasId: missing: expected the id of a Bedrock agent"], Both),
    (r#"{"accountWaves":[WAVE],"ec2":{"tagKey":"Tier"}}"#, &["ec2.tagValue: missing: expected the tag's value, such as `default`"], Both),
    (
        r#"{"customDocuments":{"linuxPatch":"a b"},FLAT}"#,
        &["customDocuments.linuxPatch: `a b` is not the name of an SSM document: expected 3 to 128 letters, digits or `_-.:/`"],
        Both,
    ),
    (r#"{"customDocuments":{"linuxPre":"Stop"},FLAT}"#, &["customDocuments.linuxPre: unknown key: did you mean `linuxPrePatch`?"], Both),
    // What only fits together badly.
    (r#"{"useCustomDocuments":true,FLAT}"#, &["useCustomDocuments: is true, but no document is named: name them in `customDocuments`, or leave it out"], Both),
    (
        r#"{"ssm":{"operation":"Scan"},"customDocuments":{"linuxPatch":"Mine"},FLAT}"#,
        &[
            "customDocuments: replaces the scan of the wave `wave1` by a document that may install: leave `windowsPatch` and `linuxPatch` out, or write `Install`",
        ],
        ParserAlone,
    ),
    (
        r#"{"waves":[{"name":"a",FLAT},{"name":"b",FLAT},{"name":"a",FLAT}]}"#,
        &["waves[2].name: `a` is the name of `waves[0]` too: give each wave its own"],
        ParserAlone,
    ),
    (
        r#"{"waves":[{"name":"a",FLAT,"instanceIds":["i-0a1b2c3d"]},{FLAT,"instanceIds":["i-0a1b2c3e","i-0a1b2c3d"]}]}"#,
        &["waves[1].instanceIds: `i-0a1b2c3d` is in `waves[0]` too: name each instance in one wave"],
        ParserAlone,
    ),
    (r#"{"dryRun":true,"dryRun":false,FLAT}"#, &["dryRun: written twice: keep one"], ParserAlone),
    (r#"{"waves":[{FLAT,"filters":{"tags":{"Tier":"web","Tier":"app"}}}]}"#, &["waves[0].filters.tags.Tier: written twice: keep one"], ParserAlone),
];
