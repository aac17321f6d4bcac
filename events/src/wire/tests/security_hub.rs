//! Whose findings count, about whom, and what updates of a finding do.

use super::*;

const CSPM: &str = "13-securityhub-findings-imported-ssm2.json";
const V2: &str = "38-securityhub-v2-failed.json";

/// A sample with one finding, changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut event = sample_value(name);
    change(&mut event["detail"]["findings"][0]);
    told(&parse(event.to_string().as_bytes()))
}

fn unchanged(name: &str) -> String {
    changed(name, |_| {})
}

#[test]
fn both_forms_of_one_finding_state_one_fact() {
    assert_eq!(unchanged(CSPM), unchanged(V2));
    assert_eq!(unchanged("37-securityhub-passed-instance-arn.json"), unchanged("39-securityhub-v2-passed.json"));
}

#[test]
fn an_update_by_people_or_by_us_is_the_same_fact_again() {
    let updated = changed(CSPM, |finding| {
        finding["Note"] = serde_json::json!({ "Text": "queued in patch-default.1", "UpdatedBy": "tidegate", "UpdatedAt": "2026-11-21T00:00:00Z" });
        finding["Workflow"]["Status"] = "NOTIFIED".into();
        finding["LastObservedAt"] = "2026-11-21T00:00:00Z".into();
    });
    assert_eq!(updated, unchanged(CSPM));
}

#[test]
fn the_control_is_found_without_consolidated_findings_and_optional_fields() {
    let sparse = changed(CSPM, |finding| {
        finding["GeneratorId"] = "aws-foundational-security-best-practices/v/1.0.0/SSM.2".into();
        finding["Compliance"] = serde_json::json!({ "Status": "FAILED" });
        for key in ["Workflow", "WorkflowState", "RecordState", "ProductFields"] {
            finding.as_object_mut().unwrap().remove(key);
        }
    });
    assert_eq!(sparse, unchanged(CSPM));
    let other = changed(CSPM, |finding| {
        finding.as_object_mut().unwrap().remove("Compliance");
        finding["GeneratorId"] = "security-control/SSM.22".into();
    });
    assert_eq!(other, "ignored: understood, not handled: findings of control `SSM.22`, only `SSM.2`");
}

#[test]
fn only_the_product_that_nobody_else_can_import_under_counts() {
    for other in [
        "arn:aws:securityhub:us-east-1:111122223333:product/aws/securityhub",
        "arn:aws:securityhub:us-east-1::product/aws/securityhub/default",
        "arn:aws:securityhub:us-east-1::product/aws/securityhub-coverage",
        "arn:aws:inspector2:us-east-1::product/aws/securityhub",
        "product/aws/securityhub",
    ] {
        let cspm = changed(CSPM, |finding| finding["ProductArn"] = other.into());
        let v2 = changed(V2, |finding| finding["metadata"]["product"]["uid"] = other.into());
        assert!(cspm.contains("only of Security Hub's own controls") && v2.contains("only of Security Hub's own controls"), "{cspm} {v2}");
    }
    let china = changed(CSPM, |finding| finding["ProductArn"] = "arn:aws-cn:securityhub:us-east-1::product/aws/securityhub".into());
    assert_eq!(china, unchanged(CSPM), "other partitions have the same product");
    for ours in [("GeneratorId", Value::from("tidegate/patch")), ("ProductName", "TIDEGATE".into())] {
        let told = changed(CSPM, |finding| {
            finding["ProductArn"] = "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default".into();
            finding[ours.0] = ours.1;
        });
        assert_eq!(told, "ignored: Tidegate imported this finding itself: it says nothing new");
    }
}

#[test]
fn no_finding_speaks_of_another_account_or_region() {
    let elsewhere = "only what an account says of itself, in its own Region, counts";
    let cspm: [(&str, fn(&mut Value)); 4] = [
        ("account", |finding| finding["AwsAccountId"] = "444455556666".into()),
        ("Region", |finding| finding["Region"] = "eu-west-1".into()),
        ("Region of the resource", |finding| finding["Resources"][0]["Region"] = "eu-west-1".into()),
        ("Region of the product", |finding| finding["ProductArn"] = "arn:aws:securityhub:eu-west-1::product/aws/securityhub".into()),
    ];
    for (what, change) in cspm {
        assert!(changed(CSPM, change).ends_with(elsewhere), "{what}");
    }
    let v2: [(&str, fn(&mut Value)); 3] = [
        ("account", |finding| finding["cloud"]["account"]["uid"] = "444455556666".into()),
        ("Region", |finding| finding["cloud"]["region"] = "eu-west-1".into()),
        ("Region of the resource", |finding| finding["resources"][0]["region"] = "eu-west-1".into()),
    ];
    for (what, change) in v2 {
        assert!(changed(V2, change).ends_with(elsewhere), "{what}");
    }
}
