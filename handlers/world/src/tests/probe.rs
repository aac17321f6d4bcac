//! What doctor reads of a spoke, in process.

use tidegate_engine::probe::facts::{Frequency, SpokeFacts};
use tidegate_engine::probe::look;
use tidegate_events::host::SpokeFault;

use super::*;
use crate::{AccountState, Recording, Rival, RivalKind, Role};

fn facts(change: impl Fn(&mut AccountSpec)) -> SpokeFacts {
    let mut spec = spec([host(0), troubled(1, Trouble::OFFLINE_ALWAYS), troubled(2, Trouble::NotRegistered)]);
    spec.accounts.iter_mut().for_each(change);
    ask(look(&World::new(spec, start()), &spoke()))
}

#[test]
fn a_usual_spoke_has_all_that_is_looked_for() {
    let facts = facts(|_| {});
    assert_eq!(facts.session.unwrap().opens_without_external_id, Some(false));
    assert_eq!(facts.rules.unwrap().len(), 1);
    let recorder = facts.recorder.unwrap().unwrap();
    assert_eq!((recorder.is_recording, recorder.frequency), (Some(true), Some(Frequency::Continuous)));
    let nodes = facts.nodes.unwrap();
    assert_eq!(nodes.iter().map(|nodes| (nodes.online, nodes.silent)).collect::<Vec<_>>(), [(1, 1)], "who is not registered is not listed");
    assert!(facts.baselines.unwrap().iter().any(|baseline| baseline.system == "AMAZON_LINUX_2023"));
    assert_eq!(facts.associations.unwrap().len(), 1, "the inventory");
    assert_eq!(facts.windows.unwrap().len(), 1, "updates of the agent");
}

#[test]
fn every_trouble_of_an_account_can_be_seen() {
    for (role, state, fault) in
        [(Role::Missing, AccountState::Active, "role"), (Role::WrongTrust, AccountState::Active, "role"), (Role::Ok, AccountState::Suspended, "suspended")]
    {
        let facts = facts(|account| (account.role, account.state) = (role, state));
        let said = facts.session.unwrap_err();
        assert_eq!(fault, if said == SpokeFault::AccountSuspended { "suspended" } else { "role" });
        assert!(facts.rules.is_err() && facts.windows.is_err());
    }
    assert_eq!(facts(|account| account.role = Role::Unguarded).session.unwrap().opens_without_external_id, Some(true));
    assert_eq!(facts(|account| account.recording = Recording::Off).recorder.unwrap().unwrap().is_recording, Some(false));
    assert_eq!(facts(|account| account.recording = Recording::Daily).recorder.unwrap().unwrap().frequency, Some(Frequency::Daily));
    assert!(facts(|account| account.rules.clear()).rules.unwrap().is_empty());
    let without = facts(|account| {
        account.without_baseline.insert(Platform::Linux);
    })
    .baselines
    .unwrap();
    assert!(without.iter().any(|one| one.system == "WINDOWS") && !without.iter().any(|one| one.system == "UBUNTU"));
    let rival = |kind| Rival { kind, name: "weekly".into(), operation: Operation::Install, disabled: false };
    let facts = facts(|account| account.rivals = [RivalKind::PatchPolicy, RivalKind::Association, RivalKind::Window].map(rival).to_vec());
    let associations = facts.associations.unwrap();
    let parameters: Vec<_> = associations.iter().filter_map(|one| one.parameters.as_ref()).collect();
    assert_eq!((associations.len(), parameters.len()), (3, 2));
    assert_eq!(parameters.iter().filter(|parameters| parameters.contains_key("BaselineOverride")).count(), 1);
    assert_eq!(facts.windows.unwrap()[1].tasks[0].document, "AWS-RunPatchBaseline");
}

#[test]
fn what_a_call_meets_is_told_of_that_call_alone() {
    let mut spec = spec([host(0)]);
    spec.faults.read_unanswered = 1_000;
    let facts = ask(look(&World::new(spec, start()), &spoke()));
    assert!(matches!(facts.session, Err(SpokeFault::NoAnswer(_))));
}
