//! Flags of `tidegate kev`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::WhoArgs;

/// `kev`
#[derive(Debug, Args)]
pub struct KevArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub what: KevCommand,
}

/// What to do with the KEV catalog.
#[derive(Debug, Subcommand)]
pub enum KevCommand {
    /// Load CISA's catalog: it takes the place of the one before.
    Load(KevLoadArgs),
    /// Which catalog is in force, and who loaded it when.
    Show(KevShowArgs),
}

/// `kev load`
#[derive(Debug, Args)]
pub struct KevLoadArgs {
    /// CISA's JSON feed (`known_exploited_vulnerabilities.json`).
    pub file: PathBuf,
    /// Load it although it is older than the one in force, or has less than half as many entries.
    #[arg(long)]
    pub force: bool,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// `kev show`
#[derive(Debug, Args)]
pub struct KevShowArgs {
    /// The store.
    #[arg(long, default_value = "tidegate-demo/tidegate.db")]
    pub store: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
