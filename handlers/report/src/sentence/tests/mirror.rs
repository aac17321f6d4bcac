//! What is said of exemptions that AWS Config was told of.

use tidegate_events::mirror::{Excepted, Exceptions, MirrorFault, MirrorFaultKind, MirrorStep};

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let key = target(0);
    let (account, region) = (key.account, key.region.clone());
    let instances = vec![key.instance.clone(), target(1).instance];
    let told = |put: Vec<Excepted>, removed: Vec<Exceptions>, failed: Option<MirrorFault>| {
        let again_at = failed.is_some().then(|| at("13:00"));
        Entry::Mirror(MirrorStep::Told { account, region: region.clone(), put, removed, settled: Vec::new(), failed, again_at })
    };
    let put = Excepted { rule: "patch-rule".into(), until: at("12:00"), instances: instances.clone() };
    let gone = Exceptions { rule: "old-rule".into(), resource_type: "AWS::SSM::PatchCompliance".into(), instances: vec![target(0).instance] };
    let fault = |kind| Some(MirrorFault { why: "not you".into(), kind });
    vec![
        (
            Entry::Mirror(MirrorStep::Reviewed { exemptions: Digest::of(b"x") }),
            "The policy's exemptions have changed (digest 028f0df5b859): everybody who is exempt is looked at.",
            "-",
        ),
        (
            Entry::Mirror(MirrorStep::Asked { account, region: region.clone(), instances, again_at: at("11:00") }),
            "AWS Config is to be told of the exemption of 2 targets in 111122223333/eu-west-1.",
            "-",
        ),
        (
            told(vec![put], Vec::new(), None),
            "AWS Config was told in 111122223333/eu-west-1 of 2 exemptions and of the end of 0.",
            "AWS Config keeps it out of the automatic remediation of rule patch-rule until 2026-03-02 12:00 UTC, as it was told.",
        ),
        (
            told(Vec::new(), vec![gone], fault(MirrorFaultKind::Instances)),
            "AWS Config was told in 111122223333/eu-west-1 of 0 exemptions and of the end of 1; AWS Config did not take all of them (not you), it is tried again at 2026-03-02 13:00 UTC.",
            "AWS Config was told that it is no longer exempt from rule old-rule.",
        ),
        (
            told(Vec::new(), Vec::new(), fault(MirrorFaultKind::Refused)),
            "AWS Config could not be told (not you), it is tried again at 2026-03-02 13:00 UTC, in 111122223333/eu-west-1.",
            "-",
        ),
    ]
}
