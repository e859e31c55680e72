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
use crate::workload::Workload;

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

/// What can be wrong: the same of every source.
#[derive(Debug)]
struct Kind {
    /// As in `alarms.condition`.
    name: &'static str,
    severity: i16,
    on_delay: SignedDuration,
    witness: Witness,
}

const fn kind(name: &'static str, severity: i16, on_delay_s: i64, witness: Witness) -> Kind {
    Kind { name, severity, on_delay: SignedDuration::from_secs(on_delay_s), witness }
}

static PRODUCER_SILENT: Kind = kind("producer_silent", 700, 3, Witness::Database);
static PRODUCER_DISCONNECTED: Kind = kind("producer_disconnected", 700, 3, Witness::Database);
static CONSUMER_GONE: Kind = kind("consumer_gone", 700, 3, Witness::Database);
static PARTITION_DARK: Kind = kind("partition_dark", 900, 10, Witness::Database);
static PARTITION_QUARANTINED: Kind = kind("partition_quarantined", 900, 0, Witness::Database);
static DEAD_LETTERS_RISING: Kind = kind("dead_letters_rising", 500, 0, Witness::Database);
static RETENTION_NEAR: Kind = kind("retention_near", 800, 0, Witness::Retention);
static BROKER_DOWN: Kind = kind("broker_down", 700, 5, Witness::Kafka);
static KAFKA_UNREACHABLE: Kind = kind("kafka_unreachable", 900, 5, Witness::Database);

/// All of them; what the database has under another name was told by another build, and stays.
static KINDS: [&Kind; 9] = [
    &PRODUCER_SILENT,
    &PRODUCER_DISCONNECTED,
    &CONSUMER_GONE,
    &PARTITION_DARK,
    &PARTITION_QUARANTINED,
    &DEAD_LETTERS_RISING,
    &RETENTION_NEAR,
    &BROKER_DOWN,
    &KAFKA_UNREACHABLE,
];

/// Something that looks wrong at one instant.
struct Finding {
    kind: &'static Kind,
    source: String,
    detail: String,
}

