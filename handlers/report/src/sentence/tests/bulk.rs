//! What is said of bulk runs.

use tidegate_events::bulk::{BulkEntry, RunAsked};
use tidegate_events::run::LeftOut;
use tidegate_events::wire::run_input;

use tidegate_events::id::InstanceId;

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let campaign: CampaignId = "patch-default.7".parse().unwrap();
    let wave = WaveId { campaign: campaign.clone(), index: 0 };
    let key = target(0);
    let cell = CellId { wave: wave.clone(), account: key.account, region: key.region.clone(), part: 0 };
    let input = br#"{"executionName": "march", "dryRun": true, "waves": [{"name": "canary", "accounts": ["111122223333"], "regions": ["eu-west-1"]}]}"#;
    let run = run_input::parse(input).unwrap().run;
    let asked = Box::new(RunAsked { id: "march-1".into(), run, by: "ada".parse().unwrap(), at: at("09:00") });
    let listed = |left_out: Vec<(InstanceId, String)>, fault: Option<&str>| {
        Entry::Bulk(BulkEntry::Listed {
            campaign: campaign.clone(),
            account: key.account,
            region: key.region.clone(),
            hosts: if fault.is_none() { vec![host(0), host(1)] } else { Vec::new() },
            rules: Vec::new(),
            enrolled: true,
            left_out,
            passed_over: [(LeftOut::NoMatchingTag, 1_200), (LeftOut::OtherPlatform, 3)].into(),
            fault: fault.map(str::to_owned),
            last: true,
        })
    };
    vec![
        (
            Entry::Bulk(BulkEntry::Opened { campaign: campaign.clone(), policy: Digest::of(b"x"), asked, spokes: 1 }),
            "Campaign patch-default.7 was opened as a dry run `march` for ada, under terms 028f0df5b859; the nodes of 1 account and Region are listed.",
            "",
        ),
        (
            listed(vec![(target(2).instance, "exempt".into())], None),
            "Bulk run patch-default.7 takes 2 hosts of 111122223333/eu-west-1, without i-00a1b2c3d4e5f0002 (exempt); its filters pass over 1,203.",
            "Bulk run patch-default.7 named it.",
        ),
        (listed(Vec::new(), Some("the role is not there")), "Bulk run patch-default.7 goes on without 111122223333/eu-west-1: the role is not there.", "-"),
        (Entry::Bulk(BulkEntry::ErrorsPassed { wave, bad: 3, why: "3 of 20 failed".into() }), "3 of 20 failed.", ""),
        (
            Entry::Bulk(BulkEntry::Freed { cell, members: vec![key.instance.clone()] }),
            "1 target of cell patch-default.7.w0/111122223333/eu-west-1/0 left untouched when the bulk run ended, with no open finding.",
            "Bulk run patch-default.7 ended before it was touched; no finding is open about it.",
        ),
    ]
}
