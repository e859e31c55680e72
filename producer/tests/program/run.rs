//! One run of the program, and what can be asked of it.

use std::{net::SocketAddr, path::Path, time::Duration};

use store::Store;
use tempfile::TempDir;
use testkit::{Process, Program, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const DEADLINE: Duration = Duration::from_secs(180);

/// With what it printed, when the test fails.
impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.process.name(), self.process.output());
        }
    }
}

/// A producer id that no other test uses.
pub fn id(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4().simple())
}

pub struct Run {
    pub process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl Run {
    pub fn start(brokers: &str, arguments: impl FnOnce(Program, &Path) -> Program) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let program = Program::named("producer")
            .expect("it is built")
            .env("KAFKA_BROKERS", brokers)
            .env("HTTP_ADDR", address.to_string());
        let process = arguments(program, dir.path()).spawn(&dir.path().join("log")).expect("it starts");
        Self { process, address, _dir: dir }
    }

    /// Twenty pressure sensors.
    /// Waits for acknowledgements at its end for as long as a busy machine may need.
    pub fn plant(brokers: &str, id: &str, rate: u32, database_url: Option<&str>) -> Self {
        Self::plant_flushing(brokers, id, rate, database_url, 60)
    }

    pub fn plant_flushing(brokers: &str, id: &str, rate: u32, database_url: Option<&str>, flush_s: u32) -> Self {
        Self::start(brokers, |program, _| {
            let program = program
                .args(["sensor", "--type", "pressure", "--id", id, "--flush-timeout-s", &flush_s.to_string()])
                .args(["--rate", &rate.to_string()]);
            match database_url {
                Some(url) => program.env("DATABASE_URL", url),
                None => program,
            }
        })
    }

    pub async fn exit(&self) -> Option<i32> {
        self.process.wait(DEADLINE).await.expect("it ends").code()
    }

    /// The whole answer, head and body; empty while nobody answers.
    pub async fn get(&self, path: &str) -> String {
        let ask = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        ask.await.unwrap_or_default()
    }

    /// 0 while it is not there.
    pub async fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/metrics").await;
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    }
}

/// What `producer_health` says of a producer.
pub struct HealthRow {
    pub status: String,
    pub connection: String,
    pub last_minute: i64,
    pub sent: i64,
}

pub async fn health_row(store: &Store, id: &str) -> Option<HealthRow> {
    let client = store.pooled().await.expect("the database answers");
    let row = client
        .query_opt(
            "SELECT status, connection_status, messages_sent_last_minute, messages_sent
             FROM producer_health WHERE producer_id = $1",
            &[&id],
        )
        .await
        .expect("the table is there")?;
    Some(HealthRow { status: row.get(0), connection: row.get(1), last_minute: row.get(2), sent: row.get(3) })
}
