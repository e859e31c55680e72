//! Keeps day partitions ahead of the clock, and the live view's sums and events bounded. Rows of a day that
//! has none go to DEFAULT, so a missed round costs nothing but tidiness.

use std::time::Duration;

use lifecycle::Shutdown;
use store::Store;
use store::retention::{ensure_days, trim};

const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// After a failed round.
const RETRY: Duration = Duration::from_secs(60);

/// Runs until `stop`.
///
/// # Errors
/// None: what fails is tried again.
pub async fn run(store: Store, stop: Shutdown) -> Result<(), store::Error> {
    loop {
        let round = async {
            let days = ensure_days(&store).await?;
            Ok::<_, store::Error>((days, trim(&store).await?))
        };
        let wait = match round.await {
            Ok((days, trimmed)) => {
                if days.made > 0 || !days.left_to_default.is_empty() {
                    tracing::info!(made = days.made, left_to_default = ?days.left_to_default, "day partitions");
                }
                tracing::debug!(trimmed, "old sums and events");
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(error = error.chain(), "upkeep; tried again in a minute");
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.requested() => return Ok(()),
        }
    }
}
