//! Alarms: what is remembered of each sensor, what is wrong now, what happened, and what people decided.
//!
//! ```text
//! readings ─(their batch)─> alarm_states, alarm_events, alarms.active … ──┐
//! recorder ─(system)──────> alarm_events, alarms.active …                 ├─ alarm_state(alarms)
//! people ───(operator)────> alarm_events, alarms.acknowledged_…, shelved_… ┘
//! ```
//!
//! Terms are those of OPC UA Part 9 (alarms and conditions).

use std::collections::HashMap;

use jiff::Timestamp;

use crate::connect::Store;
use crate::error::{Error, Result};

pub mod operator;
mod system;

pub use system::{Wrong, tell_system};

/// One condition that was ever active, as it is now. Words as in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// `sensor` or `system`.
    pub source_type: String,
    /// The sensor, or what of the system.
    pub source: String,
    /// Which of its conditions.
    pub condition: String,
    /// `normal`, `active_unacknowledged`, `active_acknowledged`, `returned_unacknowledged` or `shelved`.
    pub state: String,
    /// Whether it holds, shelved or not.
    pub active: bool,
    /// In which way.
    pub level: Option<String>,
    /// 1 to 1000.
    pub severity: i16,
    /// Whether it is chattering.
    pub chattering: bool,
    /// What is to be acknowledged: changes when it is raised again or gets worse.
    pub activation: String,
    /// How often it was raised.
    pub activations: i64,
    /// When last.
    pub raised_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// Value that changed it.
    pub value: Option<f64>,
    /// What the value passed.
    pub threshold: Option<f64>,
    /// More in one sentence.
    pub detail: Option<String>,
    /// Who acknowledged the activation that stands, or the one before.
    pub acknowledged_by: Option<String>,
    /// When.
    pub acknowledged_at: Option<Timestamp>,
    /// What they said.
    pub acknowledge_comment: Option<String>,
    /// Until when it is shelved, if it is.
    pub shelved_until: Option<Timestamp>,
    /// Who shelved it.
    pub shelved_by: Option<String>,
    /// Why.
    pub shelve_reason: Option<String>,
}

/// How many conditions are in which state; those in `normal` are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Active, and nobody has seen it.
    pub active_unacknowledged: i64,
    /// Active, and somebody has.
    pub active_acknowledged: i64,
    /// Gone before anybody saw it.
    pub returned_unacknowledged: i64,
    /// Hidden on purpose, whatever it is.
    pub shelved: i64,
}

const COLUMNS: &str = "source_type, source, condition, alarm_state(a), active, level, severity, chattering, activations, \
     raised_at, changed_at, value, threshold, detail, acknowledged_by, acknowledged_at, acknowledge_comment, \
     CASE WHEN shelved_until > now() THEN shelved_until END, shelved_by, shelve_reason, activation";

// Each of these is an index of its own, so that nothing reads what has long been normal.
const ACTIVE: &str = "active";
const RETURNED: &str = "NOT active AND activation IS DISTINCT FROM acknowledged_activation";
const SHELVED: &str =
    "shelved_until > now() AND NOT active AND activation IS NOT DISTINCT FROM acknowledged_activation";

/// The alarms that stand: active ones first, by severity, then the latest; `limit` at most. Acknowledged ones that
/// returned are normal, and left out.
///
/// # Errors
/// Transient ones.
pub async fn standing(store: &Store, limit: i64) -> Result<Vec<Alarm>> {
    const DOING: &str = "reading the alarms";
    let statement = format!(
        "(SELECT {COLUMNS} FROM alarms a WHERE {ACTIVE} ORDER BY severity DESC, raised_at DESC LIMIT $1) \
         UNION ALL (SELECT {COLUMNS} FROM alarms a WHERE {RETURNED} ORDER BY written_at DESC LIMIT $1) \
         UNION ALL (SELECT {COLUMNS} FROM alarms a WHERE {SHELVED} ORDER BY shelved_until LIMIT $1) LIMIT $1"
    );
    let rows = store.query(DOING, &statement, &[&limit]).await?;
    Ok(rows.iter().map(alarm).collect())
}

