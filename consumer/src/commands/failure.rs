//! Why a command failed, as one line and an exit code.

use std::error::Error;

use lifecycle::exit;

/// The exit code of a command that did nothing because the state does not allow it.
const REFUSED: u8 = 1;

/// A command's failure; the text is one line.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit 64: the configuration, or a schema that this build can't work with.
    #[error("{0}")]
    Usage(String),
    /// Exit 69: Kafka or PostgreSQL is away, or did not do its part.
    #[error("{0}")]
    Unavailable(String),
    /// Exit 1: nothing was changed, and why.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Says it on stderr; the exit code.
    pub fn report(&self) -> u8 {
        eprintln!("consumer: {self}");
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Unavailable(_) => exit::UNAVAILABLE,
            Self::Refused(_) => REFUSED,
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::Url { .. } | store::Error::Schema(_) => Self::Usage(chain(&error)),
            store::Error::Refused(_) => Self::Refused(chain(&error)),
            _ => Self::Unavailable(chain(&error)),
        }
    }
}

impl From<kafka::admin::Error> for Failure {
    fn from(error: kafka::admin::Error) -> Self {
        match &error {
            kafka::admin::Error::Settings(text) => Self::Usage(text.clone()),
            _ => Self::Unavailable(chain(&error)),
        }
    }
}

impl From<kafka::inspector::Error> for Failure {
    fn from(error: kafka::inspector::Error) -> Self {
        Self::Unavailable(chain(&error))
    }
}

/// An error with its causes, in one line; some say their cause themselves.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text.replace('\n', "; ")
}
