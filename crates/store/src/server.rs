//! What the server and our role on it are able to do: the facts behind `consumer check`.

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::retention;

/// Oldest server that can hold the schema (`int8multirange`), as `server_version_num`.
pub const OLDEST_VERSION: i32 = 140_000;

/// What a consumer does to the tables: table, privilege.
const NEEDED: [(&str, &str); 29] = [
    ("kafka_logs", "SELECT"),
    ("kafka_logs", "INSERT"),
    ("stored_offsets", "SELECT"),
    ("stored_offsets", "INSERT"),
    ("stored_offsets", "UPDATE"),
    ("batch_ledger", "INSERT"),
    ("batch_ledger", "SELECT"),
    ("dead_letters", "SELECT"),
    ("dead_letters", "INSERT"),
    ("dead_letters", "UPDATE"),
    ("sensor_readings", "INSERT"),
    ("rebalancing_events", "INSERT"),
    ("consumer_health", "INSERT"),
    ("consumer_health", "UPDATE"),
    ("consumer_lives", "SELECT"),
    ("consumer_lives", "INSERT"),
    ("consumer_lives", "UPDATE"),
    ("heartbeat_gaps", "INSERT"),
    ("throughput", "INSERT"),
    ("throughput", "UPDATE"),
    ("event_outbox", "INSERT"),
    ("alarm_states", "SELECT"),
    ("alarm_states", "INSERT"),
    ("alarm_states", "UPDATE"),
    ("alarm_limits", "SELECT"),
    ("alarm_events", "INSERT"),
    ("alarms", "SELECT"),
    ("alarms", "INSERT"),
    ("alarms", "UPDATE"),
];

/// The server as our sessions find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`.
    pub version_num: i32,
    /// `server_version`.
    pub version: String,
    /// Role that we are.
    pub role: String,
    /// Database that we are in.
    pub database: String,
    /// Whether it takes no writes: a standby, or read-only by setting.
    pub read_only: bool,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `fsync` and `full_page_writes`.
    pub durable: bool,
    /// `track_commit_timestamp`.
    pub track_commit_timestamp: bool,
}

/// The server's clock.
///
/// # Errors
/// Transient ones.
pub async fn clock(store: &Store) -> Result<jiff::Timestamp> {
    let client = store.pooled().await?;
    let row = client.query_one("SELECT clock_timestamp()", &[]).await;
    Ok(row.map_err(Error::doing("asking for the server's time"))?.get(0))
}

/// Asks the server what it is. Works on an empty database, too.
///
/// # Errors
/// Transient ones.
pub async fn describe(store: &Store) -> Result<Server> {
    let statement = "
        SELECT current_setting('server_version_num')::int, current_setting('server_version'),
               current_user::text, current_database()::text,
               pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
               current_setting('synchronous_commit'),
               current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean,
               current_setting('track_commit_timestamp')::boolean";
    let client = store.pooled().await?;
    let row = client.query_one(statement, &[]).await.map_err(Error::doing("asking the server what it is"))?;
    Ok(Server {
        version_num: row.get(0),
        version: row.get(1),
        role: row.get(2),
        database: row.get(3),
        read_only: row.get(4),
        synchronous_commit: row.get(5),
        durable: row.get(6),
        track_commit_timestamp: row.get(7),
    })
}

/// What our role may not do and would have to, such as `INSERT on dead_letters`. The schema must be there.
///
/// # Errors
/// Transient ones.
pub async fn missing_privileges(store: &Store) -> Result<Vec<String>> {
    let (tables, privileges): (Vec<&str>, Vec<&str>) = NEEDED.into_iter().unzip();
    let rows = store
        .pooled()
        .await?
        .query(
            "SELECT n.privilege || ' on ' || n.name FROM unnest($1::text[], $2::text[]) AS n(name, privilege) \
              WHERE NOT has_table_privilege(n.name, n.privilege)",
            &[&tables, &privileges],
        )
        .await
        .map_err(Error::doing("asking for privileges"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How many of the [`retention::DAYS`] from today on have a partition: table and count.
///
/// # Errors
/// Transient ones.
pub async fn days_ahead(store: &Store) -> Result<Vec<(String, i64)>> {
    let tables: Vec<&str> = retention::TABLES.into();
    let rows = store
        .pooled()
        .await?
        .query(
            "SELECT t.name, count(to_regclass(format('%s_%s', t.name, to_char(d.day, 'YYYYMMDD')))) \
               FROM unnest($1::text[]) AS t(name), \
                    generate_series(0, $2::int - 1) AS i, \
                    LATERAL (SELECT (now() AT TIME ZONE 'UTC')::date + i) AS d(day) \
              GROUP BY 1 ORDER BY 1",
            &[&tables, &retention::DAYS],
        )
        .await
        .map_err(Error::doing("counting day partitions"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
