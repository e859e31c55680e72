use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kafka::inspector::{Broker, PartitionView, Survey, SurveyedTopic};
use store::consumer_health::PartitionState;
use store::{consumer_health, offsets};
use uuid::Uuid;

use super::system::{Count, Verdict};
use super::*;
use crate::facts::Tables;
use crate::workload;

const TOPIC: Uuid = Uuid::from_u128(7);
const OTHER: Uuid = Uuid::from_u128(9);
/// The process start of consumers that read `u`.
const FEED: Uuid = Uuid::from_u128(1);

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

/// A partition of another topic and group, of which nothing waits.
pub(crate) fn stored_of(topic: &str, group: &str, partition: i32, owner: &str) -> offsets::Stored {
    let (topic, group_id) = (topic.into(), group.into());
    offsets::Stored { log_id: 2, topic_id: OTHER, topic, group_id, ..stored(partition, owner, 15) }
}

/// Topic `t` with two partitions of 15 records each.
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
    let topic = SurveyedTopic { topic_id: TOPIC, partitions: [0, 1].map(partition).into() };
    Survey {
        cluster_id: "c".into(),
        brokers: [1, 2, 3].map(broker).into(),
        topics: [("t".to_owned(), topic)].into(),
        missing: BTreeMap::default(),
    }
}

/// The same with topic `u`, which has three.
pub(crate) fn both(brokers_up: &[i32]) -> Survey {
    let mut survey = survey(brokers_up);
    let mut other = survey.topics["t"].clone();
    other.topic_id = OTHER;
    other.partitions.push(PartitionView { partition: 2, ..other.partitions[1].clone() });
    survey.topics.insert("u".to_owned(), other);
    survey
}

/// What the facts of these tests watch.
pub(crate) fn watched() -> [workload::Workload; 2] {
    [workload::Workload::new("t", "readings"), workload::Workload::new("u", "records")]
}

/// Both sources have answered for ten seconds, the last time at second 10.
pub(crate) fn facts(consumers: Vec<consumer_health::Row>, offsets: Vec<offsets::Stored>) -> Facts {
    let tables = Tables { consumers, offsets, ..Tables::default() };
    let mut facts = Facts::of(&watched());
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
    let state = state(&two(0.5), at(10));
    assert_eq!(state.system.status, Verdict::Healthy);
    assert_eq!(state.system.summary, "2 consumers read all 2 partitions; 5 records wait");
    assert_eq!(state.partitions[0].owners, ["a-1"]);
}

#[test]
fn a_silent_consumers_partitions_are_unread_with_the_reason() {
    let state = state(&two(3.0), at(10) + SignedDuration::from_millis(500));
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
    let away = state(&facts, at(40));
    assert_eq!(away.consumers[0].status, "running");
    assert_eq!(away.consumers[0].heartbeat_age_seconds, 0.5);
    assert_eq!(away.system.summary, "PostgreSQL has not answered for 29 s: refused");

    // Back, and the consumers have not had the time to write.
    facts.database.note(at(41), Ok(Tables { consumers: vec![consumer("a-1", 31.0, &[])], ..Tables::default() }));
    assert_eq!(state(&facts, at(41)).consumers[0].status, "running");
    facts.database.note(at(44), Ok(Tables { consumers: vec![consumer("a-1", 34.0, &[])], ..Tables::default() }));
    assert_eq!(state(&facts, at(44)).consumers[0].status, "silent");
}

#[test]
fn two_owners_are_both_named_and_the_one_with_the_claim_speaks() {
    let consumers =
        vec![consumer("a-1", 0.1, &[(0, "paused")]), consumer("b-2", 0.1, &[(0, "reading"), (1, "reading")])];
    let state = state(&facts(consumers, vec![stored(0, "b-2", 10), stored(1, "b-2", 10)]), at(10));
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
    let system = state(&facts, at(10)).system;
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
    let state = state(&facts(vec![consumer("a-1", 0.1, &[(0, "reading")])], vec![old]), at(10));
    assert_eq!((state.partitions[0].stored_offset, state.partitions[0].lag_records), (None, None));
    assert_eq!(state.metrics.lag_records, None);
}

/// Two workloads with the same partition numbers: `t` by group `g`, `u` by group `h`, each read by one consumer.
pub(crate) fn side_by_side() -> Facts {
    let worker = consumer_health::Row {
        group_id: "h".into(),
        boot_id: FEED,
        ..consumer("w-0", 0.1, &[(0, "reading"), (1, "paused"), (2, "reading")])
    };
    let offsets =
        [0, 1].map(|p| stored(p, "a-1", 10)).into_iter().chain([0, 1, 2].map(|p| stored_of("u", "h", p, "w-0")));
    let tables = Tables {
        consumers: vec![consumer("a-1", 0.1, &[(0, "reading"), (1, "reading")]), worker],
        topics_read: [(FEED, "u".to_owned())].into(),
        offsets: offsets.collect(),
        // Another target of the same log is not this one's.
        shares: [("readings", 1, 40), ("records", 2, 10), ("elsewhere", 2, 70)]
            .map(|(t, log, rows)| share(t, log, rows))
            .into(),
        seconds: vec![sums(50)],
        seconds_by_target: [("readings", 40), ("records", 10)]
            .map(|(name, rows)| (name.to_owned(), vec![sums(rows)]))
            .into(),
        ..Tables::default()
    };
    let mut facts = Facts::of(&watched());
    for second in [0, 10] {
        facts.database.note(at(second), Ok(tables.clone()));
        facts.cluster.note(at(second), Ok(both(&[1, 2, 3])));
    }
    facts
}

