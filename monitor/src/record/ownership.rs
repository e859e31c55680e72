//! `/api/ownership`: everything that is drawn of a time, in one answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use store::Store;
use store::flight_recorder as recorded;
use utoipa::ToSchema;

use super::ms;
use crate::facts::Facts;

/// Ownerships that are sent one by one; more are told by buckets.
const EXACT: i64 = 4_000;
/// Points of a curve.
const POINTS: i64 = 600;
/// A partition is quiet when nothing was stored for this long, by seconds and by minutes.
const QUIET_S: (i64, i64) = (5, 120);
/// Sums per second are kept for two hours, and read for a quarter of an hour.
const BY_SECONDS_S: i64 = 20 * 60;

/// Answer of `GET /api/ownership`. Instants are milliseconds since the epoch, by the database's clock.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Record {
    /// As asked for.
    pub from: i64,
    /// As asked for.
    pub to: i64,
    /// When it was read.
    pub as_of: i64,
    /// Since when anything was recorded; `null` before that.
    pub recorded_since: Option<i64>,
    /// `null`: spans are exact. Otherwise they are runs of whole buckets of so many milliseconds, by who had most of each.
    pub bucket_ms: Option<i64>,
    /// Colours and patterns.
    pub consumers: Vec<Slot>,
    /// By name.
    pub groups: Vec<GroupLanes>,
    /// When nobody recorded.
    pub blind: Vec<Blind>,
    /// When a broker was not listed by its cluster.
    pub brokers: Vec<BrokerDown>,
    /// Experiments.
    pub drills: Vec<Drill>,
    /// Rates and lag.
    pub curves: Vec<Curve>,
    /// Newest first, 2,000 at the most.
    pub rebalances: Vec<Brief>,
}

/// A consumer's colour and pattern.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Slot {
    /// From 0.
    pub slot: i32,
    /// The consumer.
    pub consumer_id: String,
    /// Its group.
    pub group_id: String,
}

/// A group's lanes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupLanes {
    /// Its name.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// `consumer` (KIP-848), `cooperative-sticky` or `range`; empty while no rebalance in the time tells.
    pub protocol: String,
    /// Session time-out, ms.
    pub session_timeout_ms: Option<i32>,
    /// How many partitions it has.
    pub partitions: usize,
    /// By partition.
    pub lanes: Vec<Lane>,
}

/// A partition in the time.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Lane {
    /// Its number.
    pub partition: i32,
    /// Who had it, ascending.
    pub spans: Vec<Span>,
    /// When it was dark, ascending.
    pub dark: Vec<Dark>,
    /// When a second process took itself for its owner.
    pub two_owners: Vec<TwoOwners>,
    /// When nothing came.
    pub quiet: Vec<Quiet>,
}

/// An ownership.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Span {
    /// From here.
    pub from: i64,
    /// To before here; `null` while it lasts.
    pub until: Option<i64>,
    /// The owner's slot; -1 before it was given one.
    pub slot: i32,
    /// Changes of the owner within it, where spans are runs of buckets.
    pub changes: i64,
}

/// A dark time with its parts: until noticed, until claimed, until stored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dark {
    /// When the first record that waited was appended.
    pub from: i64,
    /// When the group noticed.
    pub noticed: Option<i64>,
    /// When the new owner could write.
    pub claimed: Option<i64>,
    /// When its first batch was committed; `null` while it is dark.
    pub until: Option<i64>,
    /// The rebalance.
    pub rebalance: Option<String>,
}

/// A time with two owners.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TwoOwners {
    /// From here.
    pub from: i64,
    /// To here.
    pub until: Option<i64>,
    /// The one that was not told yet.
    pub slot: i32,
}

/// A time in which no record came.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Quiet {
    /// From here.
    pub from: i64,
    /// To here.
    pub until: Option<i64>,
}

/// A time that was not recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Blind {
    /// From here.
    pub from: i64,
    /// To here; `null` while it lasts.
    pub until: Option<i64>,
    /// Why.
    pub why: &'static str,
}

/// A time in which a broker was down or fenced.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BrokerDown {
    /// From here.
    pub from: i64,
    /// To here; `null` while it lasts.
    pub until: Option<i64>,
    /// `node.id`.
    pub broker: i32,
}

/// An experiment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Drill {
    /// Its number.
    pub id: i64,
    /// Such as `kill-consumer`.
    pub scenario: String,
    /// Before the damage.
    pub from: i64,
    /// After the recovery; `null` while it runs.
    pub until: Option<i64>,
    /// `passed` or `failed`.
    pub outcome: Option<String>,
    /// Whether `consumer verify` found nothing lost and nothing doubled, at its end; `null` when it was not asked.
    pub proven: Option<bool>,
    /// Why.
    pub detail: Option<String>,
}

/// A group's curves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Curve {
    /// The group.
    pub group_id: String,
    /// Ascending.
    pub points: Vec<CurvePoint>,
}

/// One step of a curve.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct CurvePoint {
    /// Its begin.
    pub at: i64,
    /// Rows stored per second.
    pub stored_rows_per_second: Option<f64>,
    /// The most records that waited.
    pub lag_records: Option<i64>,
}

