//! Real brokers and a real Postgres for the tests, thrown away afterwards, and the ways to break
//! them. A dev-dependency only; no program depends on it.
//!
//! ```text
//!   testkit run -- cargo test         one Kafka and one Postgres for a whole run: `shared()`
//!   Kafka::start, Postgres::start     services of its own, for a test that breaks them
//!   Authority                         certificates, for brokers and servers that speak TLS
//!   PgProxy                           between a program and Postgres: cuts at a chosen message
//!   Program                           a built binary of this workspace, run as a process
//!   wait_until                        instead of sleeping
//! ```
//!
//! Everything listens on the loopback address, lives in a temporary folder and dies with the
//! process that started it, even when that is killed. Errors are `anyhow`, as in tests: nobody
//! matches on them, somebody reads them.

mod certificates;
mod condition;
mod kafka;
mod port;
mod postgres;
mod process;
mod program;
mod proxy;
mod scratch;
mod seed;
pub mod services;

pub use certificates::{Authority, Certificate};
pub use condition::{wait_for, wait_until};
pub use kafka::broker::Broker;
pub use kafka::sasl_ssl::SaslSsl;
pub use kafka::{BROKERS, Kafka, KafkaOptions};
pub use port::free_port;
pub use postgres::snapshot::Snapshot;
pub use postgres::{Postgres, PostgresOptions};
pub use process::Process;
pub use program::Program;
pub use proxy::PgProxy;
pub use proxy::fault::{Answer, Arming, Fault, Hit};
pub use scratch::Scratch;
pub use seed::seed;
pub use services::{Shared, shared};
