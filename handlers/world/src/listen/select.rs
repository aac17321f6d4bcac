//! The part of Config's query language that is understood here:
//!
//! ```text
//! SELECT field, ... [WHERE condition AND ...] [GROUP BY field, ...]
//! ```
//!
//! Fields are `accountId`, `awsRegion`, `resourceType`, `resourceId`, `arn`, `tags`, `tags.key`, `tags.value`, `tags.tag` and `COUNT(*)`; a
//! condition is `field = 'text'` or `field IN ('text', ...)`. Anything else is an error that says so: a query of another shape must not
//! get an answer that looks right.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_events::id::{AccountId, Region};

/// A resource as the aggregator lists it.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub kind: &'static str,
    pub id: String,
    pub arn: String,
    pub account: AccountId,
    pub region: &'a Region,
    pub tags: Option<&'a BTreeMap<String, String>>,
}

/// Names as they are written; the language does not mind their case.
const PLAIN: [&str; 5] = ["accountId", "awsRegion", "resourceType", "resourceId", "arn"];
const OF_TAGS: [&str; 3] = ["tags.key", "tags.value", "tags.tag"];
const TAGS: &str = "tags";
const COUNT: &str = "COUNT(*)";

impl Resource<'_> {
    fn plain(&self, field: &str) -> String {
        match field {
            "accountId" => self.account.to_string(),
            "awsRegion" => self.region.to_string(),
            "resourceType" => self.kind.to_owned(),
            "resourceId" => self.id.clone(),
            _ => self.arn.clone(),
        }
    }

    fn of_tags(&self, field: &str) -> Vec<String> {
        let one = |(key, value): (&String, &String)| match field {
            "tags.key" => key.clone(),
            "tags.value" => value.clone(),
            _ => format!("{key}={value}"),
        };
        self.tags.into_iter().flatten().map(one).collect()
    }

    fn meets(&self, condition: &Condition) -> bool {
        if OF_TAGS.contains(&condition.field) {
            self.of_tags(condition.field).iter().any(|value| condition.values.contains(value))
        } else {
            condition.values.contains(&self.plain(condition.field))
        }
    }

    fn value(&self, field: &str) -> Value {
        if field == TAGS {
            let tags = self.tags.into_iter().flatten();
            return tags.map(|(key, value)| json!({ "key": key, "value": value, "tag": format!("{key}={value}") })).collect();
        }
        if OF_TAGS.contains(&field) {
            return json!(self.of_tags(field));
        }
        json!(self.plain(field))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    field: &'static str,
    values: Vec<String>,
}

/// A query, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    fields: Vec<&'static str>,
    conditions: Vec<Condition>,
    groups: Vec<&'static str>,
}

/// The words, texts and signs of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            _ if sign.is_whitespace() => {}
            '\'' => {
                let mut content = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => content.extend(rest.next()),
                        Some('\'') => break,
                        Some(other) => content.push(other),
                        None => return Err("a text does not end".to_owned()),
                    }
                }
                tokens.push(Token::Text(content));
            }
            ',' | '(' | ')' | '=' | '*' => tokens.push(Token::Sign(sign)),
            _ if sign.is_ascii_alphanumeric() => {
                let mut word = String::from(sign);
                while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || matches!(next, '.' | '_')) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(format!("`{other}` is not understood")),
        }
    }
    Ok(tokens)
}

/// Reads tokens from the front.
struct Reader {
    tokens: std::vec::IntoIter<Token>,
    next: Option<Token>,
}

impl Reader {
    fn take(&mut self) -> Option<Token> {
        std::mem::replace(&mut self.next, self.tokens.next())
    }

