//! What every server counts of its requests, whatever the routes are.

use std::time::Duration;

use opentelemetry::{KeyValue, metrics::Histogram};
use warp::http::{Method, StatusCode};

/// The histogram `http_server_request_duration_seconds` by method and status (OpenTelemetry's HTTP
/// semantic conventions); unknown methods are one, so that a client cannot make label values up.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    duration: Histogram<f64>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        let duration = opentelemetry::global::meter("http")
            .f64_histogram("http.server.request.duration")
            .with_description("From a request's head to its answer's")
            .with_unit("s")
            .with_boundaries(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
            .build();
        Self { duration }
    }

    pub(crate) fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        self.duration.record(
            took.as_secs_f64(),
            &[
                KeyValue::new("http.request.method", known(method)),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            ],
        );
    }
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
