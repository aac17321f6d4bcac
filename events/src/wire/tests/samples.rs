//! The decision table: every file under `samples/` and what each piece of it turns out to be.

use super::*;
use crate::control::{Retried, Retry, Steer, Steered};
use crate::event::{Approval, Subject, Word};
use crate::id::Digest;

const NON_COMPLIANT: &str = "111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NON_COMPLIANT since 2026-11-19T19:03:50.251Z \
                             by Config rule `ec2-managedinstance-patch-compliance-status-check`";
const TERMINATED: &str = "111122223333/us-east-1/i-0a1b2c3d4e5f67890 is Terminated at 2026-11-20T03:30:00Z";
const SUCCESS: &str = "111122223333/us-east-1/i-0a1b2c3d4e5f67890: invocation of e8d3c0e4-71f7-4491-898f-c9b35bee5f3b is Success";

#[rustfmt::skip]
const TABLE: &[(&str, &[&str])] = &[
    (STANDALONE, &[NON_COMPLIANT]),
    ("02-config-noncompliant-first-evaluation-conformance-pack.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NON_COMPLIANT since 2026-11-19T11:04:51.916Z by Config rule `ec2-managedinstance-patch-compliance-status-check-conformance-pack-qayjyopmd`"]),
    ("03-config-compliant-after-remediation.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is COMPLIANT since 2026-11-20T03:40:41Z by Config rule `ec2-managedinstance-patch-compliance-status-check`"]),
    ("04-config-noncompliant-org-rule-evaluationmode.json", &["444455556666/eu-west-1/mi-0123456789abcdef0 is NON_COMPLIANT since 2026-11-19T15:45:10.17Z by Config rule `OrgConfigRule-ec2-managedinstance-patch-compliance-status-check-dbgzf8ba`"]),
    ("05-config-rules-reevaluation-started.json", &["ignored: AWS Config started to evaluate rule `ec2-managedinstance-patch-compliance-status-check`; it says nothing about a target"]),
    ("06-config-oversized-ci-change-patchcompliance.json", &["ignored: a configuration item changed; whether it is compliant is what the rule's own event says"]),
    ("07-ssm-configuration-compliance-state-change-patch.json", &["123456789012/us-east-2/i-01234567890abcdef is NON_COMPLIANT since 2017-07-17T19:02:31Z by Systems Manager compliance"]),
    ("08-ssm-command-status-change.json", &["111122223333/us-east-1: command e8d3c0e4-71f7-4491-898f-c9b35bee5f3b is Success"]),
    ("09-ssm-command-invocation-success.json", &[SUCCESS]),
    ("10-ssm-command-invocation-timedout.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890: invocation of e8d3c0e4-71f7-4491-898f-c9b35bee5f3b is Delivery Timed Out"]),
    ("11-ssm-automation-execution-status-change.json", &["123456789012/us-east-2: automation 333ba70b-2333-48db-b17e-a5e69c6f4d1c is successful"]),
    ("12-ec2-instance-state-change-terminated.json", &[TERMINATED]),
    ("13-securityhub-findings-imported-ssm2.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NON_COMPLIANT since 2026-11-19T19:10:11.731Z by Security Hub control `SSM.2`"]),
    ("14-inspector2-finding-ec2-package.json", &["ignored: Inspector names `CVE-2024-29069` on `i-12345678901234567` (it is closed): no catalog entry answers a CVE; what a baseline approves and an instance lacks is AWS Config's and Systems Manager's to say"]),
    ("15-lambda-sqs-batch-duplicate-and-poison.json", &[NON_COMPLIANT, NON_COMPLIANT, "rejected: Records[2].body: line 1, column 2: not JSON (key must be a string): expected an EventBridge event"]),
    ("16-config-bare-instance-id.json", &["111122223333/us-east-1/i-0b2c3d4e5f6789011 is NON_COMPLIANT since 2026-11-19T19:08:25.251Z by Config rule `ec2-managedinstance-patch-compliance-status-check`"]),
    ("17-config-not-applicable.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NOT_APPLICABLE since 2026-11-20T08:12:16.251Z by Config rule `ec2-managedinstance-patch-compliance-status-check`"]),
    ("18-config-securityhub-rule-name.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NON_COMPLIANT since 2026-11-19T19:04:26.251Z by Config rule `securityhub-ec2-managedinstance-patch-compliance-47a8a309`"]),
    ("19-calendar-closed.json", &["arn:aws:ssm:us-east-2:111122223333:document/MyCalendar is closed at 2026-11-20T18:00:00Z until 2026-11-23T06:00:00Z"]),
    ("20-approval.json", &["dana says Approve to patch-default.1 (af2bdbe1aa9b) at 2026-11-20T02:15:09Z: "]),
    ("21-tick.json", &["tick at 2026-11-20T02:16:00Z"]),
    ("22-instance-running.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is Running at 2026-11-20T03:20:00Z"]),
    ("23-ssm-compliant.json", &["123456789012/us-east-2/i-01234567890abcdef is COMPLIANT since 2017-07-17T19:02:31Z by Systems Manager compliance"]),
    ("24-config-insufficient-data.json", &["111122223333/us-east-1/i-0c3d4e5f678901122 is INSUFFICIENT_DATA since 2026-11-20T08:12:47.251Z by Config rule `ec2-managedinstance-patch-compliance-status-check`"]),
    ("25-config-proactive.json", &["ignored: a proactive evaluation judges a resource that does not exist yet"]),
    ("26-config-other-resource-type.json", &["ignored: understood, not handled: resources of type `AWS::IAM::User`, only `AWS::SSM::PatchCompliance`"]),
    ("27-ssm-association.json", &["ignored: understood, not handled: compliance of type `Association`, only `Patch`"]),
    ("28-calendar-open.json", &["arn:aws:ssm:us-east-2:111122223333:document/MyCalendar is open at 2026-11-23T06:00:07Z until 2026-12-18T18:00:00Z"]),
    ("29-lane-resumed.json", &["dana resumes patch-default: the failed canary had a full disk; grown and patched by hand"]),
    ("30-cord-pulled.json", &["kim pulls the cord"]),
    ("31-approval-rejects-a-wave.json", &["kim says Reject to patch-default.1.w0 (af2bdbe1aa9b) at 2026-11-20T02:20:31Z: quarter-end closing until Friday"]),
    ("32-sqs-batch-with-sns-notification.json", &[NON_COMPLIANT]),
    ("33-source-is-not-aws-ssm.json", &["ignored: understood, not handled: `Configuration Compliance State Change` of `aws.123456789012`"]),
    ("34-json-lines-with-broken-lines.jsonl", &[NON_COMPLIANT, "rejected: line 2, column 150: the JSON is cut off (EOF while parsing a string): expected a whole event", "rejected: line 4, column 2: not JSON (expected ident): expected an EventBridge event", "tick at 2026-11-20T02:16:00Z"]),
    ("35-health-event.json", &["ignored: understood, not handled: `AWS Health Event` of `aws.health`"]),
    ("36-array-with-a-batch-inside.json", &[TERMINATED, SUCCESS, "tick at 2026-11-20T02:16:00Z"]),
    ("37-securityhub-passed-instance-arn.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is COMPLIANT since 2026-11-20T03:52:07.114Z by Security Hub control `SSM.2`"]),
    ("38-securityhub-v2-failed.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is NON_COMPLIANT since 2026-11-19T19:10:11.731Z by Security Hub control `SSM.2`"]),
    ("39-securityhub-v2-passed.json", &["111122223333/us-east-1/i-0a1b2c3d4e5f67890 is COMPLIANT since 2026-11-20T03:52:07.114Z by Security Hub control `SSM.2`"]),
    ("40-securityhub-passed-on-the-account.json", &["ignored: understood, not handled: a finding about a resource of type `AwsAccount`, no instance"]),
    ("41-securityhub-other-account.json", &["ignored: a finding about 111122223333 in `us-east-1`, sent by 777788889999 in us-east-1: only what an account says of itself, in its own Region, counts"]),
    ("42-securityhub-other-account-region.json", &["ignored: a finding about 111122223333 in `us-east-1`, sent by 111122223333 in eu-west-1: only what an account says of itself, in its own Region, counts"]),
    ("43-securityhub-own-import.json", &["ignored: Tidegate imported this finding itself: it says nothing new"]),
    ("44-securityhub-import-that-looks-like-the-control.json", &["ignored: understood, not handled: findings of product `arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default`, only of Security Hub's own controls"]),
    ("45-securityhub-archived.json", &["ignored: the finding is archived, which says nothing about the instance"]),
    ("46-securityhub-suppressed.json", &["ignored: somebody suppressed the finding in Security Hub"]),
    ("47-securityhub-other-control.json", &["ignored: understood, not handled: findings of control `SSM.1`, only `SSM.2`"]),
    ("48-securityhub-not-available.json", &["ignored: Security Hub could not judge it, which says nothing"]),
    ("49-securityhub-v2-closed.json", &["ignored: the finding is closed, which says nothing about the instance"]),
    ("50-securityhub-v2-vulnerability.json", &["ignored: understood, not handled: findings of OCSF class 2002, only 2003"]),
    ("51-inspector2-active-with-a-fix.json", &["ignored: Inspector names `CVE-2024-29069` on `i-12345678901234567` (it may have a fix): no catalog entry answers a CVE; what a baseline approves and an instance lacks is AWS Config's and Systems Manager's to say"]),
    ("52-inspector2-other-account.json", &["ignored: an Inspector finding about 123456789012, sent by 777788889999: only what an account says of itself counts"]),
    ("53-inspector2-network-reachability.json", &["ignored: understood, not handled: Inspector findings of type `NETWORK_REACHABILITY`, only `PACKAGE_VULNERABILITY`"]),
    ("54-ssm-automation-step.json", &["ignored: step `runFixedCmds` of automation execution 333ba70b-2333-48db-b17e-a5e69c6f4d1c: the execution's own end is what counts"]),
];

