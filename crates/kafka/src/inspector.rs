//! What the log itself says, asked of the partition's leader.
//!
//! librdkafka tells neither topic ids nor leader epochs through its safe interface, and it goes
//! on silently when a topic is deleted and created again with more records than before (its
//! source says so). So the claim and every batch ask the brokers themselves, over connections
//! of the inspector's own, with the generated structs of `kafka-protocol`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    BrokerId, ListOffsetsRequest, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::options::Options;

mod entrance;
mod group;
mod retention;
mod survey;
mod wire;

use entrance::{Entrance, Shut};
pub use group::{GroupDescription, GroupMember};
pub use survey::{Broker, PartitionView, Survey, SurveyedTopic};
use wire::Connection;

/// Bound of one question, connecting included.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bound for one broker while there are others to ask.
const IMPATIENT: Duration = Duration::from_millis(200);
/// Pause before a partition between two leaders is asked for again.
const BETWEEN_LEADERS: Duration = Duration::from_millis(50);
/// What a partition between two leaders is answered with: `LEADER_NOT_AVAILABLE`, `NOT_LEADER_OR_FOLLOWER`,
/// `FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH`, `OFFSET_NOT_AVAILABLE` (KIP-207). Any client asks again then.
const BETWEEN_LEADERS_CODES: [i16; 5] = [5, 6, 74, 75, 78];
/// Kafka's `UNKNOWN_SERVER_ERROR`: an answer that leaves out what was asked for.
const UNKNOWN_SERVER_ERROR: i16 = -1;
/// Kafka's `UNKNOWN_TOPIC_OR_PARTITION`.
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// `TOPIC_AUTHORIZATION_FAILED`, `GROUP_AUTHORIZATION_FAILED`, `CLUSTER_AUTHORIZATION_FAILED`.
const UNAUTHORIZED: [i16; 3] = [29, 30, 31];
/// `ListOffsets` timestamps with a meaning of their own (KIP-79).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No broker answered. Transient.
    #[error("no broker answered: {0}")]
    Unreachable(String),
    /// A certificate or a login was refused, by the broker or by us; names the setting. Waiting does not cure it.
    #[error("{address}: {reason}")]
    Refused {
        /// `host:port`.
        address: String,
        /// Why.
        reason: String,
    },
    /// A broker answered with an error code. Transient, unless it says otherwise.
    #[error("{doing}: {}", named(*.code))]
    Code {
        /// What was asked.
        doing: &'static str,
        /// Kafka's numeric error code.
        code: i16,
    },
    /// Nobody leads the partition: its brokers are down, or choosing. Transient.
    #[error("partition {partition} of {topic} has no leader")]
    NoLeader {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// The topic or partition does not exist (any more).
    #[error("topic {topic} does not exist")]
    NoSuchTopic {
        /// Its name.
        topic: String,
    },
}

impl Error {
    /// Whether waiting may cure it: not where somebody has to give a right, or correct a setting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NoLeader { .. } => true,
            Self::Code { code, .. } => !UNAUTHORIZED.contains(code),
            Self::Refused { .. } | Self::NoSuchTopic { .. } => false,
        }
    }

    fn is_between_leaders(&self) -> bool {
        match self {
            Self::NoLeader { .. } => true,
            Self::Code { code, .. } => BETWEEN_LEADERS_CODES.contains(code),
            _ => false,
        }
    }
}

/// A topic as the cluster has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// `cluster.id`.
    pub cluster_id: String,
    /// Topic id (KIP-516).
    pub topic_id: Uuid,
    /// Number of partitions.
    pub partitions: usize,
}

/// The offsets that a partition's log has: `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Log start offset.
    pub start: i64,
    /// High watermark: the next offset that will be visible.
    pub end: i64,
}

/// Asks brokers. Cheap questions (0.2-1.3 ms on a quiet cluster); one at a time.
pub struct Inspector {
    bootstrap: Vec<String>,
    client_id: String,
    entrance: Entrance,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<String, Connection>,
    leaders: HashMap<(String, i32), String>,
    coordinators: HashMap<String, String>,
    /// Index of the bootstrap broker that answered last.
    answered: usize,
}

impl Inspector {
    /// Reads the addresses and the files of certificates; connects to nothing.
    ///
    /// # Errors
    /// As [`Options::validate`].
    pub fn new(options: &Options, client_id: &str) -> Result<Self, String> {
        Ok(Self {
            bootstrap: options.addresses()?,
            client_id: client_id.to_owned(),
            entrance: Entrance::new(&options.security)?,
            state: Mutex::default(),
        })
    }

