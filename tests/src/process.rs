//! Real processes of the command line: started, killed, started again, and talked to over HTTP.

use std::io::{BufRead as _, BufReader, Error, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary;

/// A request is answered, a started service listens, and a condition comes true within this time, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process said before it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Said {
    /// What it printed, as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_str(&self.out).map_err(|error| Error::other(format!("{error}: {self:?}")))
    }
}

/// Runs the command line to its end.
///
/// # Errors
/// When it can't be started.
pub fn tidegate(args: &[&str]) -> Result<Said, Error> {
    let ended = command(args).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: ended.status.code(), out: text(&ended.stdout), err: text(&ended.stderr) })
}

/// Runs the command line for so long, and kills it (SIGKILL) where it has not ended by then. Gives whether it was killed.
///
/// # Errors
/// When it can't be started.
pub fn killed_after(args: &[&str], delay: Duration) -> Result<bool, Error> {
    let mut child = command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // What is waited for is the time itself.
    std::thread::sleep(delay);
    let ended = child.try_wait()?.is_some();
    child.kill()?;
    child.wait()?;
    Ok(!ended)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary::tidegate());
    command.args(args).stdin(Stdio::null()).env_remove("TIDEGATE_LOG");
    command
}

/// Asks until there is an answer.
///
/// # Errors
/// When asking fails, or there is none in time.
pub fn awaited<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::other(format!("waited {} s in vain: {what}", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `tidegate serve`, killed when it is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    address: SocketAddr,
    store: PathBuf,
}

impl Service {
    /// Starts one on this store, where a second is an hour, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(store: &Path) -> Result<Self, Error> {
        let mut child = command(&["serve", "--speed", "3600", "--listen", "127.0.0.1:0", "--store", &store.display().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or_else(|| Error::other("it has no stderr"))?);
        let mut heard = String::new();
        let address = loop {
            let mut line = String::new();
            if said.read_line(&mut line)? == 0 {
                child.wait()?;
                return Err(Error::other(format!("it ended before it listened: {heard}")));
            }
            if let Some(address) = line.trim_end().rsplit_once("listening on http://").and_then(|(_, address)| address.parse().ok()) {
                break address;
            }
            heard.push_str(&line);
        };
        // It goes on logging: somebody must read it, or it stops when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(Self { child, address, store: store.to_owned() })
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn kill(mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            Some(status) => Err(Error::other(format!("it had ended by itself: {status}"))),
            None => {
                self.child.kill()?;
                self.child.wait().map(drop)
            }
        }
    }

    /// `POST /v1/events`
    ///
    /// # Errors
    /// When there is no answer, or not 200.
    pub fn post(&self, events: &str) -> Result<Value, Error> {
        self.ask("POST", "/v1/events", events)
    }

    /// `GET /v1/status`
    ///
    /// # Errors
    /// When there is no answer, or not 200.
    pub fn status(&self) -> Result<Value, Error> {
        self.ask("GET", "/v1/status", "")
    }

    /// Sends a request, and leaves without waiting for an answer.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Result<TcpStream, Error> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", self.address, body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        Ok(stream)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, Error> {
        let mut answer = String::new();
        self.send(method, path, body)?.read_to_string(&mut answer)?;
        let wrong = || Error::other(format!("{method} {path} was answered: {answer}"));
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(wrong());
        }
        serde_json::from_str(body).map_err(|_| wrong())
    }

    /// One person approves what is asked.
    ///
    /// # Errors
    /// When the word was not taken.
    pub fn approve(&self, subject: &str, by: &str) -> Result<(), Error> {
        let said = tidegate(&["approve", subject, "--store", &self.store.display().to_string(), "--as", by])?;
        if said.code == Some(0) { Ok(()) } else { Err(Error::other(format!("{by} could not approve {subject}: {said:?}"))) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
