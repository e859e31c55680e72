//! The writer: one task, one session, one batch at a time.
//!
//! ```text
//!            take                store()
//!  Buffer ─────────> batch held ─────────> Stored ──> rows freed
//!                     ^   ^  │
//!   backoff, Waiting ─┘   │  ├─ StaleOwner: that part out, the others again at once
//!     (Fault)             │  ├─ BadRow: isolated, condemned offsets are read again as letters
//!                         │  ├─ Vetoed: another topic id; every part is claimed again
//!                         │  └─ Lost: unknown. The batch is given up and everything claimed again:
//!                         │       the claim reads the stored offset under its lock
//!                         └──── same rows, same fence
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alarms::Sensors;
use kafka::Inspector;
use lifecycle::Shutdown;
use resilience::Backoff;
use schema::Fault;
use store::batch::{Author, BatchWriter, Done, Outcome, Part, Target};
use store::{Backend, Error, Store};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::buffer::{Buffer, Incarnation};
use crate::metrics::Metrics;

mod isolation;
mod refusals;

use refusals::Refusals;

/// Bound of asking for the topic's id during a batch.
const TOPIC_CHECK: Duration = Duration::from_millis(500);

/// What the writer is doing about the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It has a session, through this backend.
    Working(Backend),
    /// It waits; partitions are paused for this reason.
    Waiting(String),
}

/// What the writer and the claims tell the poll thread.
#[derive(Debug)]
pub enum Reply {
    /// Committed up to `next`.
    Stored {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// New stored offset.
        next: i64,
    },
    /// The fence refused it.
    Refused {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// The fence's words.
        detail: String,
    },
    /// PostgreSQL refused rows by their content: read them again, these as letters.
    Condemned {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// Offset and fault of each.
        faults: BTreeMap<i64, Fault>,
    },
    /// Nothing about the partition is certain any more: claim it again.
    Reclaim {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// Why.
        reason: String,
    },
    /// The session is gone: claim everything again.
    SessionLost {
        /// Why.
        reason: String,
    },
    /// A claim was taken.
    Claimed(Claimed),
    /// The partition is in quarantine.
    Quarantined {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// Why.
        reason: String,
        /// Whether this claim put it there.
        new: bool,
    },
    /// A claim could not be made yet; it is tried again.
    Delayed {
        /// Partition.
        partition: i32,
        /// Under this incarnation.
        incarnation: Incarnation,
        /// Why.
        reason: String,
    },
    /// The claim is not wished for any more.
    Superseded,
    /// The target belongs to another group.
    ForeignGroup {
        /// Whose it is.
        group_id: String,
    },
}

/// A claim that was taken.
#[derive(Debug)]
pub struct Claimed {
    /// Partition.
    pub partition: i32,
    /// Under this incarnation.
    pub incarnation: Incarnation,
    /// Its token.
    pub claim: Uuid,
    /// The log's short key, the offset to read from and the claims in a row at it.
    pub taken: store::claim::Taken,
    /// Records that waited in the log.
    pub waiting: i64,
    /// The writer's backend that the claim names.
    pub writer: Backend,
    /// Backends that were ended to get the lock.
    pub ended: Vec<Backend>,
    /// The partition's sensors, as they were under the lock.
    pub sensors: Sensors,
}

/// See the module.
pub struct Writer {
    /// The database.
    pub store: Store,
    /// What batches are stored as.
    pub target: Target,
    /// Who writes.
    pub author: Author,
    /// Topic that is read.
    pub topic: String,
    /// Asked whether the topic is still the same one.
    pub inspector: Arc<Inspector>,
    /// Where batches come from.
    pub buffer: Arc<Buffer>,
    /// To the poll thread.
    pub replies: mpsc::Sender<Reply>,
    /// To everybody.
    pub condition: watch::Sender<Condition>,
    /// The topic id of the claims, by log.
    pub topic_ids: Arc<std::sync::Mutex<BTreeMap<i32, Uuid>>>,
    /// Counters.
    pub metrics: Metrics,
    /// The workload's own counters.
    pub watch: Option<Box<dyn Watch>>,
}

