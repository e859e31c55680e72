//! Records: polled, judged, turned into rows or letters, buffered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka::evidence::leader_epoch;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use schema::{Fault, ReasonCode};
use store::batch::Letter;
use store::sensor_readings::Origin;

use super::{End, Reader};
use crate::buffer::{Coordinates, Outcome};
use crate::duty::{Admission, Duty, State};
use crate::journal::Fact;

/// Records taken in one turn before replies and events are looked at again.
const BURST: usize = 2_000;
/// Bound of putting the client to an offset.
const SEEK: Duration = Duration::from_millis(500);
/// While the buffer is full: the wait before it is looked at again.
const FULL_WAIT: Duration = Duration::from_millis(1);

impl Reader<'_> {
    /// Takes what is there, at most a burst. Waits for the first record only.
    pub(super) fn poll(&mut self) -> Option<End> {
        if self.paused.is_none() && self.parts.buffer.is_full(self.parts.limits) {
            // Not polling keeps what is prefetched; pausing would throw it away. See `follow_writer`
            // for how long this may last.
            self.full_since.get_or_insert_with(Instant::now);
            std::thread::sleep(FULL_WAIT);
            return None;
        }
        self.full_since = None;
        let mut timeout = self.poll_timeout();
        for _ in 0..BURST {
            // The message borrows the consumer, so it is judged by parts of `self` other than it.
            match self.consumer.poll(timeout) {
                None => return None,
                Some(Ok(message)) => {
                    let view = Record::of(&message);
                    let (parts, row) = (self.parts, &mut self.row);
                    let Some(duty) = self.duties.get_mut(&view.partition) else {
                        parts.metrics.discarded.add(1, &[]);
                        continue;
                    };
                    let admission = duty.admit(view.offset, Instant::now());
                    match admission {
                        Admission::Accept => accept(parts, duty, row, &message, view),
                        Admission::Discard => parts.metrics.discarded.add(1, &[]),
                        Admission::Confirm | Admission::WentBack => {
                            drop(message);
                            self.doubt(view, admission);
                        }
                    }
                }
                Some(Err(error)) => {
                    if let Some(end) = self.failed(&error) {
                        return Some(end);
                    }
                }
            }
            if self.parts.buffer.is_full(self.parts.limits) {
                return None;
            }
            timeout = Duration::ZERO;
        }
        None
    }

    fn doubt(&mut self, record: Record, admission: Admission) {
        let Record { partition, offset, .. } = record;
        if admission == Admission::WentBack {
            let reason = format!("the log went back to offset {offset}");
            self.reopen(partition, &reason, Duration::ZERO);
            return;
        }
        // Read once more from the position: the claim holds, only the fetch is doubted.
        if let Some(duty) = self.duties.get_mut(&partition) {
            tracing::info!(partition, position = duty.position, offset, "a gap in the log; reading it once more");
            duty.state = State::Opening;
        }
        self.park(&[partition]);
        self.open_claimed();
    }

    /// Puts the client to the offset of each fresh claim and lets it fetch.
    pub(super) fn open_claimed(&mut self) {
        let due: Vec<(i32, i64)> = self
            .duties
            .iter()
            .filter(|(_, duty)| duty.state == State::Opening)
            .map(|(partition, duty)| (*partition, duty.position))
            .collect();
        for (partition, position) in due {
            if let Err(error) = self.open(partition, position) {
                tracing::debug!(partition, position, %error, "opening; tried again in the next turn");
                continue;
            }
            if let Some(duty) = self.duties.get_mut(&partition) {
                duty.opened(Instant::now());
                // An application's pause survives reassignment: resume explicitly.
                if self.paused.is_none()
                    && let Err(error) = self.consumer.resume(&self.list(&[partition], None))
                {
                    tracing::warn!(partition, %error, "resume");
                }
            }
        }
    }

    fn open(&self, partition: i32, position: i64) -> Result<(), KafkaError> {
        let list = self.list(&[partition], Some(Offset::Offset(position)));
        let answer = self.consumer.seek_partitions(list, SEEK)?;
        answer.elements().iter().try_for_each(|element| element.error())
    }

    /// An error instead of a record.
    fn failed(&mut self, error: &KafkaError) -> Option<End> {
        match error {
            KafkaError::MessageConsumptionFatal(Code::FencedInstanceId) => Some(End::Fenced),
            KafkaError::MessageConsumptionFatal(Code::UnreleasedInstanceId) => Some(End::Unreleased),
            KafkaError::MessageConsumptionFatal(code) => Some(End::Fatal(format!("{code:?}"))),
            KafkaError::PartitionEOF(partition) => {
                if let Some(duty) = self.duties.get_mut(partition) {
                    duty.at_end = true;
                }
                None
            }
            // Names no partition: every one that is read is claimed again, and the claim finds out.
            KafkaError::MessageConsumption(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::LogTruncation
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition,
            ) => {
                tracing::warn!(%error, "every partition is claimed again");
                self.recheck_due.get_or_insert(Instant::now());
                None
            }
            KafkaError::MessageConsumption(Code::PollExceeded) => {
                let detail = Some("max.poll.interval.ms exceeded: this process did not poll".to_owned());
                self.record("poll_exceeded", Fact { detail, ..Fact::default() });
                None
            }
            // Broker transport failures and the like heal by themselves.
            error => {
                tracing::debug!(%error, "poll");
                None
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Record {
    partition: i32,
    offset: i64,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        Self { partition: message.partition(), offset: message.offset() }
    }
}

/// Decodes and buffers a record that was admitted. The message is dropped right after.
fn accept(
    parts: &super::Parts,
    duty: &mut Duty,
    row: &mut Vec<u8>,
    message: &BorrowedMessage<'_>,
    Record { partition, offset }: Record,
) {
    let position = duty.before;
    let appended_at = message.timestamp().to_millis().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = Coordinates { position, offset, leader_epoch: leader_epoch(message), appended_at };
    row.clear();
    let verdict = match duty.condemned.remove(&offset) {
        Some(fault) => Err(fault),
        None => {
            let origin = Origin { consumer_id: &parts.consumer_id, log_id: duty.log_id, partition, offset };
            let encode = AssertUnwindSafe(|| (parts.encode)(&mut *row, message.payload(), &origin));
            catch_unwind(encode).unwrap_or_else(|_| {
                parts.metrics.decoder_panics.add(1, &[]);
                Err(Fault::new(ReasonCode::DecoderPanic, None, "the decoder panicked on this record"))
            })
        }
    };
    let outcome = match verdict {
        Ok(()) => Outcome::Row(row),
        Err(fault) => Outcome::Letter(Letter {
            offset,
            fault,
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            appended_at,
        }),
    };
    parts.buffer.append(partition, at, outcome);
}
