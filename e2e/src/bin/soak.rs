//! The fault matrix with many seeds: `make soak SEEDS=n`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser;
use e2e::plant::Site;
use e2e::scenario::{Hits, all, run};
use lifecycle::Shutdown;
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
    fn note(&mut self, scenario: &'static str, hits: Hits) {
        let (seeds, all_hits) = self.passed.entry(scenario).or_default();
        *seeds += 1;
        hits.into_iter().for_each(|(phase, count)| *all_hits.entry(phase).or_default() += count);
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

/// What the jobs share.
struct Soak {
    options: Options,
    next: AtomicU64,
    outcome: Mutex<Outcome>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let jobs = options.jobs.min(options.seeds);
    let next = AtomicU64::new(options.from);
    let soak = Arc::new(Soak { options, next, outcome: Mutex::default() });
    let mut running: JoinSet<()> = (0..jobs).map(|_| job(Arc::clone(&soak))).collect();
    let stop = Shutdown::on_signals().expect("signals can be listened for");
    let whole = tokio::select! {
        () = async { while let Some(ended) = running.join_next().await { ended.expect("brokers and Postgres start"); } } => true,
        () = stop.requested() => false,
    };
    // Ends what the scenarios started.
    running.shutdown().await;
    let outcome = soak.outcome.lock().expect("nothing panics while it holds this lock");
    outcome.print();
    if !whole {
        println!("stopped before its end");
    }
    if whole && outcome.failed.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// Takes one seed after the other until none is left.
async fn job(soak: Arc<Soak>) {
    let Soak { options, next, outcome } = &*soak;
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.from + options.seeds {
            return;
        }
        let site = Site::start().await.expect("brokers and Postgres");
        for scenario in all().into_iter().filter(|scenario| scenario.name.contains(&options.only)) {
            let began = std::time::Instant::now();
            let ran = run(scenario, &site, seed).await;
            let (name, took) = (scenario.name, began.elapsed().as_secs_f64());
            let mut outcome = outcome.lock().expect("nothing panics while it holds this lock");
            match ran {
                Ok(hits) => {
                    println!("{name}, seed {seed}: ok in {took:.1} s: {hits:?}");
                    outcome.note(name, hits);
                }
                Err(error) => {
                    println!("{name}, seed {seed}: FAILED after {took:.1} s: {error:#}");
                    outcome.failed.push(format!("{name}, seed {seed}"));
                }
            }
        }
    }
}
