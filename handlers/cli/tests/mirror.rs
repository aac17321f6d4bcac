//! Exemptions that AWS Config is told of: once, with who answers for them, why and until when; taken back when they are withdrawn; and
//! whatever Config says, nothing waits for it. Nobody who did not ask for it has a call made.

#![cfg(test)]

mod journal;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use tidegate_cli::cmd::status;
use tidegate_cli::drive::{Drive, People};
use tidegate_embedded::{EmbeddedStore, SqliteStore};
use tidegate_engine::Engine;
use tidegate_events::Entry;
use tidegate_events::bulk::RunAsked;
use tidegate_events::event::Event;
use tidegate_events::host::Platform;
use tidegate_events::id::TargetKey;
use tidegate_events::mirror::MirrorStep;
use tidegate_events::wire::run_input;
use tidegate_rules::decide::Outcome;
use tidegate_rules::{State, policy};
use tidegate_world::{AccountSpec, HostSpec, RULE, Spec, World};

const HOSTS: u64 = 12;
const EXEMPT: usize = 5;
const PUT: &str = "config:PutRemediationExceptions";
const DELETE: &str = "config:DeleteRemediationExceptions";
const MIRRORED: &str = "[exemptions]\nmirror = true\n";
const BY_TAG: &str = "[[exemption]]\nselect = { tags = { Tier = [\"vendor\"] } }\nowner = \"payments\"\nreason = \"the vendor patches it\"\nticket = \"CHG-7\"\nuntil = 2026-12-19T00:00:00Z\n";

fn start() -> Timestamp {
    "2026-11-19T19:00:00Z".parse().unwrap()
}

fn key(n: u64) -> TargetKey {
    TargetKey { account: "111122223333".parse().unwrap(), region: "eu-west-1".parse().unwrap(), instance: format!("i-{n:017x}").parse().unwrap() }
}

/// Twelve hosts of one spoke that Config reports within minutes, the first five with the tag.
fn estate(denied: bool) -> Spec {
    let account = AccountSpec { exceptions_denied: denied, ..AccountSpec::new(key(0).account) };
    let host = |n: u64| {
        let host = HostSpec::new(key(n), Platform::Linux).missing(2).found_after(60);
        if n < EXEMPT as u64 { host.tag("Tier", "vendor") } else { host }
    };
    Spec { seed: 3, accounts: vec![account], hosts: (0..HOSTS).map(host).collect(), ..Spec::default() }
}

