//! Randomness of the operating system: secrets that nobody can guess, and names that no other process has.

use jiff::Timestamp;

/// 32 bytes that nobody can guess; `None` where the system has none to give: then there is no secret.
pub fn secret() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// Bits that no other process has, to tell it from others; not for secrets. Where the system has none to give, those of the clock.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => Timestamp::now().as_nanosecond().unsigned_abs() as u64,
    }
}

/// A name that nothing else has: 32 hex digits, of the 36 characters that DynamoDB's ClientRequestToken may have and the 128 of
/// SQS's deduplication id.
pub fn name() -> String {
    format!("{:016x}{:016x}", number(), number())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_alike() {
        let names: BTreeSet<String> = (0..1000).map(|_| super::name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!((0..1000).map(|_| super::secret().unwrap()).collect::<BTreeSet<_>>().len(), 1000);
    }
}
