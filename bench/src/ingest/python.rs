//! The forty lines of Python that a team writes in an afternoon (`bench/python/pipeline.py`), as a reference.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use e2e::plant::Site;
use schema::topics::SENSOR_READINGS;
use serde_json::Value;

use super::{Options, Run, ensure_stored, wal_bytes};
use crate::cost::Meter;
use crate::machine::load_average;
use crate::pipeline::Pipeline;

/// Six plain columns, as such a script would have them.
pub const PLAIN: &str = "plain_readings";
const MAKE_PLAIN: &str = "CREATE TABLE plain_readings (sensor_id text, value double precision, event_time timestamptz, \
     sequence bigint, kafka_partition integer, kafka_offset bigint)";

/// An interpreter with what the script needs.
pub struct Python {
    interpreter: PathBuf,
    script: PathBuf,
}

impl Python {
    /// Makes a virtual environment in `target/`, once.
    ///
    /// # Errors
    /// When there is no Python with `venv`, or its packages cannot be had.
    pub fn prepare() -> Result<Self> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let environment = home.join("../target/bench-python");
        let interpreter = environment.join("bin/python");
        if !environment.join("ready").exists() {
            let make = Command::new("python3").args(["-m", "venv"]).arg(&environment).status();
            ensure!(make.context("starting python3")?.success(), "python3 -m venv does not work: install python3-venv");
            let install = Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(home.join("python/requirements.txt"))
                .status()?;
            ensure!(install.success(), "pip could not install bench/python/requirements.txt");
            std::fs::write(environment.join("ready"), "")?;
        }
        Ok(Self { interpreter, script: home.join("python/pipeline.py") })
    }

    /// Stores the topic in `table`; from the first batch read to the last one committed.
    ///
    /// # Errors
    /// When the script ends in failure, or stored another number of rows.
    pub async fn drain(&self, site: &Site, pipeline: &Pipeline, options: &Options, table: &str) -> Result<Run> {
        let client = pipeline.connect().await?;
        client.batch_execute(MAKE_PLAIN).await?;
        let (load, wal) = (load_average(), wal_bytes(&client).await?);
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script).arg(site.kafka.bootstrap()).arg(SENSOR_READINGS.name).arg(pipeline.url());
        command.arg(table).arg(options.rows.to_string()).stdout(Stdio::piped());
        let child = command.spawn().context("starting the script")?;
        let meter = Meter::new(site, child.id())?;
        let before = meter.read();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
        ensure!(output.status.success(), "the script ended with {}", output.status);
        let said: Value = serde_json::from_slice(&output.stdout).context("reading what the script says")?;
        let number = |name: &str| said[name].as_f64().with_context(|| format!("the script says no {name}"));
        let (seconds, cpu) = (number("seconds")?, number("cpu_seconds")?);
        let cost = crate::cost::Cost { client: cpu, ..meter.read().since(before) };
        let wal_bytes = wal_bytes(&client).await? - wal;
        ensure_stored(&client, table, options.rows).await?;
        Ok(Run {
            rows: options.rows,
            seconds,
            cost,
            idle_cores: cost.idle / seconds,
            others_cores: 0.0,
            wal_bytes,
            transactions: 0,
            process: None,
            load,
        })
    }
}
