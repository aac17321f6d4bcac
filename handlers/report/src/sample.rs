//! Journals for tests: a small one of any shape, and a fleet's story long enough to look at.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_events::Entry;
use tidegate_events::entry::{CellMember, ClearanceRecord, Count, Lag, Outcome, PinStrength, RunStep, Standing, WaveCut};
use tidegate_events::event::{Approval, Subject, Word};
use tidegate_events::fact::{Compliance, Fact, FactSource, Verdict};
use tidegate_events::hold::{Hold, Scope};
use tidegate_events::host::Platform;
use tidegate_events::id::{BatchId, CampaignId, CellId, Digest, TargetKey, WaveId};
use tidegate_events::journal::Line;

/// A journal as a store would write it.
pub struct Book {
    pub at: Timestamp,
    pub stored: Vec<Vec<u8>>,
    heads: BTreeMap<String, (u64, Digest)>,
}

impl Book {
    pub fn new() -> Self {
        Self { at: "2026-03-02T08:00:00Z".parse().unwrap(), stored: Vec::new(), heads: BTreeMap::new() }
    }

    pub fn wait(&mut self, minutes: i64) -> &mut Self {
        self.at = self.in_minutes(minutes);
        self
    }

    pub fn in_minutes(&self, minutes: i64) -> Timestamp {
        self.at.checked_add(SignedDuration::from_mins(minutes)).unwrap()
    }

    pub fn write(&mut self, stream: &str, entries: Vec<Entry>) -> &mut Self {
        let (seq, previous) = self.heads.get(stream).copied().unwrap_or_default();
        let line = Line { stream: stream.to_owned(), seq: seq + 1, at: self.at, previous, entries };
        let bytes = line.to_bytes().unwrap();
        self.heads.insert(stream.to_owned(), (seq + 1, Line::hash(&bytes)));
        self.stored.push(bytes);
        self
    }

    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.stored.iter().map(|bytes| serde_json::from_slice(bytes).unwrap())
    }
}

/// A journal whose lines go to these streams, in this order.
pub fn journal_of(streams: &[u8]) -> Vec<Vec<u8>> {
    let mut book = Book::new();
    for (n, stream) in streams.iter().enumerate() {
        let entry = Entry::CampaignClosing { campaign: CampaignId { lane: "patch-default".parse().unwrap(), number: n as u32 } };
        book.wait(1).write(&format!("stream/{stream}"), vec![entry; n % 3]);
    }
    book.stored
}

pub fn target(n: usize) -> TargetKey {
    let (account, region) = PLACES[n % PLACES.len()];
    format!("{account}/{region}/i-{:017x}", 0x0a1b_2c3d_4e5f_0000_u64 + n as u64).parse().unwrap()
}

const PLACES: [(&str, &str); 4] =
    [("111122223333", "eu-west-1"), ("111122223333", "us-east-1"), ("444455556666", "eu-west-1"), ("777788889999", "ap-southeast-2")];
pub const SNAPSHOT: &str = "0b3f6a52-7d0c-4c43-9f6e-2a1f0e8c1d11";
const COMMAND: &str = "c1a5e7d0-0000-4000-8000-0123456789ab";

