//! Settings of a program: flags, environment, one file, defaults. Knows no setting: what there is, and what each may
//! be, is said by the program's clap definitions alone.
//!
//! ```text
//! file ─ keys become the arguments' defaults ─┐
//! environment ────────────────────────────────┼─ clap: flag > variable > file > default ─> options
//! flags ──────────────────────────────────────┘                                      └──> Effective, redacted
//! ```
//!
//! A key of the file is the flag's long name. At its top level it is for every command that knows it; in a table
//! named like a command (`[sensors]`, `[offsets.show]`) for that one, and comes before the top level.

mod effective;
mod file;
pub mod page;
mod secret;
mod setting;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches, ValueHint};

pub use effective::Effective;
pub use secret::Secret;

/// The flag that names the file.
const FLAG: &str = "config";
/// The variable that names it, too.
pub const VARIABLE: &str = "MILLRACE_CONFIG";

/// Reads the process's settings.
///
/// # Errors
/// What clap refuses, help and version included, and a file that cannot be used: it names file and key. To be
/// printed by [`clap::Error::print`].
pub fn parse<O: CommandFactory + FromArgMatches>() -> Result<(O, Effective), clap::Error> {
    parse_from(std::env::args_os().collect(), std::env::var_os(VARIABLE))
}

fn parse_from<O: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
    variable: Option<OsString>,
) -> Result<(O, Effective), clap::Error> {
    let mut command = command::<O>();
    let file = match file::named(&arguments, variable) {
        None => None,
        Some(path) => {
            let refused = |text: String| clap::Error::raw(ErrorKind::ValueValidation, format!("{text}\n"));
            let file = file::File::read(path).map_err(refused)?;
            command = file.apply(command).map_err(refused)?;
            Some(file)
        }
    };
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    let effective = Effective::of(&command, &matches, file.as_ref());
    let options = O::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
    Ok((options, effective))
}

/// The program's command with the flag for the file.
pub fn command<O: CommandFactory>() -> Command {
    let flag = Arg::new(FLAG)
        .long(FLAG)
        .env(VARIABLE)
        .global(true)
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .help("TOML file with settings, keys named like the flags; flags and variables come before it");
    O::command().arg(flag)
}

#[cfg(test)]
mod tests;
