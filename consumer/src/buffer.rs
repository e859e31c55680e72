//! What was read and not yet stored: filled by the poll thread, emptied by the writer.
//!
//! ```text
//! poll thread ── append ──> [ partition 0 │ partition 1 │ … ] ── take ──> writer ── COMMIT ──> done
//!             <── full? ──
//! ```
//!
//! While the writer is idle it takes what there is at once; while it is busy the next batch grows,
//! up to [`Limits`]. Each partition's part carries the incarnation it was read under; what
//! belongs to another one is discarded, here and when a batch is sent again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use alarms::{Changes, Observation, Place, RuleBook, Sensors};
use bytes::Bytes;
use jiff::Timestamp;
use store::batch::{Letter, Part};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::alarming;

/// Rows are cut into chunks of about this many bytes, which COPY sends whole.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bounds of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of encoded rows and dead letters.
    pub bytes: usize,
}

/// The time under one claim, numbered within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A claim that rows are read under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Its number here.
    pub incarnation: Incarnation,
    /// Its token in the database.
    pub claim: Uuid,
    /// The log's short key.
    pub log_id: i32,
}

/// One record on its way to the target: a row, already encoded, or a dead letter.
pub enum Outcome<'a> {
    /// The bytes of one row, and what it says of a sensor.
    Row(&'a [u8], Option<Observation<'a>>),
    /// A bad record.
    Letter(Letter),
}

/// Where a record stands in its log.
#[derive(Clone, Copy, Debug)]
pub struct Coordinates {
    /// The offset that was to be read next.
    pub position: i64,
    /// The record's offset; above `position` where the log has a gap.
    pub offset: i64,
    /// Leader epoch of its append.
    pub leader_epoch: i32,
    /// Append time.
    pub appended_at: Option<Timestamp>,
}

/// A batch that was taken.
pub struct Taken {
    /// Its parts, ascending by partition, with the incarnation of each.
    pub parts: Vec<(Incarnation, Part)>,
    /// Readings in them that alarms take no notice of: `alarms::MOST_SENSORS`.
    pub unwatched: u64,
}

#[derive(Default)]
struct Inner {
    /// Duties under which appending is allowed, and the state that travels with each.
    duties: BTreeMap<i32, (Duty, Sensors)>,
    rules: RuleBook,
    growing: BTreeMap<i32, (Duty, Growing)>,
    in_flight: BTreeMap<i32, Incarnation>,
    records: usize,
    bytes: usize,
}

struct Growing {
    part: Part,
    tail: Vec<u8>,
    bytes: usize,
    records: usize,
}

/// See the module. One per process.
pub struct Buffer {
    limits: Limits,
    inner: Mutex<Inner>,
    filled: Notify,
}