/// How many are in which state.
///
/// # Errors
/// Transient ones.
pub async fn counts(store: &Store) -> Result<Counts> {
    const DOING: &str = "counting the alarms";
    let client = store.pooled().await?;
    let statement = format!(
        "SELECT count(*) FILTER (WHERE state = 'active_unacknowledged'), \
                count(*) FILTER (WHERE state = 'active_acknowledged'), \
                count(*) FILTER (WHERE state = 'returned_unacknowledged'), count(*) FILTER (WHERE state = 'shelved') \
           FROM (SELECT alarm_state(a) AS state FROM alarms a WHERE {ACTIVE} \
                 UNION ALL SELECT alarm_state(a) FROM alarms a WHERE {RETURNED} \
                 UNION ALL SELECT alarm_state(a) FROM alarms a WHERE {SHELVED}) standing"
    );
    let statement = client.prepare_cached(&statement).await.map_err(Error::doing(DOING))?;
    let row = client.query_one(&statement, &[]).await.map_err(Error::doing(DOING))?;
    Ok(Counts {
        active_unacknowledged: row.get(0),
        active_acknowledged: row.get(1),
        returned_unacknowledged: row.get(2),
        shelved: row.get(3),
    })
}

fn alarm(row: &tokio_postgres::Row) -> Alarm {
    Alarm {
        source_type: row.get(0),
        source: row.get(1),
        condition: row.get(2),
        state: row.get(3),
        active: row.get(4),
        level: row.get(5),
        severity: row.get(6),
        chattering: row.get(7),
        activations: row.get(8),
        raised_at: row.get(9),
        changed_at: row.get(10),
        value: row.get(11),
        threshold: row.get(12),
        detail: row.get(13),
        acknowledged_by: row.get(14),
        acknowledged_at: row.get(15),
        acknowledge_comment: row.get(16),
        shelved_until: row.get(17),
        shelved_by: row.get(18),
        shelve_reason: row.get(19),
        activation: row.get(20),
    }
}

/// Something that happened to an alarm. Words as in `alarm_events`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Order of insertion.
    pub id: i64,
    /// `sensor` or `system`.
    pub source_type: String,
    /// The sensor, or what of the system.
    pub source: String,
    /// Which of its conditions.
    pub condition: String,
    /// What happened.
    pub event: String,
    /// When; event time of a sensor's reading.
    pub occurred_at: Timestamp,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// In which way it was active.
    pub level: Option<String>,
    /// 1 to 1000.
    pub severity: i16,
    /// Whether it was chattering.
    pub chattering: bool,
    /// The reading's value.
    pub value: Option<f64>,
    /// What the value passed.
    pub threshold: Option<f64>,
    /// More in one sentence.
    pub detail: Option<String>,
    /// Consumer, monitor or person.
    pub by_whom: String,
}

/// The latest events before `id`, newest first, `limit` at most.
///
/// # Errors
/// Transient ones.
pub async fn events_before(store: &Store, id: i64, limit: i64) -> Result<Vec<Event>> {
    const DOING: &str = "reading what happened to alarms";
    let statement = "SELECT id, source_type, source, condition, event, occurred_at, recorded_at, level, severity, chattering, \
                    value, threshold, detail, by_whom FROM alarm_events WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let rows = store.query(DOING, statement, &[&id, &limit]).await?;
    let event = |row: &tokio_postgres::Row| Event {
        id: row.get(0),
        source_type: row.get(1),
        source: row.get(2),
        condition: row.get(3),
        event: row.get(4),
        occurred_at: row.get(5),
        recorded_at: row.get(6),
        level: row.get(7),
        severity: row.get(8),
        chattering: row.get(9),
        value: row.get(10),
        threshold: row.get(11),
        detail: row.get(12),
        by_whom: row.get(13),
    };
    Ok(rows.iter().map(event).collect())
}

/// Limits of one sensor as they stand in `alarm_limits`; delays in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// At or above is high-high.
    pub high_high: Option<f64>,
    /// At or above is high.
    pub high: Option<f64>,
    /// At or below is low.
    pub low: Option<f64>,
    /// At or below is low-low.
    pub low_low: Option<f64>,
    /// How far inside a value counts as back.
    pub deadband: f64,
    /// OnDelay.
    pub on_delay_s: f64,
    /// OffDelay.
    pub off_delay_s: f64,
    /// Whether what is unusual is an alarm, too.
    pub deviation: bool,
}

/// The limits of every sensor that has its own.
///
/// # Errors
/// Transient ones.
pub async fn limits(store: &Store) -> Result<HashMap<String, Limits>> {
    const DOING: &str = "reading the alarm limits";
    let statement = "SELECT sensor_id, high_high, high, low, low_low, deadband, on_delay_s, off_delay_s, deviation \
               FROM alarm_limits";
    let rows = store.query(DOING, statement, &[]).await?;
    let limits = |row: &tokio_postgres::Row| Limits {
        high_high: row.get(1),
        high: row.get(2),
        low: row.get(3),
        low_low: row.get(4),
        deadband: row.get(5),
        on_delay_s: row.get(6),
        off_delay_s: row.get(7),
        deviation: row.get(8),
    };
    Ok(rows.iter().map(|row| (row.get(0), limits(row))).collect())
}
