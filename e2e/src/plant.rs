//! A scenario's own pipeline: brokers and Postgres may be shared, topic, group and database are not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kafka::Inspector;
use schema::topics::Topic;
use testkit::{Kafka, KafkaOptions, PgProxy, Postgres, PostgresOptions, Process, Program, Scratch, wait_for};
use uuid::Uuid;

use crate::load::{Load, Recipe};

/// Brokers and a Postgres.
pub struct Site {
    /// Three brokers.
    pub kafka: Arc<Kafka>,
    /// The server.
    pub postgres: Postgres,
}

impl Site {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start() -> Result<Arc<Self>> {
        let (kafka, postgres) =
            tokio::try_join!(Kafka::start(KafkaOptions::default()), Postgres::start(PostgresOptions::default()))?;
        Ok(Arc::new(Self { kafka: Arc::new(kafka), postgres }))
    }

    /// The same brokers with a Postgres of its own, for a scenario that does to all of it what the
    /// next ones could not stand.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn beside(&self, postgres: PostgresOptions) -> Result<Arc<Self>> {
        let postgres = Postgres::start(postgres).await?;
        Ok(Arc::new(Self { kafka: Arc::clone(&self.kafka), postgres }))
    }
}

/// How the consumers of a scenario are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the consumers do: `sensors` or `feed`.
    pub workload: &'static str,
    /// `consumer` or `classic`.
    pub protocol: &'static str,
    /// `cooperative-sticky` or `range`.
    pub assignor: &'static str,
    /// Static membership.
    pub static_membership: bool,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Most records of a batch.
    pub batch_max_records: u32,
    /// Session time-out of the group, ms.
    pub session_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workload: "sensors",
            protocol: "consumer",
            assignor: "cooperative-sticky",
            static_membership: false,
            partitions: 6,
            batch_max_records: 20_000,
            session_ms: SESSION_MS,
        }
    }
}

/// See the module.
pub struct Plant {
    /// Where it runs.
    pub site: Arc<Site>,
    /// Between the consumers and Postgres.
    pub proxy: PgProxy,
    /// Its topic.
    pub topic: String,
    /// Its group.
    pub group: String,
    /// Its database's name.
    pub database: String,
    /// How consumers are run.
    pub settings: Settings,
    scratch: Scratch,
}

/// Session time-out of most groups, ms.
pub const SESSION_MS: u32 = 3_000;

impl Plant {
    /// A fresh topic, group and database, migrated.
    ///
    /// # Errors
    /// When one cannot be made.
    pub async fn new(site: &Arc<Site>, settings: Settings) -> Result<Self> {
        let name = Uuid::now_v7().simple().to_string();
        let database = site.postgres.create_database().await?;
        let proxy = PgProxy::in_front_of(&site.postgres.url(&database)).await?;
        let plant = Self {
            site: Arc::clone(site),
            proxy,
            topic: format!("readings-{name}"),
            group: format!("consumers-{name}"),
            database,
            settings,
            scratch: Scratch::new("plant")?,
        };
        plant.create_topic().await?;
        let options = plant.kafka_options();
        kafka::admin::set_group_timeouts(&options, "e2e", &plant.group, plant.settings.session_ms, 500).await?;
        let status = plant.command(&["migrate"]).await?;
        ensure!(status.0 == 0, "consumer migrate: {}", status.1);
        Ok(plant)
    }

    /// Makes the topic (again).
    ///
    /// # Errors
    /// When the brokers refuse.
    pub async fn create_topic(&self) -> Result<()> {
        // The catalogue's entries are constants; a test's topic lives as long as the test.
        let name: &'static str = Box::leak(self.topic.clone().into_boxed_str());
        let retention = Duration::from_secs(24 * 60 * 60);
        let topic = Topic { name, partitions: self.settings.partitions, key: "sensor_id", retention };
        kafka::admin::ensure_topics(&self.kafka_options(), "e2e", &[topic]).await?;
        Ok(())
    }

    /// Gives its topic more partitions.
    ///
    /// # Errors
    /// When the brokers refuse.
    pub async fn add_partitions(&self, more: i32) -> Result<()> {
        use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
        use rdkafka::client::DefaultClientContext;
        let admin: AdminClient<DefaultClientContext> = self.kafka_options().client("e2e").create()?;
        let count = usize::try_from(self.settings.partitions + more)?;
        let results = admin.create_partitions(&[NewPartitions::new(&self.topic, count)], &AdminOptions::new()).await?;
        for result in results {
            result.map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        }
        Ok(())
    }

    /// Client options for its brokers.
    pub fn kafka_options(&self) -> kafka::Options {
        kafka::Options::plaintext(self.site.kafka.bootstrap())
    }

    /// Asks its brokers.
    pub fn inspector(&self) -> Inspector {
        Inspector::new(&self.kafka_options(), "e2e").expect("the test kit gives host:port")
    }

    /// The database's own address, past the proxy.
    pub fn url(&self) -> String {
        self.site.postgres.url(&self.database)
    }

    /// A session with the database.
    ///
    /// # Errors
    /// When it is away.
    pub async fn connect(&self) -> Result<tokio_postgres::Client> {
        self.site.postgres.connect(&self.database).await
    }

    /// Where consumer `id` logs and spools.
    pub fn consumer_dir(&self, id: &str) -> PathBuf {
        self.scratch.path().join(id)
    }

