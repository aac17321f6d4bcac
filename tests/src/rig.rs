//! The rig: parts by third parties that the tests run against, set up by the tests themselves, pinned with hashes.
//!
//! `ministack` is the hub's account (DynamoDB, SQS, SNS, EventBridge, IAM, Lambda), `moto` a second opinion, `microburst` the faults
//! between the SDK and either of them. The spokes are ours: `tidegate world --listen`. Everything listens on 127.0.0.1 alone.
//! docs/testing.md says what these parts do and do not do as AWS does.

mod clock;
mod environment;
mod package;
mod server;

use std::fs;
use std::io::Error;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::binary::{root, tidegate};

pub use clock::Clock;
pub use package::package;
pub use server::{Server, Start};

/// The hub's account in every system test.
pub const HUB: &str = "123456789012";

/// The Python that runs the drivers in `tests/rig`.
///
/// # Panics
/// When its packages can't be installed.
pub fn python() -> PathBuf {
    environment::environment(environment::DRIVERS).join("bin/python")
}

/// How ministack is started.
#[derive(Debug, Default)]
pub struct Ministack {
    /// Signatures, roles and policies are enforced.
    pub auth: bool,
    /// Put into its environment, and so into that of every function it runs: a [`Clock`]'s, endpoints of other services.
    pub env: Vec<(String, String)>,
}

