//! What instances lack on AWS: what goes over the wire, what each answer means, and the simulated organization as the other side.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tidegate_aws::clients::endpoint_config;
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::secret::Secret;
use tidegate_engine::ports::Cloud as _;
use tidegate_events::host::{Platform, SpokeFault};
use tidegate_events::patch::{Lacking, MissingPatch, Severity};
use tidegate_world::listen::{self, Listening};
use tidegate_world::{AccountSpec, HostSpec, PatchSpec, Spec, World};
use tokio::net::TcpListener;

use super::server::{Reply, fault, spoke_says};
use super::{instance, spoke};

fn patch(id: &str, severity: &str, cves: &str) -> serde_json::Value {
    json!({ "Title": id, "KBId": id, "Classification": "Security", "Severity": severity, "State": "Missing", "InstalledTime": 0.0, "CVEIds": cves })
}

#[tokio::test]
async fn every_page_of_every_instance_is_read_and_an_unknown_one_costs_no_other() {
    let server = spoke_says(|asked| {
        let body = asked.json();
        match (body["InstanceId"].as_str().unwrap().to_owned(), body["NextToken"].as_str()) {
            (id, _) if id == instance(2).as_str() => fault(400, "InvalidInstanceId", ""),
            (id, None) if id == instance(1).as_str() => {
                Reply::Json(200, json!({ "Patches": [patch("KB5068861", "Critical", "CVE-2026-1111,cve-2026-2222")], "NextToken": "2" }))
            }
            (id, Some("2")) if id == instance(1).as_str() => Reply::Json(200, json!({ "Patches": [patch("KB5068862", "Moderate", "")] })),
            _ => Reply::Json(200, json!({ "Patches": [] })),
        }
    });
    let cloud = server.cloud(CloudSettings::default());
    let found = cloud.missing_patches(&spoke("111122223333"), &[instance(1), instance(2), instance(3)]).await.unwrap();
    let of = |n, missing| Lacking { instance: instance(n), missing };
    let two = vec![MissingPatch::read("KB5068861", "Critical", "CVE-2026-1111,CVE-2026-2222"), MissingPatch::read("KB5068862", "Medium", "")];
    assert_eq!(found, [of(1, Some(two)), of(2, None), of(3, Some(vec![]))]);
    let asked = server.of("DescribeInstancePatches");
    assert_eq!(asked.len(), 4);
    assert_eq!((&asked[0].json()["Filters"], &asked[0].json()["MaxResults"]), (&json!([{ "Key": "State", "Values": ["Missing"] }]), &json!(100)));
    assert_eq!(asked[1].json()["Filters"], asked[0].json()["Filters"], "of the second page too");
    assert_eq!(asked[0].key(), "ASIAIOSFODNN7EXAMPLE", "with the spoke's session");
}

#[tokio::test]
async fn after_a_refusal_nobody_else_is_asked() {
    let server = spoke_says(|asked| match asked.json()["InstanceId"].as_str() {
        Some(id) if id == instance(1).as_str() => Reply::Json(200, json!({ "Patches": [patch("KB5068861", "Low", "")] })),
        _ => fault(400, "AccessDeniedException", "not you"),
    });
    let cloud = server.cloud(CloudSettings::default());
    let found = cloud.missing_patches(&spoke("111122223333"), &[instance(1), instance(2), instance(3)]).await.unwrap();
    assert_eq!(found.iter().map(|lacking| lacking.missing.is_some()).collect::<Vec<_>>(), [true, false, false], "what is known stays known");
    // The SDK may take a denial for a clock that is off, and asks again by itself: whom it asks for is what counts.
    let about = |n| server.of("DescribeInstancePatches").iter().filter(|asked| asked.json()["InstanceId"] == instance(n).as_str()).count();
    assert!(about(1) == 1 && about(2) >= 1 && about(3) == 0, "the third is not asked any more");
    let nobody = cloud.missing_patches(&spoke("111122223333"), &[instance(2), instance(3)]).await;
    assert!(matches!(nobody, Err(SpokeFault::RoleDenied(_))), "{nobody:?}");
    let server = spoke_says(|_| fault(400, "ThrottlingException", "Rate exceeded"));
    let throttled = server.cloud(CloudSettings::default()).missing_patches(&spoke("111122223333"), &[instance(1), instance(2)]).await;
    assert_eq!(throttled, Err(SpokeFault::Throttled));
    let ids: Vec<String> = server.of("DescribeInstancePatches").iter().map(|asked| asked.json()["InstanceId"].to_string()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn the_simulated_organization_answers_as_systems_manager_does() {
    let key = format!("111122223333/eu-west-1/{}", instance(1)).parse().unwrap();
    let host = HostSpec::new(key, Platform::Windows)
        .lacks(PatchSpec::new("KB5068861", Severity::Medium, &["CVE-2026-1111", "CVE-2026-2222"]))
        .lacks(PatchSpec::new("KB5068862", Severity::Critical, &[]))
        .missing(130);
    let world = Arc::new(World::new(
        Spec { seed: 4, accounts: vec![AccountSpec::new("111122223333".parse().unwrap())], hosts: vec![host], ..Spec::default() },
        Timestamp::now(),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listen::url(listener.local_addr().unwrap());
    let how = Listening { hub: "123456789012".parse().unwrap(), identities: None };
    tokio::spawn(listen::serve(Arc::clone(&world), listener, how, || ()));
    let config = endpoint_config(&url, &"eu-west-1".parse().unwrap(), "123456789012", &Secret::new("secret"));
    let cloud = AwsCloud::new(config, CloudSettings { external_id: Some(Secret::new("an-external-id")), ..CloudSettings::default() });
    let asked = [instance(1), instance(2)];
    let over_the_wire = cloud.missing_patches(&spoke("111122223333"), &asked).await.unwrap();
    assert_eq!(over_the_wire, world.missing_patches(&spoke("111122223333"), &asked).await.unwrap(), "in process and over the wire");
    let missing = over_the_wire[0].missing.as_ref().unwrap();
    assert_eq!((missing.len(), &missing[0].severity, missing[0].cves.len()), (130, &Severity::Medium, 2), "two pages");
    assert_eq!((missing[1].id.as_str(), missing[1].severity), ("KB5068862", Severity::Critical));
    assert!(missing.iter().any(|patch| patch.severity == Severity::Low) && missing.iter().any(|patch| !patch.cves.is_empty()));
    assert_eq!(over_the_wire[1].missing, None);
}
