//! Day partitions: made ahead of time, dropped when their time is over.
//!
//! ```text
//! DEFAULT │ dropped … │ horizon ─ kept days ─ today ─ 7 days ahead │
//!              └─> retention_checkpoints: totals and next offset per partition
//! ```
//!
//! Tables are partitioned by storage time. What a day partition would have taken while there was
//! none sits in the DEFAULT partition, which nothing here drops. Every statement that locks a table
//! waits a second at most, so that writers are never held up for longer.

use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use crate::connect::Store;
use crate::error::{Error, Result};

/// The tables with day partitions, in the order in which a batch writes them.
pub const TABLES: [&str; 3] = ["sensor_readings", "tweet_records", "batch_ledger"];
/// Days that have a partition from today on, today included.
pub const DAYS: i32 = 8;
/// Rows that one statement of [`trim`] removes at the most.
const TRIM_ROWS: u64 = 20_000;
/// "millpart" in ASCII: one at a time makes or drops partitions.
const LOCK: i64 = 0x6d69_6c6c_7061_7274;

/// What [`ensure_days`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// Partitions that were made.
    pub made: u32,
    /// Days whose rows are in the DEFAULT partition already, so that they can't have one of their
    /// own any more: table and day.
    pub left_to_default: Vec<(&'static str, Date)>,
}

/// Makes the missing day partitions, [`DAYS`] ahead. Idempotent; two at once wait for each other.
///
/// # Errors
/// Transient ones, among them a table that was locked for more than a second. What was made stays.
pub async fn ensure_days(store: &Store) -> Result<Days> {
    let mut client = store.pooled().await?;
    let mut days = Days::default();
    for table in TABLES {
        for ahead in 0..DAYS {
            ensure_day(&mut client, table, ahead, &mut days).await?;
        }
    }
    Ok(days)
}

async fn ensure_day(client: &mut Client, table: &'static str, ahead: i32, days: &mut Days) -> Result<()> {
    const DOING: &str = "making a day partition";
    let transaction = begin(client).await?;
    let day = "SELECT (now() AT TIME ZONE 'UTC')::date + $1::int";
    let day: Date = transaction.query_one(day, &[&ahead]).await.map_err(Error::doing(DOING))?.get(0);
    match transaction.query_one("SELECT ensure_day_partitions($1, $2, 1)", &[&table, &day]).await {
        Ok(row) => days.made += u32::try_from(row.get::<_, i32>(0)).unwrap_or(0),
        // Rows of that day are in DEFAULT: it goes on taking them.
        Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
            days.left_to_default.push((table, day));
            return Ok(());
        }
        Err(source) => return Err(Error::Statement { doing: DOING, source }),
    }
    transaction.commit().await.map_err(Error::doing(DOING))
}

/// The day that it is for the server, in UTC.
///
/// # Errors
/// Transient ones.
pub async fn today(store: &Store) -> Result<Date> {
    let client = store.pooled().await?;
    let row = client.query_one("SELECT (now() AT TIME ZONE 'UTC')::date", &[]).await;
    Ok(row.map_err(Error::doing("asking for the day"))?.get(0))
}

/// What [`drop_before`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Everything that day partitions held from before this time is gone.
    pub horizon: Timestamp,
    /// Tables that were dropped.
    pub tables: Vec<String>,
    /// Rows of the targets in them, by the ledger.
    pub rows: u64,
}

/// Drops the day partitions before `day` (UTC) of all tables at once, and writes the checkpoints that
/// `verify` starts from. Dead letters stay.
///
/// # Errors
/// [`Error::Refused`] when `day` is in the future; transient ones, among them a table that was in use
/// for more than a second. Then nothing was dropped.
pub async fn drop_before(store: &Store, day: Date) -> Result<Dropped> {
    const DOING: &str = "dropping day partitions";
    let mut session = store.long_session().await?;
    let transaction = begin(&mut session.client).await?;
    let limits = "SELECT $1::date::timestamp AT TIME ZONE 'UTC', $1::date > (now() AT TIME ZONE 'UTC')::date";
    let row = transaction.query_one(limits, &[&day]).await.map_err(Error::doing(DOING))?;
    let horizon: Timestamp = row.get(0);
    if row.get(1) {
        return Err(Error::Refused(format!("{day} is in the future: today's partition is written to")));
    }
    let tables = before(&transaction, day).await?;
    if tables.is_empty() {
        return Ok(Dropped { horizon, tables, rows: 0 });
    }
    let list = tables.join(", ");
    // First the day partitions alone: the tables themselves are locked by the DROP, at the very end.
    let lock = format!("LOCK TABLE {list} IN ACCESS EXCLUSIVE MODE");
    transaction.batch_execute(&lock).await.map_err(Error::doing("locking day partitions"))?;
    let rows = checkpoint(&transaction, horizon).await?;
    transaction.batch_execute(&format!("DROP TABLE {list}")).await.map_err(Error::doing(DOING))?;
    transaction.commit().await.map_err(Error::doing("committing a retention"))?;
    Ok(Dropped { horizon, tables, rows })
}

