//! The API against its own document, with real brokers and tables.

use jsonschema::Validator;
use serde_json::{Value, json};
use store::alarms::operator::{Key, acknowledge};

use super::*;

/// A consumer that beats (its last heartbeat lies ahead, so that it stays young), one that is silent, a
/// producer, and what is stored in these minutes.
const PIPELINE: &str = "
    INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions, group_id, boot_id,
           started_at, partition_states)
    VALUES ('c-1', 'running', clock_timestamp() + interval '1 hour', '{0}', 'g', gen_random_uuid(), now(),
            '[{\"partition\": 0, \"state\": \"reading\", \"position\": 5, \"stored\": 5, \"log_end\": 5}]'),
           ('c-2', 'running', clock_timestamp() - interval '1 hour', '{1}', 'g', gen_random_uuid(), now(), '[]');
    INSERT INTO producer_health (producer_id, sensor_type, status, last_heartbeat, connection_status, run_id,
           started_at, target_rate)
    VALUES ('<img onerror=alert(1)>', 'temperature', 'running', clock_timestamp(), 'connected', gen_random_uuid(), now(), 5);
    INSERT INTO throughput
    SELECT width, date_bin(make_interval(secs => width), now() - make_interval(secs => s), 'epoch'), 'sensor_readings', 1,
           0, 'c-1', 1, 10, 1, 11, 0.5, 0.25
      FROM generate_series(-60, 20) s, (VALUES (1::smallint), (60::smallint)) w(width)
    ON CONFLICT DO NOTHING;
    INSERT INTO consumer_lives (boot_id, consumer_id, group_id, topic, session_timeout_ms, poll_interval_ms, first_beat,
           last_beat, status)
    VALUES ('00000000-0000-0000-0000-000000000001', '<img src=x>|`c-1`', 'g', 'sensor-readings', 6000, 10000, now(),
            clock_timestamp() + interval '1 hour', 'running');
    INSERT INTO rebalancing_events (consumer_id, event_type, partition_number, timestamp, group_id, topic, protocol, generation,
           member_id, boot_id, boot_sequence, monotonic_us, claim, kafka_offset)
    SELECT '<img src=x>|`c-1`', what, CASE WHEN n > 0 THEN 0 END, now() - interval '60 s' + n * interval '10 ms', 'g',
           'sensor-readings', 'range', n, 'm', '00000000-0000-0000-0000-000000000001', n, n, gen_random_uuid(), 0
      FROM (VALUES ('started', 0), ('assigned', 1), ('claimed', 2)) journal(what, n)";

/// A monitor of a migrated database and of the shared brokers, ready, and the database's owner.
pub(super) async fn ready(settings: &[(&str, &str)]) -> (Monitor, Store) {
    let shared = shared().await;
    let options = store::Options { database_url: shared.database_url.clone(), database_pool_size: 4 };
    let store = Store::new(&options, "test").expect("a good URL");
    migrate::run(&store).await.expect("it migrates");
    let kafka = kafka::Options::plaintext(shared.brokers.as_str());
    kafka::admin::ensure_topics(&kafka, "test", &schema::topics::CATALOGUE).await.expect("the topic is made");
    let own = [("KAFKA_BROKERS", &*shared.brokers), ("RECORDER_DATABASE_URL", &*shared.database_url)];
    let monitor = start(&shared.database_url, &[&own, settings].concat());
    monitor.readyz_says("200", "ready").await;
    (monitor, store)
}

