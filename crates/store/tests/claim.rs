//! Waiting for the lock of a stored offset ends the backend that the row names, and no other.

use anyhow::{Context as _, Result};
use millrace_store::claim::{Claimant, LogPartition, lock};
use millrace_store::connect::Session;
use millrace_store::sensor_readings::TARGET;
use millrace_store::{Options, Store, migrate};
use uuid::Uuid;

fn claimant(session: &Session) -> Claimant {
    Claimant {
        group_id: "sensor-consumers".into(),
        consumer_id: "sensor-consumer-1".into(),
        boot_id: Uuid::new_v4(),
        claim: Uuid::new_v4(),
        writer: session.backend,
    }
}

#[tokio::test]
async fn a_claim_ends_exactly_the_backend_that_the_row_names() -> Result<()> {
    let options = Options { database_url: testkit::shared().await.database_url, database_pool_size: 4 };
    let store = Store::new(&options, "claim-test")?;
    migrate::run(&store).await?;
    let log = LogPartition {
        cluster_id: "cluster".into(),
        topic_id: Uuid::new_v4(),
        topic: "sensor-readings".into(),
        partition: 0,
    };
    let (owner, successor, bystander) =
        (store.batch_session().await?, store.batch_session().await?, store.batch_session().await?);
    lock(&store, TARGET, &log, owner.backend).await?.take(&claimant(&owner), 0, false).await?;

    // The owner holds the row in an open transaction; the others are in transactions, too.
    for session in [&owner, &successor, &bystander] {
        session.client.batch_execute("BEGIN; SELECT count(*) FROM stored_offsets").await?;
    }
    owner.client.batch_execute("SELECT 1 FROM stored_offsets FOR UPDATE").await?;
    let locked = lock(&store, TARGET, &log, successor.backend).await?;
    assert_eq!(locked.ended(), [owner.backend]);
    locked.take(&claimant(&successor), 0, false).await?;

    assert!(owner.client.batch_execute("COMMIT").await.is_err(), "the owner's backend was ended");
    bystander.client.batch_execute("COMMIT").await.context("a bystander was ended")?;
    successor.client.batch_execute("COMMIT").await.context("the successor's writer was ended")
}
