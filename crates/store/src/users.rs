//! Users, and who follows whom.
//!
//! A follow and the storing of a tweet take the author's row, so that one of them is first: what is stored by then, the
//! follow back-fills itself; what comes later is fanned out to it (`schema/migrations/V7__feed.sql`).

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::connect::Store;
use crate::error::{Error, Result};

/// Tweets that a new follower gets of those that are there.
pub const BACKFILL: i64 = 100;
/// Users whom one may follow at the most: reading pulls from each.
pub const MOST_FOLLOWING: i64 = 5_000;

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Number, from 1.
    pub user_id: i64,
    /// Unique.
    pub username: String,
    /// How many follow them.
    pub followers: i64,
    /// How many they follow.
    pub following: i64,
    /// When.
    pub created_at: Timestamp,
}

/// What came of making a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// Made.
    New(User),
    /// Somebody has this `username` or `email`: the field's name.
    Taken(&'static str),
}

/// What came of a follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// From now on.
    New,
    /// They did already.
    Already,
    /// There is no such user.
    NoSuchUser(i64),
    /// They follow [`MOST_FOLLOWING`].
    TooMany,
}

/// Makes a user.
///
/// # Errors
/// Transient ones.
pub async fn create(store: &Store, username: &str, email: &str) -> Result<Created> {
    // A row that is refused would use up a number all the same: they are asked for first, and raced for last.
    const STATEMENT: &str = "INSERT INTO users (username, email) SELECT $1, $2 \
         WHERE NOT EXISTS (SELECT FROM users WHERE username = $1 OR email = $2) \
         RETURNING user_id, username, followers, following, created_at";
    const DOING: &str = "making a user";
    let client = store.pooled().await?;
    let statement = client.prepare_cached(STATEMENT).await.map_err(Error::doing(DOING))?;
    match client.query_opt(&statement, &[&username, &email]).await {
        Ok(Some(row)) => return Ok(Created::New(user(&row))),
        Ok(None) => {}
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
        Err(source) => return Err(Error::Statement { doing: DOING, source }),
    }
    let taken = client.query_one("SELECT EXISTS (SELECT FROM users WHERE username = $1)", &[&username]).await;
    let by_name: bool = taken.map_err(Error::doing(DOING))?.get(0);
    Ok(Created::Taken(if by_name { "username" } else { "email" }))
}

/// The user of this number.
///
/// # Errors
/// Transient ones.
pub async fn find(store: &Store, user_id: i64) -> Result<Option<User>> {
    const STATEMENT: &str = "SELECT user_id, username, followers, following, created_at FROM users WHERE user_id = $1";
    Ok(store.query("looking for a user", STATEMENT, &[&user_id]).await?.first().map(user))
}

/// Lets `follower` follow `followed`, with the latest [`BACKFILL`] tweets. They must differ.
///
/// # Errors
/// Transient ones; nothing is kept in part.
pub async fn follow(store: &Store, follower: i64, followed: i64) -> Result<Followed> {
    const DOING: &str = "following";
    let mut client = store.pooled().await?;
    let transaction = client.transaction().await.map_err(Error::doing(DOING))?;
    if let Some(missing) = lock(&transaction, follower, followed).await? {
        return Ok(Followed::NoSuchUser(missing));
    }
    // Statements of their own: each sees what the lock waited for. A number that was given and not stored yet may be stored
    // behind the follow.
    const FOLLOWS: &str = "INSERT INTO follows (followed_id, follower_id, version, since_id, from_id) \
         SELECT user_id, $2, audience_version + 1, since, \
                coalesce(least(since, (SELECT min(tweet_id) FROM tweets WHERE author_id = $1 AND stored_at IS NULL)), 0) \
           FROM users, (SELECT min(tweet_id) AS since FROM (SELECT tweet_id FROM tweets WHERE author_id = $1 \
                AND stored_at IS NOT NULL AND deleted_at IS NULL ORDER BY tweet_id DESC LIMIT $3) latest) AS back \
          WHERE user_id = $1 ON CONFLICT DO NOTHING";
    const ITEMS: &str = "WITH items AS ( \
         INSERT INTO feed_items (user_id, tweet_id, author_id) \
         SELECT f.follower_id, t.tweet_id, t.author_id FROM follows f \
           JOIN tweets t ON t.author_id = f.followed_id AND t.tweet_id >= f.since_id \
          WHERE f.followed_id = $1 AND f.follower_id = $2 AND t.stored_at IS NOT NULL AND t.deleted_at IS NULL \
            AND NOT t.pulled \
         ON CONFLICT DO NOTHING RETURNING user_id) \
         INSERT INTO feed_trims (user_id) SELECT DISTINCT user_id FROM items";
    const AUTHOR: &str =
        "UPDATE users SET audience_version = audience_version + 1, followers = followers + 1 WHERE user_id = $1";
    const READER: &str = "UPDATE users SET following = following + 1 WHERE user_id = $1";
    const FULL: &str = "SELECT FROM users WHERE user_id = $1 AND following >= $2";
    if execute(&transaction, FULL, &[&follower, &MOST_FOLLOWING]).await? > 0 {
        return Ok(Followed::TooMany);
    }
    if execute(&transaction, FOLLOWS, &[&followed, &follower, &BACKFILL]).await? == 0 {
        return Ok(Followed::Already);
    }
    execute(&transaction, ITEMS, &[&followed, &follower]).await?;
    execute(&transaction, AUTHOR, &[&followed]).await?;
    execute(&transaction, READER, &[&follower]).await?;
    transaction.commit().await.map_err(Error::doing(DOING))?;
    Ok(Followed::New)
}

