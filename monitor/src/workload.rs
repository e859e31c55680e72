//! What is watched: topics, each with the target that its records become rows of.

use std::sync::Arc;

/// A topic and its target. The group that reads it is not configured: the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Topic.
    pub topic: Arc<str>,
    /// As in `stored_offsets.target`.
    pub target: &'static str,
}

impl Workload {
    /// One that is watched.
    pub fn new(topic: &str, target: &'static str) -> Self {
        Self { topic: topic.into(), target }
    }
}
