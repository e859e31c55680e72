//! The command line and the environment of `producer`.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use schema::SensorType;
use schema::topics::TWEETS;

use crate::{demonstration, pipe::OnError, plant::Profile, speed::Speed};

/// Writes sensor readings to Kafka
#[derive(Debug, Parser)]
#[command(version)]
#[group(skip)]
pub struct Options {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What every command needs.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Common {
    /// The brokers
    #[command(flatten)]
    pub kafka: kafka::Options,
    /// Where heartbeats go; without it there are none
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Address for /livez, /readyz and /metrics; port 0 takes a free one, which the log names
    #[arg(long, env = "HTTP_ADDR")]
    pub http_addr: Option<SocketAddr>,
    /// Seconds that a stop waits for acknowledgements
    #[arg(long, env = "FLUSH_TIMEOUT_S", default_value = "10", value_parser = seconds)]
    pub flush_timeout_s: Duration,
    /// Log lines
    #[command(flatten)]
    pub telemetry: telemetry::Options,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulate a plant: seeded sensors that drift, are noisy and fail
    Sensor(Sensor),
    /// Replay a recorded series, every row exactly one event
    Replay(Replay),
    /// Read readings from standard input, a JSON object a line, every line exactly one event
    Pipe(Pipe),
    /// Serve the HTTP API of the tweet feed: users, follows, tweets, feeds
    #[command(mut_arg("database_pool_size", |a| a.default_value("12")))]
    Tweets(Tweets),
    /// Post as a celebrity and measure how long it takes until the last of its followers' feeds has the tweet
    FeedDemo(demonstration::celebrity::Options),
    /// Replay recorded numbers of tweets against the tweet API, and measure when its users can read them
    FeedReplay(demonstration::replay::Options),
}

/// `producer sensor`
#[derive(Debug, Args)]
pub struct Sensor {
    /// What the plant's sensors measure
    #[arg(long = "type", value_enum)]
    pub kind: Kind,
    /// Name of this producer, and what its sensors' names begin with
    #[arg(long, value_parser = name)]
    pub id: String,
    /// How many sensors
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..=10_000))]
    pub sensors: u16,
    /// Events per second, over all sensors
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// The same seed gives the same values and failures
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What every command needs
    #[command(flatten)]
    pub common: Common,
}

/// `producer replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// A CSV file with the columns `timestamp` and `value`
    pub file: PathBuf,
    /// The sensor that the rows are of
    #[arg(long, value_parser = name)]
    pub sensor: String,
    /// How fast: a multiple of the recording's own time such as 60x, or max
    #[arg(long, default_value = "max")]
    pub speed: Speed,
    /// What was measured
    #[arg(long = "type", default_value_t = SensorType::Other)]
    pub sensor_type: SensorType,
    /// UCUM code of the unit; 1 is none
    #[arg(long, default_value = "1", value_parser = name)]
    pub unit: String,
    /// Name of this producer
    #[arg(long, default_value = "replay", value_parser = name)]
    pub id: String,
    /// What every command needs
    #[command(flatten)]
    pub common: Common,
}

/// `producer pipe`
#[derive(Debug, Args)]
pub struct Pipe {
    /// What a line that is no reading means for the lines behind it
    #[arg(long, value_enum, default_value = "stop")]
    pub on_error: OnError,
    /// Name of this producer
    #[arg(long, default_value = "pipe", value_parser = name)]
    pub id: String,
    /// What every command needs
    #[command(flatten)]
    pub common: Common,
}

/// `producer tweets`
#[derive(Debug, Args)]
pub struct Tweets {
    /// Name of this process
    #[arg(long, env = "PRODUCER_ID", default_value = "tweet-api", value_parser = name)]
    pub id: String,
    /// Address to serve on; port 0 takes a free one, which the log names
    #[arg(long, env = "HTTP_ADDR", default_value = "127.0.0.1:8005")]
    pub http_addr: SocketAddr,
    /// The topic
    #[arg(long, env = "TWEET_TOPIC", default_value = TWEETS.name)]
    pub topic: String,
    /// Requests a second that one user may make
    #[arg(long, env = "TWEET_USER_RATE", default_value = "100")]
    pub user_rate: NonZeroU32,
    /// Requests at once that one user may make after a pause
    #[arg(long, env = "TWEET_USER_BURST", default_value = "200")]
    pub user_burst: NonZeroU32,
    /// Requests a second in all
    #[arg(long, env = "TWEET_RATE", default_value = "2000")]
    pub rate: NonZeroU32,
    /// Requests at once in all
    #[arg(long, env = "TWEET_BURST", default_value = "4000")]
    pub burst: NonZeroU32,
    /// Tweets are refused (503) while more wait for the workers than this
    #[arg(long, env = "TWEET_BACKLOG_REFUSE", default_value_t = 100_000)]
    pub backlog_refuse: u64,
    /// And taken again when fewer wait than this
    #[arg(long, env = "TWEET_BACKLOG_TAKE", default_value_t = 90_000)]
    pub backlog_take: u64,
    /// The brokers
    #[command(flatten)]
    pub kafka: kafka::Options,
    /// Users, follows and feeds
    #[command(flatten)]
    pub store: store::Options,
    /// Log lines
    #[command(flatten)]
    pub telemetry: telemetry::Options,
}

/// The plants that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Degrees Celsius
    Temperature,
    /// Bar
    Pressure,
    /// Millimetres per second
    Vibration,
}

impl Kind {
    /// The plant's numbers.
    #[must_use]
    pub fn profile(self) -> Profile {
        match self {
            Self::Temperature => Profile::temperature(),
            Self::Pressure => Profile::pressure(),
            Self::Vibration => Profile::vibration(),
        }
    }
}

/// A text that a reading can carry; a simulated sensor's number still has to fit behind it.
fn name(text: &str) -> Result<String, String> {
    const LONGEST: usize = schema::sensor_reading::MAX_TEXT_BYTES - 6;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!("give 1 to {LONGEST} bytes without control characters"));
    }
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give 0 to 3600 seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Options::command().debug_assert();
    }

    #[test]
    fn the_page_of_settings_is_what_the_producer_takes() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let held = configuration::page::hold(page.as_ref(), &configuration::command::<super::Options>());
        held.unwrap_or_else(|error| panic!("{error}"));
    }
}
