//! The values of single fields: ids, tags, platforms, names.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::Value;

use super::nearest::nearest;
use super::read::{Field, Section, is_blank, optional};
use super::regions;
use crate::host::Platform;
use crate::id::{AccountId, InstanceId, Region};
use crate::run::{BedrockAgent, CustomDocuments};
use crate::wire::reader::quoted;

/// The longest tag key and value. Source: the EC2 user guide, tag restrictions.
pub(super) const TAG_KEY_CHARS_MAX: usize = 128;
pub(super) const TAG_VALUE_CHARS_MAX: usize = 256;

/// `accounts`
pub(super) fn accounts(section: &Section<'_>) -> Option<BTreeSet<AccountId>> {
    const WHAT: &str = "a list of account ids, such as `[\"111122223333\"]`";
    section.need("accounts", WHAT)?.set(WHAT, account)
}

fn account(field: &Field<'_>) -> Option<AccountId> {
    match field.value {
        Value::String(text) => text.parse().or_else(|error: crate::id::IdError| field.wrong(error.to_string()).ok_or(())).ok(),
        // Numbers lose leading zeros, and readers lose digits of large ones: an account id is a text.
        Value::Number(number) => {
            field.wrong(format!("expected 12 digits in quotes, got the number `{number}`: write `\"{number:0>12}\"`", number = number.to_string()))
        }
        _ => field.expected("an account id, 12 digits in quotes"),
    }
}

/// `regions`
pub(super) fn regions(section: &Section<'_>) -> Option<BTreeSet<Region>> {
    const WHAT: &str = "a list of Regions, such as `[\"us-east-1\"]`";
    section.need("regions", WHAT)?.set(WHAT, region)
}

fn region(field: &Field<'_>) -> Option<Region> {
    let Value::String(text) = field.value else { return field.expected("a Region, such as `us-east-1`") };
    let near = nearest(text, &regions::KNOWN);
    match text.parse::<Region>() {
        Ok(region) => {
            if !regions::KNOWN.contains(&text.as_str()) {
                let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                field.warn(format!("is {}, a Region that is not known here{hint}", quoted(text)));
            }
            Some(region)
        }
        Err(error) => match near {
            Some(near) => field.wrong(format!("{} is not an AWS Region: did you mean `{near}`?", quoted(text))),
            None => field.wrong(error.to_string()),
        },
    }
}

/// `instanceIds`
pub(super) fn instances(section: &Section<'_>) -> Option<BTreeSet<InstanceId>> {
    let read = |field: &Field<'_>| field.set("a list of instance ids, such as `[\"i-0a1b2c3d4e5f67890\"]`", instance);
    optional(section.get("instanceIds"), read).map(Option::unwrap_or_default)
}

fn instance(field: &Field<'_>) -> Option<InstanceId> {
    let Value::String(text) = field.value else { return field.expected("an instance id, such as `i-0a1b2c3d4e5f67890`") };
    match InstanceId::from_str(text) {
        Ok(instance) => Some(instance),
        Err(error) => match flaw(text) {
            Some(flaw) => field.wrong(format!("{error}; {flaw}")),
            None => field.wrong(error.to_string()),
        },
    }
}

/// What exactly is wrong with something that was meant as an EC2 instance id.
fn flaw(text: &str) -> Option<String> {
    let rest = text.strip_prefix("i-")?;
    let strange = rest.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f'));
    let length = rest.chars().count();
    let digit = strange.map(|c| format!("`{c}` is no hex digit"));
    let count = (length != 8 && length != 17).then(|| format!("{length} characters follow `i-`"));
    match (digit, count) {
        (Some(digit), Some(count)) => Some(format!("{digit}, and {count}")),
        (digit, count) => digit.or(count),
    }
}

/// A map of tag keys to a value or a list of values; never empty.
pub(super) fn tags(field: &Field<'_>) -> Option<BTreeMap<String, BTreeSet<String>>> {
    const WHAT: &str = "an object of tag keys and values, such as `{\"PatchGroup\": [\"default\"]}`";
    let section = field.section(WHAT)?;
    let mut tags = BTreeMap::new();
    let mut whole = true;
    for (key, values) in section.fields() {
        match tag_key(key, &values).and(tag_values(&values)) {
            Some(values) => whole &= tags.insert(key.to_owned(), values).is_none(),
            None => whole = false,
        }
    }
    if whole && tags.is_empty() {
        return field.wrong("no tag is named: leave it out to take every host, or write such as `{\"PatchGroup\": [\"default\"]}`");
    }
    whole.then_some(tags)
}

/// Whether a tag key can be one. `field` is told what is wrong with it.
pub(super) fn tag_key(key: &str, field: &Field<'_>) -> Option<()> {
    if is_blank(key) {
        return field.wrong("the tag key is empty");
    }
    if key.chars().count() > TAG_KEY_CHARS_MAX {
        return field.wrong(format!("expected a tag key of at most {TAG_KEY_CHARS_MAX} characters"));
    }
    if let Some(bare) = key.strip_prefix("tag:") {
        field.warn(format!("names the tag `tag:{bare}`: write `{bare}` if that is the tag's key"));
    }
    Some(())
}

