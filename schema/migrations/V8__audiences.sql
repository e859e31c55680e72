-- Large audiences, and feeds of bounded length.
--
-- How a tweet reaches its audience is decided when it is stored, and written on the tweet: its own transaction (small
-- audiences), a task in follower ranges (large ones), or not at all: readers pull it (the largest ones, and what waited
-- too long). Changing a setting therefore changes later tweets only, and opens no gap.

CREATE TABLE feed_settings (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    range_above  bigint   NOT NULL DEFAULT 2000 CHECK (range_above BETWEEN 0 AND 20000),
    range_rows   integer  NOT NULL DEFAULT 5000 CHECK (range_rows BETWEEN 1 AND 100000),
    pull_above   bigint   NOT NULL DEFAULT 10000 CHECK (pull_above >= 0),
    expire_after interval NOT NULL DEFAULT '1 hour' CHECK (expire_after > '0'),
    keep_items   integer  NOT NULL DEFAULT 800 CHECK (keep_items BETWEEN 1 AND 100000)
);
INSERT INTO feed_settings DEFAULT VALUES;
COMMENT ON TABLE feed_settings IS 'One row: how tweets reach their audiences. Read by each batch; `consumer feed-settings` changes it.';
COMMENT ON COLUMN feed_settings.only_row IS 'Keeps it one row.';
COMMENT ON COLUMN feed_settings.range_above IS 'Audiences larger than this are served by a task, range by range, and not in the transaction that stores the tweet.';
COMMENT ON COLUMN feed_settings.range_rows IS 'Followers of one range.';
COMMENT ON COLUMN feed_settings.pull_above IS 'Audiences larger than this are not served: readers pull such tweets.';
COMMENT ON COLUMN feed_settings.expire_after IS 'A tweet that waited longer than this is pulled by its readers.';
COMMENT ON COLUMN feed_settings.keep_items IS 'Items that a feed is trimmed to; what is older is pulled.';

ALTER TABLE tweets
    DROP COLUMN acknowledged_at,
    ADD COLUMN audience bigint,
    ADD COLUMN pulled boolean NOT NULL DEFAULT false;
CREATE INDEX tweets_pulled ON tweets (author_id, tweet_id DESC) WHERE pulled;
CREATE INDEX tweets_unstored ON tweets (author_id, tweet_id) WHERE stored_at IS NULL;
COMMENT ON COLUMN tweets.audience IS 'How many followed its author when it was stored.';
COMMENT ON COLUMN tweets.pulled IS 'Readers pull it: it is in no feed_items, or in some that do not count.';

-- Of follows that are there, nothing is known but that they may bring everything.
ALTER TABLE follows ADD COLUMN from_id bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN follows.from_id IS 'No tweet below it is brought by this follow: the oldest that was back-filled, or had its number and was not stored yet.';
ALTER TABLE users ADD CONSTRAINT users_following_most CHECK (following <= 5000) NOT VALID;

-- Not a column of users: who trims must not wait for who posts.
CREATE TABLE feed_floors (
    user_id bigint PRIMARY KEY REFERENCES users,
    floor   bigint NOT NULL
);
COMMENT ON TABLE feed_floors IS 'Readers whose feed was trimmed.';
COMMENT ON COLUMN feed_floors.user_id IS 'The reader.';
COMMENT ON COLUMN feed_floors.floor IS 'Tweets up to this number are pulled when they read.';

