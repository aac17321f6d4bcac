//! `tidegate demo`: the whole job on a simulated organization, told while it happens, with the evidence written at the end.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_embedded::{EmbeddedStore, OpenError, SqliteStore};
use tidegate_engine::Engine;
use tidegate_engine::store::Store;
use tidegate_events::Entry;
use tidegate_events::entry::Standing;
use tidegate_events::event::{Approval, Event, Word};
use tidegate_events::fact::Compliance;
use tidegate_events::id::{PersonId, TargetKey, WaveId};
use tidegate_events::journal::Line;
use tidegate_report::{Ledger, Meta, PackWriter, html};
use tidegate_rules::State;
use tidegate_world::{Faults, Spec, Trouble, World};

use crate::args::DemoArgs;
use crate::cmd::{policy, simulate, status};
use crate::drive::{Drive, People, Step};
use crate::failure::Failure;
use crate::screen::{self, BAD, DIM, GOOD, HEAD, WARN};
use crate::settle::Rest;

/// The organization of the demo.
const ACCOUNTS: u32 = 6;
const REGIONS: u32 = 2;
const INSTANCES: u32 = 360;

/// Runs it.
///
/// # Errors
/// When the folder can't be written, or the story did not come out.
pub async fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let quiet = args.headless || args.json;
    let ask = !args.yes && !quiet && screen::somebody_is_there();
    let store = fresh_store(&args.out)?;
    let start = simulate::start()?;
    let world = World::new(spec(args.seed), start);
    let engine = Engine::new(EmbeddedStore::Sqlite(store), world, policy::read(None)?);
    let mut drive = Drive::new(engine, start, People::default()).await?;
    drive.count_deliveries();
    let mut teller = Teller { quiet, tallied: Tallied::default(), last: start };
    teller.say(&format!("{HEAD}An organization of {ACCOUNTS} accounts in {REGIONS} Regions, {INSTANCES} instances. AWS Config begins to talk.{HEAD:#}"));
    let rest = story(&mut drive, &mut teller, ask).await?;
    drive.check_at_rest().await?;
    let summary = drive.summary(args.seed);
    write_evidence(&drive, &args.out).await?;
    let halted = halted_target(&drive, &rest);
    if args.json {
        screen::print_json(&summary)?;
    } else {
        screen::print(&format!("\n{}", status::text(&summary)))?;
        screen::print(&farewell(&args.out, halted.as_ref()))?;
    }
    let told = !rest.halted.is_empty() && halted.is_some() && summary.invariants.violations.is_empty() && summary.commands.doubled == 0;
    if told { Ok(0) } else { Err(Failure::Person("the story did not come out as it should: please report this with the seed".into())) }
}

/// The usual world, with one bad apple for each kind of verdict, and a third wave that meets a bad update: installs fail on
/// hosts of the `db` tier, more than the failure budget allows.
fn spec(seed: u64) -> Spec {
    let mut spec = Spec::generate(ACCOUNTS, REGIONS, INSTANCES, seed, Faults::none());
    let mut dirty: Vec<&mut tidegate_world::HostSpec> = spec.hosts.iter_mut().filter(|host| host.missing > 0).collect();
    dirty.sort_by_key(|host| tidegate_rules::bucket::ring(&host.key));
    let total = dirty.len();
    // Places on the ring decide the wave: canary and early go well but for three oddities, the rest meets the bad update.
    let early = total * 5 / 100..total * 30 / 100;
    let oddities = [Trouble::FalseFailure { times: 1 }, Trouble::OverwrittenByOtherScanner { times: 1 }, Trouble::ConfigNotRecording];
    for (place, host) in dirty.into_iter().enumerate() {
        if early.contains(&place) {
            if let Some(trouble) = oddities.get(place - early.start) {
                host.troubles.push(*trouble);
            }
        } else if place >= early.end {
            match place % 6 {
                0 => host.troubles.push(Trouble::InstallFailsAlways),
                1 if place % 4 == 1 => host.troubles.push(Trouble::FalseSuccess { times: 5 }),
                2 if place % 4 == 2 => host.troubles.push(Trouble::Partial { times: 5 }),
                _ => {}
            }
        }
    }
    spec
}

/// Findings, waves, canary, approval, halt.
async fn story(drive: &mut Drive, teller: &mut Teller, ask: bool) -> Result<Rest, Failure> {
    loop {
        let rest = drive.settle(&mut |step| teller.watch(&step)).await?;
        if !rest.halted.is_empty() || rest.asked.is_empty() {
            return Ok(rest);
        }
        for (subject, digest) in &rest.asked {
            teller.pause();
            let people = if ask { ask_at_terminal(subject, &digest.short())? } else { vec![person("alex")?, person("kim")?] };
            for by in people {
                let comment = "the canary is small and the patch set is pinned".to_owned();
                let approval = Approval { subject: subject.clone(), digest: *digest, word: Word::Approve, by, at: drive.now(), comment };
                let now = drive.now();
                drive.engine.take(&Event::Approval(approval), now).await?;
            }
        }
    }
}

