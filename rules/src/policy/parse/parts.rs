//! The parts of a policy, one function each.

use std::collections::BTreeMap;

use tidegate_events::host::Platform;
use tidegate_events::id::PersonId;

use super::YEAR_SECS;
use crate::catalog::{DOCUMENT_EXPECTED, Hooks, Runner, Step, is_document};
use crate::cron::Cron;
use crate::health::HealthRule;
use crate::policy::read::{At, Section};
use crate::policy::text::{nearest, quoted, short};
use crate::policy::{
    Amount, ApprovalRule, BackupRule, Belts, BlastRadius, Collect, Exemption, ExemptionTerms, Freeze, Group, Policy, RebootMode, Retry, Selector, ShareBps,
    Span, TagLimit, Wave, Window, defaults,
};
use crate::window;

const USE_A_FREEZE: &str = "use a `[[freeze]]` to stop for a while";

/// A window that is longer than this is not one: say nothing instead.
const WINDOW_SECS_MAX: u32 = 7 * 86_400;

pub(super) fn collect(top: &Section<'_>) -> Collect {
    let default = defaults::COLLECT;
    let Some(section) = top.table("collect", "`[collect]`", &["gather_secs", "close_lead_secs", "emergency"]) else {
        return default;
    };
    Collect {
        gather_secs: section.secs("gather_secs", 0..=YEAR_SECS).map_or(default.gather_secs, |secs| secs.value),
        close_lead_secs: section.secs("close_lead_secs", 0..=YEAR_SECS).map_or(default.close_lead_secs, |secs| secs.value),
        emergency: section.flag("emergency").unwrap_or(default.emergency),
    }
}

/// Documents that run around the install, in the policy or in a wave.
pub(super) fn hooks(section: &Section<'_>, name: impl Into<String>) -> Hooks {
    let Some(section) = section.table("hooks", name, &["pre", "post", "on_exit"]) else {
        return Hooks::default();
    };
    let document = |key: &str| {
        let found = section.text(key)?;
        if !is_document(found.value) {
            section.report.at(&found.span, format!("the document `{}` is wrong: {DOCUMENT_EXPECTED}", short(found.value)));
        }
        Some(found.value.to_owned())
    };
    Hooks { pre: document("pre"), post: document("post"), on_exit: document("on_exit") }
}

/// What SSM allows an Automation execution to take is more; a window is less.
const BACKUP_SECS: std::ops::RangeInclusive<u32> = 60..=86_400;

/// The backup before each install.
pub(super) fn backup(top: &Section<'_>) -> Option<BackupRule> {
    const KEYS: [&str; 5] = ["document", "target_parameter", "parameters", "timeout_secs", "reuse_secs"];
    let section = top.table("backup", "`[backup]`", &KEYS)?;
    if !section.has("document") {
        section.missing(&["document"], "expected the Automation runbook that takes it, such as `document = \"Tidegate-Backup\"`");
    }
    let document = section.text("document");
    if let Some(found) = document.as_ref().filter(|found| !is_document(found.value)) {
        section.report.at(&found.span, format!("the document `{}` is wrong: {DOCUMENT_EXPECTED}", short(found.value)));
    }
    let target = section.words("target_parameter", 50).map_or_else(|| "InstanceId".to_owned(), |found| found.value.to_owned());
    let mut parameters = BTreeMap::new();
    if let Some(given) = section.table_of_any("parameters") {
        for (key, value) in given.entries() {
            if key.value == target {
                given.report.at(&key.span, format!("`{}` takes the instance: expected no value of yours for it", short(key.value)));
            }
            let values = given.texts_of(key.value, value, true).unwrap_or_default();
            parameters.insert(key.value.to_owned(), values.into_iter().map(|value| value.value.to_owned()).collect());
        }
    }
    Some(BackupRule {
        document: document.map(|found| found.value.to_owned()).unwrap_or_default(),
        target_parameter: target,
        parameters,
        timeout_secs: section.secs("timeout_secs", BACKUP_SECS).map_or(defaults::BACKUP_TIMEOUT_SECS, |secs| secs.value),
        reuse_secs: section.secs("reuse_secs", 0..=30 * 86_400).map_or(defaults::BACKUP_REUSE_SECS, |secs| secs.value),
    })
}

