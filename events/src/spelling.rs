//! How far apart two words are: what a mistyped key most likely meant.

/// Levenshtein's distance of the first 64 characters of each, which is longer than any word that is looked for.
pub fn edits(a: &str, b: &str) -> usize {
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

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn each_insertion_deletion_and_substitution_counts_one() {
        for (a, b, distance) in [("", "", 0), ("", "abc", 3), ("regoins", "regions", 2), ("maxConcurency", "maxConcurrency", 1), ("kitten", "sitting", 3)] {
            assert_eq!((edits(a, b), edits(b, a)), (distance, distance), "{a} and {b}");
        }
    }
}
