//! What a client is told while Kafka, the database or the workers are away.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::clients::{Answer, Clients, Request};
use e2e::plant::Site;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::wait_until;

use super::{api, plant};

async fn post(clients: &Clients, key: &str) -> Result<Answer> {
    let body = json!({ "content": format!("with key {key}") });
    clients.once(0, &Request::new(Method::POST, "/api/tweets/").by(1).key(key).body(body)).await
}

fn is_refused(answer: &Answer, reason: &str) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.retry_after.is_some_and(|after| after > 0), "{answer:?}");
    ensure!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains(reason)), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_enough_replicas_or_the_database_no_tweet_is_accepted_and_a_repeat_has_one_effect() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    let (_api, clients, _) = api(&plant, &[]).await?;
    clients.users(&mut rng, "user", 1).await?;
    ensure!(post(&clients, "before").await?.status == StatusCode::ACCEPTED);

    // One broker of three is left: min.insync.replicas is two.
    for id in [1, 2] {
        site.kafka.broker(id).kill();
    }
    let began = Instant::now();
    is_refused(&post(&clients, "kafka").await?, "in-sync replicas")?;
    ensure!(began.elapsed() < Duration::from_secs(7), "after {:?}", began.elapsed());
    let read = clients.once(0, &Request::new(Method::GET, "/api/feed/").by(1)).await?;
    ensure!(read.status == StatusCode::OK, "reading goes on: {read:?}");
    for id in [1, 2] {
        site.kafka.broker(id).start()?;
    }
    let body = json!({ "content": "with key kafka" });
    let accepted =
        clients.ask(&mut rng, &Request::new(Method::POST, "/api/tweets/").by(1).key("kafka").body(body)).await?;
    ensure!(accepted.status == StatusCode::ACCEPTED, "{accepted:?}");

    // Nothing but the log knows a tweet's content until it is stored; its number and its key are in the database.
    site.postgres.kill();
    is_refused(&post(&clients, "postgres").await?, "the database does not answer")?;
    let read = clients.once(0, &Request::new(Method::GET, "/api/feed/").by(1)).await?;
    is_refused(&read, "the database does not answer")?;
    site.postgres.start_again().await?;
    let body = json!({ "content": "with key postgres" });
    let accepted =
        clients.ask(&mut rng, &Request::new(Method::POST, "/api/tweets/").by(1).key("postgres").body(body)).await?;
    ensure!(accepted.status == StatusCode::ACCEPTED, "{accepted:?}");

    let _worker = plant.consumer("feed-worker-0")?;
    wait_until(Duration::from_secs(60), "each of the three is in the feed", async || {
        clients.feed(&mut StdRng::seed_from_u64(2), 1).await.is_ok_and(|feed| feed.len() >= 3)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let contents: Vec<String> = clients.feed(&mut rng, 1).await?.into_iter().map(|(_, _, content)| content).collect();
    ensure!(contents == ["with key postgres", "with key kafka", "with key before"], "{contents:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_workers_are_too_far_behind_tweets_are_refused_and_reading_goes_on() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    let (_api, clients, port) = api(&plant, &["--backlog-refuse", "20", "--backlog-take", "10"]).await?;
    clients.users(&mut rng, "user", 1).await?;
    for number in 0..21 {
        let answer = post(&clients, &number.to_string()).await?;
        ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
    }
    wait_until(Duration::from_secs(20), "a tweet is refused", async || {
        post(&clients, "late").await.is_ok_and(|answer| answer.status != StatusCode::ACCEPTED)
    })
    .await;
    is_refused(&post(&clients, "later").await?, "wait for the workers")?;
    let read = clients.once(0, &Request::new(Method::GET, "/api/tweets/1")).await?;
    ensure!(read.status == StatusCode::ACCEPTED, "it is accepted and not stored: {read:?}");
    let status = clients.once(0, &Request::new(Method::GET, "/api/tweets/1/status")).await?;
    ensure!(status.body["status"] == "accepted", "{status:?}");

    let _worker = plant.consumer("feed-worker-0")?;
    wait_until(Duration::from_secs(60), "tweets are taken again", async || {
        post(&clients, "later").await.is_ok_and(|answer| answer.status == StatusCode::ACCEPTED)
    })
    .await;
    let status = clients.once(0, &Request::new(Method::GET, "/api/tweets/1/status")).await?;
    ensure!(status.body["status"] == "delivered", "{status:?}");

    // The names that people's dashboards use.
    let of_api = scrape(port).await?;
    for name in ["tweets_created_total ", "api_request_duration_seconds_bucket{"] {
        ensure!(of_api.contains(name), "{name} is not in {of_api}");
    }
    let of_worker = scrape(plant.http_port("feed-worker-0").await).await?;
    for name in [
        "feed_updates_total{status=\"delivered\"}",
        "worker_messages_processed_total{status=\"stored\",worker_id=\"feed-worker-0\"}",
        "worker_processing_time_seconds_count",
    ] {
        ensure!(of_worker.contains(name), "{name} is not in {of_worker}");
    }
    plant.connect().await?.batch_execute("INSERT INTO feed_trims (user_id) VALUES (1)").await?;
    let worker = plant.http_port("feed-worker-0").await;
    wait_until(Duration::from_secs(10), "the size of a feed is told", async || {
        scrape(worker).await.is_ok_and(|text| text.contains("feed_size_items_count 1"))
    })
    .await;
    Ok(())
}

async fn scrape(port: u16) -> Result<String> {
    Ok(reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await?.text().await?)
}
