//! Throw-away brokers and Postgres for the tests. Dev-dependency only.
