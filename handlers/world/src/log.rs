//! The world on file: JSON Lines, the spec first, then every call that changed something, written before it is answered.
//!
//! A line is handed to the operating system in one write. A process that is killed loses at most the line that it was writing,
//! and the call of that line was not answered. The file is not synced: losing power is not what this is for.

use std::borrow::Cow;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_engine::ports::{AutomationRequest, SendRequest, Spoke};
use tidegate_events::id::{CommandId, InstanceId};

use crate::exception::ExceptionSaid;
use crate::spec::{AccountSpec, HostSpec, Spec};

/// The version of the written form.
pub(crate) const SCHEMA: &str = "tidegate.world/1";

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    pub at: Timestamp,
    pub call: Call<'a>,
}

/// What changed the world.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Call<'a> {
    /// The world began.
    Opened { schema: Cow<'a, str>, spec: Cow<'a, Spec> },
    /// Hosts came that the file did not have.
    Added { accounts: Cow<'a, [AccountSpec]>, hosts: Cow<'a, [HostSpec]> },
    /// Time went on.
    Advanced,
    /// SendCommand was accepted.
    Sent {
        request: Cow<'a, SendRequest>,
        answered: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_errors: Option<u32>,
    },
    /// StartAutomationExecution was accepted, under a token that was new.
    Started { request: Cow<'a, AutomationRequest>, answered: bool },
    /// StopAutomationExecution was accepted.
    Stopped { spoke: Cow<'a, Spoke>, execution: Cow<'a, CommandId> },
    /// CancelCommand was accepted.
    Cancelled {
        spoke: Cow<'a, Spoke>,
        command: Cow<'a, CommandId>,
        /// Which of its instances; all where none is named.
        #[serde(default, skip_serializing_if = "no_instances")]
        instances: Cow<'a, [InstanceId]>,
    },
    /// StartConfigRulesEvaluation was accepted.
    Evaluated { spoke: Cow<'a, Spoke> },
    /// PutRemediationExceptions took these, or DeleteRemediationExceptions where nothing is said.
    Excepted {
        spoke: Cow<'a, Spoke>,
        rule: Cow<'a, str>,
        instances: Cow<'a, [InstanceId]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<ExceptionSaid>,
    },
}

fn no_instances(instances: &[InstanceId]) -> bool {
    instances.is_empty()
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    /// After a failed write nothing more may follow: the file's end is unknown.
    broken: bool,
}

impl Log {
    /// Opens or makes the file, gives every sound line to `each`, in order, and cuts off a torn last one.
    pub fn open(path: &Path, mut each: impl FnMut(Line<'static>) -> io::Result<()>) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // A file system without locks is no reason to refuse; another process is.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{}: another process has this world open", path.display())));
        }
        let mut reader = BufReader::new(&file);
        let (mut sound, mut number, mut text) = (0_u64, 0_u64, Vec::new());
        loop {
            text.clear();
            let read = reader.read_until(b'\n', &mut text)?;
            if read == 0 {
                break;
            }
            number += 1;
            if text.last() != Some(&b'\n') {
                break;
            }
            let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}:{number}: {what}", path.display()));
            let line: Line<'static> = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
            each(line).map_err(|error| wrong(error.to_string()))?;
            sound = sound.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        file.set_len(sound)?;
        file.seek(io::SeekFrom::End(0))?;
        Ok(Self { file, broken: false })
    }

    /// Writes one line.
    pub fn write(&mut self, at: Timestamp, call: Call<'_>) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write of the world's log has failed"));
        }
        let mut text = serde_json::to_vec(&Line { at, call })?;
        text.push(b'\n');
        let written = self.file.write_all(&text);
        self.broken = written.is_err();
        written
    }
}
