//! The ledger with itself: entries are links from a first to a next offset, and a partition's links
//! must lead from where reading began to the stored offset, without a hole or an overlap.
//!
//! ```text
//! start ──batch──> 500 ──batch──> 900 ──set (back)──> 700 ──batch──> 1200 = stored offset
//! ```
//!
//! Links come in the order of their offsets within a segment, and a segment ends where a command
//! moved the stored offset back: only there does storage time decide, because clocks may step.

use super::finding::Kind;

/// `batch_ledger.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Records.
    Batch,
    /// Passed over by a command, with a reason.
    Skipped,
    /// Set by a command, with a reason.
    Set,
    /// Another command that moves nothing.
    Note,
}

impl Entry {
    /// Reads `batch_ledger.kind`.
    pub fn from_kind(kind: &str) -> Self {
        match kind {
            "batch" => Self::Batch,
            "skipped" => Self::Skipped,
            "set" => Self::Set,
            _ => Self::Note,
        }
    }
}

/// One partition's chain, walked link by link.
#[derive(Debug)]
pub struct Chain {
    at: i64,
}

/// A fault of the chain: its class and the offsets from (included) to (excluded).
pub type Fault = (Kind, i64, i64);

impl Chain {
    /// Begins where reading began, or where retention ended.
    pub fn new(start: i64) -> Self {
        Self { at: start }
    }

    /// Goes over one link.
    pub fn link(&mut self, entry: Entry, first: i64, next: i64) -> Option<Fault> {
        let fault = match first.cmp(&self.at) {
            std::cmp::Ordering::Greater => Some((Kind::Hole, self.at, first)),
            std::cmp::Ordering::Less => Some((Kind::Overlap, first, self.at.min(next.max(first)))),
            std::cmp::Ordering::Equal => None,
        };
        if entry == Entry::Set && next < first {
            self.at = next;
            return fault;
        }
        self.at = self.at.max(first).max(next);
        if next < first || (next == first && entry == Entry::Batch) {
            return fault.or(Some((Kind::Backwards, first, first)));
        }
        fault
    }

    /// Where it has come to.
    pub fn position(&self) -> i64 {
        self.at
    }

    /// Compares the chain's end with the stored offset.
    pub fn end(&self, stored: i64) -> Option<Fault> {
        match stored.cmp(&self.at) {
            std::cmp::Ordering::Greater => Some((Kind::OffsetAhead, self.at, stored)),
            std::cmp::Ordering::Less => Some((Kind::OffsetBehind, stored, self.at)),
            std::cmp::Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: i64, links: &[(Entry, i64, i64)], stored: i64) -> Vec<Fault> {
        let mut chain = Chain::new(start);
        let mut faults: Vec<Fault> =
            links.iter().filter_map(|&(entry, first, next)| chain.link(entry, first, next)).collect();
        faults.extend(chain.end(stored));
        faults
    }

    #[test]
    fn a_closed_chain_has_no_fault() {
        use Entry::*;
        let links =
            [(Batch, 10, 20), (Note, 20, 20), (Skipped, 20, 25), (Batch, 25, 90), (Set, 90, 60), (Batch, 60, 95)];
        assert_eq!(walk(10, &links, 95), []);
    }

    #[test]
    fn a_missing_link_is_a_hole() {
        assert_eq!(walk(0, &[(Entry::Batch, 0, 5), (Entry::Batch, 9, 12)], 12), [(Kind::Hole, 5, 9)]);
    }

    #[test]
    fn a_doubled_link_is_an_overlap_of_all_of_it() {
        let links = [(Entry::Batch, 0, 5), (Entry::Batch, 0, 5), (Entry::Batch, 5, 9)];
        assert_eq!(walk(0, &links, 9), [(Kind::Overlap, 0, 5)]);
    }

    #[test]
    fn a_shifted_link_leaves_a_hole_and_an_overlap() {
        let links = [(Entry::Batch, 0, 5), (Entry::Batch, 6, 11), (Entry::Batch, 10, 15)];
        assert_eq!(walk(0, &links, 15), [(Kind::Hole, 5, 6), (Kind::Overlap, 10, 11)]);
    }

    #[test]
    fn the_stored_offset_must_be_the_end() {
        assert_eq!(walk(0, &[(Entry::Batch, 0, 5)], 7), [(Kind::OffsetAhead, 5, 7)]);
        assert_eq!(walk(0, &[(Entry::Batch, 0, 5)], 3), [(Kind::OffsetBehind, 3, 5)]);
    }

    #[test]
    fn only_a_command_may_go_back() {
        assert_eq!(walk(0, &[(Entry::Batch, 5, 3)], 5), [(Kind::Hole, 0, 5)]);
        assert_eq!(walk(5, &[(Entry::Batch, 5, 3)], 5), [(Kind::Backwards, 5, 5)]);
        assert_eq!(walk(5, &[(Entry::Batch, 5, 5)], 5), [(Kind::Backwards, 5, 5)]);
    }
}
