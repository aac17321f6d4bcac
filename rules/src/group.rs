//! Quorums of groups: targets that serve together share a tag's value, and so many of them stay untouched at any time. A group is a
//! limit of the blast radius like any other: drawn by a conditional add when a batch is planned, given back as its targets end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_events::hold::Scope;
use tidegate_events::id::{AccountId, Region};

use crate::policy::{Amount, ShareBps};

/// Targets that serve together: so many of them stay untouched at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The tag's key; whoever shares its value is one group.
    pub tag: String,
    /// So many, or such a share, of a group's known members stay untouched.
    pub available_min: Amount,
    /// How far a group reaches.
    #[serde(default, skip_serializing_if = "Span::is_region")]
    pub span: Span,
}

/// How far a group reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// One account and Region, as Auto Scaling groups and target groups do: the same value elsewhere is another group.
    #[default]
    Region,
    /// Everywhere: whoever shares the value.
    Organization,
}

impl Span {
    fn is_region(&self) -> bool {
        *self == Self::Region
    }
}

impl Group {
    /// At most so many of a group of `size` at once. A share rounds down but never below one, so that small groups move at all; a
    /// plain number is kept to the letter, and a group that is no larger is never touched.
    pub fn at_once(&self, size: u64) -> u64 {
        let by_count = |count: u64| size.saturating_sub(count);
        let by_share = |share: ShareBps| ShareBps(ShareBps::ALL.0.saturating_sub(share.0)).of(size).max(1);
        match self.available_min {
            Amount::Count(count) => by_count(count),
            Amount::Share(share) => by_share(share),
            Amount::Least { count, share } => by_count(count).min(by_share(share)),
        }
    }

    /// The scope of the limit that a host in this place falls under whose tag has this value.
    pub fn scope_of(&self, account: AccountId, region: &Region, value: &str) -> Scope {
        self.scope(account, region, &format!("{}={value}", self.tag))
    }

    fn scope(&self, account: AccountId, region: &Region, tag: &str) -> Scope {
        match self.span {
            Span::Region => Scope::Group { account, region: region.clone(), tag: tag.to_owned() },
            Span::Organization => Scope::Tag(tag.to_owned()),
        }
    }

    fn has(&self, tag: &str) -> bool {
        tag.strip_prefix(self.tag.as_str()).is_some_and(|rest| rest.starts_with('='))
    }

    fn is_meant_by(&self, scope: &Scope) -> bool {
        match (scope, self.span) {
            (Scope::Group { tag, .. }, Span::Region) | (Scope::Tag(tag), Span::Organization) => self.has(tag),
            _ => false,
        }
    }
}

/// The groups that a host with these tags belongs to, each written `key=value`.
pub fn of(groups: &[Group], tags: &BTreeMap<String, String>) -> Vec<String> {
    let mut named: Vec<String> = groups.iter().filter_map(|group| tags.get(&group.tag).map(|value| format!("{}={value}", group.tag))).collect();
    named.dedup();
    named
}

/// The limits that members in one place fall under, and how many of those members are in each.
pub fn scopes<'m>(groups: &[Group], account: AccountId, region: &Region, members: impl IntoIterator<Item = &'m [String]>) -> BTreeMap<Scope, u64> {
    let mut here = BTreeMap::new();
    for tag in members.into_iter().flatten() {
        for group in groups.iter().filter(|group| group.has(tag)) {
            *here.entry(group.scope(account, region, tag)).or_default() += 1;
        }
    }
    here
}

