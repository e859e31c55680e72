//! Looking after the partitions: pauses, stuck ones, the shown state.

use std::time::{Duration, Instant};

use store::consumer_health::PartitionState;

use super::Reader;
use crate::duty::State;
use crate::journal::Fact;
use crate::status::Snapshot;
use crate::writer::Condition;

/// The buffer may be full for this long before partitions are paused, so that events are polled
/// for in time.
const FULL_LIMIT: Duration = Duration::from_millis(500);

impl Reader<'_> {
    /// Pauses what is read while the writer waits for the database or cannot keep up, and resumes it.
    pub(super) fn follow_writer(&mut self, now: Instant) {
        let full = self.parts.buffer.is_full();
        let reason = match &*self.parts.condition.borrow() {
            Condition::Waiting(reason) => Some(reason.clone()),
            Condition::Working(_) if full && self.full_since.is_some_and(|s| now.duration_since(s) > FULL_LIMIT) => {
                Some("the writer is behind".to_owned())
            }
            // A pause for a full buffer ends when the writer has taken it.
            Condition::Working(_) if full && self.paused.is_some() => self.paused.clone(),
            Condition::Working(_) => None,
        };
        if self.paused == reason {
            return;
        }
        let reading = self.reading();
        match (&self.paused, &reason) {
            (None, Some(why)) => {
                self.park(&reading);
                self.record("paused", Fact { detail: Some(why.clone()), ..Fact::default() });
            }
            (Some(_), None) => {
                if !reading.is_empty() {
                    self.resume(&reading);
                }
                for partition in &reading {
                    if let Some(duty) = self.duties.get_mut(partition) {
                        duty.excuse(now);
                    }
                }
                self.record("resumed", Fact::default());
            }
            _ => {}
        }
        self.paused = reason;
        self.full_since = None;
    }

    pub(super) fn reading(&self) -> Vec<i32> {
        self.duties.iter().filter(|(_, duty)| duty.state == State::Reading).map(|(partition, _)| *partition).collect()
    }

    /// Claims stuck partitions again, and all of them after an error that named none.
    pub(super) fn supervise(&mut self, now: Instant) {
        if self.recheck_due.is_some_and(|due| due <= now) {
            self.recheck_due = None;
            for partition in self.reading() {
                self.reopen(partition, "the client met an offset or topic error", Duration::from_millis(200));
            }
        }
        if self.paused.is_some() {
            return;
        }
        for partition in self.reading() {
            let log_end = self.parts.status.log_end(partition);
            let Some(duty) = self.duties.get_mut(&partition) else { continue };
            if duty.is_stuck(log_end, now) {
                duty.stuck += 1;
                let reason = format!("no record for 30 s although the log ends at {}", log_end.unwrap_or(-1));
                self.reopen(partition, &reason, Duration::ZERO);
            }
        }
    }

    pub(super) fn publish(&mut self) {
        let partitions = self
            .duties
            .iter()
            .map(|(&partition, duty)| {
                let (state, reason) = match &duty.state {
                    State::Reading if self.paused.is_some() => ("paused", self.paused.clone()),
                    State::Quarantined { reason, .. } => ("quarantined", Some(reason.clone())),
                    // Without a session of the writer no claim is made.
                    State::Claiming { .. } => ("claiming", duty.delayed.clone().or_else(|| self.paused.clone())),
                    state => (state.name(), None),
                };
                let (position, stored) = (duty.position, duty.stored);
                PartitionState { partition, state: state.into(), reason, position, stored, log_end: None }
            })
            .collect();
        self.parts.status.publish(Snapshot {
            partitions,
            joined: self.joined,
            leaving: false,
            member: Some(self.member.clone()),
        });
    }
}
