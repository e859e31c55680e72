//! What a monitor does instead of serving and then ends: a check, an export, a second judgement, the marks of a drill.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use lifecycle::exit;
use store::flight_recorder::{self as recorded, Filter};
use store::{Store, consumer_health, offsets, schema_version};
use uuid::Uuid;
use verdicts::Rebalance;

use crate::check;
use crate::database::newest_log;
use crate::options::{Command, Options as Monitor};
use crate::record;
use crate::recorder::judge;
use crate::recorder_store;
use crate::workload::Workload;

/// A drill has ended when nothing has been going on for this long.
const QUIET: SignedDuration = SignedDuration::from_secs(5);
/// A database that takes longer does not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The longest that a drill's recovery is waited for.
const RECOVERY: Duration = Duration::from_secs(240);

/// Flags of the commands that end.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Of `export` and `rejudge`: from this instant on, as in RFC 3339
    #[arg(long, value_name = "INSTANT")]
    pub from: Option<Timestamp>,
    /// Of `export`: before this instant
    #[arg(long, value_name = "INSTANT")]
    pub to: Option<Timestamp>,
    /// Of `export`: where to; standard output when not given. A name that ends in .json gets JSON, any other Markdown
    #[arg(long, value_name = "FILE")]
    pub out: Option<std::path::PathBuf>,
    /// Of `drill-begin`: what is going to be broken
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Of `drill-begin`: the longest dark time that is good enough, in milliseconds
    #[arg(long, value_name = "MS")]
    pub expect_dark_ms: Option<u32>,
    /// Of `drill-await` and `drill-end`: the number that `drill-begin` printed
    #[arg(long, value_name = "NUMBER")]
    pub drill: Option<i64>,
    /// Of `drill-end`: whether `consumer verify` has proven that nothing is lost or doubled
    #[arg(long, value_name = "BOOL")]
    pub proven: Option<bool>,
    /// Who does it
    #[arg(long, env = "USER", default_value = "unknown")]
    pub operator: String,
}

/// Why it could not be done, with the exit code.
struct Failure(u8, String);

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let code = if error.is_transient() { exit::UNAVAILABLE } else { exit::USAGE };
        Self(code, error.chain())
    }
}

/// Does it; the exit code. 1: a drill that failed, or verdicts that differ.
pub async fn run(command: Command, options: &Monitor) -> u8 {
    let done = match command {
        Command::Check => Ok(check::run(options).await),
        Command::Export => export(options).await,
        Command::Rejudge => rejudge(options).await,
        Command::DrillBegin => begin(options).await,
        Command::DrillAwait => await_recovery(options).await,
        Command::DrillEnd => end(options).await,
    };
    done.unwrap_or_else(|Failure(code, error)| {
        eprintln!("monitor: {error}");
        code
    })
}

async fn export(options: &Monitor) -> Result<u8, Failure> {
    let task = &options.task;
    let (from, to) = (needed(task.from, "--from")?, needed(task.to, "--to")?);
    if to <= from {
        return Err(Failure(exit::USAGE, "--to: must be later than --from".to_owned()));
    }
    let store = Store::read_only(&options.store, "monitor-export")?;
    schema_version::check(&store).await?;
    let export = record::export(&store, from, to).await?;
    let json = task.out.as_ref().is_some_and(|file| file.extension().is_some_and(|kind| kind == "json"));
    let text = if json { export.to_json() } else { export.to_markdown() };
    let written = match &task.out {
        Some(file) => std::fs::write(file, text),
        None => std::io::stdout().write_all(text.as_bytes()),
    };
    written.map_err(|error| Failure(exit::UNAVAILABLE, format!("--out: {error}")))?;
    Ok(exit::OK)
}

async fn rejudge(options: &Monitor) -> Result<u8, Failure> {
    let from = needed(options.task.from, "--from")?;
    let store = Store::read_only(&options.store, "monitor-rejudge")?;
    schema_version::check(&store).await?;
    let (mut rebalances, mut lines) = (0, Vec::new());
    for (group, topic) in recorded::known_groups(&store).await? {
        let cut = recorded::carried_cut(&store, &group, from).await?;
        let verdicts = judge::judged(&store, &group, &topic, cut, Vec::new()).await?;
        rebalances += verdicts.rebalances.len();
        lines.extend(recorded::differences(&store, &group, &topic, cut, &verdicts).await?);
    }
    for line in &lines {
        println!("{line}");
    }
    println!("{rebalances} rebalances judged, {} differences", lines.len());
    Ok(if lines.is_empty() { exit::OK } else { FAILED })
}

