//! A policy in plain English, for a person who has to answer for it and does not read TOML.

use super::text::{and, quoted, seconds};
use super::{Amount, Policy, RebootMode, Selector, Wave, Window};
use crate::catalog::{Hooks, OnPlatform, Runner};
use crate::cron::Cron;
use crate::deadline::Sla;
use crate::schedule::{Schedule, When};

/// What a policy does, sentence by sentence, in the order in which a finding meets it.
pub fn explain(policy: &Policy) -> Vec<String> {
    let mut said = vec![purpose(policy), collecting(policy), approval(policy)];
    said.extend(waves(policy));
    said.push(budget(policy));
    said.extend(health(policy));
    said.push(limits(policy));
    said.extend(groups(policy));
    said.extend(windows(policy));
    said.extend(freezes(policy));
    said.push(run(policy));
    said.extend(documents(policy));
    said.push(retry(policy));
    said.extend(exemptions(policy));
    said.extend(slas(policy));
    said.extend(by_cve(policy));
    said.extend(schedules(policy));
    let belts = &policy.belts;
    said.push(format!("A bulk run of more than {} targets, or of more than {} of the inventory, is refused.", belts.targets_max, belts.share_max));
    said
}

fn purpose(policy: &Policy) -> String {
    let what = policy.entry().title.as_str();
    let about = policy.description.trim_end_matches('.');
    let about = if about.is_empty() { String::new() } else { format!(" ({about})") };
    let environment = match policy.environment {
        super::Environment::Production => "production",
        super::Environment::Staging => "staging",
        super::Environment::Development => "development",
    };
    format!("Policy `{}`{about} is for {environment}. It {what}.", policy.name)
}

fn collecting(policy: &Policy) -> String {
    let collect = &policy.collect;
    let gather = match collect.gather_secs {
        0 => "with its first finding".to_owned(),
        secs => format!("{} after its first finding", seconds(secs)),
    };
    let close = match (policy.windows.is_empty(), collect.emergency, collect.close_lead_secs) {
        (true, _, _) => gather,
        (false, true, _) => format!("{gather}, however far away the next maintenance window is, because this is an emergency policy"),
        (false, false, 0) => "when the next maintenance window opens".to_owned(),
        (false, false, lead) => format!("{} before the next maintenance window opens, so that approvers have time", seconds(lead)),
    };
    format!(
        "When AWS Config finds an instance non-compliant, the instance joins a campaign. The campaign closes {close}; what is found later joins the next one."
    )
}

fn approval(policy: &Policy) -> String {
    let rule = &policy.approval;
    let who = match (rule.needed(), rule.approvers.is_empty()) {
        (0, _) => return "Nobody has to approve: it starts by itself.".to_owned(),
        (1, true) => "One person has to approve".to_owned(),
        (1, false) => format!("One of {}", named(&rule.approvers)),
        (needed, true) => format!("{needed} different people have to approve"),
        (needed, false) => format!("{needed} of {}", named(&rule.approvers)),
    };
    let who = if rule.approvers.is_empty() { who } else { format!("{who} must approve") };
    let what = if rule.per_wave { "each wave before it starts" } else { "the campaign, once for all its waves, before anything is touched" };
    let comment = if rule.comment_required { ", with a comment" } else { "" };
    format!("{who} {what}{comment}. A yes is good for exactly what was shown, and only for waves that start within {} of it.", seconds(rule.expires_secs))
}

