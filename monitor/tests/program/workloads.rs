//! Two groups beside each other, whose partitions have the same numbers.

use serde_json::{Value, json};

use super::api::ready;
use super::*;

/// Of each topic one consumer that beats and has partition 0, its journal, and what it stored: 10 rows a second of
/// readings, 3 of tweets, which stopped a minute ago.
const SIDE_BY_SIDE: &str = "
    INSERT INTO kafka_logs (cluster_id, topic_id, topic)
    VALUES ('c', gen_random_uuid(), 'sensor-readings'), ('c', gen_random_uuid(), 'tweets');
    CREATE TEMPORARY TABLE side AS
    SELECT log_id, topic, gen_random_uuid() AS boot_id,
           CASE topic WHEN 'tweets' THEN 'w-0' ELSE 'c-1' END AS consumer_id,
           CASE topic WHEN 'tweets' THEN 'feeders' ELSE 'sensors' END AS group_id,
           CASE topic WHEN 'tweets' THEN 'tweet_records' ELSE 'sensor_readings' END AS target,
           CASE topic WHEN 'tweets' THEN 3 ELSE 10 END AS rate,
           CASE topic WHEN 'tweets' THEN 60 ELSE -60 END AS until_s
      FROM kafka_logs;
    INSERT INTO stored_offsets (target, log_id, partition_number, group_id, start_offset, next_offset, claim, owner, boot_id,
           writer_pid, writer_started_at, claimed_at, claimed_offset)
    SELECT target, log_id, 0, group_id, 0, 5, gen_random_uuid(), consumer_id, boot_id, 1, now(), now(), 0 FROM side;
    INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions, group_id, boot_id, started_at,
           partition_states)
    SELECT consumer_id, 'running', clock_timestamp() + interval '1 hour', '{0}', group_id, boot_id, now(),
           '[{\"partition\": 0, \"state\": \"reading\", \"position\": 5}]' FROM side;
    INSERT INTO consumer_lives (boot_id, consumer_id, group_id, topic, session_timeout_ms, poll_interval_ms, first_beat,
           last_beat, status)
    SELECT boot_id, consumer_id, group_id, topic, 6000, 10000, now() - interval '10 min', clock_timestamp() + interval '1 hour',
           'running' FROM side;
    INSERT INTO rebalancing_events (consumer_id, event_type, partition_number, timestamp, group_id, topic, protocol, generation,
           member_id, boot_id, boot_sequence, monotonic_us, claim, kafka_offset)
    SELECT consumer_id, what, CASE WHEN n > 0 THEN 0 END, now() - interval '5 min' + n * interval '10 ms', group_id, topic,
           'range', n, 'm', boot_id, n, n, gen_random_uuid(), 0
      FROM side, (VALUES ('started', 0), ('assigned', 1), ('claimed', 2)) journal(what, n);
    INSERT INTO throughput
    SELECT 1, date_trunc('second', now()) - s * interval '1 s', target, log_id, 0, consumer_id, 1, rate, 0, rate, 0.5, 0.25
      FROM side, generate_series(-60, 120) s WHERE s > until_s";

