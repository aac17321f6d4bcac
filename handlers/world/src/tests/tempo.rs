//! Worlds that go faster, and commands that bear only so many errors.

use super::*;
use crate::Tempo;

fn fast(hosts: impl IntoIterator<Item = HostSpec>) -> Spec {
    Spec { tempo: Tempo::times(60), ..spec(hosts) }
}

#[test]
fn minutes_become_seconds_and_the_same_things_happen() {
    let (slow, quick) = (world([host(1)]), World::new(fast([host(1)]), start()));
    let kinds = |events: &[Value]| events.iter().map(|event| (event["detail-type"].clone(), event["detail"]["status"].clone())).collect::<Vec<_>>();
    let commands = [install(&slow, [1]), install(&quick, [1])];
    let (all, soon) = (pass(&slow, HOUR), pass(&quick, HOUR / 60 + 1));
    assert_eq!(kinds(&all), kinds(&soon));
    assert!(all.iter().any(|event| event["detail"]["newEvaluationResult"]["complianceType"] == "COMPLIANT"), "an hour is enough for all of it");
    for (world, command) in [&slow, &quick].into_iter().zip(&commands) {
        assert_eq!((status(world, command, 1), lacks(&patch_state(world, 1))), (InvocationStatus::Success, (0, 0, 0)));
    }
}

#[test]
fn what_aws_counts_keeps_its_pace() {
    let world = World::new(fast([host(1)]), start());
    for (after, evaluated) in [(0, 1), (59, 1), (1, 2)] {
        pass(&world, after);
        ask(world.start_evaluation(&spoke(), &["rule".to_owned()])).unwrap();
        pass(&world, 0);
        let asked = world.inner().state.spoke(&spoke()).and_then(|spoke| spoke.asked);
        assert_eq!(asked, Some(start().as_millisecond() + if evaluated == 1 { 0 } else { 60_000 }));
    }
}

#[test]
fn a_world_on_file_keeps_its_tempo_and_old_files_have_none() {
    let spec = fast([host(1)]);
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    let old: Spec = serde_json::from_str(&text.replace(r#""tempo":60,"#, "")).unwrap();
    assert_eq!(old.tempo, Tempo::default());
    assert!(serde_json::from_str::<Spec>(&text.replace(r#""tempo":60,"#, r#""tempo":0,"#)).is_err(), "no world stands still by being infinitely fast");
}

#[test]
fn after_too_many_errors_nothing_more_is_handed_out() {
    for (max_errors, ran) in [(Some(0), 1), (Some(1), 2), (None, 4)] {
        let world = world((1..=4).map(|n| troubled(n, Trouble::InstallFailsAlways)));
        let request = SendRequest { max_concurrency: 1, ..request(&world, "tidegate/0123456789abcdef/install/1", Operation::Install, 1..=4) };
        let SendOutcome::Accepted { command, .. } = world.inner().send(&request, max_errors) else { panic!("it is accepted") };
        let events = pass(&world, 3 * HOUR);
        let statuses: Vec<_> = (1..=4).map(|n| status(&world, &command, n)).collect();
        assert_eq!(statuses.iter().filter(|status| **status == InvocationStatus::Failed).count(), ran, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == InvocationStatus::NeverRan).count(), 4 - ran, "{statuses:?}");
        let ends = of_type(&events, "EC2 Command Status-change").into_iter().filter(|event| event["detail"]["status"] == "Failed").count();
        assert_eq!(ends, 1, "the command ends once");
    }
}
