//! `tidegate approve` and `reject` with `--console`: the same word, given on AWS by the caller's own identity. What it covers is
//! shown first, and the word is about exactly that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_aws::clients::Hub;
use tidegate_aws::console::{Answer, Console};
use tidegate_events::event::{Subject, Word};
use tidegate_events::id::Digest;
use tidegate_rules::deadline::Kev;

use crate::args::{ApproveArgs, WhoArgs};
use crate::cmd::approve::{self, Decision};
use crate::failure::Failure;
use crate::line;
use crate::screen;

/// What the console says of what is asked; the rest of it is for browsers.
#[derive(Debug, Deserialize)]
struct Asked {
    digest: Digest,
    need: u32,
    #[serde(default)]
    words: Vec<serde_json::Value>,
    open: bool,
    document: String,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    policy: String,
    #[serde(default)]
    waves: Vec<AskedWave>,
    /// What a yes would mean; advisory.
    #[serde(default)]
    impact: Option<AskedImpact>,
}

#[derive(Debug, Deserialize)]
struct AskedImpact {
    #[serde(default)]
    sentences: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct AskedWave {
    name: String,
    targets: u64,
    cells: u32,
    bake_secs: u32,
}

#[derive(Debug, Serialize)]
struct Given<'a> {
    subject: String,
    digest: Digest,
    word: Word,
    comment: &'a str,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(alias = "Message", alias = "message")]
    error: String,
}

/// Decides there.
///
/// # Errors
/// When the console can't be asked or does not know this caller, when nothing is asked, or (exit 1) the word was refused.
pub async fn decide(url: &str, args: &ApproveArgs, subject: &Subject, word: Word) -> Result<u8, Failure> {
    let console = Console::new(Hub::load(None, tidegate_aws::trust::Trust::System).await, url).map_err(Failure::Usage)?;
    let id = subject.to_string();
    let answer = console.get("/v1/asked", &[("subject", &id)]).await.map_err(Failure::Usage)?;
    if answer.status != 200 {
        return Err(refused(url, &answer));
    }
    let asked: Asked = serde_json::from_slice(&answer.body).map_err(|error| Failure::machine(format!("`{url}` is not a console"), &error))?;
    screen::tell(&covers(&id, &asked));
    let digest = approve::digest(args.digest.as_deref(), &asked.digest)?;
    let given = Given { subject: id, digest, word, comment: &args.who.comment };
    let body = serde_json::to_vec(&given).map_err(|error| Failure::machine("the decision can't be written as JSON", &error))?;
    let answer = console.post("/v1/decisions", body).await.map_err(|error| Failure::Usage(format!("{error}; give the same word again: it counts once")))?;
    // A word that was not taken is a decision too.
    match serde_json::from_slice::<Decision>(&answer.body) {
        Ok(decision) if matches!(answer.status, 200 | 409) => approve::answer(decision, args.who.json),
        _ => Err(refused(url, &answer)),
    }
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    word: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kill: bool,
    comment: &'a str,
}

/// Stops, pauses, resumes or retries there.
///
/// # Errors
/// When the console can't be asked or does not know this caller, or (exit 1) the word was refused.
pub async fn steer(url: &str, word: &str, subject: &str, kill: bool, who: &WhoArgs) -> Result<u8, Failure> {
    let console = Console::new(Hub::load(None, tidegate_aws::trust::Trust::System).await, url).map_err(Failure::Usage)?;
    let body = serde_json::to_vec(&Said { word, subject, kill, comment: &who.comment })
        .map_err(|error| Failure::machine("the word can't be written as JSON", &error))?;
    let answer = console.post("/v1/controls", body).await.map_err(|error| Failure::Usage(format!("{error}; give the same word again: it counts once")))?;
    match serde_json::from_slice::<Decision>(&answer.body) {
        Ok(decision) if matches!(answer.status, 200 | 409) => approve::answer(decision, who.json),
        _ => Err(refused(url, &answer)),
    }
}

