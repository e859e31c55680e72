//! From what was seen of a consumer group to who owned what, what happened to it, and why.
//!
//! ```text
//! Facts ─> lives ─> ownership ─> episodes ─┬─> handovers ─┬─> Rebalance, with its story
//!                                          └─> cause ─────┘
//! ```
//!
//! Everything here is a function of a set of facts: neither the order in which they came nor the clock of this
//! machine plays a part, so the same journal gives the same verdicts whenever it is judged again.

mod cause;
mod episode;
pub mod fact;
mod fewest;
pub mod finding;
mod handover;
mod lives;
mod ownership;
mod story;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::episode::{Episode, Marker};
use crate::fact::{Batch, Facts};
use crate::fewest::fewest;
use crate::handover::Ledger;
use crate::lives::{Fate, Lived};
pub use crate::story::{duration, markdown};
pub use crate::verdict::{Cause, Confidence, Ended, Evidence, Handover, Move, Ownership, Rebalance};

/// What the facts amount to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// By partition and begin.
    pub ownership: Vec<Ownership>,
    /// By time; one that turned out to be a part of another names it.
    pub rebalances: Vec<Rebalance>,
}

/// The rebalances before they are judged: what can be told without the ledger, and what of that is needed.
pub struct Outline<'a> {
    facts: &'a Facts,
    lives: BTreeMap<Uuid, Lived<'a>>,
    owned: Vec<Ownership>,
    episodes: Vec<Episode<'a>>,
}

impl<'a> Outline<'a> {
    /// Of everything that was seen.
    pub fn of(facts: &'a Facts) -> Self {
        let lives = lives::lives(facts);
        let owned = ownership::ownership(facts, &lives);
        let episodes = episode::episodes(facts, &lives, &owned);
        Self { facts, lives, owned, episodes }
    }

    /// Around each rebalance: when batches matter to it.
    pub fn windows(&self) -> Vec<(Timestamp, Timestamp)> {
        const MARGIN: SignedDuration = SignedDuration::from_secs(3);
        self.episodes.iter().map(|episode| (episode.first_at() - MARGIN, episode.until() + MARGIN)).collect()
    }

    /// Judges, with the batches around the rebalances and the claims; their order does not matter.
    pub fn judged(&self, batches: &[Batch]) -> Verdicts {
        let ledger = Ledger::new(batches);
        let court = Court { facts: self.facts, lives: &self.lives, owned: &self.owned, ledger: &ledger };
        let ids: Vec<String> = self.episodes.iter().map(|episode| id(self.facts, episode)).collect();
        let mut known = BTreeSet::new();
        let mut rebalances = Vec::new();
        for (episode, own_id) in self.episodes.iter().zip(&ids) {
            let mut rebalance = court.rebalance(episode, own_id);
            rebalance.part_of = episode.part_of.map(|whole| ids[whole].clone());
            rebalance.generations_unseen = unseen(&known, &rebalance.generations);
            known.extend(rebalance.generations.iter().copied());
            rebalance.story = story::story(&rebalance);
            rebalances.push(rebalance);
        }
        Verdicts { ownership: self.owned.clone(), rebalances }
    }
}

/// `<group>@<when it was noticed>`, to the millisecond.
fn id(facts: &Facts, episode: &Episode<'_>) -> String {
    let at = episode.noticed_at().strftime("%Y%m%dT%H%M%S%.3fZ");
    format!("{}@{at}", facts.group_id)
}

/// Generations between those that are known and these, and between these, that nobody spoke of.
fn unseen(known: &BTreeSet<i32>, seen: &[i32]) -> Vec<i32> {
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Vec::new() };
    let from = known.range(..first).next_back().map_or(*first, |before| before + 1);
    // A group that was deleted counts from the beginning; a hole of thousands is another group.
    (from..*last).filter(|generation| !seen.contains(generation) && !known.contains(generation)).take(1_000).collect()
}

struct Court<'a, 'b> {
    facts: &'a Facts,
    lives: &'a BTreeMap<Uuid, Lived<'a>>,
    owned: &'b [Ownership],
    ledger: &'b Ledger<'a>,
}

