//! What a scrape of the monitor tells of Kafka and of the record.
//!
//! Brokers, topics and lag by kafka_exporter's names and labels (danielqsj/kafka_exporter), so that dashboards made for
//! it work: lag is -1 where no offset is stored, and never below 0 otherwise. What it does not have is new: rebalances
//! by cause, dark time, moves. Names of processes are labels; member ids, which change with each start, never.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::inspector::PartitionView;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use tokio::sync::watch;
use verdicts::Rebalance;

use crate::facts::{Facts, lag};
use crate::view::{self, State};

/// A rebalance is counted this long after it was written last: until then it may turn out to be a part of another.
const SETTLED: Duration = Duration::from_secs(90);
/// Rebalances that wait to be counted at the most.
const WAITING: usize = 10_000;

/// Tells the values of a gauge with their labels, as the facts have them.
type Reading = fn(&Facts, &mut dyn FnMut(i64, &[KeyValue]));

/// Registers what is read from the facts with each scrape.
pub fn observe(meter: &Meter, facts: &watch::Receiver<Facts>) {
    let gauge = |name: &'static str, says: &'static str, read: Reading| {
        let facts = facts.clone();
        meter
            .i64_observable_gauge(name)
            .with_description(says)
            .with_callback(move |gauge| {
                let facts = facts.borrow().clone();
                read(&facts, &mut |value, labels| gauge.observe(value, labels));
            })
            .build();
    };
    gauge("kafka_brokers", "Brokers that the cluster lists", |facts, tell| {
        if let Some(survey) = facts.cluster.latest() {
            tell(count(survey.brokers.iter().filter(|broker| broker.address.is_some()).count()), &[]);
        }
    });
    gauge("kafka_topic_partitions", "Partitions of the topic", |facts, tell| {
        for (name, topic) in facts.cluster.latest().iter().flat_map(|survey| &survey.topics) {
            tell(count(topic.partitions.len()), &[KeyValue::new("topic", name.clone())]);
        }
    });
    gauge("kafka_topic_partition_current_offset", "End of the partition's log", |facts, tell| {
        each_partition(facts, |view, labels| {
            if let Some(end) = view.end {
                tell(end, labels);
            }
        });
    });
    gauge("kafka_topic_partition_oldest_offset", "Start of the partition's log", |facts, tell| {
        each_partition(facts, |view, labels| {
            if let Some(start) = view.start {
                tell(start, labels);
            }
        });
    });
    gauge("kafka_topic_partition_leader", "Broker that leads the partition; -1 while none does", |facts, tell| {
        each_partition(facts, |view, labels| tell(view.leader.map_or(-1, i64::from), labels));
    });
    gauge("kafka_topic_partition_replicas", "Replicas of the partition", |facts, tell| {
        each_partition(facts, |view, labels| tell(count(view.replicas.len()), labels));
    });
    gauge("kafka_topic_partition_in_sync_replica", "Replicas in sync", |facts, tell| {
        each_partition(facts, |view, labels| tell(count(view.in_sync.len()), labels));
    });
    gauge("kafka_topic_partition_leader_is_preferred", "1 when the first replica leads", |facts, tell| {
        each_partition(facts, |view, labels| {
            tell((view.leader.is_some() && view.leader == view.replicas.first().copied()).into(), labels);
        });
    });
    gauge("kafka_topic_partition_under_replicated_partition", "1 when a replica is behind", |facts, tell| {
        each_partition(facts, |view, labels| tell((view.in_sync.len() < view.replicas.len()).into(), labels));
    });
    gauge("kafka_consumergroup_current_offset", "Stored offset of the group", |facts, tell| {
        each_offset(facts, |stored, _, labels| tell(stored, labels));
    });
    gauge("kafka_consumergroup_lag", "Records behind the stored offset; -1 while it is not known", |facts, tell| {
        each_offset(facts, |_, lag, labels| tell(lag, labels));
    });
    gauge("kafka_consumergroup_current_offset_sum", "Stored offsets of the group, summed", |facts, tell| {
        for (labels, offsets, _) in sums(facts) {
            tell(offsets, &labels);
        }
    });
    gauge("kafka_consumergroup_lag_sum", "Records behind the stored offsets, summed", |facts, tell| {
        for (labels, _, lag) in sums(facts) {
            tell(lag, &labels);
        }
    });
    gauge("kafka_consumergroup_members", "Members of the group, by its coordinator", |facts, tell| {
        for (group, answer) in facts.groups.iter() {
            let members = answer.description.as_ref().map_or(0, |group| group.members.len());
            tell(count(members), &[of_group(group)]);
        }
    });
    gauge("kafka_consumergroup_unowned_partitions", "Partitions that no living member has", |facts, tell| {
        unowned(&view::state(facts, jiff::Timestamp::now()), tell);
    });
    let (facts_of_age, facts_of_drops) = (facts.clone(), facts.clone());
    meter
        .f64_observable_gauge("kafka_consumergroup_member_heartbeat_age")
        .with_unit("s")
        .with_description("Seconds since the member's last heartbeat to the database, when that was asked last")
        .with_callback(move |gauge| {
            for row in &facts_of_age.borrow().tables().consumers {
                let consumer = KeyValue::new("consumer", row.consumer_id.clone());
                gauge.observe(row.age_s, &[of_group(&row.group_id), consumer]);
            }
        })
        .build();
    meter
        .u64_observable_counter("rebalance_recorder_events_dropped")
        .with_description("Journal events that full spools of consumers dropped since these started")
        .with_callback(move |counter| {
            let dropped = facts_of_drops.borrow().tables().consumers.iter().map(|row| row.journal_dropped).sum();
            counter.observe(dropped, &[]);
        })
        .build();
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn of_group(group: &str) -> KeyValue {
    KeyValue::new("consumergroup", group.to_owned())
}

/// Each partition of the topics that Kafka tells of.
fn each_partition(facts: &Facts, mut tell: impl FnMut(&PartitionView, &[KeyValue])) {
    for (name, topic) in facts.cluster.latest().iter().flat_map(|survey| &survey.topics) {
        for view in &topic.partitions {
            tell(view, &[KeyValue::new("topic", name.clone()), KeyValue::new("partition", i64::from(view.partition))]);
        }
    }
}

/// Stored offset and lag of each partition that a group has, or could have.
fn each_offset(facts: &Facts, mut tell: impl FnMut(i64, i64, &[KeyValue])) {
    for topic in facts.workloads.iter().map(|workload| &*workload.topic) {
        let Some(group) = facts.offsets(topic).next().map(|stored| stored.group_id.as_str()) else { continue };
        for view in facts.views(topic) {
            let stored = facts.stored(topic, view.partition).map(|stored| stored.next_offset);
            let behind = stored.and_then(|stored| lag(view.end, stored));
            let behind = behind.map_or(-1, |lag| i64::try_from(lag).unwrap_or(i64::MAX));
            let partition = KeyValue::new("partition", i64::from(view.partition));
            tell(stored.unwrap_or(-1), behind, &[of_group(group), KeyValue::new("topic", topic.to_owned()), partition]);
        }
    }
}

/// Groups and topics with the sums of offsets and lag; what is not known counts for nothing.
fn sums(facts: &Facts) -> Vec<([KeyValue; 2], i64, i64)> {
    let mut sums: Vec<([KeyValue; 2], i64, i64)> = Vec::new();
    each_offset(facts, |stored, lag, labels| {
        let labels = [labels[0].clone(), labels[1].clone()];
        if sums.last().is_none_or(|(known, ..)| *known != labels) {
            sums.push((labels, 0, 0));
        }
        if let Some((_, offsets, behind)) = sums.last_mut() {
            *offsets += stored.max(0);
            *behind += lag.max(0);
        }
    });
    sums
}

/// Of each group the partitions of its own topic that no living member has.
fn unowned(state: &State, tell: &mut dyn FnMut(i64, &[KeyValue])) {
    for group in &state.groups {
        let of_topic = state.partitions.iter().filter(|partition| partition.topic == group.topic);
        let unowned = of_topic.filter(|partition| partition.owners.is_empty()).count();
        tell(count(unowned), &[of_group(&group.group_id)]);
    }
}

/// Counts rebalances once each, after their last revision.
pub struct Rebalances {
    rebalances: Counter<u64>,
    duration: Histogram<f64>,
    dark: Counter<f64>,
    moved: Counter<u64>,
    dual_owners: Counter<f64>,
    blind: Counter<f64>,
    waiting: BTreeMap<String, (Instant, Rebalance)>,
}

impl Rebalances {
    /// The instruments, at zero.
    pub fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, says: &'static str| {
            meter.f64_counter(name).with_unit("s").with_description(says).build()
        };
        let counted = Self {
            rebalances: meter
                .u64_counter("kafka_consumergroup_rebalances")
                .with_description("Rebalances, by what caused them")
                .build(),
            duration: meter
                .f64_histogram("kafka_consumergroup_rebalance_duration")
                .with_unit("s")
                .with_description("Dark time of each hand-over by phase: detect, reassign, resume, and total")
                .with_boundaries(telemetry::seconds())
                .build(),
            dark: seconds(
                "kafka_consumergroup_partition_dark",
                "Time for which records waited and nobody read, over all partitions",
            ),
            moved: meter
                .u64_counter("kafka_consumergroup_partitions_moved")
                .with_description("Partitions that changed their owner, by whether they had to")
                .build(),
            dual_owners: seconds(
                "kafka_consumergroup_dual_owner",
                "Time for which two processes took themselves for the owner of a partition",
            ),
            blind: seconds("rebalance_recorder_blind", "Time in which nobody recorded"),
            waiting: BTreeMap::new(),
        };
        counted.blind.add(0.0, &[]);
        counted
    }

    /// Takes in a verdict, or its revision.
    pub fn note(&mut self, rebalance: Rebalance) {
        if self.waiting.len() < WAITING {
            self.waiting.insert(rebalance.id.clone(), (Instant::now(), rebalance));
        }
    }

    /// Takes in a time without a recorder.
    pub fn note_blind(&self, seconds: f64) {
        self.blind.add(seconds, &[]);
    }

    /// Counts what is not going to be revised any more.
    pub fn count(&mut self) {
        let due = |(at, rebalance): &(Instant, Rebalance)| at.elapsed() >= SETTLED && !rebalance.open;
        let ids: Vec<String> = self.waiting.iter().filter(|(_, entry)| due(entry)).map(|(id, _)| id.clone()).collect();
        let due: Vec<Rebalance> = ids.iter().filter_map(|id| self.waiting.remove(id)).map(|(_, due)| due).collect();
        for rebalance in due {
            if rebalance.part_of.is_none() {
                self.add(&rebalance);
            }
        }
    }

    fn add(&self, rebalance: &Rebalance) {
        let group = of_group(&rebalance.group_id);
        let cause = KeyValue::new("cause", rebalance.cause.name());
        let protocol = KeyValue::new("protocol", rebalance.protocol.clone());
        self.rebalances.add(1, &[group.clone(), cause, protocol]);
        for handover in &rebalance.handovers {
            let phases = [
                ("detect", handover.detect_ms),
                ("reassign", handover.reassign_ms),
                ("resume", handover.resume_ms),
                ("total", handover.dark_ms),
            ];
            for (phase, ms) in phases {
                if let Some(ms) = ms {
                    self.duration.record(ms / 1_000.0, &[group.clone(), KeyValue::new("phase", phase)]);
                }
            }
        }
        self.dark.add(rebalance.dark_sum_ms / 1_000.0, std::slice::from_ref(&group));
        self.dual_owners.add(rebalance.two_owners_ms / 1_000.0, std::slice::from_ref(&group));
        let necessary = rebalance.moved.min(rebalance.fewest);
        for (had_to, partitions) in [("true", necessary), ("false", rebalance.moved - necessary)] {
            self.moved.add(partitions.into(), &[group.clone(), KeyValue::new("necessary", had_to)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{at, side_by_side};

    /// What is told, as `labels value`.
    fn told(values: &mut Vec<String>) -> impl FnMut(i64, &[KeyValue]) {
        |value, labels| {
            let labels: Vec<String> = labels.iter().map(|label| label.value.to_string()).collect();
            values.push(format!("{} {value}", labels.join(" ")));
        }
    }

    #[test]
    fn offsets_and_lag_carry_the_group_and_the_topic_that_they_are_of() {
        let (mut offsets, facts) = (Vec::new(), side_by_side());
        each_offset(&facts, |stored, lag, labels| told(&mut offsets)(stored * 100 + lag, labels));
        assert_eq!(offsets, ["g t 0 1005", "g t 1 1005", "h u 0 1500", "h u 1 1500", "h u 2 1500"]);
        let mut summed = Vec::new();
        for (labels, offsets, lag) in sums(&facts) {
            told(&mut summed)(offsets * 100 + lag, &labels);
        }
        assert_eq!(summed, ["g t 2010", "h u 4500"]);
    }

    #[test]
    fn a_groups_unowned_partitions_are_those_of_its_own_topic() {
        let (mut values, facts) = (Vec::new(), side_by_side());
        let mut state = view::state(&facts, at(10));
        state.partitions[4].owners.clear();
        unowned(&state, &mut told(&mut values));
        assert_eq!(values, ["g 0", "h 1"]);
    }
}
