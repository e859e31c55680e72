//! The tweet API and its workers as their clients see them: what was answered holds, whatever is killed.

#[path = "tweets/faults.rs"]
mod faults;
#[path = "tweets/input.rs"]
mod input;
#[path = "tweets/kills.rs"]
mod kills;
#[path = "tweets/loops.rs"]
mod loops;

use std::sync::Arc;

use anyhow::Result;
use e2e::clients::Clients;
use e2e::plant::{Plant, Settings, Site};
use testkit::{Process, free_port};

/// A plant of the feed workload.
async fn plant(site: &Arc<Site>) -> Result<Plant> {
    let settings = Settings { workload: "feed", partitions: 20, batch_max_records: 50, ..Settings::default() };
    Plant::new(site, settings).await
}

/// One process of the API, ready, with its port.
async fn api(plant: &Plant, args: &[&str]) -> Result<(Process, Clients, u16)> {
    let port = free_port();
    let process = plant.api("tweet-api", port, args)?;
    let clients = Clients::new(&[port])?;
    clients.ready().await;
    Ok((process, clients, port))
}