CREATE TABLE feed_tasks (
    tweet_id         bigint      PRIMARY KEY REFERENCES tweets,
    author_id        bigint      NOT NULL,
    audience_version bigint      NOT NULL,
    after_follower   bigint      NOT NULL DEFAULT 0,
    served           bigint      NOT NULL DEFAULT 0,
    made_at          timestamptz NOT NULL DEFAULT now(),
    stepped_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX feed_tasks_in_turn ON feed_tasks (stepped_at);
COMMENT ON TABLE feed_tasks IS 'Tweets whose audience is being served, range by range. Made in the transaction that stores the tweet; each step moves the progress in the transaction that writes its rows. A finished one is gone.';
COMMENT ON COLUMN feed_tasks.tweet_id IS 'The tweet.';
COMMENT ON COLUMN feed_tasks.author_id IS 'Its author.';
COMMENT ON COLUMN feed_tasks.audience_version IS 'Follows up to this version are the audience.';
COMMENT ON COLUMN feed_tasks.after_follower IS 'Followers up to this number are served.';
COMMENT ON COLUMN feed_tasks.served IS 'How many those were.';
COMMENT ON COLUMN feed_tasks.made_at IS 'When the tweet was stored.';
COMMENT ON COLUMN feed_tasks.stepped_at IS 'When the last range was served: tasks take turns.';

CREATE TABLE feed_trims (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL
);
COMMENT ON TABLE feed_trims IS 'Readers whose feed may have become too long: one in 256 items that are written names its reader. Not unique: who writes must not wait for others.';
COMMENT ON COLUMN feed_trims.id IS 'The line.';
COMMENT ON COLUMN feed_trims.user_id IS 'The reader.';

-- Whether writing this item is to have its reader's feed looked at.
CREATE FUNCTION feed_look_is_due(reader bigint, tweet bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashint8(reader # (tweet << 20)) & 255 = 0;

-- Serves one range of the task whose turn it is. A task that another session has in hand is passed over; whoever dies
-- in here has done nothing. No row: there is nothing to do.
CREATE FUNCTION step_feed_task(OUT stepped_tweet bigint, OUT items bigint, OUT outcome text) RETURNS SETOF record
    LANGUAGE plpgsql AS $$
DECLARE
    settings feed_settings;
    task     feed_tasks;
    tweet    tweets;
    last     bigint;
    found_n  bigint;
    served_n bigint;
BEGIN
    SELECT * INTO task FROM feed_tasks ORDER BY stepped_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO settings FROM feed_settings;
    SELECT * INTO tweet FROM tweets WHERE tweet_id = task.tweet_id;
    stepped_tweet := task.tweet_id;
    items := 0;
    IF tweet.deleted_at IS NOT NULL THEN
        DELETE FROM feed_tasks WHERE tweet_id = task.tweet_id;
        outcome := 'deleted';
    ELSIF tweet.created_at < now() - settings.expire_after THEN
        UPDATE tweets SET pulled = true WHERE tweet_id = task.tweet_id;
        DELETE FROM feed_tasks WHERE tweet_id = task.tweet_id;
        outcome := 'expired';
    ELSE
        -- The range is of all followers, so that a step is bounded whoever of them is in the audience.
        WITH part AS MATERIALIZED (
            SELECT follower_id, version FROM follows
             WHERE followed_id = task.author_id AND follower_id > task.after_follower
             ORDER BY follower_id LIMIT settings.range_rows),
        written AS (
            INSERT INTO feed_items (user_id, tweet_id, author_id)
            SELECT follower_id, task.tweet_id, task.author_id FROM part WHERE version <= task.audience_version
            ON CONFLICT (user_id, tweet_id) DO NOTHING RETURNING user_id, tweet_id),
        look AS (
            INSERT INTO feed_trims (user_id) SELECT user_id FROM written WHERE feed_look_is_due(user_id, tweet_id))
        SELECT max(follower_id), count(*), count(*) FILTER (WHERE version <= task.audience_version),
               (SELECT count(*) FROM written)
          INTO last, found_n, served_n, items FROM part;
        IF found_n < settings.range_rows THEN
            DELETE FROM feed_tasks WHERE tweet_id = task.tweet_id;
            outcome := 'finished';
        ELSE
            UPDATE feed_tasks SET after_follower = last, served = served + served_n, stepped_at = clock_timestamp()
             WHERE tweet_id = task.tweet_id;
            outcome := 'stepped';
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- Looks at the feed of one line of feed_trims, and trims it when it is a quarter longer than what is kept: the reader, and the
-- number of items before. No row: there is nothing to do. The floor moves in the same transaction, so that who reads meanwhile
-- pulls below it. At most 10,000 items go at once; the rest gets a line of its own.
CREATE FUNCTION trim_feed(OUT trimmed_user bigint, OUT items bigint) RETURNS SETOF record
    LANGUAGE plpgsql AS $$
DECLARE
    keep    integer := (SELECT keep_items FROM feed_settings);
    below   bigint;
    deleted bigint;
BEGIN
    -- What a crash of the server undoes is looked at again: nobody has to wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM feed_trims WHERE id = (SELECT id FROM feed_trims ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING user_id INTO trimmed_user;
    IF trimmed_user IS NULL THEN
        RETURN;
    END IF;
    SELECT count(*) INTO items FROM feed_items WHERE user_id = trimmed_user;
    IF items > keep + keep / 4 THEN
        SELECT tweet_id INTO below FROM feed_items WHERE user_id = trimmed_user
         ORDER BY tweet_id DESC OFFSET keep LIMIT 1;
        INSERT INTO feed_floors AS f VALUES (trimmed_user, below)
            ON CONFLICT (user_id) DO UPDATE SET floor = greatest(f.floor, EXCLUDED.floor);
        DELETE FROM feed_items WHERE user_id = trimmed_user AND tweet_id IN (
            SELECT tweet_id FROM feed_items WHERE user_id = trimmed_user AND tweet_id <= below ORDER BY tweet_id LIMIT 10000);
        GET DIAGNOSTICS deleted = ROW_COUNT;
        IF deleted = 10000 THEN
            INSERT INTO feed_trims (user_id) VALUES (trimmed_user);
        END IF;
    END IF;
    RETURN NEXT;
END $$;
