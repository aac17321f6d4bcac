//! Third-party parts, installed once: a Python environment per part, pinned with hashes, under the target folder.
//!
//! An environment is named after the digest of what goes into it: a changed pin makes a new one, and old ones are not touched. A lock
//! file makes parallel test processes install each once. Nothing here is skipped: what can't be installed fails the test that needs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_events::id::Digest;

use crate::binary::root;

/// A part of the rig, and the requirements files that make it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// What it is called: the environment is `<target>/rig/<name>-<digest>`.
    pub name: &'static str,
    /// Files in `tests/rig`, installed one after the other.
    pub requirements: &'static [Requirements],
}

/// A requirements file, and how it is installed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requirements {
    /// Wheels alone: nothing of theirs runs while they are installed.
    Wheels(&'static str),
    /// Compiled here with these `CFLAGS`, by what an earlier file of the same part installed.
    Source(&'static str, &'static str),
}

pub(super) const MINISTACK: Part = Part { name: "ministack", requirements: &[Requirements::Wheels("requirements-ministack.txt")] };
pub(super) const MOTO: Part = Part { name: "moto", requirements: &[Requirements::Wheels("requirements-moto.txt")] };
pub(super) const DRIVERS: Part = Part { name: "drivers", requirements: &[Requirements::Wheels("requirements-drivers.txt")] };
/// Without shared memory between processes: who is killed would leave it behind.
pub(super) const CLOCK: Part = Part {
    name: "clock",
    requirements: &[Requirements::Wheels("requirements-clock-build.txt"), Requirements::Source("requirements-clock.txt", "-DFAKE_STATELESS")],
};

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
fn panic_with(part: Part, why: &str) -> ! {
    panic!("the rig's part `{}` can't be installed: {why}\nexpected python3 (3.10 or newer) with venv and pip, and a package index that pip reaches", part.name)
}

fn installed(part: Part) -> Result<PathBuf, String> {
    let mut pinned = python_version()?;
    for requirements in part.requirements {
        let path = file(*requirements);
        pinned.push_str(&format!("{requirements:?}"));
        pinned.push_str(&fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    let place = folder().join(format!("{}-{}", part.name, Digest::of(pinned.as_bytes()).short()));
    let complete = place.join("complete");
    if complete.exists() {
        return Ok(place);
    }
    fs::create_dir_all(folder()).map_err(|error| format!("{}: {error}", folder().display()))?;
    let lock = File::create(folder().join(format!("{}.lock", part.name))).map_err(|error| format!("the lock file: {error}"))?;
    lock.lock().map_err(|error| format!("the lock: {error}"))?;
    if complete.exists() {
        return Ok(place);
    }
    // Left by somebody who was killed while installing. Scripts name the environment's own path, so it can't be made elsewhere and moved.
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    run(Command::new(python3()).args(["-m", "venv"]).arg(&place))?;
    for requirements in part.requirements {
        let mut pip = Command::new(place.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        match requirements {
            Requirements::Wheels(_) => pip.arg("--only-binary=:all:"),
            Requirements::Source(_, flags) => pip.args(["--no-build-isolation", "--no-cache-dir"]).env("CFLAGS", flags),
        };
        run(pip.arg("-r").arg(file(*requirements)))?;
    }
    fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(place)
}

fn file(requirements: Requirements) -> PathBuf {
    let (Requirements::Wheels(name) | Requirements::Source(name, _)) = requirements;
    root().join("tests/rig").join(name)
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

fn run(command: &mut Command) -> Result<(), String> {
    let ended = command.output().map_err(|error| format!("{command:?} can't be run: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {}:\n{}{}", ended.status, String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)))
}
