//! Alarms in the database: states through what readings say and people decide, who may say what, and the state
//! that travels under the lock.

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use millrace_store::alarms::operator::{Key, acknowledge, forget, shelve, unshelve};
use millrace_store::alarms::{self, Counts, Wrong, counts, standing, tell_system};
use millrace_store::batch::{Author, BatchWriter, Outcome, Part, SensorState, Transition};
use millrace_store::claim::{Claimant, LogPartition, lock};
use millrace_store::event_stream::{self, Recorder};
use millrace_store::grants::{Roles, give};
use millrace_store::sensor_readings::{BATCH, TARGET};
use millrace_store::{Options, Store, migrate};
use uuid::Uuid;

const SENSOR: &str = "press-1";

/// A migrated database with one claimed partition.
struct World {
    url: String,
    store: Store,
    writer: BatchWriter,
    author: Author,
    log: LogPartition,
    log_id: i32,
    claim: Uuid,
    next: i64,
}

impl World {
    async fn new() -> Result<Self> {
        let url = testkit::shared().await.database_url;
        let store = Store::new(&Options { database_url: url.clone(), database_pool_size: 4 }, "alarms-test")?;
        migrate::run(&store).await?;
        let writer = BatchWriter::connect(&store, &BATCH).await?;
        let author = Author { consumer_id: "sensor-consumer-1".into(), boot_id: Uuid::new_v4() };
        let log = LogPartition {
            cluster_id: "cluster".into(),
            topic_id: Uuid::new_v4(),
            topic: "sensor-readings".into(),
            partition: 0,
        };
        let mut world = Self { url, store, writer, author, log, log_id: 0, claim: Uuid::nil(), next: 0 };
        world.claim_again().await?;
        Ok(world)
    }

    /// Claims, and what is remembered of the sensors.
    async fn claim_again(&mut self) -> Result<Vec<(String, String)>> {
        self.claim = Uuid::new_v4();
        let claimant = Claimant {
            group_id: "sensor-consumers".into(),
            consumer_id: self.author.consumer_id.clone(),
            boot_id: self.author.boot_id,
            claim: self.claim,
            writer: self.writer.backend(),
        };
        let locked = lock(&self.store, TARGET, &self.log, self.writer.backend()).await?;
        let states = locked.sensor_states().await?;
        let taken = locked.take(&claimant, 0, false).await?;
        self.log_id = taken.log_id;
        Ok(states)
    }

    /// One batch of as many records as there are transitions, each a record further.
    async fn store(&mut self, events: &[(&'static str, Option<&'static str>)]) -> Outcome<()> {
        let first = self.next;
        let transition = |(i, &(event, level)): (usize, &(&'static str, Option<&'static str>))| Transition {
            sensor_id: SENSOR.into(),
            offset: first + i64::try_from(i).expect("small"),
            condition: "limit",
            event,
            level,
            severity: if level == Some("high_high") { 800 } else { 500 },
            occurred_at: Timestamp::from_second(1_700_000_000 + first).expect("a time"),
            value: 9.5,
            threshold: level.map(|_| 9.0),
            chattering: false,
            told: true,
        };
        let transitions: Vec<Transition> = events.iter().enumerate().map(transition).collect();
        let next = first + i64::try_from(events.len()).expect("small").max(1);
        let part = Part {
            log_id: self.log_id,
            partition: 0,
            claim: self.claim,
            expected: first,
            next,
            leader_epoch: 0,
            rows: Vec::new(),
            row_count: 0,
            letters: Vec::new(),
            gaps: Vec::new(),
            first_append_at: None,
            last_append_at: None,
            sensors: vec![SensorState { sensor_id: SENSOR.into(), json: format!("{{\"next\":{next}}}") }],
            transitions,
        };
        let outcome = self.writer.store(&self.author, &[part], std::future::ready(None::<()>)).await;
        if matches!(outcome, Outcome::Stored(_)) {
            self.next = next;
        }
        outcome
    }

    async fn stored(&mut self, events: &[(&'static str, Option<&'static str>)]) -> Result<String> {
        let outcome = self.store(events).await;
        anyhow::ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        self.state().await
    }

    /// The alarm's state, also when it is normal.
    async fn state(&self) -> Result<String> {
        let client = self.store.pooled().await?;
        let row = client.query_one("SELECT alarm_state(a) FROM alarms a WHERE source = $1", &[&SENSOR]).await?;
        Ok(row.get(0))
    }
}

fn key() -> Key {
    Key { source_type: "sensor".into(), source: SENSOR.into(), condition: Some("limit".into()) }
}

