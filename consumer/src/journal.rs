//! The journal of ownership: spooled to a local file first, then sent to `rebalancing_events`.
//!
//! ```text
//! poll thread ── try_send ──> spool thread ── append ──> journal-<boot>-<n>.jsonl ──> shipper ──> PostgreSQL
//!                  │ full: dropped, counted, and a hole in boot_sequence
//! ```
//!
//! Recording never blocks. What was appended survives SIGKILL (the page cache keeps it) and any
//! time without the database; the next process of the same data directory sends what was left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use jiff::Timestamp;
use kafka::evidence::Member;
use store::journal::Event;
use uuid::Uuid;

mod shipper;
mod spool;

pub use shipper::ship;
pub use spool::Spool;

/// Events between the poll thread and the spool thread.
const QUEUE: usize = 4_096;

/// The parts that every event of a process shares.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Name of the rebalance protocol.
    pub protocol: &'static str,
    /// Process start.
    pub boot_id: Uuid,
}

/// What an event says beside who, when and where.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// The partition.
    pub partition: Option<i32>,
    /// The claim.
    pub claim: Option<Uuid>,
    /// An offset.
    pub offset: Option<i64>,
    /// How many records.
    pub records: Option<i64>,
    /// A sentence.
    pub detail: Option<String>,
}

/// Counts of the journal, for heartbeats and metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Recorded and not in the database yet.
    pub waiting: AtomicI64,
    /// Dropped by a full queue or a full spool.
    pub dropped: AtomicU64,
}

/// The recording end. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    identity: Arc<Identity>,
    sender: SyncSender<Event>,
    sequence: Arc<AtomicI64>,
    counts: Arc<Counts>,
    started: Instant,
}

impl Journal {
    /// Opens the spool in `directory` and starts its thread.
    ///
    /// # Errors
    /// When the directory or the first file cannot be made.
    pub fn open(directory: &Path, identity: Identity) -> std::io::Result<(Self, Arc<Spool>)> {
        let counts = Arc::new(Counts::default());
        let spool = Arc::new(Spool::create(directory, identity.boot_id, Arc::clone(&counts))?);
        let (sender, receiver) = sync_channel::<Event>(QUEUE);
        let appender = Arc::clone(&spool);
        std::thread::Builder::new().name("journal".into()).spawn(move || {
            // Ends when the last sender is dropped.
            while let Ok(event) = receiver.recv() {
                appender.append(&event);
            }
        })?;
        let journal =
            Self { identity: Arc::new(identity), sender, sequence: Arc::default(), counts, started: Instant::now() };
        Ok((journal, spool))
    }

    /// Records one event. Never blocks.
    pub fn record(&self, event_type: &str, member: &Member, fact: Fact) {
        let event = Event {
            consumer_id: self.identity.consumer_id.clone(),
            event_type: event_type.to_owned(),
            partition: fact.partition,
            timestamp: Timestamp::now(),
            group_id: self.identity.group_id.clone(),
            topic: self.identity.topic.clone(),
            protocol: self.identity.protocol.to_owned(),
            generation: member.generation,
            member_id: member.id.clone(),
            boot_id: self.identity.boot_id,
            boot_sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            monotonic_us: self.elapsed_us(),
            claim: fact.claim,
            kafka_offset: fact.offset,
            records: fact.records,
            detail: fact.detail,
        };
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(event).is_err() {
            self.counts.drop_one();
        }
    }

    /// Microseconds since the instant that the journal counts from, by the monotonic clock.
    pub fn elapsed_us(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Counts for heartbeats and metrics.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Counts {
    fn drop_one(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
