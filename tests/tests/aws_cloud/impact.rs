//! The note of impact with the message that asks for an approval, and a fake of Bedrock's agent runtime behind it: whatever that
//! answers, and where it does not, the approval is asked for all the same.

use std::time::{Duration, Instant};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_aws::bedrock::{AgentId, Bedrock};
use tidegate_aws::cloud::CloudSettings;
use tidegate_cli::cmd::{policy, simulate};
use tidegate_engine::Engine;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::Event;
use tidegate_events::action::{Notice, NoticeKind};
use tidegate_events::bulk::RunAsked;
use tidegate_events::event::Subject;
use tidegate_events::host::Platform;
use tidegate_events::id::TargetKey;
use tidegate_events::wire::run_input;
use tidegate_lambda::herald::{Analyst, SnsHerald};
use tidegate_lambda::shell::Herald as _;
use tidegate_tests::asking::until_asked;
use tidegate_tests::kept::Kept;
use tidegate_world::{AccountSpec, Faults, HostSpec, Spec, World};

use super::server::{Asked, Reply, Server};

const CONSOLE: &str = "https://console.example";

/// A store in which an approval is asked for.
struct Site {
    store: Kept,
    subject: Subject,
    now: Timestamp,
}

impl Site {
    /// A campaign of findings, or this bulk run.
    async fn asked(run: Option<Value>) -> Self {
        let now = simulate::start().unwrap();
        let store = Kept::default();
        let spec = if run.is_some() { unannounced() } else { Spec::generate(2, 1, 60, 5, Faults::none()) };
        let engine = Engine::new(store.clone(), World::new(spec, now), policy::read(None).unwrap());
        if let Some(input) = run {
            let run = run_input::parse(input.to_string().as_bytes()).unwrap_or_else(|wrong| panic!("{:?}", wrong.lines().collect::<Vec<_>>())).run;
            let asked = RunAsked { id: "night".into(), run, by: "dana".parse().unwrap(), at: now };
            engine.take(&Event::RunAsked(Box::new(asked)), now).await.unwrap();
        }
        let (now, asked) = until_asked(&engine, now).await.unwrap().expect("something is asked");
        Self { store, subject: asked.subject, now }
    }

    fn notice(&self) -> Notice {
        Notice { kind: NoticeKind::ApprovalAsked, subject: self.subject.to_string(), message: "2 approvals are asked for".into(), at: self.now }
    }

    /// Announces it as `notify` does, with `left` of the invocation's time; gives what was published, read as JSON, and the mails.
    async fn announced(&self, server: &Server, usual: Option<&AgentId>, left: Duration) -> (Value, String) {
        let settings = CloudSettings { topic: Some("arn:aws:sns:eu-west-1:123456789012:alerts".into()), ..CloudSettings::default() };
        let engine = Engine::new(self.store.clone(), server.cloud(settings), policy::read(None).unwrap());
        let bedrock = Bedrock::new(server.hub(), Some(&server.url())).unwrap();
        let left = || left;
        let herald = SnsHerald::new(&engine, Some(CONSOLE), Some(Analyst { bedrock: &bedrock, usual, left: &left }));
        herald.announce(&self.notice(), self.now).await.unwrap();
        let form = server.of("Publish").pop().expect("the approval is asked for").body;
        let message = form.split('&').find_map(|field| field.strip_prefix("Message=")).unwrap().to_owned();
        let message: Value = serde_json::from_str(&unescaped(&message)).unwrap();
        let machines = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
        (machines, message["email"].as_str().unwrap().to_owned())
    }
}

/// Twelve hosts that lack something, of which nobody tells.
fn unannounced() -> Spec {
    let account = "111122223333".parse().unwrap();
    let host = |n: u64| {
        let key = TargetKey { account, region: "eu-west-1".parse().unwrap(), instance: format!("i-{n:017x}").parse().unwrap() };
        HostSpec::new(key, Platform::Linux).missing(2).tag("PatchGroup", "default")
    };
    Spec { seed: 3, accounts: vec![AccountSpec::new(account)], hosts: (0..12).map(host).collect(), ..Spec::default() }
}

/// The text of a form's field.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

