//! Readiness as latches: whoever is not ready holds one, and drops it when it is.
//!
//! There is no registry to keep in step: a part that goes away takes its latch with it.

use std::sync::{Arc, Mutex, PoisonError};

/// Says whether the process can do its work, and what it waits for if not.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<&'static str>>>);

/// Held while the named thing is not ready; dropping it says that it is.
#[derive(Debug)]
#[must_use = "a dropped latch means ready"]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Ready, since nobody holds a latch yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready until the latch is dropped. A thing that was lost again (a database that went
    /// away) takes a new latch.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.held().push(name);
        Latch { name, readiness: self.clone() }
    }

    /// Whether no latch is held.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.held().is_empty()
    }

    /// The names of the latches that are held, oldest first, each once.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for name in self.held().iter() {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut held = self.readiness.held();
        if let Some(at) = held.iter().position(|name| *name == self.name) {
            held.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_latch_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let database = readiness.latch("database");
        let kafka = readiness.latch("kafka");
        let second = readiness.latch("database");
        assert_eq!(readiness.waiting_for(), ["database", "kafka"]);
        drop(database);
        assert_eq!(readiness.waiting_for(), ["kafka", "database"]);
        drop((kafka, second));
        assert!(readiness.is_ready());
        let lost_again = readiness.latch("database");
        assert!(!readiness.is_ready());
        drop(lost_again);
    }
}
