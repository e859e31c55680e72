//! What a scrape of the monitor tells of Kafka and of the record.
//!
//! Brokers, topic and lag by kafka_exporter's names and labels (danielqsj/kafka_exporter), so that dashboards made for
//! it work: lag is -1 where no offset is stored, and never below 0 otherwise. What it does not have is new: rebalances
//! by cause, dark time, moves. Names of processes are labels; member ids, which change with each start, never.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use tokio::sync::watch;
use verdicts::Rebalance;

use crate::facts::{Facts, lag};

/// A rebalance is counted this long after it was written last: until then it may turn out to be a part of another.
const SETTLED: Duration = Duration::from_secs(90);
/// Rebalances that wait to be counted at the most.
const WAITING: usize = 10_000;

/// Tells the values of a gauge with their labels, as the facts of a topic have them.
type Reading = fn(&Facts, &str, &mut dyn FnMut(i64, &[KeyValue]));

/// Registers what is read from the facts with each scrape.
pub fn observe(meter: &Meter, facts: &watch::Receiver<Facts>, topic: &str) {
    let gauge = |name: &'static str, says: &'static str, read: Reading| {
        let (facts, topic) = (facts.clone(), topic.to_owned());
        meter
            .i64_observable_gauge(name)
            .with_description(says)
            .with_callback(move |gauge| {
                let facts = facts.borrow().clone();
                read(&facts, &topic, &mut |value, labels| gauge.observe(value, labels));
            })
            .build();
    };
    gauge("kafka_brokers", "Brokers that the cluster lists", |facts, _, tell| {
        if let Some(survey) = facts.cluster.latest() {
            tell(count(survey.brokers.iter().filter(|broker| broker.address.is_some()).count()), &[]);
        }
    });
    gauge("kafka_topic_partitions", "Partitions of the topic", |facts, topic, tell| {
        if let Some(survey) = facts.cluster.latest() {
            tell(count(survey.partitions.len()), &[KeyValue::new("topic", topic.to_owned())]);
        }
    });
    gauge("kafka_topic_partition_current_offset", "End of the partition's log", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| {
            if let Some(end) = view.end {
                tell(end, labels);
            }
        });
    });
    gauge("kafka_topic_partition_oldest_offset", "Start of the partition's log", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| {
            if let Some(start) = view.start {
                tell(start, labels);
            }
        });
    });
    gauge(
        "kafka_topic_partition_leader",
        "Broker that leads the partition; -1 while none does",
        |facts, topic, tell| {
            each_partition(facts, topic, |view, labels| tell(view.leader.map_or(-1, i64::from), labels));
        },
    );
    gauge("kafka_topic_partition_replicas", "Replicas of the partition", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| tell(count(view.replicas.len()), labels));
    });
    gauge("kafka_topic_partition_in_sync_replica", "Replicas in sync", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| tell(count(view.in_sync.len()), labels));
    });
    gauge("kafka_topic_partition_leader_is_preferred", "1 when the first replica leads", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| {
            tell((view.leader.is_some() && view.leader == view.replicas.first().copied()).into(), labels);
        });
    });
    gauge("kafka_topic_partition_under_replicated_partition", "1 when a replica is behind", |facts, topic, tell| {
        each_partition(facts, topic, |view, labels| tell((view.in_sync.len() < view.replicas.len()).into(), labels));
    });
    gauge("kafka_consumergroup_current_offset", "Stored offset of the group", |facts, topic, tell| {
        each_offset(facts, topic, |stored, _, labels| tell(stored, labels));
    });
    gauge(
        "kafka_consumergroup_lag",
        "Records behind the stored offset; -1 while it is not known",
        |facts, topic, tell| {
            each_offset(facts, topic, |_, lag, labels| tell(lag, labels));
        },
    );
    gauge("kafka_consumergroup_current_offset_sum", "Stored offsets of the group, summed", |facts, topic, tell| {
        if let Some((labels, offsets, _)) = sums(facts, topic) {
            tell(offsets, &labels);
        }
    });
    gauge("kafka_consumergroup_lag_sum", "Records behind the stored offsets, summed", |facts, topic, tell| {
        if let Some((labels, _, lag)) = sums(facts, topic) {
            tell(lag, &labels);
        }
    });
    gauge("kafka_consumergroup_members", "Members of the group, by its coordinator", |facts, _, tell| {
        for (group, answer) in facts.groups.iter() {
            let members = answer.description.as_ref().map_or(0, |group| group.members.len());
            tell(count(members), &[of_group(group)]);
        }
    });
    gauge("kafka_consumergroup_unowned_partitions", "Partitions that no living member has", |facts, topic, tell| {
        let state = crate::view::state(facts, topic, jiff::Timestamp::now());
        let unowned = state.partitions.iter().filter(|partition| partition.owners.is_empty()).count();
        for group in &state.groups {
            tell(count(unowned), &[of_group(&group.group_id)]);
        }
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

fn each_partition(facts: &Facts, topic: &str, mut tell: impl FnMut(&kafka::inspector::PartitionView, &[KeyValue])) {
    for view in facts.cluster.latest().map(|survey| survey.partitions.as_slice()).unwrap_or_default() {
        let labels = [KeyValue::new("topic", topic.to_owned()), KeyValue::new("partition", i64::from(view.partition))];
        tell(view, &labels);
    }
}

/// Stored offset and lag of each partition that a group has, or could have.
fn each_offset(facts: &Facts, topic: &str, mut tell: impl FnMut(i64, i64, &[KeyValue])) {
    let Some(group) = facts.tables().offsets.first().map(|stored| stored.group_id.clone()) else { return };
    each_partition(facts, topic, |view, labels| {
        let stored = facts.stored(view.partition).map(|stored| stored.next_offset);
        let behind =
            stored.and_then(|stored| lag(view.end, stored)).map_or(-1, |lag| i64::try_from(lag).unwrap_or(i64::MAX));
        let labels = [of_group(&group), labels[0].clone(), labels[1].clone()];
        tell(stored.unwrap_or(-1), behind, &labels);
    });
}

/// Group and topic with the sums of offsets and lag; what is not known counts for nothing.
fn sums(facts: &Facts, topic: &str) -> Option<([KeyValue; 2], i64, i64)> {
    let mut sums = None;
    each_offset(facts, topic, |stored, lag, labels| {
        let (_, offsets, behind) = sums.get_or_insert(([labels[0].clone(), labels[1].clone()], 0, 0));
        *offsets += stored.max(0);
        *behind += lag.max(0);
    });
    sums
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
