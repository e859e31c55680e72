//! The routes below `/api`, and the OpenAPI document that is made from their types.
//!
//! ```text
//! request ─> route ─> limits (429) ─> users, follows, tweets ─> PostgreSQL
//!                                  └─> POST tweets ─> admission (503) ─> posting ─> Kafka
//! ```
//!
//! `X-User-ID` says who acts and proves nothing: whoever runs this for others puts a log-in before it.

mod answer;
mod tweets;
mod users;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Problem;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use store::Store;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::OpenApi;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply, reject};

use self::answer::json;
pub use self::tweets::Stage;
use super::admission::Admission;
use super::asked::{Asked, number};
use super::limits::Limits;
use super::posting::Posting;

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

/// Answers a request.
type Handler = for<'a> fn(&'a Api, &'a Asked) -> BoxFuture<'a, Result<Response, Problem>>;

/// Methods, routes, and who answers; `{id}` is a number.
static ROUTES: [(Method, &str, Handler); 13] = [
    (Method::POST, "/api/users/", |api, asked| Box::pin(users::create_user(api, asked))),
    (Method::GET, "/api/users/{id}", |api, asked| Box::pin(users::user(api, asked))),
    (Method::GET, "/api/users/{id}/followers", |api, asked| Box::pin(users::followers(api, asked))),
    (Method::GET, "/api/users/{id}/following", |api, asked| Box::pin(users::following(api, asked))),
    (Method::GET, "/api/users/{id}/tweets", |api, asked| Box::pin(tweets::tweets_of(api, asked))),
    (Method::POST, "/api/subscriptions/follow", |api, asked| Box::pin(users::follow(api, asked))),
    (Method::DELETE, "/api/subscriptions/follow/{id}", |api, asked| Box::pin(users::unfollow(api, asked))),
    (Method::POST, "/api/tweets/", |api, asked| Box::pin(tweets::post_tweet(api, asked))),
    (Method::GET, "/api/tweets/{id}", |api, asked| Box::pin(tweets::tweet(api, asked))),
    (Method::DELETE, "/api/tweets/{id}", |api, asked| Box::pin(tweets::delete_tweet(api, asked))),
    (Method::GET, "/api/tweets/{id}/status", |api, asked| Box::pin(tweets::status(api, asked))),
    (Method::GET, "/api/feed/", |api, asked| Box::pin(tweets::feed(api, asked))),
    (Method::GET, "/api/openapi.json", |_, _| Box::pin(async { Ok(document()) })),
];

#[derive(OpenApi)]
#[openapi(
    info(title = "Millrace tweets", description = "Post, follow and read. X-User-ID says who acts; it is no log-in."),
    paths(
        users::create_user,
        users::user,
        users::followers,
        users::following,
        tweets::tweets_of,
        users::follow,
        users::unfollow,
        tweets::post_tweet,
        tweets::tweet,
        tweets::delete_tweet,
        tweets::status,
        tweets::feed,
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
                let Some((route, id)) = find(path.as_str()) else { return Err(reject::not_found()) };
                let asked = Asked { id, headers, query, body: body.to_vec() };
                Ok::<_, Rejection>(api.answer(route, &method, &asked).await)
            },
        )
}

/// The route of a path, and the number in it; 0 without. A slash at the end makes no difference.
fn find(path: &str) -> Option<(&'static str, i64)> {
    let given: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    ROUTES.iter().find_map(|(_, route, _)| {
        let mut id = 0;
        let wanted: Vec<&str> = route.trim_end_matches('/').split('/').collect();
        let fits = wanted.len() == given.len()
            && wanted.iter().zip(&given).all(|(wanted, given)| match *wanted {
                "{id}" => number(given).inspect(|number| id = *number).is_some(),
                fixed => fixed == *given,
            });
        fits.then_some((*route, id))
    })
}

/// Who answers a method of a route.
///
/// # Errors
/// 405 with the methods that there are.
fn handler(route: &str, method: &Method) -> Result<Handler, Problem> {
    // HEAD is GET without the body, which the server leaves out.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let there = || ROUTES.iter().filter(|(_, other, _)| *other == route);
    let found = there().find(|(other, ..)| other == method).map(|(.., handler)| *handler);
    found.ok_or_else(|| {
        let names: Vec<&str> = there().map(|(method, ..)| method.as_str()).collect();
        Problem::method_not_allowed(&names.join(", "))
    })
}

impl Api {
    /// Waits for a turn among those who may wait for a row.
    async fn turn(&self) -> SemaphorePermit<'_> {
        self.waiting.acquire().await.expect("nobody closes it")
    }

    async fn answer(&self, route: &'static str, method: &Method, asked: &Asked) -> Response {
        let began = Instant::now();
        let mut response = self.limited(route, method, asked).await.unwrap_or_else(Reply::into_response);
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let status = i64::from(response.status().as_u16());
        let labels = [KeyValue::new("route", route), KeyValue::new("status", status)];
        self.counts.seconds.record(began.elapsed().as_secs_f64(), &labels);
        response
    }

    async fn limited(&self, route: &str, method: &Method, asked: &Asked) -> Result<Response, Problem> {
        let handler = handler(route, method)?;
        let left = self.limits.take(asked.user_if_any()?)?;
        let mut response = handler(self, asked).await.unwrap_or_else(Reply::into_response);
        response.headers_mut().extend(left);
        Ok(response)
    }
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, body = Object)))]
fn document() -> Response {
    json(StatusCode::OK, &Document::openapi())
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
        let served: BTreeSet<String> =
            ROUTES.iter().map(|(method, path, _)| format!("{} {path}", method.as_str().to_lowercase())).collect();
        assert_eq!(told, served);
    }

    #[test]
    fn a_path_is_a_route_with_and_without_a_slash_at_the_end() {
        assert_eq!(find("/api/users/"), Some(("/api/users/", 0)));
        assert_eq!(find("/api/users"), Some(("/api/users/", 0)));
        assert_eq!(find("/api/tweets/812/status"), Some(("/api/tweets/{id}/status", 812)));
        for nothing in ["/api", "/api/tweets/0", "/api/tweets/-1", "/api/tweets/x", "/api/tweets/1/2", "/api//users"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
    }
}
