//! What the poll thread shows of itself: read by heartbeats, metrics and the log-end watch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kafka::evidence::Member;
use store::consumer_health::PartitionState;

/// The shown state of the process.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Assigned partitions, ascending.
    pub partitions: Vec<PartitionState>,
    /// Whether it has been assigned (or told that it has nothing) since it started.
    pub joined: bool,
    /// Whether it is leaving.
    pub leaving: bool,
    /// Generation and member id of its last callback.
    pub member: Option<Member>,
}

/// See the module. One per process.
#[derive(Default)]
pub struct Status {
    snapshot: Mutex<Snapshot>,
    ends: Mutex<BTreeMap<i32, i64>>,
    rate: Mutex<VecDeque<(Instant, u64)>>,
    polled: Mutex<Option<Instant>>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Status {
    /// Shows a new state.
    pub fn publish(&self, mut snapshot: Snapshot) {
        let ends = self.ends.lock().expect("nothing panics while it holds this lock");
        for partition in &mut snapshot.partitions {
            partition.log_end = ends.get(&partition.partition).copied();
        }
        drop(ends);
        *self.snapshot.lock().expect("nothing panics while it holds this lock") = snapshot;
    }

    /// The poll thread begins a turn.
    pub fn polled(&self, now: Instant) {
        *self.polled.lock().expect("nothing panics while it holds this lock") = Some(now);
    }

    /// How long ago that was; `None` before the first.
    pub fn poll_age(&self, now: Instant) -> Option<Duration> {
        self.polled.lock().expect("nothing panics while it holds this lock").map(|at| now.duration_since(at))
    }

    /// The state as last shown.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Notes log ends that were asked for.
    pub fn note_ends(&self, found: impl IntoIterator<Item = (i32, i64)>) {
        self.ends.lock().expect("nothing panics while it holds this lock").extend(found);
    }

    /// The end of a partition's log, as last asked.
    pub fn log_end(&self, partition: i32) -> Option<i64> {
        self.ends.lock().expect("nothing panics while it holds this lock").get(&partition).copied()
    }

    /// Counts records that were committed now.
    pub fn count(&self, records: u64, now: Instant) {
        let mut rate = self.rate.lock().expect("nothing panics while it holds this lock");
        match rate.back_mut() {
            Some((at, sum)) if now.duration_since(*at) < Duration::from_secs(1) => *sum += records,
            _ => rate.push_back((now, records)),
        }
        while rate.front().is_some_and(|(at, _)| now.duration_since(*at) > MINUTE) {
            rate.pop_front();
        }
    }

    /// Records committed in the last 60 s.
    pub fn last_minute(&self, now: Instant) -> u64 {
        let rate = self.rate.lock().expect("nothing panics while it holds this lock");
        rate.iter().filter(|(at, _)| now.duration_since(*at) <= MINUTE).map(|(_, records)| records).sum()
    }
}
