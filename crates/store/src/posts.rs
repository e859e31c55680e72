//! Tweets as their API has them: given a number, asked about, deleted. Their content comes by way of the topic.
//!
//! ```text
//! numbered ──(published, stored by a worker)──> stored ─(audience served)─> delivered
//!     └──────────── deleted: a tombstone, honoured by whoever stores it later ┘
//! ```

use jiff::Timestamp;

use crate::connect::Store;
use crate::error::{Error, Result};

/// A tweet that asks for a number.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who posts it.
    pub author_id: i64,
    /// The client's key, and the hash of what it asked for with it.
    pub key: Option<(String, Vec<u8>)>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// It has one. To be published, also when it is a repeat that is not known to be stored yet.
    Is {
        /// The number.
        tweet_id: i64,
        /// When it was given.
        created_at: Timestamp,
        /// Whether it was given to an earlier request with the same key.
        repeated: bool,
        /// Whether a worker has stored it: then it needs no publication.
        stored: bool,
    },
    /// The key was used for another request.
    OtherRequest,
    /// There is no such author.
    NoSuchAuthor,
}

/// Numbers in the order of the requests, so that an author's tweets grow in the order in which they are published; rows in the
/// order of the keys, so that two processes that are asked with the same ones never wait for each other.
const NUMBER: &str = "WITH asked AS MATERIALIZED ( \
       SELECT a.*, CASE WHEN known THEN nextval('tweets_tweet_id_seq') END AS tweet_id \
         FROM (SELECT a.*, EXISTS (SELECT FROM users WHERE user_id = author_id) AS known \
             FROM unnest($1::bigint[], $2::text[], $3::bytea[]) WITH ORDINALITY AS a(author_id, idempotency_key, request_hash, n) \
            ORDER BY n) AS a), \
     made AS ( \
       INSERT INTO tweets (tweet_id, author_id, idempotency_key, request_hash) \
       SELECT tweet_id, author_id, idempotency_key, request_hash FROM asked WHERE known \
        ORDER BY author_id, idempotency_key, n \
       ON CONFLICT (author_id, idempotency_key) DO NOTHING RETURNING tweet_id, created_at) \
     SELECT asked.known, made.tweet_id, made.created_at FROM asked LEFT JOIN made USING (tweet_id) ORDER BY asked.n";

/// What was made before with the same key.
const REPEATED: &str = "SELECT a.n, t.tweet_id, t.created_at, t.stored_at IS NOT NULL, t.request_hash = a.request_hash \
      FROM unnest($1::bigint[], $2::text[], $3::bytea[]) WITH ORDINALITY AS a(author_id, idempotency_key, request_hash, n) \
      JOIN tweets t ON t.author_id = a.author_id AND t.idempotency_key = a.idempotency_key";

/// Gives each request its number, in the order of the requests; a key that was used before, its number of then. One
/// commit for all of them. When two processes are asked with one key at the same time, one waits for the other.
///
/// # Errors
/// Transient ones. What was numbered then is repeated with its key, or is never published.
pub async fn number(store: &Store, requests: &[Request]) -> Result<Vec<Numbered>> {
    const DOING: &str = "numbering tweets";
    let authors: Vec<i64> = requests.iter().map(|request| request.author_id).collect();
    let keys: Vec<Option<&str>> = requests.iter().map(|r| r.key.as_ref().map(|(key, _)| key.as_str())).collect();
    let hashes: Vec<Option<&[u8]>> = requests.iter().map(|r| r.key.as_ref().map(|(_, hash)| hash.as_slice())).collect();
    let rows = store.query(DOING, NUMBER, &[&authors, &keys, &hashes]).await?;
    let mut repeated = false;
    let mut numbered: Vec<Numbered> = rows
        .iter()
        .map(|row| match (row.get(0), row.get(1)) {
            (false, _) => Numbered::NoSuchAuthor,
            (true, Some(tweet_id)) => Numbered::Is { tweet_id, created_at: row.get(2), repeated: false, stored: false },
            (true, None) => {
                repeated = true;
                Numbered::OtherRequest
            }
        })
        .collect();
    if repeated {
        for row in store.query(DOING, REPEATED, &[&authors, &keys, &hashes]).await? {
            let n = usize::try_from(row.get::<_, i64>(0) - 1).expect("an ordinality");
            // The one that was made just now is found as well.
            if row.get(4) && numbered[n] == Numbered::OtherRequest {
                let (tweet_id, created_at, stored) = (row.get(1), row.get(2), row.get(3));
                numbered[n] = Numbered::Is { tweet_id, created_at, repeated: true, stored };
            }
        }
    }
    Ok(numbered)
}

/// A tweet as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tweet {
    /// Its number.
    pub tweet_id: i64,
    /// Who posted it.
    pub author_id: i64,
    /// When it was given its number.
    pub created_at: Timestamp,
    /// As typed; `None` until a worker has stored it.
    pub content: Option<String>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether its readers pull it.
    pub pulled: bool,
    /// How many followed its author when it was stored.
    pub audience: i64,
    /// How many of them have been served.
    pub served: i64,
}

/// The tweet of this number.
///
/// # Errors
/// Transient ones.
pub async fn find(store: &Store, tweet_id: i64) -> Result<Option<Tweet>> {
    const STATEMENT: &str = "SELECT t.tweet_id, t.author_id, t.created_at, t.content, t.deleted_at IS NOT NULL, t.pulled, \
            coalesce(t.audience, 0), \
            CASE WHEN t.stored_at IS NULL OR t.pulled THEN 0 ELSE coalesce(k.served, t.audience, 0) END \
       FROM tweets t LEFT JOIN feed_tasks k USING (tweet_id) WHERE t.tweet_id = $1";
    let rows = store.query("looking for a tweet", STATEMENT, &[&tweet_id]).await?;
    Ok(rows.first().map(|row| Tweet {
        tweet_id: row.get(0),
        author_id: row.get(1),
        created_at: row.get(2),
        content: row.get(3),
        deleted: row.get(4),
        pulled: row.get(5),
        audience: row.get(6),
        served: row.get(7),
    }))
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is shown nowhere from now on.
    Now,
    /// There is none, or not any more.
    NoSuchTweet,
    /// Somebody else's.
    NotTheirs,
}

/// Marks a tweet of `author` as deleted, stored or not.
///
/// # Errors
/// Transient ones.
pub async fn delete(store: &Store, author: i64, tweet_id: i64) -> Result<Deleted> {
    const DOING: &str = "deleting a tweet";
    let client = store.pooled().await?;
    let mark = "UPDATE tweets SET deleted_at = now() WHERE tweet_id = $1 AND author_id = $2 AND deleted_at IS NULL";
    if client.execute(mark, &[&tweet_id, &author]).await.map_err(Error::doing(DOING))? == 1 {
        return Ok(Deleted::Now);
    }
    let other = "SELECT FROM tweets WHERE tweet_id = $1 AND author_id <> $2 AND deleted_at IS NULL";
    let other = client.query_opt(other, &[&tweet_id, &author]).await.map_err(Error::doing(DOING))?;
    Ok(if other.is_some() { Deleted::NotTheirs } else { Deleted::NoSuchTweet })
}
