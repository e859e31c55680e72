//! The README's loops, as people paste them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::plant::Site;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use testkit::{Process, Program, Scratch, wait_until};

use super::{api, plant};

/// A thousand curls, one behind the other.
const LONG: Duration = Duration::from_secs(300);

/// The loop of the README that begins so.
fn pasted(beginning: &str) -> Result<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let found = readme.lines().map(str::trim).find(|line| line.starts_with(beginning));
    found.map(str::to_owned).with_context(|| format!("the README has no line `{beginning}`"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_loops_of_the_readme_run_as_they_stand() -> Result<()> {
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    // With the limits that users have.
    let limits = ["--user-rate", "100", "--user-burst", "200", "--rate", "2000", "--burst", "4000"];
    let (_api, clients, port) = api(&plant, &limits).await?;
    let _worker = plant.consumer("feed-worker-0")?;
    let scratch = Scratch::new("loops")?;
    let shell = |line: String| -> Result<Process> {
        let there = line.replace("localhost:8005", &format!("127.0.0.1:{port}"));
        // A line for each answer, and nothing of curl's own.
        let line = there.replace("curl ", "curl -sS -w '\\n' ");
        Program::installed("bash").args(["-c", &line]).spawn(&scratch.path().join("log"))
    };
    let users = shell(pasted("for i in {1..1000}")?)?;
    users.wait(LONG).await?;
    let made = users.output().lines().filter(|line| line.starts_with("{\"id\":")).count();
    ensure!(made == 1_000, "{made} users: {}", users.last_output());
    let follows = shell(pasted("for i in {2..500}")?)?;
    follows.wait(LONG).await?;
    let followed = follows.output().lines().filter(|line| line.contains("\"followed_id\":1}")).count();
    ensure!(followed == 499, "{followed} follows: {}", follows.last_output());

    let began = Instant::now();
    let posting = shell(pasted("while true")?)?;
    wait_until(Duration::from_secs(60), "the last follower has ten tweets", async || {
        clients.feed(&mut StdRng::seed_from_u64(1), 500).await.is_ok_and(|feed| feed.len() >= 10)
    })
    .await;
    posting.kill();
    eprintln!("ten tweets in the last feed after {:?}", began.elapsed());
    ensure!(clients.feed(&mut StdRng::seed_from_u64(1), 501).await?.is_empty(), "user 501 follows nobody");
    Ok(())
}
