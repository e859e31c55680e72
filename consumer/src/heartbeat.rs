//! The heartbeat row, and the log ends that lag is counted from.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka::Inspector;
use kafka::evidence::Member;
use lifecycle::Shutdown;
use store::Store;
use store::consumer_health::{Heartbeat, Terms, Zero, beat};
use store::server::clock as server_clock;
use tokio::sync::watch;
use uuid::Uuid;

use crate::journal::Journal;
use crate::status::Status;
use crate::writer::Condition;

const INTERVAL: Duration = Duration::from_secs(1);
/// How often the server's clock is asked for, and how long the best answer counts.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
const KEEP_FOR: Duration = Duration::from_secs(600);
const LOG_END_INTERVAL: Duration = Duration::from_secs(2);

/// What heartbeats are made of.
pub struct Beats {
    /// The database.
    pub store: Store,
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Group.
    pub group_id: String,
    /// Process start.
    pub boot_id: Uuid,
    /// The shown state.
    pub status: Arc<Status>,
    /// What the writer is doing.
    pub condition: watch::Receiver<Condition>,
    /// For its counts and its clock.
    pub journal: Journal,
    /// What its group expects of it.
    pub terms: Terms,
}

/// A server's clock as this process's monotonic one: where the journal's zero lies on it.
#[derive(Default)]
struct ServerClock {
    zero: Option<Zero>,
    measured_at: Option<Instant>,
    kept_since: Option<Instant>,
}

impl ServerClock {
    /// Asks for the server's time now and then. The best of a while is kept: half a round trip is the error (as NTP's,
    /// RFC 5905), and what was measured long ago has drifted.
    async fn measure(&mut self, store: &Store, journal: &Journal) {
        if self.measured_at.is_some_and(|at| at.elapsed() < MEASURE_EVERY) {
            return;
        }
        let before = journal.elapsed_us();
        let Ok(Ok(server)) = tokio::time::timeout(INTERVAL, server_clock(store)).await else { return };
        let after = journal.elapsed_us();
        self.measured_at = Some(Instant::now());
        let error_us = (after - before) / 2;
        let Ok(zero_at) = server.checked_sub(jiff::SignedDuration::from_micros(before + error_us)) else { return };
        let best = self.zero.is_none_or(|kept| error_us <= kept.error_us);
        if best || self.kept_since.is_none_or(|since| since.elapsed() > KEEP_FOR) {
            self.zero = Some(Zero { at: zero_at, error_us });
            self.kept_since = Some(Instant::now());
        }
    }
}

impl Beats {
    /// Writes a heartbeat every second until `stop`, then a last one that says so. One that the
    /// database does not take in time is left out.
    ///
    /// # Errors
    /// None: watching never harms what is watched.
    pub async fn run(self, stop: Shutdown) -> Result<(), store::Error> {
        let started_at = Timestamp::now();
        let mut clock = ServerClock::default();
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.requested() => {
                    let _ = tokio::time::timeout(INTERVAL, beat(&self.store, &self.heartbeat(started_at, "stopped", &clock))).await;
                    return Ok(());
                }
            }
            clock.measure(&self.store, &self.journal).await;
            let heartbeat = self.heartbeat(started_at, self.status_name(), &clock);
            match tokio::time::timeout(Duration::from_secs(3), beat(&self.store, &heartbeat)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(error = error.chain(), "a heartbeat was left out"),
                Err(_) => tracing::debug!("a heartbeat was left out: no answer"),
            }
        }
    }

    fn status_name(&self) -> &'static str {
        let snapshot = self.status.snapshot();
        match &*self.condition.borrow() {
            _ if snapshot.leaving => "stopping",
            Condition::Waiting(_) => "paused",
            Condition::Working(_) if snapshot.joined => "running",
            Condition::Working(_) => "starting",
        }
    }

    fn heartbeat(&self, started_at: Timestamp, status: &'static str, clock: &ServerClock) -> Heartbeat {
        let snapshot = self.status.snapshot();
        let partitions = if status == "stopped" { Vec::new() } else { snapshot.partitions };
        let skew = clock.zero.and_then(|zero| {
            let server = zero.at.checked_add(jiff::SignedDuration::from_micros(self.journal.elapsed_us())).ok()?;
            i64::try_from(Timestamp::now().duration_since(server).as_micros()).ok()
        });
        let member = snapshot.member.unwrap_or(Member { generation: -1, id: String::new() });
        let counts = self.journal.counts();
        Heartbeat {
            consumer_id: self.consumer_id.clone(),
            status,
            group_id: self.group_id.clone(),
            boot_id: self.boot_id,
            started_at,
            assigned_partitions: partitions.iter().map(|shown| shown.partition).collect(),
            partition_states: partitions,
            processed_last_minute: self.status.last_minute(Instant::now()),
            journal_waiting: u64::try_from(counts.waiting.load(Ordering::Relaxed)).unwrap_or(0),
            journal_dropped: counts.dropped.load(Ordering::Relaxed),
            terms: self.terms.clone(),
            poll_age: self.status.poll_age(Instant::now()),
            zero: clock.zero,
            clock_skew_us: skew,
            generation: member.generation,
            member_id: member.id,
        }
    }
}

/// Asks for the log ends of the assigned partitions every two seconds until `stop`.
///
/// # Errors
/// None: an end that could not be had stays as it was.
pub async fn watch_log_ends(
    inspector: Arc<Inspector>,
    topic: String,
    status: Arc<Status>,
    stop: Shutdown,
) -> Result<(), store::Error> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOG_END_INTERVAL) => {}
            () = stop.requested() => return Ok(()),
        }
        for shown in status.snapshot().partitions {
            match inspector.bounds(&topic, &[shown.partition]).await {
                Ok(bounds) => status.note_ends(bounds.into_iter().map(|(partition, bounds)| (partition, bounds.end))),
                Err(error) => tracing::debug!(partition = shown.partition, %error, "the log's end could not be had"),
            }
        }
    }
}
