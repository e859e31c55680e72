//! A rebalance in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cause::numbers;
use crate::fact::ms_between;
use crate::verdict::{Cause, Confidence, Handover, Move, Rebalance};

/// The story: what happened, when it was noticed, what moved where, how long it was dark, what was lost.
pub(crate) fn story(rebalance: &Rebalance) -> String {
    let mut sentences = vec![what(rebalance)];
    sentences.push(noticed(rebalance));
    if let Some(moves) = moves(rebalance) {
        sentences.push(moves);
    }
    if let Some(dark) = dark(rebalance) {
        sentences.push(dark);
    }
    if rebalance.refusals > 0 {
        let n = rebalance.refusals;
        sentences.push(format!("The database refused {n} {} of a stale owner.", plural(n.into(), "write", "writes")));
    }
    if rebalance.blind_ms > 0.0 {
        sentences.push(format!("{} of it were not recorded.", duration(rebalance.blind_ms)));
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.join(" ")
}

fn what(rebalance: &Rebalance) -> String {
    let who = numbers(&rebalance.subjects);
    let many = rebalance.subjects.len() > 1;
    let likely = rebalance.confidence == Confidence::Likely;
    match rebalance.cause {
        Cause::Crash => format!("{who} {}died without leaving.", if likely { "probably " } else { "" }),
        Cause::CleanLeave => format!("{who} left the group."),
        Cause::Join if rebalance.members_before.is_empty() => format!("The group began with {who}."),
        Cause::Join => format!("{who} joined."),
        Cause::RollingRestart => format!("{who} were restarted one after the other."),
        Cause::SessionTimedOut if likely => format!(
            "{who} fell silent and lost {} session; nothing says yet whether it is stopped or cut off.",
            its(many)
        ),
        Cause::SessionTimedOut => format!("{who} stood still past {} session and woke later.", its(many)),
        Cause::PollIntervalExceeded if likely => {
            format!("{who} beats on and has not polled: {} poll interval is probably exceeded.", its(many))
        }
        Cause::PollIntervalExceeded => format!("{who} did not poll within {} max.poll.interval.ms.", its(many)),
        Cause::Fenced => format!("{who} was fenced: another process took its static id."),
        Cause::MetadataChanged => format!("{} has another number of partitions.", rebalance.topic),
        Cause::TopicRecreated => format!("{} was deleted and created again.", rebalance.topic),
        Cause::BrokerLost => format!("{who} went away."),
        Cause::StaticMemberReturned => {
            format!("{who} went and came back within its session: a static member, so the group did not notice.")
        }
        Cause::Unknown => "The group was rebalanced; nothing that was recorded says why.".to_owned(),
    }
}

fn its(many: bool) -> &'static str {
    if many { "their" } else { "its" }
}

fn noticed(rebalance: &Rebalance) -> String {
    let after = ms_between(rebalance.began_at, rebalance.noticed_at);
    match rebalance.cause {
        Cause::Crash | Cause::SessionTimedOut | Cause::BrokerLost => {
            format!("Noticed after {}.", duration(after.max(0.0)))
        }
        _ => String::new(),
    }
}

fn moves(rebalance: &Rebalance) -> Option<String> {
    let mut to: BTreeMap<(&str, bool), Vec<i32>> = BTreeMap::new();
    // Where each of them ended up: they are by partition and time.
    let last: BTreeMap<i32, &Handover> = rebalance.handovers.iter().map(|h| (h.partition, h)).collect();
    for handover in last.into_values() {
        let Some(owner) = handover.to.as_deref() else { continue };
        match handover.moved {
            Move::Moved | Move::First => to.entry((owner, false)).or_default().push(handover.partition),
            Move::Returned => to.entry((owner, true)).or_default().push(handover.partition),
            Move::Kept | Move::Orphaned => {}
        }
    }
    let orphans: Vec<i32> =
        rebalance.handovers.iter().filter(|h| h.moved == Move::Orphaned).map(|h| h.partition).collect();
    let mut parts: Vec<String> = to
        .into_iter()
        .map(|((owner, back), mut partitions)| {
            partitions.sort_unstable();
            partitions.dedup();
            let verb = if back { "back to" } else { "to" };
            format!(
                "{} {} {verb} {owner}",
                plural(partitions.len() as u64, "partition", "partitions"),
                numbers(&partitions)
            )
        })
        .collect();
    if !orphans.is_empty() {
        parts.push(format!(
            "{} {} to nobody",
            plural(orphans.len() as u64, "partition", "partitions"),
            numbers(&orphans)
        ));
    }
    if parts.is_empty() {
        return Some("No partition moved.".to_owned());
    }
    let mut sentence = parts.join("; ");
    if let Some(first) = sentence.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    Some(format!("{sentence}."))
}

