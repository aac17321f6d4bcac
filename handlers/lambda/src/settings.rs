//! What a function is told by its environment. Read once, at the start; everything that is wrong is said together, so that a
//! deployment is mended in one go.

use tidegate_aws::bedrock::AgentId;
use tidegate_aws::environment::{EnvironmentError, Reader};
use tidegate_aws::secret::Secret;
use tidegate_events::id::Region;
use tidegate_rules::catalog::Catalog;
use tidegate_rules::policy::{self, Policy};

/// The function that this process is, as `_HANDLER` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Events in.
    Enqueue,
    /// Ticks, approvals, schedules.
    Gate,
    /// Sends.
    Patch,
    /// Outcomes, proofs, sweeps.
    Reevaluate,
    /// Operators.
    Notify,
    /// People.
    Console,
    /// Auditors.
    Report,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 7] = [Self::Enqueue, Self::Gate, Self::Patch, Self::Reevaluate, Self::Notify, Self::Console, Self::Report];

    /// The name in `_HANDLER`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Gate => "gate",
            Self::Patch => "patch",
            Self::Reevaluate => "reevaluate",
            Self::Notify => "notify",
            Self::Console => "console",
            Self::Report => "report",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|function| function.name() == name).ok_or_else(|| format!("`_HANDLER` is `{name}`: expected one of {}", names()))
    }
}

/// Queue URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues {
    /// Decisions that need no spoke.
    pub work: String,
    /// Commands.
    pub sends: String,
    /// Look-ups in spokes.
    pub spokes: String,
    /// What operators are told.
    pub notices: String,
    /// Records that were refused, each with its reason.
    pub refused: Option<String>,
}

/// All settings of a function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The function.
    pub function: Function,
    /// The DynamoDB table.
    pub table: String,
    /// The queues.
    pub queues: Queues,
    /// The policy.
    pub policy: Policy,
    /// The role in every spoke.
    pub spoke_role: String,
    /// What spokes ask of whoever assumes it.
    pub external_id: Option<Secret>,
    /// The Config aggregator; without one there are no sweeps and no percentages.
    pub aggregator: Option<String>,
    /// The SNS topic; without one, notices are in the log alone.
    pub topic: Option<String>,
    /// The SNS topic that chat channels subscribe to.
    pub chat_topic: Option<String>,
    /// Where `console` is reached; without it notices carry no links.
    pub console_url: Option<String>,
    /// The Bedrock agent that `notify` asks about campaigns whose input names none; advisory.
    pub bedrock: Option<AgentId>,
    /// Where `report` writes.
    pub bucket: Option<String>,
    /// How often the aggregator is asked for what no event has told, in seconds; a multiple of 60. 0 means never.
    pub sweep_secs: u32,
    /// After how long the patch states of every account's nodes have been read once, in seconds. 0 means never.
    pub sweep_nodes_secs: u32,
    /// Regions whose nodes are read beside those that the aggregator knows instances in.
    pub regions: Vec<Region>,
    /// The AWS partition.
    pub partition: String,
    /// The state machine whose executions wait for the end of their runs; without one, none are looked at.
    pub orchestrator: Option<String>,
}

/// Everything that is wrong with the environment.
pub type SettingsError = EnvironmentError;

