//! `producer feed-replay`: a recording's numbers of tweets, posted when they are due, and when their readers see them.

use std::{collections::HashSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::{Args, value_parser};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{Shutdown, exit};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::index};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    api::{Api, Error},
    arrivals::{self, Spread, Window},
    crowd, followers,
    percentiles::Times,
    posting::{Outcome, Post, Posting},
    visibility::{self, Delivery},
};
use crate::{recording, setup::Refused, speed::Speed};

/// From the last thing that was made to the first post.
const TAKE_BREATH: Duration = Duration::from_secs(1);

/// `producer feed-replay`
#[derive(Debug, Args)]
pub struct Options {
    /// A CSV file with the columns `timestamp` and `value`, the number of tweets from then to the next row
    file: PathBuf,
    /// The tweet API
    #[arg(long, default_value = "http://127.0.0.1:8005")]
    api: String,
    /// How fast: a multiple of the recording's own time
    #[arg(long, default_value = "10x")]
    speed: Speed,
    /// How many users there are; every one posts, and follows others
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u16).range(2..=10_000))]
    users: u16,
    /// The same seed gives the same arrivals, authors, followers and samples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The instant of the recording to begin with (RFC 3339); without it the row with the most tweets is in the middle
    #[arg(long)]
    from: Option<Timestamp>,
    /// Seconds to play
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u32).range(1..=86_400))]
    for_s: u32,
    /// How a row's tweets lie in its time
    #[arg(long, value_enum, default_value = "poisson")]
    spread: Spread,
    /// How many tweets are looked for in a follower's feed from when they were due
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u16).range(0..=10_000))]
    samples: u16,
    /// Posts that wait for their answer at the same time
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=1_024))]
    connections: u16,
    /// Seconds after the last post within which every accepted tweet has to be visible
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u16).range(1..=3_600))]
    visible_within: u16,
    /// Log lines
    #[command(flatten)]
    telemetry: telemetry::Options,
}

/// What will be posted when.
struct Plan {
    window: Window,
    times: f64,
    tweets: usize,
}

/// Replays, and prints what was seen.
///
/// # Errors
/// When the recording or the API is not what it should be.
pub async fn run(options: Options, stop: &Shutdown) -> Result<u8, Refused> {
    let _metrics = telemetry::init("producer", &options.telemetry).context("telemetry")?;
    let plan = Plan::new(&options)?;
    let api = super::reach(&options.api, usize::from(options.connections)).await?;
    print!("{}", plan.said(&options));
    let Some(crowd) = crowd::unless_stopped(stop, Crowd::make(&api, &options)).await else {
        return Ok(exit::TEMPORARY);
    };
    let crowd = crowd?;
    println!("{crowd}");
    sleep(TAKE_BREATH).await;
    let report = play(&api, &options, &plan, &crowd, stop).await?;
    print!("{report}");
    Ok(report.exit_code())
}

impl Plan {
    fn new(options: &Options) -> Result<Self, Refused> {
        let Speed::Times(times) = options.speed else {
            return Err(anyhow!("--speed: with max nothing is due, so nothing is late: give a factor").into());
        };
        let file = || options.file.display().to_string();
        let rows = recording::read(&options.file).with_context(file)?;
        let length = Duration::try_from_secs_f64(f64::from(options.for_s) * times).unwrap_or(Duration::MAX);
        let window = Window::new(&rows, options.from, length).map_err(|error| Refused {
            code: if matches!(error, arrivals::Error::NoCount(_)) { exit::DATA } else { exit::USAGE },
            error: anyhow::Error::new(error).context(file()),
        })?;
        let tweets = window.arrivals(times, options.spread, options.seed).count();
        Ok(Self { window, times, tweets })
    }

    fn said(&self, options: &Options) -> String {
        let recorded = SignedDuration::try_from_secs_f64(f64::from(options.for_s) * self.times).unwrap_or_default();
        format!(
            "recording  {}: {recorded:#} from {}\nload       {} tweets in {} s at {}x: {:.0}/s on average, {:.0}/s at the peak \
             ({:?}, seed {})\n",
            options.file.file_name().unwrap_or_default().display(),
            self.window.from,
            self.tweets,
            options.for_s,
            self.times,
            self.tweets as f64 / f64::from(options.for_s),
            self.window.peak_per_second() * self.times,
            options.spread,
            options.seed,
        )
    }
}

/// The users by rank, and the ranks of their followers.
struct Crowd {
    users: Arc<[i64]>,
    followers: Vec<Vec<u32>>,
    made_in: Duration,
}

impl Crowd {
    async fn make(api: &Api, options: &Options) -> Result<Self, Error> {
        let began = Instant::now();
        let users = crowd::users(api, usize::from(options.users)).await?;
        let mut rng = StdRng::seed_from_u64(options.seed);
        let followers: Vec<Vec<u32>> =
            (0..users.len()).map(|rank| followers::of(rank, users.len(), &mut rng)).collect();
        info!(
            users = users.len(),
            follows = followers.iter().map(Vec::len).sum::<usize>(),
            "users are made, now follows"
        );
        let mut follows: Vec<(i64, i64)> = Vec::new();
        for (author, readers) in followers.iter().enumerate() {
            follows.extend(readers.iter().map(|reader| (users[*reader as usize], users[author])));
        }
        // By reader: follows of one author, one behind the other, would wait for the author's row.
        follows.sort_unstable();
        crowd::follows(api, follows.into_iter()).await?;
        Ok(Self { users: users.into(), followers, made_in: began.elapsed() })
    }

