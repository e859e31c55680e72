//! The group member's callbacks: each only notes an event, which the poll thread answers after
//! the poll that served it. Nothing happens in a callback.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka::evidence::{Member, member};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList as Tpl};

/// What Kafka's client asks of us or tells us.
#[derive(Debug)]
pub enum Event {
    /// These partitions are ours now. An increment (KIP-848, cooperative-sticky) or the whole list (range).
    Assign {
        /// Ascending; may be empty.
        partitions: Vec<i32>,
        /// Read in the callback.
        member: Member,
    },
    /// These partitions are to be given up.
    Revoke {
        /// Ascending; may be empty.
        partitions: Vec<i32>,
        /// Somebody else may own them already.
        lost: bool,
        /// Read in the callback.
        member: Member,
    },
    /// The rebalance failed on the client's side.
    Failed(String),
}

/// The consumer's context: a queue of events.
#[derive(Default)]
pub struct Membership {
    events: Mutex<VecDeque<Event>>,
    closing: AtomicBool,
}

impl Membership {
    /// The oldest event that was not answered yet.
    pub fn next_event(&self) -> Option<Event> {
        self.events.lock().expect("nothing panics while it holds this lock").pop_front()
    }

    /// From now on every callback is answered at once, inside it: the client's close waits for that
    /// answer, and nobody else may be left to give it.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether callbacks answer themselves.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn note(&self, event: Event) {
        self.events.lock().expect("nothing panics while it holds this lock").push_back(event);
    }
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client");
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut Tpl) {
        // First: assigning or unassigning resets it.
        let lost = consumer.assignment_lost();
        let member = member(consumer);
        let partitions = partitions(tpl);
        if self.is_closing() {
            decline(consumer, err, tpl);
        }
        self.note(match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Event::Assign { partitions, member },
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Event::Revoke { partitions, lost, member },
            other => Event::Failed(format!("{other:?}")),
        });
    }
}

/// The answer of a member that is closing: nothing is taken, everything is given up.
fn decline(consumer: &BaseConsumer<Membership>, err: RDKafkaRespErr, tpl: &Tpl) {
    let assign = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    let answered = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative if assign => consumer.incremental_assign(&Tpl::new()),
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(tpl),
        _ => consumer.unassign(),
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "answering while closing");
    }
}

fn partitions(tpl: &Tpl) -> Vec<i32> {
    // An empty list has no elements to point to: reading them would abort.
    if tpl.count() == 0 {
        return Vec::new();
    }
    let mut partitions: Vec<i32> = tpl.elements().iter().map(|element| element.partition()).collect();
    partitions.sort_unstable();
    partitions
}
