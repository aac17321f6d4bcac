//! CloudWatch over the wire: alarms of the hub's account. Others have none here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Refusal, epoch};
use super::page::{self, Page, WrongToken};
use super::read;

/// Names of one question, and alarms of one page, at most.
const NAMES_MAX: usize = 100;
const PAGE_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    alarm_names: Vec<String>,
    /// Without it only metric alarms are told of.
    alarm_types: Option<Vec<String>>,
    max_records: Option<i64>,
    next_token: Option<String>,
}

/// DescribeAlarms, by name. A name that no alarm has is absent.
pub(super) fn describe_alarms(asked: &mut Asked<'_>, body: &[u8]) -> Answer {
    let describe: Describe = read(body)?;
    if describe.alarm_names.len() > NAMES_MAX {
        return Err(Refusal::constraint(format!("{} names", describe.alarm_names.len()), "alarmNames", "Member must have length less than or equal to 100"));
    }
    if asked.inner.state.alarms_denied {
        let (hub, region) = (asked.spoke.account, &asked.spoke.region);
        let message = format!("User: {hub} is not authorized to perform: cloudwatch:DescribeAlarms on resource: arn:aws:cloudwatch:{region}:{hub}:alarm:*");
        return Err(Refusal::new("AccessDenied", message));
    }
    let has = |kind: &str| describe.alarm_types.as_ref().map_or(kind == "MetricAlarm", |kinds| kinds.iter().any(|known| known == kind));
    let size = page::size(describe.max_records, "maxRecords", (1, NAMES_MAX, PAGE_MAX))?;
    let about = describe.alarm_names.join("\n");
    let wrong = |_: WrongToken| Refusal::new("InvalidNextToken", "The next token specified is invalid.");
    let page = Page::at(asked, &about, size, describe.next_token.as_deref()).map_err(wrong)?;
    let found = if asked.spoke.account == asked.hub { asked.inner.state.alarms(&describe.alarm_names) } else { Vec::new() };
    let found: Vec<_> = found.into_iter().filter(|(_, composite)| has(if *composite { "CompositeAlarm" } else { "MetricAlarm" })).collect();
    let updated = epoch(asked.inner.state.started);
    let place = format!("arn:aws:cloudwatch:{}:{}:alarm", asked.spoke.region, asked.spoke.account);
    let (mut metric, mut composite) = (Vec::new(), Vec::new());
    let (some, next) = page.cut(found);
    for (seen, is_composite) in some {
        let reason = if seen.reason.is_empty() { "Threshold Crossed: no datapoints were greater than the threshold (5.0)." } else { &seen.reason };
        let line: Value = json!({
            "AlarmName": seen.name, "AlarmArn": format!("{place}:{}", seen.name), "ActionsEnabled": true,
            "StateValue": seen.state.name(), "StateReason": reason, "StateUpdatedTimestamp": updated,
        });
        if is_composite { composite.push(line) } else { metric.push(line) }
    }
    Ok(super::answer::compact(json!({ "MetricAlarms": metric, "CompositeAlarms": composite, "NextToken": next })))
}
