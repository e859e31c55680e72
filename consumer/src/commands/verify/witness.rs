//! The log as a second witness: a gap that the ledger books is read back, while the log still has
//! the place. A record found inside one was lost.

use std::fmt::Write as _;
use std::time::Duration;

use kafka::Inspector;
use kafka::log_reader::{LogReader, Next};
use store::Store;
use store::verify::{Gap, gaps};

use super::super::{CLIENT_ID, Failure};

/// Gaps that are read back, newest first.
const LIMIT: u32 = 1_000;
/// Time for one of them.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the log said of the gaps.
#[derive(Default)]
pub(super) struct Testimony {
    /// Gaps that the log confirms.
    pub confirmed: usize,
    /// Gaps that it could not be asked about: no broker, another topic by now, past its retention.
    pub unknown: usize,
    /// A sentence for each gap that the log has a record in.
    pub lost: Vec<String>,
}

/// Reads the gaps of `target` back.
pub(super) async fn hear(store: &Store, target: &str, options: &kafka::Options) -> Result<Testimony, Failure> {
    let gaps = gaps(store, target, LIMIT).await?;
    if gaps.is_empty() {
        return Ok(Testimony::default());
    }
    let inspector = Inspector::new(options, CLIENT_ID).map_err(Failure::Usage)?;
    let mut current = Vec::new();
    let mut testimony = Testimony::default();
    for gap in gaps {
        match inspector.topic(&gap.topic).await {
            Ok(view) if view.topic_id == gap.topic_id => current.push(gap),
            _ => testimony.unknown += 1,
        }
    }
    let options = options.clone();
    let heard = tokio::task::spawn_blocking(move || ask(&options, &current, testimony)).await;
    heard.map_err(|e| Failure::Unavailable(format!("reading the log: {e}")))?
}

fn ask(options: &kafka::Options, gaps: &[Gap], mut testimony: Testimony) -> Result<Testimony, Failure> {
    let unavailable = |e: rdkafka::error::KafkaError| Failure::Unavailable(format!("reading the log: {e}"));
    let reader = LogReader::new(options, CLIENT_ID).map_err(unavailable)?;
    for gap in gaps {
        match reader.next(&gap.topic, gap.partition, gap.from, DEADLINE).map_err(unavailable)? {
            Next::Record(offset) if offset < gap.to => testimony.lost.push(format!(
                "{} (log {}) partition {}: lost: offset {offset}: the ledger calls {}-{} a gap of the log, but the log has a record there",
                gap.topic,
                gap.log_id,
                gap.partition,
                gap.from,
                gap.to - 1
            )),
            Next::Record(_) | Next::End => testimony.confirmed += 1,
            Next::Unknown => testimony.unknown += 1,
        }
    }
    Ok(testimony)
}

impl Testimony {
    /// Lines for people; nothing where there was no gap.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for lost in &self.lost {
            writeln!(text, "FOUND {lost}").expect("a String takes all that memory does");
        }
        if self.confirmed + self.unknown > 0 {
            writeln!(
                text,
                "gaps read back from the log: {} confirmed, {} could not be asked for (past retention, another topic, or no broker)",
                self.confirmed, self.unknown
            )
            .expect("a String takes all that memory does");
        }
        text
    }
}
