//! Metrics: OpenTelemetry's instruments inside, Prometheus' text outside.

use std::sync::Arc;

use opentelemetry::metrics::Counter;
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

use crate::{Error, Installed, Metrics};

/// The media type of what [`Metrics::render`] returns (Prometheus text exposition format 0.0.4).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bucket boundaries for a histogram of durations in seconds, from half a millisecond to a minute.
/// The SDK's own are for milliseconds.
#[must_use]
pub fn seconds() -> Vec<f64> {
    vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]
}

/// Makes a counter appear with 0 before its first event, so that the first one is an increase and
/// not a new series. A counter with labels is zeroed by its owner, with the labels it knows.
#[must_use]
pub fn zeroed(counter: Counter<u64>) -> Counter<u64> {
    counter.add(0, &[]);
    counter
}

impl Metrics {
    /// A provider and a registry of its own, with the process's CPU, memory, threads and files.
    pub(crate) fn new(service: &'static str) -> Result<Self, Error> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(Error::Exporter)?;
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .map_err(Error::Collector)?;
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(Resource::builder_empty().with_service_name(service).build())
            .build();
        Ok(Self(Arc::new(Installed { registry, provider })))
    }

    /// Everything that was measured, as text of type [`CONTENT_TYPE`]. Calls the observable
    /// instruments' callbacks.
    #[must_use]
    pub fn render(&self) -> String {
        let mut families = self.0.registry.gather();
        // A family without a series is an error to the encoder, and nothing to a reader.
        families.retain(|family| !family.get_metric().is_empty());
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("families have names and series, and a String takes any text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::{KeyValue, metrics::MeterProvider};

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line starts with {start} in:\n{text}"))
    }

    #[test]
    fn names_get_one_suffix_and_no_scope_labels() {
        let metrics = Metrics::new("press").expect("telemetry is set up");
        let meter = metrics.0.provider.meter("a-part");
        let counter = meter.u64_counter("rows.ingested").build();
        counter.add(3, &[KeyValue::new("table", "a \"b\"\n")]);
        let latency = meter.f64_histogram("batch.latency").with_unit("s");
        let latency = latency.with_boundaries(seconds()).build();
        latency.record(0.02, &[]);
        let text = metrics.render();
        assert_eq!(line(&text, "rows_ingested_total{"), r#"rows_ingested_total{table="a \"b\"\n"} 3"#);
        assert_eq!(
            line(&text, r#"batch_latency_seconds_bucket{le="0.025"}"#),
            r#"batch_latency_seconds_bucket{le="0.025"} 1"#
        );
        assert_eq!(line(&text, "target_info"), r#"target_info{service_name="press"} 1"#);
        assert!(!text.contains("otel_scope"), "{text}");
    }

    #[test]
    fn a_zeroed_counter_is_there_before_its_first_event() {
        let metrics = Metrics::new("press").expect("telemetry is set up");
        let meter = metrics.0.provider.meter("a-part");
        let _absent = meter.u64_counter("not.yet").build();
        let _zeroed = zeroed(meter.u64_counter("already.there").build());
        let text = metrics.render();
        assert_eq!(line(&text, "already_there_total"), "already_there_total 0");
        assert!(!text.contains("not_yet"));
    }

    #[test]
    fn the_process_itself_is_measured() {
        let metrics = Metrics::new("press").expect("telemetry is set up");
        let text = metrics.render();
        let resident = line(&text, "process_resident_memory_bytes ");
        assert!(!resident.ends_with(" 0"), "{resident}");
        line(&text, "process_cpu_seconds_total ");
        line(&text, "process_open_fds ");
    }
}
