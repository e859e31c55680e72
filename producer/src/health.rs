//! Whether it produces or waits for Kafka: told once per change, in the log, in readiness and to the
//! heartbeat.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use lifecycle::{Latch, Readiness, Shutdown};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    connection::{Connection, LastSeen},
    tally::{Counts, Tally},
};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Events that wait so long without any being settled mean that Kafka is away, whatever the
/// connections look like (too few in-sync replicas, a frozen broker).
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The text forms are those of `producer_health.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Events are acknowledged, or there are none to send.
    Running,
    /// Events wait, or no broker is connected.
    WaitingForKafka,
    /// Told to stop; what was sent is waited for.
    Stopping,
    /// The last word of this process.
    Stopped,
}

impl Status {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingForKafka => "waiting_for_kafka",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Notices that nothing is settled although something waits. Pure: time is passed in.
#[derive(Debug)]
struct Stall {
    settled: u64,
    /// When something was settled last, or nothing waited.
    progress_at: Instant,
}

impl Stall {
    fn new(now: Instant) -> Self {
        Self { settled: 0, progress_at: now }
    }

    fn look(&mut self, now: Instant, counts: &Counts) -> bool {
        if counts.waiting() == 0 || counts.settled() != self.settled {
            self.settled = counts.settled();
            self.progress_at = now;
        }
        now.duration_since(self.progress_at) >= STALLED_AFTER
    }
}

/// Looks at tally and connection, and tells what that means.
#[derive(Debug)]
pub struct Health {
    tally: Arc<Tally>,
    seen: Arc<LastSeen>,
    readiness: Readiness,
    waiting: Option<Latch>,
    /// Whether the log has said that it waits.
    told: bool,
    started_at: Instant,
    status: watch::Sender<Status>,
}

impl Health {
    /// Waiting for Kafka, until it was seen.
    #[must_use]
    pub fn new(tally: Arc<Tally>, seen: Arc<LastSeen>, readiness: &Readiness) -> Self {
        Self {
            tally,
            seen,
            waiting: Some(readiness.latch("kafka")),
            readiness: readiness.clone(),
            told: false,
            started_at: Instant::now(),
            status: watch::Sender::new(Status::WaitingForKafka),
        }
    }

    /// The status, for whoever passes it on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Looks until it is told to stop; from `shutdown` on the status is stopping.
    pub async fn watch(mut self, shutdown: Shutdown, stop: Shutdown) -> Result<(), Infallible> {
        let mut stall = Stall::new(Instant::now());
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_requested() {
            let counts = self.tally.counts();
            let connection = self.seen.get();
            let stalled = stall.look(Instant::now(), &counts);
            let away = stalled || connection == Connection::Disconnected;
            self.tell(away, &counts, connection);
            self.status.send_replace(match (shutdown.is_requested(), away) {
                (true, _) => Status::Stopping,
                (false, true) => Status::WaitingForKafka,
                (false, false) => Status::Running,
            });
            tokio::select! {
                () = stop.requested() => {}
                // At once, so that the last seconds are not told as running.
                () = shutdown.requested(), if !shutdown.is_requested() => {}
                _ = ticks.tick() => {}
            }
        }
        Ok(())
    }

    /// Moves the latch and logs the change. Not to have seen Kafka yet is worth a line only after a
    /// moment.
    fn tell(&mut self, away: bool, counts: &Counts, connection: Connection) {
        let connection = connection.as_str();
        if !away {
            if self.waiting.take().is_some() {
                info!(connection, acknowledged = counts.acknowledged, "Kafka is there");
            }
            self.told = false;
            return;
        }
        let known = self.waiting.is_some();
        self.waiting.get_or_insert_with(|| self.readiness.latch("kafka"));
        if !self.told && (!known || self.started_at.elapsed() >= STALLED_AFTER) {
            warn!(connection, waiting = counts.waiting(), "waiting for Kafka");
            self.told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_events_waiting_two_seconds_without_progress() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        let mut look = |second: f64, sent, acknowledged| {
            let counts = Counts { sent, acknowledged, ..Counts::default() };
            stall.look(start + Duration::from_secs_f64(second), &counts)
        };
        assert!(!look(0.0, 10, 10));
        assert!(!look(60.0, 10, 10), "nothing waits");
        assert!(!look(61.9, 15, 10));
        assert!(look(62.0, 20, 10));
        assert!(!look(62.1, 20, 11), "progress, however little");
        assert!(!look(64.0, 25, 11));
        assert!(look(64.2, 25, 11));
        assert!(!look(64.3, 25, 25));
    }
}