    /// Starts a consumer through the proxy.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn consumer(&self, id: &str) -> Result<Process> {
        self.consumer_with(id, &[])
    }

    /// The same with more arguments; later ones win.
    ///
    /// # Errors
    /// As [`Plant::consumer`].
    pub fn consumer_with(&self, id: &str, args: &[&str]) -> Result<Process> {
        let dir = self.consumer_dir(id);
        std::fs::create_dir_all(&dir)?;
        let settings = &self.settings;
        let program = Program::named("consumer")?
            .args([settings.workload, "--id", id, "--http-addr", "127.0.0.1:0", "--topic", &self.topic])
            .args(["--group", &self.group, "--protocol", settings.protocol, "--assignor", settings.assignor])
            .args(["--session-timeout-ms", &settings.session_ms.to_string()])
            .args(["--batch-max-records", &settings.batch_max_records.to_string()])
            .args([format!("--static-membership={}", settings.static_membership)])
            .args(args)
            .arg("--data-dir")
            .arg(&dir)
            .env("KAFKA_BROKERS", self.site.kafka.bootstrap())
            .env("DATABASE_URL", self.proxy.url(&self.url()))
            .env("RUST_LOG", std::env::var("E2E_LOG").unwrap_or_else(|_| "info".into()));
        program.spawn(&dir.join("log"))
    }

    /// The port on which a consumer that was started serves, from its log.
    ///
    /// # Panics
    /// When it has not said so after twenty seconds.
    pub async fn http_port(&self, id: &str) -> u16 {
        let log = self.consumer_dir(id).join("log");
        wait_for(Duration::from_secs(20), "the consumer serves", async || {
            let text = std::fs::read_to_string(&log).ok()?;
            let line = text.lines().rfind(|line| line.contains("serving http"))?;
            line.rsplit(':').next()?.trim().parse().ok()
        })
        .await
    }

    /// Starts a process of the tweet API on a port of ours, past the proxy.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn api(&self, id: &str, port: u16, args: &[&str]) -> Result<Process> {
        let log = self.scratch.path().join(format!("{id}-{}", Uuid::now_v7().simple()));
        Program::named("producer")?
            .args(["tweets", "--id", id, "--topic", &self.topic, "--http-addr", &format!("127.0.0.1:{port}")])
            .args(args)
            // What is tried here are not the limits; a flag comes before a variable.
            .env("TWEET_USER_RATE", "10000")
            .env("TWEET_USER_BURST", "10000")
            .env("TWEET_RATE", "10000")
            .env("TWEET_BURST", "10000")
            .env("KAFKA_BROKERS", self.site.kafka.bootstrap())
            .env("DATABASE_URL", self.url())
            .spawn(&log)
    }

    /// Starts a monitor of it, which also numbers its events.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn monitor(&self, port: u16) -> Result<Process> {
        let log = self.scratch.path().join(format!("monitor-{}", Uuid::now_v7().simple()));
        Program::named("monitor")?
            .args(["--port", &port.to_string(), "--topic", &self.topic])
            .env("KAFKA_BROKERS", self.site.kafka.bootstrap())
            .env("DATABASE_URL", self.url())
            .env("RECORDER_DATABASE_URL", self.url())
            .spawn(&log)
    }

    /// Runs a command of `consumer` past the proxy; its exit code and what it printed.
    ///
    /// # Errors
    /// When it does not end within two minutes.
    pub async fn command(&self, args: &[&str]) -> Result<(i32, String)> {
        self.command_of("consumer", args).await
    }

    /// As [`Plant::command`], of any program.
    ///
    /// # Errors
    /// When it does not end within two minutes.
    pub async fn command_of(&self, program: &str, args: &[&str]) -> Result<(i32, String)> {
        let log = self.scratch.path().join(format!("command-{}", Uuid::now_v7().simple()));
        let process = Program::named(program)?
            .args(args)
            .env("KAFKA_BROKERS", self.site.kafka.bootstrap())
            .env("DATABASE_URL", self.url())
            .spawn(&log)?;
        let status = process.wait(Duration::from_secs(120)).await?;
        Ok((status.code().unwrap_or(-1), process.output()))
    }

    /// Starts a load on its topic.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn load(&self, rate: u64, limit: u64, poison_every: u64) -> Result<Load> {
        Load::start(Recipe {
            brokers: self.site.kafka.bootstrap(),
            topic: self.topic.clone(),
            rate,
            limit,
            sensors: 60,
            poison_every,
        })
    }

    /// The ends of its log, by partition.
    ///
    /// # Errors
    /// When no good answer comes within a minute.
    pub async fn log_ends(&self) -> Result<Vec<(i32, i64)>> {
        let partitions: Vec<i32> = (0..self.settings.partitions).collect();
        // After brokers were away some partitions have no leader for a while.
        let bounds = wait_for(Duration::from_secs(60), "every partition's leader tells its log's end", async || {
            self.inspector().bounds(&self.topic, &partitions).await.ok()
        })
        .await;
        Ok(partitions.iter().map(|partition| (*partition, bounds[partition].end)).collect())
    }

    /// The stored offsets, by partition.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn stored(&self) -> Result<Vec<(i32, i64)>> {
        let rows = self
            .connect()
            .await?
            .query(
                "SELECT partition_number, next_offset FROM stored_offsets JOIN kafka_logs USING (log_id) \
                 WHERE log_id = (SELECT max(log_id) FROM kafka_logs) ORDER BY 1",
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Waits until every record of the log is stored.
    ///
    /// # Errors
    /// When the ends of the log cannot be had.
    pub async fn drained(&self, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let ends = self.log_ends().await.context("asking for the log's ends")?;
        loop {
            let stored = self.stored().await;
            let drained = stored.as_ref().is_ok_and(|stored| {
                ends.iter().all(|(partition, end)| *end == 0 || stored.contains(&(*partition, *end)))
            });
            if drained {
                return Ok(());
            }
            ensure!(Instant::now() < until, "not stored within {deadline:?}: log ends {ends:?}, stored {stored:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