/// CloudWatch takes a hundred names in one call: half of them the policy's, half a wave's.
const ALARMS_MAX: usize = 50;
const ALARM_CHARS_MAX: usize = 255;

/// Names of alarms in `[health]` or in a wave.
pub(super) fn alarms(section: &Section<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for found in section.texts("alarms").unwrap_or_default() {
        let name = found.value;
        let wrong = |why: &str| section.report.at(&found.span, format!("the alarm `{}` in {} {why}", short(name), section.name));
        if name.starts_with("arn:") {
            wrong("is an ARN: expected the alarm's name; it must be an alarm of the hub's account and Region");
        } else if name.is_empty() || name.trim() != name || name.chars().count() > ALARM_CHARS_MAX || name.chars().any(char::is_control) {
            wrong(&format!("is no name of one: expected 1 to {ALARM_CHARS_MAX} characters"));
        } else if names.iter().any(|known| known == name) {
            wrong("stands twice: expected each once");
        } else if names.len() == ALARMS_MAX {
            wrong(&format!("is one too many: expected at most {ALARMS_MAX}; a composite alarm says what many say"));
        }
        names.push(name.to_owned());
    }
    names
}

/// What is asked about health. A wave with alarms of its own asks, too.
pub(super) fn health(top: &Section<'_>, waves: &[Wave]) -> Option<HealthRule> {
    let default = HealthRule::default();
    let Some(section) = top.table("health", "`[health]`", &["alarms", "offline", "wait_secs", "on_unhealthy"]) else {
        return waves.iter().any(|wave| !wave.alarms.is_empty()).then_some(default);
    };
    Some(HealthRule {
        alarms: alarms(&section),
        offline: section.amount("offline", Ok(())).unwrap_or(default.offline),
        wait_secs: section.secs("wait_secs", 60..=7 * 86_400).map_or(default.wait_secs, |secs| secs.value),
        halts: section.choice("on_unhealthy", &[("halt", true), ("hold", false)]).unwrap_or(default.halts),
    })
}

/// What the catalog entry must be able to do for this policy.
pub(super) fn check_entry(top: &Section<'_>, policy: &Policy) {
    let entry = policy.entry();
    let span = top.text("remediation").map_or(0..0, |found| found.span);
    let asks = !policy.hooks.is_empty() || policy.waves.iter().any(|wave| !wave.hooks.is_empty());
    if asks && entry.hooks.is_none() {
        top.report.at(&span, format!("the policy names hooks, but catalog entry `{}` has no document that runs them: remove the hooks", entry.name));
    }
    if let (true, Some(own)) = (asks, entry.documents.values().find_map(|special| special.document.as_ref())) {
        let what = format!("catalog entry `{}` runs `{own}` on one platform", entry.name);
        top.report.at(&span, format!("the policy names hooks, but {what}, which runs none: remove the hooks"));
    }
    if policy.backup.is_some() && entry.runner == Runner::Report {
        top.report.at(&span, format!("the policy names a backup, but catalog entry `{}` installs nothing: remove `[backup]`", entry.name));
    }
    if policy.by_cve.is_some() && !entry.pins_patches() {
        top.report.at(&span, format!("`[by_cve]` asks for missing patches, but catalog entry `{}` installs none: remove it", entry.name));
    }
    if policy.reboot == RebootMode::Separate && entry.pins_patches() && !entry.steps.contains_key(&Step::Reboot) {
        top.report.at(&span, format!("`reboot = \"separate\"` needs a reboot step, which catalog entry `{}` does not have", entry.name));
    }
}