fn person(name: &str) -> Result<PersonId, Failure> {
    name.parse().map_err(|error| Failure::machine("a person of the demo", &error))
}

/// Asks for two names: four eyes are the default.
fn ask_at_terminal(subject: &tidegate_events::event::Subject, digest: &str) -> Result<Vec<PersonId>, Failure> {
    screen::tell(&format!(
        "\n{WARN}Campaign {subject} asks for two approvals of digest {digest}.{WARN:#} It covers its targets, the document, the patch set and the limits."
    ));
    let mut people: Vec<PersonId> = Vec::new();
    while people.len() < 2 {
        let which = if people.is_empty() { "First" } else { "Second" };
        let mut err = anstream::stderr().lock();
        drop(write!(err, "{which} approver's name (empty line: stop here): "));
        drop(err.flush());
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::machine("the terminal can't be read", &error))?;
        let name = line.trim();
        if read == 0 || name.is_empty() {
            return Err(Failure::Person(
                "nobody approved, so nothing was patched. That is what the gate is for; `tidegate demo --yes` approves by itself".into(),
            ));
        }
        match name.parse::<PersonId>() {
            Ok(person) if people.contains(&person) => screen::tell("that is the same person: the policy wants four eyes"),
            Ok(person) => people.push(person),
            Err(error) => screen::tell(&error.to_string()),
        }
    }
    Ok(people)
}

/// A new store in the folder. What an earlier demo left is replaced; what is not ours is not touched.
fn fresh_store(dir: &Path) -> Result<SqliteStore, Failure> {
    std::fs::create_dir_all(dir).map_err(|error| Failure::file(dir, "made", &error))?;
    let path = store_file(dir);
    if path.exists() {
        match SqliteStore::open_existing(&path) {
            Ok(store) => drop(store),
            Err(OpenError::Foreign(path)) => {
                return Err(Failure::Usage(format!("`{}` is not a Tidegate store: choose another folder with --out", path.display())));
            }
            Err(error) => return Err(error.into()),
        }
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            match std::fs::remove_file(PathBuf::from(&name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::file(Path::new(&name), "replaced", &error)),
                _ => {}
            }
        }
    }
    Ok(SqliteStore::open(&path)?)
}

fn store_file(dir: &Path) -> PathBuf {
    dir.join("tidegate.db")
}

/// Writes journal, anchor and report.
async fn write_evidence(drive: &Drive, dir: &Path) -> Result<(), Failure> {
    let failed = |error: tidegate_report::PackError| Failure::machine("the evidence can't be written", &error);
    let mut pack = PackWriter::create(dir).map_err(failed)?;
    let mut ledger = Ledger::default();
    let mut after = 0;
    loop {
        let page = drive.engine.store().journal(after, 1000).await.map_err(|error| Failure::machine("the journal can't be read", &error))?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, bytes) in &page {
            pack.add_line(bytes).map_err(failed)?;
            let line: Line = serde_json::from_slice(bytes).map_err(|error| Failure::machine("the journal is damaged", &error))?;
            ledger.apply(&line);
        }
    }
    let meta = Meta { title: "Patch compliance report".into(), generated_for: "the Tidegate demo".into(), root: pack.root() };
    let report = html::page(&ledger, &meta);
    pack.finish(&[("report.html", report.as_bytes())]).map_err(failed)?;
    Ok(())
}

/// A target that waits in the halted wave, or failed in it.
fn halted_target(drive: &Drive, rest: &Rest) -> Option<TargetKey> {
    let lane = rest.halted.keys().next()?;
    let State::Lane(lane) = drive.checker.fold().items.get(&tidegate_rules::Key::lane(lane))? else { return None };
    let wave: &WaveId = &lane.halted.as_ref()?.wave;
    let members = drive.checker.fold().items.values().filter_map(|state| match state {
        State::Cell(cell) if cell.id.wave == *wave => Some(cell),
        _ => None,
    });
    let mut targets: Vec<TargetKey> = members.flat_map(|cell| cell.members.iter().map(|seat| cell.id.target(&seat.member.instance))).collect();
    targets.sort();
    let campaign = &wave.campaign;
    let waits = |key: &&TargetKey| match drive.checker.fold().items.get(&tidegate_rules::Key::target(key)) {
        Some(State::Target(target)) => matches!(&target.standing, Standing::Enrolled { campaign: of } if of == campaign),
        _ => false,
    };
    targets.iter().find(waits).or(targets.first()).cloned()
}

