//! The routes below `/api`, and the OpenAPI document that is made from their types.
//!
//! ```text
//! request ─> route ─> limits (429) ─> users, follows, tweets ─> PostgreSQL
//!                                  └─> POST tweets ─> admission (503) ─> posting ─> Kafka
//! ```
//!
//! `X-User-ID` says who acts and proves nothing: whoever runs this for others puts a log-in before it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Problem;
use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use serde::{Deserialize, Serialize};
use store::Store;
use store::feeds::{self, Item};
use store::posts::{self, Deleted};
use store::users::{self, Created, Followed, Side};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::{OpenApi, ToSchema};
use warp::http::header::{HeaderName, RETRY_AFTER};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply, reject};

use super::admission::Admission;
use super::asked::{Asked, number, refused, wrong};
use super::content;
use super::limits::Limits;
use super::posting::{Accepted, Post, Posting, Refusal};

/// What the routes work with.
pub struct Api {
    /// Users, follows, feeds.
    pub store: Store,
    /// What waits for rows that workers hold, at once: the rest of the connections stay free for the rest.
    pub waiting: Semaphore,
    /// Where tweets go.
    pub posting: Posting,
    /// Whether they are taken.
    pub admission: Arc<Admission>,
    /// How many requests are.
    pub limits: Arc<Limits>,
    /// What is counted.
    pub counts: Counts,
}

/// What is counted of the requests.
pub struct Counts {
    created: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Counts {
    /// From zero.
    pub fn new(meter: &Meter) -> Self {
        let created =
            meter.u64_counter("tweets.created").with_description("Tweets that were accepted, repeats left out");
        let seconds = meter
            .f64_histogram("api.request.duration")
            .with_unit("s")
            .with_description("From a request's body to its answer, by route and status")
            .with_boundaries(telemetry::seconds());
        Self { created: telemetry::zeroed(created.build()), seconds: seconds.build() }
    }
}

/// The routes with their methods; `{id}` is a number.
const ROUTES: [(&str, &[Method]); 10] = [
    ("/api/users/", &[Method::POST]),
    ("/api/users/{id}", &[Method::GET]),
    ("/api/users/{id}/followers", &[Method::GET]),
    ("/api/users/{id}/following", &[Method::GET]),
    ("/api/users/{id}/tweets", &[Method::GET]),
    ("/api/subscriptions/follow", &[Method::POST]),
    ("/api/subscriptions/follow/{id}", &[Method::DELETE]),
    ("/api/tweets/", &[Method::POST]),
    ("/api/tweets/{id}", &[Method::GET, Method::DELETE]),
    ("/api/tweets/{id}/status", &[Method::GET]),
];
/// Those without a number in them and with GET alone.
const READ: [&str; 2] = ["/api/feed/", "/api/openapi.json"];

#[derive(OpenApi)]
#[openapi(
    info(title = "Millrace tweets", description = "Post, follow and read. X-User-ID says who acts; it is no log-in."),
    paths(
        create_user,
        user,
        followers,
        following,
        tweets_of,
        follow,
        unfollow,
        post_tweet,
        tweet,
        delete_tweet,
        status,
        feed,
        document
    )
)]
struct Document;

/// Everything below `/api`.
pub fn routes(api: Api) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let api = Arc::new(api);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path("api")
        .and(warp::any().map(move || Arc::clone(&api)))
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::body::bytes())
        .and_then(
            async |api: Arc<Api>,
                   method: Method,
                   path: warp::path::FullPath,
                   headers: HeaderMap,
                   query,
                   body: Bytes| {
                let Some((route, methods, id)) = find(path.as_str()) else { return Err(reject::not_found()) };
                let asked = Asked { headers, query, body: body.to_vec() };
                Ok::<_, Rejection>(api.answer(route, methods, id, &method, &asked).await)
            },
        )
}

/// The route of a path, its methods, and the number in it. A slash at the end makes no difference.
fn find(path: &str) -> Option<(&'static str, &'static [Method], i64)> {
    let given: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let read = READ.into_iter().map(|route| (route, &[Method::GET][..]));
    ROUTES.into_iter().chain(read).find_map(|(route, methods)| {
        let mut id = 0;
        let wanted: Vec<&str> = route.trim_end_matches('/').split('/').collect();
        let fits = wanted.len() == given.len()
            && wanted.iter().zip(&given).all(|(wanted, given)| match *wanted {
                "{id}" => number(given).inspect(|number| id = *number).is_some(),
                fixed => fixed == *given,
            });
        fits.then_some((route, methods, id))
    })
}

