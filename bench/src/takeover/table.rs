//! The takeover section of the page.

use std::fmt::Write as _;

use super::{Case, Goal, Options, Takeover};
use crate::machine;
use crate::spread::Spread;

/// A row for each case.
pub fn render(options: &Options, measured: &[(&Case, Vec<Takeover>)]) -> String {
    let session = f64::from(options.session_ms) / 1_000.0;
    let mut text = format!(
        "Session {session:.1} s, {} readings/s over {} partitions, {} consumers, {} kills or stops a case; seconds from the \
         signal, median (smallest-largest); load average at the end {}.\n\n\
         | case | assigned again | first row stored, first partition | first row stored, last partition | goal | | a record of \
         the others waited at most |\n\
         |---|---|---|---|---|---|---|\n",
        options.rate,
        super::PARTITIONS,
        super::CONSUMERS.len(),
        options.runs,
        machine::load_average(),
    );
    for (case, takeovers) in measured {
        let of = |one: fn(&Takeover) -> f64| Spread::of(takeovers.iter().map(one));
        let last = of(|takeover| takeover.last);
        let goal = match case.goal {
            Goal::Session => Some(session + 0.5),
            Goal::Second => Some(1.0),
            Goal::None => None,
        };
        let verdict = match goal {
            Some(goal) if last.max <= goal => "met by all",
            Some(goal) if last.median <= goal => "met by the median, not by all",
            Some(_) => "**missed**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} | {last:.2} | {} | {verdict} | {:.2} |",
            case.name,
            of(|takeover| takeover.assigned),
            of(|takeover| takeover.first),
            goal.map_or("none".to_owned(), |goal| format!("{goal:.1}")),
            of(|takeover| takeover.others),
        );
    }
    text
}
