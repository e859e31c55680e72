use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use kafka::inspector::{Broker, PartitionView, Survey};
use store::consumer_health::PartitionState;
use store::{consumer_health, offsets};
use uuid::Uuid;

use super::system::Verdict;
use super::*;
use crate::facts::Tables;

const TOPIC: Uuid = Uuid::from_u128(7);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).expect("a time")
}

pub(crate) fn consumer(id: &str, age_s: f64, partitions: &[(i32, &'static str)]) -> consumer_health::Row {
    let state = |&(partition, state): &(i32, &'static str)| PartitionState {
        partition,
        state: Cow::Borrowed(state),
        reason: (state == "paused").then(|| "the database is away".to_owned()),
        position: 10,
        stored: Some(10),
        log_end: Some(10),
    };
    consumer_health::Row {
        consumer_id: id.into(),
        status: "running".into(),
        last_heartbeat: at(0),
        age_s,
        group_id: "g".into(),
        boot_id: Uuid::nil(),
        started_at: at(0),
        partitions: partitions.iter().map(state).collect(),
        processed_last_minute: 0,
        journal_waiting: 0,
        journal_dropped: 0,
        static_id: None,
        session_timeout_ms: Some(6_000),
        poll_interval_ms: Some(10_000),
        poll_age_ms: Some(1),
        clock_skew_us: None,
        generation: 1,
        member_id: String::new(),
        sessions: 1,
        protocol: Some("consumer".into()),
    }
}

pub(crate) fn stored(partition: i32, owner: &str, next_offset: i64) -> offsets::Stored {
    offsets::Stored {
        log_id: 1,
        cluster_id: "c".into(),
        topic_id: TOPIC,
        topic: "t".into(),
        partition,
        group_id: "g".into(),
        start_offset: 0,
        next_offset,
        leader_epoch: 0,
        owner: owner.into(),
        claimed_at: at(0),
        quarantine_reason: None,
        quarantined_at: None,
        updated_at: at(0),
    }
}

pub(crate) fn survey(brokers_up: &[i32]) -> Survey {
    let partition = |partition| PartitionView {
        partition,
        leader: Some(1),
        replicas: vec![1, 2, 3],
        in_sync: brokers_up.to_vec(),
        start: Some(0),
        end: Some(15),
    };
    let broker = |id| Broker { id, address: brokers_up.contains(&id).then(|| format!("kafka{id}:9092")) };
    Survey {
        cluster_id: "c".into(),
        topic_id: TOPIC,
        brokers: [1, 2, 3].map(broker).into(),
        partitions: [0, 1].map(partition).into(),
    }
}

/// Both sources have answered for ten seconds, the last time at second 10.
pub(crate) fn facts(consumers: Vec<consumer_health::Row>, offsets: Vec<offsets::Stored>) -> Facts {
    let tables = Tables { consumers, offsets, ..Tables::default() };
    let mut facts = Facts::default();
    for second in [0, 10] {
        facts.database.note(at(second), Ok(tables.clone()));
        facts.cluster.note(at(second), Ok(survey(&[1, 2, 3])));
    }
    facts
}

fn two(age_s: f64) -> Facts {
    let consumers = vec![consumer("a-1", age_s, &[(0, "reading")]), consumer("b-2", 0.1, &[(1, "reading")])];
    facts(consumers, vec![stored(0, "a-1", 10), stored(1, "b-2", 15)])
}

#[test]
fn when_all_is_read_the_verdict_says_so_with_the_lag() {
    let state = state(&two(0.5), "t", at(10));
    assert_eq!(state.system.status, Verdict::Healthy);
    assert_eq!(state.system.summary, "2 consumers read all 2 partitions; 5 records wait");
    assert_eq!(state.partitions[0].owners, ["a-1"]);
}

#[test]
fn a_silent_consumers_partitions_are_unread_with_the_reason() {
    let state = state(&two(3.0), "t", at(10) + SignedDuration::from_millis(500));
    assert_eq!(state.consumers[0].status, "silent");
    assert_eq!(state.consumers[0].heartbeat_age_seconds, 3.5);
    assert_eq!((state.partitions[0].state.as_str(), state.partitions[0].read), ("unread", false));
    assert_eq!(state.partitions[0].reason.as_deref(), Some("a-1 has been silent for 3.5 s"));
    assert_eq!(state.system.status, Verdict::Critical);
    assert_eq!(state.system.summary, "1 of 2 partitions are unread (0): a-1 has been silent for 3.5 s");
}

#[test]
fn while_the_database_is_away_nobody_is_accused() {
    let mut facts = two(0.5);
    facts.database.note(at(11), Err("refused".into()));
    let away = state(&facts, "t", at(40));
    assert_eq!(away.consumers[0].status, "running");
    assert_eq!(away.consumers[0].heartbeat_age_seconds, 0.5);
    assert_eq!(away.system.summary, "PostgreSQL has not answered for 29 s: refused");

    // Back, and the consumers have not had the time to write.
    facts.database.note(at(41), Ok(Tables { consumers: vec![consumer("a-1", 31.0, &[])], ..Tables::default() }));
    assert_eq!(state(&facts, "t", at(41)).consumers[0].status, "running");
    facts.database.note(at(44), Ok(Tables { consumers: vec![consumer("a-1", 34.0, &[])], ..Tables::default() }));
    assert_eq!(state(&facts, "t", at(44)).consumers[0].status, "silent");
}

#[test]
fn two_owners_are_both_named_and_the_one_with_the_claim_speaks() {
    let consumers =
        vec![consumer("a-1", 0.1, &[(0, "paused")]), consumer("b-2", 0.1, &[(0, "reading"), (1, "reading")])];
    let state = state(&facts(consumers, vec![stored(0, "b-2", 10), stored(1, "b-2", 10)]), "t", at(10));
    assert_eq!(state.partitions[0].owners, ["a-1", "b-2"]);
    assert_eq!(state.partitions[0].state, "reading");
}

#[test]
fn a_quarantine_a_pause_and_a_broker_are_said_worst_first() {
    let mut quarantined = stored(0, "a-1", 10);
    quarantined.quarantine_reason = Some("the log was truncated".into());
    let consumers = vec![consumer("a-1", 0.1, &[(0, "quarantined"), (1, "paused")])];
    let mut facts = facts(consumers, vec![quarantined, stored(1, "a-1", 10)]);
    facts.cluster.note(at(10), Ok(survey(&[1, 3])));
    let system = state(&facts, "t", at(10)).system;
    let said: Vec<&str> = system.conditions.iter().map(|condition| condition.text.as_str()).collect();
    assert_eq!(
        said,
        [
            "quarantined until a command ends it: 0, because the log was truncated (consumer offsets show)",
            "partitions 1 are paused: the database is away",
            "broker 2 of 3 down",
        ]
    );
}

#[test]
fn offsets_of_another_incarnation_of_the_topic_say_nothing_about_this_log() {
    let mut old = stored(0, "a-1", 10);
    old.topic_id = Uuid::from_u128(8);
    let state = state(&facts(vec![consumer("a-1", 0.1, &[(0, "reading")])], vec![old]), "t", at(10));
    assert_eq!((state.partitions[0].stored_offset, state.partitions[0].lag_records), (None, None));
    assert_eq!(state.metrics.lag_records, None);
}