/// What a workload counts besides what every member does.
pub trait Watch: Send + Sync {
    /// A batch was committed, and what followed from its rows; `took` is the duration of its transaction.
    fn stored(&self, parts: &[Part], done: &Done, took: Duration);
}

/// How a batch was left.
enum End {
    Settled,
    SessionLost(Error),
}

impl Writer {
    /// Runs until `stop`; a batch in hand is then stored or given up within the stop's deadline.
    ///
    /// # Errors
    /// None so far: every fault of the database is waited out.
    pub async fn run(self, stop: Shutdown) -> Result<(), Error> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3)).expect("constant bounds");
        loop {
            let session = tokio::select! {
                session = BatchWriter::connect(&self.store, &self.target) => session,
                () = stop.requested() => return Ok(()),
            };
            let session = match session {
                Ok(session) => session,
                Err(error) => {
                    self.wait_for_database(&error);
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_delay()) => continue,
                        () = stop.requested() => return Ok(()),
                    }
                }
            };
            backoff.reset();
            self.condition.send_replace(Condition::Working(session.backend()));
            let Some(error) = self.serve(&session, &stop).await else { return Ok(()) };
            self.metrics.sessions_lost.add(1, &[]);
            self.wait_for_database(&error);
            self.buffer.abandon();
            self.reply(Reply::SessionLost { reason: error.chain() }).await;
        }
    }

    /// Stores batches until the session is lost (its error) or `stop`.
    async fn serve(&self, session: &BatchWriter, stop: &Shutdown) -> Option<Error> {
        let mut refusals = Refusals::new(Instant::now());
        let mut probe = tokio::time::interval(Duration::from_secs(1));
        loop {
            let taken = tokio::select! {
                taken = self.buffer.take() => taken,
                _ = probe.tick() => {
                    if session.is_closed() {
                        return Some(Error::Refused("the session was closed by the server".into()));
                    }
                    continue;
                }
                () = stop.requested() => return None,
            };
            self.metrics.unwatched.add(taken.unwatched, &[]);
            match self.store_until_settled(session, taken.parts, &mut refusals, stop).await {
                End::Settled => {
                    // However it was settled: claims wait for this word, and without a claim no
                    // batch would come whose storing could say it.
                    self.working(session);
                    self.buffer.done();
                }
                End::SessionLost(error) => return Some(error),
            }
        }
    }

    async fn store_until_settled(
        &self,
        session: &BatchWriter,
        mut parts: Vec<(Incarnation, Part)>,
        refusals: &mut Refusals,
        stop: &Shutdown,
    ) -> End {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).expect("constant bounds");
        loop {
            // What was revoked or claimed anew meanwhile belongs to nobody here.
            parts.retain(|(incarnation, part)| self.buffer.is_current(part.partition, *incarnation));
            if parts.is_empty() {
                return End::Settled;
            }
            let batch: Vec<Part> = parts.iter().map(|(_, part)| part.clone()).collect();
            let began = Instant::now();
            // The poll thread has left its group by then: what is given up is read by the next owner.
            let outcome = tokio::select! {
                outcome = session.store(&self.author, &batch, self.other_topic(&batch)) => outcome,
                () = stop.requested() => return End::Settled,
            };
            self.metrics.batch_seconds.record(began.elapsed().as_secs_f64(), &[]);
            match outcome {
                Outcome::Stored(done) => {
                    if let Some(watch) = &self.watch {
                        watch.stored(&batch, &done, began.elapsed());
                    }
                    self.stored(session, parts, refusals).await;
                    return End::Settled;
                }
                Outcome::StaleOwner { partitions, detail } => {
                    let (refused, held) = parts.into_iter().partition(|(_, part)| partitions.contains(&part.partition));
                    self.refused(refused, &detail).await;
                    parts = held;
                }
                Outcome::Vetoed(reason) => {
                    self.reclaim(parts, &reason).await;
                    return End::Settled;
                }
                Outcome::BadRow(error) => {
                    match self.isolate(session, &batch, refusals).await {
                        Ok(Some(isolation)) => {
                            self.condemn(parts, isolation).await;
                            return End::Settled;
                        }
                        Ok(None) => self.wait(&format!(
                            "more than a tenth of the rows are refused by the database, so they are no dead letters: {}",
                            error.chain()
                        )),
                        Err(error) => self.wait_for_database(&error),
                    }
                    if !pause(backoff.next_delay(), stop).await {
                        return End::Settled;
                    }
                }
                Outcome::Fault(error) => {
                    self.metrics.faults.add(1, &[]);
                    self.wait_for_database(&error);
                    if !pause(backoff.next_delay(), stop).await {
                        return End::Settled;
                    }
                }
                Outcome::Lost(error) => return End::SessionLost(error),
            }
            if session.is_closed() {
                return End::SessionLost(Error::Refused("the session was closed by the server".into()));
            }
        }
    }

    async fn stored(&self, session: &BatchWriter, parts: Vec<(Incarnation, Part)>, refusals: &mut Refusals) {
        self.working(session);
        for (incarnation, part) in parts {
            refusals.stored(part.row_count);
            self.metrics.stored(&part);
            self.reply(Reply::Stored { partition: part.partition, incarnation, next: part.next }).await;
        }
    }

    async fn refused(&self, parts: Vec<(Incarnation, Part)>, detail: &str) {
        for (incarnation, part) in parts {
            self.metrics.refusals.add(1, &[]);
            tracing::warn!(partition = part.partition, claim = %part.claim, detail, "the fence refused a stale claim");
            self.reply(Reply::Refused { partition: part.partition, incarnation, detail: detail.to_owned() }).await;
        }
    }

    async fn reclaim(&self, parts: Vec<(Incarnation, Part)>, reason: &str) {
        for (incarnation, part) in parts {
            let reason = reason.to_owned();
            self.reply(Reply::Reclaim { partition: part.partition, incarnation, reason }).await;
        }
    }

    /// Asks while the rows are sent whether the topic is still the one that was claimed. The
    /// question is asked after the last record of the batch was read, so a record of another
    /// topic under the same name can't be in a batch that passes. Brokers that don't answer have
    /// no new topic to serve either.
    async fn other_topic(&self, batch: &[Part]) -> Option<String> {
        let view = match tokio::time::timeout(TOPIC_CHECK, self.inspector.topic(&self.topic)).await {
            Ok(Ok(view)) => view,
            Ok(Err(kafka::inspector::Error::NoSuchTopic { topic })) => return Some(format!("topic {topic} is gone")),
            Ok(Err(_)) | Err(_) => return None,
        };
        let claimed = self.topic_ids.lock().expect("nothing panics while it holds this lock");
        let other = batch.iter().any(|part| claimed.get(&part.log_id).is_some_and(|id| *id != view.topic_id));
        other.then(|| format!("topic {} was re-created: its id is {} now", self.topic, view.topic_id))
    }

    fn working(&self, session: &BatchWriter) {
        self.condition.send_if_modified(|condition| {
            let working = Condition::Working(session.backend());
            let changed = *condition != working;
            *condition = working;
            changed
        });
    }

    fn wait_for_database(&self, error: &Error) {
        self.wait(&format!("waiting for the database: {}", error.chain()));
    }

    fn wait(&self, reason: &str) {
        let waiting = Condition::Waiting(reason.to_owned());
        let before = self.condition.send_replace(waiting);
        if !matches!(before, Condition::Waiting(ref old) if old == reason) {
            tracing::warn!(reason, "partitions are paused");
        }
    }

    async fn reply(&self, reply: Reply) {
        // A poll thread that is gone has no use for it.
        let _ = self.replies.send(reply).await;
    }
}

/// Waits; false when the stop came first.
async fn pause(delay: Duration, stop: &Shutdown) -> bool {
    tokio::select! {
        () = tokio::time::sleep(delay) => true,
        () = stop.requested() => false,
    }
}
