//! The routes below `/api`, and the OpenAPI document that is made from their types.
//!
//! ```text
//! current facts ──> system-status consumer-health producer-health partition-assignment
//! database ───────> real-time-metrics (its charts), recent-alerts (its events); read-only, bounded by window and page
//!          └──────> record: groups, rebalances, assignments, ownership, findings
//! ```

use std::sync::Arc;

use jiff::Timestamp;
use store::Store;
use store::alarms::events_before;
use store::throughput::{Resolution, series};
use sync_wrapper::SyncStream;
use tokio::sync::watch;
use utoipa::OpenApi;
use warp::http::HeaderMap;
use warp::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

mod answer;
mod query;
mod record;

use self::answer::{bad_request, json, no_database, problem, unavailable};
use self::query::{Query, only, whole_number};
use crate::facts::Facts;
use crate::stream::{Hub, Told};
use crate::view::{
    self, AlarmEvent, ConsumerHealth, PartitionAssignment, ProducerHealth, RealTimeMetrics, RecentAlerts, Series,
    State, SystemStatus, points, state,
};

/// Facts older than this are not passed off as current, in seconds.
const STALE_AFTER_S: f64 = 5.0;
/// Points of a chart, about: the default window by seconds.
const POINTS: u32 = 900;
/// Seconds that a chart reaches back: least, default, most (31 days).
const WINDOW: (u32, u32, u32) = (60, 15 * 60, 31 * 24 * 60 * 60);
/// Events of a page: without a limit, and at most.
const EVENTS: i64 = 100;
const MOST_EVENTS: i64 = 500;
/// Seconds for which sums per second are kept.
const SECONDS_KEPT: u32 = 2 * 60 * 60;

/// What the routes answer from. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Facts as last observed.
    pub facts: watch::Receiver<Facts>,
    /// Read-only.
    pub store: Store,
    /// With the recorder's role, where this monitor has it: for what people write.
    pub recorder: Option<Store>,
    /// The live stream.
    pub hub: Hub,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Millrace monitor", description = "What is known of the pipeline now, and how it went."),
    paths(
        system_status,
        consumer_health,
        producer_health,
        partition_assignment,
        real_time_metrics,
        recent_alerts,
        live_stream,
        events,
        record::groups,
        record::rebalances,
        record::rebalance,
        record::add_note,
        record::assignments,
        record::ownership,
        record::findings,
        document
    ),
    components(schemas(State, verdicts::Ownership))
)]
struct Document;

/// Everything below `/api`.
pub fn routes(api: Api) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let api = Arc::new(api);
    let with = {
        let api = Arc::clone(&api);
        warp::any().map(move || Arc::clone(&api))
    };
    let current = |name: &'static str, answer: fn(&Api) -> Response| {
        let api = Arc::clone(&api);
        warp::path("api").and(warp::path(name)).and(warp::path::end()).and(http::read_only()).map(move || answer(&api))
    };
    let metrics = warp::path!("api" / "real-time-metrics")
        .and(http::read_only())
        .and(with.clone())
        .and(warp::query::<Query>())
        .then(async |api: Arc<Api>, query| real_time_metrics(&api, &query).await);
    let alerts = warp::path!("api" / "recent-alerts")
        .and(http::read_only())
        .and(with.clone())
        .and(warp::query::<Query>())
        .then(async |api: Arc<Api>, query| recent_alerts(&api, &query).await);
    let stream = warp::path!("api" / "stream")
        .and(http::read_only())
        .and(with.clone())
        .and(warp::header::headers_cloned())
        .map(|api: Arc<Api>, headers: HeaderMap| live_stream(&api, &headers));
    let numbered = warp::path!("api" / "events")
        .and(http::read_only())
        .and(with)
        .and(warp::header::headers_cloned())
        .map(|api: Arc<Api>, headers: HeaderMap| events(&api, &headers));
    current("system-status", system_status)
        .or(current("consumer-health", consumer_health))
        .unify()
        .or(current("producer-health", producer_health))
        .unify()
        .or(current("partition-assignment", partition_assignment))
        .unify()
        .or(current("openapi.json", document))
        .unify()
        .or(metrics)
        .unify()
        .or(alerts)
        .unify()
        .or(stream)
        .unify()
        .or(numbered)
        .unify()
        .or(record::routes(api))
        .unify()
}

