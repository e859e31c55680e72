//! The ingest section of the page.

use std::fmt::Write as _;

use super::rows::{Encoded, Filled};
use super::{Options, Others, Run, machine};
use crate::spread::Spread;

/// Two tables: the pairs, and what a million rows cost.
pub fn render(options: &Options, filled: &Filled, encoded: &Encoded, pairs: &[(Run, Run)], others: &Others) -> String {
    let mut text = format!(
        "{} readings of {:.0} bytes of JSON, {:.0} bytes as a row; transactions of {} rows (the consumer: at most); \
         {} pairs; load average at the end {}. Filled at {:.0} readings/s; poll, decode and encode alone, on one \
         thread without a database: {:.0} rows/s.\n\n",
        options.rows,
        filled.mean_bytes,
        encoded.mean_bytes,
        options.batch,
        pairs.len(),
        machine::load_average(),
        filled.rate,
        encoded.rate,
    );
    text.push_str(
        "| pair | raw COPY, rows/s | Millrace, rows/s | ratio | cores idle, COPY / Millrace | cores used by others | load |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (number, (copy, drain)) in (1..).zip(pairs) {
        let _ = writeln!(
            text,
            "| {number} | {:.0} | {:.0} | {:.2} | {:.2} / {:.2} | {:.2} / {:.2} | {} / {} |",
            copy.rate(),
            drain.rate(),
            drain.rate() / copy.rate(),
            copy.idle_cores,
            drain.idle_cores,
            copy.others_cores,
            drain.others_cores,
            copy.load,
            drain.load,
        );
    }
    text.push_str("\nMedian (smallest-largest):\n\n| | raw COPY | Millrace |\n|---|---|---|\n");
    costs(&mut text, pairs);
    beside(&mut text, pairs, others);
    text
}

/// Millrace next to the other references of the same run.
fn beside(text: &mut String, pairs: &[(Run, Run)], others: &Others) {
    text.push_str(
        "\n| reference | rows/s | client + Postgres, CPU-s per million rows | Millrace / reference |\n|---|---|---|---|\n",
    );
    let millrace = Spread::of(pairs.iter().map(|(_, drain)| drain.rate())).median;
    for (name, runs) in others {
        let rate = Spread::of(runs.iter().map(Run::rate));
        let cpu = Spread::of(runs.iter().map(|run| run.per_million(run.cost.client + run.cost.postgres)));
        let _ = writeln!(text, "| {name} | {rate:.0} | {cpu:.2} | {:.2} |", millrace / rate.median);
    }
}

fn costs(text: &mut String, pairs: &[(Run, Run)]) {
    let mut row = |name: &str, digits: usize, of: &dyn Fn(&Run) -> f64| {
        let copy = Spread::of(pairs.iter().map(|(copy, _)| of(copy)));
        let drain = Spread::of(pairs.iter().map(|(_, drain)| of(drain)));
        let _ = writeln!(text, "| {name} | {copy:.digits$} | {drain:.digits$} |");
    };
    row("rows/s", 0, &Run::rate);
    row("client + Postgres, CPU-s per million rows", 2, &|run| run.per_million(run.cost.client + run.cost.postgres));
    row("client, CPU-s per million rows", 2, &|run| run.per_million(run.cost.client));
    row("Postgres, CPU-s per million rows", 2, &|run| run.per_million(run.cost.postgres));
    row("brokers, CPU-s per million rows", 2, &|run| run.per_million(run.cost.brokers));
    row("WAL, bytes per row", 0, &|run| run.wal_bytes / run.rows as f64);
    row("rows per transaction", 0, &|run| run.rows as f64 / run.transactions as f64);

    let mut of_process = |name: &str, digits: usize, of: &dyn Fn(&Run) -> f64| {
        let drain = Spread::of(pairs.iter().map(|(_, drain)| of(drain)));
        let _ = writeln!(text, "| {name} | | {drain:.digits$} |");
    };
    for (kind, name) in [
        ("poll", "poll thread (decode, encode, buffer), CPU-s per million rows"),
        ("librdkafka", "librdkafka's threads (fetch, decompress), CPU-s per million rows"),
        ("tasks", "writer, claims, heartbeat, journal, CPU-s per million rows"),
    ] {
        of_process(name, 2, &|run| {
            let seconds = run.process.as_ref().and_then(|process| process.threads.get(kind));
            run.per_million(seconds.copied().unwrap_or(0.0))
        });
    }
    of_process("peak memory, MiB", 0, &|run| run.process.as_ref().map_or(0.0, |process| process.peak_mib));
    of_process("process start to first transaction, s", 2, &|run| {
        run.process.as_ref().map_or(0.0, |process| process.first_row_seconds)
    });
    let ratio = Spread::of(pairs.iter().map(|(copy, drain)| drain.rate() / copy.rate()));
    let _ = writeln!(text, "\nRatio Millrace / raw COPY: **{ratio:.2}**, goal 0.8.");
}
