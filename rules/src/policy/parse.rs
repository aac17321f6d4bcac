//! TOML to [`Policy`]: everything that can be wrong is found here, all of it at once, each with its place and with what is
//! expected instead. Past this a policy is right by construction.

mod cves;
mod parts;
mod times;

use toml::de::DeTable;

use super::read::{Report, Section};
use super::text::{nearest, quoted, short};
use super::{Environment, Policy, PolicyErrors, RebootMode, Wave, defaults};
use crate::catalog::Catalog;

/// No number of seconds in a policy is sensibly longer than a year.
const YEAR_SECS: u32 = 366 * 86_400;

/// What SSM allows a command to run on one instance.
const EXECUTION_SECS: std::ops::RangeInclusive<u32> = 60..=172_800;

/// Much more than any policy that a person wrote, and little enough to be pinned in one item of the store.
const TEXT_BYTES_MAX: usize = 256 * 1024;

const KEYS: [&str; 25] = [
    "name",
    "description",
    "environment",
    "remediation",
    "execution_timeout_secs",
    "reboot",
    "failure_budget",
    "calendars",
    "collect",
    "approval",
    "blast_radius",
    "group",
    "wave",
    "window",
    "freeze",
    "retry",
    "exemption",
    "exemptions",
    "belts",
    "schedule",
    "sla",
    "by_cve",
    "hooks",
    "backup",
    "health",
];

/// Reads a policy. `file` is what the errors call it.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(text: &str, file: &str) -> Result<Policy, PolicyErrors> {
    parse_with(text, file, &Catalog::default())
}

/// Reads a policy that may name entries of this catalog. `file` is what the errors call it.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse_with(text: &str, file: &str, catalog: &Catalog) -> Result<Policy, PolicyErrors> {
    let report = Report::new(text, file);
    let policy = read(text, &report, catalog);
    match policy {
        Some(policy) if report.count() == 0 => Ok(policy),
        _ => Err(report.into_errors()),
    }
}

fn read(text: &str, report: &Report<'_>, catalog: &Catalog) -> Option<Policy> {
    if text.len() > TEXT_BYTES_MAX {
        report.at(&(0..0), format!("the policy has {} bytes: expected at most {TEXT_BYTES_MAX}", text.len()));
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let end = text.len();
        report.at(&error.span().unwrap_or(end..end), format!("this is not TOML: {}", error.message().trim()));
    }
    if !errors.is_empty() {
        return None;
    }
    if document.get_ref().is_empty() {
        report.at(&(0..0), "the policy is empty: expected at least `name = \"...\"`");
        return None;
    }
    Some(policy(&Section::open(report, document.get_ref(), 0..0, "the policy", &KEYS), catalog))
}

