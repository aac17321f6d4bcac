//! Which operating system Patch Manager takes an instance for, by what Systems Manager says of it: the two use different words.

use tidegate_events::host::Platform;

/// Beginnings of names of Linux distributions, in small letters, with Patch Manager's word. `Amazon Linux` is told apart by version.
const LINUX: [(&str, &str); 11] = [
    ("ubuntu", "UBUNTU"),
    ("red hat", "REDHAT_ENTERPRISE_LINUX"),
    ("rhel", "REDHAT_ENTERPRISE_LINUX"),
    ("suse", "SUSE"),
    ("sles", "SUSE"),
    ("centos", "CENTOS"),
    ("oracle", "ORACLE_LINUX"),
    ("debian", "DEBIAN"),
    ("raspbian", "RASPBIAN"),
    ("rocky", "ROCKY_LINUX"),
    ("alma", "ALMA_LINUX"),
];

/// Patch Manager's word for an operating system; `None` where it is not known to have one.
pub fn system(platform: Option<Platform>, name: &str, version: &str) -> Option<&'static str> {
    match platform? {
        Platform::Windows => Some("WINDOWS"),
        Platform::MacOS => Some("MACOS"),
        Platform::Linux => {
            let name = name.trim().to_ascii_lowercase();
            if name.starts_with("amazon linux") {
                return match version.split('.').next().unwrap_or_default() {
                    "2023" => Some("AMAZON_LINUX_2023"),
                    "2022" => Some("AMAZON_LINUX_2022"),
                    "2" => Some("AMAZON_LINUX_2"),
                    // The first Amazon Linux counts in months: 2018.03.
                    year if year.len() == 4 && year.starts_with("201") => Some("AMAZON_LINUX"),
                    _ => None,
                };
            }
            LINUX.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, system)| *system)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_the_names_that_agents_report() {
        for (platform, name, version, expected) in [
            (Platform::Linux, "Amazon Linux", "2023", Some("AMAZON_LINUX_2023")),
            (Platform::Linux, "Amazon Linux", "2023.6.20250218", Some("AMAZON_LINUX_2023")),
            (Platform::Linux, "Amazon Linux", "2", Some("AMAZON_LINUX_2")),
            (Platform::Linux, "Amazon Linux AMI", "2018.03", Some("AMAZON_LINUX")),
            (Platform::Linux, "Amazon Linux", "2031", None),
            (Platform::Linux, "Red Hat Enterprise Linux", "9.4", Some("REDHAT_ENTERPRISE_LINUX")),
            (Platform::Linux, "Red Hat Enterprise Linux Server", "7.9", Some("REDHAT_ENTERPRISE_LINUX")),
            (Platform::Linux, "Ubuntu", "24.04", Some("UBUNTU")),
            (Platform::Linux, "SLES", "15.5", Some("SUSE")),
            (Platform::Linux, "Debian GNU/Linux", "12", Some("DEBIAN")),
            (Platform::Linux, "Rocky Linux", "9.4", Some("ROCKY_LINUX")),
            (Platform::Linux, "Bottlerocket", "1.20", None),
            (Platform::Windows, "Microsoft Windows Server 2025 Datacenter", "10.0.26100", Some("WINDOWS")),
            (Platform::MacOS, "macOS", "15.6", Some("MACOS")),
        ] {
            assert_eq!(system(Some(platform), name, version), expected, "{name} {version}");
        }
        assert_eq!(system(None, "Ubuntu", "24.04"), None);
    }
}
