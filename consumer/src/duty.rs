//! The state of one assigned partition. Every assigned partition is in exactly one named state.
//!
//! ```text
//!             claim taken            seek done
//!  Claiming ───────────────> Opening ─────────> Reading ──(paused while the writer waits)
//!   ^  ^ └─ quarantine ──> Quarantined            │
//!   │  └────────── asked again every 5 s ─┘       │ refused · session lost · offset out of range ·
//!   └─────────────────────────────────────────────┘ topic id changed · stuck · bad row isolated
//!                              Reading ──> Proving ──> Opening: after many claims without progress, one record alone
//!                                       revoke: any ──> Settling ──> (unassigned)     lost: any ──> (unassigned)
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schema::Fault;
use uuid::Uuid;

use crate::buffer::Incarnation;

/// How long a quarantined partition waits before the database is asked again.
const QUARANTINE_RETRY: Duration = Duration::from_secs(5);
/// Reading without progress for this long, with records behind the position, is a fault.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);
/// Times that a stuck partition is claimed anew before it is quarantined.
pub const STUCK_LIMIT: u32 = 3;

/// The named state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A claim is to be made, or being made.
    Claiming {
        /// Not before this time.
        due: Instant,
        /// Whether it has been asked for.
        asked: bool,
    },
    /// Claimed; the client is to be put to the offset.
    Opening,
    /// Records are accepted.
    Reading,
    /// One record was accepted after many claims without progress; once it is stored, reading goes on.
    Proving,
    /// Not read, until a command releases it.
    Quarantined {
        /// Why.
        reason: String,
        /// When to ask again.
        due: Instant,
    },
    /// To be given up: what is in flight is awaited, nothing more is accepted.
    Settling,
}

impl State {
    /// The state's name, as on the dashboard.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claiming { .. } => "claiming",
            Self::Opening => "opening",
            Self::Reading => "reading",
            Self::Proving => "proving",
            Self::Quarantined { .. } => "quarantined",
            Self::Settling => "settling",
        }
    }
}

/// What is to be done with a record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the next one; a gap before it is the log's own.
    Accept,
    /// It was read under no claim, or before the position.
    Discard,
    /// It lies behind a gap: read once more from the position, and believe the gap only if a second
    /// fetch shows it again. The client can be at the wrong place; the log can't be twice.
    Confirm,
    /// The log went back: another log under the same name, or a fault. Claim again.
    WentBack,
}

/// One assigned partition.
#[derive(Debug)]
pub struct Duty {
    /// Changes with every claim that is begun; answers for another one are discarded.
    pub incarnation: Incarnation,
    /// The named state.
    pub state: State,
    /// The claim, once taken.
    pub claim: Option<Uuid>,
    /// Short key of the claimed log; -1 before the first claim.
    pub log_id: i32,
    /// Next offset to be read.
    pub position: i64,
    /// The position before the last accepted record.
    pub before: i64,
    /// Next offset in the database, as last known; survives re-claiming, to see it go back.
    pub stored: Option<i64>,
    /// Nothing was accepted since the last seek.
    fresh: bool,
    unconfirmed: Option<(i64, i64)>,
    /// Offsets that PostgreSQL refused, which become letters when they are read again.
    pub condemned: BTreeMap<i64, Fault>,
    /// The first record after opening is to be stored alone.
    cautious: bool,
    /// The client reached the end of the log, which was here by what was known then.
    at_end: Option<i64>,
    opening_since: Instant,
    last_progress: Instant,
    /// Times in a row that it was stuck.
    pub stuck: u32,
    /// Refusals in a row.
    pub refusals: u32,
    /// Why the claim that is being made was not made at once.
    pub delayed: Option<String>,
}

impl Duty {
    /// A partition that was just assigned.
    pub fn new(incarnation: Incarnation, now: Instant) -> Self {
        Self {
            incarnation,
            state: State::Claiming { due: now, asked: false },
            claim: None,
            log_id: -1,
            position: 0,
            before: 0,
            stored: None,
            fresh: true,
            unconfirmed: None,
            condemned: BTreeMap::new(),
            cautious: false,
            at_end: None,
            opening_since: now,
            last_progress: now,
            stuck: 0,
            refusals: 0,
            delayed: None,
        }
    }