/// Ends a follow, and takes its tweets out of the reader's feed; whether there was one.
///
/// # Errors
/// Transient ones; nothing is kept in part.
pub async fn unfollow(store: &Store, follower: i64, followed: i64) -> Result<bool> {
    const DOING: &str = "unfollowing";
    let mut client = store.pooled().await?;
    let transaction = client.transaction().await.map_err(Error::doing(DOING))?;
    if lock(&transaction, follower, followed).await?.is_some() {
        return Ok(false);
    }
    const ENDED: &str = "DELETE FROM follows WHERE followed_id = $1 AND follower_id = $2";
    const AUTHOR: &str = "UPDATE users SET followers = followers - 1 WHERE user_id = $1";
    const READER: &str = "UPDATE users SET following = following - 1 WHERE user_id = $1";
    // A feed is short: its key finds the reader's items.
    const ITEMS: &str = "DELETE FROM feed_items WHERE user_id = $2 AND author_id = $1";
    if execute(&transaction, ENDED, &[&followed, &follower]).await? == 0 {
        return Ok(false);
    }
    execute(&transaction, AUTHOR, &[&followed]).await?;
    execute(&transaction, READER, &[&follower]).await?;
    execute(&transaction, ITEMS, &[&followed, &follower]).await?;
    transaction.commit().await.map_err(Error::doing(DOING))?;
    Ok(true)
}

/// One statement of a change of follows; how many rows.
async fn execute(transaction: &Transaction<'_>, statement: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
    const DOING: &str = "changing follows";
    let statement = transaction.prepare_cached(statement).await.map_err(Error::doing(DOING))?;
    transaction.execute(&statement, values).await.map_err(Error::doing(DOING))
}

/// Who is asked for: the followers of a user, or whom they follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those who follow them.
    Followers,
    /// Those whom they follow.
    Following,
}

/// Users on one side of `user`, ascending by number, above `after`, at most `limit`: number and name.
///
/// # Errors
/// Transient ones.
pub async fn connected(store: &Store, user: i64, side: Side, after: i64, limit: i64) -> Result<Vec<(i64, String)>> {
    const DOING: &str = "listing follows";
    let statement = match side {
        Side::Followers => {
            "SELECT u.user_id, u.username FROM follows f JOIN users u ON u.user_id = f.follower_id \
              WHERE f.followed_id = $1 AND f.follower_id > $2 ORDER BY f.follower_id LIMIT $3"
        }
        Side::Following => {
            "SELECT u.user_id, u.username FROM follows f JOIN users u ON u.user_id = f.followed_id \
              WHERE f.follower_id = $1 AND f.followed_id > $2 ORDER BY f.followed_id LIMIT $3"
        }
    };
    let rows = store.query(DOING, statement, &[&user, &after, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Takes the two rows in the order in which everybody takes them; the one that is not there.
async fn lock(transaction: &Transaction<'_>, follower: i64, followed: i64) -> Result<Option<i64>> {
    const STATEMENT: &str = "SELECT user_id FROM users WHERE user_id = ANY($1) ORDER BY user_id FOR NO KEY UPDATE";
    const DOING: &str = "locking two users";
    let wanted = vec![follower, followed];
    let statement = transaction.prepare_cached(STATEMENT).await.map_err(Error::doing(DOING))?;
    let rows = transaction.query(&statement, &[&wanted]).await.map_err(Error::doing(DOING))?;
    let there: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    Ok(wanted.into_iter().find(|user| !there.contains(user)))
}

fn user(row: &tokio_postgres::Row) -> User {
    User {
        user_id: row.get(0),
        username: row.get(1),
        followers: row.get(2),
        following: row.get(3),
        created_at: row.get(4),
    }
}
