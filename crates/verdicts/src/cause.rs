//! Why: only a victim knows its own cause, and the survivors see nothing, so what each of them, the coordinator and
//! the cluster said is put together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::episode::{Episode, Marker};
use crate::fact::{BrokersView, Entry, Facts, Kind, SessionsView, milliseconds, ms_between};
use crate::lives::{Fate, Lived, Proof};
use crate::ownership::predecessor;
use crate::verdict::{Cause, Confidence, Ended, Evidence, Ownership};

/// A broker that went this long before a rebalance may be why.
const BROKER_BEFORE: SignedDuration = SignedDuration::from_secs(15);
/// Another number of partitions is noticed by classic members with their next metadata, five minutes at the most.
const METADATA_BEFORE: SignedDuration = SignedDuration::from_secs(330);
/// A killed process loses its sessions with the database this soon; what kept them longer was not dead.
const SESSIONS_END_WITHIN: SignedDuration = SignedDuration::from_millis(2_500);

/// Why, with what it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub cause: Cause,
    pub confidence: Confidence,
    /// Consumers that caused it.
    pub subjects: Vec<String>,
    /// When it began to matter.
    pub began_at: Timestamp,
    pub evidence: Vec<Evidence>,
}

/// A process that lost what it had without giving it back.
struct Victim<'a> {
    lived: &'a Lived<'a>,
    boot: Uuid,
    /// When somebody else had it, or the coordinator had removed it.
    removed_at: Timestamp,
    /// When it was told, if it was.
    told: Option<&'a Entry>,
}

/// The cause of an episode.
pub(crate) fn cause<'a>(
    facts: &'a Facts,
    lives: &'a BTreeMap<Uuid, Lived<'a>>,
    owned: &[Ownership],
    episode: &Episode<'a>,
) -> Finding {
    let case = Case { facts, lives, owned, episode };
    if !episode.restarted.is_empty() {
        return case.rolling_restart();
    }
    let victims = case.victims();
    case.fenced()
        .or_else(|| case.broker(&victims))
        .or_else(|| case.static_return())
        .or_else(|| {
            victims.iter().map(|victim| case.of_victim(victim)).min_by_key(|f| (f.began_at, f.subjects.clone()))
        })
        .or_else(|| case.leave())
        .or_else(|| case.metadata())
        .or_else(|| case.join())
        .unwrap_or_else(|| case.finding(Cause::Unknown, Confidence::None, [], episode.first_at(), Vec::new()))
}

struct Case<'a, 'b> {
    facts: &'a Facts,
    lives: &'a BTreeMap<Uuid, Lived<'a>>,
    owned: &'b [Ownership],
    episode: &'b Episode<'a>,
}

