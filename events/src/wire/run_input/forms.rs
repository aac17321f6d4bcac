//! The three ways to write a run, and what they have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields;
use super::read::{Field, Report, Section, optional, step};
use super::ssm::{SSM_KEYS, Ssm, ssm};
use crate::host::Platform;
use crate::id::{AccountId, InstanceId, Region};
use crate::run::{BulkRun, Operation, RunWave};
use crate::wire::reader::quoted;

/// The longest bake. The same as a policy's.
pub(super) const PAUSE_SECS_MAX: u32 = 366 * 86_400;
/// The longest name of a run and of a wave; Step Functions' limit on an execution's name.
pub(super) const NAME_CHARS_MAX: usize = 80;
/// The longest comment.
pub(super) const COMMENT_CHARS_MAX: usize = 1_000;

/// A way to write a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Waves,
    AccountWaves,
    Flat,
}

/// The keys that only one form has. The first of each form is the one that people know it by.
pub(super) const WAVES_KEYS: [&str; 1] = ["waves"];
pub(super) const ACCOUNT_WAVES_KEYS: [&str; 2] = ["accountWaves", "ec2"];
pub(super) const FLAT_KEYS: [&str; 5] = ["accounts", "regions", "tagFilters", "instanceIds", "waveId"];

/// The keys that every form has.
pub(super) const COMMON_KEYS: [&str; 14] = [
    "executionName",
    "comment",
    "dryRun",
    "abortOnIssues",
    "wavePauseSeconds",
    "ssm",
    "approvalRequired",
    "notificationEmail",
    "snsTopicArn",
    "bedrock",
    "preCollect",
    "useCustomDocuments",
    "customDocuments",
    "$schema",
];

impl Form {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Waves => &WAVES_KEYS,
            Self::AccountWaves => &ACCOUNT_WAVES_KEYS,
            Self::Flat => &FLAT_KEYS,
        }
    }

    /// The form that an input is in, by the keys that only one form has; `None` where it has none of them.
    fn of(root: &Section<'_>) -> Option<Self> {
        [Self::Waves, Self::AccountWaves, Self::Flat].into_iter().find(|form| match form {
            // `ec2` alone may have been meant for any form.
            Self::AccountWaves => root.has("accountWaves"),
            form => form.keys().iter().any(|key| root.has(key)),
        })
    }

    /// What to do with a key of another form.
    fn instead(self, key: &str) -> &'static str {
        match (self, key) {
            (Self::Waves, "accountWaves") => "keep one of them, or make two runs of it",
            (Self::Waves, "ec2" | "tagFilters") => "write the tags into each wave's `filters.tags`",
            (Self::Waves, "waveId") => "write it as `executionName`, or as `name` in a wave",
            (Self::Waves | Self::AccountWaves, "accounts" | "regions") => "write it into each wave",
            (Self::Waves, "instanceIds") => "write it into the wave that is meant",
            (Self::AccountWaves, "tagFilters") => "write the tag as `ec2.tagKey` and `ec2.tagValue`, or use `waves` with `filters.tags`",
            (Self::AccountWaves, "waveId") => "write it as `executionName`, or as `name` in a wave",
            (Self::AccountWaves, "instanceIds") => "use `waves`, whose waves may name instances",
            (Self::Flat, "ec2") => "write the tag into `tagFilters`",
            _ => "keep one of them",
        }
    }
}

/// One wave as written: its name may still be missing.
struct Draft {
    path: String,
    name: Option<String>,
    accounts: BTreeSet<AccountId>,
    regions: BTreeSet<Region>,
    tags: BTreeMap<String, BTreeSet<String>>,
    platforms: BTreeSet<Platform>,
    instances: BTreeSet<InstanceId>,
    ssm: Ssm,
}

