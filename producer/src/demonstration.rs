//! What the tweet feed can do, shown from outside: users, follows, tweets and feeds through the HTTP API alone.
//!
//! ```text
//! celebrity  feed-demo    one tweet into many feeds: how long until the last of them has it
//! replay     feed-replay  recorded arrival counts as posts, open loop: what was accepted, what became visible, when
//!
//! arrivals followers percentiles   pure          api crowd posting visibility   ask the API
//! ```

use anyhow::Context as _;
use lifecycle::{Shutdown, exit};

use crate::setup::Refused;

pub mod api;
pub mod arrivals;
pub mod celebrity;
pub mod crowd;
pub mod followers;
pub mod percentiles;
pub mod posting;
pub mod replay;
pub mod visibility;

use api::{Api, Error, patiently};

/// `producer feed-demo`: the exit code, when it has printed what was seen.
///
/// # Errors
/// When it cannot be done.
#[tokio::main]
pub async fn feed_demo(options: celebrity::Options) -> Result<u8, Refused> {
    celebrity::run(options, &stop()?).await
}

/// `producer feed-replay`: the exit code, when it has printed what was seen.
///
/// # Errors
/// When it cannot be done.
#[tokio::main]
pub async fn feed_replay(options: replay::Options) -> Result<u8, Refused> {
    replay::run(options, &stop()?).await
}

fn stop() -> anyhow::Result<Shutdown> {
    Shutdown::on_signals().context("listening for signals")
}

/// The API, when it is there.
async fn reach(base: &str, connections: usize) -> Result<Api, Refused> {
    let api = Api::new(base, connections).map_err(anyhow::Error::msg).context("--api")?;
    // Where nobody listens, a repeat would only look as if something happened.
    match api.ready().await {
        Err(Error::Busy { .. }) => patiently(async || api.ready().await).await?,
        answer => answer?,
    }
    Ok(api)
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { code: exit::UNAVAILABLE, error: error.into() }
    }
}
