//! The built `monitor` against a real database that comes and goes, and real brokers.

#[path = "program/api.rs"]
mod api;
#[path = "program/check.rs"]
mod check;
#[path = "program/stream.rs"]
mod stream;
#[path = "program/workloads.rs"]
mod workloads;

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
        self.ask("GET", path, "Host: localhost\r\n").await
    }

    /// The same with other headers, each with its line's end.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let ask = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
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
async fn a_token_is_demanded_where_others_can_reach_it() {
    const TOKEN: &str = "0123456789abcdef";
    let short = start(NOWHERE, &[("MONITORING_TOKEN", "secret")]);
    assert_eq!(short.exit().await, Some(64));
    let said = short.process.output();
    assert!(said.contains("--token") && said.contains("16 characters"), "{said}");

    let open = start(NOWHERE, &[("MONITORING_HOST", "0.0.0.0"), ("MONITORING_TOKEN", TOKEN)]);
    wait_until(DEADLINE, "it serves", async || open.get("/livez").await.contains("alive")).await;
    for path in ["/", "/metrics", "/api/system-status", "/api/stream"] {
        assert!(open.get(path).await.starts_with("HTTP/1.1 401 "), "{path}");
    }
    let bearer = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    assert!(open.ask("GET", "/metrics", &bearer).await.starts_with("HTTP/1.1 200 "));
    let login = open.get(&format!("/login?token={TOKEN}")).await;
    let cookie = login.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).expect("a cookie");
    let page = open.ask("GET", "/", &format!("Host: localhost\r\nCookie: {cookie}\r\n")).await;
    assert!(page.contains("<title>Millrace</title>"), "{page}");
    assert!(!open.process.output().contains(TOKEN), "the token is in the log");
}

#[tokio::test]
async fn pages_of_other_sites_and_rebound_names_are_refused() {
    let monitor = start(NOWHERE, &[("MONITORING_ALLOWED_HOSTS", "monitor.example,other.example")]);
    wait_until(DEADLINE, "it serves", async || monitor.get("/livez").await.contains("alive")).await;
    for (headers, status) in [
        ("Host: monitor.example:5000\r\n", 200),
        ("Host: other.example\r\nOrigin: http://other.example\r\n", 200),
        ("Host: evil.example\r\n", 421),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
    ] {
        let answer = monitor.ask("GET", "/api/system-status", headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_its_configuration_ends_it_with_64() {
    for (key, value, named) in [
        ("MONITORING_PORT", "many", "--port"),
        ("MONITORING_HOST", "nowhere", "--host"),
        ("DATABASE_URL", "postgres://:::", "DATABASE_URL"),
        ("RUST_LOG", "no=filter=this", "RUST_LOG"),
        ("LOG_FORMAT", "xml", "--log-format"),
        ("KAFKA_BROKERS", "kafka1", "KAFKA_BROKERS"),
        ("RECORDER_DATABASE_URL", "postgres://:::", "RECORDER_DATABASE_URL"),
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
