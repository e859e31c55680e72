//! The one place that settings of Kafka clients go through.

use rdkafka::ClientConfig;

use crate::security::Security;

/// How to reach the brokers.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Bootstrap brokers, `host:port`, separated by commas
    #[arg(
        long = "kafka-brokers",
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:29092,127.0.0.1:29192,127.0.0.1:29292"
    )]
    pub brokers: String,
    /// How to be let in by them
    #[command(flatten)]
    pub security: Security,
}

impl Options {
    /// Brokers that are reached over plain TCP.
    pub fn plaintext(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), security: Security::default() }
    }

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
        self.security.apply_to(&mut config);
        config
    }

    /// Whether a client can be made of them. Reads the files of certificates; connects to nothing.
    ///
    /// # Errors
    /// Names the setting. A configuration error (exit 64).
    pub fn validate(&self) -> Result<(), String> {
        self.addresses()?;
        self.security.validate()
    }

    /// The bootstrap addresses, one by one.
    pub(crate) fn addresses(&self) -> Result<Vec<String>, String> {
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
        let options = Options::plaintext("kafka1:9092,kafka2");
        assert_eq!(options.validate(), Err("KAFKA_BROKERS: `kafka2` is not host:port".into()));
    }
}
