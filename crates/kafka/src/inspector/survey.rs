//! Topics with their brokers, leaders, replicas and bounds in as few questions as there are brokers: what a
//! monitor asks once a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse};
use uuid::Uuid;

use super::{EARLIEST, Error, Inspector, LATEST, State, addresses, checked, name};

/// Bound of one leader's answer: a frozen one must not hold up what the others say.
const LEADER_TIMEOUT: Duration = Duration::from_millis(500);

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// `host:port`; `None` while the cluster does not list it, that is: it is down or fenced.
    pub address: Option<String>,
}

/// One partition as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its number.
    pub partition: i32,
    /// `None` while nobody leads it.
    pub leader: Option<i32>,
    /// Brokers that should have it.
    pub replicas: Vec<i32>,
    /// Brokers that have all of it.
    pub in_sync: Vec<i32>,
    /// Log start offset; `None` when its leader did not answer.
    pub start: Option<i64>,
    /// High watermark; `None` when its leader did not answer.
    pub end: Option<i64>,
}

/// A topic as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedTopic {
    /// Topic id (KIP-516).
    pub topic_id: Uuid,
    /// Partitions by number.
    pub partitions: Vec<PartitionView>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// `cluster.id`.
    pub cluster_id: String,
    /// Brokers that are listed or hold a replica, by id.
    pub brokers: Vec<Broker>,
    /// Topics by name.
    pub topics: BTreeMap<String, SurveyedTopic>,
    /// Why the others that were asked for are not among them, by name.
    pub missing: BTreeMap<String, String>,
}

/// Offsets of some partitions, by topic and number.
type Offsets = BTreeMap<(String, i32), i64>;

impl Inspector {
    /// The topics and their cluster now. A leader that does not answer leaves its partitions without bounds.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no broker answers; [`Error::NoSuchTopic`] or [`Error::Code`] when none of the topics
    /// can be told of.
    pub async fn survey(&self, topics: &[&str]) -> Result<Survey, Error> {
        let mut state = self.state.lock().await;
        let answer = self.ask_metadata(&mut state, topics).await?;
        let addresses = addresses(&answer);
        let mut found = BTreeMap::new();
        let mut missing = BTreeMap::new();
        for &topic in topics {
            match checked(
                answer.topics.iter().find(|view| view.name.as_ref().is_some_and(|n| n.as_str() == topic)),
                topic,
            ) {
                Ok(view) => drop(found.insert(topic.to_owned(), surveyed(view, &addresses))),
                Err(error) if topics.len() == missing.len() + 1 => return Err(error),
                Err(error) => drop(missing.insert(topic.to_owned(), error.to_string())),
            }
        }
        for (id, address) in &addresses {
            let led: Vec<(&str, Vec<i32>)> =
                found.iter().map(|(name, topic)| (name.as_str(), led(topic, *id))).collect();
            let starts = self.offsets_of(&mut state, address, &led, EARLIEST).await;
            let ends = if starts.is_empty() {
                starts.clone()
            } else {
                self.offsets_of(&mut state, address, &led, LATEST).await
            };
            for (name, topic) in &mut found {
                for view in topic.partitions.iter_mut().filter(|view| view.leader == Some(*id)) {
                    let key = (name.clone(), view.partition);
                    (view.start, view.end) = (starts.get(&key).copied(), ends.get(&key).copied());
                }
            }
        }
        let replicas = found.values().flat_map(|topic| &topic.partitions).flat_map(|p| p.replicas.iter().copied());
        let ids: BTreeSet<i32> = replicas.chain(addresses.keys().copied()).collect();
        Ok(Survey {
            cluster_id: answer.cluster_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            brokers: ids.into_iter().map(|id| Broker { id, address: addresses.get(&id).cloned() }).collect(),
            topics: found,
            missing,
        })
    }

    /// What one leader says of its partitions; empty when it does not answer.
    async fn offsets_of(&self, state: &mut State, leader: &str, led: &[(&str, Vec<i32>)], timestamp: i64) -> Offsets {
        let each = |&partition: &i32| {
            ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        };
        let asked: Vec<ListOffsetsTopic> = led
            .iter()
            .filter(|(_, partitions)| !partitions.is_empty())
            .map(|(topic, partitions)| {
                ListOffsetsTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions.iter().map(each).collect())
            })
            .collect();
        if asked.is_empty() {
            return Offsets::new();
        }
        let ask = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(asked);
        match self.call_within(state, leader, 7, &ask, LEADER_TIMEOUT).await {
            Ok(ListOffsetsResponse { topics, .. }) => topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), partition)))
                .filter(|(_, partition)| partition.error_code == 0)
                .map(|(topic, partition)| ((topic, partition.partition_index), partition.offset))
                .collect(),
            Err(error) => {
                tracing::debug!(leader, %error, "a leader did not tell its bounds");
                Offsets::new()
            }
        }
    }
}

/// Without bounds: those its leaders know.
fn surveyed(view: &MetadataResponseTopic, addresses: &HashMap<i32, String>) -> SurveyedTopic {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    let mut partitions: Vec<PartitionView> = view
        .partitions
        .iter()
        .map(|p| PartitionView {
            partition: p.partition_index,
            leader: addresses.contains_key(&p.leader_id.0).then_some(p.leader_id.0),
            replicas: ids(&p.replica_nodes),
            in_sync: ids(&p.isr_nodes),
            start: None,
            end: None,
        })
        .collect();
    partitions.sort_unstable_by_key(|view| view.partition);
    SurveyedTopic { topic_id: view.topic_id, partitions }
}

/// What a broker leads of a topic.
fn led(topic: &SurveyedTopic, broker: i32) -> Vec<i32> {
    topic.partitions.iter().filter(|view| view.leader == Some(broker)).map(|view| view.partition).collect()
}
