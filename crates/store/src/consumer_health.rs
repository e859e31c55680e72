//! `consumer_health`: one heartbeat row per consumer.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::connect::Store;
use crate::count::{signed, unsigned};
use crate::error::{Error, Result};

/// One assigned partition as its consumer shows it: an element of `partition_states`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Partition number.
    pub partition: i32,
    /// Name of its state: claiming, opening, reading, proving, paused, quarantined, settling.
    pub state: Cow<'static, str>,
    /// Why, for paused, quarantined, and claiming that does not go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Next offset to be read.
    pub position: i64,
    /// Next offset in the database.
    pub stored: Option<i64>,
    /// End of the log, as last asked.
    pub log_end: Option<i64>,
}

/// What a consumer says of itself once a second.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// `starting`, `running`, `paused`, `stopping` or `stopped`.
    pub status: &'static str,
    /// Its consumer group.
    pub group_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Partitions that Kafka counts as assigned to it, ascending.
    pub assigned_partitions: Vec<i32>,
    /// Each assigned partition with its named state.
    pub partition_states: Vec<PartitionState>,
    /// Records committed in the last 60 s.
    pub processed_last_minute: u64,
    /// Journal events in the spool that have not reached the database.
    pub journal_waiting: u64,
    /// Journal events dropped by a full spool since the start.
    pub journal_dropped: u64,
    /// What its group expects of it.
    pub terms: Terms,
    /// Since its poll thread asked Kafka's client last; `None` before the first time.
    pub poll_age: Option<Duration>,
    /// Where its monotonic clock begins by the server's clock, once that was measured.
    pub zero: Option<Zero>,
    /// Its wall clock minus the server's, in microseconds.
    pub clock_skew_us: Option<i64>,
    /// Generation or member epoch of its last callback; -1 before the first.
    pub generation: i32,
    /// Member id of its last callback.
    pub member_id: String,
}

/// What a member's group expects of it, for as long as the process lives.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Topic that it reads.
    pub topic: String,
    /// `group.instance.id` of a static member.
    pub static_id: Option<String>,
    /// `consumer` (KIP-848), `cooperative-sticky` or `range`.
    pub protocol: &'static str,
    /// Session time-out that it asks for.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`.
    pub poll_interval: Duration,
}

/// The instant that a process counts its monotonic clock from, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zero {
    /// That instant.
    pub at: Timestamp,
    /// How far it may be wrong, in microseconds.
    pub error_us: i64,
}

