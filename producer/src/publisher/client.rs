//! librdkafka's producer: its settings, and what it reports.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Message, Statistics,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};
use tracing::{debug, error, info, warn};

use crate::{
    connection::{Connection, LastSeen},
    tally::Tally,
};

/// The settings that differ from librdkafka's own, with their reasons.
const SETTINGS: [(&str, &str); 17] = [
    // A record is acknowledged by all in-sync replicas, once, in order of sending per key.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // Never given up: it waits as long as Kafka is away.
    ("message.timeout.ms", "0"),
    // Nor while the topic is missing, deleted and not yet made again: one hour, the most there is.
    ("topic.metadata.propagation.max.ms", "3600000"),
    // Bounded: when this is full, the source waits.
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    // A frozen broker is noticed in seconds; the leaders move, and the request is sent to the new one.
    ("request.timeout.ms", "1500"),
    ("socket.timeout.ms", "3000"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "500"),
    ("retry.backoff.ms", "50"),
    ("retry.backoff.max.ms", "500"),
    // Events of a few milliseconds share a request.
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    // The partition of a key is the one that Java's producers choose.
    ("partitioner", "murmur2_random"),
    ("topic.metadata.refresh.interval.ms", "5000"),
    // How the brokers are seen.
    ("statistics.interval.ms", "1000"),
];

/// Starts a client and its poll thread; `other` settings are for what differs from [`SETTINGS`].
pub(crate) fn start<P: FromClientConfigAndContext<Context>>(
    kafka: &kafka::Options,
    client_id: &str,
    context: Context,
    other: &[(&str, &str)],
) -> KafkaResult<P> {
    let mut config = kafka.client(client_id);
    for (key, value) in SETTINGS.iter().chain(other) {
        config.set(*key, *value);
    }
    config.create_with_context(context)
}

/// Counts what the client reports, on its poll thread.
pub(crate) struct Context {
    tally: Arc<Tally>,
    seen: Arc<LastSeen>,
    /// Whether the last delivery report was a failure, so that a streak is one log line.
    failing: AtomicBool,
}

impl Context {
    pub(crate) fn new(tally: Arc<Tally>, seen: Arc<LastSeen>) -> Self {
        Self { tally, seen, failing: AtomicBool::new(false) }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.tally.acknowledged();
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!("events are acknowledged again");
                }
            }
            // Thrown away by our own ending, after the wait for them was over.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight), _)) => {
                self.tally.failed();
            }
            Err((error, message)) => {
                self.tally.failed();
                if !self.failing.swap(true, Ordering::Relaxed) {
                    warn!(%error, topic = message.topic(), "the client gave an event up; further ones are counted");
                }
            }
        }
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.seen.set(Connection::of(&statistics));
    }

    /// Brokers that come and go are told once, by the health; the client's own lines are for whoever
    /// looks closer.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "librdkafka", facility, "{text}");
            }
            _ => debug!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error, KafkaError::Global(RDKafkaErrorCode::Fatal)) {
            error!(%error, reason, "the Kafka client has failed for good");
        } else {
            debug!(%error, reason, "the Kafka client reports");
        }
    }
}
