//! Cutting a bulk run: every host into the first wave that takes it, waves into cells, limits into counts, and a digest over all
//! of it. `tidegate plan` and the engine cut with this one function, so that the same inventory gives the same digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_events::entry::WaveCut;
use tidegate_events::hold::Scope;
use tidegate_events::host::{Host, Ping, Platform};
use tidegate_events::id::{AccountId, CampaignId, Digest, Region, TargetKey, WaveId};
use tidegate_events::run::{BulkRun, LeftOut, Operation};

use crate::bulk::terms;
use crate::plan::{CELL_MEMBERS_MAX, Counts, limit_of};
use crate::policy::Policy;
use crate::{exemption, group};

/// A host that is known, and where. Borrowed: a million of them are looked at without one being copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'h> {
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: &'h Region,
    /// What is known of it.
    pub host: &'h Host,
}

impl Known<'_> {
    /// Its identity.
    pub fn target(&self) -> TargetKey {
        TargetKey { account: self.account, region: self.region.clone(), instance: self.host.instance.clone() }
    }
}

/// The first wave whose filters take a host, or the closest miss.
///
/// # Errors
/// Why no wave takes it.
pub fn first_wave(run: &BulkRun, known: &Known<'_>) -> Result<u16, LeftOut> {
    let mut miss = LeftOut::OtherAccount;
    for (index, wave) in (0u16..).zip(&run.waves) {
        match wave.leaves_out(known.account, known.region, known.host) {
            None => return Ok(index),
            Some(why) => miss = miss.max(why),
        }
    }
    Err(miss)
}

/// The wave of a host that can be patched now: as [`first_wave`], and neither exempt nor out of reach. `ous` are the
/// organizational units above its account.
///
/// # Errors
/// Why it is in no wave.
pub fn place(policy: &Policy, run: &BulkRun, known: &Known<'_>, ous: &[String], now: Timestamp) -> Result<u16, LeftOut> {
    let wave = first_wave(run, known)?;
    if !policy.exemptions.is_empty() && exemption::of(&policy.exemptions, &known.target(), Some(known.host), ous, now).is_some() {
        return Err(LeftOut::Exempt);
    }
    if known.host.ping != Ping::Online {
        return Err(LeftOut::Unreachable);
    }
    Ok(wave)
}

/// One cell of a cut: hosts of one wave, account, Region and platform.
#[derive(Debug)]
pub struct RunCell<'c, 'h> {
    /// Its wave among the waves that are not empty.
    pub wave: u16,
    /// The account.
    pub account: AccountId,
    /// The Region.
    pub region: &'h Region,
    /// Its place among the cells of its wave, account and Region.
    pub part: u16,
    /// Platform of all its members: a command goes to one.
    pub platform: Platform,
    /// Its members, by id.
    pub members: &'c [(u16, Known<'h>)],
    /// Its limits: scope, count, and what the count is a share of. Of a wave's scope the id is left open.
    pub limits: &'c [(CellScope, u64, u64)],
    /// Digest over all that.
    pub digest: Digest,
}

/// A scope of a cell's limits that needs no campaign to be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellScope {
    /// The cell's wave.
    Wave,
    /// Any other.
    Other(Scope),
}

impl CellScope {
    /// The scope in this wave.
    pub fn of(&self, wave: &WaveId) -> Scope {
        match self {
            Self::Wave => Scope::Wave(wave.clone()),
            Self::Other(scope) => scope.clone(),
        }
    }
}

