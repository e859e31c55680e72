//! A TCP proxy in front of Postgres that understands enough of the protocol to cut a connection at
//! a chosen message.
//!
//! ```text
//!   client ── frames ──> dialogue (is this the COMMIT?) ── armed fault? ──> server
//!   client <───────────────────────── frames ────────────────────────────── server
//! ```
//!
//! It needs plain connections: a request for TLS is answered with "no".

mod connection;
mod dialogue;
pub(crate) mod fault;
mod frame;

use crate::port::free_port;
use anyhow::{Context as _, Result, bail};
use connection::serve;
use fault::{Arming, Faults, Hit};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::config::Host;

/// The proxy. Dropping it cuts every connection.
#[derive(Debug)]
pub struct PgProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

/// What all connections look at.
#[derive(Debug)]
struct Shared {
    upstream: (String, u16),
    faults: Faults,
    refusing: AtomicBool,
    /// Counts [`PgProxy::sever_all`]: each connection watches for a change.
    severed: watch::Sender<u64>,
    connections: AtomicU64,
    commits: AtomicU64,
}

impl PgProxy {
    /// Starts a proxy on a free port of 127.0.0.1, in front of the server of a connection string.
    ///
    /// # Errors
    /// When the string names no TCP address.
    pub async fn in_front_of(url: &str) -> Result<Self> {
        let config: tokio_postgres::Config = url.parse().context("parsing a connection string")?;
        let upstream = match config.get_hosts() {
            [Host::Tcp(host), ..] => (host.clone(), config.get_ports().first().copied().unwrap_or(5432)),
            _ => bail!("the connection string has no TCP host"),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(address).await.context("binding the proxy")?;
        let shared = Arc::new(Shared {
            upstream,
            faults: Faults::default(),
            refusing: AtomicBool::new(false),
            severed: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, acceptor })
    }

    /// A connection string with the proxy's address in the place of the server's.
    ///
    /// # Panics
    /// When it is not a URL.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a connection string that is a URL");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, _)) => format!("{scheme}://{user}@{}{path}", self.address),
            None => format!("{scheme}://{}{path}", self.address),
        }
    }

    /// Arms a fault. It happens once, on whichever connection comes to its place first; several
    /// may be armed at a time.
    pub fn arm(&self, arming: impl Into<Arming>) -> Hit {
        self.shared.faults.arm(arming.into())
    }

    /// Takes back every fault that has not happened.
    pub fn disarm(&self) {
        self.shared.faults.disarm();
    }

    /// Cuts every connection, at whatever point it is.
    pub fn sever_all(&self) {
        self.shared.severed.send_modify(|count| *count += 1);
    }

    /// Makes the database unreachable, or reachable again: cuts every connection and closes new
    /// ones at once.
    pub fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::SeqCst);
        if refusing {
            self.sever_all();
        }
    }

    /// How many connections were accepted since the start, refused ones not counted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many COMMITs came from clients since the start, those that a fault kept back included.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::SeqCst)
    }
}

impl Drop for PgProxy {
    fn drop(&mut self) {
        // Its connections are its own tasks and end with it.
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    // An error here is one client that went away again.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(client, Arc::clone(&shared)));
    }
}
