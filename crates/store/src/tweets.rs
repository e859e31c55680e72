//! Tweets: the rows of their records, and the feeds that they go into.
//!
//! ```text
//! COPY tweet_records ─> lock the authors ─> tweets, those not stored yet ─┬─> feed_items of their audiences
//!                                                                        ├─> feed_tasks, for larger ones
//!                                                                        └─> marked to be pulled, for the largest
//! ```
//!
//! The lock comes in a statement of its own: a statement sees what was committed when it began, so that the one behind
//! it sees the follows that the lock waited for, and a follow that waits for the lock finds the tweets stored.

use schema::Fault;
use schema::tweet::{self, Tweet};

use crate::batch::{Target, Then};
use crate::copy::{self, Origin, field};

/// Name of the target, as in `stored_offsets.target`.
pub const TARGET: &str = "tweet_records";

/// Where tweets go, and what follows from them.
pub const BATCH: Target = Target {
    name: TARGET,
    copy: "COPY tweet_records (tweet_id, author_id, content, event_time, processed_by_consumer, log_id, kafka_partition, \
           kafka_offset) FROM STDIN (FORMAT binary)",
    encode,
    then: &[Then::always(LOCK_AUTHORS), Then::always(RAISE_NUMBERS), FAN_OUT],
    settings: SETTINGS,
};

/// A batch touches a few rows of large tables. Its statements are planned once, while those may still be empty, and the
/// planner takes an empty table for one that is best read whole. What has no index then seems so dear that it would be
/// compiled first, for a second. Left to itself it would also plan some of them anew for each batch, for longer than they
/// run. Items of 50 tweets with 2,000 readers each are sorted in memory.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
     SET plan_cache_mode = force_generic_plan; SET work_mem = '32MB'";

fn encode(row: &mut Vec<u8>, payload: Option<&[u8]>, origin: &Origin<'_>) -> Result<(), Fault> {
    encode_row(row, &tweet::decode(payload)?, origin);
    Ok(())
}

/// The batch's own records. `OFFSET 0` keeps the order of the join: from the parts to their records, never through a day of them.
macro_rules! records {
    () => {
        "SELECT r.* \
           FROM unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[]) AS part(log_id, partition_number, first_offset, next_offset) \
          CROSS JOIN LATERAL ( \
            SELECT r.tweet_id, r.author_id, r.content, r.event_time, r.kafka_offset FROM tweet_records r \
             WHERE r.log_id = part.log_id AND r.kafka_partition = part.partition_number AND r.kafka_offset >= part.first_offset \
               AND r.kafka_offset < part.next_offset AND r.processing_timestamp = now() OFFSET 0) AS r"
    };
}

/// In one order, so that two workers never wait for each other; follows take the same rows for update.
const LOCK_AUTHORS: &str = concat!(
    "SELECT FROM users WHERE user_id IN (SELECT author_id FROM (",
    records!(),
    ") AS record) ORDER BY user_id FOR SHARE"
);

/// A database that was restored gives numbers that the log has: what comes back from there takes them out of reach.
const RAISE_NUMBERS: &str = concat!(
    "SELECT FROM (SELECT max(tweet_id) AS most FROM (",
    records!(),
    ") AS record) AS stored WHERE most > (SELECT last_value FROM tweets_tweet_id_seq) AND raise_tweet_numbers(most)"
);

/// A number is a tweet's of one author and one instant; another one under the same number is not stored, which `verify`
/// finds. Items are sorted by reader, so that they meet each page of the index once.
macro_rules! fan_out {
    ($there:literal) => {
        concat!(
            "WITH record AS MATERIALIZED (SELECT DISTINCT ON (tweet_id) * FROM (",
            records!(),
            ") AS record ORDER BY tweet_id, EXISTS (SELECT FROM tweets t WHERE (t.tweet_id, t.author_id, t.created_at) = \
                         (record.tweet_id, record.author_id, record.event_time)) DESC, kafka_offset), \
             stored AS ( \
                 INSERT INTO tweets AS t (tweet_id, author_id, created_at, content, stored_at, audience_version, audience, pulled) \
                 SELECT r.tweet_id, r.author_id, r.event_time, r.content, now(), coalesce(u.audience_version, 0), \
                        coalesce(u.followers, 0), \
                        coalesce(coalesce(u.followers, 0) > (SELECT pull_above FROM feed_settings) \
                                 OR r.event_time < now() - (SELECT expire_after FROM feed_settings), false) \
                   FROM record r LEFT JOIN users u ON u.user_id = r.author_id ORDER BY r.tweet_id \
                 ON CONFLICT (tweet_id) DO UPDATE SET content = EXCLUDED.content, stored_at = EXCLUDED.stored_at, \
                        audience_version = EXCLUDED.audience_version, audience = EXCLUDED.audience, pulled = EXCLUDED.pulled \
                     WHERE t.stored_at IS NULL AND t.author_id = EXCLUDED.author_id AND t.created_at = EXCLUDED.created_at \
                 RETURNING t.tweet_id, t.author_id, t.audience_version, t.audience, t.pulled, t.deleted_at), \
             live AS (SELECT t.*, coalesce(t.audience > (SELECT range_above FROM feed_settings), false) AS ranged, \
                        t.audience > (SELECT pull_above FROM feed_settings) AS popular \
                   FROM stored t WHERE t.deleted_at IS NULL), \
             task AS ( \
                 INSERT INTO feed_tasks (tweet_id, author_id, audience_version) \
                 SELECT tweet_id, author_id, audience_version FROM live WHERE ranged AND NOT pulled), \
             audience AS MATERIALIZED ( \
                 SELECT f.follower_id, t.tweet_id, t.author_id \
                   FROM live t JOIN follows f ON f.followed_id = t.author_id AND f.version <= t.audience_version \
                  WHERE NOT (t.ranged OR t.pulled) ORDER BY f.follower_id), \
             written AS (INSERT INTO feed_items (user_id, tweet_id, author_id) SELECT * FROM audience",
            $there,
            "), \
             look AS ( \
                 INSERT INTO feed_trims (user_id) SELECT follower_id FROM audience WHERE feed_look_is_due(follower_id, tweet_id)) \
             SELECT 'delivered', count(*) FROM audience \
             UNION ALL SELECT CASE WHEN popular THEN 'pulled' ELSE 'expired' END, count(*) FROM live WHERE pulled GROUP BY 1"
        )
    };
}

/// Of a tweet that is stored now nobody has an item yet: a follow back-fills what is stored, and its version is behind the
/// audience's. So items need no `ON CONFLICT`, which would double what they cost. Careful is who finds one all the same, left by
/// somebody's hand or a restore of `tweets` alone.
const FAN_OUT: Then = Then {
    statement: fan_out!(""),
    careful: fan_out!(" ON CONFLICT (user_id, tweet_id) DO UPDATE SET author_id = EXCLUDED.author_id"),
};

/// Appends one row.
///
/// `tweet` must have passed `schema::tweet::decode`, which holds the bounds of the columns.
pub fn encode_row(row: &mut Vec<u8>, tweet: &Tweet<'_>, origin: &Origin<'_>) {
    copy::begin(row, 8);
    field(row, &tweet.tweet_id.to_be_bytes());
    field(row, &tweet.author_id.to_be_bytes());
    field(row, tweet.content.as_bytes());
    copy::time(row, tweet.created_at);
    copy::origin(row, origin);
}
