//! `consumer`: stores every event exactly once and journals every change of ownership.
//!
//! ```text
//!             callback notes                 claims ── lock, judge, take ──────────────┐
//! Kafka ──> membership ──> reader (poll thread) ── rows ──> buffer ──> writer ──> PostgreSQL
//!                            │ journal ──> spool file ──> shipper ────────────────────┘
//!                            └ status ──> heartbeats, /metrics
//! ```
//!
//! ARCHITECTURE.md has the state machines and, for each interleaving, the rule that stops it.

pub mod alarming;
mod audiences;
pub mod buffer;
pub mod claims;
pub mod duty;
pub mod feed;
pub mod gauges;
pub mod group;
pub mod heartbeat;
pub mod journal;
pub mod judgement;
pub mod member;
pub mod membership;
pub mod metrics;
pub mod reader;
pub mod sensors;
pub mod status;
pub mod upkeep;
pub mod writer;
