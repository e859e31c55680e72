//! What somebody who posts waits for, and when the last follower can read it: at the commit of the last item, by the clock of
//! PostgreSQL (`track_commit_timestamp`), which is this machine's; pulled tweets at the commit that stored them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::plant::Site;
use jiff::Timestamp;
use schema::topics::TWEETS;
use serde_json::{Value, json};
use testkit::{free_port, wait_until};
use tokio_postgres::Client;

use super::people::{follow, populate, users};
use super::{Options, SESSION_MS, WORKERS, start_workers, topic};
use crate::machine::load_average;
use crate::pipeline::Pipeline;
use crate::spread::percentiles;

/// Posts a minute, and one in so many is the celebrity's.
const A_MINUTE: u32 = 3_000;
const CELEBRITY: usize = 20;
/// Seconds of posts that are not counted: the brokers have just started, and compile what they run most.
const WARM_UP_S: u32 = 10;
/// Followers of authors.
const AUDIENCES: [i64; 4] = [20, 1_999, 100_000, 1_000_000];
/// Posts of each.
const POSTS: usize = 100;

/// A tweet that was posted.
struct Posted {
    id: i64,
    at: Timestamp,
    took: Duration,
}

/// Waits until the API serves.
pub async fn ready(port: u16) {
    wait_until(Duration::from_secs(60), "the API is ready", async || {
        reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

async fn post(http: &reqwest::Client, port: u16, author: i64) -> Result<Posted> {
    let (at, began) = (Timestamp::now(), Instant::now());
    let request = http.post(format!("http://127.0.0.1:{port}/api/tweets/")).header("X-User-ID", author);
    let answer = request.json(&json!({ "content": "as long as tweets are on average, more or less" })).send().await?;
    let (took, status) = (began.elapsed(), answer.status());
    let body: Value = answer.json().await?;
    ensure!(status == 202, "{status}: {body}");
    Ok(Posted { id: body["id"].as_i64().context("an id")?, at, took })
}

/// 3,000 posts a minute with four workers; answers with the section of the page.
///
/// # Errors
/// When a post is not accepted or not delivered.
pub async fn waiting(site: &Arc<Site>, options: &Options) -> Result<String> {
    let pipeline = Pipeline::new(site, &topic(site).await?, SESSION_MS).await?;
    let sql = pipeline.connect().await?;
    populate(&sql, 1, 1_999).await?;
    for author in 2..=500 {
        follow(&sql, author, author + 1, 20).await?;
    }
    let (port, _workers) = (free_port(), start_workers(&pipeline)?);
    let _api = pipeline.api(port)?;
    ready(port).await;
    settled(&sql).await;
    let http = reqwest::Client::new();
    let mut beat = tokio::time::interval(Duration::from_secs(60) / A_MINUTE);
    let mut posting = tokio::task::JoinSet::new();
    for number in 0..usize::try_from(A_MINUTE * (WARM_UP_S + options.waiting_s) / 60)? {
        beat.tick().await;
        let author = if number % CELEBRITY == 0 { 1 } else { 2 + (number as i64 * 31) % 499 };
        let http = http.clone();
        posting.spawn(async move { post(&http, port, author).await });
    }
    let mut posted = Vec::new();
    while let Some(one) = posting.join_next().await {
        posted.push(one??);
    }
    let counted = posted.iter().map(|post| post.at).min().unwrap_or_default() + Duration::from_secs(WARM_UP_S.into());
    posted.retain(|post| post.at >= counted);
    let visible = visible(&sql, &posted).await?;
    let mut text = format!(
        "{A_MINUTE} posts a minute for {} s, after {WARM_UP_S} s that do not count, by 500 authors, one in {CELEBRITY} by a celebrity with 1,999 followers, the others with \
         20; four workers, one API process; milliseconds; load average at the end {}.\n\n\
         | | p50 | p95 | p99 | goal of p99 |\n|---|---|---|---|---|\n",
        options.waiting_s,
        load_average()
    );
    line(&mut text, "POST, until its answer", posted.iter().map(|post| ms(post.took)).collect(), "20");
    line(&mut text, "post to visible in the last feed", visible, "1,000");
    pipeline.remove().await?;
    Ok(text)
}

/// Posts of authors with audiences of all sizes; answers with the section of the page.
///
/// # Errors
/// When a post is not accepted or not delivered.
pub async fn audiences(site: &Arc<Site>) -> Result<String> {
    let pipeline = Pipeline::new(site, &topic(site).await?, SESSION_MS).await?;
    let sql = pipeline.connect().await?;
    let authors = AUDIENCES.len() as i64;
    users(&sql, authors + AUDIENCES[AUDIENCES.len() - 1]).await?;
    for (author, followers) in (1..).zip(AUDIENCES) {
        follow(&sql, author, authors + 1, followers).await?;
    }
    sql.batch_execute("VACUUM ANALYZE users, follows").await?;
    sql.batch_execute("CHECKPOINT").await?;
    let (port, _workers) = (free_port(), start_workers(&pipeline)?);
    let _api = pipeline.api(port)?;
    ready(port).await;
    settled(&sql).await;
    let http = reqwest::Client::new();
    let mut posts: Vec<Vec<Posted>> = AUDIENCES.iter().map(|_| Vec::new()).collect();
    // In turns, so that a bad moment of the machine meets all of them.
    for _ in 0..POSTS {
        for (at, author) in (1..=authors).enumerate() {
            posts[at].push(post(&http, port, author).await?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut text = format!(
        "{POSTS} posts of each author in turns, with the settings as they come (pulled above 10,000 followers); milliseconds; load \
         average at the end {}.\n\n\
         | followers | POST p50 | POST p95 | POST p99 | visible p50 | visible p99 |\n|---|---|---|---|---|---|\n",
        load_average()
    );
    for (followers, posts) in AUDIENCES.iter().zip(&posts) {
        let [a, b, c] = percentiles(posts.iter().map(|post| ms(post.took)), [50, 95, 99]);
        let [d, e] = percentiles(visible(&sql, posts).await?, [50, 99]);
        let _ = writeln!(text, "| {followers} | {a:.1} | {b:.1} | {c:.1} | {d:.0} | {e:.0} |");
    }
    pipeline.remove().await?;
    Ok(text)
}

/// Waits until each worker has its part of the partitions: the first one that comes has all of them for a while.
async fn settled(sql: &Client) {
    let reading = "SELECT count(*) FILTER (WHERE cardinality(assigned_partitions) > 0), \
         coalesce(sum(cardinality(assigned_partitions)), 0) FROM consumer_health WHERE status = 'running'";
    wait_until(Duration::from_secs(60), "every worker reads its partitions", async || {
        sql.query_one(reading, &[]).await.is_ok_and(|row| {
            (row.get::<_, i64>(0), row.get::<_, i64>(1)) == (WORKERS.len() as i64, i64::from(TWEETS.partitions))
        })
    })
    .await;
    // From the assignment to the claims.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// Milliseconds from each post to the commit of its last item.
async fn visible(sql: &Client, posted: &[Posted]) -> Result<Vec<f64>> {
    let ids: Vec<i64> = posted.iter().map(|post| post.id).collect();
    let open = "SELECT count(*) FROM unnest($1::bigint[]) AS p(tweet_id) LEFT JOIN tweets t USING (tweet_id) \
         LEFT JOIN feed_tasks k USING (tweet_id) WHERE t.stored_at IS NULL OR k.tweet_id IS NOT NULL";
    wait_until(Duration::from_secs(120), "every post is delivered", async || {
        sql.query_one(open, &[&ids]).await.is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
    let at: Vec<Timestamp> = posted.iter().map(|post| post.at).collect();
    let seen = "SELECT 1000 * extract(epoch FROM coalesce( \
             (SELECT max(pg_xact_commit_timestamp(i.xmin)) FROM follows f \
               JOIN feed_items i ON i.user_id = f.follower_id AND i.tweet_id = t.tweet_id WHERE f.followed_id = t.author_id), \
             pg_xact_commit_timestamp(t.xmin)) - p.at)::float8 \
           FROM unnest($1::bigint[], $2::timestamptz[]) AS p(tweet_id, at) JOIN tweets t USING (tweet_id)";
    Ok(sql.query(seen, &[&ids, &at]).await?.iter().map(|row| row.get(0)).collect())
}

fn line(text: &mut String, name: &str, values: Vec<f64>, goal: &str) {
    let [p50, p95, p99] = percentiles(values, [50, 95, 99]);
    let _ = writeln!(text, "| {name} | {p50:.1} | {p95:.1} | {p99:.1} | {goal} |");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
