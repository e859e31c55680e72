-- Every second look at a feed found nothing to trim, and cost a twentieth of what the workers have: one in 512 items that
-- are written now names its reader, not one in 256. A feed is trimmed at about 1,500 items.

CREATE OR REPLACE FUNCTION feed_look_is_due(reader bigint, tweet bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashint8(reader # (tweet << 20)) & 511 = 0;
COMMENT ON TABLE feed_trims IS 'Readers whose feed may have become too long: one in 512 items that are written names its reader. Not unique: who writes must not wait for others.';

-- Numbers up to this one are not given any more. One session at a time, since a sequence can also be set back.
CREATE FUNCTION raise_tweet_numbers(most bigint) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('raise_tweet_numbers'));
    IF most > (SELECT last_value FROM tweets_tweet_id_seq) THEN
        PERFORM setval('tweets_tweet_id_seq', most);
    END IF;
    RETURN true;
END $$;