impl Settings {
    /// Reads the settings of a function. `get` looks up an environment variable; `read_file` reads a policy file of the zip.
    ///
    /// # Errors
    /// Everything that is missing or wrong, at once. Values of secrets are never in it.
    pub fn read(function: Function, get: &dyn Fn(&str) -> Option<String>, read_file: &dyn Fn(&str) -> Result<String, String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(get);
        let table = reader.needed("TIDEGATE_TABLE", "the name of the DynamoDB table");
        let queues = Queues {
            work: reader.url("TIDEGATE_QUEUE_WORK", "the URL of the work queue"),
            sends: reader.url("TIDEGATE_QUEUE_SENDS", "the URL of the FIFO queue of sends"),
            spokes: reader.url("TIDEGATE_QUEUE_SPOKES", "the URL of the FIFO queue of look-ups in spokes"),
            notices: reader.url("TIDEGATE_QUEUE_NOTICES", "the URL of the queue of notices"),
            refused: match function {
                Function::Enqueue | Function::Gate => Some(reader.url("TIDEGATE_QUEUE_REFUSED", "the URL of the queue of refused records")),
                _ => reader.maybe("TIDEGATE_QUEUE_REFUSED"),
            },
        };
        let policy = read_policy(&mut reader, read_file);
        let enters_spokes = matches!(function, Function::Patch | Function::Reevaluate);
        let external_id = reader.external_id();
        if external_id.is_some() && !enters_spokes {
            // The value is a secret: it is never said.
            reader.fault(format!("`TIDEGATE_EXTERNAL_ID` is set on `{}`, which enters no spoke: take it away there", function.name()));
        }
        let spoke_role = reader.spoke_role();
        let (topic, chat_topic) = (reader.topic(), reader.chat_topic());
        let console_url = reader.maybe("TIDEGATE_CONSOLE_URL");
        let console_url =
            reader.matched("TIDEGATE_CONSOLE_URL", console_url, "the URL of the console", |url| url.starts_with("https://") || url.starts_with("http://"));
        let bedrock = reader
            .maybe("TIDEGATE_BEDROCK_AGENT")
            .and_then(|text| AgentId::parse(&text).map_err(|why| reader.fault(format!("`TIDEGATE_BEDROCK_AGENT`: {why}"))).ok());
        let bucket = if function == Function::Report {
            Some(reader.needed("TIDEGATE_BUCKET", "the bucket that reports are written to"))
        } else {
            reader.maybe("TIDEGATE_BUCKET")
        };
        let (sweep_secs, sweep_nodes_secs, regions) = (reader.sweep_secs(), reader.sweep_nodes_secs(), reader.regions());
        let settings = Self {
            function,
            table,
            queues,
            spoke_role,
            external_id,
            aggregator: reader.maybe("TIDEGATE_AGGREGATOR"),
            topic,
            chat_topic,
            console_url: console_url.map(|url| url.trim_end_matches('/').to_owned()),
            bedrock,
            bucket,
            sweep_secs,
            sweep_nodes_secs,
            regions,
            partition: reader.partition(),
            orchestrator: reader.maybe("TIDEGATE_ORCHESTRATOR"),
            policy: reader.done(policy)?,
        };
        Ok(settings)
    }
}

/// The policy: the name of a built-in one, or a file in the zip.
fn read_policy(reader: &mut Reader<'_>, read_file: &dyn Fn(&str) -> Result<String, String>) -> Option<Policy> {
    let name = reader.maybe("TIDEGATE_POLICY").unwrap_or_else(|| "default".into());
    let text = match policy::builtin(&name) {
        Some(text) => Ok(text.to_owned()),
        None => read_file(&name),
    };
    let catalog = read_catalog(reader, read_file)?;
    let read = text.and_then(|text| policy::parse_with(&text, &name, &catalog).map_err(|errors| errors.to_string()));
    // Run inputs of schedules lie beside the policy.
    let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let read = read.and_then(|policy| {
        let file = |run: &str| read_file(&format!("{folder}{run}")).map(String::into_bytes);
        policy.with_runs(file).map_err(|wrong| wrong.join("\n"))
    });
    read.map_err(|why| reader.fault(format!("`TIDEGATE_POLICY` is `{name}`: {why}"))).ok()
}

