//! Patches by name: what a report lists one by one, with severities and CVEs. A patch is the same wherever it is missing, so that two
//! hosts that lack it lack the same CVEs.

use serde::{Deserialize, Serialize};
use tidegate_events::host::Platform;
use tidegate_events::patch::{MissingPatch, Severity};

use crate::draw::Draw;
use crate::host::{Host, Report};

/// How many different patches hosts begin their lists with.
const FIRST_OF: u64 = 200;

/// A patch that a host lacks, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSpec {
    /// `KBId`, or the package's name.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The CVEs that it closes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
}

impl PatchSpec {
    /// A patch.
    pub fn new(id: &str, severity: Severity, cves: &[&str]) -> Self {
        Self { id: id.to_owned(), severity, cves: cves.iter().map(|cve| (*cve).to_owned()).collect() }
    }

    /// The n-th patch for a platform.
    fn generated(platform: Platform, n: u64) -> Self {
        let draw = |what: &str| Draw::new(0, what).on(n);
        let severity = match draw("patch severity").below(8) {
            0 => Severity::Critical,
            1..=3 => Severity::Important,
            4..=6 => Severity::Medium,
            _ => Severity::Low,
        };
        let cves = match severity {
            Severity::Critical => draw("patch cves").between(1, 3),
            Severity::Important => draw("patch cves").between(1, 2),
            _ => draw("patch cves").between(0, 1),
        };
        let id = match platform {
            Platform::Windows => format!("KB{}", 5_000_000 + n),
            Platform::Linux | Platform::MacOS => format!("package-{n}.x86_64:0:1.{n}-1.amzn2023"),
        };
        Self { id, severity, cves: (0..cves).map(|cve| format!("CVE-2026-{}", 10_000 + n * 3 + u64::try_from(cve).unwrap_or(0))).collect() }
    }
}

/// A line of a report.
pub(crate) struct Listed {
    pub patch: PatchSpec,
    /// As `DescribeInstancePatches` names it.
    pub state: &'static str,
    pub is_installed: bool,
}

impl Listed {
    /// The vendor's own word.
    pub fn severity(&self, platform: Platform) -> &'static str {
        if self.patch.severity == Severity::Medium && platform == Platform::Windows { "Moderate" } else { self.patch.severity.name() }
    }

    /// CVE ids are reported of patches that are missing or failed, in one string.
    pub fn cve_ids(&self) -> String {
        if self.is_installed { String::new() } else { self.patch.cves.join(",") }
    }
}

/// How many patches a host has had all along.
pub(crate) fn installed(host: &Host) -> u32 {
    u32::try_from(host.id % 40).unwrap_or(0) + 20
}

/// What a report lists, what is missing first; the patches that the host's spec names stand before all others.
pub(crate) fn listed(host: &Host, report: &Report) -> Vec<Listed> {
    let groups = [
        ("MISSING", report.missing, false),
        ("FAILED", report.failed, false),
        ("INSTALLED_PENDING_REBOOT", report.pending, true),
        ("INSTALLED_REJECTED", report.rejected, true),
        ("INSTALLED", installed(host), true),
    ];
    let states = groups.into_iter().flat_map(|(state, count, is_installed)| (0..count.min(10_000)).map(move |_| (state, is_installed)));
    let first = host.id % FIRST_OF;
    let one = |(n, (state, is_installed)): (usize, (&'static str, bool))| {
        let generated = || PatchSpec::generated(host.platform, first + u64::try_from(n).unwrap_or(0) + 1);
        Listed { patch: host.patches.get(n).cloned().unwrap_or_else(generated), state, is_installed }
    };
    states.enumerate().map(one).collect()
}

/// What it lists as missing, as a client reads it.
pub(crate) fn missing(host: &Host, report: &Report) -> Vec<MissingPatch> {
    let missing = listed(host, report).into_iter().take_while(|listed| listed.state == "MISSING");
    missing.map(|listed| MissingPatch::read(&listed.patch.id, listed.severity(host.platform), &listed.cve_ids())).collect()
}
