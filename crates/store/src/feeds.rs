//! What somebody reads: their own tweets and those of whom they follow, newest first.
//!
//! ```text
//! numbers above the reader's floor:  items  ∪  pulled tweets of whom they follow  ∪  their own
//! up to the floor (trimmed):         every tweet of whom they follow              ∪  their own
//! ```
//!
//! A tweet is in a feed when it is stored, not deleted, and of the audience of a follow that stands: stored behind the
//! follow, or back-filled by it. Items only spare the search; each is held against that rule when it is read.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::producer_health::unsigned;

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

/// Whether tweet `t` is meant for the reader of follow `f`; `from_id` says nothing new, and bounds the search.
macro_rules! visible {
    () => {
        "t.tweet_id >= f.from_id AND t.stored_at IS NOT NULL AND t.deleted_at IS NULL \
         AND (f.version <= t.audience_version OR f.since_id <= t.tweet_id)"
    };
}

/// `$1` the reader, `$2` the number before which, `$3` how many at most. The floor and the items are of one snapshot, so
/// that a trim can't come between them.
const ABOVE: &str = concat!(
    "SELECT r.floor, i.* FROM ( \
       SELECT u.user_id, coalesce(l.floor, 0) AS floor FROM users u LEFT JOIN feed_floors l USING (user_id) WHERE u.user_id = $1) r \
     LEFT JOIN LATERAL ( \
       SELECT * FROM ( \
         (SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM feed_items i \
            JOIN tweets t ON t.tweet_id = i.tweet_id AND NOT t.pulled \
            JOIN follows f ON f.followed_id = i.author_id AND f.follower_id = i.user_id \
           WHERE i.user_id = $1 AND i.tweet_id < $2 AND i.tweet_id > r.floor AND ",
    visible!(),
    " ORDER BY i.tweet_id DESC LIMIT $3) \
         UNION ALL \
         (SELECT p.* FROM follows f CROSS JOIN LATERAL ( \
            SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM tweets t \
             WHERE t.author_id = f.followed_id AND t.pulled AND t.tweet_id < $2 AND t.tweet_id > r.floor AND ",
    visible!(),
    "         ORDER BY t.tweet_id DESC LIMIT $3) AS p \
           WHERE f.follower_id = $1 ORDER BY p.tweet_id DESC LIMIT $3) \
         UNION ALL \
         (SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM tweets t \
           WHERE t.author_id = $1 AND t.tweet_id < $2 AND t.tweet_id > r.floor AND t.stored_at IS NOT NULL \
             AND t.deleted_at IS NULL ORDER BY t.tweet_id DESC LIMIT $3)) AS found \
       ORDER BY tweet_id DESC LIMIT $3) AS i ON true \
     ORDER BY i.tweet_id DESC"
);

/// The same below the floor, where nothing is materialised.
const BELOW: &str = concat!(
    "SELECT * FROM ( \
       (SELECT p.* FROM follows f CROSS JOIN LATERAL ( \
          SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM tweets t \
           WHERE t.author_id = f.followed_id AND t.tweet_id < $2 AND ",
    visible!(),
    "       ORDER BY t.tweet_id DESC LIMIT $3) AS p \
         WHERE f.follower_id = $1 ORDER BY p.tweet_id DESC LIMIT $3) \
       UNION ALL \
       (SELECT t.tweet_id, t.author_id, t.content, t.created_at FROM tweets t \
         WHERE t.author_id = $1 AND t.tweet_id < $2 AND t.stored_at IS NOT NULL AND t.deleted_at IS NULL \
         ORDER BY t.tweet_id DESC LIMIT $3)) AS found \
     ORDER BY tweet_id DESC LIMIT $3"
);

/// The newest items before `before` (a tweet's number), at most `limit`; `None` without such a reader. Fewer than
/// `limit` means that there are no older ones.
///
/// # Errors
/// Transient ones.
pub async fn page(store: &Store, reader: i64, before: i64, limit: i64) -> Result<Option<Vec<Item>>> {
    const DOING: &str = "reading a feed";
    let client = store.pooled().await?;
    let above = client.prepare_cached(ABOVE).await.map_err(Error::doing(DOING))?;
    let rows = client.query(&above, &[&reader, &before, &limit]).await.map_err(Error::doing(DOING))?;
    let Some(first) = rows.first() else { return Ok(None) };
    let floor: i64 = first.get(0);
    let there = rows.iter().filter(|row| row.get::<_, Option<i64>>(1).is_some());
    let mut items: Vec<Item> = there.map(|row| item(row, 1)).collect();
    let missing = limit - i64::try_from(items.len()).unwrap_or(limit);
    if floor > 0 && missing > 0 {
        let below = client.prepare_cached(BELOW).await.map_err(Error::doing(DOING))?;
        let before = before.min(floor + 1);
        let rows = client.query(&below, &[&reader, &before, &missing]).await.map_err(Error::doing(DOING))?;
        items.extend(rows.iter().map(|row| item(row, 0)));
    }
    Ok(Some(items))
}

