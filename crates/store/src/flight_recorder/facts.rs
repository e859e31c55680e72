//! The facts of one group from an instant on, as `verdicts::judge` takes them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;
use verdicts::Ownership;
use verdicts::fact::{
    Batch, BrokersView, Entry, Facts, GroupView, Kind, Life, Member, SessionsView, Silence, Span, TopicView,
};

use super::BLIND_AFTER_S;
use super::verdicts::ownership_of;
use crate::connect::Store;
use crate::error::{Error, Result};

const DOING: &str = "reading the facts";
/// Rebalances closer than this to one another are judged together.
const TOGETHER_S: f64 = 150.0;
/// Facts of one judgement at the most; what a storm of months would hold.
const MOST: i64 = 50_000;

/// Up to where the facts are known: the last row of each source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    journal: i64,
    observations: i64,
    gaps: Option<Timestamp>,
}

impl News {
    /// A row of the journal was committed now, whatever its id: what lies before it is all that is known.
    pub fn rewind(&mut self, journal_id: i64) {
        self.journal = self.journal.min(journal_id - 1);
    }
}

/// What has come since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earliest {
    /// Groups that something is new of, each with the earliest instant that it speaks of.
    pub groups: Vec<(String, Timestamp)>,
    /// Everything up to here is in it.
    pub up_to: News,
}

/// Up to where the last recorder had judged when it was there last; the beginning, before the first.
///
/// # Errors
/// Transient ones.
pub async fn progress(store: &Store) -> Result<News> {
    let client = store.pooled().await?;
    let row = client
        .query_one(
            "WITH there AS (SELECT max(until_at) - interval '10 s' AS until FROM recorder_spans) \
             SELECT coalesce((SELECT id FROM rebalancing_events, there WHERE received_at < until ORDER BY id DESC LIMIT 1), 0), \
                    coalesce((SELECT id FROM observations, there WHERE seen_at < until ORDER BY id DESC LIMIT 1), 0), \
                    (SELECT max(until_at) FROM heartbeat_gaps, there WHERE until_at < until)",
            &[],
        )
        .await
        .map_err(Error::doing(DOING))?;
    Ok(News { journal: row.get(0), observations: row.get(1), gaps: row.get(2) })
}

/// What has come since `known`, of all groups.
///
/// # Errors
/// Transient ones.
pub async fn news(store: &Store, known: News) -> Result<Earliest> {
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "WITH journal AS (SELECT id, group_id, occurred_at, boot_id FROM rebalancing_events WHERE id > $1 ORDER BY id LIMIT 5000), \
             seen AS (SELECT id, kind, subject, not_before FROM observations WHERE id > $2 ORDER BY id LIMIT 5000), \
             gaps AS (SELECT g.boot_id, g.from_at, g.until_at, l.group_id FROM heartbeat_gaps g JOIN consumer_lives l USING (boot_id) \
                       WHERE g.until_at > $3 ORDER BY g.until_at LIMIT 5000), \
             told AS ( \
                 SELECT group_id, min(occurred_at) AS at FROM journal GROUP BY 1 \
                 UNION ALL SELECT group_id, min(from_at) FROM gaps GROUP BY 1 \
                 UNION ALL SELECT subject, min(not_before) FROM seen WHERE kind = 'group' GROUP BY 1 \
                 UNION ALL SELECT l.group_id, s.at FROM (SELECT DISTINCT group_id FROM consumer_lives) l, \
                           (SELECT min(not_before) AS at FROM seen WHERE kind <> 'group') s WHERE s.at IS NOT NULL \
                 /* who learns late what happened to it: the rebalance that it speaks of is the one then */ \
                 UNION ALL SELECT o.group_id, min(o.until_at) FROM ownership o \
                     WHERE o.boot_id IN (SELECT boot_id FROM journal UNION SELECT boot_id FROM gaps) \
                       AND o.ended IN ('superseded', 'died') AND o.until_at > now() - interval '1 day' GROUP BY 1) \
             SELECT group_id, min(at), (SELECT max(id) FROM journal), (SELECT max(id) FROM seen), \
                    (SELECT max(until_at) FROM gaps) FROM told GROUP BY 1",
        )
        .await
        .map_err(Error::doing(DOING))?;
    let since = known.gaps.unwrap_or(Timestamp::UNIX_EPOCH);
    let rows = client.query(&statement, &[&known.journal, &known.observations, &since]).await;
    let mut found = Earliest { groups: Vec::new(), up_to: known };
    for row in rows.map_err(Error::doing(DOING))? {
        found.groups.push((row.get(0), row.get(1)));
        let up_to = &mut found.up_to;
        up_to.journal = row.get::<_, Option<i64>>(2).unwrap_or(up_to.journal).max(up_to.journal);
        up_to.observations = row.get::<_, Option<i64>>(3).unwrap_or(up_to.observations).max(up_to.observations);
        up_to.gaps = row.get::<_, Option<Timestamp>>(4).or(up_to.gaps);
    }
    Ok(found)
}

