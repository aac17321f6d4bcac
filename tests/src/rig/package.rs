//! The zip that the system tests deploy: the functions' binary as the tests build it, stripped, and a policy.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment::{folder, run};
use super::python;
use crate::binary::root;

/// Builds `bootstrap` with the profile of the tests, and puts it into a zip in this folder, with `tests/rig/policy.toml` beside it; `more` is
/// added to that.
///
/// `cargo dev package` makes the one for AWS: optimized for size, which takes minutes.
///
/// # Errors
/// When it does not build, or can't be stripped or packed.
pub fn package(place: &Path, more: &str) -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // `--workspace` selects the same features as the test run, so that nothing but the binary is built.
    run(Command::new(cargo).args(["build", "--quiet", "--locked", "--workspace", "--bin", "bootstrap"]).current_dir(root())).map_err(Error::other)?;
    let test_binary = std::env::current_exe()?;
    let built = test_binary.ancestors().nth(2).unwrap_or(&folder()).join("bootstrap");
    run(Command::new("strip").arg("-o").arg(place.join("bootstrap")).arg(built)).map_err(Error::other)?;
    let policy = fs::read_to_string(root().join("tests/rig/policy.toml"))?;
    fs::write(place.join("policy.toml"), policy + more)?;
    let mut zip = Command::new(python());
    run(zip.args(["-m", "zipfile", "-c", "tidegate.zip", "bootstrap", "policy.toml"]).current_dir(place)).map_err(Error::other)?;
    Ok(place.join("tidegate.zip"))
}