pub(super) fn approval(top: &Section<'_>) -> ApprovalRule {
    const KEYS: [&str; 6] = ["quorum", "four_eyes", "per_wave", "expires_secs", "approvers", "comment_required"];
    let default = defaults::approval();
    let Some(section) = top.table("approval", "`[approval]`", &KEYS) else {
        return default;
    };
    let quorum = section.number("quorum", 0..=10, "people");
    let approvers = section.parsed::<PersonId>("approvers");
    let rule = ApprovalRule {
        quorum: quorum.as_ref().map_or(default.quorum, |quorum| quorum.value),
        four_eyes: section.flag("four_eyes").unwrap_or(default.four_eyes),
        per_wave: section.flag("per_wave").unwrap_or(default.per_wave),
        expires_secs: section.secs("expires_secs", 60..=YEAR_SECS).map_or(default.expires_secs, |secs| secs.value),
        approvers: approvers.into_iter().flatten().map(|person| person.value).collect(),
        comment_required: section.flag("comment_required").unwrap_or(default.comment_required),
    };
    let (needed, named) = (rule.needed(), rule.approvers.len());
    if named > 0 && u32::try_from(named).is_ok_and(|named| named < needed) {
        let span = quorum.map_or_else(|| section.span.clone(), |quorum| quorum.span);
        let eyes = if needed > rule.quorum { " (four eyes)" } else { "" };
        let people = if named == 1 { "person is" } else { "people are" };
        section.report.at(
            &span,
            format!("{needed} approvals are needed{eyes}, but only {named} {people} named in `approvers`: expected at least {needed}, or none for anyone"),
        );
    }
    rule
}

pub(super) fn blast_radius(top: &Section<'_>) -> BlastRadius {
    let default = defaults::BLAST_RADIUS;
    let Some(section) = top.table("blast_radius", "`[blast_radius]`", &["wave", "account", "region", "organization", "tag"]) else {
        return default;
    };
    let limit = |key: &str| section.amount(key, Err(USE_A_FREEZE));
    let tag = section.table("tag", "`tag` in `[blast_radius]`", &["key", "limit"]).and_then(|tag| {
        let missing: Vec<&str> = ["key", "limit"].into_iter().filter(|key| !tag.has(key)).collect();
        if !missing.is_empty() {
            tag.missing(&missing, "expected such as `tag = { key = \"PatchGroup\", limit = \"50%\" }`");
        }
        Some(TagLimit { key: tag.words("key", 128)?.value.to_owned(), limit: tag.amount("limit", Err(USE_A_FREEZE))? })
    });
    BlastRadius {
        wave: limit("wave").unwrap_or(default.wave),
        account: limit("account").unwrap_or(default.account),
        region: limit("region").unwrap_or(default.region),
        organization: limit("organization").unwrap_or(default.organization),
        tag,
    }
}

pub(super) fn groups(top: &Section<'_>) -> Vec<Group> {
    let sections = top.tables("group", 5, &["tag", "available_min", "span"]).map(|found| found.value).unwrap_or_default();
    let mut groups: Vec<Group> = Vec::new();
    for section in &sections {
        need(section, &["tag", "available_min"], "expected such as `tag = \"aws:autoscaling:groupName\"`, `available_min = \"75%\"`");
        let span = section.choice("span", &[("region", Span::Region), ("organization", Span::Organization)]).unwrap_or_default();
        let (Some(tag), Some(available_min)) = (section.words("tag", 128), section.amount("available_min", Ok(()))) else { continue };
        let said = |why: &str| section.report.at(&section.span, format!("`available_min` in {} {why}", section.name));
        match available_min {
            Amount::Count(0) => said("is 0, which keeps nothing: remove the `[[group]]`"),
            Amount::Share(ShareBps::ALL) => said(&format!("is 100%, with which nothing of a group would ever be patched: {USE_A_FREEZE}")),
            _ => {}
        }
        if groups.iter().any(|group| group.tag == tag.value) {
            section.report.at(&tag.span, format!("the tag `{}` has a group already: expected each once", short(tag.value)));
        }
        groups.push(Group { tag: tag.value.to_owned(), available_min, span });
    }
    groups
}

