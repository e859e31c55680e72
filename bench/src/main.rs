//! `bench`: speed and memory, as ratios against a reference in the same run.
//!
//! ```text
//! ingest     raw COPY of a topic's rows, then the consumer draining that topic, A B A B …
//! takeover   kill -9 of a consumer -> first row of its partitions stored again, per protocol
//! detector   the alarms' detector on NAB's labelled recordings, next to a plain z-score
//! ```
//!
//! It starts brokers and a Postgres of its own and runs the built `consumer` beside it. Nothing
//! here asserts: a number is printed with the noise that it was measured in.

mod cost;
mod detector;
mod ingest;
mod machine;
mod page;
mod pipeline;
mod spread;
mod takeover;

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
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let program = Program::parse();
    let command = program.command.unwrap_or_else(|| Command::All {
        detector: detector::Options::default(),
        ingest: ingest::Options::default(),
        takeover: takeover::Options::default(),
    });
    let page = page::Page::open(program.markdown)?;
    // What is found does not depend on the machine.
    if !matches!(command, Command::Detector(_)) {
        page.put("machine", &machine::describe())?;
    }
    match command {
        Command::Ingest(options) => page.put("ingest", &ingest::run(&options).await?),
        Command::Takeover(options) => page.put("takeover", &takeover::run(&options).await?),
        Command::Detector(options) => page.put("detector", &detector::run(&options)?),
        Command::All { detector, ingest, takeover } => {
            page.put("detector", &detector::run(&detector)?)?;
            // The quick measurement last: a run that is cut has the long one on the page already.
            page.put("ingest", &ingest::run(&ingest).await?)?;
            page.put("takeover", &takeover::run(&takeover).await?)
        }
    }
}
