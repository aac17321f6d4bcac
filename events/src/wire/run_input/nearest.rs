//! The word that a mistyped one most likely meant.

/// The nearest of the known words, if any is near enough that asking "did you mean" helps.
pub(super) fn nearest<'w>(typed: &str, known: &[&'w str]) -> Option<&'w str> {
    let folded = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let typed = folded(typed);
    let near = known.iter().map(|word| (edits(&typed, &folded(word)), *word)).min_by_key(|(distance, _)| *distance);
    let begun = || known.iter().copied().find(|word| typed.len() >= 3 && (folded(word).starts_with(&typed) || typed.starts_with(&folded(word))));
    near.filter(|(distance, _)| *distance <= (typed.chars().count() / 3).max(1)).map(|(_, word)| word).or_else(begun)
}

/// Levenshtein's distance of the first 64 characters, which is longer than any word here.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for ((y, diagonal), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
