//! `tidegate approve` and `reject`: a person's word, written into the store. Whoever serves the store goes on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_events::event::{Approval, Event, Subject, Word};
use tidegate_events::id::{Digest, PersonId};
use tidegate_rules::decide::Outcome;
use tidegate_rules::policy::Policy;
use tidegate_rules::{Key, State};
use tidegate_world::{Spec, World};

use crate::args::ApproveArgs;
use crate::cmd::status;
use crate::failure::Failure;
use crate::screen;

/// What these commands print with `--json`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Decision {
    /// `tidegate.decision/1`
    pub schema: String,
    /// What it is about.
    pub subject: String,
    /// approve, reject, stop, pause, resume, retry or load.
    pub word: String,
    /// By whom.
    pub by: String,
    /// accepted, duplicate, stale or rejected.
    pub outcome: String,
    /// Why, where it was not accepted.
    pub reason: Option<String>,
    /// The digest that it is about.
    pub digest: Option<String>,
}

/// Approves or rejects.
///
/// # Errors
/// When the id or the store can't be used, or (exit 1) the word was refused.
pub async fn run(args: &ApproveArgs, word: Word) -> Result<u8, Failure> {
    let subject = Subject::parse(&args.id).map_err(|error| Failure::Usage(error.to_string()))?;
    if word == Word::Reject && args.who.comment.trim().is_empty() {
        return Err(Failure::Usage("a no needs a reason: give it with `--comment`".into()));
    }
    if let Some(url) = &args.who.console {
        #[cfg(feature = "aws")]
        return crate::cmd::console::decide(url, args, &subject, word).await;
        #[cfg(not(feature = "aws"))]
        return Err(Failure::without_aws(&format!("--console {url}")));
    }
    let by = person(args.who.by.as_deref())?;
    let store = status::open_store(&args.who.store)?;
    let fold = status::load(&store, &[Key::campaign(subject.campaign()).as_str()]).await?;
    let Some(State::Campaign(campaign)) = fold.items.get(&Key::campaign(subject.campaign())) else {
        return Err(Failure::Usage(format!("`{}` is not in this store: `tidegate status` lists what is", args.id)));
    };
    let Some(asked) = campaign.asked.iter().find(|asked| asked.subject == subject) else {
        return Err(Failure::Usage(format!("nobody asked for an approval of `{subject}`: `tidegate status` lists what awaits one")));
    };
    let digest = digest(args.digest.as_deref(), &asked.digest)?;
    // A word may not be older than what it answers, where a simulated clock runs ahead.
    let at = now(&store).await?.max(asked.at);
    let approval = Approval { subject: subject.clone(), digest, word, by: by.clone(), at, comment: args.who.comment.clone() };
    let policy = pinned_policy(&store, campaign.policy).await?;
    let outcome = decide(store, policy, Event::Approval(approval), at).await?;
    let name = if word == Word::Approve { "approve" } else { "reject" };
    answer(decision(&subject.to_string(), name, &by, Some(digest), &outcome), args.who.json)
}

/// Decides in this process; what is asked lies in the outbox for whoever serves the store.
async fn decide(store: impl Store, policy: Policy, event: Event, at: Timestamp) -> Result<Outcome, Failure> {
    // A word touches nothing outside the store: the organization behind it may be empty.
    let engine = Engine::new(store, World::new(Spec::default(), at), policy);
    Ok(engine.handle(&event, at).await?.outcome)
}

/// The policy that the campaign was opened under: what its approvals are judged by here.
async fn pinned_policy(store: &impl Store, digest: Digest) -> Result<Policy, Failure> {
    let key = Key::policy(&digest);
    match status::load(store, &[key.as_str()]).await?.items.get(&key) {
        Some(State::Policy { json }) => serde_json::from_str(json).map_err(|error| Failure::machine(format!("`{key}` in the store is damaged"), &error)),
        _ => Err(Failure::Usage(format!("`{key}` is not in the store"))),
    }
}

pub(crate) fn decision(subject: &str, word: &str, by: &PersonId, digest: Option<Digest>, outcome: &Outcome) -> Decision {
    Decision {
        schema: "tidegate.decision/1".into(),
        subject: subject.into(),
        word: word.into(),
        by: by.to_string(),
        outcome: outcome.name().into(),
        reason: outcome.why().map(str::to_owned),
        digest: digest.map(|digest| digest.to_string()),
    }
}

/// Says what came of it.
///
/// # Errors
/// Where it was not taken (exit 1).
pub(crate) fn answer(decision: Decision, json: bool) -> Result<u8, Failure> {
    let done = matches!(decision.outcome.as_str(), "accepted" | "duplicate");
    if json {
        screen::print_json(&decision)?;
        return Ok(u8::from(!done));
    }
    let Decision { subject, word, by, outcome, reason, digest, .. } = decision;
    if !done {
        return Err(Failure::Person(format!("{word} of `{subject}` was not taken: {}", reason.unwrap_or_default())));
    }
    let again = if outcome == "duplicate" { " (known already)" } else { "" };
    let digest = digest.map(|digest| format!(", digest {}", digest.chars().take(12).collect::<String>())).unwrap_or_default();
    screen::print(&format!("{word}: `{subject}` by {by}{digest}{again}\n"))?;
    Ok(0)
}

/// Now, or the store's newest commit where a simulated clock runs ahead.
pub(crate) async fn now(store: &impl Store) -> Result<Timestamp, Failure> {
    let newest = store.newest().await.map_err(|error| Failure::machine("the store can't be read", &error))?;
    Ok(newest.map_or_else(Timestamp::now, |newest| newest.max(Timestamp::now())))
}

pub(crate) fn person(given: Option<&str>) -> Result<PersonId, Failure> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => std::env::var("USER").map_err(|_| Failure::Usage("who decides? give your name with `--as NAME`".into()))?,
    };
    name.parse().map_err(|error: tidegate_events::id::IdError| Failure::Usage(error.to_string()))
}

/// The digest that is meant: the whole of it, or its first twelve digits or more as `status` prints them.
pub(crate) fn digest(given: Option<&str>, asked: &Digest) -> Result<Digest, Failure> {
    match given {
        None => Ok(*asked),
        Some(text) if text.len() >= 12 && asked.to_string().starts_with(text) => Ok(*asked),
        Some(text) if text.len() == 64 => text.parse().map_err(|error: tidegate_events::id::IdError| Failure::Usage(error.to_string())),
        Some(text) => Err(Failure::Usage(format!("digest `{text}` is not what is asked for ({}): look again and decide again", asked.short()))),
    }
}
