//! `/api/partition-assignment`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kafka::inspector::PartitionView;
use serde::Serialize;
use store::offsets::Stored;
use utoipa::ToSchema;

use super::consumers::{AssignedPartition, Consumer};
use super::per_second;
use crate::facts::{Facts, lag};

/// Answer of `GET /api/partition-assignment`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionAssignment {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Every partition of the topic that Kafka or the database knows, by number.
    pub partitions: Vec<Partition>,
}

/// One partition: who has it, how far it is stored, how far its log goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Consumers that beat and count it as theirs: one; two while both believe it; none while it is unread.
    pub owners: Vec<String>,
    /// The state at its owner (see consumer-health), or `unread`, or `quarantined`.
    pub state: String,
    /// Why it is in that state, where there is a reason.
    pub reason: Option<String>,
    /// Whether somebody reads it.
    pub read: bool,
    /// Since when records wait that nobody reads: when the last one was stored; `null` while it is read or none waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub dark_since: Option<Timestamp>,
    /// Who claimed it last in the database; the fence lets nobody else write.
    pub claimed_by: Option<String>,
    /// When that was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub claimed_at: Option<Timestamp>,
    /// Every record before it is stored, a dead letter, or skipped with a reason.
    pub stored_offset: Option<i64>,
    /// First offset that the log still has.
    pub log_start: Option<i64>,
    /// Next offset that the log will get.
    pub log_end: Option<i64>,
    /// Records between the stored offset and the end of the log; `null` while one of them is not known.
    pub lag_records: Option<u64>,
    /// Rows stored per second over the last ten whole seconds, whoever stored them.
    pub stored_rows_per_second: f64,
    /// Broker that leads it; `null` while none does or Kafka does not answer.
    pub leader: Option<i32>,
    /// Brokers that should have it.
    pub replicas: Vec<i32>,
    /// Brokers that have all of it.
    pub in_sync_replicas: Vec<i32>,
}

/// Every partition, by number.
pub fn partitions(facts: &Facts, topic: &str, consumers: &[Consumer]) -> Vec<Partition> {
    let views = facts.cluster.latest().map(|survey| survey.partitions.as_slice()).unwrap_or_default();
    let offsets = &facts.tables().offsets;
    let known: BTreeSet<i32> = views.iter().map(|v| v.partition).chain(offsets.iter().map(|s| s.partition)).collect();
    known
        .into_iter()
        .map(|number| {
            let view = views.iter().find(|view| view.partition == number);
            partition(facts, topic, number, view, consumers)
        })
        .collect()
}

fn partition(
    facts: &Facts,
    topic: &str,
    number: i32,
    view: Option<&PartitionView>,
    consumers: &[Consumer],
) -> Partition {
    let stored = facts.stored(number);
    let holders: Vec<(&Consumer, &AssignedPartition)> = consumers
        .iter()
        .filter(|consumer| consumer.is_alive())
        .filter_map(|c| c.partitions.iter().find(|assigned| assigned.partition == number).map(|a| (c, a)))
        .collect();
    let (state, reason) = condition(&holders, stored, consumers);
    let shares = &facts.tables().shares;
    let of_this = |share: &&store::throughput::Share| {
        share.partition == number && stored.is_some_and(|stored| stored.log_id == share.log_id)
    };
    let read = matches!(state.as_str(), "reading" | "proving");
    let lag_records = stored.and_then(|stored| lag(view.and_then(|view| view.end), stored.next_offset));
    let waits = !read && lag_records.is_some_and(|records| records > 0);
    Partition {
        topic: topic.to_owned(),
        partition: number,
        owners: holders.iter().map(|(consumer, _)| consumer.consumer_id.clone()).collect(),
        read,
        dark_since: stored.filter(|_| waits).map(|stored| stored.updated_at),
        state,
        reason,
        claimed_by: stored.map(|stored| stored.owner.clone()),
        claimed_at: stored.map(|stored| stored.claimed_at),
        stored_offset: stored.map(|stored| stored.next_offset),
        log_start: view.and_then(|view| view.start),
        log_end: view.and_then(|view| view.end),
        lag_records,
        stored_rows_per_second: per_second(shares.iter().filter(of_this).map(|share| share.stored_rows).sum()),
        leader: view.and_then(|view| view.leader),
        replicas: view.map(|view| view.replicas.clone()).unwrap_or_default(),
        in_sync_replicas: view.map(|view| view.in_sync.clone()).unwrap_or_default(),
    }
}

/// The state of a partition and its reason. Of two owners the one that holds the claim speaks.
fn condition(
    holders: &[(&Consumer, &AssignedPartition)],
    stored: Option<&Stored>,
    consumers: &[Consumer],
) -> (String, Option<String>) {
    if let Some(reason) = stored.and_then(|stored| stored.quarantine_reason.clone()) {
        return ("quarantined".into(), Some(reason));
    }
    let claims = |consumer: &Consumer| stored.is_some_and(|stored| stored.owner == consumer.consumer_id);
    let speaker = holders.iter().find(|(consumer, _)| claims(consumer)).or_else(|| holders.first());
    if let Some((_, assigned)) = speaker {
        return (assigned.state.clone(), assigned.reason.clone());
    }
    let last = stored.and_then(|stored| consumers.iter().find(|consumer| consumer.consumer_id == stored.owner));
    let reason = match last {
        Some(owner) if owner.status == "silent" => {
            format!("{} has been silent for {:.1} s", owner.consumer_id, owner.heartbeat_age_seconds)
        }
        Some(owner) if owner.status == "stopped" => format!("{} has stopped", owner.consumer_id),
        _ => "no consumer has it".to_owned(),
    };
    ("unread".into(), Some(reason))
}
