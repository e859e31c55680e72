//! Load: sensor readings at a rate, by a producer that knows what was acknowledged.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
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
            // As `producer` has them: a frozen broker is noticed in seconds.
            .set("request.timeout.ms", "1500")
            .set("socket.timeout.ms", "3000")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            .set("topic.metadata.refresh.interval.ms", "5000")
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
    let (began, started_at) = (Instant::now(), Timestamp::now());
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
            let lived = SignedDuration::from_secs_f64(began.elapsed().as_secs_f64() * SENSORS_CLOCK);
            reading(&sensor, run_id, sequence, started_at + lived).encode()
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

/// How much faster the sensors' clock goes than ours: in half a minute they live through a quarter of an hour.
const SENSORS_CLOCK: f64 = 30.0;

/// Seventy degrees, a hundred for forty seconds of a hundred, and rarely an unusual fifty-five; each sensor at its own
/// times: alarms of both kinds come and go while processes do.
fn value(sensor: &str, sequence: u64, at: Timestamp) -> f64 {
    let second = at.as_second() + 67 * sensor.bytes().map(i64::from).sum::<i64>();
    let degrees = match (second.rem_euclid(100), second.rem_euclid(1_000)) {
        (_, 170..195) => 55.0,
        (0..40, _) => 100.0,
        _ => 70.0,
    };
    degrees + (sequence % 9) as f64 / 2.0
}

fn reading(sensor: &str, run_id: Uuid, sequence: u64, event_time: Timestamp) -> SensorReading<'_> {
    SensorReading {
        version: schema::sensor_reading::VERSION,
        sensor_id: Cow::Borrowed(sensor),
        sensor_type: SensorType::Temperature,
        unit: Cow::Borrowed("Cel"),
        value: value(sensor, sequence, event_time),
        event_time,
        producer_id: Cow::Borrowed(PRODUCER_ID),
        run_id,
        sequence,
    }
}
