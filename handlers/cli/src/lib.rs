//! The command line of Tidegate: one process on an embedded store, for a laptop, a demo, a simulation or a small estate.
//! A library, so that tests drive the same code as the binary.

pub mod args;
pub mod cmd;
pub mod drive;
pub mod failure;
pub mod screen;
pub mod settle;
pub mod summary;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

/// Runs the command line and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap words and prints it; help and version are not errors.
            let code = if error.use_stderr() { 2 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    // A service says what it does; a command that ends says only what went wrong.
    let level = if matches!(cli.command, Command::Serve(_) | Command::World(_)) { "info" } else { "error" };
    log_to_stderr(cli.log_json, level);
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            screen::complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Runs one command. Gives 0 (done) or 1 (done, but something needs a person).
///
/// # Errors
/// Wrong usage or input, a refusal by a safety belt, or a failure of the machine.
pub fn run(command: Command) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure::machine("the runtime can't start", &error))?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => cmd::demo::run(&args).await,
            Command::Replay(args) => cmd::replay::run(&args).await,
            Command::Simulate(args) => cmd::simulate::run(&args).await,
            Command::Plan(args) => cmd::plan::run(&args).await,
            Command::Run(args) => cmd::run::run(&args).await,
            Command::Serve(args) => cmd::serve::run(&args).await,
            Command::Status(args) => cmd::status::run(&args).await,
            Command::Explain(args) => cmd::explain::run(&args).await,
            Command::Approve(args) => cmd::approve::run(&args, tidegate_events::event::Word::Approve).await,
            Command::Reject(args) => cmd::approve::run(&args, tidegate_events::event::Word::Reject).await,
            Command::Stop(args) => cmd::controls::stop(&args).await,
            Command::Pause(args) => cmd::controls::pause(&args).await,
            Command::Resume(args) => cmd::controls::resume(&args).await,
            Command::Retry(args) => cmd::controls::retry(&args).await,
            Command::Kev(args) => cmd::kev::run(&args).await,
            Command::Refused(args) => cmd::refused::run(&args).await,
            Command::Verify(args) => cmd::verify::run(&args),
            Command::Policy(args) => cmd::policy::run(&args),
            Command::Fleet(args) => cmd::fleet::run(&args),
            Command::World(args) => cmd::world::run(&args).await,
            Command::Doctor(args) => cmd::doctor::run(&args).await,
            Command::Completions(args) => cmd::completions::run(&args),
            Command::Later(later) => cmd::later::run(&later),
        }
    })
}

fn log_to_stderr(json: bool, level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second call (tests run several commands in one process) leaves the first subscriber in place.
    drop(if json { builder.json().try_init() } else { builder.with_target(false).try_init() });
}
