//! The services that `testkit run` has started for a whole test run, as its tests find them.

use crate::postgres::create_database;
use anyhow::{Context as _, Result};

/// The environment variable with the brokers' addresses.
pub const KAFKA_BROKERS: &str = "TESTKIT_KAFKA_BROKERS";
/// The environment variable with the superuser's connection string of database `postgres`.
pub const DATABASE_URL: &str = "TESTKIT_DATABASE_URL";

/// A Kafka for all tests of a run, and an empty database for one of them. A test makes up its own
/// topic and group names.
#[derive(Debug, Clone)]
pub struct Shared {
    /// For `bootstrap.servers`.
    pub brokers: String,
    /// The superuser's connection string of a database that is new and nobody else's.
    pub database_url: String,
}

/// What `testkit run` has started, with a database of one's own.
///
/// # Panics
/// When the test was not started by `testkit run`: the message has the command.
pub async fn shared() -> Shared {
    find().await.unwrap_or_else(|error| {
        panic!(
            "this test needs Kafka and Postgres: run `make test`, or \
             `cargo run -p millrace-testkit -- run -- cargo test …` ({error:#})"
        )
    })
}

async fn find() -> Result<Shared> {
    let variable = |name| std::env::var(name).with_context(|| format!("{name} is not set"));
    let brokers = variable(KAFKA_BROKERS)?;
    let maintenance = variable(DATABASE_URL)?;
    let database = create_database(&maintenance).await.context("making a database")?;
    let (server, _) = maintenance.rsplit_once('/').context("the URL names no database")?;
    Ok(Shared { brokers, database_url: format!("{server}/{database}") })
}
