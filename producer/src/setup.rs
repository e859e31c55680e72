//! From the command line to what will run: everything that can be found wrong before any connection
//! is made.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use lifecycle::exit;
use schema::SensorType;
use store::Store;
use telemetry::Metrics;

use crate::{
    heartbeat::Identity,
    options::{self, Common},
    pace::Pace,
    pipe::{Input, Pipe},
    plant::Plant,
    recording,
    replay::Replay,
    simulation::Simulation,
};

/// Where the events come from.
#[derive(Debug)]
pub enum Source {
    /// A simulated plant.
    Simulation(Simulation),
    /// A recording.
    Replay(Replay),
    /// Standard input.
    Pipe(Pipe),
}

impl Source {
    /// How many events there will be, where that is known.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        match self {
            Self::Simulation(_) | Self::Pipe(_) => None,
            Self::Replay(replay) => Some(replay.rows.len() as u64),
        }
    }

    /// Where lines are counted, where there are lines.
    #[must_use]
    pub fn input(&self) -> Option<Arc<Input>> {
        match self {
            Self::Pipe(pipe) => Some(Arc::clone(&pipe.input)),
            Self::Simulation(_) | Self::Replay(_) => None,
        }
    }
}

/// Everything that a run needs.
pub struct Setup {
    /// Where the events come from.
    pub source: Source,
    /// The brokers.
    pub kafka: kafka::Options,
    /// Where heartbeats go, if anywhere.
    pub store: Option<Store>,
    /// Where the operator asks, if anywhere.
    pub http_addr: Option<SocketAddr>,
    /// How long a stop waits for acknowledgements.
    pub flush_timeout: Duration,
    /// What is measured of this process.
    pub metrics: Metrics,
    /// Who it is.
    pub identity: Identity,
}

/// What is wrong, and the exit code that says so.
#[derive(Debug)]
pub struct Refused {
    /// [`exit::USAGE`] or, for a recording that cannot be read, [`exit::DATA`].
    pub code: u8,
    /// For a person, on one line.
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        let bad_data = error.downcast_ref().is_some_and(|error| !matches!(error, recording::Error::Unreadable(_)));
        Self { code: if bad_data { exit::DATA } else { exit::USAGE }, error }
    }
}

impl Setup {
    /// A simulated plant; checks values, connects to nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn sensor(options: options::Sensor) -> Result<Self, Refused> {
        let profile = options.kind.profile();
        let sensor_type = profile.sensor_type;
        let plant = Plant::new(profile, &options.id, options.sensors, options.seed);
        let pace = Pace::new(options.rate).context("--rate")?;
        let identity = identity(options.id, sensor_type, Some(options.rate));
        let mut common = options.common;
        // Every long-running program can be asked how it is.
        common.http_addr.get_or_insert(SocketAddr::from(([127, 0, 0, 1], 0)));
        Ok(Self::of(Source::Simulation(Simulation { plant, pace }), identity, common)?)
    }

    /// A recording, which is read; connects to nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, in the file or the values.
    pub fn replay(options: options::Replay) -> Result<Self, Refused> {
        let rows = recording::read(&options.file).with_context(|| options.file.display().to_string())?;
        let replay = Replay {
            rows,
            speed: options.speed,
            sensor_id: options.sensor,
            sensor_type: options.sensor_type,
            unit: options.unit,
        };
        let identity = identity(options.id, options.sensor_type, None);
        Ok(Self::of(Source::Replay(replay), identity, options.common)?)
    }

    /// Standard input; checks values, connects to nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn pipe(options: options::Pipe) -> Result<Self, Refused> {
        let pipe = Pipe { on_error: options.on_error, input: Arc::default() };
        let identity = identity(options.id, SensorType::Other, None);
        Ok(Self::of(Source::Pipe(pipe), identity, options.common)?)
    }

    fn of(source: Source, identity: Identity, common: Common) -> anyhow::Result<Self> {
        common.kafka.validate().map_err(anyhow::Error::msg)?;
        let store = common.database_url.map(|database_url| {
            // One heartbeat at a time.
            let options = store::Options { database_url, database_pool_size: 1 };
            Store::new(&options, &identity.producer_id)
        });
        Ok(Self {
            source,
            kafka: common.kafka,
            store: store.transpose()?,
            http_addr: common.http_addr,
            flush_timeout: common.flush_timeout_s,
            metrics: telemetry::init("producer", &common.telemetry)?,
            identity,
        })
    }
}

fn identity(producer_id: String, sensor_type: SensorType, target_rate: Option<f64>) -> Identity {
    Identity { target_rate, ..Identity::new(producer_id, &sensor_type.to_string()) }
}
