//! Feeds against a plain model of them: whatever happens in whatever order, and however a tweet reaches its audience.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use millrace_store::users::BACKFILL;
use millrace_store::{feeds, posts, users};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::world::World;

/// Steps of one history.
const STEPS: usize = 400;
const USERS: usize = 9;

/// What feeds are, said in the simplest way.
#[derive(Default)]
struct Model {
    /// Stored tweets: their author.
    stored: BTreeMap<i64, i64>,
    deleted: BTreeSet<i64>,
    /// (follower, followed): the tweets that the follow brings.
    follows: BTreeMap<(i64, i64), BTreeSet<i64>>,
}

impl Model {
    fn live(&self, author: i64) -> impl Iterator<Item = i64> {
        let of = self.stored.iter().filter(move |(_, by)| **by == author).map(|(tweet, _)| *tweet);
        of.filter(|tweet| !self.deleted.contains(tweet))
    }

    fn follow(&mut self, follower: i64, followed: i64) {
        let mut latest: Vec<i64> = self.live(followed).collect();
        latest.reverse();
        latest.truncate(usize::try_from(BACKFILL).expect("few"));
        // A number above the oldest of them is brought, too, also of one that is stored later.
        self.follows.entry((follower, followed)).or_insert_with(|| latest.into_iter().collect());
    }

    fn store(&mut self, tweet: i64, author: i64) {
        self.stored.insert(tweet, author);
        for ((_, followed), brought) in &mut self.follows {
            if *followed == author {
                brought.insert(tweet);
            }
        }
    }

    fn feed(&self, reader: i64) -> Vec<i64> {
        let brought = self.follows.iter().filter(|((follower, _), _)| *follower == reader).flat_map(|(_, set)| set);
        let mut feed: BTreeSet<i64> = brought.copied().filter(|tweet| !self.deleted.contains(tweet)).collect();
        feed.extend(self.live(reader));
        feed.into_iter().rev().collect()
    }
}

#[tokio::test]
async fn feeds_are_what_a_plain_model_says() -> Result<()> {
    let seed = testkit::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new().await?;
    let mut people = Vec::new();
    for number in 0..USERS {
        people.push(world.user(&format!("user{number}")).await?);
    }
    let mut model = Model::default();
    // Numbers are given first, and stored in another order.
    let mut numbered: Vec<(i64, i64)> = Vec::new();
    for step in 0..STEPS {
        let (one, other) = (people[rng.random_range(0..USERS)], people[rng.random_range(0..USERS)]);
        match rng.random_range(0..100) {
            0..35 => {
                let request = posts::Request { author_id: one, key: None };
                let given = posts::number(&world.store, &[request]).await?;
                let [posts::Numbered::Is { tweet_id, .. }] = given[..] else { anyhow::bail!("{given:?}") };
                numbered.push((tweet_id, one));
            }
            35..55 if !numbered.is_empty() => {
                let mut some = Vec::new();
                while some.len() < 3 && !numbered.is_empty() {
                    some.push(numbered.swap_remove(rng.random_range(0..numbered.len())));
                }
                world.stores(&some).await?;
                some.into_iter().for_each(|(tweet, author)| model.store(tweet, author));
            }
            55..68 if one != other => {
                users::follow(&world.store, one, other).await?;
                model.follow(one, other);
            }
            68..72 => {
                users::unfollow(&world.store, one, other).await?;
                model.follows.remove(&(one, other));
            }
            72..76 => {
                let live: Vec<i64> = model.live(one).collect();
                if !live.is_empty() {
                    let tweet = live[rng.random_range(0..live.len())];
                    ensure!(posts::delete(&world.store, one, tweet).await? == posts::Deleted::Now);
                    model.deleted.insert(tweet);
                }
            }
            76..84 => {
                feeds::step(&world.store).await?;
            }
            84..90 => {
                world.sql.execute("INSERT INTO feed_trims (user_id) VALUES ($1)", &[&one]).await?;
                feeds::trim(&world.store).await?;
            }
            90..93 => {
                let (range, pull) = (rng.random_range(0..6_i64), rng.random_range(0..9_i64));
                let keep = rng.random_range(1..20);
                let change =
                    "UPDATE feed_settings SET range_above = $1, pull_above = $2, range_rows = 2, keep_items = $3";
                world.sql.execute(change, &[&range, &pull, &keep]).await?;
            }
            _ => {
                while feeds::step(&world.store).await?.is_some() {}
                for reader in &people {
                    let limit = rng.random_range(1..12);
                    let pages = world.pages(*reader, limit).await?;
                    ensure!(
                        pages == model.feed(*reader),
                        "TEST_SEED={seed}, step {step}, user {reader}: {pages:?} instead of {:?}",
                        model.feed(*reader)
                    );
                }
            }
        }
    }
    let trimmed = world.sql.query_one("SELECT count(*) FROM feed_floors", &[]).await?;
    ensure!(trimmed.get::<_, i64>(0) > 0, "TEST_SEED={seed}: no feed was trimmed");
    world.is_proven().await.with_context(|| format!("TEST_SEED={seed}"))
}
