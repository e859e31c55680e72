//! Errors as `application/problem+json` (RFC 9457): one shape for every error of every route.

use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::error;
use warp::{
    Rejection, Reply,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{self, CONTENT_TYPE as CONTENT_TYPE_HEADER},
    },
    reply::Response,
};

/// The media type of a problem (RFC 9457, section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error for a client. A handler returns it as a reply, or rejects with it.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten)]
    members: Map<String, Value>,
    /// Boxed, so that an error stays small.
    #[serde(skip)]
    headers: Box<HeaderMap>,
}

impl Problem {
    /// The status and its usual title, of type `about:blank`: no more than the status says.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: None,
            members: Map::new(),
            headers: Box::default(),
        }
    }

    /// What is wrong this time, in words for a person.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// An extension member (RFC 9457, section 3.2), for programs. `name` is not one of the
    /// standard members.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// A header of the answer, such as `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// 405 with the methods that are allowed, as RFC 9110 section 15.5.6 demands.
    ///
    /// # Panics
    /// When `allowed` is no list of methods.
    #[must_use]
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED)
            .detail(format!("allowed here: {allowed}"))
            .header(header::ALLOW, HeaderValue::from_str(allowed).expect("names of methods"))
    }

    /// 503 with the reason, to be tried again after so many seconds.
    #[must_use]
    pub fn unavailable(why: impl Into<String>, after_s: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE).detail(why).header(header::RETRY_AFTER, after_s.into())
    }
}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).expect("strings and JSON values serialize");
        let mut response = body.into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(*self.headers);
        headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}

impl warp::reject::Reject for Problem {}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// The root's recovery: a problem that a filter rejected with. Every other rejection is left to
/// warp, which knows the status, and to [`of_error`].
pub(crate) async fn recover(rejection: Rejection) -> Result<Problem, Rejection> {
    rejection.find::<Problem>().cloned().ok_or(rejection)
}

/// An error that is in plain text, as warp's own are, as a problem; other answers as they are. The
/// text of a server's error is for the log, not for the client.
pub(crate) async fn of_error(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let content_type = response.headers().get(CONTENT_TYPE_HEADER);
    let plain = content_type.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_error || !plain {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = body
        .collect()
        .await
        .map_or_else(|error| error.to_string(), |body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    let mut problem = Problem::new(status);
    problem.headers = Box::new(parts.headers);
    problem.headers.remove(header::CONTENT_LENGTH);
    if status.is_server_error() {
        error!(%status, text, "a route failed");
    } else if !text.is_empty() {
        problem = problem.detail(text);
    }
    problem.into_response()
}
