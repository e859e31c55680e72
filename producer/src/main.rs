//! Writes events to Kafka: simulated plants and replayed recordings.

fn main() {}
