//! Settings from environment variables: every shell on AWS reads the same names by the same rules, and says everything that is
//! wrong at once.

use std::fmt;

use crate::secret::Secret;

/// How often the aggregator is asked for what no event has told, in seconds, where nothing is set.
const SWEEP_SECS: u32 = 900;

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
        let topic = self.maybe("TIDEGATE_TOPIC");
        self.matched("TIDEGATE_TOPIC", topic, "the ARN of an SNS topic", |arn| arn.starts_with("arn:") && arn.split(':').nth(2) == Some("sns"))
    }

    /// How often the aggregator is asked for what no event has told, in seconds; 0 means never.
    pub fn sweep_secs(&mut self) -> u32 {
        let sweep = self.maybe("TIDEGATE_SWEEP_SECS");
        let sweep = self.matched("TIDEGATE_SWEEP_SECS", sweep, "seconds, a multiple of 60 up to 86400, or 0 for never", |secs| {
            secs.parse::<u32>().is_ok_and(|secs| secs % 60 == 0 && secs <= 86_400)
        });
        sweep.and_then(|secs| secs.parse().ok()).unwrap_or(SWEEP_SECS)
    }

    /// The AWS partition.
    pub fn partition(&mut self) -> String {
        self.maybe("TIDEGATE_PARTITION").unwrap_or_else(|| "aws".into())
    }
}
