//! Load: sensor readings at a rate, by a producer that knows what was acknowledged.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use schema::{SensorReading, SensorType};
use uuid::Uuid;

/// What to send.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Brokers.
    pub brokers: String,
    /// Topic.
    pub topic: String,
    /// Events per second; 0 for as fast as possible.
    pub rate: u64,
    /// Stops by itself after this many.
    pub limit: u64,
    /// Sensors that the events are spread over.
    pub sensors: u64,
    /// One event in this many is not JSON; 0 for none, 1 for all.
    pub poison_every: u64,
}

/// A load that is running.
pub struct Load {
    run_id: Uuid,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    acknowledged: Arc<Acknowledged>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What became of a load.
#[derive(Debug)]
pub struct Report {
    /// `producer_id` of its events.
    pub producer_id: String,
    /// `run_id` of its events.
    pub run_id: Uuid,
    /// Sequences 0 to before this were sent.
    pub sent: u64,
    /// Sequences that were not acknowledged: allowed, not required.
    pub unacknowledged: BTreeSet<u64>,
    /// One in this many was poison.
    pub poison_every: u64,
}

/// `producer_id` of every load; the run id tells them apart.
pub const PRODUCER_ID: &str = "e2e-load";

#[derive(Default)]
struct Acknowledged {
    count: AtomicU64,
    failed: Mutex<BTreeSet<u64>>,
}

impl Report {
    /// How many of the sent events are poison.
    pub fn poison(&self) -> u64 {
        if self.poison_every == 0 { 0 } else { self.sent.div_ceil(self.poison_every) }
    }
}

impl Load {
    /// Starts sending.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn start(recipe: Recipe) -> Result<Self> {
        let mut config = kafka::Options::plaintext(recipe.brokers.as_str()).client(PRODUCER_ID);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            // librdkafka sends a request per partition: with 5 ms the brokers would be busy with
            // 1,200 of them a second instead of with 20,000 events.
            .set("linger.ms", "50")
            .set("queue.buffering.max.messages", "200000")
            .set("compression.type", "lz4");
        let acknowledged = Arc::new(Acknowledged::default());
        let producer: ThreadedProducer<Shared> = config.create_with_context(Shared(Arc::clone(&acknowledged)))?;
        let (stop, sent, run_id) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Uuid::now_v7());
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || send(&producer, &recipe, run_id, &stopped, &counter));
        Ok(Self { run_id, stop, sent, acknowledged, thread: Some(thread) })
    }

    /// Events handed to the client so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.count.load(Ordering::Relaxed)
    }

    /// Stops sending and waits until everything is acknowledged, at most two minutes.
    ///
    /// # Errors
    /// When the sender failed, or something is neither acknowledged nor failed by then.
    pub async fn finish(mut self, poison_every: u64) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            tokio::task::spawn_blocking(move || thread.join()).await?.expect("the sender does not panic")?;
        }
        let unacknowledged = self.acknowledged.failed.lock().expect("no panic under this lock").clone();
        Ok(Report {
            producer_id: PRODUCER_ID.into(),
            run_id: self.run_id,
            sent: self.sent(),
            unacknowledged,
            poison_every,
        })
    }
}

/// The client owns its context; this one points to what the load keeps.
struct Shared(Arc<Acknowledged>);

impl ClientContext for Shared {}

impl ProducerContext for Shared {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        if result.is_ok() {
            self.0.count.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.failed.lock().expect("no panic under this lock").insert(sequence as u64);
        }
    }
}

fn send(
    producer: &ThreadedProducer<Shared>,
    recipe: &Recipe,
    run_id: Uuid,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<()> {
    let began = Instant::now();
    let mut sequence = 0;
    while sequence < recipe.limit && !stop.load(Ordering::Relaxed) {
        if recipe.rate > 0 && sequence as f64 > began.elapsed().as_secs_f64() * recipe.rate as f64 {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        let sensor = format!("sensor-{:03}", sequence % recipe.sensors);
        let payload = if recipe.poison_every > 0 && sequence % recipe.poison_every == 0 {
            format!("poison {sequence}").into_bytes()
        } else {
            reading(&sensor, run_id, sequence).encode()
        };
        let opaque = usize::try_from(sequence).expect("64 bits");
        let mut record = BaseRecord::with_opaque_to(&recipe.topic, opaque).key(&sensor).payload(&payload);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    std::thread::sleep(Duration::from_millis(5));
                    record = back;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        sequence += 1;
        sent.store(sequence, Ordering::Relaxed);
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    while producer.in_flight_count() > 0 {
        if Instant::now() > deadline {
            bail!("{} events are neither acknowledged nor failed", producer.in_flight_count());
        }
        let _ = producer.flush(Duration::from_secs(1));
    }
    Ok(())
}

fn reading(sensor: &str, run_id: Uuid, sequence: u64) -> SensorReading<'_> {
    SensorReading {
        version: schema::sensor_reading::VERSION,
        sensor_id: Cow::Borrowed(sensor),
        sensor_type: SensorType::Temperature,
        unit: Cow::Borrowed("Cel"),
        value: sequence as f64 / 10.0,
        event_time: Timestamp::now(),
        producer_id: Cow::Borrowed(PRODUCER_ID),
        run_id,
        sequence,
    }
}
