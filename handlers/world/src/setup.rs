//! What a spoke is set up with beside its hosts: patch baselines, and whoever else patches there. Everything here is a function of
//! the spec, so that both ways of asking see the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_engine::ports::Spoke;
use tidegate_events::fact::Operation;
use tidegate_events::host::Platform;

use crate::draw::Draw;
use crate::spec::{Recording, Role, standard_rules};
use crate::state::{State, spoke_id};

/// An operating system of Patch Manager, its predefined baseline, and the platform of its hosts.
const SYSTEMS: [(&str, &str, Platform); 12] = [
    ("WINDOWS", "AWS-DefaultPatchBaseline", Platform::Windows),
    ("AMAZON_LINUX_2023", "AWS-AmazonLinux2023DefaultPatchBaseline", Platform::Linux),
    ("AMAZON_LINUX_2", "AWS-AmazonLinux2DefaultPatchBaseline", Platform::Linux),
    ("UBUNTU", "AWS-UbuntuDefaultPatchBaseline", Platform::Linux),
    ("REDHAT_ENTERPRISE_LINUX", "AWS-RedHatDefaultPatchBaseline", Platform::Linux),
    ("SUSE", "AWS-SuseDefaultPatchBaseline", Platform::Linux),
    ("CENTOS", "AWS-CentOSDefaultPatchBaseline", Platform::Linux),
    ("ORACLE_LINUX", "AWS-OracleLinuxDefaultPatchBaseline", Platform::Linux),
    ("DEBIAN", "AWS-DebianDefaultPatchBaseline", Platform::Linux),
    ("ROCKY_LINUX", "AWS-RockyLinuxDefaultPatchBaseline", Platform::Linux),
    ("ALMA_LINUX", "AWS-AlmaLinuxDefaultPatchBaseline", Platform::Linux),
    ("MACOS", "AWS-MacOSDefaultPatchBaseline", Platform::MacOS),
];

/// The operating system of this world's hosts of a platform, as the agent names it.
pub(crate) fn system(platform: Platform) -> (&'static str, &'static str) {
    match platform {
        Platform::Windows => ("Microsoft Windows Server 2025 Datacenter", "10.0.26100"),
        Platform::Linux => ("Amazon Linux", "2023"),
        Platform::MacOS => ("macOS", "15.6"),
    }
}

/// How an account is set up for Tidegate, as a fleet on file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokeSetup {
    /// Whether the hub may enter.
    #[serde(default)]
    pub role: Role,
    /// How Config records in it.
    #[serde(default)]
    pub recording: Recording,
    /// Its Config rules of the managed patch check.
    #[serde(default = "standard_rules")]
    pub rules: Vec<String>,
    /// Who else patches in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<Rival>,
    /// Platforms for which it has no default patch baseline.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without_baseline: BTreeSet<Platform>,
}

impl Default for SpokeSetup {
    fn default() -> Self {
        Self { role: Role::Ok, recording: Recording::Continuous, rules: standard_rules(), rivals: Vec::new(), without_baseline: BTreeSet::new() }
    }
}

impl SpokeSetup {
    /// Whether it is as it should be.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody else who patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rival {
    /// By which means.
    pub kind: RivalKind,
    /// Its name.
    pub name: String,
    /// What it does.
    pub operation: Operation,
    /// Whether it is switched off; windows alone can be.
    #[serde(default)]
    pub disabled: bool,
}

/// By which means somebody patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RivalKind {
    /// A patch policy of Quick Setup: associations that bring a baseline of their own.
    PatchPolicy,
    /// A State Manager association.
    Association,
    /// A maintenance window.
    Window,
}

/// A default or other patch baseline.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    pub id: String,
    pub name: &'static str,
    pub system: &'static str,
    pub is_default: bool,
}

/// A State Manager association.
#[derive(Debug, Clone)]
pub(crate) struct Association {
    pub id: String,
    pub name: String,
    pub document: &'static str,
    pub schedule: &'static str,
    pub parameters: BTreeMap<String, Vec<String>>,
}