/// The hub's services: a new, empty account [`HUB`] (and any other account, by its id as the access key and the secret `test`).
///
/// # Errors
/// When it does not start.
///
/// # Panics
/// When it can't be installed.
pub fn ministack(how: Ministack) -> Result<Server, Error> {
    let python = environment::environment(environment::MINISTACK).join("bin/python").display().to_string();
    Server::start(&Start {
        name: "ministack",
        command: &|_| [&python, "-m", "ministack"].map(str::to_owned).into(),
        env: &|port| {
            let own = [
                // It listens on all addresses unless it is told not to.
                ("BIND_HOST", "127.0.0.1".to_owned()),
                ("MINISTACK_HOST", "127.0.0.1".to_owned()),
                ("GATEWAY_PORT", port.to_string()),
                ("MINISTACK_ACCOUNT_ID", HUB.to_owned()),
                ("AUTH", how.auth.to_string()),
                ("AWS_ACCESS_KEY_ID", "test".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
                ("IOT_MTLS_ENABLED", "0".to_owned()),
                // The functions inherit this: without it they would call AWS itself.
                ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ];
            own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(how.env.iter().cloned()).collect()
        },
        health: "/_ministack/health",
    })
}

/// A second opinion: no signatures are checked, state is empty.
///
/// # Errors
/// When it does not start.
///
/// # Panics
/// When it can't be installed.
pub fn moto() -> Result<Server, Error> {
    let python = environment::environment(environment::MOTO).join("bin/python").display().to_string();
    Server::start(&Start {
        name: "moto",
        command: &|port| [&python, "-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).into(),
        env: &|_| vec![("MOTO_ACCOUNT_ID".to_owned(), HUB.to_owned())],
        health: "/moto-api/data.json",
    })
}

/// A proxy that injects the faults that this YAML describes between the caller and `upstream` (an endpoint).
///
/// # Errors
/// When it does not start.
///
/// # Panics
/// When it can't be installed.
pub fn microburst(upstream: &str, faults: &str) -> Result<Server, Error> {
    let python = python().display().to_string();
    let described = tempfile::NamedTempFile::new_in(folder()?)?;
    fs::write(described.path(), faults)?;
    let config = described.path().display().to_string();
    Server::start(&Start {
        name: "microburst",
        command: &|port| {
            let port = port.to_string();
            [&python, "-m", "microburst", "--upstream", upstream, "--host", "127.0.0.1", "--port", &port, "--config", &config].map(str::to_owned).into()
        },
        env: &|_| Vec::new(),
        health: "/_microburst/health",
    })
}

/// The spokes: a simulated organization of this fleet (`tidegate.fleet/1`), in which everything that lacks patches is found within half an
/// hour and told by events. `hub` says whose an access key is.
///
/// # Errors
/// When it does not start, or the fleet can't be written.
///
/// # Panics
/// When the binary does not build.
pub fn world(fleet: &Value, hub: &Server, arguments: &[&str], env: &[(String, String)]) -> Result<Server, Error> {
    let described = tempfile::NamedTempFile::new_in(folder()?)?;
    fs::write(described.path(), fleet.to_string())?;
    let (binary, fleet) = (tidegate().display().to_string(), described.path().display().to_string());
    Server::start(&Start {
        name: "world",
        command: &|port| {
            let listen = format!("127.0.0.1:{port}");
            let own = [&binary, "world", "--listen", &listen, "--fleet", &fleet, "--hub-account", HUB, "--identities", &hub.endpoint];
            own.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
        },
        env: &|_| env.to_vec(),
        health: "/_world/health",
    })
}

/// A folder of the rig's own, below the target folder, for what outlives a single server.
///
/// # Errors
/// When it can't be made.
pub fn folder() -> Result<PathBuf, Error> {
    let place = environment::folder();
    fs::create_dir_all(&place)?;
    Ok(place)
}

/// Runs a driver of `tests/rig` to its end with these additions to its environment, and gives the JSON that it prints.
///
/// # Errors
/// When it fails, with what it complained about, or when what it prints is not JSON.
///
/// # Panics
/// When the drivers' packages can't be installed.
pub fn drive(driver: &str, args: &[&str], env: &[(String, String)]) -> Result<Value, Error> {
    run_driver(python(), driver, args, env)
}

/// Runs a driver that deploys the whole system into an emulator which enforces IAM, with this organization as its spokes, and a clock that
/// the driver moves. What it reports is kept in the rig's folder for whoever looks into a failure.
///
/// # Errors
/// As [`drive`], and when a server does not start or the function's package can't be written.
///
/// # Panics
/// As [`drive`] and [`package`].
pub fn drive_deployed(driver: &str, fleet: &Value, more: &str) -> Result<Value, Error> {
    let at = tempfile::tempdir_in(folder()?)?;
    let zip = package(at.path(), more)?;
    let clock = Clock::new(at.path())?;
    let hub = ministack(Ministack { auth: true, env: clock.env() })?;
    let world = world(fleet, &hub, &["--tempo", "10", "--document", "ec2patch-backup"], &clock.env())?;
    let (zip, clock_file) = (zip.display().to_string(), clock.file().display().to_string());
    let arguments = ["--endpoint", &hub.endpoint, "--world", &world.endpoint, "--zip", &zip, "--clock", &clock_file];
    let report = drive(driver, &arguments, &clock.env())?;
    fs::write(folder()?.join(driver).with_extension("json"), format!("{report:#}"))?;
    Ok(report)
}

/// As [`drive`], with the linters of templates and policies instead of the AWS clients.
///
/// # Errors
/// As [`drive`].
///
/// # Panics
/// When the linters can't be installed.
pub fn lint(driver: &str, args: &[&str]) -> Result<Value, Error> {
    run_driver(environment::environment(environment::LINT).join("bin/python"), driver, args, &[])
}

/// As [`drive`], with moto and its stack sets within the driver's own process.
///
/// # Errors
/// As [`drive`].
///
/// # Panics
/// When moto can't be installed.
pub fn drive_stack_sets(driver: &str) -> Result<Value, Error> {
    run_driver(environment::environment(environment::STACKSETS).join("bin/python"), driver, &[], &[])
}

fn run_driver(python: PathBuf, driver: &str, args: &[&str], env: &[(String, String)]) -> Result<Value, Error> {
    let script = root().join("tests/rig").join(driver);
    let mut command = Command::new(python);
    // No writing beside the sources, and nobody's own credentials or profile.
    command.arg("-B").arg(script).args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_DEFAULT_REGION", "us-east-1").envs(env.iter().cloned());
    let ended = command.output()?;
    let complaint = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        return Err(Error::other(format!("{driver} ended with {}:\n{complaint}", ended.status)));
    }
    serde_json::from_slice(&ended.stdout).map_err(|error| Error::other(format!("{driver} printed no JSON ({error}):\n{complaint}")))
}
