//! Refuses a schema that this build can't work with.

use schema::migrations::VERSION;
use tokio_postgres::error::SqlState;

use crate::connect::Store;
use crate::error::{Error, Result};

/// Checks the database's schema against this build.
///
/// An additive newer schema is accepted: it still counts our version as compatible.
///
/// # Errors
/// [`Error::Schema`] with the command to run; [`Error::Connect`] and [`Error::Statement`] when it could not be asked.
pub async fn check(store: &Store) -> Result<i32> {
    let client = store.pooled().await?;
    let answer = client
        .query_one(
            "SELECT (SELECT max(version) FROM refinery_schema_history), \
                    (SELECT oldest_compatible FROM schema_compatibility)",
            &[],
        )
        .await;
    let row = match answer {
        Ok(row) => row,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            return Err(Error::Schema("the database has no Millrace schema: run `consumer migrate`".into()));
        }
        Err(source) => return Err(Error::Statement { doing: "asking for the schema version", source }),
    };
    verdict(row.get::<_, Option<i32>>(0).unwrap_or(0), row.get::<_, Option<i32>>(1).unwrap_or(0))
}

/// As [`check`], waiting for as long as the database is away.
///
/// # Errors
/// [`Error::Schema`]; what waiting can't cure.
pub async fn await_compatible(store: &Store) -> Result<()> {
    const AGAIN: std::time::Duration = std::time::Duration::from_millis(300);
    let mut said = false;
    loop {
        match check(store).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(error = error.chain(), "waiting for the database");
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn verdict(version: i32, oldest_compatible: i32) -> Result<i32> {
    if version < VERSION {
        return Err(Error::Schema(format!(
            "the database's schema is version {version}, this build needs {VERSION}: run `consumer migrate`"
        )));
    }
    if oldest_compatible > VERSION {
        return Err(Error::Schema(format!(
            "the database's schema (version {version}) no longer works with version {VERSION}, \
             which this build was made for; the oldest that does is {oldest_compatible}: use a newer build"
        )));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_schema_is_refused() {
        assert!(verdict(VERSION - 1, 1).is_err());
    }

    #[test]
    fn an_additive_newer_schema_is_accepted() {
        assert_eq!(verdict(VERSION + 1, VERSION).ok(), Some(VERSION + 1));
    }

    #[test]
    fn a_breaking_newer_schema_is_refused() {
        assert!(verdict(VERSION + 1, VERSION + 1).is_err());
    }
}
