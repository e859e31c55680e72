//! The three routes that operate a process: is it alive, can it work, what has it measured.

use lifecycle::Readiness;
use serde_json::json;
use warp::{
    Filter, Rejection, Reply,
    http::{Method, StatusCode, header::CONTENT_TYPE},
    reject,
    reply::Response,
};

use crate::Problem;

/// `GET /livez` (200 as long as the process answers), `GET /readyz` (200, or 503 that names what is
/// waited for) and `GET /metrics` (what `render` returns, as `content_type`).
pub fn ops<R>(
    readiness: Readiness,
    content_type: &'static str,
    render: R,
) -> impl Filter<Extract = (impl Reply + use<R>,), Error = Rejection> + Clone + Send + Sync + 'static + use<R>
where
    R: Fn() -> String + Clone + Send + Sync + 'static,
{
    let livez =
        warp::path!("livez").and(read_only()).map(|| warp::reply::json(&json!({ "status": "alive" })).into_response());
    let readyz = warp::path!("readyz").and(read_only()).map(move || ready(&readiness));
    let metrics = warp::path!("metrics")
        .and(read_only())
        .map(move || warp::reply::with_header(render(), CONTENT_TYPE, content_type).into_response());
    livez.or(readyz).unify().or(metrics).unify()
}

/// Lets GET and HEAD pass; anything else is answered with 405 and `Allow`. To be put behind the
/// path, so that it speaks of a route that exists.
pub fn read_only() -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::method()
        .and_then(async |method: Method| {
            if method == Method::GET || method == Method::HEAD {
                Ok(())
            } else {
                Err(reject::custom(Problem::method_not_allowed("GET, HEAD")))
            }
        })
        .untuple_one()
}

fn ready(readiness: &Readiness) -> Response {
    let waiting_for = readiness.waiting_for();
    if waiting_for.is_empty() {
        return warp::reply::json(&json!({ "status": "ready" })).into_response();
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE)
        .detail(format!("waiting for {}", waiting_for.join(", ")))
        .member("waiting_for", waiting_for)
        .into_response()
}
