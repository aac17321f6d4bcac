//! Entries of a user's own: text in, entries out, or everything that is wrong with them. What passes here is as good as an entry
//! that comes with Tidegate.

use std::fmt;

use super::job::PLACEHOLDERS;
use super::{CatalogEntry, Parameters, Proof, Runner, Step, entries};

/// Something wrong with a file of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogError {
    /// The file.
    pub file: String,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// Everything that is wrong with the files of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogErrors(pub Vec<CatalogError>);

impl fmt::Display for CatalogErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CatalogErrors {}

/// The name of an entry is a part of its lane's, which has 64 characters for both.
const NAME_CHARS_MAX: usize = 32;
/// More than any entry needs; an entry travels in every pinned policy that names it.
const FILE_BYTES_MAX: usize = 16 * 1024;
/// Longest wait for Config's verdict: leases and grants are held meanwhile.
const PROOF_SECS: std::ops::RangeInclusive<u32> = 300..=172_800;

/// Reads all files: one entry each.
pub(super) fn files<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Vec<CatalogEntry>, CatalogErrors> {
    let mut read: Vec<(String, CatalogEntry)> = Vec::new();
    let mut errors = Vec::new();
    for (file, text) in files {
        let mut say = |message: String| errors.push(CatalogError { file: file.to_owned(), message });
        if text.len() > FILE_BYTES_MAX {
            say(format!("the file has {} bytes: expected at most {FILE_BYTES_MAX}", text.len()));
            continue;
        }
        let entry: CatalogEntry = match toml::from_str(text) {
            Ok(entry) => entry,
            Err(error) => {
                let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
                let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                say(format!("{place}{}", error.message().trim().replace('\n', ", ")));
                continue;
            }
        };
        if entries().iter().any(|known| known.name == entry.name) {
            say(format!("`{}` is the name of an entry that comes with Tidegate: expected another", entry.name));
        }
        if let Some((other, _)) = read.iter().find(|(_, known)| known.name == entry.name) {
            say(format!("`{}` is the name of the entry in {other}, too: expected a name of its own for each", entry.name));
        }
        check(&entry).into_iter().for_each(&mut say);
        read.push((file.to_owned(), entry));
    }
    if errors.is_empty() { Ok(read.into_iter().map(|(_, entry)| entry).collect()) } else { Err(CatalogErrors(errors)) }
}

/// What is wrong with one entry.
pub(super) fn check(entry: &CatalogEntry) -> Vec<String> {
    let mut wrong = Vec::new();
    let slug = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !slug(&entry.name) || entry.name.len() > NAME_CHARS_MAX {
        wrong.push(format!("the name `{}` is wrong: expected 1 to {NAME_CHARS_MAX} lower-case letters, digits or `-`", entry.name));
    }
    if entry.title.trim().is_empty() {
        wrong.push("`title` is empty: expected what it does, such as \"re-applies the associations\"".into());
    }
    if entry.resource_types.is_empty() || !entry.resource_types.iter().all(|kind| kind.split("::").filter(|part| !part.is_empty()).count() == 3) {
        wrong.push("`resource_types` is wrong: expected names such as \"AWS::EC2::Instance\"".into());
    }
    if entry.config_rules.is_empty() || entry.config_rules.iter().any(|rule| rule.len() < 4) {
        wrong.push("`config_rules` is wrong: expected the names of the rules that judge it, of 4 characters or more".into());
    }
    if !PROOF_SECS.contains(&entry.proof_within_secs) {
        let (least, most) = (PROOF_SECS.start(), PROOF_SECS.end());
        wrong.push(format!("`proof_within_secs` is {}: expected {least} to {most}", entry.proof_within_secs));
    }
    match entry.runner {
        Runner::Report => {
            if !entry.document.is_empty() || !entry.steps.is_empty() || !entry.documents.is_empty() || entry.hooks.is_some() {
                wrong.push("`runner = \"report\"` runs nothing: expected no `document`, `steps`, `documents` or `hooks`".into());
            }
        }
        Runner::Command | Runner::Automation => runs(entry, &mut wrong),
    }
    wrong
}

