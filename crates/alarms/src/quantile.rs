//! A quantile of everything seen so far, in five numbers (the P² algorithm: Jain and Chlamtac, "The P² algorithm
//! for dynamic calculation of quantiles and histograms without storing observations", CACM 28(10), 1985).

use serde::{Deserialize, Serialize};

/// An estimate of one quantile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// Which: above 0, below 1.
    p: f64,
    /// Values seen.
    count: u64,
    /// Heights of the markers: least, between, the quantile, between, greatest. Before five values: those.
    heights: [f64; 5],
    /// How many values lie at or below each marker.
    positions: [f64; 5],
}

impl Quantile {
    /// Nothing seen yet. `p` is above 0 and below 1.
    pub fn new(p: f64) -> Self {
        debug_assert!(p > 0.0 && p < 1.0);
        Self { p, count: 0, heights: [0.0; 5], positions: [1.0, 2.0, 3.0, 4.0, 5.0] }
    }

    /// The estimate; `None` before the fifth value.
    pub fn estimate(&self) -> Option<f64> {
        (self.count >= 5).then_some(self.heights[2])
    }

    /// Takes in a finite value.
    pub fn add(&mut self, value: f64) {
        let seen = usize::try_from(self.count).unwrap_or(usize::MAX);
        self.count += 1;
        if seen < 5 {
            self.heights[seen] = value;
            self.heights[..=seen].sort_by(f64::total_cmp);
            return;
        }
        let cell = self.cell_of(value);
        for position in &mut self.positions[cell + 1..] {
            *position += 1.0;
        }
        for marker in 1..4 {
            self.settle(marker);
        }
    }

    /// Between which markers a value falls; the outer markers follow it.
    fn cell_of(&mut self, value: f64) -> usize {
        if value < self.heights[0] {
            self.heights[0] = value;
            return 0;
        }
        if value >= self.heights[4] {
            self.heights[4] = value;
            return 3;
        }
        (0..3).find(|&marker| value < self.heights[marker + 1]).unwrap_or(3)
    }

    /// Moves a marker by one place where it is off by one or more.
    fn settle(&mut self, marker: usize) {
        let share = [0.0, self.p / 2.0, self.p, (1.0 + self.p) / 2.0, 1.0][marker];
        #[expect(clippy::cast_precision_loss, reason = "a sensor that was read 2^53 times is older than its plant")]
        let off = 1.0 + (self.count - 1) as f64 * share - self.positions[marker];
        let (below, at, above) = (self.positions[marker - 1], self.positions[marker], self.positions[marker + 1]);
        let step = if off >= 1.0 && above - at > 1.0 {
            1.0
        } else if off <= -1.0 && below - at < -1.0 {
            -1.0
        } else {
            return;
        };
        let parabolic = self.parabolic(marker, step);
        let between = self.heights[marker - 1] < parabolic && parabolic < self.heights[marker + 1];
        self.heights[marker] = if between { parabolic } else { self.linear(marker, step) };
        self.positions[marker] += step;
    }

    fn parabolic(&self, i: usize, step: f64) -> f64 {
        let (h, n) = (&self.heights, &self.positions);
        let right = (n[i] - n[i - 1] + step) * (h[i + 1] - h[i]) / (n[i + 1] - n[i]);
        let left = (n[i + 1] - n[i] - step) * (h[i] - h[i - 1]) / (n[i] - n[i - 1]);
        h[i] + step / (n[i + 1] - n[i - 1]) * (right + left)
    }

    fn linear(&self, i: usize, step: f64) -> f64 {
        let to = if step > 0.0 { i + 1 } else { i - 1 };
        self.heights[i] + step * (self.heights[to] - self.heights[i]) / (self.positions[to] - self.positions[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the paper: 20 values, the median after them.
    #[test]
    fn it_gives_what_the_paper_gives() {
        let values = [
            0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92, 34.60, 10.28, 1.47, 0.40, 0.05, 11.39,
            0.27, 0.42, 0.09, 11.37,
        ];
        let mut median = Quantile::new(0.5);
        values.iter().for_each(|&value| median.add(value));
        let estimate = median.estimate().expect("enough values");
        assert!((estimate - 4.44).abs() < 0.01, "{estimate}");
    }

    proptest! {
        #[test]
        fn it_stays_between_the_least_and_the_greatest(
            values in proptest::collection::vec(-1e6..1e6f64, 5..300),
            p in 0.01..0.99f64,
        ) {
            let mut quantile = Quantile::new(p);
            values.iter().for_each(|&value| quantile.add(value));
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let estimate = quantile.estimate().expect("enough values");
            prop_assert!((least..=greatest).contains(&estimate), "{} of {}..{}", estimate, least, greatest);
        }

        #[test]
        fn of_many_even_values_it_is_close(p in 0.02..0.98f64, seed: u64) {
            let mut quantile = Quantile::new(p);
            let mut state = seed | 1;
            for _ in 0..5_000 {
                // xorshift64: even enough for this.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                quantile.add((state >> 11) as f64 / (1u64 << 53) as f64);
            }
            let estimate = quantile.estimate().expect("enough values");
            prop_assert!((estimate - p).abs() < 0.05, "{} for {}", estimate, p);
        }
    }
}