/// The day partitions before `day`, ready to stand in a statement: digits and our own names only.
async fn before(transaction: &Transaction<'_>, day: Date) -> Result<Vec<String>> {
    let statement = "
        SELECT c.relname::text
          FROM unnest($1::text[]) WITH ORDINALITY AS t(name, i)
          JOIN pg_inherits i ON i.inhparent = to_regclass(t.name)
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE CASE WHEN c.relname ~ ('^' || t.name || '_[0-9]{8}$')
                    THEN to_date(right(c.relname, 8), 'YYYYMMDD') < $2 END
         ORDER BY t.i, c.relname";
    let tables: Vec<&str> = TABLES.into();
    let rows = transaction.query(statement, &[&tables, &day]).await;
    Ok(rows.map_err(Error::doing("listing day partitions"))?.iter().map(|row| row.get(0)).collect())
}

/// Adds what is about to be dropped to the checkpoints; how many rows that is.
async fn checkpoint(transaction: &Transaction<'_>, horizon: Timestamp) -> Result<u64> {
    const DOING: &str = "writing retention checkpoints";
    // Entries in DEFAULT stay where they are, but verify ignores them from now on: their end counts,
    // they themselves do not.
    let statement = "
        INSERT INTO retention_checkpoints AS c
            (target, log_id, partition_number, horizon, next_offset, stored_rows, dead_letters, gap_records)
        SELECT target, log_id, partition_number, $1, (array_agg(l.next_offset ORDER BY stored_at DESC, l.next_offset DESC))[1],
               coalesce(sum(l.stored_rows) FILTER (WHERE dropped), 0),
               coalesce(sum(l.dead_letters) FILTER (WHERE dropped), 0),
               coalesce(sum((SELECT sum(upper(g) - lower(g)) FROM unnest(l.gaps) g)) FILTER (WHERE dropped), 0)
          FROM (SELECT *, tableoid <> to_regclass('batch_ledger_default') AS dropped FROM batch_ledger) l
          LEFT JOIN retention_checkpoints old USING (target, log_id, partition_number)
         WHERE l.stored_at < $1 AND l.stored_at >= coalesce(old.horizon, '-infinity')
         GROUP BY 1, 2, 3
        ON CONFLICT (target, log_id, partition_number) DO UPDATE SET
            horizon = EXCLUDED.horizon, next_offset = EXCLUDED.next_offset, updated_at = now(),
            stored_rows = c.stored_rows + EXCLUDED.stored_rows,
            dead_letters = c.dead_letters + EXCLUDED.dead_letters,
            gap_records = c.gap_records + EXCLUDED.gap_records";
    let total = "SELECT coalesce(sum(stored_rows), 0)::bigint FROM retention_checkpoints";
    let before: i64 = transaction.query_one(total, &[]).await.map_err(Error::doing(DOING))?.get(0);
    transaction.execute(statement, &[&horizon]).await.map_err(Error::doing(DOING))?;
    // Rows of replayed letters may lie in a day without an entry of their partition.
    let rest = "UPDATE retention_checkpoints SET horizon = $1, updated_at = now() WHERE horizon < $1";
    transaction.execute(rest, &[&horizon]).await.map_err(Error::doing(DOING))?;
    let after: i64 = transaction.query_one(total, &[]).await.map_err(Error::doing(DOING))?.get(0);
    Ok(u64::try_from(after - before).unwrap_or(0))
}

/// Drops what the live view no longer shows: sums per second after two hours, sums per minute and events
/// (alarms' own, too) after 31 days; and numbers of tweets that were never published. How many rows.
///
/// # Errors
/// Transient ones.
pub async fn trim(store: &Store) -> Result<u64> {
    let client = store.pooled().await?;
    let mut trimmed = 0;
    for (table, old) in [
        ("throughput", "resolution_s = 1 AND bucket < now() - interval '2 hours'"),
        ("throughput", "resolution_s = 60 AND bucket < now() - interval '31 days'"),
        ("event_stream", "recorded_at < now() - interval '31 days'"),
        ("alarm_events", "recorded_at < now() - interval '31 days'"),
        ("heartbeat_gaps", "until_at < now() - interval '31 days'"),
        ("consumer_lives", "last_beat < now() - interval '31 days'"),
        // Longer than the topic keeps a record: numbers whose record never came. Not tombstones: a dead letter may be replayed.
        ("tweets", "stored_at IS NULL AND deleted_at IS NULL AND created_at < now() - interval '8 days'"),
    ] {
        trimmed += trim_table(&client, table, old).await?;
    }
    Ok(trimmed)
}

/// Deletes the rows of a table that are `old`, in portions that stay far below the time-out of a statement, whatever has
/// piled up. Rows that somebody else is trimming are left to them.
pub(crate) async fn trim_table(client: &Client, table: &str, old: &str) -> Result<u64> {
    let portion = format!(
        "DELETE FROM {table} WHERE ctid = ANY(ARRAY( \
             SELECT ctid FROM {table} WHERE {old} LIMIT {TRIM_ROWS} FOR UPDATE SKIP LOCKED))"
    );
    let mut trimmed = 0;
    loop {
        let removed = client.execute(&portion, &[]).await.map_err(Error::doing("trimming what is old"))?;
        trimmed += removed;
        if removed < TRIM_ROWS {
            return Ok(trimmed);
        }
    }
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    const DOING: &str = "beginning work on day partitions";
    let transaction = client.transaction().await.map_err(Error::doing(DOING))?;
    transaction.batch_execute("SET LOCAL lock_timeout = '1s'").await.map_err(Error::doing(DOING))?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(Error::doing(DOING))?;
    Ok(transaction)
}