/// One event each, and words that its reason must hold.
#[rustfmt::skip]
const MALFORMED: &[(&str, &[&str])] = &[
    ("account-is-a-number.json", &["account: expected text, got `111122223333`"]),
    ("account-mismatch.json", &["detail.awsAccountId: `444455556666` contradicts the envelope, whose account is `111122223333`"]),
    ("account-too-short.json", &["account: `12` is not an AWS account id: expected 12 digits"]),
    ("approval-bad-digest.json", &["detail.digest: `af2bdbe1aa9b` is not a digest: expected 64 hex digits"]),
    ("approval-bad-person.json", &["detail.by: `dana <dana@example.com>` is not a person's name"]),
    ("approval-bad-subject.json", &["detail.subject: `everything` is neither a campaign nor a wave"]),
    ("approval-reject-without-comment.json", &["detail.comment is missing"]),
    ("approval-unknown-key.json", &["detail has the unknown key `approver`"]),
    ("approval-unknown-word.json", &["detail.word: `yes` is not known: expected approve, reject or revoke"]),
    ("automation-bad-id.json", &["detail.ExecutionId: `333ba70b` is not an automation execution's id: expected a UUID of 36 characters"]),
    ("automation-step-without-name.json", &["detail.StepName is missing"]),
    ("automation-unknown-status.json", &["detail.Status: `Paused` is not known: expected an automation's status"]),
    ("bad-instance-id.json", &["detail.resourceId: `i-dev123456789abcdef0` is not an instance id"]),
    ("bad-region.json", &["region: `Ireland` is not an AWS Region"]),
    ("bad-result-recorded-time.json", &["detail.newEvaluationResult.resultRecordedTime: `2026-11-31T19:04:04Z` is not a time"]),
    ("bad-time.json", &["time: `yesterday` is not a time: expected RFC 3339"]),
    ("bare-config-notification.json", &["sends to an SNS topic", "EventBridge envelope"]),
    ("calendar-by-name.json", &["resources[0]: expected the calendar's ARN, got the text `MyCalendar`"]),
    ("calendar-unknown-state.json", &["detail.state: `AJAR` is not known"]),
    ("calendar-without-resources.json", &["resources is empty: expected the calendar's ARN"]),
    ("command-bad-id.json", &["detail.command-id: `e8d3c0e4` is not a command id"]),
    ("cord-is-text.json", &["detail.pulled: expected true or false, got the text `yes`"]),
    ("detail-is-text.json", &["detail: expected an object, got the text", "…`"]),
    ("empty.json", &["the input is empty"]),
    ("inspector2-unknown-status.json", &["detail.status: `OPEN` is not known: expected ACTIVE, SUPPRESSED or CLOSED"]),
    ("inspector2-without-cve.json", &["detail.packageVulnerabilityDetails.vulnerabilityId is missing"]),
    ("inspector2-without-resources.json", &["detail.resources: it is empty: expected a resource"]),
    ("instance-unknown-state.json", &["detail.state: `hibernating` is not known"]),
    ("invalid-utf8.json", &["line 16, column 88: not JSON (invalid unicode code point)"]),
    ("invocation-unknown-status.json", &["detail.status: `Exploded` is not known"]),
    ("invocation-without-instance.json", &["detail.instance-id is missing"]),
    ("lane-resumed-without-comment.json", &["detail.comment is empty"]),
    ("missing-account.json", &["account is missing"]),
    ("missing-comma.json", &["line 3, column 3: not JSON (expected `,` or `}`)"]),
    ("missing-detail.json", &["detail is missing"]),
    ("missing-new-evaluation-result.json", &["detail.newEvaluationResult is missing"]),
    ("missing-ordering-timestamp.json", &["detail.newEvaluationResult.evaluationResultIdentifier.orderingTimestamp is missing"]),
    ("missing-source.json", &["source is missing"]),
    ("nested-too-deep.json", &["nested too deep"]),
    ("not-an-object.json", &["expected an event, which is a JSON object, got"]),
    ("not-json.json", &["line 1, column 1: not JSON"]),
    ("null-new-evaluation-result.json", &["detail.newEvaluationResult: expected an object, got null"]),
    ("old-evaluation-result-is-text.json", &["detail.oldEvaluationResult: expected an object, got the text `COMPLIANT`"]),
    ("ordering-timestamp-is-a-number.json", &["orderingTimestamp: expected text, got `1795115030`"]),
    ("own-detail-type-misspelt.json", &["detail-type: `Tidegate Aproval`", "`Tidegate Approval`"]),
    ("qualifier-names-another-resource.json", &["evaluationResultQualifier.resourceId", "i-0ffffffffffffffff", "contradicts detail.resourceId"]),
    ("qualifier-names-another-rule.json", &["evaluationResultQualifier.configRuleName: `access-keys-rotated` contradicts detail.configRuleName"]),
    ("qualifier-names-another-type.json", &["evaluationResultQualifier.resourceType: `AWS::IAM::User` contradicts detail.resourceType"]),
    ("reevaluation-without-rules.json", &["detail.configRuleNames is missing"]),
    ("region-mismatch.json", &["detail.awsRegion: `eu-west-1` contradicts the envelope, whose region is `us-east-1`"]),
    ("resources-is-text.json", &["resources: expected an array, got the text"]),
    ("securityhub-arn-of-another-account.json", &["detail.findings[0].Resources[0].Id: `arn:aws:ec2:us-east-1:444455556666:instance/i-0a1b2c3d4e5f67890` contradicts the envelope, which says 111122223333 and us-east-1"]),
    ("securityhub-bad-instance.json", &["detail.findings[0].Resources[0].Id: `web-1` is not an instance id"]),
    ("securityhub-finding-is-text.json", &["detail.findings[0]: expected a finding, got the text `none`"]),
    ("securityhub-findings-is-text.json", &["detail.findings: expected an array, got the text `none`"]),
    ("securityhub-two-instances.json", &["detail.findings[0].Resources: i-0a1b2c3d4e5f67890 and i-0b2c3d4e5f6789011: expected one instance"]),
    ("securityhub-unknown-record-state.json", &["detail.findings[0].RecordState: `LOST` is not known: expected ACTIVE or ARCHIVED"]),
    ("securityhub-unknown-status.json", &["detail.findings[0].Compliance.Status: `NON_COMPLIANT` is not known: expected PASSED, WARNING, FAILED or NOT_AVAILABLE"]),
    ("securityhub-v2-class-is-text.json", &["detail.findings[0].class_uid: expected a whole number, got the text `2003`"]),
    ("securityhub-v2-unknown-activity.json", &["detail.findings[0].activity_id: `7` is not known: expected 1 (create), 2 (update) or 3 (close)"]),
    ("securityhub-v2-unknown-status.json", &["detail.findings[0].compliance.status_id: `5` is not known: expected 1 (pass), 2 (warning) or 3 (fail)"]),
    ("securityhub-v2-without-modified-time.json", &["detail.findings[0].finding_info.modified_time_dt is missing"]),
    ("securityhub-without-findings.json", &["detail.findings: it is empty: expected a finding"]),
    ("securityhub-without-resources.json", &["detail.findings[0].Resources: it is empty: expected an instance"]),
    ("securityhub-without-updated-at.json", &["detail.findings[0].UpdatedAt is missing"]),
    ("ssm-bad-resource-id.json", &["detail.resource-id: `ip-10-0-0-1` is not an instance id"]),
    ("ssm-upper-case-status.json", &["detail.compliance-status: `NON_COMPLIANT` is not known: expected compliant or non_compliant"]),
    ("tick-with-a-key.json", &["detail has the unknown key `at`: expected none"]),
    ("time-without-zone.json", &["time: `2026-11-19T19:04:05` is not a time"]),
    ("truncated.json", &["the JSON is cut off", "line "]),
    ("unknown-compliance-type.json", &["detail.newEvaluationResult.complianceType: `ERROR` is not known: expected COMPLIANT, NON_COMPLIANT"]),
    ("unknown-evaluation-mode.json", &["evaluationResultQualifier.evaluationMode: `PREDICTIVE` is not known"]),
    ("wrong-message-type.json", &["detail.messageType: `ConfigRulesEvaluationStarted` is not known: expected ComplianceChangeNotification"]),
];

