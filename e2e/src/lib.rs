//! The built binaries run as processes against real brokers and a real Postgres.
//!
//! ```text
//! plant    three brokers, a Postgres, a database and a topic of a scenario's own; consumers as processes
//! load     a producer that knows what was acknowledged
//! clients  of the tweet API, who know what was answered         crowd  of them, at work while things break
//! oracle   SQL after healing: nothing missing, nothing doubled, order kept
//! ```

pub mod browser;
pub mod clients;
pub mod crowd;
pub mod load;
pub mod oracle;
pub mod plant;
pub mod scenario;
