//! Answers as all routes give them.

use http::Problem;
use warp::Reply;
use warp::http::StatusCode;
use warp::http::header::{CACHE_CONTROL, HeaderValue};
use warp::reply::Response;

/// 200, and not to be kept: everything here ages.
pub fn json(value: &impl serde::Serialize) -> Response {
    let mut response = warp::reply::json(value).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 503, to be tried again.
pub fn problem(detail: &str) -> Problem {
    Problem::unavailable(detail, 2)
}

/// The same as an answer.
pub fn unavailable(detail: &str) -> Response {
    problem(detail).into_response()
}

/// 503 because of the database.
pub fn no_database(error: &store::Error) -> Response {
    unavailable(&format!("the database does not answer: {}", error.chain()))
}

/// 400, with the parameter and the reason.
pub fn bad_request(detail: String) -> Response {
    Problem::new(StatusCode::BAD_REQUEST).detail(detail).into_response()
}

/// 404.
pub fn not_found(detail: String) -> Response {
    Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response()
}
