//! The readings of a topic, and their rows as COPY takes them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use e2e::load::{Load, Recipe};
use e2e::plant::Site;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use schema::sensor_reading::decode;
use schema::topics::SENSOR_READINGS;
use store::copy::Origin;
use store::sensor_readings::encode_row;

use super::{CONSUMER_ID, Options};

/// As large as the consumer's: COPY passes them on whole.
const CHUNK_BYTES: usize = 256 * 1024;
/// Keys; enough of them to fill six partitions evenly.
const SENSORS: u64 = 600;

/// A topic with its readings.
pub struct Filled {
    /// Bytes of one reading's JSON: all have nearly the same.
    pub mean_bytes: f64,
    /// Readings acknowledged a second by one producer.
    pub rate: f64,
}

/// Rows of the whole topic.
pub struct Encoded {
    /// By transaction, in chunks.
    pub transactions: Vec<Vec<Bytes>>,
    /// How many rows those are.
    pub rows: u64,
    /// Bytes of one row.
    pub mean_bytes: f64,
    /// Rows a second of this loop: poll, decode, encode on one thread, no database.
    pub rate: f64,
}

/// Sends `rows` readings as fast as they are acknowledged.
///
/// # Errors
/// When one is not acknowledged.
pub async fn fill(site: &Site, rows: u64) -> Result<Filled> {
    let began = Instant::now();
    let load = Load::start(Recipe {
        brokers: site.kafka.bootstrap(),
        topic: SENSOR_READINGS.name.to_owned(),
        rate: 0,
        limit: rows,
        sensors: SENSORS,
        poison_every: 0,
    })?;
    while load.sent() < rows {
        ensure!(began.elapsed() < Duration::from_secs(1_800), "the topic was not filled in half an hour");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = load.finish(0).await?;
    ensure!(report.unacknowledged.is_empty(), "{} readings were not acknowledged", report.unacknowledged.len());
    let rate = rows as f64 / began.elapsed().as_secs_f64();
    let consumer = reader(site)?;
    let first = consumer.poll(Duration::from_secs(10)).context("no first reading within 10 s")??;
    Ok(Filled { mean_bytes: first.payload_len() as f64, rate })
}

/// Reads the topic once and encodes its rows with the consumer's own encoder.
///
/// # Errors
/// When the topic cannot be read, or holds something that is no reading.
pub async fn encode(site: &Site, options: &Options) -> Result<Encoded> {
    let consumer = reader(site)?;
    let (rows, batch) = (options.rows, u64::from(options.batch));
    tokio::task::spawn_blocking(move || read(&consumer, rows, batch)).await?
}

fn read(consumer: &BaseConsumer, rows: u64, batch: u64) -> Result<Encoded> {
    let (mut transactions, mut chunks, mut chunk) = (Vec::new(), Vec::new(), Vec::new());
    let (mut count, mut bytes) = (0, 0);
    let mut began = None;
    while count < rows {
        let message = match consumer.poll(Duration::from_secs(30)) {
            Some(message) => message?,
            None => bail!("{count} of {rows} readings, and no more for 30 s"),
        };
        began.get_or_insert_with(Instant::now);
        let reading = decode(message.payload())?;
        let (partition, offset) = (message.partition(), message.offset());
        // A fresh database gives its first log the id 1.
        encode_row(&mut chunk, &reading, &Origin { consumer_id: CONSUMER_ID, log_id: 1, partition, offset });
        count += 1;
        let ends = count.is_multiple_of(batch) || count == rows;
        if chunk.len() >= CHUNK_BYTES || ends {
            bytes += chunk.len();
            chunks.push(Bytes::from(std::mem::take(&mut chunk)));
        }
        if ends {
            transactions.push(std::mem::take(&mut chunks));
        }
    }
    let seconds = began.context("no rows were asked for")?.elapsed().as_secs_f64();
    Ok(Encoded { transactions, rows, mean_bytes: bytes as f64 / rows as f64, rate: rows as f64 / seconds })
}

/// Reads all partitions from their start, with the consumer's own queue settings.
fn reader(site: &Site) -> Result<BaseConsumer> {
    let mut config = kafka::Options::plaintext(site.kafka.bootstrap()).client("bench");
    config
        .set("group.id", "bench-reader")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "4096");
    let consumer: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..SENSOR_READINGS.partitions {
        partitions.add_partition_offset(SENSOR_READINGS.name, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}