impl Api {
    /// Waits for a turn among those who may wait for a row.
    async fn turn(&self) -> SemaphorePermit<'_> {
        self.waiting.acquire().await.expect("nobody closes it")
    }

    async fn answer(
        &self,
        route: &'static str,
        methods: &'static [Method],
        id: i64,
        method: &Method,
        asked: &Asked,
    ) -> Response {
        let began = Instant::now();
        let mut response = match self.limited(route, methods, id, method, asked).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let status = i64::from(response.status().as_u16());
        let labels = [KeyValue::new("route", route), KeyValue::new("status", status)];
        self.counts.seconds.record(began.elapsed().as_secs_f64(), &labels);
        response
    }

    async fn limited(
        &self,
        route: &'static str,
        methods: &'static [Method],
        id: i64,
        method: &Method,
        asked: &Asked,
    ) -> Result<Response, Problem> {
        // HEAD is GET without the body, which the server leaves out.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        if !methods.contains(method) {
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            let allow = HeaderValue::from_str(&names.join(", ")).expect("names of methods");
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED);
            return Err(problem.detail(format!("allowed here: {}", names.join(", "))).header(header::ALLOW, allow));
        }
        let left = self.limits.take(asked.user_if_any()?)?;
        let mut response = self.handle(route, method, id, asked).await.unwrap_or_else(Reply::into_response);
        response.headers_mut().extend(left);
        Ok(response)
    }

    async fn handle(&self, route: &str, method: &Method, id: i64, asked: &Asked) -> Result<Response, Problem> {
        match (route, method) {
            ("/api/users/", _) => create_user(self, asked).await,
            ("/api/users/{id}", _) => user(self, id).await,
            ("/api/users/{id}/followers", _) => followers(self, id, asked).await,
            ("/api/users/{id}/following", _) => following(self, id, asked).await,
            ("/api/users/{id}/tweets", _) => tweets_of(self, id, asked).await,
            ("/api/subscriptions/follow", _) => follow(self, asked).await,
            ("/api/subscriptions/follow/{id}", _) => unfollow(self, id, asked).await,
            ("/api/tweets/", _) => post_tweet(self, asked).await,
            ("/api/tweets/{id}", &Method::DELETE) => delete_tweet(self, id, asked).await,
            ("/api/tweets/{id}", _) => tweet(self, id).await,
            ("/api/tweets/{id}/status", _) => status(self, id).await,
            ("/api/feed/", _) => feed(self, asked).await,
            _ => Ok(document()),
        }
    }
}

/// A wish for a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// 1 to 50 characters without control characters; unique in NFC.
    #[schema(min_length = 1, max_length = 50)]
    username: String,
    /// name@domain, 254 bytes at most; unique.
    #[schema(max_length = 254)]
    email: String,
}

/// Somebody.
#[derive(Serialize, ToSchema)]
struct User {
    /// Number, from 1.
    id: i64,
    /// Unique.
    username: String,
    /// How many follow them.
    followers: i64,
    /// How many they follow.
    following: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        let users::User { user_id, username, followers, following, created_at } = user;
        Self { id: user_id, username, followers, following, created_at }
    }
}

/// Makes a user.
#[utoipa::path(post, path = "/api/users/", request_body = NewUser, responses(
    (status = 201, body = User),
    (status = 400, description = "The body is not of this form: the answer names field and reason."),
    (status = 409, description = "Somebody has this username or email."),
    (status = 429, description = "Too many requests; Retry-After says when."),
    (status = 503, description = "The database does not answer; Retry-After says when to try again.")))]
async fn create_user(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let NewUser { username, email } = asked.json()?;
    let username = content::name(&username).map_err(|fault| refused(&fault))?;
    content::check_email(&email).map_err(|fault| refused(&fault))?;
    match users::create(&api.store, &username, &email).await.map_err(no_database)? {
        Created::New(user) => Ok(json(StatusCode::CREATED, &User::from(user))),
        Created::Taken(field) => {
            let problem = Problem::new(StatusCode::CONFLICT).detail(format!("somebody has this {field}"));
            Err(problem.member("field", field))
        }
    }
}

/// A user with how many follow them, and how many they follow.
#[utoipa::path(get, path = "/api/users/{id}", params(("id" = i64, Path)), responses(
    (status = 200, body = User),
    (status = 404, description = "There is no such user."),
    (status = 503, description = "The database does not answer.")))]
async fn user(api: &Api, id: i64) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &User::from(existing(api, id, "id").await?)))
}

/// A user in a list.
#[derive(Serialize, ToSchema)]
struct Named {
    /// Number.
    id: i64,
    /// Name.
    username: String,
}

