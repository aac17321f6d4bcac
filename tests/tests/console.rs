//! The approval page: what it shows, what reading it never does, and how often a link decides.

#![cfg(test)]

use jiff::{SignedDuration, Timestamp};
use tidegate_cli::cmd::{policy, simulate};
use tidegate_console::{Console, Decider, Request, Response};
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_engine::tokens::{TokenRecord, Tokens, UsedToken};
use tidegate_events::Event;
use tidegate_events::event::{Subject, Word};
use tidegate_events::id::Digest;
use tidegate_rules::decide::Outcome;
use tidegate_rules::{Key, State};
use tidegate_tests::asking::until_asked;
use tidegate_tests::kept::Kept;
use tidegate_world::{Faults, Spec, World};

struct Site {
    engine: Engine<Kept, World>,
    now: Timestamp,
    subject: Subject,
    digest: Digest,
}

struct Decides<'a>(&'a Engine<Kept, World>);

impl Decider for Decides<'_> {
    async fn take(&self, event: &Event, now: Timestamp) -> Result<Outcome, String> {
        self.0.take(event, now).await.map(|handled| handled.outcome).map_err(|error| error.to_string())
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A site whose first campaign asks for approval, and a link for one of its approvers.
async fn asked(approver: Option<&str>) -> Site {
    let now = simulate::start().unwrap();
    let store = Kept::default();
    let engine = Engine::new(store, World::new(Spec::generate(2, 1, 60, 5, Faults::none()), now), policy::read(None).unwrap());
    let (now, asked) = until_asked(&engine, now).await.unwrap().expect("something is asked");
    let record = TokenRecord {
        subject: asked.subject.clone(),
        digest: asked.digest,
        approver: approver.map(|name| name.parse().unwrap()),
        expires_at: now.checked_add(SignedDuration::from_hours(24)).unwrap(),
        used: None,
    };
    engine.store().put_token(&Digest::of(TOKEN.as_bytes()), &record).await.unwrap();
    Site { engine, now, subject: asked.subject, digest: asked.digest }
}

impl Site {
    async fn ask(&self, request: Request) -> Response {
        Console::new(&self.engine, &Decides(&self.engine)).answer(&request, self.now).await.unwrap()
    }

    async fn get(&self, method: &str, query: &str) -> Response {
        self.ask(Request { method: method.into(), path: "/approval".into(), query: query.into(), ..Request::default() }).await
    }

    async fn post(&self, fields: &[(&str, &str)]) -> Response {
        let digest = self.digest.to_string();
        let fields: Vec<String> = [("token", TOKEN), ("digest", digest.as_str())]
            .into_iter()
            .filter(|(name, _)| !fields.iter().any(|(given, _)| given == name))
            .chain(fields.iter().copied())
            .map(|(name, value)| format!("{name}={}", value.replace(' ', "+")))
            .collect();
        self.ask(Request { method: "POST".into(), path: "/approval".into(), body: fields.join("&").into_bytes(), ..Request::default() }).await
    }

    async fn lines(&self) -> usize {
        self.engine.store().journal(0, 100_000).await.unwrap().len()
    }
}

#[test]
fn the_page_shows_every_instance_that_the_digest_covers_and_reading_changes_nothing() {
    run(async {
        let site = asked(Some("dana")).await;
        let before = site.lines().await;
        let page = site.get("GET", &format!("token={TOKEN}")).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&site.digest.to_string()) && page.body.contains("AWS-RunPatchBaseline") && page.body.contains("SnapshotId"));
        let mut shown = 0;
        for wave in 0..3 {
            let page = site.get("GET", &format!("token={TOKEN}&wave={wave}")).await;
            shown += page.body.matches("<li><code>i-").count() + page.body.matches("<li><code>mi-").count();
        }
        let roster = site.engine.store().list("roster/", None, 1000).await.unwrap().len();
        assert!(roster > 10, "{roster}");
        assert_eq!(shown, roster, "every member is on the page of its wave");
        // For whoever changes the page: a file to look at.
        if let Some(folder) = std::env::var_os("TIDEGATE_PAGES") {
            std::fs::write(std::path::Path::new(&folder).join("approval.html"), &page.body).unwrap();
        }
        // The note of impact, and that it is no part of what is signed.
        for said in ["What to expect", "instances in ", "reboot", "no digest covers it"] {
            assert!(page.body.contains(said), "{said}");
        }
        for method in ["HEAD", "OPTIONS", "PUT", "DELETE"] {
            let answer = site.get(method, &format!("token={TOKEN}&word=approve")).await;
            assert!(answer.body.is_empty() || answer.status == 405, "{method}: {}", answer.status);
        }
        assert!(page.headers.iter().any(|(name, value)| *name == "cache-control" && value == "no-store"));
        assert_eq!(site.lines().await, before, "reading wrote something");
        assert_eq!(site.get("GET", "token=ffff").await.status, 404);
    });
}