    /// The topic's identity, from the first bootstrap broker that answers.
    ///
    /// # Errors
    /// [`Error::NoSuchTopic`], [`Error::Unreachable`].
    pub async fn topic(&self, topic: &str) -> Result<TopicView, Error> {
        let mut state = self.state.lock().await;
        self.metadata(&mut state, topic).await
    }

    /// The bounds of some partitions.
    ///
    /// # Errors
    /// The first partition that has no answer, as [`Error`].
    pub async fn bounds(&self, topic: &str, partitions: &[i32]) -> Result<HashMap<i32, Bounds>, Error> {
        let mut bounds = HashMap::new();
        for &partition in partitions {
            let start = self.list_offset(topic, partition, EARLIEST).await?;
            let end = self.list_offset(topic, partition, LATEST).await?;
            bounds.insert(partition, Bounds { start, end });
        }
        Ok(bounds)
    }

    /// The first offset whose record was appended at or after `timestamp_ms` (ms since the epoch);
    /// the end of the log when there is none.
    ///
    /// # Errors
    /// As [`Error`].
    pub async fn offset_at(&self, topic: &str, partition: i32, timestamp_ms: i64) -> Result<i64, Error> {
        match self.list_offset(topic, partition, timestamp_ms.max(0)).await? {
            -1 => self.list_offset(topic, partition, LATEST).await,
            offset => Ok(offset),
        }
    }

