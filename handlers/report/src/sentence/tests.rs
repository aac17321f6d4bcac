mod bulk;
mod mirror;

use std::collections::{BTreeMap, BTreeSet};

use tidegate_events::control::{Cancelling, ExemptionEnding, Retried, Retry, Steer, Steered};
use tidegate_events::deadline::Deadline;
use tidegate_events::entry::{Count, Lag, Outcome, RunStep, Standing, WaveCut};
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::fact::{Fact, FactSource, Invocation, InvocationStatus};
use tidegate_events::health::{Cause, HealthStep, Severity};
use tidegate_events::hold::Hold;
use tidegate_events::host::{Host, Platform};
use tidegate_events::id::{CampaignId, Digest, WaveId};
use tidegate_events::kev::KevLoad;
use tidegate_events::patch::{Lacks, Severity as Sev};

use super::*;
use crate::sample::{SNAPSHOT, clearance, member, target};

/// An entry, and how it is told of everyone and from the side of target 0 (`""`: the same; `"-"`: not at all).
type Case = (Entry, &'static str, &'static str);

fn at(text: &str) -> jiff::Timestamp {
    format!("2026-03-02T{text}:00Z").parse().unwrap()
}

fn outcome(n: usize, to: Standing, verdict: Option<Verdict>, count: Count, why: &str) -> Outcome {
    Outcome { instance: target(n).instance, verdict, to, count, why: why.into() }
}

fn host(n: usize) -> Host {
    Host { instance: target(n).instance, platform: Platform::Linux, ping: Ping::Online, tags: BTreeMap::new() }
}

fn cases() -> Vec<Case> {
    core_cases().into_iter().chain(bulk::cases()).chain(mirror::cases()).collect()
}

