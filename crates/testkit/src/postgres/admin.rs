//! What an administrator, an accident or a kill -9 does to a server.

use super::Postgres;
use crate::process::Process;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Crash recovery of what a test wrote takes a second or two; a busy machine more.
const START: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts it on its data and waits until it answers, crash recovery included.
    ///
    /// # Errors
    /// When it does not start; the message has its last lines.
    pub async fn start_again(&self) -> Result<()> {
        if !self.is_running() {
            let process = self.cluster.serve()?;
            *self.process() = Some(process);
        }
        let end = Instant::now() + START;
        loop {
            let Err(error) = self.connect("postgres").await else { return Ok(()) };
            if let Some(process) = self.process().as_ref()
                && (process.exited().is_some() || Instant::now() > end)
            {
                bail!("Postgres does not start: {error:#}\n{}", process.last_output());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether its main process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(|process| process.exited().is_none())
    }

    /// SIGKILL of the postmaster and of every backend. What was not committed is gone, and the
    /// next start has to recover.
    pub fn kill(&self) {
        let Some(process) = self.process().take() else { return };
        // Frozen first: it would go on making children, and make new ones for those that died.
        let _ = process.stop();
        let children = children(process.id());
        process.kill();
        for &child in &children {
            let _ = kill_process(child, Signal::KILL);
        }
        // The shared memory is theirs too: a start finds it in use until the last has gone.
        while children.iter().any(|&child| is_alive(child)) {
            std::thread::yield_now();
        }
    }

    /// A fast shutdown: sessions are ended, everything is written.
    ///
    /// # Errors
    /// When it was not running, or still is after a minute.
    pub async fn stop(&self) -> Result<()> {
        let process = self.process().take().context("Postgres is not running")?;
        process.signal(Signal::INT)?;
        process.wait(Duration::from_secs(60)).await.map(drop)
    }

    /// [`Postgres::stop`], then [`Postgres::start_again`].
    ///
    /// # Errors
    /// As these two.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// A new connection of the superuser. It ends when the client is dropped.
    ///
    /// # Errors
    /// When Postgres does not answer or the database is not there.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url(database)).await
    }

    /// Makes an empty database and returns its random name.
    ///
    /// # Errors
    /// When Postgres is away or its disk is full.
    pub async fn create_database(&self) -> Result<String> {
        create_database(&self.url("postgres")).await
    }

    /// Makes new transactions of a database read-only, or writable again, and ends its sessions so
    /// that the next ones know.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn set_read_only(&self, database: &str, read_only: bool) -> Result<()> {
        let client = self.connect("postgres").await?;
        let on = if read_only { "on" } else { "off" };
        let alter = format!("ALTER DATABASE \"{database}\" SET default_transaction_read_only = {on}");
        client.batch_execute(&alter).await.context("making a database read-only")?;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        client.query(end, &[&database]).await.context("ending its sessions")?;
        Ok(())
    }

    pub(super) fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Makes an empty database with a random name over a superuser's connection string.
pub(crate) async fn create_database(url: &str) -> Result<String> {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let client = connect(url).await?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    Ok(name)
}

/// The direct children of a process: for a postmaster, all there are.
fn children(parent: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let children = ids.filter(|id| parent_of(*id) == Some(parent));
    children.filter_map(Pid::from_raw).collect()
}

/// The fourth field of `/proc/ID/stat`; the second, a name in parentheses, may hold blanks.
fn parent_of(id: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process is there and not only waiting to be buried.
fn is_alive(id: Pid) -> bool {
    let path = format!("/proc/{}/stat", id.as_raw_nonzero());
    let stat = fs::read_to_string(Path::new(&path)).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
