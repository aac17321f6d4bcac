//! Whether AWS Config records patch compliance, and how often: without a record no rule ever judges, and a daily one is a verdict
//! up to a day late.

use serde_json::{Value, json};

use super::facts::{Frequency, Recorder, Scope, SpokeFacts};
use super::mend::{quoted, shown};
use super::{Check, Outcome, RESOURCE_TYPE, Topic};

fn is_ours(types: &[String]) -> bool {
    types.iter().any(|one| one == RESOURCE_TYPE)
}

/// Whether the recorder's scope has patch compliance in it.
fn covers(scope: &Scope) -> bool {
    match scope {
        Scope::All => true,
        Scope::Only(types) => is_ours(types),
        Scope::AllBut(types) => !is_ours(types),
    }
}

/// How often patch compliance is recorded.
fn frequency_of(recorder: &Recorder) -> Option<Frequency> {
    recorder.overrides.iter().find(|one| is_ours(&one.types)).map_or(recorder.frequency, |one| one.frequency)
}

/// Whether patch compliance is recorded at all.
pub fn records(facts: &SpokeFacts, recorder: Option<&Recorder>) -> Check {
    let (name, region) = (Topic::Recorder, facts.region.as_str());
    let Some(recorder) = recorder else { return Check::new(name, Outcome::Fail, "there is no configuration recorder: nothing is ever judged", first(facts)) };
    let start = format!("aws configservice start-configuration-recorder --region {region} --configuration-recorder-name {}", quoted(&recorder.name));
    if !covers(&recorder.scope) {
        let mut mend = vec![put(facts, recorder)];
        if recorder.is_recording != Some(true) {
            mend.push(start);
        }
        return Check::new(name, Outcome::Fail, format!("the recorder `{}` leaves {RESOURCE_TYPE} out", shown(&recorder.name)), mend);
    }
    let status = format!("aws configservice describe-configuration-recorder-status --region {region}");
    match (recorder.is_recording, &recorder.last_failure) {
        (Some(false), _) => Check::new(name, Outcome::Fail, format!("the recorder `{}` is stopped", shown(&recorder.name)), vec![start]),
        (None, _) => Check::new(name, Outcome::Unknown, format!("whether the recorder `{}` records is not said", shown(&recorder.name)), vec![status]),
        (Some(true), Some(why)) => {
            let found = format!("the recorder `{}` records, and its last delivery failed: {}", shown(&recorder.name), shown(why));
            Check::new(name, Outcome::Warn, found, vec![status, format!("aws configservice describe-delivery-channel-status --region {region}")])
        }
        (Some(true), None) => Check::ok(name, format!("the recorder `{}` records {RESOURCE_TYPE}", shown(&recorder.name))),
    }
}

/// How often it is.
pub fn frequency(facts: &SpokeFacts, recorder: Option<&Recorder>) -> Check {
    let name = Topic::Frequency;
    let Some(recorder) = recorder.filter(|recorder| covers(&recorder.scope)) else {
        return Check::new(name, Outcome::Unknown, "patch compliance is not recorded at all", Vec::new());
    };
    match frequency_of(recorder) {
        Some(Frequency::Continuous) => Check::ok(name, "continuous"),
        Some(Frequency::Daily) => {
            let found = "daily: a finding, and Config's word on what was patched, come up to a day late";
            Check::new(name, Outcome::Warn, found, vec![put(facts, recorder)])
        }
        None => Check::new(name, Outcome::Unknown, "how often patch compliance is recorded is not said", Vec::new()),
    }
}

