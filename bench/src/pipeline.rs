//! A fresh database and group on a site, and the built `consumer` against them, with nothing in
//! between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::plant::Site;
use testkit::{Process, Program, Scratch};
use tokio_postgres::Client;
use uuid::Uuid;

/// See the module.
pub struct Pipeline {
    site: Arc<Site>,
    topic: String,
    group: String,
    database: String,
    scratch: Scratch,
}

impl Pipeline {
    /// Makes the database and the group's settings by `consumer migrate`; `topic` is there already
    /// or is the catalogue's.
    ///
    /// # Errors
    /// When `consumer` is not built or refuses.
    pub async fn new(site: &Arc<Site>, topic: &str, session_ms: u32) -> Result<Self> {
        let pipeline = Self {
            site: Arc::clone(site),
            topic: topic.to_owned(),
            group: format!("bench-{}", Uuid::now_v7().simple()),
            database: site.postgres.create_database().await?,
            scratch: Scratch::new("bench")?,
        };
        let log = pipeline.scratch.path().join("migrate");
        let migrate = pipeline.program("consumer")?.args(["migrate", "--wait", "30", "--group", &pipeline.group]);
        let migrate = migrate.args(["--session-timeout-ms", &session_ms.to_string()]).spawn(&log)?;
        let status = migrate.wait(Duration::from_secs(60)).await?;
        ensure!(status.success(), "consumer migrate: {status}\n{}", migrate.last_output());
        Ok(pipeline)
    }

    /// Starts a consumer; `args` are added to what every one is given.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn consumer<S: AsRef<std::ffi::OsStr>>(&self, id: &str, args: impl IntoIterator<Item = S>) -> Result<Process> {
        self.member("sensors", id, args)
    }

    /// The same of the feed workload.
    ///
    /// # Errors
    /// As [`Self::consumer`].
    pub fn feed_worker(&self, id: &str) -> Result<Process> {
        let none: [&str; 0] = [];
        self.member("feed", id, none)
    }

    fn member<S: AsRef<std::ffi::OsStr>>(
        &self,
        workload: &str,
        id: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Process> {
        let dir = self.dir(id);
        std::fs::create_dir_all(&dir)?;
        let program = self.program("consumer")?.args([workload, "--id", id, "--http-addr", "127.0.0.1:0"]);
        let program = program.args(["--topic", &self.topic, "--group", &self.group]).args(args);
        program.arg("--data-dir").arg(&dir).spawn(&dir.join("log"))
    }

    /// Starts a process of the tweet API on this port, without limits that would be measured.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn api(&self, port: u16) -> Result<Process> {
        let program = self.program("producer")?.args(["tweets", "--http-addr", &format!("127.0.0.1:{port}")]);
        let most = "1000000";
        let program = program.args(["--user-rate", most, "--user-burst", most, "--rate", most, "--burst", most]);
        program.args(["--topic", &self.topic]).spawn(&self.scratch.path().join("api"))
    }

    /// Where consumer `id` logs and spools.
    pub fn dir(&self, id: &str) -> PathBuf {
        self.scratch.path().join(id)
    }

    /// Address of its database.
    pub fn url(&self) -> String {
        self.site.postgres.url(&self.database)
    }

    /// A session with its database.
    ///
    /// # Errors
    /// When it is away.
    pub async fn connect(&self) -> Result<Client> {
        self.site.postgres.connect(&self.database).await
    }

    /// Drops the database, so that many measurements fit on a disk.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn remove(self) -> Result<()> {
        let client = self.site.postgres.connect("postgres").await?;
        client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database)).await?;
        Ok(())
    }

    fn program(&self, name: &str) -> Result<Program> {
        let program = Program::named(name)?
            .env("KAFKA_BROKERS", self.site.kafka.bootstrap())
            .env("DATABASE_URL", self.url())
            .env("RUST_LOG", "info");
        Ok(program)
    }
}
