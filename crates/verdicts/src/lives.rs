//! Each process from its first sign to its last, and what became of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::fact::{Entry, Facts, Kind, Life};

/// Heartbeats come once a second; this long without one is silence.
pub(crate) const SILENCE: SignedDuration = SignedDuration::from_millis(2_500);
/// After a time without records everybody needs a moment to be heard again.
const AFTER_BLIND: SignedDuration = SignedDuration::from_secs(5);

/// What became of a process, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: it is there.
    Lives,
    /// It left its group as it was asked to, from this instant on.
    Left(Timestamp),
    /// It is gone, and had not said so. Its last sign.
    Died(Timestamp),
    /// It has not been heard of since, and nothing says whether it is gone.
    Silent(Timestamp),
}

/// A process.
#[derive(Debug)]
pub(crate) struct Lived<'a> {
    pub consumer_id: &'a str,
    pub life: Option<&'a Life>,
    /// In the order in which they happened.
    pub entries: Vec<&'a Entry>,
    /// Last heartbeat or entry.
    pub last_sign: Timestamp,
    /// When it was a member first; `None` while it was none.
    pub joined_at: Option<Timestamp>,
    pub fate: Fate,
    /// What its death is proven by, other than by silence.
    pub proof: Option<Proof<'a>>,
}

/// Why a silent process is taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof<'a> {
    /// Its sessions with the database ended.
    Sessions(&'a crate::fact::SessionsView),
    /// A process started in its place.
    Successor(&'a Entry),
}

impl Lived<'_> {
    /// The last instant at which it was known to do its work; `None` while it does.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.fate {
            Fate::Lives => None,
            Fate::Left(at) | Fate::Died(at) | Fate::Silent(at) => Some(at),
        }
    }

    pub fn is_static(&self) -> bool {
        self.life.is_some_and(|life| life.static_id.is_some())
    }

    pub fn entry(&self, kind: Kind, from: Timestamp, until: Timestamp) -> Option<&Entry> {
        self.entries.iter().copied().find(|e| e.kind == kind && e.at >= from && e.at < until)
    }
}

/// Every process that is spoken of.
pub(crate) fn lives(facts: &Facts) -> BTreeMap<Uuid, Lived<'_>> {
    let first = facts.journal.iter().map(|entry| entry.at).min().unwrap_or(facts.as_of);
    let mut lives: BTreeMap<Uuid, Lived<'_>> = BTreeMap::new();
    for life in &facts.lives {
        let lived = blank(&life.consumer_id, life.last_beat);
        lives.entry(life.boot_id).or_insert(lived).life = Some(life);
    }
    for owned in &facts.carried {
        let lived = lives.entry(owned.boot_id).or_insert_with(|| blank(&owned.consumer_id, owned.from));
        lived.joined_at = Some(owned.from);
    }
    for entry in &facts.journal {
        lives.entry(entry.boot_id).or_insert_with(|| blank(&entry.consumer_id, entry.at)).entries.push(entry);
    }
    for lived in lives.values_mut() {
        lived.entries.sort_by_key(|entry| entry.sequence);
        if let Some(last) = lived.entries.last() {
            lived.last_sign = lived.last_sign.max(last.at);
        }
        let assigned = lived.entries.iter().find(|entry| entry.kind == Kind::Assigned).map(|entry| entry.at);
        // Its start is in none of the facts: it was a member before them.
        let before = lived.entries.iter().all(|entry| entry.kind != Kind::Started)
            && lived.life.is_some_and(|life| life.first_beat < first);
        lived.joined_at = lived.joined_at.or(if before { Some(first) } else { assigned }).or(assigned);
    }
    let starts: Vec<&Entry> = facts.journal.iter().filter(|entry| entry.kind == Kind::Started).collect();
    let fates: Vec<_> = lives.iter().map(|(boot, lived)| (*boot, fate(facts, *boot, lived, &starts))).collect();
    for (boot, (fate, proof)) in fates {
        if let Some(lived) = lives.get_mut(&boot) {
            (lived.fate, lived.proof) = (fate, proof);
        }
    }
    lives
}

fn blank(consumer_id: &str, last_sign: Timestamp) -> Lived<'_> {
    let entries = Vec::new();
    Lived { consumer_id, life: None, entries, last_sign, joined_at: None, fate: Fate::Lives, proof: None }
}

fn fate<'a>(facts: &'a Facts, boot: Uuid, lived: &Lived<'a>, starts: &[&'a Entry]) -> (Fate, Option<Proof<'a>>) {
    if let Some(left) = left(lived) {
        return (Fate::Left(left), None);
    }
    // Another one under its name; the clocks of the two may differ by `margin`.
    let successor = |margin| {
        let of_its_name = |entry: &&&Entry| entry.boot_id != boot && entry.consumer_id == lived.consumer_id;
        let started = starts.iter().filter(of_its_name).find(|entry| entry.at + margin > lived.last_sign);
        started.map(|entry| Proof::Successor(entry))
    };
    // Of a process without a life (an older build, or one that ended before its first heartbeat) silence tells nothing;
    // another one under its name does.
    if lived.life.is_none() {
        let proof = successor(SignedDuration::ZERO);
        return (proof.map_or(Fate::Lives, |_| Fate::Died(lived.last_sign)), proof);
    }
    let silent_for = facts.as_of.duration_since(lived.last_sign);
    let was_blind = facts.blind.iter().any(|span| {
        let until = span.until.unwrap_or(facts.as_of);
        // Who was silent before nobody looked is not excused by it.
        let was_heard = lived.last_sign + SILENCE >= span.from;
        was_heard && until > lived.last_sign && facts.as_of.duration_since(until) < AFTER_BLIND
    });
    if silent_for < SILENCE || was_blind {
        return (Fate::Lives, None);
    }
    let sessions = facts.session_views.iter().find(|view| {
        view.sessions == 0 && view.consumer_id == lived.consumer_id && view.at + SILENCE > lived.last_sign
    });
    let proof = sessions.map(Proof::Sessions).or_else(|| successor(SILENCE));
    match proof {
        Some(_) => (Fate::Died(lived.last_sign), proof),
        None => (Fate::Silent(lived.last_sign), None),
    }
}

/// When it began to leave, unless it came back in the same process. A client that is closing may still be assigned
/// something, and gives it back at once.
fn left(lived: &Lived<'_>) -> Option<Timestamp> {
    let tells = |kind| matches!(kind, Kind::Assigned | Kind::Leaving | Kind::Stopped);
    let last = lived.entries.iter().rev().find(|entry| tells(entry.kind))?;
    if last.kind == Kind::Assigned {
        return None;
    }
    let leaving = lived.entries.iter().rev().find(|entry| entry.kind == Kind::Leaving);
    Some(leaving.unwrap_or(last).at)
}
