//! Writes events to Kafka: simulated plants, replayed recordings and lines of JSON.
//!
//! ```text
//! plant (seeded) ──────┐ measurement                       ┌─> Kafka (idempotent, acks=all, never expiring)
//!   at a pace          ├────────────> publisher ── queue ──┤
//! recording (CSV) ─────┤              sequence 0, 1, 2 …   └─> tally <── acknowledgements
//! stdin (JSON lines) ──┘                                        │
//!                           health (ready? waiting?) <──────────┴──> heartbeat ─> producer_health
//! ```
//!
//! An event that Kafka acknowledged is on at least two brokers. When Kafka is away, events wait in a
//! bounded queue, and when that is full the source waits: nothing is dropped and nothing is sent
//! twice by hand. The database is only told; without it everything goes on.
//!
//! `demonstration` shows from outside what the tweet feed can do, and shares none of this.

pub mod app;
pub mod connection;
pub mod demonstration;
pub mod health;
pub mod heartbeat;
pub mod lines;
pub mod options;
pub mod pace;
pub mod pipe;
pub mod plant;
pub mod progress;
pub mod publisher;
pub mod recording;
pub mod replay;
pub mod setup;
pub mod simulation;
pub mod speed;
pub mod tally;
pub mod tweets;