/// The instant to judge from, so that no rebalance is cut in two: before the one that reaches up to `wanted`, and before
/// those that follow closely on one another.
///
/// # Errors
/// Transient ones.
pub async fn carried_cut(store: &Store, group_id: &str, wanted: Timestamp) -> Result<Timestamp> {
    const STEPS: usize = 1_000;
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "SELECT min(began_at) FROM rebalances WHERE group_id = $1 AND began_at < $2 \
                AND noticed_at > $2::timestamptz - interval '1 day' \
                AND coalesce(ended_at, noticed_at) > $2::timestamptz - $3 * interval '1 second'",
        )
        .await
        .map_err(Error::doing(DOING))?;
    let mut cut = wanted;
    for _ in 0..STEPS {
        let row = client.query_one(&statement, &[&group_id, &cut, &TOGETHER_S]).await.map_err(Error::doing(DOING))?;
        match row.get::<_, Option<Timestamp>>(0) {
            Some(began) => cut = began - SignedDuration::from_secs(1),
            None => break,
        }
    }
    Ok(cut)
}

/// Everything that was seen of a group from `cut` on, without batches.
///
/// # Errors
/// Transient ones.
pub async fn load(store: &Store, group_id: &str, topic: &str, cut: Timestamp, waiting: Vec<i32>) -> Result<Facts> {
    let client = store.pooled().await?;
    let ask = async |statement: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]| {
        let statement = client.prepare_cached(statement).await.map_err(Error::doing(DOING))?;
        client.query(&statement, values).await.map_err(Error::doing(DOING))
    };
    let as_of: Timestamp = ask("SELECT clock_timestamp()", &[]).await?[0].get(0);
    let carried = ask(
        "SELECT * FROM (SELECT DISTINCT ON (partition_number) * FROM ownership \
                         WHERE group_id = $1 AND topic = $2 AND from_at < $3 ORDER BY partition_number, from_at DESC, fact DESC) last \
         UNION SELECT * FROM ownership WHERE group_id = $1 AND topic = $2 AND from_at < $3 AND during @> $3::timestamptz",
        &[&group_id, &topic, &cut],
    )
    .await?;
    let carried: Vec<Ownership> = carried.iter().map(|row| reopened(ownership_of(row), cut)).collect();
    let boots: Vec<Uuid> = carried.iter().map(|owned| owned.boot_id).collect();
    let kinds = Kind::NAMES.map(|(name, _)| name);
    let journal = ask(
        "SELECT id, occurred_at, clock_error_us, consumer_id, boot_id, boot_sequence, event_type, partition_number, protocol, \
                generation, member_id, claim, kafka_offset, records, detail \
           FROM rebalancing_events WHERE group_id = $1 AND topic = $2 AND occurred_at >= $3 \
            AND event_type = ANY($5) ORDER BY occurred_at LIMIT $4",
        &[&group_id, &topic, &cut, &MOST, &kinds.as_slice()],
    )
    .await?;
    let lives = ask(
        "SELECT boot_id, consumer_id, static_id, first_beat, last_beat, session_timeout_ms, poll_interval_ms \
           FROM consumer_lives WHERE group_id = $1 AND topic = $2 AND (last_beat >= $3::timestamptz - interval '10 minutes' \
            OR boot_id = ANY($4))",
        &[&group_id, &topic, &cut, &boots],
    )
    .await?;
    let silences = ask(
        "SELECT g.boot_id, g.from_at, g.until_at FROM heartbeat_gaps g JOIN consumer_lives l USING (boot_id) \
          WHERE l.group_id = $1 AND g.until_at >= $2",
        &[&group_id, &cut],
    )
    .await?;
    // With the last one before: a change is told by two.
    let views = ask(
        "SELECT id, kind, subject, not_before, seen_at, body FROM observations \
          WHERE seen_at >= $3 AND (kind = 'group' AND subject = $1 OR kind = 'topic' AND subject = $2 OR kind IN ('brokers', 'sessions')) \
         UNION ALL (SELECT id, kind, subject, not_before, seen_at, body FROM observations \
                     WHERE kind = 'group' AND subject = $1 AND seen_at < $3 ORDER BY seen_at DESC LIMIT 1) \
         UNION ALL (SELECT id, kind, subject, not_before, seen_at, body FROM observations \
                     WHERE kind = 'topic' AND subject = $2 AND seen_at < $3 ORDER BY seen_at DESC LIMIT 2) \
         UNION ALL (SELECT id, kind, subject, not_before, seen_at, body FROM observations \
                     WHERE kind = 'brokers' AND seen_at < $3 ORDER BY seen_at DESC LIMIT 1) ORDER BY seen_at, id",
        &[&group_id, &topic, &cut],
    )
    .await?;
    let spans =
        ask("SELECT from_at, until_at FROM recorder_spans WHERE until_at >= $1 ORDER BY from_at", &[&cut]).await?;
    let mut facts = Facts {
        group_id: group_id.to_owned(),
        topic: topic.to_owned(),
        carried,
        journal: journal.iter().filter_map(entry).collect(),
        lives: lives.iter().map(life).collect(),
        silences: silences.iter().map(|r| Silence { boot_id: r.get(0), from: r.get(1), until: r.get(2) }).collect(),
        group_views: Vec::new(),
        broker_views: Vec::new(),
        topic_views: Vec::new(),
        session_views: Vec::new(),
        blind: spans.windows(2).filter_map(between).collect(),
        waiting,
        as_of,
    };
    for row in &views {
        view(row, &mut facts);
    }
    Ok(facts)
}

