//! What a test under `testkit run` is given. Like every test of the workspace that needs services,
//! it fails without them, with the command to run.

use anyhow::Result;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::time::Duration;
use testkit::shared;
use tokio_postgres::NoTls;

#[tokio::test]
async fn each_test_has_the_brokers_and_a_database_of_its_own() -> Result<()> {
    let (one, other) = (shared().await, shared().await);
    assert_ne!(one.database_url, other.database_url);
    for shared in [&one, &other] {
        let (client, connection) = tokio_postgres::connect(&shared.database_url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE nobody_else_s (x int)").await?;
    }
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &one.brokers).create()?;
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(10))?;
    assert_eq!(metadata.brokers().len(), testkit::BROKERS);
    Ok(())
}
