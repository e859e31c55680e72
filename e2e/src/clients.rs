//! Clients of the tweet API: each asks until it is answered, with the same key, and knows what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::wait_until;
use uuid::Uuid;

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);
/// A request is given up and repeated.
const PATIENCE: Duration = Duration::from_secs(8);
/// One post in so many is sent to two processes at once, with one key.
const RACED: u32 = 12;

/// A tweet as it was posted.
#[derive(Clone, Debug)]
pub struct Sent {
    /// By whom.
    pub author: i64,
    /// As typed.
    pub content: String,
    /// When it was asked for first.
    pub asked_at: Instant,
}

/// What was answered.
#[derive(Debug, Default)]
pub struct Known {
    /// Accepted tweets by number.
    pub sent: BTreeMap<i64, Sent>,
    /// Of these, deleted ones.
    pub deleted: BTreeSet<i64>,
    /// (follower, followed) of the follows that stand, with when they were answered.
    pub follows: BTreeMap<(i64, i64), Instant>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    user: Option<i64>,
    key: Option<String>,
    body: Option<Value>,
}

impl Request {
    /// Of nobody, without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), user: None, key: None, body: None }
    }

    /// By this user.
    #[must_use]
    pub fn by(self, user: i64) -> Self {
        Self { user: Some(user), ..self }
    }

    /// With this Idempotency-Key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// Everybody who asks. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    ports: Vec<u16>,
    http: reqwest::Client,
    known: Arc<Mutex<Known>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Seconds of `Retry-After`, where it has one.
    pub retry_after: Option<u64>,
    /// Its body; null without one.
    pub body: Value,
}

