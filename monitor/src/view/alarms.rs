//! `/api/recent-alerts`.

use jiff::Timestamp;
use serde::Serialize;
use store::alarms;
use utoipa::ToSchema;

use crate::facts::Facts;

/// Alarms that the live view shows.
const SHOWN: usize = 50;

/// Answer of `GET /api/recent-alerts`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecentAlerts {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// How many alarms are in which state.
    pub counts: AlarmCounts,
    /// Those that stand: active by severity, then returned ones that nobody has seen, then shelved; 200 at most.
    pub alarms: Vec<Alarm>,
    /// What happened to alarms, newest first.
    pub events: Vec<AlarmEvent>,
    /// Where the next page begins: as `before`; `null` when this is the oldest.
    pub next_before: Option<i64>,
}

/// How many alarms are in which state (OPC UA Part 9); those in `normal` are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlarmCounts {
    /// Active, and nobody has seen it.
    pub active_unacknowledged: i64,
    /// Active, and somebody has.
    pub active_acknowledged: i64,
    /// Gone before anybody saw it.
    pub returned_unacknowledged: i64,
    /// Hidden on purpose, for a time.
    pub shelved: i64,
}

/// One condition as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Alarm {
    /// `sensor` or `system`.
    pub source_type: String,
    /// The sensor's id, or what of the system.
    pub source: String,
    /// `limit` or `deviation` of a sensor; of the system such as `producer_silent`.
    pub condition: String,
    /// `active_unacknowledged`, `active_acknowledged`, `returned_unacknowledged` or `shelved`.
    pub state: String,
    /// Whether it holds, shelved or not.
    pub active: bool,
    /// `low_low`, `low`, `high`, `high_high`; `above` or `below` for a deviation; `null` when inactive or of the system.
    pub level: Option<String>,
    /// 1 to 1000; from 700 on it must be dealt with now.
    pub severity: i16,
    /// Three activations within a minute or more: counted, and no longer told one by one.
    pub chattering: bool,
    /// Names what is to be acknowledged; changes when it is raised again or gets worse.
    pub activation: String,
    /// How often it was raised.
    pub activations: i64,
    /// When last; event time of the sensor's reading.
    #[schema(value_type = String, format = DateTime)]
    pub raised_at: Timestamp,
    /// When it changed last; event time as above.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// The value that changed it.
    pub value: Option<f64>,
    /// The limit, or the edge of what is usual, that the value passed.
    pub threshold: Option<f64>,
    /// More, in one sentence.
    pub detail: Option<String>,
    /// Who acknowledged it, while that holds.
    pub acknowledged_by: Option<String>,
    /// What they said.
    pub acknowledge_comment: Option<String>,
    /// Until when it is shelved, if it is.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub shelved_until: Option<Timestamp>,
    /// Who shelved it, while that holds.
    pub shelved_by: Option<String>,
    /// Why.
    pub shelve_reason: Option<String>,
}

/// Something that happened to an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlarmEvent {
    /// Order of insertion.
    pub id: i64,
    /// As in [`Alarm`].
    pub source_type: String,
    /// As in [`Alarm`].
    pub source: String,
    /// As in [`Alarm`].
    pub condition: String,
    /// `raised`, `worsened`, `eased`, `returned`, `acknowledged`, `shelved` or `unshelved`.
    pub event: String,
    /// When; event time of a sensor's reading.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// When it was stored, by the server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// As in [`Alarm`].
    pub level: Option<String>,
    /// As in [`Alarm`].
    pub severity: i16,
    /// Whether it was chattering.
    pub chattering: bool,
    /// As in [`Alarm`].
    pub value: Option<f64>,
    /// As in [`Alarm`].
    pub threshold: Option<f64>,
    /// As in [`Alarm`]; a person's comment or reason.
    pub detail: Option<String>,
    /// Consumer, monitor or person.
    pub by_whom: String,
}

/// How many are in which state.
pub fn counts(facts: &Facts) -> AlarmCounts {
    let counts = facts.tables().alarm_counts;
    AlarmCounts {
        active_unacknowledged: counts.active_unacknowledged,
        active_acknowledged: counts.active_acknowledged,
        returned_unacknowledged: counts.returned_unacknowledged,
        shelved: counts.shelved,
    }
}

/// The alarms that stand, as many as the live view shows.
pub fn shown(facts: &Facts) -> Vec<Alarm> {
    facts.tables().alarms.iter().take(SHOWN).map(alarm).collect()
}

/// The alarms that stand.
pub fn standing(facts: &Facts) -> Vec<Alarm> {
    facts.tables().alarms.iter().map(alarm).collect()
}

fn alarm(alarm: &alarms::Alarm) -> Alarm {
    let shelved = alarm.state == "shelved";
    let seen = alarm.state == "active_acknowledged";
    let alarm = alarm.clone();
    Alarm {
        source_type: alarm.source_type,
        source: alarm.source,
        condition: alarm.condition,
        state: alarm.state,
        active: alarm.active,
        level: alarm.level,
        severity: alarm.severity,
        chattering: alarm.chattering,
        activation: alarm.activation,
        activations: alarm.activations,
        raised_at: alarm.raised_at,
        changed_at: alarm.changed_at,
        value: alarm.value,
        threshold: alarm.threshold,
        detail: alarm.detail,
        acknowledged_by: alarm.acknowledged_by.filter(|_| seen),
        acknowledge_comment: alarm.acknowledge_comment.filter(|_| seen),
        shelved_until: alarm.shelved_until,
        shelved_by: alarm.shelved_by.filter(|_| shelved),
        shelve_reason: alarm.shelve_reason.filter(|_| shelved),
    }
}

impl From<alarms::Event> for AlarmEvent {
    fn from(event: alarms::Event) -> Self {
        Self {
            id: event.id,
            source_type: event.source_type,
            source: event.source,
            condition: event.condition,
            event: event.event,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            level: event.level,
            severity: event.severity,
            chattering: event.chattering,
            value: event.value,
            threshold: event.threshold,
            detail: event.detail,
            by_whom: event.by_whom,
        }
    }
}