/// The run that an input asks for. `None` only after a problem was noted.
pub(super) fn run(report: &Report, value: &Value) -> Option<BulkRun> {
    let root = Field::root(report, value).section("a JSON object, which says which hosts to patch")?;
    let known: Vec<&'static str> = [&WAVES_KEYS[..], &ACCOUNT_WAVES_KEYS, &FLAT_KEYS, &COMMON_KEYS].concat();
    let meant = root.only(&known, misplaced_at_top);
    let form = Form::of(&root);
    if let Some(form) = form {
        refuse_mixture(&root, form);
    }

    let flag = |key: &str| optional(root.get(key), Field::flag);
    let text = |key: &str, what: &str, max: usize| optional(root.get(key), |field| field.text(what, max).map(str::to_owned));
    let execution_name = text("executionName", "a name for the run", NAME_CHARS_MAX);
    let comment = text("comment", "a comment", COMMENT_CHARS_MAX);
    let dry_run = flag("dryRun");
    let abort_on_issues = flag("abortOnIssues");
    let pause = optional(root.get("wavePauseSeconds"), |field| field.whole("whole seconds", PAUSE_SECS_MAX));
    let outer = optional(root.get("ssm"), ssm);
    let approval_required = flag("approvalRequired");
    let email = optional(root.get("notificationEmail"), fields::email);
    let topic = optional(root.get("snsTopicArn"), fields::topic);
    let bedrock = optional(root.get("bedrock"), fields::bedrock);
    let pre_collect = optional(root.get("preCollect"), pre_collect);
    let custom_documents = custom_documents(&root);
    let _ = text("$schema", "the address of a schema", 2_048);

    let (drafts, wave_id) = match form {
        Some(Form::Waves) => (root.get("waves").and_then(|field| drafts(&field, wave)), Some(None)),
        Some(Form::AccountWaves) => (account_waves(&root), Some(None)),
        Some(Form::Flat) => {
            let wave_id = text("waveId", "a name for the wave", NAME_CHARS_MAX);
            (flat(&root, wave_id.clone().flatten()).map(|draft| vec![draft]), wave_id)
        }
        None => {
            // One problem is enough for `{"wave": []}`.
            let begun = meant.iter().any(|key| WAVES_KEYS.contains(key) || ACCOUNT_WAVES_KEYS.contains(key) || FLAT_KEYS.contains(key));
            let lone_ec2 = root.get("ec2").map(|field| ec2(&field)).is_some();
            if !begun {
                let hint = if lone_ec2 { "; `ec2` says which hosts of `accountWaves`" } else { "" };
                report.problem::<()>("", format!("nothing says which hosts: expected `waves`, `accountWaves`, or `accounts` and `regions`{hint}"));
            }
            (None, None)
        }
    };

    let waves = finish(report, drafts?, &outer?.unwrap_or_default(), pause?);
    let run = BulkRun {
        name: execution_name?.or(wave_id?),
        dry_run: dry_run?.unwrap_or(false),
        abort_on_issues: abort_on_issues?.unwrap_or(true),
        approval_required: approval_required?,
        comment: comment?,
        topic: topic?,
        notification_email: email?,
        bedrock: bedrock?,
        pre_collect: pre_collect?.unwrap_or(false),
        custom_documents: custom_documents?,
        waves,
    };
    check(report, &root, &run);
    Some(run)
}

/// Notes every key of a form that is not this one.
fn refuse_mixture(root: &Section<'_>, form: Form) {
    let Some(mark) = form.keys().iter().find(|key| root.has(key)) else { return };
    for other in [Form::Waves, Form::AccountWaves, Form::Flat].into_iter().filter(|other| *other != form) {
        for key in other.keys().iter().filter(|key| root.has(key)) {
            root.report.problem::<()>(root.path_of(key), format!("`{key}` does not go together with `{mark}`: {}", form.instead(key)));
        }
    }
}

