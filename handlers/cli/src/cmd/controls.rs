//! `tidegate stop`, `pause`, `resume` and `retry`: what named people do beside approving, written into the store, or given on AWS
//! by the caller's own identity. Whoever serves the store does what follows.

use tidegate_embedded::EmbeddedStore;
use tidegate_engine::Engine;
use tidegate_events::control::{Retried, Retry, Steer, Steered};
use tidegate_events::event::Event;
use tidegate_events::id::{IdError, PersonId};
use tidegate_world::{Spec, World};

use crate::args::{ResumeArgs, RetryArgs, SteerArgs, StopArgs, WhoArgs};
use crate::cmd::{approve, explain, policy, status};
use crate::failure::Failure;

/// What the stop cord is about, in what these commands print.
const EVERYTHING: &str = "organization";

/// Pulls the stop cord.
///
/// # Errors
/// When `--all` is missing or the store can't be used, or (exit 1) it was not taken.
pub async fn stop(args: &StopArgs) -> Result<u8, Failure> {
    if !args.all {
        return Err(Failure::Usage("the stop cord stops everything: say so with `--all` (`tidegate pause` stops one lane or campaign)".into()));
    }
    let (kill, comment) = (args.kill, args.who.comment.clone());
    give("stop", EVERYTHING, kill, &args.who, |by| Ok(Event::Cord { pulled: true, kill, by, comment })).await
}

/// Lets a lane or a campaign go on, or releases the stop cord.
///
/// # Errors
/// As for [`stop`].
pub async fn resume(args: &ResumeArgs) -> Result<u8, Failure> {
    why(&args.who, "why it may go on")?;
    let comment = args.who.comment.clone();
    let Some(id) = &args.id else {
        return give("resume", EVERYTHING, false, &args.who, |by| Ok(Event::Cord { pulled: false, kill: false, by, comment })).await;
    };
    let on = steered(id)?;
    let event = |by| match on {
        Steered::Lane(lane) => Event::LaneResumed { lane, by, comment },
        on => Event::Steer(Steer { on, go: true, by, comment }),
    };
    give("resume", id, false, &args.who, |by| Ok(event(by))).await
}

/// Pauses a lane or a campaign.
///
/// # Errors
/// As for [`stop`].
pub async fn pause(args: &SteerArgs) -> Result<u8, Failure> {
    why(&args.who, "why it is paused")?;
    let (on, comment) = (steered(&args.id)?, args.who.comment.clone());
    give("pause", &args.id, false, &args.who, |by| Ok(Event::Steer(Steer { on, go: false, by, comment }))).await
}

/// Gives a target, or everybody who failed in a campaign, another attempt.
///
/// # Errors
/// As for [`stop`].
pub async fn retry(args: &RetryArgs) -> Result<u8, Failure> {
    why(&args.who, "what has changed")?;
    let comment = args.who.comment.clone();
    let what = match Retried::parse(&args.id) {
        Ok(what) => what,
        // An instance id alone is looked up where it is known.
        Err(_) if args.who.console.is_none() => Retried::Target(explain::find(&status::open_store(&args.who.store)?, &args.id).await?),
        Err(error) => return Err(Failure::Usage(error.to_string())),
    };
    let id = what.to_string();
    give("retry", &id, false, &args.who, |by| Ok(Event::Retry(Retry { what, by, comment }))).await
}

fn steered(id: &str) -> Result<Steered, Failure> {
    Steered::parse(id).map_err(|error: IdError| Failure::Usage(error.to_string()))
}

fn why(who: &WhoArgs, what: &str) -> Result<(), Failure> {
    if who.comment.trim().is_empty() {
        return Err(Failure::Usage(format!("say {what}: give it with `--comment`")));
    }
    Ok(())
}

/// Gives the word to the store, or to the console on AWS.
async fn give(word: &str, subject: &str, kill: bool, who: &WhoArgs, event: impl FnOnce(PersonId) -> Result<Event, Failure>) -> Result<u8, Failure> {
    if let Some(url) = &who.console {
        #[cfg(feature = "aws")]
        return crate::cmd::console::steer(url, word, subject, kill, who).await;
        #[cfg(not(feature = "aws"))]
        return Err(Failure::without_aws(&format!("--console {url} (kill: {kill})")));
    }
    let by = approve::person(who.by.as_deref())?;
    let store: EmbeddedStore = status::open_store(&who.store)?;
    let at = approve::now(&store).await?;
    // A word touches nothing outside the store: the organization behind it may be empty.
    let engine = Engine::new(store, World::new(Spec::default(), at), policy::read(None)?);
    let outcome = engine.handle(&event(by.clone())?, at).await?.outcome;
    approve::answer(approve::decision(subject, word, &by, None, &outcome), who.json)
}
