//! Losing the end of a partition's log on purpose, as a restored disk or an unclean election would.

use super::Kafka;
use super::broker::Broker;
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Of a record batch's header (message format 2): the part that says where the batch ends.
const HEADER_BYTES: usize = 27;

impl Kafka {
    /// Cuts a partition's log on every broker before the batch that holds offset `keep_before`:
    /// the new end is at most `keep_before` (batches are whole). 0 empties the log.
    ///
    /// # Errors
    /// When a broker is running, or no broker has the partition.
    pub fn truncate_log(&self, topic: &str, partition: i32, keep_before: i64) -> Result<()> {
        let running = self.brokers().iter().find(|broker| broker.is_running());
        ensure!(running.is_none(), "stop the brokers before a log is truncated");
        for broker in self.brokers() {
            truncate(&replica(broker, topic, partition)?, keep_before)?;
        }
        Ok(())
    }
}

fn replica(broker: &Broker, topic: &str, partition: i32) -> Result<PathBuf> {
    let dir = broker.data_dir().join(format!("{topic}-{partition}"));
    ensure!(dir.is_dir(), "kafka{} has no {topic}-{partition}", broker.id());
    Ok(dir)
}

fn truncate(dir: &Path, keep_before: i64) -> Result<()> {
    let entries = fs::read_dir(dir).context("listing a partition's folder")?;
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("log") => cut_segment(&file, keep_before)?,
            // Rebuilt by the broker from the segments.
            Some("index" | "timeindex" | "txnindex" | "snapshot") => {
                fs::remove_file(&file).context("removing an index")?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn cut_segment(file: &Path, keep_before: i64) -> Result<()> {
    let base: i64 = file
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok())
        .with_context(|| format!("{} is not named after an offset", file.display()))?;
    if base > 0 && base >= keep_before {
        return fs::remove_file(file).context("removing a segment");
    }
    let bytes = fs::read(file).context("reading a segment")?;
    let end = kept_bytes(&bytes, keep_before);
    let file = File::options().write(true).open(file).context("opening a segment")?;
    file.set_len(end).context("truncating a segment")
}

/// How many bytes the whole batches before the offset take.
fn kept_bytes(segment: &[u8], keep_before: i64) -> u64 {
    let mut at = 0;
    while let Some(header) = segment.get(at..at + HEADER_BYTES) {
        let base = i64::from_be_bytes(field(header, 0));
        let length = i32::from_be_bytes(field(header, 8));
        let last = base + i64::from(i32::from_be_bytes(field(header, 23)));
        // A preallocated or torn tail has no length: it is not kept.
        if length <= 0 || last >= keep_before {
            break;
        }
        at += 12 + length.unsigned_abs() as usize;
    }
    at.min(segment.len()) as u64
}

fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header[at..at + N].try_into().expect("the header is longer than its fields")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, records: i32) -> Vec<u8> {
        let mut bytes = base.to_be_bytes().to_vec();
        bytes.extend(28_i32.to_be_bytes());
        bytes.extend([0; 11]);
        bytes.extend((records - 1).to_be_bytes());
        bytes.resize(12 + 28, 0);
        bytes
    }

    #[test]
    fn whole_batches_before_the_offset_are_kept() {
        let segment = [batch(0, 10), batch(10, 5), batch(15, 5)].concat();
        assert_eq!(kept_bytes(&segment, 0), 0);
        assert_eq!(kept_bytes(&segment, 10), 40);
        assert_eq!(kept_bytes(&segment, 14), 40);
        assert_eq!(kept_bytes(&segment, 15), 80);
        assert_eq!(kept_bytes(&segment, 99), 120);
    }
}