fn named<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    quoted(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn waves(policy: &Policy) -> Vec<String> {
    let count = policy.waves.len();
    let parts: Vec<String> = policy.waves.iter().enumerate().map(|(place, wave)| format!("`{}` ({})", wave.name, members(wave, place + 1 == count))).collect();
    let mut said = match parts.as_slice() {
        [] => Vec::new(),
        [only] => vec![format!("All instances are patched in one wave, {only}.")],
        _ => vec![format!("Instances are patched in {count} waves, one after the other: {}.", parts.join(", then "))],
    };
    let own: Vec<String> =
        policy.waves.iter().filter_map(|wave| Some(format!("in `{}` at most {} at the same time", wave.name, of(wave.at_once?, "it")))).collect();
    if !own.is_empty() {
        said.push(format!("On top of the limits below, {} are touched.", and(&own)));
    }
    let bakes = |wave: &Wave| match wave.bake_secs {
        0 => format!("`{}` not at all", wave.name),
        secs => format!("`{}` for {}", wave.name, seconds(secs)),
    };
    if let [watched @ .., _] = policy.waves.as_slice()
        && !watched.is_empty()
    {
        let bakes: Vec<String> = watched.iter().map(bakes).collect();
        said.push(format!("A wave starts only when the one before it is proven and has been watched after its last instance: {}.", and(&bakes)));
    }
    said
}

fn members(wave: &Wave, is_last: bool) -> String {
    let mut parts = Vec::new();
    if !wave.instances.is_empty() {
        let (first, more) = (named(wave.instances.get(..3).unwrap_or(&wave.instances)), wave.instances.len().saturating_sub(3));
        parts.push(if more > 0 { format!("{first} and {more} more by name") } else { format!("{first} by name") });
    }
    match (wave.share, wave.select.is_empty()) {
        (Some(share), true) => parts.push(format!("{share} of the campaign")),
        (Some(share), false) => parts.push(format!("up to {share} of the campaign, out of {}", selected(&wave.select))),
        (None, false) => parts.push(format!("all with {}", selected(&wave.select))),
        (None, true) if is_last => parts.push("everyone who is left".to_owned()),
        (None, true) => {}
    }
    parts.join(", and ")
}

fn selected(select: &Selector) -> String {
    let mut parts: Vec<String> = Vec::new();
    let any = |values: Vec<String>| values.join(" or ");
    for (key, values) in &select.tags {
        parts.push(format!("tag {key}={}", any(values.clone())));
    }
    let mut list = |what: &str, values: Vec<String>| {
        if !values.is_empty() {
            parts.push(format!("{what} {}", any(values)));
        }
    };
    list("account", select.accounts.iter().map(ToString::to_string).collect());
    list("Region", select.regions.iter().map(ToString::to_string).collect());
    list("platform", select.platforms.iter().map(ToString::to_string).collect());
    list("organizational unit", select.ous.clone());
    and(&parts)
}

/// `25% of a wave`, `3 targets of a wave`.
fn of(amount: Amount, whole: &str) -> String {
    match amount {
        Amount::Count(1) => format!("1 target of {whole}"),
        Amount::Count(count) => format!("{count} targets of {whole}"),
        Amount::Share(share) => format!("{share} of {whole}"),
        Amount::Least { count, share } => format!("{count} targets or {share} of {whole}, whichever is less"),
    }
}

fn budget(policy: &Policy) -> String {
    let own: Vec<String> =
        policy.waves.iter().filter_map(|wave| Some(format!("for `{}` the limit is {}", wave.name, of(wave.failure_budget?, "it")))).collect();
    let own = if own.is_empty() { String::new() } else { format!(" ({})", and(&own)) };
    let more = match policy.failure_budget {
        Amount::Count(0) => "a single target of a wave fails or ends unknown".to_owned(),
        Amount::Count(1) => format!("more than {} fails or ends unknown", of(policy.failure_budget, "a wave")),
        budget => format!("more than {} fail or end unknown", of(budget, "a wave")),
    };
    format!("If {more}{own}, everything under this policy halts until a named person resumes it.")
}

fn health(policy: &Policy) -> Vec<String> {
    let Some(rule) = &policy.health else { return Vec::new() };
    let alarms = match rule.alarms.as_slice() {
        [] => String::new(),
        [one] => format!("alarm `{one}` is in ALARM, or if "),
        many => format!("one of the alarms {} is in ALARM, or if ", named(many)),
    };
    let away = match rule.offline {
        Amount::Count(0) => "a single host of the wave is".to_owned(),
        Amount::Count(1) => "more than 1 host of the wave is".to_owned(),
        Amount::Count(count) => format!("more than {count} hosts of the wave are"),
        share => format!("more than {} are", of(share, "the hosts of the wave")),
    };
    let what = if rule.halts { "everything under this policy halts" } else { "the campaign holds" };
    let mut said = vec![format!(
        "Before each wave, and while one runs and is watched, its health is asked: if {alarms}{away} not heard of after it, {what} until a named person \
         resumes it. Where nobody can say, it is asked again for {}, and then a person is asked.",
        seconds(rule.wait_secs)
    )];
    let own: Vec<String> = policy.waves.iter().filter(|wave| !wave.alarms.is_empty()).map(|wave| format!("`{}` {}", wave.name, named(&wave.alarms))).collect();
    if !own.is_empty() {
        said.push(format!("Waves have alarms of their own: {}.", and(&own)));
    }
    said
}

fn limits(policy: &Policy) -> String {
    let radius = &policy.blast_radius;
    let mut parts =
        vec![of(radius.wave, "a wave"), of(radius.account, "an account"), of(radius.region, "a Region"), of(radius.organization, "the organization")];
    if let Some(tag) = &radius.tag {
        parts.push(of(tag.limit, &format!("the instances that share a value of tag `{}`", tag.key)));
    }
    format!("At the same time at most {} are touched; a percentage is rounded down, but never below one.", and(&parts))
}

fn windows(policy: &Policy) -> Vec<String> {
    if policy.windows.is_empty() && policy.also_windows.is_empty() {
        return vec!["There is no maintenance window: patching may start at any time of any day.".to_owned()];
    }
    let mut said: Vec<String> = policy.windows.iter().map(|window| format!("Patching starts only in a maintenance window. {}", opens(window))).collect();
    for sentence in said.iter_mut().skip(1) {
        *sentence = sentence.replacen("Patching starts only in a maintenance window. ", "Another window: ", 1);
    }
    said.extend(policy.also_windows.iter().map(|window| format!("At the same time one of these must be open. {}", opens(window))));
    said
}

fn opens(window: &Window) -> String {
    let words = Cron::parse(&window.cron).ok().and_then(|cron| cron.in_words());
    let when = words.unwrap_or_else(|| format!("at the times of `{}`", window.cron));
    let cutoff = match window.cutoff_secs {
        0 => "what starts must be able to end by then".to_owned(),
        secs => format!("what starts must be able to end {} before that", seconds(secs)),
    };
    format!("`{}` opens {when} {} for {}; {cutoff}.", window.name, window.time_zone, seconds(window.duration_secs))
}

fn groups(policy: &Policy) -> Vec<String> {
    let kept = |group: &super::Group| {
        let place = if group.span == super::Span::Region { " in one account and Region" } else { "" };
        format!("Of all that share a value of the tag `{}`{place}, at least {} stay untouched at any time.", group.tag, group.available_min)
    };
    policy.groups.iter().map(kept).collect()
}

fn freezes(policy: &Policy) -> Vec<String> {
    let reason = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let frozen = |freeze: &super::Freeze| {
        format!("Nothing is touched from {} until {} (freeze `{}`{}).", freeze.from, freeze.until, freeze.name, reason(&freeze.reason))
    };
    let mut said: Vec<String> = policy.freezes.iter().map(frozen).collect();
    if !policy.calendars.is_empty() {
        said.push(format!("Nothing starts while one of these change calendars is closed, or its state unknown: {}.", named(&policy.calendars)));
    }
    said
}

/// What runs beside or instead of the one document that most policies run: whoever approves must see it.
fn documents(policy: &Policy) -> Vec<String> {
    let entry = policy.entry();
    let mut said = Vec::new();
    let named = |hooks: &Hooks| {
        let parts = [("before the install", &hooks.pre), ("after it", &hooks.post), ("at the end", &hooks.on_exit)];
        let parts: Vec<String> = parts.into_iter().filter_map(|(when, document)| Some(format!("`{}` {when}", document.as_ref()?))).collect();
        and(&parts)
    };
    if let Some(rule) = &policy.backup {
        let reuse = if rule.reuse_secs == 0 { String::new() } else { format!(", unless one that is younger than {} is there", seconds(rule.reuse_secs)) };
        said.push(format!(
            "Before each install the Automation runbook `{}` backs the instance up, in at most {}{reuse}. Where that fails nothing is installed, and the instance \
             counts as failed.",
            rule.document,
            seconds(rule.timeout_secs)
        ));
    }
    let support = entry.hooks.as_ref().map(|support| support.defaults()).unwrap_or_default();
    let shared = policy.hooks.or(&support);
    if !shared.is_empty() {
        said.push(format!("Hooks run on the instance: {}. Where the first fails, nothing is installed.", named(&shared)));
    }
    for wave in policy.waves.iter().filter(|wave| !wave.hooks.is_empty()) {
        said.push(format!("In wave `{}` the hooks are {}.", wave.name, named(&wave.hooks.or(&shared))));
    }
    if policy.custom_entry.is_some() || entry.runner != Runner::Command || !entry.pins_patches() {
        let how = match entry.runner {
            Runner::Command => format!("It runs the document `{}` on the instance", entry.document),
            Runner::Automation => format!("It runs the Automation runbook `{}` about the instance", entry.document),
            Runner::Report => format!("It runs nothing: a finding goes to `{}`", policy.retry.owner),
        };
        let own = if policy.custom_entry.is_some() { ", as a catalog entry of your own says" } else { "" };
        let proof = if entry.pins_patches() || entry.runner == Runner::Report { "" } else { "; only AWS Config's verdict on the state afterwards proves it" };
        said.push(format!("{how}{own}{proof}."));
    }
    for (platform, special) in &entry.documents {
        if let Some(document) = &special.document {
            let platform = match platform {
                OnPlatform::Linux => "Linux",
                OnPlatform::Windows => "Windows",
                OnPlatform::Macos => "macOS",
            };
            said.push(format!("On {platform} it runs `{document}` instead."));
        }
    }
    said
}

fn run(policy: &Policy) -> String {
    if !policy.entry().pins_patches() {
        // Reboots and scans are a patch's; what is true of this entry follows.
        return format!("A run may take {} on one instance.", seconds(policy.execution_timeout_secs));
    }
    let reboot = match policy.reboot {
        RebootMode::InCommand => "The patch command reboots the instance where something was installed or a reboot is pending",
        RebootMode::Separate => "The patch command does not reboot; the reboot is a step of its own that passes the same gates",
        RebootMode::Never => "Nothing reboots: an instance that needs it stays non-compliant until somebody else reboots it",
    };
    let limit = seconds(policy.execution_timeout_secs);
    format!(
        "{reboot}. A patch may run for {limit} on one instance. It counts as patched when a scan afterwards finds nothing missing, and as remediated when AWS Config agrees."
    )
}

fn retry(policy: &Policy) -> String {
    let retry = &policy.retry;
    let owner = &retry.owner;
    match retry.attempts_max {
        0 | 1 => format!("An instance whose attempt fails is not tried again: `{owner}` must look at it."),
        max => {
            let (first, longest) = (seconds(retry.backoff_secs), seconds(retry.backoff_max_secs));
            let waits = if retry.backoff_secs == 0 {
                "without a wait".to_owned()
            } else {
                format!("first after {first}, then twice as long each time, at most {longest}")
            };
            format!("An instance whose attempt fails is tried again in a later campaign, {max} attempts in all, {waits}; then `{owner}` must look at it.")
        }
    }
}

fn exemptions(policy: &Policy) -> Vec<String> {
    let meant = |exemption: &super::Exemption| {
        let mut parts = Vec::new();
        if !exemption.instances.is_empty() {
            parts.push(named(&exemption.instances));
        }
        if !exemption.select.is_empty() {
            parts.push(format!("everything with {}", selected(&exemption.select)));
        }
        and(&parts)
    };
    let left = |exemption: &super::Exemption| {
        let ticket = exemption.ticket.as_ref().map(|ticket| format!(" ({ticket})")).unwrap_or_default();
        let reason = exemption.reason.trim_end_matches('.');
        format!("Left alone until {}: {}. `{}` answers for it: {reason}{ticket}.", exemption.until, meant(exemption), exemption.owner)
    };
    let mut said: Vec<String> = policy.exemptions.iter().map(left).collect();
    if policy.exemption_terms.mirror {
        said.push("AWS Config is told who is exempt, as remediation exceptions of the rules that found them, until each exemption ends.".to_owned());
    }
    said
}

fn slas(policy: &Policy) -> Vec<String> {
    let one = |sla: &Sla| {
        let names: Vec<String> = sla.severities.iter().map(ToString::to_string).collect();
        let severe = if names.is_empty() { String::new() } else { format!(" for a missing patch of severity {}", names.join(" or ")) };
        let whom = if sla.select.is_empty() { "An instance".to_owned() } else { format!("An instance with {}", selected(&sla.select)) };
        let asks = if sla.framework.is_empty() { String::new() } else { format!("{}; ", sla.framework) };
        let days = if sla.days == 1 { "1 day".to_owned() } else { format!("{} days", sla.days) };
        format!("{whom} must be patched within {days} of its first finding{severe} (`{}`: {asks}{}, version {}).", sla.name, sla.source, sla.version)
    };
    let mut said: Vec<String> = policy.slas.iter().map(one).collect();
    if !said.is_empty() || policy.by_cve.is_some() {
        said.push("Within a wave, who is due first is patched first; operators are told when a deadline passes.".to_owned());
    }
    said
}

fn by_cve(policy: &Policy) -> Vec<String> {
    let Some(rules) = &policy.by_cve else { return Vec::new() };
    let mut said =
        vec!["When a campaign closes, the patches that each of its instances lacks are read, one call each; where nobody can say, nothing changes.".to_owned()];
    if rules.kev {
        said.push(
            "A missing patch for a CVE of the KEV catalog is due by that catalog's due date, as soon as somebody has loaded one (`tidegate kev load`)."
                .to_owned(),
        );
    }
    if let Some(table) = &rules.table {
        let exposed = match &rules.exposed {
            Some(select) => format!("instances with {} count as reachable from the internet, all others do not", selected(select)),
            None => "nobody says which instances the internet reaches, so that the strictest row counts".to_owned(),
        };
        said.push(format!(
            "Each CVE of a missing patch is due as the decision table `{}` says ({}, version {}), whatever is earlier; {exposed}.",
            table.name, table.source, table.version
        ));
    }
    said.push(match rules.relax {
        true => "By that, a deadline may become earlier or, while it is not broken, later.".to_owned(),
        false => "By that, a deadline may become earlier, never later.".to_owned(),
    });
    said
}

fn schedules(policy: &Policy) -> Vec<String> {
    let one = |schedule: &Schedule| {
        let when = match &schedule.when {
            When::Cron(cron) => Cron::parse(cron).ok().and_then(|cron| cron.in_words()).unwrap_or_else(|| format!("at the times of `{cron}`")),
            When::PatchTuesday { plus_days: 0, at } => format!("on the second Tuesday of each month at {}", at.strftime("%H:%M")),
            When::PatchTuesday { plus_days: 1, at } => format!("1 day after the second Tuesday of each month at {}", at.strftime("%H:%M")),
            When::PatchTuesday { plus_days, at } => format!("{plus_days} days after the second Tuesday of each month at {}", at.strftime("%H:%M")),
        };
        let (name, run) = (&schedule.name, &schedule.run);
        if !schedule.enabled {
            return format!("Schedule `{name}` is switched off.");
        }
        let late = seconds(schedule.catch_up_secs);
        format!(
            "Schedule `{name}` starts the bulk run of `{run}` {when} {}; one that is more than {late} late does not start, and operators are told.",
            schedule.time_zone
        )
    };
    policy.schedules.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
