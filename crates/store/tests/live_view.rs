//! What the monitor reads: by whom, in which order, and at what cost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use millrace_store::event_stream::{self, Channel, Listener, Recorder};
use millrace_store::grants::{Roles, give};
use millrace_store::throughput::{Resolution, series, shares};
use millrace_store::{Error, Options, Store, alarms, consumer_health, migrate, offsets, producer_health};
use testkit::{wait_for, wait_until};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(30);

/// A migrated database: its address, and a store with one connection.
async fn migrated() -> Result<(String, Store)> {
    let url = testkit::shared().await.database_url;
    let store = one_connection(&url)?;
    migrate::run(&store).await?;
    Ok((url, store))
}

fn one_connection(url: &str) -> Result<Store> {
    Ok(Store::new(&Options { database_url: url.to_owned(), database_pool_size: 1 }, "live-view-test")?)
}

/// The same address for another role.
fn with_role(url: &str, role: &str) -> String {
    let (_, rest) = url.split_once('@').expect("a URL with a user");
    format!("postgres://{role}@{rest}")
}

#[tokio::test]
async fn the_roles_may_do_what_they_are_for_and_nothing_else() -> Result<()> {
    let (url, owner) = migrated().await?;
    let names = [(); 2].map(|()| format!("role_{}", Uuid::new_v4().simple()));
    let roles = Roles { reader: Some(names[0].clone()), recorder: Some(names[1].clone()) };
    let Err(Error::Refused(why)) = give(&owner, &roles).await else { panic!("the role does not exist") };
    assert!(why.contains(&names[0]), "{why}");
    for name in &names {
        owner.pooled().await?.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await?;
    }
    give(&owner, &roles).await?;
    give(&owner, &roles).await.context("giving it again")?;

    for name in &names {
        let store = one_connection(&with_role(&url, name))?;
        consumer_health::all(&store).await?;
        producer_health::all(&store).await?;
        offsets::all(&store, "sensor_readings").await?;
        shares(&store, 10).await?;
        event_stream::after(&store, 0, 10).await?;
        let client = store.pooled().await?;
        for forbidden in [
            "DELETE FROM stored_offsets",
            "DELETE FROM rebalancing_events",
            "INSERT INTO batch_ledger SELECT * FROM batch_ledger",
            "SELECT payload FROM dead_letters",
            "SELECT * FROM sensor_readings",
        ] {
            let refused = client.batch_execute(forbidden).await.expect_err(forbidden);
            assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{name}: {forbidden}: {refused}");
        }
    }
    let reader = one_connection(&with_role(&url, &names[0]))?;
    assert!(Recorder::begin(&reader).await?.context("the lock is free")?.number().await.is_err());
    let recorder = one_connection(&with_role(&url, &names[1]))?;
    // The server gives the lock back once it has noticed that the session is gone.
    let begin = async || Recorder::begin(&recorder).await.ok().flatten();
    wait_for(DEADLINE, "the lock is free again", begin).await.number().await?;

    let options = Options { database_url: url, database_pool_size: 1 };
    let read_only = Store::read_only(&options, "live-view-test")?;
    let refused = read_only.pooled().await?.batch_execute("DELETE FROM event_outbox").await;
    assert_eq!(refused.expect_err("read-only").code().map(|code| code.code()), Some("25006"));
    Ok(())
}