impl<'a> Court<'a, '_> {
    fn rebalance(&self, episode: &Episode<'a>, id: &str) -> Rebalance {
        let finding = cause::cause(self.facts, self.lives, self.owned, episode);
        let handovers = handover::handovers(self.facts, self.owned, episode, self.ledger);
        let dark: Vec<f64> = handovers.iter().filter_map(|h| h.dark_ms).collect();
        let moved = moved(&handovers, !episode.restarted.is_empty());
        let (before, after) = (episode.first_at() - TICK, episode.until());
        let (members_before, members_after) = (self.members(before), self.members(after));
        let began_at = finding.began_at.min(episode.noticed_at());
        let mut evidence = finding.evidence;
        evidence.extend(self.what_followed(episode));
        evidence.sort_by_key(|evidence| (evidence.at.is_none(), evidence.at));
        evidence.dedup();
        Rebalance {
            id: id.to_owned(),
            group_id: self.facts.group_id.clone(),
            topic: self.facts.topic.clone(),
            protocol: self.protocol(episode),
            revision: 1,
            open: episode.open,
            cause: finding.cause,
            confidence: finding.confidence,
            subjects: finding.subjects,
            began_at,
            noticed_at: episode.noticed_at(),
            ended_at: (!episode.open).then(|| episode.until()),
            generations: self.generations(episode),
            generations_unseen: Vec::new(),
            members_before: names(&members_before, self.lives),
            members_after: names(&members_after, self.lives),
            moved: u32::try_from(moved).unwrap_or(u32::MAX),
            fewest: self.fewest(episode, before, &members_after),
            dark_max_ms: dark.iter().copied().reduce(f64::max),
            dark_sum_ms: dark.iter().sum(),
            waited_records: handovers.iter().filter_map(|h| h.waited_records).sum(),
            read_twice: handovers.iter().filter_map(|h| h.read_twice).sum(),
            refusals: u32::try_from(episode.entries_of(fact::Kind::Refused).count()).unwrap_or(u32::MAX),
            two_owners_ms: ownership::two_owners_ms(self.owned, began_at, after + TICK),
            blind_ms: self.blind(began_at, after),
            disagreements: self.disagreements(episode),
            handovers,
            evidence,
            story: String::new(),
            part_of: None,
        }
    }

    /// Processes that were members of the group at an instant.
    fn members(&self, at: Timestamp) -> Vec<Uuid> {
        let member = |(boot, lived): (&Uuid, &Lived<'_>)| {
            let joined = lived.joined_at.is_some_and(|joined| joined <= at);
            let gone = match lived.fate {
                Fate::Lives => false,
                Fate::Left(end) => end <= at,
                // A member until its group has given up on it.
                Fate::Died(end) | Fate::Silent(end) => self.given_up(*boot, end).is_none_or(|end| end <= at),
            };
            (joined && !gone && !self.is_expelled(*boot, at)).then_some(*boot)
        };
        self.lives.iter().filter_map(member).collect()
    }

    /// Whether others had been given what it took for its own, and it had not joined again yet.
    fn is_expelled(&self, boot: Uuid, at: Timestamp) -> bool {
        let lost = self.owned.iter().filter(|o| o.boot_id == boot && o.ended == Some(Ended::Lost) && o.from <= at);
        let Some(last) = lost.max_by_key(|o| o.until) else { return false };
        let end = last.until.unwrap_or(at);
        let taken = self
            .owned
            .iter()
            .filter(|o| o.partition == last.partition && o.boot_id != boot && o.from > last.from && o.from <= end);
        let from = taken.map(|o| o.from).min().unwrap_or(end);
        let assigned = |entry: &&&fact::Entry| entry.kind == fact::Kind::Assigned && entry.at >= end;
        let back = self.lives.get(&boot).and_then(|lived| lived.entries.iter().find(assigned)).map(|entry| entry.at);
        at >= from && back.is_none_or(|back| at < back)
    }

    /// When the group gave up on a process that was silent from `end` on; `end` itself when it owned nothing.
    fn given_up(&self, boot: Uuid, end: Timestamp) -> Option<Timestamp> {
        let mut own =
            self.owned.iter().filter(|o| o.boot_id == boot && o.until.is_none_or(|until| until >= end)).peekable();
        if own.peek().is_none() {
            return Some(end);
        }
        own.map(|o| o.until)
            .try_fold(end, |latest, until| until.map(|until| until.max(latest)).ok_or(()))
            .ok()
            .or(Some(Timestamp::MAX))
    }

    /// The fewest that had to move, by who stayed and what each of them had.
    fn fewest(&self, episode: &Episode<'_>, before: Timestamp, after: &[Uuid]) -> u32 {
        let had = |boot: &Uuid| {
            // What it took for its own was others' by then.
            let expelled = self.is_expelled(*boot, before);
            let mine = self.owned.iter().filter(|o| {
                !expelled && o.boot_id == *boot && o.from <= before && o.until.is_none_or(|until| until > before)
            });
            mine.map(|o| o.partition).collect::<BTreeSet<_>>()
        };
        let partitions: BTreeSet<i32> =
            self.owned.iter().filter(|o| o.from <= episode.until()).map(|o| o.partition).collect();
        let mut shares: Vec<usize> = after.iter().map(|boot| had(boot).len()).collect();
        // A process in the place of another one, with the same name, is not a move.
        for (place, boot) in after.iter().enumerate() {
            let name = self.lives.get(boot).map(|lived| lived.consumer_id);
            let earlier = self
                .lives
                .iter()
                .filter(|(other, lived)| *other != boot && Some(lived.consumer_id) == name && !after.contains(other));
            let inherited: usize = earlier.map(|(other, _)| had(other).len()).sum();
            if shares[place] == 0 {
                shares[place] = inherited;
            }
        }
        // What nobody had before does not move: it is given for the first time.
        let first =
            partitions.iter().filter(|p| !self.owned.iter().any(|o| o.partition == **p && o.from <= before)).count();
        let fewest = fewest(&shares, partitions.len()).saturating_sub(first);
        u32::try_from(fewest).unwrap_or(u32::MAX)
    }

    fn protocol(&self, episode: &Episode<'_>) -> String {
        let own = episode.entries().map(|entry| &entry.protocol).next();
        let any = self.facts.journal.iter().map(|entry| &entry.protocol).next();
        own.or(any).cloned().unwrap_or_default()
    }

    /// Of the members' callbacks and the coordinator's own words.
    fn generations(&self, episode: &Episode<'_>) -> Vec<i32> {
        let of_members = episode.entries().filter(|e| e.kind == fact::Kind::Assigned).map(|e| e.generation);
        let of_group = episode.markers.iter().filter_map(|marker| match marker {
            Marker::Group(view) => view.epoch,
            _ => None,
        });
        of_members.chain(of_group).filter(|generation| *generation > 0).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn blind(&self, from: Timestamp, until: Timestamp) -> f64 {
        let within = self.facts.blind.iter().map(|span| {
            let (from, until) = (span.from.max(from), span.until.unwrap_or(until).min(until));
            until.duration_since(from).as_secs_f64().max(0.0) * 1_000.0
        });
        within.sum()
    }

    /// How the group acted, and the first batch of each new owner.
    fn what_followed(&self, episode: &Episode<'a>) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for marker in &episode.markers {
            match marker {
                Marker::Group(view) => {
                    let epoch = view.epoch.map_or_else(String::new, |epoch| format!(", epoch {epoch}"));
                    let members = cause::numbers(&view.members.iter().map(|m| m.client_id.clone()).collect::<Vec<_>>());
                    let members = if members.is_empty() { "nobody".to_owned() } else { members };
                    let what = format!("the coordinator's group: {members}{epoch}, {}", view.state);
                    let error = fact::ms_between(view.not_before, view.at);
                    evidence.push(Evidence {
                        clock_error_ms: Some(error),
                        ..cause::seen(view.at, "coordinator", Some(view.id), what)
                    });
                }
                Marker::Journal(entry) => evidence.extend(self.of_callback(entry)),
                Marker::Brokers(_) | Marker::Topic(_) => {}
            }
        }
        evidence
    }

    fn of_callback(&self, entry: &fact::Entry) -> Option<Evidence> {
        let partition = entry.partition?;
        let verb = match entry.kind {
            fact::Kind::Assigned => "was assigned",
            fact::Kind::Revoked => "gave up",
            fact::Kind::Lost => "lost",
            fact::Kind::Refused => "was refused by the database for",
            _ => return None,
        };
        Some(cause::of_entry(entry, format!("{} {verb} partition {partition}", entry.consumer_id)))
    }

    /// Where the coordinator's settled words and the members' callbacks contradict each other.
    fn disagreements(&self, episode: &Episode<'_>) -> Vec<String> {
        let settled = self.facts.group_views.iter().filter(|view| {
            view.state == "Stable"
                && view.not_before >= episode.until()
                && view.at.duration_since(episode.until()) <= TOGETHER
        });
        let Some(view) = settled.min_by_key(|view| view.at) else { return Vec::new() };
        let mut found = Vec::new();
        for o in self.owned.iter().filter(|o| o.from <= episode.until() && o.until.is_none_or(|until| until > view.at))
        {
            let said = view.members.iter().find(|member| member.partitions.contains(&o.partition));
            if let Some(said) = said.filter(|said| said.member_id != o.member_id && !o.member_id.is_empty()) {
                found.push(format!(
                    "partition {}: {} says that it has it, the coordinator says {}",
                    o.partition, o.consumer_id, said.client_id
                ));
            }
        }
        found
    }
}

/// Partitions that changed their owner: who had each before against who has it afterwards, and not the steps between,
/// unless it was restart after restart.
fn moved(handovers: &[Handover], each_step: bool) -> usize {
    if each_step {
        return handovers.iter().filter(|h| matches!(h.moved, Move::Moved | Move::Orphaned)).count();
    }
    let mut ends: BTreeMap<i32, (&Handover, &Handover)> = BTreeMap::new();
    for handover in handovers {
        ends.entry(handover.partition).and_modify(|(_, last)| *last = handover).or_insert((handover, handover));
    }
    ends.values().filter(|(first, last)| first.moved != Move::First && first.from != last.to).count()
}

/// The coordinator's words are compared with the members' this soon after a rebalance.
const TOGETHER: SignedDuration = SignedDuration::from_secs(30);
/// The instant before another one.
const TICK: SignedDuration = SignedDuration::from_micros(1);

fn names(boots: &[Uuid], lives: &BTreeMap<Uuid, Lived<'_>>) -> Vec<String> {
    let names: BTreeSet<String> =
        boots.iter().filter_map(|boot| lives.get(boot)).map(|lived| lived.consumer_id.to_owned()).collect();
    names.into_iter().collect()
}
