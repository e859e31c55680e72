//! Kafka client options, admin and the log inspector. Knows no message type.
//!
//! ```text
//! options     one place that every client's settings go through
//! security    TLS and SASL, for librdkafka and for the inspector's sockets
//! admin       topics and group settings
//! inspector   what the log itself says: topic ids, bounds, leader epochs (kafka-protocol, own sockets)
//! log_reader  single places of a log, by a client outside any group
//! evidence    what librdkafka knows and rdkafka does not show: generation, member id, leader epoch
//! ```

pub mod admin;
pub mod evidence;
pub mod inspector;
pub mod log_reader;
pub mod options;
pub mod security;

pub use inspector::Inspector;
pub use options::Options;
pub use security::Security;