#[test]
fn a_link_decides_once_and_only_about_what_it_was_made_for() {
    run(async {
        let site = asked(Some("dana")).await;
        let other = Digest::of(b"another question").to_string();
        assert_eq!(site.post(&[("word", "approve"), ("digest", other.as_str())]).await.status, 409);
        assert_eq!(site.post(&[("word", "maybe")]).await.status, 422);
        assert_eq!(site.post(&[("word", "reject")]).await.status, 422, "a no without a reason");
        let before = site.lines().await;
        let done = site.post(&[("word", "approve"), ("name", "mallory"), ("comment", "looks right")]).await;
        assert_eq!(done.status, 200, "{}", done.body);
        assert!(site.lines().await > before);
        let key = Key::campaign(site.subject.campaign());
        let stored = site.engine.store().get(std::slice::from_ref(&key)).await.unwrap().pop().flatten().unwrap();
        let State::Campaign(campaign) = tidegate_engine::commit::read_state(&key, &stored.body).unwrap() else { panic!("no campaign") };
        let words: Vec<_> = campaign.words.iter().map(|word| (word.by.to_string(), word.word, word.comment.clone())).collect();
        assert_eq!(words, [("dana".to_owned(), Word::Approve, "looks right".to_owned())], "the link says who decides, not the form");
        assert_eq!(site.post(&[("word", "approve"), ("comment", "looks right")]).await.status, 409, "a link decides once");
        assert_eq!(site.post(&[("word", "reject"), ("comment", "no")]).await.status, 409);
        assert!(site.get("GET", &format!("token={TOKEN}")).await.body.contains("used already"));
    });
}

#[test]
fn a_decision_that_died_between_link_and_journal_is_made_by_trying_again() {
    run(async {
        let site = asked(Some("dana")).await;
        let used = UsedToken { word: Word::Approve, comment: "yes".into(), by: "dana".parse().unwrap(), at: site.now };
        site.engine.store().use_token(&Digest::of(TOKEN.as_bytes()), &used, site.now).await.unwrap();
        assert_eq!(site.post(&[("word", "reject"), ("comment", "no")]).await.status, 409, "the other word is refused");
        assert_eq!(site.post(&[("word", "approve"), ("comment", "yes")]).await.status, 200);
    });
}

#[test]
fn whoever_is_named_nowhere_gives_a_name_and_identities_are_never_taken_from_the_request() {
    run(async {
        let site = asked(None).await;
        assert_eq!(site.post(&[("word", "approve")]).await.status, 422, "no name");
        assert_eq!(site.post(&[("word", "approve"), ("name", "<script>")]).await.status, 422);
        let body = format!(r#"{{"subject":"{}","digest":"{}","word":"approve","comment":"ok"}}"#, site.subject, site.digest);
        let request = Request { method: "POST".into(), path: "/v1/decisions".into(), body: body.into_bytes(), ..Request::default() };
        assert_eq!(site.ask(request.clone()).await.status, 401);
        let proven = Request { caller: Some("kim".parse().unwrap()), ..request };
        let answer = site.ask(proven.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer["by"].as_str(), answer["outcome"].as_str()), (Some("kim"), Some("accepted")));
        let asked = Request { method: "GET".into(), path: "/v1/asked".into(), query: format!("subject={}", site.subject), ..proven };
        let asked: serde_json::Value = serde_json::from_str(&site.ask(asked).await.body).unwrap();
        assert_eq!(asked["digest"].as_str(), Some(site.digest.to_string().as_str()));
        assert_eq!(asked["words"].as_array().map(Vec::len), Some(1));
        assert_eq!((asked["impact"]["schema"].as_str(), asked["impact"]["analysis"].as_str()), (Some("tidegate.impact/1"), None));
    });
}

