//! What is seen from outside, a line each time that it changes.

use std::collections::HashMap;
use std::time::Instant;

use jiff::Timestamp;
use kafka::inspector::{GroupDescription, Survey};
use serde_json::{Value, json};
use store::flight_recorder::{Observation, Seen};

use crate::facts::Facts;

/// Remembers what was seen last, so that only changes are kept.
#[derive(Default)]
pub struct Observer {
    last: HashMap<(&'static str, String), Value>,
    cluster: Asked,
    database: Asked,
}

/// When a source was asked for its latest answer, and for the one before it.
#[derive(Default)]
struct Asked {
    before: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Asked {
    /// Milliseconds before `now` that an answer was asked for, and that it was still otherwise.
    fn age_ms(&mut self, asked_at: Timestamp, now: Timestamp) -> (i64, i64) {
        if self.last != Some(asked_at) {
            (self.before, self.last) = (self.last, Some(asked_at));
        }
        let since = |at: Timestamp| i64::try_from(now.duration_since(at).as_millis()).unwrap_or(0).max(0);
        (since(asked_at), self.before.map_or(0, since).max(since(asked_at)))
    }
}

impl Observer {
    /// Goes on from what the last recorder kept.
    pub fn after(seen: Vec<Seen>) -> Self {
        let mut observer = Self::default();
        for Seen { kind, subject, body } in seen {
            if let Some(kind) = ["group", "brokers", "topic", "sessions"].into_iter().find(|known| *known == kind) {
                observer.last.insert((kind, subject), body);
            }
        }
        observer
    }

    /// What has changed of groups, cluster, topics and consumers' sessions.
    pub fn observe(&mut self, facts: &Facts, now: Timestamp) -> Vec<Observation> {
        let mut changes = Vec::new();
        for (group, answer) in facts.groups.iter() {
            let age = (millis(answer.asked), millis(answer.still_otherwise));
            let body = answer.description.as_ref().map_or_else(|| json!({ "state": "Dead", "members": [] }), described);
            changes.extend(self.changed("group", group, body, age));
        }
        if let Some((asked_at, survey)) = &facts.cluster.answer {
            let age = self.cluster.age_ms(*asked_at, now);
            changes.extend(self.changed("brokers", &survey.cluster_id, brokers(survey), age));
            for (name, topic) in &survey.topics {
                let body = json!({ "topic_id": topic.topic_id, "partitions": topic.partitions.len() });
                changes.extend(self.changed("topic", name, body, age));
            }
        }
        if let Some((asked_at, tables)) = &facts.database.answer {
            let age = self.database.age_ms(*asked_at, now);
            let counted = tables.consumers.iter().filter_map(|row| self.counted(&row.consumer_id, row.sessions, age));
            changes.extend(counted.collect::<Vec<_>>());
        }
        changes
    }

    /// Sessions that have come to none, or are there again. How many there are changes all the time; whether there are
    /// any is what tells.
    fn counted(&mut self, consumer: &str, sessions: i64, age_ms: (i64, i64)) -> Option<Observation> {
        let known = self.last.get(&("sessions", consumer.to_owned())).and_then(|body| body["sessions"].as_i64());
        let same = known.is_some_and(|known| (known == 0) == (sessions == 0));
        if same { None } else { self.changed("sessions", consumer, json!({ "sessions": sessions }), age_ms) }
    }

    fn changed(&mut self, kind: &'static str, subject: &str, body: Value, age_ms: (i64, i64)) -> Option<Observation> {
        let key = (kind, subject.to_owned());
        if self.last.get(&key) == Some(&body) {
            return None;
        }
        self.last.insert(key, body.clone());
        Some(Observation { kind, subject: subject.to_owned(), body, age_ms })
    }
}

fn described(group: &GroupDescription) -> Value {
    let members = group.members.iter().map(|member| {
        json!({
            "member_id": member.member_id, "instance_id": member.instance_id, "client_id": member.client_id,
            "epoch": member.epoch, "partitions": member.partitions,
        })
    });
    let members: Vec<Value> = members.collect();
    json!({ "state": group.state, "epoch": group.epoch, "coordinator": group.coordinator, "members": members })
}

fn brokers(survey: &Survey) -> Value {
    let (up, down): (Vec<_>, Vec<_>) = survey.brokers.iter().partition(|broker| broker.address.is_some());
    let ids = |brokers: Vec<&kafka::inspector::Broker>| brokers.into_iter().map(|broker| broker.id).collect::<Vec<_>>();
    json!({ "up": ids(up), "down": ids(down) })
}

fn millis(at: Instant) -> i64 {
    i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{at, side_by_side};

    #[test]
    fn every_topic_is_kept_once_until_it_changes() {
        let (mut observer, facts) = (Observer::default(), side_by_side());
        let topics = |changes: Vec<Observation>| -> Vec<(String, Value)> {
            let topics = changes.into_iter().filter(|change| change.kind == "topic");
            topics.map(|change| (change.subject, change.body["partitions"].clone())).collect()
        };
        assert_eq!(topics(observer.observe(&facts, at(10))), [("t".to_owned(), json!(2)), ("u".to_owned(), json!(3))]);
        assert_eq!(topics(observer.observe(&facts, at(11))), []);
    }
}
