//! A topic with its brokers, leaders, replicas and bounds in as few questions as there are brokers: what a
//! monitor asks once a second.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse};
use uuid::Uuid;

use super::{EARLIEST, Error, Inspector, LATEST, State, addresses, name, topic_of};

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

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// `cluster.id`.
    pub cluster_id: String,
    /// Topic id (KIP-516).
    pub topic_id: Uuid,
    /// Brokers that are listed or hold a replica, by id.
    pub brokers: Vec<Broker>,
    /// Partitions by number.
    pub partitions: Vec<PartitionView>,
}

impl Inspector {
    /// The topic and its cluster now. A leader that does not answer leaves its partitions without bounds.
    ///
    /// # Errors
    /// [`Error::NoSuchTopic`], [`Error::Unreachable`] when no broker answers.
    pub async fn survey(&self, topic: &str) -> Result<Survey, Error> {
        let mut state = self.state.lock().await;
        let answer = self.ask_metadata(&mut state, topic).await?;
        let view = topic_of(&answer, topic)?;
        let addresses = addresses(&answer);
        let mut partitions: BTreeMap<i32, PartitionView> = view
            .partitions
            .iter()
            .map(|p| {
                let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
                let view = PartitionView {
                    partition: p.partition_index,
                    leader: addresses.contains_key(&p.leader_id.0).then_some(p.leader_id.0),
                    replicas: ids(&p.replica_nodes),
                    in_sync: ids(&p.isr_nodes),
                    start: None,
                    end: None,
                };
                (p.partition_index, view)
            })
            .collect();
        for (id, address) in &addresses {
            let led: Vec<i32> = partitions.values().filter(|p| p.leader == Some(*id)).map(|p| p.partition).collect();
            let starts = self.offsets_of(&mut state, address, topic, &led, EARLIEST).await;
            let ends = if starts.is_empty() {
                starts.clone()
            } else {
                self.offsets_of(&mut state, address, topic, &led, LATEST).await
            };
            for (partition, offset) in starts {
                partitions.entry(partition).and_modify(|view| view.start = Some(offset));
            }
            for (partition, offset) in ends {
                partitions.entry(partition).and_modify(|view| view.end = Some(offset));
            }
        }
        let known = partitions.values().flat_map(|p| p.replicas.iter().copied()).chain(addresses.keys().copied());
        let mut ids: Vec<i32> = known.collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(Survey {
            cluster_id: answer.cluster_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            topic_id: view.topic_id,
            brokers: ids.into_iter().map(|id| Broker { id, address: addresses.get(&id).cloned() }).collect(),
            partitions: partitions.into_values().collect(),
        })
    }

    /// What one leader says of its partitions; empty when it does not answer.
    async fn offsets_of(
        &self,
        state: &mut State,
        leader: &str,
        topic: &str,
        partitions: &[i32],
        timestamp: i64,
    ) -> Vec<(i32, i64)> {
        if partitions.is_empty() {
            return Vec::new();
        }
        let each = |&partition: &i32| {
            ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        };
        let ask = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
            ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions.iter().map(each).collect()),
        ]);
        match self.call_within(state, leader, 7, &ask, LEADER_TIMEOUT).await {
            Ok(ListOffsetsResponse { topics, .. }) => topics
                .iter()
                .flat_map(|t| &t.partitions)
                .filter(|p| p.error_code == 0)
                .map(|p| (p.partition_index, p.offset))
                .collect(),
            Err(error) => {
                tracing::debug!(leader, %error, "a leader did not tell its bounds");
                Vec::new()
            }
        }
    }
}