/// Cuts hosts that have their waves (an index into the run's) into cells, and hands each to `each`, in order. `policy` are the
/// run's terms ([`terms::policy_for`]), `pinned` their digest. Gives the waves that are not empty, with the run's index of each,
/// and the digest that an approval signs.
///
/// The same hosts, in whichever order, give the same cells and digest. No campaign's number is in it: what is approved is named
/// by campaign and digest together.
pub fn cut<'h>(
    policy: &Policy,
    pinned: &Digest,
    run: &BulkRun,
    chosen: &mut [(u16, Known<'h>)],
    counts: &Counts,
    mut each: impl FnMut(RunCell<'_, 'h>),
) -> (Vec<(u16, WaveCut)>, Digest) {
    // Most inventories come nearly in this order, which a stable sort makes use of.
    chosen.sort_by(|(wave, a), (other, b)| {
        wave.cmp(other)
            .then_with(|| a.account.cmp(&b.account))
            .then_with(|| a.region.cmp(b.region))
            .then_with(|| a.host.platform.cmp(&b.host.platform))
            .then_with(|| a.host.instance.cmp(&b.host.instance))
    });
    let members_in_all = count(chosen.len());
    let mut waves: Vec<(u16, WaveCut)> = Vec::new();
    let mut written: Vec<u8> = Vec::new();
    for members in chosen.chunk_by(|(wave, _), (other, _)| wave == other) {
        let Some((of_run, name)) = members.first().and_then(|(of_run, _)| Some((*of_run, &run.waves.get(usize::from(*of_run))?.name))) else { continue };
        let wave = u16::try_from(waves.len()).unwrap_or(u16::MAX);
        let asked = run.waves.get(usize::from(of_run));
        let operation = asked.map_or(Operation::Install, |wave| wave.operation);
        let option = terms::reboot_option(terms::reboot_mode(policy, asked.and_then(|wave| wave.reboot)), operation);
        let frame = Frame { policy, counts, name, in_wave: count(members.len()), members_in_all };
        let mut digests: Vec<Digest> = Vec::new();
        for members in members.chunk_by(|(_, a), (_, b)| a.account == b.account && a.region == b.region) {
            let mut part = 0u16;
            for members in members.chunk_by(|(_, a), (_, b)| a.host.platform == b.host.platform) {
                for members in members.chunks(CELL_MEMBERS_MAX) {
                    let Some((_, first)) = members.first() else { continue };
                    let limits = frame.limits(first, members);
                    written.clear();
                    let head = (name, first.account, first.region, part, first.host.platform, &policy.remediation, operation, option, pinned);
                    put(&mut written, &head);
                    for (scope, limit, base) in &limits {
                        put(&mut written, &(scope_name(scope), limit, base));
                    }
                    for (_, member) in members {
                        written.extend_from_slice(member.host.instance.as_str().as_bytes());
                        written.push(b' ');
                        written.extend_from_slice(frame.tag(member).unwrap_or_default().as_bytes());
                        written.push(b'\n');
                        let groups = group::of(&policy.groups, &member.host.tags);
                        if !groups.is_empty() {
                            put(&mut written, &groups);
                        }
                    }
                    let digest = Digest::of_parts([b"run cell".as_slice(), &written]);
                    digests.push(digest);
                    each(RunCell { wave, account: first.account, region: first.region, part, platform: first.host.platform, members, limits: &limits, digest });
                    part = part.saturating_add(1);
                }
            }
        }
        let head = [b"run wave".as_slice(), &wave.to_be_bytes(), name.as_bytes()];
        let digest = Digest::of_parts(head.into_iter().chain(digests.iter().map(|digest| digest.as_bytes().as_slice())));
        waves.push((of_run, WaveCut { name: name.clone(), cells: u32::try_from(digests.len()).unwrap_or(u32::MAX), targets: frame.in_wave, digest }));
    }
    let digest = run_digest(pinned, waves.iter().map(|(_, wave)| wave));
    (waves, digest)
}

/// The digest of a bulk run: over the digests of its waves, its filters, its terms. What an approval says yes to.
pub fn run_digest<'w>(pinned: &Digest, waves: impl IntoIterator<Item = &'w WaveCut>) -> Digest {
    let head = [b"run".as_slice(), pinned.as_bytes().as_slice()];
    let waves: Vec<&WaveCut> = waves.into_iter().collect();
    Digest::of_parts(head.into_iter().chain(waves.iter().map(|wave| wave.digest.as_bytes().as_slice())))
}

fn put(written: &mut Vec<u8>, words: &impl serde::Serialize) {
    // A Vec takes every write, and these words are all JSON.
    drop(serde_json::to_writer(&mut *written, words));
    written.push(b'\n');
}

fn scope_name(scope: &CellScope) -> String {
    match scope {
        CellScope::Wave => "wave".into(),
        CellScope::Other(scope) => scope.to_string(),
    }
}

struct Frame<'a> {
    policy: &'a Policy,
    counts: &'a Counts,
    name: &'a str,
    in_wave: u64,
    members_in_all: u64,
}

