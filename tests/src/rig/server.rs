//! A server of the rig: a process on a free port of 127.0.0.1, which ends when it is dropped and leaves nothing running.

use std::fs;
use std::io::{Error, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::environment::{folder, python3};
use crate::binary::root;

/// A server answers within this time, or never: first starts compile Python, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A port that was free may be taken before the server binds it.
const PORTS: usize = 3;

/// How a server is started.
pub struct Start<'a> {
    /// What it is called, in the names of its log and its folder.
    pub name: &'a str,
    /// Program and arguments for this port.
    pub command: &'a dyn Fn(u16) -> Vec<String>,
    /// Its environment for this port; it gets nothing of the test's own but `PATH`.
    pub env: &'a dyn Fn(u16) -> Vec<(String, String)>,
    /// A path that is answered with a status below 500 once it is ready.
    pub health: &'a str,
}

/// A running server. It is stopped when this is dropped, and when the test process dies in any way.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Where it answers: `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// What it and all that it started has said.
    pub log: PathBuf,
}

impl Server {
    /// Starts a server, and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead, or does not answer in time: with the end of its log.
    pub fn start(start: &Start<'_>) -> Result<Self, Error> {
        let mut why = Error::other("no port was tried");
        for _ in 0..PORTS {
            match Self::on(start, free_port()?) {
                Ok(server) => return Ok(server),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn on(start: &Start<'_>, port: u16) -> Result<Self, Error> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let run = format!("{}-{}-{}", start.name, std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let scratch = folder().join("scratch").join(&run);
        let log = folder().join("logs").join(format!("{run}.log"));
        fs::create_dir_all(&scratch)?;
        fs::create_dir_all(folder().join("logs"))?;
        let child = Command::new(python3())
            .arg(root().join("tests/rig/supervise.py"))
            .arg(&log)
            .args((start.command)(port))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &scratch)
            .env("TMPDIR", &scratch)
            .envs((start.env)(port))
            .current_dir(&scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut server = Self { child, folder: scratch, endpoint: format!("http://127.0.0.1:{port}"), log };
        let begun = Instant::now();
        loop {
            // Asked in this order: who ended before the answer did not give it.
            let ended = server.child.try_wait()?;
            if let Some(status) = ended {
                return Err(Error::other(format!("{} ended ({status}) before it answered:\n{}", start.name, server.said())));
            }
            if status(port, start.health).is_some_and(|status| status < 500) {
                return Ok(server);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::other(format!("{} did not answer within {} s:\n{}", start.name, PATIENCE.as_secs(), server.said())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// A folder for what it keeps; removed with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last 4,000 bytes of its log.
    pub fn said(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(log.len().saturating_sub(4_000)..).unwrap_or_default()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its standard input is what stops it: see tests/rig/supervise.py.
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The status that `GET path` is answered with, where it is answered.
pub(super) fn status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
