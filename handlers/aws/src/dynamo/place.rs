//! Where a key lies in the table: its partition and its sort key, and in which partitions a listing finds it.
//!
//! What is listed lies in groups, in few enough partitions to ask them all and enough that none takes more than 1,000 writes
//! a second; what is only ever asked for by its key has a partition of its own.

use tidegate_rules::Key;
use tidegate_rules::key::DOORS;

/// Sort key of what has a partition of its own.
pub(super) const ALONE: &str = ".";
/// Begins the partitions of counters: a counter and an item of the same key are two things.
const COUNTER: char = '+';
/// Begins the partitions of what is neither item nor counter. No key begins so.
pub(super) const OWN: char = '~';
/// Sorts after everything that it is appended to.
const LAST: char = char::MAX;
/// Sorts before everything else that begins with what it is appended to; no key has it.
const FIRST: char = '\u{1}';

/// How a group of keys is spread.
enum Spread {
    /// By the hash of the key, over so many.
    Hash(u32),
    /// By the door that the key names; each partition's keys come before those of the next.
    Door,
}

/// Keys that are listed together: they begin with `base`.
struct Group<'k> {
    base: &'k str,
    spread: Spread,
}

/// The group of a key, or of everything that begins with a prefix; `None` where there is none.
fn group(text: &str) -> Option<Group<'_>> {
    let (kind, rest) = text.split_once('/')?;
    let after_kind = text.get(..=kind.len())?;
    let after_id = || rest.find('/').and_then(|slash| text.get(..=kind.len() + 1 + slash));
    let (base, spread) = match kind {
        "target" => (after_kind, Spread::Hash(32)),
        "grant" | "open" | "mirror" => (after_kind, Spread::Hash(8)),
        "campaign" | "lane" => (after_kind, Spread::Hash(1)),
        "cell" | "chunk" => (after_id()?, Spread::Hash(8)),
        "roster" => (after_id()?, Spread::Door),
        _ => return None,
    };
    Some(Group { base, spread })
}

impl Group<'_> {
    fn partition(&self, number: u32) -> String {
        format!("{}#{number:02}", self.base)
    }

    fn number(&self, key: &str) -> u32 {
        match self.spread {
            Spread::Hash(count) => shard(key, count),
            Spread::Door => door(key.get(self.base.len()..).unwrap_or_default()),
        }
    }

    fn count(&self) -> u32 {
        match self.spread {
            Spread::Hash(count) => count,
            Spread::Door => u32::from(DOORS),
        }
    }
}

/// The door in front of the rest of a roster's key. In the order of the text, so that door after door is key after key,
/// whatever stands there.
fn door(rest: &str) -> u32 {
    (1..u32::from(DOORS)).rev().find(|door| rest >= format!("{door:02}").as_str()).unwrap_or(0)
}

/// A stable hash (FNV-1a) of a text, over so many. Changing it loses everything that is stored.
pub(super) fn shard(text: &str, count: u32) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of FNV depend on the last bytes most: fold the high ones in.
    u32::try_from((hash ^ (hash >> 32)) % u64::from(count.max(1))).unwrap_or(0)
}

/// Partition and sort key of an item.
pub(super) fn of_item(key: &Key) -> (String, String) {
    let text = key.as_str();
    match group(text) {
        Some(group) => (group.partition(group.number(text)), text.to_owned()),
        None => (text.to_owned(), ALONE.to_owned()),
    }
}

/// Partition and sort key of a counter.
pub(super) fn of_counter(key: &Key) -> (String, String) {
    let (partition, sort) = of_item(key);
    (format!("{COUNTER}{partition}"), sort)
}

/// The key of an item or a counter that lies there.
pub(super) fn key_at(partition: &str, sort: &str) -> Key {
    match sort {
        ALONE => Key::from_text(partition.strip_prefix(COUNTER).unwrap_or(partition)),
        _ => Key::from_text(sort),
    }
}

/// Where a listing looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// In all of these partitions; their answers are merged.
    Merged(Vec<String>),
    /// In these partitions, one after the other.
    InOrder(Vec<String>),
    /// Everywhere: only the checker of a whole store at rest lists so.
    Everywhere,
}

