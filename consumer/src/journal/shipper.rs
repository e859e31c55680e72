//! Sends the spool to the database, oldest first, for as long as the process lives.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::Shutdown;
use resilience::Backoff;
use store::Store;
use store::journal::append;

use super::spool::{Chunk, Spool, read_chunk};

/// How often the current file is looked at.
const INTERVAL: Duration = Duration::from_millis(200);
/// How often files of processes that are gone are looked for.
const ORPHAN_ROUNDS: u32 = 50;

/// Runs until `stop`; then sends what is there once more. What cannot be sent stays in its file.
///
/// # Errors
/// When the spool's files cannot be read.
pub async fn ship(store: Store, spool: Arc<Spool>, stop: Shutdown) -> io::Result<()> {
    let mut backoff = Backoff::new(INTERVAL, Duration::from_secs(5)).expect("constant bounds in order");
    let mut at = Position::default();
    let mut round: u32 = 0;
    loop {
        let stopping = stop.is_requested();
        if round.is_multiple_of(ORPHAN_ROUNDS) {
            send_orphans(&store, &spool).await;
        }
        round = round.wrapping_add(1);
        let wait = match send_own(&store, &spool, &mut at).await {
            Ok(()) => {
                backoff.reset();
                INTERVAL
            }
            Err(error) => {
                tracing::debug!(
                    error = error.chain(),
                    waiting = spool.counts().waiting.load(std::sync::atomic::Ordering::Relaxed),
                    "the journal waits for the database"
                );
                backoff.next_delay()
            }
        };
        if stopping {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.requested() => {}
        }
    }
}

/// Where sending stands in this process's own files.
#[derive(Default)]
struct Position {
    segment: u64,
    byte: u64,
}

async fn send_own(store: &Store, spool: &Spool, at: &mut Position) -> store::Result<()> {
    loop {
        let (chunk, closed) = match spool.read(at.segment, at.byte) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "journal spool");
                return Ok(());
            }
        };
        note_torn(&chunk);
        if !chunk.events.is_empty() {
            append(store, &chunk.events).await?;
            spool.sent(chunk.events.len());
        }
        let moved = chunk.next > at.byte;
        at.byte = chunk.next;
        if moved {
            continue;
        }
        if !closed {
            return Ok(());
        }
        if let Err(error) = spool.remove(at.segment) {
            tracing::error!(%error, "journal spool");
        }
        *at = Position { segment: at.segment + 1, byte: 0 };
    }
}

async fn send_orphans(store: &Store, spool: &Spool) {
    let orphans = match spool.orphans() {
        Ok(orphans) => orphans,
        Err(error) => {
            tracing::error!(%error, "journal spool");
            return;
        }
    };
    for (path, lock) in orphans {
        match send_file(store, &path).await {
            Ok(events) => tracing::info!(events, file = %path.display(), "sent the journal of a process that is gone"),
            Err(error) => {
                tracing::debug!(error, file = %path.display(), "an old journal waits");
                return;
            }
        }
        drop(lock);
    }
}

async fn send_file(store: &Store, path: &PathBuf) -> Result<usize, String> {
    let (mut from, mut events) = (0, 0);
    loop {
        let chunk = read_chunk(path, from, u64::MAX).map_err(|e| e.to_string())?;
        note_torn(&chunk);
        if chunk.next == from {
            std::fs::remove_file(path).map_err(|e| e.to_string())?;
            return Ok(events);
        }
        append(store, &chunk.events).await.map_err(|e| e.chain())?;
        events += chunk.events.len();
        from = chunk.next;
    }
}

fn note_torn(chunk: &Chunk) {
    if chunk.torn > 0 {
        tracing::warn!(lines = chunk.torn, "journal lines could not be read; boot_sequence shows the hole");
    }
}