impl Monitor {
    /// Status and JSON body.
    pub(super) async fn json(&self, path: &str) -> (u16, Value) {
        let answer = self.get(path).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// What the document promises of a route's good answer.
fn promised(document: &Value, path: &str) -> Validator {
    let content = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"];
    let schema = json!({ "$ref": content["schema"]["$ref"], "components": document["components"] });
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn every_route_answers_as_its_document_says() {
    let (monitor, store) = ready(&[]).await;
    store.pooled().await.expect("a connection").batch_execute(PIPELINE).await.expect("rows");
    let (status, document) = monitor.json("/api/openapi.json").await;
    assert_eq!(status, 200);
    wait_until(DEADLINE, "both sources have answered, long enough to call one silent", async || {
        let (_, system) = monitor.json("/api/system-status").await;
        system["kafka"]["up"] == true && system["consumers"] == json!({ "up": 1, "known": 2 })
    })
    .await;

    for path in document["paths"].as_object().expect("paths").keys() {
        if ["/api/openapi.json", "/api/stream", "/api/events"].contains(&path.as_str()) {
            continue;
        }
        let Some(asked) = asked(&monitor, path).await else { continue };
        let (status, answer) = monitor.json(&asked).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let errors: Vec<String> = promised(&document, path).iter_errors(&answer).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?} in {answer}");
        let refused = monitor.ask("POST", &asked, "Host: localhost\r\nContent-Length: 0\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("problem+json"), "{path}: {refused}");
    }

    let (_, consumers) = monitor.json("/api/consumer-health").await;
    let states: Vec<&Value> =
        consumers["consumers"].as_array().expect("a list").iter().map(|consumer| &consumer["status"]).collect();
    assert_eq!(states, ["running", "silent"]);
    let (_, metrics) = monitor.json("/api/real-time-metrics").await;
    assert_eq!(metrics["current"]["stored_rows_per_second"], 10.0, "{metrics}");
    let (_, partitions) = monitor.json("/api/partition-assignment").await;
    assert_eq!(partitions["partitions"][0]["owners"], json!(["c-1"]), "{partitions}");
    assert_eq!(partitions["partitions"][1]["state"], "unread");
    let (_, system) = monitor.json("/api/system-status").await;
    assert_eq!((&system["status"], &system["partitions"]), (&json!("critical"), &json!({ "up": 1, "known": 6 })));
}

/// The path with what it takes; `None` for one that is only written to.
async fn asked(monitor: &Monitor, path: &str) -> Option<String> {
    let now = jiff::Timestamp::now();
    let from = now - jiff::SignedDuration::from_mins(5);
    match path {
        "/api/assignments" => Some(format!("{path}?at={now}")),
        "/api/ownership" => Some(format!("{path}?from={from}&to={now}")),
        "/api/rebalances" => Some(format!("{path}?group=g&from={from}&to={now}&limit=5")),
        "/api/rebalances/{id}" => Some(format!("/api/rebalances/{}", first_rebalance(monitor).await)),
        "/api/rebalances/{id}/notes" => None,
        path => Some(path.to_owned()),
    }
}

/// The id of the rebalance in the journal, once it is judged.
async fn first_rebalance(monitor: &Monitor) -> String {
    let id = async || {
        let (_, answer) = monitor.json("/api/rebalances?cause=join").await;
        answer["rebalances"][0]["id"].as_str().map(str::to_owned)
    };
    wait_until(DEADLINE, "the journal is judged", async || id().await.is_some()).await;
    id().await.expect("it was there")
}

#[tokio::test]
async fn a_rebalance_has_a_report_takes_notes_and_shows_names_as_text() {
    let (monitor, store) = ready(&[]).await;
    store.pooled().await.expect("a connection").batch_execute(PIPELINE).await.expect("rows");
    let id = first_rebalance(&monitor).await;
    let path = format!("/api/rebalances/{}", id.replace('@', "%40"));
    let (status, answer) = monitor.json(&path).await;
    assert_eq!((status, &answer["rebalance"]["cause"]), (200, &json!("join")), "{answer}");
    assert_eq!(answer["rebalance"]["subjects"], json!(["<img src=x>|`c-1`"]));
    assert!(answer["rebalance"]["evidence"].as_array().is_some_and(|evidence| !evidence.is_empty()), "{answer}");

    let report = monitor.ask("GET", &path, "Host: localhost\r\nAccept: text/markdown\r\n").await;
    assert!(report.contains("text/markdown") && report.contains("# Join in g"), "{report}");
    assert!(!report.contains("<img") && report.contains("&lt;img src=x&gt;\\|\\`c-1\\`"), "{report}");

    for (body, status, says) in [
        (r#"{"author":"ops","text":"kernel update"}"#, "201", "kept"),
        (r#"{"author":"","text":"x"}"#, "400", "author"),
        (r#"{"author":"ops","text":"a\u0000b"}"#, "400", "NUL"),
        (r#"{"author":"ops","text":"x","extra":1}"#, "400", "extra"),
        (r#"{"author":"ops""#, "400", "no note"),
    ] {
        let head = format!("Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = monitor.ask("POST", &format!("{path}/notes"), &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says), "{body}: {answer}");
    }
    let (_, answer) = monitor.json(&path).await;
    assert_eq!(answer["notes"].as_array().map(Vec::len), Some(1), "{answer}");
    let (status, _) = monitor.json("/api/rebalances/g@nothing").await;
    assert_eq!(status, 404);
    let linked = monitor.get(&format!("/r/{id}")).await;
    assert!(linked.starts_with("HTTP/1.1 200 ") && linked.contains("<title>Millrace"), "{linked}");
}

#[tokio::test]
async fn bad_requests_name_the_field_and_the_reason() {
    let (monitor, _) = ready(&[]).await;
    for (path, field) in [
        ("/api/real-time-metrics?window_seconds=59", "window_seconds"),
        ("/api/real-time-metrics?window_seconds=-1", "window_seconds"),
        ("/api/real-time-metrics?window_seconds=9999999999999", "window_seconds"),
        ("/api/real-time-metrics?window_seconds=", "window_seconds"),
        ("/api/real-time-metrics?wndow=60", "wndow"),
        ("/api/recent-alerts?limit=0", "limit"),
        ("/api/recent-alerts?limit=501", "limit"),
        ("/api/recent-alerts?before=x", "before"),
        ("/api/recent-alerts?after=1", "after"),
        ("/api/assignments", "at"),
        ("/api/assignments?at=yesterday", "at"),
        ("/api/ownership?from=2026-01-01T00:00:00Z", "to"),
        ("/api/ownership?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("/api/ownership?from=2026-01-01T00:00:00Z&to=2026-09-01T00:00:00Z", "to"),
        ("/api/ownership?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&buckets=1", "buckets"),
        ("/api/rebalances?cause=bad-luck", "cause"),
        ("/api/rebalances?cursor=x", "cursor"),
        ("/api/rebalances?limit=201", "limit"),
        ("/api/findings?hours=0", "hours"),
    ] {
        let (status, problem) = monitor.json(path).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(field), "{path}: {status} {problem}");
    }
    for (path, status) in [("/api", 404), ("/api/system-status/x", 404), ("/../etc/passwd", 404), ("/app.js.map", 404)]
    {
        assert_eq!(monitor.json(path).await.0, status, "{path}");
    }
    for (last, status) in [("x", 400), ("-1", 400), ("", 400), ("99999999999999999999", 400)] {
        let answer = monitor.ask("GET", "/api/stream", &format!("Host: localhost\r\nLast-Event-ID: {last}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{last}: {answer}");
    }
}

#[tokio::test]
async fn a_silent_producer_is_an_alarm_that_can_be_acknowledged_and_ends_when_it_beats() {
    let (monitor, store) = ready(&[]).await;
    let client = store.pooled().await.expect("a connection");
    client.batch_execute(PIPELINE).await.expect("rows");
    let name = "<img onerror=alert(1)>";
    let alarm = async || {
        let (_, answer) = monitor.json("/api/recent-alerts").await;
        let found = answer["alarms"].as_array().and_then(|all| all.iter().find(|a| a["source"] == name)).cloned();
        found.map_or(Value::Null, |alarm| json!([alarm["condition"], alarm["state"]]))
    };
    wait_until(DEADLINE, "the alarm stands", async || {
        alarm().await == json!(["producer_silent", "active_unacknowledged"])
    })
    .await;
    let key = Key { source_type: "system".into(), source: name.into(), condition: None };
    assert_eq!(acknowledge(&store, &key, None, "operator:ann", "seen").await.expect("it is written"), 1);
    wait_until(DEADLINE, "it was seen", async || alarm().await[1] == "active_acknowledged").await;
    let beats = "UPDATE producer_health SET last_heartbeat = clock_timestamp() + interval '1 hour'";
    client.batch_execute(beats).await.expect("a heartbeat");
    wait_until(DEADLINE, "it is over", async || alarm().await == Value::Null).await;

    let (_, all) = monitor.json("/api/recent-alerts").await;
    let all = all["events"].as_array().expect("a list").clone();
    let happened: Vec<&Value> =
        all.iter().filter(|event| event["source"] == name).map(|event| &event["event"]).collect();
    assert_eq!(happened, ["returned", "acknowledged", "raised"], "newest first");
    let newest = all[0]["id"].as_i64().expect("a number");
    let (_, page) = monitor.json(&format!("/api/recent-alerts?limit=2&before={newest}")).await;
    assert_eq!((&page["events"][0], &page["events"][1], &page["next_before"]), (&all[1], &all[2], &all[2]["id"]));
}

#[tokio::test]
async fn without_the_database_it_says_so_and_passes_nothing_off_as_current() {
    let (monitor, _) = {
        let shared = shared().await;
        let proxy = PgProxy::in_front_of(&shared.database_url).await.expect("a proxy");
        let options = store::Options { database_url: shared.database_url.clone(), database_pool_size: 1 };
        migrate::run(&Store::new(&options, "test").expect("a good URL")).await.expect("it migrates");
        let monitor = start(&proxy.url(&shared.database_url), &[("KAFKA_BROKERS", &*shared.brokers)]);
        monitor.readyz_says("200", "ready").await;
        proxy.refuse(true);
        proxy.sever_all();
        (monitor, proxy)
    };
    wait_until(DEADLINE, "it no longer answers from old facts", async || {
        monitor.json("/api/consumer-health").await.0 == 503
    })
    .await;
    let answer = monitor.get("/api/consumer-health").await;
    assert!(answer.contains("retry-after: 2") && answer.contains("last_answer"), "{answer}");
    let (status, system) = monitor.json("/api/system-status").await;
    assert_eq!((status, &system["database"]["up"], &system["status"]), (200, &json!(false), &json!("critical")));
    assert!(system["summary"].as_str().is_some_and(|text| text.contains("PostgreSQL")), "{system}");
}
