//! How a process takes part in its consumer group.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use rdkafka::ClientConfig;

/// The rebalance protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// KIP-848: the broker assigns. Time-outs are settings of the group, made by `consumer migrate`.
    Consumer,
    /// A member assigns, by `--assignor`.
    Classic,
}

/// Who gets which partition under the classic protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Assignor {
    /// Incremental: only what moves is given up.
    CooperativeSticky,
    /// Eager: everything is given up at each rebalance.
    Range,
}

/// Options of group membership.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Consumer group.
    #[arg(long, env = "CONSUMER_GROUP", default_value = "sensor-consumers")]
    pub group: String,
    /// Rebalance protocol: `consumer` is KIP-848.
    #[arg(long, env = "GROUP_PROTOCOL", value_enum, default_value = "consumer")]
    pub protocol: Protocol,
    /// Assignor of the classic protocol.
    #[arg(long, env = "GROUP_ASSIGNOR", value_enum, default_value = "cooperative-sticky")]
    pub assignor: Assignor,
    /// Static membership (KIP-345): the id is also the group.instance.id. A stop is then not a
    /// leave; the partitions wait for this process until the session runs out.
    #[arg(long, env = "STATIC_MEMBERSHIP", action = clap::ArgAction::Set, default_value = "false", default_missing_value = "true", num_args = 0..=1)]
    pub static_membership: bool,
    /// Session time-out of the classic protocol, ms; the broker has bounds.
    #[arg(long, env = "SESSION_TIMEOUT_MS", default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(500..=1_800_000))]
    pub session_timeout_ms: u32,
}

impl Options {
    /// The name of the protocol in the journal.
    pub fn name(&self) -> &'static str {
        match (self.protocol, self.assignor) {
            (Protocol::Consumer, _) => "consumer",
            (Protocol::Classic, Assignor::CooperativeSticky) => "cooperative-sticky",
            (Protocol::Classic, Assignor::Range) => "range",
        }
    }

    /// The classic session time-out; how long a static member's place is kept.
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.session_timeout_ms.into())
    }

    /// `max.poll.interval.ms`, and KIP-848's rebalance time-out.
    pub fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.session_timeout_ms.max(10_000).into())
    }

    /// `group.instance.id`, for a static member.
    pub fn static_id(&self, id: &str) -> Option<String> {
        self.static_membership.then(|| id.to_owned())
    }

    /// Adds everything that consuming exactly once needs.
    pub fn apply_to(&self, config: &mut ClientConfig, id: &str) {
        config
            .set("group.id", &self.group)
            // Offsets come from the database; one outside the log is an error, never a jump.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            // Tells a quiet partition from a stuck one.
            .set("enable.partition.eof", "true")
            // Also KIP-848's rebalance time-out: librdkafka 2.12 does not ask again for an assignment whose
            // answer it lost (docs/kafka-notes.md), and the group waits this long for it. The poll thread
            // never stays away for a fraction of it. librdkafka wants it no shorter than the session.
            .set("max.poll.interval.ms", self.poll_interval().as_millis().to_string())
            // The default of 1000 starves a fast consumer. Most of the memory is what is fetched and not read: it lies
            // there unpacked, eight times the size of lz4'd JSON, with an object a record. 1 MiB a fetch and
            // partition made that 200 MiB; a quarter makes it 80 at the same speed (docs/performance.md).
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.message.max.bytes", "262144");
        match self.protocol {
            Protocol::Consumer => config.set("group.protocol", "consumer"),
            Protocol::Classic => {
                let heartbeat = (self.session_timeout_ms / 12).clamp(100, 3_000);
                let strategy = match self.assignor {
                    Assignor::CooperativeSticky => "cooperative-sticky",
                    Assignor::Range => "range",
                };
                config
                    .set("group.protocol", "classic")
                    .set("partition.assignment.strategy", strategy)
                    .set("session.timeout.ms", self.session_timeout_ms.to_string())
                    .set("heartbeat.interval.ms", heartbeat.to_string())
            }
        };
        if let Some(static_id) = self.static_id(id) {
            config.set("group.instance.id", static_id);
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let membership = if self.static_membership { "static" } else { "dynamic" };
        write!(f, "group {} ({}, {membership})", self.group, self.name())
    }
}
