//! Median and range of a few measurements, percentiles of many.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    ///
    /// # Panics
    /// Of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { min: sorted[0], median, max: sorted[sorted.len() - 1] }
    }
}

impl fmt::Display for Spread {
    /// `median (min-max)`, with the precision that the format asks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.min, self.max)
    }
}

/// The values that so many percent of them do not exceed (nearest rank); NaN of none.
pub fn percentiles<const N: usize>(values: impl IntoIterator<Item = f64>, percents: [usize; N]) -> [f64; N] {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    percents.map(|percent| {
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
mod tests {
    use super::{Spread, percentiles};

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        assert_eq!(percentiles((1..=200).rev().map(f64::from), [50, 95, 99]), [100.0, 190.0, 198.0]);
        assert_eq!(percentiles([7.0], [1, 99]), [7.0, 7.0]);
        assert!(percentiles([], [50])[0].is_nan());
    }

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(format!("{:.1}", Spread::of([3.0, 1.0, 2.0])), "2.0 (1.0-3.0)");
    }
}
