//! Messages of the Postgres protocol, whole and unread: type, length, payload
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// More than any message of ours: what is longer is not this protocol.
const MAX_BYTES: usize = 256 << 20;

/// One message with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    bytes: Bytes,
    header: usize,
}

impl Frame {
    /// The type byte; nothing for the first message of a connection, which has none.
    pub(super) fn kind(&self) -> Option<u8> {
        (self.header == 5).then(|| self.bytes[0])
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.header..]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads whole messages from one direction of a connection. Safe to cancel between them.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// The next message with a type byte; nothing at the end of the stream.
    pub(super) async fn next(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        self.read(from, 5).await
    }

    /// The next message without a type byte: only before the session has started.
    pub(super) async fn next_untyped(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        self.read(from, 4).await
    }

    /// All whole messages that are here, at least one, as one piece; nothing at the end.
    pub(super) async fn next_run(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
        loop {
            let mut end = 0;
            while let Some(length) = frame_length(&self.buffer[end..], 5)? {
                end += length;
            }
            if end > 0 {
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin), header: usize) -> io::Result<Option<Frame>> {
        loop {
            if let Some(length) = frame_length(&self.buffer, header)? {
                return Ok(Some(Frame { bytes: self.buffer.split_to(length).freeze(), header }));
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// How many bytes the first message takes with its header; nothing while it is not all here.
fn frame_length(buffer: &[u8], header: usize) -> io::Result<Option<usize>> {
    let Some(length) = buffer.get(header - 4..header) else { return Ok(None) };
    let length: [u8; 4] = length.try_into().expect("four bytes were asked for");
    let length = u32::from_be_bytes(length) as usize;
    if !(4..MAX_BYTES).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not the Postgres protocol"));
    }
    let total = header - 4 + length;
    Ok((buffer.len() >= total).then_some(total))
}

#[cfg(test)]
pub(super) fn message(kind: u8, payload: &[u8]) -> Frame {
    let length = u32::try_from(payload.len() + 4).expect("messages of tests are short");
    let bytes = [&[kind], &length.to_be_bytes()[..], payload].concat();
    Frame { bytes: bytes.into(), header: 5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_whole_however_they_arrive() {
        let stream = [message(b'Q', b"COMMIT\0").bytes(), message(b'X', b"").bytes()].concat();
        for chunk in 1..stream.len() {
            let pieces: Vec<_> = stream.chunks(chunk).collect();
            let mut from = stream_of(&pieces);
            let mut frames = Frames::default();
            let first = frames.next(&mut from).await.expect("readable").expect("a message");
            assert_eq!((first.kind(), first.payload()), (Some(b'Q'), &b"COMMIT\0"[..]));
            assert_eq!(frames.next(&mut from).await.expect("readable").expect("a message").kind(), Some(b'X'));
            assert_eq!(frames.next(&mut from).await.expect("readable"), None);
        }
    }

    #[tokio::test]
    async fn a_run_holds_every_whole_message_and_leaves_the_rest() {
        let stream = [message(b'Q', b"a").bytes(), message(b'S', b"").bytes(), b"d\0"].concat();
        let mut frames = Frames::default();
        let run = frames.next_run(&mut &stream[..]).await.expect("readable").expect("two messages");
        assert_eq!(run.len(), stream.len() - 2);
        assert_eq!(frames.next_run(&mut &b""[..]).await.expect("readable"), None);
    }

    #[tokio::test]
    async fn another_protocol_is_refused() {
        let mut frames = Frames::default();
        assert!(frames.next(&mut &b"GET / HTTP/1.1\r\n"[..]).await.is_err());
    }

    /// A reader that gives one piece per call.
    fn stream_of<'a>(pieces: &[&'a [u8]]) -> impl AsyncRead + Unpin + use<'a> {
        pieces.iter().fold(Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>, |before, piece| {
            Box::new(before.chain(std::io::Cursor::new(piece.to_vec())))
        })
    }
}
