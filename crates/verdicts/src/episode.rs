//! Which facts belong to one rebalance: clusters of markers, each until every partition is read again.
//!
//! ```text
//! markers ──by time──> cluster: until settled, and a moment of quiet ──> chains of restarts are joined
//! ```

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::fact::{BrokersView, Entry, Facts, GroupView, Kind, TopicView};
use crate::lives::Lived;
use crate::ownership::predecessor;
use crate::verdict::{Ended, Ownership};

/// A group that is not settled by then is not going to be by what began it.
const AT_MOST: SignedDuration = SignedDuration::from_secs(120);
/// A process that started may take this long until the group gives it something, and an assigned partition until
/// it is claimed: one in quarantine never is.
const JOINING: SignedDuration = SignedDuration::from_secs(15);
/// Quiet between two rebalances, at least and at most; within, a third of the session: a heartbeat is usually that.
const QUIET: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(2), SignedDuration::from_secs(5));
/// What comes so soon after a rebalance, and has no beginning of its own, is its last part.
const FOLLOW_UP: SignedDuration = SignedDuration::from_secs(15);
/// Restarts that follow one another within this time are one rolling restart.
const CHAIN: SignedDuration = SignedDuration::from_secs(60);

/// A fact that a rebalance is recognised by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Marker<'a> {
    Journal(&'a Entry),
    Group(&'a GroupView),
    Brokers(&'a BrokersView),
    Topic(&'a TopicView),
}

impl Marker<'_> {
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Journal(entry) => entry.at,
            Self::Group(view) => view.at,
            Self::Brokers(view) => view.at,
            Self::Topic(view) => view.at,
        }
    }

    /// A start is no rebalance before the group knows of it, and a refused write none at all.
    pub fn is_of_group(&self) -> bool {
        !matches!(self, Self::Journal(Entry { kind: Kind::Started | Kind::Refused | Kind::PollExceeded, .. }))
    }

    fn order(&self) -> (Timestamp, u8, i64) {
        match self {
            Self::Journal(entry) => (entry.at, 0, entry.id),
            Self::Group(view) => (view.at, 1, view.id),
            Self::Brokers(view) => (view.at, 2, view.id),
            Self::Topic(view) => (view.at, 3, view.id),
        }
    }
}

/// A rebalance before it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Episode<'a> {
    /// By time; never empty.
    pub markers: Vec<Marker<'a>>,
    /// When every partition was read again; `None` while it is not.
    pub settled_at: Option<Timestamp>,
    /// Still going on.
    pub open: bool,
    /// Place of the episode that this one is a part of.
    pub part_of: Option<usize>,
    /// Consumers that restarted one after the other, when there is more than one.
    pub restarted: BTreeSet<String>,
}

impl<'a> Episode<'a> {
    /// First sign that the group, or a member of it, acted.
    pub fn noticed_at(&self) -> Timestamp {
        let mut at = self.markers.iter().filter(|marker| marker.is_of_group()).map(Marker::at);
        at.next().unwrap_or_else(|| self.markers[0].at())
    }

    pub fn first_at(&self) -> Timestamp {
        self.markers[0].at()
    }

    pub fn last_at(&self) -> Timestamp {
        self.markers[self.markers.len() - 1].at()
    }

    /// Up to where it reaches, settled or not.
    pub fn until(&self) -> Timestamp {
        self.settled_at.map_or(self.last_at(), |at| at.max(self.last_at()))
    }

    pub fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        self.markers.iter().filter_map(|marker| match marker {
            Marker::Journal(entry) => Some(*entry),
            _ => None,
        })
    }

    pub fn entries_of(&self, kind: Kind) -> impl Iterator<Item = &'a Entry> {
        self.entries().filter(move |entry| entry.kind == kind)
    }
}

/// The rebalances, by time. One that consists of several is first, its parts name its place.
pub(crate) fn episodes<'a>(
    facts: &'a Facts,
    lives: &BTreeMap<Uuid, Lived<'a>>,
    owned: &[Ownership],
) -> Vec<Episode<'a>> {
    let world = World { facts, lives, owned, partitions: partitions(facts, owned), quiet: quiet(facts) };
    let mut episodes: Vec<Episode<'a>> = Vec::new();
    for marker in markers(facts) {
        match episodes.last_mut() {
            Some(last) if world.belongs(last, marker.at()) => last.markers.push(marker),
            _ => episodes.push(Episode {
                markers: vec![marker],
                settled_at: None,
                open: false,
                part_of: None,
                restarted: BTreeSet::new(),
            }),
        }
    }
    episodes.retain(|episode| episode.markers.iter().any(Marker::is_of_group));
    let mut episodes = world.with_follow_ups(episodes);
    for episode in &mut episodes {
        episode.settled_at = world.settled_after(episode, facts.as_of);
        let age = facts.as_of.duration_since(episode.last_at());
        episode.open = episode.settled_at.is_none() && age < AT_MOST;
    }
    join_restarts(episodes)
}

