//! The tweet feed: how much its workers deliver, how soon a post is seen, what a post costs.
//!
//! ```text
//! deliveries  a topic full of tweets: the group draining it ── against ── INSERT … SELECT of the same items, two connections
//! waiting     posts at a modest rate, some of a celebrity: POST's answer; commit of the last feed's item
//! audiences   posts of authors with 20 to a million followers: POST's answer; commit of the last item
//! requests    POSTs as fast as clients can: the API ── against ── an HTTP server that only produces the bytes
//! ```

mod bare;
mod deliveries;
mod people;
mod posting;
mod requests;

use anyhow::Result;
use e2e::plant::Site;
use schema::topics::{TWEETS, Topic};
use testkit::Process;
use uuid::Uuid;

use crate::page::Page;
use crate::pipeline::Pipeline;

/// The group.
const WORKERS: [&str; 4] = ["feed-worker-0", "feed-worker-1", "feed-worker-2", "feed-worker-3"];
const SESSION_MS: u32 = 6_000;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Items that are delivered in one run, about
    #[arg(long, default_value_t = Self::default().deliveries)]
    pub deliveries: i64,
    /// Pairs of a bare run and one of the group
    #[arg(long = "feed-pairs", default_value_t = Self::default().pairs, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// Seconds for which posts are made at 3,000 a minute
    #[arg(long, default_value_t = Self::default().waiting_s)]
    pub waiting_s: u32,
    /// Seconds of one run of requests
    #[arg(long, default_value_t = Self::default().requests_s)]
    pub requests_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { deliveries: 2_000_000, pairs: 3, waiting_s: 60, requests_s: 10 }
    }
}

/// Puts the sections on the page.
///
/// # Errors
/// When something does not run, or does not arrive.
pub async fn run(options: &Options, page: &Page) -> Result<()> {
    let site = Site::start().await?;
    page.put("feed-deliveries", &deliveries::run(&site, options).await?)?;
    page.put("feed-waiting", &posting::waiting(&site, options).await?)?;
    page.put("feed-audiences", &posting::audiences(&site).await?)?;
    page.put("feed-requests", &requests::run(&site, options).await?)
}

/// A topic of its own: numbers of tweets are a database's.
async fn topic(site: &Site) -> Result<String> {
    let name: &'static str = Box::leak(format!("tweets-{}", Uuid::now_v7().simple()).into_boxed_str());
    let options = kafka::Options::plaintext(site.kafka.bootstrap());
    kafka::admin::ensure_topics(&options, "bench", &[Topic { name, ..TWEETS }]).await?;
    Ok(name.to_owned())
}

fn start_workers(pipeline: &Pipeline) -> Result<Vec<Process>> {
    WORKERS.iter().map(|id| pipeline.feed_worker(id)).collect()
}
