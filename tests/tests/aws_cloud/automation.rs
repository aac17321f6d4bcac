//! Automation on AWS, against scripted answers: a repeat has the token and the signing time of the first start, and what executions
//! say is read for each target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_aws::cloud::CloudSettings;
use tidegate_engine::ports::{AutomationRequest, Cloud as _};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::InvocationStatus;

use super::server::{Reply, fault, spoke_says};
use super::{instance, spoke};

const EXECUTION: &str = "333ba70b-2333-48db-b17e-a5e69c6f4d1c";
const TOKEN: &str = "11111111-2222-4333-8444-555555555555";

fn request() -> AutomationRequest {
    AutomationRequest {
        spoke: spoke("111122223333"),
        document: "AWSSupport-ConfigureEC2Metadata".into(),
        parameters: BTreeMap::from([("EnforceIMDSv2".to_owned(), vec!["required".to_owned()])]),
        target_parameter: "InstanceId".into(),
        instances: vec![instance(1), instance(2)],
        token: TOKEN.into(),
        timeout_secs: 7200,
        max_concurrency: 2,
        signed_at: Timestamp::now(),
    }
}

#[tokio::test]
async fn a_repeat_has_the_token_and_the_time_of_the_first() {
    let mut tries = 0;
    let server = spoke_says(move |_| {
        tries += 1;
        match tries {
            1 => fault(500, "InternalServerError", "broken"),
            2 => Reply::Reset,
            _ => Reply::Json(200, json!({ "AutomationExecutionId": EXECUTION })),
        }
    });
    let outcome = server.cloud(CloudSettings::default()).start_automation(&request()).await;
    assert!(matches!(&outcome, SendOutcome::Accepted { command, .. } if command.as_str() == EXECUTION), "{outcome:?}");
    let asked = server.of("StartAutomationExecution");
    assert_eq!(asked.len(), 3);
    let body = asked[0].json();
    assert_eq!(
        (&body["ClientToken"], &body["TargetParameterName"], &body["Targets"], &body["MaxErrors"]),
        (&json!(TOKEN), &json!("InstanceId"), &json!([{ "Key": "ParameterValues", "Values": [instance(1), instance(2)] }]), &json!("100%"))
    );
    for again in &asked[1..] {
        assert_eq!((again.json(), &again.headers["x-amz-date"]), (body.clone(), &asked[0].headers["x-amz-date"]));
    }
}

#[tokio::test]
async fn answers_prove_what_they_say_and_no_more() {
    let why = |code: &str, message: &str| format!("ssm:StartAutomationExecution: {code} (HTTP 400): {message}");
    let cases = [
        (fault(400, "ThrottlingException", "Rate exceeded"), SendOutcome::Throttled),
        (fault(400, "AutomationExecutionLimitExceededException", "too many"), SendOutcome::Throttled),
        (fault(400, "AccessDeniedException", "not you"), SendOutcome::Denied { why: why("AccessDeniedException", "not you") }),
        (fault(400, "AutomationDefinitionNotFoundException", "none"), SendOutcome::Refused { why: why("AutomationDefinitionNotFoundException", "none") }),
    ];
    for (answer, expected) in cases {
        let mut answer = Some(answer);
        let server = spoke_says(move |_| answer.take().expect("a refused start is not repeated"));
        assert_eq!(server.cloud(CloudSettings::default()).start_automation(&request()).await, expected);
    }
    // An execution that was started under the token, and a refusal after a try that may have been taken, are for the search.
    let server = spoke_says(|_| fault(400, "IdempotentParameterMismatch", "other targets"));
    assert!(matches!(server.cloud(CloudSettings::default()).start_automation(&request()).await, SendOutcome::Ambiguous { .. }));
    let mut first = true;
    let server = spoke_says(move |_| if std::mem::take(&mut first) { Reply::Reset } else { fault(400, "AccessDeniedException", "not you") });
    assert!(matches!(server.cloud(CloudSettings::default()).start_automation(&request()).await, SendOutcome::Ambiguous { .. }));
}

