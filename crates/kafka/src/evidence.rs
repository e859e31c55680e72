//! What librdkafka knows and rdkafka's safe interface does not show.
//!
//! Generation, member epoch and member id are evidence for the journal only. They repeat, are 0
//! on a lost assignment and go back with a restored group, so nothing is ever fenced by them.

use std::ffi::CStr;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;

/// A member of a group as its client sees itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Generation (classic) or member epoch (KIP-848); -1 before joining.
    pub generation: i32,
    /// Member id; empty before joining and when lost (classic).
    pub id: String,
}

/// Reads the member's generation and id. Works inside the rebalance callback too.
pub fn member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Member {
    let unknown = Member { generation: -1, id: String::new() };
    #[expect(unsafe_code, reason = "rdkafka's ConsumerGroupMetadata hides its pointer")]
    // SAFETY: the client lives as long as `consumer`; the metadata is checked for null, its id is
    // copied before the metadata is destroyed, and it is destroyed once.
    unsafe {
        let metadata = rdkafka_sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return unknown;
        }
        let generation = rdkafka_sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let id = rdkafka_sys::rd_kafka_consumer_group_metadata_member_id(metadata);
        let id = if id.is_null() { String::new() } else { CStr::from_ptr(id).to_string_lossy().into_owned() };
        rdkafka_sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        Member { generation, id }
    }
}

/// Leader epoch under which the record was appended (KIP-320); -1 when the broker does not say.
pub fn leader_epoch(message: &BorrowedMessage<'_>) -> i32 {
    #[expect(unsafe_code, reason = "rdkafka has no accessor for it")]
    // SAFETY: the pointer is valid for as long as the message is borrowed.
    unsafe {
        rdkafka_sys::rd_kafka_message_leader_epoch(message.ptr())
    }
}
