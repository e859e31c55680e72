//! The tweet API as its client sees it. What asks to be repeated (429, 503) says when; what gives no answer is repeated
//! only where a repeat has one effect.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::tweets::api::Stage;

/// Connections that are used at the same time while users are made and feeds are read.
pub const CONNECTIONS: usize = 32;
/// No answer within this is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What is waited when an answer does not say.
const UNLESS_SAID: Duration = Duration::from_secs(1);
/// How long [`patiently`] repeats.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tweets that are asked for at once.
const PAGE: usize = 100;
/// Pages that are looked through for a tweet behind newer ones.
const MOST_PAGES: usize = 20;

/// Why there is no answer that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 429 or 503: nothing was done, and it may be repeated after some time.
    #[error("{status}: to be repeated after {after:?}")]
    Busy {
        /// 429 Too Many Requests or 503 Service Unavailable.
        status: StatusCode,
        /// Its `Retry-After`.
        after: Duration,
    },
    /// No connection, or no answer in time: whether it was done is unknown.
    #[error("no answer from {api}")]
    Unanswered {
        /// Where it was asked.
        api: Arc<str>,
        /// What is known of it.
        #[source]
        source: reqwest::Error,
    },
    /// It says no.
    #[error("{doing}: {status}: {said}")]
    Refused {
        /// What was asked for.
        doing: &'static str,
        /// Its status.
        status: StatusCode,
        /// Its words, shortened.
        said: String,
    },
    /// An answer of another shape.
    #[error("{doing}: the answer is not that of the tweet API")]
    Strange {
        /// What was asked for.
        doing: &'static str,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
}

/// Where the API is, and the connections to it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    base: Arc<str>,
    http: reqwest::Client,
}

/// A user, as far as it is of interest here.
#[derive(Debug, Deserialize)]
struct User {
    id: i64,
}

/// A tweet that was accepted.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Accepted {
    /// Its number.
    pub id: i64,
}

/// How far a tweet is.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Where it is.
    pub status: Stage,
    /// Feeds that have it.
    pub delivered: u64,
}

#[derive(Debug, Deserialize)]
struct Feed {
    items: Vec<Accepted>,
    next_cursor: Option<String>,
}

impl Api {
    /// For so many requests at the same time. `base` is an `http` URL; what the environment says of proxies is not obeyed.
    ///
    /// # Errors
    /// When it is no such URL, in words.
    pub fn new(base: &str, connections: usize) -> Result<Self, String> {
        let url = reqwest::Url::parse(base).map_err(|error| format!("`{base}` is no URL: {error}"))?;
        if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{base}`: give http://HOST:PORT"));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(connections)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { base: url.as_str().trim_end_matches('/').into(), http })
    }

    /// Whether it can work.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.answer("asking whether it is ready", self.request(Method::GET, "/readyz")).await.map(drop)
    }

    /// Makes a user; its number. Not to be repeated under the same name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_user(&self, name: &str) -> Result<i64, Error> {
        let body = json!({ "username": name, "email": format!("{name}@example.com") });
        let user: User = self.ask("making a user", self.request(Method::POST, "/api/users/").json(&body)).await?;
        Ok(user.id)
    }

    /// Lets `reader` follow `author`. A repeat has one effect.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn follow(&self, reader: i64, author: i64) -> Result<(), Error> {
        let request = self.as_user(Method::POST, "/api/subscriptions/follow", reader);
        self.answer("following", request.json(&json!({ "followed_id": author }))).await.map(drop)
    }

    /// Posts a tweet. A repeat with the same key has one effect.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post(&self, author: i64, content: &str, key: &str) -> Result<Accepted, Error> {
        let request = self.as_user(Method::POST, "/api/tweets/", author).header("Idempotency-Key", key);
        self.ask("posting a tweet", request.json(&json!({ "content": content }))).await
    }

    /// How far a tweet is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self, tweet: i64) -> Result<Status, Error> {
        let path = format!("/api/tweets/{tweet}/status");
        self.ask("asking how far a tweet is", self.request(Method::GET, &path)).await
    }

    /// Whether `reader` finds the tweet in its feed, which shows the newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn feed_has(&self, reader: i64, tweet: i64) -> Result<bool, Error> {
        let mut cursor = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("/api/feed/?limit={PAGE}{cursor}");
            let feed: Feed = self.ask("reading a feed", self.as_user(Method::GET, &path, reader)).await?;
            if feed.items.iter().any(|item| item.id == tweet) {
                return Ok(true);
            }
            let Some(next) = feed.next_cursor.filter(|_| feed.items.iter().all(|item| item.id > tweet)) else {
                return Ok(false);
            };
            // It was made to be put into a URL as it is.
            cursor = format!("&cursor={next}");
        }
        Ok(false)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    fn as_user(&self, method: Method, path: &str, user: i64) -> RequestBuilder {
        self.request(method, path).header("X-User-ID", user)
    }

    async fn ask<T: DeserializeOwned>(&self, doing: &'static str, request: RequestBuilder) -> Result<T, Error> {
        let answer = self.answer(doing, request).await?;
        answer.json().await.map_err(|source| match source.is_decode() {
            true => Error::Strange { doing, source },
            false => self.unanswered(source),
        })
    }

    async fn answer(&self, doing: &'static str, request: RequestBuilder) -> Result<Response, Error> {
        let answer = request.send().await.map_err(|source| self.unanswered(source))?;
        let status = answer.status();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(Error::Busy { status, after: after.map_or(UNLESS_SAID, Duration::from_secs) });
        }
        if !status.is_success() {
            let said = answer.text().await.unwrap_or_default().chars().take(200).collect();
            return Err(Error::Refused { doing, status, said });
        }
        Ok(answer)
    }

    fn unanswered(&self, source: reqwest::Error) -> Error {
        Error::Unanswered { api: Arc::clone(&self.base), source }
    }
}

/// Repeats what has one effect until there is an answer, for a minute at the most.
///
/// # Errors
/// The first answer that no repeat can mend, or the last one.
pub async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (after, error) = match ask().await {
            Err(error @ Error::Busy { after, .. }) => (after, error),
            Err(error @ Error::Unanswered { .. }) => (UNLESS_SAID, error),
            answer => return answer,
        };
        if Instant::now() + after > until {
            return Err(error);
        }
        sleep(after).await;
    }
}
