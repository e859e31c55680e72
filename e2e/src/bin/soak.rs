//! The fault matrix with many seeds: `make soak SEEDS=n`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use e2e::plant::Site;
use e2e::scenario::{Hits, all, run};
use tokio::task::JoinSet;

/// Runs every scenario of the fault matrix with each seed
#[derive(Parser)]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only scenarios whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// How many seeds at the same time, each with brokers and a Postgres of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
}

/// What came out of the scenarios so far.
#[derive(Default)]
struct Outcome {
    /// Per scenario: how many seeds passed, and what they hit.
    passed: BTreeMap<&'static str, (u32, Hits)>,
    failed: Vec<String>,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        for (scenario, (seeds, hits)) in other.passed {
            let (all_seeds, all_hits) = self.passed.entry(scenario).or_default();
            *all_seeds += seeds;
            hits.into_iter().for_each(|(phase, count)| *all_hits.entry(phase).or_default() += count);
        }
        self.failed.extend(other.failed);
    }

    fn print(&self) {
        println!("\n| scenario | seeds passed | phase | hits |\n|---|---|---|---|");
        for (scenario, (seeds, hits)) in &self.passed {
            for (phase, count) in hits {
                println!("| {scenario} | {seeds} | {phase} | {count} |");
            }
        }
        let passed: u32 = self.passed.values().map(|(seeds, _)| seeds).sum();
        println!("\n{passed} passed, {} failed", self.failed.len());
        self.failed.iter().for_each(|failure| println!("  {failure}"));
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let options = Arc::new(Options::parse());
    let next = Arc::new(AtomicU64::new(options.from));
    let mut jobs = JoinSet::new();
    for _ in 0..options.jobs.min(options.seeds) {
        jobs.spawn(job(Arc::clone(&options), Arc::clone(&next)));
    }
    let mut outcome = Outcome::default();
    while let Some(done) = jobs.join_next().await {
        outcome.merge(done.expect("brokers and Postgres start"));
    }
    outcome.print();
    if outcome.failed.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// Takes one seed after the other until none is left.
async fn job(options: Arc<Options>, next: Arc<AtomicU64>) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.from + options.seeds {
            return outcome;
        }
        let site = Site::start().await.expect("brokers and Postgres");
        for scenario in all().into_iter().filter(|scenario| scenario.name.contains(&options.only)) {
            let began = std::time::Instant::now();
            let ran = run(scenario, &site, seed).await;
            let (name, took) = (scenario.name, began.elapsed().as_secs_f64());
            match ran {
                Ok(hits) => {
                    println!("{name}, seed {seed}: ok in {took:.1} s: {hits:?}");
                    outcome.merge(Outcome { passed: BTreeMap::from([(name, (1, hits))]), failed: Vec::new() });
                }
                Err(error) => {
                    println!("{name}, seed {seed}: FAILED after {took:.1} s: {error:#}");
                    outcome.failed.push(format!("{name}, seed {seed}"));
                }
            }
        }
    }
}
