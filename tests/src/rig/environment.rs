//! Third-party parts, installed once: a Python environment per part, pinned with hashes, under the target folder.
//!
//! An environment is named after the digest of what goes into it: a changed pin makes a new one, and old ones are not touched. A lock
//! file makes parallel test processes install each once. Nothing here is skipped: what can't be installed fails the test that needs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_events::id::Digest;

use crate::binary::root;

/// A part of the rig. Its environment is `<target>/rig/<name>-<digest>`, made from `tests/rig/requirements-<name>.txt`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part(&'static str);

pub(super) const MINISTACK: Part = Part("ministack");
pub(super) const MOTO: Part = Part("moto");
pub(super) const DRIVERS: Part = Part("drivers");
pub(super) const LINT: Part = Part("lint");
pub(super) const STACKSETS: Part = Part("stacksets");

/// `<target>/rig`: environments, logs and what servers keep.
pub(super) fn folder() -> PathBuf {
    let test_binary = std::env::current_exe().unwrap_or_default();
    // <target>/<profile>/deps/<test>
    let target = test_binary.ancestors().nth(3).map_or_else(|| root().join("target"), Path::to_owned);
    target.join("rig")
}

/// The environment of this part, installed where it is not there yet.
///
/// # Panics
/// When it can't be installed: then no test that needs it can say anything.
pub(super) fn environment(part: Part) -> PathBuf {
    match installed(part) {
        Ok(place) => place,
        Err(why) => panic_with(part, &why),
    }
}

#[expect(clippy::panic, reason = "a test whose third-party part is missing fails; it does not skip")]
fn panic_with(Part(name): Part, why: &str) -> ! {
    panic!(
        "the rig's part `{name}` can't be installed: {why}\nexpected python3 (3.10 or newer) with venv and pip (22.3 or newer), and a package index that pip reaches"
    )
}

fn installed(Part(name): Part) -> Result<PathBuf, String> {
    let requirements = root().join("tests/rig").join(format!("requirements-{name}.txt"));
    let pinned = fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))? + &python_version()?;
    let place = folder().join(format!("{name}-{}", Digest::of(pinned.as_bytes()).short()));
    let complete = place.join("complete");
    if complete.exists() {
        return Ok(place);
    }
    fs::create_dir_all(folder()).map_err(|error| format!("{}: {error}", folder().display()))?;
    let lock = File::create(folder().join(format!("{name}.lock"))).map_err(|error| format!("the lock file: {error}"))?;
    lock.lock().map_err(|error| format!("the lock: {error}"))?;
    if complete.exists() {
        return Ok(place);
    }
    // Left by somebody who was killed while installing. Scripts name the environment's own path, so it can't be made elsewhere and moved.
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    run(Command::new(python3()).args(["-m", "venv", "--without-pip"]).arg(&place))?;
    let mut pip = Command::new(python3());
    pip.args(["-m", "pip", "--python"]).arg(place.join("bin/python"));
    // Wheels alone: nothing of theirs runs while they are installed.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"]);
    run(pip.arg(&requirements))?;
    fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(place)
}

/// The Python that makes the environments.
pub(super) fn python3() -> PathBuf {
    std::env::var_os("TIDEGATE_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

fn python_version() -> Result<String, String> {
    let said = Command::new(python3()).args(["-c", "import sys; print(sys.version, sys.prefix)"]).output();
    let said = said.map_err(|error| format!("`{}` can't be run: {error}", python3().display()))?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let ended = command.output().map_err(|error| format!("{command:?} can't be run: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {}:\n{}{}", ended.status, String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)))
}
