//! One request and its answer, whatever the route does: a body too large, a handler that takes too
//! long or panics, an error in plain text.

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request,
    body::{Frame, Incoming, SizeHint},
};
use tokio::time::{Instant, timeout};
use tower::Service;
use tracing::error;
use warp::{
    Reply,
    http::{StatusCode, header::CONTENT_LENGTH},
    reply::Response,
};

use crate::{
    Limits,
    problem::{self, Problem},
    requests::Requests,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, cut off with an error at the limit.
pub(crate) type Body = http_body_util::combinators::BoxBody<hyper::body::Bytes, BoxError>;

/// What warp makes of a filter, shortened.
pub(crate) trait Routes:
    Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Routes for S where
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// Answers every request of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Answerer<S> {
    routes: S,
    request: Duration,
    body_bytes: usize,
    requests: Requests,
}

impl<S: Routes> Answerer<S> {
    pub(crate) fn new(routes: S, limits: &Limits) -> Self {
        Self { routes, request: limits.request, body_bytes: limits.body_bytes, requests: Requests::new() }
    }

    /// Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let start = Instant::now();
        let method = request.method().clone();
        let requests = self.requests.clone();
        let response = self.respond(request).await;
        requests.count(&method, response.status(), start.elapsed());
        Ok(response)
    }

    async fn respond(mut self, request: Request<Incoming>) -> Response {
        if announced_bytes(&request) > self.body_bytes as u64 {
            return self.too_large();
        }
        let (exceeded, awaited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let request = self.bounded(request, Arc::clone(&exceeded), Arc::clone(&awaited));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = AssertUnwindSafe(self.call(request)).catch_unwind();
        let response = match timeout(self.request, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(panic)) => {
                error!(%method, path, panic = panic_text(panic.as_ref()), "a handler panicked");
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response();
            }
            Err(_) if awaited.load(Ordering::Relaxed) => {
                return Problem::new(StatusCode::REQUEST_TIMEOUT)
                    .detail(format!("the body did not come within {:?}", self.request))
                    .into_response();
            }
            Err(_) => {
                error!(%method, path, after = ?self.request, "a handler took too long");
                return Problem::unavailable(format!("no answer within {:?}", self.request), 1).into_response();
            }
        };
        if exceeded.load(Ordering::Relaxed) {
            return self.too_large();
        }
        problem::of_error(response).await
    }

    /// Boxed, since the compiler cannot tell that the routes' own future may go between threads. The
    /// filters run inside, so that a panic in building the future is caught as well.
    fn call(&mut self, request: Request<Body>) -> BoxFuture<'static, Result<Response, Infallible>> {
        let mut routes = self.routes.clone();
        futures_util::future::lazy(move |_| routes.call(request)).flatten().boxed()
    }

    /// Cuts the body at the limit, and notes it when that happened; and whether more of it is waited for.
    fn bounded(
        &self,
        request: Request<Incoming>,
        exceeded: Arc<AtomicBool>,
        awaited: Arc<AtomicBool>,
    ) -> Request<Body> {
        request.map(|body| {
            let body = Limited::new(body, self.body_bytes).map_err(move |error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    exceeded.store(true, Ordering::Relaxed);
                }
                error
            });
            Noted { body, awaited }.boxed()
        })
    }

    fn too_large(&self) -> Response {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE)
            .detail(format!("a body may have at most {} bytes", self.body_bytes))
            .into_response()
    }
}

/// A body that notes whether more of it is waited for.
struct Noted<B> {
    body: B,
    awaited: Arc<AtomicBool>,
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Noted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the head says the body has; 0 when it says nothing, and the reading decides.
fn announced_bytes(request: &Request<Incoming>) -> u64 {
    request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
