//! Tweets, and the feeds that they are read in.

use http::Problem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::feeds::{self, Item};
use store::posts::{self, Deleted};
use utoipa::ToSchema;
use warp::Reply;
use warp::http::StatusCode;
use warp::reply::Response;

use super::Api;
use super::answer::{cut, json, no_database, no_tweet, no_user};
use super::users::existing;
use crate::tweets::asked::{Asked, refused};
use crate::tweets::content;
use crate::tweets::posting::{Accepted, Post, Refusal};

/// A tweet to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTweet {
    /// 1 to 280 characters (grapheme clusters in NFC) without control characters; kept as typed.
    #[schema(min_length = 1)]
    content: String,
}

/// A tweet that all in-sync replicas have.
#[derive(Serialize, ToSchema)]
struct Posted {
    /// Its number; grows with time.
    id: i64,
    /// When it was given its number.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Posts a tweet. 202 means that all in-sync replicas have it. A repeat with the same Idempotency-Key has one effect and
/// the same answer; after a 503 only such a repeat is sure to.
#[utoipa::path(post, path = "/api/tweets/", request_body = NewTweet,
    params(
        ("X-User-ID" = i64, Header, description = "Who acts."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters, of this user's own.")),
    responses(
        (status = 202, body = Posted),
        (status = 400, description = "The body is not of this form: the answer names field and reason."),
        (status = 404, description = "There is no such user."),
        (status = 422, description = "The key was used for another tweet."),
        (status = 429, description = "Too many requests; Retry-After says when."),
        (status = 503, description = "Not (known to be) accepted: Kafka or the database does not answer, or the workers are too far \
behind. Retry-After says when to try again.")))]
pub async fn post_tweet(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let author_id = asked.user()?;
    let key = asked.key()?;
    let NewTweet { content } = asked.json()?;
    content::check(&content).map_err(|fault| refused(&fault))?;
    api.admission.check().map_err(|backlog| {
        let below = api.admission.take_below();
        Problem::unavailable(format!("{backlog} tweets wait for the workers; tweets are taken again below {below}"), 5)
    })?;
    let key = key.map(|key| (key, content::hash(&content)));
    let post = Post { request: posts::Request { author_id, key }, content };
    match api.posting.post(post).await {
        Ok(Accepted { tweet_id, created_at, repeated }) => {
            if !repeated {
                api.counts.created.add(1, &[]);
            }
            Ok(json(StatusCode::ACCEPTED, &Posted { id: tweet_id, created_at }))
        }
        Err(Refusal::NoSuchAuthor) => Err(no_user(author_id, "X-User-ID")),
        Err(Refusal::OtherRequest) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
            .detail("this Idempotency-Key was used for another tweet")
            .member("field", "Idempotency-Key")),
        Err(Refusal::Unavailable(why)) => Err(Problem::unavailable(why, 1)),
    }
}

/// A tweet.
#[derive(Serialize, ToSchema)]
struct Tweet {
    /// Its number.
    id: i64,
    /// Who posted it.
    author_id: i64,
    /// As typed; absent until a worker has stored it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// When it was given its number.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Item> for Tweet {
    fn from(item: Item) -> Self {
        let Item { tweet_id, author_id, content, created_at } = item;
        Self { id: tweet_id, author_id, content: Some(content), created_at }
    }
}

/// One tweet.
#[utoipa::path(get, path = "/api/tweets/{id}", params(("id" = i64, Path)), responses(
    (status = 200, body = Tweet),
    (status = 202, body = Tweet, description = "It has its number, and no worker has stored it yet."),
    (status = 404, description = "There is none, or it is deleted."),
    (status = 503, description = "The database does not answer.")))]
pub async fn tweet(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let found = posts::find(&api.store, asked.id).await.map_err(no_database)?.filter(|tweet| !tweet.deleted);
    let found = found.ok_or_else(|| no_tweet(asked.id))?;
    let status = if found.content.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let posts::Tweet { tweet_id, author_id, content, created_at, .. } = found;
    Ok(json(status, &Tweet { id: tweet_id, author_id, content, created_at }))
}

