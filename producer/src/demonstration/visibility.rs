//! Whether tweets are where their readers look.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use lifecycle::Shutdown;
use tokio::time::{Instant, sleep};

use super::{
    api::{Api, CONNECTIONS, Error},
    posting::Posted,
};

/// The shortest time between two looks into a feed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The times between two looks are no longer than this part of the time that has passed.
const RESOLUTION: u32 = 20;
const ASK_EVERY: Duration = Duration::from_millis(500);
/// For what can still be asked when somebody wants to stop.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Looks into a reader's feed until the tweet is there; the time from `since` until then. Nothing when it is not there by
/// `until`, or somebody wants to stop. It may have been there 20 ms earlier, or a twentieth of the time.
///
/// # Errors
/// An answer that no repeat can mend.
pub async fn seen(
    api: &Api,
    reader: i64,
    tweet: i64,
    (since, until): (Instant, Instant),
    stop: &Shutdown,
) -> Result<Option<Duration>, Error> {
    loop {
        let pause = match api.feed_has(reader, tweet).await {
            Ok(true) => return Ok(Some(since.elapsed())),
            Ok(false) | Err(Error::Unanswered { .. }) => LOOK_EVERY.max(since.elapsed() / RESOLUTION),
            Err(Error::Busy { after, .. }) => after,
            Err(error) => return Err(error),
        };
        if Instant::now() + pause > until || stop.is_requested() {
            return Ok(None);
        }
        sleep(pause).await;
    }
}

/// What is known of the tweets that were accepted.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Tweets that everybody who follows their authors can read.
    pub visible: u64,
    /// Feeds that they were put into, in all.
    pub feeds: u64,
    /// Tweets of which that was not so when they were asked for last.
    pub missing: Vec<Posted>,
    /// Tweets that were not asked for: there was a stop.
    pub unasked: u64,
}

/// Asks for the status of each tweet until all are visible, or it is `until`; when somebody wants to stop, once and for some
/// seconds.
///
/// # Errors
/// An answer of another shape.
pub async fn delivery(api: &Api, accepted: Vec<Posted>, until: Instant, stop: &Shutdown) -> Result<Delivery, Error> {
    let mut delivery = Delivery { missing: accepted, ..Delivery::default() };
    let last_word = Instant::now() + LAST_WORD;
    while !delivery.missing.is_empty() {
        let asked = std::mem::take(&mut delivery.missing);
        let ask = async |posted: Posted| {
            let answer = match stop.is_requested() && Instant::now() > last_word {
                true => Ok(None),
                false => api.status(posted.tweet).await.map(Some),
            };
            (posted, answer)
        };
        let mut answers = stream::iter(asked).map(ask).buffer_unordered(CONNECTIONS);
        while let Some((posted, answer)) = answers.next().await {
            match answer {
                Ok(Some(status)) if status.status.is_visible() => {
                    delivery.visible += 1;
                    delivery.feeds += status.delivered;
                }
                Err(error @ Error::Strange { .. }) => return Err(error),
                Ok(None) => delivery.unasked += 1,
                Ok(Some(_)) | Err(_) => delivery.missing.push(posted),
            }
        }
        if Instant::now() > until || stop.is_requested() {
            break;
        }
        if !delivery.missing.is_empty() {
            sleep(ASK_EVERY).await;
        }
    }
    Ok(delivery)
}
