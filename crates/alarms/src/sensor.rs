//! Everything that is kept of one sensor, and what a reading does to it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::{Change, Condition, What};
use crate::envelope::{Envelope, Side};
use crate::limits::{Level, Limits};
use crate::rules::Rules;

/// How many readings in a row must be unusual, or usual again.
const UNUSUAL_FOR: u32 = 2;
const USUAL_FOR: u32 = 12;
/// And for how long: a sensor that is read many times a second must not have an alarm for each wiggle.
const UNUSUAL_DELAY: SignedDuration = SignedDuration::from_secs(10);
/// What is usual is not known before: a slow cycle has to be seen, however often it is read.
const LEARN_FOR: SignedDuration = SignedDuration::from_mins(10);

/// One value, as far as alarms need it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The sensor's clock; may repeat and jump back.
    pub event_time: Timestamp,
    /// Finite.
    pub value: f64,
}

/// Where a reading comes from. Within a partition offsets rise; a sensor whose key moved to another partition
/// (the topic grew) begins a new count there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Short key of the log.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
}

/// Which of a sensor's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Outside its limits.
    Limit(What<Level>),
    /// Unlike what it used to say.
    Deviation(What<Side>),
}

/// See the module. Serialises into the row that travels with the partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// The last reading that was taken in.
    applied: Option<Place>,
    limit: Condition<Level>,
    deviation: Condition<Side>,
    /// Readings in a row that look unlike the deviation's state.
    in_a_row: u32,
    envelope: Envelope,
    /// Event time of the first reading.
    since: Option<Timestamp>,
}

impl Kind {
    /// As in `alarms.condition`.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Deviation(_) => "deviation",
        }
    }

    /// As in `alarm_events.event`.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Limit(what) => what.as_str(),
            Self::Deviation(what) => what.as_str(),
        }
    }

    /// In which way the condition is active now, as in `alarms.level`; `None` when it is not.
    pub const fn level(self) -> Option<&'static str> {
        match self {
            Self::Limit(What::Raised(level) | What::Worsened(level) | What::Eased(level)) => Some(level.as_str()),
            Self::Deviation(What::Raised(side) | What::Worsened(side) | What::Eased(side)) => Some(side.as_str()),
            Self::Limit(What::Returned) | Self::Deviation(What::Returned) => None,
        }
    }

    /// 1 to 1000 (OPC UA Part 5, 6.4.2); of what returned, that of the mildest.
    pub const fn severity(self) -> u16 {
        match self {
            Self::Limit(
                What::Raised(Level::HighHigh | Level::LowLow) | What::Worsened(Level::HighHigh | Level::LowLow),
            ) => 800,
            Self::Limit(_) => 500,
            Self::Deviation(_) => 300,
        }
    }
}

/// A change of one of the conditions, with what it was measured against.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Which condition, and what happened to it.
    pub kind: Kind,
    /// Event time.
    pub at: Timestamp,
    /// The value that changed it.
    pub value: f64,
    /// The limit, or the edge of the band, that it passed; `None` when it returned.
    pub threshold: Option<f64>,
    /// Whether the condition is chattering.
    pub chattering: bool,
    /// Whether this is to be told as an alarm of its own.
    pub told: bool,
}

impl Sensor {
    /// In which way it is outside its limits.
    pub fn level(&self) -> Option<Level> {
        self.limit.active()
    }

    /// In which way it is unusual.
    pub fn side(&self) -> Option<Side> {
        self.deviation.active()
    }

    /// The log goes on at `place` (an operator set its offset back behind a truncation): what was taken in from
    /// there on was of records that are gone.
    pub fn rewind(&mut self, place: Place) {
        let gone = |applied: &Place| {
            (applied.log_id, applied.partition) == (place.log_id, place.partition) && applied.offset >= place.offset
        };
        self.applied = self.applied.filter(|applied| !gone(applied));
    }

    /// Takes in a reading. One that was taken in before changes nothing: a replay tells nothing twice.
    pub fn apply(&mut self, rules: &Rules, place: Place, reading: Reading) -> Vec<Told> {
        let is_old = |applied: Place| {
            (applied.log_id, applied.partition) == (place.log_id, place.partition) && place.offset <= applied.offset
        };
        if self.applied.is_some_and(is_old) {
            return Vec::new();
        }
        self.applied = Some(place);
        let told = [self.against_limits(&rules.limits, reading), self.against_envelope(rules.deviation, reading)];
        self.envelope.learn(reading.value);
        told.into_iter().flatten().collect()
    }

    fn against_limits(&mut self, limits: &Limits, reading: Reading) -> Option<Told> {
        let seen = limits.level(reading.value, self.limit.active());
        let (on, off) = (limits.on_delay, limits.off_delay);
        let change = self.limit.observe(seen, reading.event_time, on, off, Level::is_worse_than)?;
        let threshold = self.limit.active().and_then(|level| limits.of(level));
        Some(told(change, Kind::Limit, reading.value, threshold))
    }

