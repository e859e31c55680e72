//! The producer's row in `producer_health`, each second. The database may be away for as long as it
//! likes: nothing waits for it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::Shutdown;
use store::{Store, producer_health};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    connection::LastSeen,
    health::Status,
    tally::{LastMinute, Tally},
};

const EVERY: Duration = Duration::from_secs(1);

/// How long the last heartbeat may take, since the process waits for it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Who it is, as it stands in every heartbeat.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The row's key.
    pub producer_id: String,
    /// What it produces.
    pub sensor_type: String,
    /// This start of the process.
    pub run_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Events per second aimed at, if it aims at any.
    pub target_rate: Option<f64>,
}

impl Identity {
    /// A start of this process, now, that aims at no rate.
    #[must_use]
    pub fn new(producer_id: String, produces: &str) -> Self {
        Self {
            producer_id,
            sensor_type: produces.to_owned(),
            run_id: Uuid::now_v7(),
            started_at: Timestamp::now(),
            target_rate: None,
        }
    }
}

/// Writes the row.
pub struct Heartbeat {
    /// The database.
    pub store: Store,
    /// Who it is.
    pub identity: Identity,
    /// What became of the events.
    pub tally: Arc<Tally>,
    /// How the brokers are seen.
    pub seen: Arc<LastSeen>,
    /// Whether it produces.
    pub status: watch::Receiver<Status>,
}

impl Heartbeat {
    /// Beats each second until it is told to stop, then once more, as stopped.
    pub async fn run(self, stop: Shutdown) -> Result<(), Infallible> {
        let mut minute = LastMinute::default();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last_minute = 0;
        let mut reached = true;
        loop {
            tokio::select! {
                () = stop.requested() => break,
                _ = ticks.tick() => {}
            }
            last_minute = minute.grown_to(self.tally.counts().acknowledged);
            let status = *self.status.borrow();
            let beat = self.beat(status, last_minute);
            tokio::select! {
                () = stop.requested() => break,
                written = producer_health::beat(&self.store, &beat) => note(written, &mut reached),
            }
        }
        let last = self.beat(Status::Stopped, last_minute);
        if let Ok(written) = timeout(LAST_WORD, producer_health::beat(&self.store, &last)).await {
            note(written, &mut reached);
        }
        Ok(())
    }

    fn beat(&self, status: Status, acknowledged_last_minute: u64) -> producer_health::Heartbeat {
        let counts = self.tally.counts();
        let identity = self.identity.clone();
        producer_health::Heartbeat {
            producer_id: identity.producer_id,
            sensor_type: identity.sensor_type,
            status: status.as_str(),
            connection_status: self.seen.get().as_str(),
            run_id: identity.run_id,
            started_at: identity.started_at,
            acknowledged_last_minute,
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            waiting: counts.waiting(),
            target_rate: identity.target_rate,
        }
    }
}

/// One line when the database goes, one when it is back.
fn note(written: store::Result<()>, reached: &mut bool) {
    let before = std::mem::replace(reached, written.is_ok());
    match written {
        Ok(()) if !before => info!("heartbeats reach the database again"),
        Err(error) if before => warn!(error = error.chain(), "no heartbeat in the database; producing goes on"),
        _ => {}
    }
}