fn markers(facts: &Facts) -> Vec<Marker<'_>> {
    let of_journal = |entry: &&Entry| !matches!(entry.kind, Kind::Claimed | Kind::Discarded);
    let mut markers: Vec<Marker<'_>> = facts.journal.iter().filter(of_journal).map(Marker::Journal).collect();
    markers.extend(facts.group_changes().map(Marker::Group));
    markers.extend(facts.broker_losses().map(|(view, _)| Marker::Brokers(view)));
    markers.extend(facts.topic_changes().map(|(_, view)| Marker::Topic(view)));
    markers.sort_by_key(Marker::order);
    markers
}

/// Partitions that somebody had, or that the topic has, each with the instant from which on it is to be read.
fn partitions(facts: &Facts, owned: &[Ownership]) -> BTreeMap<i32, Timestamp> {
    let had = owned.iter().map(|o| (o.partition, o.from));
    let seen = facts.topic_views.iter().flat_map(|view| (0..view.partitions).map(|partition| (partition, view.at)));
    let mut since = BTreeMap::new();
    for (partition, at) in had.chain(seen) {
        since.entry(partition).and_modify(|known: &mut Timestamp| *known = at.min(*known)).or_insert(at);
    }
    since
}

fn quiet(facts: &Facts) -> SignedDuration {
    let session = facts.lives.iter().map(|life| life.session).max().unwrap_or(SignedDuration::ZERO);
    (session / 3).clamp(QUIET.0, QUIET.1)
}

struct World<'a, 'b> {
    facts: &'a Facts,
    lives: &'b BTreeMap<Uuid, Lived<'a>>,
    owned: &'b [Ownership],
    partitions: BTreeMap<i32, Timestamp>,
    quiet: SignedDuration,
}

impl<'a> World<'a, '_> {
    /// Whether a marker at this instant is still the same rebalance.
    fn belongs(&self, episode: &Episode<'a>, at: Timestamp) -> bool {
        let since = at.duration_since(episode.last_at());
        if since <= self.quiet {
            return true;
        }
        match self.settled_after(episode, at) {
            Some(settled) => at.duration_since(settled) <= self.quiet && settled > episode.last_at(),
            None => since <= AT_MOST,
        }
    }

    /// Adds what nothing of its own began to what went before: a coordinator spreads its assignments over heartbeats.
    fn with_follow_ups(&self, episodes: Vec<Episode<'a>>) -> Vec<Episode<'a>> {
        let mut joined: Vec<Episode<'a>> = Vec::new();
        for episode in episodes {
            match joined.last_mut() {
                Some(before)
                    if !self.begins(&episode) && episode.first_at().duration_since(before.last_at()) <= FOLLOW_UP =>
                {
                    before.markers.extend(episode.markers);
                }
                _ => joined.push(episode),
            }
        }
        joined
    }

    /// Whether anything in it can have begun a rebalance.
    fn begins(&self, episode: &Episode<'a>) -> bool {
        let (from, until) = (episode.first_at(), episode.last_at());
        episode.markers.iter().any(|marker| match marker {
            Marker::Journal(entry) => !matches!(entry.kind, Kind::Assigned | Kind::Revoked | Kind::Refused),
            Marker::Group(_) => false,
            Marker::Brokers(_) | Marker::Topic(_) => true,
        }) || self.owned.iter().any(|o| {
            let unsaid = matches!(o.ended, Some(Ended::Died | Ended::Lost | Ended::Superseded));
            unsaid && o.until.is_some_and(|at| at >= from && at <= until)
                || o.from >= from && o.from <= until && self.was_taken(o)
        })
    }

    /// Whether it was given to this owner while another one took it for its own.
    fn was_taken(&self, owned: &Ownership) -> bool {
        predecessor(self.owned, owned).is_some_and(|before| {
            before.boot_id != owned.boot_id && before.until.is_none_or(|until| until > owned.from)
        })
    }

    /// The first instant from the episode's last marker on, and before `until`, at which everything is read.
    fn settled_after(&self, episode: &Episode<'a>, until: Timestamp) -> Option<Timestamp> {
        let from = episode.last_at();
        let claims = self.owned.iter().filter_map(|o| o.claimed_at);
        let joined = self.lives.values().filter_map(|lived| lived.joined_at);
        // Where something may have become settled: a claim, a member, a process given up on.
        let given_up = episode.entries_of(Kind::Started).map(|entry| entry.at + JOINING);
        let unclaimed = self.owned.iter().filter(|o| o.claimed_at.is_none()).map(|o| o.from + JOINING);
        let mut instants: Vec<Timestamp> =
            claims.chain(joined).chain(given_up).chain(unclaimed).filter(|at| *at > from && *at < until).collect();
        instants.push(from);
        instants.sort_unstable();
        instants.into_iter().find(|at| self.is_settled(episode, *at))
    }

    fn is_settled(&self, episode: &Episode<'a>, at: Timestamp) -> bool {
        let read = |partition: &i32| {
            self.owned.iter().any(|o| {
                o.partition == *partition
                    && (o.claimed_at.is_some_and(|claimed| claimed <= at) || o.from + JOINING <= at)
                    && o.until.is_none_or(|until| until > at)
                    && self.works(o.boot_id, at)
            })
        };
        let joining = episode.entries_of(Kind::Started).any(|entry| {
            let lived = self.lives.get(&entry.boot_id);
            let joined = lived.and_then(|lived| lived.joined_at).is_some_and(|joined| joined <= at);
            let gone = lived.and_then(Lived::ended_at).is_some_and(|ended| ended <= at);
            !joined && !gone && at < entry.at + JOINING
        });
        !joining && self.partitions.iter().filter(|(_, since)| **since <= at).all(|(partition, _)| read(partition))
    }

    /// Whether a process did its work at this instant: it was there, and not in one of its silences.
    fn works(&self, boot: Uuid, at: Timestamp) -> bool {
        let there = self.lives.get(&boot).and_then(Lived::ended_at).is_none_or(|end| at <= end);
        there && !self.facts.silences.iter().any(|s| s.boot_id == boot && at > s.from && at < s.until)
    }
}