struct Watched {
    condition: Condition<()>,
    finding: Finding,
}

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
    pub fn observe(&mut self, facts: &Facts, now: Timestamp) -> Option<Vec<Wrong>> {
        let database = facts.database.failing.is_none() && facts.database.answer.is_some();
        let kafka = facts.cluster.failing.is_none() && facts.cluster.answer.is_some();
        if !database || facts.cluster.answer.is_none() && facts.cluster.failing.is_none() {
            return None;
        }
        let known = |witness| match witness {
            Witness::Database => database,
            Witness::Kafka => kafka,
            Witness::Retention => database && kafka && !facts.retention.is_empty(),
        };
        if !std::mem::replace(&mut self.began, true) {
            self.watched = active(facts, now);
        }
        let mut found: BTreeMap<_, _> = findings(facts, now)
            .into_iter()
            .filter(|finding| known(finding.kind.witness))
            .map(|finding| ((finding.source.clone(), finding.kind.name), finding))
            .collect();
        self.watched.retain(|key, watched| match found.remove(key) {
            Some(again) => {
                watched.finding = again;
                watched.look(true, now);
                true
            }
            None if known(watched.finding.kind.witness) => {
                watched.look(false, now);
                watched.condition.active().is_some()
            }
            None => true,
        });
        for (key, finding) in found {
            let mut watched = Watched { condition: Condition::default(), finding };
            watched.look(true, now);
            self.watched.insert(key, watched);
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
    let known = told.filter_map(|alarm| Some((alarm, KINDS.into_iter().find(|kind| kind.name == alarm.condition)?)));
    known
        .map(|(alarm, kind)| {
            let (source, detail) = (alarm.source.clone(), alarm.detail.clone().unwrap_or_default());
            let mut condition = Condition::default();
            condition.observe(Some(()), now, SignedDuration::ZERO, OFF_DELAY, |(), ()| false);
            ((source.clone(), kind.name), Watched { condition, finding: Finding { kind, source, detail } })
        })
        .collect()
}

impl Watched {
    /// Whether it looks wrong now.
    fn look(&mut self, wrong: bool, now: Timestamp) {
        let seen = wrong.then_some(());
        self.condition.observe(seen, now, self.finding.kind.on_delay, OFF_DELAY, |(), ()| false);
    }
}

fn key(wrong: &Wrong) -> (&str, &'static str) {
    (&wrong.source, wrong.condition)
}

impl Finding {
    fn wrong(&self) -> Wrong {
        let Kind { name, severity, .. } = *self.kind;
        Wrong { source: self.source.clone(), condition: name, severity, detail: self.detail.clone() }
    }
}

fn findings(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let state = state(facts, now);
    let mut findings = Vec::new();
    findings.extend(state.producers.iter().filter_map(producer));
    findings.extend(state.consumers.iter().filter_map(consumer));
    findings.extend(state.partitions.iter().filter_map(partition));
    findings.extend(state.partitions.iter().filter_map(|partition| retention(facts, partition, now)));
    findings.extend(state.system.brokers.iter().filter(|broker| !broker.up).map(|broker| Finding {
        kind: &BROKER_DOWN,
        source: format!("broker {}", broker.id),
        detail: "the cluster does not list it: it is down or fenced".to_owned(),
    }));
    findings.extend(facts.cluster.failing.as_ref().map(|(_, error)| Finding {
        kind: &KAFKA_UNREACHABLE,
        source: "kafka".to_owned(),
        detail: error.clone(),
    }));
    findings.extend(facts.workloads.iter().filter_map(|workload| dead_letters(facts, workload)));
    findings
}

/// What a process that fell silent has in common with every other.
const SILENT: &str = "no heartbeat, and it did not say that it stops";

fn producer(producer: &Producer) -> Option<Finding> {
    let (kind, detail) = match (producer.status.as_str(), producer.connection_status.as_str()) {
        ("silent", _) => (&PRODUCER_SILENT, SILENT.to_owned()),
        ("stopped", _) => return None,
        (_, "disconnected") => {
            (&PRODUCER_DISCONNECTED, format!("no broker; {} messages wait in its queue", producer.messages_waiting))
        }
        _ => return None,
    };
    Some(Finding { kind, source: producer.producer_id.clone(), detail })
}

fn consumer(consumer: &Consumer) -> Option<Finding> {
    (consumer.status == "silent").then(|| Finding {
        kind: &CONSUMER_GONE,
        source: consumer.consumer_id.clone(),
        detail: SILENT.to_owned(),
    })
}

fn partition(partition: &Partition) -> Option<Finding> {
    let kind = match partition.state.as_str() {
        "quarantined" => &PARTITION_QUARANTINED,
        _ if !partition.read => &PARTITION_DARK,
        _ => return None,
    };
    let detail = partition.reason.clone().unwrap_or_else(|| partition.state.clone());
    Some(Finding { kind, source: source(partition), detail })
}

fn source(partition: &Partition) -> String {
    format!("{} {}", partition.topic, partition.partition)
}

fn dead_letters(facts: &Facts, workload: &Workload) -> Option<Finding> {
    let seconds = facts.tables().seconds_by_target.get(workload.target)?;
    let letters: u64 = seconds.iter().map(|sums| sums.dead_letters).sum();
    (letters > 0).then(|| Finding {
        kind: &DEAD_LETTERS_RISING,
        source: workload.topic.to_string(),
        detail: format!("{letters} records of the last minute were no events: consumer dead-letters list"),
    })
}

/// Records that wait may be deleted before they are read.
fn retention(facts: &Facts, partition: &Partition, now: Timestamp) -> Option<Finding> {
    let (topic, number) = (&partition.topic, partition.partition);
    let (left, whole) = (facts.retention_left(topic, number, now)?, facts.retention_of(topic)?);
    (partition.lag_records? > 0 && left.as_secs_f64() < NEAR * whole.as_secs_f64()).then_some(())?;
    let hours = left.as_secs_f64().max(0.0) / 3600.0;
    let detail = format!("the first record that waits may be deleted in {hours:.1} h");
    Some(Finding { kind: &RETENTION_NEAR, source: source(partition), detail })
}

#[cfg(test)]
mod tests;
