//! Documents of a bulk run's own around the patch, or instead of it (`customDocuments`): which can't be run. They are part of the
//! run's terms ([`policy_for`](super::terms::policy_for)), and so of what is approved.

use std::collections::BTreeMap;

use tidegate_events::host::Platform;
use tidegate_events::run::CustomDocuments;

/// Why a run's documents can't be run, where they can't.
pub fn fault(documents: &BTreeMap<Platform, CustomDocuments>) -> Option<String> {
    let both = documents.iter().find(|(_, own)| own.patch.is_some() && (own.pre_patch.is_some() || own.post_patch.is_some()));
    both.map(|(platform, _)| {
        format!("`customDocuments`: a {platform} document instead of the patch runs nothing before or after it: put the steps into that document")
    })
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