/// Who is in which wave of a campaign: names and the numbers of the targets.
type Cut = [(&'static str, std::ops::Range<usize>)];

fn campaign(text: &str) -> CampaignId {
    text.parse().unwrap()
}

fn wave(id: &CampaignId, index: u16) -> WaveId {
    WaveId { campaign: id.clone(), index }
}

fn digest(of: &dyn std::fmt::Display) -> Digest {
    Digest::of(of.to_string().as_bytes())
}

fn word(subject: Subject, by: &str, word: Word, at: Timestamp, comment: &str) -> Entry {
    Entry::ApprovalTaken(Approval { digest: digest(&subject), subject, word, by: by.parse().unwrap(), at, comment: comment.to_owned() })
}

/// A campaign from its first finding to its cut.
fn open_and_cut(book: &mut Book, id: &CampaignId, cut: &Cut) {
    let stream = format!("campaign/{id}");
    let policy = Digest::of(b"policy");
    book.write(&stream, vec![Entry::CampaignOpened { campaign: id.clone(), policy, close_at: book.in_minutes(60), doors: 16 }]);
    for (_, range) in cut {
        for n in range.clone() {
            let fact = Fact {
                compliance: Compliance::NonCompliant,
                ordering: book.at,
                recorded: book.at,
                source: FactSource::ConfigRule("ec2-managedinstance-patch-compliance".into()),
            };
            let rule = Some("ec2-managedinstance-patch-compliance".to_owned());
            let entries = vec![Entry::FactNoted { target: target(n), fact }, Entry::Enrolled { target: target(n), campaign: id.clone(), rule }];
            book.write(&format!("target/{}", target(n)), entries);
        }
    }
    book.wait(60).write(&stream, vec![Entry::CampaignClosing { campaign: id.clone() }]);
    book.wait(2);
    let mut waves = Vec::new();
    for (index, (name, range)) in cut.iter().enumerate() {
        waves.push(WaveCut { name: (*name).to_owned(), cells: 4, targets: range.len() as u64, digest: digest(&wave(id, index as u16)) });
        for (cell, members) in cells(&wave(id, index as u16), range.clone()) {
            let digest = digest(&cell);
            book.write(&format!("cell/{cell}"), vec![Entry::CellCut { cell, members, limits: Vec::new(), rules: Vec::new(), digest, due: None }]);
        }
    }
    let by_region = PLACES.iter().map(|(_, region)| (region.parse().unwrap(), 30)).collect();
    let closed = Entry::CampaignClosed { campaign: id.clone(), waves, digest: digest(id), snapshot: SNAPSHOT.parse().unwrap() };
    let pinned = Entry::InventoryPinned { campaign: id.clone(), total: 120, by_region };
    let asked = Entry::ApprovalAsked { subject: Subject::Campaign(id.clone()), digest: digest(id), need: 2 };
    book.write(&stream, vec![pinned, closed, asked]);
}

pub fn member(n: usize) -> CellMember {
    CellMember { instance: target(n).instance, platform: Platform::Linux, tag: None, groups: Vec::new() }
}

fn cells(wave: &WaveId, range: std::ops::Range<usize>) -> Vec<(CellId, Vec<CellMember>)> {
    let mut cells: BTreeMap<CellId, Vec<CellMember>> = BTreeMap::new();
    for n in range {
        let key = target(n);
        let cell = CellId { wave: wave.clone(), account: key.account, region: key.region, part: 0 };
        cells.entry(cell).or_default().push(member(n));
    }
    cells.into_iter().collect()
}

pub fn clearance(of: Digest, approved_by: &[&str], not_after: Timestamp) -> ClearanceRecord {
    ClearanceRecord { digest: of, cord_epoch: 0, lane_epoch: 0, approved_by: approved_by.iter().map(|by| by.parse().unwrap()).collect(), not_after }
}

/// A wave from its seal to the end of its batches; `bad` says who fails and how.
fn run_wave(book: &mut Book, id: &WaveId, range: std::ops::Range<usize>, bad: &dyn Fn(usize) -> Option<Outcome>, then: Option<u64>) {
    let stream = format!("campaign/{}", id.campaign);
    book.wait(5).write(&stream, vec![Entry::WaveSealing { wave: id.clone() }]);
    book.wait(1).write(&stream, vec![Entry::WaveSealed { wave: id.clone(), pin: PinStrength::Dated, kept: range.len() as u64 }]);
    let clearance = clearance(digest(id), &["alice", "bob"], book.in_minutes(240));
    book.wait(1).write(&stream, vec![Entry::WaveOpened { wave: id.clone(), clearance: clearance.clone() }]);
    let (mut ok, mut failed) = (0, 0);
    for (cell, members) in cells(id, range.clone()) {
        let batch = BatchId { cell, number: 0 };
        let home = format!("batch/{batch}");
        let snapshot = SNAPSHOT.parse().unwrap();
        let sent = |step: RunStep, at: Timestamp| Entry::Sent {
            batch: batch.clone(),
            step,
            generation: 1,
            command: COMMAND.parse().unwrap(),
            expires_at: at,
            adopted: false,
        };
        book.write(
            &home,
            vec![Entry::BatchPlanned {
                batch: batch.clone(),
                step: RunStep::Install,
                platform: Platform::Linux,
                members,
                grants: Vec::new(),
                snapshot,
                reboot_option: "RebootIfNeeded".into(),
                backup: Vec::new(),
            }],
        );
        book.write(&home, vec![Entry::Sending { batch: batch.clone(), step: RunStep::Install, generation: 1, at: book.at, clearance: clearance.clone() }]);
        book.write(&home, vec![sent(RunStep::Install, book.in_minutes(120))]);
        book.wait(6);
        book.write(&home, vec![Entry::ScanDue { batch: batch.clone(), at: book.at }]);
        book.write(&home, vec![sent(RunStep::Scan, book.in_minutes(60))]);
        let outcomes: Vec<Outcome> =
            range.clone().filter(|n| batch.target(&target(*n).instance) == target(*n)).map(|n| bad(n).unwrap_or_else(|| good(book, &batch.cell, n))).collect();
        ok += outcomes.iter().filter(|outcome| outcome.count == Count::Ok).count() as u64;
        failed += outcomes.iter().filter(|outcome| outcome.count == Count::Bad).count() as u64;
        book.wait(2).write(&home, vec![Entry::Released { batch: batch.clone(), outcomes }]);
        book.write(&home, vec![Entry::BatchEnded { batch }]);
    }
    if let Some(minutes) = then {
        let baking = Entry::WaveBaking { wave: id.clone(), until: book.in_minutes(minutes as i64), ok, bad: failed };
        book.write(&stream, vec![baking]);
        book.wait(minutes as i64).write(&stream, vec![Entry::WaveProven { wave: id.clone() }]);
    }
}

fn good(book: &Book, cell: &CellId, n: usize) -> Outcome {
    let to = Standing::PatchedUnconfirmed { cell: cell.clone(), installed_at: book.at, proven_at: book.at, lag: None };
    Outcome { instance: target(n).instance, verdict: Some(Verdict::PatchedUnconfirmed), to, count: Count::Ok, why: "invocation and scan agree".into() }
}

fn bad(n: usize, verdict: Verdict, to: Standing, why: &str) -> Option<Outcome> {
    Some(Outcome { instance: target(n).instance, verdict: Some(verdict), to, count: Count::Bad, why: why.into() })
}

fn moved(book: &mut Book, n: usize, to: Standing, verdict: Option<Verdict>, why: &str) {
    book.write(&format!("target/{}", target(n)), vec![Entry::Moved { target: target(n), to, verdict, why: why.into() }]);
}

/// Two campaigns of one lane: the first goes through, the second halts its lane, is resumed and halts it again; a third
/// waits for approval. Names and comments try to break out of the page.
pub fn story() -> Book {
    let mut book = Book::new();
    let one = campaign("patch-default.1");
    book.write("policy", vec![Entry::PolicyPinned { digest: Digest::of(b"policy"), policy: "{}".into() }]);
    open_and_cut(&mut book, &one, &[("canary", 0..4), ("early", 4..16), ("rest", 16..60)]);
    let stream = format!("campaign/{one}");
    let yes = |by: &str, at: Timestamp, why: &str| word(Subject::Campaign(one.clone()), by, Word::Approve, at, why);
    let at = book.wait(30).at;
    book.write(&stream, vec![yes("alice", at, "CHG0031245, reviewed with the platform team")]);
    let at = book.wait(12).at;
    book.write(&stream, vec![yes("bob", at, "<script>alert(1)</script>"), Entry::CampaignStarted { campaign: one.clone() }]);
    run_wave(&mut book, &wave(&one, 0), 0..4, &|_| None, Some(60));
    run_wave(
        &mut book,
        &wave(&one, 1),
        4..16,
        &|n| (n == 7).then(|| bad(n, Verdict::Partial, Standing::Retrying { not_before: Timestamp::MAX }, "2 patches failed to install")).flatten(),
        Some(120),
    );
    run_wave(&mut book, &wave(&one, 2), 16..60, &|_| None, Some(60));
    for n in (0..60).filter(|n| *n != 7 && n % 10 != 3) {
        moved(&mut book, n, Standing::Compliant, Some(Verdict::Remediated), "Config agrees: captured after the install");
    }
    for (cell, members) in cells(&wave(&one, 2), 16..60) {
        let members = members.into_iter().map(|member| member.instance).filter(|i| (0..60).any(|n| n % 10 == 3 && target(n).instance == *i)).collect();
        book.write(&format!("cell/{cell}"), vec![Entry::CellLagging { cell, members, lag: Lag::ConfigLagging }]);
    }
    book.write(&stream, vec![Entry::CampaignEnded { campaign: one.clone(), why: "every wave was proven".into(), complete: true }]);

    let two = campaign("patch-default.2");
    let stream = format!("campaign/{two}");
    open_and_cut(&mut book, &two, &[("canary", 60..62), ("early", 62..74), ("rest", 74..110)]);
    let at = book.wait(45).at;
    let comment = "go";
    let words =
        vec![word(Subject::Campaign(two.clone()), "alice", Word::Approve, at, comment), word(Subject::Campaign(two.clone()), "carol", Word::Approve, at, "")];
    book.write(&stream, words);
    book.write(&stream, vec![Entry::CampaignStarted { campaign: two.clone() }]);
    run_wave(&mut book, &wave(&two, 0), 60..62, &|_| None, Some(60));
    let owner = "ops@example.com".to_owned();
    let quarantined = |why: &str| Standing::Quarantined { owner: owner.clone(), why: why.into() };
    let fails = move |n: usize| match n {
        62 => bad(n, Verdict::Failed, quarantined("out of attempts"), "exit code 1: the package database is locked"),
        64 => bad(n, Verdict::FalseSuccess, quarantined("the scan says otherwise, three times"), "3 patches are still missing"),
        66 => bad(n, Verdict::Overwritten, Standing::Retrying { not_before: Timestamp::MAX }, "another scanner replaced the patch state"),
        67 => bad(n, Verdict::PendingReboot, Standing::Unmanaged { why: "Systems Manager does not know it any more".into() }, "gone from the inventory"),
        _ => None,
    };
    run_wave(&mut book, &wave(&two, 1), 62..74, &fails, None);
    let lane = two.lane.clone();
    let halted = |index: u16, why: &str| Entry::LaneHalted { lane: lane.clone(), wave: wave(&two, index), why: why.into() };
    book.wait(3).write("lane/patch-default", vec![halted(1, "4 of 12 failed, where the budget allows 1")]);
    let resumed = Entry::LaneResumed {
        lane: lane.clone(),
        by: "carol".parse().unwrap(),
        comment: "locked by an unattended upgrade, now off; & <b>checked</b>".into(),
        forgiven: Some((wave(&two, 1), 4)),
    };
    book.wait(95).write("lane/patch-default", vec![resumed]);
    let until = book.in_minutes(120);
    book.write(&stream, vec![Entry::WaveBaking { wave: wave(&two, 1), until, ok: 8, bad: 4 }]);
    book.wait(120).write(&stream, vec![Entry::WaveProven { wave: wave(&two, 1) }]);
    let batch: BatchId = format!("{}/{}/{}/0/0", wave(&two, 2), PLACES[0].0, PLACES[0].1).parse().unwrap();
    let home = format!("batch/{batch}");
    book.write(&stream, vec![Entry::WaveSealing { wave: wave(&two, 2) }]);
    let dropped = vec![(target(76).instance, "compliant by now".to_owned())];
    book.write(&format!("cell/{}", batch.cell), vec![Entry::CellSealed { cell: batch.cell.clone(), dropped }]);
    moved(&mut book, 76, Standing::Compliant, None, "Config says COMPLIANT");
    book.write(&stream, vec![Entry::WaveSealed { wave: wave(&two, 2), pin: PinStrength::Dated, kept: 35 }]);
    let clearance = clearance(digest(&wave(&two, 2)), &["alice", "carol"], book.in_minutes(60));
    book.wait(2).write(&stream, vec![Entry::WaveOpened { wave: wave(&two, 2), clearance }]);
    let members: Vec<CellMember> = [80, 84, 88].into_iter().map(member).collect();
    let snapshot = SNAPSHOT.parse().unwrap();
    book.write(
        &home,
        vec![Entry::BatchPlanned {
            batch: batch.clone(),
            step: RunStep::Install,
            platform: Platform::Linux,
            members,
            grants: Vec::new(),
            snapshot,
            reboot_option: "RebootIfNeeded".into(),
            backup: Vec::new(),
        }],
    );
    let sent = Entry::Sent {
        batch: batch.clone(),
        step: RunStep::Install,
        generation: 1,
        command: COMMAND.parse().unwrap(),
        expires_at: book.in_minutes(60),
        adopted: true,
    };
    book.write(&home, vec![sent]);
    book.wait(70);
    book.write(&home, vec![Entry::Stranded { batch: batch.clone(), members: vec![target(80).instance], again_at: book.in_minutes(30), tries: 1 }]);
    book.write(&home, vec![Entry::ScanDue { batch, at: book.at }]);
    book.write(
        &stream,
        vec![Entry::Held {
            wave: wave(&two, 2),
            holds: vec![Hold::LaneHalted { why: "5 instances stopped answering".into() }, Hold::BlastRadius { scope: Scope::Organization, limit: 5 }],
        }],
    );
    book.wait(1).write("lane/patch-default", vec![halted(2, "5 instances stopped answering after their reboot")]);

    let three = campaign("patch-sql.1");
    open_and_cut(&mut book, &three, &[("canary \"<i>", 110..111), ("rest", 111..118)]);
    let hold = Hold::AwaitingApproval { digest: digest(&three), have: 1, need: 2 };
    let at = book.at;
    let stream = format!("campaign/{three}");
    book.write(&stream, vec![word(Subject::Campaign(three.clone()), "dora", Word::Approve, at, "please also look, Bob")]);
    book.write(&stream, vec![Entry::Held { wave: wave(&three, 0), holds: vec![hold] }]);
    let until = "2026-06-30T00:00:00Z".parse().unwrap();
    moved(
        &mut book,
        118,
        Standing::Exempt { until, owner: "payments".into(), reason: "vendor appliance, patched by the vendor </td>".into() },
        None,
        "exempted",
    );
    moved(
        &mut book,
        119,
        Standing::Unreachable { why: "the spoke role can't be assumed (AccessDenied)".into(), look_at: until, looks: 7 },
        None,
        "looked at again",
    );
    moved(&mut book, 120, Standing::Gone, None, "terminated");
    let cell = CellId { wave: wave(&two, 1), account: target(68).account, region: target(68).region, part: 0 };
    moved(&mut book, 68, Standing::PendingReboot { cell }, Some(Verdict::PendingReboot), "installed without a reboot");
    book
}
