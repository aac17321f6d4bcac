//! Worlds in bulk: for `simulate`, for `demo`, from a fleet on file, or from nothing but the targets that events name.

use std::collections::BTreeMap;

use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, InstanceId, Region, TargetKey};

use crate::draw::Draw;
use crate::faults::Faults;
use crate::fleet::{FLEET_SCHEMA, Fleet, FleetAccount, FleetAccountState, FleetInstance};
use crate::setup::SpokeSetup;
use crate::spec::{AccountSpec, HostSpec, Spec, Trouble};

/// The Regions that generated worlds use, in this order; no more than these. All of them have the managed rule (aws-facts 1.2).
pub const REGIONS: [&str; 12] = [
    "us-east-1",
    "eu-west-1",
    "ap-southeast-2",
    "us-west-2",
    "eu-central-1",
    "ap-northeast-1",
    "us-east-2",
    "eu-north-1",
    "sa-east-1",
    "ap-south-1",
    "ca-central-1",
    "eu-west-2",
];

/// Findings of a generated world arrive within so many seconds of its start.
const FINDINGS_WITHIN_SECS: u64 = 30 * 60;

/// The n-th account id: the three of AWS's documentation first, then plain numbers.
fn account(n: u32) -> Option<AccountId> {
    AccountId::from_number(match n {
        0 => 111_122_223_333,
        1 => 444_455_556_666,
        2 => 777_788_889_999,
        _ => 100_000_000_000 + u64::from(n) - 3,
    })
}

impl Fleet {
    /// A fleet of so many accounts, Regions (at most twelve) and instances in all, spread evenly. A third of the instances, and
    /// at least one, lack patches. Where an account and Region has two or more, it has Linux and Windows, one of each at
    /// least tagged `PatchGroup=default`.
    pub fn generate(accounts: u32, regions: u32, instances: u32, seed: u64) -> Self {
        let ids: Vec<AccountId> = (0..accounts).filter_map(account).collect();
        let regions: Vec<Region> = REGIONS.iter().take(usize::try_from(regions).unwrap_or(usize::MAX)).filter_map(|name| name.parse().ok()).collect();
        let spokes = u64::try_from(ids.len() * regions.len()).unwrap_or(0).max(1);
        let (each, rest) = (u64::from(instances) / spokes, u64::from(instances) % spokes);
        let mut fleet = Self { schema: FLEET_SCHEMA.to_owned(), accounts: Vec::new(), instances: Vec::new() };
        let mut number = 0_u64;
        for (a, id) in (0_u64..).zip(ids) {
            let environment = cycle(&["prod", "staging", "dev"], a);
            let ous = ["root", "workloads", environment].map(str::to_owned).to_vec();
            fleet.accounts.push(FleetAccount { id, ous, state: FleetAccountState::Active, spoke: SpokeSetup::default() });
            for (r, region) in (0_u64..).zip(&regions) {
                let here = each + u64::from(a * u64::try_from(regions.len()).unwrap_or(0) + r < rest);
                for n in 0..here {
                    if let Some(instance) = instance(seed, id, region, n, number, u64::from(instances), environment) {
                        fleet.instances.push(instance);
                    }
                    number += 1;
                }
            }
        }
        fleet
    }
}

fn instance(seed: u64, account: AccountId, region: &Region, n: u64, number: u64, total: u64, environment: &str) -> Option<FleetInstance> {
    let draw = |what: &str| Draw::new(seed, what).text(&account.to_string()).text(region.as_str()).on(n);
    let id: InstanceId = format!("i-{}", draw("instance id").hex(17)).parse().ok()?;
    // One of every three, chosen by lot, so that a third is a third in small worlds too.
    let (group, size) = (number / 3, total.saturating_sub(number / 3 * 3).min(3));
    let dirty = number % 3 == Draw::new(seed, "which of three").on(group).below(size);
    let group = if n < 2 { "default" } else { cycle(&["default", "default", "legacy", ""], draw("patch group").value()) };
    let tier = cycle(&["web", "app", "db"], draw("tier").value());
    let tags = [("Environment", environment), ("PatchGroup", group), ("Tier", tier)];
    Some(FleetInstance {
        account,
        region: region.clone(),
        instance: id,
        platform: if n % 3 == 1 { Platform::Windows } else { Platform::Linux },
        tags: tags.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        missing: if dirty { u32::try_from(draw("missing").between(1, 12)).unwrap_or(1) } else { 0 },
        patches: Vec::new(),
        online: true,
    })
}

fn cycle<'a>(words: &[&'a str], n: u64) -> &'a str {
    let len = u64::try_from(words.len()).unwrap_or(1).max(1);
    usize::try_from(n % len).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
}

impl Spec {
    /// A world for `simulate` and `demo`: [`Fleet::generate`] with findings that Config announces over the first half hour, and
    /// with the troubles that these faults bring.
    pub fn generate(accounts: u32, regions: u32, instances: u32, seed: u64, faults: Faults) -> Self {
        let mut spec = Self::from_fleet(&Fleet::generate(accounts, regions, instances, seed));
        spec.seed = seed;
        spec.announced().troubled(faults)
    }

