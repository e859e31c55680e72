//! What the writer and the claims answered.

use std::time::{Duration, Instant};

use super::{End, Reader};
use crate::buffer::{self, Incarnation};
use crate::claims::Request;
use crate::duty::State;
use crate::journal::Fact;
use crate::judgement::CAUTIOUS_AFTER;
use crate::writer::{Claimed, Reply};

/// First and longest wait before a refused partition is claimed again.
const REFUSED_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

impl Reader<'_> {
    /// Takes every reply that is there. Replies of an older incarnation are discarded.
    pub(super) fn take_replies(&mut self, now: Instant) -> Option<End> {
        while let Ok(reply) = self.replies.try_recv() {
            match reply {
                Reply::Stored { partition, incarnation, next } => self.note_stored(partition, incarnation, next, now),
                Reply::Refused { partition, incarnation, detail } => self.refused(partition, incarnation, detail),
                Reply::Condemned { partition, incarnation, faults } => {
                    if self.is_current(partition, incarnation) {
                        if let Some(duty) = self.duties.get_mut(&partition) {
                            duty.condemned.extend(faults);
                        }
                        self.reclaim(partition, Duration::ZERO);
                    }
                }
                Reply::Reclaim { partition, incarnation, reason } => {
                    if self.is_current(partition, incarnation) {
                        self.reopen(partition, &reason, Duration::ZERO);
                    }
                }
                Reply::SessionLost { reason } => self.session_lost(&reason),
                Reply::Claimed(claimed) => self.claimed(claimed, now),
                Reply::Quarantined { partition, incarnation, reason, new } => {
                    self.quarantined(partition, incarnation, reason, new, now);
                }
                Reply::Delayed { partition, incarnation, reason } => {
                    if let Some(duty) = self.duties.get_mut(&partition).filter(|duty| duty.incarnation == incarnation) {
                        duty.delayed = Some(reason);
                    }
                }
                Reply::Superseded => {}
                Reply::ForeignGroup { group_id } => return Some(End::ForeignGroup(group_id)),
            }
        }
        None
    }

    fn is_current(&self, partition: i32, incarnation: Incarnation) -> bool {
        self.duties.get(&partition).is_some_and(|duty| duty.incarnation == incarnation)
    }

    fn note_stored(&mut self, partition: i32, incarnation: Incarnation, next: i64, now: Instant) {
        if !self.is_current(partition, incarnation) {
            return;
        }
        if let Some(duty) = self.duties.get_mut(&partition) {
            let records = next - duty.stored.unwrap_or(next);
            self.parts.status.count(u64::try_from(records).unwrap_or(0), now);
            duty.stored(next, now);
        }
    }

    /// The fence refused our claim. Kafka may still count us as the owner, so the claim is made
    /// again, unless a revoke or lost comes first.
    fn refused(&mut self, partition: i32, incarnation: Incarnation, detail: String) {
        if !self.is_current(partition, incarnation) {
            return;
        }
        let Some(duty) = self.duties.get_mut(&partition) else { return };
        duty.refusals += 1;
        let (first, longest) = REFUSED_WAIT;
        let wait = (first * 2u32.pow(duty.refusals.min(10) - 1)).min(longest);
        let (claim, offset) = (duty.claim, Some(duty.position));
        self.record(
            "refused",
            Fact { partition: Some(partition), claim, offset, detail: Some(detail), ..Fact::default() },
        );
        self.reclaim(partition, wait);
    }

    /// Claims again because of `reason`, and says so.
    pub(super) fn reopen(&mut self, partition: i32, reason: &str, wait: Duration) {
        let Some(duty) = self.duties.get(&partition) else { return };
        if duty.state == State::Settling {
            return;
        }
        tracing::warn!(partition, reason, "claiming again");
        let fact = Fact {
            partition: Some(partition),
            claim: duty.claim,
            offset: Some(duty.position),
            detail: Some(reason.to_owned()),
            ..Fact::default()
        };
        self.record("reopened", fact);
        self.reclaim(partition, wait);
    }

    fn session_lost(&mut self, reason: &str) {
        let partitions: Vec<i32> = self.duties.keys().copied().collect();
        for partition in partitions {
            let quarantined = matches!(self.duties[&partition].state, State::Quarantined { .. });
            if !quarantined {
                self.reopen(partition, reason, Duration::ZERO);
            }
        }
    }

    fn claimed(&mut self, claimed: Claimed, now: Instant) {
        let Claimed { partition, incarnation, claim, waiting, taken, writer, ended, sensors } = claimed;
        if !self.is_current(partition, incarnation) || self.duties[&partition].state == State::Settling {
            return;
        }
        // A claim names the backend that writes. One that names a session which is gone would let
        // nobody end the right one.
        let named = matches!(&*self.parts.condition.borrow(), crate::writer::Condition::Working(now) if *now != writer);
        if named {
            self.reclaim(partition, Duration::ZERO);
            return;
        }
        let cautious = taken.claims_at_offset >= CAUTIOUS_AFTER;
        let duty = self.duties.get_mut(&partition).expect("is_current found it");
        let back = duty.claimed(claim, taken.log_id, taken.next_offset, cautious, now);
        self.parts.buffer.begin(partition, buffer::Duty { incarnation, claim, log_id: taken.log_id }, sensors);
        let fact = |detail| Fact {
            partition: Some(partition),
            claim: Some(claim),
            offset: Some(taken.next_offset),
            records: Some(waiting),
            detail,
        };
        if let Some(from) = back {
            tracing::warn!(partition, from, to = taken.next_offset, "the stored offset went back");
            self.record("offset_went_back", fact(Some(format!("from {from}"))));
        }
        let ended = (!ended.is_empty()).then(|| {
            let pids: Vec<String> = ended.iter().map(|backend| backend.pid.to_string()).collect();
            format!("ended backend {} of the previous owner, which held the lock", pids.join(", "))
        });
        self.record("claimed", fact(ended));
    }

    fn quarantined(&mut self, partition: i32, incarnation: Incarnation, reason: String, new: bool, now: Instant) {
        if !self.is_current(partition, incarnation) {
            return;
        }
        if new {
            tracing::error!(partition, reason, "quarantined: see `consumer offsets show`");
        }
        let first = new
            || !self
                .parts
                .status
                .snapshot()
                .partitions
                .iter()
                .any(|shown| shown.partition == partition && shown.state == "quarantined");
        if first {
            self.record(
                "quarantined",
                Fact { partition: Some(partition), detail: Some(reason.clone()), ..Fact::default() },
            );
        }
        if let Some(duty) = self.duties.get_mut(&partition) {
            duty.quarantined(reason, now);
        }
    }

    /// Asks for the claims that are due.
    pub(super) fn ask_for_claims(&mut self, now: Instant) {
        let retry: Vec<i32> = self.duties.iter().filter(|(_, d)| d.retry_due(now)).map(|(p, _)| *p).collect();
        for partition in retry {
            self.reclaim(partition, Duration::ZERO);
        }
        for (&partition, duty) in &mut self.duties {
            let Ok(permit) = self.parts.requests.try_reserve() else { return };
            if duty.ask(now) {
                let condemned = (duty.stuck > crate::duty::STUCK_LIMIT)
                    .then(|| format!("stuck at offset {}: no record came in {} tries", duty.position, duty.stuck));
                permit.send(Request { partition, incarnation: duty.incarnation, condemned });
            }
        }
    }
}
