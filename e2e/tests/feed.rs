//! Tweets into feeds while their workers are killed: for every follower and every acknowledged tweet exactly one item, and
//! none for others. The audience stands still here; `crates/store/tests/feed.rs` has follows that meet tweets.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::plant::{Plant, Settings, Site};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::tweet::{Tweet, VERSION};
use testkit::wait_until;
use tokio_postgres::Client;

/// Users; number `n` has about `USERS / n` followers.
const USERS: i64 = 600;
/// Tweets, and how many of them a second.
const TWEETS: i64 = 5_000;
const RATE: u64 = 250;
/// One publication in so many is repeated, as by a client that heard no answer.
const REPEATED: i64 = 37;
const WORKERS: [&str; 4] = ["feed-worker-0", "feed-worker-1", "feed-worker-2", "feed-worker-3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_follower_gets_every_tweet_once_whatever_is_killed() -> Result<()> {
    let seed = testkit::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let settings = Settings { workload: "feed", partitions: 20, batch_max_records: 50, ..Settings::default() };
    let plant = Plant::new(&site, settings).await?;
    let sql = plant.connect().await?;
    populate(&sql, &mut rng).await?;
    let mut workers = WORKERS.map(|id| plant.consumer(id)).into_iter().collect::<Result<Vec<_>>>()?;

    let authors: Vec<i64> = (0..TWEETS).map(|_| popular(&mut rng)).collect();
    let publishing = tokio::spawn(publish(site.kafka.bootstrap(), plant.topic.clone(), authors.clone()));
    for (number, id) in WORKERS.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..3_000))).await;
        workers[number].kill();
        workers[number] = plant.consumer(id)?;
    }
    // Past its session: others take over, and what it has in hand must not count.
    workers[0].stop()?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    workers[0].cont()?;
    publishing.await??;

    wait_until(Duration::from_secs(90), "every tweet is stored", async || {
        let row = sql.query_one("SELECT count(*) FROM tweets WHERE stored_at IS NOT NULL", &[]).await;
        row.is_ok_and(|row| row.get::<_, i64>(0) == TWEETS)
    })
    .await;
    is_exact(&sql, &authors).await.map_err(|error| error.context(format!("TEST_SEED={seed}")))?;
    let (code, said) = plant.command(&["verify", "--target", "tweet_records"]).await?;
    ensure!(code == 0, "TEST_SEED={seed}: {said}");
    Ok(())
}

/// Users and follows, as the API makes them: each follow is a version of its author's audience.
async fn populate(sql: &Client, rng: &mut StdRng) -> Result<()> {
    sql.execute(
        "INSERT INTO users (username, email) SELECT 'user' || n, 'user' || n || '@example.com' FROM generate_series(1, $1::bigint) n",
        &[&USERS],
    )
    .await?;
    let (mut followed, mut followers) = (Vec::new(), Vec::new());
    for author in 1..=USERS {
        for reader in (1..=USERS).filter(|reader| *reader != author) {
            if rng.random_range(0..author) == 0 {
                followed.push(author);
                followers.push(reader);
            }
        }
    }
    sql.execute(
        "INSERT INTO follows (followed_id, follower_id, version) \
         SELECT a, r, row_number() OVER (PARTITION BY a ORDER BY r) FROM unnest($1::bigint[], $2::bigint[]) AS f(a, r)",
        &[&followed, &followers],
    )
    .await?;
    sql.batch_execute(
        "UPDATE users u SET audience_version = n, followers = n \
           FROM (SELECT followed_id, count(*) AS n FROM follows GROUP BY 1) f WHERE f.followed_id = u.user_id",
    )
    .await?;
    Ok(())
}

/// Popular authors post more.
fn popular(rng: &mut StdRng) -> i64 {
    let share: f64 = rng.random_range(0.0..1.0);
    // The square of an even share: a quarter of the tweets by a sixteenth of the authors.
    1 + (share * share * USERS as f64) as i64
}

/// Publishes tweet `n` (from 1) by `authors[n - 1]`; every one is acknowledged by all in-sync replicas.
async fn publish(brokers: String, topic: String, authors: Vec<i64>) -> Result<()> {
    let producer: FutureProducer =
        kafka::Options::plaintext(brokers).client("e2e-tweets").set("enable.idempotence", "true").create()?;
    let mut beat = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    let mut answers = Vec::new();
    for (author_id, tweet_id) in authors.into_iter().zip(1..) {
        beat.tick().await;
        let content = format!("tweet {tweet_id} 🐦").into();
        let tweet = Tweet { version: VERSION, tweet_id, author_id, content, created_at: jiff::Timestamp::now() };
        for _ in 0..if tweet_id % REPEATED == 0 { 2 } else { 1 } {
            let (key, payload) = (tweet.key(), tweet.encode());
            let record = FutureRecord::to(&topic).key(&key).payload(&payload);
            // Into the client's queue at once: an author's tweets go in order.
            answers.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
    }
    for answer in answers {
        answer.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// The oracle: what was published against what is there, both ways.
async fn is_exact(sql: &Client, authors: &[i64]) -> Result<()> {
    let one = async |statement: &str| -> Result<i64> { Ok(sql.query_one(statement, &[]).await?.get(0)) };
    let ids: Vec<i64> = (1..=TWEETS).collect();
    let wrong = sql
        .query_one(
            "SELECT count(*) FROM unnest($1::bigint[], $2::bigint[]) AS sent(tweet_id, author_id) FULL JOIN tweets t USING (tweet_id) \
              WHERE t.author_id IS DISTINCT FROM sent.author_id OR t.content IS DISTINCT FROM format('tweet %s 🐦', tweet_id)",
            &[&ids, &authors],
        )
        .await?;
    ensure!(wrong.get::<_, i64>(0) == 0, "{} tweets are not as they were sent", wrong.get::<_, i64>(0));
    let wanted =
        "SELECT f.follower_id, t.tweet_id, t.author_id FROM tweets t JOIN follows f ON f.followed_id = t.author_id";
    let there = "SELECT user_id, tweet_id, author_id FROM feed_items";
    let (missing, others) = (
        one(&format!("SELECT count(*) FROM ({wanted} EXCEPT ALL {there}) missing")).await?,
        one(&format!("SELECT count(*) FROM ({there} EXCEPT ALL {wanted}) others")).await?,
    );
    ensure!((missing, others) == (0, 0), "{missing} items are missing, {others} are nobody's");
    let disorder = "SELECT count(*) FROM (SELECT tweet_id, lag(tweet_id) OVER (PARTITION BY author_id, kafka_partition \
         ORDER BY kafka_offset) AS before FROM tweet_records) r WHERE tweet_id < before";
    ensure!(one(disorder).await? == 0, "an author's tweets are out of order");
    ensure!(one("SELECT count(*) FROM dead_letters").await? == 0, "there are dead letters");
    Ok(())
}
