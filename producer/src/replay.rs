//! `producer replay`: a recording, row by row, each one exactly one event, in the file's order.

use std::{sync::Arc, time::Duration};

use lifecycle::Shutdown;
use schema::SensorType;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    progress::Progress,
    publisher::{Error, Measurement, Published, Publisher},
    recording::Row,
    speed::{Schedule, Speed},
    tally::Tally,
};

/// After so many rows without a wait others get their turn.
const TURN: usize = 500;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A recording and how to play it.
#[derive(Debug)]
pub struct Replay {
    /// In the file's order.
    pub rows: Vec<Row>,
    /// How fast.
    pub speed: Speed,
    /// The sensor that all rows are of.
    pub sensor_id: String,
    /// What it measures.
    pub sensor_type: SensorType,
    /// UCUM code.
    pub unit: String,
}

impl Replay {
    /// Publishes every row and waits until the fate of each is known, or until it is told to stop.
    ///
    /// # Errors
    /// When the client takes nothing any more.
    pub async fn run(self, publisher: &mut Publisher, tally: &Arc<Tally>, stop: &Shutdown) -> Result<(), Error> {
        let mut progress = Progress::new(self.rows.len());
        let sent = self.send(publisher, tally, stop, &mut progress).await;
        while sent.is_ok() && tally.counts().waiting() > 0 && !stop.is_requested() {
            progress.show(&tally.counts());
            tokio::select! {
                () = stop.requested() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        progress.finish(&tally.counts());
        sent
    }

    async fn send(
        &self,
        publisher: &mut Publisher,
        tally: &Arc<Tally>,
        stop: &Shutdown,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let mut schedule = Schedule::new(self.speed);
        let start = Instant::now();
        for (number, row) in self.rows.iter().enumerate() {
            let due = start + schedule.next(row.time).min(FAR_AWAY);
            while Instant::now() < due && !stop.is_requested() {
                progress.show(&tally.counts());
                tokio::select! {
                    () = stop.requested() => {}
                    () = sleep_until(due.min(Instant::now() + LOOK_EVERY)) => {}
                }
            }
            if number % TURN == TURN - 1 {
                progress.show(&tally.counts());
                tokio::task::yield_now().await;
            }
            if stop.is_requested() || publisher.publish(&self.measurement(row), stop).await? == Published::Stopped {
                break;
            }
        }
        Ok(())
    }

    fn measurement(&self, row: &Row) -> Measurement<'_> {
        Measurement {
            sensor_id: &self.sensor_id,
            sensor_type: self.sensor_type,
            unit: &self.unit,
            value: row.value,
            event_time: row.time,
        }
    }
}

/// The longest wait for a row; the clock cannot count further than some centuries.
const FAR_AWAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
