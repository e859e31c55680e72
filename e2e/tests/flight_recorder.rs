//! The labelled suite once, with a printed seed: what was done on purpose is what the flight recorder names.
//! `make soak` runs every line with many seeds.

use std::time::Instant;

use e2e::plant::Site;
use e2e::scenario::{causes, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_is_named() {
    let seed = testkit::seed();
    let only = std::env::var("CAUSE").unwrap_or_default();
    // The long one only when it is asked for.
    let scenarios =
        if only.is_empty() { causes::SCENARIOS.to_vec() } else { [causes::SCENARIOS, causes::LONG].concat() };
    let site = Site::start().await.expect("brokers and Postgres start");
    let mut failures = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.name.contains(&only)) {
        let began = Instant::now();
        match run(*scenario, &site, seed).await {
            Ok(hits) => println!("{}: {hits:?} in {:.1} s", scenario.name, began.elapsed().as_secs_f64()),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    assert!(failures.is_empty(), "with TEST_SEED={seed}:\n{}", failures.join("\n"));
}
