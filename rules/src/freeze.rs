//! Freezes: spans of time in which nothing may be touched.

use jiff::Timestamp;

use crate::policy::Freeze;

/// The freeze in force at `now`, if any: `from` is its first instant, `until` the first after it. Where several are in force,
/// the one that ends last, since that is how long the answer stays no.
pub fn active(freezes: &[Freeze], now: Timestamp) -> Option<&Freeze> {
    freezes.iter().filter(|freeze| freeze.from <= now && now < freeze.until).max_by_key(|freeze| freeze.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(name: &str, from: &str, until: &str) -> Freeze {
        Freeze { name: name.to_owned(), from: from.parse().unwrap(), until: until.parse().unwrap(), reason: String::new() }
    }

    fn name_at(freezes: &[Freeze], now: &str) -> Option<String> {
        active(freezes, now.parse().unwrap()).map(|freeze| freeze.name.clone())
    }

    #[test]
    fn from_is_inside_and_until_is_not() {
        let one = [freeze("year-end", "2026-12-20T00:00:00Z", "2027-01-04T00:00:00Z")];
        assert_eq!(name_at(&one, "2026-12-19T23:59:59.999Z"), None);
        assert_eq!(name_at(&one, "2026-12-20T00:00:00Z").as_deref(), Some("year-end"));
        assert_eq!(name_at(&one, "2027-01-03T23:59:59.999Z").as_deref(), Some("year-end"));
        assert_eq!(name_at(&one, "2027-01-04T00:00:00Z"), None);
        assert_eq!(name_at(&[], "2027-01-04T00:00:00Z"), None);
    }

    #[test]
    fn the_one_that_ends_last_is_named() {
        let both = [freeze("long", "2026-12-01T00:00:00Z", "2027-01-04T00:00:00Z"), freeze("short", "2026-12-20T00:00:00Z", "2026-12-27T00:00:00Z")];
        assert_eq!(name_at(&both, "2026-12-24T00:00:00Z").as_deref(), Some("long"));
        let adjoining = [freeze("first", "2026-12-01T00:00:00Z", "2026-12-10T00:00:00Z"), freeze("second", "2026-12-10T00:00:00Z", "2026-12-20T00:00:00Z")];
        assert_eq!(name_at(&adjoining, "2026-12-10T00:00:00Z").as_deref(), Some("second"));
    }
}
