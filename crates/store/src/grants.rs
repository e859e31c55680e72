//! What the monitor's two roles may do: one reads, one numbers events.
//!
//! The roles are made by whoever runs the server (`deploy/postgres/roles.sql`); the owner of the tables
//! gives them their rights here, after each migration.

use crate::connect::Store;
use crate::error::{Error, Result};

/// What is read by whoever watches. Of dead letters neither key nor payload: those are the users' data.
const READ: [&str; 27] = [
    "refinery_schema_history",
    "schema_compatibility",
    "consumer_health",
    "producer_health",
    "rebalancing_events",
    "consumer_lives",
    "heartbeat_gaps",
    "observations",
    "recorder_spans",
    "ownership",
    "rebalances",
    "handovers",
    "rebalance_notes",
    "drills",
    "consumer_slots",
    "lag_samples",
    "batch_ledger_commits",
    "kafka_logs",
    "stored_offsets",
    "throughput",
    "event_stream",
    "event_outbox",
    "batch_ledger",
    "alarms",
    "alarm_events",
    "alarm_limits",
    "dead_letters (id, target, log_id, partition_number, kafka_offset, consumer_id, reason_code, field, reason, \
     appended_at, dead_at, status, replayed_at, replayed_by)",
];

/// What recording takes beyond reading: privileges and table.
const RECORD: [(&str, &str); 11] = [
    ("INSERT, DELETE", "event_outbox"),
    ("INSERT", "event_stream"),
    ("INSERT, UPDATE, DELETE", "observations"),
    ("INSERT, UPDATE, DELETE", "recorder_spans"),
    ("INSERT, UPDATE, DELETE", "ownership"),
    ("INSERT, UPDATE, DELETE", "rebalances"),
    ("INSERT, UPDATE, DELETE", "handovers"),
    ("INSERT, UPDATE, DELETE", "rebalance_notes"),
    ("INSERT, UPDATE, DELETE", "drills"),
    ("INSERT, UPDATE, DELETE", "consumer_slots"),
    ("INSERT, UPDATE, DELETE", "lag_samples"),
];

/// What telling alarms of the system takes.
const TELL: &str = "GRANT EXECUTE ON FUNCTION tell_system_alarms(jsonb, text) TO";

/// The roles, by name; `None` leaves one out.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// May read what the monitor shows.
    pub reader: Option<String>,
    /// May read it and number events.
    pub recorder: Option<String>,
}

/// Gives the roles what they need, all of it or nothing. Safe to repeat.
///
/// # Errors
/// [`Error::Refused`] naming a role that does not exist; [`Error::Statement`] when we don't own the tables.
pub async fn give(store: &Store, roles: &Roles) -> Result<()> {
    const DOING: &str = "granting the monitor's roles what they need";
    let mut client = store.pooled().await?;
    let transaction = client.transaction().await.map_err(Error::doing(DOING))?;
    for role in [&roles.reader, &roles.recorder].into_iter().flatten() {
        let quoted = "SELECT quote_ident($1), EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        let row = transaction.query_one(quoted, &[role]).await.map_err(Error::doing(DOING))?;
        let (name, exists): (String, bool) = (row.get(0), row.get(1));
        if !exists {
            return Err(Error::Refused(format!(
                "the role {name} does not exist: make it first (deploy/postgres/roles.sql)"
            )));
        }
        let mut statements: Vec<String> = READ.iter().map(|table| grant("SELECT", table, &name)).collect();
        if Some(role) == roles.recorder.as_ref() {
            statements.extend(RECORD.iter().map(|(privilege, table)| grant(privilege, table, &name)));
            statements.push(format!("{TELL} {name}"));
        }
        transaction.batch_execute(&statements.join(";")).await.map_err(Error::doing(DOING))?;
    }
    transaction.commit().await.map_err(Error::doing(DOING))
}

/// What our role may not read and would have to, such as `SELECT on alarms`. The schema must be there.
///
/// # Errors
/// Transient ones.
pub async fn missing_reads(store: &Store) -> Result<Vec<String>> {
    let missing = READ.iter().map(|table| match table.split_once(' ') {
        // Of a table that is shown in part, a column stands for all of them: they are granted together.
        Some((table, columns)) => {
            let column = columns.trim_matches(['(', ')']).split(',').next().unwrap_or_default();
            format!("SELECT 'SELECT on {table}' WHERE NOT has_column_privilege('{table}', '{column}', 'SELECT')")
        }
        None => format!("SELECT 'SELECT on {table}' WHERE NOT has_table_privilege('{table}', 'SELECT')"),
    });
    ask(store, &missing.collect::<Vec<_>>()).await
}

/// What our role may not do and would have to, to number events.
///
/// # Errors
/// Transient ones.
pub async fn missing_to_record(store: &Store) -> Result<Vec<String>> {
    let each = RECORD.iter().flat_map(|(privileges, table)| privileges.split(", ").map(move |one| (one, table)));
    let tables = each.map(|(privilege, table)| {
        format!("SELECT '{privilege} on {table}' WHERE NOT has_table_privilege('{table}', '{privilege}')")
    });
    let function = "SELECT 'EXECUTE on tell_system_alarms' \
                     WHERE NOT has_function_privilege('tell_system_alarms(jsonb, text)', 'EXECUTE')";
    ask(store, &tables.chain([function.to_owned()]).collect::<Vec<_>>()).await
}

async fn ask(store: &Store, questions: &[String]) -> Result<Vec<String>> {
    let client = store.pooled().await?;
    let rows = client.query(&questions.join(" UNION ALL "), &[]).await;
    Ok(rows.map_err(Error::doing("asking for privileges"))?.iter().map(|row| row.get(0)).collect())
}

/// `GRANT SELECT ON t`, or of some columns `GRANT SELECT (a, b) ON t`.
fn grant(privilege: &str, table: &str, role: &str) -> String {
    let (table, columns) = table.split_once(' ').unwrap_or((table, ""));
    format!("GRANT {privilege} {columns} ON {table} TO {role}")
}