/// At most so many at once under a scope of `size` members; `None` where no group means it. Of several, the strictest.
pub fn limit(groups: &[Group], scope: &Scope, size: u64) -> Option<u64> {
    groups.iter().filter(|group| group.is_meant_by(scope)).map(|group| group.at_once(size)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::limit_of;
    use crate::policy::{Policy, parse};

    fn policy(text: &str) -> Policy {
        parse(&format!("name = \"quorums\"\n{text}"), "quorums.toml").unwrap()
    }

    fn place() -> (AccountId, Region) {
        ("111122223333".parse().unwrap(), "eu-west-1".parse().unwrap())
    }

    fn spoken(tag: &str) -> Scope {
        let (account, region) = place();
        Scope::Group { account, region, tag: tag.into() }
    }

    #[test]
    fn a_share_of_a_group_rounds_down_but_a_number_is_kept_to_the_letter() {
        let policy = policy("[[group]]\ntag = \"pool\"\navailable_min = \"75%\"\n[[group]]\ntag = \"asg\"\navailable_min = 2\n");
        let [pool, asg] = policy.groups.as_slice() else { panic!("{:?}", policy.groups) };
        assert_eq!([1, 3, 4, 7, 8, 100].map(|size| pool.at_once(size)), [1, 1, 1, 1, 2, 25]);
        assert_eq!([1, 2, 3, 10].map(|size| asg.at_once(size)), [0, 0, 1, 8]);
    }

    #[test]
    fn of_a_pinned_and_a_changed_policy_both_quorums_hold() {
        let pinned = policy("[[group]]\ntag = \"asg\"\navailable_min = 2\n");
        let changed = policy("[[group]]\ntag = \"asg\"\navailable_min = 9\n");
        for (one, other) in [(&pinned, &changed), (&changed, &pinned)] {
            let stricter = one.stricter(other);
            assert_eq!(limit_of(&stricter, "rest", &spoken("asg=web"), 10), Some(1));
            assert_eq!(limit_of(&stricter, "rest", &spoken("asgs=web"), 10), None);
            assert_eq!(limit_of(&stricter, "rest", &Scope::Tag("asg=web".into()), 10), None, "it reaches no further than its Region");
        }
    }

    #[test]
    fn the_same_value_elsewhere_is_another_group_unless_the_policy_says_so() {
        let policy = policy("[[group]]\ntag = \"asg\"\navailable_min = 2\n[[group]]\ntag = \"cluster\"\navailable_min = \"90%\"\nspan = \"organization\"\n");
        let tags = BTreeMap::from([("asg", "web"), ("cluster", "a=b"), ("other", "x")].map(|(key, value)| (key.to_owned(), value.to_owned())));
        let named = of(&policy.groups, &tags);
        assert_eq!(named, ["asg=web", "cluster=a=b"]);
        let (account, region) = place();
        let found = scopes(&policy.groups, account, &region, [named.as_slice(), named.as_slice()]);
        let cluster = Scope::Tag("cluster=a=b".into());
        assert_eq!(found, BTreeMap::from([(cluster.clone(), 2), (spoken("asg=web"), 2)]));
        assert_eq!(limit_of(&policy, "rest", &cluster, 20), Some(2));
    }

    #[test]
    fn the_blast_radius_of_a_tag_and_a_group_on_it_both_hold() {
        let group = "[[group]]\ntag = \"pool\"\navailable_min = \"75%\"\nspan = \"organization\"\n";
        let limit = |share: &str| {
            let policy = policy(&format!("{group}[blast_radius]\ntag = {{ key = \"pool\", limit = \"{share}\" }}\n"));
            limit_of(&policy, "rest", &Scope::Tag("pool=a".into()), 40)
        };
        assert_eq!((limit("50%"), limit("10%")), (Some(10), Some(4)));
    }

    #[test]
    fn a_policy_without_groups_is_the_policy_that_it_was() {
        let plain = policy("");
        assert!(!plain.to_json().contains("group"), "{}", plain.to_json());
        for wrong in [
            "[[group]]\ntag = \"a\"\n",
            "[[group]]\ntag = \"a\"\navailable_min = \"100%\"\n",
            "[[group]]\ntag = \"a\"\navailable_min = 0\n",
            "[[group]]\ntag = \"a\"\navailable_min = 1\nspan = \"account\"\n",
            "[[group]]\ntag = \"a\"\navailable_min = 1\n[[group]]\ntag = \"a\"\navailable_min = 2\n",
        ] {
            assert!(parse(&format!("name = \"x\"\n{wrong}"), "x.toml").is_err(), "{wrong}");
        }
    }
}