    /// One who follows the author; the same one for the same number.
    fn reader(&self, author: u32, number: u64) -> i64 {
        let followers = &self.followers[author as usize];
        self.users[followers[number as usize % followers.len()] as usize]
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, most) = (self.users.len(), self.followers.first().map_or(0, Vec::len));
        let follows: usize = self.followers.iter().map(Vec::len).sum();
        let seconds = self.made_in.as_secs_f64();
        write!(f, "crowd      {users} users, {follows} follows, {most} of them of one user; made in {seconds:.1} s")
    }
}

async fn play(api: &Api, options: &Options, plan: &Plan, crowd: &Crowd, stop: &Shutdown) -> Result<Report, Error> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let sampled: HashSet<u64> = index::sample(&mut rng, plan.tweets, usize::from(options.samples).min(plan.tweets))
        .into_iter()
        .map(|number| number as u64)
        .collect();
    let posting = Posting {
        api: api.clone(),
        users: Arc::clone(&crowd.users),
        connections: usize::from(options.connections),
        run: Uuid::now_v7(),
        about: options.file.file_stem().unwrap_or_default().display().to_string(),
    };
    let within = Duration::from_secs(options.visible_within.into());
    let users = crowd.users.len() as u32;
    let start = Instant::now();
    let arrivals = plan.window.arrivals(plan.times, options.spread, options.seed);
    let posts = (0..).zip(arrivals).map(|(number, due)| Post::new(number, rng.random_range(0..users), start + due));
    let mut looks = JoinSet::new();
    let outcome = posting
        .run(posts, plan.tweets, stop, |post, tweet| {
            if sampled.contains(&post.number) {
                let (api, stop, reader) = (api.clone(), stop.clone(), crowd.reader(post.author, post.number));
                let since = (post.due, Instant::now() + within);
                looks.spawn(async move { visibility::seen(&api, reader, tweet, since, &stop).await });
            }
        })
        .await;
    let (posted_in, until) = (start.elapsed(), Instant::now() + within);
    let (mut seen, mut unseen) = (Times::default(), 0);
    while let Some(look) = looks.join_next().await {
        match look.expect("a look neither panics nor is aborted")? {
            Some(time) => seen.push(time),
            None => unseen += 1,
        }
    }
    info!(tweets = outcome.accepted.len(), "asking for the status of each tweet");
    let mut outcome = outcome;
    let accepted = std::mem::take(&mut outcome.accepted);
    let taken = accepted.len();
    let delivery = visibility::delivery(api, accepted, until, stop).await?;
    for posted in delivery.missing.iter().take(5).filter(|_| !stop.is_requested()) {
        warn!(tweet = posted.tweet, author = crowd.users[posted.author as usize], "accepted and not visible");
    }
    let stopped = outcome.stopped || stop.is_requested();
    Ok(Report { tweets: plan.tweets, taken, posted_in, outcome, delivery, seen, unseen, stopped })
}

/// What was seen.
struct Report {
    tweets: usize,
    taken: usize,
    posted_in: Duration,
    outcome: Outcome,
    delivery: Delivery,
    seen: Times,
    unseen: usize,
    stopped: bool,
}

impl Report {
    /// Ok when every accepted tweet is visible, in the feeds that were looked into, too.
    fn exit_code(&self) -> u8 {
        if self.stopped || self.unseen > 0 || !self.delivery.missing.is_empty() { exit::TEMPORARY } else { exit::OK }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { refused, unanswered, limited, unavailable, silent, .. } = self.outcome;
        if self.stopped {
            writeln!(f, "stopped    what follows is what was known by then")?;
        }
        let seconds = self.posted_in.as_secs_f64();
        writeln!(
            f,
            "posts      {} accepted of {} in {seconds:.1} s ({:.0}/s), {refused} refused, {unanswered} unanswered",
            self.taken,
            self.tweets,
            self.taken as f64 / seconds,
        )?;
        writeln!(
            f,
            "repeated   with the same key: {limited} answers were 429, {unavailable} were 503, {silent} tries had none"
        )?;
        writeln!(f, "first try  after due: {}", self.outcome.late)?;
        writeln!(f, "202        after due: {}", self.outcome.answered)?;
        let (visible, feeds, missing) = (self.delivery.visible, self.delivery.feeds, self.delivery.missing.len());
        write!(f, "delivered  {visible} tweets of {} to {feeds} feeds; {missing} not", self.taken)?;
        match self.delivery.unasked {
            0 => writeln!(f)?,
            unasked => writeln!(f, ", {unasked} were not asked for")?,
        }
        let (seen, looked) = (self.seen.len(), self.seen.len() + self.unseen);
        writeln!(f, "visible    {seen} of {looked} samples in a follower's feed, after due: {}", self.seen)
    }
}