    /// Where the leader's log ends for `epoch`: the start of the next epoch, or the log's end.
    /// Below a stored offset of that epoch, the log was truncated (KIP-320). -1 when the leader
    /// knows no such epoch.
    ///
    /// # Errors
    /// As [`Error`].
    pub async fn epoch_end(&self, topic: &str, partition: i32, epoch: i32) -> Result<i64, Error> {
        let ask = OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
            OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![
                OffsetForLeaderPartition::default()
                    .with_partition(partition)
                    .with_current_leader_epoch(-1)
                    .with_leader_epoch(epoch),
            ]),
        ]);
        let doing = "asking where a leader epoch ends";
        let answer = self.ask_leader(
            topic,
            partition,
            doing,
            4,
            ask,
            |answer: &kafka_protocol::messages::OffsetForLeaderEpochResponse| {
                answer.topics.first().and_then(|t| t.partitions.first()).map(|p| (p.error_code, p.end_offset))
            },
        );
        answer.await
    }

    async fn list_offset(&self, topic: &str, partition: i32, timestamp: i64) -> Result<i64, Error> {
        let ask = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
            ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(timestamp),
            ]),
        ]);
        let doing = "asking for an offset";
        self.ask_leader(topic, partition, doing, 7, ask, |answer: &kafka_protocol::messages::ListOffsetsResponse| {
            answer.topics.first().and_then(|t| t.partitions.first()).map(|p| (p.error_code, p.offset))
        })
        .await
    }

    /// Asks the partition's leader. While a leadership moves, brokers disagree about it for a moment: as long
    /// as an answer says that, it is looked up and asked again, within [`TIMEOUT`].
    async fn ask_leader<Q>(
        &self,
        topic: &str,
        partition: i32,
        doing: &'static str,
        version: i16,
        ask: Q,
        read: impl Fn(&Q::Response) -> Option<(i16, i64)>,
    ) -> Result<i64, Error>
    where
        Q: kafka_protocol::protocol::Request,
    {
        let until = Instant::now() + TIMEOUT;
        loop {
            let error = match self.ask_leader_once(topic, partition, version, &ask).await {
                Ok(answer) => match read(&answer) {
                    Some((0, offset)) => return Ok(offset),
                    Some((code, _)) => Error::Code { doing, code },
                    None => Error::Unreachable("an answer without the partition".into()),
                },
                Err(error) => error,
            };
            self.state.lock().await.leaders.remove(&(topic.to_owned(), partition));
            if !error.is_between_leaders() || Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(BETWEEN_LEADERS).await;
        }
    }

    /// A connection that was cut meanwhile is opened again, once.
    async fn ask_leader_once<Q>(&self, topic: &str, partition: i32, version: i16, ask: &Q) -> Result<Q::Response, Error>
    where
        Q: kafka_protocol::protocol::Request,
    {
        let mut state = self.state.lock().await;
        let key = (topic.to_owned(), partition);
        if let Some(leader) = state.leaders.get(&key).cloned()
            && let Ok(answer) = self.call(&mut state, &leader, version, ask).await
        {
            return Ok(answer);
        }
        self.metadata(&mut state, topic).await?;
        let leader = state.leaders.get(&key).cloned();
        let leader = leader.ok_or_else(|| Error::NoLeader { topic: topic.to_owned(), partition })?;
        self.call(&mut state, &leader, version, ask).await
    }

    async fn metadata(&self, state: &mut State, topic: &str) -> Result<TopicView, Error> {
        let answer = self.ask_metadata(state, &[topic]).await?;
        let view = checked(answer.topics.first(), topic)?;
        let brokers = addresses(&answer);
        state.leaders.retain(|(name, _), _| name != topic);
        for partition in &view.partitions {
            if let Some(address) = brokers.get(&partition.leader_id.0) {
                state.leaders.insert((topic.to_owned(), partition.partition_index), address.clone());
            }
        }
        Ok(TopicView {
            cluster_id: answer.cluster_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            topic_id: view.topic_id,
            partitions: view.partitions.len(),
        })
    }

    async fn ask_metadata(&self, state: &mut State, topics: &[&str]) -> Result<MetadataResponse, Error> {
        let topics = topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic)))).collect();
        let ask = MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(false);
        self.ask_any(state, 12, &ask).await
    }

    /// What any broker can answer, from the first bootstrap broker that does.
    async fn ask_any<Q>(&self, state: &mut State, version: i16, ask: &Q) -> Result<Q::Response, Error>
    where
        Q: kafka_protocol::protocol::Request,
    {
        let (mut failed, mut refused) = (Vec::new(), None);
        let first = state.answered;
        for turn in 0..self.bootstrap.len() {
            let index = (first + turn) % self.bootstrap.len();
            let address = &self.bootstrap[index];
            // A frozen broker must not hold up what the others can answer.
            let bound = if turn + 1 < self.bootstrap.len() { IMPATIENT } else { TIMEOUT };
            match self.call_within(state, address, version, ask, bound).await {
                Ok(answer) => {
                    state.answered = index;
                    return Ok(answer);
                }
                Err(error @ Error::Refused { .. }) => refused = Some(error),
                Err(error) => failed.push(format!("{address} ({error})")),
            }
        }
        Err(refused.unwrap_or_else(|| Error::Unreachable(failed.join(", "))))
    }

    async fn call<Q>(&self, state: &mut State, address: &str, version: i16, ask: &Q) -> Result<Q::Response, Error>
    where
        Q: kafka_protocol::protocol::Request,
    {
        self.call_within(state, address, version, ask, TIMEOUT).await
    }

    async fn call_within<Q>(
        &self,
        state: &mut State,
        address: &str,
        version: i16,
        ask: &Q,
        bound: Duration,
    ) -> Result<Q::Response, Error>
    where
        Q: kafka_protocol::protocol::Request,
    {
        // Taken out for the time of the call: one that fails, times out or is cancelled is not used again.
        let kept = state.connections.remove(address).filter(|connection| !connection.has_expired());
        let bound = if kept.is_some() { bound } else { bound + self.entrance.allowance() };
        let exchange = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.entrance.open(address, &self.client_id).await?,
            };
            let answer = connection.call(version, ask).await?;
            Ok::<_, Shut>((connection, answer))
        };
        match tokio::time::timeout(bound, exchange).await {
            Ok(Ok((connection, answer))) => {
                state.connections.insert(address.to_owned(), connection);
                Ok(answer)
            }
            Ok(Err(Shut::Io(error))) => Err(Error::Unreachable(error.to_string())),
            Ok(Err(Shut::Refused(reason))) => Err(Error::Refused { address: address.to_owned(), reason }),
            Err(_) => Err(Error::Unreachable(format!("no answer within {} s", bound.as_secs_f32()))),
        }
    }
}

/// Kafka's name of an error code, where the library knows it.
fn named(code: i16) -> String {
    kafka_protocol::error::ResponseError::try_from_code(code)
        .map_or_else(|| format!("Kafka error code {code}"), |error| format!("{error:?} (Kafka error code {code})"))
}

/// What the answer says of a topic that was asked for, unless that is an error.
fn checked<'a>(view: Option<&'a MetadataResponseTopic>, topic: &str) -> Result<&'a MetadataResponseTopic, Error> {
    let doing = "asking for a topic";
    let view = view.ok_or(Error::Code { doing, code: UNKNOWN_SERVER_ERROR })?;
    match view.error_code {
        0 => Ok(view),
        UNKNOWN_TOPIC_OR_PARTITION => Err(Error::NoSuchTopic { topic: topic.to_owned() }),
        code => Err(Error::Code { doing, code }),
    }
}

/// Broker id to `host:port`.
fn addresses(answer: &MetadataResponse) -> HashMap<i32, String> {
    answer.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect()
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from(topic.to_owned()))
}
