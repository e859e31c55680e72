//! Installs tracing and metrics, and renders `/metrics`. Knows no metric name.
//!
//! ```text
//! tracing::info!(…) ─> stderr, text or JSON lines
//! opentelemetry::global::meter("part") ─> SdkMeterProvider ─> prometheus::Registry ─> Metrics::render
//! ```
//!
//! Names: `rows.ingested` (a counter) becomes `rows_ingested_total`, `batch.latency` with unit `s`
//! becomes `batch_latency_seconds`; a name that carries the suffix already gets it twice.

mod logs;
mod metrics;

use std::sync::Arc;

use opentelemetry_sdk::metrics::SdkMeterProvider;

pub use logs::{LogFormat, Options};
pub use metrics::{CONTENT_TYPE, seconds, zeroed};

/// Why telemetry could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` is no list of filter directives.
    #[error("RUST_LOG is not a log filter such as `info,kafka=debug`")]
    Filter(#[source] tracing_subscriber::filter::FromEnvError),
    /// A log subscriber was installed before.
    #[error("logging is installed already")]
    LogsInstalled(#[source] tracing_subscriber::util::TryInitError),
    /// The metrics exporter could not be set up.
    #[error("the metrics exporter cannot be set up")]
    Exporter(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// A collector was refused by the registry.
    #[error("a metrics collector was refused")]
    Collector(#[source] prometheus::Error),
}

/// The process's metrics. Cheap to clone; the last clone takes the instruments with it, so keep one
/// as long as the process lives.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Installed>);

#[derive(Debug)]
struct Installed {
    registry: prometheus::Registry,
    /// Instruments of a dropped provider record nothing.
    provider: SdkMeterProvider,
}

/// Installs logging to stderr and the global meter provider, once per process and before the first
/// instrument is made. `service` becomes the label `service_name` of `target_info`.
///
/// # Errors
/// A log filter in `RUST_LOG` that cannot be read, or a second call in one process.
pub fn init(service: &'static str, options: &Options) -> Result<Metrics, Error> {
    let metrics = Metrics::new(service)?;
    opentelemetry::global::set_meter_provider(metrics.0.provider.clone());
    logs::install(options)?;
    Ok(metrics)
}
