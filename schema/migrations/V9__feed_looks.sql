-- Every second look at a feed found nothing to trim, and cost a twentieth of what the workers have: one in 512 items that
-- are written now names its reader, not one in 256. A feed is trimmed at about 1,500 items.

CREATE OR REPLACE FUNCTION feed_look_is_due(reader bigint, tweet bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashint8(reader # (tweet << 20)) & 511 = 0;
COMMENT ON TABLE feed_trims IS 'Readers whose feed may have become too long: one in 512 items that are written names its reader. Not unique: who writes must not wait for others.';
