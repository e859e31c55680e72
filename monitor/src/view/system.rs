//! `/api/system-status`: one sentence made from facts, and the facts.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::consumers::Consumer;
use super::metrics::Metrics;
use super::partitions::Partition;
use super::producers::Producer;
use super::{list, seconds_between};
use crate::facts::{Facts, Source};

/// Answer of `GET /api/system-status`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SystemStatus {
    /// The instant that it speaks of.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// The worst of the conditions.
    pub status: Verdict,
    /// The verdict in one sentence: the worst condition, or what works.
    pub summary: String,
    /// What is wrong, worst first; empty when nothing is.
    pub conditions: Vec<Condition>,
    /// PostgreSQL.
    pub database: SourceStatus,
    /// Kafka.
    pub kafka: SourceStatus,
    /// Its brokers, by id.
    pub brokers: Vec<Broker>,
    /// Consumers that beat, and all that are known.
    pub consumers: Count,
    /// Producers that beat, and all that are known.
    pub producers: Count,
    /// Partitions that somebody reads, and all of the topics in use.
    pub partitions: Count,
    /// Records that wait; `null` while that is not known.
    pub lag_records: Option<u64>,
    /// Rows stored per second over the last ten whole seconds.
    pub stored_rows_per_second: f64,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that is known works.
    Healthy,
    /// Something is away, and every partition is still read.
    Degraded,
    /// Something is not stored, or nobody can tell.
    Critical,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Condition {
    /// How bad.
    pub severity: Verdict,
    /// What it is about: `database`, `kafka`, `partitions`, `quarantine`, `consumers`, `producers`, `brokers`,
    /// `replicas`.
    pub about: &'static str,
    /// In one sentence.
    pub text: String,
}

/// Whether a source of facts answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceStatus {
    /// Whether its last answer was a good one.
    pub up: bool,
    /// When it was asked for its last good answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_answer: Option<Timestamp>,
    /// Since when it does not answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub down_since: Option<Timestamp>,
    /// Why.
    pub error: Option<String>,
}

/// One broker.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// Whether the cluster lists it.
    pub up: bool,
    /// `host:port`; `null` while it is down.
    pub address: Option<String>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    /// Those that are as they should be.
    pub up: usize,
    /// All.
    pub known: usize,
}

/// The verdict at `now`.
pub fn system(
    facts: &Facts,
    consumers: &[Consumer],
    producers: &[Producer],
    partitions: &[Partition],
    metrics: &Metrics,
    now: Timestamp,
) -> SystemStatus {
    let brokers: Vec<Broker> = facts
        .cluster
        .latest()
        .map(|survey| survey.brokers.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|broker| Broker { id: broker.id, up: broker.address.is_some(), address: broker.address.clone() })
        .collect();
    let conditions = conditions(facts, consumers, producers, partitions, &brokers, now);
    SystemStatus {
        as_of: now,
        status: conditions.first().map_or(Verdict::Healthy, |worst| worst.severity),
        summary: conditions.first().map_or_else(|| works(consumers, partitions, metrics), |worst| worst.text.clone()),
        conditions,
        database: source(&facts.database),
        kafka: source(&facts.cluster),
        brokers,
        consumers: count(consumers.iter().map(Consumer::is_alive)),
        producers: count(producers.iter().map(Producer::is_alive)),
        partitions: count(partitions.iter().map(|partition| partition.read)),
        lag_records: metrics.lag_records,
        stored_rows_per_second: metrics.stored_rows_per_second,
    }
}

/// What is wrong, worst first.
fn conditions(
    facts: &Facts,
    consumers: &[Consumer],
    producers: &[Producer],
    partitions: &[Partition],
    brokers: &[Broker],
    now: Timestamp,
) -> Vec<Condition> {
    let topics: Vec<&[Partition]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    // One topic needs no name.
    let named = |of_topic: &[Partition], condition: Condition| match topics.len() {
        1 => condition,
        _ => Condition { text: format!("topic {}: {}", of_topic[0].topic, condition.text), ..condition },
    };
    let of_each = |find: &dyn Fn(&[Partition]) -> Vec<Condition>| -> Vec<Condition> {
        topics.iter().flat_map(|of| find(of).into_iter().map(|condition| named(of, condition))).collect()
    };
    let sources = [away(&facts.database, "database", "PostgreSQL", now), away(&facts.cluster, "kafka", "Kafka", now)];
    let processes =
        [silent_consumers(consumers), silent_producers(producers), waiting_producers(producers), brokers_down(brokers)];
    let mut found: Vec<Condition> = sources.into_iter().flatten().collect();
    found.extend(facts.present().into_iter().filter_map(|workload| missing(facts, &workload.topic)));
    found.extend(of_each(&|of| [unread(of), quarantined(of), held_up(of)].into_iter().flatten().collect()));
    found.extend(processes.into_iter().flatten());
    found.extend(of_each(&|of| behind(of, brokers).into_iter().collect()));
    found.sort_by_key(|condition| std::cmp::Reverse(condition.severity));
    found
}

fn condition(severity: Verdict, about: &'static str, text: String) -> Option<Condition> {
    Some(Condition { severity, about, text })
}

fn away<T>(source: &Source<T>, about: &'static str, name: &str, now: Timestamp) -> Option<Condition> {
    let text = match (&source.failing, &source.answer) {
        (Some((since, error)), _) => {
            format!("{name} has not answered for {:.0} s: {error}", seconds_between(*since, now))
        }
        (None, None) => format!("{name} has not been asked yet"),
        (None, Some(_)) => return None,
    };
    condition(Verdict::Critical, about, text)
}

