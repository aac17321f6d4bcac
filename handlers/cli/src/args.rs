//! Commands and flags, as docs/reference/cli.md promises them.

mod kev;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tidegate_events::id::{AccountId, Region};

pub use kev::{KevArgs, KevCommand, KevLoadArgs, KevShowArgs};

/// Brings AWS fleets back to patch compliance: events in, waves gated and approved, instances patched, proof and evidence out.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 done, but something needs a person; 2 wrong usage or input; 3 refused by a safety belt; 130 interrupted.\nData goes to stdout, everything else to stderr. Logs: TIDEGATE_LOG=info (or debug)."
)]
pub struct Cli {
    /// Write logs as JSON lines to stderr.
    #[arg(long, global = true)]
    pub log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole job on a simulated organization, and look at it.
    Demo(DemoArgs),
    /// Feed recorded events to the engine over a simulated organization, in virtual time.
    Replay(ReplayArgs),
    /// Run a generated organization with seeded faults until it settles, and check the invariants.
    Simulate(SimulateArgs),
    /// Say what a bulk run would do to a fleet: waves, batches, hosts, forecast. Touches nothing.
    Plan(PlanArgs),
    /// Run a bulk run over a simulated organization, in virtual time.
    Run(RunArgs),
    /// Run the engine as a service on this machine.
    Serve(ServeArgs),
    /// What is collected, waiting, running, held.
    Status(StatusArgs),
    /// Why a target is where it is, as sentences.
    Explain(ExplainArgs),
    /// Say yes to a campaign or a wave.
    Approve(ApproveArgs),
    /// Say no to a campaign or a wave.
    Reject(ApproveArgs),
    /// Pull the stop cord: nothing is sent any more, and what was not delivered is cancelled.
    Stop(StopArgs),
    /// Pause a lane or a campaign: nothing new starts in it.
    Pause(SteerArgs),
    /// Let a halted or paused lane or a paused campaign go on, or release the stop cord.
    Resume(ResumeArgs),
    /// Give a target, or everybody who failed in a campaign, another attempt.
    Retry(RetryArgs),
    /// Load CISA's catalog of Known Exploited Vulnerabilities, or say which one is in force.
    Kev(KevArgs),
    /// Look at records that were refused on AWS, and replay them.
    Refused(RefusedArgs),
    /// Check that a journal is intact.
    Verify(VerifyArgs),
    /// Check a policy, or have it explained.
    Policy(PolicyArgs),
    /// Make a fleet file.
    Fleet(FleetArgs),
    /// Serve a simulated organization over the AWS wire protocols, for SDKs and tests.
    World(WorldArgs),
    /// Prove that spokes are ready for their first wave, and say what mends those that are not.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Commands that are part of the contract and come with a later version.
    #[command(flatten)]
    Later(LaterCommand),
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// No screen: print only the end (for scripts).
    #[arg(long)]
    pub headless: bool,
    /// Approve without asking. Implied where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Print the summary as one JSON document.
    #[arg(long)]
    pub json: bool,
    /// The same seed gives the same demo.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where the evidence goes.
    #[arg(long, default_value = "tidegate-demo")]
    pub out: PathBuf,
}

/// `replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files or folders of events; `-` reads stdin. One event, a JSON array, JSON Lines or an SQS batch each.
    #[arg(required = true)]
    pub path: Vec<PathBuf>,
    /// The organization (`tidegate fleet generate` makes one). Without it, the targets that the events name.
    #[arg(long)]
    pub fleet: Option<PathBuf>,
    /// The policy; without it the default one.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// A folder of catalog entries (`*.toml`) that the policy may name, beside those that come with Tidegate.
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
    /// Remember in this file, and go on from it. The simulated organization is kept beside it, in `FILE.world`.
    #[arg(long)]
    pub store: Option<PathBuf>,
    /// Approve whatever is asked, under this name. Repeat it for a quorum.
    #[arg(long, value_name = "NAME")]
    pub approve_as: Vec<String>,
    /// Print the summary as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// How badly the simulated world behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FaultLevel {
    /// As it should.
    None,
    /// As on a usual day.
    Light,
    /// As on a very bad day.
    Heavy,
}