pub(super) fn retry(top: &Section<'_>) -> Retry {
    let default = defaults::retry();
    let Some(section) = top.table("retry", "`[retry]`", &["attempts_max", "backoff_secs", "backoff_max_secs", "owner"]) else {
        return default;
    };
    let backoff = section.secs("backoff_secs", 0..=YEAR_SECS);
    let max = section.secs("backoff_max_secs", 0..=YEAR_SECS);
    let retry = Retry {
        attempts_max: section.number("attempts_max", 1..=10, "attempts").map_or(default.attempts_max, |attempts| attempts.value),
        backoff_secs: backoff.as_ref().map_or(default.backoff_secs, |secs| secs.value),
        backoff_max_secs: max.as_ref().map_or(default.backoff_max_secs, |secs| secs.value),
        owner: section.words("owner", 128).map_or(default.owner, |owner| owner.value.to_owned()),
    };
    if retry.backoff_max_secs < retry.backoff_secs {
        let span = max.or(backoff).map_or_else(|| section.span.clone(), |secs| secs.span);
        let (first, longest) = (retry.backoff_secs, retry.backoff_max_secs);
        section.report.at(
            &span,
            format!("the longest wait (`backoff_max_secs`, {longest}) is shorter than the first (`backoff_secs`, {first}): expected at least as much"),
        );
    }
    retry
}

pub(super) fn belts(top: &Section<'_>) -> Belts {
    let default = defaults::BELTS;
    let Some(section) = top.table("belts", "`[belts]`", &["targets_max", "share_max"]) else {
        return default;
    };
    Belts {
        targets_max: section.whole("targets_max", 1..=10_000_000, "targets").map_or(default.targets_max, |targets| targets.value),
        share_max: section.share("share_max").map_or(default.share_max, |share| share.value),
    }
}

pub(super) fn windows(top: &Section<'_>) -> Vec<Window> {
    const KEYS: [&str; 5] = ["name", "cron", "time_zone", "duration_secs", "cutoff_secs"];
    let sections = top.tables("window", 50, &KEYS).map(|found| found.value).unwrap_or_default();
    let mut windows: Vec<Window> = Vec::new();
    for section in &sections {
        need(
            section,
            &["name", "cron", "time_zone", "duration_secs"],
            "expected such as `name = \"sunday\"`, `cron = \"cron(0 2 ? * SUN *)\"`, `time_zone = \"UTC\"`, `duration_secs = 14400`",
        );
        let name = own_name(section, windows.iter().map(|window| window.name.as_str()));
        let cron = section.text("cron");
        if let Some(cron) = &cron
            && let Err(error) = Cron::parse(cron.value)
        {
            section.report.at(&cron.span, format!("{error}, in {}", section.name));
        }
        let duration = section.secs("duration_secs", 1..=WINDOW_SECS_MAX);
        let cutoff = section.secs("cutoff_secs", 0..=WINDOW_SECS_MAX);
        if let (Some(duration), Some(cutoff)) = (&duration, &cutoff)
            && cutoff.value >= duration.value
        {
            let (lasts, ends) = (duration.value, cutoff.value);
            section
                .report
                .at(&cutoff.span, format!("`cutoff_secs` ({ends}) leaves nothing of {}, which lasts {lasts} seconds: expected less than that", section.name));
        }
        windows.push(Window {
            name,
            cron: cron.map(|cron| cron.value.trim().to_owned()).unwrap_or_default(),
            time_zone: section.text("time_zone").map(|zone| time_zone(section, &zone)).unwrap_or_default(),
            duration_secs: duration.map_or(1, |secs| secs.value),
            cutoff_secs: cutoff.map_or(defaults::CUTOFF_SECS, |secs| secs.value),
        });
    }
    windows
}

