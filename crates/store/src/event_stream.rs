//! `event_outbox` and `event_stream`: what happened, numbered in the order of its commits.
//!
//! ```text
//! journal row ─trigger─> event_outbox ──Recorder (advisory lock)──> event_stream ──after(n)──> monitors
//!             (its own transaction)        one at a time            number 1, 2, …
//! ```
//!
//! Numbers are given by one session at a time, so they are committed in their order: who has read up to `n`
//! and asks for what is behind `n` misses nothing.

use std::future::poll_fn;
use std::time::Duration;

use jiff::Timestamp;
use postgres_openssl::TlsStream;
use serde::Serialize;
use tokio_postgres::{AsyncMessage, Socket};

use crate::connect::{Session, Store};
use crate::error::{Error, Result};

/// "millreco" in ASCII: held by the session that numbers events.
const LOCK: i64 = 0x6d69_6c6c_7265_636f;
/// Most events that one transaction numbers, and that one question returns.
pub const PORTION: i64 = 500;

/// A numbered event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Grows in the order of commits; holes mean nothing.
    pub number: i64,
    /// What happened: `rebalancing`.
    pub kind: String,
    /// When, by the clock of who saw it.
    pub occurred_at: Timestamp,
    /// When it was numbered, by the server's clock.
    pub recorded_at: Timestamp,
    /// The row that says so.
    pub body: serde_json::Value,
}

/// What [`Recorder::number`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// How many events.
    pub events: i64,
    /// The smallest id of the journal's rows among them: rows are committed in another order than they are inserted, so
    /// it may lie before one that was seen long ago.
    pub first_of_journal: Option<i64>,
}

/// The session that numbers events. Dropping it lets another one begin.
pub struct Recorder {
    session: Session,
}

impl Recorder {
    /// Takes the lock; `None` while somebody else has it.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn begin(store: &Store) -> Result<Option<Self>> {
        let session = store.batch_session().await?;
        let row = session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await;
        let locked: bool = row.map_err(Error::doing("asking for the recorder's lock"))?.get(0);
        Ok(locked.then_some(Self { session }))
    }

    /// The session that holds the lock.
    pub(crate) fn client(&self) -> &tokio_postgres::Client {
        &self.session.client
    }

    /// The same, for a transaction.
    pub(crate) fn client_mut(&mut self) -> &mut tokio_postgres::Client {
        &mut self.session.client
    }

    /// Numbers what waits in the outbox, [`PORTION`] at most, in the order of insertion.
    ///
    /// # Errors
    /// Any: the session is not to be used again. Nothing is numbered twice or lost, since the line leaves the
    /// outbox in the transaction that numbers it.
    pub async fn number(&self) -> Result<Numbered> {
        // An identity column gives its numbers in the order of the rows of an ORDER BY.
        let statement = "
            WITH taken AS (
                DELETE FROM event_outbox WHERE id IN (SELECT id FROM event_outbox ORDER BY id LIMIT $1)
                RETURNING id, kind, occurred_at, body),
            told AS (
                INSERT INTO event_stream (kind, occurred_at, body)
                SELECT kind, occurred_at, body FROM taken ORDER BY id)
            SELECT count(*), min((body->>'id')::bigint) FILTER (WHERE kind = 'rebalancing') FROM taken";
        let row =
            self.session.client.query_one(statement, &[&PORTION]).await.map_err(Error::doing("numbering events"))?;
        Ok(Numbered { events: row.get(0), first_of_journal: row.get(1) })
    }
}

/// The number of the latest event; 0 before the first.
///
/// # Errors
/// Transient ones.
pub async fn latest(store: &Store) -> Result<i64> {
    let client = store.pooled().await?;
    let row = client.query_one("SELECT coalesce(max(number), 0) FROM event_stream", &[]).await;
    Ok(row.map_err(Error::doing("asking for the latest event"))?.get(0))
}

/// The events behind `number`, oldest first, `limit` at most.
///
/// # Errors
/// Transient ones.
pub async fn after(store: &Store, number: i64, limit: i64) -> Result<Vec<Event>> {
    let order = "SELECT number, kind, occurred_at, recorded_at, body FROM event_stream WHERE number > $1 \
                 ORDER BY number LIMIT $2";
    read(store, order, number, limit).await
}

/// The latest events before `number`, newest first, `limit` at most.
///
/// # Errors
/// Transient ones.
pub async fn before(store: &Store, number: i64, limit: i64) -> Result<Vec<Event>> {
    let order = "SELECT number, kind, occurred_at, recorded_at, body FROM event_stream WHERE number < $1 \
                 ORDER BY number DESC LIMIT $2";
    read(store, order, number, limit).await
}

async fn read(store: &Store, statement: &str, number: i64, limit: i64) -> Result<Vec<Event>> {
    const DOING: &str = "reading the events";
    let rows = store.query(DOING, statement, &[&number, &limit]).await?;
    let event = |row: &tokio_postgres::Row| Event {
        number: row.get(0),
        kind: row.get(1),
        occurred_at: row.get(2),
        recorded_at: row.get(3),
        body: row.get(4),
    };
    Ok(rows.iter().map(event).collect())
}

/// Which insertions to listen for.
#[derive(Clone, Copy, Debug)]
pub enum Channel {
    /// Events that are not numbered yet.
    Outbox,
    /// Numbered ones.
    Stream,
}

/// A connection that is woken by insertions (`LISTEN`). A wake-up may be missing around a reconnect: look once
/// after connecting, and from time to time.
pub struct Listener {
    /// Keeps the session open.
    _client: tokio_postgres::Client,
    connection: tokio_postgres::Connection<Socket, TlsStream<Socket>>,
}

impl Listener {
    /// Connects and listens.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn connect(store: &Store, channel: Channel) -> Result<Self> {
        const SECONDS: u64 = 5;
        let (client, mut connection) = tokio::time::timeout(Duration::from_secs(SECONDS), store.waiting_connection())
            .await
            .map_err(|_| Error::TimedOut { doing: "connecting to PostgreSQL", seconds: SECONDS })??;
        let listen = match channel {
            Channel::Outbox => "LISTEN event_outbox",
            Channel::Stream => "LISTEN event_stream",
        };
        {
            let mut listening = std::pin::pin!(client.batch_execute(listen));
            loop {
                tokio::select! {
                    done = &mut listening => {
                        done.map_err(Error::doing("listening for events"))?;
                        break;
                    }
                    message = poll_fn(|context| connection.poll_message(context)) => {
                        ended_or(message)?;
                    }
                }
            }
        }
        Ok(Self { _client: client, connection })
    }

    /// Waits for the next insertion; several may be told as one. Cancel-safe.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn woken(&mut self) -> Result<()> {
        loop {
            let message = poll_fn(|context| self.connection.poll_message(context)).await;
            if let AsyncMessage::Notification(_) = ended_or(message)? {
                return Ok(());
            }
        }
    }
}

fn ended_or(message: Option<std::result::Result<AsyncMessage, tokio_postgres::Error>>) -> Result<AsyncMessage> {
    const DOING: &str = "listening for events";
    match message {
        Some(Ok(message)) => Ok(message),
        Some(Err(source)) => Err(Error::Statement { doing: DOING, source }),
        None => Err(Error::Connect("the connection that listens has ended".into())),
    }
}
