//! Small texts: shares, quotes, near misses.

use tidegate_events::spelling::edits;

use super::ShareBps;

/// Why a text is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShareFault {
    #[error("expected a percentage such as \"5%\", with at most two decimals")]
    Form,
    #[error("expected more than 0%")]
    Zero,
    #[error("expected at most 100%")]
    TooMuch,
}

/// `5%`, `0.25%`: above 0, at most 100, in hundredths of a percent.
pub(super) fn share(text: &str) -> Result<ShareBps, ShareFault> {
    let number = text.strip_suffix('%').ok_or(ShareFault::Form)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, max: usize| (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 9) || !digits(part, 2) {
        return Err(ShareFault::Form);
    }
    let whole: u32 = whole.parse().map_err(|_| ShareFault::Form)?;
    let hundredths: u32 = format!("{part:0<2}").parse().map_err(|_| ShareFault::Form)?;
    match whole.checked_mul(100).and_then(|bps| bps.checked_add(hundredths)) {
        Some(0) => Err(ShareFault::Zero),
        Some(bps @ 1..=10_000) => Ok(ShareBps(bps)),
        _ => Err(ShareFault::TooMuch),
    }
}

/// At most so much of a wrong input as a person wants to read, on one line.
pub(super) fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > 60 {
        out.push('…');
    }
    out
}

/// `` `a`, `b` and `c` ``.
pub(super) fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    and(&quoted)
}

/// The known word that a mistyped one most likely meant.
pub(super) fn nearest<'w>(typed: &str, known: &[&'w str]) -> Option<&'w str> {
    let folded = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let typed = folded(typed);
    // A unit left out or an ending too much, such as `bake` for `bake_secs`.
    let begun = known.iter().copied().find(|word| typed.len() >= 3 && (folded(word).starts_with(&typed) || typed.starts_with(&folded(word))));
    let distance = |word: &&str| edits(&typed, &folded(word));
    let near = || known.iter().copied().min_by_key(distance).filter(|word| distance(word) <= (typed.chars().count() / 3).max(1));
    begun.or_else(near)
}

/// `4 hours`, `1 day and 2 hours`, `90 seconds`: exact, for people.
pub(super) fn seconds(secs: u32) -> String {
    let plural = |n: u32, unit: &str| if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") };
    if secs < 120 && secs != 60 {
        return plural(secs, "second");
    }
    let units = [(secs / 86_400, "day"), (secs / 3_600 % 24, "hour"), (secs / 60 % 60, "minute"), (secs % 60, "second")];
    let parts: Vec<String> = units.into_iter().filter(|(n, _)| *n > 0).map(|(n, unit)| plural(n, unit)).collect();
    and(&parts)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