/// A maintenance window with one task.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub id: String,
    pub name: String,
    pub is_enabled: bool,
    pub task: String,
    pub document: &'static str,
    pub parameters: BTreeMap<String, Vec<String>>,
}

fn asked(operation: Operation, overrides: Option<String>) -> BTreeMap<String, Vec<String>> {
    let word = if operation == Operation::Scan { "Scan" } else { "Install" };
    let mut parameters = BTreeMap::from([("Operation".to_owned(), vec![word.to_owned()])]);
    parameters.extend(overrides.map(|place| ("BaselineOverride".to_owned(), vec![place])));
    parameters
}

impl State {
    fn rivals(&self, spoke: &Spoke) -> &[Rival] {
        self.accounts.get(&spoke.account).map(|account| account.rivals.as_slice()).unwrap_or_default()
    }

    /// A draw about something with a name in a spoke.
    fn draw_setup(spoke: &Spoke, what: &str, name: &str) -> Draw {
        Draw::new(0, what).on(spoke_id(spoke)).text(name)
    }

    /// The patch baselines of a spoke: those that AWS predefines.
    pub fn baselines(&self, spoke: &Spoke) -> Vec<Baseline> {
        let without = self.accounts.get(&spoke.account).map(|account| account.without_baseline.clone()).unwrap_or_default();
        let id = |name: &str| format!("arn:aws:ssm:{}:123456789012:patchbaseline/pb-{}", spoke.region, Self::draw_setup(spoke, "baseline", name).hex(17));
        let defaults = SYSTEMS.iter().map(|(system, name, platform)| Baseline { id: id(name), name, system, is_default: !without.contains(platform) });
        let name = "AWS-WindowsPredefinedPatchBaseline-OS-Applications";
        defaults.chain([Baseline { id: id(name), name, system: "WINDOWS", is_default: false }]).collect()
    }

    /// The associations of a spoke, one that patches nothing among them.
    pub fn associations(&self, spoke: &Spoke) -> Vec<Association> {
        let id = |name: &str| Self::draw_setup(spoke, "association", name).uuid();
        let name = "collect-inventory".to_owned();
        let inventory = Association {
            id: id(&name),
            name,
            document: "AWS-GatherSoftwareInventory",
            schedule: "rate(1 day)",
            parameters: BTreeMap::from([("applications".to_owned(), vec!["Enabled".to_owned()])]),
        };
        let rival = |rival: &Rival| {
            let overrides = match rival.kind {
                RivalKind::Window => return None,
                RivalKind::Association => None,
                RivalKind::PatchPolicy => Some(format!("s3://aws-quicksetup-patchpolicy-{}-a1b2c/baseline_overrides.json", spoke.account)),
            };
            let name = rival.name.clone();
            let (document, schedule) = ("AWS-RunPatchBaseline", "cron(0 3 ? * SUN *)");
            Some(Association { id: id(&name), name, document, schedule, parameters: asked(rival.operation, overrides) })
        };
        std::iter::once(inventory).chain(self.rivals(spoke).iter().filter_map(rival)).collect()
    }

    /// The maintenance windows of a spoke, one that patches nothing among them.
    pub fn windows(&self, spoke: &Spoke) -> Vec<Window> {
        let window = |name: &str, is_enabled, document, parameters| Window {
            id: format!("mw-{}", Self::draw_setup(spoke, "window", name).hex(17)),
            name: name.to_owned(),
            is_enabled,
            task: Self::draw_setup(spoke, "task", name).uuid(),
            document,
            parameters,
        };
        let agent = window("agent-updates", true, "AWS-UpdateSSMAgent", BTreeMap::new());
        let rivals = self.rivals(spoke).iter().filter(|rival| rival.kind == RivalKind::Window);
        let rivals = rivals.map(|rival| window(&rival.name, !rival.disabled, "AWS-RunPatchBaseline", asked(rival.operation, None)));
        std::iter::once(agent).chain(rivals).collect()
    }
}
