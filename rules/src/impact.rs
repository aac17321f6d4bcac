//! What a yes would mean, in a few sentences for whoever is asked: how many instances, what becomes of reboots, who failed before.
//! Advisory: nothing decides on it, and what is not known is said to be not known.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_events::fact::Verdict;
use tidegate_events::host::Platform;
use tidegate_events::patch::Severity;

use crate::deadline::LacksNow;
use crate::policy::RebootMode;
use crate::state::Target;

/// Characters of an analysis that are shown.
pub const ANALYSIS_MAX: usize = 2_000;

/// Missing patches by severity, summed over the instances of which it is known: one that two of them lack counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Severities {
    /// Critical.
    pub critical: u64,
    /// Important, or High.
    pub important: u64,
    /// Medium, or Moderate.
    pub medium: u64,
    /// Low.
    pub low: u64,
    /// The vendor names none.
    pub unspecified: u64,
}

impl Severities {
    fn add(&mut self, severity: Severity, more: u32) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::Important => &mut self.important,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Unspecified => &mut self.unspecified,
        };
        *count = count.saturating_add(u64::from(more));
    }
}

/// What happens about reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reboots {
    /// Every instance that gets a patch reboots at once.
    WithThePatches,
    /// Instances reboot in a step of its own, behind the gates again.
    InAStepOfItsOwn,
    /// Nothing reboots; what is installed is not in force before somebody does it.
    LeftToOthers,
}

/// Earlier attempts on the instances that were looked at, and on those like them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Earlier {
    /// Instances of which an attempt failed since they were last compliant.
    pub failed_before: u64,
    /// The same by platform; those without any are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_by_platform: BTreeMap<String, u64>,
    /// Instances by the verdict of their last attempt, where they had one.
    pub by_verdict: BTreeMap<String, u64>,
    /// How the lane's campaigns before this one ended, as far back as was looked.
    #[serde(default)]
    pub before: Before,
}

/// How earlier campaigns of the same lane (the same remediation under the same policy) ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// Campaigns that were looked at.
    pub campaigns: u64,
    /// Instances in them that were proven patched.
    pub ok: u64,
    /// Instances in them that failed, or of which nothing could be proven.
    pub bad: u64,
}

/// An instance that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its platform.
    pub platform: Platform,
    /// What is known of it.
    pub target: Target,
}

/// What was read for a note.
#[derive(Debug, Clone, Copy)]
pub struct ImpactFacts<'a> {
    /// Instances that a yes covers.
    pub targets: u64,
    /// Waves that it covers.
    pub waves: u64,
    /// What the policy says about reboots.
    pub reboot: RebootMode,
    /// Those of them that were looked at.
    pub seen: &'a [Seen],
    /// How earlier campaigns ended.
    pub before: Before,
}

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// `tidegate.impact/1`
    pub schema: String,
    /// Instances that a yes covers.
    pub targets: u64,
    /// How many of them were looked at for the rest.
    pub looked_at: u64,
    /// Accounts among those.
    pub accounts: u64,
    /// Regions among those.
    pub regions: u64,
    /// Of how many of those it is known what they lack: the policy asked for it, and Systems Manager could say.
    #[serde(default)]
    pub known_of: u64,
    /// What these lack; `null` where that is known of none.
    pub severities: Option<Severities>,
    /// Of that, patches for vulnerabilities that are known to be exploited; `null` where no catalog of them was loaded.
    pub known_exploited: Option<u64>,
    /// What happens about reboots.
    pub reboots: Reboots,
    /// Earlier attempts.
    pub earlier: Earlier,
    /// All that in sentences.
    pub sentences: Vec<String>,
    /// A model's words on it. Advisory, unchecked, and absent where none was asked or it did not answer in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<String>,
}

