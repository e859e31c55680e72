//! The claims: what the log says, what the database says, and the claim written under its lock.
//!
//! One short task a request, a few at a time, each on a pooled connection: never the one that
//! batches are written through, whose lock a claim may have to wait for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alarms::{Place, Sensors};
use jiff::Timestamp;
use kafka::Inspector;
use kafka::inspector::TopicView;
use lifecycle::Shutdown;
use resilience::Backoff;
use store::claim::{Claimant, LogPartition, lock};
use store::{Backend, Store};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use crate::alarming::Limiter;
use crate::buffer::Incarnation;
use crate::judgement::{Log, QUARANTINE_AFTER, Verdict, judge};
use crate::metrics::Metrics;
use crate::writer::{Claimed, Condition, Reply};

/// Claims at once.
const CONCURRENT: usize = 3;

/// Where a partition begins that was never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The log's start.
    Earliest,
    /// The log's end.
    Latest,
    /// The first record appended at or after this time.
    At(Timestamp),
}

impl std::str::FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => time
                .parse()
                .map(Self::At)
                .map_err(|e| format!("`{time}` is none of earliest, latest, or an RFC 3339 time: {e}")),
        }
    }
}

/// A wish of the poll thread.
#[derive(Clone, Debug)]
pub struct Request {
    /// Partition.
    pub partition: i32,
    /// Under this incarnation.
    pub incarnation: Incarnation,
    /// A fault that the poll thread saw and that quarantines the partition whatever the log says.
    pub condemned: Option<String>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Claims {
    /// The database.
    pub store: Store,
    /// Target table.
    pub target: &'static str,
    /// Topic.
    pub topic: String,
    /// Group.
    pub group_id: String,
    /// Who claims.
    pub consumer_id: String,
    /// Process start.
    pub boot_id: Uuid,
    /// Where a first claim begins.
    pub start: Start,
    /// Asked for the limits that alarms have from the claim on.
    pub limiter: Arc<Limiter>,
    /// Asked for the log.
    pub inspector: Arc<Inspector>,
    /// To the poll thread.
    pub replies: mpsc::Sender<Reply>,
    /// The writer's backend.
    pub condition: watch::Receiver<Condition>,
    /// Filled with the topic id of each log that is claimed.
    pub topic_ids: Arc<std::sync::Mutex<BTreeMap<i32, Uuid>>>,
    /// Which incarnation each partition has now, so that an older wish is dropped.
    pub current: Arc<std::sync::Mutex<BTreeMap<i32, Incarnation>>>,
    /// Counters.
    pub metrics: Metrics,
}

/// Why a try failed; all of them are tried again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Log(#[from] kafka::inspector::Error),
}

