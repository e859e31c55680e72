//! Tweets into feeds, as the worker stores them: the audience is decided by who was first at the author's row.

#[path = "feed/model.rs"]
mod model;
#[path = "feed/world.rs"]
mod world;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millrace_store::batch::{Letter, Outcome};
use millrace_store::dead_letters::{Replay, replay};
use millrace_store::tweets::TARGET;
use millrace_store::users::{self, Created, Followed};
use millrace_store::{Options, Store, feeds, posts, verify};
use schema::tweet::{Tweet, VERSION};
use schema::{Fault, ReasonCode};
use testkit::wait_until;
use tokio_postgres::Client;
use world::{World, part};

#[tokio::test]
async fn a_tweet_is_in_the_feed_of_each_follower_and_of_nobody_else() -> Result<()> {
    let mut world = World::new().await?;
    let [ada, bob, cy, dee] =
        [world.user("ada").await?, world.user("bob").await?, world.user("cy").await?, world.user("dee").await?];
    world.follow(bob, ada).await?;
    world.follow(cy, ada).await?;
    world.follow(cy, bob).await?;
    world.stores(&[(1, ada), (2, bob), (3, ada)]).await?;
    assert_eq!(world.feed(ada).await?, [3, 1], "their own");
    assert_eq!(world.feed(bob).await?, [3, 2, 1]);
    assert_eq!(world.feed(cy).await?, [3, 2, 1]);
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());

    // Published once more, in another record: it is the same tweet.
    world.stores(&[(3, ada), (3, ada), (4, ada)]).await?;
    assert_eq!(world.feed(cy).await?, [4, 3, 2, 1]);

    // A follow brings what is there; an unfollow takes it away, also what a second follow does not bring.
    world.follow(dee, ada).await?;
    assert_eq!(world.feed(dee).await?, [4, 3, 1]);
    assert!(users::unfollow(&world.store, dee, ada).await?);
    assert!(!users::unfollow(&world.store, dee, ada).await?, "there was none any more");
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());
    world.stores(&[(5, ada)]).await?;
    assert_eq!(world.feed(dee).await?, Vec::<i64>::new());
    world.follow(dee, ada).await?;
    assert_eq!(world.feed(dee).await?, [5, 4, 3, 1]);

    let counts: (i64, i64) = {
        let ada = users::find(&world.store, ada).await?.context("ada")?;
        let cy = users::find(&world.store, cy).await?.context("cy")?;
        (ada.followers, cy.following)
    };
    assert_eq!(counts, (3, 2));
    world.is_proven().await
}

#[tokio::test]
async fn a_deleted_tweet_is_nowhere_also_when_it_is_stored_later() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    world.follow(bob, ada).await?;
    world.sql.execute("INSERT INTO tweets (tweet_id, author_id, deleted_at) VALUES (1, $1, now())", &[&ada]).await?;
    world.stores(&[(1, ada), (2, ada)]).await?;
    assert_eq!((world.feed(ada).await?, world.feed(bob).await?), (vec![2], vec![2]));
    world.sql.execute("UPDATE tweets SET deleted_at = now() WHERE tweet_id = 2", &[]).await?;
    assert_eq!((world.feed(ada).await?, world.feed(bob).await?), (vec![], vec![]));
    world.is_proven().await
}

