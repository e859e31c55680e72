//! The commands of the built `consumer`, against real brokers, a real database and a running member.

#[path = "commands/operator.rs"]
mod operator;

use std::cell::Cell;

use operator::{DEADLINE, Operator};
use testkit::wait_until;

#[tokio::test]
async fn what_is_wrong_with_the_configuration_ends_every_command_with_64() {
    let operator = Operator::new().await;
    let wrong: [&[&str]; 8] = [
        &["migrate", "--kafka-brokers", "nowhere"],
        &["migrate", "--database-url", "postgres://:::"],
        &["migrate", "--session-timeout-ms", "500"],
        &["verify", "--target", "no_such_table"],
        &["dead-letters", "replay"],
        &["dead-letters", "list", "--reason-code", "bad-luck"],
        &["offsets", "release", "--partition", "0", "--reason", " "],
        &["retention", "--keep-days", "0"],
    ];
    for arguments in wrong {
        let answer = operator.run(arguments);
        assert_eq!(answer.code, Some(64), "{arguments:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_away_ends_with_69_and_what_is_there_checks() {
    let operator = Operator::new().await;
    let away = ["--database-url", "postgres://postgres@127.0.0.1:1/x"];
    for command in [&["verify"][..], &["dead-letters", "list"], &["retention", "--keep-days", "3"]] {
        let answer = operator.run(&[command, &away].concat());
        assert_eq!(answer.code, Some(69), "{command:?}: {}", answer.text);
        assert_eq!(answer.text.lines().count(), 1, "one line: {}", answer.text);
    }
    let check = operator.run(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.text);
    assert!(check.text.ends_with("all is there\n"), "{}", check.text);
    let check = operator.run(&["check", "--topic", "no-such-topic"]);
    assert_eq!(check.code, Some(64), "{}", check.text);
    let check = operator.run(&[&["check"][..], &away].concat());
    assert_eq!(check.code, Some(69), "{}", check.text);
}

#[tokio::test]
async fn bad_records_are_listed_shown_and_replayed() {
    let operator = Operator::new().await;
    let _consumer = operator.consumer(&operator.group);
    operator.send(0..60).await;
    operator.send_bytes(1, b"{\x1b[2J").await;
    operator.send_bytes(2, &[0xff, 0xfe]).await;
    operator.send(60..90).await;
    assert_eq!(operator.stored(90, 2).await, 0);

    let list = operator.run(&["dead-letters", "list", "--limit", "1"]);
    assert!(list.text.contains("invalid_json") && list.text.contains("invalid_utf8"), "{}", list.text);
    let cursor = list.text.lines().last().and_then(|line| line.strip_prefix("more: --after ")).expect("a second page");
    let second = operator.run(&["dead-letters", "list", "--after", cursor]);
    assert!(!second.text.contains("more:"), "{}", second.text);

    let shown = operator.run(&["dead-letters", "show", cursor]);
    assert_eq!(shown.code, Some(0), "{}", shown.text);
    assert!(!shown.text.contains('\u{1b}'), "no control sequence: {}", shown.text);
    assert_eq!(operator.run(&["dead-letters", "show", "999999"]).code, Some(1));

    let replayed = operator.run(&["dead-letters", "replay", "--reason-code", "invalid_json"]);
    assert_eq!(replayed.code, Some(1), "{}", replayed.text);
    assert!(replayed.text.contains("still no event: invalid_json") && replayed.text.contains("0 replayed, 1 left"));
    assert_eq!(operator.stored(90, 2).await, 0, "nothing changed");
}

#[tokio::test]
async fn skipped_records_are_explained_and_the_running_owner_goes_on_behind_them() {
    let operator = Operator::new().await;
    operator.send(0..30).await;
    let consumer = operator.consumer(&operator.group);
    assert_eq!(operator.stored(30, 0).await, 0);

    let refused = operator.offsets(&["release", "--partition", "0", "--reason", "to see"]);
    assert_eq!(refused.code, Some(1), "{}", refused.text);
    assert!(refused.text.contains("is not quarantined"), "{}", refused.text);
    let refused = operator.offsets(&["set", "--partition", "0", "--to", "earliest", "--reason", "to see"]);
    assert_eq!(refused.code, Some(1), "{}", refused.text);
    assert!(refused.text.contains("still in the log"), "{}", refused.text);
    let refused = operator.offsets(&["set", "--partition", "0", "--to", "4711", "--reason", "to see"]);
    assert_eq!(refused.code, Some(1), "{}", refused.text);
    assert!(refused.text.contains("outside the log"), "{}", refused.text);

    // In place: the owner is refused, and claims again.
    let set = operator.offsets(&["set", "--partition", "0", "--to", "10", "--reason", "to see the owner come back"]);
    assert_eq!(set.code, Some(0), "{}", set.text);
    operator.send(30..60).await;
    assert_eq!(operator.stored(60, 0).await, 0);

    drop(consumer);
    operator.send(60..90).await;
    let skip = operator.offsets(&["set", "--partition", "0,2", "--to", "latest", "--reason", "nobody needs these"]);
    assert_eq!(skip.code, Some(0), "{}", skip.text);
    assert!(skip.text.contains("partition 2: skipped: 20 -> 30, 10 records skipped"), "{}", skip.text);
    let _consumer = operator.consumer(&operator.group);
    operator.send(90..120).await;
    assert_eq!(operator.stored(100, 0).await, 2, "explained");
    let verified = operator.run(&["verify"]);
    assert!(verified.text.contains("skipped 20 -> 30 by operator:test"), "{}", verified.text);
    assert!(verified.text.contains("nobody needs these"), "{}", verified.text);
}

#[tokio::test]
async fn another_group_is_refused_until_it_adopts() {
    let operator = Operator::new().await;
    operator.send(0..30).await;
    let consumer = operator.consumer(&operator.group);
    assert_eq!(operator.stored(30, 0).await, 0);
    drop(consumer);

    let renamed = format!("{}-renamed", operator.group);
    let refused = operator.consumer(&renamed);
    wait_until(DEADLINE, "the other group is refused", async || refused.exited().is_some()).await;
    assert_eq!(refused.exited().and_then(|status| status.code()), Some(64), "{}", refused.last_output());
    assert!(refused.last_output().contains("consumer offsets adopt"), "{}", refused.last_output());

    let adopt = ["adopt", "--group", &renamed, "--reason", "the team was renamed"];
    let adopted = operator.offsets(&adopt);
    assert_eq!(adopted.code, Some(0), "{}", adopted.text);
    let again = operator.offsets(&adopt);
    assert_eq!(again.code, Some(1), "nothing is left to adopt: {}", again.text);
    let _consumer = operator.consumer(&renamed);
    operator.send(30..60).await;
    assert_eq!(operator.stored(60, 0).await, 0, "no record twice, none lost, nothing to explain");
    assert!(operator.offsets(&["show"]).text.contains(&renamed));
}

#[tokio::test]
async fn a_recreated_topic_is_read_once_it_is_adopted() {
    let operator = Operator::new().await;
    operator.send(0..30).await;
    let consumer = operator.consumer(&operator.group);
    assert_eq!(operator.stored(30, 0).await, 0);
    drop(consumer);
    operator.recreate_topic().await;
    operator.send(30..90).await;

    let _consumer = operator.consumer(&operator.group);
    wait_until(DEADLINE, "all partitions are quarantined", async || {
        operator.offsets(&["show"]).text.matches("quarantined since").count() == 3
    })
    .await;
    assert!(operator.offsets(&["show"]).text.contains("former log"));
    let adopted = operator.offsets(&["adopt", "--group", &operator.group, "--reason", "the topic was made anew"]);
    assert_eq!(adopted.code, Some(0), "{}", adopted.text);
    assert_eq!(operator.stored(90, 0).await, 0, "the running consumer goes on by itself");
}

#[tokio::test]
async fn an_alarm_is_listed_seen_shelved_and_its_limits_are_the_sensors_own() {
    let operator = Operator::new().await;
    let alarms = |arguments: &[&str]| operator.run(&[&["alarms"], arguments].concat());
    let set = |more: &[&str]| {
        let limits = ["limits", "set", "sensor-0", "--type", "pressure", "--reason", "a new pump"];
        alarms(&[&limits, more].concat())
    };
    for (wrong, named) in [
        (&["--high", "1.2"][..], "high: not above"),
        (&["--deadband", "-1"], "deadband: not a finite"),
        (&["--on-delay-s", "inf"], "on_delay"),
        (&["--low", "some"], "--low"),
    ] {
        let refused = set(wrong);
        assert!(refused.code == Some(64) && refused.text.contains(named), "{wrong:?}: {}", refused.text);
    }
    let own = set(&["--high", "1.4", "--low", "none", "--low-low", "none", "--deadband", "0.1", "--on-delay-s", "0"]);
    assert_eq!(own.code, Some(0), "{}", own.text);
    assert!(alarms(&["limits", "show"]).text.contains("sensor-0"));
    assert_eq!(alarms(&["list"]).text, "no alarm stands\n");

    let consumer = operator.consumer(&operator.group);
    let sent = Cell::new(0);
    wait_until(DEADLINE, "the limits are in force and passed", async || {
        operator.send(sent.get()..sent.get() + 3).await;
        sent.set(sent.get() + 3);
        alarms(&["list"]).text.contains("1.5 passed 1.4")
    })
    .await;
    let listed = alarms(&["list"]).text;
    assert!(listed.contains("active_unacknowledged  sensor-0  limit") && listed.lines().count() == 2, "{listed}");
    assert_eq!(alarms(&["acknowledge", "sensor-0", "limit", "--comment", "looking"]).code, Some(0));
    assert!(alarms(&["list"]).text.contains("active_acknowledged"));
    assert_eq!(alarms(&["acknowledge", "sensor-0"]).code, Some(1), "it was seen");
    assert_eq!(alarms(&["acknowledge", "sensor-9"]).code, Some(1), "there is no such alarm");
    assert_eq!(alarms(&["shelve", "sensor-0", "--for", "800h", "--reason", "x"]).code, Some(64));
    assert_eq!(alarms(&["shelve", "sensor-0", "--for", "2h", "--reason", "new pump"]).code, Some(0));
    assert!(alarms(&["list"]).text.contains("operator:test: new pump"));
    assert_eq!(alarms(&["unshelve", "sensor-0"]).code, Some(0));
    assert_eq!(
        (alarms(&["limits", "reset", "sensor-0"]).code, alarms(&["limits", "reset", "sensor-0"]).code),
        (Some(0), Some(1))
    );
    assert_eq!(alarms(&["forget", "sensor-0", "--reason", "taken down"]).code, Some(0));
    assert_eq!(alarms(&["list"]).text, "no alarm stands\n");
    assert_eq!(operator.stored(sent.get(), 0).await, 0);
    drop(consumer);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_bug() {
    let operator = Operator::new().await;
    assert_eq!(operator.run_unread(&["verify"]), Some(0));
}