    /// The world of a fleet on file, faultless. Nothing is announced: findings come from outside, or by [`Spec::announced`].
    pub fn from_fleet(fleet: &Fleet) -> Self {
        let accounts = fleet.accounts.iter().map(|account| AccountSpec {
            ous: account.ous.clone(),
            state: account.state.into(),
            role: account.spoke.role,
            recording: account.spoke.recording,
            rules: account.spoke.rules.clone(),
            rivals: account.spoke.rivals.clone(),
            without_baseline: account.spoke.without_baseline.clone(),
            ..AccountSpec::new(account.id)
        });
        let hosts = fleet.instances.iter().map(|instance| HostSpec {
            tags: instance.tags.clone(),
            missing: instance.missing,
            patches: instance.patches.clone(),
            troubles: if instance.online { Vec::new() } else { vec![Trouble::OFFLINE_ALWAYS] },
            ..HostSpec::new(instance.key(), instance.platform)
        });
        Self { accounts: accounts.collect(), hosts: hosts.collect(), ..Self::default() }
    }

    /// A faultless world of just these targets, as events name them, each with whether it is NON_COMPLIANT: Linux, untagged, three
    /// patches missing where it is. A target that is named more often counts once, as NON_COMPLIANT if it ever was.
    pub fn from_targets(targets: impl IntoIterator<Item = (TargetKey, bool)>) -> Self {
        let mut dirty: BTreeMap<TargetKey, bool> = BTreeMap::new();
        for (key, is_dirty) in targets {
            *dirty.entry(key).or_default() |= is_dirty;
        }
        let mut spec = Self::default();
        for (key, is_dirty) in dirty {
            if spec.accounts.last().is_none_or(|last| last.id != key.account) {
                spec.accounts.push(AccountSpec::new(key.account));
            }
            spec.hosts.push(HostSpec::new(key, Platform::Linux).missing(if is_dirty { 3 } else { 0 }));
        }
        spec
    }

    /// The same world, where Config finds every host that lacks patches within the first half hour (at the world's tempo), and says
    /// so by events.
    #[must_use]
    pub fn announced(mut self) -> Self {
        let (seed, tempo) = (self.seed, u64::from(self.tempo.get()));
        for host in self.hosts.iter_mut().filter(|host| host.is_dirty()) {
            let after = Draw::new(seed, "finding").text(&host.key.to_string()).below(FINDINGS_WITHIN_SECS - 60);
            host.finding_after_secs = Some(after.saturating_add(60) / tempo);
            host.announce = true;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_fleet_has_everything_everywhere() {
        let fleet = Fleet::generate(3, 2, 25, 7);
        assert_eq!((fleet.accounts.len(), fleet.instances.len()), (3, 25));
        for account in &fleet.accounts {
            for region in ["us-east-1", "eu-west-1"] {
                let here: Vec<_> = fleet.instances.iter().filter(|host| host.account == account.id && host.region.as_str() == region).collect();
                assert!(here.len() == 4 || here.len() == 5, "{}", here.len());
                for platform in [Platform::Linux, Platform::Windows] {
                    assert!(here.iter().any(|host| host.platform == platform && host.tags.get("PatchGroup").is_some_and(|group| group == "default")));
                }
            }
        }
        assert_eq!(fleet.instances.iter().filter(|host| host.missing > 0).count(), 9, "a third");
        assert_eq!(fleet, Fleet::generate(3, 2, 25, 7));
        assert_ne!(fleet, Fleet::generate(3, 2, 25, 8));
        assert_eq!(Fleet::parse(&serde_json::to_vec(&fleet).unwrap(), "fleet").unwrap(), fleet);
    }

    #[test]
    fn the_smallest_worlds_have_a_finding() {
        for instances in 1..6 {
            let spec = Spec::generate(1, 1, instances, 3, Faults::none());
            assert_eq!(spec.hosts.iter().filter(|host| host.finding_after_secs.is_some()).count(), usize::try_from(instances.div_ceil(3)).unwrap());
        }
        assert!(Spec::generate(0, 0, 10, 3, Faults::none()).hosts.is_empty());
        let wide = Spec::generate(2, 99, 48, 3, Faults::none());
        assert_eq!(wide.hosts.len(), 48, "Regions are cut to those on the list, instances are not");
    }

    #[test]
    fn targets_of_events_make_a_faultless_world() {
        let dirty: TargetKey = "111122223333/us-east-1/mi-0123456789abcdef0".parse().unwrap();
        let clean: TargetKey = "111122223333/eu-west-1/i-0a1b2c3d4e5f67890".parse().unwrap();
        let spec = Spec::from_targets([(dirty.clone(), true), (clean.clone(), false), (dirty.clone(), false)]);
        assert_eq!((spec.accounts.len(), spec.hosts.len(), spec.faults.clone()), (1, 2, Faults::none()));
        assert_eq!(spec.hosts.iter().map(|host| (host.key.clone(), host.missing)).collect::<Vec<_>>(), [(clean, 0), (dirty, 3)]);
    }

    #[test]
    fn faults_leave_explicit_troubles_alone() {
        let mut spec = Spec::generate(40, 1, 2_000, 3, Faults::none());
        spec.hosts[0].troubles = vec![Trouble::RebootNeverReturns];
        let spec = spec.troubled(Faults::heavy());
        assert_eq!(spec.hosts[0].troubles, [Trouble::RebootNeverReturns]);
        assert!(spec.hosts.iter().any(|host| matches!(host.troubles.as_slice(), [Trouble::InstallFails { .. }])));
        assert!(spec.accounts.iter().any(|account| account.rules.len() > 1));
        assert!(serde_json::to_string(&spec).is_ok_and(|text| serde_json::from_str::<Spec>(&text).is_ok_and(|again| again == spec)));
    }
}
