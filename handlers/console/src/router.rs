//! Which page or answer a request gets. Reading never changes anything: mail scanners follow links. Deciding takes a POST, and
//! either a token that was made for this very question or an identity that the server has proven.

use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_engine::ports::Cloud;
use tidegate_engine::store::Store;
use tidegate_engine::tokens::{TokenError, TokenRecord, Tokens, UsedToken};
use tidegate_engine::{Engine, EngineError};
use tidegate_events::Event;
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::id::{Digest, PersonId};
use tidegate_rules::decide;
use tidegate_rules::decide::Outcome;

use crate::coverage::{CellPage, cover};
use crate::http::{Request, Response};
use crate::page::{self, Told};

/// Longest body that is read, in bytes.
const BODY_MAX: usize = 16 * 1024;
/// Longest comment, in characters.
const COMMENT_MAX: usize = 1_000;

/// Takes an event and does what follows, as the shell around the console does it.
pub trait Decider: Send + Sync {
    /// Takes it.
    fn take(&self, event: &Event, now: Timestamp) -> impl Future<Output = Result<Outcome, String>> + Send;
}

/// The console over an engine.
pub struct Console<'a, S, C, D> {
    engine: &'a Engine<S, C>,
    decider: &'a D,
}

/// A decision as the command line sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    subject: String,
    digest: Digest,
    word: Word,
    #[serde(default)]
    comment: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Decided {
    schema: &'static str,
    subject: String,
    word: Word,
    by: PersonId,
    outcome: &'static str,
    reason: Option<String>,
    digest: Digest,
}

#[derive(Debug, Serialize)]
struct Refusal<'a> {
    schema: &'static str,
    error: &'a str,
}

fn refuse(status: u16, error: &str) -> Response {
    Response::json(status, &Refusal { schema: "tidegate.error/1", error })
}