#[tokio::test]
async fn a_follow_and_a_tweet_that_meet_have_one_result() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob, cy) = (world.user("ada").await?, world.user("bob").await?, world.user("cy").await?);
    // The follow has the author's row, and commits while the batch waits for it.
    world.sql.batch_execute("BEGIN").await?;
    world.sql.execute("SELECT FROM users WHERE user_id = $1 FOR NO KEY UPDATE", &[&ada]).await?;
    let store = world.store.clone();
    let waiting = async {
        somebody_waits(&world.watch).await;
        world.sql.execute("INSERT INTO follows VALUES ($1, $2, 1, NULL)", &[&ada, &bob]).await?;
        world.sql.execute("UPDATE users SET audience_version = 1, followers = 1 WHERE user_id = $1", &[&ada]).await?;
        world.sql.batch_execute("COMMIT").await
    };
    // Borrowed apart: the batch's writer and the session that follows.
    let World { writer, author, claim, log_id, next, .. } = &world;
    let part = part(*log_id, *claim, *next, &[(1, ada, world.numbered_at(1).await?)], &author.consumer_id);
    let (stored, followed) =
        tokio::join!(async { writer.store::<()>(author, &[part], std::future::ready(None)).await }, waiting);
    followed?;
    ensure!(matches!(stored, Outcome::Stored(_)), "{stored:?}");
    assert_eq!(world.feed(bob).await?, [1], "the batch saw the follow that it waited for");

    // The batch has it, and the follow waits: it finds the tweet stored.
    world.next += 1;
    world.sql.batch_execute("BEGIN").await?;
    world.sql.execute("SELECT FROM users WHERE user_id = $1 FOR SHARE", &[&ada]).await?;
    let follow = tokio::spawn(async move { users::follow(&store, cy, ada).await });
    somebody_waits(&world.watch).await;
    world.stores(&[(2, ada)]).await?;
    assert!(!follow.is_finished(), "it waits for the row");
    world.sql.batch_execute("COMMIT").await?;
    assert_eq!(follow.await??, Followed::New);
    assert_eq!(world.feed(cy).await?, [2, 1]);
    world.is_proven().await
}