/// `simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Accounts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,
    /// Regions.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub regions: u32,
    /// Instances in all.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub instances: u32,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Faults.
    #[arg(long, value_enum, default_value_t = FaultLevel::Light)]
    pub faults: FaultLevel,
    /// The policy; without it the default one.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// A folder of catalog entries (`*.toml`) that the policy may name, beside those that come with Tidegate.
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
    /// A named scenario instead of a generated organization: `list` prints the names.
    #[arg(long)]
    pub scenario: Option<String>,
    /// Print the summary as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The run's input, in any of its three forms.
    #[arg(long)]
    pub input: PathBuf,
    /// The organization (`tidegate fleet generate` makes one).
    #[arg(long, required_unless_present = "aws", conflicts_with = "aws")]
    pub fleet: Option<PathBuf>,
    /// Read the accounts and Regions that the run names on AWS: settings come from the environment variables that the functions read.
    #[arg(long)]
    pub aws: bool,
    /// The policy; without it the default one.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// When it would start, such as 2026-11-19T08:00:00Z (the default, or now on AWS): windows, freezes and exemptions are looked at from there.
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    /// Add every host, with its wave or why it has none.
    #[arg(long)]
    pub list: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run's input, in any of its three forms.
    #[arg(long)]
    pub input: PathBuf,
    /// The organization (`tidegate fleet generate` makes one): the run is simulated on it.
    #[arg(long, required_unless_present = "console")]
    pub fleet: Option<PathBuf>,
    /// The URL of the console on AWS: the run is asked for there, in the name of the caller's AWS identity.
    #[arg(long, value_name = "URL", conflicts_with_all = ["fleet", "policy", "at", "store", "approve_as"])]
    pub console: Option<String>,
    /// What to call this ask, with `--console`: the same run asked for again under the same name is one run. Without it, the same run is one
    /// run a day (UTC).
    #[arg(long, value_name = "NAME", requires = "console")]
    pub ask: Option<String>,
    /// The policy; without it the default one.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// When it starts, such as 2026-11-19T08:00:00Z (the default).
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    /// Remember in this file, and go on from it. The simulated organization is kept beside it, in `FILE.world`.
    #[arg(long)]
    pub store: Option<PathBuf>,
    /// Approve whatever is asked, under this name. Repeat it for a quorum.
    #[arg(long, value_name = "NAME")]
    pub approve_as: Vec<String>,
    /// Start without asking. Implied where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Print the summary as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to remember. A simulated organization is kept beside it, in `FILE.world`.
    #[arg(long)]
    pub store: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8479")]
    pub listen: SocketAddr,
    /// The policy; without it the default one.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// A folder of catalog entries (`*.toml`) that the policy may name, beside those that come with Tidegate.
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
    /// The organization; targets that events name are added to it.
    #[arg(long)]
    pub fleet: Option<PathBuf>,
    /// Seconds of virtual time for each second of real time, to try things out.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub speed: u32,
    /// Act on AWS instead of on a simulated organization: settings come from the environment variables that the functions read.
    #[arg(long, value_parser = ["aws"], conflicts_with_all = ["fleet", "speed"])]
    pub cloud: Option<String>,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The store.
    #[arg(long, default_value = "tidegate-demo/tidegate.db")]
    pub store: PathBuf,
    /// List the targets that a person must look after: out of attempts.
    #[arg(long)]
    pub quarantine: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// `account/region/instance-id`, or an instance id alone where it is unique.
    pub target: String,
    /// The store.
    #[arg(long, default_value = "tidegate-demo/tidegate.db")]
    pub store: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `approve` and `reject`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// A campaign (`patch-default.1`) or a wave (`patch-default.1.w0`), as `status` lists them.
    pub id: String,
    /// The digest that you looked at; without it the one that is asked for now.
    #[arg(long)]
    pub digest: Option<String>,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// Who says something, where, and why.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// The store.
    #[arg(long, default_value = "tidegate-demo/tidegate.db")]
    pub store: PathBuf,
    /// Who decides; without it the user of this machine (USER).
    #[arg(long = "as", value_name = "NAME")]
    pub by: Option<String>,
    /// The URL of the console on AWS, instead of a store: who decides is the caller's AWS identity.
    #[arg(long, value_name = "URL", conflicts_with_all = ["by", "store"])]
    pub console: Option<String>,
    /// Why; only a yes, `stop` and `kev load` go without it.
    #[arg(long, default_value = "")]
    pub comment: String,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Everything: there is one stop cord.
    #[arg(long)]
    pub all: bool,
    /// Cancel what runs, too: an installation that is cut off may leave packages half configured.
    #[arg(long)]
    pub kill: bool,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// `pause`
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// A lane (`patch-default`) or a campaign (`patch-default.1`), as `status` lists them.
    pub id: String,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// `resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// A lane (`patch-default`) or a campaign (`patch-default.1`), as `status` lists them.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub id: Option<String>,
    /// Release the stop cord.
    #[arg(long)]
    pub all: bool,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// `retry`
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// A target (`account/region/instance-id`, or an instance id alone where it is unique) or a campaign (`patch-default.1`).
    pub id: String,
    /// Who, where and why.
    #[command(flatten)]
    pub who: WhoArgs,
}

