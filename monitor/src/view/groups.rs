//! `/api/groups`: each group with its members, and how long each of them has left.

use jiff::Timestamp;
use serde::Serialize;
use store::consumer_health::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{age, is_gone};
use crate::facts::Facts;

/// Answer of `GET /api/groups`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Groups {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// By name.
    pub groups: Vec<Group>,
}

/// A consumer group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub group_id: String,
    /// Topic that it reads.
    pub topic: String,
    /// `consumer` (KIP-848), `cooperative-sticky` or `range`; empty when no member said so.
    pub protocol: String,
    /// Its state as its coordinator calls it, such as `Stable`; empty while that is not known.
    pub state: String,
    /// Group epoch (KIP-848), or the generation that its members know; -1 while nobody does.
    pub generation: i32,
    /// Session time-out, ms; `null` when no member said so.
    pub session_timeout_ms: Option<i32>,
    /// `max.poll.interval.ms`; `null` when no member said so.
    pub poll_interval_ms: Option<i32>,
    /// Since when anything was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_since: Option<Timestamp>,
    /// Its members, and static ones that are away and may come back; by name.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupMember {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Colour and pattern, for good; -1 before it was given one.
    pub slot: i32,
    /// Its process start.
    pub boot_id: Uuid,
    /// Kafka's member id; empty before it has one.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub static_id: Option<String>,
    /// Partitions that it has.
    pub partitions: Vec<i32>,
    /// Milliseconds since its last heartbeat.
    pub heartbeat_age_ms: f64,
    /// Milliseconds since it polled last; `null` when it did not say.
    pub poll_age_ms: Option<f64>,
    /// Its wall clock minus the database's; `null` while that was not measured.
    pub clock_skew_ms: Option<f64>,
    /// It does not beat; its group may not know yet.
    pub silent: bool,
    /// A static member that is away and may still come back: milliseconds since its last heartbeat.
    pub away_ms: Option<f64>,
}

/// A silent member is listed for this long at least.
const LISTED_MS: f64 = 60_000.0;

/// Every group, by name.
pub fn groups(facts: &Facts, now: Timestamp) -> Vec<Group> {
    facts.groups_read().into_iter().map(|(name, topic)| group(facts, name, topic, now)).collect()
}

fn group(facts: &Facts, name: String, topic: String, now: Timestamp) -> Group {
    let rows: Vec<&Row> = facts.tables().consumers.iter().filter(|row| row.group_id == name).collect();
    let described = facts.groups.get(&name).and_then(|answer| answer.description.as_ref());
    let told = rows.iter().filter(|row| !is_gone(facts, row)).map(|row| row.generation).max().filter(|g| *g >= 0);
    Group {
        group_id: name,
        topic,
        protocol: rows.iter().rev().find_map(|row| row.protocol.clone()).unwrap_or_default(),
        state: described.map(|group| group.state.clone()).unwrap_or_default(),
        generation: described.and_then(|group| group.epoch).or(told).unwrap_or(-1),
        session_timeout_ms: rows.iter().filter_map(|row| row.session_timeout_ms).max(),
        poll_interval_ms: rows.iter().filter_map(|row| row.poll_interval_ms).max(),
        recorded_since: facts.tables().recorded_since,
        members: rows.iter().filter_map(|row| member(facts, row, now)).collect(),
    }
}

/// `None` for one that is gone for good.
fn member(facts: &Facts, row: &Row, now: Timestamp) -> Option<GroupMember> {
    let age_ms = age(facts, row.age_s, now) * 1_000.0;
    let session = f64::from(row.session_timeout_ms.unwrap_or(0));
    let stopped = row.status == "stopped";
    let away = row.static_id.is_some() && (stopped || is_gone(facts, row)) && age_ms < session;
    // What is silent stays in the list for a while: it is what one looks for.
    if stopped && !away || age_ms > LISTED_MS.max(session * 2.0) {
        return None;
    }
    let tables = facts.tables();
    let slot = tables.slots.iter().find(|slot| slot.consumer_id == row.consumer_id && slot.group_id == row.group_id);
    Some(GroupMember {
        consumer_id: row.consumer_id.clone(),
        slot: slot.map_or(-1, |slot| slot.slot),
        boot_id: row.boot_id,
        member_id: row.member_id.clone(),
        static_id: row.static_id.clone(),
        partitions: row.partitions.iter().map(|state| state.partition).collect(),
        heartbeat_age_ms: age_ms,
        poll_age_ms: row.poll_age_ms.map(|ms| ms as f64 + age_ms),
        clock_skew_ms: row.clock_skew_us.map(|us| us as f64 / 1_000.0),
        silent: is_gone(facts, row) && !stopped,
        away_ms: away.then_some(age_ms),
    })
}
