//! How each partition passed through a rebalance: who stored last, who stored next, and how long nobody did.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::episode::{Episode, Marker};
use crate::fact::{Batch, Facts, Kind, milliseconds, ms_between};
use crate::ownership::predecessor;
use crate::verdict::{Handover, Move, Ownership};

/// A partition that kept its owner is named when a record waited for longer than this.
const STALL: SignedDuration = SignedDuration::from_millis(500);
/// Markers with no more than this between them are an unbroken row.
const ROW: SignedDuration = SignedDuration::from_secs(2);
/// How far behind the episode a stall is looked for.
const STALLS_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// The ledger, by partition and offset.
pub(crate) struct Ledger<'a> {
    batches: BTreeMap<(i32, i64), &'a Batch>,
}

impl<'a> Ledger<'a> {
    pub fn new(batches: &'a [Batch]) -> Self {
        Self { batches: batches.iter().map(|batch| ((batch.partition, batch.first_offset), batch)).collect() }
    }

    fn of_partition(&self, partition: i32) -> impl Iterator<Item = &'a Batch> {
        self.batches.range((partition, i64::MIN)..=(partition, i64::MAX)).map(|(_, batch)| *batch)
    }

    /// The first batch of a claim.
    fn first(&self, owned: &Ownership) -> Option<&'a Batch> {
        self.of_partition(owned.partition).find(|batch| Some(batch.claim) == owned.claim)
    }

    /// When the last batch that an owner is known to have stored could be seen.
    fn last_stored(&self, owner: &Ownership) -> Option<Timestamp> {
        let own = self.of_partition(owner.partition).filter(|batch| Some(batch.claim) == owner.claim);
        own.map(Batch::visible_at).max()
    }

    /// The batch that ends where this one begins.
    fn before(&self, batch: &Batch) -> Option<&'a Batch> {
        let earlier = self.batches.range((batch.partition, i64::MIN)..(batch.partition, batch.first_offset));
        earlier.map(|(_, before)| *before).next_back().filter(|before| before.next_offset == batch.first_offset)
    }

    /// From when to when the first record of a batch waited while nobody read.
    fn waited(&self, batch: &Batch) -> Option<(Timestamp, Timestamp)> {
        let appended = batch.first_append_at?;
        // While the owner before was still storing, what waited was lag.
        let from = self.before(batch).map_or(appended, |before| appended.max(before.visible_at()));
        Some((from, batch.visible_at().max(from)))
    }
}

/// The hand-overs of an episode, by partition and time.
pub(crate) fn handovers(
    facts: &Facts,
    owned: &[Ownership],
    episode: &Episode<'_>,
    ledger: &Ledger<'_>,
) -> Vec<Handover> {
    let (from, until) = (episode.first_at(), episode.until());
    let mut handovers: Vec<Handover> = Vec::new();
    for new in owned.iter().filter(|o| o.from >= from && o.from <= until) {
        // Given and taken again before anything was read of it: nobody's.
        if new.claimed_at.is_none() && new.until.is_some() {
            continue;
        }
        handovers.push(handover(facts, episode, ledger, predecessor(owned, new), new));
    }
    handovers.retain(|h| h.moved != Move::Kept || h.open || h.dark_ms.is_some_and(|ms| ms >= milliseconds(STALL)));
    handovers.extend(orphans(facts, owned, episode, ledger));
    let mut stalls = stalls(facts, owned, episode, ledger);
    stalls.retain(|stall| handovers.iter().all(|h| h.partition != stall.partition));
    handovers.extend(stalls);
    handovers.sort_by_key(|h| (h.partition, h.assigned_at, h.dark_from));
    handovers
}

/// A partition of which nothing more is known yet.
fn blank(facts: &Facts, partition: i32, moved: Move) -> Handover {
    Handover {
        topic: facts.topic.clone(),
        partition,
        moved,
        from: None,
        to: None,
        last_stored_at: None,
        dark_from: None,
        assigned_at: None,
        claimed_at: None,
        stored_at: None,
        commit_times: false,
        dark_ms: None,
        detect_ms: None,
        reassign_ms: None,
        resume_ms: None,
        quiet: false,
        open: false,
        waited_records: None,
        read_twice: None,
        refusals: 0,
    }
}

fn handover(
    facts: &Facts,
    episode: &Episode<'_>,
    ledger: &Ledger<'_>,
    old: Option<&Ownership>,
    new: &Ownership,
) -> Handover {
    let first = ledger.first(new);
    let before = first.and_then(|batch| ledger.before(batch));
    let waited = first.and_then(|batch| ledger.waited(batch));
    // A record that came after the claim has not waited for anybody.
    let waited = waited.filter(|(from, _)| new.claimed_at.is_none_or(|claimed| *from < claimed));
    let open = waited.is_none()
        && first.is_none()
        && new.until.is_none()
        && episode.open
        && facts.waiting.contains(&new.partition);
    let moved = match old {
        None => Move::First,
        Some(old) if old.boot_id == new.boot_id && old.ended != Some(crate::Ended::Lost) => Move::Kept,
        Some(old) if old.consumer_id == new.consumer_id => Move::Returned,
        Some(_) => Move::Moved,
    };
    let noticed = noticed(episode, new.from);
    let in_episode = |kind| {
        let partition = new.partition;
        let until = episode.until();
        facts.journal.iter().filter(move |e| {
            e.kind == kind && e.partition == Some(partition) && e.at >= episode.first_at() && e.at <= until
        })
    };
    let claimed = in_episode(Kind::Claimed).find(|entry| entry.boot_id == new.boot_id && entry.at >= new.from);
    let discarded = in_episode(Kind::Discarded).filter(|entry| entry.boot_id != new.boot_id);
    let mut handover = Handover {
        from: old.map(|old| old.consumer_id.clone()),
        to: Some(new.consumer_id.clone()),
        last_stored_at: before.map(Batch::visible_at),
        dark_from: waited.map(|(from, _)| from),
        assigned_at: Some(new.from),
        claimed_at: new.claimed_at,
        stored_at: waited.map(|(_, until)| until),
        commit_times: first.is_some_and(|batch| batch.committed_at.is_some()),
        quiet: waited.is_none() && !open,
        open,
        waited_records: claimed.and_then(|entry| entry.records),
        read_twice: discarded.map(|entry| entry.records).fold(None, |sum, n| Some(sum.unwrap_or(0) + n?)),
        refusals: u32::try_from(in_episode(Kind::Refused).count()).unwrap_or(u32::MAX),
        ..blank(facts, new.partition, moved)
    };
    if let Some((from, until)) = waited {
        split(&mut handover, from, noticed, new.claimed_at, until);
    } else if open {
        // Its last batch is all that is known of when it became dark.
        let from = old.and_then(|old| ledger.last_stored(old)).unwrap_or(noticed);
        handover.dark_from = Some(from);
        split(&mut handover, from, noticed, new.claimed_at, facts.as_of);
    }
    handover
}