/// More than one piece each: words that each piece's line must hold.
#[rustfmt::skip]
const MALFORMED_IN_PARTS: &[(&str, &[&str])] = &[
    ("array-of-everything-else.json", &["got `1`", "got `null`", "got `\"text\"`", "an array inside an array", "source is missing", TERMINATED]),
    ("batch-with-broken-records.json", &[SUCCESS, "Records[1].body is missing", "Records[2].body: expected text, got `7`", "Records[3]: expected an SQS message, got the text `poison`", "Message: line 1, column 2: not JSON", "Records[5].body is empty"]),
    ("securityhub-three-findings-one-broken.json", &["NON_COMPLIANT since 2026-11-19T19:10:11.731Z by Security Hub", "rejected: detail.findings[1].UpdatedAt: `today` is not a time", "NON_COMPLIANT since 2026-11-19T19:10:12.731Z by Security Hub"]),
    ("truncated-array.json", &[NON_COMPLIANT, TERMINATED, "the JSON is cut off"]),
];

#[test]
fn every_sample_has_its_outcome() {
    assert_eq!(files("samples"), TABLE.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "every sample is in the table");
    for (name, expected) in TABLE {
        let told: Vec<String> = read(&sample(name)).iter().map(|read| told(&read.parsed)).collect();
        assert_eq!(&told, expected, "{name}");
    }
}

