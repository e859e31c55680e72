//! What is in the topic, read back by a consumer of its own.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use schema::{sensor_reading, topics::SENSOR_READINGS};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Event {
    pub key: String,
    pub partition: i32,
    pub sensor_id: String,
    pub unit: String,
    pub value: f64,
    pub event_time: Timestamp,
    pub run_id: Uuid,
    pub sequence: u64,
}

/// Every event of a producer that is in the topic now, partition by partition, in the log's order.
pub fn read_topic(brokers: &str, producer_id: &str) -> Vec<Event> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a client is made");
    let topic = SENSOR_READINGS.name;
    let mut events = Vec::new();
    for partition in 0..SENSOR_READINGS.partitions {
        let end = log_end(&consumer, topic, partition);
        let mut one = TopicPartitionList::new();
        one.add_partition_offset(topic, partition, Offset::Beginning).expect("a good offset");
        consumer.assign(&one).expect("it can be assigned");
        let (mut next, until) = (0, Instant::now() + DEADLINE);
        while next < end {
            assert!(Instant::now() < until, "partition {partition}: at {next} of {end}");
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                next = message.offset() + 1;
                events.extend(event(&message).filter(|(producer, _)| producer == producer_id).map(|(_, event)| event));
            }
        }
    }
    events
}

/// Asked again while leaders move: soon after brokers came back each partition goes home to its
/// preferred one, the client's query does not follow, and the new leader may not know its high
/// watermark yet (KIP-207).
fn log_end(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    let until = Instant::now() + DEADLINE;
    loop {
        match consumer.fetch_watermarks(topic, partition, DEADLINE) {
            Ok((_, end)) => return end,
            Err(error) => {
                assert!(Instant::now() < until, "the end of partition {partition}: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn event(message: &rdkafka::message::BorrowedMessage<'_>) -> Option<(String, Event)> {
    let reading = sensor_reading::decode(message.payload()).ok()?;
    let event = Event {
        key: String::from_utf8(message.key()?.to_vec()).ok()?,
        partition: message.partition(),
        sensor_id: reading.sensor_id.into_owned(),
        unit: reading.unit.into_owned(),
        value: reading.value,
        event_time: reading.event_time,
        run_id: reading.run_id,
        sequence: reading.sequence,
    };
    Some((reading.producer_id.into_owned(), event))
}