/// The value of a tag, or several of which any will do.
pub(super) fn tag_values(field: &Field<'_>) -> Option<BTreeSet<String>> {
    match field.value {
        Value::String(_) => tag_value(field).map(|value| BTreeSet::from([value])),
        Value::Array(_) => field.set("at least one value, such as `[\"default\"]`", tag_value),
        _ => field.expected("a string or a list of strings"),
    }
}

fn tag_value(field: &Field<'_>) -> Option<String> {
    let Value::String(text) = field.value else { return field.expected("a string") };
    if text.chars().count() > TAG_VALUE_CHARS_MAX {
        return field.wrong(format!("expected a tag value of at most {TAG_VALUE_CHARS_MAX} characters"));
    }
    if text.contains(['*', '?']) {
        field.warn(format!("is {}, taken literally: a tag's value is compared as it stands, without wildcards", quoted(text)));
    }
    Some(text.clone())
}

/// `filters.platforms`. Both and none mean the same, so that they get one form: the empty set.
pub(super) fn platforms(field: &Field<'_>) -> Option<BTreeSet<Platform>> {
    let one = |field: &Field<'_>| match field.value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("macos") => field.wrong(format!("{} is not patched here: expected `Linux` or `Windows`", quoted(text))),
        _ => field.word(&[("Linux", Platform::Linux), ("Windows", Platform::Windows)]),
    };
    let set = field.set("a list of `Linux`, `Windows` or both", one)?;
    Some(if set.len() > 1 { BTreeSet::new() } else { set })
}

/// `bedrock`
pub(super) fn bedrock(field: &Field<'_>) -> Option<BedrockAgent> {
    let section = field.section("an object with `agentId` and `agentAliasId`")?;
    section.only(&["agentId", "agentAliasId"], |_| None);
    let id = |key: &str| section.need(key, "the id of a Bedrock agent").and_then(|field| field.text("the id of a Bedrock agent", 64)).map(str::to_owned);
    let (agent_id, agent_alias_id) = (id("agentId"), id("agentAliasId"));
    field.warn("is advisory: its agent may add a paragraph to the approval request; it decides nothing, and holds nothing up where it fails");
    Some(BedrockAgent { agent_id: agent_id?, agent_alias_id: agent_alias_id? })
}

/// `snsTopicArn`
pub(super) fn topic(field: &Field<'_>) -> Option<String> {
    const WHAT: &str = "the ARN of an SNS topic, such as `arn:aws:sns:us-east-1:111122223333:ec2patch-PatchAlerts`";
    let text = field.text(WHAT, 512)?;
    let parts: Vec<&str> = text.split(':').collect();
    let name = |name: &str| {
        let name = name.strip_suffix(".fifo").unwrap_or(name);
        (1..=256).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let partition = |text: &str| text.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    match parts.as_slice() {
        ["arn", aws, "sns", region, account, topic]
            if partition(aws) && region.parse::<Region>().is_ok() && account.parse::<AccountId>().is_ok() && name(topic) =>
        {
            Some(text.to_owned())
        }
        _ => field.expected(WHAT),
    }
}

/// `notificationEmail`
pub(super) fn email(field: &Field<'_>) -> Option<String> {
    let text = field.text("a mail address", 320)?;
    match text.split_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.chars().any(|c| is_blank(c.encode_utf8(&mut [0; 4]))) => {
            Some(text.to_owned())
        }
        _ => field.expected("a mail address, such as `ops@example.com`"),
    }
}

/// The keys of `customDocuments`.
pub(super) const DOCUMENT_KEYS: [&str; 6] = ["windowsPrePatch", "windowsPatch", "windowsPostPatch", "linuxPrePatch", "linuxPatch", "linuxPostPatch"];

/// `customDocuments`
pub(super) fn documents(field: &Field<'_>) -> Option<BTreeMap<Platform, CustomDocuments>> {
    let section = field.section("an object of document names, such as `{\"linuxPrePatch\": \"StopApp\"}`")?;
    section.only(&DOCUMENT_KEYS, |_| None);
    let name = |key: String| optional(section.get(&key), document);
    let of = |prefix: &str| {
        let (pre, patch, post) = (name(format!("{prefix}PrePatch")), name(format!("{prefix}Patch")), name(format!("{prefix}PostPatch")));
        Some(CustomDocuments { pre_patch: pre?, patch: patch?, post_patch: post? })
    };
    let (windows, linux) = (of("windows"), of("linux"));
    let named = [(Platform::Windows, windows?), (Platform::Linux, linux?)].into_iter().filter(|(_, documents)| *documents != CustomDocuments::default());
    let named: BTreeMap<_, _> = named.collect();
    if named.is_empty() && section.fields().next().is_none() {
        return field.wrong(format!("no document is named: leave it out, or name some of {}", DOCUMENT_KEYS.map(|key| format!("`{key}`")).join(", ")));
    }
    Some(named)
}

/// A document's name or ARN. Source: `DocumentName` of SSM's SendCommand.
fn document(field: &Field<'_>) -> Option<String> {
    let text = field.text("the name of an SSM document", 128)?;
    let fits = text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    if fits {
        Some(text.to_owned())
    } else {
        field.wrong(format!("{} is not the name of an SSM document: expected 3 to 128 letters, digits or `_-.:/`", quoted(text)))
    }
}
