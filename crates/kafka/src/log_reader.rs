//! Reads single places of a log by a client of its own, outside any group: a second witness for
//! what the ledger says of it.

use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::options::Options;

/// What a log has at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The first committed record at or behind the place.
    Record(i64),
    /// No record from the place to the end of the log.
    End,
    /// No answer in time, or the place is outside the log.
    Unknown,
}

/// See the module. Blocking: to be used on a thread that may wait.
pub struct LogReader {
    consumer: BaseConsumer,
}

impl LogReader {
    /// Makes the client; connects to nothing yet.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn new(options: &Options, client_id: &str) -> Result<Self, KafkaError> {
        let mut config = options.client(client_id);
        config
            // The client wants a group to be named; assigning by hand never joins it.
            .set("group.id", client_id)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("queued.max.messages.kbytes", "2048");
        Ok(Self { consumer: config.create()? })
    }

    /// The first record at or behind `offset`.
    ///
    /// # Errors
    /// When the client can't be put there.
    pub fn next(&self, topic: &str, partition: i32, offset: i64, deadline: Duration) -> Result<Next, KafkaError> {
        let mut place = TopicPartitionList::with_capacity(1);
        place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.consumer.assign(&place)?;
        let until = Instant::now() + deadline;
        let next = loop {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break Next::Unknown };
            match self.consumer.poll(left.min(Duration::from_millis(200))) {
                Some(Ok(message)) if message.offset() >= offset && message.partition() == partition => {
                    break Next::Record(message.offset());
                }
                Some(Err(KafkaError::PartitionEOF(at))) if at == partition => break Next::End,
                Some(Err(KafkaError::MessageConsumption(
                    rdkafka::error::RDKafkaErrorCode::AutoOffsetReset
                    | rdkafka::error::RDKafkaErrorCode::OffsetOutOfRange,
                ))) => break Next::Unknown,
                _ => {}
            }
        };
        self.consumer.unassign()?;
        Ok(next)
    }
}
