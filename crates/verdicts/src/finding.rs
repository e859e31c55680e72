//! What the rebalances of a time amount to: patterns that one of them does not show.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::cause::numbers;
use crate::story::duration;

/// This many rebalances within [`STORM_WITHIN`] are a storm.
const STORM: usize = 5;
const STORM_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// A member that caused this many flaps.
const FLAPS: usize = 3;
/// Clocks that differ by more than this are told, in milliseconds.
const SKEW_MS: f64 = 50.0;

/// What findings are made of: a rebalance in brief.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group_id: String,
    /// Name of its cause.
    pub cause: String,
    /// Who caused it.
    pub subjects: Vec<String>,
    /// When it was noticed.
    pub at: Timestamp,
    /// Milliseconds with two owners.
    pub two_owners_ms: f64,
    /// Writes that the database refused.
    pub refusals: i64,
    /// Nobody had some partition afterwards.
    pub orphaned: bool,
    /// Partitions that moved, and the fewest that had to.
    pub moves: (i32, i32),
}

/// A member as it is now.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub consumer_id: String,
    /// Its group.
    pub group_id: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Its clock minus the database's.
    pub clock_skew_ms: Option<f64>,
}

/// A partition that is owned and not read.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// Its group.
    pub group_id: String,
    /// Partition.
    pub partition: i32,
    /// Why.
    pub reason: String,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// `two_owners`, `orphan`, `stuck`, `storm`, `flapping`, `skewed`, `moved_too_much` or `clock_skew`.
    pub kind: &'static str,
    /// The group.
    pub group_id: String,
    /// When it was so last.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it is, in one line.
    pub title: String,
    /// What it rests on, in one line.
    pub evidence: String,
    /// What to do, in one line.
    pub advice: String,
    /// The rebalances that it rests on, newest first, ten at the most.
    pub rebalances: Vec<String>,
}

/// The findings of a time, the worst first. `cases` are newest first.
pub fn findings(cases: &[Case], members: &[Member], stuck: &[Stuck], now: Timestamp) -> Vec<Finding> {
    let mut groups: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        groups.entry(&case.group_id).or_default().push(case);
    }
    let mut found = Vec::new();
    found.extend(stuck.iter().map(|stuck| stuck_partition(stuck, now)));
    for (group, cases) in &groups {
        found.extend(orphans(group, cases));
        found.extend(overlaps(group, cases));
        found.extend(storm(group, cases));
        found.extend(flapping(group, cases));
        found.extend(moved_too_much(group, cases));
    }
    found.extend(skewed(members, now));
    found.extend(members.iter().filter_map(|member| clock_skew(member, now)));
    found
}

fn ids<'a>(cases: impl IntoIterator<Item = &'a &'a Case>) -> Vec<String> {
    cases.into_iter().take(10).map(|case| case.id.clone()).collect()
}

fn stuck_partition(stuck: &Stuck, now: Timestamp) -> Finding {
    Finding {
        kind: "stuck",
        group_id: stuck.group_id.clone(),
        at: now,
        title: format!("Partition {} is owned and not read", stuck.partition),
        evidence: stuck.reason.clone(),
        advice: "consumer offsets show tells its offsets and how to get it out.".to_owned(),
        rebalances: Vec::new(),
    }
}

fn orphans(group: &str, cases: &[&Case]) -> Option<Finding> {
    let of: Vec<&&Case> = cases.iter().filter(|case| case.orphaned).collect();
    let last = of.first()?;
    Some(Finding {
        kind: "orphan",
        group_id: group.to_owned(),
        at: last.at,
        title: format!("{} left partitions to nobody", counted(of.len(), "rebalance")),
        evidence: format!("last when {} went; nobody was left to take over", numbers(&last.subjects)),
        advice: "Run one consumer more than must be there at the least.".to_owned(),
        rebalances: ids(of),
    })
}

