//! Brings a database to this build's schema.
//!
//! One command does it (`consumer migrate`), with the role that owns the tables; the programs
//! themselves never migrate. refinery takes no lock of its own, so an advisory lock stands around it.

use refinery::{Migration, Runner};

use crate::connect::Store;
use crate::error::{Error, Result};

/// "millrace" in ASCII: the advisory lock that migrating takes.
const LOCK: i64 = 0x6d69_6c6c_7261_6365;

/// Applies what is missing, each migration in its own transaction. Two at once wait for each
/// other. A newer database is left as it is.
///
/// Returns the versions that were applied.
///
/// # Errors
/// [`Error::Connect`] without a database, [`Error::Migration`] when a statement fails or an
/// applied migration is not the one that this build knows under its number.
pub async fn run(store: &Store) -> Result<Vec<i32>> {
    let mut session = store.long_session().await?;
    session
        .client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(Error::doing("waiting for another migration to end"))?;
    let migrations = schema::migrations::ALL
        .iter()
        .map(|m| Migration::unapplied(&format!("V{}__{}", m.version, m.name), m.sql))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::Migration(e.into()))?;
    let report = Runner::new(&migrations)
        .set_abort_missing(false)
        .run_async(&mut session.client)
        .await
        .map_err(|e| Error::Migration(e.into()))?;
    Ok(report.applied_migrations().iter().map(refinery::Migration::version).collect())
}
