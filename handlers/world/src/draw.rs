//! Luck without state: every outcome is a hash of the seed and of what it is about, so that it does not depend on the order
//! of calls, on threads, or on how often a process was killed in between.
//!
//! The function is fixed, since worlds on disk rely on it: each key is folded in by the finalizer of SplitMix64 (Steele, Lea
//! and Flood 2014), texts in words of eight bytes, little-endian, followed by their length. It is no secret and no MAC.

/// An outcome that is being drawn: the seed, then what it is about, then one of the questions below.
#[derive(Debug, Clone, Copy)]
pub struct Draw(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draw {
    /// Starts with the seed and the kind of outcome.
    pub fn new(seed: u64, domain: &str) -> Self {
        Self(mix(seed)).text(domain)
    }

    /// Adds a number that the outcome is about.
    #[must_use]
    pub fn on(self, key: u64) -> Self {
        Self(mix(self.0.rotate_left(23) ^ mix(key)))
    }

    /// Adds a time, or another signed number.
    #[must_use]
    pub fn at(self, key: i64) -> Self {
        self.on(key.cast_unsigned())
    }

    /// Adds a text that the outcome is about.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let words = text.as_bytes().chunks(8).fold(self, |draw, chunk| {
            let word = chunk.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
            draw.on(word)
        });
        words.on(u64::try_from(text.len()).unwrap_or(u64::MAX))
    }

    /// All sixty-four bits.
    pub fn value(self) -> u64 {
        self.0
    }

    /// A number from 0 up to, without, `end`; 0 where `end` is 0.
    pub fn below(self, end: u64) -> u64 {
        u64::try_from((u128::from(self.0) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// A number from `low` up to and with `high`.
    pub fn between(self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    /// Whether something that happens so many times in a thousand happens here.
    pub fn happens(self, per_mille: u16) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// Text of lower-case hex digits.
    pub fn hex(self, digits: usize) -> String {
        let mut text = String::new();
        let mut word = self;
        while text.len() < digits {
            text.push_str(&format!("{:016x}", word.value()));
            word = word.on(1);
        }
        text.truncate(digits);
        text
    }

    /// A text that looks like a random UUID (version 4).
    pub fn uuid(self) -> String {
        let high = (self.value() & 0xffff_ffff_ffff_0fff) | 0x4000;
        let low = (self.on(1).value() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xffff, low >> 48, low & 0xffff_ffff_ffff)
    }
}

/// The outcome of `domain` for these keys, as a number.
pub fn draw(seed: u64, domain: &str, keys: &[u64]) -> u64 {
    keys.iter().fold(Draw::new(seed, domain), |draw, key| draw.on(*key)).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_fixed() {
        assert_eq!(draw(7, "install", &[1, 2]), Draw::new(7, "install").on(1).on(2).value());
        assert_eq!(format!("{:016x}", draw(7, "install", &[1, 2])), "4c3227ee6f8030c0", "worlds on disk rely on it");
    }

    #[test]
    fn keys_have_a_place() {
        assert_ne!(draw(7, "a", &[1, 2]), draw(7, "a", &[2, 1]));
        assert_ne!(draw(7, "a", &[1]), draw(8, "a", &[1]));
        assert_ne!(Draw::new(7, "a").text("bc").value(), Draw::new(7, "a").text("b").text("c").value());
        assert_ne!(Draw::new(7, "a").text("b\0").value(), Draw::new(7, "a").text("b").value());
    }

    #[test]
    fn rates_come_true_and_ranges_hold() {
        let hits = (0..10_000).filter(|n| Draw::new(1, "rate").on(*n).happens(100)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        let drawn: Vec<i64> = (0..1_000).map(|n| Draw::new(1, "range").on(n).between(3, 5)).collect();
        assert!(drawn.iter().all(|n| (3..=5).contains(n)) && [3, 4, 5].iter().all(|n| drawn.contains(n)));
        assert!(!Draw::new(1, "never").happens(0) && Draw::new(1, "always").happens(1_000));
    }

    #[test]
    fn uuids_look_like_uuids() {
        let text = Draw::new(1, "id").uuid();
        assert_eq!((text.len(), text.chars().nth(14)), (36, Some('4')));
        assert!(text.parse::<tidegate_events::id::CommandId>().is_ok(), "{text}");
        assert_eq!(Draw::new(1, "id").hex(17).len(), 17);
    }
}
