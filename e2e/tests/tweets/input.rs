//! Whatever a client sends, it is told what is wrong, and nothing is stored by half.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::clients::Request;
use e2e::plant::Site;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{api, plant};

/// Generated requests.
const GENERATED: usize = 400;

/// Sends bytes as they are; the status of the answer and its text. None when the server only hangs up.
async fn raw(port: u16, bytes: &[u8]) -> Result<Option<(u16, String)>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    // Who has answered already may have closed.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(status.map(|status| (status, text)))
}

fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What no answer may be, whatever was asked.
fn is_decent(asked: &str, answer: Option<&(u16, String)>) -> Result<()> {
    let Some((status, text)) = answer else { return Ok(()) };
    ensure!(![500, 502, 504].contains(status), "{asked}: {text}");
    ensure!(*status != 503 || text.contains("retry-after:") && text.contains("\"detail\""), "{asked}: {text}");
    ensure!(
        *status < 400 || text.contains("application/problem+json") || text.ends_with("\r\n\r\n"),
        "{asked}: {text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_by_field_and_reason_and_never_stored_by_half() -> Result<()> {
    let seed = testkit::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    let (_api, clients, port) = api(&plant, &[]).await?;
    clients.users(&mut rng, "user", 2).await?;
    let sql = plant.connect().await?;

    // Named: what is sent as a tweet, the status, the field.
    const JSON: &str = "X-User-ID: 1\r\nContent-Type: application/json\r\n";
    let long = format!("{{\"content\":\"{}\"}}", "x".repeat(281));
    let deep = format!("{{\"content\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let big = format!("{{\"content\":\"{}\"}}", "x".repeat(10_000_000));
    let cases: [(&str, &str, u16, &str); 19] = [
        (JSON, "", 400, "empty"),
        (JSON, "{", 400, "invalid_json"),
        (JSON, "{}", 400, "\"field\":\"content\""),
        (JSON, "{\"content\":7}", 400, "\"field\":\"content\""),
        (JSON, "{\"content\":null}", 400, "\"field\":\"content\""),
        (JSON, "{\"content\":\"\"}", 400, "\"field\":\"content\""),
        (JSON, "{\"content\":\"a\",\"likes\":1}", 400, "\"field\":\"likes\""),
        (JSON, "{\"content\":\"a\",\"content\":\"b\"}", 400, "\"field\":\"content\""),
        (JSON, "{\"content\":\"a\\u0000b\"}", 400, "U+0000"),
        (JSON, "{\"content\":\"a\\nb\"}", 400, "U+000A"),
        (JSON, "{\"content\":\"\\ud800\"}", 400, "invalid_json"),
        (JSON, &long, 400, "281 characters"),
        (JSON, &deep, 400, "content"),
        (JSON, &big, 413, "16384 bytes"),
        ("Content-Type: application/json\r\n", "{\"content\":\"a\"}", 400, "\"field\":\"X-User-ID\""),
        ("X-User-ID: one\r\nContent-Type: application/json\r\n", "{\"content\":\"a\"}", 400, "\"field\":\"X-User-ID\""),
        ("X-User-ID: 99\r\nContent-Type: application/json\r\n", "{\"content\":\"a\"}", 404, "\"field\":\"X-User-ID\""),
        ("X-User-ID: 1\r\nContent-Type: text/plain\r\n", "{\"content\":\"a\"}", 415, "Content-Type"),
        ("X-User-ID: 1\r\nIdempotency-Key: a b\r\n", "{\"content\":\"a\"}", 400, "Idempotency-Key"),
    ];
    for (headers, body, status, reason) in cases {
        let shown = &body[..body.len().min(60)];
        let answer = raw(port, &request("POST", "/api/tweets/", headers, body.as_bytes())).await?;
        is_decent(shown, answer.as_ref())?;
        // A client that sends ten megabytes may see the connection closed before it reads why.
        if let Some((told, text)) = answer {
            ensure!(told == status && text.contains(reason), "{shown}: {text}, {status} with {reason} expected");
        } else {
            ensure!(status == 413, "{shown}: no answer");
        }
    }
    let refused =
        async |method: Method, path: &str, body: Option<Value>, status: StatusCode, field: &str| -> Result<()> {
            let asked = Request::new(method, path).by(1);
            let asked = if let Some(body) = body { asked.body(body) } else { asked };
            let answer = clients.once(0, &asked).await?;
            ensure!(answer.status == status, "{asked:?}: {answer:?}");
            ensure!(field.is_empty() || answer.body["field"] == field, "{asked:?}: {answer:?}");
            Ok(())
        };
    let follow = "/api/subscriptions/follow";
    refused(Method::POST, follow, Some(json!({ "followed_id": 1 })), StatusCode::BAD_REQUEST, "followed_id").await?;
    refused(Method::POST, follow, Some(json!({ "followed_id": 0 })), StatusCode::BAD_REQUEST, "followed_id").await?;
    refused(Method::POST, follow, Some(json!({ "followed_id": "2" })), StatusCode::BAD_REQUEST, "followed_id").await?;
    refused(Method::POST, follow, Some(json!({ "followed_id": 99 })), StatusCode::NOT_FOUND, "followed_id").await?;
    refused(Method::DELETE, "/api/subscriptions/follow/2", None, StatusCode::NOT_FOUND, "id").await?;
    let user = |name: &str, email: &str| Some(json!({ "username": name, "email": email }));
    refused(Method::POST, "/api/users/", user("user1", "x@y"), StatusCode::CONFLICT, "username").await?;
    refused(Method::POST, "/api/users/", user("x", "user1@example.com"), StatusCode::CONFLICT, "email").await?;
    refused(Method::POST, "/api/users/", user("x", "nobody"), StatusCode::BAD_REQUEST, "email").await?;
    refused(Method::POST, "/api/users/", user("a\u{7}", "x@y"), StatusCode::BAD_REQUEST, "username").await?;
    let cluster = format!("x{}", "\u{332}".repeat(2_000));
    refused(Method::POST, "/api/users/", user(&cluster, "x@y"), StatusCode::BAD_REQUEST, "username").await?;
    refused(Method::GET, "/api/feed/?limit=101", None, StatusCode::BAD_REQUEST, "limit").await?;
    refused(Method::GET, "/api/feed/?cursor=x", None, StatusCode::BAD_REQUEST, "cursor").await?;
    refused(Method::GET, "/api/tweets/99", None, StatusCode::NOT_FOUND, "id").await?;
    refused(Method::GET, "/api/likes", None, StatusCode::NOT_FOUND, "").await?;
    refused(Method::PATCH, "/api/tweets/", None, StatusCode::METHOD_NOT_ALLOWED, "").await?;

    // Classic strings are tweets like any other: kept as typed.
    let classics = [
        "<img src=x onerror=alert(1)>",
        "\u{202e}txt.exe",
        "a\u{200b}\u{200d}b",
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "'; DROP TABLE tweets; --",
        "cafe\u{301}",
    ];
    for text in classics {
        clients.post(&mut rng, 2, text).await?;
    }
    let accepted = classics.len();

    // Generated: decent answers only.
    let paths = [
        "/api/users/",
        "/api/subscriptions/follow",
        "/api/tweets/",
        "/api/tweets/1",
        "/api/feed/",
        "/api/users/1/tweets",
    ];
    let pieces = [
        "{",
        "}",
        "\"content\"",
        ":",
        "\"a\"",
        ",",
        "null",
        "1e999",
        "[",
        "]",
        "\\u0000",
        "\u{1f426}",
        "-",
        "\"followed_id\"",
        "2",
        " ",
    ];
    for _ in 0..GENERATED {
        let method = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"][rng.random_range(0..7)];
        let mut path = paths[rng.random_range(0..paths.len())].to_owned();
        if rng.random_range(0..3) == 0 {
            path.push_str(
                ["?limit=0", "?limit=99999999999999999999", "/../x", "%00", "?cursor=%ff", "//", "?a=b&&"]
                    [rng.random_range(0..7)],
            );
        }
        let user = [
            "X-User-ID: 1\r\n",
            "X-User-ID: -1\r\n",
            "X-User-ID: 9223372036854775807\r\n",
            "",
            "X-User-ID: \u{e9}\r\n",
        ];
        let body: String = match rng.random_range(0..3) {
            0 => (0..rng.random_range(0..20)).map(|_| pieces[rng.random_range(0..pieces.len())]).collect(),
            1 => format!("{{\"content\":{}}}", pieces[rng.random_range(0..pieces.len())]),
            _ => (0..rng.random_range(0..40)).map(|_| char::from(rng.random_range(0..=255_u8))).collect(),
        };
        let bytes = request(method, &path, user[rng.random_range(0..user.len())], body.as_bytes());
        let answer = raw(port, &bytes).await?;
        is_decent(&format!("TEST_SEED={seed}: {method} {path} {body:?}"), answer.as_ref())?;
    }

    // A head that does not end is cut off; a body that does not end is told so.
    let began = Instant::now();
    let head = raw(port, b"POST /api/tweets/ HTTP/1.1\r\nHost: localhost\r\n").await?;
    is_decent("slow head", head.as_ref())?;
    let body =
        raw(port, b"POST /api/tweets/ HTTP/1.1\r\nHost: localhost\r\nX-User-ID: 1\r\nContent-Length: 50\r\n\r\n{\"con")
            .await?;
    is_decent("slow body", body.as_ref())?;
    ensure!(body.is_some_and(|(status, _)| status == 408), "a body that does not come is the client's");
    ensure!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());

    // What is stored is whole: every number that was given belongs to an answer or to a request without one.
    let _worker = plant.consumer("feed-worker-0")?;
    plant.drained(Duration::from_secs(60)).await?;
    let halves = "SELECT (SELECT count(*) FROM tweets WHERE stored_at IS NULL), (SELECT count(*) FROM dead_letters), \
         (SELECT count(*) FROM tweets WHERE author_id = 2), (SELECT count(*) FROM users WHERE username LIKE '%' || chr(7) || '%')";
    let row = sql.query_one(halves, &[]).await?;
    let found: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    ensure!(found == [0, 0, i64::try_from(accepted)?, 0], "{found:?}");
    for (tweet, _, content) in clients.feed(&mut rng, 2).await? {
        let sent = clients.known().sent[&tweet].content.clone();
        ensure!(sent == content, "{sent:?} came back as {content:?}");
    }
    Ok(())
}