#[tokio::test]
async fn events_are_numbered_in_the_order_of_their_commits_by_one_recorder() -> Result<()> {
    let (_, store) = migrated().await?;
    let recorder = Recorder::begin(&store).await?.context("the first one")?;
    assert!(Recorder::begin(&store).await?.is_none(), "there is one already");
    let mut listener = Listener::connect(&store, Channel::Outbox).await?;

    let (slow, quick) = (store.batch_session().await?.client, store.batch_session().await?.client);
    let event = |name: &str| {
        format!("INSERT INTO event_outbox (kind, occurred_at, body) VALUES ('test', now(), to_jsonb('{name}'::text))")
    };
    slow.batch_execute(&format!("BEGIN; {}", event("inserted first"))).await?;
    quick.batch_execute(&event("committed first")).await?;
    tokio::time::timeout(DEADLINE, listener.woken()).await??;
    assert_eq!(recorder.number().await?.events, 1);
    let seen = event_stream::after(&store, 0, 10).await?;
    slow.batch_execute("COMMIT").await?;
    assert_eq!(recorder.number().await?.events, 1);

    let rest = event_stream::after(&store, seen[0].number, 10).await?;
    assert_eq!((seen[0].body.as_str(), rest.len()), (Some("committed first"), 1));
    assert_eq!(rest[0].body.as_str(), Some("inserted first"));
    assert_eq!(event_stream::latest(&store).await?, rest[0].number);
    let newest = event_stream::before(&store, i64::MAX, 1).await?;
    assert_eq!(newest, rest);

    drop(recorder);
    wait_until(DEADLINE, "the next recorder begins", async || {
        Recorder::begin(&store).await.is_ok_and(|recorder| recorder.is_some())
    })
    .await;
    Ok(())
}

/// The fifteen minutes that a chart shows, of six partitions; the same in both sizes.
const JUST_NOW: &str = "
    INSERT INTO throughput
    SELECT width, date_bin(make_interval(secs => width), now() - make_interval(secs => s), 'epoch'),
           'sensor_readings', 1, p, 'sensor-consumer-1', 1, 1, 0, 1, 0.01, 0.01
      FROM generate_series(900, 1, -1) s, generate_series(0, 5) p, (VALUES (1::smallint), (60::smallint)) w(width)
    ON CONFLICT DO NOTHING;
    INSERT INTO event_stream (kind, occurred_at, body) SELECT 'test', now(), '{}' FROM generate_series(1, 10);
    INSERT INTO alarms (source_type, source, condition, active, severity, activation, raised_at, changed_at, written_by)
    SELECT 'sensor', 'standing-' || i, 'limit', i % 2 = 0, 500, 'now', now(), now(), 'c' FROM generate_series(1, 10) i
    ON CONFLICT DO NOTHING;
    INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, severity, told, by_whom)
    SELECT 'sensor', 'standing-' || i, 'limit', 'raised', now(), 500, false, 'c' FROM generate_series(1, 10) i";

/// A month of ten million readings before that, with everything that comes with them.
const A_MONTH: &str = "
    INSERT INTO sensor_readings
    SELECT 'sensor-' || i % 60, 'temperature', 'Cel', i, now(), 'p', '00000000-0000-0000-0000-000000000000', i, 'c', 1,
           i % 6, i / 6, now() - interval '20 minutes' - i * interval '0.26 s'
      FROM generate_series(1, 10000000) i;
    INSERT INTO batch_ledger
    SELECT now() - interval '20 minutes' - i * interval '26 s', 'sensor_readings', 1, i % 6, 'batch', gen_random_uuid(),
           gen_random_uuid(), 'c', i * 100, i * 100 + 100, 100, 0, '{}', now(), now()
      FROM generate_series(1, 100000) i;
    INSERT INTO throughput
    SELECT 1, date_trunc('second', now()) - interval '20 minutes' - i * interval '1 s', 'sensor_readings', 1, p, 'c', 1,
           250, 0, 250, 0.01, 0.01 FROM generate_series(6000, 1, -1) i, generate_series(0, 5) p;
    INSERT INTO throughput
    SELECT 60, date_trunc('minute', now()) - interval '20 minutes' - i * interval '60 s', 'sensor_readings', 1, p, 'c', 1,
           250, 0, 250, 0.01, 0.01 FROM generate_series(44000, 1, -1) i, generate_series(0, 5) p;
    INSERT INTO dead_letters (target, log_id, partition_number, kafka_offset, claim, consumer_id, reason_code, reason)
    SELECT 'sensor_readings', 1, 0, i, gen_random_uuid(), 'c', 'json', 'no JSON' FROM generate_series(1, 100000) i;
    INSERT INTO rebalancing_events (consumer_id, event_type, timestamp, group_id, topic, protocol, generation, member_id,
           boot_id, boot_sequence, monotonic_us)
    SELECT 'c', 'assigned', now(), 'g', 't', 'consumer', 1, '', '00000000-0000-0000-0000-000000000000', i, i
      FROM generate_series(1, 20000) i;
    INSERT INTO event_stream (kind, occurred_at, body) SELECT 'test', now(), '{}' FROM generate_series(1, 100000);
    INSERT INTO alarms (source_type, source, condition, active, severity, activation, acknowledged_activation, raised_at,
           changed_at, written_by)
    SELECT 'sensor', 'normal-' || i, 'limit', false, 500, 'then', 'then', now(), now(), 'c' FROM generate_series(1, 100000) i;
    INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, severity, told, by_whom)
    SELECT 'sensor', 'normal-' || i, 'limit', 'raised', now(), 500, false, 'c' FROM generate_series(1, 300000) i;
    DELETE FROM event_outbox";

