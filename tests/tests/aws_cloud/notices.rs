//! Notices over SNS: typed, published once, and said in chat channels where nothing waits for it.

use tidegate_aws::cloud::CloudSettings;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::action::{Notice, NoticeKind};
use tidegate_events::host::SpokeFault;

use super::server::{Reply, Server};

fn notice() -> Notice {
    let at = "2026-11-21T10:00:00Z".parse().unwrap();
    Notice { kind: NoticeKind::ApprovalAsked, subject: "patch-default.1".into(), message: "1 wave waits".into(), at }
}

#[tokio::test]
async fn a_notice_is_typed_and_published_once() {
    let mut fail = false;
    let server = Server::start(move |_| match std::mem::replace(&mut fail, true) {
        true => Reply::Text(500, "text/xml", "<ErrorResponse><Error><Code>InternalError</Code></Error></ErrorResponse>".into()),
        false => Reply::Text(200, "text/xml", "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".into()),
    });
    let cloud = server.cloud(CloudSettings { topic: Some("arn:aws:sns:eu-west-1:999900001111:notices".into()), ..CloudSettings::default() });
    cloud.publish(&notice(), Some("https://hub.example/a/1"), Some(&"ann".parse().unwrap()), None).await.unwrap();
    let form = server.of("Publish").pop().unwrap();
    assert!(form.has("MessageStructure=json"), "{}", form.body);
    assert!(form.has("Subject=Tidegate%20approval%20asked%3A%20patch-default.1"), "{}", form.body);
    for part in ["=approver&", "StringValue=ann", "StringValue=approval_asked", "StringValue=ApprovalRequest", "APPROVAL_REQUIRED", "%5C%22kind%5C%22"] {
        assert!(form.body.contains(part), "`{part}` is not in {}", form.body);
    }
    assert!(matches!(cloud.notify(&notice()).await, Err(SpokeFault::NoAnswer(_))));
    assert_eq!(server.of("Publish").len(), 2, "a failed publish is not repeated below the outbox");
    let quiet = server.cloud(CloudSettings::default());
    assert_eq!(quiet.notify(&notice()).await, Ok(()), "without a topic it is logged");
}

#[tokio::test]
async fn a_chat_channel_hears_what_was_published_and_holds_nothing_up() {
    let mut published = 0;
    let server = Server::start(move |_| {
        published += 1;
        match published {
            // The second notice's word in the channel is denied; the third notice itself is.
            4 | 5 => Reply::Text(403, "text/xml", "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>".into()),
            _ => Reply::Text(200, "text/xml", "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".into()),
        }
    });
    let topic = |name: &str| Some(format!("arn:aws:sns:eu-west-1:999900001111:{name}"));
    let cloud = server.cloud(CloudSettings { topic: topic("notices"), chat_topic: topic("chat"), ..CloudSettings::default() });
    assert_eq!(cloud.notify(&notice()).await, Ok(()));
    let [notices, chat] = server.of("Publish").try_into().unwrap_or_else(|_| panic!("two are published"));
    assert!(notices.body.contains("%3Anotices") && chat.body.contains("%3Achat"), "{} {}", notices.body, chat.body);
    assert!(chat.body.contains("client-markdown") && chat.body.contains("1%20wave%20waits") && !chat.body.contains("https"), "{}", chat.body);
    assert_eq!(cloud.notify(&notice()).await, Ok(()), "who misses it has the mail");
    assert!(cloud.notify(&notice()).await.is_err());
    assert_eq!(server.of("Publish").len(), 5, "what was not published is not talked about");
}
