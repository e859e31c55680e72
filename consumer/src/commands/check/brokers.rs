//! The brokers' half of `consumer check`.

use std::time::{Duration, Instant};

use kafka::Inspector;
use lifecycle::Checklist;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::{Offset, TopicPartitionList};
use schema::topics::{MIN_INSYNC_REPLICAS, REPLICATION_FACTOR};

use super::Options;
use crate::commands::CLIENT_ID;
use crate::commands::failure::chain;

/// Bound of one question.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn check(options: &Options, lines: &mut Checklist) {
    if let Some(text) = refusal(options).await {
        return lines.misconfigured("brokers", text);
    }
    let consumer = options.kafka.client(CLIENT_ID).set("group.id", &options.group).create::<BaseConsumer>();
    let consumer = match consumer {
        Ok(consumer) => consumer,
        Err(error) => return lines.misconfigured("brokers", chain(&error)),
    };
    let metadata = match consumer.fetch_metadata(Some(&options.topic), TIMEOUT) {
        Ok(metadata) => metadata,
        Err(error) => {
            let brokers = &options.kafka.brokers;
            let text = format!("{brokers}: {}; are they running, and does KAFKA_BROKERS name them?", chain(&error));
            return lines.failed("brokers", text);
        }
    };
    count_brokers(&metadata, lines);
    let name = format!("topic {}", options.topic);
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == options.topic) else {
        return lines.misconfigured(&name, "does not exist: run `consumer migrate`");
    };
    if let Some(error) = topic.error() {
        return match RDKafkaErrorCode::from(error) {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                lines.misconfigured(&name, "does not exist: run `consumer migrate`");
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                lines.misconfigured(&name, "may not be described: allow Describe and Read to this client");
            }
            code => lines.failed(&name, code.to_string()),
        };
    }
    replicas(&name, topic, lines);
    match min_insync_replicas(options).await {
        Ok(count) if count >= MIN_INSYNC_REPLICAS => lines.ok(&name, format!("min.insync.replicas {count}")),
        Ok(count) => lines.warning(
            &name,
            format!("min.insync.replicas {count}: an acknowledged record can be on one broker only; set {MIN_INSYNC_REPLICAS}"),
        ),
        Err(text) => lines.warning(&name, format!("min.insync.replicas is unknown: {text}")),
    }
    reading(&consumer, options, &name, lines);
    inspector(options, topic.partitions().len(), &name, lines).await;
}

/// What librdkafka does not say: which setting a broker refuses us for.
async fn refusal(options: &Options) -> Option<String> {
    let inspector = Inspector::new(&options.kafka, CLIENT_ID).ok()?;
    let error = inspector.topic(&options.topic).await.err()?;
    matches!(error, kafka::inspector::Error::Refused { .. }).then(|| error.to_string())
}

fn count_brokers(metadata: &Metadata, lines: &mut Checklist) {
    let names: Vec<String> = metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
    let text = format!("{} answer: {}", names.len(), names.join(", "));
    let wanted = usize::try_from(REPLICATION_FACTOR).expect("a small constant");
    if names.len() >= wanted {
        lines.ok("brokers", text)
    } else {
        lines.warning("brokers", format!("{text}; {wanted} are meant to"))
    }
}

fn replicas(name: &str, topic: &MetadataTopic, lines: &mut Checklist) {
    let partitions = topic.partitions();
    let leaderless: Vec<String> = partitions.iter().filter(|p| p.leader() < 0).map(|p| p.id().to_string()).collect();
    if !leaderless.is_empty() {
        let list = leaderless.join(", ");
        return lines.failed(name, format!("partitions {list} have no leader: start the brokers that are down"));
    }
    let fewest = partitions.iter().map(|p| p.replicas().len()).min().unwrap_or(0);
    let lagging = partitions.iter().filter(|p| p.isr().len() < p.replicas().len()).count();
    let text = format!("{} partitions, {fewest} replicas each", partitions.len());
    if i32::try_from(fewest).is_ok_and(|fewest| fewest < REPLICATION_FACTOR) {
        lines.warning(name, format!("{text}: {REPLICATION_FACTOR} are meant to be; a broker's loss can lose records"));
    } else if lagging > 0 {
        lines.warning(name, format!("{text}, {lagging} of them not fully in sync: a broker is down or catching up"));
    } else {
        lines.ok(name, format!("{text}, all in sync"));
    }
}

async fn min_insync_replicas(options: &Options) -> Result<i32, String> {
    let admin: AdminClient<DefaultClientContext> =
        options.kafka.client(CLIENT_ID).create().map_err(|error| chain(&error))?;
    let asked = [ResourceSpecifier::Topic(&options.topic)];
    let answer = admin.describe_configs(&asked, &AdminOptions::new().request_timeout(Some(TIMEOUT))).await;
    let topic = answer.map_err(|error| chain(&error))?.pop().ok_or("no answer")?.map_err(|code| code.to_string())?;
    let value = topic.get("min.insync.replicas").and_then(|entry| entry.value.as_deref());
    value.and_then(|value| value.parse().ok()).ok_or_else(|| "not told".into())
}

/// Fetches from a partition without joining the group, and asks for the group's committed offset.
fn reading(consumer: &BaseConsumer, options: &Options, name: &str, lines: &mut Checklist) {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition(&options.topic, 0);
    let group = format!("group {}", options.group);
    match consumer.committed_offsets(partitions.clone(), TIMEOUT) {
        Ok(_) => lines.ok(&group, "its coordinator answers, its offsets may be read"),
        Err(KafkaError::OffsetFetch(RDKafkaErrorCode::GroupAuthorizationFailed)) => {
            lines.misconfigured(&group, "allow Describe and Read of the group to this client");
        }
        Err(error) => lines.failed(&group, chain(&error)),
    }
    match fetch(consumer, partitions) {
        Ok(()) => lines.ok(name, "may be read"),
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            lines.misconfigured(name, "may not be read: allow Read to this client");
        }
        Err(error) => lines.failed(name, chain(&error)),
    }
}

fn fetch(consumer: &BaseConsumer, mut partitions: TopicPartitionList) -> Result<(), KafkaError> {
    partitions.set_all_offsets(Offset::OffsetTail(1))?;
    consumer.assign(&partitions)?;
    // An empty partition answers nothing: no refusal within this time is leave.
    let end = Instant::now() + Duration::from_millis(700);
    let mut answer = Ok(());
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match consumer.poll(left) {
            Some(Ok(_)) => break,
            Some(Err(error)) => answer = Err(error),
            None => {}
        }
    }
    consumer.unassign()?;
    answer
}

/// The second way to the brokers, which claims use.
async fn inspector(options: &Options, partitions: usize, name: &str, lines: &mut Checklist) {
    let asked = async {
        let inspector = Inspector::new(&options.kafka, CLIENT_ID)?;
        let all: Vec<i32> = (0..).take(partitions).collect();
        let view = inspector.topic(&options.topic).await.map_err(|error| error.to_string())?;
        let bounds = inspector.bounds(&options.topic, &all).await.map_err(|error| error.to_string())?;
        Ok::<_, String>((view, bounds))
    };
    match asked.await {
        Ok((view, bounds)) => {
            let records: i64 = bounds.values().map(|b| b.end - b.start).sum();
            lines.ok(name, format!("topic id {}, {records} offsets in the log", view.topic_id));
        }
        Err(text) => lines.failed(name, format!("its leaders do not say the log's bounds: {text}")),
    }
}