/// Pages that a question reads, from cache or disk, after it was asked once.
async fn pages(store: &Store, question: impl AsyncFn() -> millrace_store::Result<()>) -> Result<i64> {
    let total = "SELECT coalesce(sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)), 0)::bigint \
                   FROM pg_statio_user_tables";
    let read = async || {
        let client = store.pooled().await?;
        client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
        anyhow::Ok(client.query_one(total, &[]).await?.get::<_, i64>(0))
    };
    question().await?;
    let before = read().await?;
    question().await?;
    Ok(read().await? - before)
}

async fn costs(store: &Store) -> Result<Vec<(&'static str, i64)>> {
    Ok(vec![
        ("consumers", pages(store, async || consumer_health::all(store).await.map(drop)).await?),
        ("producers", pages(store, async || producer_health::all(store).await.map(drop)).await?),
        ("offsets", pages(store, async || offsets::all(store, "sensor_readings").await.map(drop)).await?),
        ("shares", pages(store, async || shares(store, 10).await.map(drop)).await?),
        ("seconds", pages(store, async || series(store, Resolution::Second, 900, 1).await.map(drop)).await?),
        ("latest", pages(store, async || event_stream::latest(store).await.map(drop)).await?),
        ("last appends", pages(store, async || offsets::last_appends(store, "sensor_readings").await.map(drop)).await?),
        ("alarms", pages(store, async || alarms::standing(store, 200).await.map(drop)).await?),
        ("alarm counts", pages(store, async || alarms::counts(store).await.map(drop)).await?),
        ("alarm events", pages(store, async || alarms::events_before(store, i64::MAX, 10).await.map(drop)).await?),
        ("events", pages(store, async || event_stream::before(store, i64::MAX, 10).await.map(drop)).await?),
    ])
}

#[tokio::test]
async fn the_monitors_questions_cost_the_same_whether_nothing_or_ten_million_rows_came_before() -> Result<()> {
    let (url, _) = migrated().await?;
    // On a small table the planner would read all of it, which says nothing about growth.
    let store = one_connection(&format!("{url}?options=-c%20enable_seqscan%3Doff"))?;
    let owner = store.long_session().await?.client;
    owner.batch_execute(JUST_NOW).await?;
    owner.batch_execute("VACUUM ANALYZE").await?;
    let few = costs(&store).await?;
    owner.batch_execute("TRUNCATE throughput, event_stream, alarms, alarm_events").await?;
    owner.batch_execute(A_MONTH).await?;
    owner.batch_execute(JUST_NOW).await?;
    owner.batch_execute("VACUUM ANALYZE throughput, event_stream, dead_letters, alarms, alarm_events").await?;
    let many = costs(&store).await?;
    println!("pages read: {few:?} -> {many:?}");
    for ((question, few), (_, many)) in few.into_iter().zip(many) {
        // A page or two more on the way down a taller index is no growth.
        assert!(many <= 2 * few.max(4), "{question}: {few} pages with nothing before, {many} with ten million rows");
    }
    Ok(())
}
