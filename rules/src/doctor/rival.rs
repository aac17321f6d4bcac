//! Who else patches here: whether a document patches, what it was asked to do, and who owns it.

use super::facts::Parameters;

/// Documents of AWS that patch, and the parameter that says whether they install; without one they always do what is written.
const DOCUMENTS: [(&str, Asked); 10] = [
    ("AWS-RunPatchBaseline", Asked::By("Operation")),
    ("AWS-RunPatchBaselineWithHooks", Asked::By("Operation")),
    ("AWS-RunPatchBaselineAssociation", Asked::By("Operation")),
    ("AWS-ApplyPatchBaseline", Asked::By("Operation")),
    ("AWS-InstallWindowsUpdates", Asked::By("Action")),
    ("AWS-InstallMissingWindowsUpdates", Asked::Always(Work::Install)),
    ("AWS-InstallSpecificWindowsUpdates", Asked::Always(Work::Install)),
    ("AWS-FindWindowsUpdates", Asked::Always(Work::Scan)),
    ("AWS-PatchInstanceWithRollback", Asked::Always(Work::Install)),
    ("AWS-PatchAsgInstance", Asked::Always(Work::Install)),
];

/// What Quick Setup puts in names of what it makes for a patch policy, in small letters: associations, roles, buckets.
const PATCH_POLICY: &str = "quicksetup-patchpolicy";

#[derive(Debug, Clone, Copy)]
enum Asked {
    By(&'static str),
    Always(Work),
}

/// What a rival does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It looks for what is missing, by the instance's own baseline.
    Scan,
    /// It looks, by a baseline that it brings: what is missing then changes with who looked last.
    ForeignScan,
    /// It installs, outside of every wave and gate.
    Install,
    /// It is not known which.
    Unclear,
}

/// A document's name without what an ARN or a version puts around it.
fn bare(document: &str) -> &str {
    document.rsplit('/').next().unwrap_or(document)
}

/// Whether a document patches, by its name. A document of one's own that runs one of these is not known.
pub fn is_patching(document: &str) -> bool {
    DOCUMENTS.iter().any(|(name, _)| *name == bare(document)) || document.to_ascii_lowercase().contains(PATCH_POLICY)
}

/// What a document is asked to do; `None` where it does not patch.
pub fn work(document: &str, parameters: Option<&Parameters>) -> Option<Work> {
    if !is_patching(document) {
        return None;
    }
    let Some((_, asked)) = DOCUMENTS.iter().find(|(name, _)| *name == bare(document)) else { return Some(Work::Unclear) };
    let key = match asked {
        Asked::Always(work) => return Some(*work),
        Asked::By(key) => key,
    };
    let Some(parameters) = parameters else { return Some(Work::Unclear) };
    let brings_own = parameters.get("BaselineOverride").is_some_and(|values| values.iter().any(|value| !value.is_empty()));
    Some(match parameters.get(*key).map(Vec::as_slice) {
        Some([word]) if word == "Install" => Work::Install,
        Some([word]) if word == "Scan" && brings_own => Work::ForeignScan,
        Some([word]) if word == "Scan" => Work::Scan,
        _ => Work::Unclear,
    })
}

/// Whether an association belongs to a patch policy of Quick Setup, which makes it anew where only the association is deleted.
pub fn is_of_patch_policy(name: &str, document: &str, parameters: Option<&Parameters>) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains(PATCH_POLICY);
    let overrides = parameters.and_then(|parameters| parameters.get("BaselineOverride"));
    says(name) || says(document) || overrides.is_some_and(|values| values.iter().any(|value| says(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect()
    }

    #[test]
    fn what_a_document_does_stands_in_its_parameters() {
        let scan = with(&[("Operation", "Scan")]);
        assert_eq!(work("AWS-RunPatchBaseline", Some(&scan)), Some(Work::Scan));
        assert_eq!(work("arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline", Some(&with(&[("Operation", "Install")]))), Some(Work::Install));
        let foreign = with(&[("Operation", "Scan"), ("BaselineOverride", "s3://aws-quicksetup-patchpolicy-111122223333-abcde/baseline_overrides.json")]);
        assert_eq!(work("AWS-RunPatchBaseline", Some(&foreign)), Some(Work::ForeignScan));
        assert_eq!(work("AWS-RunPatchBaseline", Some(&with(&[("Operation", "Scan"), ("BaselineOverride", "")]))), Some(Work::Scan));
        assert_eq!(work("AWS-InstallWindowsUpdates", Some(&with(&[("Action", "Install")]))), Some(Work::Install));
        assert_eq!(work("AWS-PatchAsgInstance", None), Some(Work::Install));
        assert_eq!(work("AWS-GatherSoftwareInventory", Some(&scan)), None);
    }

    #[test]
    fn what_nobody_read_or_understands_is_unclear() {
        assert_eq!(work("AWS-RunPatchBaseline", None), Some(Work::Unclear));
        for wrong in [with(&[]), with(&[("Operation", "install")]), with(&[("Operation", "{{ Operation }}")])] {
            assert_eq!(work("AWS-RunPatchBaseline", Some(&wrong)), Some(Work::Unclear), "{wrong:?}");
        }
        assert_eq!(work("AWSQuickSetup-PatchPolicy-Run", Some(&with(&[("Operation", "Scan")]))), Some(Work::Unclear));
    }

    #[test]
    fn a_patch_policy_is_known_by_name_or_by_its_bucket() {
        assert!(is_of_patch_policy("AWS-QuickSetup-PatchPolicy-InstallForLA-a1b2c", "AWS-RunPatchBaseline", None));
        let bucket = with(&[("BaselineOverride", "s3://aws-quicksetup-patchpolicy-111122223333-abcde/baseline_overrides.json")]);
        assert!(is_of_patch_policy("", "AWS-RunPatchBaseline", Some(&bucket)));
        assert!(!is_of_patch_policy("weekly", "AWS-RunPatchBaseline", Some(&with(&[("Operation", "Install")]))));
    }
}
