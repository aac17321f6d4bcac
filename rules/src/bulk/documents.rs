//! Documents of a bulk run's own around the patch, or instead of it (`customDocuments`).

use std::collections::BTreeMap;

use tidegate_events::entry::RunStep;
use tidegate_events::host::Platform;
use tidegate_events::run::CustomDocuments;

use crate::state::Campaign;

/// AWS's document that runs others before and after the install; it takes the parameters of `AWS-RunPatchBaseline` too. Where the
/// first fails, nothing is installed (aws-facts 3.1).
pub const WITH_HOOKS: &str = "AWS-RunPatchBaselineWithHooks";

/// Why a run's documents can't be run, where they can't.
pub fn fault(documents: &BTreeMap<Platform, CustomDocuments>) -> Option<String> {
    let both = documents.iter().find(|(_, own)| own.patch.is_some() && (own.pre_patch.is_some() || own.post_patch.is_some()));
    both.map(|(platform, _)| {
        format!("`customDocuments`: a {platform} document instead of the patch runs nothing before or after it: put the steps into that document")
    })
}

/// Puts a run's own documents into the command of an install. Scans and reboots are the catalog's: they prove and finish.
pub fn put(campaign: &Campaign, platform: Platform, step: RunStep, document: &mut String, parameters: &mut BTreeMap<String, Vec<String>>) {
    let Some(own) = campaign.bulk.as_ref().and_then(|bulk| bulk.documents.get(&platform)).filter(|_| step == RunStep::Install) else { return };
    if let Some(patch) = &own.patch {
        document.clone_from(patch);
    }
    for (key, name) in [("PreInstallHookDocName", &own.pre_patch), ("PostInstallHookDocName", &own.post_patch)] {
        if let Some(name) = name {
            WITH_HOOKS.clone_into(document);
            parameters.insert(key.to_owned(), vec![name.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_instead_of_the_patch_has_no_hooks() {
        let own = |patch: Option<&str>, pre: Option<&str>| {
            BTreeMap::from([(Platform::Linux, CustomDocuments { pre_patch: pre.map(str::to_owned), patch: patch.map(str::to_owned), post_patch: None })])
        };
        assert!(fault(&own(Some("Own"), Some("Pre"))).is_some());
        assert_eq!(fault(&own(Some("Own"), None)), None);
        assert_eq!(fault(&own(None, Some("Pre"))), None);
    }
}
