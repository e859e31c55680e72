//! Two sessions that see the same moment, so that two cores can work on it.

use jiff::Timestamp;
use tokio_postgres::Client;

use crate::batch::Target;
use crate::connect::Store;
use crate::error::{Error, Result};

/// Bounds of the audit's statements. `work_mem` counts per sort, and twice for a hash (PostgreSQL
/// manual, 20.4.1). The planner's guesses for JIT only cost time here.
const SETTINGS: &str = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL timezone = 'UTC'; \
     SET LOCAL idle_in_transaction_session_timeout = 0";

/// Opens both, read-only; they end when the clients are dropped. The time is the snapshot's.
pub(super) async fn pair(store: &Store, target: &Target) -> Result<(Client, Client, Timestamp)> {
    const DOING: &str = "taking a snapshot";
    let (first, second) = (store.long_session().await?.client, store.long_session().await?.client);
    begin(&first).await?;
    // Before the snapshot is taken (PostgreSQL manual, LOCK): tables are dropped for all snapshots at
    // once, their checkpoints show up only in later ones.
    let lock = format!("LOCK TABLE {}, batch_ledger IN ACCESS SHARE MODE", target.name);
    first.batch_execute(&lock).await.map_err(Error::doing(DOING))?;
    let row = first.query_one("SELECT pg_export_snapshot(), now()", &[]).await.map_err(Error::doing(DOING))?;
    let name: String = row.get(0);
    begin(&second).await?;
    // The name is the server's own: hexadecimal digits and dashes.
    second.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{name}'")).await.map_err(Error::doing(DOING))?;
    for client in [&first, &second] {
        client.batch_execute(SETTINGS).await.map_err(Error::doing("bounding a snapshot's session"))?;
    }
    Ok((first, second, row.get(1)))
}

async fn begin(client: &Client) -> Result<()> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await.map_err(Error::doing("beginning a snapshot"))
}
