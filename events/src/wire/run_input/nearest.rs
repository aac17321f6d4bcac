//! The word that a mistyped one most likely meant.

use crate::spelling::edits;

/// The nearest of the known words, if any is near enough that asking "did you mean" helps.
pub(super) fn nearest<'w>(typed: &str, known: &[&'w str]) -> Option<&'w str> {
    let folded = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let typed = folded(typed);
    let near = known.iter().map(|word| (edits(&typed, &folded(word)), *word)).min_by_key(|(distance, _)| *distance);
    let begun = || known.iter().copied().find(|word| typed.len() >= 3 && (folded(word).starts_with(&typed) || typed.starts_with(&folded(word))));
    near.filter(|(distance, _)| *distance <= (typed.chars().count() / 3).max(1)).map(|(_, word)| word).or_else(begun)
}
