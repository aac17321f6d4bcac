//! Events as EventBridge writes them. The shapes are those of `events/samples`, and a test compares them.

use serde_json::{Value, json};
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, InstanceId, Region};

use crate::bus::{Letter, News};
use crate::clock::{Ms, iso, iso_secs, time};
use crate::draw::Draw;
use crate::host::{Host, Verdict};
use crate::spec::RULE;
use crate::state::{State, usize_of};

/// The resource type of the patch rule's findings (aws-facts 1.2).
pub(crate) const PATCH_COMPLIANCE: &str = "AWS::SSM::PatchCompliance";

/// The bytes of an event; `None` only for what is not in this world.
pub(crate) fn render(state: &State, letter: &Letter) -> Option<Vec<u8>> {
    let at = letter.at;
    let (source, kind, account, region, resources, detail) = match &letter.news {
        News::Compliance { host, rule, new, old } => {
            let host = state.host(*host)?;
            let detail = compliance(state, host, usize_of(*rule), *new, *old, at)?;
            ("aws.config", "Config Rules Compliance Change", host.key.account, &host.key.region, json!([]), detail)
        }
        News::Reevaluation { spoke } => {
            let spoke = &state.spokes.get(usize_of(*spoke))?.spoke;
            let rules = &state.accounts.get(&spoke.account)?.rules;
            let detail = json!({
                "awsAccountId": spoke.account, "awsRegion": spoke.region, "configRuleNames": rules, "notificationCreationTime": iso(at),
                "messageType": "ConfigRulesEvaluationStarted", "recordVersion": "1.0",
            });
            ("aws.config", "Config Rules Re-evaluation Status", spoke.account, &spoke.region, json!([]), detail)
        }
        News::SsmCompliance { host, compliant } => {
            let host = state.host(*host)?;
            let key = &host.key;
            let detail = json!({
                "resource-type": "managed-instance", "resource-id": key.instance, "compliance-status": if *compliant { "compliant" } else { "non_compliant" },
                "compliance-type": "Patch", "patch-baseline-id": baseline(state, host, true), "severity": if *compliant { "unspecified" } else { "critical" },
            });
            let resources = json!([format!("arn:{}:ssm:{}:{}:managed-instance/{}", partition(&key.region), key.region, key.account, key.instance)]);
            ("aws.ssm", "Configuration Compliance State Change", key.account, &key.region, resources, detail)
        }
        News::Command { command, status } => {
            let command = state.command(*command)?;
            let (record, spoke) = (&command.record, &command.record.spoke);
            let detail = json!({
                "command-id": record.command, "document-name": record.document, "expire-after": iso(command.expires), "parameters": record.parameters,
                "requested-date-time": iso(command.requested), "status": status,
            });
            let resources = json!(record.instances.iter().map(|id| instance_arn(spoke.account, &spoke.region, id)).collect::<Vec<_>>());
            ("aws.ssm", "EC2 Command Status-change Notification", spoke.account, &spoke.region, resources, detail)
        }
        News::Invocation { command, slot, status } => {
            let command = state.command(*command)?;
            let (record, spoke) = (&command.record, &command.record.spoke);
            let instance = &state.host(command.slots.get(usize_of(*slot))?.host)?.key.instance;
            let detail = json!({
                "command-id": record.command, "document-name": record.document, "instance-id": instance,
                "requested-date-time": iso(command.requested), "status": status,
            });
            let resources = json!([instance_arn(spoke.account, &spoke.region, instance)]);
            ("aws.ssm", "EC2 Command Invocation Status-change Notification", spoke.account, &spoke.region, resources, detail)
        }
        News::Execution { execution, status } => {
            let execution = state.execution(*execution)?;
            let (record, spoke) = (&execution.record, &execution.record.spoke);
            let mut detail = json!({
                "ExecutionId": record.execution, "Definition": record.document, "DefinitionVersion": 1.0, "Status": status,
                "StartTime": long(execution.requested), "ExecutedBy": format!("arn:{}:iam::{}:role/tidegate", partition(&spoke.region), spoke.account),
            });
            if let (Some(ended), Some(fields)) = (execution.ended, detail.as_object_mut()) {
                fields.extend([("EndTime".to_owned(), json!(long(ended))), ("Time".to_owned(), json!(ended - execution.requested))]);
            }
            let arn = |kind: &str, id: &str| format!("arn:{}:ssm:{}:{}:{kind}/{id}", partition(&spoke.region), spoke.region, spoke.account);
            let resources = json!([arn("automation-execution", record.execution.as_str()), arn("automation-definition", &format!("{}:1", record.document))]);
            ("aws.ssm", "EC2 Automation Execution Status-change Notification", spoke.account, &spoke.region, resources, detail)
        }
        News::Instance { host, state: to } => {
            let key = &state.host(*host)?.key;
            let resources = json!([instance_arn(key.account, &key.region, &key.instance)]);
            ("aws.ec2", "EC2 Instance State-change Notification", key.account, &key.region, resources, json!({ "instance-id": key.instance, "state": to }))
        }
    };
    let event = json!({
        "version": "0", "id": Draw::new(0, "event id").on(letter.id).uuid(), "detail-type": kind, "source": source,
        "account": account, "time": iso_secs(at), "region": region, "resources": resources, "detail": detail,
    });
    serde_json::to_vec(&event).ok()
}

