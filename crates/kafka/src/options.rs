//! The one place that settings of Kafka clients go through.

use rdkafka::ClientConfig;

/// How to reach the brokers.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Bootstrap brokers, `host:port`, separated by commas.
    #[arg(
        long = "kafka-brokers",
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:29092,127.0.0.1:29192,127.0.0.1:29292"
    )]
    pub brokers: String,
}

impl Options {
    /// The settings that every client shares. `client_id` shows up in the brokers' logs and quotas.
    pub fn client(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "10000");
        config
    }

    /// The bootstrap addresses, one by one.
    ///
    /// # Errors
    /// Names the entry that is not `host:port`.
    pub fn addresses(&self) -> Result<Vec<String>, String> {
        let addresses: Vec<String> =
            self.brokers.split(',').map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect();
        if addresses.is_empty() {
            return Err("KAFKA_BROKERS is empty: give host:port[,host:port…]".into());
        }
        for address in &addresses {
            let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
            if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
                return Err(format!("KAFKA_BROKERS: `{address}` is not host:port"));
            }
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn a_broker_without_a_port_is_named() {
        let options = Options { brokers: "kafka1:9092,kafka2".into() };
        assert_eq!(options.addresses(), Err("KAFKA_BROKERS: `kafka2` is not host:port".into()));
    }
}
