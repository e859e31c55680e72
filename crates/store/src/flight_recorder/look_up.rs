//! What is asked of the record: by instant, by time, by cause, by id. Read-only; every answer is bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;
use verdicts::Ownership;

use super::verdicts::ownership_of;
use super::{BLIND_AFTER_S, MOST_ROWS};
use crate::connect::Store;
use crate::error::Result;

const DOING: &str = "looking up the record";

/// A consumer's colour and pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// From 0.
    pub slot: i32,
    /// Its group.
    pub group_id: String,
    /// The consumer.
    pub consumer_id: String,
}

/// Which rebalances.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this group.
    pub group: Option<String>,
    /// With this cause.
    pub cause: Option<String>,
    /// Noticed from here on.
    pub from: Option<Timestamp>,
    /// Noticed before this.
    pub until: Option<Timestamp>,
    /// Those behind this one.
    pub cursor: Option<Cursor>,
    /// At most.
    pub limit: i64,
    /// With their evidence; without it, the list is empty.
    pub evidence: bool,
}

/// The last rebalance of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// Its id.
    pub id: String,
}

/// A rebalance as it is drawn and counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// Its id.
    pub id: String,
    /// Group.
    pub group_id: String,
    /// Name of its cause.
    pub cause: String,
    /// `certain`, `likely` or `none`.
    pub confidence: String,
    /// Who caused it.
    pub subjects: Vec<String>,
    /// When it began to matter.
    pub began_at: Timestamp,
    /// When the group acted first.
    pub noticed_at: Timestamp,
    /// When every partition was read again.
    pub ended_at: Option<Timestamp>,
    /// Still going on.
    pub open: bool,
    /// The longest dark time, ms.
    pub dark_max_ms: Option<f64>,
    /// Partitions that moved.
    pub moved: i32,
    /// The fewest that had to.
    pub fewest: i32,
    /// Grows when it is judged otherwise.
    pub revision: i32,
    /// Milliseconds with two owners.
    pub two_owners_ms: f64,
    /// Writes that the database refused.
    pub refusals: i64,
    /// Nobody had some partition afterwards.
    pub orphaned: bool,
    /// `consumer`, `cooperative-sticky` or `range`.
    pub protocol: String,
}

/// Rebalances that are drawn at once, at the most.
pub const BRIEFS: i64 = 2_000;

/// A note to a rebalance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// What.
    pub text: String,
}

/// A time in which a partition was dark.
#[derive(Clone, Debug, PartialEq)]
pub struct Dark {
    /// Group.
    pub group_id: String,
    /// Partition.
    pub partition: i32,
    /// When the first record that waited was appended.
    pub from: Timestamp,
    /// When the group noticed.
    pub noticed: Option<Timestamp>,
    /// When the new owner could write.
    pub claimed: Option<Timestamp>,
    /// When its first batch was committed.
    pub until: Option<Timestamp>,
    /// The rebalance.
    pub rebalance_id: String,
}

/// An ownership as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    /// Group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Colour and pattern; `None` before it was given one.
    pub slot: Option<i32>,
    /// From here.
    pub from: Timestamp,
    /// To before here; `None` while it lasts.
    pub until: Option<Timestamp>,
    /// Whether the owner learned of its end afterwards.
    pub lost: bool,
}

/// A run of whole buckets in which a partition had the same owner for most of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The owner's slot.
    pub slot: Option<i32>,
    /// Begin of the first bucket.
    pub from: Timestamp,
    /// End of the last one.
    pub until: Timestamp,
    /// Ownerships that began in it, beyond the first.
    pub changes: i64,
}

/// A sample of how many records waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// When.
    pub at: Timestamp,
    /// The most records in its bucket.
    pub records: i64,
}

/// A process at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeAt {
    /// Consumer.
    pub consumer_id: String,
    /// Group.
    pub group_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// Its last heartbeat of all.
    pub last_beat: Timestamp,
    /// The last heartbeat before a silence that the instant lies in.
    pub silent_since: Option<Timestamp>,
    /// What it said with its last heartbeat of all.
    pub status: String,
    /// Session time-out, ms.
    pub session_timeout_ms: i32,
}

