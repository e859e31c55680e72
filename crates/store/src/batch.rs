//! Storing a batch: fence, rows, dead letters and ledger in one transaction.
//!
//! ```text
//! BEGIN ─ fence ─ COPY rows ─ what follows from them ─ dead letters ─ ledger ─ alarms ─ (veto?) ─ COMMIT
//!          │        │                                                                     │          │
//!      StaleOwner  BadRow                                                              Vetoed       Lost
//! ```
//!
//! A batch is kept by its caller until the outcome is known; nothing here retries.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schema::Fault;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::connect::{Backend, Session, Store};
use crate::copy::Origin;
use crate::error::{Error, Result, session_survived};

mod alarms;
mod isolation;
mod transaction;

pub use alarms::{SensorState, Transition};
pub use isolation::{BadRow, Isolation};

/// Longest time that a batch may take before its session is given up, so that its outcome is
/// [`Outcome::Lost`]: above the session's own `statement_timeout`.
const DEADLINE: Duration = Duration::from_secs(90);

/// A record that is no event.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its offset.
    pub offset: i64,
    /// What is wrong with it.
    pub fault: schema::Fault,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub payload: Option<Vec<u8>>,
    /// Append time.
    pub appended_at: Option<Timestamp>,
}

/// The part of a batch that belongs to one partition.
#[derive(Clone, Debug)]
pub struct Part {
    /// `kafka_logs.log_id`.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Claim it was read under.
    pub claim: Uuid,
    /// Stored offset that it starts at.
    pub expected: i64,
    /// Stored offset after it; above `expected`.
    pub next: i64,
    /// Leader epoch of its last record; -1 unknown.
    pub leader_epoch: i32,
    /// Encoded rows, cut at row boundaries only.
    pub rows: Vec<Bytes>,
    /// How many rows those are.
    pub row_count: u64,
    /// Bad records.
    pub letters: Vec<Letter>,
    /// Half-open offset ranges that the log does not have.
    pub gaps: Vec<(i64, i64)>,
    /// Append time of the first record.
    pub first_append_at: Option<Timestamp>,
    /// Append time of the last record.
    pub last_append_at: Option<Timestamp>,
    /// Its sensors as they are after its last record; each once.
    pub sensors: Vec<SensorState>,
    /// What changed about their alarms, in the order of the records.
    pub transitions: Vec<Transition>,
}

/// Decodes a record's value and appends its row; the fault where it is no event.
pub type Encode = fn(&mut Vec<u8>, Option<&[u8]>, &Origin<'_>) -> std::result::Result<(), Fault>;

/// What a batch is stored as.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Table, and name in `stored_offsets.target`.
    pub name: &'static str,
    /// Its COPY statement.
    pub copy: &'static str,
    /// From a record's value to its row.
    pub encode: Encode,
    /// What follows from the rows in the same transaction, in this order.
    pub then: &'static [Then],
    /// What the planner is told on a batch's session.
    pub settings: &'static str,
}

/// A statement that follows from a batch's rows. Its values are the parts that have rows: `$1` log ids, `$2` partitions, `$3`
/// first offsets, `$4` next offsets. What it returns says what it did and how often ([`Done`]).
#[derive(Clone, Copy, Debug)]
pub struct Then {
    /// Supposes that what it writes is new, where that makes it faster.
    pub statement: &'static str,
    /// Supposes nothing: for the batch that a unique key refused, and for who is in no hurry.
    pub careful: &'static str,
}

impl Then {
    /// One that supposes nothing.
    pub const fn always(statement: &'static str) -> Self {
        Self { statement, careful: statement }
    }
}

/// What followed from a batch's rows, and how often.
pub type Done = Vec<(String, u64)>;

/// Everything that batches are stored as.
pub const TARGETS: [&Target; 2] = [&crate::sensor_readings::BATCH, &crate::tweets::BATCH];

/// The target of this name.
///
/// # Errors
/// [`Error::Refused`] when there is none.
pub fn target(name: &str) -> Result<&'static Target> {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.ok_or_else(|| Error::Refused(format!("{name} is no target of this build")))
}

/// How a batch ended.
#[derive(Debug)]
pub enum Outcome<V> {
    /// Committed.
    Stored(Done),
    /// Not committed: these partitions are not ours (any more), or not at the expected offset.
    StaleOwner {
        /// The refused ones.
        partitions: Vec<i32>,
        /// The fence's own words, with the refused claims.
        detail: String,
    },
    /// Not committed: a row is refused by its content. [`BatchWriter::isolate`] finds which.
    BadRow(Error),
    /// Not committed: `veto` answered.
    Vetoed(V),
    /// Not committed, and not the rows' fault: wait, then the same batch again.
    Fault(Error),
    /// Unknown: the session is gone. Only a new claim tells what became of it.
    Lost(Error),
}