#[test]
fn a_run_is_asked_for_by_a_proven_identity_once() {
    run(async {
        let site = asked(None).await;
        let runs = async || {
            let listed = site.engine.store().list("campaign/", None, 100).await.unwrap();
            let read = listed.iter().map(|(key, stored)| tidegate_engine::commit::read_state(key, &stored.body).unwrap());
            read.filter(|state| matches!(state, State::Campaign(campaign) if campaign.bulk.is_some())).count()
        };
        let request = |caller: Option<&str>, body: &str| Request {
            method: "POST".into(),
            path: "/v1/runs".into(),
            body: body.as_bytes().to_vec(),
            caller: caller.map(|name| name.parse().unwrap()),
            ..Request::default()
        };
        let told = |response: Response| (response.status, serde_json::from_str::<serde_json::Value>(&response.body).unwrap());
        let body = r#"{"id": "monday", "run": {"accounts": ["111122223333"], "regions": ["eu-central-1"], "dryRun": true, "bedrock": {"agentId": "A", "agentAliasId": "B"}}}"#;
        assert_eq!(told(site.ask(request(None, body)).await).0, 401, "nobody");
        let (status, wrong) = told(site.ask(request(Some("alice"), r#"{"id": "monday", "run": {"accounts": ["7"], "regions": ["eu-central-1"]}}"#)).await);
        assert!(status == 422 && wrong["error"].as_str().unwrap().starts_with("run: accounts[0]"), "{wrong}");
        assert_eq!(
            told(site.ask(request(Some("alice"), r#"{"id": "no name", "run": {"accounts": ["111122223333"], "regions": ["eu-central-1"]}}"#)).await).0,
            409
        );
        assert_eq!(site.ask(request(Some("alice"), &"x".repeat(300_000))).await.status, 413);
        assert_eq!(runs().await, 0);

        let (status, taken) = told(site.ask(request(Some("alice"), body)).await);
        assert_eq!((status, &taken["outcome"], &taken["by"], &taken["dry_run"]), (200, &"accepted".into(), &"alice".into(), &true.into()), "{taken}");
        assert!(!taken["warnings"].as_array().unwrap().is_empty(), "{taken}");
        let (status, again) = told(site.ask(request(Some("alice"), body)).await);
        assert_eq!((status, &again["outcome"]), (200, &"duplicate".into()), "{again}");
        assert_eq!(runs().await, 1);
    });
}

#[test]
fn a_catalog_is_loaded_by_a_proven_identity() {
    run(async {
        let site = asked(None).await;
        let request = |caller: Option<&str>, body: &str| Request {
            method: "POST".into(),
            path: "/v1/kev".into(),
            body: body.as_bytes().to_vec(),
            caller: caller.map(|name| name.parse().unwrap()),
            ..Request::default()
        };
        let told = |response: Response| (response.status, serde_json::from_str::<serde_json::Value>(&response.body).unwrap());
        let catalog = |version: &str| format!(r#"{{"version": "{version}", "due": {{"CVE-2026-1111": "2026-11-25"}}, "comment": "weekly"}}"#);
        assert_eq!(told(site.ask(request(None, &catalog("2026.11.20"))).await).0, 401, "nobody");
        assert_eq!(told(site.ask(request(Some("alice"), r#"{"version": "2026.11.20"}"#)).await).0, 422);
        assert_eq!(site.ask(request(Some("alice"), &"x".repeat(600_000))).await.status, 413);
        let (status, taken) = told(site.ask(request(Some("alice"), &catalog("2026.11.20"))).await);
        assert_eq!((status, &taken["outcome"], &taken["by"], &taken["subject"]), (200, &"accepted".into(), &"alice".into(), &"KEV catalog 2026.11.20".into()));
        assert_eq!(told(site.ask(request(Some("erin"), &catalog("2026.11.20"))).await).1["outcome"], "duplicate");
        let (status, older) = told(site.ask(request(Some("erin"), &catalog("2026.11.13"))).await);
        assert_eq!((status, &older["outcome"]), (409, &"stale".into()), "{older}");
        let kept = site.engine.store().get(&[Key::kev()]).await.unwrap().remove(0).unwrap();
        match tidegate_engine::commit::read_state(&Key::kev(), &kept.body).unwrap() {
            State::Kev(kept) => assert_eq!((kept.load.by.as_str(), kept.load.due.len()), ("alice", 1)),
            other => panic!("{other:?}"),
        }
    });
}
