//! What a target lacks, patch by patch, and what that means for its deadline. Read when its campaign closes, and only where the policy
//! asks for it. What could not be read changes nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_events::host::Host;
use tidegate_events::id::{AccountId, InstanceId, Region, TargetKey};
use tidegate_events::patch::{Lacking, Lacks, MissingPatch};

use super::{About, ByCve, Deadline, DecisionTable, Kev, in_force, non_compliant_since, of_patches, tightened};
use crate::book::{Book, target_mut};
use crate::desk::{Desk, Missing};
use crate::exemption::selects;
use crate::policy::Selector;
use crate::state::Target;

/// What a policy asks about missing patches: `[by_cve]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CveRules {
    /// Due dates of the KEV catalog set deadlines.
    pub kev: bool,
    /// A decision table that sets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<DecisionTable>,
    /// Targets that can be reached from the internet; `None`: nobody says, and the strictest row counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Selector>,
    /// What is known to be missing may also make a deadline later than the finding alone had set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relax: bool,
}

/// What is known of what a target lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LacksNow {
    /// What.
    pub lacks: Lacks,
    /// When it was read.
    pub at: Timestamp,
}

/// What the patch lists of a chunk's hosts say, with the data that judges them.
#[derive(Debug, Default)]
pub struct Lists<'a> {
    rules: Option<&'a CveRules>,
    kev: Option<Kev>,
    lacking: &'a [Lacking],
}

/// What the look-up of one host means for its target.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Its deadline, where that changes.
    pub deadline: Option<Deadline>,
    /// What it lacks, where that was read.
    pub lacks: Option<Lacks>,
}

impl<'a> Lists<'a> {
    /// What was read, under the current policy; the catalog is needed only where there is something to look up in it.
    ///
    /// # Errors
    /// When the catalog is not loaded.
    pub fn new(desk: &Desk<'a>, lacking: &'a [Lacking]) -> Result<Self, Missing> {
        let policy = desk.policy();
        let Some(rules) = policy.by_cve.as_ref().filter(|_| !lacking.is_empty()) else { return Ok(Self::default()) };
        let kev = if rules.kev { in_force(desk)? } else { None };
        Ok(Self { rules: Some(rules), kev, lacking })
    }

    /// What they mean for a target that was looked up: a deadline becomes earlier; later only where the policy lets it, nobody broke it yet,
    /// and some rule speaks of what is there.
    pub fn judge(&self, desk: &Desk<'_>, target: &Target, host: &Host, ous: &[String]) -> Judged {
        let by_tags = tightened(desk, target, host, ous);
        let list = self.lacking.iter().find(|lacking| lacking.instance == host.instance).and_then(|lacking| lacking.missing.as_deref());
        // An empty list of a target with a finding says that somebody is wrong, not who: it tells nothing.
        let (Some(rules), Some(missing)) = (self.rules, list.filter(|missing| !missing.is_empty())) else {
            return Judged { deadline: by_tags, lacks: None };
        };
        let lacks = Some(self.count(missing));
        let Some(since) = target.deadline.as_ref().map(|deadline| deadline.since).or_else(|| non_compliant_since(target)) else {
            return Judged { deadline: by_tags, lacks };
        };
        let about = About { target: &target.key, host: Some(host), ous, since };
        let exposed = rules.exposed.as_ref().map(|select| selects(select, &target.key, Some(host), ous));
        let by_cve = ByCve { kev: self.kev.as_ref(), table: rules.table.as_ref(), facts: None, exposed };
        let exact = of_patches(&desk.policy().slas, &by_cve, &about, missing);
        let deadline = match (exact, by_tags.as_ref().or(target.deadline.as_ref())) {
            (Some(exact), Some(known)) if exact.at < known.at => Some(exact),
            (Some(exact), Some(_)) if rules.relax && target.breached.is_none() => Some(exact),
            (Some(exact), None) => Some(exact),
            _ => by_tags,
        };
        Judged { deadline: deadline.filter(|deadline| target.deadline.as_ref() != Some(deadline)), lacks }
    }

    fn count(&self, missing: &[MissingPatch]) -> Lacks {
        let mut lacks = Lacks { kev: self.kev.as_ref().map(|kev| kev.version.clone()), ..Lacks::default() };
        for patch in missing {
            let count = lacks.severities.entry(patch.severity).or_default();
            *count = count.saturating_add(1);
        }
        let is_listed = |kev: &Kev, patch: &MissingPatch| patch.cves.iter().any(|cve| kev.get(cve).is_some());
        lacks.exploited = self.kev.as_ref().map(|kev| u32::try_from(missing.iter().filter(|patch| is_listed(kev, patch)).count()).unwrap_or(u32::MAX));
        lacks
    }
}

/// What the look-up of a chunk makes true of its targets.
pub(crate) fn looked_up(
    book: &mut impl Book,
    at: Timestamp,
    (account, region): (AccountId, &Region),
    deadlines: &[(InstanceId, Deadline)],
    lacks: &[(InstanceId, Lacks)],
) -> Result<(), Missing> {
    let key = |instance: &InstanceId| TargetKey { account, region: region.clone(), instance: instance.clone() };
    for (instance, deadline) in deadlines {
        target_mut(book, &key(instance))?.deadline = Some(deadline.clone());
    }
    for (instance, lacks) in lacks {
        target_mut(book, &key(instance))?.lacks = Some(LacksNow { lacks: lacks.clone(), at });
    }
    Ok(())
}
