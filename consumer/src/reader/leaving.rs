//! Leaving the group: drain, commit, leave, close. In that order, each with a bound.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::{End, Reader};
use crate::duty::State;
use crate::journal::Fact;
use crate::membership::Event;
use crate::writer::Condition;

/// Time to store what was read.
const DRAIN: Duration = Duration::from_millis(2_500);
/// Time for Kafka to take the last mirrored offsets.
const MIRRORED: Duration = Duration::from_millis(500);
/// Time for the group to take the partitions back.
const UNASSIGN: Duration = Duration::from_millis(1_000);
/// One poll while leaving.
const POLL: Duration = Duration::from_millis(20);

impl Reader<'_> {
    /// Leaves. When it was asked to, what was read is stored first. A fatal end just closes.
    pub(super) fn leave(mut self, end: &End) {
        self.record("leaving", Fact { detail: end.reason(), ..Fact::default() });
        if *end == End::Left {
            self.drain();
            self.mirror_now();
        }
        self.await_commits();
        for partition in self.duties.keys() {
            self.parts.buffer.end(*partition);
        }
        // What was served before is answered here; from now on the callbacks answer themselves.
        self.answer_closing();
        self.consumer.context().close();
        // A static member's place is kept: the close tells its group nothing, an unsubscribe would (KIP-345).
        if !self.parts.is_static {
            self.unsubscribe();
        }
        self.parts.current.lock().expect("nothing panics while it holds this lock").clear();
        self.record("stopped", Fact::default());
    }

    /// Tells the group, and waits until it has taken the partitions back.
    fn unsubscribe(&mut self) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + UNASSIGN;
        loop {
            drop(self.consumer.poll(POLL));
            self.answer_closing();
            let assigned = self.consumer.assignment().map_or(0, |list| list.count());
            if assigned == 0 || Instant::now() > deadline {
                return;
            }
        }
    }

    /// Waits until the last mirrored offsets are answered, by asking the coordinator something behind them: a broker
    /// answers a connection's requests in their order. librdkafka 2.12 that is closed with a commit outstanding, under
    /// the cooperative protocol, ends without telling the group, and tells nobody when one is answered
    /// (docs/kafka-notes.md).
    fn await_commits(&self) {
        if let Err(error) = self.consumer.committed_offsets(self.list(&[0], None), MIRRORED) {
            tracing::debug!(%error, "waiting for the mirrored offsets");
        }
    }

    /// Nothing more is accepted; what is buffered goes through the writer.
    fn drain(&mut self) {
        for duty in self.duties.values_mut() {
            duty.state = State::Settling;
        }
        let deadline = Instant::now() + DRAIN;
        while !self.parts.buffer.is_empty() && Instant::now() < deadline {
            if matches!(*self.parts.condition.borrow(), Condition::Waiting(_)) {
                tracing::warn!("leaving with records unstored; they are read again by the next owner");
                return;
            }
            // Keeps the membership alive; records that still come are discarded by the state.
            drop(self.consumer.poll(Duration::from_millis(5)));
            self.take_replies(Instant::now());
            self.answer_closing();
        }
        self.take_replies(Instant::now());
    }

    /// Journals what was served, and answers it unless its callback has.
    fn answer_closing(&mut self) {
        if let Some(settling) = self.settling.take() {
            self.unassign(&settling.partitions);
        }
        while let Some(event) = self.consumer.context().next_event() {
            match event {
                // Taken and, with the leave, given up again: the group sees one owner at a time.
                Event::Assign { partitions, member } => {
                    self.member = member;
                    if !self.consumer.context().is_closing() {
                        self.assigned(&partitions, Instant::now());
                    }
                }
                Event::Revoke { partitions, member, lost } => {
                    self.member = member;
                    let event_type = if lost { "lost" } else { "revoked" };
                    self.journal_partitions(event_type, &partitions);
                    if !self.consumer.context().is_closing() {
                        self.unassign(&partitions);
                    }
                }
                Event::Failed(_) => self.unassign(&[]),
            }
        }
    }
}
