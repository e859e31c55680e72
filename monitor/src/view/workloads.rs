//! The workloads beside each other: what the sums over everything do not tell.

use serde::Serialize;
use utoipa::ToSchema;

use super::consumers::Consumer;
use super::metrics::{Metrics, metrics};
use super::partitions::Partition;
use super::system::{Count, count};
use crate::facts::Facts;

/// A topic, the group that reads it, and the target that it becomes rows of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Workload {
    /// Topic.
    pub topic: String,
    /// Table that its records become rows of.
    pub target: String,
    /// The group that stores it; `null` while none is known.
    pub group_id: Option<String>,
    /// Consumers that beat and read it, and all that do.
    pub consumers: Count,
    /// Partitions that somebody reads, and all.
    pub partitions: Count,
    /// Rates, latency and lag of it alone.
    pub current: Metrics,
}

/// Those that are in use.
pub fn workloads(facts: &Facts, consumers: &[Consumer], partitions: &[Partition]) -> Vec<Workload> {
    let workload = |workload: &crate::workload::Workload| {
        let topic = &*workload.topic;
        let seconds = facts.tables().seconds_by_target.get(workload.target);
        let of_this = || partitions.iter().filter(|partition| partition.topic == topic);
        Workload {
            topic: topic.to_owned(),
            target: workload.target.to_owned(),
            group_id: facts.group_of(topic).map(str::to_owned),
            consumers: count(consumers.iter().filter(|c| c.topic == topic).map(Consumer::is_alive)),
            partitions: count(of_this().map(|partition| partition.read)),
            current: metrics(facts, seconds.map(Vec::as_slice).unwrap_or_default(), of_this()),
        }
    };
    facts.present().into_iter().map(workload).collect()
}
