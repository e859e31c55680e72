//! The command line and the environment of `monitor`.

use std::net::{IpAddr, Ipv4Addr};

use clap::{Parser, ValueEnum, builder::FalseyValueParser};
use configuration::Secret;
use schema::topics::{SENSOR_READINGS, TWEETS};
use store::{sensor_readings, tweets};

use crate::guard::TOKEN_LENGTH;
use crate::workload::Workload;

/// Watches the pipeline: a page, an API and metrics over HTTP
#[derive(Debug, Parser)]
#[command(version)]
#[group(skip)]
pub struct Options {
    /// What to do instead of serving
    #[arg(value_enum)]
    pub command: Option<Command>,
    /// Address to serve on
    #[arg(long, env = "MONITORING_HOST", default_value = "127.0.0.1", value_parser = host)]
    pub host: IpAddr,
    /// Port to serve on; 0 takes a free one, which the log names
    #[arg(long, env = "MONITORING_PORT", default_value_t = 5000)]
    pub port: u16,
    /// Allow an address that other machines can reach although nobody has to log in
    #[arg(long, env = "MONITORING_TRUSTED_NETWORK", value_parser = FalseyValueParser::new())]
    pub trusted_network: bool,
    /// Demanded of every request but /livez and /readyz; 16 characters at least
    #[arg(long, env = "MONITORING_TOKEN", hide_env_values = true, value_parser = token)]
    pub token: Option<Secret>,
    /// Names that it may be asked under besides localhost and addresses, separated by commas
    #[arg(long = "allowed-host", env = "MONITORING_ALLOWED_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// The topic of the sensors' readings
    #[arg(long, default_value = SENSOR_READINGS.name)]
    pub topic: String,
    /// The topic of the tweets; watched as soon as it is used
    #[arg(long, env = "TWEET_TOPIC", default_value = TWEETS.name)]
    pub tweet_topic: String,
    /// With the role that numbers events; without it, this monitor only shows what another one numbers
    #[arg(long, env = "RECORDER_DATABASE_URL", hide_env_values = true)]
    pub recorder_database_url: Option<Secret>,
    /// The brokers that are watched
    #[command(flatten)]
    pub kafka: kafka::Options,
    /// The database that is watched: a role that may only read is enough
    #[command(flatten)]
    pub store: store::Options,
    /// Of the commands that end
    #[command(flatten)]
    pub task: crate::task::Options,
    /// Log lines
    #[command(flatten)]
    pub telemetry: telemetry::Options,
}

impl Options {
    /// What is watched, in the order in which it is shown.
    pub fn workloads(&self) -> [Workload; 2] {
        [Workload::new(&self.topic, sensor_readings::TARGET), Workload::new(&self.tweet_topic, tweets::TARGET)]
    }
}

/// What there is to do besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Say whether all that a monitor needs is there, a line each
    Check,
    /// Write what was recorded from --from to --to into one file
    Export,
    /// Judge the rebalances since --from once more; a line for each difference from what is kept, exit code 1 with any
    Rejudge,
    /// Mark the beginning of a drill; prints its number
    DrillBegin,
    /// Wait until everything is read again and print the flight reports since the drill began
    DrillAwait,
    /// Judge a drill and mark its end; exit code 1 when it failed
    DrillEnd,
}

fn token(text: &str) -> Result<Secret, String> {
    match text.chars().count() {
        n if n >= TOKEN_LENGTH => Ok(Secret::new(text)),
        n => Err(format!("a token needs {TOKEN_LENGTH} characters at least, this one has {n}")),
    }
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "not an IP address (or localhost)".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_settings_is_what_the_monitor_takes() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let held = configuration::page::hold(page.as_ref(), &configuration::command::<super::Options>());
        held.unwrap_or_else(|error| panic!("{error}"));
    }
}
