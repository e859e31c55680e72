//! The workload of tweets: a record is a row, and an item of each follower's feed.

use alarms::Observation;
use schema::Fault;
use store::copy::Origin;
use store::tweets::BATCH;

use crate::member::Workload;

/// What `consumer feed` does.
pub const WORKLOAD: Workload = Workload { encode, target: BATCH };

fn encode<'p>(
    row: &mut Vec<u8>,
    payload: Option<&'p [u8]>,
    origin: &Origin<'_>,
) -> Result<Option<Observation<'p>>, Fault> {
    (BATCH.encode)(row, payload, origin).map(|()| None)
}
