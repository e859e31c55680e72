//! Posts go out when they are due, whatever became of those before them: an open loop, so a slow API cannot slow down
//! the load that it is measured with (no coordinated omission). What is posted late counts from when it was due.
//!
//! ```text
//! due posts ──┐ earliest first                     202 ─> accepted
//!             ├──────────────> flights (bounded) ──┤
//! again (bounded) <── 429, 503, no answer ─────────┴─ otherwise, or after 30 s ─> refused, unanswered
//! ```

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use lifecycle::Shutdown;
use reqwest::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::warn;
use uuid::Uuid;

use super::{
    api::{Api, Error},
    percentiles::Times,
};
use crate::{progress::Progress, tally::Counts};

/// A post that nobody took for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What waits for another try; while there are so many, posts that are due wait, too.
const MOST_AGAIN: usize = 20_000;
/// What is waited where there was no answer.
const UNLESS_SAID: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One post. The order is that of the times at which they may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Post {
    /// When it may be sent: when it is due, later when it was sent before.
    ready_at: Instant,
    /// From 0.
    pub number: u64,
    /// Rank of its author.
    pub author: u32,
    /// When it should be sent.
    pub due: Instant,
    first_sent_at: Option<Instant>,
}

impl Post {
    /// Not sent yet.
    #[must_use]
    pub fn new(number: u64, author: u32, due: Instant) -> Self {
        Self { ready_at: due, number, author, due, first_sent_at: None }
    }
}

/// A post that was accepted.
#[derive(Debug, Clone, Copy)]
pub struct Posted {
    /// Rank of its author.
    pub author: u32,
    /// Its number.
    pub tweet: i64,
}

/// What became of the posts.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Taken by the API.
    pub accepted: Vec<Posted>,
    /// Given up: the last answer was a no.
    pub refused: u64,
    /// Given up: the last try had no answer, so it may be there or not.
    pub unanswered: u64,
    /// Answers that were 429 Too Many Requests.
    pub limited: u64,
    /// Answers that were 503 Service Unavailable.
    pub unavailable: u64,
    /// Tries without an answer.
    pub silent: u64,
    /// From due to the first try: what the client itself, or its connections, took.
    pub late: Times,
    /// From due to the 202.
    pub answered: Times,
    /// Whether it was stopped before all were posted.
    pub stopped: bool,
    sent: u64,
}

/// Who posts.
#[derive(Debug)]
pub struct Posting {
    /// Where to.
    pub api: Api,
    /// Numbers of the users, by rank.
    pub users: Arc<[i64]>,
    /// Requests at the same time.
    pub connections: usize,
    /// Names this run in the keys of its posts.
    pub run: Uuid,
    /// What the tweets are of, for their text.
    pub about: String,
}

type Landed = (Post, Result<super::api::Accepted, Error>);

