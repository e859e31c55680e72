//! One condition of one sensor: inactive or active, after its delays.
//!
//! ```text
//!              exceeded          for OnDelay
//!   inactive ──────────> pending ──────────> active(of) ──> active(worse), at once after OnDelay
//!      ^                    │                   │
//!      └──── not any more ──┘      for OffDelay │ back, or less bad
//!      └────────────────────────────────────────┘
//! ```
//!
//! Three activations within a minute are chattering (EEMUA 191): the third is told, the ones behind it are only
//! counted until a minute has passed without one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Activations within [`CHATTER_SPAN`] that are chattering.
const CHATTER: usize = 3;
const CHATTER_SPAN: SignedDuration = SignedDuration::from_secs(60);

/// The state of a condition; `S` says in which way it is exceeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition<S> {
    /// In which way it is active.
    active: Option<S>,
    /// What it may turn into, and since when it looks so.
    pending: Option<(Option<S>, Timestamp)>,
    /// How often it became active; the number of the current or last activation.
    activations: u64,
    /// When the last [`CHATTER`] were, oldest first.
    recent: Vec<Timestamp>,
    chattering: bool,
}

/// What a reading changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<S> {
    /// What happened.
    pub what: What<S>,
    /// Number of the activation that it belongs to, from 1.
    pub activation: u64,
    /// Event time of the reading that changed it.
    pub at: Timestamp,
    /// Whether it is chattering.
    pub chattering: bool,
    /// Whether this is to be told as an alarm of its own.
    pub told: bool,
}

/// What happened to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What<S> {
    /// It became active.
    Raised(S),
    /// It is active in another way, which is worse or on the other side: to be acknowledged anew.
    Worsened(S),
    /// It is active in another way, which is less bad.
    Eased(S),
    /// It is inactive again.
    Returned,
}

impl<S> What<S> {
    /// As in `alarm_events.event`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Raised(_) => "raised",
            Self::Worsened(_) => "worsened",
            Self::Eased(_) => "eased",
            Self::Returned => "returned",
        }
    }
}

impl<S> Default for Condition<S> {
    fn default() -> Self {
        Self { active: None, pending: None, activations: 0, recent: Vec::new(), chattering: false }
    }
}

impl<S: Copy + PartialEq> Condition<S> {
    /// In which way it is active.
    pub fn active(&self) -> Option<S> {
        self.active
    }

    /// A reading at `at` is exceeded in the way `seen`, or not at all. A clock that jumps back begins a delay anew.
    ///
    /// `is_worse(a, b)`: whether `a` is the same trouble as `b`, and more of it.
    pub fn observe(
        &mut self,
        seen: Option<S>,
        at: Timestamp,
        on_delay: SignedDuration,
        off_delay: SignedDuration,
        is_worse: impl Fn(S, S) -> bool,
    ) -> Option<Change<S>> {
        self.calm_down(at);
        if seen == self.active {
            self.pending = None;
            return None;
        }
        let since = match self.pending {
            Some((wanted, since)) if since <= at && self.is_same_trouble(wanted, seen, &is_worse) => since,
            _ => at,
        };
        self.pending = Some((seen, since));
        let is_return = match (self.active, seen) {
            (Some(_), None) => true,
            (Some(active), Some(seen)) => is_worse(active, seen),
            (None, _) => false,
        };
        let delay = if is_return { off_delay } else { on_delay };
        (at.duration_since(since) >= delay).then(|| self.turn(seen, at, is_worse))
    }

    /// Whether the time that a value looked like `before` counts for what it looks like now: it is outside by as
    /// much, or by more or less on the same side; or on its way back from what is active, however far.
    fn is_same_trouble(&self, before: Option<S>, now: Option<S>, is_worse: impl Fn(S, S) -> bool) -> bool {
        let milder = |way: Option<S>| self.active.is_some_and(|active| way.is_none_or(|way| is_worse(active, way)));
        before == now
            || before.zip(now).is_some_and(|(before, now)| is_worse(before, now) || is_worse(now, before))
            || milder(before) && milder(now)
    }

    fn turn(&mut self, to: Option<S>, at: Timestamp, is_worse: impl Fn(S, S) -> bool) -> Change<S> {
        let was = std::mem::replace(&mut self.active, to);
        let was_chattering = self.chattering;
        self.pending = None;
        let what = match (was, to) {
            (None, Some(way)) => {
                self.activations += 1;
                self.count(at);
                What::Raised(way)
            }
            (Some(was), Some(way)) if is_worse(was, way) => What::Eased(way),
            (Some(_), Some(way)) => What::Worsened(way),
            (_, None) => What::Returned,
        };
        Change { what, activation: self.activations, at, chattering: self.chattering, told: !was_chattering }
    }

    fn count(&mut self, at: Timestamp) {
        self.recent.push(at);
        if self.recent.len() > CHATTER {
            self.recent.remove(0);
        }
        let oldest = self.recent[0];
        if self.recent.len() == CHATTER && at.duration_since(oldest).abs() <= CHATTER_SPAN {
            self.chattering = true;
        }
    }