/// `detail` of a compliance change: the old result is absent, not null, at the first evaluation (aws-facts 1.1).
fn compliance(state: &State, host: &Host, rule: usize, new: Verdict, old: Option<Verdict>, at: Ms) -> Option<Value> {
    let key = &host.key;
    let name = state.accounts.get(&key.account)?.rules.get(rule)?;
    let (resource, kind) = (state.resource_id(&key.instance), state.resource_type());
    let result = |verdict: Verdict| {
        json!({
            "evaluationResultIdentifier": {
                "evaluationResultQualifier": { "configRuleName": name, "resourceType": kind, "resourceId": resource },
                "orderingTimestamp": iso(verdict.ordering),
            },
            "complianceType": verdict.compliance,
            "resultRecordedTime": iso(verdict.recorded),
            "configRuleInvokedTime": iso(verdict.recorded - 400),
        })
    };
    let mut detail = json!({
        "resourceId": resource, "awsRegion": key.region, "awsAccountId": key.account, "configRuleName": name, "recordVersion": "1.0",
        "configRuleARN": rule_arn(key.account, &key.region, name), "messageType": "ComplianceChangeNotification",
        "newEvaluationResult": result(new), "notificationCreationTime": iso(at + 700), "resourceType": kind,
    });
    if let (Some(old), Some(fields)) = (old, detail.as_object_mut()) {
        fields.insert("oldEvaluationResult".to_owned(), result(old));
    }
    Some(detail)
}

/// A time as Automation writes it in its events: `Nov 29, 2016 7:43:20 PM`.
fn long(at: Ms) -> String {
    time(at).strftime("%b %-d, %Y %-I:%M:%S %p").to_string()
}

/// The ARN of a rule tells how it was made, as its name does (aws-facts 1.3).
pub(crate) fn rule_arn(account: AccountId, region: &Region, name: &str) -> String {
    let service = if name.starts_with("OrgConfigRule-") {
        "aws-service-rule/config-multiaccountsetup.amazonaws.com/"
    } else if name.starts_with("securityhub-") {
        "aws-service-rule/securityhub.amazonaws.com/"
    } else if name.starts_with(&format!("{RULE}-conformance-pack-")) {
        "aws-service-rule/config-conforms.amazonaws.com/"
    } else {
        ""
    };
    let id = Draw::new(0, "rule id").text(&account.to_string()).text(region.as_str()).text(name).hex(6);
    format!("arn:{}:config:{region}:{account}:config-rule/{service}config-rule-{id}", partition(region))
}

pub(crate) fn instance_arn(account: AccountId, region: &Region, instance: &InstanceId) -> String {
    let (service, kind) = if instance.is_hybrid() { ("ssm", "managed-instance") } else { ("ec2", "instance") };
    format!("arn:{}:{service}:{region}:{account}:{kind}/{instance}", partition(region))
}

pub(crate) fn partition(region: &Region) -> &'static str {
    match region.as_str() {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The baseline of an account, Region and platform, or the one that another scanner uses.
pub(crate) fn baseline(state: &State, host: &Host, own: bool) -> String {
    let platform = match host.platform {
        Platform::Linux => "Linux",
        Platform::Windows => "Windows",
        Platform::MacOS => "MacOS",
    };
    let whose = if own { "baseline" } else { "other baseline" };
    let id = state.draw(whose).text(&host.key.account.to_string()).text(host.key.region.as_str()).text(platform).hex(16);
    format!("pb-0{id}")
}