/// Fills in the dark time and its parts.
fn split(handover: &mut Handover, from: Timestamp, noticed: Timestamp, claimed: Option<Timestamp>, until: Timestamp) {
    let until = until.max(from);
    let noticed = noticed.clamp(from, until);
    let claimed = claimed.unwrap_or(until).clamp(noticed, until);
    handover.dark_ms = Some(ms_between(from, until));
    handover.detect_ms = Some(ms_between(from, noticed));
    handover.reassign_ms = Some(ms_between(noticed, claimed));
    handover.resume_ms = Some(ms_between(claimed, until));
}

/// When the group first acted in what led to this assignment: the first marker of an unbroken row before it.
fn noticed(episode: &Episode<'_>, assigned: Timestamp) -> Timestamp {
    let mut first = assigned;
    let before = episode.markers.iter().rev().filter(|marker| marker.at() <= assigned && marker.is_of_group());
    for at in before.map(Marker::at) {
        if first.duration_since(at) > ROW {
            break;
        }
        first = at;
    }
    first
}

/// Partitions that somebody had, and nobody has at the end.
fn orphans(facts: &Facts, owned: &[Ownership], episode: &Episode<'_>, ledger: &Ledger<'_>) -> Vec<Handover> {
    let (from, until) = (episode.first_at(), episode.until());
    let mut orphans = Vec::new();
    for old in owned.iter().filter(|o| o.until.is_some_and(|end| end >= from && end <= until)) {
        let end = old.until.unwrap_or(until);
        let had_after = owned.iter().any(|o| {
            o.partition == old.partition && o.until.is_none_or(|u| u > end) && o.from <= until && o.fact != old.fact
        });
        let latest = owned
            .iter()
            .all(|o| o.partition != old.partition || o.until.is_none_or(|u| u <= end) && o.from <= old.from);
        if had_after || !latest {
            continue;
        }
        let dark = facts.waiting.contains(&old.partition) && episode.open;
        let mut orphan = Handover {
            from: Some(old.consumer_id.clone()),
            last_stored_at: ledger.last_stored(old),
            quiet: !dark,
            open: dark,
            ..blank(facts, old.partition, Move::Orphaned)
        };
        if dark {
            let since = orphan.last_stored_at.unwrap_or(end);
            orphan.dark_from = Some(since);
            split(&mut orphan, since, end, None, facts.as_of);
        }
        orphans.push(orphan);
    }
    orphans
}

/// Partitions that kept their owner, and whose records waited all the same.
fn stalls(facts: &Facts, owned: &[Ownership], episode: &Episode<'_>, ledger: &Ledger<'_>) -> Vec<Handover> {
    let (from, until) = (episode.first_at(), episode.until() + STALLS_AFTER);
    let mut worst: BTreeMap<i32, (&Batch, Timestamp, Timestamp)> = BTreeMap::new();
    for &batch in ledger.batches.values().filter(|b| b.visible_at() >= from && b.stored_at <= until) {
        let Some((since, end)) = ledger.waited(batch) else { continue };
        // Its owner before this batch must be known: what a hand-over was is told by it.
        let same = ledger.before(batch).is_some_and(|before| before.claim == batch.claim);
        if !same || end.duration_since(since) < STALL {
            continue;
        }
        let known = worst.get(&batch.partition).map(|(_, since, end)| end.duration_since(*since));
        if known.is_none_or(|known| end.duration_since(since) > known) {
            worst.insert(batch.partition, (batch, since, end));
        }
    }
    let stall = |(batch, since, end): (&Batch, Timestamp, Timestamp)| {
        let owner = owned.iter().find(|o| o.claim == Some(batch.claim));
        let mut stall = Handover {
            from: Some(batch.consumer_id.clone()),
            to: Some(batch.consumer_id.clone()),
            last_stored_at: ledger.before(batch).map(Batch::visible_at),
            dark_from: Some(since),
            assigned_at: owner.map(|owner| owner.from),
            claimed_at: owner.and_then(|owner| owner.claimed_at),
            stored_at: Some(end),
            commit_times: batch.committed_at.is_some(),
            ..blank(facts, batch.partition, Move::Kept)
        };
        split(&mut stall, since, episode.noticed_at(), Some(episode.noticed_at()), end);
        stall
    };
    worst.into_values().map(stall).collect()
}
