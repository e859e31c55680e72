//! The spool's files: JSON lines, appended by one thread, read by the shipper.
//!
//! A process holds a lock on its own files. A file whose lock can be had belongs to a process
//! that is gone, and is sent by whoever finds it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rustix::fs::{FlockOperation, flock};
use store::journal::Event;
use uuid::Uuid;

use super::Counts;

/// A file is closed and a new one begun at this size.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Files of one process together; beyond it events are dropped and counted.
const SPOOL_BYTES: u64 = 64 * 1024 * 1024;
/// Lines sent at once.
const CHUNK_EVENTS: usize = 200;

/// See the module.
pub struct Spool {
    directory: PathBuf,
    boot_id: Uuid,
    counts: Arc<Counts>,
    segments: Mutex<Segments>,
}

struct Segments {
    number: u64,
    current: File,
    current_bytes: u64,
    /// Bytes in closed segments that are still there.
    closed_bytes: u64,
}

/// Some lines of one file.
pub struct Chunk {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where to read on.
    pub next: u64,
    /// Lines that could not be read (torn by a crash of the machine).
    pub torn: usize,
}

impl Spool {
    pub(super) fn create(directory: &Path, boot_id: Uuid, counts: Arc<Counts>) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let current = create_segment(directory, boot_id, 0)?;
        let segments = Segments { number: 0, current, current_bytes: 0, closed_bytes: 0 };
        Ok(Self { directory: directory.to_owned(), boot_id, counts, segments: Mutex::new(segments) })
    }

    pub(super) fn append(&self, event: &Event) {
        if let Err(error) = self.try_append(event) {
            tracing::error!(%error, "journal spool: an event was dropped");
            self.counts.drop_one();
        }
    }

    fn try_append(&self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut segments = self.segments.lock().map_err(|_| io::Error::other("the spool's lock is poisoned"))?;
        let length = line.len() as u64;
        if segments.closed_bytes + segments.current_bytes + length > SPOOL_BYTES {
            return Err(io::Error::other("the spool is full"));
        }
        if segments.current_bytes + length > SEGMENT_BYTES {
            let number = segments.number + 1;
            segments.current = create_segment(&self.directory, self.boot_id, number)?;
            segments.closed_bytes += segments.current_bytes;
            segments.current_bytes = 0;
            segments.number = number;
        }
        if let Err(error) = segments.current.write_all(&line) {
            // A part of a line must not be glued to the next one.
            segments.current.set_len(segments.current_bytes)?;
            return Err(error);
        }
        segments.current_bytes += length;
        Ok(())
    }

    /// The events after `from` in this process's segment `number`, and whether the segment is closed.
    pub(super) fn read(&self, number: u64, from: u64) -> io::Result<(Chunk, bool)> {
        let (closed, visible) = {
            let segments = self.segments.lock().map_err(|_| io::Error::other("the spool's lock is poisoned"))?;
            let closed = segments.number > number;
            (closed, if closed { u64::MAX } else { segments.current_bytes })
        };
        if from >= visible {
            return Ok((Chunk { events: Vec::new(), next: from, torn: 0 }, closed));
        }
        Ok((read_chunk(&segment_path(&self.directory, self.boot_id, number), from, visible)?, closed))
    }

    /// A closed segment was sent whole.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        let path = segment_path(&self.directory, self.boot_id, number);
        let bytes = fs::metadata(&path)?.len();
        fs::remove_file(&path)?;
        let mut segments = self.segments.lock().map_err(|_| io::Error::other("the spool's lock is poisoned"))?;
        segments.closed_bytes = segments.closed_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// Files that processes which are gone have left, each with its lock held.
    pub(super) fn orphans(&self) -> io::Result<Vec<(PathBuf, File)>> {
        let own = format!("journal-{}-", self.boot_id);
        let mut orphans = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with("journal-") || !name.ends_with(".jsonl") || name.starts_with(&own) {
                continue;
            }
            let file = File::open(&path)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                orphans.push((path, file));
            }
        }
        orphans.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(orphans)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn sent(&self, events: usize) {
        self.counts.waiting.fetch_sub(i64::try_from(events).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Reads whole lines from `from` to before `visible`: what lies behind it is still being written.
pub(super) fn read_chunk(path: &Path, from: u64, visible: u64) -> io::Result<Chunk> {
    let mut file = BufReader::new(File::open(path)?);
    file.seek(SeekFrom::Start(from))?;
    let mut chunk = Chunk { events: Vec::new(), next: from, torn: 0 };
    let mut line = Vec::new();
    while chunk.events.len() < CHUNK_EVENTS && chunk.next < visible {
        line.clear();
        let read = file.read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        chunk.next += read as u64;
        match serde_json::from_slice(&line) {
            Ok(event) => chunk.events.push(event),
            Err(_) => chunk.torn += 1,
        }
    }
    Ok(chunk)
}

fn segment_path(directory: &Path, boot_id: Uuid, number: u64) -> PathBuf {
    directory.join(format!("journal-{boot_id}-{number:06}.jsonl"))
}

fn create_segment(directory: &Path, boot_id: Uuid, number: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(segment_path(directory, boot_id, number))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}
