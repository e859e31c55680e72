use std::sync::Arc;
use std::time::Duration;

use store::alarms::Alarm;
use store::offsets::LastAppend;
use store::throughput::Sums;
use store::{consumer_health, producer_health};
use uuid::Uuid;

use super::*;
use crate::facts::Tables;
use crate::view::tests::{at, both, consumer, stored, stored_of, survey, watched};

/// Two consumers; the age of the first one's heartbeat is given.
fn tables(age_s: f64) -> Tables {
    Tables {
        consumers: vec![consumer("a-1", age_s, &[(0, "reading")]), consumer("b-2", 0.1, &[(1, "reading")])],
        offsets: vec![stored(0, "a-1", 10), stored(1, "b-2", 15)],
        ..Tables::default()
    }
}

/// Looks once a second, with facts for each; what was told, by second.
fn watch(seconds: std::ops::Range<i64>, facts_at: impl Fn(&mut Facts, i64)) -> Vec<(i64, Vec<String>)> {
    let (mut alarms, mut facts) = (SystemAlarms::default(), Facts::of(&watched()));
    let mut told: Vec<(i64, Vec<String>)> = Vec::new();
    for second in seconds {
        facts_at(&mut facts, second);
        if let Some(wrong) = alarms.observe(&facts, at(second)) {
            let names: Vec<String> = wrong.iter().map(|w| format!("{} {}", w.source, w.condition)).collect();
            if told.last().is_none_or(|(_, before)| *before != names) {
                told.push((second, names));
            }
        }
    }
    told
}

fn both_answer(facts: &mut Facts, second: i64, tables: Tables) {
    facts.database.note(at(second), Ok(tables));
    facts.cluster.note(at(second), Ok(survey(&[1, 2, 3])));
}

#[test]
fn a_consumer_is_gone_after_its_delay_and_its_partition_dark_after_a_longer_one() {
    let told = watch(0..80, |facts, second| {
        // Silent from second 30 to 59.
        let age = if (30..60).contains(&second) { second as f64 - 28.0 } else { 0.1 };
        both_answer(facts, second, tables(age));
    });
    let gone = || "a-1 consumer_gone".to_owned();
    let expected =
        vec![(0, vec![]), (34, vec![gone()]), (41, vec![gone(), "t 0 partition_dark".to_owned()]), (65, vec![])];
    assert_eq!(told, expected);
}

#[test]
fn what_another_recorder_told_stays_until_it_is_looked_at() {
    let alarm = |source: &str, condition: &str| Alarm {
        source_type: "system".into(),
        source: source.into(),
        condition: condition.into(),
        state: "active_acknowledged".into(),
        active: true,
        level: None,
        severity: 700,
        chattering: false,
        activation: "1".into(),
        activations: 1,
        raised_at: at(0),
        changed_at: at(0),
        value: None,
        threshold: None,
        detail: None,
        acknowledged_by: None,
        acknowledged_at: None,
        acknowledge_comment: None,
        shelved_until: None,
        shelved_by: None,
        shelve_reason: None,
    };
    let told = watch(0..60, |facts, second| {
        let alarms = vec![alarm("a-1", "consumer_gone"), alarm("broker 2", "broker_down")];
        facts.database.note(at(second), Ok(Tables { alarms, ..tables(0.1) }));
        match second {
            0..30 => facts.cluster.note(at(second), Err("no broker answers".into())),
            _ => facts.cluster.note(at(second), Ok(survey(&[1, 2, 3]))),
        }
    });
    let (gone, down, away) =
        ("a-1 consumer_gone".to_owned(), "broker 2 broker_down".to_owned(), "kafka kafka_unreachable".to_owned());
    let expected = vec![(0, vec![gone.clone(), down.clone()]), (5, vec![down.clone(), away.clone()]), (35, vec![])];
    assert_eq!(told, expected);
}

#[test]
fn while_a_source_is_away_what_it_speaks_of_stays() {
    let told = watch(0..90, |facts, second| {
        facts.database.note(at(second), Ok(tables(0.1)));
        match second {
            20..40 => facts.cluster.note(at(second), Ok(survey(&[1, 3]))),
            40..60 => facts.cluster.note(at(second), Err("no broker answers".into())),
            _ => facts.cluster.note(at(second), Ok(survey(&[1, 2, 3]))),
        }
    });
    let (down, away) = ("broker 2 broker_down".to_owned(), "kafka kafka_unreachable".to_owned());
    let expected = vec![(0, vec![]), (25, vec![down.clone()]), (45, vec![down, away]), (65, vec![])];
    assert_eq!(told, expected);
    let silent = watch(0..60, |facts, second| match second {
        0..20 => both_answer(facts, second, tables(0.1)),
        _ => facts.database.note(at(second), Err("refused".into())),
    });
    assert_eq!(silent, [(0, vec![])]);
}