/// What `author` posted, as [`page`].
///
/// # Errors
/// Transient ones.
pub async fn posted_by(store: &Store, author: i64, before: i64, limit: i64) -> Result<Vec<Item>> {
    const DOING: &str = "reading an author's tweets";
    const STATEMENT: &str = "SELECT tweet_id, author_id, content, created_at FROM tweets \
          WHERE author_id = $1 AND tweet_id < $2 AND stored_at IS NOT NULL AND deleted_at IS NULL \
          ORDER BY tweet_id DESC LIMIT $3";
    let client = store.pooled().await?;
    let statement = client.prepare_cached(STATEMENT).await.map_err(Error::doing(DOING))?;
    let rows = client.query(&statement, &[&author, &before, &limit]).await.map_err(Error::doing(DOING))?;
    Ok(rows.iter().map(|row| item(row, 0)).collect())
}

fn item(row: &Row, first: usize) -> Item {
    Item {
        tweet_id: row.get(first),
        author_id: row.get(first + 1),
        content: row.get(first + 2),
        created_at: row.get(first + 3),
    }
}

/// A range of a large audience that was served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Items that were written.
    pub items: u64,
    /// `stepped`, `finished`, `expired` or `deleted`.
    pub outcome: String,
}

/// Serves one range of the task whose turn it is, in a transaction of its own; `None` when there is nothing to do.
///
/// # Errors
/// Transient ones. When the answer is lost the range is served or it is not; the next step knows.
pub async fn step(store: &Store) -> Result<Option<Step>> {
    const DOING: &str = "serving a range of followers";
    let client = store.pooled().await?;
    let statement = client.prepare_cached("SELECT items, outcome FROM step_feed_task()").await;
    let row = client.query_opt(&statement.map_err(Error::doing(DOING))?, &[]).await.map_err(Error::doing(DOING))?;
    Ok(row.map(|row| Step { items: unsigned(row.get(0)), outcome: row.get(1) }))
}

/// Looks at one feed that may have become too long, and trims it if it has; how many items it had. `None` when there is
/// none to look at.
///
/// # Errors
/// Transient ones; nothing is kept in part.
pub async fn trim(store: &Store) -> Result<Option<u64>> {
    const DOING: &str = "trimming a feed";
    let client = store.pooled().await?;
    let statement = client.prepare_cached("SELECT items FROM trim_feed()").await.map_err(Error::doing(DOING))?;
    let row = client.query_opt(&statement, &[]).await.map_err(Error::doing(DOING))?;
    Ok(row.map(|row| unsigned(row.get(0))))
}

/// Audiences that are being served range by range.
///
/// # Errors
/// Transient ones.
pub async fn tasks(store: &Store) -> Result<u64> {
    const DOING: &str = "counting audiences that are being served";
    let row = store.pooled().await?.query_one("SELECT count(*) FROM feed_tasks", &[]).await;
    row.map(|row| unsigned(row.get(0))).map_err(Error::doing(DOING))
}

/// How tweets reach their audiences, from the next one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Audiences larger than this, at most 20,000, are served by a task, in ranges.
    pub range_above: i64,
    /// Followers of one range, 1 to 100,000.
    pub range_rows: i32,
    /// Audiences larger than this pull.
    pub pull_above: i64,
    /// Seconds after which a waiting tweet is pulled.
    pub expire_after_s: i64,
    /// Items that a feed is trimmed to, 1 to 100,000.
    pub keep_items: i32,
}

/// The settings as they stand.
///
/// # Errors
/// Transient ones.
pub async fn settings(store: &Store) -> Result<Settings> {
    const STATEMENT: &str = "SELECT range_above, range_rows, pull_above, extract(epoch FROM expire_after)::bigint, keep_items \
         FROM feed_settings";
    let row =
        store.pooled().await?.query_one(STATEMENT, &[]).await.map_err(Error::doing("reading the feeds' settings"))?;
    Ok(Settings {
        range_above: row.get(0),
        range_rows: row.get(1),
        pull_above: row.get(2),
        expire_after_s: row.get(3),
        keep_items: row.get(4),
    })
}

/// Changes them. What was stored before stays as it was decided then.
///
/// # Errors
/// Transient ones.
pub async fn change(store: &Store, to: &Settings) -> Result<()> {
    const STATEMENT: &str = "UPDATE feed_settings SET range_above = $1, range_rows = $2, pull_above = $3, \
         expire_after = make_interval(secs => $4::bigint), keep_items = $5";
    let Settings { range_above, range_rows, pull_above, expire_after_s, keep_items } = to;
    let client = store.pooled().await?;
    let changed = client.execute(STATEMENT, &[range_above, range_rows, pull_above, expire_after_s, keep_items]).await;
    changed.map(drop).map_err(Error::doing("changing the feeds' settings"))
}
