//! POSTs a second by 64 clients at once: the API against a bare server, in turns. The clients cost the same in both.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::plant::Site;
use testkit::free_port;

use super::people::users;
use super::posting::ready;
use super::{Options, SESSION_MS, bare, topic};
use crate::machine::load_average;
use crate::pipeline::Pipeline;
use crate::spread::Spread;

const CLIENTS: usize = 64;
const USERS: i64 = 1_000;

/// Answers with the section of the page.
///
/// # Errors
/// When a request is not accepted.
pub async fn run(site: &Arc<Site>, options: &Options) -> Result<String> {
    let (of_api, of_bare) = (topic(site).await?, topic(site).await?);
    let pipeline = Pipeline::new(site, &of_api, SESSION_MS).await?;
    users(&pipeline.connect().await?, USERS).await?;
    let port = free_port();
    let _api = pipeline.api(port)?;
    ready(port).await;
    let bare = bare::serve(&site.kafka.bootstrap(), &of_bare)?;
    let api = SocketAddr::from(([127, 0, 0, 1], port));
    let (mut of_bare, mut of_api, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let span = Duration::from_secs(options.requests_s.into());
    for _ in 0..options.pairs {
        let (one, other) = (posts(bare, span).await?, posts(api, span).await?);
        eprintln!("feed: bare server {one:.0}, API {other:.0} posts/s, ratio {:.2}", other / one);
        of_bare.push(one);
        of_api.push(other);
        ratios.push(other / one);
    }
    let mut text = format!(
        "{CLIENTS} clients at once, {} s a run, {} pairs, no workers beside it; median (smallest-largest); load average at the end {}.\n\n\
         | | posts/s |\n|---|---|\n",
        options.requests_s,
        options.pairs,
        load_average()
    );
    let _ = writeln!(text, "| bare server, only produces the bytes | {:.0} |", Spread::of(of_bare));
    let _ = writeln!(text, "| `producer tweets` | {:.0} |", Spread::of(of_api));
    let _ = writeln!(text, "| ratio (goal 0.7) | {:.2} |", Spread::of(ratios));
    pipeline.remove().await?;
    Ok(text)
}

async fn posts(address: SocketAddr, span: Duration) -> Result<f64> {
    let http = reqwest::Client::builder().pool_max_idle_per_host(CLIENTS).build()?;
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (http, done) = (http.clone(), Arc::clone(&done));
        clients.spawn(async move {
            let mut user = client as i64;
            while began.elapsed() < span {
                user = 1 + (user + 7) % USERS;
                let request = http.post(format!("http://{address}/api/tweets/")).header("X-User-ID", user);
                let body =
                    serde_json::json!({ "content": "as long as tweets are on average, more or less, says somebody" });
                let answer = request.json(&body).send().await?;
                ensure!(answer.status() == 202, "{}: {}", answer.status(), answer.text().await?);
                // Read, so that the connection is used again.
                answer.bytes().await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