/// A session with the batch's statements prepared.
pub struct BatchWriter {
    session: Session,
    target: &'static str,
    fence: Statement,
    copy: Statement,
    then: Vec<Statement>,
    careful: Vec<Statement>,
    /// Whether a unique key refused what followed from the last batch's rows.
    refused: AtomicBool,
    letters: Statement,
    ledger: Statement,
    states: Statement,
    transitions: Statement,
}

/// Who writes, for the ledger and the letters.
#[derive(Clone, Debug)]
pub struct Author {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Process start.
    pub boot_id: Uuid,
}

impl BatchWriter {
    /// Connects and prepares.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn connect(store: &Store, target: &Target) -> Result<Self> {
        const DOING: &str = "preparing the batch statements";
        let session = store.batch_session().await?;
        let client = &session.client;
        client.batch_execute(target.settings).await.map_err(Error::doing(DOING))?;
        let fence = client.prepare(transaction::FENCE).await.map_err(Error::doing(DOING))?;
        let copy = client.prepare(target.copy).await.map_err(Error::doing(DOING))?;
        let (mut then, mut careful) = (Vec::new(), Vec::new());
        for one in target.then {
            then.push(client.prepare(one.statement).await.map_err(Error::doing(DOING))?);
            careful.push(client.prepare(one.careful).await.map_err(Error::doing(DOING))?);
        }
        let letters = client.prepare(transaction::LETTER).await.map_err(Error::doing(DOING))?;
        let ledger = client.prepare(transaction::LEDGER).await.map_err(Error::doing(DOING))?;
        let states = client.prepare(alarms::STATES).await.map_err(Error::doing(DOING))?;
        let transitions = client.prepare(alarms::TRANSITIONS).await.map_err(Error::doing(DOING))?;
        let (refused, target) = (AtomicBool::new(false), target.name);
        Ok(Self { fence, copy, then, careful, refused, letters, ledger, states, transitions, session, target })
    }

    /// The backend that serves this writer: what a claim names.
    pub fn backend(&self) -> Backend {
        self.session.backend
    }

    /// Whether the session is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.session.client.is_closed()
    }

    /// Stores `parts` (ascending by partition) in one transaction. `veto` is asked while the rows
    /// are being sent; `Some` rolls back.
    ///
    /// After [`Outcome::Lost`] this writer must not be used again.
    pub async fn store<V>(&self, author: &Author, parts: &[Part], veto: impl Future<Output = Option<V>>) -> Outcome<V> {
        let run = self.run(author, parts, veto);
        match tokio::time::timeout(DEADLINE, run).await {
            Err(_) => Outcome::Lost(Error::TimedOut { doing: "storing a batch", seconds: DEADLINE.as_secs() }),
            Ok(Ok(Ok(done))) => Outcome::Stored(done),
            Ok(Ok(Err(veto))) => self.rolled_back(Outcome::Vetoed(veto)).await,
            Ok(Err(failure)) => self.explain(failure).await,
        }
    }

    async fn explain<V>(&self, (doing, source): transaction::Failure) -> Outcome<V> {
        if !session_survived(&source) {
            return Outcome::Lost(Error::Statement { doing, source });
        }
        let db = source.as_db_error().expect("a session that survived answered with a database error");
        let outcome = if db.code().code() == schema::migrations::STALE_OWNER {
            let detail = db.detail().unwrap_or_default().to_owned();
            Outcome::StaleOwner { partitions: refused_partitions(&detail), detail }
        } else if doing == transaction::COPYING && isolation::is_bad_row(db) {
            Outcome::BadRow(Error::Statement { doing, source })
        } else {
            if doing == transaction::FOLLOWING && *db.code() == SqlState::UNIQUE_VIOLATION {
                tracing::warn!(
                    constraint = db.constraint(),
                    "what follows from a batch is there already: carefully, then"
                );
                self.refused.store(true, Ordering::Relaxed);
            }
            Outcome::Fault(Error::Statement { doing, source })
        };
        self.rolled_back(outcome).await
    }

    async fn rolled_back<V>(&self, outcome: Outcome<V>) -> Outcome<V> {
        match self.session.client.batch_execute("ROLLBACK").await {
            Ok(()) => outcome,
            Err(source) => Outcome::Lost(Error::Statement { doing: "rolling back a batch", source }),
        }
    }
}

/// Reads `partition=N` out of the fence's detail.
fn refused_partitions(detail: &str) -> Vec<i32> {
    detail.split("; ").filter_map(|one| one.strip_prefix("partition=")?.split(' ').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_names_the_refused_partitions() {
        let detail = "partition=0 claim=a expected=1; partition=12 claim=b expected=7";
        assert_eq!(refused_partitions(detail), [0, 12]);
    }
}