impl Buffer {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default(), filled: Notify::new() }
    }

    /// Begins an incarnation with the sensors as they were read under the claim: what an older one left is
    /// discarded.
    pub fn begin(&self, partition: i32, duty: Duty, sensors: Sensors) {
        let mut inner = self.lock();
        inner.discard(partition);
        inner.duties.insert(partition, (duty, sensors));
    }

    /// What readings are held against from now on.
    pub fn follow(&self, rules: RuleBook) {
        self.lock().rules = rules;
    }

    /// Ends whatever incarnation the partition has. Returns how many records were discarded; the
    /// ones in flight are the fence's matter.
    pub fn end(&self, partition: i32) -> usize {
        let mut inner = self.lock();
        inner.duties.remove(&partition);
        inner.discard(partition)
    }

    /// Whether `incarnation` is still the partition's.
    pub fn is_current(&self, partition: i32, incarnation: Incarnation) -> bool {
        self.lock().duties.get(&partition).is_some_and(|(duty, _)| duty.incarnation == incarnation)
    }

    /// Appends one record under the partition's current duty. Returns whether the batch has
    /// reached a bound.
    pub fn append(&self, partition: i32, at: Coordinates, outcome: Outcome<'_>) -> bool {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some((duty, sensors)) = inner.duties.get_mut(&partition) else { return false };
        if let Outcome::Row(_, Some(observation)) = &outcome {
            let place = Place { log_id: duty.log_id, partition, offset: at.offset };
            sensors.apply(&inner.rules, place, observation);
        }
        let duty = *duty;
        let (_, growing) = inner.growing.entry(partition).or_insert_with(|| (duty, Growing::new(duty, partition, at)));
        let bytes = growing.append(at, outcome);
        inner.records += 1;
        inner.bytes += bytes;
        let full = inner.is_full(self.limits);
        if inner.records == 1 {
            drop(guard);
            self.filled.notify_one();
        }
        full
    }

    /// Whether the batch has reached a bound.
    pub fn is_full(&self) -> bool {
        self.lock().is_full(self.limits)
    }

    /// Whether nothing of the partition is growing or in flight.
    pub fn is_settled(&self, partition: i32) -> bool {
        let inner = self.lock();
        !inner.growing.contains_key(&partition) && !inner.in_flight.contains_key(&partition)
    }

    /// Whether nothing at all is growing or in flight.
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.growing.is_empty() && inner.in_flight.is_empty()
    }

    /// Waits for records and takes all of them. Cancel safe.
    pub async fn take(&self) -> Taken {
        loop {
            let filled = self.filled.notified();
            if let Some(taken) = self.take_now() {
                return taken;
            }
            filled.await;
        }
    }

    fn take_now(&self) -> Option<Taken> {
        let mut inner = self.lock();
        if inner.growing.is_empty() {
            return None;
        }
        let growing = std::mem::take(&mut inner.growing);
        inner.records = 0;
        inner.bytes = 0;
        inner.in_flight = growing.iter().map(|(partition, (duty, _))| (*partition, duty.incarnation)).collect();
        let with_changes: Vec<(Duty, Growing, Changes)> = growing
            .into_iter()
            .map(|(partition, (duty, growing))| {
                // What grows, grows under the partition's duty: both end together.
                let changes = inner.duties.get_mut(&partition).map(|(_, sensors)| sensors.take()).unwrap_or_default();
                (duty, growing, changes)
            })
            .collect();
        // The poll thread goes on while the states are written out.
        drop(inner);
        let unwatched = with_changes.iter().map(|(_, _, changes)| changes.unwatched).sum();
        let finish = |(duty, growing, changes): (Duty, Growing, Changes)| (duty.incarnation, growing.finish(changes));
        Some(Taken { parts: with_changes.into_iter().map(finish).collect(), unwatched })
    }

    /// The session is gone: what is in flight and what grew under its claims is read again.
    pub fn abandon(&self) {
        let mut inner = self.lock();
        inner.in_flight.clear();
        inner.growing.clear();
        inner.duties.clear();
        inner.records = 0;
        inner.bytes = 0;
    }

    /// The batch in flight is stored, or given up.
    pub fn done(&self) {
        self.lock().in_flight.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds this lock")
    }
}

impl Inner {
    fn is_full(&self, limits: Limits) -> bool {
        self.records >= limits.records || self.bytes >= limits.bytes
    }

    fn discard(&mut self, partition: i32) -> usize {
        let Some((_, growing)) = self.growing.remove(&partition) else { return 0 };
        self.records -= growing.records;
        self.bytes -= growing.bytes;
        growing.records
    }
}

impl Growing {
    fn new(duty: Duty, partition: i32, at: Coordinates) -> Self {
        let part = Part {
            log_id: duty.log_id,
            partition,
            claim: duty.claim,
            expected: at.position,
            next: at.position,
            leader_epoch: -1,
            rows: Vec::new(),
            row_count: 0,
            letters: Vec::new(),
            gaps: Vec::new(),
            first_append_at: at.appended_at,
            last_append_at: None,
            sensors: Vec::new(),
            transitions: Vec::new(),
        };
        Self { part, tail: Vec::new(), bytes: 0, records: 0 }
    }

