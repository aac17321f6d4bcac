//! The cloud port on AWS against scripted answers on loopback: what is sent, how often, signed with what, and what each answer
//! proves. The SDK, its signing and its HTTP are the real ones.

#![cfg(test)]

#[path = "aws_cloud/alarms.rs"]
mod alarms;
#[path = "aws_cloud/automation.rs"]
mod automation;
#[path = "aws_cloud/exceptions.rs"]
mod exceptions;
#[path = "aws_cloud/impact.rs"]
mod impact;
#[path = "aws_cloud/notices.rs"]
mod notices;
#[path = "aws_cloud/patches.rs"]
mod patches;
#[path = "aws_cloud/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_aws::cloud::CloudSettings;
use tidegate_aws::secret::Secret;
use tidegate_engine::ports::{Cloud, RuleAt, SendRequest, Spoke};
use tidegate_events::event::SendOutcome;
use tidegate_events::fact::{Compliance, InvocationStatus};
use tidegate_events::host::{Ping, SpokeFault};
use tidegate_events::id::InstanceId;

use server::{Asked, Reply, Server, fault, hub, spoke_says};

fn spoke(account: &str) -> Spoke {
    Spoke { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

fn instance(n: u8) -> InstanceId {
    format!("i-{n:017x}").parse().unwrap()
}

fn request(signed_at: Timestamp) -> SendRequest {
    SendRequest {
        spoke: spoke("111122223333"),
        document: "AWS-RunPatchBaseline".into(),
        parameters: BTreeMap::from([("Operation".into(), vec!["Install".into()])]),
        instances: vec![instance(1), instance(2)],
        marker: "patch-default.1.w0/111122223333/eu-west-1/0/0 install 1".into(),
        timeout_secs: 600,
        execution_timeout_secs: 7200,
        max_concurrency: 2,
        signed_at,
    }
}

const COMMAND: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn accepted() -> Reply {
    Reply::Json(200, json!({ "Command": { "CommandId": COMMAND, "ExpiresAfter": 1_800_000_000.0 } }))
}

#[tokio::test]
async fn a_send_is_signed_with_the_time_of_its_intent() {
    let server = spoke_says(|_| accepted());
    let cloud = server.cloud(CloudSettings::default());
    for ago in [200, 0, 90] {
        let signed_at = Timestamp::now() - SignedDuration::from_secs(ago);
        let outcome = cloud.send(&request(signed_at)).await;
        assert_eq!(outcome, SendOutcome::Accepted { command: COMMAND.parse().unwrap(), expires_at: Timestamp::from_second(1_800_000_000).unwrap() });
        let sent = server.of("SendCommand").pop().unwrap();
        assert_eq!(sent.headers["x-amz-date"], signed_at.strftime("%Y%m%dT%H%M%SZ").to_string());
        assert_eq!(sent.key(), "ASIAIOSFODNN7EXAMPLE", "with the spoke's session");
    }
    let sent = server.of("SendCommand").pop().unwrap().json();
    assert_eq!(sent["InstanceIds"], json!([instance(1), instance(2)]));
    assert_eq!(sent["Comment"], request(Timestamp::now()).marker);
    assert_eq!((&sent["TimeoutSeconds"], &sent["MaxConcurrency"], &sent["MaxErrors"]), (&json!(600), &json!("2"), &json!("100%")));
    assert_eq!(sent["Parameters"], json!({ "Operation": ["Install"] }));
}

#[tokio::test]
async fn doubt_about_a_send_is_ambiguous_and_is_never_sent_again() {
    let html = |status| Reply::Text(status, "text/html", "<html>no</html>".into());
    type Made = Box<dyn Fn() -> Reply + Send>;
    let answers: Vec<(&str, Made)> = vec![
        ("500", Box::new(|| fault(500, "InternalServerError", "we do not know"))),
        ("a server fault with a wrong status", Box::new(|| fault(400, "InternalServerError", "we do not know"))),
        ("a throttle with a wrong status", Box::new(|| fault(503, "ThrottlingException", "Rate exceeded"))),
        ("503 as HTML", Box::new(move || html(503))),
        ("403 as HTML", Box::new(move || html(403))),
        ("400 without a code", Box::new(|| Reply::Json(400, json!({})))),
        ("reset", Box::new(|| Reply::Reset)),
        ("no command", Box::new(|| Reply::Json(200, json!({})))),
        ("an unreadable answer", Box::new(|| Reply::Text(200, "application/x-amz-json-1.1", "{\"Command\":".into()))),
    ];
    for (what, answer) in answers {
        let server = spoke_says(move |_| answer());
        let cloud = server.cloud(CloudSettings::default());
        let outcome = cloud.send(&request(Timestamp::now())).await;
        assert!(matches!(outcome, SendOutcome::Ambiguous { .. }), "{what}: {outcome:?}");
        assert_eq!(server.of("SendCommand").len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_send_without_an_answer_is_ambiguous() {
    let server = spoke_says(|_| Reply::Hang);
    let outcome = server.cloud(CloudSettings::default()).send(&request(Timestamp::now())).await;
    assert!(matches!(outcome, SendOutcome::Ambiguous { .. }), "{outcome:?}");
    assert_eq!(server.of("SendCommand").len(), 1);
}

#[tokio::test]
async fn a_refusal_says_what_was_wrong() {
    let named = format!("Instances [[{}, i-0fffffffffffffff0]] not in a valid state for account 111122223333", instance(2));
    let cases = [
        (fault(400, "InvalidInstanceId", &named), SendOutcome::InvalidInstances { named: vec![instance(2)] }),
        (fault(400, "InvalidInstanceId", "no names here"), SendOutcome::InvalidInstances { named: vec![] }),
        (fault(400, "ThrottlingException", "Rate exceeded"), SendOutcome::Throttled),
        (fault(400, "InvalidSignatureException", "Signature expired: 20261121T100000Z is now earlier than 20261121T100500Z"), SendOutcome::Throttled),
        (fault(400, "ExpiredTokenException", "The security token included in the request is expired"), SendOutcome::Throttled),
        (fault(400, "AccessDeniedException", "not you"), SendOutcome::Denied { why: "ssm:SendCommand: AccessDeniedException (HTTP 400): not you".into() }),
        (fault(400, "InvalidDocument", "none"), SendOutcome::Refused { why: "ssm:SendCommand: InvalidDocument (HTTP 400): none".into() }),
    ];
    for (answer, expected) in cases {
        let mut answer = Some(answer);
        let server = spoke_says(move |_| answer.take().expect("a refused send is not sent again"));
        assert_eq!(server.cloud(CloudSettings::default()).send(&request(Timestamp::now())).await, expected);
    }
}

#[tokio::test]
async fn what_never_left_is_not_ambiguous() {
    let server = spoke_says(|_| accepted());
    let cloud = server.cloud(CloudSettings::default());
    assert!(matches!(cloud.send(&request(Timestamp::now())).await, SendOutcome::Accepted { .. }));
    server.close();
    assert_eq!(cloud.send(&request(Timestamp::now())).await, SendOutcome::Throttled, "nobody listens: tried again under all gates");
    let mut many = request(Timestamp::now());
    many.instances = (0..51).map(instance).collect();
    assert!(matches!(cloud.send(&many).await, SendOutcome::Refused { .. }), "51 ids are no throttle");
    assert_eq!(server.of("SendCommand").len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_replaced() {
    let mut first = true;
    let server = spoke_says(move |_| if std::mem::take(&mut first) { fault(400, "ExpiredTokenException", "over") } else { accepted() });
    let cloud = server.cloud(CloudSettings::default());
    assert_eq!(cloud.send(&request(Timestamp::now())).await, SendOutcome::Throttled);
    assert!(matches!(cloud.send(&request(Timestamp::now())).await, SendOutcome::Accepted { .. }));
    assert_eq!(server.of("AssumeRole").len(), 2);
}

fn described(asked: &Asked) -> Reply {
    let ids = asked.json()["Filters"][0]["Values"].clone();
    let lines: Vec<Value> = ids.as_array().unwrap().iter().map(|id| json!({ "InstanceId": id, "PingStatus": "Online", "PlatformType": "Linux" })).collect();
    Reply::Json(200, json!({ "InstanceInformationList": lines }))
}

#[tokio::test]
async fn one_session_serves_all_who_wait_for_it() {
    let server = spoke_says(described);
    let settings = CloudSettings {
        external_id: Some(Secret::new("tide-42")),
        session_tags: BTreeMap::from([("team".into(), "patching".into())]),
        hub_account: Some("999900001111".parse().unwrap()),
        ..CloudSettings::default()
    };
    let cloud = server.cloud(settings);
    let asks = (0..20u8).map(|n| {
        let cloud = cloud.clone();
        tokio::spawn(async move {
            let spoke = Spoke { account: "111122223333".parse().unwrap(), region: ["eu-west-1", "us-east-1"][usize::from(n % 2)].parse().unwrap() };
            cloud.describe(&spoke, &[instance(n)]).await
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap().unwrap()[0].ping, Ping::Online);
    }
    let assumed = server.of("AssumeRole");
    assert_eq!(assumed.len(), 1);
    for field in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2FPatchExecRole",
        "ExternalId=tide-42",
        "Tags.member.1.Key=team",
        "Tags.member.1.Value=patching",
        "SourceIdentity=wave-tidegate",
        "DurationSeconds=3600",
    ] {
        assert!(assumed[0].has(field), "{field} is not in {}", assumed[0].body);
    }
    assert_eq!((server.of("ListRoots").len(), server.of("ListAccountsForParent").len()), (1, 3));
    let calls = cloud.calls();
    let in_spoke = |region: &str| calls[&(Some("111122223333".parse().unwrap()), Some(region.parse().unwrap()), "ssm:DescribeInstanceInformation")];
    assert_eq!((in_spoke("eu-west-1"), in_spoke("us-east-1")), (10, 10));
    assert_eq!(calls[&(Some("999900001111".parse().unwrap()), Some("eu-west-1".parse().unwrap()), "sts:AssumeRole")], 1);
}

#[tokio::test]
async fn a_role_that_does_not_trust_us_is_asked_once() {
    let server = Server::start(|asked| match asked.operation.as_str() {
        "AssumeRole" => Reply::Text(
            403,
            "text/xml",
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: x is not authorized\n to perform: sts:AssumeRole</Message></Error></ErrorResponse>"
                .into(),
        ),
        _ => hub(asked).unwrap(),
    });
    let cloud = server.cloud(CloudSettings::default());
    let denied = SpokeFault::RoleDenied("User: x is not authorized to perform: sts:AssumeRole".into());
    for _ in 0..5 {
        assert_eq!(cloud.describe(&spoke("111122223333"), &[instance(1)]).await, Err(denied.clone()));
    }
    assert_eq!(cloud.send(&request(Timestamp::now())).await, SendOutcome::Denied { why: denied.to_string() });
    assert_eq!((server.of("AssumeRole").len(), server.of("SendCommand").len()), (1, 0));
}

#[tokio::test]
async fn only_active_accounts_of_the_directory_are_entered() {
    let server = spoke_says(described);
    let cloud = server.cloud(CloudSettings::default());
    let enter = async |account: &str| cloud.describe(&spoke(account), &[instance(1)]).await.map(|hosts| hosts.len());
    assert_eq!(enter("444455556666").await, Err(SpokeFault::AccountSuspended));
    assert_eq!(enter("222233334444").await, Err(SpokeFault::AccountUnknown));
    assert_eq!(enter("222233334444").await, Err(SpokeFault::AccountUnknown));
    assert!(matches!(enter("123456789012").await, Err(SpokeFault::NoAnswer(why)) if why.contains("PENDING_ACTIVATION")));
    assert_eq!(server.of("AssumeRole").len(), 0);
    assert_eq!(server.of("ListRoots").len(), 1, "an unknown account is looked for once a minute");
    assert_eq!(enter("777788889999").await, Ok(1), "an endpoint that gives no State is read by Status");
}

#[tokio::test]
async fn without_an_organization_the_hub_is_its_own_spoke() {
    let server = Server::start(|asked| match asked.operation.as_str() {
        "ListRoots" => fault(400, "AWSOrganizationsNotInUseException", "Your account is not a member of an organization."),
        "GetCallerIdentity" => Reply::Text(
            200,
            "text/xml",
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>".into(),
        ),
        _ => described(asked),
    });
    let cloud = server.cloud(CloudSettings::default());
    assert_eq!(cloud.describe(&spoke("111122223333"), &[instance(1)]).await.unwrap().len(), 1);
    assert_eq!(cloud.describe(&spoke("444455556666"), &[instance(1)]).await, Err(SpokeFault::AccountUnknown));
    assert_eq!(server.of("DescribeInstanceInformation").pop().unwrap().key(), "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(server.of("AssumeRole").len(), 0);
}

#[tokio::test]
async fn a_search_is_complete_or_an_error() {
    let line = |n: u8| json!({ "CommandId": format!("01234567-89ab-cdef-0123-4567890000{n:02}"), "Comment": format!("m{n}"), "RequestedDateTime": 1.8e9, "ExpiresAfter": 1.8e9 });
    for broken in [false, true] {
        let server = spoke_says(move |asked| match asked.json()["NextToken"].as_str() {
            None => Reply::Json(200, json!({ "Commands": [line(1)], "NextToken": "a" })),
            Some("a") => Reply::Json(200, json!({ "Commands": [], "NextToken": "b" })),
            _ if broken => fault(400, "ThrottlingException", "Rate exceeded"),
            _ => Reply::Json(200, json!({ "Commands": [line(2)], "NextToken": "" })),
        });
        let cloud = server.cloud(CloudSettings::default());
        let (after, before) = ("2026-11-21T10:00:00Z".parse().unwrap(), "2026-11-21T10:20:00Z".parse().unwrap());
        let found = cloud.list_commands(&spoke("111122223333"), "AWS-RunPatchBaseline", after, before).await;
        if broken {
            assert_eq!(found, Err(SpokeFault::Throttled));
            let sent = cloud.calls()[&(Some("111122223333".parse().unwrap()), Some("eu-west-1".parse().unwrap()), "ssm:ListCommands")];
            assert_eq!((sent, server.of("ListCommands").len()), (5, 5), "two pages, and three tries of the third");
        } else {
            assert_eq!(found.unwrap().iter().map(|seen| seen.marker.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
        }
        let filters = server.of("ListCommands")[0].json()["Filters"].clone();
        assert_eq!(filters[0], json!({ "key": "InvokedAfter", "value": "2026-11-21T09:59:59Z" }));
        assert_eq!(filters[2], json!({ "key": "DocumentName", "value": "AWS-RunPatchBaseline" }));
    }
}

#[tokio::test]
async fn pages_that_do_not_end_are_an_error() {
    let server = spoke_says(|_| Reply::Json(200, json!({ "Commands": [], "NextToken": "again" })));
    let now = Timestamp::now();
    let found = server.cloud(CloudSettings::default()).list_commands(&spoke("111122223333"), "x", now, now).await;
    assert!(matches!(found, Err(SpokeFault::NoAnswer(_))), "{found:?}");
    assert_eq!(server.of("ListCommands").len(), 2);
}

#[tokio::test]
async fn ids_that_ssm_does_not_know_are_absent() {
    for names_them in [true, false] {
        let server = spoke_says(move |asked| {
            let ids = asked.json()["Filters"][0]["Values"].to_string();
            let unknown = [instance(3), instance(7)].into_iter().filter(|id| ids.contains(id.as_str())).map(|id| id.to_string()).collect::<Vec<_>>();
            match unknown.is_empty() {
                true => described(asked),
                false => fault(400, "InvalidInstanceId", if names_them { &unknown[0] } else { "some instance is not valid" }),
            }
        });
        let asked: Vec<InstanceId> = (1..=10).map(instance).collect();
        let found = server.cloud(CloudSettings::default()).describe(&spoke("111122223333"), &asked).await.unwrap();
        let found: Vec<InstanceId> = found.into_iter().map(|host| host.instance).collect();
        assert_eq!(found, asked.into_iter().filter(|id| ![instance(3), instance(7)].contains(id)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn tags_come_with_a_look_up_where_they_are_wanted() {
    let server = spoke_says(|asked| match asked.operation.as_str() {
        "GetResources" => {
            let arn = asked.json()["ResourceARNList"][1].clone();
            Reply::Json(200, json!({ "ResourceTagMappingList": [{ "ResourceARN": arn, "Tags": [{ "Key": "env", "Value": "prod" }] }], "PaginationToken": "" }))
        }
        _ => described(asked),
    });
    let hybrid: InstanceId = "mi-0123456789abcdef0".parse().unwrap();
    let cloud = server.cloud(CloudSettings { tags_wanted: true, ..CloudSettings::default() });
    let hosts = cloud.describe(&spoke("111122223333"), &[instance(1), hybrid]).await.unwrap();
    assert!(hosts[0].tags.is_empty());
    assert_eq!(hosts[1].tags, BTreeMap::from([("env".to_owned(), "prod".to_owned())]));
    let arns = server.of("GetResources")[0].json()["ResourceARNList"].clone();
    let expected =
        ["arn:aws:ec2:eu-west-1:111122223333:instance/i-00000000000000001", "arn:aws:ssm:eu-west-1:111122223333:managed-instance/mi-0123456789abcdef0"];
    assert_eq!(arns, json!(expected));
}

#[tokio::test]
async fn an_invocation_ends_when_its_last_plugin_ended() {
    let server = spoke_says(|asked| {
        assert_eq!(asked.json()["Details"], true);
        let plugin = |at: f64| json!({ "Name": "PatchLinux", "ResponseFinishDateTime": at });
        Reply::Json(
            200,
            json!({ "CommandInvocations": [
                { "InstanceId": instance(1), "Status": "Success", "StatusDetails": "Success", "CommandPlugins": [plugin(1.8e9), plugin(1.8e9 - 60.0)] },
                { "InstanceId": instance(2), "Status": "TimedOut", "StatusDetails": "Delivery Timed Out", "CommandPlugins": [] },
                { "InstanceId": instance(3), "Status": "Exploded", "StatusDetails": "" },
            ] }),
        )
    });
    let seen = server.cloud(CloudSettings::default()).invocations(&spoke("111122223333"), &COMMAND.parse().unwrap()).await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].status, seen[0].ended_at), (InvocationStatus::Success, Timestamp::from_second(1_800_000_000).ok()));
    assert_eq!((seen[1].status, seen[1].ended_at), (InvocationStatus::DeliveryTimedOut, None));
}

const RULE: &str = "OrgConfigRule-ec2-managedinstance-patch-compliance-status-check-abcdefgh";

fn result(rule: &str, kind: &str, resource: &str, compliance: &str, ordering: f64) -> Value {
    let qualifier = json!({ "ConfigRuleName": rule, "ResourceType": kind, "ResourceId": resource });
    let identifier = json!({ "EvaluationResultQualifier": qualifier, "OrderingTimestamp": ordering });
    json!({ "EvaluationResultIdentifier": identifier, "ComplianceType": compliance, "ResultRecordedTime": ordering + 30.0 })
}

#[tokio::test]
async fn the_newest_word_of_any_patch_rule_counts() {
    let server = spoke_says(|asked| {
        let (kind, id) = (asked.json()["ResourceType"].as_str().unwrap().to_owned(), asked.json()["ResourceId"].as_str().unwrap().to_owned());
        let results = match id.strip_prefix("AWS::SSM::ManagedInstanceInventory/") {
            Some(of) if of == instance(1).as_str() => {
                vec![result("patched-by-hand", &kind, &id, "NON_COMPLIANT", 100.0), result(RULE, &kind, &id, "COMPLIANT", 200.0)]
            }
            None if kind == "AWS::EC2::Instance" => vec![result("required-tags", &kind, &id, "NON_COMPLIANT", 300.0)],
            _ => vec![],
        };
        Reply::Json(200, json!({ "EvaluationResults": results }))
    });
    let found = server.cloud(CloudSettings::default()).compliance(&spoke("111122223333"), &[instance(1), instance(2)]).await.unwrap();
    let fact = found[0].1.clone().unwrap();
    assert_eq!((fact.compliance, fact.ordering.as_second(), fact.recorded.as_second()), (Compliance::Compliant, 200, 230));
    assert_eq!(found[1], (instance(2), None), "another rule's word on the same instance is none of ours");
}

#[tokio::test]
async fn an_evaluation_that_runs_already_is_taken_and_gone_rules_are_dropped() {
    let server = spoke_says(|asked| {
        let names = asked.json()["ConfigRuleNames"].to_string();
        match names.contains("gone") {
            true => fault(400, "NoSuchConfigRuleException", "The ConfigRule 'gone' provided in the request is invalid."),
            false => fault(400, "LimitExceededException", "in progress"),
        }
    });
    let cloud = server.cloud(CloudSettings::default());
    assert_eq!(cloud.start_evaluation(&spoke("111122223333"), &[RULE.to_owned(), "gone".to_owned()]).await, Ok(()));
    assert_eq!(server.of("StartConfigRulesEvaluation").pop().unwrap().json()["ConfigRuleNames"], json!([RULE]));
}

#[tokio::test]
async fn the_sweep_reads_through_empty_pages_and_active_accounts_only() {
    let server = spoke_says(|asked| {
        let line = |rule: &str, account: &str| json!({ "ConfigRuleName": rule, "AccountId": account, "AwsRegion": "eu-west-1" });
        let next = asked.json()["NextToken"].clone();
        match (asked.operation.as_str(), next.is_null()) {
            ("DescribeAggregateComplianceByConfigRules", true) => Reply::Json(200, json!({ "AggregateComplianceByConfigRules": [], "NextToken": "2" })),
            ("DescribeAggregateComplianceByConfigRules", false) => {
                let lines = [line(RULE, "111122223333"), line("required-tags", "111122223333"), line(RULE, "444455556666")];
                Reply::Json(200, json!({ "AggregateComplianceByConfigRules": lines }))
            }
            (_, true) => Reply::Json(200, json!({ "AggregateEvaluationResults": [], "NextToken": "2" })),
            _ => {
                let of = |resource: String, ordering| result(RULE, "AWS::SSM::PatchCompliance", &resource, "NON_COMPLIANT", ordering);
                let lines = [of(instance(1).to_string(), 100.0), of(format!("AWS::SSM::ManagedInstanceInventory/{}", instance(2)), 200.0)];
                Reply::Json(200, json!({ "AggregateEvaluationResults": lines }))
            }
        }
    });
    let cloud = server.cloud(CloudSettings { aggregator: Some("estate".into()), ..CloudSettings::default() });
    let (mut rules, mut next) = (Vec::new(), None);
    loop {
        let page = cloud.rules_with_findings(next.as_deref()).await.unwrap();
        rules.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(rules, [RuleAt { rule: RULE.into(), spoke: spoke("111122223333") }]);
    let first = cloud.findings(&rules[0], None).await.unwrap();
    assert_eq!((first.items.len(), first.next.as_deref()), (0, Some("2")), "an empty page is not the last one");
    let second = cloud.findings(&rules[0], first.next.as_deref()).await.unwrap();
    assert_eq!(second.next, None);
    let found = second.items;
    let targets: Vec<String> = found.iter().map(|(target, _)| target.to_string()).collect();
    assert_eq!(targets, [1, 2].map(|n| format!("111122223333/eu-west-1/{}", instance(n))));
    assert_eq!(server.of("GetAggregateComplianceDetailsByConfigRule").len(), 2);
}

#[tokio::test]
async fn a_calendar_is_open_only_where_aws_clearly_says_so() {
    let at: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
    let answer = |state: &str, at: &str, next: Value| Reply::Json(200, json!({ "State": state, "AtTime": at, "NextTransitionTime": next }));
    let (now, later) = ("2026-11-20T18:00:00Z", at + SignedDuration::from_hours(60));
    let cases = [
        (answer("OPEN", now, json!("2026-11-23T06:00:00Z")), Some((true, Some(later)))),
        (answer("CLOSED", now, json!("2026-11-23T06:00:00Z")), Some((false, Some(later)))),
        (answer("OPEN", now, Value::Null), Some((true, None))),
        (answer("AJAR", now, Value::Null), None),
        (answer("OPEN", "soon", Value::Null), None),
        (answer("OPEN", now, json!("soon")), None),
        (Reply::Json(200, json!({})), None),
        (fault(400, "InvalidDocument", "The specified SSM document doesn't exist."), None),
        (fault(400, "AccessDeniedException", "not you"), None),
    ];
    let name = "arn:aws:ssm:us-east-2:111122223333:document/MyCalendar";
    for (place, (reply, expected)) in cases.into_iter().enumerate() {
        let mut reply = Some(reply);
        let server = spoke_says(move |_| reply.take().expect("asked once"));
        let seen = server.cloud(CloudSettings::default()).calendar(name).await;
        assert_eq!(seen.as_ref().ok().map(|seen| (seen.open, seen.turns_at)), expected, "case {place}: {seen:?}");
        assert!(seen.is_err() || seen.is_ok_and(|seen| seen.at == at), "by AWS's clock");
        let asked = server.of("GetCalendarState").pop().unwrap();
        assert_eq!(asked.json(), json!({ "CalendarNames": [name] }));
        assert!(server.of("AssumeRole").is_empty(), "it is asked in the hub, with the hub's own credentials");
    }
}

#[tokio::test]
async fn the_inventory_counts_active_accounts_and_is_kept() {
    let server = spoke_says(|asked| {
        let row = |account: &str, region: &str, nodes: u64| json!({ "accountId": account, "awsRegion": region, "COUNT(*)": nodes }).to_string();
        let tagged = |value: &str| json!({ "accountId": "111122223333", "awsRegion": "eu-west-1", "tags": [{ "key": "env", "value": value }] }).to_string();
        let rows = match asked.json()["Expression"].as_str().unwrap().contains("tags.key = 'env'") {
            true => vec![tagged("prod"), tagged("test"), tagged("prod")],
            false => vec![row("111122223333", "eu-west-1", 40), row("111122223333", "us-east-1", 2), row("444455556666", "eu-west-1", 500)],
        };
        Reply::Json(200, json!({ "Results": rows }))
    });
    let cloud = server.cloud(CloudSettings { aggregator: Some("estate".into()), ..CloudSettings::default() });
    for _ in 0..3 {
        let inventory = cloud.inventory(Some("env")).await.unwrap();
        assert_eq!((inventory.total, inventory.by_account.len()), (42, 1));
        let tagged = BTreeMap::from([("prod".to_owned(), 2), ("test".to_owned(), 1)]);
        assert_eq!(inventory.by_tag, tagged);
        let at = spoke("111122223333");
        assert_eq!(inventory.by_tag_at, BTreeMap::from([(at.account, BTreeMap::from([(at.region, tagged)]))]));
        assert_eq!(inventory.ous[&"111122223333".parse().unwrap()], ["r-ab12", "Root", "ou-ab12-11111111", "prod"]);
    }
    assert_eq!(server.of("SelectAggregateResourceConfig").len(), 2);
    let without = server.cloud(CloudSettings::default());
    assert!(without.inventory(None).await.is_err() && without.rules_with_findings(None).await.is_err(), "without an aggregator nothing is known");
}

#[tokio::test]
async fn spokes_are_open_accounts_in_every_region_that_anybody_named() {
    let server = spoke_says(|_| {
        let row = |account: &str, region: &str| json!({ "accountId": account, "awsRegion": region, "COUNT(*)": 1 }).to_string();
        Reply::Json(200, json!({ "Results": [row("111122223333", "us-east-1"), row("111122223333", "eu-west-1")] }))
    });
    let at = |spokes: Vec<Spoke>| -> Vec<String> { spokes.into_iter().map(|spoke| format!("{}/{}", spoke.account, spoke.region)).collect() };
    let hub = server.cloud(CloudSettings::default());
    let here = at(hub.spokes().await.unwrap());
    assert_eq!(here, ["111122223333/eu-west-1", "777788889999/eu-west-1"], "without an aggregator there is the hub's Region");
    assert!(server.of("SelectAggregateResourceConfig").is_empty());
    let settings = CloudSettings { aggregator: Some("estate".into()), regions: vec!["ap-south-1".parse().unwrap()], ..CloudSettings::default() };
    let all = at(server.cloud(settings).spokes().await.unwrap());
    let expected = ["111122223333", "777788889999"].map(|account| ["ap-south-1", "eu-west-1", "us-east-1"].map(|region| format!("{account}/{region}")));
    assert_eq!(all, expected.concat(), "accounts that may be entered, each in all Regions");
}

#[tokio::test]
async fn managed_nodes_are_read_page_by_page() {
    let server = spoke_says(|asked| match (asked.operation.as_str(), asked.json()["NextToken"].as_str()) {
        ("GetResources", _) => {
            let arn = asked.json()["ResourceARNList"][0].clone();
            Reply::Json(200, json!({ "ResourceTagMappingList": [{ "ResourceARN": arn, "Tags": [{ "Key": "env", "Value": "prod" }] }] }))
        }
        (_, None) => {
            let line = |n, platform: &str| json!({ "InstanceId": instance(n), "PingStatus": "ConnectionLost", "PlatformType": platform });
            Reply::Json(200, json!({ "InstanceInformationList": [line(1, "Linux"), line(2, "Plan9"), line(3, "Windows")], "NextToken": "two" }))
        }
        (_, Some("two")) => Reply::Json(200, json!({ "InstanceInformationList": [], "NextToken": "three" })),
        (_, Some("three")) => Reply::Json(200, json!({ "InstanceInformationList": [{ "InstanceId": instance(4), "PlatformType": "Linux" }] })),
        (_, Some(round)) => Reply::Json(200, json!({ "InstanceInformationList": [], "NextToken": round })),
    });
    let cloud = server.cloud(CloudSettings::default());
    let at = spoke("111122223333");
    let first = cloud.managed_nodes(&at, None, true).await.unwrap();
    let ids: Vec<InstanceId> = first.items.iter().map(|host| host.instance.clone()).collect();
    assert_eq!((ids, first.next.as_deref()), (vec![instance(1), instance(3)], Some("two")), "a platform that nobody knows is left out");
    assert_eq!((first.items[0].ping, first.items[0].tags.get("env").map(String::as_str)), (Ping::ConnectionLost, Some("prod")));
    assert_eq!(cloud.managed_nodes(&at, Some("two"), true).await.unwrap().next.as_deref(), Some("three"));
    let last = cloud.managed_nodes(&at, Some("three"), false).await.unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    assert!(cloud.managed_nodes(&at, Some("round"), false).await.is_err(), "a page that is followed by itself");
    let asked = server.of("DescribeInstanceInformation");
    assert!(asked.iter().all(|asked| asked.json()["MaxResults"] == 50 && !asked.has("Filters")));
    assert_eq!(server.of("GetResources").len(), 1, "tags where they are wanted and there is somebody to have them");
}

#[tokio::test]
async fn throttled_reads_slow_down() {
    let mut left = 6;
    let server = spoke_says(move |asked| {
        left -= 1;
        if left >= 0 { fault(400, "ThrottlingException", "Rate exceeded") } else { described(asked) }
    });
    let cloud = server.cloud(CloudSettings::default());
    for _ in 0..2 {
        assert_eq!(cloud.describe(&spoke("111122223333"), &[instance(1)]).await, Err(SpokeFault::Throttled));
    }
    let started = Instant::now();
    for _ in 0..6 {
        cloud.describe(&spoke("111122223333"), &[instance(1)]).await.unwrap();
    }
    assert!(started.elapsed() > Duration::from_millis(500), "six calls took {:?}: the burst is not gone", started.elapsed());
}
