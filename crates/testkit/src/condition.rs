//! Waiting for something to become true, instead of sleeping and hoping.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Asks `condition` again and again until it holds.
///
/// # Panics
/// With `what` when it did not hold within `deadline`, also when one asking hangs.
#[track_caller]
pub fn wait_until(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    wait_for(deadline, what, async move || condition().await.then_some(()))
}

/// Asks `condition` again and again until it answers with a value, and returns that.
///
/// # Panics
/// With `what` when there was none within `deadline`, also when one asking hangs.
#[track_caller]
pub fn wait_for<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut pause = Duration::from_millis(5);
        loop {
            if let Ok(Some(value)) = timeout_at(end, condition()).await {
                return value;
            }
            assert!(Instant::now() < end, "{caller}: not within {deadline:?}: {what}");
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_is_returned_once_it_is_there() {
        let mut asked = 0;
        let value = wait_for(Duration::from_secs(5), "three askings", async || {
            asked += 1;
            (asked == 3).then_some("done")
        })
        .await;
        assert_eq!(value, "done");
    }

    #[tokio::test]
    #[should_panic(expected = "the moon is blue")]
    async fn a_condition_that_never_holds_panics_with_its_name() {
        wait_until(Duration::from_millis(20), "the moon is blue", async || false).await;
    }

    #[tokio::test]
    #[should_panic(expected = "an answer")]
    async fn a_condition_that_hangs_panics_too() {
        wait_until(Duration::from_millis(20), "an answer", async || std::future::pending::<bool>().await).await;
    }
}
