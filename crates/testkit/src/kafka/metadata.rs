//! Who leads what: asked from the brokers, so that a test can kill the right one.

use super::{BROKERS, Kafka};
use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::Metadata;
use std::fs;
use std::time::Duration;

/// The topic whose leaders are the coordinators of the groups.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

impl Kafka {
    /// The node id of the leader of a partition.
    ///
    /// # Errors
    /// When no broker answers within seconds, or the partition has no leader now.
    pub async fn leader_of(&self, topic: &str, partition: i32) -> Result<i32> {
        let metadata = self.metadata().await?;
        let topics = metadata.topics().iter().filter(|found| found.name() == topic);
        let mut partitions = topics.flat_map(|found| found.partitions());
        let leader = partitions.find(|found| found.id() == partition).map(|found| found.leader());
        let leader = leader.with_context(|| format!("no partition {topic}-{partition}"))?;
        ensure!(leader >= 0, "{topic}-{partition} has no leader now");
        Ok(leader)
    }

    /// The node id of the broker that coordinates a group: the leader of one partition of
    /// `__consumer_offsets`, chosen by the hash of the group's name (`GroupCoordinator.partitionFor`).
    ///
    /// # Errors
    /// When no group has ever been used on this cluster, or no broker answers.
    pub async fn coordinator_of(&self, group: &str) -> Result<i32> {
        // In a block of its own: metadata is made of pointers, which must not be held over an await.
        let count = {
            let metadata = self.metadata().await?;
            let offsets = metadata.topics().iter().find(|topic| topic.name() == OFFSETS_TOPIC);
            offsets.context("no group has been used yet")?.partitions().len()
        };
        let count = i32::try_from(count).context("counting the partitions of the offsets topic")?;
        ensure!(count > 0, "the offsets topic has no partitions yet");
        self.leader_of(OFFSETS_TOPIC, (java_hash(group) & i32::MAX) % count).await
    }

    /// The node id of the active controller, as the running brokers' own files say.
    ///
    /// # Errors
    /// When no broker runs or none knows.
    pub fn controller(&self) -> Result<i32> {
        let running = self.brokers().iter().filter(|broker| broker.is_running());
        let states = running.filter_map(|broker| {
            let file = broker.data_dir().join("__cluster_metadata-0/quorum-state");
            quorum_leader(&fs::read_to_string(file).ok()?)
        });
        // (epoch, leader): the highest epoch is the newest news.
        states.max().map(|(_, leader)| leader).context("no running broker knows the controller")
    }

    pub(super) async fn metadata(&self) -> Result<Metadata> {
        let bootstrap = self.bootstrap();
        tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .set("reconnect.backoff.ms", "20")
                .set("reconnect.backoff.max.ms", "100")
                // Failed connections are what this waits for: not worth a line each.
                .set("log_level", "0")
                .create()
                .context("making a Kafka client")?;
            client.fetch_metadata(None, Duration::from_secs(5)).context("asking for metadata")
        })
        .await
        .context("asking for metadata")?
    }
}

pub(super) fn healthy(metadata: &Metadata) -> bool {
    metadata.brokers().len() == BROKERS
        && metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .all(|partition| partition.leader() >= 0 && partition.isr().len() == partition.replicas().len())
}

/// `String.hashCode` of Java, which works on UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// `leaderEpoch` and `leaderId` of a broker's `quorum-state` file (a line of JSON).
fn quorum_leader(state: &str) -> Option<(i32, i32)> {
    let number = |key: &str| -> Option<i32> {
        let (_, rest) = state.split_once(&format!("\"{key}\":"))?;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    Some((number("leaderEpoch")?, number("leaderId").filter(|&id| id > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_name_is_java_s() {
        // What `"hello".hashCode()` answers in jshell.
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash(""), 0);
    }

    #[test]
    fn the_leader_is_read_from_a_quorum_state() {
        let state = r#"{"leaderId":2,"leaderEpoch":7,"votedId":-1,"data_version":0}"#;
        assert_eq!(quorum_leader(state), Some((7, 2)));
        assert_eq!(quorum_leader(r#"{"leaderId":-1,"leaderEpoch":7}"#), None);
    }
}
