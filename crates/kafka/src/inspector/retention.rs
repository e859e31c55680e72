//! How long a topic keeps its records.

use std::time::Duration;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Error, Inspector, addresses};

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;
const RETENTION: &str = "retention.ms";

impl Inspector {
    /// The topic's `retention.ms`, wherever it was set; `None` where records are kept without end (-1). Needs the
    /// right to describe the topic's settings.
    ///
    /// # Errors
    /// [`Error::NoSuchTopic`], [`Error::Unreachable`], [`Error::Code`] when it may not be asked.
    pub async fn retention(&self, topic: &str) -> Result<Option<Duration>, Error> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(RETENTION)]));
        let ask = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let mut state = self.state.lock().await;
        let brokers = addresses(&self.ask_metadata(&mut state, &[topic]).await?);
        let broker = brokers.values().next().ok_or_else(|| Error::Unreachable("no broker is listed".into()))?;
        let DescribeConfigsResponse { results, .. } = self.call(&mut state, broker, 4, &ask).await?;
        let result = results.first().ok_or_else(|| Error::Unreachable("an answer without the topic".into()))?;
        if result.error_code != 0 {
            return Err(Error::Code { doing: "asking for a topic's retention", code: result.error_code });
        }
        let value =
            result.configs.iter().find(|config| config.name.as_str() == RETENTION).and_then(|c| c.value.as_ref());
        Ok(value.and_then(|ms| ms.parse::<u64>().ok()).map(Duration::from_millis))
    }
}
