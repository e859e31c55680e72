//! The Postgres of the test kit breaks the way it is told to, and comes back with what was
//! committed.

use anyhow::Result;
use std::time::Duration;
use testkit::{Postgres, PostgresOptions, wait_until};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

async fn count(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM t", &[]).await.expect("the table is there").get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_what_was_committed_and_nothing_else() -> Result<()> {
    let postgres = Postgres::start(PostgresOptions::default()).await?;
    let database = postgres.create_database().await?;
    let client = postgres.connect(&database).await?;
    client.batch_execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await?;
    client.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await?;
    assert_eq!(count(&client).await, 2);

    postgres.kill();
    assert!(!postgres.is_running());
    assert!(client.batch_execute("COMMIT").await.is_err());
    postgres.start_again().await?;
    assert_eq!(count(&postgres.connect(&database).await?).await, 1);

    let settings = "SELECT current_setting('fsync') || current_setting('synchronous_commit')
        || current_setting('track_commit_timestamp') || current_setting('listen_addresses')";
    let client = postgres.connect(&database).await?;
    let settings: String = client.query_one(settings, &[]).await?.get(0);
    assert_eq!(settings, "ononon127.0.0.1");

    postgres.restart().await?;
    assert_eq!(count(&postgres.connect(&database).await?).await, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_put_back_has_forgotten_what_came_after() -> Result<()> {
    let postgres = Postgres::start(PostgresOptions::default()).await?;
    let database = postgres.create_database().await?;
    let client = postgres.connect(&database).await?;
    client.batch_execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await?;

    let copy = postgres.copy_data_dir().await?;
    let client = postgres.connect(&database).await?;
    client.batch_execute("INSERT INTO t VALUES (2)").await?;
    assert_eq!(count(&client).await, 2);

    for _ in 0..2 {
        postgres.restore_data_dir(&copy).await?;
        let client = postgres.connect(&database).await?;
        assert_eq!(count(&client).await, 1);
        client.batch_execute("INSERT INTO t VALUES (3)").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_refuses_writes_until_it_is_writable_again() -> Result<()> {
    let postgres = Postgres::start(PostgresOptions::default()).await?;
    let database = postgres.create_database().await?;
    let before = postgres.connect(&database).await?;

    postgres.set_read_only(&database, true).await?;
    wait_until(Duration::from_secs(10), "the session is ended", async || before.is_closed()).await;
    let client = postgres.connect(&database).await?;
    let error = client.batch_execute("CREATE TABLE t (x int)").await.expect_err("it is read-only");
    assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));

    postgres.set_read_only(&database, false).await?;
    postgres.connect(&database).await?.batch_execute("CREATE TABLE t (x int)").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_rows_and_keeps_the_old_ones() -> Result<()> {
    let options = PostgresOptions { disk_mib: Some(160), ..PostgresOptions::default() };
    let postgres = Postgres::start(options).await?;
    let database = postgres.create_database().await?;
    let client = postgres.connect(&database).await?;
    client.batch_execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await?;

    postgres.fill_disk()?;
    let flood = "INSERT INTO t SELECT i FROM generate_series(1, 2000000) i";
    assert!(client.batch_execute(flood).await.is_err(), "there is no room for it");

    postgres.free_disk()?;
    // A server that could not write its log has gone down and up again.
    postgres.start_again().await?;
    let client = postgres.connect(&database).await?;
    assert_eq!(count(&client).await, 1);
    client.batch_execute("INSERT INTO t VALUES (2)").await?;
    Ok(())
}