impl Posting {
    /// Posts all of `total` posts, which come in the order of their times; tells of each that is accepted.
    pub async fn run(
        &self,
        posts: impl Iterator<Item = Post>,
        total: usize,
        stop: &Shutdown,
        mut accepted: impl FnMut(&Post, i64),
    ) -> Outcome {
        let (mut posts, mut again) = (posts.peekable(), BinaryHeap::new());
        let (mut flights, mut outcome) = (JoinSet::<Landed>::new(), Outcome::default());
        let (mut progress, mut shown) = (Progress::new(total), Instant::now());
        loop {
            if stop.is_requested() && !outcome.stopped {
                outcome.stopped = posts.peek().is_some() || !again.is_empty() || !flights.is_empty();
            }
            let now = Instant::now();
            while flights.len() < self.connections && !outcome.stopped {
                let Some(mut post) = next(&mut posts, &mut again, now) else { break };
                if post.first_sent_at.is_none() {
                    post.first_sent_at = Some(now);
                    outcome.sent += 1;
                    outcome.late.push(now - post.due);
                }
                flights.spawn(self.send(post));
            }
            let over = outcome.stopped || (posts.peek().is_none() && again.is_empty());
            if flights.is_empty() && over {
                break;
            }
            if shown.elapsed() >= LOOK_EVERY {
                shown = now;
                progress.show(&outcome.counts());
            }
            let idle = flights.len() < self.connections && !outcome.stopped;
            let soon = now + LOOK_EVERY;
            let (due, repeat) = ready(&mut posts, &again);
            let wake = [due, repeat].into_iter().flatten().filter(|_| idle).fold(soon, Instant::min);
            tokio::select! {
                Some(landed) = flights.join_next() => {
                    let (post, answer) = landed.expect("a flight neither panics nor is aborted");
                    match answer {
                        Ok(tweet) => {
                            outcome.accepted(&post, tweet.id);
                            accepted(&post, tweet.id);
                        }
                        Err(error) => outcome.failed(post, &error, &mut again),
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
        progress.finish(&outcome.counts());
        outcome
    }

    /// Every try of a post has the same key, so it is one tweet.
    fn send(&self, post: Post) -> impl Future<Output = Landed> + 'static {
        let (api, author) = (self.api.clone(), self.users[post.author as usize]);
        let (key, content) = (format!("{}-{}", self.run, post.number), format!("{} #{}", self.about, post.number));
        async move { (post, api.post(author, &content, &key).await) }
    }
}

/// The earliest one that may be sent by now.
fn next(
    posts: &mut std::iter::Peekable<impl Iterator<Item = Post>>,
    again: &mut BinaryHeap<Reverse<Post>>,
    now: Instant,
) -> Option<Post> {
    match ready(posts, again) {
        (Some(due), repeat) if due <= now && repeat.is_none_or(|repeat| due <= repeat) => posts.next(),
        (_, Some(repeat)) if repeat <= now => again.pop().map(|Reverse(post)| post),
        _ => None,
    }
}

/// When the next new one may be sent, and the next one that goes again.
fn ready(
    posts: &mut std::iter::Peekable<impl Iterator<Item = Post>>,
    again: &BinaryHeap<Reverse<Post>>,
) -> (Option<Instant>, Option<Instant>) {
    let due = posts.peek().filter(|_| again.len() < MOST_AGAIN).map(|post| post.ready_at);
    (due, again.peek().map(|Reverse(post)| post.ready_at))
}

impl Outcome {
    fn accepted(&mut self, post: &Post, tweet: i64) {
        self.accepted.push(Posted { author: post.author, tweet });
        self.answered.push(post.due.elapsed());
    }

    /// Counts the answer; the post goes again where that can help.
    fn failed(&mut self, mut post: Post, error: &Error, again: &mut BinaryHeap<Reverse<Post>>) {
        let after = match error {
            Error::Busy { status, after } => {
                match *status {
                    StatusCode::TOO_MANY_REQUESTS => self.limited += 1,
                    _ => self.unavailable += 1,
                }
                Some(*after)
            }
            Error::Unanswered { .. } => {
                self.silent += 1;
                Some(UNLESS_SAID)
            }
            Error::Refused { .. } | Error::Strange { .. } => None,
        };
        // Those that were sent away together come back one by one.
        let after = after.map(|after| after.mul_f64(rand::random_range(1.0..1.5)));
        let began = post.first_sent_at.unwrap_or(post.due);
        match after {
            Some(after) if began.elapsed() + after < PATIENCE && !self.stopped => {
                post.ready_at = Instant::now() + after;
                again.push(Reverse(post));
            }
            _ => self.given_up(&post, error),
        }
    }

    fn given_up(&mut self, post: &Post, error: &Error) {
        if self.refused + self.unanswered == 0 {
            warn!(post = post.number, error = format!("{error:#}"), "given up; others are only counted");
        }
        match error {
            Error::Unanswered { .. } => self.unanswered += 1,
            _ => self.refused += 1,
        }
    }

    /// As a replay shows them: what the API has accepted is on all in-sync replicas.
    fn counts(&self) -> Counts {
        let (acknowledged, failed) = (self.accepted.len() as u64, self.refused + self.unanswered);
        Counts { sent: self.sent, acknowledged, failed, ..Counts::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_earliest_goes_first_and_none_goes_early() {
        let start = Instant::now();
        let mut posts = [0, 10, 30].map(|at| Post::new(at, 0, start + ms(at))).into_iter().peekable();
        let mut again = BinaryHeap::new();
        let repeat = Post { ready_at: start + ms(20), ..Post::new(99, 0, start) };
        again.push(Reverse(repeat));
        let mut sent = |at| next(&mut posts, &mut again, start + ms(at)).map(|post| post.number);
        assert_eq!(
            [sent(5), sent(5), sent(25), sent(25), sent(25), sent(30)],
            [Some(0), None, Some(10), Some(99), None, Some(30)]
        );
    }

    #[test]
    fn what_is_busy_goes_again_not_before_it_was_told_to() {
        let (mut outcome, mut again) = (Outcome::default(), BinaryHeap::new());
        let busy = |after| Error::Busy { status: StatusCode::TOO_MANY_REQUESTS, after };
        outcome.failed(Post::new(1, 0, Instant::now()), &busy(ms(2_000)), &mut again);
        let Reverse(post) = again.pop().expect("it goes again");
        assert!(post.ready_at >= post.due + ms(2_000), "{post:?}");
        outcome.failed(Post::new(2, 0, Instant::now()), &busy(PATIENCE), &mut again);
        assert_eq!((outcome.limited, outcome.refused, again.len()), (2, 1, 0));
    }
}
