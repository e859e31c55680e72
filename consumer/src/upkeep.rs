//! Keeps day partitions ahead of the clock. Rows of a day that has none go to DEFAULT, so a missed
//! round costs nothing but tidiness.

use std::time::Duration;

use lifecycle::Shutdown;
use store::Store;
use store::retention::ensure_days;

const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// After a failed round.
const RETRY: Duration = Duration::from_secs(60);

/// Runs until `stop`.
///
/// # Errors
/// None: what fails is tried again.
pub async fn keep_days_ahead(store: Store, stop: Shutdown) -> Result<(), store::Error> {
    loop {
        let wait = match ensure_days(&store).await {
            Ok(days) => {
                if days.made > 0 || !days.left_to_default.is_empty() {
                    tracing::info!(made = days.made, left_to_default = ?days.left_to_default, "day partitions");
                }
                INTERVAL
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), "day partitions; tried again in a minute");
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.requested() => return Ok(()),
        }
    }
}
