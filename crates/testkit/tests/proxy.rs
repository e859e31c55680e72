//! Each fault of the proxy does what it says, seen from both ends.

use anyhow::Result;
use bytes::Bytes;
use futures_util::SinkExt as _;
use std::pin::pin;
use std::time::{Duration, Instant};
use testkit::{Answer, Arming, Fault, PgProxy, Postgres, PostgresOptions, wait_until};
use tokio_postgres::{Client, NoTls};

const SOON: Duration = Duration::from_secs(30);

/// A server with an empty table, and a proxy in front of it.
struct Setup {
    postgres: Postgres,
    database: String,
    proxy: PgProxy,
}

impl Setup {
    async fn new() -> Result<Self> {
        let postgres = Postgres::start(PostgresOptions::default()).await?;
        let database = postgres.create_database().await?;
        postgres.connect(&database).await?.batch_execute("CREATE TABLE t (x text)").await?;
        let proxy = PgProxy::in_front_of(&postgres.url(&database)).await?;
        Ok(Self { postgres, database, proxy })
    }

    async fn client(&self) -> Result<Client> {
        let url = self.proxy.url(&self.postgres.url(&self.database));
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What the server has, asked beside the proxy.
    async fn rows(&self) -> i64 {
        let client = self.postgres.connect(&self.database).await.expect("Postgres is there");
        client.query_one("SELECT count(*) FROM t", &[]).await.expect("the table is there").get(0)
    }

    async fn open_transactions(&self) -> i64 {
        let client = self.postgres.connect("postgres").await.expect("Postgres is there");
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
        client.query_one(open, &[]).await.expect("Postgres answers").get(0)
    }
}

async fn insert(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO t VALUES ($1)", &[&"a row"]).await?;
    transaction.commit().await
}

/// 200 messages of ten rows each; answers whether they were committed.
async fn copy(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    {
        let mut sink = pin!(transaction.copy_in::<_, Bytes>("COPY t FROM STDIN").await?);
        for _ in 0..200 {
            sink.send(Bytes::from("a row\n".repeat(10))).await?;
        }
        sink.finish().await?;
    }
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_lose_a_commit() -> Result<()> {
    let setup = Setup::new().await?;

    // Nothing armed: everything passes.
    insert(&mut setup.client().await?).await?;
    copy(&mut setup.client().await?).await?;
    assert_eq!((setup.rows().await, setup.proxy.commits()), (2001, 2));

    let hit = setup.proxy.arm(Fault::CutBeforeCommit);
    assert!(!hit.is_hit());
    assert!(insert(&mut setup.client().await?).await.is_err());
    assert_eq!(hit.settled(SOON).await, Answer::None);
    wait_until(SOON, "the server has rolled back", async || setup.open_transactions().await == 0).await;
    assert_eq!(setup.rows().await, 2001);

    let hit = setup.proxy.arm(Fault::CutAfterCommit);
    assert!(insert(&mut setup.client().await?).await.is_err());
    assert_eq!(hit.settled(SOON).await, Answer::Committed);
    assert_eq!(setup.rows().await, 2002, "committed although the client saw an error");

    let hold = Duration::from_secs(1);
    let hit = setup.proxy.arm(Fault::HoldCommit(hold));
    let mut client = setup.client().await?;
    let started = Instant::now();
    assert!(insert(&mut client).await.is_err());
    hit.hit(SOON).await;
    assert_eq!((setup.rows().await, setup.open_transactions().await), (2002, 1), "still open");
    assert_eq!(hit.settled(SOON).await, Answer::Committed);
    assert!(started.elapsed() >= hold);
    assert_eq!(setup.rows().await, 2003, "committed after the client has gone");

    insert(&mut setup.client().await?).await?;
    assert_eq!(setup.rows().await, 2004, "each fault happens once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_by_the_extended_protocol_is_one_too() -> Result<()> {
    let setup = Setup::new().await?;
    let hit = setup.proxy.arm(Fault::CutAfterCommit);
    let client = setup.client().await?;
    client.execute("BEGIN", &[]).await?;
    client.execute("INSERT INTO t VALUES ('a row')", &[]).await?;
    assert!(client.execute("COMMIT", &[]).await.is_err());
    assert_eq!(hit.settled(SOON).await, Answer::Committed);
    assert_eq!(setup.rows().await, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_cut_in_its_middle() -> Result<()> {
    let setup = Setup::new().await?;
    let hit = setup.proxy.arm(Fault::CutInCopy { after_bytes: 6000 });
    assert!(copy(&mut setup.client().await?).await.is_err());
    assert!(hit.is_hit());
    wait_until(SOON, "the server has given up", async || setup.open_transactions().await == 0).await;
    assert_eq!(setup.rows().await, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_copies_lets_other_commits_and_skipped_copies_pass() -> Result<()> {
    let setup = Setup::new().await?;
    let hit = setup.proxy.arm(Arming::new(Fault::CutAfterCommit).of_copies().skip(1));
    insert(&mut setup.client().await?).await?;
    copy(&mut setup.client().await?).await?;
    insert(&mut setup.client().await?).await?;
    assert!(!hit.is_hit());
    assert!(copy(&mut setup.client().await?).await.is_err());
    assert!(hit.is_hit());
    assert_eq!(setup.rows().await, 4002);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_severed_and_refused() -> Result<()> {
    let setup = Setup::new().await?;
    let client = setup.client().await?;
    setup.proxy.sever_all();
    wait_until(SOON, "the connection is cut", async || client.is_closed()).await;
    insert(&mut setup.client().await?).await?;

    let client = setup.client().await?;
    setup.proxy.refuse(true);
    wait_until(SOON, "the connection is cut", async || client.is_closed()).await;
    assert!(setup.client().await.is_err());
    setup.proxy.refuse(false);
    insert(&mut setup.client().await?).await?;
    assert_eq!(setup.rows().await, 2);
    Ok(())
}
