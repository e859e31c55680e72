//! `testkit run`: what a command finds, what it answers, and that nothing outlives it.

use anyhow::{Context as _, Result};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use testkit::{Process, Program, Scratch, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn run(scratch: &Scratch, script: &str) -> Result<Process> {
    let log = scratch.path().join("log");
    Program::named("testkit")?.args(["run", "--", "sh", "-c", script]).spawn(&log)
}

/// Every address that the command under `testkit run` was given.
fn addresses(printed: &str) -> Option<Vec<SocketAddr>> {
    let line = printed.lines().find_map(|line| line.strip_prefix("found "))?;
    let words = line.split([',', ' ', '/', '@']);
    Some(words.filter_map(|word| word.parse().ok()).collect())
}

fn listens(address: &SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn the_command_finds_its_services_and_its_exit_code_is_passed_on() -> Result<()> {
    let scratch = Scratch::new("run")?;
    let process = run(&scratch, "echo found $TESTKIT_KAFKA_BROKERS $TESTKIT_DATABASE_URL; exit 7")?;
    assert_eq!(process.wait(SOON).await?.code(), Some(7), "{}", process.last_output());
    let addresses = addresses(&process.output()).context("nothing was found")?;
    assert_eq!(addresses.len(), 4, "three brokers and Postgres: {addresses:?}");
    assert!(!addresses.iter().any(listens), "all of them are stopped");
    assert!(!folder_of(&process).exists(), "its folders are removed");
    Ok(())
}

#[tokio::test]
async fn a_terminated_run_ends_its_command_and_its_services() -> Result<()> {
    let scratch = Scratch::new("run")?;
    // The grandchild is what a test binary is to cargo.
    let script = "echo found $TESTKIT_KAFKA_BROKERS $TESTKIT_DATABASE_URL; sh -c 'echo id $$; exec sleep 600'";
    let process = run(&scratch, script)?;
    let grandchild = wait_for(SOON, "the command runs", async || {
        let output = process.output();
        output.lines().find_map(|line| line.strip_prefix("id ").map(str::to_owned))
    })
    .await;
    let addresses = addresses(&process.output()).context("nothing was found")?;
    assert!(addresses.iter().all(listens));

    process.term()?;
    assert_eq!(process.wait(SOON).await?.code(), Some(128 + 15));
    assert!(!addresses.iter().any(listens), "all of them are stopped");
    wait_until(SOON, "its command is ended", async || !runs(&grandchild)).await;
    Ok(())
}

#[tokio::test]
async fn nothing_outlives_a_killed_run() -> Result<()> {
    let scratch = Scratch::new("run")?;
    let script = "echo found $TESTKIT_KAFKA_BROKERS $TESTKIT_DATABASE_URL; cat";
    let process = run(&scratch, script)?;
    let addresses = wait_for(SOON, "the command runs", async || addresses(&process.output())).await;
    process.kill();
    wait_until(SOON, "brokers and Postgres are gone", async || !addresses.iter().any(listens)).await;
    // What it could not remove is removed by the next run, which may have done it by now.
    let _ = std::fs::remove_dir_all(folder_of(&process));
    Ok(())
}

/// Whether a process is there and not only waiting to be buried.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The temporary folder of the brokers that a run has printed.
fn folder_of(process: &Process) -> PathBuf {
    let output = process.output();
    let line = output.lines().find(|line| line.starts_with("kafka: ")).expect("it says where they are");
    line.split(' ').nth(3).expect("the folder is the fourth word").into()
}
