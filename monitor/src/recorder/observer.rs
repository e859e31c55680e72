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
    /// When the cluster was asked before its latest answer.
    surveyed_at: (Option<Timestamp>, Option<Timestamp>),
    counted_at: Option<Instant>,
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

    /// What has changed of groups, cluster and topic.
    pub fn observe(&mut self, facts: &Facts, topic: &str, now: Timestamp) -> Vec<Observation> {
        let mut changes = Vec::new();
        for (group, answer) in facts.groups.iter() {
            let age = (millis(answer.asked), millis(answer.still_otherwise));
            let body = answer.description.as_ref().map_or_else(|| json!({ "state": "Dead", "members": [] }), described);
            changes.extend(self.changed("group", group, body, age));
        }
        if let Some((asked_at, survey)) = &facts.cluster.answer {
            if self.surveyed_at.1 != Some(*asked_at) {
                self.surveyed_at = (self.surveyed_at.1, Some(*asked_at));
            }
            let since = |at: Timestamp| i64::try_from(now.duration_since(at).as_millis()).unwrap_or(0).max(0);
            let age = (since(*asked_at), self.surveyed_at.0.map_or(0, since).max(since(*asked_at)));
            changes.extend(self.changed("brokers", &survey.cluster_id, brokers(survey), age));
            let body = json!({ "topic_id": survey.topic_id, "partitions": survey.partitions.len() });
            changes.extend(self.changed("topic", topic, body, age));
        }
        changes
    }

    /// Whose sessions have come to none, or are there again.
    pub fn count(&mut self, sessions: Vec<(String, i64)>) -> Vec<Observation> {
        let age = (0, self.counted_at.map_or(0, millis));
        self.counted_at = Some(Instant::now());
        let changed = sessions.into_iter().filter_map(|(consumer, sessions)| {
            let known = self.last.get(&("sessions", consumer.clone())).and_then(|body| body["sessions"].as_i64());
            // How many there are changes all the time; whether there are any is what tells.
            let same = known.is_some_and(|known| (known == 0) == (sessions == 0));
            if same { None } else { self.changed("sessions", &consumer, json!({ "sessions": sessions }), age) }
        });
        changed.collect()
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
