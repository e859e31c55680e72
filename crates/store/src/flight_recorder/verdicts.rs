//! What was concluded: kept by its id, revised when it changes, and told on the stream in the same transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::types::Json;
use tokio_postgres::{GenericClient, Row, Transaction};
use verdicts::{Ended, Ownership, Rebalance, Verdicts};

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::event_stream::Recorder;

const DOING: &str = "keeping verdicts";

/// What [`Recorder::keep`] wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Ownerships that are new or changed.
    pub ownerships: usize,
    /// Rebalances that are new, or ended differently than they did, with their revisions.
    pub rebalances: Vec<Rebalance>,
}

impl Recorder {
    /// Keeps what was judged of a group from `cut` on. What is there already stays as it is; what differs becomes a
    /// revision under the id that it had.
    ///
    /// # Errors
    /// Transient ones; nothing is kept in part.
    pub async fn keep(&mut self, group_id: &str, topic: &str, cut: Timestamp, verdicts: &Verdicts) -> Result<Written> {
        let transaction = self.client_mut().transaction().await.map_err(Error::doing(DOING))?;
        let ownerships = keep_ownership(&transaction, group_id, topic, cut, &verdicts.ownership).await?;
        let rebalances = keep_rebalances(&transaction, group_id, topic, cut, &verdicts.rebalances).await?;
        transaction.commit().await.map_err(Error::doing(DOING))?;
        Ok(Written { ownerships, rebalances })
    }
}

async fn keep_ownership(
    transaction: &Transaction<'_>,
    group_id: &str,
    topic: &str,
    cut: Timestamp,
    judged: &[Ownership],
) -> Result<usize> {
    let known = transaction
        .query(
            "SELECT * FROM ownership WHERE group_id = $1 AND topic = $2 \
                AND (during && tstzrange($3, NULL) OR fact = ANY($4))",
            &[&group_id, &topic, &cut, &judged.iter().map(|owned| owned.fact).collect::<Vec<_>>()],
        )
        .await
        .map_err(Error::doing(DOING))?;
    let known: BTreeMap<i64, Ownership> = known.iter().map(ownership_of).map(|owned| (owned.fact, owned)).collect();
    let changed: Vec<&Ownership> = judged.iter().filter(|owned| known.get(&owned.fact) != Some(owned)).collect();
    if changed.is_empty() {
        return Ok(0);
    }
    transaction
        .execute(
            "INSERT INTO ownership AS o (fact, group_id, topic, partition_number, consumer_id, boot_id, member_id, generation, \
                    claim, claimed_at, from_at, until_at, ended) \
             SELECT fact, group_id, topic, partition, consumer_id, boot_id, member_id, generation, claim, claimed_at, \
                    \"from\", until, ended \
               FROM jsonb_to_recordset($1) AS j(fact bigint, group_id text, topic text, partition integer, consumer_id text, \
                    boot_id uuid, member_id text, generation integer, claim uuid, claimed_at timestamptz, \"from\" timestamptz, \
                    until timestamptz, ended text) \
             ON CONFLICT (fact) DO UPDATE SET claim = EXCLUDED.claim, claimed_at = EXCLUDED.claimed_at, \
                    from_at = EXCLUDED.from_at, until_at = EXCLUDED.until_at, ended = EXCLUDED.ended",
            &[&Json(json!(changed))],
        )
        .await
        .map_err(Error::doing(DOING))?;
    let body = json!({ "group_id": group_id, "topic": topic, "changed": changed });
    tell(transaction, "ownership", changed.iter().map(|owned| owned.from).max(), &body).await?;
    Ok(changed.len())
}

async fn keep_rebalances(
    transaction: &Transaction<'_>,
    group_id: &str,
    topic: &str,
    cut: Timestamp,
    judged: &[Rebalance],
) -> Result<Vec<Rebalance>> {
    let known = known_rebalances(transaction, group_id, topic, cut).await?;
    let written = revisions(&known, judged);
    for rebalance in &written {
        write(transaction, rebalance).await?;
    }
    Ok(written)
}

async fn known_rebalances(
    client: &impl GenericClient,
    group_id: &str,
    topic: &str,
    cut: Timestamp,
) -> Result<BTreeMap<String, Rebalance>> {
    let rows = client
        .query(
            "SELECT verdict FROM rebalances WHERE group_id = $1 AND topic = $2 AND noticed_at >= $3 ORDER BY noticed_at",
            &[&group_id, &topic, &cut],
        )
        .await
        .map_err(Error::doing(DOING))?;
    // One that another build wrote otherwise is written anew.
    let known = rows.iter().filter_map(|row| serde_json::from_value::<Rebalance>(row.get(0)).ok());
    Ok(known.map(|rebalance| (rebalance.id.clone(), rebalance)).collect())
}

