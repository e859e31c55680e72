//! What somebody reads: their own tweets and those of whom they follow, newest first.

use jiff::Timestamp;

use crate::connect::Store;
use crate::error::{Error, Result};

/// An item of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The tweet.
    pub tweet_id: i64,
    /// Who posted it.
    pub author_id: i64,
    /// As typed.
    pub content: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// The newest items before `before` (a tweet's number), at most `limit`. Deleted tweets and tweets of whom the reader does
/// not follow any more are not among them.
///
/// # Errors
/// Transient ones.
pub async fn page(store: &Store, reader: i64, before: i64, limit: i64) -> Result<Vec<Item>> {
    const DOING: &str = "reading a feed";
    const STATEMENT: &str = "SELECT tweet_id, author_id, content, created_at FROM ( \
           (SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM feed_items i \
              JOIN tweets t ON t.tweet_id = i.tweet_id AND t.deleted_at IS NULL \
             WHERE i.user_id = $1 AND i.tweet_id < $2 \
               AND EXISTS (SELECT FROM follows f WHERE f.followed_id = i.author_id AND f.follower_id = i.user_id) \
             ORDER BY i.tweet_id DESC LIMIT $3) \
           UNION ALL \
           (SELECT tweet_id, author_id, content, created_at FROM tweets \
             WHERE author_id = $1 AND tweet_id < $2 AND stored_at IS NOT NULL AND deleted_at IS NULL \
             ORDER BY tweet_id DESC LIMIT $3)) AS items \
         ORDER BY tweet_id DESC LIMIT $3";
    let client = store.pooled().await?;
    let statement = client.prepare_cached(STATEMENT).await.map_err(Error::doing(DOING))?;
    let rows = client.query(&statement, &[&reader, &before, &limit]).await.map_err(Error::doing(DOING))?;
    let item = |row: &tokio_postgres::Row| Item {
        tweet_id: row.get(0),
        author_id: row.get(1),
        content: row.get(2),
        created_at: row.get(3),
    };
    Ok(rows.iter().map(item).collect())
}
