//! The built binaries run as processes against real brokers and a real Postgres.
