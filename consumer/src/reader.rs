//! The poll thread: the only one that touches Kafka's client.
//!
//! ```text
//! loop { replies -> events -> settle -> claim -> open -> pause/resume -> publish -> poll }
//! ```
//!
//! No step waits for the database. A rebalance is answered in the same turn that its callback was
//! served: an assign at once, in a form that fetches nothing (at offset 0, paused),
//! a revoke as soon as what is in flight is settled, at the latest after [`SETTLE_DEADLINE`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alarms::Observation;
use kafka::evidence::Member;
use lifecycle::Shutdown;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schema::Fault;
use store::copy::Origin;
use tokio::sync::{mpsc, watch};

use crate::buffer::{Buffer, Incarnation};
use crate::claims::Request;
use crate::duty::{Duty, State};
use crate::journal::{Fact, Journal};
use crate::membership::Membership;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::writer::{Condition, Reply};

mod answers;
mod leaving;
mod rebalance;
mod records;
mod supervision;

/// Longest time that a revoke waits for the batch in flight. With a poll of at most 100 ms
/// before it, a member never holds up its group for 2 s.
const SETTLE_DEADLINE: Duration = Duration::from_millis(1_500);
/// Longest wait for a record.
const POLL: Duration = Duration::from_millis(100);
/// The same while an answer of the writer or a claim is awaited.
const POLL_AWAITING: Duration = Duration::from_millis(2);
/// How often stored offsets are mirrored to Kafka, for lag tools only.
const MIRROR: Duration = Duration::from_secs(1);

/// Decodes a record's value, appends its row to the buffer given, and answers with what the record says of a
/// sensor, where it does. A function, so that another target brings its own.
pub type Encode = for<'p> fn(&mut Vec<u8>, Option<&'p [u8]>, &Origin<'_>) -> Result<Option<Observation<'p>>, Fault>;

/// Why the poll thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It left its group, as asked.
    Left,
    /// Another process uses the same static id (fatal `FencedInstanceId`).
    Fenced,
    /// The static id is still held by a session of a dead process (fatal `UnreleasedInstanceId`).
    Unreleased,
    /// The target belongs to this other group.
    ForeignGroup(String),
    /// Any other fatal error of the client.
    Fatal(String),
}

impl End {
    /// For the journal; `None` when it was asked to leave.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Left => None,
            Self::Fenced => Some("fenced: another process uses the same static id".to_owned()),
            Self::Unreleased => Some("the static id is still held by an earlier session".to_owned()),
            Self::ForeignGroup(group) => Some(format!("the target belongs to the group {group}")),
            Self::Fatal(reason) => Some(reason.clone()),
        }
    }
}

/// What the poll thread works with.
pub struct Parts {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Topic that is read.
    pub topic: String,
    /// The client's settings.
    pub config: ClientConfig,
    /// Whether its group keeps its place while it is away.
    pub is_static: bool,
    /// Decoder and row encoder.
    pub encode: Encode,
    /// Filled here, emptied by the writer.
    pub buffer: Arc<Buffer>,
    /// To the claims.
    pub requests: mpsc::Sender<Request>,
    /// Which incarnation each partition has, for the claims.
    pub current: Arc<Mutex<BTreeMap<i32, Incarnation>>>,
    /// What the writer is doing.
    pub condition: watch::Receiver<Condition>,
    /// The journal.
    pub journal: Journal,
    /// The shown state.
    pub status: Arc<Status>,
    /// Counters.
    pub metrics: Metrics,
}

/// See the module.
pub struct Reader<'a> {
    parts: &'a Parts,
    replies: &'a mut mpsc::Receiver<Reply>,
    consumer: BaseConsumer<Membership>,
    duties: BTreeMap<i32, Duty>,
    incarnations: &'a mut u64,
    settling: Option<Settling>,
    paused: Option<String>,
    full_since: Option<Instant>,
    joined: bool,
    member: Member,
    mirrored: BTreeMap<i32, i64>,
    mirror_due: Instant,
    recheck_due: Option<Instant>,
    row: Vec<u8>,
}

/// A revoke that waits for what is in flight.
struct Settling {
    partitions: Vec<i32>,
    deadline: Instant,
}

