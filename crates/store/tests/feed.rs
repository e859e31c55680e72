//! Tweets into feeds, as the worker stores them: the audience is decided by who was first at the author's row.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use millrace_store::batch::{Author, BatchWriter, Outcome, Part};
use millrace_store::claim::{Claimant, LogPartition};
use millrace_store::copy::Origin;
use millrace_store::tweets::{BATCH, TARGET, encode_row};
use millrace_store::users::{self, Created, Followed};
use millrace_store::verify::{self, Verdict};
use millrace_store::{Store, feeds};
use schema::tweet::{Tweet, VERSION};
use testkit::wait_until;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// A migrated database with a claimed partition.
struct World {
    store: Store,
    sql: Client,
    /// Sees what the other sessions wait for; within a transaction that stands still.
    watch: Client,
    writer: BatchWriter,
    author: Author,
    claim: Uuid,
    log_id: i32,
    next: i64,
}

impl World {
    async fn new() -> Result<Self> {
        let url = testkit::shared().await.database_url;
        let (sql, watch) = (connect(&url).await?, connect(&url).await?);
        let options = millrace_store::Options { database_url: url, database_pool_size: 4 };
        let store = Store::new(&options, "feed-test")?;
        millrace_store::migrate::run(&store).await?;
        let author = Author { consumer_id: "feed-worker-0".into(), boot_id: Uuid::new_v4() };
        let writer = BatchWriter::connect(&store, &BATCH).await?;
        let claimant = Claimant {
            group_id: "feed-workers".into(),
            consumer_id: author.consumer_id.clone(),
            boot_id: author.boot_id,
            claim: Uuid::new_v4(),
            writer: writer.backend(),
        };
        let log = LogPartition {
            cluster_id: "cluster".into(),
            topic_id: Uuid::new_v4(),
            topic: "tweets".into(),
            partition: 0,
        };
        let locked = millrace_store::claim::lock(&store, TARGET, &log, writer.backend()).await?;
        let taken = locked.take(&claimant, 0, false).await?;
        Ok(Self {
            store,
            sql,
            watch,
            writer,
            author,
            claim: claimant.claim,
            log_id: taken.log_id,
            next: taken.next_offset,
        })
    }

    async fn user(&self, name: &str) -> Result<i64> {
        match users::create(&self.store, name, &format!("{name}@example.com")).await? {
            Created::New(user) => Ok(user.user_id),
            Created::Taken(field) => anyhow::bail!("{field} of {name} is taken"),
        }
    }

    async fn follow(&self, follower: i64, followed: i64) -> Result<()> {
        let outcome = users::follow(&self.store, follower, followed).await?;
        ensure!(outcome == Followed::New, "{outcome:?}");
        Ok(())
    }

    /// Stores tweets (number, author), a record each, in one transaction.
    async fn stores(&mut self, tweets: &[(i64, i64)]) -> Result<()> {
        let part = part(self.log_id, self.claim, self.next, tweets, &self.author.consumer_id);
        let next = part.next;
        let outcome: Outcome<()> = self.writer.store(&self.author, &[part], std::future::ready(None)).await;
        ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        self.next = next;
        Ok(())
    }

    async fn feed(&self, reader: i64) -> Result<Vec<i64>> {
        let page = feeds::page(&self.store, reader, i64::MAX, 1_000).await?.context("the reader")?;
        Ok(page.into_iter().map(|item| item.tweet_id).collect())
    }

    async fn is_proven(&self) -> Result<()> {
        let report = verify::run(&self.store, TARGET).await?;
        ensure!(report.verdict() == Verdict::Proven, "{report:#?}");
        Ok(())
    }
}

#[tokio::test]
async fn a_tweet_is_in_the_feed_of_each_follower_and_of_nobody_else() -> Result<()> {
    let mut world = World::new().await?;
    let [ada, bob, cy, dee] =
        [world.user("ada").await?, world.user("bob").await?, world.user("cy").await?, world.user("dee").await?];
    world.follow(bob, ada).await?;
    world.follow(cy, ada).await?;
    world.follow(cy, bob).await?;
    world.stores(&[(1, ada), (2, bob), (3, ada)]).await?;
    assert_eq!(world.feed(ada).await?, [3, 1], "their own");
    assert_eq!(world.feed(bob).await?, [3, 2, 1]);
    assert_eq!(world.feed(cy).await?, [3, 2, 1]);
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());

    // Published once more, in another record: it is the same tweet.
    world.stores(&[(3, ada), (3, ada), (4, ada)]).await?;
    assert_eq!(world.feed(cy).await?, [4, 3, 2, 1]);

    // A follow brings what is there; an unfollow takes it away, also what a second follow does not bring.
    world.follow(dee, ada).await?;
    assert_eq!(world.feed(dee).await?, [4, 3, 1]);
    assert!(users::unfollow(&world.store, dee, ada).await?);
    assert!(!users::unfollow(&world.store, dee, ada).await?, "there was none any more");
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());
    world.stores(&[(5, ada)]).await?;
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());
    world.follow(dee, ada).await?;
    assert_eq!(world.feed(dee).await?, [5, 4, 3, 1]);

    let counts: (i64, i64) = {
        let ada = users::find(&world.store, ada).await?.context("ada")?;
        let cy = users::find(&world.store, cy).await?.context("cy")?;
        (ada.followers, cy.following)
    };
    assert_eq!(counts, (3, 2));
    world.is_proven().await
}