/// A rebalance as it is drawn.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Brief {
    /// Its id.
    pub id: String,
    /// Group.
    pub group_id: String,
    /// When it began to matter.
    pub began_at: i64,
    /// When the group noticed.
    pub noticed_at: i64,
    /// When every partition was read again; `null` while it goes on.
    pub ended_at: Option<i64>,
    /// Why.
    #[schema(value_type = verdicts::Cause)]
    pub cause: String,
    /// How sure that is.
    #[schema(value_type = verdicts::Confidence)]
    pub confidence: String,
    /// Who caused it.
    pub subjects: Vec<String>,
    /// The longest dark time, ms.
    pub dark_max_ms: Option<f64>,
    /// Partitions that moved.
    pub moved: i32,
    /// Still going on.
    pub open: bool,
    /// Grows when it is judged otherwise.
    pub revision: i32,
}

impl From<recorded::Drill> for Drill {
    fn from(drill: recorded::Drill) -> Self {
        let (from, until) = (ms(drill.began_at), drill.ended_at.map(ms));
        let recorded::Drill { id, scenario, outcome, proven, detail, .. } = drill;
        Self { id, scenario, from, until, outcome, proven, detail }
    }
}

impl From<recorded::Brief> for Brief {
    fn from(brief: recorded::Brief) -> Self {
        Self {
            began_at: ms(brief.began_at),
            noticed_at: ms(brief.noticed_at),
            ended_at: brief.ended_at.map(ms),
            confidence: brief.confidence,
            id: brief.id,
            group_id: brief.group_id,
            cause: brief.cause,
            subjects: brief.subjects,
            dark_max_ms: brief.dark_max_ms,
            moved: brief.moved,
            open: brief.open,
            revision: brief.revision,
        }
    }
}

/// Reads what was recorded of a time; `pixels` is how wide it is going to be drawn.
///
/// # Errors
/// Transient ones.
pub async fn record(
    store: &Store,
    facts: &Facts,
    from: Timestamp,
    to: Timestamp,
    pixels: i64,
    now: Timestamp,
) -> store::Result<Record> {
    let seconds = to.duration_since(from).as_secs().max(1);
    let exact = recorded::count_owned(store, from, to, EXACT + 1).await? <= EXACT;
    let bucket_ms = (!exact).then(|| (seconds * 1_000 * 2 / pixels).max(1_000));
    let mut lanes = Lanes::default();
    match bucket_ms {
        None => lanes.exact(&recorded::owned_between(store, from, to).await?),
        Some(bucket_ms) => lanes.runs(&recorded::stretches(store, from, to, bucket_ms).await?),
    }
    lanes.dark(&merged(recorded::dark_between(store, from, to).await?, bucket_ms));
    let by_minute = seconds > BY_SECONDS_S || now.duration_since(from).as_secs() > 2 * 60 * 60;
    let least = if by_minute { QUIET_S.1 } else { QUIET_S.0 };
    if seconds <= 24 * 60 * 60 {
        lanes.quiet(&recorded::quiet_between(store, from, to.min(now), by_minute, least).await?);
    }
    let briefs = recorded::briefs(store, from, to).await?;
    let blind = recorded::blind_spans(store, from, to).await?;
    let brokers = recorded::brokers_down(store, from, to).await?;
    let drills = recorded::drills(store, from, to).await?;
    let slots = &facts.tables().slots;
    Ok(Record {
        from: ms(from),
        to: ms(to),
        as_of: ms(now),
        recorded_since: facts.tables().recorded_since.map(ms),
        bucket_ms,
        curves: curves(store, &lanes, (from, to, seconds), by_minute).await?,
        groups: lanes.groups(facts, &briefs),
        consumers: slots
            .iter()
            .map(|s| Slot { slot: s.slot, consumer_id: s.consumer_id.clone(), group_id: s.group_id.clone() })
            .collect(),
        blind: blind
            .into_iter()
            .map(|(from, until)| Blind { from: ms(from), until: until.map(ms), why: "recorder away" })
            .collect(),
        brokers: brokers
            .into_iter()
            .map(|(broker, from, until)| BrokerDown { from: ms(from), until: until.map(ms), broker })
            .collect(),
        drills: drills.into_iter().map(Drill::from).collect(),
        rebalances: briefs.into_iter().map(Brief::from).collect(),
    })
}

/// Where there are buckets, one dark time a bucket is enough: the longest.
fn merged(dark: Vec<recorded::Dark>, bucket_ms: Option<i64>) -> Vec<recorded::Dark> {
    let Some(bucket_ms) = bucket_ms else { return dark };
    let length = |dark: &recorded::Dark| dark.until.map_or(i64::MAX, |until| ms(until) - ms(dark.from));
    let mut worst: BTreeMap<(String, i32, i64), recorded::Dark> = BTreeMap::new();
    for dark in dark {
        let key = (dark.group_id.clone(), dark.partition, ms(dark.from) / bucket_ms);
        if worst.get(&key).is_none_or(|known| length(known) < length(&dark)) {
            worst.insert(key, dark);
        }
    }
    worst.into_values().collect()
}

