//! A client that can misbehave: it writes what it is told to, byte for byte.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

const DEADLINE: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("it listens"), unread: Vec::new() }
    }

    /// Returns when nobody listens on the address any more.
    pub async fn refused(address: SocketAddr) {
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(address).await.is_ok() {
            assert!(Instant::now() < until, "still listening on {address}");
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
    }

    pub async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    pub async fn send(&mut self, request: &str) -> Answer {
        self.write(request).await;
        self.answer().await
    }

    pub async fn write(&mut self, text: &str) {
        let written = timeout(DEADLINE, self.stream.write_all(text.as_bytes())).await;
        written.expect("in time").expect("it is written");
    }

    /// Reads until the server closes the connection.
    pub async fn closed(&mut self) {
        while self.read_more().await > 0 {}
    }

    /// Whether not a byte came for so long.
    pub async fn silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.stream.readable()).await.is_err()
    }

    /// Reads one head.
    pub async fn head(&mut self) -> (u16, HashMap<String, String>) {
        let end = loop {
            let found = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = found {
                break at;
            }
            assert!(self.read_more().await > 0, "closed before the head's end");
        };
        let head = String::from_utf8(self.unread.drain(..end + 4).collect()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        (status.and_then(|code| code.parse().ok()).expect("a status"), headers)
    }

    /// Reads one answer whose length the head says.
    pub async fn answer(&mut self) -> Answer {
        let (status, headers) = self.head().await;
        let length: usize = headers.get("content-length").map_or(0, |value| value.parse().expect("a number"));
        while self.unread.len() < length {
            assert!(self.read_more().await > 0, "closed before the body's end");
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).expect("text");
        Answer { status, headers, body }
    }

    async fn read_more(&mut self) -> usize {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await;
        // A reset is a close as well.
        read.expect("it answers or closes in time").unwrap_or(0)
    }
}
