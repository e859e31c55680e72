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
use crate::count::unsigned;
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

/// Whether tweet `t` is meant for the reader of follow `f`; `from_id` says nothing new, and bounds the search.
macro_rules! visible {
    () => {
        "t.tweet_id >= f.from_id AND t.stored_at IS NOT NULL AND t.deleted_at IS NULL \
         AND (f.version <= t.audience_version OR f.since_id <= t.tweet_id)"
    };
}

macro_rules! columns {
    () => {
        "t.tweet_id, t.author_id, t.content, t.created_at"
    };
}

/// What `$1` posted before `$2`, the newest `$3`.
macro_rules! own {
    ($above:literal) => {
        concat!(
            "(SELECT ",
            columns!(),
            " FROM tweets t WHERE t.author_id = $1 AND t.tweet_id < $2",
            $above,
            " AND t.stored_at IS NOT NULL AND t.deleted_at IS NULL ORDER BY t.tweet_id DESC LIMIT $3)"
        )
    };
}

/// The newest `$3` before `$2` of those whom `$1` follows, author by author.
macro_rules! of_followed {
    ($which:literal) => {
        concat!(
            "(SELECT p.* FROM follows f CROSS JOIN LATERAL ( \
               SELECT ",
            columns!(),
            " FROM tweets t WHERE t.author_id = f.followed_id AND t.tweet_id < $2",
            $which,
            " AND ",
            visible!(),
            " ORDER BY t.tweet_id DESC LIMIT $3) AS p WHERE f.follower_id = $1 ORDER BY p.tweet_id DESC LIMIT $3)"
        )
    };
}

/// `$1` the reader, `$2` the number before which, `$3` how many at most. The floor and the items are of one snapshot, so
/// that a trim can't come between them.
const ABOVE: &str = concat!(
    "SELECT r.floor, i.* FROM ( \
       SELECT u.user_id, coalesce(l.floor, 0) AS floor FROM users u LEFT JOIN feed_floors l USING (user_id) WHERE u.user_id = $1) r \
     LEFT JOIN LATERAL ( \
       SELECT * FROM ( \
         (SELECT ",
    columns!(),
    " FROM feed_items i \
            JOIN tweets t ON t.tweet_id = i.tweet_id AND NOT t.pulled \
            JOIN follows f ON f.followed_id = i.author_id AND f.follower_id = i.user_id \
           WHERE i.user_id = $1 AND i.tweet_id < $2 AND i.tweet_id > r.floor AND ",
    visible!(),
    " ORDER BY i.tweet_id DESC LIMIT $3) UNION ALL ",
    of_followed!(" AND t.pulled AND t.tweet_id > r.floor"),
    " UNION ALL ",
    own!(" AND t.tweet_id > r.floor"),
    ") AS found ORDER BY tweet_id DESC LIMIT $3) AS i ON true ORDER BY i.tweet_id DESC"
);

/// The same below the floor, where nothing is materialised.
const BELOW: &str =
    concat!("SELECT * FROM (", of_followed!(""), " UNION ALL ", own!(""), ") AS found ORDER BY tweet_id DESC LIMIT $3");

/// The newest items before `before` (a tweet's number), at most `limit`; `None` without such a reader. Fewer than
/// `limit` means that there are no older ones.
///
/// # Errors
/// Transient ones.
pub async fn page(store: &Store, reader: i64, before: i64, limit: i64) -> Result<Option<Vec<Item>>> {
    const DOING: &str = "reading a feed";
    let rows = store.query(DOING, ABOVE, &[&reader, &before, &limit]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let floor: i64 = first.get(0);
    let there = rows.iter().filter(|row| row.get::<_, Option<i64>>(1).is_some());
    let mut items: Vec<Item> = there.map(|row| item(row, 1)).collect();
    let missing = limit - i64::try_from(items.len()).unwrap_or(limit);
    if floor > 0 && missing > 0 {
        let rows = store.query(DOING, BELOW, &[&reader, &before.min(floor + 1), &missing]).await?;
        items.extend(rows.iter().map(|row| item(row, 0)));
    }
    Ok(Some(items))
}

/// What `author` posted, as [`page`].
///
/// # Errors
/// Transient ones.
pub async fn posted_by(store: &Store, author: i64, before: i64, limit: i64) -> Result<Vec<Item>> {
    let rows = store.query("reading an author's tweets", own!(""), &[&author, &before, &limit]).await?;
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
    let rows = store.query("serving a range of followers", "SELECT items, outcome FROM step_feed_task()", &[]).await?;
    Ok(rows.first().map(|row| Step { items: unsigned(row.get(0)), outcome: row.get(1) }))
}

/// Looks at one feed that may have become too long, and trims it if it has; how many items it had. `None` when there is
/// none to look at.
///
/// # Errors
/// Transient ones; nothing is kept in part.
pub async fn trim(store: &Store) -> Result<Option<u64>> {
    let rows = store.query("trimming a feed", "SELECT items FROM trim_feed()", &[]).await?;
    Ok(rows.first().map(|row| unsigned(row.get(0))))
}

/// Audiences that are being served range by range.
///
/// # Errors
/// Transient ones.
pub async fn tasks(store: &Store) -> Result<u64> {
    let rows = store.query("counting audiences that are being served", "SELECT count(*) FROM feed_tasks", &[]).await?;
    Ok(unsigned(rows[0].get(0)))
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
    let rows = store.query("reading the feeds' settings", STATEMENT, &[]).await?;
    let row = &rows[0];
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
