//! `tidegate doctor` over the wire: the adapter for AWS, with the SDK's own signing and HTTP, reads of a listening world what the
//! world says of itself in process.

#![cfg(test)]

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_aws::clients::endpoint_config;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::secret::Secret;
use tidegate_engine::ports::Spoke;
use tidegate_engine::probe::facts::SpokeFacts;
use tidegate_engine::probe::look;
use tidegate_events::host::SpokeFault;
use tidegate_rules::doctor::{Outcome, Topic, examine};
use tidegate_tests::binary::root;
use tidegate_world::listen::{self, Listening};
use tidegate_world::{Fleet, Spec, World};

const HUB: &str = "123456789012";

/// The fleet of the command's own scenario, listening, and the spokes in it.
async fn listening() -> (Arc<World>, String, Vec<Spoke>) {
    let bytes = std::fs::read(root().join("tests/scenarios/fleets/unready.json")).unwrap();
    let fleet = Fleet::parse(&bytes, "unready.json").unwrap();
    let world = Arc::new(World::new(Spec::from_fleet(&fleet), Timestamp::now()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listen::url(listener.local_addr().unwrap());
    let how = Listening { hub: HUB.parse().unwrap(), identities: None };
    tokio::spawn(listen::serve(Arc::clone(&world), listener, how, || ()));
    let mut spokes: Vec<Spoke> = fleet.instances.iter().map(|instance| Spoke { account: instance.account, region: instance.region.clone() }).collect();
    spokes.dedup();
    (world, url, spokes)
}

fn cloud(url: &str, external_id: Option<&str>) -> AwsCloud {
    let config = endpoint_config(url, &"us-east-1".parse().unwrap(), HUB, &Secret::new("none"));
    AwsCloud::new(config, CloudSettings { external_id: external_id.map(Secret::new), ..CloudSettings::default() })
}

/// A denial's wording is its own affair.
fn same_words<T>(read: &mut Result<T, SpokeFault>) {
    if let Err(SpokeFault::RoleDenied(why)) = read {
        *why = "denied".to_owned();
    }
}

/// What differs between the two ways by nature: clocks, and the wording of a denial.
fn comparable(mut facts: SpokeFacts) -> SpokeFacts {
    if let Ok(session) = &mut facts.session {
        assert!(session.skew_millis.is_some_and(|skew| skew.abs() < 3_000), "{session:?}");
        session.skew_millis = Some(0);
    }
    same_words(&mut facts.session);
    same_words(&mut facts.rules);
    same_words(&mut facts.recorder);
    same_words(&mut facts.nodes);
    same_words(&mut facts.baselines);
    same_words(&mut facts.associations);
    same_words(&mut facts.windows);
    facts
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_read_as_the_world_is() {
    let (world, url, spokes) = listening().await;
    let cloud = cloud(&url, Some("an-external-id"));
    assert_eq!(spokes.len(), 3);
    for spoke in spokes {
        let (read, known) = (comparable(look(&cloud, &spoke).await), comparable(look(&*world, &spoke).await));
        assert_eq!(read, known, "{}", spoke.account);
        assert_eq!(examine(&read).len(), Topic::ALL.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_the_external_id_is_not_let_in() {
    let (_, url, spokes) = listening().await;
    let facts = look(&cloud(&url, None), &spokes[0]).await;
    let checks = examine(&facts);
    assert_eq!((checks[0].name, checks[0].outcome), (Topic::Trust, Outcome::Fail), "{:?}", checks[0]);
    assert!(checks[0].found.contains("is not authorized to perform: sts:AssumeRole"), "{:?}", checks[0]);
    assert!(checks[1..].iter().all(|check| check.outcome == Outcome::Unknown), "{checks:?}");
}
