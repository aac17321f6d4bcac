//! A folder of catalog entries: read once, at the beginning; what a policy names of it is pinned with the policy.

use std::path::Path;

use tidegate_rules::catalog::{Catalog, PATCH_COMPLIANCE};
use tidegate_rules::policy::Policy;
use tidegate_world::{AlarmSpec, RuleSpec, Spec};

use crate::failure::Failure;

/// More than a catalog has entries.
const FILES_MAX: usize = 100;
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The entries that come with Tidegate, and those of a folder: every `*.toml` in it, in the order of their names.
///
/// # Errors
/// When it can't be read, or an entry is wrong: every fault with its file.
pub fn read(folder: Option<&Path>) -> Result<Catalog, Failure> {
    let Some(folder) = folder else { return Ok(Catalog::default()) };
    let failed = |error| Failure::file(folder, "read", &error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() || paths.len() > FILES_MAX {
        let what = format!("`{}` has {} files of the form `*.toml`", folder.display(), paths.len());
        return Err(Failure::Usage(format!("{what}: expected 1 to {FILES_MAX}, one catalog entry each")));
    }
    let mut texts = Vec::new();
    for path in &paths {
        let size = std::fs::metadata(path).map_err(|error| Failure::file(path, "read", &error))?.len();
        if size > FILE_BYTES_MAX {
            return Err(Failure::Placed(format!("{}:1:1: {size} bytes: a catalog entry has at most {FILE_BYTES_MAX}", path.display())));
        }
        let bytes = std::fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::Placed(format!("{}:1:1: not UTF-8: expected a catalog entry in TOML", path.display())))?;
        texts.push((path.display().to_string(), text));
    }
    Catalog::with(texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// A simulated organization in which this policy's catalog entry has something to mend: the customer has its documents and the runbook of its backups, and where
/// it is not about patches, its rule judges the hosts. The alarms that the policy names are there, and are `OK`.
pub fn simulated(mut spec: Spec, policy: &Policy) -> Spec {
    let entry = policy.entry();
    let special = entry.documents.values().filter_map(|special| special.document.clone());
    if policy.custom_entry.is_some() {
        spec.documents = std::iter::once(entry.document.clone()).filter(|name| !name.is_empty()).chain(special).collect();
    }
    spec.documents.extend(policy.backup.iter().map(|rule| rule.document.clone()));
    let about_patches = entry.resource_types.iter().any(|kind| kind == PATCH_COMPLIANCE);
    if let (false, Some(resource_type), Some(rule)) = (about_patches, entry.resource_types.first(), entry.config_rules.first()) {
        spec.rule = Some(RuleSpec { name: rule.clone(), resource_type: resource_type.clone(), mended_by: entry.document.clone() });
    }
    let alarms = policy.health.iter().flat_map(|rule| &rule.alarms).chain(policy.waves.iter().flat_map(|wave| &wave.alarms));
    for name in alarms {
        if spec.alarms.iter().all(|alarm| alarm.name != *name) {
            spec.alarms.push(AlarmSpec::ok(name));
        }
    }
    spec
}