/// Writes the heartbeat, into the row of the consumer and into that of the process's life; its time is the server's.
/// A time without heartbeats before it is kept, too.
///
/// # Errors
/// Transient ones; a lost heartbeat is not repeated.
pub async fn beat(store: &Store, beat: &Heartbeat) -> Result<()> {
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "WITH beat AS (SELECT clock_timestamp() AS at), silence AS (
                 INSERT INTO heartbeat_gaps (boot_id, from_at, until_at)
                 SELECT boot_id, last_beat, beat.at FROM consumer_lives, beat
                  WHERE boot_id = $6 AND beat.at - last_beat > interval '2.5 s'
                 ON CONFLICT DO NOTHING
             ), life AS (
                 INSERT INTO consumer_lives AS l (boot_id, consumer_id, group_id, topic, static_id, session_timeout_ms,
                     poll_interval_ms, first_beat, last_beat, status, zero_at, zero_error_us)
                 SELECT $6, $1, $5, $11, $12, $13, $14, at, at, $2, $15, $16 FROM beat
                 ON CONFLICT (boot_id) DO UPDATE SET last_beat = EXCLUDED.last_beat, status = EXCLUDED.status,
                     zero_at = coalesce(EXCLUDED.zero_at, l.zero_at),
                     zero_error_us = coalesce(EXCLUDED.zero_error_us, l.zero_error_us)
             )
             INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions,
                 messages_processed_last_minute, group_id, boot_id, started_at, partition_states,
                 journal_waiting, journal_dropped, static_id, session_timeout_ms, poll_interval_ms,
                 poll_age_ms, clock_skew_us, generation, member_id, protocol)
             SELECT $1, $2, at, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14, $17, $18, $19, $20, $21 FROM beat
             ON CONFLICT (consumer_id) DO UPDATE SET
                 status = EXCLUDED.status, last_heartbeat = EXCLUDED.last_heartbeat,
                 assigned_partitions = EXCLUDED.assigned_partitions,
                 messages_processed_last_minute = EXCLUDED.messages_processed_last_minute,
                 group_id = EXCLUDED.group_id, boot_id = EXCLUDED.boot_id, started_at = EXCLUDED.started_at,
                 partition_states = EXCLUDED.partition_states, journal_waiting = EXCLUDED.journal_waiting,
                 journal_dropped = EXCLUDED.journal_dropped, static_id = EXCLUDED.static_id,
                 session_timeout_ms = EXCLUDED.session_timeout_ms, poll_interval_ms = EXCLUDED.poll_interval_ms,
                 poll_age_ms = EXCLUDED.poll_age_ms, clock_skew_us = EXCLUDED.clock_skew_us,
                 generation = EXCLUDED.generation, member_id = EXCLUDED.member_id,
                 protocol = EXCLUDED.protocol",
        )
        .await
        .map_err(Error::doing("preparing the consumer's heartbeat"))?;
    client
        .execute(
            &statement,
            &[
                &beat.consumer_id,
                &beat.status,
                &beat.assigned_partitions,
                &signed(beat.processed_last_minute),
                &beat.group_id,
                &beat.boot_id,
                &beat.started_at,
                &Json(&beat.partition_states),
                &signed(beat.journal_waiting),
                &signed(beat.journal_dropped),
                &beat.terms.topic,
                &beat.terms.static_id,
                &milliseconds(beat.terms.session_timeout),
                &milliseconds(beat.terms.poll_interval),
                &beat.zero.map(|zero| zero.at),
                &beat.zero.map(|zero| zero.error_us),
                &beat.poll_age.map(|age| i64::from(milliseconds(age))),
                &beat.clock_skew_us,
                &beat.generation,
                &beat.member_id,
                &beat.terms.protocol,
            ],
        )
        .await
        .map_err(Error::doing("writing the consumer's heartbeat"))?;
    Ok(())
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// A heartbeat as it stands in the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// `starting`, `running`, `paused`, `stopping` or `stopped`: what it said last.
    pub status: String,
    /// Server clock of its last heartbeat.
    pub last_heartbeat: Timestamp,
    /// Seconds since then, by the server's clock; never negative.
    pub age_s: f64,
    /// Its consumer group.
    pub group_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Its partitions; empty where an older build's states cannot be read.
    pub partitions: Vec<PartitionState>,
    /// Records committed in its last 60 s.
    pub processed_last_minute: u64,
    /// Journal events that are not in the database yet.
    pub journal_waiting: u64,
    /// Journal events dropped since its start.
    pub journal_dropped: u64,
    /// `group.instance.id` of a static member.
    pub static_id: Option<String>,
    /// Session time-out, ms; `None` of an older build, as with what follows.
    pub session_timeout_ms: Option<i32>,
    /// `max.poll.interval.ms`.
    pub poll_interval_ms: Option<i32>,
    /// Milliseconds from its last poll to its last heartbeat.
    pub poll_age_ms: Option<i64>,
    /// Its wall clock minus the server's, in microseconds.
    pub clock_skew_us: Option<i64>,
    /// Generation or member epoch; -1 unknown.
    pub generation: i32,
    /// Member id; may be empty.
    pub member_id: String,
    /// Sessions with this database under its name.
    pub sessions: i64,
    /// `consumer` (KIP-848), `cooperative-sticky` or `range`.
    pub protocol: Option<String>,
}

/// The heartbeat rows, by consumer; the 1,000 with the latest heartbeats.
///
/// # Errors
/// Transient ones.
pub async fn all(store: &Store) -> Result<Vec<Row>> {
    const DOING: &str = "reading the consumers' heartbeats";
    let statement = "SELECT consumer_id, status, last_heartbeat, \
                    greatest(0, extract(epoch FROM clock_timestamp() - last_heartbeat))::float8, group_id, boot_id, \
                    started_at, partition_states, messages_processed_last_minute, journal_waiting, journal_dropped, \
                    static_id, session_timeout_ms, poll_interval_ms, poll_age_ms, clock_skew_us, generation, member_id, \
                    (SELECT count(*) FROM pg_stat_activity a WHERE a.application_name = left(consumer_id, 63) \
                        AND a.datname = current_database()), protocol \
               FROM (SELECT * FROM consumer_health ORDER BY last_heartbeat DESC LIMIT 1000) latest \
              ORDER BY consumer_id";
    let rows = store.query(DOING, statement, &[]).await?;
    let row = |row: &tokio_postgres::Row| Row {
        consumer_id: row.get(0),
        status: row.get(1),
        last_heartbeat: row.get(2),
        age_s: row.get(3),
        group_id: row.get(4),
        boot_id: row.get(5),
        started_at: row.get(6),
        partitions: row.try_get::<_, Json<_>>(7).map(|json| json.0).unwrap_or_default(),
        processed_last_minute: unsigned(row.get(8)),
        journal_waiting: unsigned(row.get(9)),
        journal_dropped: unsigned(row.get(10)),
        static_id: row.get(11),
        session_timeout_ms: row.get(12),
        poll_interval_ms: row.get(13),
        poll_age_ms: row.get(14),
        clock_skew_us: row.get(15),
        generation: row.get(16),
        member_id: row.get(17),
        sessions: row.get(18),
        protocol: row.get(19),
    };
    Ok(rows.iter().map(row).collect())
}
