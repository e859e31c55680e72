//! `monitor export`: everything that was recorded of a time, in one file for an incident.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use store::Store;
use store::flight_recorder::{self as recorded, Cursor, Filter, drills, filtered, notes, owned_between, slots};
use verdicts::Rebalance;

use super::Drill;

/// Rebalances of one question.
const PAGE: i64 = 200;

/// The file, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Export {
    /// As asked for.
    pub from: Timestamp,
    /// As asked for.
    pub to: Timestamp,
    /// Oldest first, with their evidence.
    pub rebalances: Vec<Rebalance>,
    /// What people wrote.
    pub notes: Vec<Note>,
    /// Experiments.
    pub drills: Vec<Drill>,
    /// Who had what, by partition and begin.
    pub ownership: Vec<Owned>,
}

/// A note to a rebalance.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    rebalance: String,
    at: Timestamp,
    author: String,
    text: String,
}

/// An ownership.
#[derive(Clone, Debug, Serialize)]
pub struct Owned {
    group_id: String,
    topic: String,
    partition: i32,
    consumer_id: Option<String>,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// Reads it.
///
/// # Errors
/// Transient ones.
pub async fn export(store: &Store, from: Timestamp, to: Timestamp) -> store::Result<Export> {
    let mut filter = Filter { from: Some(from), until: Some(to), limit: PAGE, evidence: true, ..Filter::default() };
    let mut rebalances = Vec::new();
    loop {
        let page: Vec<Rebalance> = filtered(store, &filter).await?.into_iter().filter_map(parsed).collect();
        let Some(last) = page.last() else { break };
        filter.cursor = Some(Cursor { noticed_at: last.noticed_at, id: last.id.clone() });
        rebalances.extend(page);
    }
    rebalances.reverse();
    let mut told = Vec::new();
    for rebalance in &rebalances {
        let notes = notes(store, &rebalance.id).await?;
        let of = |note: recorded::Note| Note {
            rebalance: rebalance.id.clone(),
            at: note.at,
            author: note.author,
            text: note.text,
        };
        told.extend(notes.into_iter().map(of));
    }
    let owned = owned_between(store, from, to).await?;
    let names: BTreeMap<i32, String> =
        slots(store).await?.into_iter().map(|slot| (slot.slot, slot.consumer_id)).collect();
    let ownership = owned.into_iter().map(|o| Owned {
        group_id: o.group_id,
        topic: o.topic,
        partition: o.partition,
        consumer_id: o.slot.and_then(|slot| names.get(&slot).cloned()),
        from: o.from,
        until: o.until,
    });
    let drills = drills(store, from, to).await?.into_iter().map(Drill::from).collect();
    Ok(Export { from, to, rebalances, notes: told, drills, ownership: ownership.collect() })
}

impl Export {
    /// JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data always serialises") + "\n"
    }

    /// Markdown, and the same facts as JSON behind it.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Rebalances from {} to {}\n\n", self.from, self.to);
        for drill in &self.drills {
            let outcome = drill.outcome.as_deref().unwrap_or("not ended");
            let _ = writeln!(text, "- drill {}: {outcome}", drill.scenario);
        }
        for rebalance in &self.rebalances {
            // One heading less: the file has its own.
            let _ = write!(text, "\n#{}", verdicts::markdown(rebalance).replace("\n## ", "\n### "));
        }
        let json = self.to_json();
        // Names may hold backquotes: JSON writes them as an escape, so that nothing ends the block.
        let _ = write!(text, "\n## Data\n\n```json\n{}```\n", json.replace('`', "\\u0060"));
        text
    }
}

fn parsed(verdict: Value) -> Option<Rebalance> {
    serde_json::from_value(verdict).ok()
}
