//! What was seen: the input. Every time is by the database's clock, as well as it is known.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// What a row of the journal says. Kinds that say nothing of ownership are left out by whoever reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process began.
    Started,
    /// The group gave it a partition, or (without one) nothing.
    Assigned,
    /// The group asked for it back.
    Revoked,
    /// It was taken away: the callback said so afterwards.
    Lost,
    /// The database let it write from an offset on.
    Claimed,
    /// The database refused a write of it.
    Refused,
    /// It discarded records that it had read and not stored.
    Discarded,
    /// Its client told it that it had not polled for too long.
    PollExceeded,
    /// It begins to leave.
    Leaving,
    /// It has left.
    Stopped,
}

impl Kind {
    /// All of them, by the journal's names.
    pub const NAMES: [(&str, Self); 10] = [
        ("started", Self::Started),
        ("assigned", Self::Assigned),
        ("revoked", Self::Revoked),
        ("lost", Self::Lost),
        ("claimed", Self::Claimed),
        ("refused", Self::Refused),
        ("discarded", Self::Discarded),
        ("poll_exceeded", Self::PollExceeded),
        ("leaving", Self::Leaving),
        ("stopped", Self::Stopped),
    ];

    /// By the journal's name; `None` for kinds that say nothing of ownership.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id there.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// How far that may be wrong; `None` when it is the consumer's own wall clock.
    pub clock_error: Option<SignedDuration>,
    /// Who saw it.
    pub consumer_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// Order within the process.
    pub sequence: i64,
    /// What.
    pub kind: Kind,
    /// Partition; `None` for the whole process, and for an empty assignment.
    pub partition: Option<i32>,
    /// `consumer`, `cooperative-sticky` or `range`.
    pub protocol: String,
    /// Generation or member epoch; -1 unknown.
    pub generation: i32,
    /// Member id; may be empty.
    pub member_id: String,
    /// Claim that it speaks of.
    pub claim: Option<Uuid>,
    /// Offset that it speaks of.
    pub offset: Option<i64>,
    /// Records that waited when it was claimed, or that were discarded.
    pub records: Option<i64>,
    /// Reason.
    pub detail: Option<String>,
}

/// A process from its start on: a row of `consumer_lives`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Process start.
    pub boot_id: Uuid,
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// `group.instance.id`, for a static member.
    pub static_id: Option<String>,
    /// First heartbeat.
    pub first_beat: Timestamp,
    /// Last one.
    pub last_beat: Timestamp,
    /// Session time-out that it asked its group for; the group's own may be another.
    pub session: SignedDuration,
    /// `max.poll.interval.ms`.
    pub poll_interval: SignedDuration,
}

/// A time in which a process that lived on sent no heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Process start.
    pub boot_id: Uuid,
    /// Last heartbeat before it.
    pub from: Timestamp,
    /// First one after it.
    pub until: Timestamp,
}

/// What a member is to its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Member id.
    pub member_id: String,
    /// `client.id`, which is the consumer's name.
    pub client_id: String,
    /// Partitions of the topic that it is assigned.
    pub partitions: Vec<i32>,
}

/// The group as its coordinator described it; kept when it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Id of the observation.
    pub id: i64,
    /// The answer before this one still said otherwise.
    pub not_before: Timestamp,
    /// When it was said.
    pub at: Timestamp,
    /// Kafka's name of the state, such as `Stable`.
    pub state: String,
    /// Group epoch (KIP-848); generations of classic groups are told by their members only.
    pub epoch: Option<i32>,
    /// Its members.
    pub members: Vec<Member>,
}

/// Which brokers the cluster listed; kept when it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokersView {
    /// Id of the observation.
    pub id: i64,
    /// The answer before this one still said otherwise.
    pub not_before: Timestamp,
    /// When it was said.
    pub at: Timestamp,
    /// Listed ones.
    pub up: Vec<i32>,
    /// Known and not listed.
    pub down: Vec<i32>,
}

/// The topic's identity and size; kept when it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Id of the observation.
    pub id: i64,
    /// When it was said.
    pub at: Timestamp,
    /// Topic id.
    pub topic_id: Uuid,
    /// Partitions.
    pub partitions: i32,
}

