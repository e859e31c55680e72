//! What the recorder sees from outside, and that it is there to see it.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::BLIND_AFTER_S;
use crate::connect::Store;
use crate::error::{Error, Result};
use crate::event_stream::Recorder;
use crate::retention::trim_table;

/// Something that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// `group`, `brokers`, `topic` or `sessions`.
    pub kind: &'static str,
    /// The group, the cluster, the topic, the consumer.
    pub subject: String,
    /// What was seen.
    pub body: Value,
    /// Milliseconds before now that it was seen, and that it was still otherwise.
    pub age_ms: (i64, i64),
}

/// The last that was seen of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// As in [`Observation`].
    pub kind: String,
    /// As in [`Observation`].
    pub subject: String,
    /// What was seen.
    pub body: Value,
}

/// The latest observation of each subject.
///
/// # Errors
/// Transient ones.
pub async fn last_observations(store: &Store) -> Result<Vec<Seen>> {
    const DOING: &str = "reading the last observations";
    let client = store.pooled().await?;
    let statement = "SELECT DISTINCT ON (kind, subject) kind, subject, body FROM observations \
                      ORDER BY kind, subject, seen_at DESC, id DESC";
    let rows = client.query(statement, &[]).await.map_err(Error::doing(DOING))?;
    Ok(rows.iter().map(|row| Seen { kind: row.get(0), subject: row.get(1), body: row.get(2) }).collect())
}

/// Groups that have a journal, each with its topic: those of the last 31 days.
///
/// # Errors
/// Transient ones.
pub async fn known_groups(store: &Store) -> Result<Vec<(String, String)>> {
    const DOING: &str = "listing the groups";
    let client = store.pooled().await?;
    let rows = client.query("SELECT DISTINCT group_id, topic FROM consumer_lives ORDER BY 1, 2", &[]).await;
    Ok(rows.map_err(Error::doing(DOING))?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

impl Recorder {
    /// Notes that it is there: its span goes on, or, after a time without one, a new one begins. The blind time before
    /// it, once, when there was one; that is told on the stream, too.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn mark_presence(&self, name: &str) -> Result<Option<(Timestamp, Timestamp)>> {
        const DOING: &str = "noting that the recorder is there";
        let client = self.client();
        let extended = client
            .execute(
                "UPDATE recorder_spans SET until_at = clock_timestamp() \
                  WHERE id = (SELECT id FROM recorder_spans ORDER BY until_at DESC, id DESC LIMIT 1) AND recorder = $1 \
                    AND until_at > clock_timestamp() - $2 * interval '1 second'",
                &[&name, &BLIND_AFTER_S],
            )
            .await
            .map_err(Error::doing(DOING))?;
        if extended > 0 {
            return Ok(None);
        }
        let row = client
            .query_one(
                "WITH before AS (SELECT max(until_at) AS until_at FROM recorder_spans), began AS ( \
                     INSERT INTO recorder_spans (recorder, from_at, until_at) \
                     VALUES ($1, clock_timestamp(), clock_timestamp()) RETURNING from_at), \
                 told AS ( \
                     INSERT INTO event_stream (kind, occurred_at, body) \
                     SELECT 'recorder', before.until_at, jsonb_build_object('from', before.until_at, 'until', began.from_at, \
                            'why', 'the recorder or its database was away') \
                       FROM before, began WHERE began.from_at - before.until_at > $2 * interval '1 second') \
                 SELECT before.until_at, began.from_at FROM before, began",
                &[&name, &BLIND_AFTER_S],
            )
            .await
            .map_err(Error::doing(DOING))?;
        let (before, now): (Option<Timestamp>, Timestamp) = (row.get(0), row.get(1));
        Ok(before
            .filter(|before| now.duration_since(*before).as_secs_f64() > BLIND_AFTER_S)
            .map(|before| (before, now)))
    }

    /// Keeps what has changed.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn observe(&self, name: &str, changes: &[Observation]) -> Result<()> {
        const DOING: &str = "keeping an observation";
        for change in changes {
            let (seen, before) = change.age_ms;
            self.client()
                .execute(
                    "INSERT INTO observations (kind, subject, not_before, seen_at, body, seen_by) \
                     VALUES ($1, $2, clock_timestamp() - $3::bigint * interval '1 ms', \
                             clock_timestamp() - $4::bigint * interval '1 ms', $5, $6)",
                    &[&change.kind, &change.subject, &before, &seen, &Json(&change.body), &name],
                )
                .await
                .map_err(Error::doing(DOING))?;
        }
        Ok(())
    }

    /// Gives every consumer that has none a slot, and tells it on the stream.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn hand_out_slots(&self) -> Result<u64> {
        let statement = "
            WITH new AS (
                SELECT l.group_id, l.consumer_id, min(l.first_beat) AS first_beat FROM consumer_lives l
                 WHERE NOT EXISTS (SELECT FROM consumer_slots s
                                    WHERE (s.group_id, s.consumer_id) = (l.group_id, l.consumer_id))
                 GROUP BY 1, 2),
            given AS (
                INSERT INTO consumer_slots (slot, group_id, consumer_id)
                SELECT coalesce((SELECT max(slot) + 1 FROM consumer_slots), 0)
                           + row_number() OVER (ORDER BY first_beat, consumer_id) - 1, group_id, consumer_id FROM new
                RETURNING slot, group_id, consumer_id)
            INSERT INTO event_stream (kind, occurred_at, body)
            SELECT 'slot', clock_timestamp(), to_jsonb(given) FROM given";
        self.client().execute(statement, &[]).await.map_err(Error::doing("giving consumers their slots"))
    }

    /// Keeps how many records wait.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn sample_lag(&self, group_id: &str, records: i64) -> Result<()> {
        let statement = "INSERT INTO lag_samples AS s (resolution_s, group_id, at, records) \
                         VALUES (5, $1, date_trunc('second', clock_timestamp()), $2), \
                                (60, $1, date_trunc('minute', clock_timestamp()), $2) \
                         ON CONFLICT (resolution_s, group_id, at) DO UPDATE SET records = greatest(s.records, EXCLUDED.records)";
        self.client()
            .execute(statement, &[&group_id, &records])
            .await
            .map_err(Error::doing("keeping a sample of the lag"))?;
        Ok(())
    }

    /// Drops what is older than 31 days of the recorder's own tables. How many rows.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn trim(&self) -> Result<u64> {
        let mut trimmed = 0;
        for (table, column) in [
            ("observations", "seen_at"),
            ("recorder_spans", "until_at"),
            ("ownership", "until_at"),
            ("rebalances", "noticed_at"),
            ("drills", "began_at"),
            ("lag_samples", "at"),
        ] {
            trimmed += trim_table(self.client(), table, &format!("{column} < now() - interval '31 days'")).await?;
        }
        Ok(trimmed)
    }
}
