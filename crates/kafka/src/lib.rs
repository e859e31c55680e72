//! Kafka client options, admin and the log inspector. Knows no message type.
