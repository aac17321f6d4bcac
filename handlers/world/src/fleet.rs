//! A fleet on file: which instances there are, how they are tagged, what they lack. What `tidegate fleet generate` writes, and
//! what `plan`, `run` and `replay` read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_events::host::Platform;
use tidegate_events::id::{AccountId, InstanceId, Region, TargetKey};

use crate::locate;
use crate::patch::PatchSpec;
use crate::setup::SpokeSetup;
use crate::spec::AccountState;

/// The version of the written form.
pub const FLEET_SCHEMA: &str = "tidegate.fleet/1";

/// The document `tidegate.fleet/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Always [`FLEET_SCHEMA`].
    pub schema: String,
    /// The accounts.
    pub accounts: Vec<FleetAccount>,
    /// The instances.
    pub instances: Vec<FleetInstance>,
}

/// An account of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetAccount {
    /// Its id, twelve digits as text.
    pub id: AccountId,
    /// The organizational units above it, from the root down.
    #[serde(default)]
    pub ous: Vec<String>,
    /// Its state in the organization.
    #[serde(default)]
    pub state: FleetAccountState,
    /// How it is set up for Tidegate, where that is not as it should be.
    #[serde(default, skip_serializing_if = "SpokeSetup::is_usual")]
    pub spoke: SpokeSetup,
}

/// `State` of an account as AWS Organizations names it (aws-facts 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FleetAccountState {
    /// Being made.
    PendingActivation,
    /// In use.
    #[default]
    Active,
    /// Suspended.
    Suspended,
    /// Being closed.
    PendingClosure,
    /// Closed.
    Closed,
}

impl From<FleetAccountState> for AccountState {
    fn from(state: FleetAccountState) -> Self {
        if state == FleetAccountState::Active { Self::Active } else { Self::Suspended }
    }
}

/// An instance of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetInstance {
    /// The account that owns it.
    pub account: AccountId,
    /// The Region it runs in.
    pub region: Region,
    /// Its id.
    pub instance: InstanceId,
    /// Its platform.
    pub platform: Platform,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Patches that it lacks.
    #[serde(default)]
    pub missing: u32,
    /// The first of these by name, with severities and CVEs; the others are drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<PatchSpec>,
    /// Whether its agent answers.
    #[serde(default = "yes")]
    pub online: bool,
}

fn yes() -> bool {
    true
}

impl FleetInstance {
    /// Its identity.
    pub fn key(&self) -> TargetKey {
        TargetKey { account: self.account, region: self.region.clone(), instance: self.instance.clone() }
    }
}

impl Fleet {
    /// Reads a fleet. `file` is how errors name it.
    ///
    /// # Errors
    /// What is wrong, and at which place: `fleet.json:3:7: ...` where it is not JSON, `fleet.json: instances[4].account: ...`
    /// where it is, and says something wrong.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, String> {
        let fleet: Self = serde_json::from_slice(bytes).map_err(|error| locate::message(bytes, file, &error))?;
        fleet.check().map_err(|(path, wrong)| format!("{file}: {path}: {wrong}"))?;
        Ok(fleet)
    }

    fn check(&self) -> Result<(), (String, String)> {
        if self.schema != FLEET_SCHEMA {
            return Err(("schema".to_owned(), format!("expected `{FLEET_SCHEMA}`, got `{}`", self.schema)));
        }
        let mut accounts = BTreeSet::new();
        for (n, account) in self.accounts.iter().enumerate() {
            if !accounts.insert(account.id) {
                return Err((format!("accounts[{n}].id"), format!("account `{}` is listed twice", account.id)));
            }
        }
        let mut seen = BTreeMap::new();
        for (n, instance) in self.instances.iter().enumerate() {
            if !accounts.contains(&instance.account) {
                return Err((format!("instances[{n}].account"), format!("account `{}` is not in `accounts`", instance.account)));
            }
            if instance.patches.len() > usize::try_from(instance.missing).unwrap_or(usize::MAX) {
                let (named, missing) = (instance.patches.len(), instance.missing);
                return Err((format!("instances[{n}].patches"), format!("{named} are named, but `missing` is {missing}: expected no more than it lacks")));
            }
            if let Some(before) = seen.insert((instance.account, &instance.region, &instance.instance), n) {
                return Err((format!("instances[{n}].instance"), format!("`{}` is instances[{before}] already", instance.key())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"schema":"tidegate.fleet/1",
        "accounts":[{"id":"111122223333","ous":["root","workloads"],"state":"ACTIVE"}],
        "instances":[
            {"account":"111122223333","region":"us-east-1","instance":"i-0a1b2c3d4e5f67890","platform":"Linux","tags":{"PatchGroup":"default"},"missing":3,"online":true},
            {"account":"111122223333","region":"us-east-1","instance":"mi-0123456789abcdef0","platform":"Windows"}
        ]}"#;

    fn wrong(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Fleet::parse(GOOD.replacen(from, to, 1).as_bytes(), "fleet.json").unwrap_err()
    }

    #[test]
    fn a_fleet_is_read_and_written_back() {
        let fleet = Fleet::parse(GOOD.as_bytes(), "fleet.json").unwrap();
        assert_eq!((fleet.instances[0].missing, fleet.instances[1].online), (3, true));
        let again = Fleet::parse(&serde_json::to_vec(&fleet).unwrap(), "again").unwrap();
        assert_eq!(again, fleet);
    }

    #[test]
    fn a_wrong_fleet_is_refused_with_file_and_place() {
        let error = wrong("i-0a1b2c3d4e5f67890", "i-dev1");
        assert!(error.starts_with("fleet.json: instances[0].instance: `i-dev1` is not an instance id"), "{error}");
        let error = wrong(r#""platform":"Windows""#, r#""platform":"BeOS""#);
        assert!(error.starts_with("fleet.json: instances[1].platform: unknown variant `BeOS`"), "{error}");
        let error = wrong(r#""missing":3"#, r#""missing":"3""#);
        assert!(error.starts_with("fleet.json: instances[0].missing: invalid type"), "{error}");
        let error = wrong(r#""missing":3"#, r#""missing":0,"patches":[{"id":"a","severity":"Low","cves":["CVE-2026-1"]}]"#);
        assert_eq!(error, "fleet.json: instances[0].patches: 1 are named, but `missing` is 0: expected no more than it lacks");
        let error = wrong(r#""missing":3"#, r#""colour":3"#);
        assert!(error.starts_with("fleet.json: instances[0].colour: unknown field `colour`"), "{error}");
        let error = wrong(r#","platform":"Windows""#, "");
        assert!(error.starts_with("fleet.json: instances[1]: missing field `platform`"), "{error}");
        let error = wrong(r#"{"id":"111122223333""#, r#"{"id":"444455556666""#);
        assert_eq!(error, "fleet.json: instances[0].account: account `111122223333` is not in `accounts`");
        let error = wrong(r#"{"id":"111122223333""#, r#"{"id":111122223333"#);
        assert!(error.starts_with("fleet.json: accounts[0].id: invalid type"), "{error}");
        let error = wrong("mi-0123456789abcdef0", "i-0a1b2c3d4e5f67890");
        assert_eq!(error, "fleet.json: instances[1].instance: `111122223333/us-east-1/i-0a1b2c3d4e5f67890` is instances[0] already");
        assert_eq!(wrong("fleet/1", "fleet/9"), "fleet.json: schema: expected `tidegate.fleet/1`, got `tidegate.fleet/9`");
        let error = wrong(r#""ous":["root","workloads"],"#, r#""ous":["root",,],"#);
        assert!(error.starts_with("fleet.json:2:"), "{error}");
    }
}