/// Loads a KEV catalog there.
///
/// # Errors
/// When the console can't be asked or does not know this caller, or (exit 1) the catalog was not taken.
pub async fn load_kev(url: &str, kev: &Kev, force: bool, who: &WhoArgs) -> Result<u8, Failure> {
    let console = Console::new(Hub::load(None, tidegate_aws::trust::Trust::System).await, url).map_err(Failure::Usage)?;
    let body = serde_json::json!({ "version": kev.version, "released": kev.released, "due": kev.due(), "force": force, "comment": who.comment });
    let body = serde_json::to_vec(&body).map_err(|error| Failure::machine("the catalog can't be written as JSON", &error))?;
    let answer = console.post("/v1/kev", body).await.map_err(|error| Failure::Usage(format!("{error}; load it again: it counts once")))?;
    match serde_json::from_slice::<Decision>(&answer.body) {
        Ok(decision) if matches!(answer.status, 200 | 409) => approve::answer(decision, who.json),
        _ => Err(refused(url, &answer)),
    }
}

/// What came of an ask for a bulk run: printed as it came.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunAnswer {
    /// `tidegate.run-asked/1`
    pub schema: String,
    /// The ask's name.
    pub id: String,
    /// Of the run as it was understood there.
    pub digest: String,
    /// Whether nothing will be sent.
    pub dry_run: bool,
    /// Who asked, as AWS knows them.
    pub by: String,
    /// `accepted`, `duplicate` (asked for before under this name), or another word.
    pub outcome: String,
    /// Why it was not taken.
    pub reason: Option<String>,
    /// What the run's writer should know.
    pub warnings: Vec<String>,
}

/// Asks for a bulk run there.
///
/// # Errors
/// When the console can't be asked, does not know this caller or can't read the run; exit 1 where the run was refused.
pub async fn ask_run(url: &str, id: &str, input: &str, json: bool) -> Result<u8, Failure> {
    let console = Console::new(Hub::load(None, tidegate_aws::trust::Trust::System).await, url).map_err(Failure::Usage)?;
    let run: &serde_json::value::RawValue = serde_json::from_str(input).map_err(|error| Failure::machine("the run can't be written as JSON", &error))?;
    let body =
        serde_json::to_vec(&serde_json::json!({ "id": id, "run": run })).map_err(|error| Failure::machine("the run can't be written as JSON", &error))?;
    let answer = console.post("/v1/runs", body).await;
    let answer = answer.map_err(|error| Failure::Usage(format!("{error}; ask again with `--ask {id}`: it is one run")))?;
    let said = match serde_json::from_slice::<RunAnswer>(&answer.body) {
        Ok(said) if matches!(answer.status, 200 | 409) => said,
        _ => return Err(refused(url, &answer)),
    };
    if json {
        screen::print_json(&said)?;
    } else {
        let why = said.reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
        let mut text = String::new();
        line!(text, "{} (`{}`, run {}, by {}){why}", said.outcome, said.id, said.digest, said.by);
        for warning in &said.warnings {
            line!(text, "warning  {warning}");
        }
        screen::print(&clean(&text))?;
    }
    Ok(u8::from(answer.status != 200))
}

/// What a yes is about, for whoever gives it.
fn covers(id: &str, asked: &Asked) -> String {
    let mut text = String::new();
    let state = if asked.open { "" } else { " (answered or over)" };
    line!(text, "`{id}`{state}: digest {}, {} of {} approvals, policy `{}`", asked.digest.short(), asked.words.len(), asked.need, asked.policy);
    line!(text, "  document {}", asked.document);
    for (name, values) in &asked.parameters {
        line!(text, "    {name} = {}", values.join(", "));
    }
    for wave in &asked.waves {
        line!(text, "  wave {}: {} target(s) in {} cell(s), watched for {} s", wave.name, wave.targets, wave.cells, wave.bake_secs);
    }
    for sentence in asked.impact.iter().flat_map(|impact| &impact.sentences) {
        line!(text, "  expect: {sentence}");
    }
    clean(text.trim_end())
}

/// What came over the network does not drive the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn refused(url: &str, answer: &Answer) -> Failure {
    let said = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.error).unwrap_or_default();
    let advice = match answer.status {
        401 | 403 => ": this AWS identity is not let in (it needs `lambda:InvokeFunctionUrl`, and the URL the type `AWS_IAM`)",
        404 => ": `tidegate status` and the message that asks say what awaits an answer",
        _ => "",
    };
    Failure::Usage(format!("`{url}` answered {}{}{}{advice}", answer.status, if said.is_empty() { "" } else { ": " }, clean(&said)))
}
