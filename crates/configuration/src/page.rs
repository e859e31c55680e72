//! The reference page of all settings, made from the clap definitions: `docs/configuration.md` has a section for each
//! program, and a test of each program holds its section against the program.
//!
//! ```text
//! <!-- producer: begin -->   written by UPDATE_DOCS=1, between the marks only   <!-- producer: end -->
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};

use crate::setting::{is_secret, is_setting};

/// What one argument is on the page; two that look the same are the same.
type Row = String;

/// Compares a program's section of the page with the program; with `UPDATE_DOCS=1` writes it.
///
/// # Errors
/// Says which command writes the page anew.
pub fn hold(page: &Path, command: &Command) -> Result<(), String> {
    let name = command.get_name();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let text = std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let marks = text.find(&begin).map(|at| at + begin.len()).zip(text.find(&end));
    let (from, to) = marks.ok_or_else(|| format!("{}: no section of {name}", page.display()))?;
    let section = section(command);
    if text[from..to] == section {
        return Ok(());
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let new = format!("{}{section}{}", &text[..from], &text[to..]);
        return std::fs::write(page, new).map_err(|error| format!("{}: {error}", page.display()));
    }
    Err(format!("{} is not what {name} takes: run its tests with UPDATE_DOCS=1", page.display()))
}

/// A program's tables: what several commands take, then what each takes alone.
#[must_use]
pub fn section(command: &Command) -> String {
    let mut commands = Vec::new();
    leaves(command, "", &mut commands);
    let mut takers: BTreeMap<Row, Vec<&str>> = BTreeMap::new();
    let mut order = Vec::new();
    for (name, leaf, above) in &commands {
        for arg in above.iter().copied().chain(leaf.get_arguments()).filter(|arg| is_setting(arg)) {
            let row = row(arg);
            let takers = takers.entry(row.clone()).or_default();
            if takers.is_empty() {
                order.push(row);
            }
            takers.push(name.as_str());
        }
    }
    let mut text = String::new();
    let shared = |row: &&Row| commands.len() > 1 && takers[*row].len() > 1;
    if order.iter().any(|row| shared(&row)) {
        let rows = order.iter().filter(shared).map(|row| {
            let names = &takers[row];
            let taken_by = if names.len() == commands.len() { "all".into() } else { names.join(", ") };
            format!("{row} {taken_by} |")
        });
        table(&mut text, "Of several commands", " taken by |", rows);
    }
    for (name, ..) in &commands {
        let own: Vec<&Row> = order.iter().filter(|row| !shared(row) && takers[*row] == [name.as_str()]).collect();
        if !own.is_empty() {
            let title = if commands.len() > 1 { format!("`{} {name}`", command.get_name()) } else { String::new() };
            table(&mut text, &title, "", own.into_iter().cloned());
        }
    }
    text
}

fn table(text: &mut String, title: &str, more: &str, rows: impl Iterator<Item = String>) {
    if !title.is_empty() {
        let _ = write!(text, "\n### {title}\n");
    }
    let rule = if more.is_empty() { "" } else { "---|" };
    let _ = write!(text, "\n| flag and key | variable | default | meaning |{more}\n|---|---|---|---|{rule}\n");
    for row in rows {
        text.push_str(&row);
        text.push('\n');
    }
}

type Leaf<'a> = (String, &'a Command, Vec<&'a Arg>);

/// Every command that does something, under its whole name, with the arguments that are above it.
fn leaves<'a>(command: &'a Command, prefix: &str, found: &mut Vec<Leaf<'a>>) {
    if command.get_subcommands().next().is_none() {
        found.push((prefix.trim().to_owned(), command, Vec::new()));
    }
    for subcommand in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let from = found.len();
        leaves(subcommand, &format!("{prefix} {}", subcommand.get_name()), found);
        for (_, _, above) in &mut found[from..] {
            above.extend(command.get_arguments());
        }
    }
}

fn row(arg: &Arg) -> Row {
    let cell = |text: String| text.replace('|', "\\|").replace('\n', " ");
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let long = arg.get_long().unwrap_or_default();
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = match arg.get_action() {
        ArgAction::SetTrue if defaults.is_empty() || defaults == ["false"] => "`false`".into(),
        _ if arg.is_required_set() => "*required*".into(),
        _ => code(&defaults.join(",")),
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && !arg.get_action().takes_values().eq(&false) && values.len() <= 12 {
        let _ = write!(meaning, ": {}", values.iter().map(|value| code(value)).collect::<Vec<_>>().join(", "));
    }
    if is_secret(arg) {
        meaning.push_str(" (redacted in the log)");
    }
    format!("| `--{long}` | {} | {} | {} |", code(&variable), cell(default), cell(meaning))
}