/// How many database sessions a consumer's processes had; kept when it came to none, or was more than none again.
/// A killed process loses them at once, a stopped one keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsView {
    /// Id of the observation.
    pub id: i64,
    /// When it was seen.
    pub at: Timestamp,
    /// Consumer.
    pub consumer_id: String,
    /// Sessions.
    pub sessions: i64,
}

/// A time from one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub from: Timestamp,
    /// The instant behind the last; `None` while it lasts.
    pub until: Option<Timestamp>,
}

/// An entry of the ledger: one transaction's records of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Partition.
    pub partition: i32,
    /// Claim that wrote it.
    pub claim: Uuid,
    /// Consumer that wrote it.
    pub consumer_id: String,
    /// Stored offset before it.
    pub first_offset: i64,
    /// Stored offset after it.
    pub next_offset: i64,
    /// When its transaction began.
    pub stored_at: Timestamp,
    /// When that was committed, where the server tracks it.
    pub committed_at: Option<Timestamp>,
    /// When its first record was appended to the log.
    pub first_append_at: Option<Timestamp>,
}

impl Batch {
    /// When its rows could be seen, as well as that is known.
    pub fn visible_at(&self) -> Timestamp {
        self.committed_at.unwrap_or(self.stored_at)
    }
}

/// Everything that was seen of one group and its topic in a time. Order does not matter.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Consumer group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Ownerships that began before the first fact and lasted then.
    pub carried: Vec<crate::Ownership>,
    /// The journal.
    pub journal: Vec<Entry>,
    /// Processes.
    pub lives: Vec<Life>,
    /// Their silences.
    pub silences: Vec<Silence>,
    /// The coordinator's words.
    pub group_views: Vec<GroupView>,
    /// The cluster's.
    pub broker_views: Vec<BrokersView>,
    /// The topic.
    pub topic_views: Vec<TopicView>,
    /// Database sessions.
    pub session_views: Vec<SessionsView>,
    /// When nobody recorded.
    pub blind: Vec<Span>,
    /// Partitions with records that nobody has stored yet, as of `as_of`.
    pub waiting: Vec<i32>,
    /// What is known is known up to here.
    pub as_of: Timestamp,
}

impl Facts {
    /// When brokers went away: what was seen then, and which.
    pub(crate) fn broker_losses(&self) -> impl Iterator<Item = (&BrokersView, Vec<i32>)> {
        let changes = changes(&self.broker_views, |view| (view.at, view.id));
        changes.into_iter().filter_map(|(old, new)| {
            let gone: Vec<i32> = old.up.iter().copied().filter(|broker| !new.up.contains(broker)).collect();
            (!gone.is_empty()).then_some((new, gone))
        })
    }

    /// When the topic became another one, or another size: before and after.
    pub(crate) fn topic_changes(&self) -> impl Iterator<Item = (&TopicView, &TopicView)> {
        let changes = changes(&self.topic_views, |view| (view.at, view.id));
        changes.into_iter().filter(|(old, new)| (old.topic_id, old.partitions) != (new.topic_id, new.partitions))
    }

    /// When the coordinator counted other members, or another epoch.
    pub(crate) fn group_changes(&self) -> impl Iterator<Item = &GroupView> {
        let told = |view: &GroupView| {
            (view.epoch, view.members.iter().map(|member| member.member_id.clone()).collect::<BTreeSet<_>>())
        };
        let changes = changes(&self.group_views, |view| (view.at, view.id));
        changes.into_iter().filter(move |(old, new)| told(old) != told(new)).map(|(_, new)| new)
    }
}

/// Each view with the one before it, by time.
fn changes<V>(views: &[V], order: impl Fn(&V) -> (Timestamp, i64)) -> Vec<(&V, &V)> {
    let mut views: Vec<&V> = views.iter().collect();
    views.sort_by_key(|view| order(view));
    views.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Milliseconds from one instant to another.
pub(crate) fn ms_between(from: Timestamp, until: Timestamp) -> f64 {
    milliseconds(until.duration_since(from))
}

/// As a number that JSON has.
pub(crate) fn milliseconds(duration: SignedDuration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