    fn is_word(&mut self, word: &str) -> bool {
        let is = matches!(&self.next, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        if is {
            self.take();
        }
        is
    }

    fn is_sign(&mut self, sign: char) -> bool {
        let is = self.next == Some(Token::Sign(sign));
        if is {
            self.take();
        }
        is
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.is_sign(sign) { Ok(()) } else { Err(format!("expected `{sign}`, got {:?}", self.next)) }
    }

    fn field(&mut self) -> Result<&'static str, String> {
        let Some(Token::Word(word)) = self.take() else { return Err("expected a field".to_owned()) };
        if word.eq_ignore_ascii_case("count") {
            self.expect('(')?;
            self.expect('*')?;
            self.expect(')')?;
            return Ok(COUNT);
        }
        let mut known = PLAIN.into_iter().chain(OF_TAGS).chain([TAGS]);
        known.find(|known| known.eq_ignore_ascii_case(&word)).ok_or_else(|| format!("the field `{word}` is not known"))
    }

    fn fields(&mut self) -> Result<Vec<&'static str>, String> {
        let mut fields = vec![self.field()?];
        while self.is_sign(',') {
            fields.push(self.field()?);
        }
        Ok(fields)
    }

    fn text(&mut self) -> Result<String, String> {
        match self.take() {
            Some(Token::Text(text)) => Ok(text),
            other => Err(format!("expected a text in single quotes, got {other:?}")),
        }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let field = self.field()?;
        if matches!(field, COUNT | TAGS) {
            return Err(format!("`{field}` can't be compared"));
        }
        let values = if self.is_sign('=') {
            vec![self.text()?]
        } else if self.is_word("in") {
            self.expect('(')?;
            let mut values = vec![self.text()?];
            while self.is_sign(',') {
                values.push(self.text()?);
            }
            self.expect(')')?;
            values
        } else {
            return Err(format!("expected `=` or `IN` after `{field}`, got {:?}", self.next));
        };
        Ok(Condition { field, values })
    }
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 4_096 {
            return Err("the expression has more than 4096 characters".to_owned());
        }
        let mut reader = Reader { tokens: tokens(text)?.into_iter(), next: None };
        reader.take();
        if !reader.is_word("select") {
            return Err("expected `SELECT`".to_owned());
        }
        let fields = reader.fields()?;
        let mut conditions = Vec::new();
        if reader.is_word("where") {
            conditions.push(reader.condition()?);
            while reader.is_word("and") {
                conditions.push(reader.condition()?);
            }
        }
        let mut groups = Vec::new();
        if reader.is_word("group") {
            if !reader.is_word("by") {
                return Err("expected `BY` after `GROUP`".to_owned());
            }
            groups = reader.fields()?;
        }
        if let Some(rest) = reader.take() {
            return Err(format!("{rest:?} is not understood here"));
        }
        let query = Self { fields, conditions, groups };
        let others = query.fields.iter().filter(|field| **field != COUNT);
        if groups_are_wrong(&query.groups) || (query.is_grouped() && !others.into_iter().all(|field| query.groups.contains(field))) {
            return Err("with COUNT(*) or GROUP BY, every other field must be grouped by, and can be".to_owned());
        }
        Ok(query)
    }

    /// Whether rows stand for groups.
    pub fn is_grouped(&self) -> bool {
        !self.groups.is_empty() || self.fields.contains(&COUNT)
    }

    /// The fields of a row.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().copied()
    }

    /// The rows. A resource counts once in the group of each of its tags.
    pub fn run<'a>(&self, resources: impl Iterator<Item = Resource<'a>>) -> Vec<Map<String, Value>> {
        let found = resources.filter(|resource| self.conditions.iter().all(|condition| resource.meets(condition)));
        if !self.is_grouped() {
            return found.map(|resource| self.fields.iter().map(|field| ((*field).to_owned(), resource.value(field))).collect()).collect();
        }
        let mut counts: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for resource in found {
            let mut keys = vec![Vec::new()];
            for field in &self.groups {
                let values = if OF_TAGS.contains(field) { resource.of_tags(field) } else { vec![resource.plain(field)] };
                keys = keys.iter().flat_map(|key: &Vec<String>| values.iter().map(move |value| key.iter().chain([value]).cloned().collect())).collect();
            }
            for key in keys {
                *counts.entry(key).or_default() += 1;
            }
        }
        if self.groups.is_empty() && counts.is_empty() {
            counts.insert(Vec::new(), 0);
        }
        let row = |(key, count): (Vec<String>, u64)| {
            let by_name: BTreeMap<&str, String> = self.groups.iter().copied().zip(key).collect();
            let value = |field: &str| if field == COUNT { json!(count) } else { json!(by_name.get(field)) };
            self.fields.iter().map(|field| ((*field).to_owned(), value(field))).collect()
        };
        counts.into_iter().map(row).collect()
    }
}

