//! CloudWatch alarms in the hub. One read of one operation is all that is asked of CloudWatch, so it is asked without a client of
//! its own: `DescribeAlarms` in the awsJson1.0 protocol, signed and sent once. Who gets no answer asks again in a minute.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_events::health::{AlarmSeen, AlarmState};
use tidegate_events::host::SpokeFault;

use super::Inner;
use super::fault::{Caller, Failure, Kind, Pages, trimmed};
use crate::clients::Hub;
use crate::signed::{Answer, Place, Signed};

const DESCRIBE: &str = "cloudwatch:DescribeAlarms";
/// The operation on the wire.
const TARGET: &str = "GraniteServiceVersion20100801.DescribeAlarms";
/// Names of one question at most.
const NAMES_MAX: usize = 100;
/// A whole answer, in seconds.
const ANSWER_SECS: u64 = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    metric_alarms: Vec<Alarm>,
    composite_alarms: Vec<Alarm>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    alarm_name: String,
    /// Where it is missing nobody knows what the alarm says.
    #[serde(default)]
    state_value: String,
    #[serde(default)]
    state_reason: Option<String>,
}

impl From<Alarm> for AlarmSeen {
    fn from(alarm: Alarm) -> Self {
        Self::new(alarm.alarm_name, AlarmState::read(&alarm.state_value), alarm.state_reason.as_deref().unwrap_or_default())
    }
}

/// The alarms of these names that exist.
pub(super) async fn read(inner: &Inner, names: &[String]) -> Result<Vec<AlarmSeen>, SpokeFault> {
    let mut seen = Vec::new();
    for names in names.chunks(NAMES_MAX) {
        seen.extend(describe(inner, names).await.map_err(Failure::in_hub)?);
    }
    Ok(seen)
}

async fn describe(inner: &Inner, names: &[String]) -> Result<Vec<AlarmSeen>, Failure> {
    let (mut seen, mut pages) = (Vec::new(), Pages::of(DESCRIBE));
    loop {
        // Without the types only metric alarms are told of.
        let mut question = json!({ "AlarmNames": names, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": NAMES_MAX });
        if let (Some(token), Some(fields)) = (pages.token(), question.as_object_mut()) {
            fields.insert("NextToken".to_owned(), Value::String(token));
        }
        let body = ask(inner, question.to_string().into_bytes()).await?;
        let page: Page = serde_json::from_slice(&body).map_err(|error| Failure::unreadable(DESCRIBE, &error.to_string()))?;
        seen.extend(page.metric_alarms.into_iter().chain(page.composite_alarms).map(AlarmSeen::from));
        if !pages.turn(page.next_token.as_deref())? {
            return Ok(seen);
        }
    }
}

async fn ask(inner: &Inner, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let failed = |kind: Kind, why: &str| Failure { operation: DESCRIBE, kind, status: None, code: String::new(), message: trimmed(why) };
    let signed = match inner.cloudwatch.get() {
        Some(signed) => signed,
        None => {
            let made = cloudwatch(&inner.hub).map_err(|why| failed(Kind::Unsent, &why))?;
            inner.cloudwatch.get_or_init(|| made)
        }
    };
    let caller = Caller::hub(&inner.hub);
    caller.turn(DESCRIBE).await?;
    caller.count(DESCRIBE);
    let sent = signed.send("POST", "/", &[("content-type", "application/x-amz-json-1.0"), ("x-amz-target", TARGET)], body);
    let answered = tokio::time::timeout(Duration::from_secs(ANSWER_SECS), sent).await;
    let answered = answered.map_err(|_| failed(Kind::Lost, "no answer within the time-out"))?;
    let Answer { status, body } = answered.map_err(|why| failed(Kind::Lost, &why))?;
    if (200..300).contains(&status) { Ok(body) } else { Err(Failure::answered(DESCRIBE, status, &body)) }
}

/// CloudWatch in the hub's Region. Sends nothing yet.
fn cloudwatch(hub: &Hub) -> Result<Signed, String> {
    let region = hub.region().map(ToString::to_string).ok_or("the hub's Region is not known: set `AWS_REGION`")?;
    let place = Place::parse(&endpoint(hub.sdk_config().endpoint_url(), &region), "CloudWatch")?;
    Ok(Signed::new(hub.clone(), place, "monitoring", region, ANSWER_SECS))
}

/// Where CloudWatch is: the configuration's own endpoint, or AWS's of the Region.
fn endpoint(configured: Option<&str>, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    configured.map_or_else(|| format!("https://monitoring.{region}.{domain}"), |url| url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudwatch_is_in_the_hubs_region_unless_an_endpoint_is_named() {
        assert_eq!(endpoint(None, "eu-west-1"), "https://monitoring.eu-west-1.amazonaws.com");
        assert_eq!(endpoint(None, "cn-north-1"), "https://monitoring.cn-north-1.amazonaws.com.cn");
        assert_eq!(endpoint(Some("http://127.0.0.1:4566/"), "eu-west-1"), "http://127.0.0.1:4566");
    }

    #[test]
    fn an_alarm_without_a_state_says_nothing() {
        let page: Page = serde_json::from_str(r#"{"MetricAlarms":[{"AlarmName":"a"},{"AlarmName":"b","StateValue":"ALARM","StateReason":"x  y"}]}"#).unwrap();
        let seen: Vec<AlarmSeen> = page.metric_alarms.into_iter().map(AlarmSeen::from).collect();
        assert_eq!(seen, [AlarmSeen::new("a", AlarmState::InsufficientData, ""), AlarmSeen::new("b", AlarmState::Alarm, "x y")]);
    }
}
