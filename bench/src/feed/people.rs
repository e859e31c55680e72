//! Users and follows by SQL, as the API makes them.

use anyhow::Result;
use tokio_postgres::Client;

/// `authors` users from number 1 on, each followed by `followers` others.
///
/// # Errors
/// When the database refuses.
pub async fn populate(sql: &Client, authors: i64, followers: i64) -> Result<()> {
    users(sql, authors + followers).await?;
    for author in 1..=authors {
        // Each author's followers are the next ones, so that feeds are of one length.
        follow(sql, author, author + 1, followers).await?;
    }
    sql.batch_execute("VACUUM ANALYZE users, follows").await?;
    Ok(())
}

/// `count` more users.
///
/// # Errors
/// When the database refuses.
pub async fn users(sql: &Client, count: i64) -> Result<()> {
    let statement = "INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' \
         FROM generate_series((SELECT count(*) FROM users) + 1, (SELECT count(*) FROM users) + $1::bigint) n";
    sql.execute(statement, &[&count]).await?;
    Ok(())
}

/// Lets the `count` users from `first` on follow `author`, who had no followers.
///
/// # Errors
/// When the database refuses.
pub async fn follow(sql: &Client, author: i64, first: i64, count: i64) -> Result<()> {
    let follows = "INSERT INTO follows (followed_id, follower_id, version) \
         SELECT $1, n, n - $2 + 1 FROM generate_series($2::bigint, $2::bigint + $3::bigint - 1) n";
    sql.execute(follows, &[&author, &first, &count]).await?;
    sql.execute("UPDATE users SET audience_version = $2, followers = $2 WHERE user_id = $1", &[&author, &count])
        .await?;
    Ok(())
}
