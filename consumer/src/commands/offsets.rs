//! `consumer offsets`: the stored offsets, and the ways out of a quarantine.
//!
//! What an operator may move is decided here by what the log says (its bounds, and where the stored
//! leader epoch ends) and in `store::offsets` under the row's lock.

use clap::{Args, Subcommand};
use kafka::Inspector;
use kafka::inspector::{Bounds, TopicView};
use lifecycle::exit;
use store::Store;
use store::offsets::{Change, Changed, Operator, Stored, all, change};
use store::verify::TARGETS;

use super::who::Who;
use super::{CLIENT_ID, Failure, open};

mod show;

/// The subcommands of `consumer offsets`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every stored offset: group, owner, log bounds, lag, quarantine
    Show(Show),
    /// Let another group go on from the stored offsets, or accept a re-created topic at its start
    Adopt(Adopt),
    /// End a quarantine whose cause is cured; the stored offset stays
    Release(Release),
    /// Move a stored offset: forward skips records, back is for a truncated log
    Set(Set),
}

/// Which target, and how to reach it.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Place {
    /// The table that the records end in
    #[arg(long, default_value = TARGETS[0], value_parser = TARGETS)]
    target: String,
    /// The topic
    #[arg(long, default_value = schema::topics::SENSOR_READINGS.name)]
    topic: String,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer offsets show`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Show {
    /// Only these partitions
    #[arg(long = "partition", value_name = "N", num_args = 1.., value_delimiter = ',')]
    partitions: Vec<i32>,
    #[command(flatten)]
    place: Place,
}

/// Who changes, and why: written to the ledger.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Audit {
    /// Why; kept in the ledger and shown by `consumer verify`
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    who: Who,
}

/// The command line of `consumer offsets adopt`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Adopt {
    /// The group that shall read from now on
    #[arg(long)]
    group: String,
    /// Only these partitions; all of the topic when left out
    #[arg(long = "partition", value_name = "N", num_args = 1.., value_delimiter = ',')]
    partitions: Vec<i32>,
    #[command(flatten)]
    audit: Audit,
    #[command(flatten)]
    place: Place,
}

/// The command line of `consumer offsets release`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Release {
    /// The partitions
    #[arg(long = "partition", value_name = "N", required = true, num_args = 1.., value_delimiter = ',')]
    partitions: Vec<i32>,
    #[command(flatten)]
    audit: Audit,
    #[command(flatten)]
    place: Place,
}

/// The command line of `consumer offsets set`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Set {
    /// The partitions
    #[arg(long = "partition", value_name = "N", required = true, num_args = 1.., value_delimiter = ',')]
    partitions: Vec<i32>,
    /// `earliest`, `latest`, or an offset that the log has
    #[arg(long, value_name = "OFFSET", value_parser = goal)]
    to: Goal,
    /// Go back over records that are stored already: each of them is stored again, and `verify` says so
    #[arg(long)]
    store_again: bool,
    #[command(flatten)]
    audit: Audit,
    #[command(flatten)]
    place: Place,
}

/// Where to.
#[derive(Clone, Copy, Debug)]
enum Goal {
    Earliest,
    Latest,
    Offset(i64),
}

fn goal(text: &str) -> Result<Goal, String> {
    match text {
        "earliest" => Ok(Goal::Earliest),
        "latest" => Ok(Goal::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(Goal::Offset(offset)),
            _ => Err("none of earliest, latest, or an offset from 0".into()),
        },
    }
}

/// Runs one of them.
pub async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Show(Show { partitions, place }) => show::run(place, &partitions).await,
        Command::Adopt(Adopt { group, partitions, audit, place }) => {
            let topic = Topic::open(&place, &audit).await?;
            if group.trim().is_empty() {
                return Err(Failure::Usage("--group is empty".into()));
            }
            let partitions =
                if partitions.is_empty() { topic.stored.iter().map(|s| s.partition).collect() } else { partitions };
            let mut changes = Vec::new();
            for partition in partitions {
                let log_start = topic.bounds(partition).await?.start;
                changes.push((partition, Change::Adopt { group_id: group.clone(), log_start }));
            }
            topic.apply(&place, &audit, &changes).await
        }
        Command::Release(Release { partitions, audit, place }) => {
            let topic = Topic::open(&place, &audit).await?;
            let changes: Vec<_> = partitions.into_iter().map(|partition| (partition, Change::Release)).collect();
            topic.apply(&place, &audit, &changes).await
        }
        Command::Set(Set { partitions, to, store_again, audit, place }) => {
            let topic = Topic::open(&place, &audit).await?;
            let mut changes = Vec::new();
            for partition in partitions {
                changes.push((partition, topic.set(partition, to, store_again).await?));
            }
            topic.apply(&place, &audit, &changes).await
        }
    }
}

/// The topic as the cluster has it now, with what is stored of this log.
struct Topic {
    store: Store,
    inspector: Inspector,
    name: String,
    view: TopicView,
    stored: Vec<Stored>,
}

impl Topic {
    async fn open(place: &Place, audit: &Audit) -> Result<Self, Failure> {
        if audit.reason.trim().is_empty() {
            return Err(Failure::Usage("--reason is empty: say why, it is kept in the ledger".into()));
        }
        let inspector = Inspector::new(&place.kafka, CLIENT_ID).map_err(Failure::Usage)?;
        let store = open(&place.store).await?;
        let view = inspector.topic(&place.topic).await?;
        let mut stored = all(&store, &place.target).await?;
        stored.retain(|s| s.topic_id == view.topic_id && s.cluster_id == view.cluster_id);
        if stored.is_empty() {
            return Err(Failure::Refused(format!(
                "{} was never claimed for {} as it is now (topic id {}): the first claim of a consumer makes its \
                 stored offsets",
                place.topic, place.target, view.topic_id
            )));
        }
        Ok(Self { store, inspector, name: place.topic.clone(), view, stored })
    }

    async fn bounds(&self, partition: i32) -> Result<Bounds, Failure> {
        if usize::try_from(partition).map_or(true, |partition| partition >= self.view.partitions) {
            let text = format!("{} has no partition {partition}, only {}", self.name, self.view.partitions);
            return Err(Failure::Refused(text));
        }
        Ok(self.inspector.bounds(&self.name, &[partition]).await?[&partition])
    }

    async fn set(&self, partition: i32, goal: Goal, store_again: bool) -> Result<Change, Failure> {
        let bounds = self.bounds(partition).await?;
        let to = match goal {
            Goal::Earliest => bounds.start,
            Goal::Latest => bounds.end,
            Goal::Offset(offset) => offset,
        };
        if !(bounds.start..=bounds.end).contains(&to) {
            return Err(Failure::Refused(format!(
                "partition {partition}: offset {to} is outside the log, which has {} to {}; nothing was changed",
                bounds.start, bounds.end
            )));
        }
        // Up to where the log is the one that was stored from (KIP-320).
        let epoch = self.stored.iter().find(|s| s.partition == partition).map_or(-1, |s| s.leader_epoch);
        let epoch_end = if epoch < 0 { -1 } else { self.inspector.epoch_end(&self.name, partition, epoch).await? };
        let intact_to = if epoch_end < 0 { bounds.end } else { bounds.end.min(epoch_end) };
        Ok(Change::Set { to, intact_to, store_again })
    }

    async fn apply(&self, place: &Place, audit: &Audit, changes: &[(i32, Change)]) -> Result<u8, Failure> {
        let operator = Operator { consumer_id: audit.who.name(), reason: audit.reason.trim().to_owned() };
        let log_id = self.stored[0].log_id;
        for changed in change(&self.store, &place.target, log_id, &operator, changes).await? {
            println!("{}", line(&self.name, &changed));
        }
        Ok(exit::OK)
    }
}

fn line(topic: &str, changed: &Changed) -> String {
    let Changed { partition, kind, from, to, group_before, quarantine_before } = changed;
    let moved = match to - from {
        0 => format!("stays at {from}"),
        n if n > 0 => format!("{from} -> {to}, {n} records skipped"),
        n => format!("{from} -> {to}, {} offsets are read again", -n),
    };
    let group = if *kind == "adopted" { format!("; was of group {group_before}") } else { String::new() };
    let ended = quarantine_before.as_ref().map_or_else(String::new, |why| format!("; ended the quarantine: {why}"));
    format!("{topic} partition {partition}: {kind}: {moved}{group}{ended}")
}