/// `refused`
#[derive(Debug, Args)]
pub struct RefusedArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub what: RefusedCommand,
}

/// What to do with refused records.
#[derive(Debug, Subcommand)]
pub enum RefusedCommand {
    /// Show each with its reason; nothing is taken out of the queue.
    List {
        /// The URL of the queue of refused records.
        #[arg(long, value_name = "URL")]
        queue: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Send them to the queue that they came from, and take them out of this one.
    Replay {
        /// The URL of the queue of refused records.
        #[arg(long, value_name = "URL")]
        queue: String,
        /// The URL of the queue that gets them.
        #[arg(long, value_name = "URL")]
        to: String,
        /// Only those whose reason has this text in it.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason_contains: String,
        /// Do it; without this, only say what would be done.
        #[arg(long)]
        yes: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A pack folder or a journal file.
    pub path: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `policy`
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub what: PolicyCommand,
}

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say everything that is wrong with it, with line and column, and what is legal but unwise.
    Check(PolicyFileArgs),
    /// Say in sentences what it does.
    Explain(PolicyFileArgs),
    /// Print a policy that comes with Tidegate, with its comments: default, accelerated, slow-roll or emergency.
    Show {
        /// Which.
        name: String,
    },
}

/// A policy file.
#[derive(Debug, Args)]
pub struct PolicyFileArgs {
    /// A TOML file.
    pub file: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
    /// A folder of catalog entries (`*.toml`) that the policy may name, beside those that come with Tidegate.
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
}

/// `fleet`
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: FleetCommand,
}

/// What to do about fleets.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Print a `tidegate.fleet/1` document.
    Generate {
        /// Accounts.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        accounts: u32,
        /// Regions.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
        regions: u32,
        /// Instances in all.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
        instances: u32,
        /// The same seed gives the same fleet.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The document is JSON with or without this flag.
        #[arg(long)]
        json: bool,
    },
}

/// What Config finds by itself in a simulated organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Findings {
    /// Every instance that lacks patches, told by events.
    Events,
    /// Every instance that lacks patches, and no event tells: only Config and its aggregator know.
    Silent,
    /// Nothing before our own first scan or installation.
    None,
}

/// `world`
#[derive(Debug, Args)]
pub struct WorldArgs {
    /// Where to listen: a loopback address, port 0 for a free one.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The organization; without it a generated one.
    #[arg(long, conflicts_with_all = ["accounts", "regions", "instances"])]
    pub fleet: Option<PathBuf>,
    /// Accounts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,
    /// Regions.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub regions: u32,
    /// Instances in all.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub instances: u32,
    /// The same seed gives the same organization.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Faults.
    #[arg(long, value_enum, default_value_t = FaultLevel::None)]
    pub faults: FaultLevel,
    /// What Config finds by itself within the first half hour.
    #[arg(long, value_enum, default_value_t = Findings::Events)]
    pub findings: Findings,
    /// Divide the organization's own delays by this: at 60, minutes of an installation are seconds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tempo: u32,
    /// A document or runbook of the customer's own, which every account has; one that mends nothing backs hosts up. May be given again.
    #[arg(long, value_name = "NAME")]
    pub document: Vec<String>,
    /// Keep the organization in this file, and go on from it; its own spec and tempo count then.
    #[arg(long, value_name = "FILE.world")]
    pub store: Option<PathBuf>,
    /// The account that owns the organization and its Config aggregator.
    #[arg(long, default_value = "123456789012", value_name = "ID")]
    pub hub_account: AccountId,
    /// An STS endpoint (`http://host:port`) that says whose an access key is. A key of twelve digits is that account; without this, any other
    /// is the hub's.
    #[arg(long, value_name = "URL")]
    pub identities: Option<String>,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// An account; repeat it for more. Without it, every account of the fleet.
    #[arg(long, value_name = "ID", required_if_eq("cloud", "aws"))]
    pub account: Vec<AccountId>,
    /// A Region; repeat it for more. Without it, every Region of the account's instances in the fleet, or the hub's on AWS.
    #[arg(long, value_name = "NAME")]
    pub region: Vec<Region>,
    /// A simulated organization to look at.
    #[arg(long, required_unless_present = "cloud", conflicts_with = "cloud")]
    pub fleet: Option<PathBuf>,
    /// Look at AWS: settings come from the environment variables that the functions read.
    #[arg(long, value_parser = ["aws"])]
    pub cloud: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Commands of the contract that a later version brings. They take any arguments and say so.
#[derive(Debug, Subcommand)]
pub enum LaterCommand {
    /// Write the report in other formats (a later version).
    Report(RestArgs),
}

/// Anything.
#[derive(Debug, Args)]
pub struct RestArgs {
    /// Anything.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}
