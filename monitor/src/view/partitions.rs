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
use crate::workload::Workload;

/// Answer of `GET /api/partition-assignment`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionAssignment {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Every partition of the topics in use that Kafka or the database knows, by topic and number.
    pub partitions: Vec<Partition>,
}

/// One partition: who has it, how far it is stored, how far its log goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// The group that may write what is stored of it, or else the one that reads its topic; `null` while none is known.
    pub group_id: Option<String>,
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

/// Every partition, by workload and number.
pub fn partitions(facts: &Facts, consumers: &[Consumer]) -> Vec<Partition> {
    facts.present().into_iter().flat_map(|workload| of_topic(facts, workload, consumers)).collect()
}

fn of_topic(facts: &Facts, workload: &Workload, consumers: &[Consumer]) -> Vec<Partition> {
    let topic = &*workload.topic;
    let readers: Vec<&Consumer> = consumers.iter().filter(|consumer| consumer.topic == topic).collect();
    let views = facts.views(topic);
    let stored = facts.offsets(topic).map(|stored| stored.partition);
    let known: BTreeSet<i32> = views.iter().map(|view| view.partition).chain(stored).collect();
    known
        .into_iter()
        .map(|number| {
            let view = views.iter().find(|view| view.partition == number);
            partition(facts, workload, number, view, &readers)
        })
        .collect()
}

fn partition(
    facts: &Facts,
    workload: &Workload,
    number: i32,
    view: Option<&PartitionView>,
    readers: &[&Consumer],
) -> Partition {
    let topic = &*workload.topic;
    let stored = facts.stored(topic, number);
    let holders: Vec<(&Consumer, &AssignedPartition)> = readers
        .iter()
        .filter(|consumer| consumer.is_alive())
        .filter_map(|c| c.partitions.iter().find(|assigned| assigned.partition == number).map(|a| (*c, a)))
        .collect();
    let (state, reason) = condition(&holders, stored, readers);
    let shares = &facts.tables().shares;
    let of_this = |share: &&store::throughput::Share| {
        (share.target.as_str(), share.partition) == (workload.target, number)
            && stored.is_some_and(|stored| stored.log_id == share.log_id)
    };
    let read = matches!(state.as_str(), "reading" | "proving");
    let lag_records = stored.and_then(|stored| lag(view.and_then(|view| view.end), stored.next_offset));
    let waits = !read && lag_records.is_some_and(|records| records > 0);
    Partition {
        topic: topic.to_owned(),
        group_id: stored.map(|stored| stored.group_id.as_str()).or_else(|| facts.group_of(topic)).map(str::to_owned),
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
    readers: &[&Consumer],
) -> (String, Option<String>) {
    if let Some(reason) = stored.and_then(|stored| stored.quarantine_reason.clone()) {
        return ("quarantined".into(), Some(reason));
    }
    let claims = |consumer: &Consumer| stored.is_some_and(|stored| stored.owner == consumer.consumer_id);
    let speaker = holders.iter().find(|(consumer, _)| claims(consumer)).or_else(|| holders.first());
    if let Some((_, assigned)) = speaker {
        return (assigned.state.clone(), assigned.reason.clone());
    }
    let last = stored.and_then(|stored| readers.iter().find(|consumer| consumer.consumer_id == stored.owner));
    let reason = match last {
        Some(owner) if owner.status == "silent" => {
            format!("{} has been silent for {:.1} s", owner.consumer_id, owner.heartbeat_age_seconds)
        }
        Some(owner) if owner.status == "stopped" => format!("{} has stopped", owner.consumer_id),
        _ => "no consumer has it".to_owned(),
    };
    ("unread".into(), Some(reason))
}
