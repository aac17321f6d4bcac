//! Settings from environment variables: every shell on AWS reads the same names by the same rules, and says everything that is
//! wrong at once.

use std::fmt;

use tidegate_events::id::Region;

use crate::secret::Secret;

/// How often the aggregator is asked for what no event has told, in seconds, where nothing is set.
const SWEEP_SECS: u32 = 900;
/// After how long every account's nodes have been looked at once, in seconds, where nothing is set.
const SWEEP_NODES_SECS: u32 = 86_400;

/// Everything that is wrong with the environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct EnvironmentError(pub Vec<String>);

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong setting(s): {}", self.0.len(), self.0.join("; "))
    }
}

/// Reads settings, and collects what is wrong.
pub struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads by this look-up of an environment variable.
    pub fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { get, faults: Vec::new() }
    }

    /// Something is wrong.
    pub fn fault(&mut self, why: String) {
        self.faults.push(why);
    }

    /// What was read, where nothing was wrong.
    ///
    /// # Errors
    /// Everything that was, at once. Values of secrets are never in it.
    pub fn done<T>(self, read: Option<T>) -> Result<T, EnvironmentError> {
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            _ => Err(EnvironmentError(self.faults)),
        }
    }

    /// A setting that may be left out; an empty one is none.
    pub fn maybe(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A setting that must be there.
    pub fn needed(&mut self, name: &str, what: &str) -> String {
        self.maybe(name).unwrap_or_else(|| {
            self.faults.push(format!("`{name}` is not set: expected {what}"));
            String::new()
        })
    }

    /// A URL that must be there.
    pub fn url(&mut self, name: &str, what: &str) -> String {
        let value = self.needed(name, what);
        if !value.is_empty() && !value.starts_with("https://") && !value.starts_with("http://") {
            self.faults.push(format!("`{name}` is `{value}`: expected {what}"));
        }
        value
    }

    /// A value that has to look right, where there is one.
    pub fn matched(&mut self, name: &str, value: Option<String>, what: &str, is_right: impl Fn(&str) -> bool) -> Option<String> {
        if let Some(value) = &value
            && !is_right(value)
        {
            self.faults.push(format!("`{name}` is `{value}`: expected {what}"));
        }
        value
    }

    /// The name of the role in every spoke.
    pub fn spoke_role(&mut self) -> String {
        let role = self.maybe("TIDEGATE_SPOKE_ROLE");
        let is_role = |role: &str| role.len() <= 64 && role.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b));
        self.matched("TIDEGATE_SPOKE_ROLE", role, "the name of a role, not its ARN", is_role).unwrap_or_else(|| "PatchExecRole".into())
    }

    /// What spokes ask of whoever assumes the role.
    pub fn external_id(&mut self) -> Option<Secret> {
        let id = self.maybe("TIDEGATE_EXTERNAL_ID")?;
        if !(2..=1224).contains(&id.len()) {
            // The value is a secret: only its length may be said.
            self.faults.push(format!("`TIDEGATE_EXTERNAL_ID` is {} characters long: expected 2 to 1224", id.len()));
        }
        Some(Secret::new(id))
    }

    /// The ARN of the topic for notices.
    pub fn topic(&mut self) -> Option<String> {
        self.topic_of("TIDEGATE_TOPIC")
    }

    /// The ARN of the topic that chat channels subscribe to.
    pub fn chat_topic(&mut self) -> Option<String> {
        self.topic_of("TIDEGATE_CHAT_TOPIC")
    }

    fn topic_of(&mut self, name: &str) -> Option<String> {
        let topic = self.maybe(name);
        self.matched(name, topic, "the ARN of an SNS topic", |arn| arn.starts_with("arn:") && arn.split(':').nth(2) == Some("sns"))
    }

    /// How often the aggregator is asked for what no event has told, in seconds; 0 means never.
    pub fn sweep_secs(&mut self) -> u32 {
        self.every("TIDEGATE_SWEEP_SECS", 60, 86_400, SWEEP_SECS)
    }

    /// After how long the patch states of every account's nodes have been read once, in seconds; 0 means never.
    pub fn sweep_nodes_secs(&mut self) -> u32 {
        self.every("TIDEGATE_SWEEP_NODES_SECS", 900, 604_800, SWEEP_NODES_SECS)
    }

    fn every(&mut self, name: &str, step: u32, most: u32, default: u32) -> u32 {
        let text = self.maybe(name);
        let expected = format!("seconds, a multiple of {step} up to {most}, or 0 for never");
        let text = self.matched(name, text, &expected, |secs| secs.parse::<u32>().is_ok_and(|secs| secs % step == 0 && secs <= most));
        text.and_then(|secs| secs.parse().ok()).unwrap_or(default)
    }

    /// Regions that are looked into beside the hub's own and those where the aggregator knows instances.
    pub fn regions(&mut self) -> Vec<Region> {
        let Some(names) = self.maybe("TIDEGATE_REGIONS") else { return Vec::new() };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let read: Result<Vec<Region>, _> = names.map(str::parse).collect();
        read.unwrap_or_else(|error| {
            self.faults.push(format!("`TIDEGATE_REGIONS`: {error}; expected Regions with commas between them"));
            Vec::new()
        })
    }

    /// The AWS partition.
    pub fn partition(&mut self) -> String {
        self.maybe("TIDEGATE_PARTITION").unwrap_or_else(|| "aws".into())
    }
}
