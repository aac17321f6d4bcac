//! When Config is told, when it is not, and how long it is left alone after a refusal.

use std::sync::Arc;

use tidegate_events::event::{Answer, Event};
use tidegate_events::fact::{Fact, FactSource};
use tidegate_events::host::SpokeFault;

use super::*;
use crate::decide::decide;
use crate::desk::Loaded;
use crate::policy;

const WITH: &str = "[exemptions]\nmirror = true\n[[exemption]]\ninstances = [\"i-00000001\", \"i-00000002\", \"i-00000003\"]\nowner = \"payments\"\nreason = \"replaced\"\nuntil = 2027-01-04T00:00:00Z\n";
const WITHOUT: &str = "[exemptions]\nmirror = true\n";

/// What is stored of one spoke, and the time.
struct Site {
    policy: Arc<Policy>,
    loaded: Loaded,
    now: Timestamp,
    actions: Vec<Action>,
}

fn key(n: u64) -> TargetKey {
    format!("111122223333/us-east-1/i-{n:08x}").parse().unwrap()
}

fn until() -> Timestamp {
    "2027-01-04T00:00:00Z".parse().unwrap()
}

impl Site {
    /// These are exempt, found by a rule.
    fn new(count: u64) -> Self {
        let now = "2026-11-19T19:00:00Z".parse().unwrap();
        let mut site = Self { policy: read(WITH), loaded: Loaded::default(), now, actions: Vec::new() };
        for n in 1..=count {
            let source = FactSource::ConfigRule("patch-rule".into());
            let fact = Fact { compliance: Compliance::NonCompliant, ordering: now, recorded: now, source };
            let standing = Standing::Exempt { until: until(), owner: "payments".into(), reason: "replaced".into() };
            site.put(Target { standing, facts: vec![fact], ..Target::new(key(n)) });
        }
        site
    }

    fn put(&mut self, target: Target) {
        self.loaded.items.insert(Key::target(&target.key), Some(State::Target(Box::new(target))));
    }