/// Waits until a session of this database waits for another's lock.
async fn somebody_waits(watch: &Client) {
    let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until(Duration::from_secs(20), "a session waits for a lock", async || {
        watch.query(waiting, &[]).await.is_ok_and(|rows| !rows.is_empty())
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_from_a_feed_is_found() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    world.follow(bob, ada).await?;
    world.stores(&[(1, ada), (2, ada), (3, ada), (4, ada)]).await?;
    world.sql.execute("DELETE FROM feed_items WHERE tweet_id = 2", &[]).await?;
    world.sql.execute("DELETE FROM tweets WHERE tweet_id = 1", &[]).await?;
    world.sql.execute("UPDATE tweets SET content = 'another' WHERE tweet_id = 3", &[]).await?;
    world.sql.execute("UPDATE feed_items SET author_id = 99 WHERE tweet_id = 4", &[]).await?;
    let report = verify::run(&world.store, TARGET).await?;
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.places.ranges.clone())).collect();
    assert_eq!(
        found,
        [(verify::Kind::TweetMissing, vec![(0, 1), (2, 3)]), (verify::Kind::FeedMissing, vec![(1, 2), (3, 4)])],
        "{report:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn names_are_taken_once_and_numbers_have_no_holes() -> Result<()> {
    let world = World::new().await?;
    let ada = world.user("ada").await?;
    assert_eq!(users::create(&world.store, "ada", "other@example.com").await?, Created::Taken("username"));
    assert_eq!(users::create(&world.store, "other", "ada@example.com").await?, Created::Taken("email"));
    assert_eq!(world.user("bob").await?, ada + 1);
    assert_eq!(users::follow(&world.store, ada, 99).await?, Followed::NoSuchUser(99));
    world.follow(ada + 1, ada).await?;
    assert_eq!(users::follow(&world.store, ada + 1, ada).await?, Followed::Already);
    Ok(())
}

/// Small bounds, so that few users and tweets show all of them.
const SMALL: &str = "UPDATE feed_settings SET range_above = 2, range_rows = 3, pull_above = 10, keep_items = 8, expire_after = '1 hour'";

/// `n` readers who follow a new user.
async fn with_followers(world: &World, name: &str, n: usize) -> Result<(i64, Vec<i64>)> {
    let author = world.user(name).await?;
    let mut readers = Vec::new();
    for number in 0..n {
        let reader = world.user(&format!("{name}-{number}")).await?;
        world.follow(reader, author).await?;
        readers.push(reader);
    }
    Ok((author, readers))
}

#[tokio::test]
async fn a_large_audience_is_served_range_by_range_and_nobody_else_waits() -> Result<()> {
    let mut world = World::new().await?;
    world.sql.batch_execute(SMALL).await?;
    let (ada, readers) = with_followers(&world, "ada", 7).await?;
    let (bob, of_bob) = with_followers(&world, "bob", 2).await?;
    world.stores(&[(1, ada), (2, bob)]).await?;
    assert_eq!(world.feed(of_bob[0]).await?, [2], "a small audience is served at once");
    assert_eq!(world.feed(readers[0]).await?, Vec::<i64>::new(), "a large one by the steps");
    world.is_proven().await?;

    // One who leaves and comes back in the middle has it by the second follow, and by no range.
    let step = feeds::step(&world.store).await?.context("there is a task")?;
    assert_eq!((step.items, step.outcome.as_str()), (3, "stepped"));
    assert_eq!(world.feed(readers[2]).await?, [1]);
    assert!(users::unfollow(&world.store, readers[4], ada).await?);
    assert!(users::unfollow(&world.store, readers[5], ada).await?);
    world.follow(readers[5], ada).await?;
    let late = world.user("late").await?;
    world.follow(late, ada).await?;
    world.is_proven().await?;

    // A task that somebody has in hand is passed over.
    world.sql.batch_execute("BEGIN; SELECT FROM feed_tasks FOR UPDATE").await?;
    assert_eq!(feeds::step(&world.store).await?, None);
    world.sql.batch_execute("ROLLBACK").await?;
    let mut outcomes = Vec::new();
    while let Some(step) = feeds::step(&world.store).await? {
        outcomes.push((step.items, step.outcome));
    }
    // Of the last five one is gone, and two came behind the tweet.
    assert_eq!(outcomes, [(2, "stepped".to_owned()), (0, "finished".to_owned())]);
    for reader in [readers[0], readers[3], readers[5], readers[6], late] {
        assert_eq!(world.feed(reader).await?, [1], "{reader}");
    }
    assert_eq!(world.feed(readers[4]).await?, Vec::<i64>::new());
    world.is_proven().await
}

#[tokio::test]
async fn the_largest_audiences_pull_and_a_changed_setting_opens_no_gap() -> Result<()> {
    let mut world = World::new().await?;
    world.sql.batch_execute(SMALL).await?;
    let (ada, readers) = with_followers(&world, "ada", 11).await?;
    world.stores(&[(1, ada)]).await?;
    world.sql.batch_execute("UPDATE feed_settings SET pull_above = 100, range_above = 100").await?;
    world.stores(&[(2, ada)]).await?;
    world.sql.batch_execute("UPDATE feed_settings SET pull_above = 0").await?;
    world.stores(&[(3, ada)]).await?;
    let items = world.sql.query("SELECT DISTINCT tweet_id FROM feed_items", &[]).await?;
    assert_eq!(items.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [2], "the others cost nothing");
    let late = world.user("late").await?;
    world.follow(late, ada).await?;
    world.stores(&[(4, ada)]).await?;
    for reader in [readers[0], readers[10], late, ada] {
        assert_eq!(world.feed(reader).await?, [4, 3, 2, 1]);
    }
    world.is_proven().await?;
    world.sql.execute("UPDATE tweets SET deleted_at = now() WHERE tweet_id = 3", &[]).await?;
    assert!(users::unfollow(&world.store, late, ada).await?);
    assert_eq!((world.feed(readers[0]).await?, world.feed(late).await?), (vec![4, 2, 1], vec![]));
    Ok(())
}

#[tokio::test]
async fn what_waited_too_long_is_pulled_and_not_thrown_away() -> Result<()> {
    let mut world = World::new().await?;
    world.sql.batch_execute(SMALL).await?;
    let (ada, readers) = with_followers(&world, "ada", 5).await?;
    world.stores(&[(1, ada)]).await?;
    feeds::step(&world.store).await?.context("the first range")?;
    // Its clock is put forward: the task of tweet 1 waits, and tweet 2 waited before it was stored.
    world.sql.batch_execute("UPDATE feed_settings SET expire_after = '1 microsecond'").await?;
    world.stores(&[(2, ada)]).await?;
    let step = feeds::step(&world.store).await?.context("a task")?;
    assert_eq!((step.items, step.outcome.as_str()), (0, "expired"));
    assert_eq!(feeds::step(&world.store).await?, None);
    for reader in readers {
        assert_eq!(world.feed(reader).await?, [2, 1], "once each, also where the first range had written it");
    }
    world.is_proven().await
}

#[tokio::test]
async fn a_trimmed_feed_goes_on_below_its_floor() -> Result<()> {
    let mut world = World::new().await?;
    world.sql.batch_execute(SMALL).await?;
    let (ada, readers) = with_followers(&world, "ada", 1).await?;
    let bob = world.user("bob").await?;
    world.follow(readers[0], bob).await?;
    let tweets: Vec<(i64, i64)> = (1..=40).map(|n| (n, if n % 3 == 0 { bob } else { ada })).collect();
    world.stores(&tweets).await?;
    world.sql.batch_execute("TRUNCATE feed_trims").await?;
    world.sql.execute("INSERT INTO feed_trims (user_id) VALUES ($1)", &[&readers[0]]).await?;
    assert_eq!(feeds::trim(&world.store).await?, Some(40));
    let kept = world.sql.query_one("SELECT count(*), min(tweet_id) FROM feed_items", &[]).await?;
    assert_eq!((kept.get::<_, i64>(0), kept.get::<_, i64>(1)), (8, 33));
    let all: Vec<i64> = (1..=40).rev().collect();
    assert_eq!(world.feed(readers[0]).await?, all);
    assert_eq!(world.pages(readers[0], 7).await?, all);
    world.is_proven().await?;
    // A feed that is trimmed has what a follow brings below the floor, too.
    let cy = world.user("cy").await?;
    world.sql.execute("INSERT INTO feed_floors VALUES ($1, 40)", &[&cy]).await?;
    world.follow(cy, bob).await?;
    assert_eq!(world.pages(cy, 5).await?, (1..=40).rev().filter(|n| n % 3 == 0).collect::<Vec<i64>>());
    Ok(())
}

#[tokio::test]
async fn a_follow_brings_the_latest_hundred_and_what_was_numbered_and_not_stored() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    let wishes = vec![posts::Request { author_id: ada, key: None }; 152];
    let given = posts::number(&world.store, &wishes).await?;
    let numbers: Vec<i64> = given
        .iter()
        .map(|numbered| match numbered {
            posts::Numbered::Is { tweet_id, .. } => *tweet_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(numbers.is_sorted(), "in the order of the requests");
    // The third and the last are still on their way.
    let (late, stored): (Vec<i64>, Vec<i64>) = numbers.iter().partition(|n| **n == numbers[2] || **n == numbers[151]);
    world.stores(&stored.iter().map(|n| (*n, ada)).collect::<Vec<_>>()).await?;
    world.follow(bob, ada).await?;
    let mut latest: Vec<i64> = stored.iter().rev().take(100).copied().collect();
    assert_eq!(world.feed(bob).await?, latest);
    world.stores(&late.iter().map(|n| (*n, ada)).collect::<Vec<_>>()).await?;
    latest.insert(0, numbers[151]);
    latest.push(numbers[2]);
    assert_eq!(world.feed(bob).await?, latest, "what is stored behind a follow is brought by it, whatever its number");
    world.is_proven().await
}

#[tokio::test]
async fn numbers_that_the_log_has_are_not_given_again_and_another_tweet_of_a_number_is_found() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    // As after a restore: the log has a number that the database has not given.
    world.stores(&[(7, ada)]).await?;
    let given = posts::number(&world.store, &[posts::Request { author_id: bob, key: None }]).await?;
    assert!(matches!(given[0], posts::Numbered::Is { tweet_id: 8, .. }), "{given:?}");
    world.is_proven().await?;
    // Given again before the log was read: the number is bob's, the record ada's.
    let record = part(world.log_id, world.claim, world.next, &[(8, ada, jiff::Timestamp::now())], "feed-worker-0");
    let outcome: Outcome<()> = world.writer.store(&world.author, &[record], std::future::ready(None)).await;
    ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    let report = verify::run(&world.store, TARGET).await?;
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.places.ranges.clone())).collect();
    assert_eq!(found, [(verify::Kind::TweetMissing, vec![(1, 2)])], "{report:#?}");
    Ok(())
}

