//! Deliveries a second: the group draining a topic of tweets, against the same items by INSERT … SELECT on two connections.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::plant::Site;
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::topics::TWEETS;
use schema::tweet::{Tweet, VERSION};
use testkit::wait_until;
use tokio_postgres::Client;

use super::people::populate;
use super::{Options, SESSION_MS, start_workers, topic};
use crate::machine::load_average;
use crate::pipeline::Pipeline;
use crate::spread::Spread;

/// Authors that tweet, each with as many followers.
const CASES: [(i64, i64); 2] = [(1_000, 20), (50, 1_999)];
/// Tweets of one bare statement.
const AT_ONCE: i64 = 100;
/// Follows and items, without what else the schema has.
const BARE: &str =
    "CREATE TABLE bare_items (user_id bigint, tweet_id bigint, author_id bigint, PRIMARY KEY (user_id, tweet_id))";

/// Answers with the section of the page.
///
/// # Errors
/// When the items are not those that there should be.
pub async fn run(site: &Arc<Site>, options: &Options) -> Result<String> {
    let mut text = format!(
        "About {} items in each run; deliveries/s, median (smallest-largest) of {} pairs. Bare: statements of {AT_ONCE} tweets, \
         a commit each, two connections. Group: four workers, everything on; from its first commit to its last.\n\n\
         | followers of each author | tweets | bare | group | ratio | goal |\n|---|---|---|---|---|---|\n",
        options.deliveries, options.pairs
    );
    for (authors, followers) in CASES {
        let tweets = options.deliveries / followers;
        let topic = fill(site, authors, tweets).await?;
        let (mut bare, mut group, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.pairs {
            let one = by_statements(site, (authors, followers), tweets).await?;
            let other = by_the_group(site, &topic, (authors, followers), tweets).await?;
            eprintln!("feed: {followers} followers: bare {one:.0}, group {other:.0} items/s, ratio {:.2}", other / one);
            bare.push(one);
            group.push(other);
            ratios.push(other / one);
        }
        let (bare, group, ratio) = (Spread::of(bare), Spread::of(group), Spread::of(ratios));
        let _ = writeln!(text, "| {followers} | {tweets} | {bare:.0} | {group:.0} | {ratio:.2} | 0.8 |");
    }
    let _ = writeln!(text, "\nLoad average at the end {}.", load_average());
    Ok(text)
}

/// A topic with tweets of the authors in turn.
async fn fill(site: &Site, authors: i64, tweets: i64) -> Result<String> {
    let name = topic(site).await?;
    let options = kafka::Options::plaintext(site.kafka.bootstrap());
    let mut client = options.client("bench");
    let producer: FutureProducer = client.set("enable.idempotence", "true").set("compression.type", "lz4").create()?;
    let mut last = None;
    for tweet_id in 1..=tweets {
        let tweet = Tweet {
            version: VERSION,
            tweet_id,
            author_id: 1 + tweet_id % authors,
            content: format!("tweet number {tweet_id} of so many, as long as tweets are on average, more or less")
                .into(),
            created_at: jiff::Timestamp::now(),
        };
        let (key, payload) = (tweet.key(), tweet.encode());
        let record = FutureRecord::to(&name).key(&key).payload(&payload);
        last = Some(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    if let Some(last) = last {
        last.await?.map_err(|(error, _)| error)?;
    }
    tokio::task::spawn_blocking(move || rdkafka::producer::Producer::flush(&producer, Duration::from_secs(60)))
        .await??;
    Ok(name)
}

async fn fresh(site: &Arc<Site>, topic: &str, (authors, followers): (i64, i64)) -> Result<(Pipeline, Client)> {
    let pipeline = Pipeline::new(site, topic, SESSION_MS).await?;
    let sql = pipeline.connect().await?;
    populate(&sql, authors, followers).await?;
    // Every item in its transaction or its range, as the audience's size says; nothing is old.
    sql.batch_execute("UPDATE feed_settings SET expire_after = '1 day'; CHECKPOINT").await?;
    Ok((pipeline, sql))
}

async fn by_statements(site: &Arc<Site>, people: (i64, i64), tweets: i64) -> Result<f64> {
    let (pipeline, sql) = fresh(site, TWEETS.name, people).await?;
    sql.batch_execute(BARE).await?;
    let began = Instant::now();
    let half = |first: i64| {
        let pipeline = &pipeline;
        async move {
            let sql = pipeline.connect().await?;
            let statement = sql
                .prepare(
                    "INSERT INTO bare_items SELECT f.follower_id, t.n, f.followed_id \
                       FROM generate_series($1::bigint, $2::bigint) AS t(n) JOIN follows f ON f.followed_id = 1 + t.n % $3::bigint",
                )
                .await?;
            let mut at = first;
            while at <= tweets {
                sql.execute(&statement, &[&at, &(at + AT_ONCE - 1).min(tweets), &people.0]).await?;
                at += 2 * AT_ONCE;
            }
            anyhow::Ok(())
        }
    };
    tokio::try_join!(half(1), half(1 + AT_ONCE))?;
    let seconds = began.elapsed().as_secs_f64();
    let items: i64 = sql.query_one("SELECT count(*) FROM bare_items", &[]).await?.get(0);
    ensure!(items == tweets * people.1, "{items} items instead of {}", tweets * people.1);
    pipeline.remove().await?;
    Ok(items as f64 / seconds)
}

async fn by_the_group(site: &Arc<Site>, topic: &str, people: (i64, i64), tweets: i64) -> Result<f64> {
    let (pipeline, sql) = fresh(site, topic, people).await?;
    let workers = start_workers(&pipeline)?;
    wait_until(Duration::from_secs(600), "every tweet is stored", async || {
        let stored = "SELECT coalesce(sum(next_offset - start_offset), 0)::bigint FROM stored_offsets";
        sql.query_one(stored, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) >= tweets)
    })
    .await;
    let span = "SELECT extract(epoch FROM max(committed_at) - min(stored_at))::float8 FROM batch_ledger_commits WHERE next_offset > first_offset";
    let seconds: f64 = sql.query_one(span, &[]).await?.get(0);
    drop(workers);
    let items: i64 = sql.query_one("SELECT count(*) FROM feed_items", &[]).await?.get(0);
    let kept: i64 = sql.query_one("SELECT count(*) FROM feed_floors", &[]).await?.get(0);
    ensure!(items == tweets * people.1 || kept > 0, "{items} items instead of {}", tweets * people.1);
    pipeline.remove().await?;
    Ok((tweets * people.1) as f64 / seconds)
}