/// How the pipeline stands: a verdict, one sentence, and what they rest on. Answers also while Kafka or the
/// database does not, and says so.
#[utoipa::path(get, path = "/api/system-status", responses((status = 200, body = SystemStatus)))]
fn system_status(api: &Api) -> Response {
    json(&api.state().system)
}

/// Every consumer with its heartbeat and partitions.
#[utoipa::path(get, path = "/api/consumer-health", responses(
    (status = 200, body = ConsumerHealth),
    (status = 503, description = "The database has not answered for five seconds.")))]
fn consumer_health(api: &Api) -> Response {
    api.current(|as_of, _, state| json(&ConsumerHealth { as_of, consumers: state.consumers }))
}

/// Every producer with its heartbeat, connection and rate.
#[utoipa::path(get, path = "/api/producer-health", responses(
    (status = 200, body = ProducerHealth),
    (status = 503, description = "The database has not answered for five seconds.")))]
fn producer_health(api: &Api) -> Response {
    api.current(|as_of, _, state| json(&ProducerHealth { as_of, producers: state.producers }))
}

/// Every partition of every topic: who has it, how far it is stored, how far its log goes.
#[utoipa::path(get, path = "/api/partition-assignment", responses(
    (status = 200, body = PartitionAssignment),
    (status = 503, description = "The database has not answered for five seconds.")))]
fn partition_assignment(api: &Api) -> Response {
    api.current(|as_of, _, state| json(&PartitionAssignment { as_of, partitions: state.partitions }))
}

/// Rates, latency and lag now, over all workloads and of each, and how they went over all.
#[utoipa::path(get, path = "/api/real-time-metrics",
    params(("window_seconds" = Option<u32>, Query, minimum = 60, maximum = 2_678_400,
        description = "How far the charts reach back; 900 when not given. Up to two hours by seconds, beyond by minutes.")),
    responses(
        (status = 200, body = RealTimeMetrics),
        (status = 400, description = "The parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn real_time_metrics(api: &Api, query: &Query) -> Response {
    let window = match window(query) {
        Ok(window) => window,
        Err(detail) => return bad_request(detail),
    };
    let (resolution, unit) = if window <= SECONDS_KEPT { (Resolution::Second, 1) } else { (Resolution::Minute, 60) };
    let step = window.div_ceil(POINTS).div_ceil(unit) * unit;
    let sums = match series(&api.store, resolution, window, step).await {
        Ok(sums) => sums,
        Err(error) => return no_database(&error),
    };
    let (facts, now) = (api.facts.borrow().clone(), Timestamp::now());
    let since = now.as_second() - i64::from(window);
    let lag = facts.lag.iter().copied().filter(|sample| sample.at.as_second() > since);
    let points = points(sums, lag, step);
    let State { metrics: current, workloads, .. } = state(&facts, now);
    let series = Series { window_seconds: window, step_seconds: step, points };
    json(&RealTimeMetrics { as_of: now, current, workloads, series })
}

/// The alarms that stand, and what happened to alarms, newest first.
#[utoipa::path(get, path = "/api/recent-alerts",
    params(
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Events; 100 when not given."),
        ("before" = Option<i64>, Query, minimum = 1, description = "Only events before this id: `next_before` of the page before.")),
    responses(
        (status = 200, body = RecentAlerts),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn recent_alerts(api: &Api, query: &Query) -> Response {
    let (limit, before) = match page(query) {
        Ok(page) => page,
        Err(detail) => return bad_request(detail),
    };
    // One more than asked for tells whether there is a next page.
    let mut events: Vec<AlarmEvent> = match events_before(&api.store, before, limit + 1).await {
        Ok(events) => events.into_iter().map(AlarmEvent::from).collect(),
        Err(error) => return no_database(&error),
    };
    let more = i64::try_from(events.len()).is_ok_and(|n| n > limit);
    events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    api.current(|as_of, facts, _| json(&view::recent_alerts(facts, as_of, events, more)))
}

/// Server-sent events: `state` every second (what is known now, `State`); and by kind, numbered in the order of
/// their commits, what happened. `reset` when events were skipped, `dropped` before a slow reader is let go.
#[utoipa::path(get, path = "/api/stream",
    params(("Last-Event-ID" = Option<i64>, Header, description = "Number of the last event that was seen.")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 400, description = "Last-Event-ID is not a number."),
        (status = 503, description = "Too many viewers.")))]
