//! The wish to stop, passed to everybody who must hear of it.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tracing::{error, info};

/// A cloneable token: requested once, by anybody, never taken back.
///
/// Threads ask [`is_requested`](Self::is_requested), tasks await [`requested`](Self::requested).
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reason: OnceLock<String>,
    requested: Notify,
}

impl Shutdown {
    /// A token that only [`request`](Self::request) trips.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that SIGTERM and SIGINT trip. A second signal ends the process at once, with exit
    /// code 128 + its number and nothing flushed.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a signal handler cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let requester = shutdown.clone();
        // Lives as long as the runtime: the second signal may come at any time.
        tokio::spawn(async move {
            loop {
                let (name, kind) = tokio::select! {
                    _ = term.recv() => ("SIGTERM", SignalKind::terminate()),
                    _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
                };
                if requester.is_requested() {
                    error!(signal = name, "second signal: ending at once");
                    std::process::exit(128 + kind.as_raw_value());
                }
                info!(signal = name, "stop requested");
                requester.request(name);
            }
        });
        Ok(shutdown)
    }

    /// Asks everybody who holds this token to stop. The first reason is the one that is kept.
    pub fn request(&self, reason: impl Into<String>) {
        if self.0.reason.set(reason.into()).is_ok() {
            self.0.requested.notify_waiters();
        }
    }

    /// Whether somebody asked to stop. Never blocks.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.reason.get().is_some()
    }

    /// Why, as the first who asked put it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.get().map(String::as_str)
    }

    /// Returns when somebody has asked to stop; at once when that was before the call. Safe to
    /// drop and call again.
    pub async fn requested(&self) {
        let notified = self.0.requested.notified();
        // Created before the look, so that a request in between is not missed.
        if !self.is_requested() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_wakes_every_clone_and_keeps_the_first_reason() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let clone = shutdown.clone();
            async move { clone.requested().await }
        });
        assert!(!shutdown.is_requested());
        shutdown.request("first");
        shutdown.request("second");
        waiting.await.expect("the waiting task ends");
        shutdown.requested().await;
        assert_eq!(shutdown.reason(), Some("first"));
    }
}
