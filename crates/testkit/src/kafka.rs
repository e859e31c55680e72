//! Three real brokers, small and quick to start, each of which can be killed, frozen and brought
//! back on its own. The settings are those of `deploy/kafka`, the ones the native stack runs with.

pub(crate) mod broker;
mod log;
mod metadata;
pub(crate) mod sasl_ssl;

use crate::condition::wait_until;
use crate::port::free_port;
use crate::scratch::Scratch;
use anyhow::{Context as _, Result, ensure};
use broker::Broker;
use sasl_ssl::SaslSsl;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How many brokers there are. Their node ids are 1, 2 and 3.
pub const BROKERS: usize = 3;

/// How a throw-away Kafka differs from the native stack's.
#[derive(Debug, Default, Clone)]
pub struct KafkaOptions {
    /// Broker settings, added to those of `deploy/kafka/broker.properties` or in their place.
    pub settings: Vec<(String, String)>,
    /// One more listener, for users that log in over TLS; they may do what [`Kafka::allow`] gives them.
    pub sasl_ssl: Option<SaslSsl>,
}

/// A throw-away cluster of three brokers, which are also its controllers.
#[derive(Debug)]
pub struct Kafka {
    // Before the folder: a field is dropped in order, and the brokers must be dead by then.
    brokers: Vec<Broker>,
    sasl_ssl: Option<SaslSsl>,
    scratch: Scratch,
}

impl Kafka {
    /// Starts the brokers and waits until all three are in the metadata: about 4 s once the jars
    /// are there (`deploy/kafka/fetch` is run first).
    ///
    /// # Errors
    /// When the jars cannot be had or a broker does not start; the message has its last lines.
    pub async fn start(options: KafkaOptions) -> Result<Self> {
        let started = Instant::now();
        fetch()?;
        let scratch = Scratch::new("kafka")?;
        let controllers: [u16; BROKERS] = std::array::from_fn(|_| free_port());
        let voters = voters(&controllers);
        let brokers = (1..)
            .zip(controllers)
            .map(|(id, controller_port)| Broker::prepare(id, controller_port, &voters, &options, scratch.path()));
        let kafka = Self { brokers: brokers.collect::<Result<_>>()?, sasl_ssl: options.sasl_ssl.clone(), scratch };
        kafka.format().await?;
        for broker in &kafka.brokers {
            broker.start()?;
        }
        kafka.wait_until_joined().await?;
        eprintln!(
            "kafka: {} in {} after {:.1} s",
            kafka.bootstrap(),
            kafka.scratch.path().display(),
            started.elapsed().as_secs_f32()
        );
        Ok(kafka)
    }

    /// What goes into `bootstrap.servers`: all three, as `host:port,host:port,host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(Broker::address).collect();
        addresses.join(",")
    }

    /// All brokers, by node id.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// One broker by its node id.
    ///
    /// # Panics
    /// When `id` is not 1, 2 or 3.
    #[must_use]
    pub fn broker(&self, id: i32) -> &Broker {
        self.brokers.iter().find(|broker| broker.id() == id).unwrap_or_else(|| panic!("no broker has the node id {id}"))
    }

    /// Waits until every broker is back and every partition of every topic has its leader and all
    /// of its replicas in sync.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub async fn wait_until_healthy(&self, deadline: Duration) {
        wait_until(deadline, "three brokers, all replicas in sync", async || {
            self.metadata().await.is_ok_and(|metadata| metadata::healthy(&metadata))
        })
        .await;
    }

    async fn format(&self) -> Result<()> {
        let cluster_id = uuid::Uuid::new_v4().simple().to_string();
        let users = self.sasl_ssl.as_ref().map(SaslSsl::scram_users).unwrap_or_default();
        let formats = self.brokers.iter().map(|broker| broker.format(&cluster_id[..22], &users));
        for format in formats.collect::<Result<Vec<_>>>()? {
            let status = format.wait(Duration::from_secs(60)).await?;
            ensure!(status.success(), "formatting: {status}\n{}", format.last_output());
        }
        Ok(())
    }

    async fn wait_until_joined(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            for broker in &self.brokers {
                broker.ensure_running()?;
            }
            match self.metadata().await {
                Ok(metadata) if metadata.brokers().len() == BROKERS => return Ok(()),
                _ if Instant::now() < end => tokio::time::sleep(Duration::from_millis(50)).await,
                outcome => {
                    let seen = outcome.map(|metadata| metadata.brokers().len());
                    anyhow::bail!("Kafka did not come up in 60 s (brokers seen: {seen:?})")
                }
            }
        }
    }
}

/// `id@host:port` of every controller.
fn voters(controllers: &[u16]) -> String {
    let voters = (1..).zip(controllers).map(|(id, port): (i32, _)| format!("{id}@127.0.0.1:{port}"));
    voters.collect::<Vec<_>>().join(",")
}

/// A file of `deploy/kafka`.
fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka").join(file)
}

fn fetch() -> Result<()> {
    let script = deploy("fetch");
    let status = Command::new(&script).status();
    let status = status.with_context(|| format!("running {}", script.display()))?;
    ensure!(status.success(), "deploy/kafka/fetch could not bring the Kafka jars: {status}");
    Ok(())
}