fn groups_are_wrong(groups: &[&str]) -> bool {
    // Two parts of a tag would be every key with every value.
    groups.iter().any(|field| matches!(*field, COUNT | TAGS)) || groups.iter().filter(|field| OF_TAGS.contains(field)).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(query: &str) -> Vec<String> {
        let region: Region = "us-east-1".parse().unwrap();
        let tags = BTreeMap::from([("Tier".to_owned(), "web".to_owned()), ("PatchGroup".to_owned(), "default".to_owned())]);
        let resource = |number: u64, kind: &'static str| Resource {
            kind,
            id: format!("i-{number}"),
            arn: format!("arn-{number}"),
            account: AccountId::from_number(111_122_223_333 + number % 2).unwrap(),
            region: &region,
            tags: (number != 3).then_some(&tags),
        };
        let all = (1..=3).map(|number| resource(number, "AWS::EC2::Instance")).chain([resource(4, "AWS::SSM::PatchCompliance")]);
        Query::parse(query).unwrap().run(all).into_iter().map(|row| Value::Object(row).to_string()).collect()
    }

    #[test]
    fn resources_are_counted_by_group() {
        let counted = rows("SELECT accountId, COUNT(*) WHERE resourceType = 'AWS::EC2::Instance' GROUP BY accountId");
        assert_eq!(counted, [r#"{"COUNT(*)":1,"accountId":"111122223333"}"#, r#"{"COUNT(*)":2,"accountId":"111122223334"}"#]);
        assert_eq!(rows("select count(*) where accountid = '999999999999'"), [r#"{"COUNT(*)":0}"#]);
        let by_tag = rows("SELECT tags.tag, COUNT(*) WHERE tags.key = 'Tier' AND resourceType = 'AWS::EC2::Instance' GROUP BY tags.tag");
        assert_eq!(by_tag, [r#"{"COUNT(*)":2,"tags.tag":"PatchGroup=default"}"#, r#"{"COUNT(*)":2,"tags.tag":"Tier=web"}"#]);
    }

    #[test]
    fn resources_are_listed_with_their_tags() {
        let listed = rows("SELECT resourceId, tags WHERE resourceId IN ('i-1', 'i-3')");
        let tags = r#"[{"key":"PatchGroup","tag":"PatchGroup=default","value":"default"},{"key":"Tier","tag":"Tier=web","value":"web"}]"#;
        assert_eq!(listed, [format!(r#"{{"resourceId":"i-1","tags":{tags}}}"#), r#"{"resourceId":"i-3","tags":[]}"#.to_owned()]);
    }

    #[test]
    fn other_shapes_are_refused() {
        for wrong in [
            "",
            "DELETE",
            "SELECT *",
            "SELECT configuration.state.name",
            "SELECT accountId, COUNT(*)",
            "SELECT accountId WHERE resourceType LIKE 'AWS%'",
            "SELECT accountId WHERE resourceType = 'a' OR resourceType = 'b'",
            "SELECT accountId WHERE resourceType = 'a",
            "SELECT accountId ORDER BY accountId",
            "SELECT accountId GROUP BY COUNT(*)",
            "SELECT tags GROUP BY tags",
            "SELECT accountId WHERE accountId IN ()",
            "SELECT accountId;",
        ] {
            assert!(Query::parse(wrong).is_err(), "{wrong}");
        }
    }
}