async fn begin(options: &Monitor) -> Result<u8, Failure> {
    let task = &options.task;
    let scenario = needed(task.scenario.as_deref(), "--scenario")?;
    let store = recorder(options)?;
    schema_version::check(&store).await?;
    let expected = task.expect_dark_ms.map(f64::from);
    let drill = recorded::begin_drill(&store, scenario, expected, &format!("operator:{}", task.operator)).await?;
    // Who coordinates is what some drills kill.
    println!("{} {}", drill.id, recorded::coordinator(&store, &options.topic).await?.unwrap_or_else(|| "-".to_owned()));
    Ok(exit::OK)
}

/// Waits until every partition is read, no rebalance is open and nothing has happened for a while; prints the reports.
async fn await_recovery(options: &Monitor) -> Result<u8, Failure> {
    let store = recorder(options)?;
    let drill = drill(&store, needed(options.task.drill, "--drill")?).await?;
    let workloads = options.workloads();
    let until = Instant::now() + RECOVERY;
    loop {
        // A database that is away has not recovered.
        let recovered = tokio::time::timeout(ANSWER_WITHIN, has_recovered(&store, &workloads, drill.began_at)).await;
        let why = match recovered {
            Ok(Ok(true)) => break,
            Ok(Ok(false)) => "not every partition is read, or a rebalance goes on".to_owned(),
            Ok(Err(Failure(exit::UNAVAILABLE, error))) => error,
            Ok(Err(failure)) => return Err(failure),
            Err(_) => "the database does not answer".to_owned(),
        };
        if Instant::now() > until {
            eprintln!("monitor: not recovered within {} s: {why}", RECOVERY.as_secs());
            return Ok(FAILED);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let rebalances = since(&store, drill.began_at).await?;
    if rebalances.is_empty() {
        println!("No rebalance was recorded.");
    }
    for rebalance in &rebalances {
        println!("{}", verdicts::markdown(rebalance));
    }
    Ok(exit::OK)
}

/// Judges the drill by its dark times and the proof, and marks its end.
async fn end(options: &Monitor) -> Result<u8, Failure> {
    let store = recorder(options)?;
    let drill = drill(&store, needed(options.task.drill, "--drill")?).await?;
    let proven = needed(options.task.proven, "--proven")?;
    let rebalances = since(&store, drill.began_at).await?;
    let told = rebalances.iter().filter_map(|rebalance| rebalance.dark_max_ms).fold(0.0, f64::max);
    // A database that is away is no rebalance, and records wait all the same.
    let worst = recorded::longest_wait(&store, drill.began_at).await?.max(told);
    let open = rebalances.iter().any(|rebalance| rebalance.open);
    let within = drill.expect_dark_ms.is_none_or(|expected| worst <= expected);
    let mut words = vec![format!("dark for up to {}", verdicts::duration(worst))];
    if let Some(expected) = drill.expect_dark_ms {
        words.push(format!("{} expected at most", verdicts::duration(expected)));
    }
    words.push(if proven { "nothing lost or doubled" } else { "consumer verify has findings" }.to_owned());
    if open {
        words.push("a rebalance is still going on".to_owned());
    }
    let (passed, detail) = (within && proven && !open, words.join("; "));
    if recorded::end_drill(&store, drill.id, passed, proven, &detail).await?.is_none() {
        return Err(Failure(exit::USAGE, format!("--drill: {} has ended already", drill.id)));
    }
    println!("drill {}: {} ({detail})", drill.scenario, if passed { "passed" } else { "failed" });
    Ok(if passed { exit::OK } else { FAILED })
}

/// Exit code of a drill that failed, and of verdicts that differ.
const FAILED: u8 = 1;

/// Whether all is read again, and nothing goes on.
async fn has_recovered(store: &Store, workloads: &[Workload], began_at: Timestamp) -> Result<bool, Failure> {
    let rows = consumer_health::all(store).await?;
    let topics = recorded::topics_read(store).await?;
    let mut stored = Vec::new();
    for workload in workloads {
        stored.extend(newest_log(offsets::all(store, workload.target).await?, &workload.topic));
    }
    let now = store::server::clock(store).await?;
    let rebalances = since(store, began_at).await?;
    let settled = rebalances.iter().all(|r| !r.open && now.duration_since(r.ended_at.unwrap_or(r.noticed_at)) > QUIET);
    Ok(are_read(&stored, &rows, &topics) && settled && now.duration_since(began_at) > QUIET * 2)
}

/// Whether there is something stored, and each of its partitions has a living consumer of its topic that reads it. What
/// an older build reads is not told: it is what its group stores.
fn are_read(stored: &[offsets::Stored], rows: &[consumer_health::Row], topics: &BTreeMap<Uuid, String>) -> bool {
    let living = |row: &&consumer_health::Row| row.age_s < 3.0 && row.status != "stopped";
    let is_read = |one: &offsets::Stored| {
        let reads = |row: &consumer_health::Row| match topics.get(&row.boot_id) {
            Some(topic) => *topic == one.topic,
            None => row.group_id == one.group_id,
        };
        rows.iter()
            .filter(living)
            .filter(|row| reads(row))
            .any(|row| row.partitions.iter().any(|state| state.partition == one.partition && state.state == "reading"))
    };
    !stored.is_empty() && stored.iter().all(is_read)
}

/// The rebalances since an instant, oldest first, with their evidence.
async fn since(store: &Store, from: Timestamp) -> Result<Vec<Rebalance>, Failure> {
    let filter = Filter { from: Some(from), limit: 200, evidence: true, ..Filter::default() };
    let verdicts = recorded::filtered(store, &filter).await?.into_iter();
    let mut found: Vec<Rebalance> = verdicts.filter_map(|verdict| serde_json::from_value(verdict).ok()).collect();
    found.reverse();
    Ok(found)
}

async fn drill(store: &Store, id: i64) -> Result<recorded::Drill, Failure> {
    let now = Timestamp::now();
    let recent =
        recorded::drills(store, now - SignedDuration::from_hours(24), now + SignedDuration::from_hours(1)).await?;
    let found = recent.into_iter().find(|drill| drill.id == id);
    found.ok_or_else(|| Failure(exit::USAGE, format!("--drill: there is no drill {id} of the last day")))
}

fn recorder(options: &Monitor) -> Result<Store, Failure> {
    let store = recorder_store(options).map_err(|error| Failure(exit::USAGE, format!("{error:#}")))?;
    store.ok_or_else(|| Failure(exit::USAGE, "RECORDER_DATABASE_URL must be given: a drill is written down".to_owned()))
}

fn needed<T>(value: Option<T>, flag: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure(exit::USAGE, format!("{flag} must be given")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{consumer, stored, stored_of};

    #[test]
    fn a_drill_waits_for_the_partitions_of_every_topic() {
        let stored =
            [stored(0, "a-1", 10), stored(1, "a-1", 10), stored_of("u", "h", 0, "w-0"), stored_of("u", "h", 1, "w-0")];
        let sensors = consumer("a-1", 0.1, &[(0, "reading"), (1, "reading")]);
        let feed = |states: &[(i32, &'static str)]| consumer_health::Row {
            group_id: "h".into(),
            boot_id: Uuid::from_u128(1),
            ..consumer("w-0", 0.1, states)
        };
        let topics = BTreeMap::from([(Uuid::from_u128(1), "u".to_owned())]);
        let read = |rows: &[consumer_health::Row]| are_read(&stored, rows, &topics);
        assert!(read(&[sensors.clone(), feed(&[(0, "reading"), (1, "reading")])]));
        assert!(!read(&[sensors.clone(), feed(&[(0, "reading")])]), "as many numbers as before, of another topic");
        assert!(!read(&[sensors.clone(), feed(&[(0, "reading"), (1, "claiming")])]));
        assert!(!read(&[feed(&[(0, "reading"), (1, "reading")])]), "the sensors' are not read");
        let silent = consumer_health::Row { age_s: 9.0, ..feed(&[(0, "reading"), (1, "reading")]) };
        assert!(!read(&[sensors, silent]));
        assert!(!are_read(&[], &[], &topics), "nothing is stored yet");
    }
}
