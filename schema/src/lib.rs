//! The contract between the programs: event types, topic catalogue, SQL migrations.
//!
//! This crate does no I/O. Whoever wants to know what travels on a topic, or what a table
//! means, reads here and in `schema/migrations/`.
//!
//! ```text
//! producer --(SensorReading as JSON, topics::SENSOR_READINGS)--> Kafka --> consumer --(migrations)--> PostgreSQL
//!          --(Tweet as JSON, topics::TWEETS)------------------->
//! ```

pub mod fault;
pub mod migrations;
pub mod record;
pub mod sensor_reading;
pub mod topics;
pub mod tweet;

pub use fault::{Fault, ReasonCode};
pub use sensor_reading::{SensorReading, SensorType};
