//! Proves, from the rows themselves, that every record is stored exactly once.
//!
//! ```text
//!                    one repeatable-read snapshot, two sessions
//!  ledger ── chain ─────────────> hole, overlap, stored offset not at the end
//!  rows + dead letters + ledger ─> coverage: missing, doubled, outside, miscounted
//!  dead letters + rows ──────────> replay_missing, replay_doubled
//!  rows ── events ───────────────> event_doubled, disorder
//! ```
//!
//! What ties them together: a row's `processing_timestamp`, its ledger entry's `stored_at` and a
//! letter's `dead_at` are the start of one transaction, so equal. PostgreSQL sorts and aggregates
//! (`work_mem` bounded, the rest goes to temporary files); what comes here is a line per
//! transaction. Everything before a retention horizon is left out, and the horizon reported.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::batch;
use crate::connect::Store;
use crate::error::Result;

mod chain;
mod coverage;
mod events;
mod feeds;
mod finding;
mod gaps;
mod ledger;
mod snapshot;

pub use finding::{Finding, Kind, Places};
pub use gaps::{Gap, gaps};

/// The tables that can be verified, as in `stored_offsets.target`.
pub const TARGETS: [&str; 2] = [batch::TARGETS[0].name, batch::TARGETS[1].name];

/// Commands of the ledger that are named for one partition; the rest is counted.
const NAMED_COMMANDS: usize = 20;

/// What was proven and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The table.
    pub target: String,
    /// When the snapshot was taken, by the server's clock.
    pub snapshot_at: Timestamp,
    /// Every partition that the target, its ledger or its stored offsets know.
    pub partitions: Vec<Partition>,
    /// What is wrong; empty when all is proven.
    pub findings: Vec<Finding>,
}

/// One partition of one log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Partition {
    /// The topic's name when it was first seen.
    pub topic: String,
    /// Kafka's topic id.
    pub topic_id: Option<Uuid>,
    /// Short key of the log.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Group that may write; `None` without a stored offset.
    pub group_id: Option<String>,
    /// Where the proof begins: where reading began, or the end of what retention dropped.
    pub from_offset: i64,
    /// The stored offset.
    pub next_offset: Option<i64>,
    /// Ledger entries.
    pub entries: u64,
    /// Rows in the target, those of replayed letters left out.
    pub rows: u64,
    /// Dead letters, replayed ones included.
    pub dead_letters: u64,
    /// Of those: replayed, so that each is a row, too.
    pub replayed: u64,
    /// Offsets that the log itself does not have.
    pub gap_offsets: u64,
    /// Offsets that a command passed over with a reason.
    pub skipped_offsets: u64,
    /// Offsets that a command went back over: read and stored a second time.
    pub reread_offsets: u64,
    /// What commands did, the first few; each with its reason.
    pub commands: Vec<Command>,
    /// How many commands there were.
    pub command_count: u64,
    /// Why the partition is not read, if so.
    pub quarantine: Option<String>,
    /// Everything stored before this was dropped by retention.
    pub horizon: Option<Timestamp>,
    /// Rows that retention dropped, in all.
    pub dropped_rows: u64,
}

/// A ledger entry that a command wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// `skipped`, `released`, `set` or `adopted`.
    pub kind: String,
    /// Stored offset before.
    pub first_offset: i64,
    /// Stored offset after.
    pub next_offset: i64,
    /// When.
    pub stored_at: Timestamp,
    /// Who.
    pub consumer_id: String,
    /// Why.
    pub reason: String,
}

/// The outcome in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every record up to the stored offsets is stored exactly once.
    Proven,
    /// The same, but for offsets that a command passed over or went back over, each with its reason.
    Explained,
    /// Something is wrong.
    Findings,
}

impl Report {
    /// The outcome.
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Findings
        } else if self.partitions.iter().any(|p| p.skipped_offsets > 0 || p.reread_offsets > 0) {
            Verdict::Explained
        } else {
            Verdict::Proven
        }
    }
}

/// Verifies `target`, one of [`TARGETS`]. Reads only; writers are not held up.
///
/// Memory is bounded here by the number of partitions, and in PostgreSQL by `work_mem` (some
/// hundred MB in all); sorting takes about 50 MB of temporary files for each million rows.
///
/// # Errors
/// Transient ones: nothing is said about the target.
pub async fn run(store: &Store, target: &str) -> Result<Report> {
    let target = batch::target(target)?;
    let tweets = target.name == crate::tweets::TARGET;
    let (first, second, snapshot_at) = snapshot::pair(store, target).await?;
    let mut audit = Audit::default();
    let history = ledger::read(&first, target.name, &mut audit).await?;
    let rest = async {
        coverage::compare(&first, target, &history, &mut audit).await?;
        if history.replays {
            coverage::compare_replays(&first, target, &mut audit).await?;
        }
        if tweets { Ok(()) } else { events::doubled(&first, &mut audit).await }
    };
    let own = async { if tweets { feeds::compare(&second).await } else { events::disorder(&second, &history).await } };
    let ((), own) = tokio::try_join!(rest, own)?;
    audit.extend(own);
    Ok(audit.report(target.name, snapshot_at))
}

/// (log, partition).
type At = (i32, i32);

/// What is gathered while the parts run. Bounded by partitions times [`Kind`]s.
#[derive(Default)]
struct Audit {
    topics: BTreeMap<i32, (String, Uuid)>,
    partitions: BTreeMap<At, Partition>,
    findings: BTreeMap<(At, Kind), (Places, Option<String>)>,
}

impl Audit {
    /// The partition's line in the report.
    fn partition(&mut self, at: At) -> &mut Partition {
        let topic = self.topics.get(&at.0).cloned();
        self.partitions.entry(at).or_insert_with(|| Partition {
            topic: topic.as_ref().map_or_else(|| format!("unknown log {}", at.0), |(name, _)| name.clone()),
            topic_id: topic.map(|(_, id)| id),
            log_id: at.0,
            partition: at.1,
            ..Partition::default()
        })
    }

    /// Adds the offsets `from` to before `to`.
    fn find(&mut self, at: At, kind: Kind, from: i64, to: i64) {
        self.partition(at);
        self.findings.entry((at, kind)).or_default().0.add(from, to);
    }

    /// The same with words, of which the first are kept.
    fn find_with(&mut self, at: At, kind: Kind, (from, to): (i64, i64), example: impl FnOnce() -> String) {
        self.find(at, kind, from, to);
        let (_, kept) = self.findings.entry((at, kind)).or_default();
        kept.get_or_insert_with(example);
    }

    /// Takes over what another session gathered.
    fn extend(&mut self, other: Self) {
        for (at, _) in other.findings.keys() {
            self.partition(*at);
        }
        self.findings.extend(other.findings);
    }

    fn report(self, target: &str, snapshot_at: Timestamp) -> Report {
        let findings = self.findings.into_iter().map(|((at, kind), (places, example))| {
            let topic = self.partitions.get(&at).map(|p| p.topic.clone()).unwrap_or_default();
            Finding { topic, log_id: at.0, partition: at.1, kind, places, example }
        });
        Report {
            target: target.to_owned(),
            snapshot_at,
            findings: findings.collect(),
            partitions: self.partitions.into_values().collect(),
        }
    }
}
