//! Cutting a closing campaign: waves into cells, limits into counts, and a digest over all of it for people to say yes to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_events::entry::{CellMember, Limit, WaveCut};
use tidegate_events::hold::Scope;
use tidegate_events::id::{AccountId, CampaignId, CellId, Digest, Region, SnapshotId, TargetKey, WaveId};
use tidegate_events::{Entry, Hold};

use crate::desk::{Desk, Missing};
use crate::group;
use crate::key::Key;
use crate::pin;
use crate::policy::{Amount, Policy};
use crate::state::Chunk;
use crate::wave::{Member, split};

/// Members of one cell's roster at most: a cell is rewritten for each of its batches, so its item stays near 20 KB.
pub const CELL_MEMBERS_MAX: usize = 200;

/// Members of one chunk at most: what one DescribeInstanceInformation takes (and one transaction).
pub const CHUNK_MEMBERS_MAX: usize = 50;

/// Counts that percentages are percentages of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All known instances.
    pub total: u64,
    /// By account.
    pub by_account: BTreeMap<AccountId, u64>,
    /// By Region.
    pub by_region: BTreeMap<Region, u64>,
    /// By value of the policy's scope tag.
    pub by_tag: BTreeMap<String, u64>,
    /// Members of each group, by the scope of its limit.
    pub by_group: BTreeMap<Scope, u64>,
    /// Organizational units above each account.
    pub ous: BTreeMap<AccountId, Vec<String>>,
}

impl Counts {
    /// How large each group is, of which so many are here: members that are not known are no reason to touch more of it at once.
    pub fn groups(&self, here: BTreeMap<Scope, u64>) -> impl Iterator<Item = (Scope, u64)> {
        here.into_iter().map(|(scope, here)| {
            let known = self.by_group.get(&scope).copied().unwrap_or(0);
            (scope, known.max(here))
        })
    }
}

/// A cell that is to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellPlan {
    /// Its id.
    pub id: CellId,
    /// Its members.
    pub members: Vec<CellMember>,
    /// Its limits.
    pub limits: Vec<Limit>,
    /// Its rules.
    pub rules: Vec<String>,
    /// Its digest.
    pub digest: Digest,
    /// The earliest deadline of a member.
    pub due: Option<Timestamp>,
}

/// A whole cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// All cells.
    pub cells: Vec<CellPlan>,
    /// The waves.
    pub waves: Vec<WaveCut>,
    /// Digest of the campaign.
    pub digest: Digest,
    /// The patch set.
    pub snapshot: SnapshotId,
}

/// Cuts a campaign. The same chunks, policy and counts give the same cut, so that a crash in the middle is continued.
pub fn cut(policy: &Policy, pinned: &Digest, campaign: &CampaignId, chunks: &[Chunk], counts: &Counts) -> Cut {
    let mut members: Vec<Member> = Vec::new();
    let mut rules: BTreeMap<(AccountId, Region), BTreeSet<String>> = BTreeMap::new();
    let mut due: BTreeMap<TargetKey, Timestamp> = BTreeMap::new();
    for chunk in chunks {
        rules.entry((chunk.account, chunk.region.clone())).or_default().extend(chunk.rules.iter().cloned());
        for host in &chunk.hosts {
            let target = TargetKey { account: chunk.account, region: chunk.region.clone(), instance: host.instance.clone() };
            if let Some(at) = chunk.due.get(&host.instance) {
                due.insert(target.clone(), *at);
            }
            members.push(Member { target, host: host.clone() });
        }
    }
    let none: Vec<String> = Vec::new();
    let waves = split(policy, &members, |target| counts.ous.get(&target.account).unwrap_or(&none).as_slice());
    let snapshot = pin::snapshot(campaign, pinned, 0);
    let frame = Frame { policy, pinned, counts, snapshot: &snapshot, campaign_members: count(members.len()), due: &due };
    let mut cells = Vec::new();
    let mut cuts = Vec::new();
    for (index, (name, members)) in (0u16..).zip(&waves) {
        let wave = WaveId { campaign: campaign.clone(), index };
        let first = cells.len();
        frame.cells_of(&wave, name, members, &rules, &mut cells);
        let digests: Vec<Digest> = cells.iter().skip(first).map(|cell: &CellPlan| cell.digest).collect();
        let head = [b"wave".as_slice(), wave.to_string().as_bytes(), name.as_bytes()].map(<[u8]>::to_vec);
        let digest = Digest::of_parts(head.iter().map(Vec::as_slice).chain(digests.iter().map(|digest| digest.as_bytes().as_slice())));
        cuts.push(WaveCut { name: name.clone(), cells: u32::try_from(digests.len()).unwrap_or(u32::MAX), targets: count(members.len()), digest });
    }
    let digest = campaign_digest(campaign, pinned, &cuts);
    Cut { cells, waves: cuts, digest, snapshot }
}

