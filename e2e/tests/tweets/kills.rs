//! Clients post, follow, unfollow and delete through two processes while everything is killed in turn; then every feed's
//! pages are held against what the clients were answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::clients::{Clients, Known};
use e2e::plant::{Plant, Site};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use testkit::{Process, free_port, wait_for, wait_until};
use tokio_postgres::Client;

use super::plant;

const USERS: usize = 120;
/// The last users' follows come and go; nobody else's do.
const RESTLESS: usize = 20;
/// Clients that post, and the pause after each post.
const POSTERS: u64 = 6;
const PAUSE: Duration = Duration::from_millis(40);
const WORKERS: [&str; 4] = ["feed-worker-0", "feed-worker-1", "feed-worker-2", "feed-worker-3"];
const APIS: [&str; 2] = ["tweet-api", "tweet-api-2"];
/// So that small audiences, ranges, pulled tweets and trimmed feeds all come up.
const SETTINGS: &str = "UPDATE feed_settings SET range_above = 15, range_rows = 10, pull_above = 70, keep_items = 12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_feed_is_what_was_answered_whatever_is_killed() -> Result<()> {
    let seed = testkit::seed();
    run(seed).await.with_context(|| format!("TEST_SEED={seed}"))
}

async fn run(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    let sql = plant.connect().await?;
    sql.batch_execute(SETTINGS).await?;
    let ports = [free_port(), free_port()];
    let mut apis = start_apis(&plant, ports)?;
    let mut workers = WORKERS.map(|id| plant.consumer(id)).into_iter().collect::<Result<Vec<_>>>()?;
    let clients = Clients::new(&ports)?;
    clients.ready().await;
    let people = clients.users(&mut rng, USERS).await?;
    befriend(&clients, &mut rng, &people).await?;

    let until = Instant::now() + Duration::from_secs(300);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut load = tokio::task::JoinSet::new();
    for poster in 0..POSTERS {
        let (clients, people, stopped) = (clients.clone(), people.clone(), stopped.clone());
        load.spawn(post(clients, people, seed ^ (poster + 1), stopped));
    }
    let (restless, all) = (clients.clone(), people.clone());
    load.spawn(come_and_go(restless, all, seed ^ 99, stopped));

    let faults = async {
        for (worker, id) in WORKERS.into_iter().enumerate() {
            pause(&mut rng, 500..1_500).await;
            workers[worker].kill();
            workers[worker] = plant.consumer(id)?;
        }
        for api in 0..APIS.len() {
            pause(&mut rng, 500..1_500).await;
            apis[api].kill();
            apis[api] = plant.api(APIS[api], ports[api], &[])?;
        }
        let frozen = freeze_in_a_range(&plant, &sql, &workers).await?;
        pause(&mut rng, 4_000..5_000).await;
        workers[frozen].cont()?;
        pause(&mut rng, 500..1_500).await;
        site.postgres.kill();
        pause(&mut rng, 500..2_000).await;
        site.postgres.start_again().await?;
        pause(&mut rng, 500..1_500).await;
        let broker = site.kafka.broker(rng.random_range(1..=3));
        broker.kill();
        pause(&mut rng, 2_000..4_000).await;
        broker.start()?;
        pause(&mut rng, 1_000..2_000).await;
        anyhow::Ok(())
    };
    let broken = faults.await;
    stop.send_replace(true);
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    broken?;
    ensure!(Instant::now() < until, "the clients took too long");

    let sql = plant.connect().await?;
    wait_until(Duration::from_secs(60), "every accepted tweet is stored and served", async || {
        let numbers: Vec<i64> = clients.known().sent.keys().copied().collect();
        let open = "SELECT (SELECT count(*) FROM unnest($1::bigint[]) AS sent(tweet_id) LEFT JOIN tweets t USING (tweet_id) \
             WHERE t.stored_at IS NULL) + (SELECT count(*) FROM feed_tasks)";
        sql.query_one(open, &[&numbers]).await.is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
    for reader in &people {
        let pages = clients.feed(&mut rng, *reader).await?;
        let known = clients.known();
        is_right(*reader, &pages, &known).with_context(|| format!("the feed of {reader}"))?;
    }
    let shown = "SELECT count(*) FILTER (WHERE pulled), count(*) FILTER (WHERE audience BETWEEN 16 AND 70), \
         (SELECT count(*) FROM feed_floors) FROM tweets";
    let row = sql.query_one(shown, &[]).await?;
    let (pulled, ranged, trimmed): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(pulled > 0 && ranged > 0 && trimmed > 0, "{pulled} pulled, {ranged} in ranges, {trimmed} trimmed feeds");
    let (code, said) = plant.command(&["verify", "--target", "tweet_records"]).await?;
    ensure!(code == 0, "{said}");
    eprintln!("{} tweets, {pulled} pulled, {ranged} in ranges, {trimmed} trimmed feeds", clients.known().sent.len());
    Ok(())
}

fn start_apis(plant: &Plant, ports: [u16; 2]) -> Result<Vec<Process>> {
    APIS.iter().zip(ports).map(|(id, port)| plant.api(id, port, &[])).collect()
}

/// User `n` of the list is followed by about `USERS / n` others.
async fn befriend(clients: &Clients, rng: &mut StdRng, people: &[i64]) -> Result<()> {
    let steady = &people[..USERS - RESTLESS];
    for (rank, author) in steady.iter().enumerate() {
        for reader in people.iter().take(USERS - RESTLESS).filter(|reader| *reader != author) {
            if rng.random_range(0..=rank) == 0 {
                clients.follow(rng, *reader, *author).await?;
            }
        }
    }
    Ok(())
}

async fn post(
    clients: Clients,
    people: Vec<i64>,
    seed: u64,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 0_u64.. {
        if *stopped.borrow() {
            break;
        }
        // Popular authors post more.
        let share: f64 = rng.random_range(0.0..1.0);
        let author = people[(share * share * (USERS - RESTLESS) as f64) as usize];
        let content = format!("{seed}-{number} \u{202e}<b>\u{1f426}</b>");
        let tweet = clients.post(&mut rng, author, &content).await?;
        if rng.random_range(0..15) == 0 {
            clients.delete(&mut rng, author, tweet).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Follows and unfollows of those who are restless.
async fn come_and_go(
    clients: Clients,
    people: Vec<i64>,
    seed: u64,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    while !*stopped.borrow() {
        let reader = people[USERS - RESTLESS + rng.random_range(0..RESTLESS)];
        let author = people[rng.random_range(0..12)];
        let follows = clients.known().follows.contains_key(&(reader, author));
        if follows && rng.random_range(0..2) == 0 {
            clients.unfollow(&mut rng, reader, author).await?;
        } else {
            clients.follow(&mut rng, reader, author).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Stops (SIGSTOP) a worker whose session is inside the serving of a range; which one.
async fn freeze_in_a_range(plant: &Plant, sql: &Client, workers: &[Process]) -> Result<usize> {
    let watch = plant.connect().await?;
    sql.batch_execute("BEGIN; LOCK TABLE feed_items IN SHARE MODE").await?;
    // An audience that was served is to be served once more, which changes nothing: batches wait as the ranges do, so no
    // task comes by itself. Not of a tweet that is being deleted: that ends its task.
    let again = "INSERT INTO feed_tasks (tweet_id, author_id, audience_version) SELECT tweet_id, author_id, audience_version \
         FROM tweets t WHERE stored_at IS NOT NULL AND deleted_at IS NULL AND NOT pulled AND audience > 15 \
         ORDER BY tweet_id DESC LIMIT 1 ON CONFLICT DO NOTHING";
    let inside = "SELECT application_name FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%step_feed_task%' LIMIT 1";
    let name: String = wait_for(Duration::from_secs(30), "a worker is inside a range", async || {
        watch.execute(again, &[]).await.ok()?;
        watch.query_opt(inside, &[]).await.ok().flatten().map(|row| row.get(0))
    })
    .await;
    let frozen = WORKERS.iter().position(|id| name.contains(id)).context("the worker's name")?;
    workers[frozen].stop()?;
    sql.batch_execute("COMMIT").await?;
    Ok(frozen)
}

/// What was answered against what is read: everything that must be there once and in order, and nothing else.
fn is_right(reader: i64, pages: &[(i64, i64, String)], known: &Known) -> Result<()> {
    ensure!(pages.is_sorted_by(|one, next| one.0 > next.0), "not newest first, or something twice: {pages:?}");
    for (tweet, author, content) in pages {
        let follows = known.follows.contains_key(&(reader, *author));
        ensure!(follows || *author == reader, "tweet {tweet} is of {author}, whom they do not follow");
        ensure!(!known.deleted.contains(tweet), "tweet {tweet} is deleted");
        // Every post was repeated until it was accepted.
        let sent = known.sent.get(tweet).with_context(|| format!("nobody was told of tweet {tweet}"))?;
        ensure!(sent.author == *author && sent.content == *content, "tweet {tweet} is {content:?} and was {sent:?}");
    }
    let there: std::collections::BTreeSet<i64> = pages.iter().map(|page| page.0).collect();
    for (tweet, sent) in known.sent.iter().filter(|(tweet, _)| !known.deleted.contains(tweet)) {
        let since = known.follows.get(&(reader, sent.author));
        let theirs = sent.author == reader || since.is_some_and(|since| *since <= sent.asked_at);
        ensure!(!theirs || there.contains(tweet), "tweet {tweet} of {} is missing", sent.author);
    }
    Ok(())
}

async fn pause(rng: &mut StdRng, ms: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(ms))).await;
}
