//! What is concluded: the plain data that is stored, served and drawn.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a rebalance happened. `docs/flight-recorder.md` has the evidence that each rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A process ended without leaving its group.
    Crash,
    /// A process left its group as it was asked to.
    CleanLeave,
    /// A new member.
    Join,
    /// Two consumers or more left and came back one after the other.
    RollingRestart,
    /// A process that lived was not heard of for the session time-out: stopped, frozen, starved.
    SessionTimedOut,
    /// A process did not poll for `max.poll.interval.ms`, while its client went on beating.
    PollIntervalExceeded,
    /// Another process took its static id (`group.instance.id`, KIP-345).
    Fenced,
    /// The topic has another number of partitions, or the subscription changed.
    MetadataChanged,
    /// The topic was deleted and created again under its name: another topic id (KIP-516).
    TopicRecreated,
    /// A broker went away: the coordinator of the group, or the leader of its partitions.
    BrokerLost,
    /// A static member went and came back within its session: the group did not notice.
    StaticMemberReturned,
    /// The facts do not tell.
    Unknown,
}

impl Cause {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 12] = [
        Self::Crash,
        Self::CleanLeave,
        Self::Join,
        Self::RollingRestart,
        Self::SessionTimedOut,
        Self::PollIntervalExceeded,
        Self::Fenced,
        Self::MetadataChanged,
        Self::TopicRecreated,
        Self::BrokerLost,
        Self::StaticMemberReturned,
        Self::Unknown,
    ];

    /// As in JSON, in URLs and as a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CleanLeave => "clean_leave",
            Self::Join => "join",
            Self::RollingRestart => "rolling_restart",
            Self::SessionTimedOut => "session_timed_out",
            Self::PollIntervalExceeded => "poll_interval_exceeded",
            Self::Fenced => "fenced",
            Self::MetadataChanged => "metadata_changed",
            Self::TopicRecreated => "topic_recreated",
            Self::BrokerLost => "broker_lost",
            Self::StaticMemberReturned => "static_member_returned",
            Self::Unknown => "unknown",
        }
    }
}

/// How sure a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A fact says so, and none speaks against it.
    Certain,
    /// What is known fits this cause better than any other; later facts may revise it.
    Likely,
    /// Not known.
    None,
}

/// How an ownership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Given up when the group asked.
    Revoked,
    /// Taken away: the member learned of it afterwards.
    Lost,
    /// Its process closed its client.
    Stopped,
    /// Its process is gone; the end is when the group noticed.
    Died,
    /// Nothing says how it ended; the end is when somebody else was assigned.
    Superseded,
}

/// Who had a partition, from `from` to before `until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ownership {
    /// Consumer group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// Kafka's member id; empty when it was not known.
    pub member_id: String,
    /// Generation (classic) or member epoch (KIP-848) of the assignment; -1 unknown.
    pub generation: i32,
    /// Token that the database let it write with; `null` before it had one.
    pub claim: Option<Uuid>,
    /// When it had that.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub claimed_at: Option<Timestamp>,
    /// When the group gave it the partition.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// When that ended; `null` while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// How; `null` while it lasts.
    pub ended: Option<Ended>,
    /// Id of the journal's row that began it: names the interval for good.
    pub fact: i64,
}

/// What happened to one partition in a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// Another consumer has it.
    Moved,
    /// The same consumer has it again, in a new process or after it lost it.
    Returned,
    /// The same process kept it.
    Kept,
    /// Nobody had it before.
    First,
    /// Nobody has it.
    Orphaned,
}