impl<'a, S: Store + Tokens, C: Cloud, D: Decider> Console<'a, S, C, D> {
    /// A console.
    pub fn new(engine: &'a Engine<S, C>, decider: &'a D) -> Self {
        Self { engine, decider }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When the store does not answer; nothing was decided.
    pub async fn answer(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let most = match request.path.as_str() {
            "/v1/runs" => crate::run::BODY_MAX,
            "/v1/kev" => crate::kev::BODY_MAX,
            _ => BODY_MAX,
        };
        if request.body.len() > most {
            return Ok(refuse(413, "the body is too large"));
        }
        let allow = match request.path.as_str() {
            "/approval" => "GET, HEAD, OPTIONS, POST",
            "/v1/asked" => "GET, HEAD, OPTIONS",
            "/v1/decisions" | "/v1/controls" | "/v1/runs" | "/v1/kev" => "OPTIONS, POST",
            _ => {
                return Ok(page::message(
                    404,
                    "Nothing here",
                    "This address leads nowhere. Approvals are reached by the link in the message that asks for them.",
                ));
            }
        };
        match (request.path.as_str(), request.method.as_str()) {
            (_, "OPTIONS") => Ok(Response::options(allow)),
            ("/approval", "GET") => self.show(request, now).await,
            ("/approval", "HEAD") => Ok(self.show(request, now).await?.without_body()),
            ("/approval", "POST") => self.decide_by_token(request, now).await,
            ("/v1/asked", "GET") => self.asked(request, now).await,
            ("/v1/asked", "HEAD") => Ok(self.asked(request, now).await?.without_body()),
            ("/v1/decisions", "POST") => self.decide_by_identity(request, now).await,
            ("/v1/controls", "POST") => self.control(request, now).await,
            ("/v1/runs", "POST") => self.ask_run(request, now).await,
            ("/v1/kev", "POST") => self.load_kev(request, now).await,
            _ => {
                let mut response = refuse(405, "this method is not taken here");
                response.headers.push(("allow", allow.to_owned()));
                Ok(response)
            }
        }
    }

    async fn show(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let fields = request.fields();
        let token = fields.get("token").map_or("", String::as_str);
        let Some(record) = self.record(token, now).await? else { return Ok(unknown()) };
        let page = CellPage { wave: fields.get("wave").and_then(|wave| wave.parse().ok()), after: fields.get("after").cloned() };
        let Some(coverage) = cover(self.engine, &record.subject, &page, now).await? else { return Ok(over()) };
        Ok(Response::html(200, page::approval(&coverage, &record, token, None)))
    }

    async fn decide_by_token(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let form = request.form();
        let field = |name: &str| form.get(name).map_or("", |value| value.trim());
        let token = field("token");
        let Some(record) = self.record(token, now).await? else { return Ok(unknown()) };
        let Some(coverage) = cover(self.engine, &record.subject, &CellPage::default(), now).await? else { return Ok(over()) };
        let again = |status, told| Ok(Response::html(status, page::approval(&coverage, &record, token, Some(told))));
        // Single use. A use that never became a decision (a process died in between) may be repeated, word for word.
        if let Some(used) = &record.used
            && coverage.words.iter().any(|word| word.word == used.word && word.by.is_same_person(&used.by))
        {
            return again(409, Told::Wrong(TokenError::UsedOtherwise(Box::new(used.clone())).to_string()));
        }
        let word = match field("word") {
            "approve" => Word::Approve,
            "reject" => Word::Reject,
            _ => return again(422, Told::Wrong("choose to approve or to reject".into())),
        };
        let by = match (&record.approver, field("name").parse::<PersonId>()) {
            (Some(approver), _) => approver.clone(),
            (None, Ok(name)) => name,
            (None, Err(error)) => return again(422, Told::Wrong(format!("who decides? {error}"))),
        };
        let comment: String = field("comment").chars().filter(|c| !c.is_control() || *c == '\n').take(COMMENT_MAX).collect();
        if word == Word::Reject && comment.is_empty() {
            return again(422, Told::Wrong("a no needs a reason: say why".into()));
        }
        // INVARIANT (no clearance, no command): a decision is about what was shown. What has changed since is asked about anew.
        if field("digest") != record.digest.to_string() || coverage.digest != record.digest {
            return again(409, Told::Wrong("what is asked has changed since this link was made: wait for the next message".into()));
        }
        let approval = Approval { subject: record.subject.clone(), digest: record.digest, word, by: by.clone(), at: now, comment: comment.clone() };
        if let Some(why) = self.refusal(&approval, now).await? {
            return again(422, Told::Wrong(why));
        }
        let used = UsedToken { word, comment, by, at: now };
        match self.engine.store().use_token(&Digest::of(token.as_bytes()), &used, now).await {
            Ok(_) => {}
            Err(TokenError::Store(source)) => return Err(EngineError::Store { what: "a token".into(), source }),
            Err(error @ TokenError::Unknown) => return again(404, Told::Wrong(error.to_string())),
            Err(error) => return again(409, Told::Wrong(error.to_string())),
        }
        match self.take(approval, now).await? {
            Outcome::Accepted | Outcome::Duplicate => {
                let Some(coverage) = cover(self.engine, &record.subject, &CellPage::default(), now).await? else { return Ok(over()) };
                let record = TokenRecord { used: Some(used.clone()), ..record };
                Ok(Response::html(200, page::approval(&coverage, &record, token, Some(Told::Done(used)))))
            }
            outcome => again(409, Told::Wrong(outcome.why().unwrap_or("it was not taken").to_owned())),
        }
    }

    async fn asked(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        if request.caller.is_none() {
            return Ok(no_identity());
        }
        let fields = request.fields();
        let subject = match Subject::parse(fields.get("subject").map_or("", String::as_str)) {
            Ok(subject) => subject,
            Err(error) => return Ok(refuse(422, &error.to_string())),
        };
        let page = CellPage { wave: fields.get("wave").and_then(|wave| wave.parse().ok()), after: fields.get("after").cloned() };
        Ok(match cover(self.engine, &subject, &page, now).await? {
            Some(coverage) => Response::json(200, &coverage),
            None => refuse(404, &format!("nobody asked for an approval of `{subject}`")),
        })
    }

    async fn decide_by_identity(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let Some(by) = request.caller.clone() else { return Ok(no_identity()) };
        let decision: Decision = match serde_json::from_slice(&request.body) {
            Ok(decision) => decision,
            Err(error) => return Ok(refuse(422, &format!("expected subject, digest, word and comment: {error}"))),
        };
        let subject = match Subject::parse(&decision.subject) {
            Ok(subject) => subject,
            Err(error) => return Ok(refuse(422, &error.to_string())),
        };
        let approval = Approval { subject, digest: decision.digest, word: decision.word, by, at: now, comment: decision.comment };
        let outcome = self.take(approval.clone(), now).await?;
        let taken = matches!(outcome, Outcome::Accepted | Outcome::Duplicate);
        let decided = Decided {
            schema: "tidegate.decision/1",
            subject: approval.subject.to_string(),
            word: approval.word,
            by: approval.by,
            outcome: outcome.name(),
            reason: outcome.why().map(str::to_owned),
            digest: approval.digest,
        };
        Ok(Response::json(if taken { 200 } else { 409 }, &decided))
    }

    /// The stop cord, a pause, its end, another attempt: by whoever the server has proven to ask.
    async fn control(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let Some(by) = request.caller.clone() else { return Ok(no_identity()) };
        let (control, event) = match crate::control::read(&request.body, &by) {
            Ok(read) => read,
            Err(error) => return Ok(refuse(422, &error)),
        };
        // Whatever failed is done again by the next try with the same word.
        let outcome = self.decider.take(&event, now).await.map_err(EngineError::Later)?;
        let taken = matches!(outcome, Outcome::Accepted | Outcome::Duplicate);
        Ok(Response::json(if taken { 200 } else { 409 }, &control.answer(&by, &outcome)))
    }

    /// A bulk run: asked for by whoever the server has proven to ask, gated as any.
    async fn ask_run(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let Some(by) = request.caller.clone() else { return Ok(no_identity()) };
        let (ask, event) = match crate::run::read(&request.body, &by, now) {
            Ok(read) => read,
            Err(error) => return Ok(refuse(422, &error)),
        };
        // Whatever failed is done again by the next try under the same id.
        let outcome = self.decider.take(&event, now).await.map_err(EngineError::Later)?;
        let taken = matches!(outcome, Outcome::Accepted | Outcome::Duplicate);
        Ok(Response::json(if taken { 200 } else { 409 }, &ask.answer(&by, &outcome)))
    }

    /// The KEV catalog: loaded by whoever the server has proven to ask.
    async fn load_kev(&self, request: &Request, now: Timestamp) -> Result<Response, EngineError> {
        let Some(by) = request.caller.clone() else { return Ok(no_identity()) };
        let (version, event) = match crate::kev::read(&request.body, &by) {
            Ok(read) => read,
            Err(error) => return Ok(refuse(422, &error)),
        };
        // Whatever failed is done again by the next try with the same catalog.
        let outcome = self.decider.take(&event, now).await.map_err(EngineError::Later)?;
        let taken = matches!(outcome, Outcome::Accepted | Outcome::Duplicate);
        Ok(Response::json(if taken { 200 } else { 409 }, &crate::kev::answer(&version, &by, &outcome)))
    }

    /// A token's record; `None` for whatever is not one.
    async fn record(&self, token: &str, now: Timestamp) -> Result<Option<TokenRecord>, EngineError> {
        if token.len() != 64 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let found = self.engine.store().token(&Digest::of(token.as_bytes()), now).await;
        found.map_err(|source| EngineError::Store { what: "a token".into(), source })
    }

    /// Why this would not be taken, without writing anything.
    async fn refusal(&self, approval: &Approval, now: Timestamp) -> Result<Option<String>, EngineError> {
        let event = Event::Approval(approval.clone());
        let outcome = self.engine.look(now, |desk| decide(desk, &event)).await?;
        Ok(match outcome {
            Outcome::Accepted | Outcome::Duplicate => None,
            outcome => Some(outcome.why().unwrap_or("it is not taken").to_owned()),
        })
    }

    async fn take(&self, approval: Approval, now: Timestamp) -> Result<Outcome, EngineError> {
        // Whatever failed is done again by the next try with the same decision.
        self.decider.take(&Event::Approval(approval), now).await.map_err(EngineError::Later)
    }
}

fn unknown() -> Response {
    page::message(404, "This link is not good any more", "It has expired, or it was never made. Use the link of the newest message, or `tidegate approve`.")
}

fn over() -> Response {
    page::message(404, "Nothing is asked here", "What this link was about is not waiting for anybody.")
}

fn no_identity() -> Response {
    refuse(401, "an AWS identity is needed: sign the request (SigV4), or use the link of the message that asks")
}