/// The batches that matter to a group's facts: those that begin where a claim did, what was stored before each, and all
/// in these windows.
///
/// # Errors
/// Transient ones.
pub async fn load_batches(store: &Store, facts: &Facts, windows: &[(Timestamp, Timestamp)]) -> Result<Vec<Batch>> {
    const COLUMNS: &str = "l.partition_number, l.claim, l.consumer_id, l.first_offset, l.next_offset, l.stored_at, \
                           l.committed_at, l.first_append_at";
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let (from, until): (Vec<Timestamp>, Vec<Timestamp>) = windows.iter().copied().unzip();
    let claims = facts.journal.iter().filter(|entry| entry.kind == Kind::Claimed);
    let (partitions, offsets): (Vec<i32>, Vec<i64>) =
        claims.filter_map(|entry| Some((entry.partition?, entry.offset?))).unzip();
    let client = store.pooled().await?;
    let logs = "SELECT array_agg(log_id) FROM kafka_logs WHERE topic = $1";
    let logs: Option<Vec<i32>> = client.query_one(logs, &[&facts.topic]).await.map_err(Error::doing(DOING))?.get(0);
    let logs = logs.unwrap_or_default();
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM unnest($1::timestamptz[], $2::timestamptz[]) AS w(a, b) \
               JOIN batch_ledger_commits l ON l.stored_at >= w.a AND l.stored_at <= w.b \
              WHERE l.log_id = ANY($3) AND l.kind = 'batch' \
              UNION SELECT {COLUMNS} FROM unnest($4::int[], $5::bigint[]) AS c(partition_number, at_offset) \
                JOIN stored_offsets o ON o.log_id = ANY($3) AND o.partition_number = c.partition_number, \
                LATERAL (SELECT * FROM batch_ledger_commits b WHERE b.target = o.target AND b.log_id = o.log_id \
                          AND b.partition_number = o.partition_number AND b.first_offset <= c.at_offset AND b.kind = 'batch' \
                          ORDER BY b.first_offset DESC LIMIT 2) AS l LIMIT $6"
        ))
        .await
        .map_err(Error::doing(DOING))?;
    let rows = client.query(&statement, &[&from, &until, &logs, &partitions, &offsets, &MOST]).await;
    Ok(rows.map_err(Error::doing(DOING))?.iter().map(batch).collect())
}

