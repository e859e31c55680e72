//! One seed per test, printed, so that a failure can be run again.

/// The seed in `TEST_SEED`, or a random one; printed either way.
///
/// # Panics
/// When `TEST_SEED` is set and not a number.
#[must_use]
pub fn seed() -> u64 {
    let seed = match std::env::var("TEST_SEED") {
        Ok(text) => text.parse().expect("TEST_SEED is a number"),
        // 32 bits: short enough to type again.
        Err(_) => u64::from(rand::random::<u32>()),
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("seed of {test}: TEST_SEED={seed}");
    seed
}