/// Where items (or counters) that begin with `prefix` lie, but for those in front of `after`.
pub(super) fn of_listing(prefix: &str, after: Option<&Key>, counters: bool) -> Listing {
    let Some(group) = group(prefix) else { return Listing::Everywhere };
    let named = |number| if counters { format!("{COUNTER}{}", group.partition(number)) } else { group.partition(number) };
    match group.spread {
        Spread::Hash(count) => Listing::Merged((0..count).map(named).collect()),
        Spread::Door => {
            let after = after.map(Key::as_str).filter(|after| after.starts_with(group.base));
            let from = group.number(prefix).max(after.map_or(0, |after| group.number(after)));
            Listing::InOrder((from..group.count()).map(named).collect())
        }
    }
}

/// First and last text, both included, of everything that begins with `prefix` and comes after `after`.
pub(super) fn bounds(prefix: &str, after: Option<&str>) -> (String, String) {
    let last = format!("{prefix}{LAST}");
    match after {
        Some(after) if after >= prefix => (format!("{after}{FIRST}"), last),
        _ => (prefix.to_owned(), last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> (String, String) {
        of_item(&Key::from_text(text))
    }

    #[test]
    fn places_are_what_is_stored_and_never_change() {
        let target = "target/111122223333/eu-central-1/i-0123456789abcdef0";
        assert_eq!(at(target), ("target/#17".into(), target.into()));
        let cell = "cell/patch-default.1.w0/111122223333/eu-central-1";
        assert_eq!(at(cell), ("cell/patch-default.1.w0/#06".into(), cell.into()));
        let member = "roster/patch-default.1/07/00000000000000ff/111122223333/eu-central-1/i-1";
        assert_eq!(at(member), ("roster/patch-default.1/#07".into(), member.into()));
        assert_eq!(at("org"), ("org".into(), ".".into()));
        assert_eq!(at("door/patch-default.1/03"), ("door/patch-default.1/03".into(), ".".into()));
        assert_eq!(at("campaign/patch-default.1"), ("campaign/#00".into(), "campaign/patch-default.1".into()));
        assert_eq!(of_counter(&Key::from_text("tally/patch-default.1.w0/ok")), ("+tally/patch-default.1.w0/ok".into(), ".".into()));
    }

    #[test]
    fn a_key_is_read_back_from_its_place() {
        for text in ["org", "batch/a.1.w0/1/r/3", "target/1/r/i-1", "grant/organization", "roster/a.1/99/x", "cell/a", "cell/", "x"] {
            let key = Key::from_text(text);
            for (partition, sort) in [of_item(&key), of_counter(&key)] {
                assert_eq!(key_at(&partition, &sort), key);
            }
        }
    }

    #[test]
    fn a_listing_looks_wherever_such_a_key_may_lie() {
        let keys =
            ["target/1/r/i-1", "cell/a.1.w1/1/r", "cell/a.1.w1/2/r", "roster/a.1/00/0", "roster/a.1/15/f", "roster/a.1/zz", "roster/a.1/ ", "grant/tag/x"];
        for text in keys {
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let prefix = &text[..end];
                match of_listing(prefix, None, false) {
                    Listing::Everywhere => {}
                    Listing::Merged(partitions) | Listing::InOrder(partitions) => assert!(partitions.contains(&at(text).0), "`{text}` by `{prefix}`"),
                }
            }
        }
        assert_eq!(of_listing("", None, false), Listing::Everywhere);
        assert_eq!(of_listing("cell/a.1.w1", None, false), Listing::Everywhere, "the cells of w1, w10 and so on are no group");
    }

    #[test]
    fn doors_follow_each_other_in_the_order_of_their_keys() {
        let rests = ["", " ", "00", "00/1", "01", "07/0", "08", "09/z", "10", "15/f", "16", "zz"];
        let doors: Vec<u32> = rests.iter().map(|rest| door(rest)).collect();
        assert!(doors.is_sorted(), "{doors:?}");
        assert_eq!((doors.first(), doors.last()), (Some(&0), Some(&15)));
        let after = Key::from_text("roster/a.1/14/5");
        assert_eq!(of_listing("roster/a.1/", Some(&after), false), Listing::InOrder(vec!["roster/a.1/#14".into(), "roster/a.1/#15".into()]));
    }

    #[test]
    fn hashes_spread() {
        let mut filled = [0u32; 32];
        for n in 0..3200 {
            let (partition, _) = at(&format!("target/111122223333/eu-central-1/i-{n:017x}"));
            filled[partition.rsplit('#').next().unwrap().parse::<usize>().unwrap()] += 1;
        }
        assert!(filled.iter().all(|count| (50..200).contains(count)), "{filled:?}");
    }
}
