//! The demonstrations against an API that this test plays: it refuses, falls silent, and loses what it is told to.

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, Program, wait_until};
use warp::{
    Filter, Reply,
    http::{HeaderMap, Method, StatusCode},
    path::FullPath,
    reply::Response,
};

const DEADLINE: Duration = Duration::from_secs(120);
/// Numbers do not begin at 1.
const FIRST_USER: i64 = 5_000;

/// What is wrong with the API.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Of four posts, the first try of one is answered with 429, of one with 503, and of one not at all.
    Busy,
    /// The tenth tweet is never delivered.
    Loses,
    /// A tweet is in everybody's feed.
    Leaks,
}

#[derive(Default)]
struct World {
    users: i64,
    follows: HashSet<(i64, i64)>,
    /// Number and author of each key, and how often it was posted.
    tweets: HashMap<String, (i64, i64, usize)>,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<World>>, Fault);

impl Fake {
    /// Serves; where it is.
    async fn serve(fault: Fault) -> (Self, String) {
        let fake = Self(Arc::default(), fault);
        let answering = fake.clone();
        let routes =
            warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).and(warp::body::bytes()).then(
                move |method: Method, path: FullPath, headers: HeaderMap, body: warp::hyper::body::Bytes| {
                    let fake = answering.clone();
                    async move { fake.answer(&method, path.as_str(), &headers, &body).await }
                },
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        (fake, format!("http://{address}"))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panics with it")
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        let user: i64 = text("X-User-ID").map_or(0, |user| user.parse().expect("a number"));
        let asked = || serde_json::from_slice::<Value>(body).expect("JSON");
        match (method.as_str(), path) {
            ("GET", "/readyz") => StatusCode::OK.into_response(),
            ("POST", "/api/users/") => {
                let mut world = self.world();
                world.users += 1;
                said(StatusCode::CREATED, &json!({ "id": FIRST_USER + world.users, "username": asked()["username"] }))
            }
            ("POST", "/api/subscriptions/follow") => {
                let followed = asked()["followed_id"].as_i64().expect("a number");
                let new = self.world().follows.insert((user, followed));
                assert!(new && followed != user, "{user} follows {followed}");
                StatusCode::CREATED.into_response()
            }
            ("POST", "/api/tweets/") => self.post(user, text("Idempotency-Key").expect("a key")).await,
            ("GET", "/api/feed/") => self.feed(user),
            ("GET", status) => {
                let number: i64 = status.split('/').nth(3).expect("a number").parse().expect("a number");
                let lost = self.1 == Fault::Loses && number == 10;
                let stage = if lost { "accepted" } else { "delivered" };
                said(StatusCode::OK, &json!({ "id": number, "status": stage, "delivered": 1, "audience": 1 }))
            }
            other => panic!("{other:?} is no route"),
        }
    }

    async fn post(&self, author: i64, key: String) -> Response {
        let (number, tries) = {
            let mut world = self.world();
            let next = world.tweets.len() as i64 + 1;
            let tweet = world.tweets.entry(key).or_insert((next, author, 0));
            tweet.2 += 1;
            assert_eq!(tweet.1, author, "a key is of one author");
            (tweet.0, tweet.2)
        };
        let later = |status| warp::reply::with_header(status, "Retry-After", "1").into_response();
        match number % 4 {
            0 if self.1 == Fault::Busy && tries == 1 => later(StatusCode::TOO_MANY_REQUESTS),
            1 if self.1 == Fault::Busy && tries == 1 => later(StatusCode::SERVICE_UNAVAILABLE),
            2 if self.1 == Fault::Busy && tries == 1 => std::future::pending().await,
            _ => said(StatusCode::ACCEPTED, &json!({ "id": number, "created_at": "2026-01-01T00:00:00Z" })),
        }
    }

    /// Every tweet of whom `reader` follows, newest first.
    fn feed(&self, reader: i64) -> Response {
        let world = self.world();
        let read = |author| world.follows.contains(&(reader, author)) || self.1 == Fault::Leaks;
        let mut ids: Vec<i64> = world.tweets.values().filter(|tweet| read(tweet.1)).map(|tweet| tweet.0).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let items: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        said(StatusCode::OK, &json!({ "items": items }))
    }
}

fn said(status: StatusCode, value: &Value) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}

