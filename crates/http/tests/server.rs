//! The server over real sockets: what a client sees when it, the route or the process misbehaves.

#[path = "server/client.rs"]
mod client;

use std::{future::pending, net::SocketAddr, time::Duration};

use bytes::Bytes;
use client::Client;
use lifecycle::{Readiness, Shutdown};
use millrace_http::{Limits, ops, serve};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use warp::{Filter, Rejection, Reply};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits { header_read: LONG, request: LONG, drain: LONG, body_bytes: 1000, ..Limits::default() }
}

async fn start<F>(routes: F, limits: Limits) -> Server
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let any_port = "127.0.0.1:0".parse().expect("an address");
    let listener: TcpListener = millrace_http::bind(any_port).await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let ended = tokio::spawn(async move {
        let Ok(()) = serve(listener, routes, limits, stop).await;
    });
    Server { address, shutdown, ended }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_address() {
    let server = start(ops(Readiness::new(), "text/plain", String::new), limits()).await;
    let error = millrace_http::bind(server.address).await.expect_err("the port is taken");
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.address));
}

#[tokio::test]
async fn ops_say_alive_ready_and_what_was_measured() {
    let readiness = Readiness::new();
    let latch = readiness.latch("database");
    let render = || "rows_total 1\n".to_owned();
    let server = start(ops(readiness, "text/plain; version=0.0.4", render), limits()).await;
    let mut client = Client::connect(server.address).await;

    let livez = client.get("/livez").await;
    assert_eq!(livez.status, 200);
    let waiting = client.get("/readyz").await;
    assert_eq!(waiting.status, 503);
    assert_eq!(waiting.header("content-type"), "application/problem+json");
    assert_eq!(waiting.json()["waiting_for"][0], "database");
    assert_eq!(waiting.json()["detail"], "waiting for database");
    drop(latch);
    assert_eq!(client.get("/readyz").await.status, 200);
    let metrics = client.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4");
    assert_eq!(metrics.body, "rows_total 1\n");
}

