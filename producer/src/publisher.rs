//! The way into Kafka: idempotent, acknowledged by all in-sync replicas, bounded, never expiring.
//!
//! ```text
//! publish ─> sequence 0, 1, 2 … ─> librdkafka's queue ─> brokers
//!    ^ waits while it is full                              │
//!                            tally <── poll thread <── delivery reports, statistics
//! ```

pub(crate) mod client;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::Shutdown;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, ThreadedProducer},
};
use schema::{SensorReading, SensorType, sensor_reading, topics};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{connection::LastSeen, tally::Tally};
use client::Context;

/// How long to wait before a full queue is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// How often it is looked whether everything is settled.
const SETTLED_PAUSE: Duration = Duration::from_millis(10);

/// Why nothing can be published any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be made.
    #[error("cannot make a Kafka client")]
    Client(#[source] KafkaError),
    /// The client refused an event for good, as after a fatal error of the idempotent producer.
    /// Another process, under another run id, may go on.
    #[error("the Kafka client refuses event {sequence}")]
    Refused {
        /// The event's sequence.
        sequence: u64,
        /// What it says.
        source: KafkaError,
    },
}

/// What is published: a value, and where and when it was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measurement<'a> {
    /// The record's key.
    pub sensor_id: &'a str,
    /// What was measured.
    pub sensor_type: SensorType,
    /// UCUM code.
    pub unit: &'a str,
    /// Finite.
    pub value: f64,
    /// The sensor's clock.
    pub event_time: Timestamp,
}

/// What became of the wish to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// In the client's queue.
    Queued,
    /// The stop came while the queue was full; the event was not taken.
    Stopped,
}

/// One run of one producer: numbers its events and hands them to Kafka.
pub struct Publisher {
    client: ThreadedProducer<Context>,
    producer_id: String,
    run_id: Uuid,
    sequence: u64,
    tally: Arc<Tally>,
}

impl Publisher {
    /// A publisher of a run of its own, from sequence 0. Connects in the background.
    ///
    /// # Errors
    /// When the client's settings are refused.
    pub fn new(
        kafka: &kafka::Options,
        producer_id: &str,
        run_id: Uuid,
        tally: Arc<Tally>,
        seen: Arc<LastSeen>,
    ) -> Result<Self, Error> {
        let client = client::start(kafka, producer_id, Context::new(Arc::clone(&tally), seen), &[]);
        Ok(Self {
            client: client.map_err(Error::Client)?,
            producer_id: producer_id.to_owned(),
            run_id,
            sequence: 0,
            tally,
        })
    }

    /// Numbers the event and puts it into the queue; waits while that is full, which is counted.
    ///
    /// # Errors
    /// [`Error::Refused`] when the client takes nothing any more.
    pub async fn publish(&mut self, measurement: &Measurement<'_>, stop: &Shutdown) -> Result<Published, Error> {
        let event = SensorReading {
            version: sensor_reading::VERSION,
            sensor_id: measurement.sensor_id.into(),
            sensor_type: measurement.sensor_type,
            unit: measurement.unit.into(),
            value: measurement.value,
            event_time: measurement.event_time,
            producer_id: self.producer_id.as_str().into(),
            run_id: self.run_id,
            sequence: self.sequence,
        }
        .encode();
        loop {
            let record = BaseRecord::to(topics::SENSOR_READINGS.name).key(measurement.sensor_id).payload(&event);
            self.tally.sent();
            match self.client.send(record) {
                Ok(()) => {
                    self.sequence += 1;
                    return Ok(Published::Queued);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.tally.not_sent();
                    self.tally.queue_full();
                }
                Err((source, _)) => {
                    self.tally.not_sent();
                    return Err(Error::Refused { sequence: self.sequence, source });
                }
            }
            tokio::select! {
                () = stop.requested() => return Ok(Published::Stopped),
                () = sleep(QUEUE_FULL_PAUSE) => {}
            }
        }
    }

    /// Waits until the fate of every event is known, at most for `bound`, and ends the client. What
    /// is still in its queue then is thrown away: it was never acknowledged.
    pub async fn finish(self, bound: Duration) {
        let until = Instant::now() + bound;
        while self.tally.counts().waiting() > 0 && Instant::now() < until {
            sleep(SETTLED_PAUSE).await;
        }
        // Ending it joins its poll thread.
        let ended = tokio::task::spawn_blocking(move || drop(self.client));
        ended.await.expect("ending the client does not panic");
    }
}