fn farewell(dir: &Path, halted: Option<&TargetKey>) -> String {
    let dir = dir.display();
    let mut text = format!("\n{HEAD}Evidence{HEAD:#} in {dir}: report.html, journal.jsonl, anchor.json, tidegate.db\n\n{HEAD}Try next{HEAD:#}\n");
    text.push_str(&format!("  tidegate verify {dir}\n"));
    if let Some(target) = halted {
        text.push_str(&format!("  tidegate explain {target} --store {dir}/tidegate.db\n"));
    }
    text.push_str(&format!("  tidegate status --store {dir}/tidegate.db\n"));
    text.push_str(&format!("{DIM}(from a checkout: cargo run --release -- verify {dir}){DIM:#}\n"));
    text
}

/// What was told but not said yet: many small things are one sentence.
#[derive(Debug, Default)]
struct Tallied {
    findings: u64,
    confirmed: u64,
    verdicts: std::collections::BTreeMap<&'static str, u64>,
}

/// Tells the story while it happens.
struct Teller {
    quiet: bool,
    tallied: Tallied,
    last: Timestamp,
}

impl Teller {
    fn say(&self, text: &str) {
        if !self.quiet {
            screen::tell(text);
        }
    }

    /// A moment to read.
    fn pause(&self) {
        if !self.quiet && screen::somebody_is_there() {
            std::thread::sleep(Duration::from_millis(700));
        }
    }

    fn watch(&mut self, step: &Step<'_>) {
        for bytes in step.lines {
            let Ok(line) = serde_json::from_slice::<Line>(bytes) else { continue };
            for entry in &line.entries {
                self.hear(line.at, entry);
            }
        }
        self.last = step.now;
    }

    fn hear(&mut self, at: Timestamp, entry: &Entry) {
        match entry {
            Entry::FactNoted { fact, .. } if fact.compliance == Compliance::NonCompliant => {
                self.tallied.findings += 1;
                if self.tallied.findings.is_multiple_of(40) {
                    self.tell(at, &format!("{} findings so far", self.tallied.findings));
                }
            }
            Entry::Moved { to: Standing::Compliant, verdict: Some(_), .. } => self.tallied.confirmed += 1,
            Entry::Released { outcomes, .. } => {
                for verdict in outcomes.iter().filter_map(|outcome| outcome.verdict) {
                    *self.tallied.verdicts.entry(verdict.name()).or_default() += 1;
                }
            }
            Entry::CampaignOpened { campaign, close_at, .. } => self.tell(at, &format!("campaign {campaign} opens and collects until {}", clock(*close_at))),
            Entry::CampaignClosed { campaign, waves, digest, .. } => {
                let waves: Vec<String> = waves.iter().map(|wave| format!("{} {}", wave.name, wave.targets)).collect();
                self.tell(
                    at,
                    &format!("campaign {campaign} closes after {} findings; waves: {}; digest {}", self.tallied.findings, waves.join(", "), digest.short()),
                );
                self.pause();
            }
            Entry::ApprovalTaken(approval) => self.tell(at, &format!("{GOOD}{} says yes{GOOD:#} to digest {}", approval.by, approval.digest.short())),
            Entry::WaveSealed { wave, kept, .. } => self.tell(at, &format!("wave {wave} is sealed: {kept} targets still need it")),
            Entry::WaveOpened { wave, .. } => self.tell(at, &format!("{GOOD}every gate says yes{GOOD:#}: wave {wave} opens")),
            Entry::WaveBaking { wave, until, ok, bad } => {
                self.verdicts(at);
                self.tell(at, &format!("wave {wave} has ended, {ok} patched, {bad} not; it bakes until {}", clock(*until)));
                self.pause();
            }
            Entry::WaveProven { wave } => {
                self.tell(at, &format!("{GOOD}wave {wave} is proven{GOOD:#}; AWS Config has confirmed {} so far", self.tallied.confirmed))
            }
            Entry::LaneHalted { why, .. } => {
                self.verdicts(at);
                self.tell(at, &format!("{BAD}the lane halts{BAD:#}: {why}"));
                self.pause();
            }
            _ => {}
        }
    }

    fn verdicts(&mut self, at: Timestamp) {
        let verdicts: Vec<String> =
            std::mem::take(&mut self.tallied.verdicts).iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        if !verdicts.is_empty() {
            self.tell(at, &format!("scans judged: {}", verdicts.join(", ")));
        }
    }

    fn tell(&self, at: Timestamp, text: &str) {
        self.say(&format!("{DIM}{}{DIM:#}  {text}", clock(at)));
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%a %H:%M").to_string()
}