#[tokio::test]
async fn of_two_records_of_one_number_in_a_batch_the_one_that_was_numbered_is_stored() -> Result<()> {
    let world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    posts::number(&world.store, &[posts::Request { author_id: ada, key: None }]).await?;
    let (other, numbered) = (jiff::Timestamp::now(), world.numbered_at(1).await?);
    let records = [(1, bob, other), (1, ada, numbered)];
    let both = part(world.log_id, world.claim, world.next, &records, "feed-worker-0");
    let outcome: Outcome<()> = world.writer.store(&world.author, &[both], std::future::ready(None)).await;
    ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    assert_eq!((world.feed(ada).await?, world.feed(bob).await?), (vec![1], vec![]));
    let report = verify::run(&world.store, TARGET).await?;
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.places.ranges.clone())).collect();
    assert_eq!(found, [(verify::Kind::TweetMissing, vec![(0, 1)])], "{report:#?}");
    Ok(())
}

#[tokio::test]
async fn items_that_are_there_already_hold_a_batch_up_once() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, bob) = (world.user("ada").await?, world.user("bob").await?);
    world.follow(bob, ada).await?;
    // As a restore of `tweets` alone leaves it, or somebody's hand.
    world.sql.execute("INSERT INTO feed_items VALUES ($1, 2, 99)", &[&bob]).await?;
    let refused = world.stores(&[(1, ada), (2, ada)]).await.expect_err("one is there");
    ensure!(format!("{refused:#}").contains("feed_items_pkey"), "{refused:#}");
    world.stores(&[(1, ada), (2, ada)]).await?;
    world.stores(&[(3, ada)]).await?;
    assert_eq!(world.feed(bob).await?, [3, 2, 1]);
    world.is_proven().await
}