/// Where a key belongs that people write at the top level.
fn misplaced_at_top(key: &str) -> Option<String> {
    let hint = match key {
        "filters" => "write it into each of `waves`".into(),
        "tags" => "write `filters.tags` into each of `waves`, or `tagFilters` beside `accounts`".into(),
        "platforms" => "write `filters.platforms` into each of `waves`".into(),
        "tagKey" | "tagValue" => "write it into `ec2`".into(),
        "agentId" | "agentAliasId" => "write it into `bedrock`".into(),
        "name" => "write `executionName` for the run, or `name` in a wave".into(),
        key if SSM_KEYS.contains(&key) => "write it into `ssm`".into(),
        key if fields::DOCUMENT_KEYS.contains(&key) => "write it into `customDocuments`".into(),
        _ => return None,
    };
    Some(hint)
}

/// Where a key belongs that people write into a wave.
fn misplaced_in_wave(key: &str) -> Option<String> {
    let hint = match key {
        "tags" | "platforms" => "write it into `filters`",
        "tagFilters" | "ec2" => "write the tags into `filters.tags`",
        "waveId" => "write it as `name`",
        key if SSM_KEYS.contains(&key) => "write it into `ssm`",
        key if COMMON_KEYS.contains(&key) => "write it at the top level, for all waves",
        _ => return None,
    };
    Some(hint.into())
}

/// Where a key belongs that people write into one of `accountWaves`.
fn misplaced_in_account_wave(key: &str) -> Option<String> {
    let hint = match key {
        "filters" | "tags" | "tagFilters" => "write the tag into `ec2` at the top level, or use `waves`",
        "ec2" => "write it at the top level, for all waves",
        "platforms" | "instanceIds" => "use `waves`, which may say so",
        "waveId" => "write it as `name`",
        key if SSM_KEYS.contains(&key) => "write it into `ssm` at the top level, for all waves, or use `waves`",
        "ssm" => "write it at the top level, for all waves, or use `waves`",
        key if COMMON_KEYS.contains(&key) => "write it at the top level, for all waves",
        _ => return None,
    };
    Some(hint.into())
}

/// The elements of a list of waves.
fn drafts<'a>(field: &Field<'a>, read: impl Fn(&Section<'a>) -> Option<Draft>) -> Option<Vec<Draft>> {
    let items = field.list("a list of waves, such as `[{\"accounts\": [\"111122223333\"], \"regions\": [\"us-east-1\"]}]`")?;
    refuse_repetition(&items);
    let read: Vec<Option<Draft>> = items.iter().map(|item| item.section("a wave, which is an object").and_then(|section| read(&section))).collect();
    read.into_iter().collect()
}

