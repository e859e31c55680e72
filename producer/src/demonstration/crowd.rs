//! Users and follows, made through the API by [`CONNECTIONS`] at the same time.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lifecycle::Shutdown;

use super::api::{Api, CONNECTIONS, Error, patiently};

/// Makes users with names of their own, whatever the database has already; their numbers, in order.
///
/// # Errors
/// The first one that could not be made.
pub async fn users(api: &Api, count: usize) -> Result<Vec<i64>, Error> {
    let run: u32 = rand::random();
    let names = (1..=count).map(|number| format!("demo-{run:08x}-{number}"));
    stream::iter(names).map(|name| user(api, name)).buffered(CONNECTIONS).try_collect().await
}

/// A name of which it is not known whether it is taken is not tried again.
async fn user(api: &Api, name: String) -> Result<i64, Error> {
    let mut tries = 0;
    patiently(async || {
        tries += 1;
        api.create_user(&if tries == 1 { name.clone() } else { format!("{name}-{tries}") }).await
    })
    .await
}

/// Makes follows, each a reader and an author.
///
/// # Errors
/// The first one that could not be made.
pub async fn follows(api: &Api, follows: impl Iterator<Item = (i64, i64)>) -> Result<(), Error> {
    stream::iter(follows.map(Ok))
        .try_for_each_concurrent(CONNECTIONS, async |(reader, author)| {
            patiently(async || api.follow(reader, author).await).await
        })
        .await
}

/// What is done before the measurement, unless somebody wants to stop.
pub async fn unless_stopped<T>(stop: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop.requested() => None,
        done = work => Some(done),
    }
}
