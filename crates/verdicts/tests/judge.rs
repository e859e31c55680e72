//! Verdicts over small worlds: what was seen is written down by hand, so what must come out is known.

use jiff::{SignedDuration, Timestamp};
use millrace_verdicts::fact::{Batch, BrokersView, Entry, Facts, Kind, Life, SessionsView, Silence, Span};
use millrace_verdicts::{Cause, Confidence, Ended, Move, Outline, Rebalance, Verdicts};
use proptest::prelude::*;
use uuid::Uuid;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000 + ms).expect("a time")
}

fn boot(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn claim(boot: u128, partition: i32) -> Uuid {
    Uuid::from_u128(boot * 1_000 + u128::try_from(partition).expect("not negative"))
}

/// A group of processes: number `n` is `consumer-n`, its boot id is `n`, and that of its next process `n + 10`.
struct World(Facts, Vec<Batch>);

impl World {
    fn new() -> Self {
        Self(
            Facts {
                group_id: "g".into(),
                topic: "t".into(),
                carried: Vec::new(),
                journal: Vec::new(),
                lives: Vec::new(),
                silences: Vec::new(),
                group_views: Vec::new(),
                broker_views: Vec::new(),
                topic_views: Vec::new(),
                session_views: Vec::new(),
                blind: Vec::new(),
                waiting: Vec::new(),
                as_of: at(0),
            },
            Vec::new(),
        )
    }

    fn life(&mut self, n: u128, first_ms: i64, last_ms: i64) {
        self.0.lives.push(Life {
            boot_id: boot(n),
            consumer_id: format!("consumer-{}", n % 10),
            static_id: None,
            first_beat: at(first_ms),
            last_beat: at(last_ms),
            session: SignedDuration::from_secs(6),
            poll_interval: SignedDuration::from_secs(10),
        });
    }

    fn says(&mut self, n: u128, ms: i64, kind: Kind, partition: Option<i32>) {
        let id = i64::try_from(self.0.journal.len()).expect("few");
        self.0.journal.push(Entry {
            id,
            at: at(ms),
            clock_error: Some(SignedDuration::from_micros(200)),
            consumer_id: format!("consumer-{}", n % 10),
            boot_id: boot(n),
            sequence: ms,
            kind,
            partition,
            protocol: "consumer".into(),
            generation: i32::try_from(ms / 1_000).expect("few"),
            member_id: format!("m{n}"),
            claim: partition.map(|partition| claim(n, partition)),
            offset: Some(ms),
            records: (kind == Kind::Claimed).then_some(7),
            detail: None,
        });
    }

    /// Assigned and claimed, with a batch at once and one every second until `until_ms`.
    fn takes(&mut self, n: u128, ms: i64, partitions: &[i32], until_ms: i64) {
        for &partition in partitions {
            self.says(n, ms, Kind::Assigned, Some(partition));
            self.says(n, ms + 20, Kind::Claimed, Some(partition));
            for stored in (ms + 50..until_ms).step_by(1_000) {
                let last = self.1.iter().filter(|b| b.partition == partition).map(|b| b.next_offset).max();
                let first = last.unwrap_or(0);
                self.1.push(Batch {
                    partition,
                    claim: claim(n, partition),
                    consumer_id: format!("consumer-{}", n % 10),
                    first_offset: first,
                    next_offset: first + 10,
                    stored_at: at(stored - 5),
                    committed_at: Some(at(stored)),
                    // A record a moment after the batch before.
                    first_append_at: Some(at(if last.is_some() && stored == ms + 50 {
                        DARK_FROM
                    } else {
                        stored - 30
                    })),
                });
            }
        }
    }

    fn verdicts(&self) -> Verdicts {
        Outline::of(&self.0).judged(&self.1)
    }

    fn judged(&mut self, as_of_ms: i64) -> Vec<Rebalance> {
        self.0.as_of = at(as_of_ms);
        self.verdicts().rebalances
    }
}

/// The first record that a victim left unread.
const DARK_FROM: i64 = 60_100;

/// Two members with two partitions each, from 0 on; the first one works until a minute is over.
fn two_members(first_lives_until: i64) -> World {
    let mut world = World::new();
    for (n, last) in [(1, first_lives_until), (2, 120_000)] {
        world.life(n, 0, last);
        world.says(n, 10, Kind::Started, None);
    }
    world.takes(1, 200, &[0, 1], 60_000);
    world.takes(2, 210, &[2, 3], 60_000);
    world
}

fn sessions_end(world: &mut World, ms: i64) {
    let id = i64::try_from(world.0.session_views.len()).expect("few");
    world.0.session_views.push(SessionsView { id, at: at(ms), consumer_id: "consumer-1".into(), sessions: 0 });
}

#[test]
fn a_process_whose_sessions_ended_with_its_heartbeats_has_crashed() {
    let mut world = two_members(60_000);
    sessions_end(&mut world, 60_800);
    world.takes(2, 66_000, &[0, 1], 70_000);
    let rebalances = world.judged(90_000);
    let crash = rebalances.last().expect("a rebalance");
    assert_eq!((crash.cause, crash.confidence), (Cause::Crash, Confidence::Certain));
    assert_eq!((crash.subjects.as_slice(), crash.moved, crash.fewest), (&["consumer-1".to_owned()][..], 2, 2));
    assert_eq!(
        (&*crash.members_before, &*crash.members_after),
        (&["consumer-1", "consumer-2"].map(String::from)[..], &["consumer-2".to_owned()][..])
    );
    let dark =
        crash.handovers.iter().map(|h| (h.moved, h.dark_ms, h.detect_ms, h.reassign_ms, h.resume_ms, h.waited_records));
    let expected = (Move::Moved, Some(5_950.0), Some(5_900.0), Some(20.0), Some(30.0), Some(7));
    assert_eq!(dark.collect::<Vec<_>>(), [expected, expected]);
    assert_eq!(
        crash.story,
        "consumer-1 died without leaving. Noticed after 6.0 s. Partitions 0 and 1 to consumer-2. Dark for up to 6.0 s; 14 records \
         waited; nothing lost."
    );
}

#[test]
fn a_time_without_a_recorder_excuses_only_who_was_heard_until_it_began() {
    let mut world = two_members(60_000);
    sessions_end(&mut world, 60_800);
    world.takes(2, 66_000, &[0, 1], 70_000);
    world.0.blind.push(Span { from: at(80_000), until: Some(at(84_000)) });
    let causes: Vec<Cause> = world.judged(86_000).iter().map(|rebalance| rebalance.cause).collect();
    assert_eq!(causes, [Cause::Join, Cause::Crash]);
    // The other one beat until the database went: it is given time for its next heartbeat.
    world.0.lives[1].last_beat = at(79_500);
    assert_eq!(world.judged(86_000).iter().map(|rebalance| rebalance.cause).collect::<Vec<_>>(), causes);
}

#[test]
fn a_silent_process_is_not_called_dead_and_its_waking_makes_it_certain() {
    let mut world = two_members(60_000);
    world.takes(2, 66_000, &[0, 1], 90_000);
    let before = world.judged(75_000).pop().expect("a rebalance");
    assert_eq!((before.cause, before.confidence), (Cause::SessionTimedOut, Confidence::Likely));

    world.0.lives[0].last_beat = at(120_000);
    world.0.silences.push(Silence { boot_id: boot(1), from: at(60_000), until: at(80_000) });
    for partition in [0, 1] {
        world.says(1, 80_010, Kind::Lost, Some(partition));
    }
    let after = world.judged(85_000);
    let revised = after.iter().find(|rebalance| rebalance.id == before.id).expect("under the same id");
    assert_eq!((revised.cause, revised.confidence), (Cause::SessionTimedOut, Confidence::Certain));
    let owned = world.verdicts().ownership;
    let lost = owned.iter().find(|o| o.partition == 0 && o.boot_id == boot(1)).expect("its interval");
    assert_eq!(
        (lost.until, lost.ended),
        (Some(at(80_010)), Some(Ended::Lost)),
        "it took itself for the owner until it was told"
    );
}

#[test]
fn who_was_removed_is_no_member_until_it_is_back() {
    let mut world = two_members(120_000);
    world.life(3, 0, 120_000);
    world.says(3, 10, Kind::Started, None);
    world.takes(3, 220, &[4, 5], 60_000);
    world.0.silences.push(Silence { boot_id: boot(1), from: at(60_000), until: at(71_000) });
    world.takes(2, 66_200, &[0], 70_000);
    world.takes(3, 66_800, &[1], 70_000);
    for partition in [0, 1] {
        world.says(1, 71_600 + i64::from(partition), Kind::Lost, Some(partition));
    }
    world.says(3, 71_800, Kind::Revoked, Some(1));
    world.says(2, 72_200, Kind::Revoked, Some(0));
    world.takes(1, 72_600, &[0, 1], 80_000);
    let told: Vec<_> = world
        .judged(90_000)
        .iter()
        .skip(1)
        .map(|r| (r.cause, r.members_before.len(), r.members_after.len(), r.moved, r.fewest))
        .collect();
    assert_eq!(told, [(Cause::SessionTimedOut, 3, 2, 2, 2), (Cause::Join, 2, 3, 2, 2)]);
}

#[test]
fn a_dead_process_is_no_owner_beside_a_living_one() {
    let mut world = two_members(60_000);
    // Its assignment of a partition that the other one has was never taken back, and its coordinator is not heard.
    world.says(1, 50_000, Kind::Assigned, Some(2));
    sessions_end(&mut world, 60_800);
    world.takes(2, 66_000, &[0, 1], 70_000);
    let last = world.judged(90_000).pop().expect("a rebalance");
    assert_eq!(last.members_after, ["consumer-2"]);
    let owned = world.verdicts().ownership;
    let claimed = owned.iter().find(|o| o.partition == 2 && o.boot_id == boot(1)).expect("its interval");
    assert_eq!((claimed.until, claimed.ended), (Some(at(60_000)), Some(Ended::Died)));
}

#[test]
fn who_ended_before_its_first_heartbeat_is_no_member_beside_its_successor() {
    let mut world = two_members(120_000);
    world.says(13, 20_000, Kind::Started, None);
    world.says(13, 21_000, Kind::Assigned, None);
    world.life(3, 22_000, 120_000);
    world.says(3, 22_000, Kind::Started, None);
    world.takes(3, 23_000, &[3], 60_000);
    let rebalances = world.judged(90_000);
    let last = rebalances.last().expect("a rebalance");
    assert_eq!(last.members_after, ["consumer-1", "consumer-2", "consumer-3"]);
    assert_eq!((last.moved, last.fewest), (1, 1), "four partitions over three members, not over four");
}

#[test]
fn a_poll_interval_is_told_from_a_pause() {
    let mut world = two_members(120_000);
    world.takes(2, 66_000, &[0, 1], 90_000);
    assert_eq!(
        world.judged(75_000).last().map(|r| (r.cause, r.confidence)),
        Some((Cause::PollIntervalExceeded, Confidence::Likely))
    );
    world.says(1, 80_000, Kind::PollExceeded, None);
    for partition in [0, 1] {
        world.says(1, 80_010, Kind::Lost, Some(partition));
    }
    let rebalances = world.judged(85_000);
    let exceeded = rebalances.iter().find(|r| r.noticed_at == at(66_000)).expect("the rebalance");
    assert_eq!((exceeded.cause, exceeded.confidence), (Cause::PollIntervalExceeded, Confidence::Certain));
}

#[test]
fn who_said_that_it_leaves_has_left() {
    let mut world = two_members(60_000);
    world.says(1, 60_000, Kind::Leaving, None);
    for partition in [0, 1] {
        world.says(1, 60_200, Kind::Revoked, Some(partition));
    }
    world.says(1, 60_300, Kind::Stopped, None);
    world.takes(2, 60_800, &[0, 1], 70_000);
    let leave = world.judged(90_000).pop().expect("a rebalance");
    assert_eq!(
        (leave.cause, leave.confidence, &*leave.subjects),
        (Cause::CleanLeave, Confidence::Certain, &["consumer-1".to_owned()][..])
    );
}

#[test]
fn a_successor_within_the_session_is_part_of_the_crash() {
    let mut world = two_members(60_000);
    world.life(11, 61_500, 120_000);
    world.says(11, 61_400, Kind::Started, None);
    world.says(11, 62_000, Kind::Assigned, None);
    world.takes(11, 66_500, &[0, 1], 70_000);
    let rebalances = world.judged(90_000);
    assert_eq!(rebalances.len(), 2, "the beginning and the crash: {rebalances:#?}");
    assert_eq!((rebalances[1].cause, rebalances[1].confidence), (Cause::Crash, Confidence::Certain));
    assert!(rebalances[1].handovers.iter().all(|h| h.moved == Move::Returned));
}

#[test]
fn a_broker_that_went_excuses_the_members() {
    let mut world = two_members(120_000);
    let views = [(1_000, vec![1, 2, 3], vec![]), (63_000, vec![1, 3], vec![2])];
    for (id, (ms, up, down)) in (0..).zip(views) {
        world.0.broker_views.push(BrokersView { id, not_before: at(ms - 1_000), at: at(ms), up, down });
    }
    for partition in [0, 1] {
        world.says(1, 65_900, Kind::Lost, Some(partition));
    }
    world.takes(1, 68_000, &[0, 1], 70_000);
    let lost = world.judged(90_000).pop().expect("a rebalance");
    assert_eq!((lost.cause, &*lost.subjects), (Cause::BrokerLost, &["kafka2".to_owned()][..]));
}

#[test]
fn a_build_that_wrote_no_heartbeats_is_accused_of_nothing() {
    let mut world = two_members(60_000);
    world.0.lives.clear();
    world.takes(2, 66_000, &[0, 1], 70_000);
    let rebalance = world.judged(90_000).pop().expect("a rebalance");
    assert_eq!((rebalance.cause, rebalance.confidence), (Cause::Unknown, Confidence::None));
}

fn busy() -> World {
    let mut world = two_members(60_000);
    sessions_end(&mut world, 60_800);
    world.takes(2, 66_000, &[0, 1], 100_000);
    world.life(11, 200_000, 300_000);
    world.0.lives[1].last_beat = at(300_000);
    world.says(11, 200_000, Kind::Started, None);
    for partition in [0, 1] {
        world.says(2, 200_900, Kind::Revoked, Some(partition));
    }
    world.takes(11, 201_000, &[0, 1], 210_000);
    world
}

proptest! {
    #[test]
    fn verdicts_do_not_depend_on_the_order_of_facts(seed in any::<u64>()) {
        let mut world = busy();
        let ordered = world.judged(250_000);
        let mut state = seed | 1;
        let mut shuffle = |n: usize| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (state >> 33) as usize % n };
        for i in (1..world.0.journal.len()).rev() { world.0.journal.swap(i, shuffle(i + 1)); }
        for i in (1..world.1.len()).rev() { world.1.swap(i, shuffle(i + 1)); }
        world.0.lives.reverse();
        prop_assert_eq!(world.judged(250_000), ordered);
    }
}

#[test]
fn judging_from_a_quiet_instant_on_gives_what_judging_everything_gives() {
    let mut world = busy();
    let all = world.judged(250_000);
    let cut = at(150_000);
    let owned = world.verdicts().ownership;
    world.0.carried = owned
        .into_iter()
        .filter(|o| o.from < cut && o.until.is_none_or(|until| until >= cut))
        .map(|o| millrace_verdicts::Ownership { until: None, ended: None, ..o })
        .collect();
    world.0.journal.retain(|entry| entry.at >= cut);
    world.0.session_views.clear();
    let behind = world.judged(250_000);
    let wanted: Vec<&Rebalance> = all.iter().filter(|rebalance| rebalance.noticed_at >= cut).collect();
    assert_eq!(wanted.len(), 1);
    // What came before the cut is not known behind it: generations that nobody saw in between are counted from the cut.
    assert_eq!(
        behind.iter().map(|r| (&r.id, r.cause, &r.handovers, r.moved, r.fewest)).collect::<Vec<_>>(),
        wanted.iter().map(|r| (&r.id, r.cause, &r.handovers, r.moved, r.fewest)).collect::<Vec<_>>()
    );
}
