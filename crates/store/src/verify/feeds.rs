//! The feeds against tweets and follows: what a record became, and who reads it.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::Audit;
use super::finding::Kind;
use crate::error::{Error, Result};

/// Records whose tweet is not stored, or is another one's: of another author or instant, or with a content that no record
/// of that number has.
const UNSTORED: &str = "
    SELECT r.log_id, r.kafka_partition, r.kafka_offset, r.tweet_id, 0::bigint, 0::bigint
      FROM tweet_records r
      LEFT JOIN tweets t ON t.tweet_id = r.tweet_id AND t.author_id = r.author_id AND t.created_at = r.event_time
       AND t.stored_at IS NOT NULL
     WHERE t.tweet_id IS NULL
        OR t.content <> r.content
           AND NOT EXISTS (SELECT FROM tweet_records o WHERE o.tweet_id = r.tweet_id AND o.content = t.content)";

/// Tweets that somebody who follows their author does not have: those stored behind the follow, and those that it found
/// and back-filled. What is pulled, is below the reader's floor, or is still to be served by a task needs no item, unless that
/// task stands still. No tweet is there twice: the feeds' key.
const UNREAD: &str = "
    SELECT r.log_id, r.kafka_partition, min(r.kafka_offset), t.tweet_id, count(DISTINCT f.follower_id), min(f.follower_id)
      FROM tweets t
      JOIN follows f ON f.followed_id = t.author_id AND (f.version <= t.audience_version OR f.since_id <= t.tweet_id)
      JOIN tweet_records r ON r.tweet_id = t.tweet_id
      LEFT JOIN feed_floors l ON l.user_id = f.follower_id
      LEFT JOIN feed_tasks k ON k.tweet_id = t.tweet_id AND f.version <= t.audience_version
       AND k.stepped_at > now() - 2 * (SELECT expire_after FROM feed_settings)
     WHERE t.stored_at IS NOT NULL AND t.deleted_at IS NULL AND NOT t.pulled AND t.tweet_id > coalesce(l.floor, 0)
       AND (k.tweet_id IS NULL OR f.follower_id <= k.after_follower)
       AND NOT EXISTS (SELECT FROM feed_items i
                        WHERE i.user_id = f.follower_id AND i.tweet_id = t.tweet_id AND i.author_id = t.author_id)
     GROUP BY 1, 2, 4";

/// Finds both.
pub(super) async fn compare(client: &Client) -> Result<Audit> {
    const DOING: &str = "comparing feeds with tweets";
    let mut audit = Audit::default();
    let nothing: [&str; 0] = [];
    for (statement, kind) in [(UNSTORED, Kind::TweetMissing), (UNREAD, Kind::FeedMissing)] {
        let mut rows = pin!(client.query_raw(statement, nothing).await.map_err(Error::doing(DOING))?);
        while let Some(row) = rows.try_next().await.map_err(Error::doing(DOING))? {
            let (offset, tweet): (i64, i64) = (row.get(2), row.get(3));
            let (readers, first): (i64, i64) = (row.get(4), row.get(5));
            audit.find_with((row.get(0), row.get(1)), kind, (offset, offset + 1), || match kind {
                Kind::FeedMissing => {
                    format!("tweet {tweet} is in {readers} feeds too few, that of user {first} the first")
                }
                _ => format!("tweet {tweet} is not stored"),
            });
        }
    }
    Ok(audit)
}