impl<'a> Case<'a, '_> {
    fn finding(
        &self,
        cause: Cause,
        confidence: Confidence,
        subjects: impl IntoIterator<Item = String>,
        began_at: Timestamp,
        evidence: Vec<Evidence>,
    ) -> Finding {
        let subjects: BTreeSet<String> = subjects.into_iter().collect();
        Finding { cause, confidence, subjects: subjects.into_iter().collect(), began_at, evidence }
    }

    /// Who lost something in this episode without having given it back.
    fn victims(&self) -> Vec<Victim<'a>> {
        let (from, until) = (self.episode.first_at(), self.episode.until());
        let mut removed: BTreeMap<Uuid, Timestamp> = BTreeMap::new();
        let mut note = |boot: Uuid, at: Timestamp| {
            removed.entry(boot).and_modify(|known| *known = at.min(*known)).or_insert(at);
        };
        let within = |at: Timestamp| at >= from && at <= until;
        for new in self.owned.iter().filter(|o| within(o.from)) {
            let Some(old) = predecessor(self.owned, new) else { continue };
            let unsaid = matches!(old.ended, Some(Ended::Died | Ended::Lost | Ended::Superseded) | None);
            // Lost to somebody else, or to itself; what was lost to others earlier is not this episode's.
            if unsaid && (old.boot_id != new.boot_id || old.ended == Some(Ended::Lost)) {
                note(old.boot_id, new.from.min(old.until.unwrap_or(new.from)));
            }
        }
        for old in self.owned.iter().filter(|o| o.until.is_some_and(within)) {
            let taken_before = self.owned.iter().any(|o| {
                o.partition == old.partition && o.boot_id != old.boot_id && o.from > old.from && o.from < from
            });
            if matches!(old.ended, Some(Ended::Died | Ended::Lost)) && !taken_before {
                note(old.boot_id, old.until.unwrap_or(until));
            }
        }
        let victims = removed.into_iter().filter_map(|(boot, removed_at)| {
            let lived = self.lives.get(&boot)?;
            let told =
                |e: &&&Entry| matches!(e.kind, Kind::Lost | Kind::PollExceeded) && e.at >= removed_at - TOLD_BEFORE;
            let told = lived.entries.iter().find(told).copied();
            Some(Victim { lived, boot, removed_at, told })
        });
        // Who had said before that it leaves is no victim.
        victims.filter(|v| !matches!(v.lived.fate, Fate::Left(at) if at <= v.removed_at)).collect()
    }

    fn of_victim(&self, victim: &Victim<'a>) -> Finding {
        let name = victim.lived.consumer_id.to_owned();
        let mut evidence: Vec<Evidence> = self.last_heartbeat(victim).into_iter().collect();
        if let Some(exceeded) = victim
            .lived
            .entries
            .iter()
            .find(|e| e.kind == Kind::PollExceeded && e.at >= victim.removed_at - TOLD_BEFORE)
        {
            let interval = victim.lived.life.map(|life| life.poll_interval);
            evidence.push(of_entry(
                exceeded,
                format!("{name}: {}", exceeded.detail.as_deref().unwrap_or("it did not poll")),
            ));
            let began = interval.map_or(victim.removed_at, |interval| victim.removed_at - interval);
            return self.finding(Cause::PollIntervalExceeded, Confidence::Certain, [name], began, evidence);
        }
        let died = matches!(victim.lived.fate, Fate::Died(_)).then_some(victim.lived.proof).flatten();
        if let Some(proof) = died
            && victim.lived.last_sign < victim.removed_at
        {
            return self.death(victim, proof, evidence);
        }
        let silence = self.facts.silences.iter().find(|s| {
            s.boot_id == victim.boot && s.from < victim.removed_at && s.until > victim.removed_at - TOLD_BEFORE
        });
        if let Some(silence) = silence {
            let s = silence.until.duration_since(silence.from).as_secs_f64();
            evidence.push(seen(
                silence.from,
                "heartbeat",
                None,
                format!("{name} sent no heartbeat for {s:.1} s, and then went on: the process was stopped or frozen"),
            ));
            evidence.extend(
                victim.told.map(|told| of_entry(told, format!("{name} learned that it had lost its partitions"))),
            );
            return self.finding(Cause::SessionTimedOut, Confidence::Certain, [name], silence.from, evidence);
        }
        if let Fate::Silent(at) = victim.lived.fate {
            evidence.push(absent(format!("{name} sent no leave and no heartbeat since, and its database sessions stayed open: stopped or cut off rather than dead")));
            return self.finding(Cause::SessionTimedOut, Confidence::Likely, [name], at, evidence);
        }
        if let Some(told) = victim.told {
            evidence.push(of_entry(told, format!("{name} learned that it had lost its partitions")));
            evidence.push(absent(format!(
                "{name} sent its heartbeats to the database all the while: its coordinator did not hear it"
            )));
            return self.finding(Cause::SessionTimedOut, Confidence::Likely, [name], victim.removed_at, evidence);
        }
        let Some(life) = victim.lived.life else {
            return self.finding(Cause::Unknown, Confidence::None, [name], victim.removed_at, evidence);
        };
        evidence.push(absent(format!(
            "{name} goes on sending heartbeats to the database and has answered nothing to its group"
        )));
        let began = victim.removed_at - life.poll_interval;
        self.finding(Cause::PollIntervalExceeded, Confidence::Likely, [name], began, evidence)
    }

    fn death(&self, victim: &Victim<'a>, proof: Proof<'a>, mut evidence: Vec<Evidence>) -> Finding {
        let (name, last) = (victim.lived.consumer_id.to_owned(), victim.lived.last_sign);
        evidence.push(absent(format!("no leave and no stop of {name} was journalled before its group removed it")));
        let (cause, confidence) = match proof {
            Proof::Sessions(view) => {
                evidence.push(of_sessions(view));
                if view.at.duration_since(last) <= SESSIONS_END_WITHIN || view.at <= victim.removed_at {
                    (Cause::Crash, Confidence::Certain)
                } else {
                    evidence.push(absent(format!("{name} was silent and alive before it ended")));
                    (Cause::SessionTimedOut, Confidence::Likely)
                }
            }
            Proof::Successor(started) => {
                evidence.push(of_entry(started, format!("another process of {name} started")));
                let sure = started.at <= victim.removed_at;
                (Cause::Crash, if sure { Confidence::Certain } else { Confidence::Likely })
            }
        };
        self.finding(cause, confidence, [name], last, evidence)
    }

    fn last_heartbeat(&self, victim: &Victim<'_>) -> Option<Evidence> {
        let life = victim.lived.life.filter(|life| life.last_beat < victim.removed_at)?;
        Some(seen(life.last_beat, "heartbeat", None, format!("last heartbeat of {}", victim.lived.consumer_id)))
    }

    /// Another process took a static id: the old one is told with a fatal error (classic groups).
    fn fenced(&self) -> Option<Finding> {
        let entry = self
            .episode
            .entries_of(Kind::Leaving)
            .find(|e| e.detail.as_deref().is_some_and(|d| d.contains("fenced")))?;
        let what = format!("{} was fenced: another process uses its static id", entry.consumer_id);
        Some(self.finding(
            Cause::Fenced,
            Confidence::Certain,
            [entry.consumer_id.clone()],
            entry.at,
            vec![of_entry(entry, what)],
        ))
    }

    /// A broker that is gone is why when nobody left or joined, and nobody was silent.
    fn broker(&self, victims: &[Victim<'_>]) -> Option<Finding> {
        let (view, gone) = self.broker_gone()?;
        let excused = |victim: &Victim<'_>| {
            let silent = self
                .facts
                .silences
                .iter()
                .any(|s| s.boot_id == victim.boot && s.until > view.not_before && s.from < victim.removed_at);
            matches!(victim.lived.fate, Fate::Lives)
                && !silent
                && victim
                    .lived
                    .entry(Kind::PollExceeded, view.not_before, self.episode.until() + BROKER_BEFORE)
                    .is_none()
        };
        let others = self.episode.entries().any(|e| matches!(e.kind, Kind::Leaving | Kind::Started));
        if others || !victims.iter().all(excused) {
            return None;
        }
        let names = gone.iter().map(|broker| format!("kafka{broker}"));
        let what = format!("the cluster does not list broker {} any more", numbers(&gone));
        let mut evidence = vec![Evidence {
            clock_error_ms: Some(ms_between(view.not_before, view.at)),
            ..seen(view.at, "brokers", Some(view.id), what)
        }];
        evidence.extend(victims.iter().filter_map(|v| v.told).map(|told| {
            of_entry(
                told,
                format!("{} lost its session while it beat on: the coordinator did not hear it", told.consumer_id),
            )
        }));
        Some(self.finding(
            Cause::BrokerLost,
            Confidence::Certain,
            names,
            view.not_before.min(self.episode.first_at()),
            evidence,
        ))
    }

    fn broker_gone(&self) -> Option<(&'a BrokersView, Vec<i32>)> {
        let (from, until) = (self.episode.first_at() - BROKER_BEFORE, self.episode.until());
        self.facts.broker_losses().find(|(view, _)| view.at >= from && view.not_before <= until)
    }

    /// A static member whose next process got its partitions while nobody else was given or asked for any.
    fn static_return(&self) -> Option<Finding> {
        let begun: Vec<&Ownership> =
            self.owned.iter().filter(|o| o.from >= self.episode.first_at() && o.from <= self.episode.until()).collect();
        let name = &begun.first()?.consumer_id;
        let same = begun.iter().all(|new| {
            new.consumer_id == *name
                && predecessor(self.owned, new)
                    .is_some_and(|old| old.consumer_id == *name && old.boot_id != new.boot_id)
        });
        let lived = self.lives.get(&begun.first()?.boot_id)?;
        let others = self.episode.entries().any(|e| {
            e.consumer_id != *name
                && e.partition.is_some()
                && matches!(e.kind, Kind::Assigned | Kind::Revoked | Kind::Lost)
        });
        if !same || others || !lived.is_static() {
            return None;
        }
        let old = predecessor(self.owned, begun.first()?).and_then(|old| self.lives.get(&old.boot_id));
        let gone_at = old.and_then(Lived::ended_at).unwrap_or(self.episode.first_at());
        let id = lived.life.and_then(|life| life.static_id.clone()).unwrap_or_default();
        let mut evidence = vec![seen(gone_at, "journal", None, format!("{name} went away"))];
        evidence.extend(
            lived
                .entries
                .iter()
                .find(|e| e.kind == Kind::Started)
                .map(|e| of_entry(e, format!("{name} is back with the static id {id}"))),
        );
        evidence.push(absent("no other member was given or asked for a partition".to_owned()));
        Some(self.finding(Cause::StaticMemberReturned, Confidence::Certain, [name.clone()], gone_at, evidence))
    }

    fn leave(&self) -> Option<Finding> {
        let mut leaving: Vec<&Entry> =
            self.episode.entries_of(Kind::Leaving).chain(self.episode.entries_of(Kind::Stopped)).collect();
        leaving.sort_by_key(|entry| entry.at);
        let first = *leaving.first()?;
        let names: BTreeSet<String> = leaving.iter().map(|entry| entry.consumer_id.clone()).collect();
        let why = |e: &Entry| e.detail.clone().unwrap_or_else(|| "it was asked to".to_owned());
        let begun = leaving.iter().filter(|e| e.kind == Kind::Leaving);
        let evidence = begun.map(|e| of_entry(e, format!("{} began to leave: {}", e.consumer_id, why(e))));
        Some(self.finding(Cause::CleanLeave, Confidence::Certain, names, first.at, evidence.collect()))
    }

    fn metadata(&self) -> Option<Finding> {
        let until = self.episode.until();
        let (old, new) = self.facts.topic_changes().filter(|(_, new)| new.at <= until).last()?;
        let here = self.episode.markers.iter().any(|marker| matches!(marker, Marker::Topic(_)));
        let added = self.episode.entries_of(Kind::Assigned).any(|e| e.partition.is_some_and(|p| p >= old.partitions));
        let seldom = added && self.episode.first_at().duration_since(new.at) <= METADATA_BEFORE;
        if !here && !seldom {
            return None;
        }
        let topic = &self.facts.topic;
        let (cause, what) = if old.topic_id == new.topic_id {
            (Cause::MetadataChanged, format!("{topic} has {} partitions, and had {}", new.partitions, old.partitions))
        } else {
            (
                Cause::TopicRecreated,
                format!("{topic} is another topic under its name: its id was {} and is {}", old.topic_id, new.topic_id),
            )
        };
        let began = new.at.min(self.episode.first_at());
        Some(self.finding(cause, Confidence::Certain, [], began, vec![seen(new.at, "brokers", Some(new.id), what)]))
    }

    fn join(&self) -> Option<Finding> {
        let mut evidence = Vec::new();
        let mut names = BTreeSet::new();
        let mut began = self.episode.noticed_at();
        for started in self.episode.entries_of(Kind::Started) {
            evidence.push(of_entry(started, format!("{} started", started.consumer_id)));
            names.insert(started.consumer_id.clone());
            began = began.min(started.at);
        }
        for lost in
            self.episode.entries_of(Kind::Lost).filter(|lost| !names.contains(&lost.consumer_id)).collect::<Vec<_>>()
        {
            let back = self.owned.iter().any(|o| o.boot_id == lost.boot_id && o.from >= lost.at);
            if back && names.insert(lost.consumer_id.clone()) {
                evidence.push(of_entry(
                    lost,
                    format!("{} woke, learned that it had lost its partitions, and joined again", lost.consumer_id),
                ));
            }
        }
        // Its start was long ago: it waited for its brokers, or nobody recorded it.
        let new = self
            .lives
            .values()
            .filter(|l| l.joined_at.is_some_and(|at| at >= self.episode.first_at() && at <= self.episode.until()));
        for lived in new {
            if names.insert(lived.consumer_id.to_owned()) {
                evidence.push(seen(
                    lived.joined_at.unwrap_or(began),
                    "journal",
                    None,
                    format!("{} was given its first assignment", lived.consumer_id),
                ));
            }
        }
        (!names.is_empty()).then(|| self.finding(Cause::Join, Confidence::Certain, names, began, evidence))
    }

    fn rolling_restart(&self) -> Finding {
        let mut evidence = Vec::new();
        for entry in self.episode.entries().filter(|e| self.episode.restarted.contains(&e.consumer_id)) {
            match entry.kind {
                Kind::Leaving => {
                    evidence.push(of_entry(entry, format!("{} began to leave as it was asked to", entry.consumer_id)))
                }
                Kind::Started => evidence.push(of_entry(entry, format!("{} started again", entry.consumer_id))),
                _ => {}
            }
        }
        let names = self.episode.restarted.iter().cloned();
        self.finding(Cause::RollingRestart, Confidence::Certain, names, self.episode.first_at(), evidence)
    }
}

/// A callback may come this much before the facts that explain it: clocks, and the order of answers.
const TOLD_BEFORE: SignedDuration = SignedDuration::from_millis(500);

pub(crate) fn of_entry(entry: &Entry, what: String) -> Evidence {
    let clock_error_ms = entry.clock_error.map(milliseconds);
    Evidence { at: Some(entry.at), clock_error_ms, source: "journal".into(), fact: Some(entry.id), what }
}

pub(crate) fn seen(at: Timestamp, source: &str, fact: Option<i64>, what: String) -> Evidence {
    Evidence { at: Some(at), clock_error_ms: None, source: source.into(), fact, what }
}

pub(crate) fn absent(what: String) -> Evidence {
    Evidence { at: None, clock_error_ms: None, source: "absence".into(), fact: None, what }
}

fn of_sessions(view: &SessionsView) -> Evidence {
    seen(view.at, "sessions", Some(view.id), format!("the database sessions of {} had ended", view.consumer_id))
}

/// `1`, `1 and 3`, `0, 3 and 5`.
pub(crate) fn numbers<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