fn run(arguments: &[&str], api: &str) -> (TempDir, Process) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let recording = dir.path().join("recording.csv");
    fs::write(&recording, "timestamp,value\n2015-03-31 03:00:00,40\n2015-03-31 03:05:00,20\n").expect("it is written");
    let file = arguments[0] == "feed-replay";
    let program = Program::named("producer").expect("it is built").arg(arguments[0]);
    let program = if file { program.arg(&recording) } else { program };
    let process = program.args(&arguments[1..]).args(["--api", api]).spawn(&dir.path().join("log")).expect("it starts");
    (dir, process)
}

/// Both rows of the recording in two seconds.
const REPLAY: [&str; 9] =
    ["feed-replay", "--speed", "300x", "--for", "2", "--users", "30", "--from", "2015-03-31T03:00:00Z"];

async fn exit(process: &Process) -> Option<i32> {
    process.wait(DEADLINE).await.expect("it ends").code()
}

#[tokio::test]
async fn what_is_refused_or_not_answered_is_posted_again_with_the_same_key() {
    let (fake, api) = Fake::serve(Fault::Busy).await;
    let (_dir, process) = run(&REPLAY, &api);
    assert_eq!(exit(&process).await, Some(0), "{}", process.output());
    let output = process.output();
    assert!(output.contains("60 accepted of 60 in"), "{output}");
    assert!(output.contains("15 answers were 429, 15 were 503, 15 tries had none"), "{output}");
    assert!(output.contains("delivered  60 tweets of 60 to 60 feeds; 0 not"), "{output}");
    assert!(output.contains("visible    60 of 60 samples"), "{output}");
    assert_eq!(fake.world().tweets.len(), 60, "one tweet a key");
    assert!(fake.world().tweets.values().all(|tweet| tweet.2 <= 2), "no more tries than it takes");
}

#[tokio::test]
async fn an_accepted_tweet_that_does_not_become_visible_fails_the_replay() {
    let (_, api) = Fake::serve(Fault::Loses).await;
    let (_dir, process) = run(&[&REPLAY[..], &["--visible-within", "1"]].concat(), &api);
    assert_eq!(exit(&process).await, Some(75), "{}", process.output());
    let output = process.output();
    assert!(output.contains("59 tweets of 60 to 59 feeds; 1 not"), "{output}");
    assert!(output.contains("accepted and not visible tweet=10"), "{output}");
}

#[tokio::test]
async fn a_stop_ends_it_with_what_is_known() {
    let (fake, api) = Fake::serve(Fault::None).await;
    let (_dir, process) = run(&["feed-replay", "--speed", "30x", "--for", "20", "--users", "5"], &api);
    wait_until(DEADLINE, "it posts", async || fake.world().tweets.len() > 1).await;
    process.term().expect("it runs");
    assert_eq!(exit(&process).await, Some(75), "{}", process.output());
    let (posted, output) = (fake.world().tweets.len(), process.output());
    assert!(output.contains(&format!("delivered  {posted} tweets of {posted} to")), "{output}");
    assert!(
        output.contains("stopped    what follows") && output.contains(&format!("{posted} accepted of 60")),
        "{output}"
    );
}

#[tokio::test]
async fn a_celebritys_tweet_is_in_all_feeds_and_a_tweet_in_a_strangers_feed_is_told() {
    let demo = ["feed-demo", "--users", "40", "--tweets", "1"];
    let (fake, api) = Fake::serve(Fault::None).await;
    let (_dir, process) = run(&demo, &api);
    assert_eq!(exit(&process).await, Some(0), "{}", process.output());
    assert!(process.output().contains("in the last of 39 feeds after"), "{}", process.output());
    assert_eq!(fake.world().users, 41);

    let (_, api) = Fake::serve(Fault::Leaks).await;
    let (_dir, process) = run(&demo, &api);
    assert_eq!(exit(&process).await, Some(70), "{}", process.output());
}

#[tokio::test]
async fn without_an_api_it_says_so_and_what_is_wrong_is_named() {
    let nobody = "http://127.0.0.1:1";
    for (arguments, code, named) in [
        (&["feed-demo"][..], 69, "no answer from http://127.0.0.1:1"),
        (&["feed-replay"], 69, "no answer from http://127.0.0.1:1"),
        (&["feed-replay", "--speed", "max"], 64, "--speed"),
        (&["feed-replay", "--from", "2016-01-01T00:00:00Z"], 64, "the recording is from 2015-03-31T03:00:00Z"),
    ] {
        let (_dir, process) = run(arguments, nobody);
        assert_eq!(exit(&process).await, Some(code), "{arguments:?}: {}", process.output());
        assert!(process.output().contains(named), "{arguments:?}: {}", process.output());
    }
}