    fn append(&mut self, at: Coordinates, outcome: Outcome<'_>) -> usize {
        let part = &mut self.part;
        debug_assert_eq!(part.next, at.position, "the poll thread hands over an unbroken chain");
        if at.offset > at.position {
            part.gaps.push((at.position, at.offset));
        }
        part.next = at.offset + 1;
        part.leader_epoch = part.leader_epoch.max(at.leader_epoch);
        part.last_append_at = at.appended_at;
        let bytes = match outcome {
            Outcome::Row(row, _) => {
                if self.tail.len() + row.len() > CHUNK_BYTES && !self.tail.is_empty() {
                    part.rows.push(Bytes::from(std::mem::take(&mut self.tail)));
                }
                if self.tail.capacity() == 0 && !part.rows.is_empty() {
                    self.tail.reserve(CHUNK_BYTES);
                }
                self.tail.extend_from_slice(row);
                part.row_count += 1;
                row.len()
            }
            Outcome::Letter(letter) => {
                let bytes = letter.payload.as_ref().map_or(0, Vec::len) + letter.key.as_ref().map_or(0, Vec::len);
                part.letters.push(letter);
                // A letter's own overhead, so that empty ones count too.
                bytes + 256
            }
        };
        self.records += 1;
        self.bytes += bytes;
        bytes
    }

    fn finish(mut self, changes: Changes) -> Part {
        if !self.tail.is_empty() {
            self.part.rows.push(Bytes::from(self.tail));
        }
        self.part.sensors = changes.sensors.iter().map(|(id, sensor)| alarming::state(id, sensor)).collect();
        self.part.transitions = changes.events.iter().map(alarming::transition).collect();
        self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> Buffer {
        Buffer::new(Limits { records: 2, bytes: 1_000 })
    }

    fn duty(incarnation: u64) -> Duty {
        Duty { incarnation: Incarnation(incarnation), claim: Uuid::from_u128(incarnation.into()), log_id: 1 }
    }

    fn at(position: i64, offset: i64) -> Coordinates {
        Coordinates { position, offset, leader_epoch: 0, appended_at: None }
    }

    #[test]
    fn a_gap_of_the_log_is_kept_beside_the_rows() {
        let buffer = buffer();
        buffer.begin(3, duty(1), Sensors::default());
        buffer.append(3, at(10, 10), Outcome::Row(b"a", None));
        buffer.append(3, at(11, 14), Outcome::Row(b"b", None));
        let taken = buffer.take_now().expect("two records");
        let part = &taken.parts[0].1;
        assert_eq!((part.expected, part.next, part.row_count), (10, 15, 2));
        assert_eq!(part.gaps, [(11, 14)]);
    }

    #[test]
    fn a_new_incarnation_discards_what_the_old_one_read() {
        let buffer = buffer();
        buffer.begin(0, duty(1), Sensors::default());
        assert!(!buffer.append(0, at(0, 0), Outcome::Row(b"old", None)));
        assert!(buffer.append(0, at(1, 1), Outcome::Row(b"old", None)) && buffer.is_full());
        buffer.begin(0, duty(2), Sensors::default());
        assert!(buffer.take_now().is_none());
        assert!(!buffer.is_current(0, Incarnation(1)));
        assert!(!buffer.is_full());
    }

    #[test]
    fn nothing_is_appended_without_a_duty() {
        let buffer = buffer();
        buffer.append(0, at(0, 0), Outcome::Row(b"x", None));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_batch_in_flight_keeps_the_partition_unsettled() {
        let buffer = buffer();
        buffer.begin(0, duty(1), Sensors::default());
        buffer.append(0, at(0, 0), Outcome::Row(b"x", None));
        let _taken = buffer.take_now().expect("one record");
        buffer.end(0);
        assert!(!buffer.is_settled(0));
        buffer.done();
        assert!(buffer.is_settled(0));
    }
}