fn core_cases() -> Vec<Case> {
    let campaign: CampaignId = "patch-default.1".parse().unwrap();
    let wave = WaveId { campaign: campaign.clone(), index: 1 };
    let lane = campaign.lane.clone();
    let key = target(0);
    let cell = CellId { wave: wave.clone(), account: key.account, region: key.region.clone(), part: 0 };
    let batch = BatchId { cell: cell.clone(), number: 3 };
    let digest = Digest::of(b"x");
    let cleared = clearance(digest, &["alice", "bob"], at("14:00"));
    let command = "c1a5e7d0-0000-4000-8000-0123456789ab".parse().unwrap();
    let snapshot: tidegate_events::id::SnapshotId = SNAPSHOT.parse().unwrap();
    let hold = Hold::BlastRadius { scope: tidegate_events::hold::Scope::Organization, limit: 5 };
    let approval = |word, comment: &str| {
        Entry::ApprovalTaken(Approval {
            subject: Subject::Campaign(campaign.clone()),
            digest,
            word,
            by: "alice".parse().unwrap(),
            at: at("10:00"),
            comment: comment.into(),
        })
    };
    let fact = |compliance| Fact { compliance, ordering: at("09:00"), recorded: at("09:01"), source: FactSource::ConfigRule("patch-rule".into()) };
    let sent = |adopted| Entry::Sent {
        batch: batch.clone(),
        step: RunStep::Install,
        generation: 1,
        command: std::clone::Clone::clone(&command),
        expires_at: at("12:00"),
        adopted,
    };
    let confirming = |next| Entry::CellConfirming { cell: cell.clone(), next, at: at("11:00") };
    let proof_due = |reads| Entry::ProofDue { batch: batch.clone(), at: at("11:00"), reads };
    let moved = |to, verdict, why: &str| Entry::Moved { target: key.clone(), to, verdict, why: why.into() };
    vec![
        (
            Entry::FactNoted { target: key.clone(), fact: fact(Compliance::NonCompliant) },
            "Config rule `patch-rule` says that 111122223333/eu-west-1/i-00a1b2c3d4e5f0000 is not compliant, as captured at 2026-03-02 09:00 UTC.",
            "Config rule `patch-rule` says that it is not compliant, as captured at 2026-03-02 09:00 UTC.",
        ),
        (
            Entry::Enrolled { target: key.clone(), campaign: campaign.clone(), rule: Some("patch-rule".into()) },
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0000 joined campaign patch-default.1, found by Config rule `patch-rule`.",
            "It joined campaign patch-default.1, found by Config rule `patch-rule`.",
        ),
        (
            Entry::Enrolled { target: target(4), campaign: campaign.clone(), rule: None },
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0004 joined campaign patch-default.1.",
            "-",
        ),
        (
            moved(Standing::Compliant, Some(Verdict::Remediated), "Config agrees"),
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0000 is compliant, verdict remediated: Config agrees.",
            "It is compliant, verdict remediated: Config agrees.",
        ),
        (
            moved(Standing::Quarantined { owner: "ops".into(), why: "out of attempts".into() }, Some(Verdict::Failed), "out of attempts"),
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0000 is quarantined: ops must look at it: out of attempts, verdict failed.",
            "It is quarantined: ops must look at it: out of attempts, verdict failed.",
        ),
        (
            Entry::Contradicted { target: key.clone(), cell: cell.clone() },
            "AWS Config contradicted the two proofs of 111122223333/eu-west-1/i-00a1b2c3d4e5f0000: wave patch-default.1.w1 counts it as failed.",
            "AWS Config contradicted the two proofs of it: wave patch-default.1.w1 counts it as failed.",
        ),
        (Entry::PolicyPinned { digest, policy: "{}".into() }, "Policy 028f0df5b859 was put to use.", ""),
        (
            Entry::CampaignOpened { campaign: campaign.clone(), policy: digest, close_at: at("10:00"), doors: 16 },
            "Campaign patch-default.1 opened under policy 028f0df5b859 and takes findings until 2026-03-02 10:00 UTC.",
            "",
        ),
        (
            Entry::WaveLooked { wave: wave.clone(), again_at: at("10:00") },
            "Wave patch-default.1.w1 and its cells were looked at again; next at 2026-03-02 10:00 UTC.",
            "",
        ),
        (
            Entry::CollectingOn { campaign: campaign.clone(), close_at: at("10:00") },
            "Campaign patch-default.1 goes on collecting until 2026-03-02 10:00 UTC, since another of its lane waits already.",
            "",
        ),
        (Entry::CampaignClosing { campaign: campaign.clone() }, "Campaign patch-default.1 stopped taking members.", ""),
        (
            Entry::RosterListed { campaign: campaign.clone(), members: 1200, chunks: 24 },
            "Campaign patch-default.1 has 1,200 members, which are looked up now.",
            "",
        ),
        (
            Entry::ChunkDescribed {
                campaign: campaign.clone(),
                account: key.account,
                region: key.region.clone(),
                chunk: 0,
                hosts: vec![host(0), host(4)],
                rules: vec![],
                moved: vec![],
                due: Default::default(),
                deadlines: vec![],
                lacks: vec![],
            },
            "For campaign patch-default.1, 2 hosts in 111122223333/eu-west-1 can be patched; 0 members can't.",
            "For campaign patch-default.1 it was looked up: a Linux host, its agent answers.",
        ),
        (
            Entry::ChunkDescribed {
                campaign: campaign.clone(),
                account: key.account,
                region: key.region.clone(),
                chunk: 0,
                hosts: vec![host(0)],
                rules: vec![],
                moved: vec![],
                due: Default::default(),
                deadlines: vec![(
                    key.instance.clone(),
                    Deadline {
                        at: at("10:00"),
                        since: at("09:00"),
                        sla: "kev CVE-2026-1111".into(),
                        source: "CISA KEV catalog".into(),
                        version: "2026.03.01".into(),
                    },
                )],
                lacks: vec![(
                    key.instance.clone(),
                    Lacks { severities: [(Sev::Critical, 1), (Sev::Low, 2)].into(), exploited: Some(1), kev: Some("2026.03.01".into()) },
                )],
            },
            "For campaign patch-default.1, 1 host in 111122223333/eu-west-1 can be patched; 0 members can't.",
            "For campaign patch-default.1 it was looked up: a Linux host, its agent answers; it lacks 3 patches (1 Critical, 2 Low), 1 of them for a CVE of the KEV catalog, version 2026.03.01; it must be patched by 2026-03-02 10:00 UTC, as `kev CVE-2026-1111` says (CISA KEV catalog, version 2026.03.01; non-compliant since 2026-03-02 09:00 UTC).",
        ),
        (
            Entry::ChunkDescribed {
                campaign: campaign.clone(),
                account: key.account,
                region: key.region.clone(),
                chunk: 0,
                hosts: vec![],
                rules: vec![],
                moved: vec![(key.instance.clone(), Standing::Unmanaged { why: "no agent".into() }, "looked up".into())],
                due: Default::default(),
                deadlines: vec![],
                lacks: vec![],
            },
            "For campaign patch-default.1, 0 hosts in 111122223333/eu-west-1 can be patched; 1 member can't.",
            "For campaign patch-default.1 it was looked up: it is not managed by Systems Manager: no agent.",
        ),
        (
            Entry::CellCut { cell: cell.clone(), members: vec![member(0), member(4)], limits: vec![], rules: vec![], digest, due: None },
            "Cell patch-default.1.w1/111122223333/eu-west-1/0 was cut with 2 targets (digest 028f0df5b859).",
            "It was put into wave patch-default.1.w1, in cell patch-default.1.w1/111122223333/eu-west-1/0 of 2 targets (digest 028f0df5b859).",
        ),
        (
            Entry::CampaignClosed {
                campaign: campaign.clone(),
                waves: vec![WaveCut { name: "canary".into(), cells: 1, targets: 1, digest }, WaveCut { name: "rest".into(), cells: 2, targets: 9, digest }],
                digest,
                snapshot: snapshot.clone(),
            },
            "Campaign patch-default.1 was cut into 2 waves with 10 targets (canary 1, rest 9); digest 028f0df5b859.",
            "",
        ),
        (
            Entry::ApprovalAsked { subject: Subject::Wave(wave.clone()), digest, need: 1 },
            "1 approval of wave patch-default.1.w1 is asked for; digest 028f0df5b859.",
            "",
        ),
        (approval(Word::Approve, "go\u{1b}[31m"), "alice approved campaign patch-default.1 (digest 028f0df5b859): “go\u{fffd}[31m”.", ""),
        (approval(Word::Reject, ""), "alice rejected campaign patch-default.1 (digest 028f0df5b859).", ""),
        (approval(Word::Revoke, "wait"), "alice took back the approval of campaign patch-default.1 (digest 028f0df5b859): “wait”.", ""),
        (Entry::CampaignStarted { campaign: campaign.clone() }, "Campaign patch-default.1 became the running one of its lane.", ""),
        (Entry::WaveSealing { wave: wave.clone() }, "The turn of wave patch-default.1.w1 came: its targets are looked at again.", ""),
        (
            Entry::WaveSealed { wave: wave.clone(), pin: PinStrength::Dated, kept: 9 },
            "Wave patch-default.1.w1 was sealed with 9 targets; its patch set pins rules, not packages.",
            "",
        ),
        (
            Entry::WaveRenewed { wave: wave.clone(), snapshot: snapshot.clone(), bakes_until: at("15:00") },
            "The patch set of wave patch-default.1.w1 had become too old: 0b3f6a52-7d0c-4c43-9f6e-2a1f0e8c1d11 is pinned now, the wave before is watched again until 2026-03-02 15:00 UTC, and a new approval is needed.",
            "",
        ),
        (
            Entry::WaveOpened { wave: wave.clone(), clearance: cleared.clone() },
            "Wave patch-default.1.w1 passed every gate and opened, approved by alice and bob; digest 028f0df5b859, nothing starts after 2026-03-02 14:00 UTC.",
            "",
        ),
        (
            Entry::WaveBaking { wave: wave.clone(), until: at("13:00"), ok: 9, bad: 1 },
            "Every member of wave patch-default.1.w1 ended: 9 proven patched, 1 failed or unknown; it bakes until 2026-03-02 13:00 UTC.",
            "",
        ),
        (Entry::WaveProven { wave: wave.clone() }, "Wave patch-default.1.w1 is proven and baked.", ""),
        (
            Entry::Held { wave: wave.clone(), holds: vec![hold.clone()] },
            "Wave patch-default.1.w1 holds: the blast radius of the organization is used up (at most 5 at once).",
            "",
        ),
        (Entry::Held { wave: wave.clone(), holds: vec![] }, "Nothing holds wave patch-default.1.w1 any more.", ""),
        (
            Entry::CampaignEnded { campaign: campaign.clone(), why: "every wave is proven and baked".into(), complete: true },
            "Campaign patch-default.1 ended: every wave is proven and baked.",
            "",
        ),
        (
            Entry::CampaignEnded { campaign: campaign.clone(), why: "rejected by alice: no".into(), complete: false },
            "Campaign patch-default.1 ended before every wave was proven: rejected by alice: no.",
            "",
        ),
        (
            Entry::CellSealed { cell: cell.clone(), dropped: vec![(key.instance.clone(), "compliant".into())] },
            "Cell patch-default.1.w1/111122223333/eu-west-1/0 was sealed without 1 target: i-00a1b2c3d4e5f0000 (compliant).",
            "It was dropped from wave patch-default.1.w1 when that was sealed: compliant.",
        ),
        (
            Entry::CellSealed { cell: cell.clone(), dropped: vec![] },
            "Cell patch-default.1.w1/111122223333/eu-west-1/0 was sealed: every member still needs the patches.",
            "-",
        ),
        (Entry::CellDone { cell: cell.clone() }, "Every member of cell patch-default.1.w1/111122223333/eu-west-1/0 has ended.", ""),
        (
            Entry::CellHeld { cell: cell.clone(), hold: hold.clone(), again_at: at("11:00") },
            "Nothing more starts in cell patch-default.1.w1/111122223333/eu-west-1/0 now: the blast radius of the organization is used up (at most 5 at once); it is looked at again at 2026-03-02 11:00 UTC.",
            "",
        ),
        (
            Entry::CellDismissed { cell: cell.clone(), members: vec![key.instance.clone()], not_before: at("16:00") },
            "1 target of cell patch-default.1.w1/111122223333/eu-west-1/0 was left untouched when the campaign ended, to join a later one not before 2026-03-02 16:00 UTC.",
            "Campaign patch-default.1 ended before it was touched; it joins a later one, not before 2026-03-02 16:00 UTC.",
        ),
        (
            Entry::CellLagging { cell: cell.clone(), members: vec![key.instance.clone()], lag: Lag::ConfigLagging },
            "The confirmation of 1 target in cell patch-default.1.w1/111122223333/eu-west-1/0 is no longer waited for: Config did not confirm it in time.",
            "Its confirmation is no longer waited for: Config did not confirm it in time.",
        ),
        (
            confirming(ConfirmStep::Reevaluate),
            "Config is asked to evaluate the rules of cell patch-default.1.w1/111122223333/eu-west-1/0 again at 2026-03-02 11:00 UTC.",
            "",
        ),
        (confirming(ConfirmStep::Read), "Config's word on cell patch-default.1.w1/111122223333/eu-west-1/0 is read at 2026-03-02 11:00 UTC.", ""),
        (
            confirming(ConfirmStep::LastRead),
            "Config's word on cell patch-default.1.w1/111122223333/eu-west-1/0 is read a last time at 2026-03-02 11:00 UTC.",
            "",
        ),
        (confirming(ConfirmStep::Finished), "Config's word on cell patch-default.1.w1/111122223333/eu-west-1/0 is no longer waited for.", ""),
        (
            Entry::BatchPlanned {
                batch: batch.clone(),
                step: RunStep::Install,
                platform: Platform::Linux,
                members: vec![member(0), member(4)],
                grants: vec![],
                snapshot,
                reboot_option: "NoReboot".into(),
                backup: Vec::new(),
            },
            "Batch patch-default.1.w1/111122223333/eu-west-1/0/3 was planned: install on 2 Linux hosts; nothing is sent yet.",
            "It was taken into batch patch-default.1.w1/111122223333/eu-west-1/0/3 of 2 targets to install; nothing is sent yet.",
        ),
        (
            Entry::Sending { batch: batch.clone(), step: RunStep::Scan, generation: 2, at: at("10:00"), clearance: clearance(digest, &[], at("14:00")) },
            "The intent to send the scan of batch patch-default.1.w1/111122223333/eu-west-1/0/3 was written (send 2), with no approval needed; digest 028f0df5b859.",
            "",
        ),
        (
            Entry::SendPutOff { batch: batch.clone(), hold, again_at: at("11:00") },
            "The command of batch patch-default.1.w1/111122223333/eu-west-1/0/3 was provably not sent: the blast radius of the organization is used up (at most 5 at once); it is tried again at 2026-03-02 11:00 UTC.",
            "",
        ),
        (
            Entry::SearchedInVain { batch: batch.clone(), searches: 1 },
            "Whether the command of batch patch-default.1.w1/111122223333/eu-west-1/0/3 was sent is not known: a complete search found nothing.",
            "",
        ),
        (
            sent(false),
            "Systems Manager took the install of batch patch-default.1.w1/111122223333/eu-west-1/0/3 as command c1a5e7d0-0000-4000-8000-0123456789ab and gives up on it at 2026-03-02 12:00 UTC.",
            "",
        ),
        (
            sent(true),
            "A search found that Systems Manager had taken the install of batch patch-default.1.w1/111122223333/eu-west-1/0/3 as command c1a5e7d0-0000-4000-8000-0123456789ab; it gives up on it at 2026-03-02 12:00 UTC.",
            "",
        ),
        (
            Entry::LookSoon { batch: batch.clone(), at: at("10:30") },
            "The command of batch patch-default.1.w1/111122223333/eu-west-1/0/3 changed; it is looked at at 2026-03-02 10:30 UTC.",
            "",
        ),
        (
            Entry::BackedUp { batch: batch.clone(), members: vec![key.instance.clone()] },
            "1 target of batch patch-default.1.w1/111122223333/eu-west-1/0/3 was backed up.",
            "It was backed up; the install is next.",
        ),
        (
            Entry::InvocationsEnded {
                batch: batch.clone(),
                ended: vec![
                    Invocation { instance: key.instance.clone(), status: InvocationStatus::Success, ended_at: Some(at("10:20")) },
                    Invocation { instance: target(4).instance, status: InvocationStatus::Undeliverable, ended_at: None },
                ],
            },
            "2 invocations of batch patch-default.1.w1/111122223333/eu-west-1/0/3 ended, 1 of them with success, which proves nothing yet.",
            "Its command ended at 2026-03-02 10:20 UTC with `Success`, which proves nothing yet.",
        ),
        (
            Entry::ScanDue { batch: batch.clone(), at: at("10:25") },
            "Batch patch-default.1.w1/111122223333/eu-west-1/0/3 is scanned at 2026-03-02 10:25 UTC: an install's own report proves nothing.",
            "",
        ),
        (proof_due(0), "The scan of batch patch-default.1.w1/111122223333/eu-west-1/0/3 ended; patch states are read at 2026-03-02 11:00 UTC.", ""),
        (
            proof_due(2),
            "Patch states of batch patch-default.1.w1/111122223333/eu-west-1/0/3 were read 2 times in vain and are read again at 2026-03-02 11:00 UTC.",
            "",
        ),
        (
            Entry::Released {
                batch: batch.clone(),
                outcomes: vec![
                    outcome(0, Standing::Retrying { not_before: at("18:00") }, Some(Verdict::FalseSuccess), Count::Bad, "3 patches are missing"),
                    outcome(4, Standing::Compliant, None, Count::Dropped, "compliant"),
                ],
            },
            "2 targets left batch patch-default.1.w1/111122223333/eu-west-1/0/3: 1 failed or unknown, 1 not touched.",
            "It left batch patch-default.1.w1/111122223333/eu-west-1/0/3 and is tried again, not before 2026-03-02 18:00 UTC, verdict false_success: 3 patches are missing; the wave counts it as failed.",
        ),
        (
            Entry::Released { batch: batch.clone(), outcomes: vec![outcome(4, Standing::Gone, None, Count::Dropped, "")] },
            "1 target left batch patch-default.1.w1/111122223333/eu-west-1/0/3: 1 not touched.",
            "-",
        ),
        (
            Entry::Stranded { batch: batch.clone(), members: vec![key.instance.clone()], again_at: at("12:00"), tries: 2 },
            "1 target of batch patch-default.1.w1/111122223333/eu-west-1/0/3 can't be scanned now, counted as unknown (i-00a1b2c3d4e5f0000); a scan is tried again at 2026-03-02 12:00 UTC.",
            "It can't be scanned now, so that the wave counts it as unknown; a scan is tried again at 2026-03-02 12:00 UTC (tried 2 times so far).",
        ),
        (Entry::BatchEnded { batch }, "Every member of batch patch-default.1.w1/111122223333/eu-west-1/0/3 has left it.", ""),
        (
            Entry::LaneHalted { lane: lane.clone(), wave: wave.clone(), why: "2 of 9 failed".into() },
            "Wave patch-default.1.w1 halted lane patch-default: 2 of 9 failed; a named person must resume it.",
            "",
        ),
        (
            Entry::LaneResumed { lane, by: "carol".parse().unwrap(), comment: "fixed".into(), forgiven: Some((wave, 2)) },
            "carol resumed lane patch-default: “fixed”; 2 failures of wave patch-default.1.w1 no longer count against it.",
            "",
        ),
        (
            Entry::CordMoved { pulled: true, by: "carol".parse().unwrap(), kill: false, comment: String::new() },
            "carol pulled the stop cord: nothing is sent any more.",
            "",
        ),
        (
            Entry::CordMoved { pulled: true, by: "carol".parse().unwrap(), kill: true, comment: "smoke".into() },
            "carol pulled the stop cord: nothing is sent any more, and what runs is cancelled too: “smoke”.",
            "",
        ),
        (
            Entry::CordMoved { pulled: false, by: "carol".parse().unwrap(), kill: false, comment: "put out".into() },
            "carol released the stop cord: “put out”.",
            "",
        ),
        (
            Entry::Steered(Steer { on: Steered::parse("patch-default.1").unwrap(), go: false, by: "carol".parse().unwrap(), comment: "wait".into() }),
            "carol paused campaign patch-default.1: “wait”.",
            "",
        ),
        (
            Entry::Steered(Steer { on: Steered::parse("patch-default").unwrap(), go: true, by: "carol".parse().unwrap(), comment: "go".into() }),
            "carol let lane patch-default go on: “go”.",
            "",
        ),
        (
            Entry::RetryGranted(Retry { what: Retried::parse("patch-default.1").unwrap(), by: "carol".parse().unwrap(), comment: "disk grown".into() }),
            "carol gave everybody who failed in campaign patch-default.1 another attempt: “disk grown”.",
            "",
        ),
        (
            Entry::ExemptionEnding(ExemptionEnding {
                exemption: Digest::of(b"x"),
                owner: "payments".into(),
                reason: "replaced".into(),
                ticket: Some("CHG-7".into()),
                until: at("12:00"),
            }),
            "The exemption that payments answers for (replaced, CHG-7) ends at 2026-03-02 12:00 UTC.",
            "",
        ),
        (
            Entry::CancelAsked(Cancelling {
                batch: "patch-default.1.w1/111122223333/eu-west-1/0/3".parse().unwrap(),
                command: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
                undelivered: vec![key.instance.clone()],
                running: Vec::new(),
            }),
            "The stop cord cancels the command of batch patch-default.1.w1/111122223333/eu-west-1/0/3: 1 invocation not delivered.",
            "",
        ),
        (
            Entry::CalendarMoved { calendar: "year-end".into(), open: false, at: at("09:00"), turns_at: None },
            "Change calendar `year-end` closed at 2026-03-02 09:00 UTC.",
            "",
        ),
        (
            Entry::Deadline {
                target: key.clone(),
                step: DeadlineStep::Set {
                    deadline: Deadline { at: at("10:00"), since: at("09:00"), sla: "critical".into(), source: "standard 7".into(), version: "2026".into() },
                },
            },
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0000 must be patched by 2026-03-02 10:00 UTC, as `critical` says (standard 7, version 2026; non-compliant since 2026-03-02 09:00 UTC).",
            "It must be patched by 2026-03-02 10:00 UTC, as `critical` says (standard 7, version 2026; non-compliant since 2026-03-02 09:00 UTC).",
        ),
        (
            Entry::Deadline { target: key.clone(), step: DeadlineStep::Breached { at: at("10:00") } },
            "111122223333/eu-west-1/i-00a1b2c3d4e5f0000 was not patched by its deadline, 2026-03-02 10:00 UTC.",
            "It was not patched by its deadline, 2026-03-02 10:00 UTC.",
        ),
        (
            Entry::Health { wave: "patch-default.1.w1".parse().unwrap(), step: HealthStep::Asked { again_at: at("09:00") } },
            "Wave patch-default.1.w1 asks whether all is well; without an answer it asks again at 2026-03-02 09:00 UTC.",
            "",
        ),
        (
            Entry::Health {
                wave: "patch-default.1.w1".parse().unwrap(),
                step: HealthStep::Released {
                    by: "carol".parse().unwrap(),
                    comment: "known".into(),
                    causes: vec![Cause { what: "alarm errors".into(), severity: Severity::Unhealthy, why: "alarm `errors` is in ALARM".into() }],
                },
            },
            "carol let wave patch-default.1.w1 go on although alarm `errors` is in ALARM: “known”.",
            "",
        ),
        (Entry::BreachesTold { count: 1200, kev: 0 }, "Operators were told that targets are past their deadline, 1,200 in all so far.", ""),
        (
            Entry::BreachesTold { count: 1200, kev: 3 },
            "Operators were told that targets are past their deadline, 1,200 in all so far, 3 of them by a due date of the KEV catalog.",
            "",
        ),
        (
            Entry::KevLoaded(Box::new(KevLoad {
                version: "2026.03.01".into(),
                released: None,
                due: [("CVE-2026-1111".to_owned(), "2026-03-20".parse().unwrap())].into(),
                force: false,
                by: "carol".parse().unwrap(),
                comment: "weekly".into(),
            })),
            "carol loaded the KEV catalog, version 2026.03.01, with 1 CVE: “weekly”.",
            "",
        ),
        (
            Entry::Scheduled { schedule: "weekly".into(), step: ScheduleStep::Noted { timing: digest, next: Some(at("10:00")) } },
            "Schedule `weekly` was met; it fires next at 2026-03-02 10:00 UTC.",
            "",
        ),
        (
            Entry::Scheduled { schedule: "weekly".into(), step: ScheduleStep::Fired { occurrence: at("10:00"), run: digest, next: None } },
            "Schedule `weekly` fired for 2026-03-02 10:00 UTC and asked for bulk run 028f0df5b859.",
            "",
        ),
        (
            Entry::Scheduled {
                schedule: "weekly".into(),
                step: ScheduleStep::Missed { first: at("09:00"), last: at("10:00"), count: 2, why: "it is too late".into(), next: None },
            },
            "Schedule `weekly` did not fire 2 times from 2026-03-02 09:00 UTC to 2026-03-02 10:00 UTC: it is too late.",
            "",
        ),
        (Entry::Scheduled { schedule: "weekly".into(), step: ScheduleStep::Paused }, "Schedule `weekly` was switched off.", ""),
        (
            Entry::InventoryPinned { campaign, total: 1200, by_region: [("eu-west-1".parse().unwrap(), 1200)].into() },
            "For campaign patch-default.1 the inventory was pinned: 1,200 known instances in 1 Region.",
            "",
        ),
    ]
}

