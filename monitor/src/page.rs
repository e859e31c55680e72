//! The page: four files, bundled by `make page` and embedded (`build.rs` refuses to go on without them).

use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

/// Everything comes from here, nothing is inline, nobody frames it (CSP 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: [(&str, &str, &[u8]); 4] = [
    ("", "text/html; charset=utf-8", include_bytes!("../page/dist/index.html")),
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../page/dist/app.js")),
    ("style.css", "text/css; charset=utf-8", include_bytes!("../page/dist/style.css")),
    ("favicon.svg", "image/svg+xml", include_bytes!("../page/dist/favicon.svg")),
];

/// `/` and what it refers to.
pub fn routes() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::tail()
        .and_then(async |tail: warp::path::Tail| {
            // A link to a rebalance is the page, which opens it.
            let name = if tail.as_str().starts_with("r/") { "" } else { tail.as_str() };
            let found = FILES.iter().find(|(known, ..)| *known == name);
            found.map(|(_, kind, bytes)| (*kind, *bytes)).ok_or_else(warp::reject::not_found)
        })
        .and(http::read_only())
        .map(|(kind, bytes)| file(kind, bytes))
}

fn file(kind: &'static str, bytes: &'static [u8]) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // The files have no version in their names: the browser asks each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
