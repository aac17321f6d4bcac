//! Randomness of the operating system, for what must not be guessed or repeated.

/// 32 random bytes as 64 hexadecimal digits.
///
/// # Panics
/// Never in practice: where the kernel has no randomness, nothing here may go on, and the process ends.
pub fn random_hex() -> String {
    let mut bytes = [0u8; 32];
    if getrandom::fill(&mut bytes).is_err() {
        // A token that can be guessed is worse than no process.
        std::process::abort();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::random_hex;

    #[test]
    fn no_two_are_alike() {
        let drawn: std::collections::BTreeSet<String> = (0..1000).map(|_| random_hex()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
