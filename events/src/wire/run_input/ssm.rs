//! `ssm`: what the command does, and how many at once. A wave's own word goes before the one at the top level.

use serde_json::Value;

use super::read::{Field, optional, shown};
use crate::run::{Operation, RebootOption, RunAmount};

/// The keys of `ssm`.
pub(super) const SSM_KEYS: [&str; 4] = ["maxConcurrency", "maxErrors", "operation", "rebootOption"];

/// The largest count. Source: seven characters in SSM's MaxConcurrency and MaxErrors.
pub(super) const COUNT_MAX: u64 = 9_999_999;

/// What an `ssm` object says, and where.
#[derive(Default, Clone)]
pub(super) struct Ssm {
    max_concurrency: Option<RunAmount>,
    max_errors: Option<RunAmount>,
    operation: Option<Operation>,
    reboot: Option<(RebootOption, String)>,
}

/// What goes for a wave.
pub(super) struct Settings {
    pub(super) max_concurrency: RunAmount,
    pub(super) max_errors: RunAmount,
    pub(super) operation: Operation,
    pub(super) reboot: Option<RebootOption>,
}

/// Reads an `ssm` object.
pub(super) fn ssm(field: &Field<'_>) -> Option<Ssm> {
    let section = field.section("an object with `maxConcurrency`, `maxErrors`, `operation` and `rebootOption`")?;
    section.only(&SSM_KEYS, |_| None);
    let max_concurrency = optional(section.get("maxConcurrency"), |field| amount(field, 1));
    let max_errors = optional(section.get("maxErrors"), |field| amount(field, 0));
    let operation = optional(section.get("operation"), |field| field.word(&[("Install", Operation::Install), ("Scan", Operation::Scan)]));
    let reboot = optional(section.get("rebootOption"), |field| {
        let word = field.word(&[("RebootIfNeeded", RebootOption::RebootIfNeeded), ("NoReboot", RebootOption::NoReboot)]);
        word.map(|word| (word, field.path.clone()))
    });
    Some(Ssm { max_concurrency: max_concurrency?, max_errors: max_errors?, operation: operation?, reboot: reboot? })
}

impl Ssm {
    /// What goes for a wave that says this, in a run that says `outer` for all its waves.
    pub(super) fn within(self, outer: &Ssm, report: &super::read::Report) -> Settings {
        let operation = self.operation.or(outer.operation).unwrap_or_default();
        let mut reboot = self.reboot.or_else(|| outer.reboot.clone());
        if operation == Operation::Scan {
            if let Some((RebootOption::RebootIfNeeded, path)) = &reboot {
                report.warn(path, "is `RebootIfNeeded`, but a scan never reboots: write `NoReboot`");
            }
            reboot = Some((RebootOption::NoReboot, String::new()));
        }
        Settings {
            // The defaults of the original's contract and parameters. SSM's own for errors is 0.
            max_concurrency: self.max_concurrency.or(outer.max_concurrency).unwrap_or(RunAmount::ShareBps(1_000)),
            max_errors: self.max_errors.or(outer.max_errors).unwrap_or(RunAmount::Count(1)),
            operation,
            reboot: reboot.map(|(word, _)| word),
        }
    }
}

/// `"10%"`, `"3"` or `3`.
fn amount(field: &Field<'_>, min: u64) -> Option<RunAmount> {
    let wrong = || {
        let spaced = field.value.as_str().is_some_and(|text| text.contains(' ') && text.bytes().all(|byte| byte.is_ascii_digit() || b" %".contains(&byte)));
        let hint = if spaced { ", without spaces" } else { "" };
        field.wrong(format!("expected a count such as `\"3\"` or a whole percentage such as `\"10%\"`{hint}, got {}", shown(field.value)))
    };
    let digits = |text: &str| (text == "0" || !text.starts_with('0')) && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, share) = match field.value {
        Value::String(text) => match text.strip_suffix('%') {
            Some(number) if digits(number) => (number.parse::<u64>().unwrap_or(u64::MAX), true),
            None if digits(text) => (text.parse::<u64>().unwrap_or(u64::MAX), false),
            _ => return wrong(),
        },
        _ => match field.as_whole().map(u64::try_from) {
            Some(Ok(number)) => (number, false),
            _ => return wrong(),
        },
    };
    match (number, share) {
        (0, _) if min > 0 => field.wrong("0 would let no host begin: expected at least 1; to change nothing, write `\"dryRun\": true`"),
        // A share is never rounded below one host, so that none at all has to be a count.
        (0, _) => Some(RunAmount::Count(0)),
        (percent, true) => match u32::try_from(percent) {
            Ok(percent @ ..=100) => Some(RunAmount::ShareBps(percent * 100)),
            _ => field.wrong(format!("expected at most 100%, got {}", shown(field.value))),
        },
        (count, false) if count > COUNT_MAX => field.wrong(format!("expected at most {COUNT_MAX}, got {}", shown(field.value))),
        (count, false) => Some(RunAmount::Count(count)),
    }
}
