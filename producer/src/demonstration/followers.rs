//! Who follows whom: a few are followed by many, most by few. Pure; the same seed gives the same crowd.

use rand::{rngs::StdRng, seq::index};

/// How fast followers fall with the rank: Zipf's law. Twitter's own is near it: an exponent of 2.276 of the distribution,
/// which is 0.8 of the rank (Kwak et al., "What is Twitter, a Social Network or a News Media?", WWW 2010).
const EXPONENT: f64 = 1.0;

/// How many of `users` follow the one of this rank, from 0: all others the first one, at least one the last.
#[must_use]
pub fn count(rank: usize, users: usize) -> usize {
    let others = users.saturating_sub(1);
    let share = ((rank + 1) as f64).powf(-EXPONENT);
    ((others as f64 * share) as usize).max(1).min(others)
}

/// Who of `users` follows the one of this rank: ranks, each once, never itself.
#[must_use]
pub fn of(rank: usize, users: usize, rng: &mut StdRng) -> Vec<u32> {
    let others = index::sample(rng, users.saturating_sub(1), count(rank, users));
    others.into_iter().map(|other| if other < rank { other } else { other + 1 } as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    #[test]
    fn twice_the_rank_has_half_the_followers() {
        let counts: Vec<usize> = [0, 1, 3, 9, 999].into_iter().map(|rank| count(rank, 1001)).collect();
        assert_eq!(counts, [1000, 500, 250, 100, 1]);
        let all: usize = (0..1000).map(|rank| count(rank, 1000)).sum();
        assert!((6_500..7_500).contains(&all), "{all}: the harmonic number of 1000 is 7.5, rounded down each time");
    }

    #[test]
    fn alone_nobody_follows() {
        assert_eq!((count(0, 1), count(0, 0)), (0, 0));
    }

    proptest! {
        #[test]
        fn followers_are_others_and_each_is_there_once(users in 2usize..300, rank in 0usize..300, seed: u64) {
            let rank = rank % users;
            let mut followers = of(rank, users, &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(followers.len(), count(rank, users));
            followers.sort_unstable();
            prop_assert!(followers.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(followers.iter().all(|other| *other as usize != rank && (*other as usize) < users));
        }
    }
}
