//! What a batch says of its sensors: their states, and what changed about their alarms.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::{Author, BatchWriter, Part};

/// What is remembered of one sensor, to be stored with its readings.
#[derive(Clone, Debug)]
pub struct SensorState {
    /// The sensor.
    pub sensor_id: Arc<str>,
    /// JSON text.
    pub json: String,
}

/// A change of one of a sensor's alarm conditions; words as in `alarm_events`.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The sensor.
    pub sensor_id: Arc<str>,
    /// Offset of the reading that changed it; a condition changes once a reading.
    pub offset: i64,
    /// Which condition.
    pub condition: &'static str,
    /// What happened to it.
    pub event: &'static str,
    /// In which way it is active now.
    pub level: Option<&'static str>,
    /// 1 to 1000.
    pub severity: i16,
    /// Event time of the reading.
    pub occurred_at: Timestamp,
    /// Its value.
    pub value: f64,
    /// What the value passed.
    pub threshold: Option<f64>,
    /// Whether it is chattering.
    pub chattering: bool,
    /// Whether it is an alarm of its own, not one of too many.
    pub told: bool,
}

pub(super) const STATES: &str = "INSERT INTO alarm_states (target, topic, partition_number, sensor_id, state) \
     SELECT $1, k.topic, s.partition_number, s.sensor_id, s.state::json \
       FROM unnest($2::int[], $3::int[], $4::text[], $5::text[]) AS s(log_id, partition_number, sensor_id, state) \
       JOIN kafka_logs k USING (log_id) \
     ON CONFLICT (target, topic, partition_number, sensor_id) DO UPDATE SET state = EXCLUDED.state, updated_at = now()";

/// The events in their order, and the alarm that each of them leads to. A place that told the condition before tells
/// nothing again, and stops nothing. Alarms are written in the order of their keys, so that two writers of the same
/// ones (a key that moved with a growing topic) wait instead of deadlocking; what a batch does not say of an alarm
/// (no new activation: empty) stays as it is then.
pub(super) const TRANSITIONS: &str = "WITH told AS ( \
     SELECT *, l.log_id || '-' || l.partition_number || '-' || l.kafka_offset AS place \
       FROM unnest($1::int[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[], \
                   $9::timestamptz[], $10::float8[], $11::float8[], $12::boolean[], $13::boolean[]) WITH ORDINALITY \
         AS l(log_id, partition_number, kafka_offset, source, condition, event, level, severity, occurred_at, value, \
              threshold, chattering, told, n)), \
     kept AS ( \
     INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, level, severity, chattering, told, \
            value, threshold, by_whom, log_id, partition_number, kafka_offset) \
     SELECT 'sensor', source, condition, event, occurred_at, level, severity, chattering, told, value, threshold, $14, \
            log_id, partition_number, kafka_offset FROM told ORDER BY n ON CONFLICT DO NOTHING), \
     last AS (SELECT DISTINCT ON (source, condition) * FROM told ORDER BY source, condition, n DESC), \
     since AS ( \
     SELECT source, condition, \
            (array_agg(place ORDER BY n DESC) FILTER (WHERE event IN ('raised', 'worsened')))[1] AS activation, \
            (array_agg(occurred_at ORDER BY n DESC) FILTER (WHERE event = 'raised'))[1] AS raised_at, \
            count(*) FILTER (WHERE event = 'raised') AS raised FROM told GROUP BY 1, 2) \
     INSERT INTO alarms AS a (source_type, source, condition, active, level, severity, chattering, activation, \
            activations, raised_at, changed_at, value, threshold, written_by) \
     SELECT 'sensor', source, condition, l.event <> 'returned', l.level, l.severity, l.chattering, \
            coalesce(s.activation, ''), s.raised, coalesce(s.raised_at, l.occurred_at), l.occurred_at, l.value, \
            l.threshold, $14 \
       FROM last l JOIN since s USING (source, condition) ORDER BY source, condition \
     ON CONFLICT (source_type, source, condition) DO UPDATE SET active = EXCLUDED.active, level = EXCLUDED.level, \
            severity = CASE WHEN EXCLUDED.active THEN EXCLUDED.severity ELSE a.severity END, \
            chattering = EXCLUDED.chattering, \
            activation = CASE WHEN EXCLUDED.activation = '' THEN a.activation ELSE EXCLUDED.activation END, \
            activations = a.activations + EXCLUDED.activations, \
            raised_at = CASE WHEN EXCLUDED.activations > 0 THEN EXCLUDED.raised_at ELSE a.raised_at END, \
            changed_at = EXCLUDED.changed_at, value = EXCLUDED.value, threshold = EXCLUDED.threshold, \
            written_by = EXCLUDED.written_by, written_at = now()";

impl BatchWriter {
    /// The states of all sensors that a batch speaks of, and what is told of them.
    pub(super) async fn alarms(&self, author: &Author, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        self.states(parts).await?;
        self.transitions(author, parts).await
    }

    async fn states(&self, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        let states: Vec<(&Part, &SensorState)> =
            parts.iter().flat_map(|part| part.sensors.iter().map(move |state| (part, state))).collect();
        if states.is_empty() {
            return Ok(());
        }
        let log_ids: Vec<i32> = states.iter().map(|(p, _)| p.log_id).collect();
        let partitions: Vec<i32> = states.iter().map(|(p, _)| p.partition).collect();
        let sensors: Vec<&str> = states.iter().map(|(_, s)| &*s.sensor_id).collect();
        let jsons: Vec<&str> = states.iter().map(|(_, s)| &*s.json).collect();
        let values: [&(dyn ToSql + Sync); 5] = [&self.target, &log_ids, &partitions, &sensors, &jsons];
        self.session.client.execute(&self.states, &values).await.map(drop)
    }

    async fn transitions(&self, author: &Author, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        let all: Vec<(&Part, &Transition)> =
            parts.iter().flat_map(|part| part.transitions.iter().map(move |told| (part, told))).collect();
        if all.is_empty() {
            return Ok(());
        }
        let log_ids: Vec<i32> = all.iter().map(|(p, _)| p.log_id).collect();
        let partitions: Vec<i32> = all.iter().map(|(p, _)| p.partition).collect();
        let offsets: Vec<i64> = all.iter().map(|(_, t)| t.offset).collect();
        let sensors: Vec<&str> = all.iter().map(|(_, t)| &*t.sensor_id).collect();
        let conditions: Vec<&str> = all.iter().map(|(_, t)| t.condition).collect();
        let events: Vec<&str> = all.iter().map(|(_, t)| t.event).collect();
        let levels: Vec<Option<&str>> = all.iter().map(|(_, t)| t.level).collect();
        let severities: Vec<i16> = all.iter().map(|(_, t)| t.severity).collect();
        let times: Vec<Timestamp> = all.iter().map(|(_, t)| t.occurred_at).collect();
        let measured: Vec<f64> = all.iter().map(|(_, t)| t.value).collect();
        let thresholds: Vec<Option<f64>> = all.iter().map(|(_, t)| t.threshold).collect();
        let chattering: Vec<bool> = all.iter().map(|(_, t)| t.chattering).collect();
        let told: Vec<bool> = all.iter().map(|(_, t)| t.told).collect();
        let values: [&(dyn ToSql + Sync); 14] = [
            &log_ids,
            &partitions,
            &offsets,
            &sensors,
            &conditions,
            &events,
            &levels,
            &severities,
            &times,
            &measured,
            &thresholds,
            &chattering,
            &told,
            &author.consumer_id,
        ];
        self.session.client.execute(&self.transitions, &values).await.map(drop)
    }
}