#[test]
fn every_entry_has_its_sentence() {
    for (entry, of_all, of_one) in cases() {
        assert_eq!(sentence(&entry, None).as_deref(), Some(of_all));
        let of_one = match of_one {
            "-" => None,
            "" => Some(of_all),
            told => Some(told),
        };
        assert_eq!(sentence(&entry, Some(&target(0))).as_deref(), of_one);
    }
}

#[test]
fn no_kind_of_entry_is_left_out_of_these_tests() {
    let schema = serde_json::to_value(schemars::schema_for!(Entry)).unwrap();
    let all: BTreeSet<String> = schema["oneOf"].as_array().unwrap().iter().map(|of| of["properties"]["entry"]["const"].as_str().unwrap().to_owned()).collect();
    let here: BTreeSet<String> = cases().iter().map(|(entry, ..)| serde_json::to_value(entry).unwrap()["entry"].as_str().unwrap().to_owned()).collect();
    assert_eq!(here, all);
}

#[test]
fn a_target_elsewhere_hears_of_campaigns_waves_and_lanes_only() {
    let elsewhere = target(1);
    for (entry, of_all, _) in cases() {
        let told = sentence(&entry, Some(&elsewhere));
        match level(&entry) {
            Level::Campaign | Level::Wave | Level::Lane => assert_eq!(told.as_deref(), Some(of_all)),
            Level::Targets | Level::Cell(_) | Level::Batch(_) => assert_eq!(told, None, "{of_all}"),
        }
    }
}

