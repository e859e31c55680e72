//! One connection to one broker: length-prefixed frames, one request at a time.

use std::io;
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::entrance::Duplex;

/// Longest answer that is read; metadata of thousands of partitions stays far below.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Where a broker hangs up on the first question, or answers in another protocol.
const HINT: &str = "does KAFKA_SECURITY_PROTOCOL name what its listener speaks?";

pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    client_id: StrBytes,
    correlation_id: i32,
    /// When the broker will want to know again who asks (KIP-368).
    pub(super) expires_at: Option<Instant>,
}

impl Connection {
    pub(super) fn over(stream: Box<dyn Duplex>, client_id: &str) -> Self {
        Self { stream, client_id: StrBytes::from(client_id.to_owned()), correlation_id: 0, expires_at: None }
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) async fn call<Q: Request>(&mut self, version: i16, ask: &Q) -> io::Result<Q::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()))
            .encode(&mut frame, Q::header_version(version))
            .map_err(io::Error::other)?;
        ask.encode(&mut frame, version).map_err(io::Error::other)?;
        let length = i32::try_from(frame.len() - 4).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).await?;

        let length = match self.stream.read_i32().await {
            Ok(length) => usize::try_from(length).map_err(io::Error::other)?,
            Err(error) => return Err(self.hung_up(error)),
        };
        if length > MAX_ANSWER_BYTES {
            return Err(io::Error::other(format!("an answer of {length} bytes: {HINT}")));
        }
        let mut frame = BytesMut::zeroed(length);
        self.stream.read_exact(&mut frame).await?;
        let mut answer = frame.freeze();
        let header = ResponseHeader::decode(
            &mut answer,
            <Q::Response as kafka_protocol::protocol::HeaderVersion>::header_version(version),
        )
        .map_err(io::Error::other)?;
        if header.correlation_id != self.correlation_id {
            return Err(io::Error::other("an answer to another request"));
        }
        let decoded = <Q::Response as Decodable>::decode(&mut answer, version).map_err(io::Error::other)?;
        if answer.has_remaining() {
            return Err(io::Error::other(format!("{} bytes behind the answer", answer.remaining())));
        }
        Ok(decoded)
    }

    /// Why there is no answer, as far as that can be told.
    fn hung_up(&self, error: io::Error) -> io::Error {
        let text = error.to_string();
        if text.contains("certificate required") || text.contains("handshake failure") {
            let setting = "KAFKA_SSL_CERTIFICATE_FILE, KAFKA_SSL_KEY_FILE";
            return io::Error::other(format!("{setting}: the broker asks for a client certificate ({text})"));
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset if self.correlation_id == 1 => closed(),
            _ => error,
        }
    }
}

/// The broker hung up before it said anything.
pub(super) fn closed() -> io::Error {
    io::Error::other(format!("it closed the connection: {HINT}"))
}