fn overlaps(group: &str, cases: &[&Case]) -> Option<Finding> {
    let of: Vec<&&Case> = cases.iter().filter(|case| case.two_owners_ms > 0.0).collect();
    let last = of.first()?;
    let refused: i64 = of.iter().map(|case| case.refusals).sum();
    let longest = of.iter().map(|case| case.two_owners_ms).fold(0.0, f64::max);
    Some(Finding {
        kind: "two_owners",
        group_id: group.to_owned(),
        at: last.at,
        title: format!("Two owners for up to {}", duration(longest)),
        evidence: format!(
            "{} still held partitions that others had; the database refused {refused} of its writes, none is stored twice",
            numbers(&last.subjects)
        ),
        advice: "Find out why it stands still: memory, CPU quota, a long handler. A longer session only hides it."
            .to_owned(),
        rebalances: ids(of),
    })
}

fn storm(group: &str, cases: &[&Case]) -> Option<Finding> {
    // Newest first: the newest window that is full.
    let window = cases.windows(STORM).find(|window| {
        let (newest, oldest) = (window[0].at, window[STORM - 1].at);
        newest.duration_since(oldest) <= STORM_WITHIN
    })?;
    let in_row: Vec<&&Case> = cases
        .iter()
        .filter(|case| case.at <= window[0].at && window[0].at.duration_since(case.at) <= STORM_WITHIN)
        .collect();
    Some(Finding {
        kind: "storm",
        group_id: group.to_owned(),
        at: window[0].at,
        title: format!("{} within ten minutes", counted(in_row.len(), "rebalance")),
        evidence: by_cause(&in_row),
        advice: "Look at the first of them: the others usually follow from it.".to_owned(),
        rebalances: ids(in_row),
    })
}

fn by_cause(cases: &[&&Case]) -> String {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        *causes.entry(&case.cause).or_default() += 1;
    }
    let told: Vec<String> = causes.iter().map(|(cause, n)| format!("{n} {}", cause.replace('_', " "))).collect();
    told.join(", ")
}

fn flapping(group: &str, cases: &[&Case]) -> Vec<Finding> {
    const OWN_FAULT: [&str; 3] = ["crash", "session_timed_out", "poll_interval_exceeded"];
    let mut by_member: BTreeMap<&str, Vec<&&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| OWN_FAULT.contains(&case.cause.as_str())) {
        for subject in &case.subjects {
            by_member.entry(subject).or_default().push(case);
        }
    }
    let mut ranked: Vec<(&str, Vec<&&Case>)> = by_member.into_iter().filter(|(_, of)| of.len() >= FLAPS).collect();
    ranked.sort_by_key(|(member, of)| (std::cmp::Reverse(of.len()), *member));
    let finding = |(member, of): (&str, Vec<&&Case>)| Finding {
        kind: "flapping",
        group_id: group.to_owned(),
        at: of[0].at,
        title: format!("{member} caused {} of {}", of.len(), counted(cases.len(), "rebalance")),
        evidence: by_cause(&of),
        advice: match of[0].cause.as_str() {
            "crash" => "Look at its last log lines and its memory limit.".to_owned(),
            "poll_interval_exceeded" => {
                "What it does between two polls takes too long: smaller batches, or a longer max.poll.interval.ms."
                    .to_owned()
            }
            _ => "It stops for longer than its session: look at its memory and CPU limits, or give it a static id."
                .to_owned(),
        },
        rebalances: ids(of),
    };
    ranked.into_iter().map(finding).collect()
}

fn moved_too_much(group: &str, cases: &[&Case]) -> Option<Finding> {
    let of: Vec<&&Case> = cases.iter().filter(|case| case.moves.0 > case.moves.1).collect();
    let last = of.first()?;
    let (moved, fewest) = of.iter().fold((0, 0), |(a, b), case| (a + case.moves.0, b + case.moves.1));
    Some(Finding {
        kind: "moved_too_much",
        group_id: group.to_owned(),
        at: last.at,
        title: format!("{moved} partitions moved where {fewest} had to"),
        evidence: format!("in {}", counted(of.len(), "rebalance")),
        advice: "range deals all partitions anew each time: cooperative-sticky or KIP-848 keep what can be kept."
            .to_owned(),
        rebalances: ids(of),
    })
}