#[tokio::test]
async fn errors_are_problems() {
    let broken = warp::path!("broken").and_then(async || Err::<String, _>(warp::reject::custom(Secret("password"))));
    let json =
        warp::path!("json").and(warp::post()).and(warp::body::json()).map(|value: serde_json::Value| value.to_string());
    let routes = ops(Readiness::new(), "text/plain", String::new).or(broken).or(json);
    let server = start(routes, limits()).await;
    let mut client = Client::connect(server.address).await;

    let missing = client.get("/nowhere").await;
    assert_eq!(missing.header("content-type"), "application/problem+json");
    assert_eq!(missing.json(), serde_json::json!({ "type": "about:blank", "title": "Not Found", "status": 404 }));
    let method = client.send("DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((method.status, method.header("allow")), (405, "GET, HEAD"));
    assert_eq!(method.json()["status"], 405);
    let syntax = client.post("/json", "{").await;
    assert_eq!(syntax.status, 400);
    assert!(syntax.json()["detail"].is_string(), "{}", syntax.body);
    let broken = client.get("/broken").await;
    assert_eq!(broken.status, 500);
    assert!(!broken.body.contains("password"), "{}", broken.body);
}

#[derive(Debug)]
struct Secret(#[expect(dead_code, reason = "read by Debug")] &'static str);

impl warp::reject::Reject for Secret {}

#[tokio::test]
async fn a_handler_that_panics_or_hangs_costs_only_its_own_answer() {
    let panics = warp::path!("panics").map(|| -> String { panic!("password") });
    let hangs = warp::path!("hangs").and_then(async || {
        pending::<()>().await;
        Ok::<_, Rejection>("never")
    });
    let fine = warp::path!("fine").map(|| "fine");
    let limits = Limits { request: SHORT, ..limits() };
    let server = start(panics.or(hangs).or(fine), limits).await;
    let mut client = Client::connect(server.address).await;
    let panicked = client.get("/panics").await;
    assert_eq!(panicked.json()["status"], 500);
    assert!(!panicked.body.contains("password"));
    assert_eq!(client.get("/hangs").await.json()["status"], 503);
    assert_eq!(client.get("/fine").await.body, "fine");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let routes = warp::path!("size").and(warp::body::bytes()).map(|body: Bytes| body.len().to_string());
    let server = start(routes, limits()).await;
    let mut client = Client::connect(server.address).await;
    let text = "x".repeat(1000);
    assert_eq!(client.post("/size", &text).await.body, "1000");
    let chunked = |bytes: usize| {
        let head = "POST /size HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes))
    };
    assert_eq!(client.send(&chunked(1000)).await.body, "1000");
    let announced = client.post("/size", &"x".repeat(1001)).await;
    assert_eq!(announced.json()["status"], 413);
    let mut client = Client::connect(server.address).await;
    let unannounced = client.send(&chunked(1001)).await;
    assert_eq!(unannounced.json()["status"], 413);
}

#[tokio::test]
async fn a_client_that_dribbles_its_head_is_cut() {
    let limits = Limits { header_read: SHORT, ..limits() };
    let server = start(ops(Readiness::new(), "text/plain", String::new), limits).await;
    let mut client = Client::connect(server.address).await;
    client.write("GET /livez HTTP/1.1\r\nX-Slow: ").await;
    client.closed().await;
}

#[tokio::test]
async fn a_full_server_lets_further_clients_wait() {
    let limits = Limits { connections: 1, ..limits() };
    let server = start(ops(Readiness::new(), "text/plain", String::new), limits).await;
    let mut first = Client::connect(server.address).await;
    assert_eq!(first.get("/livez").await.status, 200);
    let mut second = Client::connect(server.address).await;
    second.write("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(second.silent_for(SHORT).await, "the only place is taken");
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn a_stop_lets_the_answer_in_flight_finish_and_takes_no_new_one() {
    let (entered, mut entering) = mpsc::channel::<oneshot::Sender<()>>(1);
    let slow = warp::path!("slow").and_then(move || {
        let entered = entered.clone();
        async move {
            let (go_on, gone_on) = oneshot::channel();
            let _ = entered.send(go_on).await;
            let _ = gone_on.await;
            Ok::<_, Rejection>("done")
        }
    });
    let server = start(slow, limits()).await;
    let mut client = Client::connect(server.address).await;
    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let go_on = entering.recv().await.expect("the handler runs");
    server.shutdown.request("test");
    Client::refused(server.address).await;
    assert!(client.silent_for(SHORT).await && !server.ended.is_finished(), "the stop waits for the answer");
    go_on.send(()).expect("the handler waits");
    assert_eq!(client.answer().await.body, "done");
    server.ended.await.expect("the server ends in order");
}

#[tokio::test]
async fn a_stop_cuts_what_never_ends_when_the_drain_is_over() {
    let endless = warp::path!("events").map(|| {
        warp::sse::reply(futures_util::stream::pending::<Result<warp::sse::Event, std::convert::Infallible>>())
    });
    let limits = Limits { drain: SHORT, ..limits() };
    let server = start(endless, limits).await;
    let mut client = Client::connect(server.address).await;
    client.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    server.shutdown.request("test");
    server.ended.await.expect("the server ends in order");
    client.closed().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_its_place_is_free_again() {
    let endless = warp::path!("events").map(|| {
        let line = || Ok::<_, std::convert::Infallible>(warp::sse::Event::default().data("x".repeat(10_000)));
        warp::sse::reply(futures_util::stream::repeat_with(line))
    });
    let routes = endless.or(warp::path!("here").map(|| "yes"));
    let limits = Limits { write_stall: SHORT, connections: 1, ..limits() };
    let server = start(routes, limits).await;
    let mut stalled = Client::connect(server.address).await;
    stalled.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(Client::connect(server.address).await.get("/here").await.body, "yes");
}
