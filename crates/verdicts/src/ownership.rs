//! Who had which partition when: assignments joined with what ended each of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::fact::{Entry, Facts, Kind, ms_between};
use crate::lives::{Fate, Lived};
use crate::verdict::{Ended, Ownership};

/// All intervals that touch the time of the facts, by partition and begin.
pub(crate) fn ownership(facts: &Facts, lives: &BTreeMap<Uuid, Lived<'_>>) -> Vec<Ownership> {
    let mut owned = facts.carried.clone();
    for (boot, lived) in lives {
        let mut open: BTreeMap<i32, Ownership> = BTreeMap::new();
        owned.retain(|o| {
            let mine = o.boot_id == *boot && o.until.is_none();
            if mine {
                open.insert(o.partition, o.clone());
            }
            !mine
        });
        for entry in &lived.entries {
            follow(facts, entry, &mut open, &mut owned);
        }
        owned.extend(open.into_values());
    }
    owned.sort_by_key(|o| (o.partition, o.from, o.fact));
    close_unsaid(facts, lives, &mut owned);
    owned
}

/// One entry of a process, with what it has open.
fn follow(facts: &Facts, entry: &Entry, open: &mut BTreeMap<i32, Ownership>, closed: &mut Vec<Ownership>) {
    let mut close = |partition: i32, open: &mut BTreeMap<i32, Ownership>, how| {
        if let Some(mut ended) = open.remove(&partition) {
            (ended.until, ended.ended) = (Some(entry.at.max(ended.from)), Some(how));
            closed.push(ended);
        }
    };
    match (entry.kind, entry.partition) {
        (Kind::Assigned, Some(partition)) => {
            close(partition, open, Ended::Superseded);
            open.insert(partition, begun(facts, entry, partition));
        }
        (Kind::Revoked, Some(partition)) => close(partition, open, Ended::Revoked),
        (Kind::Lost, Some(partition)) => close(partition, open, Ended::Lost),
        (Kind::Stopped, _) => {
            for partition in open.keys().copied().collect::<Vec<_>>() {
                close(partition, open, Ended::Stopped);
            }
        }
        (Kind::Claimed, Some(partition)) => {
            if let Some(owned) = open.get_mut(&partition)
                && owned.claimed_at.is_none()
            {
                (owned.claim, owned.claimed_at) = (entry.claim, Some(entry.at));
            }
        }
        _ => {}
    }
}

fn begun(facts: &Facts, entry: &Entry, partition: i32) -> Ownership {
    Ownership {
        group_id: facts.group_id.clone(),
        topic: facts.topic.clone(),
        partition,
        consumer_id: entry.consumer_id.clone(),
        boot_id: entry.boot_id,
        member_id: entry.member_id.clone(),
        generation: entry.generation,
        claim: None,
        claimed_at: None,
        from: entry.at,
        until: None,
        ended: None,
        fact: entry.id,
    }
}

/// Ends what its owner did not, because it is gone, or does not know yet: when the coordinator had removed it, or
/// when somebody else was assigned.
fn close_unsaid(facts: &Facts, lives: &BTreeMap<Uuid, Lived<'_>>, owned: &mut [Ownership]) {
    let begins: Vec<(i32, Timestamp, Uuid)> = owned.iter().map(|o| (o.partition, o.from, o.boot_id)).collect();
    let fate = |boot: &Uuid| lives.get(boot).map_or(Fate::Lives, |lived| lived.fate);
    let held: Vec<(i32, Uuid)> = owned
        .iter()
        .filter(|o| o.until.is_none() && fate(&o.boot_id) == Fate::Lives)
        .map(|o| (o.partition, o.boot_id))
        .collect();
    for o in owned.iter_mut().filter(|o| o.until.is_none()) {
        let fate = fate(&o.boot_id);
        let next = begins
            .iter()
            .filter(|(partition, from, boot)| *partition == o.partition && *boot != o.boot_id && *from > o.from)
            .map(|(_, from, _)| *from)
            .min();
        let removed = match fate {
            Fate::Died(at) | Fate::Silent(at) => removed_at(facts, &o.member_id, at),
            Fate::Lives | Fate::Left(_) => None,
        };
        // Nobody follows where somebody else has it already: with a dead process its word goes.
        let beside = || held.iter().any(|(p, boot)| *p == o.partition && *boot != o.boot_id);
        let until = [next, removed].into_iter().flatten().min().or_else(|| match fate {
            Fate::Died(at) if beside() => Some(at.max(o.from)),
            _ => None,
        });
        let how = if matches!(fate, Fate::Died(_)) { Ended::Died } else { Ended::Superseded };
        (o.until, o.ended) = (until, until.map(|_| how));
    }
}

/// When the coordinator had no such member any more, after its last sign.
fn removed_at(facts: &Facts, member_id: &str, last_sign: Timestamp) -> Option<Timestamp> {
    if member_id.is_empty() {
        return None;
    }
    let known = |members: &[crate::fact::Member]| members.iter().any(|member| member.member_id == member_id);
    let seen = facts.group_views.iter().any(|view| known(&view.members));
    let without = facts.group_views.iter().filter(|view| view.at > last_sign && !known(&view.members));
    without.map(|view| view.at).min().filter(|_| seen)
}

/// The interval of a partition before this one that anybody read in: the one that it took over from.
pub(crate) fn predecessor<'a>(owned: &'a [Ownership], of: &Ownership) -> Option<&'a Ownership> {
    let earlier = owned.iter().filter(|o| o.partition == of.partition && o.fact != of.fact && o.from <= of.from);
    earlier.filter(|o| o.claimed_at.is_some()).max_by_key(|o| (o.from, o.fact))
}

/// Milliseconds for which two processes took themselves for the owner of a partition, over all of them. What clocks may
/// be wrong by is left out.
pub(crate) fn two_owners_ms(owned: &[Ownership], from: Timestamp, until: Timestamp) -> f64 {
    let mut sum = 0.0;
    for (i, first) in owned.iter().enumerate() {
        // Only who was told late can have gone on.
        let (Some(Ended::Lost), Some(end)) = (first.ended, first.until) else { continue };
        let others = owned[i + 1..].iter().filter(|o| o.partition == first.partition && o.boot_id != first.boot_id);
        for second in others {
            let begin = second.from.max(first.from).max(from);
            let ms = ms_between(begin, end.min(second.until.unwrap_or(end)).min(until));
            if ms > CLOCK_TOLERANCE_MS {
                sum += ms;
            }
        }
    }
    sum
}

/// Less than this is not an overlap: clocks differ.
const CLOCK_TOLERANCE_MS: f64 = 20.0;
