//! Records: polled, judged, turned into rows or letters, buffered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka::evidence::leader_epoch;
use rdkafka::Message;
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schema::{Fault, ReasonCode};
use store::batch::Letter;
use store::copy::Origin;

use super::{End, Reader};
use crate::buffer::{Coordinates, Outcome};
use crate::duty::{Admission, Duty, State};
use crate::journal::Fact;

/// Records taken in one turn before replies and events are looked at again.
const BURST: usize = 2_000;
/// Bound of putting the client to an offset.
const SEEK: Duration = Duration::from_millis(500);
/// A seek that is refused for this long never works: the fetcher has to be started again.
const SEEK_REFUSED: Duration = Duration::from_millis(500);
/// While the buffer is full: the wait before it is looked at again.
const FULL_WAIT: Duration = Duration::from_millis(1);

impl Reader<'_> {
    /// Takes what is there, at most a burst. Waits for the first record only.
    pub(super) fn poll(&mut self) -> Option<End> {
        if self.paused.is_none() && self.parts.buffer.is_full() {
            // Not polling keeps what is prefetched; pausing would throw it away. See `follow_writer`
            // for how long this may last.
            self.full_since.get_or_insert_with(Instant::now);
            std::thread::sleep(FULL_WAIT);
            return None;
        }
        self.full_since = None;
        let mut timeout = self.poll_timeout();
        // One look at the clock for a burst, after the wait for its first record.
        let mut arrived = None;
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
                    let admission = duty.admit(view.offset, *arrived.get_or_insert_with(Instant::now));
                    match admission {
                        Admission::Accept => {
                            if accept(parts, duty, row, &message, view) {
                                return None;
                            }
                        }
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
            duty.open(Instant::now());
        }
        self.park(&[partition]);
        self.open_claimed();
    }

    /// Puts the client to the offset of each fresh claim and lets it fetch.
    pub(super) fn open_claimed(&mut self) {
        let now = Instant::now();
        let opening = self.duties.iter().filter(|(_, duty)| duty.state == State::Opening);
        let due: Vec<i32> = opening.map(|(partition, _)| *partition).collect();
        if due.is_empty() {
            return;
        }
        let mut opened = self.seek(&due);
        // After an offset error the client's fetcher has stopped and refuses every seek.
        let long = |partition: &i32| self.duties[partition].opening_for(now) > SEEK_REFUSED;
        let refused: Vec<i32> = due.iter().filter(|p| !opened.contains(p) && long(p)).copied().collect();
        if !refused.is_empty() {
            opened.extend(self.assign_again(&refused));
        }
        for partition in &opened {
            if let Some(duty) = self.duties.get_mut(partition) {
                duty.opened(Instant::now());
            }
        }
        if self.paused.is_some() {
            self.park(&opened);
        } else if !opened.is_empty() {
            self.resume(&opened);
        }
    }

    /// Lets the client fetch at the positions. An application's pause survives reassignment, so this
    /// is said explicitly each time. And the seek follows the resume, because it is the seek that
    /// wakes librdkafka's broker thread: resumed alone, a partition sleeps for up to a second.
    pub(super) fn resume(&self, partitions: &[i32]) {
        if let Err(error) = self.consumer.resume(&self.list(partitions, None)) {
            tracing::warn!(?partitions, %error, "resume");
        }
        self.seek(partitions);
    }

    /// Lets the client go on with what it keeps over a rebalance.
    ///
    /// A cooperative client pauses all that it has from its question to our answer, which throws away what it had
    /// fetched; its own resume is as quiet as the one above. A broker thread that found nothing to fetch meanwhile would
    /// sleep on for up to a second (docs/kafka-notes.md).
    pub(super) fn wake_retained(&self) {
        let retained = self.reading();
        if self.paused.is_none() && !retained.is_empty() {
            self.seek(&retained);
        }
    }

    /// Seeks to the positions, all at once; the partitions for which it worked.
    fn seek(&self, partitions: &[i32]) -> Vec<i32> {
        match self.consumer.seek_partitions(self.at_positions(partitions), SEEK) {
            Ok(answer) => {
                let done = answer.elements().into_iter().filter(|element| element.error().is_ok());
                done.map(|element| element.partition()).collect()
            }
            Err(error) => {
                tracing::debug!(?partitions, %error, "seek; tried again in the next turn");
                Vec::new()
            }
        }
    }

    /// Stops the partitions' fetchers and starts them at the positions. Under the eager protocol
    /// that takes the whole list.
    fn assign_again(&mut self, partitions: &[i32]) -> Vec<i32> {
        let list = self.at_positions(partitions);
        let answered = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                self.consumer.incremental_unassign(&list).and_then(|()| self.consumer.incremental_assign(&list))
            }
            _ => {
                let all: Vec<i32> = self.duties.keys().copied().collect();
                self.consumer.assign(&self.at_positions(&all))
            }
        };
        match answered {
            Ok(()) => {
                tracing::info!(?partitions, "the client's fetchers were started again");
                partitions.to_vec()
            }
            Err(error) => {
                tracing::warn!(?partitions, %error, "starting the client's fetchers again");
                Vec::new()
            }
        }
    }

    fn at_positions(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let position = Offset::Offset(self.duties.get(partition).map_or(0, |duty| duty.position));
            list.add_partition_offset(&self.parts.topic, *partition, position)
                .expect("a position is an offset that librdkafka takes");
        }
        list
    }

    /// An error instead of a record.
    fn failed(&mut self, error: &KafkaError) -> Option<End> {
        match error {
            KafkaError::MessageConsumptionFatal(Code::FencedInstanceId) => Some(End::Fenced),
            KafkaError::MessageConsumptionFatal(Code::UnreleasedInstanceId) => Some(End::Unreleased),
            KafkaError::MessageConsumptionFatal(code) => Some(End::Fatal(format!("{code:?}"))),
            KafkaError::PartitionEOF(partition) => {
                let log_end = self.parts.status.log_end(*partition);
                if let Some(duty) = self.duties.get_mut(partition) {
                    duty.reached_end(log_end);
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

/// Decodes and buffers a record that was admitted; whether the batch is full then. The message is
/// dropped right after.
fn accept(
    parts: &super::Parts,
    duty: &mut Duty,
    row: &mut Vec<u8>,
    message: &BorrowedMessage<'_>,
    Record { partition, offset }: Record,
) -> bool {
    let position = duty.before;
    let appended_at = message.timestamp().to_millis().filter(|ms| *ms >= 0);
    let appended_at = appended_at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = Coordinates { position, offset, leader_epoch: leader_epoch(message), appended_at };
    row.clear();
    let verdict = match duty.condemned.get(&offset).cloned() {
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
        Ok(observation) => Outcome::Row(row, observation),
        Err(fault) => Outcome::Letter(Letter {
            offset,
            fault,
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            appended_at,
        }),
    };
    parts.buffer.append(partition, at, outcome)
}
