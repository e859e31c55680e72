//! `consumer dead-letters`: the records that were no events, and storing them after all.

use clap::{ArgGroup, Args, Subcommand};
use lifecycle::exit;
use schema::ReasonCode;
use store::Store;
use store::dead_letters::{Filter, Letter, MAX_PAGE, Replay, counts, get, page, replay};
use store::verify::TARGETS;

use super::printable::{self, bytes};
use super::table::Table;
use super::who::Who;
use super::{Failure, open};

/// Exit code: some letters were not replayed.
const SOME_LEFT: u8 = 1;

/// The subcommands of `consumer dead-letters`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Letters by number, a page at a time, and how many there are by reason
    List(List),
    /// Everything of one letter, with its bytes
    Show(Show),
    /// Decode letters again and store those that are events now
    Replay(Again),
}

/// The command line of `consumer dead-letters list`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct List {
    /// The table that the records were meant for
    #[arg(long, default_value = TARGETS[0], value_parser = TARGETS)]
    target: String,
    /// Only letters with this reason code
    #[arg(long, value_name = "CODE", value_parser = codes())]
    reason_code: Option<String>,
    /// Only open or only replayed letters
    #[arg(long, value_parser = ["open", "replayed"])]
    status: Option<String>,
    /// Begin behind this number: the cursor that the page before ended with
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
    /// Letters of a page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PAGE)))]
    limit: u16,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer dead-letters show`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Show {
    /// The letter's number
    id: i64,
    /// Most bytes of key and value to print
    #[arg(long, value_name = "N", default_value_t = 4096)]
    bytes: usize,
    #[command(flatten)]
    store: store::Options,
}

/// The command line of `consumer dead-letters replay`.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("which").args(["ids", "reason_code"]).required(true))]
pub struct Again {
    /// Numbers of letters
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// All open letters with this reason code
    #[arg(long, value_name = "CODE", value_parser = codes())]
    reason_code: Option<String>,
    /// What to change of the bytes before they are decoded: nothing
    #[arg(long, default_value = "none", value_parser = ["none"])]
    fix: String,
    /// The table that the records were meant for
    #[arg(long, default_value = TARGETS[0], value_parser = TARGETS)]
    target: String,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    store: store::Options,
}

fn codes() -> clap::builder::PossibleValuesParser {
    ReasonCode::ALL.map(ReasonCode::as_str).into()
}

/// Runs one of them.
pub async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(options) => list(options).await,
        Command::Show(options) => show(options).await,
        Command::Replay(options) => replay_all(options).await,
    }
}

async fn list(options: List) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let mut reasons = Table::new(&["reason code", "open", "replayed"], 1);
    for (code, open, replayed) in counts(&store, &options.target).await? {
        reasons.row([code, open.to_string(), replayed.to_string()]);
    }
    let filter = Filter { reason_code: options.reason_code, status: options.status };
    let (letters, next) = page(&store, &options.target, &filter, options.after, options.limit).await?;
    print!("{reasons}");
    if letters.is_empty() {
        println!("no letters here");
        return Ok(exit::OK);
    }
    let mut table = Table::new(&["dead at", "status", "reason code", "reason", "id", "log", "partition", "offset"], 4);
    for letter in letters {
        table.row([
            letter.dead_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            letter.status,
            letter.reason_code,
            printable::line(&letter.reason, 80),
            letter.id.to_string(),
            letter.log_id.to_string(),
            letter.partition.to_string(),
            letter.offset.to_string(),
        ]);
    }
    print!("\n{table}");
    if let Some(next) = next {
        println!("more: --after {next}");
    }
    Ok(exit::OK)
}

async fn show(options: Show) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let Letter { summary, target, claim, consumer_id, key, payload, appended_at, replayed_at, replayed_by } =
        get(&store, options.id).await?;
    let none = || "-".to_owned();
    let lines = [
        ("id", summary.id.to_string()),
        ("status", summary.status),
        ("target", target),
        ("topic", format!("{} (log {})", summary.topic, summary.log_id)),
        ("partition", summary.partition.to_string()),
        ("offset", summary.offset.to_string()),
        ("reason code", summary.reason_code),
        ("field", summary.field.map_or_else(none, |field| printable::line(&field, 500))),
        ("reason", printable::line(&summary.reason, 500)),
        ("appended at", appended_at.map_or_else(none, |at| at.to_string())),
        ("dead at", summary.dead_at.to_string()),
        ("consumer", consumer_id),
        ("claim", claim.to_string()),
        ("replayed at", replayed_at.map_or_else(none, |at| at.to_string())),
        ("replayed by", replayed_by.unwrap_or_else(none)),
        ("key", key.map_or_else(none, |key| bytes(&key, options.bytes))),
        ("value", payload.map_or_else(|| "none: a tombstone".into(), |payload| bytes(&payload, options.bytes))),
    ];
    for (name, value) in lines {
        println!("{name:<12} {value}");
    }
    Ok(exit::OK)
}

/// Counts what became of them.
#[derive(Default)]
struct Tally {
    replayed: u64,
    left: u64,
}

async fn replay_all(options: Again) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let by = options.who.name();
    let mut tally = Tally::default();
    for &id in &options.ids {
        replay_one(&store, id, &by, &mut tally).await?;
    }
    if options.reason_code.is_some() {
        let filter = Filter { reason_code: options.reason_code, status: Some("open".into()) };
        let mut after = Some(0);
        while let Some(cursor) = after {
            let (letters, next) = page(&store, &options.target, &filter, cursor, MAX_PAGE).await?;
            for letter in &letters {
                replay_one(&store, letter.id, &by, &mut tally).await?;
            }
            after = next;
        }
    }
    println!("{} replayed, {} left as they are", tally.replayed, tally.left);
    Ok(if tally.left == 0 { exit::OK } else { SOME_LEFT })
}

async fn replay_one(store: &Store, id: i64, by: &str, tally: &mut Tally) -> Result<(), Failure> {
    match replay(store, id, by).await {
        Ok(Replay::Replayed) => {
            tally.replayed += 1;
            println!("{id}: replayed");
            return Ok(());
        }
        Ok(Replay::StillBad(fault)) => println!("{id}: still no event: {fault}"),
        Ok(Replay::NotOpen) => println!("{id}: was replayed before"),
        Err(store::Error::Refused(why)) => println!("{id}: {why}"),
        Err(error) => return Err(error.into()),
    }
    tally.left += 1;
    Ok(())
}
