//! A throw-away Postgres cluster with the settings of `deploy/postgres/millrace.conf`: durable as
//! the real one, so that a kill -9 means here what it means there.

mod admin;
mod cluster;
mod disk;
pub(crate) mod snapshot;

pub(crate) use admin::create_database;

use crate::certificates::Certificate;
use crate::port::free_port;
use crate::process::Process;
use crate::scratch::Scratch;
use anyhow::Result;
use cluster::Cluster;
use disk::Disk;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// How a throw-away Postgres differs from the native stack's.
#[derive(Debug, Default, Clone)]
pub struct PostgresOptions {
    /// Settings, in the place of those of `deploy/postgres/millrace.conf`.
    pub settings: Vec<(String, String)>,
    /// Puts the data on a file system of that many MiB, so that the disk can be full (an empty
    /// cluster takes about 60). Needs root.
    pub disk_mib: Option<u32>,
    /// Speaks TLS with this certificate. Then roles other than the superuser get in over TLS and with a password
    /// (SCRAM) only.
    pub certificate: Option<Certificate>,
}

/// A throw-away Postgres cluster. Its superuser is `postgres`, without a password.
#[derive(Debug)]
pub struct Postgres {
    // In the order of their end: the process, its file system, the folder.
    process: Mutex<Option<Process>>,
    disk: Option<Disk>,
    cluster: Cluster,
    scratch: Scratch,
}

impl Postgres {
    /// Makes a cluster on a free port and waits until it answers: about 2 s.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (the message names the command), or does not start.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let started = Instant::now();
        let scratch = Scratch::new("postgres")?;
        let cluster = Cluster::new(scratch.path(), free_port())?;
        let disk = match options.disk_mib {
            Some(mib) => Some(Disk::mount(&cluster, mib)?),
            None => None,
        };
        cluster.init(&options.settings, options.certificate.as_ref()).await?;
        let postgres = Self { process: Mutex::default(), disk, cluster, scratch };
        postgres.start_again().await?;
        eprintln!(
            "postgres: {} in {} after {:.1} s",
            postgres.address(),
            postgres.scratch.path().display(),
            started.elapsed().as_secs_f32()
        );
        Ok(postgres)
    }

    /// Where it listens; the same after every restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.cluster.port()).into()
    }

    /// The superuser's connection string for a database; `postgres` is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.cluster.data_dir()
    }

    /// Writes until its disk is full; `free_disk` gives the space back. Only with
    /// [`PostgresOptions::disk_mib`].
    ///
    /// # Errors
    /// When its data is not on a disk of its own.
    pub fn fill_disk(&self) -> Result<()> {
        self.own_disk()?.fill()
    }

    /// Undoes [`Postgres::fill_disk`].
    ///
    /// # Errors
    /// When its data is not on a disk of its own.
    pub fn free_disk(&self) -> Result<()> {
        self.own_disk()?.free()
    }

    fn own_disk(&self) -> Result<&Disk> {
        use anyhow::Context as _;
        self.disk.as_ref().context("this Postgres has no disk of its own: set disk_mib")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // With its children, which would write into a folder that is being removed.
        self.kill();
    }
}
