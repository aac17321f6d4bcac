//! `tidegate policy`

use std::path::Path;

use serde::Serialize;
use tidegate_rules::policy::{self, Policy};

use crate::args::{PolicyArgs, PolicyCommand};
use crate::cmd::catalog;
use crate::failure::Failure;
use crate::screen;

/// What `policy check --json` and `policy explain --json` print.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct PolicyReport {
    /// `tidegate.policy/1`
    pub schema: String,
    /// The policy's name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Legal but unwise.
    pub lints: Vec<PolicyLint>,
    /// What it does, in sentences (`explain` alone).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
}

/// Something legal but unwise.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct PolicyLint {
    /// The rule.
    pub rule: String,
    /// What it says.
    pub message: String,
}

/// Largest policy file that is read, in bytes.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a policy file; without one, the default policy.
///
/// # Errors
/// When it can't be read or is wrong: every fault with line and column.
pub fn read(path: Option<&Path>) -> Result<Policy, Failure> {
    read_with(path, None)
}

/// As [`read`], where the policy may name entries of this folder.
///
/// # Errors
/// As for [`read`], and when an entry is wrong.
pub fn read_with(path: Option<&Path>, folder: Option<&Path>) -> Result<Policy, Failure> {
    let catalog = catalog::read(folder)?;
    let Some(path) = path else { return policy::default_policy().map_err(|errors| Failure::Usage(errors.to_string())) };
    let size = std::fs::metadata(path).map_err(|error| Failure::file(path, "read", &error))?;
    if size.is_dir() {
        return Err(Failure::Usage(format!("`{}` is a folder: expected a policy in TOML", path.display())));
    }
    if size.len() > POLICY_BYTES_MAX {
        return Err(Failure::Placed(format!("{}:1:1: {} bytes: a policy has at most {POLICY_BYTES_MAX}", path.display(), size.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Placed(format!("{}:1:1: not UTF-8: expected a policy in TOML", path.display())))?;
    let policy = policy::parse_with(&text, &path.display().to_string(), &catalog).map_err(|errors| Failure::Placed(errors.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    policy.with_runs(|name| read_run(&folder.join(name))).map_err(|wrong| Failure::Placed(wrong.join("\n")))
}

/// The bytes of a schedule's run input.
fn read_run(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > POLICY_BYTES_MAX {
        return Err(format!("{size} bytes: expected at most {POLICY_BYTES_MAX}"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// Checks or explains a policy.
///
/// # Errors
/// When it can't be read or is wrong.
pub fn run(args: &PolicyArgs) -> Result<u8, Failure> {
    let (file, explain) = match &args.what {
        PolicyCommand::Check(file) => (file, false),
        PolicyCommand::Explain(file) => (file, true),
        PolicyCommand::Show { name } => {
            let text = policy::builtin(name)
                .ok_or_else(|| Failure::Usage(format!("`{name}` does not come with Tidegate: expected one of {}", policy::BUILTIN_NAMES.join(", "))))?;
            screen::print(text)?;
            return Ok(0);
        }
    };
    let policy = read_with(Some(&file.file), file.catalog.as_deref())?;
    let lints: Vec<PolicyLint> = policy::lint(&policy).into_iter().map(|lint| PolicyLint { rule: lint.rule.to_owned(), message: lint.message }).collect();
    let sentences = if explain { policy::explain(&policy) } else { Vec::new() };
    if file.json {
        let report = PolicyReport { schema: "tidegate.policy/1".into(), name: policy.name.clone(), digest: policy.digest().to_string(), lints, sentences };
        screen::print_json(&report)?;
        return Ok(0);
    }
    let mut text = String::new();
    if explain {
        for sentence in &sentences {
            text.push_str(sentence);
            text.push('\n');
        }
    } else {
        text.push_str(&format!("policy `{}` is in order; digest {}\n", policy.name, policy.digest().short()));
    }
    screen::print(&text)?;
    for lint in &lints {
        screen::warn(&format!("{} ({})", lint.message, lint.rule));
    }
    Ok(0)
}
