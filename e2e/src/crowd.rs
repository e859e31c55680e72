//! A crowd on the tweet API that posts, follows, unfollows and deletes while somebody breaks things; then every feed's pages
//! are held against what the crowd was answered.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use testkit::{wait_for, wait_until};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::clients::{Clients, Known};

/// How many there are.
const USERS: usize = 120;
/// The last users' follows come and go; nobody else's do.
const RESTLESS: usize = 20;
/// Clients that post, and the pause after each post.
const POSTERS: u64 = 6;
const PAUSE: Duration = Duration::from_millis(40);

/// Small audiences, ranges, pulled tweets and trimmed feeds all come up with a crowd of this size.
pub const SETTINGS: &str =
    "UPDATE feed_settings SET range_above = 15, range_rows = 10, pull_above = 70, keep_items = 12";

/// A crowd at work.
pub struct Crowd {
    clients: Clients,
    people: Vec<i64>,
    rng: StdRng,
    stop: watch::Sender<bool>,
    load: JoinSet<Result<()>>,
}

/// What it did, once it is proven.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Accepted tweets.
    pub tweets: usize,
    /// Of these, deleted ones.
    pub deleted: usize,
    /// Feeds that were read to their end.
    pub feeds: usize,
}

impl Crowd {
    /// Makes users who are called `name` and a number, lets them follow each other, and begins.
    ///
    /// # Errors
    /// When a request is refused.
    pub async fn gather(clients: Clients, name: &str, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let people = clients.users(&mut rng, name, USERS).await?;
        befriend(&clients, &mut rng, &people).await?;
        let (stop, stopped) = watch::channel(false);
        let mut load = JoinSet::new();
        for poster in 0..POSTERS {
            load.spawn(post(clients.clone(), people.clone(), seed ^ (poster + 1), stopped.clone()));
        }
        load.spawn(come_and_go(clients.clone(), people.clone(), seed ^ 99, stopped));
        Ok(Self { clients, people, rng, stop, load })
    }

    /// Ends the load, waits until what was accepted is served, and reads every feed.
    ///
    /// # Errors
    /// When a client was answered what must not be, or a feed is not what its reader was promised.
    pub async fn hold(mut self, sql: &Client) -> Result<Held> {
        self.stop.send_replace(true);
        while let Some(ended) = self.load.join_next().await {
            ended??;
        }
        wait_until(Duration::from_secs(60), "every accepted tweet is stored and served", async || {
            let numbers: Vec<i64> = self.clients.known().sent.keys().copied().collect();
            let open = "SELECT (SELECT count(*) FROM unnest($1::bigint[]) AS sent(tweet_id) LEFT JOIN tweets t USING (tweet_id) \
                 WHERE t.stored_at IS NULL) + (SELECT count(*) FROM feed_tasks)";
            sql.query_one(open, &[&numbers]).await.is_ok_and(|row| row.get::<_, i64>(0) == 0)
        })
        .await;
        for reader in &self.people {
            let pages = self.clients.feed(&mut self.rng, *reader).await?;
            let known = self.clients.known();
            is_right(*reader, &pages, &known).with_context(|| format!("the feed of {reader}"))?;
        }
        let known = self.clients.known();
        Ok(Held { tweets: known.sent.len(), deleted: known.deleted.len(), feeds: self.people.len() })
    }
}

/// Waits until a worker's session stands inside the serving of a range, held there by a lock of `holding`'s transaction;
/// the session's name. `holding` is to commit.
///
/// # Errors
/// When the lock can't be had.
///
/// # Panics
/// When nobody is inside after half a minute.
pub async fn hold_a_range(holding: &Client, sql: &Client) -> Result<String> {
    holding.batch_execute("BEGIN; LOCK TABLE feed_items IN SHARE MODE").await?;
    // An audience that was served is to be served once more, which changes nothing: batches wait as the ranges do, so no
    // task comes by itself. Not of a tweet that is being deleted: that ends its task.
    let again = "INSERT INTO feed_tasks (tweet_id, author_id, audience_version) SELECT tweet_id, author_id, audience_version \
         FROM tweets t WHERE stored_at IS NOT NULL AND deleted_at IS NULL AND NOT pulled AND audience > 15 \
         ORDER BY tweet_id DESC LIMIT 1 ON CONFLICT DO NOTHING";
    let inside = "SELECT application_name FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%step_feed_task%' LIMIT 1";
    Ok(wait_for(Duration::from_secs(30), "a worker is inside a range", async || {
        sql.execute(again, &[]).await.ok()?;
        sql.query_opt(inside, &[]).await.ok().flatten().map(|row| row.get(0))
    })
    .await)
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

async fn post(clients: Clients, people: Vec<i64>, seed: u64, stopped: watch::Receiver<bool>) -> Result<()> {
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
async fn come_and_go(clients: Clients, people: Vec<i64>, seed: u64, stopped: watch::Receiver<bool>) -> Result<()> {
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
    let there: BTreeSet<i64> = pages.iter().map(|page| page.0).collect();
    for (tweet, sent) in known.sent.iter().filter(|(tweet, _)| !known.deleted.contains(tweet)) {
        let since = known.follows.get(&(reader, sent.author));
        let theirs = sent.author == reader || since.is_some_and(|since| *since <= sent.asked_at);
        ensure!(!theirs || there.contains(tweet), "tweet {tweet} of {} is missing", sent.author);
    }
    Ok(())
}