fn dark(rebalance: &Rebalance) -> Option<String> {
    let Some(worst) = rebalance.dark_max_ms else {
        return (!rebalance.handovers.is_empty()).then(|| "No record waited.".to_owned());
    };
    let mut sentence = format!("Dark for up to {}", duration(worst));
    if rebalance.waited_records > 0 {
        let _ = write!(
            sentence,
            "; {} {} waited",
            rebalance.waited_records,
            plural(rebalance.waited_records.unsigned_abs(), "record", "records")
        );
    }
    if rebalance.read_twice > 0 {
        let _ = write!(sentence, "; {} read twice and stored once", rebalance.read_twice);
    }
    // A batch is only named as the last one before when the next begins where it ended.
    let mut stored = rebalance.handovers.iter().filter(|handover| handover.stored_at.is_some()).peekable();
    if stored.peek().is_some() && stored.all(|h| h.last_stored_at.is_some()) && !rebalance.open {
        sentence.push_str("; nothing lost");
    }
    sentence.push('.');
    Some(sentence)
}

fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// Under 100 ms in ms, under 1 s with two decimals, then with one.
pub fn duration(ms: f64) -> String {
    if ms < 100.0 {
        format!("{ms:.0} ms")
    } else if ms < 1_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else {
        format!("{:.1} s", ms / 1_000.0)
    }
}

/// The flight report: the same facts as the JSON, for a ticket.
pub fn markdown(rebalance: &Rebalance) -> String {
    let mut text = format!("# {} in {}\n\n", title(rebalance.cause), plain(&rebalance.group_id));
    let _ = writeln!(text, "{}\n", plain(&rebalance.story));
    let row = |text: &mut String, name: &str, value: String| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    text.push_str("| | |\n|---|---|\n");
    row(&mut text, "Id", plain(&rebalance.id));
    row(
        &mut text,
        "Revision",
        format!("{}{}", rebalance.revision, if rebalance.open { ", still going on" } else { "" }),
    );
    row(&mut text, "Cause", format!("{}, {}", rebalance.cause.name(), confidence(rebalance.confidence)));
    row(&mut text, "Began", rebalance.began_at.to_string());
    row(&mut text, "Noticed", rebalance.noticed_at.to_string());
    row(&mut text, "Ended", rebalance.ended_at.map_or_else(|| "not yet".to_owned(), |at| at.to_string()));
    row(
        &mut text,
        "Protocol",
        format!("{}, generations {}", rebalance.protocol, none_or(numbers(&rebalance.generations))),
    );
    row(&mut text, "Members before", plain(&none_or(numbers(&rebalance.members_before))));
    row(&mut text, "Members after", plain(&none_or(numbers(&rebalance.members_after))));
    row(&mut text, "Moved", format!("{}, the fewest possible is {}", rebalance.moved, rebalance.fewest));
    row(&mut text, "Read twice", rebalance.read_twice.to_string());
    row(&mut text, "Refused", rebalance.refusals.to_string());
    row(&mut text, "Two owners", duration(rebalance.two_owners_ms));
    text.push_str("\n## Dark time\n\n");
    if rebalance.handovers.is_empty() {
        text.push_str("No partition moved.\n");
    } else {
        text.push_str("| partition | from | to | dark | detect | reassign | resume | waited |\n|---|---|---|---|---|---|---|---|\n");
    }
    for handover in &rebalance.handovers {
        let name = |name: &Option<String>| name.as_deref().map_or_else(|| "nobody".to_owned(), plain);
        let ms = |ms: Option<f64>| {
            ms.map_or_else(|| if handover.quiet { "quiet".to_owned() } else { "–".to_owned() }, duration)
        };
        let waited = handover.waited_records.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {waited} |",
            handover.partition,
            name(&handover.from),
            name(&handover.to),
            ms(handover.dark_ms),
            ms(handover.detect_ms),
            ms(handover.reassign_ms),
            ms(handover.resume_ms)
        );
    }
    text.push_str("\n## Evidence\n\n");
    for evidence in &rebalance.evidence {
        let at = evidence.at.map_or_else(|| "absent".to_owned(), |at| at.to_string());
        let fact = evidence.fact.map_or_else(String::new, |fact| format!(" {fact}"));
        let _ = writeln!(text, "- {at}: {} ({}{fact})", plain(&evidence.what), evidence.source);
    }
    for disagreement in &rebalance.disagreements {
        let _ = writeln!(text, "- disagreement: {}", plain(disagreement));
    }
    text
}

/// A cause as a title.
fn title(cause: Cause) -> &'static str {
    match cause {
        Cause::Crash => "Crash",
        Cause::CleanLeave => "Clean leave",
        Cause::Join => "Join",
        Cause::RollingRestart => "Rolling restart",
        Cause::SessionTimedOut => "Session timed out",
        Cause::PollIntervalExceeded => "Poll interval exceeded",
        Cause::Fenced => "Fenced",
        Cause::MetadataChanged => "Metadata changed",
        Cause::TopicRecreated => "Topic re-created",
        Cause::BrokerLost => "Broker lost",
        Cause::StaticMemberReturned => "Static member away and back",
        Cause::Unknown => "Unknown cause",
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::None => "not known",
    }
}

fn none_or(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// Names are data: what Markdown or HTML would take for markup is written so that it shows as it is.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => plain.extend(['\\', character]),
            character if character.is_control() => plain.extend(character.escape_unicode()),
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                plain.extend(character.escape_unicode());
            }
            character => plain.push(character),
        }
    }
    plain
}
