//! The fault matrix with many seeds: `make soak SEEDS=n`.

use std::collections::BTreeMap;

use clap::Parser;
use e2e::plant::Site;
use e2e::scenario::{all, run};

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
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let mut table: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let (mut passed, mut failed) = (0, 0);
    for seed in options.from..options.from + options.seeds {
        let site = Site::start().await.expect("brokers and Postgres");
        for scenario in all().into_iter().filter(|scenario| scenario.name.contains(&options.only)) {
            let began = std::time::Instant::now();
            match run(scenario, &site, seed).await {
                Ok(hits) => {
                    println!("  ok in {:.1} s: {hits:?}", began.elapsed().as_secs_f64());
                    passed += 1;
                    let row = table.entry(scenario.name.into()).or_default();
                    hits.into_iter().for_each(|(phase, count)| *row.entry(phase).or_default() += count);
                }
                Err(error) => {
                    println!("  FAILED after {:.1} s: {error:#}", began.elapsed().as_secs_f64());
                    failed += 1;
                }
            }
        }
    }
    println!("\n| scenario | phase | hits |\n|---|---|---|");
    for (scenario, hits) in &table {
        for (phase, count) in hits {
            println!("| {scenario} | {phase} | {count} |");
        }
    }
    println!("\n{passed} passed, {failed} failed");
    if failed > 0 { std::process::ExitCode::FAILURE } else { std::process::ExitCode::SUCCESS }
}
