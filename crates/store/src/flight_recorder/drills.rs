//! Experiments: what was broken on purpose, marked where it happened.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::MOST_ROWS;
use crate::connect::Store;
use crate::error::{Error, Result};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drill {
    /// Its number.
    pub id: i64,
    /// Such as `kill-consumer`.
    pub scenario: String,
    /// Before the damage.
    pub began_at: Timestamp,
    /// After the recovery; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// The longest dark time that was expected, ms.
    pub expect_dark_ms: Option<f64>,
    /// `passed` or `failed`.
    pub outcome: Option<String>,
    /// Whether `consumer verify` found nothing lost and nothing doubled, at its end; `None` when it was not asked.
    pub proven: Option<bool>,
    /// Why, in one sentence.
    pub detail: Option<String>,
}

/// What [`Drill`] is read from, and what the stream tells.
const COLUMNS: &str = "id, scenario, began_at, ended_at, expect_dark_ms, outcome, proven, detail";
const TOLD: &str = "jsonb_build_object('id', id, 'scenario', scenario, 'from', floor(extract(epoch FROM began_at) * 1000)::bigint, \
    'until', floor(extract(epoch FROM ended_at) * 1000)::bigint, 'outcome', outcome, 'proven', proven, \
    'detail', detail)";

/// Marks the beginning of one. One that was never ended was interrupted: it ends here.
///
/// # Errors
/// Transient ones.
pub async fn begin(store: &Store, scenario: &str, expect_dark_ms: Option<f64>, who: &str) -> Result<Drill> {
    let statement = format!(
        "WITH given_up AS (UPDATE drills SET ended_at = clock_timestamp(), outcome = 'failed', detail = 'interrupted' \
                            WHERE ended_at IS NULL RETURNING {COLUMNS}), \
         said AS (INSERT INTO event_outbox (kind, occurred_at, body) SELECT 'drill', ended_at, {TOLD} FROM given_up), \
         begun AS (INSERT INTO drills (scenario, expect_dark_ms, by_whom) VALUES ($1, $2, $3) RETURNING {COLUMNS}), \
         told AS (INSERT INTO event_outbox (kind, occurred_at, body) SELECT 'drill', began_at, {TOLD} FROM begun) \
         SELECT {COLUMNS} FROM begun"
    );
    let client = store.pooled().await?;
    let row = client.query_one(&statement, &[&scenario, &expect_dark_ms, &who]).await;
    Ok(drill(&row.map_err(Error::doing("marking a drill"))?))
}

/// Marks its end; `None` when there is no such drill, or it has ended.
///
/// # Errors
/// Transient ones.
pub async fn end(store: &Store, id: i64, passed: bool, proven: bool, detail: &str) -> Result<Option<Drill>> {
    let statement = format!(
        "WITH done AS (UPDATE drills SET ended_at = clock_timestamp(), outcome = $2, proven = $3, detail = $4 \
                        WHERE id = $1 AND ended_at IS NULL RETURNING {COLUMNS}), \
         told AS (INSERT INTO event_outbox (kind, occurred_at, body) SELECT 'drill', ended_at, {TOLD} FROM done) \
         SELECT {COLUMNS} FROM done"
    );
    let outcome = if passed { "passed" } else { "failed" };
    let client = store.pooled().await?;
    let row = client.query_opt(&statement, &[&id, &outcome, &proven, &detail]).await;
    Ok(row.map_err(Error::doing("marking the end of a drill"))?.as_ref().map(drill))
}

/// Drills that touch a time, oldest first.
///
/// # Errors
/// Transient ones.
pub async fn drills(store: &Store, from: Timestamp, until: Timestamp) -> Result<Vec<Drill>> {
    const DOING: &str = "reading the drills";
    let rows = store
        .query(
            DOING,
            &format!(
                "SELECT {COLUMNS} FROM drills WHERE began_at <= $2 AND began_at > $1::timestamptz - interval '1 day' \
                AND coalesce(ended_at, 'infinity') >= $1 ORDER BY began_at LIMIT $3"
            ),
            &[&from, &until, &MOST_ROWS],
        )
        .await?;
    Ok(rows.iter().map(drill).collect())
}

fn drill(row: &Row) -> Drill {
    Drill {
        id: row.get(0),
        scenario: row.get(1),
        began_at: row.get(2),
        ended_at: row.get(3),
        expect_dark_ms: row.get(4),
        outcome: row.get(5),
        proven: row.get(6),
        detail: row.get(7),
    }
}
