//! `consumer verify`: was any record lost or stored twice?

use std::fmt::Write as _;
use std::time::Instant;

use clap::Args;
use lifecycle::exit;
use store::verify;
use store::verify::{Partition, Report, TARGETS, Verdict};

use super::table::Table;
use super::{Failure, open};

mod witness;

use witness::Testimony;

/// Exit code: something is wrong, and named.
const FINDINGS: u8 = 1;
/// Exit code: proven, but for offsets that a command passed over or went back over.
const EXPLAINED: u8 = 2;

/// The command line of `consumer verify`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// The table to verify
    #[arg(long, default_value = TARGETS[0], value_parser = TARGETS)]
    target: String,
    /// Print one JSON object for programs
    #[arg(long)]
    json: bool,
    /// Don't read the gaps of the ledger back from the log
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    store: store::Options,
}

/// Prints the report; the exit code is the verdict.
pub async fn run(options: Options) -> Result<u8, Failure> {
    options.kafka.validate().map_err(Failure::Usage)?;
    let store = open(&options.store).await?;
    let started = Instant::now();
    let report = verify::run(&store, &options.target).await?;
    let log = match options.offline {
        true => Testimony::default(),
        false => witness::hear(&store, &options.target, &options.kafka).await?,
    };
    if options.json {
        println!("{}", json(&report, &log));
    } else {
        print!("{}{}", text(&report), log.text());
        println!("{} ({:.1} s)", summary(&report, &log), started.elapsed().as_secs_f32());
    }
    Ok(match verdict(&report, &log) {
        Verdict::Proven => exit::OK,
        Verdict::Explained => EXPLAINED,
        Verdict::Findings => FINDINGS,
    })
}

/// The report's own verdict, unless the log speaks against it.
fn verdict(report: &Report, log: &Testimony) -> Verdict {
    if log.lost.is_empty() { report.verdict() } else { Verdict::Findings }
}

fn json(report: &Report, log: &Testimony) -> serde_json::Value {
    let mut value = serde_json::to_value(report).expect("a report is texts, numbers and times");
    value["verdict"] = serde_json::to_value(verdict(report, log)).expect("a verdict is a text");
    value["gaps"] = serde_json::json!({ "confirmed": log.confirmed, "unknown": log.unknown, "lost": log.lost });
    value
}

fn text(report: &Report) -> String {
    let mut table =
        Table::new(&["topic", "log", "partition", "from", "next", "entries", "rows", "letters", "gaps", "skipped"], 1);
    for p in &report.partitions {
        table.row([
            p.topic.clone(),
            p.log_id.to_string(),
            p.partition.to_string(),
            p.from_offset.to_string(),
            p.next_offset.map_or_else(|| "-".into(), |next| next.to_string()),
            p.entries.to_string(),
            p.rows.to_string(),
            p.dead_letters.to_string(),
            p.gap_offsets.to_string(),
            p.skipped_offsets.to_string(),
        ]);
    }
    let mut text = table.to_string();
    report.partitions.iter().for_each(|partition| notes(&mut text, partition));
    for finding in &report.findings {
        line(&mut text, format_args!("FOUND {finding}"));
    }
    text
}

/// What happened to a partition that explains its numbers.
fn notes(text: &mut String, p: &Partition) {
    let name = format!("{} (log {}) partition {}", p.topic, p.log_id, p.partition);
    if let Some(horizon) = p.horizon {
        line(text, format_args!("{name}: retention dropped {} rows stored before {horizon}", p.dropped_rows));
    }
    if let Some(reason) = &p.quarantine {
        line(text, format_args!("{name}: quarantined: {reason}"));
    }
    for c in &p.commands {
        let (kind, first, next) = (&c.kind, c.first_offset, c.next_offset);
        let moved = if first == next { format!("at {first}") } else { format!("{first} -> {next}") };
        line(text, format_args!("{name}: {kind} {moved} by {} at {}: {}", c.consumer_id, c.stored_at, c.reason));
    }
    let unnamed = p.command_count.saturating_sub(p.commands.len() as u64);
    if unnamed > 0 {
        line(text, format_args!("{name}: {unnamed} more commands"));
    }
}

fn summary(report: &Report, log: &Testimony) -> String {
    let sum = |count: fn(&Partition) -> u64| report.partitions.iter().map(count).sum::<u64>();
    let replayed = sum(|p| p.replayed);
    let stored = format!(
        "{} rows and {} dead letters ({replayed} replayed) in {} partitions of {} at {}",
        sum(|p| p.rows) + replayed,
        sum(|p| p.dead_letters),
        report.partitions.len(),
        report.target,
        report.snapshot_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    );
    match verdict(report, log) {
        Verdict::Proven => format!("PROVEN: {stored}: every record once"),
        Verdict::Explained => format!(
            "PROVEN, with explanations: {stored}: every record once, but for {} offsets skipped and {} read again by command",
            sum(|p| p.skipped_offsets),
            sum(|p| p.reread_offsets),
        ),
        Verdict::Findings => format!("NOT PROVEN: {} findings in {stored}", report.findings.len() + log.lost.len()),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes all that memory does");
}
