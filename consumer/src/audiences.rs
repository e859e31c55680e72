//! Large audiences, range by range, and feeds that have become too long. Any worker does what is there: a task that
//! another one has in hand is locked, and its progress moves with the rows, so that whoever dies has done nothing.

use std::convert::Infallible;
use std::time::Duration;

use lifecycle::Shutdown;
use opentelemetry::metrics::Histogram;
use store::{Error, Store, feeds};

use crate::feed::Updates;

/// When there was nothing to do.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Of the trim, which is in no hurry.
const TRIM_EVERY: Duration = Duration::from_millis(500);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Serves ranges until `stop`.
///
/// # Errors
/// None: what fails is tried again.
pub(crate) async fn serve(store: Store, updates: Updates, stop: Shutdown) -> Result<(), Infallible> {
    repeat("serving audiences", &stop, || async {
        let Some(step) = feeds::step(&store).await? else { return Ok(LOOK_AGAIN) };
        updates.add("delivered", step.items);
        updates.add("expired", u64::from(step.outcome == "expired"));
        tracing::debug!(items = step.items, step.outcome, "a range of an audience");
        Ok(Duration::ZERO)
    })
    .await;
    Ok(())
}

/// Trims feeds until `stop`.
///
/// # Errors
/// None: what fails is tried again.
pub(crate) async fn trim(store: Store, sizes: Histogram<f64>, stop: Shutdown) -> Result<(), Infallible> {
    repeat("trimming feeds", &stop, || async {
        let Some(items) = feeds::trim(&store).await? else { return Ok(TRIM_EVERY) };
        sizes.record(items as f64, &[]);
        Ok(Duration::ZERO)
    })
    .await;
    Ok(())
}

/// Does rounds until `stop`; each says how long to wait for the next. One line when they begin to fail.
async fn repeat<F: Future<Output = Result<Duration, Error>>>(doing: &str, stop: &Shutdown, round: impl Fn() -> F) {
    let mut reached = true;
    while !stop.is_requested() {
        // A round that is given up is done by the server or not at all.
        let done = tokio::select! {
            done = round() => done,
            () = stop.requested() => return,
        };
        let wait = match done {
            Ok(wait) => {
                reached = true;
                wait
            }
            Err(error) => {
                if std::mem::take(&mut reached) {
                    tracing::warn!(error = error.chain(), "{doing}; tried again each second");
                }
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.requested() => {}
        }
    }
}
