//! Rows that PostgreSQL refuses by their content: found one by one, read again as letters.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schema::{Fault, ReasonCode};
use store::Error;
use store::batch::{BatchWriter, Isolation, Part};

use super::{Refusals, Reply, Writer};
use crate::buffer::Incarnation;

/// Time that isolating bad rows may take in one batch.
const BUDGET: Duration = Duration::from_secs(5);

impl Writer {
    /// Finds the refused rows; `None` when they are too many to be bad records.
    pub(super) async fn isolate(
        &self,
        session: &BatchWriter,
        batch: &[Part],
        refusals: &mut Refusals,
    ) -> Result<Option<Isolation>, Error> {
        if session.is_refused_widely(batch).await? {
            return Ok(None);
        }
        let rows = batch.iter().map(|part| part.row_count).sum();
        let allowance = refusals.allowance(rows, Instant::now());
        let isolation = session.isolate(batch, BUDGET, allowance + 1).await?;
        if isolation.bad.len() > allowance {
            return Ok(None);
        }
        if isolation.bad.is_empty() && isolation.complete {
            return Err(Error::Refused("a batch was refused, but each of its rows is taken alone".into()));
        }
        refusals.condemned(isolation.bad.len());
        Ok(Some(isolation))
    }

    /// Every part is read again from its stored offset, the refused rows as letters: their bytes
    /// are not kept here.
    pub(super) async fn condemn(&self, parts: Vec<(Incarnation, Part)>, isolation: Isolation) {
        let mut faults: BTreeMap<i32, BTreeMap<i64, Fault>> = BTreeMap::new();
        for bad in isolation.bad {
            let constraint = bad.constraint.map(|name| format!(" (constraint {name})")).unwrap_or_default();
            let text = format!("SQLSTATE {}{constraint}: {}", bad.sql_state, bad.message);
            let fault = Fault::new(ReasonCode::RefusedByDatabase, None, text);
            faults.entry(bad.partition).or_default().insert(bad.offset, fault);
        }
        for (incarnation, part) in parts {
            let partition = part.partition;
            let faults = faults.remove(&partition).unwrap_or_default();
            self.reply(Reply::Condemned { partition, incarnation, faults }).await;
        }
    }
}