    /// A minute without an activation ends chattering.
    fn calm_down(&mut self, at: Timestamp) {
        if self.recent.last().is_some_and(|last| at.duration_since(*last).abs() > CHATTER_SPAN) {
            self.chattering = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    const ON: SignedDuration = SignedDuration::from_secs(2);
    const OFF: SignedDuration = SignedDuration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn see(condition: &mut Condition<Level>, seen: Option<Level>, second: i64) -> Option<What<Level>> {
        condition.observe(seen, at(second), ON, OFF, Level::is_worse_than).map(|change| change.what)
    }

    #[test]
    fn it_becomes_active_after_its_on_delay_and_inactive_after_its_off_delay() {
        let mut condition = Condition::default();
        assert_eq!(see(&mut condition, Some(Level::High), 10), None);
        assert_eq!(see(&mut condition, Some(Level::High), 11), None);
        assert_eq!(see(&mut condition, Some(Level::High), 12), Some(What::Raised(Level::High)));
        assert_eq!(see(&mut condition, None, 13), None);
        assert_eq!(see(&mut condition, None, 17), None);
        assert_eq!(see(&mut condition, None, 18), Some(What::Returned));
        assert_eq!(condition.active(), None);
    }

    #[test]
    fn a_glance_back_begins_the_delay_anew() {
        let mut condition = Condition::default();
        for (seen, second) in [(Some(Level::High), 10), (None, 11), (Some(Level::High), 12), (Some(Level::High), 13)] {
            assert_eq!(see(&mut condition, seen, second), None);
        }
        assert_eq!(see(&mut condition, Some(Level::High), 14), Some(What::Raised(Level::High)));
        assert_eq!(see(&mut condition, None, 15), None);
        assert_eq!(see(&mut condition, Some(Level::High), 16), None);
        assert_eq!(see(&mut condition, None, 17), None);
        assert_eq!(see(&mut condition, None, 21), None);
        assert_eq!(see(&mut condition, None, 22), Some(What::Returned));
    }

    #[test]
    fn it_moves_to_worse_after_the_on_delay_and_to_less_bad_after_the_off_delay() {
        let mut condition = Condition::default();
        see(&mut condition, Some(Level::High), 0);
        assert_eq!(see(&mut condition, Some(Level::HighHigh), 2), Some(What::Raised(Level::HighHigh)));
        assert_eq!(see(&mut condition, Some(Level::High), 3), None);
        assert_eq!(see(&mut condition, Some(Level::High), 8), Some(What::Eased(Level::High)));
        assert_eq!(see(&mut condition, Some(Level::HighHigh), 9), None);
        assert_eq!(see(&mut condition, Some(Level::HighHigh), 11), Some(What::Worsened(Level::HighHigh)));
    }

    #[test]
    fn a_value_that_swings_between_two_limits_is_outside_all_the_time() {
        let mut condition = Condition::default();
        let swinging = |second: i64| Some(if second % 2 == 0 { Level::High } else { Level::HighHigh });
        let told: Vec<_> = (0..10).filter_map(|second| see(&mut condition, swinging(second), second)).collect();
        assert_eq!(told[0], What::Raised(Level::High));
        let back = |second: i64| (second % 2 == 0).then_some(Level::High);
        see(&mut condition, Some(Level::HighHigh), 20);
        see(&mut condition, Some(Level::HighHigh), 22);
        assert_eq!(condition.active(), Some(Level::HighHigh));
        let told: Vec<_> = (23..33).filter_map(|second| see(&mut condition, back(second), second)).collect();
        assert_eq!(told[0], What::Eased(Level::High));
    }

    #[test]
    fn a_clock_that_jumps_back_begins_the_delay_anew() {
        let mut condition = Condition::default();
        assert_eq!(see(&mut condition, Some(Level::Low), 100), None);
        assert_eq!(see(&mut condition, Some(Level::Low), 50), None);
        assert_eq!(see(&mut condition, Some(Level::Low), 51), None);
        assert_eq!(see(&mut condition, Some(Level::Low), 52), Some(What::Raised(Level::Low)));
    }

    #[test]
    fn three_activations_in_a_minute_are_chattering_until_a_minute_is_quiet() {
        let mut condition = Condition::default();
        let mut raise = |second| {
            let none = SignedDuration::ZERO;
            let change = condition.observe(Some(Level::High), at(second), none, none, Level::is_worse_than);
            condition.observe(None, at(second + 1), none, none, Level::is_worse_than);
            change.map(|change| (change.activation, change.chattering, change.told))
        };
        assert_eq!(raise(0), Some((1, false, true)));
        assert_eq!(raise(20), Some((2, false, true)));
        assert_eq!(raise(40), Some((3, true, true)));
        assert_eq!(raise(90), Some((4, true, false)));
        assert_eq!(raise(200), Some((5, false, true)));
    }
}
