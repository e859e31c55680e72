//! How the Kafka client sees its brokers.

use std::sync::atomic::{AtomicU8, Ordering};

use rdkafka::Statistics;

/// The text forms are those of `producer_health.connection_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connection {
    /// To no broker.
    Disconnected,
    /// To some of the brokers that it needs.
    Degraded,
    /// To all of them.
    Connected,
}

impl Connection {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Degraded => "degraded",
            Self::Connected => "connected",
        }
    }

    /// What the client's statistics say.
    #[must_use]
    pub fn of(statistics: &Statistics) -> Self {
        Self::of_states(statistics.brokers.values().map(|broker| (broker.nodeid, broker.state.as_str())))
    }

    /// By node id and state (librdkafka's STATISTICS.md). Bootstrap addresses have no node id, and a
    /// broker in INIT was not needed so far.
    fn of_states<'a>(brokers: impl Iterator<Item = (i32, &'a str)>) -> Self {
        let (mut up, mut down) = (0, 0);
        for (_, state) in brokers.filter(|(node, state)| *node >= 0 && *state != "INIT") {
            if matches!(state, "UP" | "UPDATE") { up += 1 } else { down += 1 }
        }
        match (up, down) {
            (0, _) => Self::Disconnected,
            (_, 0) => Self::Connected,
            _ => Self::Degraded,
        }
    }
}

/// The last that was seen; disconnected before the client's first statistics.
#[derive(Debug, Default)]
pub struct LastSeen(AtomicU8);

impl LastSeen {
    /// Remembers.
    pub fn set(&self, connection: Connection) {
        self.0.store(connection as u8, Ordering::Relaxed);
    }

    /// What was remembered last.
    #[must_use]
    pub fn get(&self) -> Connection {
        match self.0.load(Ordering::Relaxed) {
            0 => Connection::Disconnected,
            1 => Connection::Degraded,
            _ => Connection::Connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_addresses_and_brokers_not_needed_do_not_count() {
        let of = |brokers: &[(i32, &'static str)]| Connection::of_states(brokers.iter().copied());
        assert_eq!(of(&[(-1, "UP"), (-1, "UP")]), Connection::Disconnected);
        assert_eq!(of(&[(-1, "DOWN"), (1, "UP"), (2, "UPDATE"), (3, "INIT")]), Connection::Connected);
        assert_eq!(of(&[(1, "UP"), (2, "TRY_CONNECT"), (3, "UP")]), Connection::Degraded);
        assert_eq!(of(&[(1, "DOWN"), (2, "TRY_CONNECT")]), Connection::Disconnected);
    }

    #[test]
    fn what_was_seen_last_is_remembered() {
        let seen = LastSeen::default();
        assert_eq!(seen.get(), Connection::Disconnected);
        for connection in [Connection::Connected, Connection::Degraded, Connection::Disconnected] {
            seen.set(connection);
            assert_eq!(seen.get(), connection);
        }
    }
}
