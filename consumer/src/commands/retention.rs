//! `consumer retention`: drops old days of rows and ledger together.

use clap::Args;
use jiff::ToSpan;
use lifecycle::exit;
use store::retention;

use super::{Failure, open};

/// The command line of `consumer retention`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Whole days (UTC, by time of storing) to keep besides today
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=36_500))]
    keep_days: u16,
    #[command(flatten)]
    store: store::Options,
}

/// Drops, and prints the horizon.
pub async fn run(options: Options) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let today = retention::today(&store).await?;
    let day = today
        .checked_sub(i64::from(options.keep_days).days())
        .map_err(|error| Failure::Usage(format!("--keep-days: {error}")))?;
    let dropped = retention::drop_before(&store, day).await?;
    for table in &dropped.tables {
        println!("dropped {table}");
    }
    match dropped.tables.len() {
        0 => println!("horizon {}: nothing older to drop", dropped.horizon),
        n => println!("horizon {}: dropped {n} day partitions with {} rows", dropped.horizon, dropped.rows),
    }
    Ok(exit::OK)
}