impl<'a> Reader<'a> {
    /// Makes the client and subscribes.
    ///
    /// # Errors
    /// When the settings are refused by the client.
    pub fn subscribe(
        parts: &'a Parts,
        replies: &'a mut mpsc::Receiver<Reply>,
        incarnations: &'a mut u64,
    ) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer<Membership> = parts.config.create_with_context(Membership::default())?;
        consumer.subscribe(&[&parts.topic])?;
        let now = Instant::now();
        Ok(Self {
            parts,
            replies,
            consumer,
            duties: BTreeMap::new(),
            incarnations,
            settling: None,
            paused: None,
            full_since: None,
            joined: false,
            member: Member { generation: -1, id: String::new() },
            mirrored: BTreeMap::new(),
            mirror_due: now + MIRROR,
            recheck_due: None,
            row: Vec::new(),
        })
    }

    /// Polls until `stop` or a fatal error, then leaves the group and closes the client.
    pub fn run(mut self, stop: &Shutdown) -> End {
        let end = loop {
            if let Some(end) = self.turn() {
                break end;
            }
            if stop.is_requested() {
                break End::Left;
            }
        };
        self.leave(&end);
        end
    }

    fn turn(&mut self) -> Option<End> {
        let now = Instant::now();
        self.parts.status.polled(now);
        if let Some(end) = self.take_replies(now) {
            return Some(end);
        }
        self.answer_events(now);
        self.settle(now);
        self.ask_for_claims(now);
        self.open_claimed();
        self.follow_writer(now);
        self.supervise(now);
        self.mirror(now);
        self.publish();
        self.poll()
    }

    /// The longest that the next poll may wait.
    fn poll_timeout(&self) -> Duration {
        let awaiting = self.settling.is_some()
            || self
                .duties
                .values()
                .any(|duty| matches!(duty.state, State::Claiming { .. } | State::Opening | State::Proving));
        if awaiting { POLL_AWAITING } else { POLL }
    }

    fn next_incarnation(&mut self) -> Incarnation {
        *self.incarnations += 1;
        Incarnation(*self.incarnations)
    }

    /// Begins a new incarnation of an assigned partition: rows of the old one are discarded.
    fn reclaim(&mut self, partition: i32, wait: Duration) {
        let incarnation = self.next_incarnation();
        let Some(duty) = self.duties.get_mut(&partition) else { return };
        duty.reclaim(incarnation, Instant::now(), wait);
        let discarded = self.parts.buffer.end(partition);
        self.parts.metrics.discarded.add(discarded as u64, &[]);
        self.parts.current.lock().expect("nothing panics while it holds this lock").insert(partition, incarnation);
        self.park(&[partition]);
    }

    /// Stops the client from fetching these partitions.
    fn park(&self, partitions: &[i32]) {
        if let Err(error) = self.consumer.pause(&self.list(partitions, None)) {
            tracing::debug!(%error, ?partitions, "pause");
        }
    }

    fn list(&self, partitions: &[i32], offset: Option<Offset>) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            match offset {
                Some(offset) => {
                    let added = list.add_partition_offset(&self.parts.topic, partition, offset);
                    added.expect("every offset given here is one that librdkafka takes");
                }
                None => drop(list.add_partition(&self.parts.topic, partition)),
            }
        }
        list
    }

    /// Tells Kafka the stored offsets, for lag tools. Never read back.
    fn mirror(&mut self, now: Instant) {
        if now < self.mirror_due {
            return;
        }
        self.mirror_due = now + MIRROR;
        self.mirror_now();
    }

    fn mirror_now(&mut self) {
        let mut list = TopicPartitionList::new();
        for (&partition, duty) in &self.duties {
            let Some(stored) = duty.stored.filter(|stored| self.mirrored.get(&partition) != Some(stored)) else {
                continue;
            };
            if list.add_partition_offset(&self.parts.topic, partition, Offset::Offset(stored)).is_ok() {
                self.mirrored.insert(partition, stored);
            }
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "mirroring offsets");
            self.mirrored.clear();
        }
    }

    fn record(&self, event_type: &str, fact: Fact) {
        self.parts.journal.record(event_type, &self.member, fact);
    }
}
