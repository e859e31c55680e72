//! One connection to one broker: length-prefixed frames, one request at a time.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer that is read; metadata of thousands of partitions stays far below.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    client_id: StrBytes,
    correlation_id: i32,
}

impl Connection {
    pub(super) async fn open(address: &str, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, client_id: StrBytes::from(client_id.to_owned()), correlation_id: 0 })
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

        let length = usize::try_from(self.stream.read_i32().await?).map_err(io::Error::other)?;
        if length > MAX_ANSWER_BYTES {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
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
}
