//! How far a replay is: a bar on a terminal, a line now and then elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use crate::tally::Counts;

/// Without a terminal: the time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how many of the rows are acknowledged.
#[derive(Debug)]
pub struct Progress {
    rows: usize,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// Of so many rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        let bar = stderr().is_terminal().then(|| bar(rows as u64));
        Self { rows, bar, last_line: Instant::now() }
    }

    /// To be called often; it draws or writes when there is something new to show.
    pub fn show(&mut self, counts: &Counts) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} sent, {} waiting", counts.sent, counts.waiting()));
            bar.set_position(counts.acknowledged);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.line(counts);
        }
    }

    /// The last picture, which stays.
    pub fn finish(self, counts: &Counts) {
        if let Some(bar) = &self.bar {
            bar.set_position(counts.acknowledged);
            bar.abandon_with_message(format!("{} sent", counts.sent));
            // What is logged next begins on a line of its own.
            eprintln!();
        } else {
            self.line(counts);
        }
    }

    fn line(&self, counts: &Counts) {
        let Counts { sent, acknowledged, failed, .. } = *counts;
        info!(rows = self.rows, sent, acknowledged, failed, "replaying");
    }
}

fn bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} acknowledged, {msg}")
        .expect("the template is valid");
    ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr()).with_style(style)
}