#[test]
fn every_standing_has_words() {
    let cell: CellId = "patch-default.1.w0/111122223333/eu-west-1/0".parse().unwrap();
    let batch = BatchId { cell: cell.clone(), number: 0 };
    let until = at("18:00");
    let lagging = |lag| Standing::PatchedUnconfirmed { cell: cell.clone(), installed_at: until, proven_at: until, lag };
    let told = |to: Standing| sentence(&Entry::Moved { target: target(0), to, verdict: None, why: String::new() }, Some(&target(0))).unwrap();
    assert_eq!(told(Standing::Running { batch: batch.clone() }), "It runs in batch patch-default.1.w0/111122223333/eu-west-1/0/0.");
    assert_eq!(told(Standing::Verifying { batch }), "It is being scanned in batch patch-default.1.w0/111122223333/eu-west-1/0/0.");
    assert_eq!(told(Standing::PendingReboot { cell: cell.clone() }), "It waits for its reboot.");
    assert_eq!(told(lagging(None)), "It is patched, and Config has not confirmed it yet.");
    assert_eq!(told(lagging(Some(Lag::ConfigLagging))), "It is patched, and Config did not confirm it in time.");
    assert_eq!(told(lagging(Some(Lag::NotRecorded))), "It is patched, and Config does not record it.");
    assert_eq!(
        told(Standing::Exempt { until, owner: "payments".into(), reason: "freeze".into() }),
        "It is exempt until 2026-03-02 18:00 UTC by payments: freeze."
    );
    assert_eq!(
        told(Standing::Unreachable { why: "no role".into(), look_at: until, looks: 2 }),
        "It can't be reached: no role (it is looked at again at 2026-03-02 18:00 UTC)."
    );
    assert_eq!(told(Standing::Unmanaged { why: String::new() }), "It is not managed by Systems Manager.");
    assert_eq!(told(Standing::Gone), "It is gone.");
    assert_eq!(told(Standing::Enrolled { campaign: cell.wave.campaign }), "It is on the roster of campaign patch-default.1.");
}