#[test]
fn every_malformed_sample_is_rejected_for_its_reason() {
    let mut listed: Vec<&str> = MALFORMED.iter().chain(MALFORMED_IN_PARTS).map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(files("samples/malformed"), listed, "every malformed sample is in a table");
    for (name, words) in MALFORMED {
        let bytes = sample(&format!("malformed/{name}"));
        let pieces: Vec<String> = read(&bytes).iter().map(|read| told(&read.parsed)).collect();
        let [only] = pieces.as_slice() else { panic!("{name} is one piece, not {pieces:#?}") };
        assert!(only.starts_with("rejected: "), "{name}: {only}");
        assert!(words.iter().all(|word| only.contains(word)), "{name}: {only}");
        assert_eq!(kind(&parse(&bytes)), "rejected", "{name}");
    }
    for (name, expected) in MALFORMED_IN_PARTS {
        let pieces: Vec<String> = read(&sample(&format!("malformed/{name}"))).iter().map(|read| told(&read.parsed)).collect();
        assert_eq!(pieces.len(), expected.len(), "{name}: {pieces:#?}");
        for (piece, words) in pieces.iter().zip(*expected) {
            assert!(piece.contains(words), "{name}: {piece}");
        }
    }
}

#[test]
fn the_envelope_comes_along() {
    let Parsed::Event { event: Event::Finding { target, fact }, account, region, at, id } = parse(&sample(STANDALONE)) else { panic!("a finding") };
    assert_eq!(target, "111122223333/us-east-1/i-0a1b2c3d4e5f67890".parse::<TargetKey>().unwrap());
    assert_eq!((account, region), (Some(target.account), Some(target.region)));
    assert_eq!(at.to_string(), "2026-11-19T19:04:05Z");
    assert_eq!(fact.recorded.to_string(), "2026-11-19T19:04:04.741Z");
    assert_eq!(id.as_deref(), Some("c0bb891c-77fe-8518-14fc-be78b966f95b"));
}