/// Deletes a tweet of the user who acts: hidden everywhere at once, also when it is not stored yet.
#[utoipa::path(delete, path = "/api/tweets/{id}",
    params(("id" = i64, Path), ("X-User-ID" = i64, Header, description = "Who acts.")),
    responses(
        (status = 204, description = "It is shown nowhere from now on."),
        (status = 403, description = "Somebody else's."),
        (status = 404, description = "There is none, or it is deleted."),
        (status = 503, description = "The database does not answer.")))]
pub async fn delete_tweet(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let author = asked.user()?;
    let _turn = api.turn().await;
    match posts::delete(&api.store, author, asked.id).await.map_err(no_database)? {
        Deleted::Now => Ok(StatusCode::NO_CONTENT.into_response()),
        Deleted::NotTheirs => Err(Problem::new(StatusCode::FORBIDDEN).detail("somebody else's tweet")),
        Deleted::NoSuchTweet => Err(no_tweet(asked.id)),
    }
}

/// How far a tweet has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has its number, and no worker has stored it yet.
    Accepted,
    /// Stored; its audience is being served.
    FanningOut,
    /// In the feed of everybody of its audience.
    Delivered,
    /// In the feed of everybody of its audience: they pull it when they read.
    Pulled,
    /// Shown nowhere.
    Deleted,
}

impl Stage {
    /// Whether everybody who follows its author can read it.
    #[must_use]
    pub fn is_visible(self) -> bool {
        matches!(self, Self::Delivered | Self::Pulled)
    }
}

/// See [`Stage`].
#[derive(Serialize, ToSchema)]
struct Status {
    /// Its number.
    id: i64,
    /// How far it has come.
    status: Stage,
    /// Followers who have it in their feed.
    delivered: i64,
    /// Followers when it was stored.
    audience: i64,
}

/// How far a tweet has come: accepted, or in so many of so many feeds.
#[utoipa::path(get, path = "/api/tweets/{id}/status", params(("id" = i64, Path)), responses(
    (status = 200, body = Status),
    (status = 404, description = "There is none."),
    (status = 503, description = "The database does not answer.")))]
pub async fn status(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let found = posts::find(&api.store, asked.id).await.map_err(no_database)?.ok_or_else(|| no_tweet(asked.id))?;
    let stage = match &found {
        tweet if tweet.deleted => Stage::Deleted,
        tweet if tweet.content.is_none() => Stage::Accepted,
        tweet if tweet.pulled => Stage::Pulled,
        tweet if tweet.served < tweet.audience => Stage::FanningOut,
        _ => Stage::Delivered,
    };
    let delivered = if found.pulled { found.audience } else { found.served };
    Ok(json(StatusCode::OK, &Status { id: asked.id, status: stage, delivered, audience: found.audience }))
}

/// Tweets, newest first.
#[derive(Serialize, ToSchema)]
struct Tweets {
    /// Newest first.
    items: Vec<Tweet>,
    /// The `cursor` of the next page; absent when there are no older ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The feed of the user who acts: their own tweets and those of whom they follow, newest first. What was visible when the
/// first page was read is on the pages once.
#[utoipa::path(get, path = "/api/feed/",
    params(
        ("X-User-ID" = i64, Header, description = "Who acts."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Tweets),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
pub async fn feed(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let (reader, page) = (asked.user()?, asked.page()?);
    let before = page.cursor.unwrap_or(i64::MAX);
    let items = feeds::page(&api.store, reader, before, page.limit + 1).await.map_err(no_database)?;
    Ok(listed(items.ok_or_else(|| no_user(reader, "X-User-ID"))?, page.limit))
}

/// What a user posted, newest first.
#[utoipa::path(get, path = "/api/users/{id}/tweets",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Tweets),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
pub async fn tweets_of(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let page = asked.page()?;
    let before = page.cursor.unwrap_or(i64::MAX);
    let items = feeds::posted_by(&api.store, asked.id, before, page.limit + 1).await.map_err(no_database)?;
    if items.is_empty() {
        existing(api, asked.id, "id").await?;
    }
    Ok(listed(items, page.limit))
}

fn listed(items: Vec<Item>, limit: i64) -> Response {
    let (items, next_cursor) = cut(items, limit, |item| item.tweet_id);
    json(StatusCode::OK, &Tweets { items: items.into_iter().map(Tweet::from).collect(), next_cursor })
}
