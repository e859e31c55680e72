//! A database into which tweets are stored as a worker stores them.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use millrace_store::batch::{Author, BatchWriter, Outcome, Part};
use millrace_store::claim::{Claimant, LogPartition};
use millrace_store::copy::Origin;
use millrace_store::tweets::{BATCH, TARGET, encode_row};
use millrace_store::users::{self, Created, Followed};
use millrace_store::verify::{self, Verdict};
use millrace_store::{Store, feeds};
use schema::tweet::{Tweet, VERSION};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Of the tests.
static BEGAN: LazyLock<Timestamp> = LazyLock::new(|| {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
});

/// A migrated database with a claimed partition.
pub struct World {
    pub store: Store,
    pub sql: Client,
    /// Sees what the other sessions wait for; within a transaction that stands still.
    pub watch: Client,
    pub writer: BatchWriter,
    pub author: Author,
    pub claim: Uuid,
    pub log_id: i32,
    pub next: i64,
}

impl World {
    pub async fn new() -> Result<Self> {
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

    pub async fn user(&self, name: &str) -> Result<i64> {
        match users::create(&self.store, name, &format!("{name}@example.com")).await? {
            Created::New(user) => Ok(user.user_id),
            Created::Taken(field) => anyhow::bail!("{field} of {name} is taken"),
        }
    }

    pub async fn follow(&self, follower: i64, followed: i64) -> Result<()> {
        let outcome = users::follow(&self.store, follower, followed).await?;
        ensure!(outcome == Followed::New, "{outcome:?}");
        Ok(())
    }

    /// Stores tweets (number, author), a record each, in one transaction.
    pub async fn stores(&mut self, tweets: &[(i64, i64)]) -> Result<()> {
        let mut records = Vec::new();
        for (tweet_id, author_id) in tweets {
            records.push((*tweet_id, *author_id, self.numbered_at(*tweet_id).await?));
        }
        let part = part(self.log_id, self.claim, self.next, &records, &self.author.consumer_id);
        let next = part.next;
        let outcome: Outcome<()> = self.writer.store(&self.author, &[part], std::future::ready(None)).await;
        ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        self.next = next;
        Ok(())
    }

    /// When a tweet was given its number; of one that nobody numbered, an instant that is its own.
    pub async fn numbered_at(&self, tweet_id: i64) -> Result<Timestamp> {
        let row = self.sql.query_opt("SELECT created_at FROM tweets WHERE tweet_id = $1", &[&tweet_id]).await?;
        Ok(row.map_or_else(|| *BEGAN + SignedDuration::from_micros(tweet_id), |row| row.get(0)))
    }

    pub async fn feed(&self, reader: i64) -> Result<Vec<i64>> {
        let page = feeds::page(&self.store, reader, i64::MAX, 1_000).await?.context("the reader")?;
        Ok(page.into_iter().map(|item| item.tweet_id).collect())
    }

    /// The feed as pages of `limit` concatenate to it; each but the last says that there are older items.
    pub async fn pages(&self, reader: i64, limit: i64) -> Result<Vec<i64>> {
        let (mut before, mut all) = (i64::MAX, Vec::new());
        loop {
            let mut page = feeds::page(&self.store, reader, before, limit + 1).await?.context("the reader")?;
            let more = i64::try_from(page.len())? > limit;
            page.truncate(usize::try_from(limit)?);
            all.extend(page.iter().map(|item| item.tweet_id));
            let Some(last) = page.last().filter(|_| more) else { return Ok(all) };
            before = last.tweet_id;
        }
    }

    pub async fn is_proven(&self) -> Result<()> {
        let report = verify::run(&self.store, TARGET).await?;
        ensure!(report.verdict() == Verdict::Proven, "{report:#?}");
        Ok(())
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Tweets (number, author, instant), a record each from `offset` on.
pub fn part(log_id: i32, claim: Uuid, offset: i64, tweets: &[(i64, i64, Timestamp)], consumer_id: &str) -> Part {
    let appended_at = Timestamp::now();
    let mut row = Vec::new();
    for (&(tweet_id, author_id, created_at), offset) in tweets.iter().zip(offset..) {
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
        first_append_at: Some(appended_at),
        last_append_at: Some(appended_at),
        sensors: Vec::new(),
        transitions: Vec::new(),
    }
}