#[test]
fn only_our_own_events_may_lack_account_and_region() {
    let mut tick = sample_value("21-tick.json");
    let mut terminated = sample_value("12-ec2-instance-state-change-terminated.json");
    for event in [&mut tick, &mut terminated] {
        event.as_object_mut().unwrap().remove("account");
        event.as_object_mut().unwrap().remove("region");
    }
    assert_eq!(kinds(tick.to_string()), ["tick"]);
    assert_eq!(told(&parse(terminated.to_string().as_bytes())), "rejected: account is missing");
    tick["account"] = "12".into();
    assert_eq!(kinds(tick.to_string()), ["rejected"]);
}

#[test]
fn what_we_write_is_what_we_read() {
    let at = "2026-11-20T02:15:09.123456789Z".parse().unwrap();
    let (dana, digest) = ("dana".parse::<crate::id::PersonId>().unwrap(), Digest::of(b"sample"));
    for (subject, word, comment) in
        [("patch-default.1", Word::Approve, ""), ("patch-default.12.w3", Word::Reject, "no\nnot \"today\""), ("a.0", Word::Revoke, "")]
    {
        let approval = Approval { subject: Subject::parse(subject).unwrap(), digest, word, by: dana.clone(), at, comment: comment.into() };
        let text = approval_to_json(&approval).to_string();
        let Parsed::Event { event, id, at: time, .. } = parse(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(event, Event::Approval(approval.clone()));
        assert_eq!((time, id.is_some()), (at, true));
        assert_eq!(text, approval_to_json(&approval).to_string(), "sent twice, it is one event");
    }
    let lane = "patch-default".parse().unwrap();
    let steer = |on: &str, go| Steer { on: Steered::parse(on).unwrap(), go, by: dana.clone(), comment: "because".into() };
    let retry = |what: &str| Retry { what: Retried::parse(what).unwrap(), by: dana.clone(), comment: "mended".into() };
    let ours = [
        tick_to_json(at),
        cord_to_json(true, false, &dana, "", at),
        cord_to_json(true, true, &dana, "smoke", at),
        cord_to_json(false, false, &dana, "put out", at),
        lane_resumed_to_json(&lane, &dana, "fixed", at),
        steer_to_json(&steer("patch-default", false), at),
        steer_to_json(&steer("patch-default.1", false), at),
        steer_to_json(&steer("patch-default.1", true), at),
        steer_to_json(&steer("patch-default", true), at),
        retry_to_json(&retry("patch-default.1"), at),
        retry_to_json(&retry("111122223333/eu-west-1/i-0123456789abcdef0"), at),
    ];
    let told: Vec<String> = ours.iter().map(|event| told(&parse(event.to_string().as_bytes()))).collect();
    let expected = [
        "tick at 2026-11-20T02:15:09.123456789Z",
        "dana pulls the cord",
        "dana pulls the cord to kill: smoke",
        "dana releases the cord: put out",
        "dana resumes patch-default: fixed",
        "dana pauses patch-default: because",
        "dana pauses patch-default.1: because",
        "dana resumes patch-default.1: because",
        "dana resumes patch-default: because",
        "dana retries patch-default.1: mended",
        "dana retries 111122223333/eu-west-1/i-0123456789abcdef0: mended",
    ];
    assert_eq!(told, expected);
    let silent = super::told(&parse(cord_to_json(false, false, &dana, "", at).to_string().as_bytes()));
    assert!(silent.contains("detail.comment is missing"), "{silent}");
}

#[test]
fn times_are_rfc_3339_and_nothing_wider() {
    let good = ["2026-11-19T19:04:05Z", "2026-11-19t19:04:05.251z", "2026-11-19T19:04:05+01:00", "2026-11-19T19:04:05.123456789-08:30"];
    let bad = ["", "2026-11-19", "2026-11-19 19:04:05Z", "2026-11-19T19:04Z", "2026-11-19T19:04:05", "2026-11-19T19:04:05.Z", "2026-11-19T19:04:05Z[UTC]"];
    assert!(good.iter().all(|text| reader::rfc3339(text).is_some()));
    for text in bad.iter().chain(&["2026-02-30T19:04:05Z", "2026-11-19T19:04:05+0100", "+002026-11-19T19:04:05Z", "2026-11-19T19:04:05Zé"]) {
        assert!(reader::rfc3339(text).is_none(), "{text}");
    }
}

#[test]
fn reasons_quote_the_input_briefly_and_without_control_characters() {
    let mut event = sample_value(STANDALONE);
    event["detail"]["resourceId"] = format!("\u{1b}[31m{}", "x".repeat(5000)).into();
    event["detail"]["newEvaluationResult"]["evaluationResultIdentifier"]["evaluationResultQualifier"]["resourceId"] = "other".into();
    let why = told(&parse(event.to_string().as_bytes()));
    assert!(why.len() < 400 && !why.contains(char::is_control), "{why}");
}
