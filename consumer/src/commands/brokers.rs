//! How to reach the brokers, for commands that need the database too.

use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// [`kafka::Options`] without its argument group: clap names a group after its struct, and
/// [`store::Options`] has the same name.
#[derive(Debug)]
pub struct Brokers(kafka::Options);

impl Deref for Brokers {
    type Target = kafka::Options;

    fn deref(&self) -> &kafka::Options {
        &self.0
    }
}

impl Args for Brokers {
    fn augment_args(command: Command) -> Command {
        command.args(kafka::Options::augment_args(Command::new("brokers")).get_arguments().cloned())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Brokers {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        kafka::Options::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
