//! What can go wrong between us and PostgreSQL, and what may be done about it.

use tokio_postgres::error::{DbError, SqlState};

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed piece of database work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DATABASE_URL` is not a connection string. A configuration error (exit 64).
    #[error("DATABASE_URL: {reason}")]
    Url {
        /// What the parser says.
        reason: String,
    },
    /// No connection could be had.
    #[error("connecting to PostgreSQL")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement failed or its answer did not come.
    #[error("{doing}")]
    Statement {
        /// What was being done, in a few words.
        doing: &'static str,
        /// The cause.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A bounded wait ran out; the statement may still be running.
    #[error("{doing}: no answer within {seconds} s")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// The bound, in seconds.
        seconds: u64,
    },
    /// The schema is older than this build needs, or newer and not compatible. Exit 64.
    #[error("{0}")]
    Schema(String),
    /// A migration failed.
    #[error("migrating the schema")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was asked for does not exist, or is not in a state that allows it. Nothing was changed.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Names what was being done when `source` happened; for `map_err`.
    pub fn doing(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Statement { doing, source }
    }

    /// The SQLSTATE, where PostgreSQL answered with one.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether waiting may cure it. Configuration and refusals do not heal by themselves.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Statement { .. } | Self::TimedOut { .. })
    }

    /// The error with its causes in one line, for logs and status texts.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            match error.downcast_ref::<DbError>() {
                // Its detail quotes the row: long, of several lines, and another one at each retry.
                Some(db) => text.push_str(&format!("{}: {} ({})", db.severity(), db.message(), db.code().code())),
                None => text.push_str(&error.to_string()),
            }
            cause = error.source();
        }
        text
    }
}

/// Whether the server answered the statement with an error and kept the session: then the
/// transaction is known not to be committed. Anything else (a cut, a FATAL) leaves it unknown.
pub fn session_survived(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        use tokio_postgres::error::Severity;
        matches!(db.parsed_severity(), Some(Severity::Error))
    })
}

/// An error of the driver with its cause in one line.
pub(crate) fn chain(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
