//! Alarms on AWS: what goes over the wire, what each answer means, and the simulated organization as the other side.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tidegate_aws::clients::endpoint_config;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::secret::Secret;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::health::{AlarmSeen, AlarmState};
use tidegate_events::host::SpokeFault;
use tidegate_world::listen::{self, Listening};
use tidegate_world::{AccountSpec, AlarmSpec, Spec, World};
use tokio::net::TcpListener;

use super::server::{Reply, Server, fault};

const HUB: &str = "123456789012";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn metric_and_composite_alarms_are_read_page_by_page() {
    let server = Server::start(|asked| match asked.json()["NextToken"].as_str() {
        None => Reply::Json(200, json!({ "MetricAlarms": [{ "AlarmName": "a", "StateValue": "OK", "StateReason": "fine" }], "NextToken": "2" })),
        Some(_) => Reply::Json(200, json!({ "CompositeAlarms": [{ "AlarmName": "b", "StateValue": "ALARM", "StateReason": "a  and\nc" }] })),
    });
    let seen = server.cloud(CloudSettings::default()).alarms(&names(&["a", "b", "c"])).await.unwrap();
    assert_eq!(seen, [AlarmSeen::new("a", AlarmState::Ok, ""), AlarmSeen::new("b", AlarmState::Alarm, "a and c")]);
    let asked = server.of("DescribeAlarms");
    assert_eq!(asked.len(), 2);
    let (first, body) = (&asked[0], asked[0].json());
    assert_eq!(first.headers["x-amz-target"], "GraniteServiceVersion20100801.DescribeAlarms");
    assert_eq!(first.headers["content-type"], "application/x-amz-json-1.0");
    assert!(first.headers["authorization"].contains("/eu-west-1/monitoring/aws4_request"), "{}", first.headers["authorization"]);
    assert_eq!(body["AlarmNames"], json!(["a", "b", "c"]));
    assert_eq!(body["AlarmTypes"], json!(["MetricAlarm", "CompositeAlarm"]), "without them composite alarms are not told of");
}

#[tokio::test]
async fn whatever_goes_wrong_is_no_answer() {
    let says = |reply: fn() -> Reply| async move { Server::start(move |_| reply()).cloud(CloudSettings::default()).alarms(&names(&["a"])).await };
    assert_eq!(says(|| fault(400, "ThrottlingException", "Rate exceeded")).await, Err(SpokeFault::Throttled));
    let unanswered = |found: Result<Vec<AlarmSeen>, SpokeFault>| match found {
        Err(SpokeFault::NoAnswer(why)) => why,
        other => panic!("{other:?}"),
    };
    // A right that the hub lacks parks no spoke.
    let why = unanswered(says(|| fault(403, "AccessDenied", "User x is not authorized")).await);
    assert!(why.contains("cloudwatch:DescribeAlarms: AccessDenied (HTTP 403): User x is not authorized"), "{why}");
    unanswered(says(|| fault(500, "InternalServiceFault", "broken")).await);
    unanswered(says(|| Reply::Reset).await);
    unanswered(says(|| Reply::Text(200, "text/html", "<html>proxy</html>".into())).await);
    unanswered(says(|| Reply::Json(200, json!({ "MetricAlarms": [], "NextToken": "same" }))).await);
    let server = Server::start(|_| fault(500, "InternalServiceFault", "broken"));
    let cloud = server.cloud(CloudSettings::default());
    unanswered(cloud.alarms(&names(&["a"])).await);
    assert_eq!(server.of("DescribeAlarms").len(), 1, "sent once: whoever waits for it asks again in a minute");
    assert_eq!(cloud.calls().into_iter().map(|((_, _, call), times)| (call, times)).collect::<Vec<_>>(), [("cloudwatch:DescribeAlarms", 1)]);
}

#[tokio::test]
async fn the_simulated_organization_answers_as_cloudwatch_does() {
    let alarms = vec![
        AlarmSpec::ok("fine"),
        AlarmSpec::ok("off").then(0, AlarmState::Alarm),
        AlarmSpec { composite: true, ..AlarmSpec::ok("all").then(0, AlarmState::InsufficientData) },
    ];
    let account = AccountSpec::new("111122223333".parse().unwrap());
    let serve = async |spec: Spec| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = listen::url(listener.local_addr().unwrap());
        let how = Listening { hub: HUB.parse().unwrap(), identities: None };
        tokio::spawn(listen::serve(Arc::new(World::new(spec, Timestamp::now())), listener, how, || ()));
        move |key: &str| AwsCloud::new(endpoint_config(&url, &"eu-west-1".parse().unwrap(), key, &Secret::new("secret")), CloudSettings::default())
    };
    let spec = Spec { accounts: vec![account], alarms, ..Spec::default() };
    let cloud = serve(spec.clone()).await;
    let asked = names(&["fine", "off", "all", "nobody"]);
    let seen = cloud(HUB).alarms(&asked).await.unwrap();
    let states: Vec<(&str, AlarmState)> = seen.iter().map(|seen| (seen.name.as_str(), seen.state)).collect();
    assert_eq!(states, [("fine", AlarmState::Ok), ("off", AlarmState::Alarm), ("all", AlarmState::InsufficientData)]);
    assert!(seen[1].reason.starts_with("Threshold Crossed"), "{:?}", seen[1]);
    assert_eq!(cloud("111122223333").alarms(&asked).await.unwrap(), [], "a spoke has none");
    let denied = serve(Spec { alarms_denied: true, ..spec }).await(HUB).alarms(&asked).await;
    assert!(matches!(&denied, Err(SpokeFault::NoAnswer(why)) if why.contains("AccessDenied")), "{denied:?}");
}