fn skewed(members: &[Member], now: Timestamp) -> Vec<Finding> {
    let mut groups: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members {
        groups.entry(&member.group_id).or_default().push(member);
    }
    let finding = |(group, members): (&str, Vec<&Member>)| {
        let most = members.iter().max_by_key(|member| member.partitions)?;
        let least = members.iter().min_by_key(|member| member.partitions)?;
        (most.partitions > least.partitions + 1).then(|| Finding {
            kind: "skewed",
            group_id: group.to_owned(),
            at: now,
            title: format!(
                "{} has {} partitions, {} has {}",
                most.consumer_id, most.partitions, least.consumer_id, least.partitions
            ),
            evidence: format!("{} in the group", counted(members.len(), "member")),
            advice: "It settles with the next rebalance, unless the assignor is given different topics.".to_owned(),
            rebalances: Vec::new(),
        })
    };
    groups.into_iter().filter_map(finding).collect()
}

fn clock_skew(member: &Member, now: Timestamp) -> Option<Finding> {
    let skew = member.clock_skew_ms.filter(|skew| skew.abs() > SKEW_MS)?;
    let side = if skew > 0.0 { "ahead" } else { "behind" };
    Some(Finding {
        kind: "clock_skew",
        group_id: member.group_id.clone(),
        at: now,
        title: format!("Clock of {} is {} {side}", member.consumer_id, duration(skew.abs())),
        evidence: "measured against the database's, with its heartbeats".to_owned(),
        advice: "Times here are corrected by it. Its own log lines are not: look at its NTP.".to_owned(),
        rebalances: Vec::new(),
    })
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(minute: i64, cause: &str, subject: &str) -> Case {
        Case {
            id: format!("g@{minute}"),
            group_id: "g".into(),
            cause: cause.into(),
            subjects: vec![subject.into()],
            at: Timestamp::from_second(minute * 60).expect("a time"),
            two_owners_ms: 0.0,
            refusals: 0,
            orphaned: false,
            moves: (2, 2),
        }
    }

    fn kinds(cases: &[Case]) -> Vec<&'static str> {
        findings(cases, &[], &[], Timestamp::UNIX_EPOCH).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_day_with_a_few_rebalances_has_nothing_to_find() {
        assert!(kinds(&[case(300, "join", "a"), case(200, "crash", "a"), case(100, "clean_leave", "b")]).is_empty());
    }

    #[test]
    fn many_within_ten_minutes_are_a_storm_and_as_many_within_a_day_are_none() {
        let storm: Vec<Case> = (0..5).rev().map(|i| case(i, "join", "a")).collect();
        assert_eq!(kinds(&storm), ["storm"]);
        let day: Vec<Case> = (0..5).rev().map(|i| case(i * 60, "join", "a")).collect();
        assert!(kinds(&day).is_empty());
    }

    #[test]
    fn who_causes_most_is_named_first_and_clean_leaves_are_nobodys_fault() {
        let mut cases: Vec<Case> = (0..4).map(|i| case(1_000 - 100 * i, "crash", "bad")).collect();
        cases.extend((0..3).map(|i| case(590 - 100 * i, "session_timed_out", "worse")));
        cases.extend((0..6).map(|i| case(200 - 30 * i, "clean_leave", "good")));
        let found = findings(&cases, &[], &[], Timestamp::UNIX_EPOCH);
        let titles: Vec<&str> = found.iter().map(|finding| finding.title.as_str()).collect();
        assert_eq!(titles, ["bad caused 4 of 13 rebalances", "worse caused 3 of 13 rebalances"]);
    }
}
