//! The workload of tweets: a record is a row, and an item of each follower's feed.

use alarms::Observation;
use schema::Fault;
use schema::tweet::decode;
use store::copy::Origin;
use store::tweets::{BATCH, encode_row};

use crate::member::Workload;

/// What `consumer feed` does.
pub const WORKLOAD: Workload = Workload { encode, target: BATCH };

fn encode<'p>(
    row: &mut Vec<u8>,
    payload: Option<&'p [u8]>,
    origin: &Origin<'_>,
) -> Result<Option<Observation<'p>>, Fault> {
    encode_row(row, &decode(payload)?, origin);
    Ok(None)
}
