//! The built `monitor` against a real database that comes and goes.

use std::{net::SocketAddr, time::Duration};

use store::{Store, migrate};
use tempfile::TempDir;
use testkit::{PgProxy, Process, Program, free_port, shared, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const DEADLINE: Duration = Duration::from_secs(30);
const NOWHERE: &str = "postgres://factory_user@127.0.0.1:1/factory_monitoring";

struct Monitor {
    process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

fn start(database_url: &str, settings: &[(&str, &str)]) -> Monitor {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let port = free_port();
    let mut program = Program::named("monitor").expect("it is built").env("DATABASE_URL", database_url);
    for (key, value) in [("MONITORING_HOST", "127.0.0.1"), ("MONITORING_PORT", &port.to_string())] {
        program = program.env(key, value);
    }
    for (key, value) in settings {
        program = program.env(key, value);
    }
    Monitor {
        process: program.spawn(&dir.path().join("log")).expect("it starts"),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        _dir: dir,
    }
}

impl Monitor {
    /// The whole answer, head and body; empty while nobody answers.
    async fn get(&self, path: &str) -> String {
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

    async fn readyz_says(&self, status: &str, text: &str) {
        let what = format!("/readyz says {status} {text}");
        wait_until(DEADLINE, &what, async || {
            let answer = self.get("/readyz").await;
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(text)
        })
        .await;
    }

    async fn exit(&self) -> Option<i32> {
        self.process.wait(DEADLINE).await.expect("it ends").code()
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_a_word() {
    let refused = start(NOWHERE, &[("MONITORING_HOST", "0.0.0.0")]);
    assert_eq!(refused.exit().await, Some(64));
    let said = refused.process.output();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("MONITORING_TRUSTED_NETWORK=1"), "{said}");

    let trusted = start(NOWHERE, &[("MONITORING_HOST", "0.0.0.0"), ("MONITORING_TRUSTED_NETWORK", "1")]);
    wait_until(DEADLINE, "it serves", async || trusted.get("/livez").await.contains("alive")).await;
}

#[tokio::test]
async fn what_is_wrong_with_its_configuration_ends_it_with_64() {
    for (key, value, named) in [
        ("MONITORING_PORT", "many", "--port"),
        ("MONITORING_HOST", "nowhere", "--host"),
        ("DATABASE_URL", "postgres://:::", "DATABASE_URL"),
        ("RUST_LOG", "no=filter=this", "RUST_LOG"),
        ("LOG_FORMAT", "xml", "--log-format"),
    ] {
        let monitor = start(NOWHERE, &[(key, value)]);
        assert_eq!(monitor.exit().await, Some(64), "{key}={value}: {}", monitor.process.output());
        let said = monitor.process.output();
        assert!(said.contains(named), "{key}={value}: {said}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = start(NOWHERE, &[]);
    wait_until(DEADLINE, "it serves", async || first.get("/livez").await.contains("alive")).await;
    let port = first.address.port().to_string();
    let second = start(NOWHERE, &[("MONITORING_PORT", &port)]);
    assert_eq!(second.exit().await, Some(69));
    let said = second.process.output();
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
}

#[tokio::test]
async fn it_is_ready_while_the_database_answers_with_a_schema_it_knows() {
    let shared = shared().await;
    let proxy = PgProxy::in_front_of(&shared.database_url).await.expect("a proxy");
    let monitor = start(&proxy.url(&shared.database_url), &[("LOG_FORMAT", "json")]);
    monitor.readyz_says("503", "database schema").await;

    let options = store::Options { database_url: shared.database_url.clone(), database_pool_size: 1 };
    let store = Store::new(&options, "test").expect("a good URL");
    migrate::run(&store).await.expect("it migrates");
    monitor.readyz_says("200", "ready").await;
    let metrics = monitor.get("/metrics").await;
    assert!(metrics.contains("\ndatabase_up 1\n"), "{metrics}");
    assert!(metrics.contains("http_server_request_duration_seconds_count{"), "{metrics}");

    proxy.refuse(true);
    proxy.sever_all();
    monitor.readyz_says("503", "waiting for database\"").await;
    assert!(monitor.get("/metrics").await.contains("\ndatabase_up 0\n"));
    proxy.refuse(false);
    monitor.readyz_says("200", "ready").await;

    monitor.process.term().expect("it runs");
    assert_eq!(monitor.exit().await, Some(0), "{}", monitor.process.last_output());
    for line in monitor.process.output().lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "no JSON object: {line}");
    }
}

#[tokio::test]
async fn sigterm_ends_it_in_order_also_without_a_database() {
    let monitor = start(NOWHERE, &[]);
    wait_until(DEADLINE, "it serves", async || monitor.get("/livez").await.contains("alive")).await;
    monitor.readyz_says("503", "database").await;
    monitor.process.term().expect("it runs");
    assert_eq!(monitor.exit().await, Some(0), "{}", monitor.process.last_output());
}
