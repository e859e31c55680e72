//! The built binaries run as processes against real brokers and a real Postgres.
//!
//! ```text
//! plant    three brokers, a Postgres, a database and a topic of a scenario's own; consumers as processes
//! load     a producer that knows what was acknowledged
//! clients  of the tweet API, who know what was answered
//! oracle   SQL after healing: nothing missing, nothing doubled, order kept
//! ```

pub mod browser;
pub mod clients;
pub mod load;
pub mod oracle;
pub mod plant;
pub mod scenario;