#[tokio::test]
async fn an_alarm_goes_through_the_states_of_part_9() -> Result<()> {
    let mut world = World::new().await?;
    let high = ("raised", Some("high"));
    assert_eq!(world.stored(&[high]).await?, "active_unacknowledged");
    assert_eq!(acknowledge(&world.store, &key(), None, "operator:ann", "looking").await?, 1);
    assert_eq!(world.state().await?, "active_acknowledged");
    assert_eq!(
        acknowledge(&world.store, &key(), None, "operator:ann", "again").await?,
        0,
        "there is nothing new to see"
    );
    assert_eq!(world.stored(&[("worsened", Some("high_high"))]).await?, "active_unacknowledged");
    let first = Some("1-0-0");
    assert_eq!(acknowledge(&world.store, &key(), first, "operator:ann", "").await?, 0, "it got worse since");
    assert_eq!(world.stored(&[("eased", Some("high"))]).await?, "active_unacknowledged");
    assert_eq!(acknowledge(&world.store, &key(), None, "operator:ann", "").await?, 1);
    assert_eq!(world.stored(&[("returned", None)]).await?, "normal");
    assert_eq!(world.stored(&[high, ("returned", None)]).await?, "returned_unacknowledged");
    let store = world.store.clone();
    assert_eq!(
        shelve(&store, &key(), Timestamp::now() + SignedDuration::from_hours(1), "operator:ann", "pump").await?,
        1
    );
    assert_eq!(world.stored(&[high]).await?, "shelved");
    assert_eq!(counts(&store).await?, Counts { shelved: 1, ..Counts::default() });
    let standing = standing(&store, 10).await?;
    let shown = (standing[0].shelve_reason.as_deref(), standing[0].activations, standing[0].severity);
    assert_eq!((standing.len(), shown), (1, (Some("pump"), 3, 500)));
    assert_eq!(unshelve(&store, &key(), "operator:ann", "").await?, 1);
    assert_eq!(world.state().await?, "active_unacknowledged");

    let told = alarms::events_before(&store, i64::MAX, 100).await?;
    let mut told: Vec<&str> = told.iter().map(|event| event.event.as_str()).collect();
    told.reverse();
    let expected = [
        "raised",
        "acknowledged",
        "worsened",
        "eased",
        "acknowledged",
        "returned",
        "raised",
        "returned",
        "shelved",
        "raised",
        "unshelved",
    ];
    assert_eq!(told, expected);
    let recorder = Recorder::begin(&store).await?.context("the lock is free")?;
    recorder.number().await?;
    let stream = event_stream::after(&store, 0, 100).await?;
    let decided: Vec<&str> = stream.iter().filter_map(|event| event.body["event"].as_str()).collect();
    assert_eq!(decided, ["acknowledged", "acknowledged", "shelved", "unshelved"], "readings' own do not flood it");
    Ok(())
}

#[tokio::test]
async fn a_sensor_that_is_gone_is_forgotten_with_its_alarms() -> Result<()> {
    let mut world = World::new().await?;
    world.stored(&[("raised", Some("high"))]).await?;
    assert_eq!(forget(&world.store, SENSOR, "operator:ann", "taken down").await?, 2);
    assert_eq!(world.state().await?, "normal");
    assert_eq!(world.claim_again().await?, []);
    assert_eq!(forget(&world.store, SENSOR, "operator:ann", "taken down").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_shelf_ends_by_itself() -> Result<()> {
    let mut world = World::new().await?;
    world.stored(&[("raised", Some("high"))]).await?;
    shelve(&world.store, &key(), Timestamp::now() - SignedDuration::from_secs(1), "operator:ann", "too late").await?;
    assert_eq!(world.state().await?, "active_unacknowledged");
    Ok(())
}

#[tokio::test]
async fn a_stale_owner_tells_nothing_and_the_next_one_reads_the_state_under_the_lock() -> Result<()> {
    let mut world = World::new().await?;
    world.stored(&[("raised", Some("high"))]).await?;
    let ours = world.claim;
    let states = world.claim_again().await?;
    assert_eq!(states, [(SENSOR.to_owned(), "{\"next\":1}".to_owned())]);
    let theirs = std::mem::replace(&mut world.claim, ours);
    assert!(matches!(world.store(&[("returned", None)]).await, Outcome::StaleOwner { .. }));
    assert_eq!(world.state().await?, "active_unacknowledged");
    world.claim = theirs;
    // The same reading cannot change a condition twice, whoever tells it.
    world.next = 0;
    world.store.pooled().await?.batch_execute("UPDATE stored_offsets SET next_offset = 0").await?;
    world.stored(&[("raised", Some("high"))]).await?;
    assert_eq!(alarms::events_before(&world.store, i64::MAX, 10).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn alarms_of_the_system_are_told_once_by_who_holds_the_lock_and_nobody_else() -> Result<()> {
    let world = World::new().await?;
    let role = format!("recorder_{}", Uuid::new_v4().simple());
    world.store.pooled().await?.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await?;
    give(&world.store, &Roles { reader: None, recorder: Some(role.clone()) }).await?;
    let (_, rest) = world.url.split_once('@').context("a URL with a user")?;
    let options = Options { database_url: format!("postgres://{role}@{rest}"), database_pool_size: 1 };
    let recorder = Recorder::begin(&Store::new(&options, "alarms-test")?).await?.context("the lock is free")?;

    let wrong = |source: &str| Wrong {
        source: source.into(),
        condition: "producer_silent",
        severity: 700,
        detail: "no heartbeat".into(),
    };
    let both = [wrong("pressure-sensor"), wrong("temperature-sensor")];
    assert_eq!(tell_system(&recorder, &both, "monitor").await?, 2);
    assert_eq!(tell_system(&recorder, &both, "monitor").await?, 0);
    assert_eq!(tell_system(&recorder, &both[1..], "monitor").await?, 1);
    let standing = standing(&world.store, 10).await?;
    let states: Vec<_> = standing.iter().map(|alarm| (alarm.source.as_str(), alarm.state.as_str())).collect();
    let expected = [("temperature-sensor", "active_unacknowledged"), ("pressure-sensor", "returned_unacknowledged")];
    assert_eq!(states, expected);
    assert_eq!(tell_system(&recorder, &both, "monitor").await?, 1);
    assert_eq!(tell_system(&recorder, &[], "monitor").await?, 2);

    let store = Store::new(&options, "alarms-test")?;
    let client = store.pooled().await?;
    for forbidden in
        ["UPDATE alarms SET active = false", "DELETE FROM alarm_events", "INSERT INTO alarm_limits DEFAULT VALUES"]
    {
        let refused = client.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{forbidden}: {refused}");
    }
    Ok(())
}
