//! The live stream: nothing twice, nothing missed, in the order of commits.

use store::event_stream;

use super::api::ready;
use super::*;

const EVENT: &str = "INSERT INTO event_outbox (kind, occurred_at, body) VALUES ('rebalancing', now(), '{}')";

/// One viewer's connection.
struct Viewer {
    stream: TcpStream,
    read: String,
}

impl Viewer {
    async fn connect(monitor: &Monitor, last: Option<i64>) -> Self {
        let mut stream = TcpStream::connect(monitor.address).await.expect("it listens");
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        let request = format!("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes the request");
        Self { stream, read: String::new() }
    }

    /// Reads until what it has read passes, or the stream ends.
    async fn until(&mut self, passes: impl Fn(&Self) -> bool) {
        let mut bytes = [0; 16 * 1024];
        while !passes(self) {
            let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut bytes)).await;
            match read.unwrap_or_else(|_| panic!("nothing more within {DEADLINE:?} after: {}", self.read)) {
                Ok(0) | Err(_) => return,
                Ok(n) => self.read.push_str(&String::from_utf8_lossy(&bytes[..n])),
            }
        }
    }

    /// Numbers of the events so far, as they came.
    fn numbers(&self) -> Vec<i64> {
        self.read.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
    }
}

/// A monitor of a pipeline in which nothing is wrong: no alarms are told among the events of these tests.
async fn quiet() -> (Monitor, Store) {
    let (monitor, store) = ready(&[]).await;
    let all_is_read = "
        INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions, group_id, boot_id,
               started_at, partition_states)
        SELECT 'c-1', 'running', clock_timestamp() + interval '1 hour', '{}', 'g', gen_random_uuid(), now(),
               jsonb_agg(jsonb_build_object('partition', p, 'state', 'reading', 'position', 0)) FROM generate_series(0, 5) p";
    store.pooled().await.expect("a connection").batch_execute(all_is_read).await.expect("a heartbeat");
    (monitor, store)
}

async fn happen(store: &Store, events: usize) {
    let client = store.pooled().await.expect("a connection");
    for _ in 0..events {
        client.batch_execute(EVENT).await.expect("an event");
    }
}

#[tokio::test]
async fn a_viewer_that_comes_back_gets_what_it_missed_once_and_in_order() {
    let (monitor, store) = quiet().await;
    happen(&store, 5).await;
    let mut first = Viewer::connect(&monitor, None).await;
    first.until(|viewer| viewer.numbers().len() >= 5).await;
    happen(&store, 5).await;
    first.until(|viewer| viewer.numbers().len() >= 10).await;
    first.until(|viewer| viewer.read.contains("event:state")).await;
    let seen = first.numbers();
    drop(first);

    // Away, while the monitor is restarted and more happens.
    let address = monitor.address;
    monitor.process.term().expect("it runs");
    assert_eq!(monitor.exit().await, Some(0), "{}", monitor.process.last_output());
    happen(&store, 700).await;
    let port = address.port().to_string();
    let url = store_url(&store).await;
    let brokers = shared().await.brokers;
    let again =
        start(&url, &[("MONITORING_PORT", &port), ("RECORDER_DATABASE_URL", &url), ("KAFKA_BROKERS", &brokers)]);
    let again = Monitor { address, ..again };
    again.readyz_says("200", "ready").await;
    wait_until(DEADLINE, "all of it is numbered", async || {
        event_stream::after(&store, seen[9], 1000).await.is_ok_and(|events| events.len() == 700)
    })
    .await;
    let mut back = Viewer::connect(&again, Some(seen[7])).await;
    back.until(|viewer| viewer.read.contains("event:state")).await;
    assert!(back.read.contains("event:reset"), "702 behind is too far to be told");
    drop(back);

    let middle = event_stream::after(&store, seen[9], 1000).await.expect("events")[300].number;
    let mut near = Viewer::connect(&again, Some(middle)).await;
    happen(&store, 20).await;
    near.until(|viewer| viewer.numbers().len() >= 419).await;
    let expected: Vec<i64> =
        event_stream::after(&store, middle, 1000).await.expect("events").iter().map(|event| event.number).collect();
    assert_eq!(near.numbers(), expected);
    assert!(!near.read.contains("event:reset"));
}

/// The address of the database that a store is in.
async fn store_url(store: &Store) -> String {
    let client = store.pooled().await.expect("a connection");
    let row = client.query_one("SELECT current_database()::text, inet_server_port()", &[]).await.expect("its name");
    format!("postgres://postgres@127.0.0.1:{}/{}", row.get::<_, i32>(1), row.get::<_, String>(0))
}

#[tokio::test]
async fn a_slow_viewer_is_let_go_and_told_so_and_the_others_miss_nothing() {
    let (monitor, store) = quiet().await;
    let slow = Viewer::connect(&monitor, None).await;
    let mut quick = Viewer::connect(&monitor, None).await;
    quick.until(|viewer| viewer.read.contains("event:state")).await;
    // Far more than the sockets and the shared buffer hold, and told before the stalled connection is cut.
    let client = store.pooled().await.expect("a connection");
    let many = "INSERT INTO event_outbox (kind, occurred_at, body) \
                SELECT 'rebalancing', now(), to_jsonb(repeat('x', 16000)) FROM generate_series(1, 250)";
    for round in 1..=12 {
        client.batch_execute(many).await.expect("events");
        quick.until(|viewer| viewer.numbers().len() >= round * 250).await;
    }
    assert_eq!(quick.numbers().len(), 3_000);
    let mut slow = slow;
    slow.until(|viewer| viewer.read.contains("event:dropped")).await;
    assert!(slow.read.contains("reads too slowly"), "{}", &slow.read[slow.read.len().saturating_sub(300)..]);
    slow.until(|_| false).await;
    let last = *slow.numbers().last().expect("it got some");
    let mut back = Viewer::connect(&monitor, Some(last.max(2_900))).await;
    back.until(|viewer| viewer.numbers().last() == quick.numbers().last()).await;
}

#[tokio::test]
async fn streams_end_with_the_monitor() {
    let (monitor, _) = quiet().await;
    let mut viewer = Viewer::connect(&monitor, None).await;
    viewer.until(|viewer| viewer.read.contains("event:state")).await;
    monitor.process.term().expect("it runs");
    viewer.until(|_| false).await;
    assert_eq!(monitor.exit().await, Some(0), "{}", monitor.process.last_output());
    assert!(!monitor.process.output().contains("cut connections"), "{}", monitor.process.output());
}