fn runs(entry: &CatalogEntry, wrong: &mut Vec<String>) {
    let hooks = entry.hooks.as_ref();
    let hook_names = hooks.into_iter().flat_map(|hooks| [&hooks.pre, &hooks.post, &hooks.on_exit].into_iter().flatten());
    let names = std::iter::once(&entry.document)
        .chain(entry.documents.values().filter_map(|special| special.document.as_ref()))
        .chain(hooks.map(|hooks| &hooks.document))
        .chain(hook_names);
    for name in names.filter(|name| !is_document(name)) {
        wrong.push(format!("the document `{name}` is wrong: {DOCUMENT_EXPECTED}"));
    }
    let automation = entry.runner == Runner::Automation;
    match (&entry.target_parameter, automation) {
        (None, true) => wrong.push("`target_parameter` is missing: expected the runbook's parameter that takes the instance, such as \"InstanceId\"".into()),
        (Some(_), false) => wrong.push("`target_parameter` is for `runner = \"automation\"`: a command gets its instances as targets".into()),
        _ => {}
    }
    if automation && hooks.is_some() {
        wrong.push("`hooks` are for commands: a runbook has steps of its own".into());
    }
    let has = |step| entry.steps.contains_key(&step);
    if !has(Step::Install) {
        wrong.push("`[steps.run]` is missing: expected the parameters of the document, or an empty table where it takes none".into());
    }
    match entry.proof {
        Proof::PatchState if automation => wrong.push("`proof = \"patch_state\"` needs a scan by command: expected `proof = \"config_verdict\"`".into()),
        Proof::PatchState if !has(Step::Scan) => wrong.push("`[steps.scan]` is missing: `proof = \"patch_state\"` reads what a scan reports".into()),
        Proof::PatchState => {
            let pins = |parameters: &Parameters| parameters.values().any(|values| values.iter().any(|value| value.contains("{snapshot}")));
            if !entry.steps.iter().filter(|(step, _)| **step == Step::Scan).all(|(_, parameters)| pins(parameters)) {
                wrong.push("`[steps.scan]` does not pass `{snapshot}` on: without it nothing tells our scan from another's".into());
            }
        }
        Proof::ConfigVerdict if has(Step::Scan) || has(Step::Reboot) => {
            wrong.push("`proof = \"config_verdict\"` has one step: expected `[steps.run]` alone".into());
        }
        Proof::ConfigVerdict => {}
    }
    let all = entry.steps.values().chain(entry.documents.values().flat_map(|special| special.steps.values()));
    for (key, values) in all.flatten() {
        if automation && entry.target_parameter.as_ref() == Some(key) {
            wrong.push(format!("parameter `{key}` is filled with the instance: expected no value for it"));
        }
        for value in values.iter() {
            if let Some(open) = unknown_placeholder(value) {
                wrong.push(format!("parameter `{key}` has the placeholder `{open}`: expected one of {}", PLACEHOLDERS.join(", ")));
            }
        }
    }
}

/// What a document's name or ARN looks like, for people.
pub(crate) const DOCUMENT_EXPECTED: &str = "expected a document's name or ARN of 3 to 128 letters, digits or `_-.:/`";

/// Whether this is a document's name or ARN. Source: SSM API model, `DocumentARN`; placeholders become part of it later.
pub(crate) fn is_document(name: &str) -> bool {
    let plain = PLACEHOLDERS.iter().fold(name.to_owned(), |name, placeholder| name.replace(placeholder, "x"));
    (3..=128).contains(&name.len()) && plain.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b))
}

/// The first `{word}` that stands for nothing.
fn unknown_placeholder(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('{') {
        if let Some((word, _)) = after.split_once('}')
            && !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        {
            let placeholder = format!("{{{word}}}");
            if !PLACEHOLDERS.contains(&placeholder.as_str()) {
                return Some(placeholder);
            }
        }
        rest = after;
    }
    None
}