/// A topic that is in use, and that Kafka does not tell of.
fn missing(facts: &Facts, topic: &str) -> Option<Condition> {
    let why = facts.cluster.latest()?.missing.get(topic)?;
    condition(Verdict::Critical, "kafka", format!("topic {topic} cannot be watched: {why}"))
}

fn unread(partitions: &[Partition]) -> Option<Condition> {
    let unread: Vec<&Partition> = partitions.iter().filter(|partition| partition.state == "unread").collect();
    let first = unread.first()?;
    let reason = first.reason.as_deref().unwrap_or("no consumer has it");
    let numbers = list(unread.iter().map(|partition| partition.partition));
    let text = format!("{} of {} partitions are unread ({numbers}): {reason}", unread.len(), partitions.len());
    condition(Verdict::Critical, "partitions", text)
}

fn quarantined(partitions: &[Partition]) -> Option<Condition> {
    let held: Vec<&Partition> = partitions.iter().filter(|partition| partition.state == "quarantined").collect();
    let reason = held.first()?.reason.as_deref().unwrap_or("no reason is known");
    let numbers = list(held.iter().map(|partition| partition.partition));
    let text = format!("quarantined until a command ends it: {numbers}, because {reason} (consumer offsets show)");
    condition(Verdict::Critical, "quarantine", text)
}

/// Owned, and yet not read.
fn held_up(partitions: &[Partition]) -> Option<Condition> {
    let owned = |p: &&Partition| !p.read && !matches!(p.state.as_str(), "unread" | "quarantined");
    let held: Vec<&Partition> = partitions.iter().filter(owned).collect();
    let first = held.first()?;
    let numbers = list(held.iter().map(|partition| partition.partition));
    let reason = first.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let severity = if first.state == "paused" { Verdict::Critical } else { Verdict::Degraded };
    condition(severity, "partitions", format!("partitions {numbers} are {}{reason}", first.state))
}

fn silent_consumers(consumers: &[Consumer]) -> Option<Condition> {
    let silent = consumers.iter().filter(|consumer| consumer.status == "silent");
    let names: Vec<&str> = silent.map(|consumer| consumer.consumer_id.as_str()).collect();
    (!names.is_empty()).then_some(())?;
    condition(Verdict::Degraded, "consumers", format!("silent consumers: {}", names.join(", ")))
}

fn silent_producers(producers: &[Producer]) -> Option<Condition> {
    let silent = producers.iter().filter(|producer| producer.status == "silent");
    let names: Vec<&str> = silent.map(|producer| producer.producer_id.as_str()).collect();
    (!names.is_empty()).then_some(())?;
    condition(Verdict::Degraded, "producers", format!("silent producers: {}", names.join(", ")))
}

fn waiting_producers(producers: &[Producer]) -> Option<Condition> {
    let waiting =
        producers.iter().filter(|producer| producer.is_alive() && producer.connection_status == "disconnected");
    let names: Vec<&str> = waiting.map(|producer| producer.producer_id.as_str()).collect();
    (!names.is_empty()).then_some(())?;
    condition(Verdict::Critical, "producers", format!("producers without a broker: {}", names.join(", ")))
}

fn brokers_down(brokers: &[Broker]) -> Option<Condition> {
    let down: Vec<i32> = brokers.iter().filter(|broker| !broker.up).map(|broker| broker.id).collect();
    (!down.is_empty()).then_some(())?;
    let noun = if down.len() == 1 { "broker" } else { "brokers" };
    condition(Verdict::Degraded, "brokers", format!("{noun} {} of {} down", list(down.clone()), brokers.len()))
}

/// Replicas that are behind although their broker is there.
fn behind(partitions: &[Partition], brokers: &[Broker]) -> Option<Condition> {
    let up = |id: &i32| brokers.iter().any(|broker| broker.id == *id && broker.up);
    let lagging = partitions.iter().filter(|p| p.replicas.iter().any(|id| up(id) && !p.in_sync_replicas.contains(id)));
    let numbers: Vec<i32> = lagging.map(|partition| partition.partition).collect();
    (!numbers.is_empty()).then_some(())?;
    condition(Verdict::Degraded, "replicas", format!("replicas are catching up: partitions {}", list(numbers)))
}

fn works(consumers: &[Consumer], partitions: &[Partition], metrics: &Metrics) -> String {
    let alive = consumers.iter().filter(|consumer| consumer.is_alive()).count();
    let waiting = match metrics.lag_records {
        Some(1) => "1 record waits".to_owned(),
        Some(records) => format!("{records} records wait"),
        None => "how many records wait is not known yet".to_owned(),
    };
    let noun = if alive == 1 { "consumer reads" } else { "consumers read" };
    match partitions.len() {
        0 => "no partition is known yet".to_owned(),
        n => format!("{alive} {noun} all {n} partitions; {waiting}"),
    }
}

fn source<T>(source: &Source<T>) -> SourceStatus {
    SourceStatus {
        up: source.failing.is_none() && source.answer.is_some(),
        last_answer: source.asked_at(),
        down_since: source.failing.as_ref().map(|(since, _)| *since),
        error: source.failing.as_ref().map(|(_, error)| error.clone()),
    }
}

/// How many of them are.
pub fn count(each: impl Iterator<Item = bool>) -> Count {
    let (mut up, mut known) = (0, 0);
    for is_up in each {
        known += 1;
        up += usize::from(is_up);
    }
    Count { up, known }
}