    /// A new incarnation, to be claimed after `wait`. Settling stays settling.
    pub fn reclaim(&mut self, incarnation: Incarnation, now: Instant, wait: Duration) {
        if self.state == State::Settling {
            return;
        }
        self.incarnation = incarnation;
        self.claim = None;
        self.delayed = None;
        self.state = State::Claiming { due: now + wait, asked: false };
    }

    /// The claim was taken at `next`. Returns the offset it went back from, if it did.
    pub fn claimed(&mut self, claim: Uuid, log_id: i32, next: i64, cautious: bool, now: Instant) -> Option<i64> {
        if self.log_id != log_id {
            self.condemned.clear();
        }
        let back = self.stored.filter(|known| *known > next);
        self.claim = Some(claim);
        self.log_id = log_id;
        self.open(now);
        self.stored = Some(next);
        self.position = next;
        self.cautious = cautious;
        self.unconfirmed = None;
        back
    }

    /// The client was put to the position.
    pub fn opened(&mut self, now: Instant) {
        self.state = State::Reading;
        self.fresh = true;
        self.at_end = None;
        self.last_progress = now;
    }

    /// The client reached the end of the log; `log_end` as last asked.
    pub fn reached_end(&mut self, log_end: Option<i64>) {
        self.at_end = Some(self.position.max(log_end.unwrap_or(0)));
    }

    /// To be opened (again) at the position.
    pub fn open(&mut self, now: Instant) {
        self.state = State::Opening;
        self.opening_since = now;
    }

    /// How long the client could not be put to the position.
    pub fn opening_for(&self, now: Instant) -> Duration {
        now.duration_since(self.opening_since)
    }

    /// The partition is not to be read.
    pub fn quarantined(&mut self, reason: String, now: Instant) {
        if self.state != State::Settling {
            self.state = State::Quarantined { reason, due: now + QUARANTINE_RETRY };
        }
    }

    /// Whether a claim is to be asked for now; notes that it was.
    pub fn ask(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Claiming { due, asked } if !*asked && *due <= now => {
                *asked = true;
                true
            }
            _ => false,
        }
    }

    /// Whether a quarantined partition is to be asked about again.
    pub fn retry_due(&self, now: Instant) -> bool {
        matches!(&self.state, State::Quarantined { due, .. } if *due <= now)
    }

    /// Judges a record that arrived, and moves the position when it is accepted.
    pub fn admit(&mut self, offset: i64, now: Instant) -> Admission {
        if self.state != State::Reading {
            return Admission::Discard;
        }
        if offset < self.position {
            // Directly after a seek it may be a late delivery of the fetch before it.
            return if self.fresh { Admission::Discard } else { Admission::WentBack };
        }
        if offset > self.position && self.unconfirmed != Some((self.position, offset)) {
            self.unconfirmed = Some((self.position, offset));
            return Admission::Confirm;
        }
        self.fresh = false;
        self.at_end = None;
        self.before = self.position;
        self.position = offset + 1;
        self.last_progress = now;
        self.stuck = 0;
        if self.cautious {
            self.state = State::Proving;
        }
        Admission::Accept
    }

    /// A batch was committed up to `next`.
    pub fn stored(&mut self, next: i64, now: Instant) {
        self.stored = Some(next);
        self.refusals = 0;
        self.cautious = false;
        self.condemned = self.condemned.split_off(&next);
        if self.state == State::Proving {
            self.open(now);
        }
    }

    /// Whether it is reading, has records behind its position and has not moved for
    /// [`STUCK_AFTER`]. The end of the log as the client sees it counts as quiet: control records
    /// can lie behind it for ever.
    pub fn is_stuck(&self, log_end: Option<i64>, now: Instant) -> bool {
        self.state == State::Reading
            && log_end.is_some_and(|end| end > self.position && self.at_end.is_none_or(|at_end| end > at_end))
            && now.duration_since(self.last_progress) > STUCK_AFTER
    }

    /// Time without reading that was not the partition's fault (a pause) does not count as stuck.
    pub fn excuse(&mut self, now: Instant) {
        self.last_progress = now;
    }
}

#[cfg(test)]
mod tests;