/// The zone's own spelling of its name.
pub(super) fn time_zone(section: &Section<'_>, found: &At<&str>) -> String {
    let zone = window::time_zone(found.value);
    let known = zone.as_ref().and_then(|zone| zone.iana_name()).map(str::to_owned);
    known.unwrap_or_else(|| {
        let all = window::time_zone_names();
        let names: Vec<&str> = all.iter().map(String::as_str).collect();
        let hint = nearest(found.value, &names).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.unwrap_or_else(|| "expected an IANA name such as `Europe/Berlin` or `UTC`".to_owned());
        section.report.at(&found.span, format!("the time zone `{}` in {} is unknown: {hint}", short(found.value), section.name));
        String::new()
    })
}

pub(super) fn freezes(top: &Section<'_>) -> Vec<Freeze> {
    let sections = top.tables("freeze", 200, &["name", "from", "until", "reason"]).map(|found| found.value).unwrap_or_default();
    let mut freezes: Vec<Freeze> = Vec::new();
    for section in &sections {
        need(section, &["name", "from", "until"], "expected such as `name = \"year-end\"`, `from = 2026-12-20T00:00:00Z`, `until = 2027-01-04T00:00:00Z`");
        let name = own_name(section, freezes.iter().map(|freeze| freeze.name.as_str()));
        let (from, until) = (section.instant("from"), section.instant("until"));
        if let (Some(from), Some(until)) = (&from, &until)
            && until.value <= from.value
        {
            section
                .report
                .at(&until.span, format!("{} ends at {}, not after it begins at {}: expected a later `until`", section.name, until.value, from.value));
        }
        let reason = section.words("reason", 500).map(|reason| reason.value.to_owned()).unwrap_or_default();
        freezes.push(Freeze { name, from: from.map(|at| at.value).unwrap_or_default(), until: until.map(|at| at.value).unwrap_or_default(), reason });
    }
    freezes
}

pub(super) fn calendars(top: &Section<'_>) -> Vec<String> {
    let mut calendars: Vec<String> = Vec::new();
    for found in top.texts("calendars").unwrap_or_default() {
        let said = |why: &str| top.report.at(&found.span, format!("the change calendar `{}` in `calendars` {why}", short(found.value)));
        let is_arn = {
            let parts: Vec<&str> = found.value.splitn(6, ':').collect();
            matches!(parts.as_slice(), ["arn", partition, "ssm", region, account, document]
                if partition.starts_with("aws") && !region.is_empty() && account.len() == 12 && document.strip_prefix("document/").is_some_and(|name| !name.is_empty()))
        };
        let is_name = (3..=128).contains(&found.value.len()) && found.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !is_arn && !is_name {
            said("is wrong: expected the ARN `arn:aws:ssm:<region>:<account>:document/<name>`, or a calendar's name of 3 to 128 letters, digits or `_-.`");
        } else if calendars.iter().any(|calendar| calendar == found.value) {
            said("is named twice: expected each once");
        } else {
            calendars.push(found.value.to_owned());
        }
    }
    calendars
}

pub(super) fn exemption_terms(top: &Section<'_>) -> ExemptionTerms {
    let default = ExemptionTerms::default();
    let Some(section) = top.table("exemptions", "`[exemptions]`", &["announce_secs", "mirror"]) else {
        return default;
    };
    ExemptionTerms {
        announce_secs: section.secs("announce_secs", 3600..=YEAR_SECS).map_or(default.announce_secs, |secs| secs.value),
        mirror: section.flag("mirror").unwrap_or(default.mirror),
    }
}

