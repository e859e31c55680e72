//! Every SQL statement of the workspace. A file per table family.
//!
//! ```text
//! connect    pools and dedicated connections, session settings
//! tls        how they are encrypted                            connection_string  libpq's two forms
//! copy       rows in the binary COPY format
//! migrate    brings a database to this build's schema      schema_version  refuses one that can't be worked with
//! claim      taking a partition                            batch           storing a batch behind the fence
//! grants     what the monitor's roles may do
//! sensor_readings, tweets, dead_letters, journal, consumer_health, producer_health, offsets, retention, verify
//! users, posts, feeds: who follows whom, what they post, and what they read
//! throughput, event_stream: what the live view reads          alarms  what is wrong, and what was decided about it
//! ```
//!
//! Nothing here knows Kafka's client; nothing outside knows SQL.

pub mod alarms;
pub mod batch;
pub mod claim;
pub mod connect;
mod connection_string;
pub mod consumer_health;
pub mod copy;
mod count;
pub mod dead_letters;
pub mod error;
pub mod event_stream;
pub mod feeds;
pub mod flight_recorder;
pub mod grants;
pub mod journal;
pub mod migrate;
pub mod offsets;
pub mod posts;
pub mod producer_health;
pub mod retention;
pub mod schema_version;
pub mod sensor_readings;
pub mod server;
pub mod throughput;
mod tls;
pub mod tweets;
pub mod users;
pub mod verify;

pub use connect::{Backend, Options, Store};
pub use error::{Error, Result};
