//! One clock for all processes of a test: it runs, and the test moves it on.
//!
//! Waits of the engine are in minutes and hours. Real processes (the Lambdas, the hub's services, the simulated organization) read this
//! clock in place of the machine's: libfaketime, preloaded, adds what a shared file says to every reading of the wall clock. The
//! monotonic clock is left alone, so that timers, time-outs and polls take the time they take.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::environment::{CLOCK, environment};

/// Where the package has what it compiled, below the environment's `lib/python3.*`.
const LIBRARY: &str = "site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1";

/// A clock that this test alone moves. It never goes back.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    ahead_secs: u64,
}

impl Clock {
    /// A clock that shows the machine's time until it is moved. Its file is in this folder.
    ///
    /// # Errors
    /// When the file can't be written.
    ///
    /// # Panics
    /// When the library can't be installed: it is compiled with the system's C compiler and make.
    pub fn new(folder: &Path) -> Result<Self, Error> {
        let lib = environment(CLOCK).join("lib");
        let pythons = fs::read_dir(&lib)?.filter_map(Result::ok).map(|python| python.path().join(LIBRARY));
        let library = pythons.into_iter().find(|library| library.exists());
        let library = library.ok_or_else(|| Error::other(format!("no {LIBRARY} below {}", lib.display())))?;
        let clock = Self { library, file: folder.join("clock"), ahead_secs: 0 };
        clock.write()?;
        Ok(clock)
    }

    /// What a process needs in its environment to read this clock. Its children inherit it.
    pub fn env(&self) -> Vec<(String, String)> {
        let shown = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", shown(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", shown(&self.file)),
            // The file is read at every reading of the clock: a move is seen at once, by all.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Moves the clock on by so many seconds.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn advance(&mut self, secs: u64) -> Result<(), Error> {
        self.ahead_secs = self.ahead_secs.saturating_add(secs);
        self.write()
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(i64::try_from(self.ahead_secs).unwrap_or(i64::MAX));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// The file that moves it: `+<seconds>s`. It must be replaced as a whole, since processes read it at any moment.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn write(&self) -> Result<(), Error> {
        let written = self.file.with_extension("new");
        fs::write(&written, format!("+{}s\n", self.ahead_secs))?;
        fs::rename(written, &self.file)
    }
}
