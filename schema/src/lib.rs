//! The contract: event types, topic catalogue, SQL migrations. No I/O.
