//! What can be done to a connection, armed beforehand and reported when it has happened.

use super::dialogue::Event;
use crate::condition::wait_until;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A place in the dialogue, and what happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut and the server never sees the COMMIT: it rolls back.
    CutBeforeCommit,
    /// The server commits; the connection is cut before its answer passes.
    CutAfterCommit,
    /// The client's connection is cut at once, the server gets the COMMIT that much later: until
    /// then the transaction is open and holds its locks.
    HoldCommit(Duration),
    /// The connection is cut inside of a message of a COPY, the one that brings it over that many
    /// bytes.
    CutInCopy {
        /// Bytes of this COPY that pass before, about.
        after_bytes: u64,
    },
}

/// A fault and which occasion for it is taken.
#[derive(Debug, Clone, Copy)]
pub struct Arming {
    fault: Fault,
    of_copies: bool,
    skip: u32,
}

impl Arming {
    /// At the first occasion.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, of_copies: false, skip: 0 }
    }

    /// Only in transactions that have COPYed rows: not in a heartbeat's.
    #[must_use]
    pub fn of_copies(mut self) -> Self {
        self.of_copies = true;
        self
    }

    /// Lets that many occasions pass.
    #[must_use]
    pub fn skip(mut self, occasions: u32) -> Self {
        self.skip = occasions;
        self
    }

    fn is_occasion(&self, event: Event) -> bool {
        match (self.fault, event) {
            (Fault::CutInCopy { after_bytes }, Event::Copy { before, after }) => {
                before <= after_bytes && after_bytes < after
            }
            (Fault::CutInCopy { .. }, _) => false,
            (_, Event::Commit { copied }) => copied || !self.of_copies,
            (_, Event::Copy { .. } | Event::Other) => false,
        }
    }
}

impl From<Fault> for Arming {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

/// What became of the transaction of a fault, as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server said COMMIT.
    Committed,
    /// The server said ROLLBACK: the transaction had failed before.
    RolledBack,
    /// The server said an error.
    Refused(String),
    /// The server got no COMMIT, or went away before it answered.
    None,
}

/// Where an armed fault has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Armed,
    Hit,
    Settled(Answer),
}

/// Reports one armed fault.
#[derive(Debug, Clone)]
pub struct Hit {
    stage: Arc<watch::Sender<Stage>>,
}

impl Hit {
    /// Whether it has happened.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        *self.stage.borrow() != Stage::Armed
    }

    /// Waits until it has happened.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub async fn hit(&self, deadline: Duration) {
        wait_until(deadline, "the armed fault is hit", async || self.is_hit()).await;
    }

    /// Waits until the server's side is over, too, and says how: a held COMMIT has been delivered.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub async fn settled(&self, deadline: Duration) -> Answer {
        crate::condition::wait_for(deadline, "the fault is over on the server's side", async || {
            match &*self.stage.borrow() {
                Stage::Settled(answer) => Some(answer.clone()),
                Stage::Armed | Stage::Hit => None,
            }
        })
        .await
    }

    pub(super) fn set_hit(&self) {
        self.stage.send_replace(Stage::Hit);
    }

    pub(super) fn set_settled(&self, answer: Answer) {
        self.stage.send_replace(Stage::Settled(answer));
    }
}

/// The faults that wait for their occasion.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Mutex<Vec<(Arming, Hit)>>,
}

impl Faults {
    pub(super) fn arm(&self, arming: Arming) -> Hit {
        let hit = Hit { stage: Arc::new(watch::Sender::new(Stage::Armed)) };
        self.lock().push((arming, hit.clone()));
        hit
    }

    pub(super) fn disarm(&self) {
        self.lock().clear();
    }

    /// The fault whose occasion this is, if any. It is armed no longer.
    pub(super) fn take(&self, event: Event) -> Option<(Fault, Hit)> {
        let mut armed = self.lock();
        let due = armed.iter_mut().position(|(arming, _)| {
            let due = arming.is_occasion(event) && arming.skip == 0;
            if arming.is_occasion(event) && !due {
                arming.skip -= 1;
            }
            due
        })?;
        let (arming, hit) = armed.remove(due);
        Some((arming.fault, hit))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arming, Hit)>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_occasion_and_happens_once() {
        let faults = Faults::default();
        faults.arm(Arming::new(Fault::CutBeforeCommit).of_copies().skip(1));
        assert!(faults.take(Event::Other).is_none());
        assert!(faults.take(Event::Commit { copied: false }).is_none());
        assert!(faults.take(Event::Commit { copied: true }).is_none(), "skipped");
        assert!(faults.take(Event::Commit { copied: true }).is_some());
        assert!(faults.take(Event::Commit { copied: true }).is_none(), "only once");
    }

    #[test]
    fn a_copy_is_cut_by_the_message_that_brings_it_over_the_mark() {
        let faults = Faults::default();
        faults.arm(Fault::CutInCopy { after_bytes: 10 }.into());
        assert!(faults.take(Event::Copy { before: 0, after: 10 }).is_none());
        assert!(faults.take(Event::Copy { before: 10, after: 12 }).is_some());
    }
}
