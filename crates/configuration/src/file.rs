//! The file: found, read, and made the defaults of a command's arguments.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Command};
use toml::{Table, Value};

use crate::setting::{is_setting, text};
use crate::{FLAG, VARIABLE};

/// The file that the command line names, or else the variable.
pub(crate) fn named(arguments: &[OsString], variable: Option<OsString>) -> Option<PathBuf> {
    let flag = format!("--{FLAG}");
    let mut arguments = arguments.iter().skip(1).take_while(|argument| *argument != OsStr::new("--"));
    let mut found = None;
    while let Some(argument) = arguments.next() {
        if argument == OsStr::new(&flag) {
            found = arguments.next().cloned();
        } else if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix(&format!("{flag}="))) {
            found = Some(path.into());
        }
    }
    // An empty variable is one that is not set: that is how a shell takes one back.
    found.or(variable.filter(|path| !path.is_empty())).map(PathBuf::from)
}

/// A file that was read.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    table: Table,
}

impl File {
    pub(crate) fn read(path: PathBuf) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{name}: {error} (named by --{FLAG} or {VARIABLE})"))?;
        let table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{name}: {line}{}", error.message())
        })?;
        Ok(Self { path, table })
    }

    /// Makes what it says the defaults of `command` and its subcommands.
    pub(crate) fn apply(&self, command: Command) -> Result<Command, String> {
        let refused = |what: String| format!("{}: {what}", self.path.display());
        known(&command, &self.table, "").map_err(refused)?;
        defaults(command, &Table::new(), &self.table).map_err(refused)
    }

    /// Whether it says something of the argument, for the command at the end of `path`.
    pub(crate) fn says(&self, path: &[&str], long: &str) -> bool {
        let mut table = Some(&self.table);
        let mut tables = vec![&self.table];
        for name in path {
            table = table.and_then(|table| table.get(*name)).and_then(Value::as_table);
            tables.extend(table);
        }
        tables.iter().any(|table| table.get(long).is_some_and(|value| !value.is_table()))
    }
}

/// Refuses the first key that names neither a setting nor a command.
fn known(command: &Command, table: &Table, prefix: &str) -> Result<(), String> {
    let names = settings_below(command);
    for (key, value) in table {
        match (command.find_subcommand(key), value) {
            (Some(subcommand), Value::Table(table)) => known(subcommand, table, &format!("{prefix}{key}."))?,
            _ if names.contains(key.as_str()) => {}
            _ => {
                let of = if prefix.is_empty() { command.get_name() } else { prefix.trim_end_matches('.') };
                return Err(format!("key `{prefix}{key}` is no setting of {of}"));
            }
        }
    }
    Ok(())
}

fn settings_below(command: &Command) -> BTreeSet<&str> {
    let own = command.get_arguments().filter(|arg| is_setting(arg)).filter_map(Arg::get_long);
    let below = command.get_subcommands().flat_map(settings_below);
    own.chain(below).collect()
}

/// `above` is what was said for all commands.
fn defaults(mut command: Command, above: &Table, table: &Table) -> Result<Command, String> {
    let mut said = above.clone();
    said.extend(table.iter().filter(|(_, value)| !value.is_table()).map(|(key, value)| (key.clone(), value.clone())));
    let mut values = Vec::new();
    for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
        let long = arg.get_long().unwrap_or_default();
        if let Some(value) = said.get(long) {
            let text = text(arg, value).map_err(|reason| format!("key `{long}`: {reason}"))?;
            values.push((arg.get_id().clone(), text));
        }
    }
    for (id, value) in values {
        command = command.mut_arg(id, |arg| arg.required(false).default_value(value));
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let empty = Table::new();
    for name in names {
        let own = table.get(&name).and_then(Value::as_table).unwrap_or(&empty);
        let mut failed = None;
        command = command.mut_subcommand(&name, |sub| {
            let unchanged = sub.clone();
            defaults(sub, &said, own).unwrap_or_else(|error| {
                failed = Some(error);
                unchanged
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(command)
}