/// How a partition passed through a rebalance. Times are `null` where nothing was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Handover {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// What happened to it.
    #[serde(rename = "move")]
    pub moved: Move,
    /// Who had it before.
    pub from: Option<String>,
    /// Who has it afterwards.
    pub to: Option<String>,
    /// When the old owner committed its last batch.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_stored_at: Option<Timestamp>,
    /// When the first record that it left unread was appended to the log: from here on the partition is dark.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub dark_from: Option<Timestamp>,
    /// When the group gave it to the new owner.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub assigned_at: Option<Timestamp>,
    /// When the database let the new owner write.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub claimed_at: Option<Timestamp>,
    /// When the new owner committed its first batch: the partition is not dark any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stored_at: Option<Timestamp>,
    /// Whether `last_stored_at` and `stored_at` are commit times (`track_commit_timestamp`); otherwise they are when the
    /// transactions began, which bounds them from below.
    pub commit_times: bool,
    /// Milliseconds from `dark_from` to `stored_at`, or until now while it is dark; `null` when it was quiet, or
    /// nothing tells.
    pub dark_ms: Option<f64>,
    /// Of these, until the group noticed.
    pub detect_ms: Option<f64>,
    /// Of these, from there until the claim.
    pub reassign_ms: Option<f64>,
    /// Of these, from there until the first batch was committed.
    pub resume_ms: Option<f64>,
    /// No record came while nobody read it.
    pub quiet: bool,
    /// Still dark.
    pub open: bool,
    /// Records that waited in the log when it was claimed; `null` when not known.
    pub waited_records: Option<i64>,
    /// Records that the old owner had read and not stored: read again by the new one. `null` when it could not say.
    pub read_twice: Option<i64>,
    /// Writes of a stale owner that the database refused.
    pub refusals: u32,
}

/// One fact, or the absence of one, that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// When, by the database's clock; `null` for an absence.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// How far that may be wrong, in milliseconds; `null` where it is the database's own clock.
    pub clock_error_ms: Option<f64>,
    /// Whose clock: `journal`, `heartbeat`, `ledger`, `coordinator`, `brokers`, `sessions`, `absence`.
    pub source: String,
    /// The fact's own id in its source, such as a row of `rebalancing_events`.
    pub fact: Option<i64>,
    /// What was seen, in one sentence.
    pub what: String,
}

/// A rebalance: an episode of a group with its generations, from the first sign to when every partition is read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rebalance {
    /// `<group>@<when it was noticed first>`; stays, whatever is learned later.
    pub id: String,
    /// Consumer group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// `consumer` (KIP-848), `cooperative-sticky` or `range`.
    pub protocol: String,
    /// Grows when facts that came later change the verdict; from 1.
    pub revision: i32,
    /// Still going on.
    pub open: bool,
    /// Why.
    pub cause: Cause,
    /// How sure that is.
    pub confidence: Confidence,
    /// Consumers that caused it.
    pub subjects: Vec<String>,
    /// When it began to matter: the last sign of a dead member, the request to leave, the start of a new member.
    #[schema(value_type = String, format = DateTime)]
    pub began_at: Timestamp,
    /// When the group, or a member of it, first acted.
    #[schema(value_type = String, format = DateTime)]
    pub noticed_at: Timestamp,
    /// When the last partition was read again; `null` while open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Generations or epochs that were seen, ascending.
    pub generations: Vec<i32>,
    /// Generations or epochs before and between these that nobody saw: a member was told of two at once, or the
    /// recorder asked too late.
    pub generations_unseen: Vec<i32>,
    /// Consumers before.
    pub members_before: Vec<String>,
    /// Consumers afterwards.
    pub members_after: Vec<String>,
    /// Partitions that another consumer has afterwards.
    pub moved: u32,
    /// The fewest that had to move for these members.
    pub fewest: u32,
    /// Per partition that moved, was dark, or stalled; ascending.
    pub handovers: Vec<Handover>,
    /// The longest dark time of these, in milliseconds.
    pub dark_max_ms: Option<f64>,
    /// The sum of them.
    pub dark_sum_ms: f64,
    /// Records that waited, where it is known.
    pub waited_records: i64,
    /// Records that were read twice, where it is known. None is stored twice.
    pub read_twice: i64,
    /// Writes of stale owners that the database refused.
    pub refusals: u32,
    /// Milliseconds for which two processes took themselves for owners, over all partitions.
    pub two_owners_ms: f64,
    /// Milliseconds of it that were not recorded.
    pub blind_ms: f64,
    /// What members reported that the coordinator did not, or the other way round.
    pub disagreements: Vec<String>,
    /// What it rests on, by time; absences last.
    pub evidence: Vec<Evidence>,
    /// The story in a few sentences.
    pub story: String,
    /// The rebalance that this one turned out to be a part of.
    pub part_of: Option<String>,
}