fn event(headers: &[(&'static str, &'static str)], payload: &str) -> Vec<u8> {
    let mut message = Message::new(payload.as_bytes().to_vec());
    for (name, value) in headers {
        message = message.add_header(Header::new(*name, HeaderValue::String((*value).into())));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

/// One piece of an answer, as the agent runtime streams it.
fn chunk(words: &str) -> Vec<u8> {
    let headers = [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
    event(&headers, &json!({ "bytes": STANDARD.encode(words) }).to_string())
}

fn stream(bytes: Vec<u8>) -> Reply {
    Reply::Bytes(200, "application/vnd.amazon.eventstream", bytes)
}

/// SNS, which takes everything, and a Bedrock of this kind.
fn with(mut bedrock: impl FnMut(&Asked) -> Reply + Send + 'static) -> Server {
    Server::start(move |asked| match asked.operation.as_str() {
        "Publish" => Reply::Text(200, "text/xml", "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".into()),
        _ => bedrock(asked),
    })
}

fn agent() -> AgentId {
    AgentId::parse("AGENT12345/ALIAS12345").unwrap()
}

fn invocations(server: &Server, agent: &str) -> Vec<Asked> {
    let before = format!("/agents/{agent}/sessions/");
    server.all().into_iter().filter(|asked| asked.operation.starts_with(&before) && asked.operation.ends_with("/text")).collect()
}

#[tokio::test]
async fn an_agents_words_go_with_the_note_and_say_whose_they_are() {
    let site = Site::asked(None).await;
    let server = with(|_| stream([chunk("Look at the canary <b>first</b>.\u{202e}\n"), chunk("More: https://evil.example/x")].concat()));
    let (machines, mail) = site.announced(&server, Some(&agent()), Duration::from_secs(30)).await;

    // What was asked, as AWS wants it, signed for Bedrock.
    let asked = invocations(&server, "AGENT12345/agentAliases/ALIAS12345");
    assert_eq!(asked.len(), 1, "{:?}", server.all());
    let session = asked[0].operation.rsplit('/').nth(1).unwrap();
    assert!((2..=100).contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{session}");
    let day = asked[0].headers["x-amz-date"].split('T').next().unwrap().to_owned();
    let signature = asked[0].headers["authorization"].strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let parts: Vec<&str> = signature.split(", ").collect();
    assert_eq!(parts[0], format!("Credential=AKIAIOSFODNN7EXAMPLE/{day}/eu-west-1/bedrock/aws4_request"));
    for header in ["content-type", "host", "x-amz-date"] {
        assert!(parts[1].strip_prefix("SignedHeaders=").unwrap().split(';').any(|name| name == header), "{header}: {}", parts[1]);
    }
    let proof = parts[2].strip_prefix("Signature=").unwrap();
    assert!(proof.len() == 64 && proof.bytes().all(|byte| byte.is_ascii_hexdigit()), "{proof}");
    let body = asked[0].json();
    assert_eq!((&body["enableTrace"], &body["endSession"]), (&json!(false), &json!(true)));
    let prompt = body["inputText"].as_str().unwrap();
    assert!(prompt.contains("Do not decide") && prompt.contains("instances in "), "{prompt}");
    assert!(!prompt.contains("i-0") && !prompt.contains("100000000000"), "it names nobody: {prompt}");

    // What came of it.
    assert_eq!(machines["impact"]["schema"], "tidegate.impact/1");
    assert_eq!(machines["impact"]["analysis"], "Look at the canary <b>first</b>.\nMore: https://evil.example/x");
    assert!(mail.contains("A model's words, unchecked and without any say:\n> Look at the canary"), "{mail}");
    assert!(!mail.contains("https://evil"), "no link that a mail program makes one of: {mail}");
    let people = server.of("Publish").len();
    assert_eq!((site.store.tokens(), people), (people, 2), "a link for each that is asked");
    assert!(machines["link"].as_str().unwrap().starts_with(CONSOLE));
}

#[tokio::test]
async fn a_runs_own_agent_is_asked_and_one_that_is_none_is_not() {
    let run = |agent: &str| {
        let bedrock = json!({ "agentId": agent, "agentAliasId": "RUNSALIAS1" });
        json!({ "accountWaves": [{ "accounts": ["111122223333"], "regions": ["eu-west-1"] }], "ec2": { "tagKey": "PatchGroup", "tagValue": "default" }, "bedrock": bedrock })
    };
    for (named, asked) in [("RUNSAGENT1", 1), ("AGENT_ID", 0)] {
        let site = Site::asked(Some(run(named))).await;
        let server = with(|_| stream(chunk("Look at the canary.")));
        let (machines, _) = site.announced(&server, Some(&agent()), Duration::from_secs(30)).await;
        assert_eq!(invocations(&server, &format!("{named}/agentAliases/RUNSALIAS1")).len(), asked, "{named}: {:?}", server.all());
        assert_eq!(machines["impact"]["analysis"].is_string(), asked == 1, "{named}");
        assert!(invocations(&server, "AGENT12345/agentAliases/ALIAS12345").is_empty(), "nobody else's agent is asked about it");
    }
}

#[tokio::test]
async fn whatever_bedrock_does_the_approval_is_asked_for() {
    let site = Site::asked(None).await;
    type Made = Box<dyn Fn() -> Reply + Send>;
    let exception = [(":exception-type", "throttlingException"), (":content-type", "application/json"), (":message-type", "exception")];
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 3);
        bytes
    };
    let answers: Vec<(&str, Made)> = vec![
        ("denied", Box::new(|| Reply::Json(403, json!({ "message": "no" })))),
        ("no such agent", Box::new(|| Reply::Json(404, json!({ "message": "no" })))),
        ("a server's fault", Box::new(|| Reply::Json(500, json!({})))),
        ("HTML", Box::new(|| Reply::Text(200, "text/html", "<html>welcome</html>".into()))),
        ("nothing", Box::new(|| stream(Vec::new()))),
        ("a reset", Box::new(|| Reply::Reset)),
        ("cut off", Box::new(move || stream(cut(chunk("Look"))))),
        ("an exception after some words", Box::new(move || stream([chunk("Look"), event(&exception, "{}")].concat()))),
        ("no base64", Box::new(|| stream(event(&[(":event-type", "chunk"), (":message-type", "event")], "{\"bytes\":\"?\"}")))),
        ("blanks", Box::new(|| stream(chunk(" \n\u{200b}\n")))),
        ("slow", Box::new(|| Reply::Hang)),
    ];
    for (what, answer) in answers {
        let server = with(move |_| answer());
        let started = Instant::now();
        let (machines, mail) = site.announced(&server, Some(&agent()), Duration::from_millis(2_100)).await;
        assert!(started.elapsed() < Duration::from_secs(8), "{what}: {:?}", started.elapsed());
        assert_eq!(invocations(&server, "AGENT12345/agentAliases/ALIAS12345").len(), 1, "{what}: asked once, and never again");
        assert!(machines["impact"]["targets"].as_u64().is_some_and(|targets| targets > 0), "{what}: our own summary is there");
        assert!(machines["impact"].get("analysis").is_none() && !mail.contains("model"), "{what}: {machines}");
        assert!(mail.contains("/approval?token="), "{what}");
    }
}

#[tokio::test]
async fn without_an_agent_or_without_time_nobody_is_asked() {
    let site = Site::asked(None).await;
    for (usual, left) in [(None, Duration::from_secs(30)), (Some(agent()), Duration::from_secs(1))] {
        let server = with(|_| stream(chunk("Look at the canary.")));
        let (machines, mail) = site.announced(&server, usual.as_ref(), left).await;
        assert!(server.all().iter().all(|asked| asked.operation == "Publish"), "{:?}", server.all());
        assert!(machines["impact"]["sentences"].as_array().is_some_and(|sentences| sentences.len() >= 6), "{machines}");
        assert!(mail.contains("instances in "), "{mail}");
    }
}

/// `tidegate serve --aws`: the engine itself publishes, and asks no agent.
#[tokio::test]
async fn the_embedded_shell_tells_the_note_too() {
    let site = Site::asked(None).await;
    let server = with(|_| Reply::Json(500, json!({})));
    let settings = CloudSettings { topic: Some("arn:aws:sns:eu-west-1:123456789012:alerts".into()), ..CloudSettings::default() };
    let engine = Engine::new(site.store.clone(), server.cloud(settings), policy::read(None).unwrap());
    engine.perform(&tidegate_events::Action::Notify(site.notice()), site.now).await.unwrap();
    let form = server.of("Publish").pop().unwrap().body;
    let message = form.split('&').find_map(|field| field.strip_prefix("Message=")).map(unescaped).unwrap();
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["impact"]["schema"], "tidegate.impact/1", "{message}");
    assert!(engine.cloud().notify(&site.notice()).await.is_ok());
}