#[tokio::test]
async fn a_session_sees_what_its_lock_waited_for_whatever_the_database_is_set_to() -> Result<()> {
    let url = testkit::shared().await.database_url;
    let database_url = format!("{url}?options=-c%20default_transaction_isolation%3Dserializable");
    let store = Store::new(&Options { database_url, database_pool_size: 1 }, "feed-test")?;
    let row = store.pooled().await?.query_one("SHOW transaction_isolation", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "read committed");
    Ok(())
}

#[tokio::test]
async fn a_letter_that_is_replayed_reaches_its_audience_once() -> Result<()> {
    let mut world = World::new().await?;
    let (ada, readers) = with_followers(&world, "ada", 2).await?;
    world.stores(&[(1, ada)]).await?;
    // As a build left it that could not read it.
    let mut refused = part(world.log_id, world.claim, world.next, &[], &world.author.consumer_id);
    let content = "tweet 2".into();
    let tweet = Tweet { version: VERSION, tweet_id: 2, author_id: ada, content, created_at: jiff::Timestamp::now() };
    refused.next += 1;
    refused.rows.clear();
    refused.letters.push(Letter {
        offset: refused.expected,
        fault: Fault::new(ReasonCode::UnknownVersion, Some("version"), "not known to an older build"),
        key: Some(tweet.key().into_bytes()),
        payload: Some(tweet.encode()),
        appended_at: None,
    });
    let outcome: Outcome<()> = world.writer.store(&world.author, &[refused], std::future::ready(None)).await;
    ensure!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    world.next += 1;
    world.stores(&[(3, ada)]).await?;
    assert_eq!(world.feed(readers[0]).await?, [3, 1]);

    let letter: i64 = world.sql.query_one("SELECT id FROM dead_letters", &[]).await?.get(0);
    assert_eq!(replay(&world.store, letter, "operator:test").await?, Replay::Replayed);
    assert_eq!(replay(&world.store, letter, "operator:test").await?, Replay::NotOpen);
    for reader in readers {
        assert_eq!(world.feed(reader).await?, [3, 2, 1]);
    }
    world.is_proven().await
}
