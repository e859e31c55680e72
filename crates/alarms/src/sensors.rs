//! The sensors of one partition under one claim: loaded with the claim, fed with each reading that is accepted,
//! and taken with each batch, so that what is stored of them stands for exactly the readings stored before it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use schema::SensorType;

use crate::rules::RuleBook;
use crate::sensor::{Place, Reading, Sensor, Told};

/// Most sensors of a partition that are remembered. Behind that a producer makes up names: its readings are stored
/// like any other, and raise no alarms.
pub const MOST_SENSORS: usize = 20_000;

/// One reading, as far as alarms need it.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Whose.
    pub sensor_id: Cow<'a, str>,
    /// What it measures.
    pub sensor_type: SensorType,
    /// When, and how much.
    pub reading: Reading,
}

/// Something to be told of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose.
    pub sensor_id: Arc<str>,
    /// The reading that changed it.
    pub place: Place,
    /// What changed.
    pub told: Told,
}

/// What a batch takes with it.
#[derive(Debug, Default)]
pub struct Changes {
    /// The sensors that took in a reading since the last time, as they are now.
    pub sensors: Vec<(Arc<str>, Sensor)>,
    /// What is to be told, in the order of the readings.
    pub events: Vec<Event>,
    /// Readings of sensors beyond [`MOST_SENSORS`].
    pub unwatched: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sensors {
    places: HashMap<Arc<str>, usize>,
    watched: Vec<Watched>,
    changed: Vec<usize>,
    events: Vec<Event>,
    unwatched: u64,
}

#[derive(Debug)]
struct Watched {
    id: Arc<str>,
    sensor: Sensor,
    changed: bool,
}

impl Sensors {
    /// As they were stored: id, and JSON text of [`Sensor`]. Reading goes on at `next`. Beside them the sensors whose
    /// state cannot be read, and why: those are learned anew, since a partition must not stand still for one of them.
    pub fn load(rows: impl IntoIterator<Item = (String, String)>, next: Place) -> (Self, Vec<String>) {
        let (mut sensors, mut unreadable) = (Self::default(), Vec::new());
        for (id, state) in rows {
            let sensor = serde_json::from_str(&state).unwrap_or_else(|error| {
                unreadable.push(format!("{id}: {error}"));
                Sensor::default()
            });
            sensors.add(&id, sensor);
        }
        sensors.rewind(next);
        (sensors, unreadable)
    }

    /// Reading goes on at `next`, whatever was read before.
    pub fn rewind(&mut self, next: Place) {
        self.watched.iter_mut().for_each(|watched| watched.sensor.rewind(next));
        self.events.retain(|event| {
            (event.place.log_id, event.place.partition) != (next.log_id, next.partition)
                || event.place.offset < next.offset
        });
    }

    fn add(&mut self, id: &str, sensor: Sensor) -> usize {
        let id: Arc<str> = id.into();
        self.places.insert(Arc::clone(&id), self.watched.len());
        self.watched.push(Watched { id, sensor, changed: false });
        self.watched.len() - 1
    }

    /// Takes in a reading.
    pub fn apply(&mut self, book: &RuleBook, place: Place, observation: &Observation<'_>) {
        let Observation { sensor_id, sensor_type, reading } = observation;
        let index = match self.places.get(&**sensor_id) {
            Some(&index) => index,
            None if self.watched.len() < MOST_SENSORS => self.add(sensor_id, Sensor::default()),
            None => {
                self.unwatched += 1;
                return;
            }
        };
        let Watched { id, sensor, changed } = &mut self.watched[index];
        if !std::mem::replace(changed, true) {
            self.changed.push(index);
        }
        let told = sensor.apply(book.of(sensor_id, *sensor_type), place, *reading);
        self.events.extend(told.into_iter().map(|told| Event { sensor_id: Arc::clone(id), place, told }));
    }

    /// Everything since the last time.
    pub fn take(&mut self) -> Changes {
        let mut sensors = Vec::with_capacity(self.changed.len());
        for index in self.changed.drain(..) {
            let Watched { id, sensor, changed } = &mut self.watched[index];
            *changed = false;
            sensors.push((Arc::clone(id), sensor.clone()));
        }
        Changes { sensors, events: std::mem::take(&mut self.events), unwatched: std::mem::take(&mut self.unwatched) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn see(sensors: &mut Sensors, sensor_id: &str, offset: i64, value: f64) {
        let event_time = Timestamp::from_second(offset).expect("a time");
        let reading = Reading { event_time, value };
        let place = Place { log_id: 1, partition: 0, offset };
        let observation = Observation { sensor_id: sensor_id.into(), sensor_type: SensorType::Temperature, reading };
        sensors.apply(&RuleBook::default(), place, &observation);
    }

    #[test]
    fn a_batch_takes_each_sensor_that_changed_once_and_as_it_is() {
        let mut sensors = Sensors::default();
        for offset in 0..10 {
            see(&mut sensors, "hot", offset, 100.0);
        }
        see(&mut sensors, "calm", 10, 70.0);
        let taken = sensors.take();
        assert_eq!(taken.sensors.iter().map(|(id, _)| &**id).collect::<Vec<_>>(), ["hot", "calm"]);
        assert_eq!((taken.events.len(), taken.events[0].place.offset), (1, 2));
        see(&mut sensors, "calm", 11, 70.0);
        let taken = sensors.take();
        assert_eq!((taken.sensors.len(), taken.events.len()), (1, 0));
    }

    #[test]
    fn names_without_end_are_not_remembered_without_end() {
        let mut sensors = Sensors::default();
        for n in 0..=MOST_SENSORS {
            see(&mut sensors, &format!("made-up-{n}"), i64::try_from(n).expect("small"), 70.0);
        }
        let taken = sensors.take();
        assert_eq!((taken.sensors.len(), taken.unwatched), (MOST_SENSORS, 1));
    }

    #[test]
    fn a_state_that_cannot_be_read_is_named_and_learned_anew() {
        let next = Place { log_id: 1, partition: 0, offset: 7 };
        let (mut sensors, unreadable) = Sensors::load([("hot".to_owned(), "{".to_owned())], next);
        assert!(unreadable[0].contains("hot"), "{unreadable:?}");
        see(&mut sensors, "hot", 7, 70.0);
        assert_eq!(sensors.take().sensors.len(), 1);
    }

    #[test]
    fn behind_a_truncation_the_new_records_count() {
        let mut sensors = Sensors::default();
        (0..10).for_each(|offset| see(&mut sensors, "hot", offset, 70.0));
        let stored = sensors.take().sensors.into_iter();
        let rows = stored.map(|(id, sensor)| (id.to_string(), serde_json::to_string(&sensor).expect("it serialises")));
        let (mut sensors, _) = Sensors::load(rows, Place { log_id: 1, partition: 0, offset: 5 });
        (5..8).for_each(|offset| see(&mut sensors, "hot", offset, 100.0));
        assert_eq!(sensors.take().events.len(), 1);
    }
}