/// Writes the note.
pub fn note(facts: &ImpactFacts<'_>) -> Impact {
    let targets = || facts.seen.iter().map(|seen| &seen.target);
    let accounts = targets().map(|target| target.key.account).collect::<BTreeSet<_>>().len();
    let regions = targets().map(|target| &target.key.region).collect::<BTreeSet<_>>().len();
    let mut earlier = Earlier { before: facts.before, ..Earlier::default() };
    let (mut known_of, mut severities, mut known_exploited) = (0u64, None::<Severities>, None::<u64>);
    for seen in facts.seen {
        if let Some(LacksNow { lacks, .. }) = &seen.target.lacks {
            known_of += 1;
            let sum = severities.get_or_insert_default();
            lacks.severities.iter().for_each(|(severity, count)| sum.add(*severity, *count));
            known_exploited = lacks.exploited.map(|more| u64::from(more).saturating_add(known_exploited.unwrap_or(0))).or(known_exploited);
        }
        if seen.target.attempts > 0 {
            earlier.failed_before += 1;
            *earlier.failed_by_platform.entry(seen.platform.to_string()).or_default() += 1;
        }
        if let Some(verdict) = seen.target.verdict {
            *earlier.by_verdict.entry(verdict.name().to_owned()).or_default() += 1;
        }
    }
    let reboots = match facts.reboot {
        RebootMode::InCommand => Reboots::WithThePatches,
        RebootMode::Separate => Reboots::InAStepOfItsOwn,
        RebootMode::Never => Reboots::LeftToOthers,
    };
    let mut impact = Impact {
        schema: "tidegate.impact/1".to_owned(),
        targets: facts.targets,
        looked_at: count(facts.seen.len()),
        accounts: count(accounts),
        regions: count(regions),
        known_of,
        severities,
        known_exploited,
        reboots,
        earlier,
        sentences: Vec::new(),
        analysis: None,
    };
    impact.sentences = sentences(&impact, facts);
    impact
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// `1 instance`, `2 instances`.
fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn sentences(impact: &Impact, facts: &ImpactFacts<'_>) -> Vec<String> {
    let mut said = vec![format!("{} in {}.", plural(impact.targets, "instance"), plural(facts.waves, "wave"))];
    if impact.looked_at < impact.targets {
        said.push(format!("What follows is about the first {} of them.", impact.looked_at));
    }
    said.push(format!("They are in {} and {}.", plural(impact.accounts, "account"), plural(impact.regions, "Region")));
    said.push(match impact.severities {
        Some(found) => {
            let parts = [
                (found.critical, "critical"),
                (found.important, "important"),
                (found.medium, "medium"),
                (found.low, "low"),
                (found.unspecified, "of no named severity"),
            ];
            let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, severity)| format!("{count} {severity}")).collect();
            format!("What {} of them lack, by severity: {}.", impact.known_of, parts.join(", "))
        }
        None => "How severe what they lack is, is not known.".to_owned(),
    });
    said.push(match impact.known_exploited {
        Some(0) => "None of that is known to be exploited.".to_owned(),
        Some(hits) => format!("Missing patches for vulnerabilities that are known to be exploited: {hits}."),
        None => "Whether any of it is known to be exploited is not known.".to_owned(),
    });
    said.push(
        match impact.reboots {
            Reboots::WithThePatches => "An instance that gets a patch reboots at once.",
            Reboots::InAStepOfItsOwn => "Nothing reboots with the patches; instances that need it reboot in a step of its own, behind the gates again.",
            Reboots::LeftToOthers => "Nothing reboots: what needs a reboot is not in force before somebody else does it.",
        }
        .to_owned(),
    );
    let bad: Vec<String> = Verdict::ALL
        .iter()
        .filter(|verdict| !matches!(verdict, Verdict::Remediated | Verdict::PatchedUnconfirmed))
        .filter_map(|verdict| Some(format!("{} {}", impact.earlier.by_verdict.get(verdict.name())?, verdict.name().replace('_', " "))))
        .collect();
    let platforms = &impact.earlier.failed_by_platform;
    let by_platform: Vec<String> = platforms.iter().map(|(platform, failed)| format!("{failed} {platform}")).collect();
    let by_platform = if by_platform.len() > 1 { format!(" ({})", by_platform.join(", ")) } else { String::new() };
    said.push(match (impact.earlier.failed_before, bad.is_empty()) {
        (0, true) => "None of them failed since it was last compliant.".to_owned(),
        (0, false) => format!("Their last attempts ended: {}.", bad.join(", ")),
        (failed, true) => format!("{failed} of them failed before{by_platform}."),
        (failed, false) => format!("{failed} of them failed before{by_platform}; last attempts ended: {}.", bad.join(", ")),
    });
    let before = impact.earlier.before;
    said.push(match before.campaigns {
        0 => "No campaign of this lane came before.".to_owned(),
        campaigns => {
            let ended = before.ok.saturating_add(before.bad);
            format!("Of {} in {} of this lane before, {} failed.", plural(ended, "instance"), plural(campaigns, "campaign"), before.bad)
        }
    });
    said
}

/// What a model is told: the note alone, which has neither names nor ids in it.
pub fn prompt(impact: &Impact) -> String {
    format!(
        "A patch campaign waits for approval. In at most 120 words, say what its approver should look at first. Do not decide. Facts:\n- {}",
        impact.sentences.join("\n- ")
    )
}

