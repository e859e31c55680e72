//! Answers as all routes give them.

use http::Problem;
use serde::Serialize;
use warp::Reply;
use warp::http::StatusCode;
use warp::reply::Response;

/// The page of what was asked for with one more, and the next one's cursor where that one more was there.
pub fn cut<T>(mut items: Vec<T>, limit: i64, number: impl Fn(&T) -> i64) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| number(last).to_string());
    (items, next)
}

pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    warp::reply::with_status(warp::reply::json(value), status).into_response()
}

pub fn no_user(id: i64, field: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no user {id}")).member("field", field)
}

pub fn no_tweet(id: i64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no tweet {id}")).member("field", "id")
}

pub fn no_database(error: store::Error) -> Problem {
    tracing::debug!(error = error.chain(), "the database");
    Problem::unavailable("the database does not answer", 2)
}