fn live_stream(api: &Api, headers: &HeaderMap) -> Response {
    streamed(api, headers, Told::StateToo)
}

/// Server-sent events, only the numbered ones: what happened, in the order of the commits, resumed behind
/// `Last-Event-ID` without gap or repeat. By kind: `rebalancing` (a row of the journal), `ownership`, `rebalance` (a
/// verdict, or its revision), `alarm`, `drill`, `slot`, `recorder`.
#[utoipa::path(get, path = "/api/events",
    params(("Last-Event-ID" = Option<i64>, Header, description = "Number of the last event that was seen.")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 400, description = "Last-Event-ID is not a number."),
        (status = 503, description = "Too many viewers.")))]
fn events(api: &Api, headers: &HeaderMap) -> Response {
    streamed(api, headers, Told::Numbered)
}

fn streamed(api: &Api, headers: &HeaderMap, told: Told) -> Response {
    let last = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default().parse()) {
        None => None,
        Some(Ok(last)) if last >= 0 => Some(last),
        Some(_) => {
            return bad_request("Last-Event-ID: not the number of an event".to_owned());
        }
    };
    let Some(events) = api.hub.view(last, told) else {
        return unavailable("as many viewers as there may be are connected");
    };
    // A stream is only polled through `&mut`, which is all that `Sync` would protect.
    let mut response = warp::sse::reply(SyncStream::new(events)).into_response();
    // For proxies that would hold it back.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, body = Object)))]
fn document(_api: &Api) -> Response {
    json(&Document::openapi())
}

impl Api {
    fn state(&self) -> State {
        state(&self.facts.borrow().clone(), Timestamp::now())
    }

    /// Answers from the facts unless they are stale.
    fn current(&self, answer: impl FnOnce(Timestamp, &Facts, State) -> Response) -> Response {
        let now = Timestamp::now();
        let facts = self.facts.borrow().clone();
        match facts.database.asked_at() {
            Some(as_of) if now.duration_since(as_of).as_secs_f64() <= STALE_AFTER_S => {
                answer(as_of, &facts, state(&facts, now))
            }
            as_of => {
                let why = facts.database.failing.map_or_else(|| "not asked yet".to_owned(), |(_, error)| error);
                let problem = problem(&format!("the database does not answer: {why}"));
                problem.member("last_answer", as_of.map(|at| at.to_string())).into_response()
            }
        }
    }
}

fn window(query: &Query) -> Result<u32, String> {
    let (least, default, most) = WINDOW;
    only(query, &["window_seconds"])?;
    whole_number(query, "window_seconds", default, least..=most)
}

/// Limit and cursor of a page of events.
fn page(query: &Query) -> Result<(i64, i64), String> {
    only(query, &["limit", "before"])?;
    let limit = whole_number(query, "limit", EVENTS, 1..=MOST_EVENTS)?;
    Ok((limit, whole_number(query, "before", i64::MAX, 1..=i64::MAX)?))
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    /// `openapi.json` is what the page's types are made from, and what users read without a running monitor.
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = super::Document::openapi().to_pretty_json().expect("it serialises") + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).expect("it can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == made,
            "openapi.json is not up to date: run this test with UPDATE_OPENAPI=1, then `make page`"
        );
    }
}