#[test]
fn dead_letters_and_a_near_end_of_retention_are_told_with_numbers() {
    let mut facts = Facts::of(&watched());
    let mut tables = tables(0.1);
    let sums =
        Sums { at: at(5), stored_rows: 1, dead_letters: 3, batches: 1, latency_mean_s: None, latency_max_s: None };
    tables.seconds_by_target = [("readings".to_owned(), vec![sums])].into();
    // Kept for a day; what waits of partition 0 was appended behind 23.5 h ago.
    facts.retention = Arc::new([("t".to_owned(), Some(Duration::from_secs(24 * 3600)))].into());
    tables.last_appends =
        vec![LastAppend { log_id: 1, partition: 0, at: at(10) - SignedDuration::from_mins(1410) }].into();
    both_answer(&mut facts, 0, tables.clone());
    both_answer(&mut facts, 10, tables);
    let findings = findings(&facts, at(10));
    let details: Vec<(&str, &str)> = findings.iter().map(|f| (f.kind.name, f.detail.as_str())).collect();
    let expected = [
        ("retention_near", "the first record that waits may be deleted in 0.5 h"),
        ("dead_letters_rising", "3 records of the last minute were no events: consumer dead-letters list"),
    ];
    assert_eq!(details, expected);
}

/// The rows of `tables`, and a worker that had partition 0 of topic `u` and is silent, and a producer that has nothing to do.
fn with_feed(age_s: f64) -> Tables {
    let worker = consumer_health::Row {
        group_id: "h".into(),
        boot_id: Uuid::from_u128(1),
        ..consumer("w-0", age_s, &[(0, "reading"), (1, "reading"), (2, "reading")])
    };
    let idle = producer_health::Row {
        producer_id: "tweet-api".into(),
        sensor_type: "tweets".into(),
        status: "running".into(),
        last_heartbeat: at(0),
        age_s: 0.1,
        connection_status: "connected".into(),
        run_id: Uuid::nil(),
        started_at: at(0),
        target_rate: None,
        sent: 0,
        acknowledged: 0,
        acknowledged_last_minute: 0,
        waiting: 0,
    };
    let mut tables = tables(0.1);
    tables.consumers.push(worker);
    tables.producers.push(idle);
    tables.topics_read = [(Uuid::from_u128(1), "u".to_owned())].into();
    tables.offsets.extend([0, 1, 2].map(|partition| stored_of("u", "h", partition, "w-0")));
    tables
}

#[test]
fn another_topics_partitions_are_dark_under_its_name_and_an_idle_producer_is_well() {
    let told = watch(0..60, |facts, second| {
        let age = if (30..60).contains(&second) { second as f64 - 28.0 } else { 0.1 };
        facts.database.note(at(second), Ok(with_feed(age)));
        facts.cluster.note(at(second), Ok(both(&[1, 2, 3])));
    });
    let dark = ["u 0", "u 1", "u 2"].map(|source| format!("{source} partition_dark"));
    let gone = "w-0 consumer_gone".to_owned();
    let all: Vec<String> = dark.into_iter().chain([gone.clone()]).collect();
    assert_eq!(told, [(0, vec![]), (34, vec![gone]), (41, all)]);
}

#[test]
fn dead_letters_of_each_topic_and_retention_of_each_are_told_apart() {
    let mut facts = Facts::of(&watched());
    let mut tables = with_feed(0.1);
    let sums = |dead_letters| Sums {
        at: at(5),
        stored_rows: 1,
        dead_letters,
        batches: 1,
        latency_mean_s: None,
        latency_max_s: None,
    };
    tables.seconds_by_target = [("readings".to_owned(), vec![sums(0)]), ("records".to_owned(), vec![sums(2)])].into();
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    facts.retention = Arc::new([("t".to_owned(), hours(1)), ("u".to_owned(), hours(24))].into());
    let append = |log_id, mins| LastAppend { log_id, partition: 0, at: at(10) - SignedDuration::from_mins(mins) };
    tables.last_appends = vec![append(1, 10), append(2, 20 * 60)].into();
    tables.offsets.iter_mut().filter(|stored| stored.log_id == 2).for_each(|stored| stored.next_offset = 14);
    facts.database.note(at(10), Ok(tables));
    facts.cluster.note(at(10), Ok(both(&[1, 2, 3])));
    let findings = findings(&facts, at(10));
    let told: Vec<(&str, &str)> = findings.iter().map(|f| (f.kind.name, f.source.as_str())).collect();
    assert_eq!(told, [("retention_near", "u 0"), ("dead_letters_rising", "u")]);
}
