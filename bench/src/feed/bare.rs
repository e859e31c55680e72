//! An HTTP server that only produces the bytes of a POST to Kafka, and answers when all in-sync replicas have them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rdkafka::producer::{FutureProducer, FutureRecord};
use warp::Filter;
use warp::http::StatusCode;

/// Serves until the runtime ends; its address.
///
/// # Errors
/// When the client cannot be made, or no port is free.
pub fn serve(brokers: &str, topic: &str) -> Result<SocketAddr> {
    let mut config = kafka::Options::plaintext(brokers.to_owned()).client("bare");
    config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "1").set("compression.type", "lz4");
    let producer: FutureProducer = config.create()?;
    let topic = topic.to_owned();
    let routes = warp::post().and(warp::header::<String>("x-user-id")).and(warp::body::bytes()).then(
        move |key: String, body: bytes::Bytes| {
            let (producer, topic) = (producer.clone(), topic.clone());
            async move {
                let record = FutureRecord::to(&topic).key(&key).payload(&body[..]);
                match producer.send(record, Duration::from_secs(5)).await {
                    Ok(_) => StatusCode::ACCEPTED,
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                }
            }
        },
    );
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    Ok(address)
}