/// Notes names and instances that two waves have, also where something else in these waves is wrong.
fn refuse_repetition(waves: &[Field<'_>]) {
    let (mut names, mut homes) = (BTreeMap::new(), BTreeMap::new());
    for wave in waves {
        if let Some(name) = wave.value.get("name").and_then(Value::as_str) {
            match names.get(name) {
                Some(first) => wave.report.problem(step(&wave.path, "name"), format!("{} is the name of `{first}` too: give each wave its own", quoted(name))),
                None => names.insert(name, &wave.path).map(drop),
            };
        }
        let instances = wave.value.get("instanceIds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for instance in instances.collect::<BTreeSet<_>>() {
            match homes.get(instance) {
                Some(first) => {
                    wave.report.problem(step(&wave.path, "instanceIds"), format!("{} is in `{first}` too: name each instance in one wave", quoted(instance)))
                }
                None => homes.insert(instance, &wave.path).map(drop),
            };
        }
    }
}

fn wave_name(section: &Section<'_>) -> Option<Option<String>> {
    optional(section.get("name"), |field| field.text("the wave's name", NAME_CHARS_MAX).map(str::to_owned))
}

/// The keys of one of `waves`.
pub(super) const WAVE_KEYS: [&str; 6] = ["name", "accounts", "regions", "filters", "ssm", "instanceIds"];

/// One of `waves`.
fn wave(section: &Section<'_>) -> Option<Draft> {
    section.only(&WAVE_KEYS, misplaced_in_wave);
    let name = wave_name(section);
    let (accounts, regions) = (fields::accounts(section), fields::regions(section));
    let filters = optional(section.get("filters"), |field| {
        let filters = field.section("an object with `tags` and `platforms`")?;
        filters.only(&["tags", "platforms"], |_| None);
        let tags = optional(filters.get("tags"), fields::tags);
        let platforms = optional(filters.get("platforms"), fields::platforms);
        Some((tags?.unwrap_or_default(), platforms?.unwrap_or_default()))
    });
    let instances = fields::instances(section);
    let ssm = optional(section.get("ssm"), ssm);
    let (tags, platforms) = filters?.unwrap_or_default();
    Some(Draft {
        path: section.path.clone(),
        name: name?,
        accounts: accounts?,
        regions: regions?,
        tags,
        platforms,
        instances: instances?,
        ssm: ssm?.unwrap_or_default(),
    })
}

/// The keys of one of `accountWaves`.
pub(super) const ACCOUNT_WAVE_KEYS: [&str; 3] = ["name", "accounts", "regions"];

/// `accountWaves` and the one tag that all of them share.
fn account_waves(root: &Section<'_>) -> Option<Vec<Draft>> {
    let tags = optional(root.get("ec2"), ec2);
    let drafts = drafts(&root.get("accountWaves")?, |section| {
        section.only(&ACCOUNT_WAVE_KEYS, misplaced_in_account_wave);
        let name = wave_name(section);
        let (accounts, regions) = (fields::accounts(section), fields::regions(section));
        Some(Draft {
            path: section.path.clone(),
            name: name?,
            accounts: accounts?,
            regions: regions?,
            tags: tags.clone().flatten().unwrap_or_default(),
            platforms: BTreeSet::new(),
            instances: BTreeSet::new(),
            ssm: Ssm::default(),
        })
    });
    tags.and(drafts)
}

/// `ec2`: one tag.
fn ec2(field: &Field<'_>) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let section = field.section("an object with `tagKey` and `tagValue`")?;
    section.only(&["tagKey", "tagValue"], |_| None);
    let key = section.need("tagKey", "a tag's key, such as `PatchGroup`").and_then(|field| {
        let key = field.text("a tag's key", fields::TAG_KEY_CHARS_MAX)?;
        fields::tag_key(key, &field).map(|()| key.to_owned())
    });
    let values = section.need("tagValue", "the tag's value, such as `default`").and_then(|field| fields::tag_values(&field));
    Some(BTreeMap::from([(key?, values?)]))
}

/// The flat form: one wave.
fn flat(root: &Section<'_>, name: Option<String>) -> Option<Draft> {
    let (accounts, regions) = (fields::accounts(root), fields::regions(root));
    let tags = optional(root.get("tagFilters"), fields::tags);
    let instances = fields::instances(root);
    Some(Draft {
        path: String::new(),
        name,
        accounts: accounts?,
        regions: regions?,
        tags: tags?.unwrap_or_default(),
        platforms: BTreeSet::new(),
        instances: instances?,
        ssm: Ssm::default(),
    })
}

/// `preCollect`
fn pre_collect(field: &Field<'_>) -> Option<bool> {
    let section = field.section("an object such as `{\"enabled\": true}`")?;
    section.only(&["enabled"], |_| None);
    let enabled = section.need("enabled", "true or false")?.flag()?;
    if enabled {
        field.warn("is kept in the record and starts no step of its own: what every host lacked before and after is evidence in any case");
    }
    Some(enabled)
}

/// `customDocuments`, unless `useCustomDocuments` says no.
fn custom_documents(root: &Section<'_>) -> Option<BTreeMap<Platform, crate::run::CustomDocuments>> {
    let used = optional(root.get("useCustomDocuments"), Field::flag);
    let field = root.get("customDocuments");
    let path = field.as_ref().map(|field| field.path.clone());
    let documents = optional(field, fields::documents);
    match (used?, documents?) {
        (Some(true), None) => {
            root.report.problem(root.path_of("useCustomDocuments"), "is true, but no document is named: name them in `customDocuments`, or leave it out")
        }
        (Some(false), Some(_)) => {
            root.report.warn(path.unwrap_or_default(), "is not used, since `useCustomDocuments` is false");
            Some(BTreeMap::new())
        }
        (_, documents) => Some(documents.unwrap_or_default()),
    }
}

/// Names what has none, and lets each wave's settings go before the run's.
fn finish(report: &Report, drafts: Vec<Draft>, outer: &Ssm, pause: Option<u32>) -> Vec<RunWave> {
    let taken: BTreeSet<String> = drafts.iter().filter_map(|draft| draft.name.clone()).collect();
    let mut waves: Vec<RunWave> = Vec::with_capacity(drafts.len());
    for (place, draft) in drafts.into_iter().enumerate() {
        let name = draft.name.unwrap_or_else(|| free_name(place + 1, &taken));
        let settings = draft.ssm.within(outer, report);
        let wave = RunWave {
            name,
            accounts: draft.accounts,
            regions: draft.regions,
            tags: draft.tags,
            platforms: draft.platforms,
            instances: draft.instances,
            operation: settings.operation,
            reboot: settings.reboot,
            max_concurrency: Some(settings.max_concurrency),
            max_errors: Some(settings.max_errors),
            pause_after_secs: pause,
        };
        if !wave.instances.is_empty() && !wave.tags.is_empty() {
            report.warn(step(&draft.path, "instanceIds"), "and the tags must both fit: a named instance without the tags is left out");
        }
        if let Some(earlier) = waves.iter().find(|earlier| covers(earlier, &wave)) {
            report.warn(&draft.path, format!("finds no host that the wave `{}` has not taken before it", earlier.name));
        }
        waves.push(wave);
    }
    waves
}

/// `wave2`, or with a further number where somebody else is called so.
fn free_name(number: usize, taken: &BTreeSet<String>) -> String {
    let name = format!("wave{number}");
    let further = || (2..).map(|more| format!("{name}-{more}")).find(|name| !taken.contains(name)).unwrap_or_default();
    if taken.contains(&name) { further() } else { name }
}

/// Whether every host of the later wave is one of the earlier wave's.
fn covers(earlier: &RunWave, later: &RunWave) -> bool {
    let tags = earlier.tags.iter().all(|(key, values)| later.tags.get(key).is_some_and(|narrower| narrower.is_subset(values)));
    let platforms = earlier.platforms.is_empty() || (!later.platforms.is_empty() && later.platforms.is_subset(&earlier.platforms));
    let instances = earlier.instances.is_empty() || (!later.instances.is_empty() && later.instances.is_subset(&earlier.instances));
    later.accounts.is_subset(&earlier.accounts) && later.regions.is_subset(&earlier.regions) && tags && platforms && instances
}

/// What fits field by field, but not together; and what has less of an effect than it seems to.
fn check(report: &Report, root: &Section<'_>, run: &BulkRun) {
    let scans = run.waves.iter().find(|wave| wave.operation == Operation::Scan);
    if let (Some(scan), false) = (scans, run.custom_documents.values().all(|documents| documents.patch.is_none())) {
        let text = format!(
            "replaces the scan of the wave `{}` by a document that may install: leave `windowsPatch` and `linuxPatch` out, or write `Install`",
            scan.name
        );
        report.problem::<()>(root.path_of("customDocuments"), text);
    }
    if run.dry_run && scans.is_some() {
        report.warn("dryRun", "is true, so that nothing is sent, not even the scan");
    }
    if run.approval_required == Some(false) {
        report.warn("approvalRequired", "is false, but who must be asked is the policy's to say: its approvals stay");
    }
    if let Some(email) = &run.notification_email {
        report.warn("notificationEmail", format!("is kept in the record and nobody is mailed: subscribe `{email}` to the notification topic"));
    }
    if run.topic.is_some() {
        report.warn("snsTopicArn", "is kept in the record: notices go to the topics that the hub was deployed with");
    }
}