/// Users on one side of another.
#[derive(Serialize, ToSchema)]
struct Users {
    /// How many there are in all.
    count: i64,
    /// Ascending by number.
    users: Vec<Named>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Who follows a user.
#[utoipa::path(get, path = "/api/users/{id}/followers",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Users),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
async fn followers(api: &Api, id: i64, asked: &Asked) -> Result<Response, Problem> {
    connected(api, id, asked, Side::Followers).await
}

/// Whom a user follows.
#[utoipa::path(get, path = "/api/users/{id}/following",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Users),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
async fn following(api: &Api, id: i64, asked: &Asked) -> Result<Response, Problem> {
    connected(api, id, asked, Side::Following).await
}

async fn connected(api: &Api, id: i64, asked: &Asked, side: Side) -> Result<Response, Problem> {
    let page = asked.page()?;
    let user = existing(api, id, "id").await?;
    let after = page.cursor.unwrap_or(0);
    let found = users::connected(&api.store, id, side, after, page.limit + 1).await.map_err(no_database)?;
    let (found, next_cursor) = cut(found, page.limit, |(id, _)| *id);
    let users = found.into_iter().map(|(id, username)| Named { id, username }).collect();
    let count = if side == Side::Followers { user.followers } else { user.following };
    Ok(json(StatusCode::OK, &Users { count, users, next_cursor }))
}

/// Whom to follow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Follow {
    /// The user.
    #[schema(minimum = 1)]
    followed_id: i64,
}

/// Who follows whom.
#[derive(Serialize, ToSchema)]
struct Following {
    /// Who.
    follower_id: i64,
    /// Whom.
    followed_id: i64,
}

/// Lets the user who acts follow another, with the latest 100 of their tweets.
#[utoipa::path(post, path = "/api/subscriptions/follow", request_body = Follow,
    params(("X-User-ID" = i64, Header, description = "Who acts.")),
    responses(
        (status = 201, body = Following),
        (status = 200, body = Following, description = "They did already."),
        (status = 400, description = "The body is not of this form, or names the user who acts."),
        (status = 404, description = "There is no such user: `field` says which."),
        (status = 409, description = "They follow 5,000 users, the most there may be."),
        (status = 503, description = "The database does not answer.")))]
async fn follow(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let follower_id = asked.user()?;
    let Follow { followed_id } = asked.json()?;
    if followed_id < 1 {
        return Err(wrong("followed_id", "`followed_id` is the number of a user, from 1"));
    }
    if followed_id == follower_id {
        return Err(wrong("followed_id", "`followed_id` is the user who acts: nobody follows themselves"));
    }
    let _turn = api.turn().await;
    let status = match users::follow(&api.store, follower_id, followed_id).await.map_err(no_database)? {
        Followed::New => StatusCode::CREATED,
        Followed::Already => StatusCode::OK,
        Followed::TooMany => {
            let problem = Problem::new(StatusCode::CONFLICT);
            return Err(problem.detail(format!("they follow {} users, the most there may be", users::MOST_FOLLOWING)));
        }
        Followed::NoSuchUser(user) => {
            return Err(no_user(user, if user == follower_id { "X-User-ID" } else { "followed_id" }));
        }
    };
    Ok(json(status, &Following { follower_id, followed_id }))
}

/// Ends a follow; its tweets are hidden at once.
#[utoipa::path(delete, path = "/api/subscriptions/follow/{id}",
    params(("id" = i64, Path, description = "Whom they follow."), ("X-User-ID" = i64, Header, description = "Who acts.")),
    responses(
        (status = 204, description = "They do not any more."),
        (status = 404, description = "They did not."),
        (status = 503, description = "The database does not answer.")))]
