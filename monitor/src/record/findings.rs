//! `/api/findings`: what the rebalances of a time, and the state of now, amount to.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::Store;
use store::flight_recorder::briefs;
use utoipa::ToSchema;
use verdicts::finding::{self, Case, Finding, Member, Stuck};

use crate::view::State;

/// Answer of `GET /api/findings`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Findings {
    /// When it was read.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// The worst first.
    pub findings: Vec<Finding>,
}

/// Finds in the last `hours`.
///
/// # Errors
/// Transient ones.
pub async fn findings(store: &Store, state: &State, hours: i64, now: Timestamp) -> store::Result<Findings> {
    let briefs = briefs(store, now - SignedDuration::from_hours(hours), now).await?;
    let cases: Vec<Case> = briefs
        .into_iter()
        .map(|brief| Case {
            id: brief.id,
            group_id: brief.group_id,
            cause: brief.cause,
            subjects: brief.subjects,
            at: brief.noticed_at,
            two_owners_ms: brief.two_owners_ms,
            refusals: brief.refusals,
            orphaned: brief.orphaned,
            moves: (brief.moved, brief.fewest),
        })
        .collect();
    let members = state.groups.iter().flat_map(|group| {
        group.members.iter().filter(|member| !member.silent && member.away_ms.is_none()).map(|member| Member {
            consumer_id: member.consumer_id.clone(),
            group_id: group.group_id.clone(),
            partitions: member.partitions.len(),
            clock_skew_ms: member.clock_skew_ms,
        })
    });
    let stuck = state.partitions.iter().filter(|p| p.state == "quarantined" || p.state == "proving");
    let stuck = stuck.map(|p| Stuck {
        group_id: p.group_id.clone().unwrap_or_default(),
        partition: p.partition,
        reason: p.reason.clone().unwrap_or_else(|| format!("it is {}", p.state)),
    });
    let found = finding::findings(&cases, &members.collect::<Vec<_>>(), &stuck.collect::<Vec<_>>(), now);
    Ok(Findings { as_of: now, findings: found })
}
