//! Remediation exceptions of AWS Config, against scripted answers: each key as Config itself names the resource, what it did not take by
//! instance, and one that is gone already in nobody's way.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_aws::cloud::CloudSettings;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::host::SpokeFault;
use tidegate_events::mirror::{ExceptionNote, Exceptions};

use super::server::{Reply, fault, spoke_says};
use super::{instance, spoke};

const PREFIX: &str = "AWS::SSM::ManagedInstanceInventory/";

fn on(count: u8) -> Exceptions {
    Exceptions { rule: "patch-rule".into(), resource_type: "AWS::SSM::PatchCompliance".into(), instances: (1..=count).map(instance).collect() }
}

fn note() -> ExceptionNote {
    ExceptionNote { until: "2026-12-19T00:00:00Z".parse().unwrap(), message: "payments answers for it".into() }
}

fn keys(body: &Value) -> Vec<String> {
    let keys = body["ResourceKeys"].as_array().unwrap().iter();
    keys.map(|key| key["ResourceId"].as_str().unwrap().strip_prefix(PREFIX).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn exceptions_are_put_as_config_names_its_resources_and_what_failed_is_read_by_instance() {
    let failed = json!({ "ConfigRuleName": "patch-rule", "ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": format!("{PREFIX}{}", instance(2)) });
    let server = spoke_says(move |_| Reply::Json(200, json!({ "FailedBatches": [{ "FailureMessage": "not\nNON_COMPLIANT", "FailedItems": [failed] }] })));
    let outcome = server.cloud(CloudSettings::default()).put_exceptions(&spoke("111122223333"), &on(2), &note()).await;
    assert_eq!(outcome, Ok(vec![(instance(2), "not NON_COMPLIANT".to_owned())]));
    let [asked] = server.of("PutRemediationExceptions").try_into().unwrap_or_else(|_| panic!("one call"));
    assert_eq!(asked.key(), "ASIAIOSFODNN7EXAMPLE", "with the spoke's session");
    let key = |n| json!({ "ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": format!("{PREFIX}{}", instance(n)) });
    assert_eq!(
        asked.json(),
        json!({ "ConfigRuleName": "patch-rule", "ResourceKeys": [key(1), key(2)], "Message": "payments answers for it", "ExpirationTime": 1_797_638_400 })
    );
    // A rule about instances names them bare.
    let server = spoke_says(|_| Reply::Json(200, json!({ "FailedBatches": [] })));
    let bare = Exceptions { resource_type: "AWS::EC2::Instance".into(), ..on(1) };
    assert_eq!(server.cloud(CloudSettings::default()).put_exceptions(&spoke("111122223333"), &bare, &note()).await, Ok(Vec::new()));
    assert_eq!(server.of("PutRemediationExceptions")[0].json()["ResourceKeys"], json!([{ "ResourceType": "AWS::EC2::Instance", "ResourceId": instance(1) }]));
}

#[tokio::test]
async fn a_refusal_of_the_spoke_is_not_one_of_an_instance() {
    for (code, denied) in [("AccessDeniedException", true), ("InsufficientPermissionsException", true), ("InvalidParameterValueException", false)] {
        let server = spoke_says(move |_| fault(400, code, "no"));
        let cloud = server.cloud(CloudSettings::default());
        for (call, outcome) in [
            ("PutRemediationExceptions", cloud.put_exceptions(&spoke("111122223333"), &on(2), &note()).await),
            ("DeleteRemediationExceptions", cloud.remove_exceptions(&spoke("111122223333"), &on(2)).await),
        ] {
            match outcome {
                Err(SpokeFault::RoleDenied(why)) => assert!(denied && why.starts_with(&format!("config:{call}: {code}")), "{why}"),
                Ok(failed) => {
                    let why = format!("config:{call}: {code} (HTTP 400): no");
                    assert!(!denied, "{code}");
                    assert_eq!(failed, [(instance(1), why.clone()), (instance(2), why)]);
                }
                other => panic!("{code}: {other:?}"),
            }
            // The SDK may take a denial for a clock that is off, since this server's answers carry no date, and asks again by itself.
            assert!(server.of(call).len() == 1 || code == "AccessDeniedException", "{code}");
        }
    }
    let server = spoke_says(|_| fault(400, "ThrottlingException", "Rate exceeded"));
    assert_eq!(server.cloud(CloudSettings::default()).put_exceptions(&spoke("111122223333"), &on(1), &note()).await, Err(SpokeFault::Throttled));
}

#[tokio::test]
async fn one_that_is_gone_already_leaves_the_others_to_be_deleted() {
    let gone = instance(3).to_string();
    let server = spoke_says(move |asked| match keys(&asked.json()).contains(&gone) {
        true => fault(400, "NoSuchRemediationExceptionException", "You tried to delete a remediation exception that does not exist."),
        false => Reply::Json(200, json!({})),
    });
    let outcome = server.cloud(CloudSettings::default()).remove_exceptions(&spoke("111122223333"), &on(8)).await;
    assert_eq!(outcome, Ok(Vec::new()));
    let asked: Vec<Vec<String>> = server.of("DeleteRemediationExceptions").iter().map(|asked| keys(&asked.json())).collect();
    let deleted: BTreeSet<&String> = asked.iter().filter(|keys| !keys.contains(&instance(3).to_string())).flatten().collect();
    assert_eq!((deleted.len(), asked.len()), (7, 7), "{asked:?}");
}