/// What is new, or differs from what is known, with its revision.
fn revisions(known: &BTreeMap<String, Rebalance>, judged: &[Rebalance]) -> Vec<Rebalance> {
    let ids = settled_ids(known, judged);
    let mut revisions = Vec::new();
    for new in judged {
        let mut new = new.clone();
        new.id = ids[&new.id].clone();
        new.part_of = new.part_of.map(|whole| ids.get(&whole).cloned().unwrap_or(whole));
        if let Some(old) = known.get(&new.id) {
            new.revision = old.revision;
            if material(old) == material(&new) {
                continue;
            }
            new.revision += 1;
        }
        revisions.push(new);
    }
    // What used to be a rebalance of its own, and is none any more: it went into the one around it.
    let kept: BTreeSet<&String> = ids.values().collect();
    for (id, old) in known.iter().filter(|(id, old)| !kept.contains(id) && old.part_of.is_none()) {
        let whole =
            judged.iter().rfind(|new| new.part_of.is_none() && new.noticed_at <= old.noticed_at && ids[&new.id] != *id);
        if let Some(whole) = whole.or(judged.first()).map(|whole| ids[&whole.id].clone()).filter(|whole| whole != id) {
            revisions.push(Rebalance { part_of: Some(whole), open: false, revision: old.revision + 1, ..old.clone() });
        }
    }
    revisions
}

/// What would be kept otherwise if a group were judged again from `cut` on: a line for each field of each rebalance that
/// differs, with what is kept and what it would be.
///
/// # Errors
/// Transient ones.
pub async fn differences(
    store: &Store,
    group_id: &str,
    topic: &str,
    cut: Timestamp,
    verdicts: &Verdicts,
) -> Result<Vec<String>> {
    let client = store.pooled().await?;
    let known = known_rebalances(&**client, group_id, topic, cut).await?;
    let mut lines = Vec::new();
    for new in revisions(&known, &verdicts.rebalances) {
        let (new, old) = (json!(new), json!(known.get(&new.id)));
        for (field, would_be) in new.as_object().into_iter().flatten().filter(|(field, _)| *field != "revision") {
            if old.get(field) != Some(would_be) {
                let id = new["id"].as_str().unwrap_or_default();
                let kept = old.get(field).unwrap_or(&Value::Null);
                lines.push(format!("{id}: {field}: kept {kept}, would be {would_be}"));
            }
        }
    }
    Ok(lines)
}

/// The id that each judged rebalance has for good: the one under which most of its facts are known already.
fn settled_ids(known: &BTreeMap<String, Rebalance>, judged: &[Rebalance]) -> BTreeMap<String, String> {
    let facts = |rebalance: &Rebalance| -> BTreeSet<i64> {
        rebalance.evidence.iter().filter(|e| e.source == "journal").filter_map(|e| e.fact).collect()
    };
    let mut free: BTreeMap<&String, BTreeSet<i64>> =
        known.iter().map(|(id, rebalance)| (id, facts(rebalance))).collect();
    let mut ids = BTreeMap::new();
    for new in judged.iter().filter(|new| known.contains_key(&new.id)) {
        free.remove(&new.id);
        ids.insert(new.id.clone(), new.id.clone());
    }
    for new in judged.iter().filter(|new| !known.contains_key(&new.id)) {
        let own = facts(new);
        let shared = |old: &BTreeSet<i64>| old.intersection(&own).count();
        let best = free.iter().map(|(id, old)| (shared(old), *id)).filter(|(n, _)| *n > 0).max();
        let id = best.map_or_else(|| new.id.clone(), |(_, id)| id.clone());
        free.remove(&id);
        ids.insert(new.id.clone(), id);
    }
    ids
}

/// What makes a revision: not how long something has been dark that still is.
fn material(rebalance: &Rebalance) -> Rebalance {
    let mut material = Rebalance { revision: 0, ..rebalance.clone() };
    if rebalance.open {
        (material.dark_max_ms, material.dark_sum_ms) = (None, 0.0);
        material.story = String::new();
    }
    for handover in material.handovers.iter_mut().filter(|handover| handover.open) {
        (handover.dark_ms, handover.detect_ms, handover.reassign_ms, handover.resume_ms) = (None, None, None, None);
    }
    material
}