async fn unfollow(api: &Api, id: i64, asked: &Asked) -> Result<Response, Problem> {
    let follower = asked.user()?;
    let _turn = api.turn().await;
    if users::unfollow(&api.store, follower, id).await.map_err(no_database)? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let problem = Problem::new(StatusCode::NOT_FOUND);
    Err(problem.detail(format!("user {follower} does not follow user {id}")).member("field", "id"))
}

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
async fn post_tweet(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let author_id = asked.user()?;
    let key = asked.key()?;
    let NewTweet { content } = asked.json()?;
    content::check(&content).map_err(|fault| refused(&fault))?;
    api.admission.check().map_err(|backlog| {
        let below = api.admission.take_below();
        unavailable(&format!("{backlog} tweets wait for the workers; tweets are taken again below {below}"), 5)
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
        Err(Refusal::Unavailable(why)) => Err(unavailable(&why, 1)),
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
async fn tweet(api: &Api, id: i64) -> Result<Response, Problem> {
    let found = posts::find(&api.store, id).await.map_err(no_database)?.filter(|tweet| !tweet.deleted);
    let found = found.ok_or_else(|| no_tweet(id))?;
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
async fn delete_tweet(api: &Api, id: i64, asked: &Asked) -> Result<Response, Problem> {
    let author = asked.user()?;
    let _turn = api.turn().await;
    match posts::delete(&api.store, author, id).await.map_err(no_database)? {
        Deleted::Now => Ok(StatusCode::NO_CONTENT.into_response()),
        Deleted::NotTheirs => Err(Problem::new(StatusCode::FORBIDDEN).detail("somebody else's tweet")),
        Deleted::NoSuchTweet => Err(no_tweet(id)),
    }
}

/// How far a tweet has come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Stage {
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
async fn status(api: &Api, id: i64) -> Result<Response, Problem> {
    let found = posts::find(&api.store, id).await.map_err(no_database)?.ok_or_else(|| no_tweet(id))?;
    let stage = match &found {
        tweet if tweet.deleted => Stage::Deleted,
        tweet if tweet.content.is_none() => Stage::Accepted,
        tweet if tweet.pulled => Stage::Pulled,
        tweet if tweet.served < tweet.audience => Stage::FanningOut,
        _ => Stage::Delivered,
    };
    let delivered = if found.pulled { found.audience } else { found.served };
    Ok(json(StatusCode::OK, &Status { id, status: stage, delivered, audience: found.audience }))
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
async fn feed(api: &Api, asked: &Asked) -> Result<Response, Problem> {
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
async fn tweets_of(api: &Api, id: i64, asked: &Asked) -> Result<Response, Problem> {
    let page = asked.page()?;
    let before = page.cursor.unwrap_or(i64::MAX);
    let items = feeds::posted_by(&api.store, id, before, page.limit + 1).await.map_err(no_database)?;
    if items.is_empty() {
        existing(api, id, "id").await?;
    }
    Ok(listed(items, page.limit))
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, body = Object)))]
fn document() -> Response {
    json(StatusCode::OK, &Document::openapi())
}

fn listed(items: Vec<Item>, limit: i64) -> Response {
    let (items, next_cursor) = cut(items, limit, |item| item.tweet_id);
    json(StatusCode::OK, &Tweets { items: items.into_iter().map(Tweet::from).collect(), next_cursor })
}

/// The page of what was asked for with one more, and the next one's cursor where that one more was there.
fn cut<T>(mut items: Vec<T>, limit: i64, number: impl Fn(&T) -> i64) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| number(last).to_string());
    (items, next)
}

async fn existing(api: &Api, id: i64, field: &'static str) -> Result<users::User, Problem> {
    users::find(&api.store, id).await.map_err(no_database)?.ok_or_else(|| no_user(id, field))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}

fn no_user(id: i64, field: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no user {id}")).member("field", field)
}

fn no_tweet(id: i64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no tweet {id}")).member("field", "id")
}

/// 503, to be tried again after so many seconds.
fn unavailable(why: &str, after_s: u16) -> Problem {
    let retry: (HeaderName, HeaderValue) = (RETRY_AFTER, after_s.into());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail(why).header(retry.0, retry.1)
}

fn no_database(error: store::Error) -> Problem {
    tracing::debug!(error = error.chain(), "the database");
    unavailable("the database does not answer", 2)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `openapi.json` is what clients are made from, without a running API.
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = Document::openapi().to_pretty_json().expect("it serialises") + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).expect("it can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == made, "openapi.json is not up to date: run this test with UPDATE_OPENAPI=1");
    }

    #[test]
    fn the_document_has_the_routes_with_their_methods() {
        let document = serde_json::to_value(Document::openapi()).expect("it serialises");
        let paths = document["paths"].as_object().expect("paths");
        let told: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().expect("methods").keys().map(move |m| format!("{m} {path}")))
            .collect();
        let read = READ.into_iter().map(|route| (route, &[Method::GET][..]));
        let served: BTreeSet<String> = ROUTES
            .into_iter()
            .chain(read)
            .flat_map(|(path, methods)| methods.iter().map(move |m| format!("{} {path}", m.as_str().to_lowercase())))
            .collect();
        assert_eq!(told, served);
    }

    #[test]
    fn a_path_is_a_route_with_and_without_a_slash_at_the_end() {
        let name = |path| find(path).map(|(route, _, id)| (route, id));
        assert_eq!(name("/api/users/"), Some(("/api/users/", 0)));
        assert_eq!(name("/api/users"), Some(("/api/users/", 0)));
        assert_eq!(name("/api/tweets/812/status"), Some(("/api/tweets/{id}/status", 812)));
        for nothing in ["/api", "/api/tweets/0", "/api/tweets/-1", "/api/tweets/x", "/api/tweets/1/2", "/api//users"] {
            assert_eq!(name(nothing), None, "{nothing}");
        }
    }
}