#[tokio::test]
async fn a_deleted_tweet_is_nowhere_also_when_it_is_stored_later() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    world.follow(bob, ada).await?;
    world.sql.execute("INSERT INTO tweets (tweet_id, author_id, deleted_at) VALUES (1, $1, now())", &[&ada]).await?;
    world.stores(&[(1, ada), (2, ada)]).await?;
    assert_eq!((world.feed(ada).await?, world.feed(bob).await?), (vec![2], vec![2]));
    world.sql.execute("UPDATE tweets SET deleted_at = now() WHERE tweet_id = 2", &[]).await?;
    assert_eq!((world.feed(ada).await?, world.feed(bob).await?), (vec![], vec![]));
    world.is_proven().await
}

#[tokio::test]
async fn a_follow_and_a_tweet_that_meet_have_one_result() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob, cy) = (world.user("ada").await?, world.user("bob").await?, world.user("cy").await?);
    // The follow has the author's row, and commits while the batch waits for it.
    world.sql.batch_execute("BEGIN").await?;
    world.sql.execute("SELECT FROM users WHERE user_id = $1 FOR NO KEY UPDATE", &[&ada]).await?;
    let store = world.store.clone();
    let waiting = async {
        somebody_waits(&world.watch).await;
        world.sql.execute("INSERT INTO follows VALUES ($1, $2, 1, NULL)", &[&ada, &bob]).await?;
        world.sql.execute("UPDATE users SET audience_version = 1, followers = 1 WHERE user_id = $1", &[&ada]).await?;
        world.sql.batch_execute("COMMIT").await
    };
    // Borrowed apart: the batch's writer and the session that follows.
    let World { writer, author, claim, log_id, next, .. } = &world;
    let part = part(*log_id, *claim, *next, &[(1, ada)], &author.consumer_id);
    let (stored, followed) =
        tokio::join!(async { writer.store::<()>(author, &[part], std::future::ready(None)).await }, waiting);
    followed?;
    ensure!(matches!(stored, Outcome::Stored(_)), "{stored:?}");
    assert_eq!(world.feed(bob).await?, [1], "the batch saw the follow that it waited for");

    // The batch has it, and the follow waits: it finds the tweet stored.
    world.next += 1;
    world.sql.batch_execute("BEGIN").await?;
    world.sql.execute("SELECT FROM users WHERE user_id = $1 FOR SHARE", &[&ada]).await?;
    let follow = tokio::spawn(async move { users::follow(&store, cy, ada).await });
    somebody_waits(&world.watch).await;
    world.stores(&[(2, ada)]).await?;
    assert!(!follow.is_finished(), "it waits for the row");
    world.sql.batch_execute("COMMIT").await?;
    assert_eq!(follow.await??, Followed::New);
    assert_eq!(world.feed(cy).await?, [2, 1]);
    world.is_proven().await
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until a session of this database waits for another's lock.
async fn somebody_waits(watch: &Client) {
    let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until(Duration::from_secs(20), "a session waits for a lock", async || {
        watch.query(waiting, &[]).await.is_ok_and(|rows| !rows.is_empty())
    })
    .await;
}

/// Tweets (number, author), a record each from `offset` on.
fn part(log_id: i32, claim: Uuid, offset: i64, tweets: &[(i64, i64)], consumer_id: &str) -> Part {
    let created_at = jiff::Timestamp::now();
    let mut row = Vec::new();
    for (&(tweet_id, author_id), offset) in tweets.iter().zip(offset..) {
        let content = format!("tweet {tweet_id}").into();
        let tweet = Tweet { version: VERSION, tweet_id, author_id, content, created_at };
        encode_row(&mut row, &tweet, &Origin { consumer_id, log_id, partition: 0, offset });
    }
    Part {
        log_id,
        partition: 0,
        claim,
        expected: offset,
        next: offset + i64::try_from(tweets.len()).expect("few"),
        leader_epoch: 0,
        rows: vec![Bytes::from(row)],
        row_count: tweets.len() as u64,
        letters: Vec::new(),
        gaps: Vec::new(),
        first_append_at: Some(created_at),
        last_append_at: Some(created_at),
        sensors: Vec::new(),
        transitions: Vec::new(),
    }
}

#[tokio::test]
async fn what_is_missing_from_a_feed_is_found() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    world.follow(bob, ada).await?;
    world.stores(&[(1, ada), (2, ada)]).await?;
    world.sql.execute("DELETE FROM feed_items WHERE tweet_id = 2", &[]).await?;
    world.sql.execute("DELETE FROM tweets WHERE tweet_id = 1", &[]).await?;
    let report = verify::run(&world.store, TARGET).await?;
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.places.ranges.clone())).collect();
    assert_eq!(
        found,
        [(verify::Kind::TweetMissing, vec![(0, 1)]), (verify::Kind::FeedMissing, vec![(1, 2)])],
        "{report:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn names_are_taken_once_and_numbers_have_no_holes() -> Result<()> {
    let world = World::new().await?;
    let ada = world.user("ada").await?;
    assert_eq!(users::create(&world.store, "ada", "other@example.com").await?, Created::Taken("username"));
    assert_eq!(users::create(&world.store, "other", "ada@example.com").await?, Created::Taken("email"));
    assert_eq!(world.user("bob").await?, ada + 1);
    assert_eq!(users::follow(&world.store, ada, 99).await?, Followed::NoSuchUser(99));
    world.follow(ada + 1, ada).await?;
    assert_eq!(users::follow(&world.store, ada + 1, ada).await?, Followed::Already);
    Ok(())
}