fn policy(top: &Section<'_>, catalog: &Catalog) -> Policy {
    let remediation = remediation(top, catalog);
    let custom_entry = catalog.own(&remediation).cloned().map(Box::new);
    let waves = waves(top);
    let health = parts::health(top, &waves);
    let policy = Policy {
        name: name(top, &remediation),
        description: description(top),
        environment: top
            .choice("environment", &[("production", Environment::Production), ("staging", Environment::Staging), ("development", Environment::Development)])
            .unwrap_or(defaults::ENVIRONMENT),
        remediation,
        collect: parts::collect(top),
        waves,
        approval: parts::approval(top),
        blast_radius: parts::blast_radius(top),
        groups: parts::groups(top),
        failure_budget: top.amount("failure_budget", Ok(())).unwrap_or(defaults::FAILURE_BUDGET),
        windows: parts::windows(top),
        also_windows: Vec::new(),
        freezes: parts::freezes(top),
        calendars: parts::calendars(top),
        retry: parts::retry(top),
        reboot: top
            .choice("reboot", &[("in_command", RebootMode::InCommand), ("separate", RebootMode::Separate), ("never", RebootMode::Never)])
            .unwrap_or(defaults::REBOOT),
        exemptions: parts::exemptions(top),
        exemption_terms: parts::exemption_terms(top),
        belts: parts::belts(top),
        schedules: times::schedules(top),
        slas: times::slas(top),
        by_cve: cves::by_cve(top),
        execution_timeout_secs: top.secs("execution_timeout_secs", EXECUTION_SECS).map_or(defaults::EXECUTION_TIMEOUT_SECS, |secs| secs.value),
        bulk_run: None,
        hooks: parts::hooks(top, "`[hooks]`"),
        backup: parts::backup(top),
        health,
        custom_entry,
    };
    parts::check_entry(top, &policy);
    if top.report.count() == 0 && policy.lane().is_err() {
        // The parts are right, so it is only their length.
        let (max, lane) = (64, format!("{}-{}", policy.remediation, policy.name));
        let span = top.text("name").map_or(0..0, |name| name.span);
        top.report.at(&span, format!("`{lane}`, remediation and name together, names the lane and has {} characters: expected at most {max}", lane.len()));
    }
    policy
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn name(top: &Section<'_>, remediation: &str) -> String {
    if !top.has("name") {
        top.missing(&["name"], "expected such as `name = \"default\"`; it names the lane that the policy drives");
    }
    match top.text("name") {
        Some(name) if is_slug(name.value) => name.value.to_owned(),
        Some(name) => {
            let max = 64usize.saturating_sub(remediation.len() + 1);
            top.report.at(&name.span, format!("the name `{}` is wrong: expected 1 to {max} lower-case letters, digits or `-`", short(name.value)));
            String::new()
        }
        None => String::new(),
    }
}

fn description(top: &Section<'_>) -> String {
    match top.text("description") {
        Some(text) if text.value.trim().is_empty() => String::new(),
        _ => top.words("description", 500).map(|text| text.value.trim().to_owned()).unwrap_or_default(),
    }
}

fn remediation(top: &Section<'_>, catalog: &Catalog) -> String {
    let Some(found) = top.text("remediation") else {
        return defaults::REMEDIATION.to_owned();
    };
    if catalog.entry(found.value).is_none() {
        let known = catalog.names();
        let hint = nearest(found.value, &known).map_or_else(|| format!("expected one of {}", quoted(&known)), |near| format!("did you mean `{near}`?"));
        top.report.at(&found.span, format!("the remediation `{}` is not in the catalog: {hint}", short(found.value)));
    }
    found.value.to_owned()
}

/// The waves. Whatever is written, the last one of the result has no share and no selector: it takes whoever is left.
fn waves(top: &Section<'_>) -> Vec<Wave> {
    const KEYS: [&str; 9] = ["name", "share", "instances", "select", "bake_secs", "failure_budget", "at_once", "hooks", "alarms"];
    const EMPTY: &str = "there are no waves: expected at least one `[[wave]]`, or no `wave` at all for the waves that come by default";
    let Some(sections) = top.tables("wave", 50, &KEYS) else {
        return defaults::waves();
    };
    if sections.value.is_empty() {
        top.report.at(&sections.span, EMPTY);
        return defaults::waves();
    }
    let before = top.report.count();
    let mut waves: Vec<Wave> = Vec::new();
    for section in &sections.value {
        let wave = wave(section, &waves);
        waves.push(wave);
    }
    if top.report.count() == before {
        check_shares(&sections.value, &mut waves);
    }
    waves
}

fn wave(section: &Section<'_>, earlier: &[Wave]) -> Wave {
    let name = match section.text("name") {
        Some(name) if !is_slug(name.value) => {
            section.report.at(&name.span, format!("the wave name `{}` is wrong: expected 1 to 64 lower-case letters, digits or `-`", short(name.value)));
            String::new()
        }
        Some(name) => {
            if earlier.iter().any(|wave| wave.name == name.value) {
                section.report.at(&name.span, format!("two waves are called `{}`: expected a name of its own for each", name.value));
            }
            name.value.to_owned()
        }
        None => {
            if !section.has("name") {
                section.missing(&["name"], "expected such as `name = \"canary\"`");
            }
            String::new()
        }
    };
    let instances = section.parsed::<tidegate_events::id::InstanceId>("instances").unwrap_or_default();
    for instance in &instances {
        if let Some(other) = earlier.iter().find(|wave| wave.instances.contains(&instance.value)) {
            let named = format!("`{}` is named for {} and for wave `{}`", instance.value, section.name, other.name);
            section.report.at(&instance.span, format!("{named}: expected each instance in one wave"));
        }
    }
    Wave {
        name,
        select: parts::select(section),
        instances: instances.into_iter().map(|instance| instance.value).collect(),
        share: section.share("share").map(|share| share.value),
        bake_secs: section.secs("bake_secs", 0..=YEAR_SECS).map_or(defaults::BAKE_SECS, |secs| secs.value),
        failure_budget: section.amount("failure_budget", Ok(())),
        at_once: section.amount("at_once", Err("remove the key, or use a `[[freeze]]` to stop for a while")),
        hooks: parts::hooks(section, format!("`hooks` of {}", section.name)),
        alarms: parts::alarms(section),
        documents: std::collections::BTreeMap::new(),
    }
}

/// INVARIANT (nothing lost): the last wave takes whoever is left, so that no member of a campaign is in no wave.
fn check_shares(sections: &[Section<'_>], waves: &mut [Wave]) {
    let total: u64 = waves.iter().filter_map(|wave| wave.share).map(|share| u64::from(share.0)).sum();
    let shown = |bps: u64| super::ShareBps(u32::try_from(bps).unwrap_or(u32::MAX));
    let all_have_shares = waves.iter().all(|wave| wave.share.is_some());
    let (Some((last_section, before)), Some((last, earlier))) = (sections.split_last(), waves.split_last_mut()) else {
        return;
    };
    let report = last_section.report;
    if total > 10_000 {
        let span = last_section.text("name").map_or_else(|| last_section.span.clone(), |name| name.span);
        report.at(&span, format!("the shares of the waves add up to {}: expected at most 100%", shown(total)));
    }
    for (section, wave) in before.iter().zip(earlier.iter()) {
        if wave.share.is_none() && wave.select.is_empty() && wave.instances.is_empty() {
            report.at(
                &section.span,
                format!("{} takes everyone and leaves nobody for the waves after it: expected a `share`, a `select` or `instances`", section.name),
            );
        }
    }
    if !last.select.is_empty() {
        let what = format!("{} is the last wave and must take whoever is left", last_section.name);
        report.at(&last_section.span, format!("{what}: expected no `select`, or another wave without one after it"));
    }
    match last.share {
        Some(_) if all_have_shares && total == 10_000 => last.share = None,
        Some(_) if total <= 10_000 => {
            let span = last_section.share("share").map_or_else(|| last_section.span.clone(), |share| share.span);
            let sum = format!("{} is the last wave and must take whoever is left, but the shares add up to {}", last_section.name, shown(total));
            let sum = if all_have_shares { sum } else { format!("{} is the last wave and must take whoever is left", last_section.name) };
            report.at(&span, format!("{sum}: remove its `share`, or give every wave a share so that they add up to 100%"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
