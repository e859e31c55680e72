//! Rows in PostgreSQL's binary COPY format (PostgreSQL manual, COPY, "Binary Format").
//!
//! A record is turned into its row's bytes as soon as it is decoded and is then dropped: a held
//! message would pin its whole fetch buffer.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use jiff::Timestamp;
use tokio_postgres::{Client, Statement};

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// Where a row came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Who stores it.
    pub consumer_id: &'a str,
    /// `kafka_logs.log_id`.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
}

/// Begins a row of so many fields.
pub(crate) fn begin(row: &mut Vec<u8>, fields: i16) {
    row.extend_from_slice(&fields.to_be_bytes());
}

/// Appends a field: the type's binary form.
pub(crate) fn field(row: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("fields are bounded far below 2 GiB by the decoder");
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(bytes);
}

/// Appends a `timestamptz`, to the microsecond.
pub(crate) fn time(row: &mut Vec<u8>, at: Timestamp) {
    field(row, &(at.as_microsecond() - POSTGRES_EPOCH_US).to_be_bytes());
}

/// Appends the four fields of an origin: consumer, log, partition, offset.
pub(crate) fn origin(row: &mut Vec<u8>, origin: &Origin<'_>) {
    field(row, origin.consumer_id.as_bytes());
    field(row, &origin.log_id.to_be_bytes());
    field(row, &origin.partition.to_be_bytes());
    field(row, &origin.offset.to_be_bytes());
}

/// Signature, flags and header extension length.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1.
const TRAILER: &[u8] = &[0xff, 0xff];

/// Sends rows through a COPY statement. Chunks are passed on whole.
pub(crate) async fn send(client: &Client, copy: &Statement, rows: &[Bytes]) -> Result<(), tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sink = pin!(client.copy_in::<_, Bytes>(copy).await?);
    sink.feed(Bytes::from_static(HEADER)).await?;
    for chunk in rows {
        sink.feed(chunk.clone()).await?;
    }
    sink.feed(Bytes::from_static(TRAILER)).await?;
    sink.finish().await.map(drop)
}