/// Makes the first recorder of an account and Region.
fn first(facts: &SpokeFacts) -> Vec<String> {
    let region = facts.region.as_str();
    let role = format!("arn:{}:iam::{}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig", facts.hub.partition, facts.account);
    let recorder = json!({
        "name": "default", "roleARN": role, "recordingMode": { "recordingFrequency": "CONTINUOUS" },
        "recordingGroup": { "allSupported": false, "recordingStrategy": { "useOnly": "INCLUSION_BY_RESOURCE_TYPES" },
            "resourceTypes": [RESOURCE_TYPE, "AWS::SSM::ManagedInstanceInventory"] },
    });
    vec![
        "aws iam create-service-linked-role --aws-service-name config.amazonaws.com".to_owned(),
        format!("aws configservice put-configuration-recorder --region {region} --configuration-recorder {}", quoted(&recorder.to_string())),
        format!("aws configservice put-delivery-channel --region {region} --delivery-channel name=default,s3BucketName=BUCKET"),
        format!("aws configservice start-configuration-recorder --region {region} --configuration-recorder-name default"),
    ]
}

/// The same recorder, with patch compliance in it and recorded as it happens. The call replaces the whole of it, so all that it
/// has stands in it again.
fn put(facts: &SpokeFacts, recorder: &Recorder) -> String {
    let without_ours = |types: &[String]| types.iter().filter(|one| *one != RESOURCE_TYPE).cloned().collect::<Vec<_>>();
    let group = match &recorder.scope {
        Scope::All => {
            json!({ "allSupported": true, "includeGlobalResourceTypes": recorder.has_global_types, "recordingStrategy": { "useOnly": "ALL_SUPPORTED_RESOURCE_TYPES" } })
        }
        Scope::Only(types) => {
            let mut types = without_ours(types);
            types.push(RESOURCE_TYPE.to_owned());
            json!({ "allSupported": false, "recordingStrategy": { "useOnly": "INCLUSION_BY_RESOURCE_TYPES" }, "resourceTypes": types })
        }
        Scope::AllBut(types) => match without_ours(types) {
            // A list of exclusions can't be empty.
            types if types.is_empty() => json!({ "allSupported": true, "recordingStrategy": { "useOnly": "ALL_SUPPORTED_RESOURCE_TYPES" } }),
            types => json!({ "allSupported": false, "exclusionByResourceTypes": { "resourceTypes": types },
                "recordingStrategy": { "useOnly": "EXCLUSION_BY_RESOURCE_TYPES" } }),
        },
    };
    let recorder = json!({
        "name": recorder.name, "roleARN": recorder.role.as_deref().unwrap_or("<ARN of the recorder's role>"), "recordingGroup": group,
        "recordingMode": mode(recorder),
    });
    format!("aws configservice put-configuration-recorder --region {} --configuration-recorder {}", facts.region, quoted(&recorder.to_string()))
}

/// The recorder's mode with patch compliance continuous. AWS takes one override at most: ours joins one that is continuous, leaves
/// one that is daily, and where neither will do, the default becomes continuous.
fn mode(recorder: &Recorder) -> Value {
    let word = |frequency| if frequency == Some(Frequency::Daily) { "DAILY" } else { "CONTINUOUS" };
    let shape = |frequency: &str, types: &[String]| match types {
        [] => json!({ "recordingFrequency": frequency }),
        types => {
            let theirs = if frequency == "DAILY" { "CONTINUOUS" } else { "DAILY" };
            json!({ "recordingFrequency": frequency, "recordingModeOverrides": [{ "recordingFrequency": theirs, "resourceTypes": types }] })
        }
    };
    let first = recorder.overrides.first();
    let mut types: Vec<String> = first.map(|one| one.types.iter().filter(|one| *one != RESOURCE_TYPE).cloned().collect()).unwrap_or_default();
    match (word(recorder.frequency), first.map(|one| word(one.frequency))) {
        ("DAILY", None | Some("CONTINUOUS")) => {
            types.push(RESOURCE_TYPE.to_owned());
            shape("DAILY", &types)
        }
        ("CONTINUOUS", Some("DAILY")) => shape("CONTINUOUS", &types),
        _ => shape("CONTINUOUS", &[]),
    }
}