fn child(n: u8, status: &str, ended: Option<f64>) -> Value {
    let mut child = json!({ "AutomationExecutionId": format!("00000000-0000-4000-8000-{n:012}"), "DocumentName": "AWSSupport-ConfigureEC2Metadata",
        "AutomationExecutionStatus": status, "ExecutionStartTime": 1_795_200_000.0, "ParentAutomationExecutionId": EXECUTION, "Target": instance(n) });
    if let (Some(ended), Some(fields)) = (ended, child.as_object_mut()) {
        fields.insert("ExecutionEndTime".into(), json!(ended));
    }
    child
}

#[tokio::test]
async fn an_execution_is_read_by_its_children() {
    let whole = |status: &str| {
        json!({ "AutomationExecution": { "AutomationExecutionId": EXECUTION, "AutomationExecutionStatus": status, "ExecutionStartTime": 1_795_200_000.0,
            "ExecutionEndTime": 1_795_200_100.0, "Targets": [{ "Key": "ParameterValues", "Values": [instance(1), instance(2), instance(3)] }] } })
    };
    for (status, third) in [("InProgress", None), ("Failed", Some(InvocationStatus::Failed))] {
        let answer = whole(status);
        let server = spoke_says(move |asked| match asked.operation.as_str() {
            "GetAutomationExecution" => Reply::Json(200, answer.clone()),
            _ if asked.json()["NextToken"].is_null() => {
                Reply::Json(200, json!({ "AutomationExecutionMetadataList": [child(1, "Success", Some(1_795_200_060.25))], "NextToken": "2" }))
            }
            _ => Reply::Json(200, json!({ "AutomationExecutionMetadataList": [child(2, "InProgress", None)] })),
        });
        let lines = server.cloud(CloudSettings::default()).execution(&spoke("111122223333"), &EXECUTION.parse().unwrap()).await.unwrap();
        let of = |n: u8| lines.iter().find(|line| line.instance == instance(n)).map(|line| line.status);
        assert_eq!((of(1), of(2), of(3)), (Some(InvocationStatus::Success), Some(InvocationStatus::InProgress), third), "{status}");
        let ended = lines.iter().find(|line| line.instance == instance(1)).and_then(|line| line.ended_at).unwrap();
        assert_eq!(ended.as_millisecond(), 1_795_200_060_250);
        let filters = &server.of("DescribeAutomationExecutions")[0].json()["Filters"];
        assert_eq!(filters, &json!([{ "Key": "ParentExecutionId", "Values": [EXECUTION] }]));
    }
}

#[tokio::test]
async fn a_search_leaves_children_and_other_runbooks_out() {
    let top = |id: u8, document: &str| {
        json!({ "AutomationExecutionId": format!("00000000-0000-4000-8000-{id:012}"), "DocumentName": document, "AutomationExecutionStatus": "InProgress",
            "ExecutionStartTime": 1_795_200_000.0, "Targets": [{ "Key": "ParameterValues", "Values": [instance(1)] }] })
    };
    let lines = json!([top(7, "AWSSupport-ConfigureEC2Metadata"), top(8, "AWSSupport-ConfigureEC2MetadataAndMore"), child(1, "InProgress", None)]);
    let server = spoke_says(move |_| Reply::Json(200, json!({ "AutomationExecutionMetadataList": lines })));
    let (after, before) = (Timestamp::from_second(1_795_199_700).unwrap(), Timestamp::from_second(1_795_200_900).unwrap());
    let found = server.cloud(CloudSettings::default()).list_executions(&spoke("111122223333"), "AWSSupport-ConfigureEC2Metadata", after, before).await.unwrap();
    assert_eq!(
        found.iter().map(|seen| (seen.command.as_str(), seen.instances.clone())).collect::<Vec<_>>(),
        [("00000000-0000-4000-8000-000000000007", vec![instance(1)])]
    );
    let filters = server.of("DescribeAutomationExecutions")[0].json()["Filters"].clone();
    assert_eq!(filters[1], json!({ "Key": "StartTimeAfter", "Values": ["2026-11-20T18:34:59Z"] }));
}