#[tokio::test]
async fn two_groups_stand_beside_each_other_and_share_nothing_but_numbers() {
    let (monitor, store) = ready(&[]).await;
    store.pooled().await.expect("a connection").batch_execute(SIDE_BY_SIDE).await.expect("rows");
    let now = jiff::Timestamp::now();
    let from = now - jiff::SignedDuration::from_mins(2);
    let path = format!("/api/ownership?from={from}&to={now}");
    wait_until(DEADLINE, "both groups are seen and judged", async || {
        let (seen, judged) = (monitor.json("/api/consumer-health").await.1, monitor.json(&path).await.1);
        [&seen["consumers"], &judged["groups"]].iter().all(|two| two.as_array().is_some_and(|two| two.len() == 2))
    })
    .await;

    let (_, answer) = monitor.json("/api/partition-assignment").await;
    let all = answer["partitions"].as_array().expect("a list");
    assert_eq!(all.len(), 6 + 20, "{answer}");
    let owned = |topic: &str| {
        let first = all.iter().find(|p| p["topic"] == topic && p["partition"] == 0).expect("it is there");
        json!([first["group_id"], first["owners"]])
    };
    assert_eq!(owned("sensor-readings"), json!(["sensors", ["c-1"]]));
    assert_eq!(owned("tweets"), json!(["feeders", ["w-0"]]));

    let (_, metrics) = monitor.json("/api/real-time-metrics").await;
    let told = |w: &Value| json!([w["topic"], w["target"], w["group_id"], w["consumers"], w["partitions"]["known"]]);
    let workloads: Vec<Value> = metrics["workloads"].as_array().expect("a list").iter().map(told).collect();
    let one = json!({ "up": 1, "known": 1 });
    assert_eq!(
        workloads,
        [
            json!(["sensor-readings", "sensor_readings", "sensors", one, 6]),
            json!(["tweets", "tweet_records", "feeders", one, 20])
        ]
    );
    let rate = |workload: usize| metrics["workloads"][workload]["current"]["stored_rows_per_second"].as_f64();
    assert_eq!((rate(0), rate(1)), (Some(10.0), Some(0.0)), "{metrics}");

    let (_, record) = monitor.json(&path).await;
    let fastest = |group: &str| {
        let curve = record["curves"].as_array()?.iter().find(|curve| curve["group_id"] == group)?;
        let rates = curve["points"].as_array()?.iter().filter_map(|point| point["stored_rows_per_second"].as_f64());
        rates.max_by(f64::total_cmp)
    };
    assert_eq!((fastest("sensors"), fastest("feeders")), (Some(10.0), Some(3.0)), "{record}");
    let quiet = |topic: &str| {
        let group = record["groups"].as_array()?.iter().find(|group| group["topic"] == topic)?;
        Some(group["lanes"][0]["quiet"].as_array()?.len())
    };
    assert_eq!((quiet("sensor-readings"), quiet("tweets")), (Some(0), Some(1)), "{record}");

    let scrape = monitor.get("/metrics").await;
    for line in ["kafka_topic_partitions{topic=\"sensor-readings\"} 6", "kafka_topic_partitions{topic=\"tweets\"} 20"] {
        assert!(scrape.contains(line), "{line}: {scrape}");
    }
    for (group, unowned) in [("sensors", 5), ("feeders", 19)] {
        let line = format!("kafka_consumergroup_unowned_partitions{{consumergroup=\"{group}\"}} {unowned}");
        assert!(scrape.contains(&line), "{line}: {scrape}");
    }
    wait_until(DEADLINE, "the lag of each is sampled", async || {
        let client = store.pooled().await.expect("a connection");
        let row = client.query_one("SELECT count(DISTINCT group_id) FROM lag_samples", &[]).await.expect("a count");
        row.get::<_, i64>(0) == 2
    })
    .await;
}

#[tokio::test]
async fn one_topic_for_both_is_refused() {
    let monitor = start(NOWHERE, &[("TWEET_TOPIC", "sensor-readings")]);
    assert_eq!(monitor.exit().await, Some(64));
    let said = monitor.process.output();
    assert!(said.contains("--tweet-topic") && said.contains("sensor-readings"), "{said}");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_left_out_and_the_other_one_is_watched() {
    let absent = format!("not-there-{}", uuid::Uuid::new_v4().simple());
    let (monitor, store) = ready(&[("TWEET_TOPIC", &absent)]).await;
    let reads_all = "
        INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions, group_id, boot_id, started_at,
               partition_states)
        SELECT 'c-1', 'running', clock_timestamp() + interval '1 hour', '{}', 'g', gen_random_uuid(), now(),
               jsonb_agg(jsonb_build_object('partition', p, 'state', 'reading', 'position', 0)) FROM generate_series(0, 5) p";
    let client = store.pooled().await.expect("a connection");
    client.batch_execute(reads_all).await.expect("a heartbeat");
    let status = async || monitor.json("/api/system-status").await.1;
    wait_until(DEADLINE, "all that there is is read", async || {
        let system = status().await;
        (&system["status"], &system["kafka"]["up"], &system["partitions"])
            == (&json!("healthy"), &json!(true), &json!({ "up": 6, "known": 6 }))
    })
    .await;

    // Somebody reads it: now it is missed.
    let joins = format!(
        "WITH life AS (INSERT INTO consumer_lives (boot_id, consumer_id, group_id, topic, session_timeout_ms, poll_interval_ms,
                              first_beat, last_beat, status)
                       VALUES (gen_random_uuid(), 'w-0', 'h', '{absent}', 6000, 10000, now(), now(), 'running')
                       RETURNING boot_id, consumer_id, group_id)
         INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions, group_id, boot_id, started_at,
                partition_states)
         SELECT consumer_id, 'running', clock_timestamp() + interval '1 hour', '{{}}', group_id, boot_id, now(), '[]' FROM life"
    );
    client.batch_execute(&joins).await.expect("a heartbeat");
    let says = format!("topic {absent} cannot be watched: topic {absent} does not exist");
    wait_until(DEADLINE, "it is missed", async || status().await["summary"] == *says).await;
}
