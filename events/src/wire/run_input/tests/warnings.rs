//! What does less than it seems to.

use super::*;

#[test]
fn what_does_less_than_it_seems_is_named() {
    let flat = r#""accounts":["111122223333"],"regions":["us-east-1"]"#;
    let table = [
        (
            r#"{"bedrock":{"agentId":"A","agentAliasId":"B"},FLAT}"#,
            "`bedrock` is advisory: its agent may add a paragraph to the approval request; it decides nothing, and holds nothing up where it fails",
        ),
        (
            r#"{"ssm":{"operation":"Scan","rebootOption":"RebootIfNeeded"},FLAT}"#,
            "`ssm.rebootOption` is `RebootIfNeeded`, but a scan never reboots: write `NoReboot`",
        ),
        (r#"{"ssm":{"operation":"Scan"},"dryRun":true,FLAT}"#, "`dryRun` is true, so that nothing is sent, not even the scan"),
        (r#"{"approvalRequired":false,FLAT}"#, "`approvalRequired` is false, but who must be asked is the policy's to say: its approvals stay"),
        (
            r#"{"notificationEmail":"ops@example.com",FLAT}"#,
            "`notificationEmail` is kept in the record and nobody is mailed: subscribe `ops@example.com` to the notification topic",
        ),
        (
            r#"{"snsTopicArn":"arn:aws:sns:us-east-1:111122223333:alerts",FLAT}"#,
            "`snsTopicArn` is kept in the record: notices go to the topics that the hub was deployed with",
        ),
        (
            r#"{"preCollect":{"enabled":true},FLAT}"#,
            "`preCollect` is kept in the record and starts no step of its own: what every host lacked before and after is evidence in any case",
        ),
        (r#"{"useCustomDocuments":false,"customDocuments":{"linuxPatch":"Mine"},FLAT}"#, "`customDocuments` is not used, since `useCustomDocuments` is false"),
        (r#"{"accounts":["111122223333","111122223333"],"regions":["us-east-1"]}"#, "`accounts[1]` names `111122223333` for the second time"),
        (r#"{"accounts":["111122223333"],"regions":["us-eats-1"]}"#, "`regions[0]` is `us-eats-1`, a Region that is not known here: did you mean `us-east-1`?"),
        (r#"{"accounts":["111122223333"],"regions":["zz-moon-7"]}"#, "`regions[0]` is `zz-moon-7`, a Region that is not known here"),
        (r#"{"tagFilters":{"Name":"web-*"},FLAT}"#, "`tagFilters.Name` is `web-*`, taken literally: a tag's value is compared as it stands, without wildcards"),
        (r#"{"tagFilters":{"tag:Name":"web"},FLAT}"#, "`tagFilters.tag:Name` names the tag `tag:Name`: write `Name` if that is the tag's key"),
        (
            r#"{"tagFilters":{"Tier":"web"},"instanceIds":["i-0a1b2c3d"],FLAT}"#,
            "`instanceIds` and the tags must both fit: a named instance without the tags is left out",
        ),
        (
            r#"{"waves":[{"name":"all",FLAT},{"name":"web",FLAT,"filters":{"tags":{"Tier":"web"}}}]}"#,
            "`waves[1]` finds no host that the wave `all` has not taken before it",
        ),
    ];
    for (input, expected) in table {
        let input = input.replace("FLAT", flat);
        assert_eq!(warnings_of(&input), [expected], "{input}");
    }
}

#[test]
fn one_word_for_all_waves_warns_once() {
    let wave = r#"{"accounts":["111122223333"],"regions":["us-east-1"],"filters":{"tags":{"Tier":"N"}}}"#;
    let input = format!(r#"{{"ssm":{{"operation":"Scan","rebootOption":"RebootIfNeeded"}},"waves":[{},{}]}}"#, wave.replace('N', "a"), wave.replace('N', "b"));
    assert_eq!(warnings_of(input), ["`ssm.rebootOption` is `RebootIfNeeded`, but a scan never reboots: write `NoReboot`"]);
}

#[test]
fn ordinary_inputs_warn_of_nothing() {
    for input in [
        r#"{"dryRun":true,"ssm":{"rebootOption":"NoReboot"},"accounts":["111122223333"],"regions":["us-east-1"]}"#,
        r#"{"preCollect":{"enabled":false},"approvalRequired":true,"accounts":["111122223333"],"regions":["us-gov-west-1"]}"#,
        r#"{"waves":[{"accounts":["111122223333"],"regions":["us-east-1"],"filters":{"platforms":["Linux"]}},{"accounts":["111122223333"],"regions":["us-east-1"]}]}"#,
    ] {
        assert_eq!(warnings_of(input), Vec::<String>::new(), "{input}");
    }
}
