//! Notices in chat channels: the same words once more, in the form that Amazon Q Developer in chat applications hands on to Slack and
//! Teams, on a topic of their own. What is not in that form is dropped there. Source: its administrator guide, custom notifications.
//!
//! A channel is read by many, so no link that decides is in it; and it is a courtesy: who misses it has the mail.

use serde_json::{Value, json};
use tidegate_events::action::{Notice, NoticeKind};

use super::Inner;
use super::fault::{Caller, Failure};

const PUBLISH: &str = "sns:Publish";
/// Characters of a title, and of a thread's name. Ours: a channel shows no more of one on a line.
const TITLE_MAX: usize = 100;
/// Characters of a description. Ours: what is longer is read in the mail.
const DESCRIPTION_MAX: usize = 2_000;

/// What is published. A campaign's notices are one thread.
fn message(notice: &Notice) -> Value {
    let title = plain(&format!("Tidegate: {}", notice.kind.name().replace('_', " ")), TITLE_MAX);
    let description = plain(&format!("{}\nAbout {} at {}", notice.message, notice.subject, notice.at), DESCRIPTION_MAX);
    let next: &[&str] = match notice.kind {
        NoticeKind::ApprovalAsked => &["Use the link in your mail, or `tidegate approve`"],
        NoticeKind::LaneHalted | NoticeKind::CordPulled | NoticeKind::Unhealthy | NoticeKind::HealthInconclusive => {
            &["`tidegate status` says what holds; `tidegate resume` lets it go on"]
        }
        _ => &[],
    };
    let thread = notice.subject.split(".w").next().unwrap_or_default();
    let mut content = json!({ "textType": "client-markdown", "title": title, "description": description });
    if let Some(fields) = content.as_object_mut().filter(|_| !next.is_empty()) {
        fields.insert("nextSteps".to_owned(), json!(next));
    }
    json!({ "version": "1.0", "source": "custom", "content": content, "metadata": { "threadId": plain(thread, TITLE_MAX), "eventType": notice.kind.name() } })
}

/// People's words in it name nobody and link to nothing: `<!channel>` and `@everyone` are only text.
fn plain(text: &str, most: usize) -> String {
    let safe = |c: char| match c {
        '<' => '\u{2039}',
        '>' => '\u{203a}',
        '@' => '\u{ff20}',
        c if c.is_control() && c != '\n' => ' ',
        c => c,
    };
    text.chars().map(safe).take(most).collect()
}

/// Publishes once, where a topic is set. That it failed is logged: nobody waits for it.
pub(super) async fn tell(inner: &Inner, notice: &Notice) {
    let Some(topic) = &inner.settings.chat_topic else { return };
    let request = inner.hub.sns().publish().topic_arn(topic).message(message(notice).to_string());
    let told = Caller::hub(&inner.hub).call(PUBLISH, request.send()).await.map_err(Failure::in_hub);
    if let Err(fault) = told {
        tracing::warn!(kind = notice.kind.name(), subject = %notice.subject, %fault, "a notice did not reach the chat topic");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: NoticeKind, message: &str) -> Notice {
        Notice { kind, subject: "patch-default.1.w0".to_owned(), message: message.to_owned(), at: "2026-11-21T10:00:00Z".parse().unwrap() }
    }

    #[test]
    fn a_channel_gets_what_its_service_understands() {
        let told = message(&notice(NoticeKind::LaneHalted, "the lane is halted: 5 of 84 failed"));
        assert_eq!((&told["version"], &told["source"], &told["content"]["textType"]), (&json!("1.0"), &json!("custom"), &json!("client-markdown")));
        assert_eq!(told["content"]["title"], "Tidegate: lane halted");
        assert_eq!(told["content"]["description"], "the lane is halted: 5 of 84 failed\nAbout patch-default.1.w0 at 2026-11-21T10:00:00Z");
        assert_eq!((&told["metadata"]["threadId"], &told["metadata"]["eventType"]), (&json!("patch-default.1"), &json!("lane_halted")));
        assert!(told["content"]["nextSteps"][0].as_str().unwrap().contains("tidegate resume"));
        assert!(message(&notice(NoticeKind::WaveOpened, "x"))["content"].get("nextSteps").is_none());
    }

    #[test]
    fn peoples_words_call_nobody_and_fit() {
        let told = message(&notice(NoticeKind::CordPulled, &format!("<!channel> @here <https://evil.example|look>{}", "y".repeat(9_000))));
        let text = told["content"]["description"].as_str().unwrap();
        assert!(!text.contains(['<', '>', '@']), "{text}");
        assert_eq!(text.chars().count(), DESCRIPTION_MAX);
    }
}
