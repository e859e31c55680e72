//! Alarms of the system itself: what the facts say is wrong, held against delays, told by the recorder.
//!
//! ```text
//! Facts ─> found ─> Condition per (source, condition), OnDelay and OffDelay ─> the list of what is active ─> store
//! ```
//!
//! While a source does not answer, what it speaks of stays as it was: nobody is accused without evidence, and
//! nothing ends because nobody looked.

use std::collections::BTreeMap;

use alarms::Condition;
use jiff::{SignedDuration, Timestamp};
use store::alarms::Wrong;

use crate::facts::Facts;
use crate::view::{Consumer, Partition, Producer, state};

const OFF_DELAY: SignedDuration = SignedDuration::from_secs(5);
/// What is told again at least this often, so that a database that was restored is put right.
const TELL_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// Retention is near when less than this share of it is left.
const NEAR: f64 = 0.25;

/// Who knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    Database,
    Kafka,
    /// Both, and how long records are kept.
    Retention,
}

impl Witness {
    /// Of a condition that another recorder told.
    fn of(condition: &str) -> Self {
        match condition {
            "broker_down" => Self::Kafka,
            "retention_near" => Self::Retention,
            _ => Self::Database,
        }
    }
}

/// Something that looks wrong at one instant.
struct Finding {
    source: String,
    condition: &'static str,
    severity: i16,
    detail: String,
    on_delay: SignedDuration,
    witness: Witness,
}

struct Watched {
    condition: Condition<()>,
    finding: Finding,
}

/// Names of conditions; what the database has under another name was told by another build, and stays.
const CONDITIONS: [&str; 9] = [
    "producer_silent",
    "producer_disconnected",
    "consumer_gone",
    "partition_dark",
    "partition_quarantined",
    "dead_letters_rising",
    "retention_near",
    "broker_down",
    "kafka_unreachable",
];

/// See the module.
#[derive(Default)]
pub struct SystemAlarms {
    began: bool,
    watched: BTreeMap<(String, &'static str), Watched>,
    told: Option<(Timestamp, Vec<Wrong>)>,
}

impl SystemAlarms {
    /// What is to be told at `now`, all of it; `None` when nothing changed since the last time, or nothing can be
    /// told yet.
    pub fn observe(&mut self, facts: &Facts, topic: &str, now: Timestamp) -> Option<Vec<Wrong>> {
        let database = facts.database.failing.is_none() && facts.database.answer.is_some();
        let kafka = facts.cluster.failing.is_none() && facts.cluster.answer.is_some();
        if !database || facts.cluster.answer.is_none() && facts.cluster.failing.is_none() {
            return None;
        }
        let known = |witness| match witness {
            Witness::Database => database,
            Witness::Kafka => kafka,
            Witness::Retention => database && kafka && facts.retention.is_some(),
        };
        if !std::mem::replace(&mut self.began, true) {
            self.watched = active(facts, now);
        }
        let mut found: BTreeMap<_, _> = findings(facts, topic, now)
            .into_iter()
            .filter(|finding| known(finding.witness))
            .map(|finding| ((finding.source.clone(), finding.condition), finding))
            .collect();
        self.watched.retain(|key, watched| {
            let Watched { condition, finding } = watched;
            match found.remove(key) {
                Some(again) => {
                    *finding = again;
                    condition.observe(Some(()), now, finding.on_delay, OFF_DELAY, |(), ()| false);
                }
                None if known(finding.witness) => {
                    condition.observe(None, now, finding.on_delay, OFF_DELAY, |(), ()| false);
                    return condition.active().is_some();
                }
                None => {}
            }
            true
        });
        for (key, finding) in found {
            let mut condition = Condition::default();
            condition.observe(Some(()), now, finding.on_delay, OFF_DELAY, |(), ()| false);
            self.watched.insert(key, Watched { condition, finding });
        }
        self.changed(now)
    }