/// The digest of a campaign: over the digests of its waves and its policy. What an approval says yes to.
pub fn campaign_digest(campaign: &CampaignId, pinned: &Digest, waves: &[WaveCut]) -> Digest {
    let head = [b"campaign".to_vec(), campaign.to_string().into_bytes(), pinned.as_bytes().to_vec()];
    Digest::of_parts(head.iter().map(Vec::as_slice).chain(waves.iter().map(|wave| wave.digest.as_bytes().as_slice())))
}

struct Frame<'a> {
    policy: &'a Policy,
    pinned: &'a Digest,
    counts: &'a Counts,
    snapshot: &'a SnapshotId,
    campaign_members: u64,
    due: &'a BTreeMap<TargetKey, Timestamp>,
}

impl Frame<'_> {
    fn cells_of(&self, wave: &WaveId, name: &str, members: &[&Member], rules: &BTreeMap<(AccountId, Region), BTreeSet<String>>, cells: &mut Vec<CellPlan>) {
        let in_wave = count(members.len());
        let mut by_spoke: BTreeMap<(AccountId, &Region), Vec<&Member>> = BTreeMap::new();
        for member in members {
            by_spoke.entry((member.target.account, &member.target.region)).or_default().push(member);
        }
        for ((account, region), mut members) in by_spoke {
            // The order in which cells and batches take them: who is due first, then as the ring has them.
            members.sort_by_key(|member| self.due.get(&member.target).copied().unwrap_or(Timestamp::MAX));
            let rules: Vec<String> = rules.get(&(account, region.clone())).map(|rules| rules.iter().take(25).cloned().collect()).unwrap_or_default();
            for (part, members) in (0u16..).zip(members.chunks(CELL_MEMBERS_MAX)) {
                let id = CellId { wave: wave.clone(), account, region: region.clone(), part };
                let due = members.iter().filter_map(|member| self.due.get(&member.target)).min().copied();
                let members: Vec<CellMember> = members.iter().map(|member| self.member(member)).collect();
                let limits = self.limits(&id, name, in_wave, &members);
                let digest = self.digest(&id, name, &members, &limits);
                cells.push(CellPlan { id, members, limits, rules: rules.clone(), digest, due });
            }
        }
    }

    fn member(&self, member: &Member) -> CellMember {
        let tag = self.policy.blast_radius.tag.as_ref().and_then(|tag| member.host.tags.get(&tag.key).map(|value| format!("{}={value}", tag.key)));
        CellMember { instance: member.host.instance.clone(), platform: member.host.platform, tag, groups: group::of(&self.policy.groups, &member.host.tags) }
    }

    /// Percentages are of the inventory; where that is older than the campaign, of the campaign's members at least.
    fn limits(&self, cell: &CellId, name: &str, in_wave: u64, members: &[CellMember]) -> Vec<Limit> {
        let here = count(members.len());
        let of = |known: Option<&u64>| known.copied().unwrap_or(0).max(here);
        let mut bases = vec![
            (Scope::Wave(cell.wave.clone()), in_wave),
            (Scope::Account(cell.account), of(self.counts.by_account.get(&cell.account))),
            (Scope::Region(cell.region.clone()), of(self.counts.by_region.get(&cell.region))),
            (Scope::Organization, self.counts.total.max(self.campaign_members)),
        ];
        let values: BTreeSet<&String> = members.iter().filter_map(|member| member.tag.as_ref()).collect();
        bases.extend(values.into_iter().map(|value| {
            let known = value.split_once('=').and_then(|(_, value)| self.counts.by_tag.get(value)).copied().unwrap_or(0);
            (Scope::Tag(value.clone()), known.max(1))
        }));
        let groups = group::scopes(&self.policy.groups, cell.account, &cell.region, members.iter().map(|member| member.groups.as_slice()));
        let groups: Vec<(Scope, u64)> = self.counts.groups(groups).filter(|(scope, _)| bases.iter().all(|(known, _)| known != scope)).collect();
        bases.extend(groups);
        bases.into_iter().filter_map(|(scope, base)| limit_of(self.policy, name, &scope, base).map(|limit| Limit { scope, limit, base })).collect()
    }

    /// Covers targets, document, parameters, limits as counts, patch set and policy (and with it hooks, and a catalog entry of
    /// the user's own).
    fn digest(&self, id: &CellId, wave: &str, members: &[CellMember], limits: &[Limit]) -> Digest {
        let platforms: BTreeSet<_> = members.iter().map(|member| member.platform).collect();
        let jobs: Vec<_> = platforms.iter().map(|platform| (platform, crate::sending::jobs_of(self.policy, wave, *platform, self.snapshot).ok())).collect();
        let first = jobs.iter().find_map(|(_, jobs)| jobs.as_ref()?.first()).map(|(_, job)| job);
        let parameters = first.map(|job| job.parameters.clone()).unwrap_or_default();
        let words = (id, members, limits, &self.policy.remediation, parameters, self.pinned);
        // The plain entry for patches runs the same document everywhere: its name says all that the rest would.
        let plain = self.policy.custom_entry.is_none()
            && self.policy.remediation == "patch"
            && platforms.iter().all(|platform| self.policy.wish_for(wave, *platform) == crate::catalog::Wish::default());
        let bytes = if plain { serde_json::to_vec(&words) } else { serde_json::to_vec(&(words, jobs)) };
        Digest::of(&bytes.unwrap_or_default())
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A policy's limit for a scope, as a count of `base` targets.
pub fn limit_of(policy: &Policy, wave: &str, scope: &Scope, base: u64) -> Option<u64> {
    let blast = &policy.blast_radius;
    Some(match scope {
        Scope::Wave(_) => {
            let own = policy.waves.iter().find(|w| w.name == wave).and_then(|w| w.at_once);
            let shared = blast.wave.of(base);
            own.map_or(shared, |own: Amount| own.of(base).min(shared))
        }
        Scope::Account(_) => blast.account.of(base),
        Scope::Region(_) => blast.region.of(base),
        Scope::Organization => blast.organization.of(base),
        Scope::Tag(value) => {
            let is_of = |key: &str| value.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
            let tag = blast.tag.as_ref().filter(|tag| is_of(&tag.key)).map(|tag| tag.limit.of(base));
            tag.into_iter().chain(group::limit(&policy.groups, scope, base)).min()?
        }
        Scope::Group { .. } => group::limit(&policy.groups, scope, base)?,
    })
}

/// Writes one cell of a cut; a cell that is already there (a crash came between) is left as it is.
///
/// # Errors
/// When something is not loaded.
pub fn write_cell(desk: &mut Desk<'_>, plan: &CellPlan) -> Result<Result<(), Hold>, Missing> {
    match desk.cell(&plan.id)? {
        Some(cell) if cell.digest == plan.digest => return Ok(Ok(())),
        Some(_) => return Ok(Err(Hold::Doubt { what: format!("cell {} was cut differently before", plan.id) })),
        None => {}
    }
    desk.insist(Key::cell(&plan.id));
    desk.record(Entry::CellCut {
        cell: plan.id.clone(),
        members: plan.members.clone(),
        limits: plan.limits.clone(),
        rules: plan.rules.clone(),
        digest: plan.digest,
        due: plan.due,
    })?;
    Ok(Ok(()))
}