/// A model's words as they may be shown: bounded, without control characters, in lines. They are other people's text all the same:
/// whoever shows them escapes them and says whose they are. `None` where nothing is left.
pub fn analysis(words: &str) -> Option<String> {
    let lines = words.lines().map(|line| line.chars().filter(|c| !is_hidden(*c)).collect::<String>().trim().to_owned()).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut short: String = text.chars().take(ANALYSIS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

/// Characters that a reader does not see, or that turn the direction of a text.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_events::patch::Lacks;

    fn target(n: u8, attempts: u32, verdict: Option<Verdict>) -> Seen {
        let key = format!("111122223333/us-east-1/i-{n:017x}").parse().unwrap();
        let platform = if n.is_multiple_of(2) { Platform::Windows } else { Platform::Linux };
        Seen { platform, target: Target { attempts, verdict, ..Target::new(key) } }
    }

    fn facts(seen: &[Seen]) -> ImpactFacts<'_> {
        ImpactFacts { targets: 3, waves: 2, reboot: RebootMode::InCommand, seen, before: Before::default() }
    }

    #[test]
    fn what_is_not_known_is_said_to_be_not_known() {
        let seen = [target(1, 0, None), target(2, 1, Some(Verdict::Partial)), target(3, 2, Some(Verdict::Failed))];
        let impact = note(&facts(&seen));
        assert_eq!((impact.looked_at, impact.earlier.failed_before), (3, 2));
        let text = impact.sentences.join(" ");
        for said in [
            "3 instances in 2 waves.",
            "1 account and 1 Region",
            "How severe what they lack is, is not known.",
            "is known to be exploited is not known",
            "reboots at once",
            "2 of them failed before (1 Linux, 1 Windows); last attempts ended: 1 partial, 1 failed.",
            "No campaign of this lane came before.",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("the first"));
    }

    #[test]
    fn a_sample_is_called_one() {
        let seen = [target(1, 0, Some(Verdict::Remediated))];
        let text = note(&facts(&seen)).sentences.join(" ");
        assert!(text.contains("the first 1 of them") && text.contains("None of them failed since it was last compliant."), "{text}");
    }

    #[test]
    fn what_is_missing_is_summed_over_those_of_which_it_is_known() {
        let lacks = |critical, low, exploited| {
            let severities = [(Severity::Critical, critical), (Severity::Low, low)].into_iter().filter(|(_, count)| *count > 0).collect();
            Some(LacksNow { lacks: Lacks { severities, exploited, kev: None }, at: jiff::Timestamp::UNIX_EPOCH })
        };
        let mut seen = [target(1, 0, None), target(2, 0, None), target(3, 0, None)];
        seen[0].target.lacks = lacks(2, 1, None);
        let impact = note(&facts(&seen));
        assert_eq!((impact.known_of, impact.known_exploited), (1, None), "no catalog was loaded by then");
        seen[2].target.lacks = lacks(0, 4, Some(1));
        let impact = note(&facts(&seen));
        assert_eq!((impact.known_of, impact.known_exploited), (2, Some(1)));
        assert_eq!(impact.severities, Some(Severities { critical: 2, low: 5, ..Severities::default() }));
        let text = impact.sentences.join(" ");
        assert!(text.contains("What 2 of them lack, by severity: 2 critical, 5 low."), "{text}");
        assert!(text.contains("Missing patches for vulnerabilities that are known to be exploited: 1."), "{text}");
    }

    #[test]
    fn campaigns_before_are_counted_in_instances() {
        let impact = note(&ImpactFacts { before: Before { campaigns: 2, ok: 39, bad: 1 }, ..facts(&[]) });
        assert!(impact.sentences.contains(&"Of 40 instances in 2 campaigns of this lane before, 1 failed.".to_owned()), "{:?}", impact.sentences);
    }

    #[test]
    fn a_models_words_are_bounded_and_show_all_that_they_are() {
        assert_eq!(analysis(" a\u{1b}[31m\r\n\n\u{202e}b\u{200b} \n"), Some("a[31m\nb".to_owned()));
        assert_eq!(analysis(&"x".repeat(ANALYSIS_MAX + 1)).unwrap().chars().count(), ANALYSIS_MAX + 1);
        assert_eq!(analysis(" \u{7}\n"), None);
    }

    #[test]
    fn a_prompt_names_nobody() {
        let seen = [target(1, 0, None)];
        let prompt = prompt(&note(&facts(&seen)));
        assert!(!prompt.contains("i-0") && !prompt.contains("111122223333"), "{prompt}");
    }
}
