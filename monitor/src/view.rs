//! The facts as the API and the page show them. Pure: facts and an instant in, plain data out; the OpenAPI
//! document is made from these types.
//!
//! ```text
//! Facts ─> consumers ──────────────┐
//!       ─> producers ──────────────┼─> system (the verdict, from what the others found)
//!       ─> partitions ─> workloads ┘
//! ```

use jiff::Timestamp;
use serde::Serialize;
use store::consumer_health::Row;
use utoipa::ToSchema;

use crate::facts::{Facts, RATE_SECONDS};

mod alarms;
mod consumers;
mod groups;
mod metrics;
mod partitions;
mod producers;
mod system;
mod workloads;

pub use alarms::{Alarm, AlarmCounts, AlarmEvent, RecentAlerts};
pub use consumers::{Consumer, ConsumerHealth};
pub use groups::{Group, Groups};
pub use metrics::{Metrics, Point, RealTimeMetrics, Series, points};
pub use partitions::{Partition, PartitionAssignment};
pub use producers::{Producer, ProducerHealth};
pub use system::SystemStatus;
pub use workloads::Workload;

/// A heartbeat older than this is a silent process. They beat once a second.
pub const SILENT_AFTER_S: f64 = 2.0;

/// Everything that is known of one instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct State {
    /// The verdict and what it rests on.
    pub system: SystemStatus,
    /// Every consumer.
    pub consumers: Vec<Consumer>,
    /// Every producer.
    pub producers: Vec<Producer>,
    /// Every workload that is in use: a topic, the group that reads it, the target that it becomes rows of.
    pub workloads: Vec<Workload>,
    /// Every partition, by workload and number.
    pub partitions: Vec<Partition>,
    /// Every consumer group with its members.
    pub groups: Vec<Group>,
    /// Alarms that stand, the most important ones: 50 at most.
    pub alarms: Vec<Alarm>,
    /// How many stand in all.
    pub alarm_counts: AlarmCounts,
    /// Rates, latency and lag now.
    pub metrics: Metrics,
    /// The last seconds of the charts: those that may still have changed.
    pub recent: Vec<Point>,
}

/// The alarms that stand, and what happened to them, oldest page last.
pub fn recent_alerts(facts: &Facts, as_of: Timestamp, events: Vec<AlarmEvent>, more: bool) -> RecentAlerts {
    let next_before = events.last().filter(|_| more).map(|event| event.id);
    RecentAlerts { as_of, counts: alarms::counts(facts), alarms: alarms::standing(facts), events, next_before }
}

/// The facts seen from `now`.
pub fn state(facts: &Facts, now: Timestamp) -> State {
    let consumers = consumers::consumers(facts, now);
    let producers = producers::producers(facts, now);
    let partitions = partitions::partitions(facts, &consumers);
    let groups = groups::groups(facts, now);
    let workloads = workloads::workloads(facts, &consumers, &partitions);
    let metrics = metrics::metrics(facts, &facts.tables().seconds, &partitions);
    let system = system::system(facts, &consumers, &producers, &partitions, &metrics, now);
    let recent = metrics::recent(facts);
    let (alarms, alarm_counts) = (alarms::shown(facts), alarms::counts(facts));
    State { system, consumers, producers, workloads, partitions, groups, alarms, alarm_counts, metrics, recent }
}

/// Age of a heartbeat now: its age when the table was read, and the time since. While the database does not
/// answer nobody knows whether more heartbeats came, so it stays as it was.
fn age(facts: &Facts, age_s: f64, now: Timestamp) -> f64 {
    let since = match (&facts.database.failing, facts.database.asked_at()) {
        (None, Some(read_at)) => seconds_between(read_at, now),
        _ => 0.0,
    };
    tenths(age_s + since)
}

/// Whether a heartbeat of that age, when the table was read, is a silent process's. Not while nobody could
/// have written one: after an outage of the database each process gets the time for its next.
fn is_silent(facts: &Facts, age_s: f64) -> bool {
    age_s > SILENT_AFTER_S && facts.database.up_for_s() > SILENT_AFTER_S
}

/// Whether a consumer does not beat, or cannot: a process that is killed loses its sessions with the database at once,
/// long before a heartbeat is missed. Of an older build only heartbeats are known.
fn is_gone(facts: &Facts, row: &Row) -> bool {
    let tells = row.session_timeout_ms.is_some() && facts.database.up_for_s() > SILENT_AFTER_S;
    is_silent(facts, row.age_s) || tells && row.sessions == 0 && row.age_s > 0.0
}

/// Seconds from `from` to `to`; 0 when a clock went back.
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn per_second(count: u64) -> f64 {
    tenths(count as f64 / f64::from(RATE_SECONDS))
}

/// Rounded to a tenth: what is shown changes no oftener than that.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// `0, 3-5, 7`, of ascending numbers.
fn list(numbers: impl IntoIterator<Item = i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let told = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests;
