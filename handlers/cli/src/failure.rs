//! What ends a command early, with its exit code (docs/reference/cli.md).

use std::fmt;
use std::path::Path;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or input: exit 2.
    Usage(String),
    /// Wrong input, each line beginning with `file:line:column:`: exit 2.
    Placed(String),
    /// A safety belt refused it: exit 3.
    Belt(String),
    /// The user interrupted it: exit 130.
    Interrupted,
    /// Done, and what was asked about needs a person (a damaged journal, a refused approval): exit 1.
    Person(String),
}

impl Failure {
    /// Its exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Person(_) => 1,
            Self::Usage(_) | Self::Placed(_) => 2,
            Self::Belt(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// Something of the machine failed (a file, the store): an input that can't be worked with.
    pub fn machine(what: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::Usage(text)
    }

    /// This build can't do that: it was made without AWS.
    #[cfg(not(feature = "aws"))]
    pub fn without_aws(what: &str) -> Self {
        Self::Usage(format!(
            "`{what}` needs AWS, and this build has none: use one made by `cargo install --path handlers/cli --features aws` or `cargo run --features aws`"
        ))
    }

    /// A file can't be read or written.
    pub fn file(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        Self::Usage(format!("`{}` can't be {doing}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Placed(text) | Self::Belt(text) | Self::Person(text) => f.write_str(text),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<tidegate_engine::EngineError> for Failure {
    fn from(error: tidegate_engine::EngineError) -> Self {
        Self::machine("the engine stopped", &error)
    }
}

impl From<tidegate_embedded::OpenError> for Failure {
    fn from(error: tidegate_embedded::OpenError) -> Self {
        Self::machine("the store can't be used", &error)
    }
}