    fn changed(&mut self, now: Timestamp) -> Option<Vec<Wrong>> {
        let active = self.watched.values().filter(|watched| watched.condition.active().is_some());
        let wrong: Vec<Wrong> = active.map(|watched| watched.finding.wrong()).collect();
        let same = |told: &Vec<Wrong>| told.iter().map(key).eq(wrong.iter().map(key));
        if self.told.as_ref().is_some_and(|(at, told)| same(told) && now.duration_since(*at) < TELL_EVERY) {
            return None;
        }
        self.told = Some((now, wrong.clone()));
        Some(wrong)
    }
}

/// What stands already: told by a recorder before this one. It goes on from there, so that nothing ends that nobody
/// has looked at since.
fn active(facts: &Facts, now: Timestamp) -> BTreeMap<(String, &'static str), Watched> {
    let told = facts.tables().alarms.iter().filter(|alarm| alarm.source_type == "system" && alarm.active);
    let known = told.filter_map(|alarm| Some((alarm, CONDITIONS.into_iter().find(|name| *name == alarm.condition)?)));
    known
        .map(|(alarm, condition)| {
            let finding = Finding {
                source: alarm.source.clone(),
                condition,
                severity: alarm.severity,
                detail: alarm.detail.clone().unwrap_or_default(),
                on_delay: SignedDuration::ZERO,
                witness: Witness::of(condition),
            };
            let mut already = Condition::default();
            already.observe(Some(()), now, SignedDuration::ZERO, OFF_DELAY, |(), ()| false);
            ((alarm.source.clone(), condition), Watched { condition: already, finding })
        })
        .collect()
}

fn key(wrong: &Wrong) -> (&str, &'static str) {
    (&wrong.source, wrong.condition)
}

impl Finding {
    fn wrong(&self) -> Wrong {
        Wrong {
            source: self.source.clone(),
            condition: self.condition,
            severity: self.severity,
            detail: self.detail.clone(),
        }
    }
}

fn findings(facts: &Facts, topic: &str, now: Timestamp) -> Vec<Finding> {
    let state = state(facts, topic, now);
    let mut findings = Vec::new();
    findings.extend(state.producers.iter().filter_map(producer));
    findings.extend(state.consumers.iter().filter_map(consumer));
    findings.extend(state.partitions.iter().filter_map(partition));
    findings.extend(state.partitions.iter().filter_map(|partition| retention(facts, partition, now)));
    findings.extend(state.system.brokers.iter().filter(|broker| !broker.up).map(|broker| Finding {
        source: format!("broker {}", broker.id),
        condition: "broker_down",
        severity: 700,
        detail: "the cluster does not list it: it is down or fenced".to_owned(),
        on_delay: SignedDuration::from_secs(5),
        witness: Witness::Kafka,
    }));
    findings.extend(facts.cluster.failing.as_ref().map(|(_, error)| Finding {
        source: "kafka".to_owned(),
        condition: "kafka_unreachable",
        severity: 900,
        detail: error.clone(),
        on_delay: SignedDuration::from_secs(5),
        witness: Witness::Database,
    }));
    let letters: u64 = facts.tables().seconds.iter().map(|sums| sums.dead_letters).sum();
    findings.extend((letters > 0).then(|| Finding {
        source: topic.to_owned(),
        condition: "dead_letters_rising",
        severity: 500,
        detail: format!("{letters} records of the last minute were no events: consumer dead-letters list"),
        on_delay: SignedDuration::ZERO,
        witness: Witness::Database,
    }));
    findings
}

fn producer(producer: &Producer) -> Option<Finding> {
    let (condition, detail) = match (producer.status.as_str(), producer.connection_status.as_str()) {
        ("silent", _) => ("producer_silent", "no heartbeat, and it did not say that it stops".to_owned()),
        ("stopped", _) => return None,
        (_, "disconnected") => {
            ("producer_disconnected", format!("no broker; {} messages wait in its queue", producer.messages_waiting))
        }
        _ => return None,
    };
    let (source, on_delay) = (producer.producer_id.clone(), SignedDuration::from_secs(3));
    Some(Finding { source, condition, severity: 700, detail, on_delay, witness: Witness::Database })
}

fn consumer(consumer: &Consumer) -> Option<Finding> {
    (consumer.status == "silent").then(|| Finding {
        source: consumer.consumer_id.clone(),
        condition: "consumer_gone",
        severity: 700,
        detail: "no heartbeat, and it did not say that it stops".to_owned(),
        on_delay: SignedDuration::from_secs(3),
        witness: Witness::Database,
    })
}

fn partition(partition: &Partition) -> Option<Finding> {
    let reason = partition.reason.clone().unwrap_or_else(|| partition.state.clone());
    let (condition, on_delay) = match partition.state.as_str() {
        "quarantined" => ("partition_quarantined", SignedDuration::ZERO),
        _ if !partition.read => ("partition_dark", SignedDuration::from_secs(10)),
        _ => return None,
    };
    let source = format!("{} {}", partition.topic, partition.partition);
    Some(Finding { source, condition, severity: 900, detail: reason, on_delay, witness: Witness::Database })
}

/// Records that wait may be deleted before they are read.
fn retention(facts: &Facts, partition: &Partition, now: Timestamp) -> Option<Finding> {
    let (left, whole) = (facts.retention_left(partition.partition, now)?, facts.retention?);
    (partition.lag_records? > 0 && left.as_secs_f64() < NEAR * whole.as_secs_f64()).then_some(())?;
    let hours = left.as_secs_f64().max(0.0) / 3600.0;
    Some(Finding {
        source: format!("{} {}", partition.topic, partition.partition),
        condition: "retention_near",
        severity: 800,
        detail: format!("the first record that waits may be deleted in {hours:.1} h"),
        on_delay: SignedDuration::ZERO,
        witness: Witness::Retention,
    })
}

#[cfg(test)]
mod tests;
