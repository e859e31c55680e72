//! Answers to the group: assign, revoke, lost.

use std::time::Instant;

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

use super::{Reader, SETTLE_DEADLINE, Settling};
use crate::duty::{Duty, State};
use crate::journal::Fact;
use crate::membership::Event;
use crate::writer::Condition;

impl Reader<'_> {
    /// Answers the events that the last poll served, one after the other; a revoke that has to
    /// settle holds back the ones behind it.
    pub(super) fn answer_events(&mut self, now: Instant) {
        while self.settling.is_none() {
            match self.consumer.context().next_event() {
                None => return,
                Some(Event::Assign { partitions, member }) => {
                    self.member = member;
                    self.assigned(&partitions, now);
                }
                Some(Event::Revoke { partitions, lost: true, member }) => {
                    self.member = member;
                    self.journal_partitions("lost", &partitions);
                    self.unassign(&partitions);
                }
                Some(Event::Revoke { partitions, lost: false, member }) => {
                    self.member = member;
                    self.journal_partitions("revoked", &partitions);
                    self.begin_settling(partitions, now);
                }
                Some(Event::Failed(reason)) => {
                    tracing::error!(reason, "the rebalance failed on the client's side");
                    let partitions: Vec<i32> = self.duties.keys().copied().collect();
                    self.journal_partitions("lost", &partitions);
                    self.unassign(&partitions);
                }
            }
        }
    }

    /// At once, paused: nothing is fetched until the claim has said from where. The pause comes
    /// before the assign where the client knows the partition already, and after it in any case.
    ///
    /// The offset must be a number. A logical one (END) starts a query to the broker, and librdkafka
    /// 2.12 repeats that query 500 ms later when a seek overtakes the first answer: the fetch then
    /// jumps to the end of the log without an error. From 0, whatever slips through lies before the
    /// position and is discarded.
    pub(super) fn assigned(&mut self, partitions: &[i32], now: Instant) {
        self.joined = true;
        self.journal_partitions("assigned", partitions);
        self.park(partitions);
        let list = self.list(partitions, Some(Offset::Offset(0)));
        let answered = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            _ => self.consumer.assign(&list),
        };
        if let Err(error) = answered {
            // The assignment was taken back meanwhile: the event that says so is on its way.
            tracing::warn!(%error, ?partitions, "assign");
        }
        self.park(partitions);
        self.wake_retained();
        for &partition in partitions {
            let incarnation = self.next_incarnation();
            self.parts.buffer.end(partition);
            self.duties.insert(partition, Duty::new(incarnation, now));
            self.parts.current.lock().expect("nothing panics while it holds this lock").insert(partition, incarnation);
        }
        tracing::info!(?partitions, generation = self.member.generation, "assigned");
    }

    fn begin_settling(&mut self, partitions: Vec<i32>, now: Instant) {
        for partition in &partitions {
            if let Some(duty) = self.duties.get_mut(partition) {
                duty.state = State::Settling;
            }
        }
        self.settling = Some(Settling { partitions, deadline: now + SETTLE_DEADLINE });
    }

    /// Gives the partitions up once nothing of them is in flight, or when the time is over: then
    /// the fence decides between our commit and the next owner's claim.
    pub(super) fn settle(&mut self, now: Instant) {
        let Some(settling) = &self.settling else { return };
        let settled = settling.partitions.iter().all(|partition| self.parts.buffer.is_settled(*partition));
        let hopeless = matches!(*self.parts.condition.borrow(), Condition::Waiting(_));
        if settled || hopeless || now >= settling.deadline {
            let partitions = self.settling.take().map(|settling| settling.partitions).unwrap_or_default();
            self.mirror_now();
            self.unassign(&partitions);
            self.answer_events(now);
        }
    }

    /// Ends the duties and answers the revoke.
    pub(super) fn unassign(&mut self, partitions: &[i32]) {
        for partition in partitions {
            let discarded = self.parts.buffer.end(*partition);
            self.parts.metrics.discarded.add(discarded as u64, &[]);
            if discarded > 0 {
                let records = i64::try_from(discarded).ok();
                self.record("discarded", Fact { partition: Some(*partition), records, ..Fact::default() });
            }
            self.duties.remove(partition);
            self.mirrored.remove(partition);
            self.parts.current.lock().expect("nothing panics while it holds this lock").remove(partition);
        }
        if let Err(error) = self.answer_unassign(partitions) {
            tracing::warn!(%error, ?partitions, "unassign");
        }
        self.wake_retained();
        tracing::info!(?partitions, generation = self.member.generation, "unassigned");
    }

    fn answer_unassign(&self, partitions: &[i32]) -> Result<(), KafkaError> {
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&self.list(partitions, None)),
            _ => self.consumer.unassign(),
        }
    }

    pub(super) fn journal_partitions(&self, event_type: &str, partitions: &[i32]) {
        if partitions.is_empty() {
            self.record(event_type, Fact::default());
        }
        for &partition in partitions {
            let claim = self.duties.get(&partition).and_then(|duty| duty.claim);
            let offset = self.duties.get(&partition).and_then(|duty| duty.stored);
            self.record(event_type, Fact { partition: Some(partition), claim, offset, ..Fact::default() });
        }
    }
}
