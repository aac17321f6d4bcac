//! The store in one SQLite file, in WAL mode: other processes (and other tools) read it while the engine writes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tidegate_engine::error::StoreError;
use tidegate_engine::store::{ActionId, Commit, Page, Stored};
use tidegate_events::Action;
use tidegate_events::id::Digest;
use tidegate_rules::Key;

/// Marks the file as ours (`PRAGMA application_id`): "TIDE".
const APPLICATION_ID: i32 = 0x5449_4445;

/// Schema migrations, oldest first; `PRAGMA user_version` counts those that were made. Never change one: add another.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE item (
    key     TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    due_at  INTEGER,            -- microseconds since 1970
    seq     INTEGER NOT NULL,   -- lines in the item's stream
    head    BLOB NOT NULL       -- hash of the newest of them
) WITHOUT ROWID;
CREATE INDEX item_due ON item (due_at, key) WHERE due_at IS NOT NULL;
CREATE TABLE counter (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE line (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    stream   TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,  -- microseconds since 1970
    bytes    BLOB NOT NULL,
    UNIQUE (stream, seq)
);
CREATE TABLE action (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE newest (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL);
"];

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is some other file.
    #[error("`{0}` is not a Tidegate store: name another file, or one that does not exist yet")]
    Foreign(PathBuf),
    /// It was written by a newer Tidegate.
    #[error("`{path}` has schema version {found}, this build knows {known}: use a newer Tidegate")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: usize,
    },
    /// It is not there, and was not to be made.
    #[error("`{0}` does not exist: `tidegate replay --store {0}` or `tidegate serve --store {0}` makes one")]
    Absent(PathBuf),
    /// SQLite can't open it.
    #[error("`{path}` can't be opened")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

/// The store in a file.
pub struct SqliteStore {
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens a store, and makes it where there is none.
    ///
    /// # Errors
    /// When the file is not a store of ours, or can't be opened.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a store that must be there.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`], and when there is none.
    pub fn open_existing(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Absent(path.to_owned()));
        }
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, OpenError> {
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
            _ => OpenError::Sqlite { path: path.to_owned(), source },
        };
        let mut connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        let (id, version, tables): (i32, i64, i64) = connection
            .query_row("SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .map_err(failed)?;
        if tables > 0 && id != APPLICATION_ID {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        let made = usize::try_from(version).unwrap_or(usize::MAX);
        if made > MIGRATIONS.len() {
            return Err(OpenError::Newer { path: path.to_owned(), found: version, known: MIGRATIONS.len() });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Read again under the lock: another process may have migrated meanwhile.
        let made: i64 = transaction.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0)).map_err(failed)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(made).unwrap_or(0)) {
            transaction.execute_batch(migration).map_err(failed)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(0)).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT version, body, seq, head FROM item WHERE key = ?1").map_err(failed)?;
        keys.iter().map(|key| statement.query_row([key.as_str()], |row| stored(row, 0)).optional().map_err(failed)).collect()
    }

    pub(crate) fn read_counts(&self, keys: &[Key]) -> Result<Vec<i64>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT value FROM counter WHERE key = ?1").map_err(failed)?;
        keys.iter().map(|key| statement.query_row([key.as_str()], |row| row.get(0)).optional().map(Option::unwrap_or_default).map_err(failed)).collect()
    }

    pub(crate) fn page(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT key, version, body, seq, head FROM item WHERE key >= ?1 AND key > ?2 AND key < ?3 ORDER BY key LIMIT ?4")
            .map_err(failed)?;
        let after = after.map_or("", Key::as_str);
        let rows = statement
            .query_map(params![prefix, after, end_of(prefix), bounded(limit)], |row| Ok((Key::from_text(row.get::<_, String>(0)?), stored(row, 1)?)))
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn page_counts(&self, prefix: &str) -> Result<Vec<(Key, i64)>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT key, value FROM counter WHERE key >= ?1 AND key < ?2 ORDER BY key").map_err(failed)?;
        let rows = statement.query_map(params![prefix, end_of(prefix)], |row| Ok((Key::from_text(row.get::<_, String>(0)?), row.get(1)?))).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn write(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.check()?;
        let mut connection = self.connection();
        // INVARIANT (one writer per target): before a command leaves, its intent and all that led to it are on the disk.
        // Other commits may wait for the next such one: after a power cut events come again, commands must not.
        if commit.durable {
            connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        }
        let written = write_all(&mut connection, commit);
        if commit.durable {
            connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        }
        written
    }

    pub(crate) fn due_keys(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT key FROM item WHERE due_at <= ?1 ORDER BY due_at, key LIMIT ?2").map_err(failed)?;
        let rows = statement.query_map(params![now.as_microsecond(), bounded(limit)], |row| Ok(Key::from_text(row.get::<_, String>(0)?))).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn first_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT min(due_at) FROM item WHERE due_at IS NOT NULL").map_err(failed)?;
        let due: Option<i64> = statement.query_row([], |row| row.get(0)).map_err(failed)?;
        due.map(time).transpose()
    }

    pub(crate) fn oldest_actions(&self, after: Option<ActionId>, limit: usize) -> Result<Vec<(ActionId, Action)>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id, body FROM action WHERE id > ?1 ORDER BY id LIMIT ?2").map_err(failed)?;
        let after = after.map_or(0, |after| i64::try_from(after.0).unwrap_or(i64::MAX));
        let rows = statement.query_map(params![after, bounded(limit)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).map_err(failed)?;
        rows.map(|row| {
            let (id, body) = row.map_err(failed)?;
            let action = serde_json::from_slice(&body).map_err(|error| StoreError::Failed(format!("an action in the outbox can't be read: {error}")))?;
            Ok((ActionId(id.unsigned_abs()), action))
        })
        .collect()
    }

    pub(crate) fn forget_actions(&self, ids: &[ActionId]) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        {
            let mut statement = transaction.prepare_cached("DELETE FROM action WHERE id = ?1").map_err(failed)?;
            for id in ids {
                statement.execute([i64::try_from(id.0).unwrap_or(i64::MAX)]).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    pub(crate) fn lines_after(&self, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT position, bytes FROM line WHERE position > ?1 ORDER BY position LIMIT ?2").map_err(failed)?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, bounded(limit)], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn lines_of(&self, stream: &Key) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT position, bytes FROM line WHERE stream = ?1 ORDER BY seq").map_err(failed)?;
        let rows = statement.query_map([stream.as_str()], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn newest_commit(&self) -> Result<Option<Timestamp>, StoreError> {
        let connection = self.connection();
        let newest: Option<i64> = connection.query_row("SELECT at FROM newest", [], |row| row.get(0)).optional().map_err(failed)?;
        newest.map(time).transpose()
    }
}

fn write_all(connection: &mut Connection, commit: &Commit) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    {
        let mut version = transaction.prepare_cached("SELECT version FROM item WHERE key = ?1").map_err(failed)?;
        let expected = commit.puts.iter().map(|put| (&put.key, put.expect)).chain(commit.unchanged.iter().map(|(key, version)| (key, *version)));
        for (key, expected) in expected {
            let found: Option<i64> = version.query_row([key.as_str()], |row| row.get(0)).optional().map_err(failed)?;
            if found.unwrap_or(0) != i64::try_from(expected).unwrap_or(i64::MAX) {
                return Err(StoreError::Conflict(key.clone()));
            }
        }
        let mut count = transaction
            .prepare_cached("INSERT INTO counter (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = value + ?2 RETURNING value")
            .map_err(failed)?;
        for (key, add) in &commit.adds {
            let value: i64 = count.query_row(params![key.as_str(), add.delta], |row| row.get(0)).map_err(failed)?;
            if add.max.is_some_and(|max| value > max) {
                return Err(StoreError::OverLimit(key.clone()));
            }
        }
        let mut put = transaction
            .prepare_cached("INSERT INTO item (key, version, body, due_at, seq, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (key) DO UPDATE SET version = ?2, body = ?3, due_at = ?4, seq = ?5, head = ?6")
            .map_err(failed)?;
        for item in &commit.puts {
            let version = i64::try_from(item.expect).unwrap_or(i64::MAX).saturating_add(1);
            let due_at = item.due_at.map(micros_up);
            put.execute(params![item.key.as_str(), version, item.body, due_at, i64::try_from(item.seq).unwrap_or(i64::MAX), item.head.as_bytes().as_slice()])
                .map_err(failed)?;
        }
        // The next of its stream and no other: a gap is a lost race as much as a place that is taken.
        let mut line = transaction
            .prepare_cached(
                "INSERT INTO line (stream, seq, at, bytes) SELECT ?1, ?2, ?3, ?4 WHERE ?2 = 1 + (SELECT ifnull(max(seq), 0) FROM line WHERE stream = ?1)",
            )
            .map_err(failed)?;
        for new in &commit.lines {
            let inserted = line.execute(params![new.stream.as_str(), i64::try_from(new.seq).unwrap_or(i64::MAX), commit.at.as_microsecond(), new.bytes]);
            if inserted.map_err(failed)? == 0 {
                return Err(StoreError::Conflict(new.stream.clone()));
            }
        }
        let mut action = transaction.prepare_cached("INSERT INTO action (body) VALUES (?1)").map_err(failed)?;
        for asked in &commit.actions {
            let body = serde_json::to_vec(asked).map_err(|error| StoreError::Failed(error.to_string()))?;
            action.execute([body]).map_err(failed)?;
        }
        transaction
            .prepare_cached("INSERT INTO newest (one, at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET at = max(at, ?1)")
            .and_then(|mut newest| newest.execute([micros_up(commit.at)]))
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn stored(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Stored> {
    let head: [u8; 32] = row.get(from + 3)?;
    Ok(Stored {
        version: row.get::<_, i64>(from)?.unsigned_abs(),
        body: row.get(from + 1)?,
        seq: row.get::<_, i64>(from + 2)?.unsigned_abs(),
        head: Digest::from_bytes(head),
    })
}

/// The first text after everything that starts with `prefix`.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    end.push(char::MAX);
    end
}

/// Microseconds, rounded up: nothing is due before its time, and no clock starts before the newest line.
fn micros_up(at: Timestamp) -> i64 {
    at.as_microsecond().saturating_add(i64::from(at.subsec_nanosecond() % 1000 != 0))
}

fn time(micros: i64) -> Result<Timestamp, StoreError> {
    // The end of time, rounded up, lies after it.
    Timestamp::from_microsecond(micros).or(Ok(Timestamp::MAX))
}

fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
