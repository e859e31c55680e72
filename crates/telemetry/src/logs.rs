//! Log lines on stderr: what is written where a supervisor or a person reads it.

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::Error;

/// How a program logs; to be flattened into its command line.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Options {
    /// How log lines look; which lines there are is said by RUST_LOG (`info` when unset)
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t, global = true)]
    pub log_format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Installs the subscriber and, for JSON, a panic hook that keeps the stream one object a line.
pub(crate) fn install(options: &Options) -> Result<(), Error> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env()
        .map_err(Error::Filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    match options.log_format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(io::stderr).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init(),
    }
    .map_err(Error::LogsInstalled)?;
    if options.log_format == LogFormat::Json {
        std::panic::set_hook(Box::new(|panic| {
            let backtrace = std::backtrace::Backtrace::capture();
            tracing::error!(%panic, %backtrace, "panicked");
        }));
    }
    Ok(())
}
