//! Installs tracing and metrics, renders /metrics. Knows no metric name.
