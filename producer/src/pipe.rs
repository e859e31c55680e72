//! `producer pipe`: readings from standard input, a JSON object a line, each one exactly one event.
//!
//! ```text
//! stdin ─ thread ─> 64 lines ─ decode ─> publisher ─ 100,000 events ─> Kafka
//!   ^ waits while these are full <──────────┴ waits while that is full
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use clap::ValueEnum;
use lifecycle::Shutdown;
use schema::record::MAX_EVENT_BYTES;
use schema::sensor_reading::{SensorReading, decode};
use schema::{Fault, ReasonCode};
use tokio::time::sleep;
use tracing::{error, warn};

use crate::{
    lines::{self, Line},
    publisher::{Error, Measurement, Published, Publisher},
    tally::Tally,
};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a line that is no reading means for the ones behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// They are not read; exit code 65
    Stop,
    /// They are read
    Skip,
}

/// What came in. Written while it runs, read at the end.
#[derive(Debug, Default)]
pub struct Input {
    good: AtomicU64,
    bad: AtomicU64,
    ended: AtomicBool,
    refused: AtomicBool,
}

impl Input {
    /// Lines that were handed to Kafka's client.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.good.load(Ordering::Relaxed)
    }

    /// Lines that were no readings.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad.load(Ordering::Relaxed)
    }

    /// Whether it was read to its end.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether a bad line ended it.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Standard input and how it is read.
#[derive(Debug)]
pub struct Pipe {
    /// What a bad line does.
    pub on_error: OnError,
    /// Where it is counted.
    pub input: Arc<Input>,
}

impl Pipe {
    /// Publishes line by line, and waits until the fate of each is known, or until it is told to stop.
    ///
    /// # Errors
    /// When the client takes nothing any more.
    pub async fn run(self, publisher: &mut Publisher, tally: &Arc<Tally>, stop: &Shutdown) -> Result<(), Error> {
        self.send(publisher, stop).await?;
        while tally.counts().waiting() > 0 && !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    async fn send(&self, publisher: &mut Publisher, stop: &Shutdown) -> Result<(), Error> {
        let mut lines = match lines::read(std::io::stdin()) {
            Ok(lines) => lines,
            Err(error) => {
                error!(%error, "standard input cannot be read");
                return Ok(());
            }
        };
        loop {
            let line = tokio::select! {
                () = stop.requested() => return Ok(()),
                line = lines.recv() => line,
            };
            let line = match line {
                None => {
                    self.input.ended.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Some(Err(error)) => {
                    error!(%error, "standard input cannot be read any further");
                    return Ok(());
                }
                Some(Ok(line)) => line,
            };
            match reading(&line) {
                Ok(reading) => {
                    if publisher.publish(&measurement(&reading), stop).await? == Published::Stopped {
                        return Ok(());
                    }
                    self.input.good.fetch_add(1, Ordering::Relaxed);
                }
                Err(fault) => {
                    self.input.bad.fetch_add(1, Ordering::Relaxed);
                    let Fault { code, field, text } = fault;
                    warn!(line = line.number, field, %code, reason = text, "no reading");
                    if self.on_error == OnError::Stop {
                        self.input.refused.store(true, Ordering::Relaxed);
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn reading(line: &Line) -> Result<SensorReading<'_>, Fault> {
    if line.length > MAX_EVENT_BYTES as u64 {
        let text = format!("{} bytes, at most {MAX_EVENT_BYTES} are accepted", line.length);
        return Err(Fault::new(ReasonCode::Oversized, None, text));
    }
    decode(Some(&line.bytes))
}

/// Who sent it before, in which run and as which of its events, was true of another event: this one is this run's.
fn measurement<'a>(reading: &'a SensorReading<'_>) -> Measurement<'a> {
    Measurement {
        sensor_id: &reading.sensor_id,
        sensor_type: reading.sensor_type,
        unit: &reading.unit,
        value: reading.value,
        event_time: reading.event_time,
    }
}