impl Claims {
    /// Serves wishes until `stop`.
    ///
    /// # Errors
    /// When a claim panicked. Every other failure is tried again until the claim is not wished for any more.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>, stop: Shutdown) -> Result<(), JoinError> {
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        let mut running = JoinSet::new();
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    // A panic in a claim is a bug: it ends this task, and with it the process, in order.
                    ended?;
                    continue;
                }
                () = stop.requested() => None,
            };
            let Some(request) = request else { return Ok(()) };
            let (claims, permits) = (self.clone(), Arc::clone(&permits));
            running.spawn(async move { claims.serve(request, &permits).await });
        }
    }

    async fn serve(mut self, request: Request, permits: &Semaphore) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2)).expect("constant bounds");
        let mut said = String::new();
        while self.is_current(&request) {
            // Without a session of the writer there is no backend to name in the claim.
            let Condition::Working(writer) = self.condition.borrow_and_update().clone() else {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.condition.changed()).await;
                continue;
            };
            let permit = permits.acquire().await;
            let tried = self.claim(&request, writer).await;
            drop(permit);
            match tried {
                Ok(reply) => {
                    let _ = self.replies.send(reply).await;
                    return;
                }
                Err(failed) => {
                    self.metrics.claims_failed.add(1, &[]);
                    let text = match &failed {
                        Failed::Store(error) => error.chain(),
                        Failed::Log(error) => error.to_string(),
                    };
                    if text != said {
                        tracing::warn!(partition = request.partition, error = text, "a claim is tried again");
                        let Request { partition, incarnation, .. } = request;
                        let _ =
                            self.replies.send(Reply::Delayed { partition, incarnation, reason: text.clone() }).await;
                        said = text;
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    fn is_current(&self, request: &Request) -> bool {
        let current = self.current.lock().expect("nothing panics while it holds this lock");
        current.get(&request.partition) == Some(&request.incarnation)
    }

    async fn claim(&self, request: &Request, writer: Backend) -> Result<Reply, Failed> {
        let Request { partition, incarnation, .. } = *request;
        let view = self.inspector.topic(&self.topic).await?;
        let log = self.log_partition(&view, partition);
        let start_offset = self.start_offset(partition).await?;
        self.limiter.refresh().await?;
        let locked = lock(&self.store, self.target, &log, writer).await?;
        if !self.is_current(request) {
            // Waiting took long enough for the partition to go: another owner's row is left alone.
            return Ok(Reply::Superseded);
        }
        // The bounds are asked for under the lock: before it, the owner was still moving.
        let bounds = self.inspector.bounds(&self.topic, &[partition]).await?[&partition];
        let epoch_end = match locked.stored().map(|stored| stored.leader_epoch) {
            Some(epoch) if epoch >= 0 => {
                Some(self.inspector.epoch_end(&self.topic, partition, epoch).await?).filter(|end| *end >= 0)
            }
            _ => None,
        };
        let log = Log { bounds, epoch_end, start_offset };
        let mut verdict = judge(&self.group_id, locked.stored(), locked.predecessor(), &log);
        if let (Some(reason), Verdict::Take { .. }) = (&request.condemned, &verdict) {
            verdict = Verdict::Quarantine(reason.clone());
        }
        let claimant = Claimant {
            group_id: self.group_id.clone(),
            consumer_id: self.consumer_id.clone(),
            boot_id: self.boot_id,
            claim: Uuid::now_v7(),
            writer,
        };
        match verdict {
            Verdict::Take { start_offset, backlog } => {
                let ended = locked.ended().to_vec();
                let states = locked.sensor_states().await?;
                let taken = locked.take(&claimant, start_offset, backlog).await?;
                let next = Place { log_id: taken.log_id, partition, offset: taken.next_offset };
                let (sensors, unreadable) = Sensors::load(states, next);
                if !unreadable.is_empty() {
                    tracing::warn!(partition, ?unreadable, "alarm states that cannot be read: learned anew");
                }
                self.topic_ids
                    .lock()
                    .expect("nothing panics while it holds this lock")
                    .insert(taken.log_id, view.topic_id);
                self.metrics.claims.add(1, &[]);
                if taken.claims_at_offset >= QUARANTINE_AFTER {
                    return self.give_up(request, &claimant, &view, taken).await;
                }
                Ok(Reply::Claimed(Claimed {
                    partition,
                    incarnation,
                    claim: claimant.claim,
                    waiting: (bounds.end - taken.next_offset).max(0),
                    taken,
                    writer,
                    ended,
                    sensors,
                }))
            }
            Verdict::Quarantined(reason) => Ok(Reply::Quarantined { partition, incarnation, reason, new: false }),
            Verdict::Quarantine(reason) => {
                locked.quarantine(&claimant, log.start_offset, &reason).await?;
                self.metrics.quarantines.add(1, &[]);
                Ok(Reply::Quarantined { partition, incarnation, reason, new: true })
            }
            Verdict::ForeignGroup { group_id } => Ok(Reply::ForeignGroup { group_id }),
        }
    }

    /// The same offset was claimed too often without progress: whatever lies there ends every owner.
    async fn give_up(
        &self,
        request: &Request,
        claimant: &Claimant,
        view: &TopicView,
        taken: store::claim::Taken,
    ) -> Result<Reply, Failed> {
        let Request { partition, incarnation, .. } = *request;
        let reason = format!("no progress at offset {} in {} claims", taken.next_offset, taken.claims_at_offset);
        let locked = lock(&self.store, self.target, &self.log_partition(view, partition), claimant.writer).await?;
        if locked.stored().is_none_or(|stored| stored.claim != claimant.claim) {
            return Ok(Reply::Superseded);
        }
        locked.quarantine(claimant, taken.next_offset, &reason).await?;
        self.metrics.quarantines.add(1, &[]);
        Ok(Reply::Quarantined { partition, incarnation, reason, new: true })
    }

    fn log_partition(&self, view: &TopicView, partition: i32) -> LogPartition {
        LogPartition {
            cluster_id: view.cluster_id.clone(),
            topic_id: view.topic_id,
            topic: self.topic.clone(),
            partition,
        }
    }

    async fn start_offset(&self, partition: i32) -> Result<i64, kafka::inspector::Error> {
        match self.start {
            Start::Earliest => Ok(self.inspector.bounds(&self.topic, &[partition]).await?[&partition].start),
            Start::Latest => Ok(self.inspector.bounds(&self.topic, &[partition]).await?[&partition].end),
            Start::At(time) => self.inspector.offset_at(&self.topic, partition, time.as_millisecond()).await,
        }
    }
}
