//! `tidegate run`: a bulk run over a simulated organization, in virtual time; or asked for on AWS, at the console.

use std::io::Write;

use tidegate_engine::Engine;
use tidegate_events::bulk::RunAsked;
use tidegate_events::event::Event;
use tidegate_events::id::{Digest, PersonId};
use tidegate_rules::decide::Outcome;
use tidegate_world::Spec;

use crate::args::RunArgs;
use crate::cmd::plan::{self, Estate};
use crate::cmd::{policy, replay, simulate};
use crate::drive::{Drive, People};
use crate::failure::Failure;
use crate::screen;

/// Who asks where nobody says who.
const NOBODY: &str = "operator";

/// Runs it.
///
/// # Errors
/// When input, fleet, policy or store can't be used, a belt refuses it, or somebody says no.
pub async fn run(args: &RunArgs) -> Result<u8, Failure> {
    let Some(fleet) = &args.fleet else { return on_console(args).await };
    let policy = policy::read(args.policy.as_deref())?;
    let approve_as = replay::names(&args.approve_as)?;
    let asked = plan::read_input(&args.input)?;
    let fleet = replay::read_fleet(fleet)?;
    let at = args.at.map_or_else(simulate::start, Ok)?;
    let spec = Spec::from_fleet(&fleet);
    let planned = Estate::from(fleet).plan(&policy, &asked.run, at)?;
    if !planned.belts.is_empty() {
        return Err(Failure::Belt(planned.belts.join("; ")));
    }
    if !args.json {
        screen::tell(plan::words(&plan::report(&planned, &asked, at, None)).trim_end());
    }
    if !args.yes && !args.json && screen::somebody_is_there() && !confirmed()? {
        return Err(Failure::Interrupted);
    }
    let by = match approve_as.first() {
        Some(name) => name.clone(),
        None => NOBODY.parse::<PersonId>().map_err(|error| Failure::machine("the name of whoever asks", &error))?,
    };
    let (store, world) = replay::open(args.store.as_deref(), spec, at)?;
    let engine = Engine::new(store, world, policy);
    let mut drive = Drive::new(engine, at, People { approve_as, resume_as: None }).await?;
    let now = drive.now();
    // The same run asked for again at the same time is the same run.
    let id = Digest::of_parts([asked.run.digest().as_bytes().as_slice(), now.to_string().as_bytes()]).short();
    let event = Event::RunAsked(Box::new(RunAsked { id, run: asked.run, by, at: now }));
    if let Outcome::Rejected { why } = drive.ask(&event).await? {
        return Err(Failure::Usage(why));
    }
    let bar = screen::bar("virtual hours", 0);
    let rest = drive
        .settle(&mut |step| {
            let hours = u64::try_from(step.now.duration_since(now).as_hours()).unwrap_or(0);
            bar.set_length(hours);
            bar.set_position(hours);
        })
        .await?;
    bar.finish_and_clear();
    drive.check_at_rest().await?;
    let summary = drive.summary(0);
    replay::report(&summary, &rest, args.json)
}

/// Asks for it on AWS. What its waves would be is told by `plan --aws`; here its input is read, so that what is wrong is told before
/// anybody is asked.
async fn on_console(args: &RunArgs) -> Result<u8, Failure> {
    let url = args.console.as_deref().unwrap_or_default();
    let asked = plan::read_input(&args.input)?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    // The same run asked for again on the same day is the same run: an answer that was lost is asked for without fear.
    let id = args.ask.clone().unwrap_or_else(|| Digest::of_parts([asked.run.digest().as_bytes().as_slice(), today.as_bytes()]).short());
    let dry = if asked.run.dry_run { " that only looks" } else { "" };
    screen::tell(&format!("a run{dry} of {} wave(s) is asked for at {url} as `{id}`", asked.run.waves.len()));
    if !args.yes && !args.json && screen::somebody_is_there() && !confirmed()? {
        return Err(Failure::Interrupted);
    }
    post(url, &id, &asked.text, args.json).await
}

#[cfg(feature = "aws")]
async fn post(url: &str, id: &str, input: &str, json: bool) -> Result<u8, Failure> {
    super::console::ask_run(url, id, input, json).await
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "asks nobody without AWS")]
async fn post(url: &str, id: &str, _: &str, _: bool) -> Result<u8, Failure> {
    Err(Failure::without_aws(&format!("run --console {url} --ask {id}")))
}

/// Whether somebody at the terminal says yes.
fn confirmed() -> Result<bool, Failure> {
    let mut err = anstream::stderr().lock();
    drop(write!(err, "Start it? [y/N] ").and_then(|()| err.flush()));
    drop(err);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| Failure::machine("stdin can't be read", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests;
