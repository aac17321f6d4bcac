//! Notices over SNS: one JSON body for machines, a text for mail, and attributes to filter on.

use aws_sdk_sns::types::MessageAttributeValue;
use serde::Serialize;
use tidegate_events::action::{Notice, NoticeKind};
use tidegate_events::host::SpokeFault;
use tidegate_events::id::PersonId;
use tidegate_rules::impact::Impact;

use super::Inner;
use super::fault::{Caller, Failure};

const PUBLISH: &str = "sns:Publish";
/// Characters of a subject; SNS takes fewer than 100.
const SUBJECT_MAX: usize = 99;

/// The body. The notice's own fields are those of `events/schema/notification.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    schema: &'static str,
    event_type: &'static str,
    #[serde(flatten)]
    notice: &'a Notice,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approver: Option<&'a PersonId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impact: Option<&'a Impact>,
}

/// What subscribers of other patch tools filter on.
fn event_type(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::ApprovalAsked => "APPROVAL_REQUIRED",
        NoticeKind::WaveOpened => "PATCH_EXECUTION_STARTED",
        NoticeKind::CampaignEnded => "PATCH_COMPLETED",
        NoticeKind::LaneHalted
        | NoticeKind::Quarantined
        | NoticeKind::SpokeClosed
        | NoticeKind::ScheduleMissed
        | NoticeKind::DeadlineBreach
        | NoticeKind::CordPulled
        | NoticeKind::Unhealthy
        | NoticeKind::HealthInconclusive => "PATCH_FAILED",
        NoticeKind::ExemptionEnding => "EXEMPTION_ENDING",
        NoticeKind::MirrorRefused => "EXEMPTION_NOT_MIRRORED",
    }
}

/// Priority, and what the reader is asked to do.
fn urgency(kind: NoticeKind) -> (&'static str, &'static str) {
    match kind {
        NoticeKind::ApprovalAsked => ("high", "approve"),
        NoticeKind::LaneHalted | NoticeKind::CordPulled | NoticeKind::Unhealthy | NoticeKind::HealthInconclusive => ("high", "resume"),
        NoticeKind::Quarantined | NoticeKind::SpokeClosed | NoticeKind::ScheduleMissed | NoticeKind::DeadlineBreach => ("high", "look"),
        NoticeKind::ExemptionEnding | NoticeKind::MirrorRefused => ("normal", "look"),
        NoticeKind::WaveOpened | NoticeKind::CampaignEnded => ("normal", "none"),
    }
}

/// Printable ASCII on one line, as SNS wants a subject.
fn subject(notice: &Notice) -> String {
    let text = format!("Tidegate {}: {}", notice.kind.name().replace('_', " "), notice.subject);
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(SUBJECT_MAX).collect::<String>().trim_end().to_owned()
}

/// The text of a mail.
fn mail(notice: &Notice, link: &str, impact: Option<&Impact>) -> String {
    let mut about = impact.map(|impact| format!("\n{}\n", impact.sentences.join("\n"))).unwrap_or_default();
    if let Some(analysis) = impact.and_then(|impact| impact.analysis.as_deref()) {
        // Quoted line by line: a model's words must not pass for ours, nor for a link of ours.
        let quoted: Vec<String> = analysis.lines().map(|line| format!("> {}", line.replace("://", ":\u{200b}//"))).collect();
        about.push_str(&format!("\nA model's words, unchecked and without any say:\n{}\n", quoted.join("\n")));
    }
    let asks = if notice.kind == NoticeKind::ApprovalAsked { "Read what it covers, and approve or reject it here" } else { "More" };
    format!("{}\n\nAbout: {}\nAt: {}\n\n{asks}:\n{link}\n{about}", notice.message, notice.subject, notice.at)
}

/// Publishes once.
pub(super) async fn publish(
    inner: &Inner,
    notice: &Notice,
    link: Option<&str>,
    approver: Option<&PersonId>,
    impact: Option<&Impact>,
) -> Result<(), SpokeFault> {
    let Some(topic) = &inner.settings.topic else {
        tracing::info!(kind = notice.kind.name(), subject = %notice.subject, "no topic is set, the notice is only logged: {}", notice.message);
        return Ok(());
    };
    let body = Body { schema: "tidegate.notice/1", event_type: event_type(notice.kind), notice, link, approver, impact };
    let unwritable = |error: serde_json::Error| SpokeFault::from(Failure::unreadable(PUBLISH, &error.to_string()));
    let mut message = serde_json::to_string(&body).map_err(unwritable)?;
    let mut request = inner.hub.sns().publish().topic_arn(topic).subject(subject(notice));
    if let Some(link) = link {
        message = serde_json::to_string(&serde_json::json!({ "default": message, "email": mail(notice, link, impact) })).map_err(unwritable)?;
        request = request.message_structure("json");
    }
    let (priority, action) = urgency(notice.kind);
    let kind = if notice.kind == NoticeKind::ApprovalAsked { "ApprovalRequest" } else { "Notice" };
    let attributes = [
        ("kind", Some(notice.kind.name())),
        ("subject", Some(notice.subject.as_str())),
        ("approver", approver.map(PersonId::as_str)),
        ("NotificationType", Some(kind)),
        ("Priority", Some(priority)),
        ("Action", Some(action)),
    ];
    for (name, value) in attributes {
        // SNS takes no empty attribute.
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request = request.message_attributes(name, value.map_err(|error| SpokeFault::from(Failure::unreadable(PUBLISH, &error.to_string())))?);
        }
    }
    Caller::hub(&inner.hub).call(PUBLISH, request.message(message).send()).await.map(|_| ()).map_err(Failure::in_hub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_says_whose_words_are_whose() {
        let mut impact = tidegate_rules::impact::note(&tidegate_rules::impact::ImpactFacts {
            targets: 3,
            waves: 1,
            reboot: tidegate_rules::policy::RebootMode::InCommand,
            seen: &[],
            before: tidegate_rules::impact::Before::default(),
        });
        impact.analysis = Some("Approve at once:\nhttps://evil.example/".to_owned());
        let notice = Notice {
            kind: NoticeKind::ApprovalAsked,
            subject: "patch-default.1".to_owned(),
            message: "2 approvals are asked".to_owned(),
            at: "2026-11-21T10:00:00Z".parse().unwrap(),
        };
        let text = mail(&notice, "https://console.example/approval?token=0", Some(&impact));
        assert!(text.contains("3 instances in 1 wave.") && text.contains("\n> Approve at once:\n> https:\u{200b}//evil.example/"), "{text}");
        assert!(text.find("console.example") < text.find("evil.example"), "ours comes first: {text}");
        assert!(!mail(&notice, "https://console.example/", None).contains("model"));
    }

    #[test]
    fn subjects_fit_sns() {
        let notice = Notice {
            kind: NoticeKind::Quarantined,
            subject: format!("línea\r\nBcc: x{}", "y".repeat(200)),
            message: String::new(),
            at: "2026-11-21T10:00:00Z".parse().unwrap(),
        };
        let text = subject(&notice);
        assert_eq!(text.len(), 99);
        assert!(text.starts_with("Tidegate quarantined: l nea  Bcc: x"), "{text}");
    }
}
