//! The fault matrix: one function a fault, each with a plant of its own, judged by the oracle.
//!
//! A scenario does its damage while a load runs, heals, and asks the oracle. It reports which
//! phases it really hit; a phase that was aimed at and not hit is a failure of the scenario.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::plant::Site;

pub mod barrier;
pub mod causes;
pub mod journal;
pub mod kafka;
pub mod postgres;
pub mod process;
pub mod trial;

/// How often each phase was hit.
pub type Hits = BTreeMap<String, u32>;

/// A running scenario.
pub type Run = Pin<Box<dyn Future<Output = Result<Hits>> + Send>>;

/// One line of the matrix.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name, as in docs/reliability.md.
    pub name: &'static str,
    /// Breaks, heals, judges.
    pub run: fn(Arc<Site>, StdRng) -> Run,
}

/// Time that healing may take before the oracle calls a record missing.
pub const HEAL: Duration = Duration::from_secs(90);
/// Events per second while something breaks.
pub const RATE: u64 = 20_000;

/// Every scenario that can share brokers and a Postgres with others.
pub fn all() -> Vec<Scenario> {
    [process::SCENARIOS, postgres::SCENARIOS, kafka::SCENARIOS, causes::SCENARIOS, causes::LONG].concat()
}

/// Runs a scenario with a seed; the error names both.
///
/// # Errors
/// What the scenario or its oracle found.
pub async fn run(scenario: Scenario, site: &Arc<Site>, seed: u64) -> Result<Hits> {
    let rng = StdRng::seed_from_u64(seed);
    // A task of its own, in a set, which ends it when this future is dropped: a panic in it is a
    // failure like any other.
    let mut task = JoinSet::from_iter([(scenario.run)(Arc::clone(site), rng)]);
    let run = task.join_next().await.expect("it was just spawned");
    run.map_err(anyhow::Error::from).flatten().with_context(|| format!("{} with seed {seed}", scenario.name))
}