/// A store and a world on file, so that the same estate goes on under another policy.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mirror-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    async fn under(&self, spec: &Spec, extra: &str) -> Drive {
        let text = format!(
            "name = \"t\"\nenvironment = \"development\"\nfailure_budget = \"100%\"\n[collect]\ngather_secs = 600\n[approval]\nquorum = 0\n\
             [blast_radius]\nwave = \"100%\"\naccount = \"100%\"\nregion = \"100%\"\norganization = \"100%\"\n{extra}\n[[wave]]\nname = \"all\"\nbake_secs = 600\n"
        );
        let policy = policy::parse(&text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let store = EmbeddedStore::Sqlite(SqliteStore::open(&self.0.join("store")).unwrap());
        let world = World::open(spec.clone(), start(), Some(&self.0.join("world"))).unwrap();
        Drive::new(Engine::new(store, world, policy), start(), People::default()).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// So much time passes, with the tick of every ten minutes.
async fn pass(drive: &mut Drive, hours: i64) {
    let to = drive.now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    while drive.now() < to {
        drive.move_to(drive.now().checked_add(SignedDuration::from_mins(10)).unwrap(), &mut |_| {}).await.unwrap();
        drive.engine.tick(drive.now()).await.unwrap();
    }
    drive.move_to(drive.now().checked_add(SignedDuration::from_secs(1)).unwrap(), &mut |_| {}).await.unwrap();
    drive.check_at_rest().await.unwrap();
    assert_eq!(drive.checker.violations(), Vec::<String>::new());
}

fn calls(drive: &Drive, call: &str) -> u64 {
    drive.engine.cloud().api_calls().get(call).copied().unwrap_or(0)
}

fn exempt(drive: &Drive) -> u64 {
    drive.summary(3).targets.by_state["exempt"]
}

fn patched(drive: &Drive) -> usize {
    let world = drive.engine.cloud();
    world.hosts().iter().filter(|key| world.truth(key).unwrap().is_patched()).count()
}

async fn steps(drive: &Drive) -> Vec<MirrorStep> {
    let entries = journal::lines(drive).await.into_iter().flat_map(|line| line.entries);
    let step = |entry| match entry {
        Entry::Mirror(step) => Some(step),
        _ => None,
    };
    entries.filter_map(step).collect()
}

#[tokio::test]
async fn who_is_exempt_by_tag_is_told_of_in_one_call_and_never_again() {
    let (place, spec) = (Place::new("tag"), estate(false));
    let mut drive = place.under(&spec, &format!("{MIRRORED}{BY_TAG}")).await;
    pass(&mut drive, 24).await;
    assert_eq!((exempt(&drive), patched(&drive)), (EXEMPT as u64, HOSTS as usize - EXEMPT));
    let there = drive.engine.cloud().exceptions();
    assert_eq!(there.len(), EXEMPT);
    for (n, exception) in (0u64..).zip(&there) {
        assert_eq!((&exception.target, exception.rule.as_str()), (&key(n), RULE));
        assert_eq!(exception.message.as_deref(), Some("payments answers for it: the vendor patches it (CHG-7); exempt by Tidegate's policy t"));
        assert_eq!(exception.until, Some("2026-12-19T00:00:00Z".parse().unwrap()));
    }
    pass(&mut drive, 5 * 24).await;
    assert_eq!((calls(&drive, PUT), calls(&drive, DELETE)), (1, 0), "a chunk is one call, and no tick makes another");
    let told = steps(&drive).await;
    assert!(matches!(told.as_slice(), [MirrorStep::Reviewed { .. }, MirrorStep::Asked { .. }, MirrorStep::Told { failed: None, .. }]), "{told:?}");
    // At its end Config forgets by itself, and the hosts are patched like any other.
    pass(&mut drive, 26 * 24).await;
    assert_eq!((exempt(&drive), patched(&drive)), (0, HOSTS as usize));
    assert_eq!((calls(&drive, PUT), calls(&drive, DELETE), drive.engine.cloud().exceptions().len()), (1, 0, 0));
}

#[tokio::test]
async fn without_being_asked_for_nothing_is_called() {
    let (place, spec) = (Place::new("off"), estate(false));
    let mut drive = place.under(&spec, BY_TAG).await;
    pass(&mut drive, 48).await;
    assert_eq!((exempt(&drive), calls(&drive, PUT), calls(&drive, DELETE)), (EXEMPT as u64, 0, 0));
    assert_eq!(steps(&drive).await, []);
    drop(drive);
    // Switched on, it is made up for; switched off, what is there stays until its end.
    let mut drive = place.under(&spec, &format!("{MIRRORED}{BY_TAG}")).await;
    pass(&mut drive, 1).await;
    assert_eq!((calls(&drive, PUT), drive.engine.cloud().exceptions().len()), (1, EXEMPT));
    drop(drive);
    let mut drive = place.under(&spec, "").await;
    pass(&mut drive, 24).await;
    assert_eq!((calls(&drive, DELETE), drive.engine.cloud().exceptions().len()), (0, EXEMPT));
}

#[tokio::test]
async fn what_is_withdrawn_is_taken_back_and_what_is_moved_is_put_again() {
    let (place, spec) = (Place::new("withdrawn"), estate(false));
    let of = |instances: &str, until: &str| {
        format!("{MIRRORED}[[exemption]]\ninstances = [{instances}]\nowner = \"payments\"\nreason = \"replaced\"\nuntil = {until}\n")
    };
    let (one, two) = (key(0).instance, key(1).instance);
    let mut drive = place.under(&spec, &of(&format!("\"{one}\", \"{two}\""), "2026-12-19T00:00:00Z")).await;
    pass(&mut drive, 24).await;
    assert_eq!((exempt(&drive), drive.engine.cloud().exceptions().len(), patched(&drive)), (2, 2, HOSTS as usize - 2));
    drop(drive);
    // One is no longer named, the other's end comes sooner.
    let mut drive = place.under(&spec, &of(&format!("\"{one}\""), "2026-12-01T00:00:00Z")).await;
    pass(&mut drive, 1).await;
    let there = drive.engine.cloud().exceptions();
    assert_eq!(
        there.iter().map(|exception| (&exception.target, exception.until)).collect::<Vec<_>>(),
        [(&key(0), Some("2026-12-01T00:00:00Z".parse().unwrap()))]
    );
    assert_eq!((calls(&drive, PUT), calls(&drive, DELETE)), (1, 1));
    pass(&mut drive, 24).await;
    assert_eq!((exempt(&drive), patched(&drive)), (1, HOSTS as usize - 1), "whose exemption is withdrawn is patched like any other");
    drop(drive);
    let mut drive = place.under(&spec, MIRRORED).await;
    pass(&mut drive, 24).await;
    assert_eq!((exempt(&drive), drive.engine.cloud().exceptions().len(), patched(&drive)), (0, 0, HOSTS as usize));
}

#[tokio::test]
async fn a_spoke_that_refuses_holds_nothing_is_told_of_once_and_asked_ever_less_often() {
    let mut published = Vec::new();
    for denied in [false, true] {
        let (place, spec) = (Place::new(&format!("denied-{denied}")), estate(denied));
        let mut drive = place.under(&spec, &format!("{MIRRORED}{BY_TAG}")).await;
        pass(&mut drive, 10 * 24).await;
        assert_eq!((exempt(&drive), patched(&drive)), (EXEMPT as u64, HOSTS as usize - EXEMPT));
        published.push(calls(&drive, "sns:Publish"));
        let (_, status) = status::read(drive.engine.store()).await.unwrap();
        if !denied {
            assert!(status.mirror_refused.is_empty());
            continue;
        }
        let tried = calls(&drive, PUT);
        assert!((10..=15).contains(&tried), "at once, then after one hour, two, four, eight, sixteen, and once a day: not {tried} times");
        assert_eq!(drive.engine.cloud().exceptions(), []);
        let [refused] = status.mirror_refused.as_slice() else { panic!("{:?}", status.mirror_refused) };
        assert_eq!((refused.at.as_str(), refused.waiting), ("111122223333/eu-west-1", EXEMPT as u64));
        assert!(refused.why.contains("AccessDenied"), "{}", refused.why);
        let waits = drive.checker.fold().items.values().any(|state| matches!(state, State::Mirror(mirror) if mirror.blocked && mirror.there.is_empty()));
        assert!(waits);
    }
    assert_eq!(published[1], published[0] + 1, "operators are told once");
}

#[tokio::test]
async fn a_dry_run_tells_config_nothing() {
    let (place, mut spec) = (Place::new("dry"), estate(false));
    for host in &mut spec.hosts {
        host.finding_after_secs = None;
    }
    let mut drive = place.under(&spec, &format!("{MIRRORED}{BY_TAG}")).await;
    let run = run_input::parse(br#"{"accounts": ["111122223333"], "regions": ["eu-west-1"], "dryRun": true}"#);
    let run = run.unwrap_or_else(|wrong| panic!("{:?}", wrong.lines().collect::<Vec<_>>())).run;
    let asked = RunAsked { id: "night".into(), run, by: "dana".parse().unwrap(), at: drive.now() };
    assert_eq!(drive.ask(&Event::RunAsked(Box::new(asked))).await.unwrap(), Outcome::Accepted);
    pass(&mut drive, 24).await;
    assert_eq!((calls(&drive, PUT), calls(&drive, DELETE), patched(&drive)), (0, 0, 0));
}

#[tokio::test]
async fn an_exemption_that_comes_after_the_cut_counts_and_ends_like_any_other() {
    // Everything waits in one wave for the end of a freeze when two of its hosts are exempted by name.
    let freeze = "[[freeze]]\nname = \"audit\"\nfrom = 2026-11-01T00:00:00Z\nuntil = 2026-11-21T00:00:00Z\nreason = \"audit\"\n";
    let named = format!(
        "[[exemption]]\ninstances = [\"{}\", \"{}\"]\nowner = \"payments\"\nreason = \"month end\"\nuntil = 2026-12-02T00:00:00Z\n",
        key(3).instance,
        key(9).instance
    );
    let (place, spec) = (Place::new("late"), estate(false));
    let mut drive = place.under(&spec, freeze).await;
    pass(&mut drive, 12).await;
    assert_eq!((exempt(&drive), drive.summary(3).targets.by_state["in_wave"]), (0, HOSTS));
    drop(drive);
    let mut drive = place.under(&spec, &format!("{MIRRORED}{freeze}{named}")).await;
    pass(&mut drive, 48).await;
    let states = drive.summary(3).targets.by_state;
    assert_eq!((states["exempt"], states["in_wave"], patched(&drive)), (2, 0, HOSTS as usize - 2));
    let told: Vec<TargetKey> = drive.engine.cloud().exceptions().into_iter().map(|exception| exception.target).collect();
    assert_eq!((told, calls(&drive, PUT)), (vec![key(3), key(9)], 1), "they are told of, too");
    pass(&mut drive, 12 * 24).await;
    assert_eq!((exempt(&drive), patched(&drive)), (0, HOSTS as usize), "nobody is forgotten when it ends");
}
