//! One clock for all processes of a test: it runs, and the test moves it on.
//!
//! Waits of the engine are in minutes and hours. Real processes (the Lambdas, the hub's services, the simulated organization) read this
//! clock in place of the machine's: `tests/rig/clock.c`, preloaded, adds what a shared file says to every reading of the wall clock. The
//! monotonic clock is left alone, so that timers, time-outs and polls take the time they take. Linux alone.

use std::fs::{self, File};
use std::io::Error;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use tidegate_events::id::Digest;

use super::environment::{folder, run};
use crate::binary::root;

/// A clock that this test alone moves. It never goes back.
#[derive(Debug)]
pub struct Clock {
    preloaded: PathBuf,
    path: PathBuf,
    file: File,
    ahead_secs: i64,
}

impl Clock {
    /// A clock that shows the machine's time until it is moved. Its file is in this folder.
    ///
    /// # Errors
    /// When the file can't be written, or the clock can't be compiled.
    pub fn new(place: &Path) -> Result<Self, Error> {
        let path = place.join("clock");
        let file = File::create(&path)?;
        file.write_all_at(&0_i64.to_ne_bytes(), 0)?;
        Ok(Self { preloaded: preloaded()?, path, file, ahead_secs: 0 })
    }

    /// What a process needs in its environment to read this clock. Its children inherit it.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![("LD_PRELOAD".to_owned(), self.preloaded.display().to_string()), ("TIDEGATE_RIG_CLOCK".to_owned(), self.path.display().to_string())]
    }

    /// The file that holds how many seconds it is ahead, for drivers that move it: eight bytes in the machine's order.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// Moves the clock on by so many seconds.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn advance(&mut self, secs: u32) -> Result<(), Error> {
        self.ahead_secs = self.ahead_secs.saturating_add(i64::from(secs));
        self.file.write_all_at(&self.ahead_secs.to_ne_bytes(), 0)
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(SignedDuration::from_secs(self.ahead_secs)).unwrap_or(Timestamp::MAX)
    }
}

/// The compiled clock, made once.
fn preloaded() -> Result<PathBuf, Error> {
    let source = root().join("tests/rig/clock.c");
    let library = folder().join(format!("clock-{}.so", Digest::of(&fs::read(&source)?).short()));
    if !library.exists() {
        fs::create_dir_all(folder())?;
        // Whoever comes first puts it in place as a whole; it is the same for all.
        let made = tempfile::NamedTempFile::new_in(folder())?.into_temp_path();
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&made).arg(&source).args(["-ldl", "-lpthread"]);
        run(&mut command).map_err(Error::other)?;
        made.persist(&library)?;
    }
    Ok(library)
}