impl Clients {
    /// Of the processes on these ports.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(ports: &[u16]) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(64).build()?;
        Ok(Self { ports: ports.to_vec(), http, known: Arc::default() })
    }

    /// What was answered so far.
    ///
    /// # Panics
    /// When another thread panicked with it.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds this lock")
    }

    /// Waits until each process is ready.
    pub async fn ready(&self) {
        let asked = Request::new(Method::GET, "/readyz");
        for port in 0..self.ports.len() {
            wait_until(Duration::from_secs(60), "the API is ready", async || {
                self.once(port, &asked).await.is_ok_and(|answer| answer.status == StatusCode::OK)
            })
            .await;
        }
    }

    /// One request to process `port`, once.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn once(&self, port: usize, asked: &Request) -> Result<Answer> {
        let url = format!("http://127.0.0.1:{}{}", self.ports[port % self.ports.len()], asked.path);
        let mut request = self.http.request(asked.method.clone(), url);
        if let Some(user) = asked.user {
            request = request.header("X-User-ID", user);
        }
        if let Some(key) = &asked.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &asked.body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
        let text = response.text().await?;
        Ok(Answer { status, retry_after: after, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// Asks one process after the other until one answers with something else than "not now".
    ///
    /// # Errors
    /// After two minutes; and for an answer that there must not be: 500, 502, 504, or a 503 that does not say when to come again
    /// and why.
    pub async fn ask(&self, rng: &mut StdRng, asked: &Request) -> Result<Answer> {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            match self.once(rng.random_range(0..self.ports.len()), asked).await {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    // One that is stopping, or that has not seen its topic yet, has no more to say.
                    ensure!(answer.retry_after.is_some(), "{asked:?}: a 503 without Retry-After: {answer:?}");
                    ensure!(answer.body["detail"].is_string(), "{asked:?}: a 503 without a reason: {answer:?}");
                }
                Ok(answer) if answer.status.is_server_error() => bail!("{asked:?}: {answer:?}"),
                Ok(answer) if answer.status != StatusCode::TOO_MANY_REQUESTS => return Ok(answer),
                Ok(_) | Err(_) => {}
            }
            ensure!(Instant::now() < until, "{asked:?}: no answer for two minutes");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Makes so many users, who are called `name` and a number; their numbers.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn users(&self, rng: &mut StdRng, name: &str, count: usize) -> Result<Vec<i64>> {
        let mut people = Vec::with_capacity(count);
        for number in 1..=count {
            let body = json!({ "username": format!("{name}{number}"), "email": format!("{name}{number}@example.com") });
            let made = self.ask(rng, &Request::new(Method::POST, "/api/users/").body(body)).await?;
            ensure!(made.status == StatusCode::CREATED, "{made:?}");
            people.push(made.body["id"].as_i64().context("an id")?);
        }
        Ok(people)
    }

    /// Lets one follow another. Asked once more after a lost answer it is the same follow.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn follow(&self, rng: &mut StdRng, follower: i64, followed: i64) -> Result<()> {
        let body = json!({ "followed_id": followed });
        let asked = Request::new(Method::POST, "/api/subscriptions/follow").by(follower).body(body);
        let answer = self.ask(rng, &asked).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        self.known().follows.entry((follower, followed)).or_insert_with(Instant::now);
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn unfollow(&self, rng: &mut StdRng, follower: i64, followed: i64) -> Result<()> {
        let path = format!("/api/subscriptions/follow/{followed}");
        let answer = self.ask(rng, &Request::new(Method::DELETE, path).by(follower)).await?;
        // 404: the answer before was lost.
        ensure!([StatusCode::NO_CONTENT, StatusCode::NOT_FOUND].contains(&answer.status), "{answer:?}");
        self.known().follows.remove(&(follower, followed));
        Ok(())
    }

    /// Posts a tweet, sometimes through two processes at once; its number. Whoever asks for it then knows it.
    ///
    /// # Errors
    /// When it is refused, when two answers differ, when nobody knows it.
    pub async fn post(&self, rng: &mut StdRng, author: i64, content: &str) -> Result<i64> {
        let asked = Request::new(Method::POST, "/api/tweets/").by(author).key(&Uuid::now_v7().to_string());
        let asked = asked.body(json!({ "content": content }));
        let sent = Sent { author, content: content.to_owned(), asked_at: Instant::now() };
        let mut other_rng = StdRng::seed_from_u64(rng.random());
        let raced = rng.random_range(0..RACED) == 0;
        let (one, other) = tokio::join!(self.ask(rng, &asked), async {
            if raced { self.ask(&mut other_rng, &asked).await.map(Some) } else { Ok(None) }
        });
        let one = one?;
        ensure!(one.status == StatusCode::ACCEPTED, "{one:?}");
        if let Some(other) = other? {
            ensure!(other.body == one.body, "two answers to one key: {one:?}, {other:?}");
        }
        let tweet = one.body["id"].as_i64().context("an id")?;
        let before = self.known().sent.insert(tweet, sent);
        ensure!(before.is_none(), "tweet {tweet} is the number of two");
        let known = self.ask(rng, &Request::new(Method::GET, format!("/api/tweets/{tweet}"))).await?;
        ensure!([StatusCode::OK, StatusCode::ACCEPTED].contains(&known.status), "an accepted tweet: {known:?}");
        Ok(tweet)
    }

    /// Deletes it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn delete(&self, rng: &mut StdRng, author: i64, tweet: i64) -> Result<()> {
        let asked = Request::new(Method::DELETE, format!("/api/tweets/{tweet}")).by(author);
        let answer = self.ask(rng, &asked).await?;
        ensure!([StatusCode::NO_CONTENT, StatusCode::NOT_FOUND].contains(&answer.status), "{answer:?}");
        self.known().deleted.insert(tweet);
        Ok(())
    }

    /// A reader's feed, as its pages concatenate to it.
    ///
    /// # Errors
    /// When a page is refused, is longer than asked for, or has a cursor without items.
    pub async fn feed(&self, rng: &mut StdRng, reader: i64) -> Result<Vec<(i64, i64, String)>> {
        let limit = rng.random_range(1..=100);
        let (mut cursor, mut all) = (String::new(), Vec::new());
        loop {
            let asked = Request::new(Method::GET, format!("/api/feed/?limit={limit}{cursor}")).by(reader);
            let page = self.ask(rng, &asked).await?;
            ensure!(page.status == StatusCode::OK, "{page:?}");
            let items = page.body["items"].as_array().context("items")?;
            ensure!(items.len() <= limit, "a page of {limit} has {} items", items.len());
            for item in items {
                let number = |field: &str| item[field].as_i64().with_context(|| format!("{field} of {item}"));
                all.push((
                    number("id")?,
                    number("author_id")?,
                    item["content"].as_str().context("content")?.to_owned(),
                ));
            }
            let Some(next) = page.body["next_cursor"].as_str() else { return Ok(all) };
            ensure!(!items.is_empty(), "a cursor behind nothing");
            cursor = format!("&cursor={next}");
        }
    }
}
