//! Connections: a small pool for short work, dedicated sessions for batches.
//!
//! All of them are encrypted as [`crate::tls`] says. Every session carries bounds, so that a stopped or half-dead client can hold a lock only so
//! long, and a dead server is noticed by TCP instead of never.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use postgres_openssl::TlsStream;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Socket};

use crate::error::{Error, Result, chain};
use crate::tls::{self, Driven, Tls};

/// How to reach PostgreSQL.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Connection string (libpq URL or keywords), such as
    /// `postgres://factory_user@127.0.0.1:25432/factory_monitoring`; with sslmode, sslrootcert, sslcert
    /// and sslkey as libpq has them
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Connections in the pool for short work; batches have one more of their own. 1 to 50.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub database_pool_size: u16,
}

impl std::fmt::Debug for Options {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = tls::read(&self.database_url).ok().map(|(config, _)| config);
        f.debug_struct("Options")
            .field("hosts", &config.as_ref().map(|c| c.get_hosts().to_vec()))
            .field("ports", &config.as_ref().map(|c| c.get_ports().to_vec()))
            .field("user", &config.as_ref().and_then(|c| c.get_user().map(str::to_owned)))
            .field("database", &config.as_ref().and_then(|c| c.get_dbname().map(str::to_owned)))
            .field("pool_size", &self.database_pool_size)
            .finish_non_exhaustive()
    }
}

/// Bounds of one session, in milliseconds; 0 is "none" (PostgreSQL manual, 20.11.1).
#[derive(Clone, Copy)]
struct Bounds {
    statement: u32,
    lock: u32,
    idle_in_transaction: u32,
}

/// Short work: nothing here should ever take long.
const POOLED: Bounds = Bounds { statement: 15_000, lock: 5_000, idle_in_transaction: 5_000 };
/// Batches: a COPY may wait for a slow disk. A process stopped inside COPY is inside a
/// statement, so it is the next claim that ends its backend, not the idle bound.
const BATCH: Bounds = Bounds { statement: 60_000, lock: 10_000, idle_in_transaction: 10_000 };
/// Reports and migrations.
const LONG: Bounds = Bounds { statement: 0, lock: 10_000, idle_in_transaction: 60_000 };

/// A way to the database. Cheap to clone. Made without connecting.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: Tls,
}

/// A server process of PostgreSQL. Pids repeat, so the start time belongs to the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `pg_backend_pid()`.
    pub pid: i32,
    /// `pg_stat_activity.backend_start`.
    pub started_at: Timestamp,
}

/// A session of its own, with the backend that serves it.
pub struct Session {
    /// The client; statements are sent in call order.
    pub client: tokio_postgres::Client,
    /// Who serves it.
    pub backend: Backend,
}

impl Store {
    /// Reads the options; connects to nothing. `application` becomes `application_name`.
    ///
    /// # Errors
    /// [`Error::Url`] when the connection string cannot be read.
    pub fn new(options: &Options, application: &str) -> Result<Self> {
        let (config, tls) = config(options, application)?;
        Self::with(config, tls, options)
    }

    fn with(config: tokio_postgres::Config, tls: Tls, options: &Options) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_connect(bounded(&config, POOLED), tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(usize::from(options.database_pool_size))
            .wait_timeout(Some(Duration::from_secs(5)))
            .create_timeout(Some(Duration::from_secs(5)))
            .recycle_timeout(Some(Duration::from_secs(3)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::Connect(e.into()))?;
        Ok(Self { pool, config, tls })
    }

    /// [`Store::new`], with sessions that refuse to write, whatever the role may do.
    ///
    /// # Errors
    /// As [`Store::new`].
    pub fn read_only(options: &Options, application: &str) -> Result<Self> {
        let (mut config, tls) = config(options, application)?;
        let theirs = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("-c default_transaction_read_only=on {theirs}"));
        Self::with(config, tls, options)
    }

    /// A pooled connection for short work.
    ///
    /// # Errors
    /// [`Error::Connect`] when none is free or can be made within 5 s.
    pub async fn pooled(&self) -> Result<deadpool_postgres::Client> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.tls.explain(error),
            error => Error::Connect(error.into()),
        })
    }

    /// One statement on a pooled connection, which keeps it prepared; `doing` is what its failure says.
    ///
    /// # Errors
    /// [`Store::pooled`]'s, and the statement's.
    pub(crate) async fn query(
        &self,
        doing: &'static str,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let client = self.pooled().await?;
        let statement = client.prepare_cached(statement).await.map_err(Error::doing(doing))?;
        client.query(&statement, values).await.map_err(Error::doing(doing))
    }

    /// A dedicated session for batches.
    ///
    /// # Errors
    /// [`Error::Connect`] or [`Error::TimedOut`] (5 s).
    pub async fn batch_session(&self) -> Result<Session> {
        self.session(BATCH).await
    }

    /// A dedicated session without a statement time-out, for reports and migrations.
    ///
    /// # Errors
    /// As [`Store::batch_session`].
    pub async fn long_session(&self) -> Result<Session> {
        self.session(LONG).await
    }

    /// A connection that only waits; its messages are the caller's to drive.
    pub(crate) async fn waiting_connection(&self) -> Result<Driven> {
        self.connect(POOLED).await
    }

    async fn connect(&self, bounds: Bounds) -> Result<Driven> {
        let connected = self.tls.connect(&bounded(&self.config, bounds)).await;
        connected.map_err(|error| self.tls.explain(error))
    }

    async fn session(&self, bounds: Bounds) -> Result<Session> {
        const SECONDS: u64 = 5;
        let connect = async {
            let (client, connection) = self.connect(bounds).await?;
            drive(connection);
            let row = client
                .query_one("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()", &[])
                .await
                .map_err(Error::doing("asking for the backend of a new session"))?;
            Ok(Session { client, backend: Backend { pid: row.get(0), started_at: row.get(1) } })
        };
        tokio::time::timeout(Duration::from_secs(SECONDS), connect)
            .await
            .unwrap_or(Err(Error::TimedOut { doing: "connecting to PostgreSQL", seconds: SECONDS }))
    }
}

impl deadpool_postgres::Connect for Tls {
    fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> BoxFuture<'_, std::result::Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = self.connect(&config).await?;
            Ok((client, drive(connection)))
        })
    }
}

/// Ends with the client: dropping it closes the connection.
fn drive(connection: tokio_postgres::Connection<Socket, TlsStream<Socket>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = chain(&error), "database connection ended");
        }
    })
}

fn config(options: &Options, application: &str) -> Result<(tokio_postgres::Config, Tls)> {
    let (mut config, tls) = tls::read(&options.database_url)?;
    config
        .application_name(application)
        .connect_timeout(Duration::from_secs(3))
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    Ok((config, tls))
}

fn bounded(config: &tokio_postgres::Config, bounds: Bounds) -> tokio_postgres::Config {
    let mut config = config.clone();
    let ours = format!(
        "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c timezone=UTC",
        bounds.statement, bounds.lock, bounds.idle_in_transaction
    );
    let theirs = config.get_options().unwrap_or_default();
    // Last, so that it holds: a statement behind a lock must see what the lock waited for.
    config.options(format!("{ours} {theirs} -c default_transaction_isolation=read\\ committed"));
    config
}
