//! What is usual for a sensor: the band between its 3rd and 97th percentile, widened by half of the way from the
//! median. Outside of it twice in a row is unusual.
//!
//! Why not mean and deviation: a few spikes widen a deviation so far that the next fault is inside it, and skewed
//! quantities (counts, vibration) have no symmetric band. Quantiles of everything seen need thirty numbers a
//! sensor and no window. How well it does on NAB's labelled files stands in docs/performance.md.

use serde::{Deserialize, Serialize};

use crate::quantile::Quantile;

/// Share of the values that is outside on each side.
const TAIL: f64 = 0.03;
/// How far beyond, as a share of the way from the median to the percentile.
const MARGIN: f64 = 0.5;
/// Largest magnitude that is told apart.
const LARGEST: f64 = 1e100;
/// Values before which nothing is called unusual.
const LEARNING: u64 = 200;

/// On which side of the usual a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Above the band.
    Above,
    /// Below the band.
    Below,
}

impl Side {
    /// As in `alarms.level`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    seen: u64,
    low: Quantile,
    middle: Quantile,
    high: Quantile,
}

impl Default for Envelope {
    fn default() -> Self {
        Self { seen: 0, low: Quantile::new(TAIL), middle: Quantile::new(0.5), high: Quantile::new(1.0 - TAIL) }
    }
}

impl Envelope {
    /// The band: lower and upper edge; `None` while it is learning.
    pub fn band(&self) -> Option<(f64, f64)> {
        if self.seen < LEARNING {
            return None;
        }
        let (low, middle, high) = (self.low.estimate()?, self.middle.estimate()?, self.high.estimate()?);
        Some((low - MARGIN * (middle - low), high + MARGIN * (high - middle)))
    }

    /// Where a value lies against what was seen before.
    pub fn side(&self, value: f64) -> Option<Side> {
        let (lower, upper) = self.band()?;
        // A sensor that has always said the same has a band without width: its last bit is not an alarm.
        let grain = 1e-9 * value.abs().max(1.0);
        if value > upper + grain {
            Some(Side::Above)
        } else if value < lower - grain {
            Some(Side::Below)
        } else {
            None
        }
    }

    /// Takes in a finite value. One beyond [`LARGEST`] counts as that: a quantile's arithmetic stays finite, and a
    /// state with an infinite number could not be read again.
    pub fn learn(&mut self, value: f64) {
        let value = value.clamp(-LARGEST, LARGEST);
        self.seen += 1;
        self.low.add(value);
        self.middle.add(value);
        self.high.add(value);
    }
}
