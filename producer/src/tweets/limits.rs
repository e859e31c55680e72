//! How much one user, and all together, may ask for: token buckets (GCRA). What is over is answered with 429.
//!
//! The answer's fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` names the bucket, its size
//! and the seconds in which it fills; `RateLimit` what is left of it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::Problem;
use lifecycle::Shutdown;
use warp::http::header::{HeaderName, RETRY_AFTER};
use warp::http::{HeaderMap, HeaderValue, StatusCode};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// Buckets that are full again are forgotten so often.
const TIDY: Duration = Duration::from_secs(10);

/// Requests a second, and how many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// A second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Rate {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }

    /// Seconds in which an empty bucket fills.
    fn window(self) -> u32 {
        self.burst.get().div_ceil(self.per_second.get())
    }
}

/// The buckets.
pub struct Limits {
    user: Rate,
    all: Rate,
    of_user: RateLimiter<i64, DefaultKeyedStateStore<i64>, DefaultClock, StateInformationMiddleware>,
    of_all: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

impl Limits {
    /// Full buckets.
    pub fn new(user: Rate, all: Rate) -> Self {
        Self {
            user,
            all,
            of_user: RateLimiter::keyed(user.quota()).with_middleware(),
            of_all: RateLimiter::direct(all.quota()).with_middleware(),
        }
    }

    /// Takes one request out of the buckets; the fields of its answer.
    ///
    /// # Errors
    /// 429 with when to come again. The user's bucket is asked first: who asks too much takes nothing from others.
    pub fn take(&self, user: Option<i64>) -> Result<HeaderMap, Problem> {
        let clock = DefaultClock::default();
        let mut fields = HeaderMap::new();
        if let Some(user) = user {
            match self.of_user.check_key(&user) {
                Ok(left) => tell(&mut fields, "user", self.user, left.remaining_burst_capacity()),
                Err(not_yet) => return Err(refused("user", self.user, not_yet.wait_time_from(clock.now()))),
            }
        }
        match self.of_all.check() {
            Ok(left) if user.is_none() => tell(&mut fields, "all", self.all, left.remaining_burst_capacity()),
            Ok(_) => {}
            Err(not_yet) => return Err(refused("all", self.all, not_yet.wait_time_from(clock.now()))),
        }
        Ok(fields)
    }

    /// Forgets the buckets of users who have not asked for a while, until `stop`: memory is bounded by who asks within
    /// [`TIDY`].
    ///
    /// # Errors
    /// None.
    pub async fn tidy(&self, stop: Shutdown) -> Result<(), std::convert::Infallible> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TIDY) => self.of_user.retain_recent(),
                () = stop.requested() => return Ok(()),
            }
        }
    }
}

fn tell(fields: &mut HeaderMap, name: &str, rate: Rate, left: u32) {
    let text = |text: String| HeaderValue::from_str(&text).expect("digits and names are a header's characters");
    fields.insert(POLICY, text(format!("\"{name}\";q={};w={}", rate.burst, rate.window())));
    fields.insert(LEFT, text(format!("\"{name}\";r={left}")));
}

fn refused(name: &str, rate: Rate, wait: Duration) -> Problem {
    let mut fields = HeaderMap::new();
    tell(&mut fields, name, rate, 0);
    let whose = if name == "user" { "this user" } else { "all users together" };
    let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS)
        .detail(format!("{whose} may ask {} times a second, {} times at once", rate.per_second, rate.burst))
        .header(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    for (field, value) in &fields {
        problem = problem.header(field.clone(), value.clone());
    }
    problem
}

#[cfg(test)]
mod tests {
    use warp::Reply;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        Rate { per_second: number(per_second), burst: number(burst) }
    }

    #[test]
    fn who_asks_too_much_is_told_when_to_come_again_and_takes_nothing_from_others() {
        let limits = Limits::new(rate(1, 3), rate(1, 5));
        for left in [2, 1, 0] {
            let fields = limits.take(Some(1)).expect("there are three");
            assert_eq!(fields[LEFT], format!("\"user\";r={left}"));
            assert_eq!(fields[POLICY], "\"user\";q=3;w=3");
        }
        for _ in 0..10 {
            let refused = limits.take(Some(1)).expect_err("there were three").into_response();
            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(refused.headers()[RETRY_AFTER], "1");
        }
        // Three of the five are gone, and no more.
        assert!(limits.take(Some(2)).is_ok());
        assert_eq!(limits.take(None).expect("the fifth")[LEFT], "\"all\";r=0");
        let refused = limits.take(Some(3)).expect_err("all of them").into_response();
        assert_eq!(refused.headers()[LEFT], "\"all\";r=0");
    }
}
