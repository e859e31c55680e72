//! From a request to a record that all in-sync replicas have: number, publish, answer.
//!
//! ```text
//! post ─> queue ─(up to 100)─> one transaction gives their numbers ─> librdkafka, in their order ─> acknowledged ─> 202
//! ```
//!
//! The number is in PostgreSQL before the record is on the topic: so a repeat with the same key finds it, by whichever
//! process it comes, and a tweet that is accepted is known at once. Without PostgreSQL no tweet is accepted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Shutdown;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use schema::tweet::{Tweet, VERSION};
use store::Store;
use store::posts::{self, Numbered};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::publisher::client::{self, Context};
use crate::tally::Tally;

/// Tweets that are numbered in one transaction, at most.
const AT_ONCE: usize = 100;
/// Tweets that wait for their number, at most; further ones are refused.
const QUEUE: usize = 2_000;
/// From the request to its answer.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// What differs from the settings of a producer that waits for as long as Kafka is away: here somebody waits for an answer.
const SETTINGS: [(&str, &str); 3] =
    [("message.timeout.ms", "5000"), ("linger.ms", "1"), ("topic.metadata.propagation.max.ms", "5000")];

/// A tweet to be posted.
#[derive(Debug)]
pub struct Post {
    /// Who, and with which key.
    pub request: posts::Request,
    /// As typed.
    pub content: String,
}

/// All in-sync replicas have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub tweet_id: i64,
    /// When it was given its number.
    pub created_at: Timestamp,
    /// Whether a request with the same key had it accepted, or tried to.
    pub repeated: bool,
}

/// Why it is not, or not known to be, accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key was used for another request.
    OtherRequest,
    /// There is no such author.
    NoSuchAuthor,
    /// To be tried again, with the same key where it has one.
    Unavailable(String),
}

/// Why the process can't go on: a supervisor starts another one.
#[derive(Debug, thiserror::Error)]
#[error("the Kafka client has failed for good: {0}")]
pub struct Fatal(String);

type Answer = oneshot::Sender<Result<Accepted, Refusal>>;

/// Where posts are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Posting(mpsc::Sender<(Post, Answer)>);

/// Does what was handed in.
pub struct Poster {
    posts: mpsc::Receiver<(Post, Answer)>,
    store: Store,
    producer: FutureProducer<Context>,
    topic: String,
    tally: Arc<Tally>,
}

impl Posting {
    /// Has it numbered and published; answers within [`DEADLINE`].
    ///
    /// # Errors
    /// [`Refusal`]. After [`Refusal::Unavailable`] it may be published all the same: only a repeat with its key is sure to
    /// have one effect.
    pub async fn post(&self, post: Post) -> Result<Accepted, Refusal> {
        let (answer, answered) = oneshot::channel();
        let unavailable = |why: &str| Refusal::Unavailable(why.to_owned());
        self.0.try_send((post, answer)).map_err(|_| unavailable("too many tweets wait for their number"))?;
        match timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable("the process is stopping")),
            Err(_) => Err(unavailable("not acknowledged by all in-sync replicas within 5 seconds")),
        }
    }
}

/// A client for the topic, and where posts for it are handed in.
///
/// # Errors
/// Settings that the client refuses.
pub(crate) fn start(
    kafka: &kafka::Options,
    client_id: &str,
    context: Context,
    (store, topic, tally): (Store, String, Arc<Tally>),
) -> Result<(Posting, Poster), KafkaError> {
    let producer = client::start(kafka, client_id, context, &SETTINGS)?;
    let (sender, posts) = mpsc::channel(QUEUE);
    Ok((Posting(sender), Poster { posts, store, producer, topic, tally }))
}

impl Poster {
    /// Posts until `stop`, then answers those that it has in hand.
    ///
    /// # Errors
    /// [`Fatal`].
    pub async fn run(mut self, stop: Shutdown) -> Result<(), Fatal> {
        let mut wishes = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                _ = self.posts.recv_many(&mut wishes, AT_ONCE) => {}
                () = stop.requested() => break,
            }
            // Whoever has given up would not hear the answer.
            wishes.retain(|(_, answer)| !answer.is_closed());
            if !wishes.is_empty() {
                self.post(std::mem::take(&mut wishes)).await?;
            }
        }
        // What is in the client's queue is answered by its own deadline, or by the end of the requests.
        let ended = tokio::task::spawn_blocking(move || self.producer.flush(DEADLINE));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "stopped before every tweet was acknowledged");
        }
        Ok(())
    }

    async fn post(&self, wishes: Vec<(Post, Answer)>) -> Result<(), Fatal> {
        let requests: Vec<posts::Request> = wishes.iter().map(|(post, _)| post.request.clone()).collect();
        let numbered = match timeout(DEADLINE, posts::number(&self.store, &requests)).await {
            Ok(Ok(numbered)) => numbered,
            failed => {
                if let Ok(Err(error)) = failed {
                    tracing::debug!(error = error.chain(), "numbering tweets");
                }
                for (_, answer) in wishes {
                    let _ = answer.send(Err(Refusal::Unavailable("the database does not answer".to_owned())));
                }
                return Ok(());
            }
        };
        for ((post, answer), numbered) in wishes.into_iter().zip(numbered) {
            let refused = match numbered {
                Numbered::NoSuchAuthor => Refusal::NoSuchAuthor,
                Numbered::OtherRequest => Refusal::OtherRequest,
                Numbered::Is { tweet_id, created_at, repeated, stored } => {
                    let accepted = Accepted { tweet_id, created_at, repeated };
                    if stored {
                        let _ = answer.send(Ok(accepted));
                    } else {
                        self.publish(post, accepted, answer)?;
                    }
                    continue;
                }
            };
            // Nobody may be left to hear it.
            let _ = answer.send(Err(refused));
        }
        Ok(())
    }

    /// Into the client's queue at once, so that an author's tweets go in the order of their numbers.
    fn publish(&self, post: Post, accepted: Accepted, answer: Answer) -> Result<(), Fatal> {
        let tweet = Tweet {
            version: VERSION,
            tweet_id: accepted.tweet_id,
            author_id: post.request.author_id,
            content: post.content.into(),
            created_at: accepted.created_at,
        };
        let (key, payload) = (tweet.key(), tweet.encode());
        self.tally.sent();
        match self.producer.send_result(FutureRecord::to(&self.topic).key(&key).payload(&payload)) {
            Ok(delivery) => {
                let tally = Arc::clone(&self.tally);
                tokio::spawn(async move {
                    let outcome = match delivery.await {
                        Ok(Ok(_)) => {
                            tally.acknowledged();
                            Ok(accepted)
                        }
                        Ok(Err((error, _))) => {
                            tally.failed();
                            Err(Refusal::Unavailable(format!("not acknowledged by all in-sync replicas: {error}")))
                        }
                        Err(_) => {
                            tally.failed();
                            Err(Refusal::Unavailable("the process is stopping".to_owned()))
                        }
                    };
                    let _ = answer.send(outcome);
                });
                Ok(())
            }
            Err((error, _)) => {
                self.tally.not_sent();
                if let Some((_, reason)) = self.producer.client().fatal_error() {
                    return Err(Fatal(reason));
                }
                if matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    self.tally.queue_full();
                }
                let _ = answer.send(Err(Refusal::Unavailable(format!("the Kafka client refuses it: {error}"))));
                Ok(())
            }
        }
    }
}
