use proptest::prelude::*;

use super::*;

fn reading(next: i64) -> (Duty, Instant) {
    let now = Instant::now();
    let mut duty = Duty::new(Incarnation(1), now);
    assert!(duty.ask(now));
    duty.claimed(Uuid::nil(), 1, next, false, now);
    duty.opened(now);
    (duty, now)
}

#[test]
fn nothing_is_accepted_before_the_claim() {
    let now = Instant::now();
    let mut duty = Duty::new(Incarnation(1), now);
    assert_eq!(duty.admit(0, now), Admission::Discard);
    duty.claimed(Uuid::nil(), 1, 0, false, now);
    assert_eq!(duty.admit(0, now), Admission::Discard);
}

#[test]
fn a_claim_is_asked_for_once() {
    let now = Instant::now();
    let mut duty = Duty::new(Incarnation(1), now);
    assert!(duty.ask(now));
    assert!(!duty.ask(now));
    duty.reclaim(Incarnation(2), now, Duration::from_secs(1));
    assert!(!duty.ask(now));
    assert!(duty.ask(now + Duration::from_secs(1)));
}

#[test]
fn a_jump_is_believed_only_when_a_second_fetch_shows_it() {
    let (mut duty, now) = reading(10);
    assert_eq!(duty.admit(500, now), Admission::Confirm);
    duty.opened(now);
    assert_eq!(duty.admit(10, now), Admission::Accept);

    let (mut duty, now) = reading(10);
    assert_eq!(duty.admit(12, now), Admission::Confirm);
    duty.opened(now);
    assert_eq!(duty.admit(12, now), Admission::Accept);
    assert_eq!(duty.position, 13);

    // In the middle of the stream as well: the client was seen to jump there.
    assert_eq!(duty.admit(20, now), Admission::Confirm);
    duty.opened(now);
    assert_eq!(duty.admit(13, now), Admission::Accept);
}

#[test]
fn a_log_that_goes_back_while_reading_is_claimed_again() {
    let (mut duty, now) = reading(10);
    assert_eq!(duty.admit(10, now), Admission::Accept);
    assert_eq!(duty.admit(0, now), Admission::WentBack);
}

#[test]
fn an_offset_that_went_back_is_reported_and_obeyed() {
    let (mut duty, now) = reading(10);
    duty.stored(40, now);
    duty.reclaim(Incarnation(2), now, Duration::ZERO);
    assert_eq!(duty.claimed(Uuid::nil(), 1, 25, false, now), Some(40));
    assert_eq!(duty.position, 25);
}

#[test]
fn quiet_is_not_stuck() {
    let (mut duty, now) = reading(10);
    let later = now + STUCK_AFTER + Duration::from_secs(1);
    assert!(duty.is_stuck(Some(11), later));
    assert!(!duty.is_stuck(Some(10), later));
    duty.reached_end(Some(11));
    assert!(!duty.is_stuck(Some(11), later));
    assert!(duty.is_stuck(Some(12), later), "the end was reached once, but the log has grown");
}

#[test]
fn settling_is_never_left_but_by_the_unassignment() {
    let (mut duty, now) = reading(10);
    duty.state = State::Settling;
    duty.reclaim(Incarnation(9), now, Duration::ZERO);
    duty.quarantined("x".into(), now);
    assert_eq!(duty.state, State::Settling);
    assert_eq!(duty.admit(10, now), Admission::Discard);
}

#[test]
fn a_cautious_partition_stores_one_record_alone_and_then_reads_on() {
    let now = Instant::now();
    let mut duty = Duty::new(Incarnation(1), now);
    duty.claimed(Uuid::nil(), 1, 7, true, now);
    duty.opened(now);
    assert_eq!(duty.admit(7, now), Admission::Accept);
    assert_eq!(duty.admit(8, now), Admission::Discard);
    duty.stored(8, now);
    assert_eq!(duty.state, State::Opening);
    duty.opened(now);
    assert_eq!(duty.admit(8, now), Admission::Accept);
    assert_eq!(duty.admit(9, now), Admission::Accept);
}

proptest! {
    /// Whatever arrives in whatever order: what is accepted rises strictly from the stored offset.
    #[test]
    fn accepted_offsets_rise_strictly(offsets in proptest::collection::vec(0i64..60, 0..200), start in 0i64..30) {
        let (mut duty, now) = reading(start);
        let mut last = start - 1;
        for offset in offsets {
            match duty.admit(offset, now) {
                Admission::Accept => { prop_assert!(offset > last); last = offset; }
                Admission::Confirm => duty.opened(now),
                Admission::WentBack | Admission::Discard => {}
            }
            prop_assert_eq!(duty.position, last + 1);
        }
    }
}