/// The slots that were handed out.
///
/// # Errors
/// Transient ones.
pub async fn slots(store: &Store) -> Result<Vec<Slot>> {
    let rows = store
        .query(DOING, "SELECT slot, group_id, consumer_id FROM consumer_slots ORDER BY slot LIMIT 5000", &[])
        .await?;
    Ok(rows.iter().map(|row| Slot { slot: row.get(0), group_id: row.get(1), consumer_id: row.get(2) }).collect())
}

/// Since when anything was recorded; `None` before the first.
///
/// # Errors
/// Transient ones.
pub async fn recorded_since(store: &Store) -> Result<Option<Timestamp>> {
    let rows = store.query(DOING, "SELECT min(from_at) FROM recorder_spans", &[]).await?;
    Ok(rows[0].get(0))
}

/// The verdicts that are asked for, newest first, as they were written; a part of another one is left out.
///
/// # Errors
/// Transient ones.
pub async fn filtered(store: &Store, filter: &Filter) -> Result<Vec<Value>> {
    let cursor = filter.cursor.as_ref();
    let rows = store.query(
        DOING,
        "SELECT CASE WHEN $8 THEN verdict ELSE verdict - 'evidence' || '{\"evidence\": []}' END FROM rebalances \
          WHERE part_of IS NULL AND ($1::text IS NULL OR group_id = $1) AND ($2::text IS NULL OR cause = $2) \
            AND noticed_at >= coalesce($3::timestamptz, '-infinity') AND noticed_at < coalesce($4::timestamptz, 'infinity') \
            AND ($5::timestamptz IS NULL OR (noticed_at, id) < ($5, $6)) \
          ORDER BY noticed_at DESC, id DESC LIMIT $7",
        &[
            &filter.group,
            &filter.cause,
            &filter.from,
            &filter.until,
            &cursor.map(|cursor| cursor.noticed_at),
            &cursor.map(|cursor| cursor.id.as_str()),
            &filter.limit,
            &filter.evidence,
        ],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The same, as they are drawn: at most [`BRIEFS`], newest first.
///
/// # Errors
/// Transient ones.
pub async fn briefs(store: &Store, from: Timestamp, until: Timestamp) -> Result<Vec<Brief>> {
    let statement = "
        SELECT id, group_id, cause, confidence, subjects, began_at, noticed_at, ended_at, open, dark_max_ms, moved, fewest,
               revision, two_owners_ms, refusals, orphaned, protocol
          FROM rebalances
         WHERE part_of IS NULL AND noticed_at <= $2 AND (noticed_at >= $1 OR open OR ended_at >= $1 AND noticed_at > $1::timestamptz - interval '1 hour')
         ORDER BY noticed_at DESC, id DESC LIMIT $3";
    let brief = |row: &Row| Brief {
        id: row.get(0),
        group_id: row.get(1),
        cause: row.get(2),
        confidence: row.get(3),
        subjects: row.get(4),
        began_at: row.get(5),
        noticed_at: row.get(6),
        ended_at: row.get(7),
        open: row.get(8),
        dark_max_ms: row.get(9),
        moved: row.get(10),
        fewest: row.get(11),
        revision: row.get(12),
        two_owners_ms: row.get(13),
        refusals: row.get(14),
        orphaned: row.get(15),
        protocol: row.get(16),
    };
    Ok(store.query(DOING, statement, &[&from, &until, &BRIEFS]).await?.iter().map(brief).collect())
}

/// Rows of a topic that were stored in each step of a time; of all topics without one.
///
/// # Errors
/// Transient ones.
pub async fn rows_between(
    store: &Store,
    topic: Option<&str>,
    from: Timestamp,
    until: Timestamp,
    by_minute: bool,
    step_s: i64,
) -> Result<Vec<(Timestamp, i64)>> {
    let statement = "
        SELECT to_timestamp(floor(extract(epoch FROM bucket)::float8 / $4::float8) * $4::float8), sum(stored_rows)::bigint FROM throughput
         WHERE resolution_s = $1::smallint AND bucket >= $2::timestamptz AND bucket <= $3
           AND ($5::text IS NULL OR log_id IN (SELECT log_id FROM kafka_logs WHERE topic = $5))
         GROUP BY 1 ORDER BY 1 LIMIT 5000";
    let resolution: i16 = if by_minute { 60 } else { 1 };
    let rows = store.query(DOING, statement, &[&resolution, &from, &until, &(step_s as f64), &topic]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A time of a partition in which nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub until: Timestamp,
}

/// Times of more than `least_s` seconds in which nothing of a partition was stored.
///
/// # Errors
/// Transient ones.
pub async fn quiet_between(
    store: &Store,
    from: Timestamp,
    until: Timestamp,
    by_minute: bool,
    least_s: i64,
) -> Result<Vec<Quiet>> {
    let statement = "
        SELECT topic, partition_number, since, bucket FROM (
            SELECT topic, partition_number, bucket,
                   lag(bucket + resolution_s * interval '1 s', 1, $2::timestamptz) OVER (PARTITION BY topic, partition_number ORDER BY bucket) AS since
              FROM (SELECT topic, partition_number, bucket, resolution_s FROM throughput JOIN kafka_logs USING (log_id)
                     WHERE resolution_s = $1::smallint AND bucket >= $2::timestamptz AND bucket <= $3 AND stored_rows > 0
                    UNION ALL
                    SELECT DISTINCT topic, partition_number, $3::timestamptz, $1::smallint FROM ownership WHERE during && tstzrange($2, $3)) b) gaps
         WHERE bucket - since > $4::float8 * interval '1 s' ORDER BY 1, 2, 3 LIMIT $5";
    let resolution: i16 = if by_minute { 60 } else { 1 };
    let rows = store.query(DOING, statement, &[&resolution, &from, &until, &(least_s as f64), &MOST_ROWS]).await?;
    let quiet = |row: &Row| Quiet { topic: row.get(0), partition: row.get(1), from: row.get(2), until: row.get(3) };
    Ok(rows.iter().map(quiet).collect())
}

/// How many ownerships touch a time, counted no further than `most`.
///
/// # Errors
/// Transient ones.
pub async fn count_owned(store: &Store, from: Timestamp, until: Timestamp, most: i64) -> Result<i64> {
    let statement = "SELECT count(*) FROM (SELECT FROM ownership WHERE during && tstzrange($1, $2, '[]') LIMIT $3) few";
    Ok(store.query(DOING, statement, &[&from, &until, &most]).await?[0].get(0))
}

/// One verdict with its evidence.
///
/// # Errors
/// Transient ones.
pub async fn rebalance(store: &Store, id: &str) -> Result<Option<Value>> {
    let rows = store.query(DOING, "SELECT verdict FROM rebalances WHERE id = $1", &[&id]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// What people wrote to it, oldest first.
///
/// # Errors
/// Transient ones.
pub async fn notes(store: &Store, id: &str) -> Result<Vec<Note>> {
    let statement =
        "SELECT written_at, author, body FROM rebalance_notes WHERE rebalance_id = $1 ORDER BY id LIMIT 1000";
    let rows = store.query(DOING, statement, &[&id]).await?;
    Ok(rows.iter().map(|row| Note { at: row.get(0), author: row.get(1), text: row.get(2) }).collect())
}

/// Who had what at an instant: one look-up, however long the history.
///
/// # Errors
/// Transient ones.
pub async fn assigned_at(store: &Store, at: Timestamp) -> Result<Vec<Ownership>> {
    let statement =
        "SELECT * FROM ownership WHERE during @> $1::timestamptz ORDER BY group_id, topic, partition_number, from_at";
    Ok(store.query(DOING, statement, &[&at]).await?.iter().map(ownership_of).collect())
}

/// Processes that had beaten by an instant, and not ended long before it.
///
/// # Errors
/// Transient ones.
pub async fn lives_at(store: &Store, at: Timestamp) -> Result<Vec<LifeAt>> {
    let statement = "
        SELECT DISTINCT ON (l.group_id, l.consumer_id) l.consumer_id, l.group_id, l.boot_id, l.last_beat, g.from_at, l.status,
               l.session_timeout_ms
          FROM consumer_lives l
          LEFT JOIN heartbeat_gaps g ON g.boot_id = l.boot_id AND g.from_at < $1 AND g.until_at > $1
         WHERE l.first_beat <= $1 AND l.last_beat > $1::timestamptz - interval '10 minutes'
         ORDER BY l.group_id, l.consumer_id, l.first_beat DESC";
    let life = |row: &Row| LifeAt {
        consumer_id: row.get(0),
        group_id: row.get(1),
        boot_id: row.get(2),
        last_beat: row.get(3),
        silent_since: row.get(4),
        status: row.get(5),
        session_timeout_ms: row.get(6),
    };
    Ok(store.query(DOING, statement, &[&at]).await?.iter().map(life).collect())
}

/// Ownerships that touch a time, by partition and begin; the most that are read is [`MOST_ROWS`].
///
/// # Errors
/// Transient ones.
pub async fn owned_between(store: &Store, from: Timestamp, until: Timestamp) -> Result<Vec<Owned>> {
    let statement = "
        SELECT o.group_id, o.topic, o.partition_number, s.slot, o.from_at, o.until_at, o.ended IS NOT DISTINCT FROM 'lost'
          FROM ownership o LEFT JOIN consumer_slots s ON (s.group_id, s.consumer_id) = (o.group_id, o.consumer_id)
         WHERE o.during && tstzrange($1, $2, '[]')
         ORDER BY o.group_id, o.topic, o.partition_number, o.from_at LIMIT $3";
    let owned = |row: &Row| Owned {
        group_id: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        slot: row.get(3),
        from: row.get(4),
        until: row.get(5),
        lost: row.get(6),
    };
    Ok(store.query(DOING, statement, &[&from, &until, &MOST_ROWS]).await?.iter().map(owned).collect())
}

/// The same, by whole buckets: who had most of each, and how often that changed within.
///
/// # Errors
/// Transient ones.
pub async fn stretches(store: &Store, from: Timestamp, until: Timestamp, bucket_ms: i64) -> Result<Vec<Stretch>> {
    let statement = "
        WITH owned AS (
            SELECT o.group_id, o.topic, o.partition_number AS p, s.slot,
                   greatest(o.from_at, $1::timestamptz) AS a, least(coalesce(o.until_at, $2::timestamptz), $2) AS b, o.from_at >= $1 AS begins
              FROM ownership o LEFT JOIN consumer_slots s ON (s.group_id, s.consumer_id) = (o.group_id, o.consumer_id)
             WHERE o.during && tstzrange($1, $2)),
        /* Only the buckets that an ownership begins or ends in are looked into; between them nothing changes. */
        edges AS (
            SELECT group_id, topic, p, slot, begins, a, b,
                   floor(extract(epoch FROM a - $1)::float8 * 1000 / $3::float8)::bigint AS first,
                   floor(extract(epoch FROM b - $1)::float8 * 1000 / $3::float8)::bigint AS last
              FROM owned),
        shares AS (
            SELECT group_id, topic, p, slot, first AS bucket, begins,
                   extract(epoch FROM least(b, $1 + (first + 1) * $3::float8 * interval '1 ms') - a) AS share FROM edges
            UNION ALL
            SELECT group_id, topic, p, slot, last, false,
                   extract(epoch FROM b - ($1 + last * $3::float8 * interval '1 ms')) FROM edges WHERE last > first),
        summed AS (
            SELECT group_id, topic, p, bucket, slot, sum(share) AS share, count(*) FILTER (WHERE begins) AS begun
              FROM shares GROUP BY 1, 2, 3, 4, 5),
        best AS (
            SELECT DISTINCT ON (group_id, topic, p, bucket) group_id, topic, p, bucket, slot,
                   sum(begun) OVER (PARTITION BY group_id, topic, p, bucket) AS begun
              FROM summed ORDER BY group_id, topic, p, bucket, share DESC),
        runs AS (
            SELECT group_id, topic, p, slot, bucket AS a, bucket + 1 AS b, begun FROM best
            UNION ALL
            SELECT group_id, topic, p, slot, first + 1, last, 0 FROM edges WHERE last > first + 1),
        marked AS (
            SELECT *, slot IS DISTINCT FROM lag(slot) OVER w OR a > lag(b) OVER w AS new FROM runs
            WINDOW w AS (PARTITION BY group_id, topic, p ORDER BY a, b)),
        numbered AS (
            SELECT *, sum(CASE WHEN new IS NOT FALSE THEN 1 ELSE 0 END) OVER (PARTITION BY group_id, topic, p ORDER BY a, b) AS run
              FROM marked)
        SELECT group_id, topic, p, slot, $1 + min(a) * $3::float8 * interval '1 ms', least($2, $1 + max(b) * $3::float8 * interval '1 ms'),
               greatest(sum(begun)::bigint - 1, 0)
          FROM numbered GROUP BY group_id, topic, p, slot, run ORDER BY 1, 2, 3, 5 LIMIT $4";
    let stretch = |row: &Row| Stretch {
        group_id: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        slot: row.get(3),
        from: row.get(4),
        until: row.get(5),
        changes: row.get(6),
    };
    let most = MOST_ROWS * 5;
    Ok(store.query(DOING, statement, &[&from, &until, &(bucket_ms as f64), &most]).await?.iter().map(stretch).collect())
}

/// Dark times that touch a time, by group, partition and begin.
///
/// # Errors
/// Transient ones.
pub async fn dark_between(store: &Store, from: Timestamp, until: Timestamp) -> Result<Vec<Dark>> {
    let statement = "
        SELECT group_id, partition_number, dark_from, noticed_at, claimed_at, dark_until, rebalance_id FROM handovers
         WHERE during && tstzrange($1, $2, '[]') ORDER BY group_id, partition_number, dark_from LIMIT $3";
    let dark = |row: &Row| Dark {
        group_id: row.get(0),
        partition: row.get(1),
        from: row.get(2),
        noticed: row.get(3),
        claimed: row.get(4),
        until: row.get(5),
        rebalance_id: row.get(6),
    };
    Ok(store.query(DOING, statement, &[&from, &until, &MOST_ROWS]).await?.iter().map(dark).collect())
}

/// When nobody recorded, within a time: between the spans of recorders, and since the last of them.
///
/// # Errors
/// Transient ones.
pub async fn blind_spans(
    store: &Store,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(Timestamp, Option<Timestamp>)>> {
    let statement = "
        SELECT until_at, next_at FROM (
            SELECT until_at, lead(from_at) OVER (ORDER BY from_at) AS next_at FROM recorder_spans
             WHERE until_at >= $1::timestamptz - interval '31 days') spans
         WHERE coalesce(next_at, clock_timestamp()) - until_at > $3::float8 * interval '1 s' AND until_at <= $2
           AND coalesce(next_at, 'infinity') >= $1 ORDER BY until_at LIMIT 5000";
    Ok(store
        .query(DOING, statement, &[&from, &until, &BLIND_AFTER_S])
        .await?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

/// Brokers that the cluster did not list, within a time: broker, from, until.
///
/// # Errors
/// Transient ones.
pub async fn brokers_down(
    store: &Store,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(i32, Timestamp, Option<Timestamp>)>> {
    let statement = "
        WITH seen AS (
            SELECT seen_at, lead(seen_at) OVER (ORDER BY seen_at, id) AS next_at, body FROM observations
             WHERE kind = 'brokers' AND seen_at <= $2 AND seen_at > $1::timestamptz - interval '1 day')
        SELECT d.broker::int, s.seen_at, s.next_at FROM seen s, jsonb_array_elements_text(s.body->'down') AS d(broker)
         WHERE coalesce(s.next_at, 'infinity') >= $1 ORDER BY 1, 2 LIMIT 5000";
    let rows = store.query(DOING, statement, &[&from, &until]).await?;
    let mut spans: Vec<(i32, Timestamp, Option<Timestamp>)> = Vec::new();
    for row in &rows {
        let (broker, from, until): (i32, Timestamp, Option<Timestamp>) = (row.get(0), row.get(1), row.get(2));
        match spans.last_mut() {
            // The list changed, and this broker was missing in both.
            Some(last) if last.0 == broker && last.2 == Some(from) => last.2 = until,
            _ => spans.push((broker, from, until)),
        }
    }
    Ok(spans)
}

/// How many records of a group waited, the most of each step.
///
/// # Errors
/// Transient ones.
pub async fn lag_between(
    store: &Store,
    group_id: &str,
    from: Timestamp,
    until: Timestamp,
    step_s: i64,
) -> Result<Vec<Lag>> {
    let statement = "
        SELECT to_timestamp(floor(extract(epoch FROM at)::float8 / $4::float8) * $4::float8), max(records) FROM lag_samples
         WHERE resolution_s = $5 AND group_id = $1 AND at >= $2 AND at <= $3 GROUP BY 1 ORDER BY 1 LIMIT 5000";
    let resolution: i16 = if step_s < 60 { 5 } else { 60 };
    let rows = store.query(DOING, statement, &[&group_id, &from, &until, &(step_s as f64), &resolution]).await?;
    Ok(rows.iter().map(|row| Lag { at: row.get(0), records: row.get(1) }).collect())
}

/// How many records of all groups waited at an instant, by the last sample before it; `None` when that is long ago.
///
/// # Errors
/// Transient ones.
pub async fn lag_records_at(store: &Store, at: Timestamp) -> Result<Option<i64>> {
    let statement = "
        SELECT sum(l.records)::bigint FROM (SELECT DISTINCT group_id FROM consumer_slots) g,
               LATERAL (SELECT records FROM lag_samples l WHERE l.resolution_s = 5 AND l.group_id = g.group_id AND l.at <= $1
                           AND l.at > $1::timestamptz - interval '15 s' ORDER BY l.at DESC LIMIT 1) l";
    Ok(store.query(DOING, statement, &[&at]).await?[0].get(0))
}

/// The longest that a record waited to be stored since an instant, in milliseconds, whoever was to blame: from when it
/// was appended, or its partition's batch before was committed, until its own was. 0 when nothing was stored.
///
/// # Errors
/// Transient ones.
pub async fn longest_wait(store: &Store, since: Timestamp) -> Result<f64> {
    let statement = "
        SELECT coalesce(max(extract(epoch FROM seen - greatest(first_append_at, before)))::float8 * 1000, 0) FROM (
            SELECT coalesce(committed_at, stored_at) AS seen, first_append_at,
                   lag(coalesce(committed_at, stored_at)) OVER (PARTITION BY target, log_id, partition_number ORDER BY first_offset) AS before
              FROM batch_ledger_commits WHERE kind = 'batch' AND stored_at >= $1::timestamptz - interval '5 s') batches
         WHERE before IS NOT NULL AND seen >= $1";
    Ok(store.query(DOING, statement, &[&since]).await?[0].get(0))
}

/// `host:port` of the coordinator of the group that reads a topic, as it described the group last.
///
/// # Errors
/// Transient ones.
pub async fn coordinator(store: &Store, topic: &str) -> Result<Option<String>> {
    let statement = "SELECT body->>'coordinator' FROM observations WHERE kind = 'group' AND body ? 'coordinator' \
                        AND subject IN (SELECT group_id FROM consumer_lives WHERE topic = $1) ORDER BY seen_at DESC LIMIT 1";
    Ok(store.query(DOING, statement, &[&topic]).await?.first().and_then(|row| row.get(0)))
}

/// What each consumer's latest process reads, by that process's start.
///
/// # Errors
/// Transient ones.
pub async fn topics_read(store: &Store) -> Result<BTreeMap<Uuid, String>> {
    let statement = "SELECT boot_id, topic FROM consumer_health JOIN consumer_lives USING (boot_id)";
    Ok(store.query(DOING, statement, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}