impl Frame<'_> {
    /// The member's value of the policy's scope tag.
    fn tag<'h>(&self, member: &Known<'h>) -> Option<&'h str> {
        self.policy.blast_radius.tag.as_ref().and_then(|tag| member.host.tags.get(&tag.key)).map(String::as_str)
    }

    /// As for campaigns: percentages are of the inventory, and of what is here where that is more.
    fn limits(&self, first: &Known<'_>, members: &[(u16, Known<'_>)]) -> Vec<(CellScope, u64, u64)> {
        let here = count(members.len());
        let of = |known: Option<&u64>| known.copied().unwrap_or(0).max(here);
        let mut bases = vec![
            (CellScope::Wave, self.in_wave),
            (CellScope::Other(Scope::Account(first.account)), of(self.counts.by_account.get(&first.account))),
            (CellScope::Other(Scope::Region(first.region.clone())), of(self.counts.by_region.get(first.region))),
            (CellScope::Other(Scope::Organization), self.counts.total.max(self.members_in_all)),
        ];
        if let Some(tag) = &self.policy.blast_radius.tag {
            let values: std::collections::BTreeSet<&str> = members.iter().filter_map(|(_, member)| self.tag(member)).collect();
            bases.extend(values.into_iter().map(|value| {
                let known = self.counts.by_tag.get(value).copied().unwrap_or(0);
                (CellScope::Other(Scope::Tag(format!("{}={value}", tag.key))), known.max(1))
            }));
        }
        if !self.policy.groups.is_empty() {
            let named: Vec<Vec<String>> = members.iter().map(|(_, member)| group::of(&self.policy.groups, &member.host.tags)).collect();
            let groups = group::scopes(&self.policy.groups, first.account, first.region, named.iter().map(Vec::as_slice));
            let groups = self.counts.groups(groups).map(|(scope, base)| (CellScope::Other(scope), base));
            let groups: Vec<(CellScope, u64)> = groups.filter(|(scope, _)| bases.iter().all(|(known, _)| known != scope)).collect();
            bases.extend(groups);
        }
        bases
            .into_iter()
            .filter_map(|(scope, base)| {
                let limit = match &scope {
                    CellScope::Wave => Some(wave_limit(self.policy, self.name, base)),
                    CellScope::Other(scope) => limit_of(self.policy, self.name, scope, base),
                };
                limit.map(|limit| (scope, limit, base))
            })
            .collect()
    }
}

/// At most so many of a wave at once: the smaller of what the run and what the policy says.
pub fn wave_limit(policy: &Policy, name: &str, in_wave: u64) -> u64 {
    let own = policy.waves.iter().find(|wave| wave.name == name).and_then(|wave| wave.at_once);
    let shared = policy.blast_radius.wave.of(in_wave);
    own.map_or(shared, |own| own.of(in_wave).min(shared))
}

/// What a cell of a campaign is, from a cell of a cut.
pub fn cell_plan(policy: &Policy, campaign: &CampaignId, cell: &RunCell<'_, '_>, rules: Vec<String>) -> crate::plan::CellPlan {
    use tidegate_events::entry::{CellMember, Limit};
    use tidegate_events::id::CellId;
    let wave = WaveId { campaign: campaign.clone(), index: cell.wave };
    let key = policy.blast_radius.tag.as_ref().map(|tag| tag.key.as_str());
    let tag = |host: &Host| key.and_then(|key| host.tags.get(key).map(|value| format!("{key}={value}")));
    crate::plan::CellPlan {
        members: cell
            .members
            .iter()
            .map(|(_, known)| CellMember {
                instance: known.host.instance.clone(),
                platform: known.host.platform,
                tag: tag(known.host),
                groups: group::of(&policy.groups, &known.host.tags),
            })
            .collect(),
        limits: cell.limits.iter().map(|(scope, limit, base)| Limit { scope: scope.of(&wave), limit: *limit, base: *base }).collect(),
        rules,
        digest: cell.digest,
        due: None,
        id: CellId { wave, account: cell.account, region: cell.region.clone(), part: cell.part },
    }
}

/// Counts hosts of active accounts, as the cloud's inventory does: what percentages are percentages of.
pub fn counts<'h>(policy: &Policy, hosts: impl IntoIterator<Item = Known<'h>>, ous: &BTreeMap<AccountId, Vec<String>>) -> Counts {
    let key = policy.blast_radius.tag.as_ref().map(|tag| tag.key.as_str());
    let mut counts = Counts { ous: ous.clone(), ..Counts::default() };
    for known in hosts {
        counts.total += 1;
        *counts.by_account.entry(known.account).or_default() += 1;
        add(&mut counts.by_region, known.region);
        if let Some(value) = key.and_then(|key| known.host.tags.get(key)) {
            add(&mut counts.by_tag, value);
        }
        for group in &policy.groups {
            if let Some(value) = known.host.tags.get(&group.tag) {
                *counts.by_group.entry(group.scope_of(known.account, known.region, value)).or_default() += 1;
            }
        }
    }
    counts
}

fn add<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, key: &K) {
    match counts.get_mut(key) {
        Some(seen) => *seen += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