pub(super) fn exemptions(top: &Section<'_>) -> Vec<Exemption> {
    let sections = top.tables("exemption", 1_000, &["select", "instances", "owner", "reason", "ticket", "until"]).map(|found| found.value).unwrap_or_default();
    let mut exemptions = Vec::new();
    for section in &sections {
        need(section, &["owner", "reason", "until"], "expected somebody who answers for the exemption, why, and until when");
        if !section.has("select") && !section.has("instances") {
            section.report.at(&section.span, format!("{} would exempt everything: expected a `select` or `instances`", section.name));
        } else if !section.has("select") && section.texts("instances").is_some_and(|instances| instances.is_empty()) {
            section.report.at(&section.span, format!("`instances` in {} is empty: expected at least one instance id", section.name));
        }
        let instances = section.parsed("instances");
        let words = |key: &str| section.words(key, 500).map(|text| text.value.to_owned()).unwrap_or_default();
        exemptions.push(Exemption {
            select: select(section),
            instances: instances.into_iter().flatten().map(|instance| instance.value).collect(),
            owner: words("owner"),
            reason: words("reason"),
            ticket: section.words("ticket", 200).map(|ticket| ticket.value.to_owned()),
            until: section.instant("until").map(|at| at.value).unwrap_or_default(),
        });
    }
    exemptions
}

/// The `select` of a wave or exemption.
pub(super) fn select(outer: &Section<'_>) -> Selector {
    selector(outer, "select")
}

/// Who is meant, under this key.
pub(super) fn selector(outer: &Section<'_>, key: &str) -> Selector {
    let name = format!("`{key}` of {}", outer.name);
    let Some(section) = outer.table(key, name, &["tags", "accounts", "regions", "platforms", "ous"]) else {
        return Selector::default();
    };
    let mut select = Selector::default();
    let before = section.report.count();
    if let Some(tags) = section.table_of_any("tags") {
        for (key, value) in tags.entries() {
            let values = tags.texts_of(key.value, value.clone(), true).unwrap_or_default();
            if key.value.is_empty() || key.value.chars().count() > 128 {
                section.report.at(&key.span, format!("the tag key `{}` is wrong: expected 1 to 128 characters", short(key.value)));
            }
            if value.value.as_array().is_some_and(|values| values.is_empty()) {
                section.report.at(&value.span, format!("the tag `{}` in {} accepts no value: expected at least one", short(key.value), section.name));
            }
            select.tags.insert(key.value.to_owned(), values.into_iter().map(|text| text.value.to_owned()).collect());
        }
    }
    select.accounts = section.parsed("accounts").into_iter().flatten().map(|found| found.value).collect();
    select.regions = section.parsed("regions").into_iter().flatten().map(|found| found.value).collect();
    for text in section.texts("platforms").unwrap_or_default() {
        match text.value {
            "Linux" => select.platforms.push(Platform::Linux),
            "Windows" => select.platforms.push(Platform::Windows),
            "MacOS" => select.platforms.push(Platform::MacOS),
            other => {
                section.report.at(&text.span, format!("the platform `{}` is unknown: expected one of {}", short(other), quoted(&["Linux", "Windows", "MacOS"])))
            }
        }
    }
    for text in section.texts("ous").unwrap_or_default() {
        let id = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.value.trim().is_empty() || text.value.len() > 512 || (text.value.starts_with("ou-") && !id(text.value)) {
            section
                .report
                .at(&text.span, format!("the organizational unit `{}` is wrong: expected an id such as `ou-ab12-cd34ef56`, or a path", short(text.value)));
        } else {
            select.ous.push(text.value.to_owned());
        }
    }
    if select.is_empty() && section.report.count() == before {
        section.report.at(
            &section.span,
            format!("{} selects nothing in particular: expected `tags`, `accounts`, `regions`, `platforms` or `ous` with a value", section.name),
        );
    }
    select
}

/// Complains about all missing keys at once.
pub(super) fn need(section: &Section<'_>, keys: &[&str], expected: &str) {
    let missing: Vec<&str> = keys.iter().copied().filter(|key| !section.has(key)).collect();
    if !missing.is_empty() {
        section.missing(&missing, expected);
    }
}

/// A name that no earlier one has.
pub(super) fn own_name<'n>(section: &Section<'_>, mut earlier: impl Iterator<Item = &'n str>) -> String {
    let Some(name) = section.words("name", 64) else {
        return String::new();
    };
    if earlier.any(|other| other == name.value) {
        section.report.at(&name.span, format!("the name `{}` is taken: expected a name of its own for each", short(name.value)));
    }
    name.value.to_owned()
}
