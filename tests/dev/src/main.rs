//! `cargo dev`: what developers and CI run.

mod package;

use std::process::{Command, ExitCode};

const HELP: &str = "cargo dev <task>

  test [ARGS]   every test (ARGS go to cargo test)
  ci            what CI runs: fmt, test, clippy
  fmt           rustfmt, checking only
  clippy        clippy over everything, warnings are errors
  bless         write goldens and schemas anew, then show what changed
  package       the Lambda zip, target/lambda/tidegate.zip [--policy FILE] [--arm64, with cargo-lambda]
  sim SEED      one simulated world with heavy faults, invariants checked
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let done = match args.first().map(String::as_str) {
        Some("test") => test(&rest),
        Some("fmt") => run("cargo", &["fmt", "--all", "--check"], &[]),
        Some("clippy") => clippy(),
        // Tests first: clippy then shares build scripts and proc macros with them.
        Some("ci") => run("cargo", &["fmt", "--all", "--check"], &[]) && test(&rest) && clippy(),
        Some("bless") => {
            run("cargo", &["test", "--locked", "--package", "tidegate-tests", "--test", "scenarios", "--test", "schemas"], &[("TIDEGATE_BLESS", "1")])
                && run("git", &["--no-pager", "diff", "--stat"], &[])
        }
        Some("package") => match package::options(&rest) {
            Some(options) => package::package(&options),
            None => return wrong(),
        },
        Some("sim") => {
            let Some(seed) = rest.first() else { return wrong() };
            let mut sim = vec![
                "run",
                "--quiet",
                "--locked",
                "--package",
                "tidegate",
                "--",
                "simulate",
                "--accounts",
                "3",
                "--instances",
                "60",
                "--faults",
                "heavy",
                "--seed",
                seed,
            ];
            sim.extend(rest.iter().skip(1));
            run("cargo", &sim, &[])
        }
        _ => return wrong(),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn test(rest: &[&str]) -> bool {
    let mut args = vec!["test", "--locked", "--workspace"];
    args.extend(rest);
    run("cargo", &args, &[])
}

fn clippy() -> bool {
    run("cargo", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
}

fn wrong() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}

fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> bool {
    eprintln!("+ {program} {}", args.join(" "));
    match Command::new(program).args(args).envs(env.iter().copied()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{program} can't be run: {error}");
            false
        }
    }
}