fn share(target: &str, log_id: i32, stored_rows: u64) -> store::throughput::Share {
    let (consumer_id, target) = ("a-1".to_owned(), target.to_owned());
    store::throughput::Share { consumer_id, target, log_id, partition: 0, stored_rows, dead_letters: 0 }
}

fn sums(stored_rows: u64) -> store::throughput::Sums {
    let (dead_letters, batches) = (0, 1);
    store::throughput::Sums { at: at(5), stored_rows, dead_letters, batches, latency_mean_s: None, latency_max_s: None }
}

#[test]
fn a_partition_is_one_of_its_topic_and_group() {
    let state = state(&side_by_side(), at(10));
    let of = |p: &Partition| (p.topic.clone(), p.partition, p.group_id.clone(), p.owners.join(" "), p.lag_records);
    let expected = [
        ("t", 0, "g", "a-1", 5),
        ("t", 1, "g", "a-1", 5),
        ("u", 0, "h", "w-0", 0),
        ("u", 1, "h", "w-0", 0),
        ("u", 2, "h", "w-0", 0),
    ]
    .map(|(topic, number, group, owner, lag)| (topic.into(), number, Some(group.into()), owner.into(), Some(lag)));
    assert_eq!(state.partitions.iter().map(of).collect::<Vec<_>>(), expected);
    let rates: Vec<f64> = state.partitions.iter().map(|p| p.stored_rows_per_second).collect();
    assert_eq!(rates, [4.0, 0.0, 1.0, 0.0, 0.0]);
    let topics: Vec<(&str, &str)> = state.groups.iter().map(|g| (g.group_id.as_str(), g.topic.as_str())).collect();
    assert_eq!(topics, [("g", "t"), ("h", "u")]);
}

#[test]
fn workloads_have_rates_and_lag_of_their_own_and_the_sums_stay() {
    let state = state(&side_by_side(), at(10));
    let of = |w: &Workload| {
        (w.topic.clone(), w.group_id.clone(), w.partitions, w.current.stored_rows_per_second, w.current.lag_records)
    };
    let expected = [
        ("t".to_owned(), Some("g".to_owned()), Count { up: 2, known: 2 }, 4.0, Some(10)),
        ("u".to_owned(), Some("h".to_owned()), Count { up: 2, known: 3 }, 1.0, Some(0)),
    ];
    assert_eq!(state.workloads.iter().map(of).collect::<Vec<_>>(), expected);
    assert_eq!(state.workloads[1].consumers, Count { up: 1, known: 1 });
    assert_eq!((state.metrics.stored_rows_per_second, state.metrics.lag_records), (5.0, Some(10)));
}

#[test]
fn the_verdict_names_the_topic_where_there_are_two() {
    let system = state(&side_by_side(), at(10)).system;
    assert_eq!((system.status, system.partitions), (Verdict::Critical, Count { up: 4, known: 5 }));
    assert_eq!(system.summary, "topic u: partitions 1 are paused: the database is away");
}

#[test]
fn a_topic_that_nobody_uses_is_not_there_and_one_that_somebody_does_is_missed() {
    let mut facts = two(0.5);
    let mut unused = both(&[1, 2, 3]);
    for view in &mut unused.topics.get_mut("u").expect("it is there").partitions {
        (view.start, view.end) = (Some(0), Some(0));
    }
    facts.cluster.note(at(10), Ok(unused));
    let said = |facts: &Facts| state(facts, at(10)).system.summary;
    assert_eq!(said(&facts), "2 consumers read all 2 partitions; 5 records wait");
    let gone = Survey { missing: [("u".to_owned(), "topic u does not exist".to_owned())].into(), ..survey(&[1, 2, 3]) };
    facts.cluster.note(at(10), Ok(gone.clone()));
    assert_eq!(said(&facts), "2 consumers read all 2 partitions; 5 records wait");
    assert_eq!(state(&facts, at(10)).workloads.len(), 1);

    // Records that nobody ever read are waiting.
    facts.cluster.note(at(10), Ok(both(&[1, 2, 3])));
    assert_eq!(said(&facts), "topic u: 3 of 3 partitions are unread (0-2): no consumer has it");

    let mut used = side_by_side();
    used.cluster.note(at(10), Ok(gone));
    assert_eq!(said(&used), "topic u cannot be watched: topic u does not exist");
}

#[test]
fn before_anything_is_used_every_topic_is_there_and_unread() {
    let mut facts = facts(Vec::new(), Vec::new());
    let mut empty = both(&[1, 2, 3]);
    for view in empty.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        (view.start, view.end) = (Some(0), Some(0));
    }
    facts.cluster.note(at(10), Ok(empty));
    let system = state(&facts, at(10)).system;
    assert_eq!((system.status, system.partitions), (Verdict::Critical, Count { up: 0, known: 5 }));
}
