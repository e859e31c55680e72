//! The routes of the flight recorder: groups, rebalances, who owned what, findings, notes.

use std::sync::Arc;

use http::Problem;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::flight_recorder::{self as recorded, Cursor, Filter};
use utoipa::ToSchema;
use verdicts::{Cause, Rebalance};
use warp::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;
use warp::{Filter as _, Rejection, Reply};

use super::Api;
use super::answer::{bad_request, json as answer, no_database, not_found, unavailable};
use super::query::{Query, instant, only, span, whole_number};
use crate::record::{self, Assignments, Drill, Findings, Record};
use crate::view::Groups;

/// The longest time that is drawn.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Rebalances of a page: without a limit, and at most.
const PAGE: (i64, i64) = (50, 200);
/// Characters of a note and of its author.
const NOTE: (usize, usize) = (4_000, 100);

/// Answer of `GET /api/rebalances`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rebalances {
    /// When it was read, in milliseconds since the epoch.
    pub as_of: i64,
    /// Newest first, without their evidence; a part of another one is left out.
    #[schema(value_type = Vec<Rebalance>)]
    pub rebalances: Vec<Value>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Answer of `GET /api/rebalances/{id}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RebalanceReport {
    /// The verdict with its evidence.
    #[schema(value_type = Rebalance)]
    pub rebalance: Value,
    /// What people wrote to it, oldest first.
    pub notes: Vec<Note>,
    /// The experiment that it happened in.
    pub drill: Option<Drill>,
}

/// What somebody wrote to a rebalance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Note {
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// Who, as they said.
    pub author: String,
    /// What.
    pub text: String,
}

/// Body of `POST /api/rebalances/{id}/notes`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// Who: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub author: String,
    /// What: 1 to 4,000 characters.
    #[schema(min_length = 1, max_length = 4000)]
    pub text: String,
}

/// All of them.
pub fn routes(
    api: Arc<Api>,
) -> impl warp::Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let with = warp::any().map(move || Arc::clone(&api));
    let get = http::read_only();
    let asked = |name: &'static str| warp::path("api").and(warp::path(name)).and(warp::path::end()).and(get.clone());
    let query = warp::query::<Query>();
    let groups = asked("groups").and(with.clone()).map(|api: Arc<Api>| groups(&api));
    let list = asked("rebalances")
        .and(with.clone())
        .and(query)
        .then(async |api: Arc<Api>, query| rebalances(&api, &query).await);
    let one = warp::path!("api" / "rebalances" / String)
        .and(get.clone())
        .and(with.clone())
        .and(warp::header::headers_cloned())
        .then(async |id: String, api: Arc<Api>, headers: HeaderMap| rebalance(&api, &id, &headers).await);
    let note = warp::path!("api" / "rebalances" / String / "notes")
        .and(warp::method())
        .and(with.clone())
        .and(warp::body::bytes())
        .then(async |id: String, method: Method, api: Arc<Api>, body: warp::hyper::body::Bytes| match method {
            Method::POST => add_note(&api, &id, &body).await,
            _ => Problem::method_not_allowed("POST").into_response(),
        });
    let at = asked("assignments")
        .and(with.clone())
        .and(query)
        .then(async |api: Arc<Api>, query| assignments(&api, &query).await);
    let owned = asked("ownership")
        .and(with.clone())
        .and(query)
        .then(async |api: Arc<Api>, query| ownership(&api, &query).await);
    let found = asked("findings").and(with).and(query).then(async |api: Arc<Api>, query| findings(&api, &query).await);
    groups.or(list).unify().or(note).unify().or(one).unify().or(at).unify().or(owned).unify().or(found).unify()
}

/// Every consumer group with its members and what each of them has left before its group gives it up.
#[utoipa::path(get, path = "/api/groups", responses(
    (status = 200, body = Groups),
    (status = 503, description = "The database has not answered for five seconds.")))]
fn groups(api: &Api) -> Response {
    api.current(|as_of, _, state| answer(&Groups { as_of, groups: state.groups }))
}

/// Every rebalance with its cause and what it cost, newest first.
#[utoipa::path(get, path = "/api/rebalances",
    params(
        ("group" = Option<String>, Query, description = "Only of this group."),
        ("cause" = Option<String>, Query, description = "Only with this cause, such as crash."),
        ("from" = Option<String>, Query, description = "Noticed from here on (RFC 3339)."),
        ("to" = Option<String>, Query, description = "Noticed before this (RFC 3339)."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "50 when not given."),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before.")),
    responses(
        (status = 200, body = Rebalances),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn rebalances(api: &Api, query: &Query) -> Response {
    let mut filter = match filter(query) {
        Ok(filter) => filter,
        Err(detail) => return bad_request(detail),
    };
    let limit = filter.limit;
    // One more than asked for tells whether there is a next page.
    filter.limit += 1;
    let mut found = match recorded::filtered(&api.store, &filter).await {
        Ok(found) => found,
        Err(error) => return no_database(&error),
    };
    let more = i64::try_from(found.len()).is_ok_and(|n| n > limit);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = found.last().filter(|_| more);
    let next_cursor = last.map(|last| format!("{}~{}", text(&last["noticed_at"]), text(&last["id"])));
    answer(&Rebalances { as_of: Timestamp::now().as_millisecond(), rebalances: found, next_cursor })
}

/// One rebalance with its evidence and notes: as JSON, or with `Accept: text/markdown` as a report for a ticket.
#[utoipa::path(get, path = "/api/rebalances/{id}",
    params(("id" = String, Path, description = "As in the list; stays when the verdict is revised.")),
    responses(
        (status = 200, content((RebalanceReport = "application/json"), (String = "text/markdown"))),
        (status = 404, description = "There is no such rebalance, or no more."),
        (status = 503, description = "The database does not answer.")))]
async fn rebalance(api: &Api, id: &str, headers: &HeaderMap) -> Response {
    let id = decoded(id);
    let report = async {
        let Some(rebalance) = recorded::rebalance(&api.store, &id).await? else { return Ok(None) };
        let notes = recorded::notes(&api.store, &id).await?;
        let drill = match serde_json::from_value::<Rebalance>(rebalance.clone()) {
            Ok(verdict) => recorded::drills(&api.store, verdict.began_at, verdict.noticed_at).await?.pop(),
            Err(_) => None,
        };
        Ok::<_, store::Error>(Some((rebalance, notes, drill)))
    };
    let (rebalance, notes, drill) = match report.await {
        Ok(Some(found)) => found,
        Ok(None) => return not_found(format!("id: there is no rebalance {id}")),
        Err(error) => return no_database(&error),
    };
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/markdown") {
        let Ok(verdict) = serde_json::from_value::<Rebalance>(rebalance) else {
            return unavailable("the verdict was written by another build and is about to be written anew");
        };
        return markdown(verdicts::markdown(&verdict));
    }
    let notes = notes
        .into_iter()
        .map(|note| Note { at: note.at.as_millisecond(), author: note.author, text: note.text })
        .collect();
    answer(&RebalanceReport { rebalance, notes, drill: drill.map(Drill::from) })
}

/// Writes a note to a rebalance.
#[utoipa::path(post, path = "/api/rebalances/{id}/notes",
    params(("id" = String, Path, description = "As in the list.")),
    request_body = NewNote,
    responses(
        (status = 201, description = "It is kept."),
        (status = 400, description = "A field is missing, unknown, or out of its bounds."),
        (status = 404, description = "There is no such rebalance."),
        (status = 503, description = "This monitor does not record, or the database does not answer.")))]
async fn add_note(api: &Api, id: &str, body: &[u8]) -> Response {
    let id = decoded(id);
    let note = match serde_json::from_slice::<NewNote>(body) {
        Ok(note) => note,
        Err(error) => return bad_request(format!("the body is no note: {error}")),
    };
    for (name, value, most) in [("author", &note.author, NOTE.1), ("text", &note.text, NOTE.0)] {
        let length = value.trim().chars().count();
        if length == 0 || length > most {
            return bad_request(format!("{name}: 1 to {most} characters, this has {length}"));
        }
        if value.contains('\0') {
            return bad_request(format!("{name}: must not contain NUL"));
        }
    }
    let Some(recorder) = &api.recorder else {
        return unavailable("this monitor does not record: ask one with RECORDER_DATABASE_URL");
    };
    match recorded::write_note(recorder, &id, note.author.trim(), note.text.trim()).await {
        Ok(true) => warp::reply::with_status(warp::reply::json(&json!({ "status": "kept" })), StatusCode::CREATED)
            .into_response(),
        Ok(false) => not_found(format!("id: there is no rebalance {id}")),
        Err(error) => no_database(&error),
    }
}

/// Who had which partition at an instant, whether it was read, and who was silent.
#[utoipa::path(get, path = "/api/assignments",
    params(("at" = String, Query, description = "The instant (RFC 3339).")),
    responses(
        (status = 200, body = Assignments),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn assignments(api: &Api, query: &Query) -> Response {
    let at = only(query, &["at"]).and_then(|()| instant(query, "at"));
    let at = match at {
        Ok(Some(at)) => at,
        Ok(None) => return bad_request("at: must be given, an instant as in RFC 3339".to_owned()),
        Err(detail) => return bad_request(detail),
    };
    match record::assignments(&api.store, at).await {
        Ok(found) => answer(&found),
        Err(error) => no_database(&error),
    }
}

/// Everything that is drawn of a time: lanes, dark times, rebalances, drills, blind times, curves.
#[utoipa::path(get, path = "/api/ownership",
    params(
        ("from" = String, Query, description = "From here (RFC 3339)."),
        ("to" = String, Query, description = "To here (RFC 3339), 31 days later at the most."),
        ("buckets" = Option<i64>, Query, minimum = 100, maximum = 4000,
            description = "Pixels that it is drawn on: what is finer than two of them is told as runs of buckets; 1000 when not given.")),
    responses(
        (status = 200, body = Record),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn ownership(api: &Api, query: &Query) -> Response {
    let asked = only(query, &["from", "to", "buckets"]).and_then(|()| {
        let (from, to) = span(query, LONGEST)?;
        Ok((from, to, whole_number(query, "buckets", 1_000, 100..=4_000)?))
    });
    let (from, to, buckets) = match asked {
        Ok(asked) => asked,
        Err(detail) => return bad_request(detail),
    };
    let facts = api.facts.borrow().clone();
    match record::record(&api.store, &facts, from, to, buckets, Timestamp::now()).await {
        Ok(found) => answer(&found),
        Err(error) => no_database(&error),
    }
}

/// What the rebalances of the last hours amount to, each with its evidence and what to do.
#[utoipa::path(get, path = "/api/findings",
    params(("hours" = Option<i64>, Query, minimum = 1, maximum = 744, description = "24 when not given.")),
    responses(
        (status = 200, body = Findings),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 503, description = "The database does not answer.")))]
async fn findings(api: &Api, query: &Query) -> Response {
    let hours = only(query, &["hours"]).and_then(|()| whole_number(query, "hours", 24, 1..=744));
    let hours = match hours {
        Ok(hours) => hours,
        Err(detail) => return bad_request(detail),
    };
    match record::findings(&api.store, &api.state(), hours, Timestamp::now()).await {
        Ok(found) => answer(&found),
        Err(error) => no_database(&error),
    }
}

fn filter(query: &Query) -> Result<Filter, String> {
    only(query, &["group", "cause", "from", "to", "limit", "cursor"])?;
    let cause = query.get("cause").cloned();
    if let Some(unknown) = cause.as_ref().filter(|name| Cause::ALL.iter().all(|cause| cause.name() != name.as_str())) {
        let names: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        return Err(format!("cause: {unknown} is none; there are {}", names.join(", ")));
    }
    let cursor = query.get("cursor").map(|cursor| {
        let (at, id) = cursor.split_once('~')?;
        Some(Cursor { noticed_at: at.replace(' ', "+").parse().ok()?, id: id.to_owned() })
    });
    let cursor = match cursor {
        Some(None) => return Err("cursor: not the next_cursor of a page".to_owned()),
        cursor => cursor.flatten(),
    };
    Ok(Filter {
        group: query.get("group").cloned(),
        cause,
        from: instant(query, "from")?,
        until: instant(query, "to")?,
        cursor,
        limit: whole_number(query, "limit", PAGE.0, 1..=PAGE.1)?,
        evidence: false,
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A part of a path, as it was meant.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn markdown(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