/// What lasted at the cut is told by what comes behind it.
fn reopened(mut owned: Ownership, cut: Timestamp) -> Ownership {
    if owned.until.is_some_and(|until| until >= cut) {
        (owned.until, owned.ended) = (None, None);
    }
    if owned.claimed_at.is_some_and(|claimed| claimed >= cut) {
        (owned.claim, owned.claimed_at) = (None, None);
    }
    owned
}

fn entry(row: &Row) -> Option<Entry> {
    Some(Entry {
        id: row.get(0),
        at: row.get(1),
        clock_error: row.get::<_, Option<i64>>(2).map(SignedDuration::from_micros),
        consumer_id: row.get(3),
        boot_id: row.get(4),
        sequence: row.get(5),
        kind: Kind::named(row.get(6))?,
        partition: row.get(7),
        protocol: row.get(8),
        generation: row.get(9),
        member_id: row.get(10),
        claim: row.get(11),
        offset: row.get(12),
        records: row.get(13),
        detail: row.get(14),
    })
}

fn life(row: &Row) -> Life {
    let ms = |column| SignedDuration::from_millis(row.get::<_, i32>(column).into());
    Life {
        boot_id: row.get(0),
        consumer_id: row.get(1),
        static_id: row.get(2),
        first_beat: row.get(3),
        last_beat: row.get(4),
        session: ms(5),
        poll_interval: ms(6),
    }
}

fn batch(row: &Row) -> Batch {
    Batch {
        partition: row.get(0),
        claim: row.get(1),
        consumer_id: row.get(2),
        first_offset: row.get(3),
        next_offset: row.get(4),
        stored_at: row.get(5),
        committed_at: row.get(6),
        first_append_at: row.get(7),
    }
}

/// Between two spans of recorders nothing was seen.
fn between(pair: &[Row]) -> Option<Span> {
    let (end, next): (Timestamp, Timestamp) = (pair[0].get(1), pair[1].get(0));
    (next.duration_since(end).as_secs_f64() > BLIND_AFTER_S).then_some(Span { from: end, until: Some(next) })
}

fn view(row: &Row, facts: &mut Facts) {
    let (id, kind, subject): (i64, &str, String) = (row.get(0), row.get(1), row.get(2));
    let (not_before, at): (Timestamp, Timestamp) = (row.get(3), row.get(4));
    let body: Value = row.get(5);
    let numbers = |value: &Value| -> Vec<i32> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_i64).filter_map(|n| i32::try_from(n).ok()).collect()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match kind {
        "group" => {
            let members = body["members"].as_array().into_iter().flatten().map(|member| Member {
                member_id: text(&member["member_id"]),
                client_id: text(&member["client_id"]),
                partitions: numbers(&member["partitions"]),
            });
            let epoch = body["epoch"].as_i64().and_then(|epoch| i32::try_from(epoch).ok());
            let members = members.collect();
            facts.group_views.push(GroupView { id, not_before, at, state: text(&body["state"]), epoch, members });
        }
        "brokers" => {
            facts.broker_views.push(BrokersView {
                id,
                not_before,
                at,
                up: numbers(&body["up"]),
                down: numbers(&body["down"]),
            });
        }
        "topic" => {
            let topic_id = body["topic_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
            let partitions = body["partitions"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
            facts.topic_views.push(TopicView { id, at, topic_id, partitions });
        }
        "sessions" => {
            let sessions = body["sessions"].as_i64().unwrap_or(0);
            facts.session_views.push(SessionsView { id, at, consumer_id: subject, sessions });
        }
        _ => {}
    }
}