/// The user's own catalog entries: names of files in the zip, with commas between them. `None` where one is wrong, which is said.
fn read_catalog(reader: &mut Reader<'_>, read_file: &dyn Fn(&str) -> Result<String, String>) -> Option<Catalog> {
    let Some(names) = reader.maybe("TIDEGATE_CATALOG") else { return Some(Catalog::default()) };
    let names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let read: Result<Vec<(&str, String)>, String> = names.iter().map(|name| Ok((*name, read_file(name)?))).collect();
    let catalog = read.and_then(|files| Catalog::with(files.iter().map(|(name, text)| (*name, text.as_str()))).map_err(|errors| errors.to_string()));
    catalog.map_err(|why| reader.fault(format!("`TIDEGATE_CATALOG` is `{}`: {why}", names.join(",")))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(name: &str) -> Option<String> {
        Some(match name {
            "TIDEGATE_TABLE" => "tidegate".into(),
            "TIDEGATE_QUEUE_WORK" | "TIDEGATE_QUEUE_SENDS" | "TIDEGATE_QUEUE_SPOKES" | "TIDEGATE_QUEUE_NOTICES" | "TIDEGATE_QUEUE_REFUSED" => {
                format!("https://sqs.eu-central-1.amazonaws.com/123456789012/{}", name.to_lowercase())
            }
            _ => return None,
        })
    }

    fn no_file(name: &str) -> Result<String, String> {
        Err(format!("no file `{name}`"))
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = Settings::read(Function::Gate, &full, &no_file).unwrap();
        assert_eq!((settings.sweep_nodes_secs, settings.regions.len()), (86_400, 0));
        assert_eq!((settings.spoke_role.as_str(), settings.sweep_secs, settings.policy.name.as_str()), ("PatchExecRole", 900, "default"));
    }

    #[test]
    fn a_policy_may_name_an_entry_of_the_zip() {
        let entry = "name = \"acme\"\ntitle = \"t\"\nresource_types = [\"AWS::EC2::Instance\"]\nconfig_rules = [\"acme-rule\"]\nrunner = \"report\"\nproof = \"config_verdict\"\n";
        let get = |name: &str| match name {
            "TIDEGATE_POLICY" => Some("mine.toml".into()),
            "TIDEGATE_CATALOG" => Some("acme.toml".into()),
            other => full(other),
        };
        let file = |name: &str| match name {
            "mine.toml" => Ok("name = \"mine\"\nremediation = \"acme\"\n".to_owned()),
            "acme.toml" => Ok(entry.to_owned()),
            other => no_file(other),
        };
        let settings = Settings::read(Function::Gate, &get, &file).unwrap();
        assert_eq!(settings.policy.entry().config_rules, ["acme-rule"]);
        let EnvironmentError(faults) = Settings::read(Function::Gate, &get, &|name| if name == "acme.toml" { no_file(name) } else { file(name) }).unwrap_err();
        assert_eq!(faults, ["`TIDEGATE_CATALOG` is `acme.toml`: no file `acme.toml`"]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let get = |name: &str| match name {
            "TIDEGATE_QUEUE_SENDS" => Some("sends".into()),
            "TIDEGATE_SWEEP_SECS" => Some("90".into()),
            "TIDEGATE_SWEEP_NODES_SECS" => Some("daily".into()),
            "TIDEGATE_REGIONS" => Some("eu-central-1, nowhere".into()),
            "TIDEGATE_SPOKE_ROLE" => Some("arn:aws:iam::111122223333:role/PatchExecRole".into()),
            "TIDEGATE_POLICY" => Some("brisk".into()),
            "TIDEGATE_EXTERNAL_ID" => Some("x".into()),
            "TIDEGATE_BEDROCK_AGENT" => Some("AGENT12345".into()),
            _ => None,
        };
        let EnvironmentError(faults) = Settings::read(Function::Patch, &get, &no_file).unwrap_err();
        for name in [
            "TIDEGATE_TABLE",
            "TIDEGATE_QUEUE_WORK",
            "TIDEGATE_QUEUE_SENDS",
            "TIDEGATE_SWEEP_SECS",
            "TIDEGATE_SWEEP_NODES_SECS",
            "TIDEGATE_REGIONS",
            "TIDEGATE_SPOKE_ROLE",
            "TIDEGATE_POLICY",
            "TIDEGATE_EXTERNAL_ID",
            "TIDEGATE_BEDROCK_AGENT",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(name)), "{name} is not in {faults:?}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let with = |name: &str| if name == "TIDEGATE_EXTERNAL_ID" { Some("s3cret-id".into()) } else { full(name) };
        let settings = Settings::read(Function::Patch, &with, &no_file).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret-id"));
        let error = Settings::read(Function::Enqueue, &with, &no_file).unwrap_err().to_string();
        assert!(error.contains("enters no spoke") && !error.contains("s3cret-id"), "{error}");
    }

    #[test]
    fn functions_are_known_by_name() {
        assert!(Function::ALL.into_iter().all(|function| Function::parse(function.name()) == Ok(function)));
        assert!(Function::parse("patcher").unwrap_err().contains("enqueue, gate, patch"));
    }
}