    fn against_envelope(&mut self, wanted: bool, reading: Reading) -> Option<Told> {
        // A first reading from the future must not put learning off for ever.
        let since = self.since.map_or(reading.event_time, |since| since.min(reading.event_time));
        self.since = Some(since);
        let learned = reading.event_time.duration_since(since) >= LEARN_FOR;
        let seen = self.envelope.side(reading.value).filter(|_| wanted && learned);
        let now = self.deviation.active();
        // Above and below are both unusual: swinging between them is not coming back.
        if seen.is_some() == now.is_some() {
            self.in_a_row = 0;
            self.deviation.observe(now, reading.event_time, UNUSUAL_DELAY, UNUSUAL_DELAY, |_, _| true);
            return None;
        }
        self.in_a_row += 1;
        let enough = self.in_a_row >= if now.is_none() { UNUSUAL_FOR } else { USUAL_FOR };
        let delay = if enough { UNUSUAL_DELAY } else { SignedDuration::MAX };
        let change = self.deviation.observe(seen, reading.event_time, delay, delay, |_, _| true)?;
        self.in_a_row = 0;
        let band = self.envelope.band();
        let threshold = seen.zip(band).map(|(side, (lower, upper))| if side == Side::Above { upper } else { lower });
        Some(told(change, Kind::Deviation, reading.value, threshold))
    }
}

fn told<S>(change: Change<S>, kind: impl Fn(What<S>) -> Kind, value: f64, threshold: Option<f64>) -> Told {
    Told { kind: kind(change.what), at: change.at, value, threshold, chattering: change.chattering, told: change.told }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schema::SensorType;

    fn rules() -> Rules {
        Rules { limits: Limits::for_type(SensorType::Temperature), deviation: true }
    }

    fn reading(n: usize, value: f64) -> (Place, Reading) {
        let offset = i64::try_from(n).expect("small");
        let event_time = Timestamp::from_second(offset).expect("a time");
        (Place { log_id: 1, partition: 0, offset }, Reading { event_time, value })
    }

    fn run(sensor: &mut Sensor, values: impl IntoIterator<Item = (usize, f64)>) -> Vec<Told> {
        let readings = values.into_iter().map(|(n, value)| reading(n, value));
        readings.flat_map(|(place, reading)| sensor.apply(&rules(), place, reading)).collect()
    }

    /// Seventy degrees, give or take two.
    fn usual(n: usize) -> f64 {
        70.0 + (n % 9) as f64 / 2.0 - 2.0
    }

    #[test]
    fn what_is_within_limits_and_yet_unusual_is_told_once() {
        let mut sensor = Sensor::default();
        assert_eq!(run(&mut sensor, (0..1000).map(|n| (n, usual(n)))), []);
        let told = run(&mut sensor, (1000..1015).map(|n| (n, 85.0)));
        assert!(
            matches!(&told[..], [Told { kind: Kind::Deviation(What::Raised(Side::Above)), told: true, .. }]),
            "{told:?}"
        );
        let back = run(&mut sensor, (1015..1040).map(|n| (n, usual(n))));
        assert!(matches!(&back[..], [Told { kind: Kind::Deviation(What::Returned), .. }]), "{back:?}");
    }

    #[test]
    fn a_state_can_be_read_again_whatever_was_measured() {
        let mut sensor = Sensor::default();
        for n in 0..500 {
            run(&mut sensor, [(n, [f64::MAX, -f64::MAX, 1e308, f64::MIN_POSITIVE, 0.0][n % 5])]);
            let row = serde_json::to_string(&sensor).expect("it serialises");
            assert_eq!(serde_json::from_str::<Sensor>(&row).expect("its own row"), sensor);
        }
    }

    #[test]
    fn what_is_unusual_must_last_however_often_it_is_read() {
        let mut sensor = Sensor::default();
        run(&mut sensor, (0..1000).map(|n| (n, usual(n))));
        assert_eq!(run(&mut sensor, (1000..1010).map(|n| (n, 85.0)).chain([(1010, 70.0)])), []);
        assert_eq!(run(&mut sensor, (1011..1022).map(|n| (n, 85.0))).len(), 1);
    }

    #[test]
    fn a_single_spike_is_no_deviation() {
        let mut sensor = Sensor::default();
        run(&mut sensor, (0..1000).map(|n| (n, usual(n))));
        assert_eq!(run(&mut sensor, [(1000, 90.0), (1001, 70.0), (1002, 90.0), (1003, 70.0)]), []);
    }

    proptest! {
        /// Killed anywhere, loaded from its row, and given some of the same again: as if nothing had happened.
        #[test]
        fn a_replay_from_any_place_tells_the_same(
            values in proptest::collection::vec(prop_oneof![8 => 60.0..80.0f64, 8 => 90.0..110.0f64, 1 => -f64::MAX..f64::MAX], 1..400),
            cut in 0usize..400,
            back in 0usize..50,
        ) {
            let cut = cut.min(values.len());
            let numbered = |from: usize, to: usize| (from..to).map(|n| (n, values[n])).collect::<Vec<_>>();
            let mut whole = Sensor::default();
            let expected = run(&mut whole, numbered(0, values.len()));

            let mut first = Sensor::default();
            let mut told = run(&mut first, numbered(0, cut));
            let row = serde_json::to_string(&first).expect("it serialises");
            let mut second: Sensor = serde_json::from_str(&row).expect("its own row");
            told.extend(run(&mut second, numbered(cut.saturating_sub(back), values.len())));
            prop_assert_eq!(told, expected);
            prop_assert_eq!(second, whole);
        }
    }
}