async fn write(transaction: &Transaction<'_>, rebalance: &Rebalance) -> Result<()> {
    let whole = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    transaction
        .execute(
            "INSERT INTO rebalances (id, group_id, topic, cause, protocol, began_at, noticed_at, ended_at, open, subjects, \
                    dark_max_ms, dark_sum_ms, moved, fewest, part_of, revision, verdict, confidence, two_owners_ms, refusals, orphaned) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17::jsonb->>'confidence', \
                    ($17::jsonb->>'two_owners_ms')::float8, ($17::jsonb->>'refusals')::bigint, \
                    jsonb_path_exists($17::jsonb, '$.handovers[*] ? (@.move == \"orphaned\")')) \
             ON CONFLICT (id) DO UPDATE SET cause = EXCLUDED.cause, protocol = EXCLUDED.protocol, began_at = EXCLUDED.began_at, \
                    noticed_at = EXCLUDED.noticed_at, ended_at = EXCLUDED.ended_at, open = EXCLUDED.open, \
                    subjects = EXCLUDED.subjects, dark_max_ms = EXCLUDED.dark_max_ms, dark_sum_ms = EXCLUDED.dark_sum_ms, \
                    moved = EXCLUDED.moved, fewest = EXCLUDED.fewest, part_of = EXCLUDED.part_of, \
                    revision = EXCLUDED.revision, revised_at = now(), verdict = EXCLUDED.verdict, \
                    confidence = EXCLUDED.confidence, two_owners_ms = EXCLUDED.two_owners_ms, \
                    refusals = EXCLUDED.refusals, orphaned = EXCLUDED.orphaned",
            &[
                &rebalance.id,
                &rebalance.group_id,
                &rebalance.topic,
                &rebalance.cause.name(),
                &rebalance.protocol,
                &rebalance.began_at,
                &rebalance.noticed_at,
                &rebalance.ended_at,
                &rebalance.open,
                &rebalance.subjects,
                &rebalance.dark_max_ms,
                &rebalance.dark_sum_ms,
                &whole(rebalance.moved),
                &whole(rebalance.fewest),
                &rebalance.part_of,
                &rebalance.revision,
                &Json(rebalance),
            ],
        )
        .await
        .map_err(Error::doing(DOING))?;
    let dark: Vec<Value> = rebalance
        .handovers
        .iter()
        .enumerate()
        .filter_map(|(place, h)| {
            let from = h.dark_from?;
            // The instants of its parts, as the bars have them.
            let after = |ms: f64| from.checked_add(jiff::SignedDuration::from_secs_f64(ms / 1_000.0)).ok();
            let noticed = h.detect_ms.and_then(after);
            let claimed =
                h.detect_ms.zip(h.reassign_ms).and_then(|(a, b)| after(a + b)).filter(|_| h.claimed_at.is_some());
            Some(
                json!({ "place": place, "partition": h.partition, "from": from, "noticed": noticed, "claimed": claimed,
                     "until": if h.open { None } else { h.stored_at }, "ms": h.dark_ms.unwrap_or(0.0) }),
            )
        })
        .collect();
    transaction
        .execute("DELETE FROM handovers WHERE rebalance_id = $1", &[&rebalance.id])
        .await
        .map_err(Error::doing(DOING))?;
    if rebalance.part_of.is_none() && !dark.is_empty() {
        transaction
            .execute(
                "INSERT INTO handovers (rebalance_id, place, group_id, topic, partition_number, dark_from, noticed_at, claimed_at, \
                        dark_until, dark_ms) \
                 SELECT $1, place, $2, $3, partition, \"from\", noticed, claimed, until, ms FROM jsonb_to_recordset($4) \
                     AS j(place integer, partition integer, \"from\" timestamptz, noticed timestamptz, claimed timestamptz, \
                          until timestamptz, ms float8)",
                &[&rebalance.id, &rebalance.group_id, &rebalance.topic, &Json(dark)],
            )
            .await
            .map_err(Error::doing(DOING))?;
    }
    let told = Rebalance { evidence: Vec::new(), ..rebalance.clone() };
    tell(transaction, "rebalance", Some(rebalance.noticed_at), &json!(told)).await
}

async fn tell(transaction: &Transaction<'_>, kind: &str, at: Option<Timestamp>, body: &Value) -> Result<()> {
    let at = at.unwrap_or_else(Timestamp::now);
    let statement = "INSERT INTO event_stream (kind, occurred_at, body) VALUES ($1, $2, $3)";
    transaction.execute(statement, &[&kind, &at, &Json(body)]).await.map_err(Error::doing("telling a verdict"))?;
    Ok(())
}

/// Writes a note to a rebalance; whether there is such a rebalance.
///
/// # Errors
/// Transient ones.
pub async fn write_note(store: &Store, rebalance_id: &str, author: &str, body: &str) -> Result<bool> {
    const DOING: &str = "writing a note";
    let client = store.pooled().await?;
    let statement =
        "INSERT INTO rebalance_notes (rebalance_id, author, body) SELECT id, $2, $3 FROM rebalances WHERE id = $1";
    Ok(client.execute(statement, &[&rebalance_id, &author, &body]).await.map_err(Error::doing(DOING))? > 0)
}

/// A row of `ownership`, by its columns' names.
pub(super) fn ownership_of(row: &Row) -> Ownership {
    Ownership {
        group_id: row.get("group_id"),
        topic: row.get("topic"),
        partition: row.get("partition_number"),
        consumer_id: row.get("consumer_id"),
        boot_id: row.get("boot_id"),
        member_id: row.get("member_id"),
        generation: row.get("generation"),
        claim: row.get("claim"),
        claimed_at: row.get("claimed_at"),
        from: row.get("from_at"),
        until: row.get("until_at"),
        ended: row.get::<_, Option<String>>("ended").and_then(|name| ended(&name)),
        fact: row.get("fact"),
    }
}

fn ended(name: &str) -> Option<Ended> {
    serde_json::from_value(Value::from(name)).ok()
}