    fn decide<T>(&mut self, decision: impl Fn(&mut Desk<'_>) -> Result<T, Missing>) -> T {
        loop {
            let effective = BTreeMap::from([(self.policy.digest(), Arc::clone(&self.policy))]);
            let mut desk = Desk::new(self.now, &self.policy, &effective, &self.loaded);
            match decision(&mut desk) {
                Ok(answer) => {
                    let decided = desk.finish();
                    self.actions.extend(decided.actions);
                    self.loaded.items.extend(decided.items.into_iter().map(|(key, state)| (key, Some(state))));
                    return answer;
                }
                Err(Missing::Keys(keys)) => self.loaded.items.extend(keys.into_iter().map(|key| (key, None))),
                Err(Missing::Corrupt(why)) => panic!("{why}"),
            }
        }
    }

    fn look(&mut self, asked: &[u64]) -> Vec<ExceptionCall> {
        let asked: Vec<InstanceId> = asked.iter().map(|n| key(*n).instance).collect();
        self.decide(|desk| look(desk, key(1).account, &key(1).region, &asked))
    }

    fn answer(&mut self, calls: Vec<ExceptionCall>, outcome: &ExceptionOutcome) {
        let calls = calls.into_iter().map(|call| (call, outcome.clone())).collect();
        let event = Event::Answer(Answer::Mirrored { account: key(1).account, region: key(1).region, calls });
        self.decide(|desk| decide(desk, &event));
    }

    fn mirror(&self) -> &Mirror {
        match self.loaded.items.get(&Key::mirror(key(1).account, &key(1).region)) {
            Some(Some(State::Mirror(mirror))) => mirror,
            other => panic!("{other:?}"),
        }
    }

    fn waits(&self) -> i64 {
        self.mirror().again_at.map_or(-1, |at| at.duration_since(self.now).as_secs())
    }

    fn pass(&mut self, secs: i64) {
        self.now = crate::desk::later(self.now, secs);
    }
}

fn read(extra: &str) -> Arc<Policy> {
    Arc::new(policy::parse(&format!("name = \"p\"\n{extra}"), "p.toml").unwrap_or_else(|errors| panic!("{errors}")))
}

fn denied() -> ExceptionOutcome {
    Err(SpokeFault::RoleDenied("not you".into()))
}

#[test]
fn what_is_there_is_known_and_not_told_again() {
    let mut site = Site::new(3);
    let calls = site.look(&[1, 2]);
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((call.on.rule.as_str(), call.on.resource_type.as_str(), call.on.instances.len()), ("patch-rule", "AWS::SSM::PatchCompliance", 2));
    assert_eq!(call.note.as_ref().unwrap().message, "payments answers for it: replaced; exempt by Tidegate's policy p");
    // Nobody answers: it is due again.
    assert_eq!((site.waits(), site.mirror().pending.len()), (600, 2));
    site.answer(calls, &Ok(Vec::new()));
    assert_eq!((site.waits(), site.mirror().of(&key(1).instance, site.now)), (-1, Some(("patch-rule", until()))));
    assert_eq!(site.look(&[1, 2]), []);
    assert_eq!(site.look(&[]), []);
    assert_eq!(site.look(&[3]).len(), 1);
    // At its end Config forgets it by itself.
    assert_eq!(site.mirror().of(&key(1).instance, until()), None);
    assert!(site.actions.is_empty(), "{:?}", site.actions);
}

#[test]
fn who_is_withdrawn_compliant_or_found_by_no_rule_is_not_told_of() {
    let mut site = Site::new(3);
    let calls = site.look(&[1]);
    site.answer(calls, &Ok(Vec::new()));
    let State::Target(target) = site.loaded.items[&Key::target(&key(2))].clone().unwrap() else { panic!("a target") };
    let fact = target.fact().cloned().unwrap();
    site.put(Target { facts: vec![Fact { compliance: Compliance::Compliant, ..fact.clone() }], ..*target.clone() });
    site.put(Target { key: key(3), facts: vec![Fact { source: FactSource::SsmCompliance, ..fact }], ..*target });
    assert_eq!(site.look(&[2, 3]), []);
    site.policy = read(WITHOUT);
    let calls = site.look(&[1, 2, 3]);
    assert!(matches!(calls.as_slice(), [call] if call.note.is_none() && call.on.instances == [key(1).instance]), "{calls:?}");
    site.answer(calls, &Ok(Vec::new()));
    assert_eq!(site.mirror().of(&key(1).instance, site.now), None);
    assert_eq!(site.mirror().again_at, None);
}

#[test]
fn a_refusal_is_told_once_and_left_alone_ever_longer() {
    let mut site = Site::new(3);
    let calls = site.look(&[1]);
    site.answer(calls, &denied());
    assert_eq!((site.waits(), site.actions.len()), (3600, 1));
    assert!(matches!(&site.actions[0], Action::Notify(notice) if notice.kind == NoticeKind::MirrorRefused && notice.subject == "111122223333/us-east-1"));
    // Others wait with it, and no call is made for them.
    assert_eq!(site.look(&[2, 3]), []);
    assert_eq!((site.waits(), site.mirror().pending.len()), (3600, 3));
    let mut waits = Vec::new();
    for _ in 0..7 {
        site.pass(site.waits());
        let calls = site.look(&[]);
        assert_eq!(calls.iter().map(|call| call.on.instances.len()).sum::<usize>(), 3, "one call for all");
        site.answer(calls, &denied());
        waits.push(site.waits() / 3600);
    }
    assert_eq!((waits, site.actions.len()), (vec![2, 4, 8, 16, 24, 24, 24], 1));
    // The right is there: everybody is told of, and the next refusal would be news.
    site.pass(site.waits());
    let calls = site.look(&[]);
    site.answer(calls, &Ok(Vec::new()));
    assert_eq!((site.waits(), &site.mirror().refused, site.mirror().tries, site.mirror().pending.len()), (-1, &None, 0, 0));
}

#[test]
fn no_answer_is_nobodys_news_and_one_instance_holds_up_no_other() {
    let mut site = Site::new(3);
    let calls = site.look(&[1]);
    site.answer(calls, &Err(SpokeFault::Throttled));
    assert_eq!((site.waits(), site.actions.len()), (60, 0));
    site.pass(60);
    let calls = site.look(&[]);
    site.answer(calls, &Err(SpokeFault::NoAnswer("reset".into())));
    assert_eq!(site.waits(), 120);
    site.pass(120);
    let calls = site.look(&[1, 2]);
    site.answer(calls, &Ok(vec![(key(1).instance, "not NON_COMPLIANT".into())]));
    assert!(site.mirror().of(&key(2).instance, site.now).is_some());
    assert_eq!((site.mirror().pending.len(), site.mirror().blocked, site.actions.len()), (1, false, 1));
    assert!(site.mirror().refused.as_ref().is_some_and(|why| why.contains("i-00000001: not NON_COMPLIANT")), "{:?}", site.mirror().refused);
    let waits = site.waits();
    let calls = site.look(&[3]);
    assert_eq!(calls.len(), 1, "others go on");
    site.answer(calls, &Ok(Vec::new()));
    assert_eq!((site.waits(), waits), (4 * 3600, 4 * 3600), "and the one that failed waits as long as before");
}

#[test]
fn a_policy_that_asks_no_longer_calls_nothing_more() {
    let mut site = Site::new(1);
    drop(site.look(&[1]));
    site.policy = read("");
    site.pass(600);
    assert_eq!(site.look(&[]), []);
    assert_eq!((site.waits(), site.mirror().pending.len()), (-1, 0));
}

#[test]
fn what_is_said_is_one_line_that_config_takes() {
    let long = "x".repeat(500);
    let extra = format!(
        "[exemptions]\nmirror = true\n[[exemption]]\ninstances = [\"i-00000001\"]\nowner = \"{long}\"\nreason = \"{}\"\nticket = \"T\"\nuntil = 2027-01-04T00:00:00Z\n",
        "y".repeat(500)
    );
    let mut site = Site::new(1);
    site.policy = read(&extra);
    let State::Target(target) = site.loaded.items[&Key::target(&key(1))].clone().unwrap() else { panic!("a target") };
    site.put(Target { standing: Standing::Exempt { until: until(), owner: long, reason: "y".repeat(500) }, ..*target });
    let calls = site.look(&[1]);
    assert_eq!(calls[0].note.as_ref().unwrap().message.chars().count(), 1024);
}
