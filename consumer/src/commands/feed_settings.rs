//! `consumer feed-settings`: how tweets reach their audiences, shown and changed.

use clap::{Args, value_parser};
use lifecycle::exit;
use store::feeds;

use super::table::Table;
use super::{Failure, open};

/// The command line of `consumer feed-settings`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Serve audiences larger than this range by range, beside the batches
    #[arg(long, value_name = "FOLLOWERS", value_parser = value_parser!(i64).range(0..=20_000))]
    range_above: Option<i64>,
    /// Followers of one range
    #[arg(long, value_name = "FOLLOWERS", value_parser = value_parser!(i32).range(1..=100_000))]
    range_rows: Option<i32>,
    /// Let audiences larger than this pull: posting costs the same whatever the audience
    #[arg(long, value_name = "FOLLOWERS", value_parser = value_parser!(i64).range(0..))]
    pull_above: Option<i64>,
    /// Let a tweet be pulled that has waited so long
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(i64).range(1..=31_536_000))]
    expire_after_s: Option<i64>,
    /// Items that a feed is trimmed to; what is older is pulled
    #[arg(long, value_name = "ITEMS", value_parser = value_parser!(i32).range(1..=100_000))]
    keep_items: Option<i32>,
    #[command(flatten)]
    store: store::Options,
}

/// Changes what is given, for tweets that are stored from now on, and prints how all of it stands.
pub async fn run(options: Options) -> Result<u8, Failure> {
    let store = open(&options.store).await?;
    let before = feeds::settings(&store).await?;
    let after = feeds::Settings {
        range_above: options.range_above.unwrap_or(before.range_above),
        range_rows: options.range_rows.unwrap_or(before.range_rows),
        pull_above: options.pull_above.unwrap_or(before.pull_above),
        expire_after_s: options.expire_after_s.unwrap_or(before.expire_after_s),
        keep_items: options.keep_items.unwrap_or(before.keep_items),
    };
    if after != before {
        feeds::change(&store, &after).await?;
    }
    let mut table = Table::new(&["setting", "before", "now"], 1);
    for (name, was, is) in [
        ("range-above", before.range_above, after.range_above),
        ("range-rows", before.range_rows.into(), after.range_rows.into()),
        ("pull-above", before.pull_above, after.pull_above),
        ("expire-after-s", before.expire_after_s, after.expire_after_s),
        ("keep-items", before.keep_items.into(), after.keep_items.into()),
    ] {
        table.row([name.to_owned(), was.to_string(), is.to_string()]);
    }
    print!("{table}");
    Ok(exit::OK)
}
