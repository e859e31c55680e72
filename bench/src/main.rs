//! `bench`: speed and memory, as ratios against a reference in the same run.
//!
//! ```text
//! ingest     raw COPY of a topic's rows, then the consumer draining that topic, A B A B …
//! takeover   kill -9 of a consumer -> first row of its partitions stored again, per protocol
//! latency    producer -> row that others can see, at a modest rate
//! producing  the producer against a bare loop around its client; acknowledgements while a broker is dead
//! watching   the monitor at rest; fact in Postgres -> pixel
//! feed       the feed's workers against bare INSERT … SELECT; POST and post-to-visible; the API against bare Kafka
//! history    a month of rebalances, generated: what each question about it costs
//! detector   the alarms' detector on NAB's labelled recordings, next to a plain z-score
//! ```
//!
//! It starts brokers and a Postgres of its own and runs the built `consumer` beside it. Nothing
//! here asserts: a number is printed with the noise that it was measured in.

mod cost;
mod detector;
mod feed;
mod history;
mod ingest;
mod latency;
mod machine;
mod page;
mod pipeline;
mod producing;
mod spread;
mod takeover;
mod watching;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures Millrace against raw COPY, and how long a killed consumer's partitions stay dark
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
    /// A page whose sections `<!-- bench:NAME -->` are replaced by the results
    #[arg(long, global = true, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rows a second and what they cost, in pairs with raw COPY
    Ingest(ingest::Options),
    /// From kill -9 to the first row stored by the next owner
    Takeover(takeover::Options),
    /// From the producer to a row that others can see
    Latency(latency::Options),
    /// The producer next to a bare loop, and what a dead broker holds up
    Producing(producing::Options),
    /// What the monitor costs at rest, and how soon a fact is seen
    Watching(watching::Options),
    /// What the feed delivers, and how soon
    Feed(feed::Options),
    /// What looking back costs
    History(history::Options),
    /// What the detector of the unusual finds in labelled recordings
    Detector(detector::Options),
    /// All of it; also what runs without a command
    All {
        #[command(flatten)]
        detector: detector::Options,
        #[command(flatten)]
        ingest: ingest::Options,
        #[command(flatten)]
        takeover: takeover::Options,
        #[command(flatten)]
        latency: latency::Options,
        #[command(flatten)]
        producing: producing::Options,
        #[command(flatten)]
        watching: watching::Options,
        #[command(flatten)]
        feed: feed::Options,
        #[command(flatten)]
        history: history::Options,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let program = Program::parse();
    let command = program.command.unwrap_or_else(|| Command::All {
        detector: detector::Options::default(),
        ingest: ingest::Options::default(),
        takeover: takeover::Options::default(),
        latency: latency::Options::default(),
        producing: producing::Options::default(),
        watching: watching::Options::default(),
        feed: feed::Options::default(),
        history: history::Options::default(),
    });
    let page = page::Page::open(program.markdown)?;
    // What is found does not depend on the machine.
    if !matches!(command, Command::Detector(_)) {
        page.put("machine", &machine::describe())?;
    }
    match command {
        Command::Ingest(options) => page.put("ingest", &ingest::run(&options).await?),
        Command::Takeover(options) => page.put("takeover", &takeover::run(&options).await?),
        Command::Latency(options) => page.put("latency", &latency::run(&options).await?),
        Command::Producing(options) => page.put("producing", &producing::run(&options).await?),
        Command::Watching(options) => page.put("watching", &watching::run(&options).await?),
        Command::Feed(options) => feed::run(&options, &page).await,
        Command::History(options) => page.put("history", &history::run(&options).await?),
        Command::Detector(options) => page.put("detector", &detector::run(&options)?),
        Command::All { detector, ingest, takeover, latency, producing, watching, feed, history } => {
            page.put("detector", &detector::run(&detector)?)?;
            // The quick measurement last: a run that is cut has the long one on the page already.
            page.put("ingest", &ingest::run(&ingest).await?)?;
            page.put("takeover", &takeover::run(&takeover).await?)?;
            page.put("latency", &latency::run(&latency).await?)?;
            page.put("producing", &producing::run(&producing).await?)?;
            page.put("watching", &watching::run(&watching).await?)?;
            feed::run(&feed, &page).await?;
            page.put("history", &history::run(&history).await?)
        }
    }
}
