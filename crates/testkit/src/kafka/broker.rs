//! One broker: a process, its two ports and its data folder.

use super::{KafkaOptions, deploy};
use crate::port::free_port;
use crate::process::{Process, mortal};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One of the three brokers. Every method takes `&self`, so that a test can break brokers while it
/// uses them.
#[derive(Debug)]
pub struct Broker {
    id: i32,
    port: u16,
    sasl_ssl_port: Option<u16>,
    properties: PathBuf,
    data_dir: PathBuf,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Broker {
    pub(super) fn prepare(
        id: i32,
        controller_port: u16,
        voters: &str,
        options: &KafkaOptions,
        dir: &Path,
    ) -> Result<Self> {
        let port = free_port();
        let data_dir = dir.join(format!("kafka{id}"));
        let template = fs::read_to_string(deploy("broker.properties"));
        let mut properties = template
            .context("reading deploy/kafka/broker.properties")?
            .replace("@NODE_ID@", &id.to_string())
            .replace("@BROKER_PORT@", &port.to_string())
            .replace("@CONTROLLER_PORT@", &controller_port.to_string())
            .replace("@DATA_DIR@", &data_dir.to_string_lossy())
            .replace("@VOTERS@", voters);
        let sasl_ssl_port = match &options.sasl_ssl {
            Some(listener) => {
                let listening = free_port();
                let file = dir.join(format!("kafka{id}.pem"));
                properties.push_str(&listener.properties(port, controller_port, listening, &file)?);
                Some(listening)
            }
            None => None,
        };
        for (key, value) in &options.settings {
            // The last one of a key counts.
            properties.push_str(&format!("{key}={value}\n"));
        }
        let file = dir.join(format!("kafka{id}.properties"));
        fs::write(&file, properties).context("writing a broker's settings")?;
        let log = dir.join(format!("kafka{id}.log"));
        Ok(Self { id, port, sasl_ssl_port, properties: file, data_dir, log, process: Mutex::default() })
    }

    pub(super) fn format(&self, cluster_id: &str, more: &[String]) -> Result<Process> {
        let mut command = mortal(&deploy("broker"), None);
        command.arg("format").arg(&self.properties).arg(cluster_id).args(more);
        Process::spawn(&format!("format of kafka{}", self.id), command, Some(&self.log))
    }

    /// Its node id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// `host:port` of its listener for clients; the same after every restart.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of its listener for users, where it has one.
    pub(super) fn sasl_ssl_port(&self) -> Option<u16> {
        self.sasl_ssl_port
    }

    /// Where its logs are: a folder `TOPIC-PARTITION` for each replica.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What it printed, over all of its lives.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether its process is there (also when it is frozen).
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(|process| process.exited().is_none())
    }

    /// Starts it on its old data and returns at once; [`super::Kafka::wait_until_healthy`] waits.
    /// Does nothing when it runs.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let mut command = mortal(&deploy("broker"), None);
        command.arg("start").arg(&self.properties);
        let process = Process::spawn(&format!("kafka{}", self.id), command, Some(&self.log))?;
        *self.process() = Some(process);
        Ok(())
    }

    /// SIGKILL: as a power cut of the machine would, except that what was written is not lost.
    pub fn kill(&self) {
        self.process().take();
    }

    /// SIGTERM, and waits: it hands its partitions over first (a controlled shutdown, seconds).
    ///
    /// # Errors
    /// When it was not running, or still is after a minute.
    pub async fn stop(&self) -> Result<()> {
        let process = self.process().take();
        let process = process.with_context(|| format!("kafka{} is not running", self.id))?;
        process.term()?;
        process.wait(Duration::from_secs(60)).await.map(drop)
    }

    /// SIGSTOP: its sockets stay open and nothing answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> Result<()> {
        self.with_process(Process::stop)
    }

    /// SIGCONT, after [`Broker::pause`].
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> Result<()> {
        self.with_process(Process::cont)
    }

    pub(super) fn ensure_running(&self) -> Result<()> {
        self.with_process(|process| match process.exited() {
            Some(status) => bail!("kafka{} ended: {status}\n{}", self.id, process.last_output()),
            None => Ok(()),
        })
    }

    fn with_process<T>(&self, act: impl FnOnce(&Process) -> Result<T>) -> Result<T> {
        let process = self.process();
        act(process.as_ref().with_context(|| format!("kafka{} is not running", self.id))?)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
