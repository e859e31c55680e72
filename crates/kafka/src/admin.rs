//! Topics and group settings.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use schema::topics::{MIN_INSYNC_REPLICAS, REPLICATION_FACTOR, Topic};

use crate::inspector::{self, Inspector};
use crate::options::Options;

/// Bound of one admin request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the admin calls can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings name no brokers, or do not fit together.
    #[error("{0}")]
    Settings(String),
    /// The client could not be made, or the brokers did not answer.
    #[error("asking the brokers")]
    Client(#[from] KafkaError),
    /// Which topics there are could not be found out.
    #[error(transparent)]
    Inspector(#[from] inspector::Error),
    /// The brokers refused.
    #[error("{what}: {code}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Their answer.
        code: RDKafkaErrorCode,
    },
}

impl Error {
    /// Whether waiting may cure it: brokers that are away or not all there yet.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Settings(_) => false,
            Self::Client(_) => true,
            Self::Inspector(error) => error.is_transient(),
            Self::Refused { code, .. } => {
                use RDKafkaErrorCode as Code;
                matches!(
                    code,
                    Code::InvalidReplicationFactor
                        | Code::NotController
                        | Code::RequestTimedOut
                        | Code::OperationTimedOut
                        | Code::CoordinatorNotAvailable
                        | Code::BrokerNotAvailable
                        | Code::NetworkException
                )
            }
        }
    }
}

/// Makes the topics of the catalogue that are missing; those that exist are left as they are, and
/// nothing is asked for that a user without the right to make topics may not ask.
/// Returns the names of the new ones.
///
/// # Errors
/// [`Error::Refused`] names the topic; with fewer than three brokers up it is transient.
pub async fn ensure_topics(options: &Options, client_id: &str, topics: &[Topic]) -> Result<Vec<String>, Error> {
    let inspector = Inspector::new(options, client_id).map_err(Error::Settings)?;
    let mut missing = Vec::new();
    for topic in topics {
        match inspector.topic(topic.name).await {
            Ok(_) => {}
            Err(inspector::Error::NoSuchTopic { .. }) => missing.push(*topic),
            Err(error) => return Err(error.into()),
        }
    }
    if missing.is_empty() { Ok(Vec::new()) } else { make_topics(options, client_id, &missing).await }
}

async fn make_topics(options: &Options, client_id: &str, topics: &[Topic]) -> Result<Vec<String>, Error> {
    let admin = client(options, client_id)?;
    let settings: Vec<(String, String)> =
        topics.iter().map(|topic| (topic.retention.as_millis().to_string(), MIN_INSYNC_REPLICAS.to_string())).collect();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .zip(&settings)
        .map(|(topic, (retention, in_sync))| {
            NewTopic::new(topic.name, topic.partitions, TopicReplication::Fixed(REPLICATION_FACTOR))
                .set("min.insync.replicas", in_sync)
                .set("retention.ms", retention)
                .set("cleanup.policy", "delete")
                .set("unclean.leader.election.enable", "false")
        })
        .collect();
    let mut made = Vec::new();
    for answer in admin.create_topics(&new, &admin_options()).await? {
        match answer {
            Ok(name) => made.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(Error::Refused { what: format!("creating topic {name}"), code }),
        }
    }
    Ok(made)
}

/// Sets a KIP-848 group's session time-out and heartbeat interval, both in milliseconds. They are
/// settings of the group on the broker, bounded below by the broker's own minima; the group need
/// not exist.
///
/// # Errors
/// [`Error::Refused`] when they are under the broker's minima.
pub async fn set_group_timeouts(
    options: &Options,
    client_id: &str,
    group: &str,
    session_ms: u32,
    heartbeat_ms: u32,
) -> Result<(), Error> {
    let admin = client(options, client_id)?;
    let (session, heartbeat) = (session_ms.to_string(), heartbeat_ms.to_string());
    let config = AlterConfig::new(ResourceSpecifier::Group(group))
        .set("consumer.session.timeout.ms", &session)
        .set("consumer.heartbeat.interval.ms", &heartbeat);
    for answer in admin.alter_configs(&[config], &admin_options()).await? {
        if let Err((resource, code)) = answer {
            let name = match resource {
                OwnedResourceSpecifier::Group(name) => name,
                other => format!("{other:?}"),
            };
            return Err(Error::Refused { what: format!("setting the time-outs of group {name}"), code });
        }
    }
    Ok(())
}

fn client(options: &Options, client_id: &str) -> Result<AdminClient<DefaultClientContext>, Error> {
    Ok(options.client(client_id).create()?)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