/// Lanes by group and partition while they are filled.
#[derive(Default)]
struct Lanes {
    groups: BTreeMap<String, (String, BTreeMap<i32, Lane>)>,
}

impl Lanes {
    fn lane(&mut self, group: &str, topic: &str, partition: i32) -> &mut Lane {
        let (_, lanes) = self.groups.entry(group.to_owned()).or_insert_with(|| (topic.to_owned(), BTreeMap::new()));
        lanes.entry(partition).or_insert_with(|| Lane { partition, ..Lane::default() })
    }

    fn exact(&mut self, owned: &[recorded::Owned]) {
        for (place, one) in owned.iter().enumerate() {
            let slot = one.slot.unwrap_or(-1);
            let lane = self.lane(&one.group_id, &one.topic, one.partition);
            lane.spans.push(Span { from: ms(one.from), until: one.until.map(ms), slot, changes: 0 });
            // Who lost it learned so when others had it already.
            let next =
                owned[place + 1..].iter().find(|next| next.partition == one.partition && next.group_id == one.group_id);
            if let (true, Some(end), Some(next)) = (one.lost, one.until, next)
                && next.from < end
            {
                lane.two_owners.push(TwoOwners { from: ms(next.from), until: Some(ms(end)), slot });
            }
        }
    }

    fn runs(&mut self, runs: &[recorded::Stretch]) {
        for run in runs {
            let span = Span {
                from: ms(run.from),
                until: Some(ms(run.until)),
                slot: run.slot.unwrap_or(-1),
                changes: run.changes,
            };
            self.lane(&run.group_id, &run.topic, run.partition).spans.push(span);
        }
    }

    fn dark(&mut self, dark: &[recorded::Dark]) {
        for dark in dark {
            let Some((_, lanes)) = self.groups.get_mut(&dark.group_id) else { continue };
            let lane =
                lanes.entry(dark.partition).or_insert_with(|| Lane { partition: dark.partition, ..Lane::default() });
            lane.dark.push(Dark {
                from: ms(dark.from),
                noticed: dark.noticed.map(ms),
                claimed: dark.claimed.map(ms),
                until: dark.until.map(ms),
                rebalance: Some(dark.rebalance_id.clone()),
            });
        }
    }

    /// What was dark was not quiet.
    fn quiet(&mut self, quiet: &[recorded::Quiet]) {
        for (topic, lanes) in self.groups.values_mut() {
            for quiet in quiet.iter().filter(|quiet| quiet.topic == *topic) {
                let Some(lane) = lanes.get_mut(&quiet.partition) else { continue };
                let (from, until) = (ms(quiet.from), ms(quiet.until));
                if !lane.dark.iter().any(|dark| dark.from < until && dark.until.is_none_or(|end| end > from)) {
                    lane.quiet.push(Quiet { from, until: Some(until) });
                }
            }
        }
    }

    fn groups(self, facts: &Facts, briefs: &[recorded::Brief]) -> Vec<GroupLanes> {
        let of = |(group_id, (topic, lanes)): (String, (String, BTreeMap<i32, Lane>))| {
            let members = facts.tables().consumers.iter().filter(|row| row.group_id == group_id);
            GroupLanes {
                session_timeout_ms: members.filter_map(|row| row.session_timeout_ms).max(),
                protocol: briefs
                    .iter()
                    .find(|b| b.group_id == group_id)
                    .map(|b| b.protocol.clone())
                    .unwrap_or_default(),
                partitions: lanes.len(),
                lanes: lanes.into_values().collect(),
                group_id,
                topic,
            }
        };
        self.groups.into_iter().map(of).collect()
    }
}

/// Rates and lag by group: what is stored is told by topic.
async fn curves(
    store: &Store,
    lanes: &Lanes,
    (from, to, seconds): (Timestamp, Timestamp, i64),
    by_minute: bool,
) -> store::Result<Vec<Curve>> {
    let unit = if by_minute { 60 } else { 1 };
    let step = (seconds / POINTS / unit).max(1) * unit;
    let mut curves = Vec::new();
    for (group, (topic, _)) in &lanes.groups {
        let mut points: BTreeMap<i64, CurvePoint> = BTreeMap::new();
        for (at, rows) in recorded::rows_between(store, Some(topic), from, to, by_minute, step).await? {
            let point = points.entry(ms(at)).or_insert(CurvePoint { at: ms(at), ..CurvePoint::default() });
            point.stored_rows_per_second = Some(rows as f64 / step as f64);
        }
        for sample in recorded::lag_between(store, group, from, to, step.max(5)).await? {
            let point =
                points.entry(ms(sample.at)).or_insert(CurvePoint { at: ms(sample.at), ..CurvePoint::default() });
            point.lag_records = Some(sample.records);
        }
        curves.push(Curve { group_id: group.clone(), points: points.into_values().collect() });
    }
    Ok(curves)
}
