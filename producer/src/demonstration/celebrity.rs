//! `producer feed-demo`: a celebrity posts, and all of its followers' feeds are read until the last one has the tweet.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::{Args, value_parser};
use futures_util::future::try_join_all;
use lifecycle::{Shutdown, exit};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    api::{Api, CONNECTIONS, Error, patiently},
    crowd,
    percentiles::{Times, said},
    visibility,
};
use crate::setup::Refused;

/// Users who post something, too, and who reads them.
const OTHER_AUTHORS: usize = 20;
/// A feed that was found without the tweet is looked into again after this.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A tweet that is not in all feeds by then is not delivered.
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);
/// So that each tweet finds the API at rest, and its limit of requests as full as it gets with the defaults.
const BETWEEN_TWEETS: Duration = Duration::from_secs(2);

/// `producer feed-demo`
#[derive(Debug, Args)]
pub struct Options {
    /// The tweet API
    #[arg(long, default_value = "http://127.0.0.1:8005")]
    api: String,
    /// How many users there are besides the celebrity; all but one follow it
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u16).range(2..=20_000))]
    users: u16,
    /// How many tweets of the celebrity are measured, one after the other
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u8).range(1..=100))]
    tweets: u8,
    /// Log lines
    #[command(flatten)]
    telemetry: telemetry::Options,
}

/// Who takes part: numbers of users.
struct Cast {
    celebrity: i64,
    followers: Vec<i64>,
    stranger: i64,
}

/// How long one tweet took.
struct Measured {
    tweet: i64,
    post: Duration,
    /// From the request to the status "delivered" or "pulled".
    status: Duration,
    /// From the request until the last feed was found with it.
    last_feed: Duration,
}

/// Measures, and prints what was seen.
///
/// # Errors
/// When the API does not answer, a tweet does not arrive, or arrives at a stranger's.
pub async fn run(options: Options, stop: &Shutdown) -> Result<u8, Refused> {
    let _metrics = telemetry::init("producer", &options.telemetry).context("telemetry")?;
    let api = super::reach(&options.api, CONNECTIONS).await?;
    let measured = crowd::unless_stopped(stop, measure(&api, &options, stop)).await;
    measured.unwrap_or(Ok(exit::TEMPORARY))
}

async fn measure(api: &Api, options: &Options, stop: &Shutdown) -> Result<u8, Refused> {
    let cast = Cast::make(api, options).await?;
    let (mut posts, mut status, mut feeds) = (Times::default(), Times::default(), Times::default());
    let (run, mut last) = (Uuid::now_v7(), 0);
    for number in 1..=options.tweets {
        let measured = tweet(api, &cast, &format!("{run}-{number}"), stop).await?;
        println!(
            "tweet {number}: POST answered after {}, status delivered after {}, in the last of {} feeds after {}",
            said(measured.post),
            said(measured.status),
            cast.followers.len(),
            said(measured.last_feed),
        );
        posts.push(measured.post);
        status.push(measured.status);
        feeds.push(measured.last_feed);
        last = measured.tweet;
        sleep(BETWEEN_TWEETS).await;
    }
    // All have the last one by now.
    let began = Instant::now();
    unread(api, &cast.followers, last, began + DELIVERED_WITHIN).await?;
    let reading = began.elapsed();
    let median = |times: &Times| said(times.percentile(50.0));
    println!("\nmedian of {} tweets to {} followers:", options.tweets, cast.followers.len());
    println!("  {:<58}{:>10}", "POST /api/tweets/ answered after", median(&posts));
    println!("  {:<58}{:>10}", "its status was delivered after", median(&status));
    println!("  {:<58}{:>10}", "read through the API, the last feed had it after", median(&feeds));
    println!("  {:<58}{:>10}", "reading them all once, when all have it, takes", said(reading));
    Ok(exit::OK)
}

impl Cast {
    /// Users, the celebrity last, and some tweets of others.
    async fn make(api: &Api, options: &Options) -> Result<Self, Refused> {
        let began = Instant::now();
        let mut users = crowd::users(api, usize::from(options.users) + 1).await?;
        let celebrity = users.pop().expect("there is one more than the option says");
        let made_in = began.elapsed();
        crowd::follows(api, users[1..].iter().map(|reader| (*reader, celebrity))).await?;
        let authors = &users[..OTHER_AUTHORS.min(users.len())];
        crowd::follows(api, users.windows(2).take(authors.len()).map(|pair| (pair[1], pair[0]))).await?;
        for author in authors {
            let key = Uuid::now_v7().to_string();
            patiently(async || api.post(*author, "a sample tweet", &key).await).await?;
        }
        println!(
            "{} users and a celebrity made in {:.1} s, {} follows of it in {:.1} s",
            users.len(),
            made_in.as_secs_f64(),
            users.len() - 1,
            (began.elapsed() - made_in).as_secs_f64(),
        );
        let stranger = users.remove(0);
        Ok(Self { celebrity, followers: users, stranger })
    }
}

/// Posts one tweet, and reads feeds until all have it.
async fn tweet(api: &Api, cast: &Cast, key: &str, stop: &Shutdown) -> Result<Measured, Refused> {
    let mut began = Instant::now();
    let tweet = patiently(async || {
        // A repeat after 429 or 503 is measured alone.
        began = Instant::now();
        api.post(cast.celebrity, "hello, all of you", key).await
    })
    .await?;
    let post = began.elapsed();
    let until = began + DELIVERED_WITHIN;
    let status = async {
        loop {
            let answer = patiently(async || api.status(tweet.id).await).await?;
            if answer.status.is_visible() || Instant::now() > until {
                return Ok::<_, Error>(began.elapsed());
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let (status, missing) = tokio::try_join!(status, unread(api, &cast.followers, tweet.id, until))?;
    let last_feed = began.elapsed();
    if missing > 0 {
        let error = anyhow!("after {} s tweet {} is missing in {missing} feeds", DELIVERED_WITHIN.as_secs(), tweet.id);
        return Err(Refused { code: exit::TEMPORARY, error });
    }
    if visibility::seen(api, cast.stranger, tweet.id, (began, began), stop).await?.is_some() {
        let error = anyhow!("tweet {} is in the feed of user {}, who follows nobody", tweet.id, cast.stranger);
        return Err(Refused { code: exit::SOFTWARE, error });
    }
    Ok(Measured { tweet: tweet.id, post, status, last_feed })
}

/// Goes round the feeds that are not known to have the tweet, on all connections, until none is left or it is `until`;
/// how many are left.
async fn unread(api: &Api, readers: &[i64], tweet: i64, until: Instant) -> Result<usize, Error> {
    let queue: Mutex<VecDeque<i64>> = Mutex::new(readers.iter().copied().collect());
    let locked = || queue.lock().expect("nobody panics with it");
    let look = async |_| {
        loop {
            let Some(reader) = locked().pop_front() else { return Ok(()) };
            if patiently(async || api.feed_has(reader, tweet).await).await? {
                continue;
            }
            locked().push_back(reader);
            if Instant::now() > until {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    };
    try_join_all((0..CONNECTIONS).map(look)).await?;
    Ok(locked().len())
}