/// A consumer that left or ended in an episode, and its next process.
struct Restart {
    consumer: String,
    first: usize,
    last: usize,
    left_at: Timestamp,
    back_at: Timestamp,
}

/// Makes one of episodes in which two consumers or more left, or ended, and came back one after the other.
fn join_restarts(mut episodes: Vec<Episode<'_>>) -> Vec<Episode<'_>> {
    let mut restarts: Vec<Restart> = Vec::new();
    for (place, episode) in episodes.iter().enumerate() {
        for leaving in episode.entries_of(Kind::Leaving) {
            let back = episodes[place..].iter().enumerate().find_map(|(ahead, later)| {
                let started = later.entries_of(Kind::Started).find(|entry| {
                    entry.consumer_id == leaving.consumer_id
                        && entry.boot_id != leaving.boot_id
                        && entry.at > leaving.at
                })?;
                Some((place + ahead, started.at))
            });
            let Some((last, back_at)) = back else { continue };
            if back_at.duration_since(leaving.at) <= CHAIN {
                let consumer = leaving.consumer_id.clone();
                restarts.push(Restart { consumer, first: place, last, left_at: leaving.at, back_at });
            }
        }
    }
    restarts.sort_by_key(|restart| restart.left_at);
    let mut chain: Vec<Restart> = Vec::new();
    let mut chains: Vec<Vec<Restart>> = Vec::new();
    for restart in restarts {
        let goes_on = chain.last().is_some_and(|last| {
            // One after the other: who leaves before the last one is back is no rolling restart.
            restart.left_at >= last.back_at && restart.left_at.duration_since(last.back_at) <= CHAIN
        });
        if !goes_on {
            chains.push(std::mem::take(&mut chain));
        }
        chain.push(restart);
    }
    chains.push(chain);
    for chain in chains {
        let consumers: BTreeSet<String> = chain.iter().map(|restart| restart.consumer.clone()).collect();
        let (Some(first), Some(last)) = (chain.first(), chain.iter().map(|restart| restart.last).max()) else {
            continue;
        };
        if consumers.len() < 2 || episodes[first.first].part_of.is_some() {
            continue;
        }
        let first = first.first;
        let parts: Vec<Marker<'_>> = episodes[first + 1..=last].iter().flat_map(|e| e.markers.clone()).collect();
        let (settled_at, open) = (episodes[last].settled_at, episodes[last].open);
        for part in &mut episodes[first + 1..=last] {
            part.part_of = Some(first);
        }
        let whole = &mut episodes[first];
        whole.markers.extend(parts);
        (whole.settled_at, whole.open, whole.restarted) = (settled_at, open, consumers);
    }
    episodes
}
