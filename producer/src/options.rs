//! The command line and the environment of `producer`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use schema::SensorType;

use crate::{pipe::OnError, plant::Profile, speed::Speed};

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
