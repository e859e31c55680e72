//! Waiting for something to become true, instead of sleeping and hoping.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Asks `condition` again and again until it holds. It is a closure without changes of its own
/// captures, so that a spawned task can wait, too.
///
/// # Panics
/// With `what` when it did not hold within `deadline`, also when one asking hangs.
#[track_caller]
pub fn wait_until<F: Future<Output = bool>>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    wait_for(deadline, what, move || {
        let asked = condition();
        async move { asked.await.then_some(()) }
    })
}

/// Asks `condition` again and again until it answers with a value, and returns that.
///
/// # Panics
/// With `what` when there was none within `deadline`, also when one asking hangs.
#[track_caller]
pub fn wait_for<T, F: Future<Output = Option<T>>>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn the_value_is_returned_once_it_is_there() {
        let asked = AtomicU32::new(0);
        let value = wait_for(Duration::from_secs(5), "three askings", async || {
            (asked.fetch_add(1, Ordering::SeqCst) == 2).then_some("done")
        })
        .await;
        assert_eq!(value, "done");
    }

    #[tokio::test]
    async fn a_spawned_task_can_wait_for_what_others_do() {
        let counter = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&counter);
        let waiting = tokio::spawn(async move {
            wait_until(Duration::from_secs(5), "one", async || {
                tokio::task::yield_now().await;
                seen.load(Ordering::SeqCst) == 1
            })
            .await;
        });
        counter.store(1, Ordering::SeqCst);
        waiting.await.expect("it saw the one");
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
