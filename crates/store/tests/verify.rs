//! `verify` must be able to fail: every damage is found and named by partition and offset, and what
//! is in order passes.

#[path = "verify/world.rs"]
mod world;

use anyhow::Result;
use millrace_store::dead_letters::{Replay, replay};
use millrace_store::offsets::{Change, Operator, change};
use millrace_store::sensor_readings::TARGET;
use millrace_store::verify::{Kind, Verdict};
use millrace_store::{dead_letters, retention};
use world::{World, named};

/// Damages a filled state and expects these findings, each with its partition and first range.
async fn finds(statement: &str, expected: &[(Kind, i32, (i64, i64))]) -> Result<()> {
    let world = World::filled().await?;
    world.damage(statement).await?;
    let report = world.verify().await?;
    assert_eq!(report.verdict(), Verdict::Findings, "{statement}");
    for &(kind, partition, range) in expected {
        assert_eq!(named(&report, kind, partition), Some(range), "{kind} after {statement}: {:#?}", report.findings);
    }
    let kinds: Vec<_> = report.findings.iter().map(|f| (f.kind, f.partition)).collect();
    let unexpected: Vec<_> = kinds.iter().filter(|k| !expected.iter().any(|e| (e.0, e.1) == **k)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} after {statement}: {:#?}", report.findings);
    Ok(())
}

#[tokio::test]
async fn an_untouched_state_is_proven() -> Result<()> {
    let report = World::filled().await?.verify().await?;
    assert_eq!(report.verdict(), Verdict::Proven, "{:#?}", report.findings);
    let lines: Vec<_> =
        report.partitions.iter().map(|p| (p.partition, p.entries, p.rows, p.dead_letters, p.gap_offsets)).collect();
    assert_eq!(lines, [(0, 4, 200, 0, 0), (1, 4, 195, 2, 3)]);
    assert!(report.partitions.iter().all(|p| p.next_offset == Some(200) && p.from_offset == 0));
    Ok(())
}

#[tokio::test]
async fn an_empty_database_is_proven() -> Result<()> {
    let report = World::new().await?.verify().await?;
    assert_eq!((report.verdict(), report.partitions.len()), (Verdict::Proven, 0));
    Ok(())
}

#[tokio::test]
async fn a_deleted_row_is_missing() -> Result<()> {
    let delete = "DELETE FROM sensor_readings WHERE kafka_partition = 0 AND kafka_offset = 77";
    finds(delete, &[(Kind::Missing, 0, (77, 78)), (Kind::Miscounted, 0, (50, 50))]).await
}

#[tokio::test]
async fn a_doubled_row_is_named() -> Result<()> {
    let double =
        "INSERT INTO sensor_readings SELECT * FROM sensor_readings WHERE kafka_partition = 1 AND kafka_offset = 8";
    finds(double, &[(Kind::Doubled, 1, (8, 9)), (Kind::Miscounted, 1, (0, 0))]).await
}

#[tokio::test]
async fn a_row_stored_again_by_another_transaction_is_outside() -> Result<()> {
    let again = "INSERT INTO sensor_readings (sensor_id, sensor_type, unit, value, event_time, producer_id, run_id, \
                 sequence, processed_by_consumer, log_id, kafka_partition, kafka_offset) \
                 SELECT sensor_id, sensor_type, unit, value, event_time, producer_id, run_id, sequence, \
                 processed_by_consumer, log_id, kafka_partition, kafka_offset \
                 FROM sensor_readings WHERE kafka_partition = 1 AND kafka_offset = 8";
    finds(again, &[(Kind::Outside, 1, (8, 9))]).await
}

#[tokio::test]
async fn a_lost_row_with_another_one_doubled_is_named_though_the_count_is_right() -> Result<()> {
    let swap = "UPDATE sensor_readings SET kafka_offset = 10 WHERE kafka_partition = 0 AND kafka_offset = 12";
    finds(swap, &[(Kind::Missing, 0, (12, 13)), (Kind::Doubled, 0, (10, 11))]).await
}

#[tokio::test]
async fn a_changed_offset_is_missing_there_and_outside_here() -> Result<()> {
    let change = "UPDATE sensor_readings SET kafka_offset = 5000 WHERE kafka_partition = 0 AND kafka_offset = 199";
    finds(change, &[(Kind::Missing, 0, (199, 200)), (Kind::Outside, 0, (5000, 5001))]).await
}

#[tokio::test]
async fn a_row_in_a_gap_of_the_log_is_outside() -> Result<()> {
    let change = "UPDATE sensor_readings SET kafka_offset = 121 WHERE kafka_partition = 1 AND kafka_offset = 119";
    finds(change, &[(Kind::Missing, 1, (119, 120)), (Kind::Outside, 1, (121, 122))]).await
}

#[tokio::test]
async fn a_row_moved_to_another_partition_is_named_in_both() -> Result<()> {
    let change = "UPDATE sensor_readings SET kafka_partition = 1 WHERE kafka_partition = 0 AND kafka_offset = 30";
    let expected = [(Kind::Missing, 0, (30, 31)), (Kind::Miscounted, 0, (0, 0)), (Kind::Outside, 1, (30, 31))];
    finds(change, &expected).await
}

#[tokio::test]
async fn a_removed_letter_is_missing() -> Result<()> {
    let delete = "DELETE FROM dead_letters WHERE kafka_offset = 60";
    finds(delete, &[(Kind::Missing, 1, (60, 61)), (Kind::Miscounted, 1, (50, 50))]).await
}

#[tokio::test]
async fn a_removed_ledger_entry_is_a_hole_and_its_rows_are_outside() -> Result<()> {
    let delete = "DELETE FROM batch_ledger WHERE partition_number = 0 AND first_offset = 50";
    finds(delete, &[(Kind::Hole, 0, (50, 100)), (Kind::Outside, 0, (50, 100))]).await
}

#[tokio::test]
async fn a_removed_last_ledger_entry_leaves_the_stored_offset_ahead() -> Result<()> {
    let delete = "DELETE FROM batch_ledger WHERE partition_number = 0 AND first_offset = 150";
    finds(delete, &[(Kind::OffsetAhead, 0, (150, 200)), (Kind::Outside, 0, (150, 200))]).await
}

#[tokio::test]
async fn a_doubled_ledger_entry_overlaps() -> Result<()> {
    let double = "INSERT INTO batch_ledger SELECT * FROM batch_ledger WHERE partition_number = 0 AND first_offset = 50";
    finds(double, &[(Kind::Overlap, 0, (50, 100)), (Kind::Miscounted, 0, (50, 50))]).await
}

#[tokio::test]
async fn a_shifted_ledger_entry_is_named() -> Result<()> {
    let shift = "UPDATE batch_ledger SET first_offset = first_offset + 1, next_offset = next_offset + 1 \
                 WHERE partition_number = 0 AND first_offset = 50";
    let expected = [
        (Kind::Hole, 0, (50, 51)),
        (Kind::Overlap, 0, (100, 101)),
        (Kind::Outside, 0, (50, 51)),
        (Kind::Missing, 0, (100, 101)),
    ];
    finds(shift, &expected).await
}

#[tokio::test]
async fn a_ledger_entry_with_another_count_is_named() -> Result<()> {
    let recount = "UPDATE batch_ledger SET stored_rows = stored_rows - 1, dead_letters = dead_letters + 1 \
                   WHERE partition_number = 0 AND first_offset = 100";
    finds(recount, &[(Kind::Miscounted, 0, (100, 100))]).await
}

#[tokio::test]
async fn a_stored_offset_that_was_moved_is_named() -> Result<()> {
    let moved = |to: i64| format!("UPDATE stored_offsets SET next_offset = {to} WHERE partition_number = 1");
    finds(&moved(210), &[(Kind::OffsetAhead, 1, (200, 210))]).await?;
    finds(&moved(190), &[(Kind::OffsetBehind, 1, (190, 200))]).await
}

#[tokio::test]
async fn a_lost_stored_offset_is_named() -> Result<()> {
    let delete = "DELETE FROM stored_offsets WHERE partition_number = 1";
    finds(delete, &[(Kind::NoStoredOffset, 1, (200, 200))]).await
}

#[tokio::test]
async fn an_event_that_the_log_has_twice_is_named() -> Result<()> {
    let double = "UPDATE sensor_readings SET sequence = 1980, sensor_id = 'sensor-1-x' \
                  WHERE kafka_partition = 1 AND kafka_offset = 199";
    finds(double, &[(Kind::EventDoubled, 1, (199, 200))]).await
}

#[tokio::test]
async fn rows_that_changed_places_are_in_disorder() -> Result<()> {
    let world = World::filled().await?;
    // 30 and 33 are of one sensor: each offset is still there once.
    for (from, to) in [(30, -1), (33, 30), (-1, 33)] {
        let set = format!(
            "UPDATE sensor_readings SET kafka_offset = {to} WHERE kafka_partition = 0 AND kafka_offset = {from}"
        );
        world.damage(&set).await?;
    }
    let report = world.verify().await?;
    assert_eq!(named(&report, Kind::Disorder, 0), Some((33, 34)), "{:#?}", report.findings);
    Ok(())
}

#[tokio::test]
async fn replayed_letters_count_once_and_their_rows_are_looked_for() -> Result<()> {
    let world = World::filled().await?;
    let (letters, next) = dead_letters::page(&world.store, TARGET, &Default::default(), 0, 10).await?;
    assert_eq!((letters.iter().map(|l| l.offset).collect::<Vec<_>>(), next), (vec![7, 60], None));
    for letter in &letters {
        assert_eq!(replay(&world.store, letter.id, "operator:test").await?, Replay::Replayed);
        assert_eq!(replay(&world.store, letter.id, "operator:test").await?, Replay::NotOpen);
    }
    let report = world.verify().await?;
    assert_eq!(report.verdict(), Verdict::Proven, "{:#?}", report.findings);
    assert_eq!(
        (report.partitions[1].rows, report.partitions[1].dead_letters, report.partitions[1].replayed),
        (195, 2, 2)
    );

    world
        .damage(
            "INSERT INTO sensor_readings SELECT * FROM sensor_readings WHERE kafka_partition = 1 AND kafka_offset = 7",
        )
        .await?;
    world.damage("DELETE FROM sensor_readings WHERE kafka_partition = 1 AND kafka_offset = 60").await?;
    let report = world.verify().await?;
    assert_eq!(named(&report, Kind::ReplayDoubled, 1), Some((7, 8)), "{:#?}", report.findings);
    assert_eq!(named(&report, Kind::ReplayMissing, 1), Some((60, 61)), "{:#?}", report.findings);
    Ok(())
}

#[tokio::test]
async fn a_letter_that_still_is_no_event_stays_open() -> Result<()> {
    let world = World::filled().await?;
    world.damage("UPDATE dead_letters SET payload = '{}' WHERE kafka_offset = 7").await?;
    let (letters, _) = dead_letters::page(&world.store, TARGET, &Default::default(), 0, 1).await?;
    assert!(matches!(replay(&world.store, letters[0].id, "operator:test").await?, Replay::StillBad(_)));
    assert_eq!(dead_letters::get(&world.store, letters[0].id).await?.summary.status, "open");
    assert_eq!(world.verify().await?.verdict(), Verdict::Proven);
    Ok(())
}

#[tokio::test]
async fn commands_fence_the_owner_and_are_explained() -> Result<()> {
    let world = World::filled().await?;
    let operator = Operator { consumer_id: "operator:test".into(), reason: "the disk of kafka2 was lost".into() };
    let mut owned = world.claim(0).await?;
    let forward = Change::Set { to: 220, intact_to: 300, store_again: false };
    let changed = change(&world.store, TARGET, owned.log_id, &operator, &[(0, forward)]).await?;
    assert_eq!((changed[0].kind, changed[0].from, changed[0].to), ("skipped", 200, 220));
    let outcome = world.outcome(&mut owned, 10, &[], &[]).await;
    assert!(matches!(outcome, millrace_store::batch::Outcome::StaleOwner { .. }), "the owner is fenced: {outcome:?}");

    let mut owned = world.claim(0).await?;
    assert_eq!(owned.next, 220);
    world.batch(&mut owned, 30, &[], &[]).await?;
    let report = world.verify().await?;
    assert_eq!(report.verdict(), Verdict::Explained, "{:#?}", report.findings);
    assert_eq!(report.partitions[0].skipped_offsets, 20);
    assert_eq!(report.partitions[0].commands[0].reason, operator.reason);
    Ok(())
}

#[tokio::test]
async fn a_truncated_log_is_read_again_from_its_cut() -> Result<()> {
    let world = World::filled().await?;
    let operator = Operator { consumer_id: "operator:test".into(), reason: "unclean election".into() };
    let log_id = world.claim(0).await?.log_id;
    let back = |to| Change::Set { to, intact_to: 150, store_again: false };
    let refused = change(&world.store, TARGET, log_id, &operator, &[(1, back(160)), (0, back(149))]).await;
    assert!(refused.is_err(), "149 is in the log still: {refused:?}");
    assert_eq!(world.claim(1).await?.next, 200, "a refusal changes nothing");

    change(&world.store, TARGET, log_id, &operator, &[(0, back(150))]).await?;
    // Other events at the same offsets.
    let mut owned = world.claim(0).await?;
    world.sql.execute("UPDATE sensor_readings SET run_id = gen_random_uuid()", &[]).await?;
    world.batch(&mut owned, 100, &[], &[]).await?;
    let report = world.verify().await?;
    assert_eq!(report.verdict(), Verdict::Explained, "{:#?}", report.findings);
    assert_eq!((report.partitions[0].reread_offsets, report.partitions[0].next_offset), (50, Some(250)));
    Ok(())
}

#[tokio::test]
async fn after_a_retention_the_rest_is_proven() -> Result<()> {
    let world = World::filled().await?;
    let letters = dead_letters::page(&world.store, TARGET, &Default::default(), 0, 10).await?.0;
    replay(&world.store, letters[0].id, "operator:test").await?;
    // All of it ten days ago, as if it had been stored in partitions of that day.
    let past = "
        SELECT ensure_day_partitions(t, (now() AT TIME ZONE 'UTC')::date - 10, 2) FROM unnest('{sensor_readings,batch_ledger}'::text[]) t;
        UPDATE sensor_readings SET processing_timestamp = processing_timestamp - interval '10 days';
        UPDATE batch_ledger SET stored_at = stored_at - interval '10 days';
        UPDATE dead_letters SET dead_at = dead_at - interval '10 days', replayed_at = replayed_at - interval '10 days'";
    world.sql.batch_execute(past).await?;
    for partition in 0..2 {
        let mut owned = world.claim(partition).await?;
        world.batch(&mut owned, 50, &[], &[]).await?;
    }
    assert_eq!(world.verify().await?.verdict(), Verdict::Proven, "before");

    let today: jiff::civil::Date = world.sql.query_one("SELECT (now() AT TIME ZONE 'UTC')::date", &[]).await?.get(0);
    let tomorrow = today.tomorrow()?;
    assert!(retention::drop_before(&world.store, tomorrow).await.is_err(), "today is written to");
    let dropped = retention::drop_before(&world.store, today).await?;
    assert_eq!((dropped.tables.len(), dropped.rows), (4, 395), "{dropped:?}");
    let again = retention::drop_before(&world.store, today).await?;
    assert_eq!((again.tables.len(), again.rows), (0, 0));

    let report = world.verify().await?;
    assert_eq!(report.verdict(), Verdict::Proven, "{:#?}", report.findings);
    let lines: Vec<_> = report.partitions.iter().map(|p| (p.from_offset, p.rows, p.dropped_rows)).collect();
    assert_eq!(lines, [(200, 50, 200), (200, 50, 195)]);
    assert!(report.partitions.iter().all(|p| p.horizon == Some(dropped.horizon)));

    world.damage("DELETE FROM sensor_readings WHERE kafka_partition = 0 AND kafka_offset = 201").await?;
    assert_eq!(named(&world.verify().await?, Kind::Missing, 0), Some((201, 202)), "it still finds what is lost");
    Ok(())
}

#[tokio::test]
async fn a_day_whose_rows_are_in_default_already_is_left_there() -> Result<()> {
    let world = World::filled().await?;
    assert_eq!(retention::ensure_days(&world.store).await?, retention::Days::default(), "migrating made them");
    let lost = "
        DO $$ BEGIN EXECUTE format('DROP TABLE sensor_readings_%1$s', to_char((now() AT TIME ZONE 'UTC')::date, 'YYYYMMDD')); END $$;
        DO $$ BEGIN EXECUTE format('DROP TABLE sensor_readings_%1$s', to_char((now() AT TIME ZONE 'UTC')::date + 3, 'YYYYMMDD')); END $$;
        DELETE FROM batch_ledger; UPDATE stored_offsets SET start_offset = next_offset; DELETE FROM dead_letters";
    world.sql.batch_execute(lost).await?;
    let mut owned = world.claim(0).await?;
    world.batch(&mut owned, 5, &[], &[]).await?;
    let (one, other) = tokio::join!(retention::ensure_days(&world.store), retention::ensure_days(&world.store));
    let (one, other) = (one?, other?);
    assert_eq!(one.made + other.made, 1, "the day that has no rows yet");
    assert_eq!(one.left_to_default.iter().map(|(table, _)| *table).collect::<Vec<_>>(), ["sensor_readings"]);
    assert_eq!(world.verify().await?.verdict(), Verdict::Proven);
    Ok(())
}
