//! The fewest partitions that have to move for a group to be balanced again.

/// `before` is how many partitions each member that stays had, `0` for new ones; `partitions` how many there are.
///
/// Balanced means that no two members differ by more than one (KIP-54: what a sticky assignor aims at). Who has most
/// keeps most: the larger shares go to the members with the most partitions, and what each has beyond its share moves,
/// with what nobody has.
pub(crate) fn fewest(before: &[usize], partitions: usize) -> usize {
    if before.is_empty() {
        return 0;
    }
    let mut before = before.to_vec();
    before.sort_unstable_by(|a, b| b.cmp(a));
    let (share, larger) = (partitions / before.len(), partitions % before.len());
    let kept: usize = before.iter().enumerate().map(|(i, had)| (*had).min(share + usize::from(i < larger))).sum();
    partitions - kept.min(partitions)
}

#[cfg(test)]
mod tests {
    use super::fewest;

    #[test]
    fn the_share_of_one_that_is_gone_moves_and_no_more() {
        assert_eq!(fewest(&[2, 2], 6), 2);
    }

    #[test]
    fn a_new_member_takes_its_share() {
        assert_eq!(fewest(&[3, 3, 0], 6), 2);
        assert_eq!(fewest(&[6, 0], 6), 3);
        assert_eq!(fewest(&[2, 2, 2, 0], 6), 1);
    }

    #[test]
    fn nothing_moves_in_a_balanced_group() {
        assert_eq!(fewest(&[2, 2, 2], 6), 0);
        assert_eq!(fewest(&[3, 2, 2], 7), 0);
        assert_eq!(fewest(&[], 6), 0);
        assert_eq!(fewest(&[1, 0, 0], 1), 0);
    }
}
