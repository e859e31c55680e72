-- The flight recorder: what is seen beside the journal, and what is concluded from all of it. Additive: older
-- programs go on, and what they don't say is not known.

ALTER TABLE rebalancing_events
    ADD COLUMN occurred_at    timestamptz,
    ADD COLUMN clock_error_us bigint,
    ADD COLUMN records        bigint;
COMMENT ON COLUMN rebalancing_events.event_type IS 'started, assigned, revoked, lost, claimed, refused, reopened, discarded, poll_exceeded, offset_went_back, quarantined, paused, resumed, dropped, leaving, stopped.';
COMMENT ON COLUMN rebalancing_events.occurred_at IS 'When it happened by the server''s clock: the process start by that clock (consumer_lives.zero_at) and monotonic_us. The consumer''s wall clock while that is not known.';
COMMENT ON COLUMN rebalancing_events.clock_error_us IS 'How far occurred_at may be wrong, in microseconds: half a round trip. NULL when it is the consumer''s wall clock.';
COMMENT ON COLUMN rebalancing_events.records IS 'Of claimed: records that waited in the log. Of discarded: records that were read and not stored.';
UPDATE rebalancing_events SET occurred_at = timestamp;
CREATE INDEX rebalancing_events_by_occurrence ON rebalancing_events (group_id, occurred_at);

ALTER TABLE consumer_health
    ADD COLUMN poll_age_ms         bigint,
    ADD COLUMN session_timeout_ms  integer,
    ADD COLUMN poll_interval_ms    integer,
    ADD COLUMN static_id           text,
    ADD COLUMN protocol            text,
    ADD COLUMN clock_skew_us       bigint,
    ADD COLUMN member_id           text    NOT NULL DEFAULT '',
    ADD COLUMN generation          integer NOT NULL DEFAULT -1;
COMMENT ON COLUMN consumer_health.poll_age_ms IS 'Milliseconds since its poll thread asked Kafka''s client last; the poll limit counts from there.';
COMMENT ON COLUMN consumer_health.session_timeout_ms IS 'Session time-out of the group as it knows it.';
COMMENT ON COLUMN consumer_health.poll_interval_ms IS 'max.poll.interval.ms.';
COMMENT ON COLUMN consumer_health.static_id IS 'group.instance.id of a static member.';
COMMENT ON COLUMN consumer_health.protocol IS 'consumer (KIP-848), cooperative-sticky or range.';
COMMENT ON COLUMN consumer_health.clock_skew_us IS 'Its wall clock minus the server''s, in microseconds.';
COMMENT ON COLUMN consumer_health.member_id IS 'Member id of its last callback.';
COMMENT ON COLUMN consumer_health.generation IS 'Generation or member epoch of its last callback; -1 before the first.';

CREATE TABLE consumer_lives (
    boot_id            uuid        PRIMARY KEY,
    consumer_id        text        NOT NULL,
    group_id           text        NOT NULL,
    topic              text        NOT NULL,
    static_id          text,
    session_timeout_ms integer     NOT NULL,
    poll_interval_ms   integer     NOT NULL,
    first_beat         timestamptz NOT NULL,
    last_beat          timestamptz NOT NULL,
    status             text        NOT NULL,
    zero_at            timestamptz,
    zero_error_us      bigint
) WITH (fillfactor = 70);
CREATE INDEX consumer_lives_by_group ON consumer_lives (group_id, last_beat);
COMMENT ON TABLE consumer_lives IS 'Every process of every consumer from its first heartbeat to its last: what consumer_health forgets with the next start.';
COMMENT ON COLUMN consumer_lives.boot_id IS 'Process start.';
COMMENT ON COLUMN consumer_lives.consumer_id IS 'Such as sensor-consumer-1.';
COMMENT ON COLUMN consumer_lives.group_id IS 'Its consumer group.';
COMMENT ON COLUMN consumer_lives.topic IS 'Topic that it reads.';
COMMENT ON COLUMN consumer_lives.static_id IS 'group.instance.id of a static member.';
COMMENT ON COLUMN consumer_lives.session_timeout_ms IS 'Session time-out that it asks its group for.';
COMMENT ON COLUMN consumer_lives.poll_interval_ms IS 'max.poll.interval.ms.';
COMMENT ON COLUMN consumer_lives.first_beat IS 'Server clock of its first heartbeat.';
COMMENT ON COLUMN consumer_lives.last_beat IS 'Server clock of its last heartbeat.';
COMMENT ON COLUMN consumer_lives.status IS 'As in consumer_health, with that heartbeat.';
COMMENT ON COLUMN consumer_lives.zero_at IS 'Server clock of the instant from which the process counts its monotonic clock; measured with the heartbeats.';
COMMENT ON COLUMN consumer_lives.zero_error_us IS 'How far that may be wrong: half a round trip, in microseconds.';

-- An event's time never changes once it is here, so that what is concluded from it doesn't either.
CREATE FUNCTION place_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT zero_at + NEW.monotonic_us * interval '1 microsecond', zero_error_us
      INTO NEW.occurred_at, NEW.clock_error_us
      FROM consumer_lives WHERE boot_id = NEW.boot_id AND zero_at IS NOT NULL;
    NEW.occurred_at := coalesce(NEW.occurred_at, NEW.timestamp);
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION place_in_time() IS 'Gives a row of the journal its time by the server''s clock.';
CREATE TRIGGER place_in_time BEFORE INSERT ON rebalancing_events FOR EACH ROW EXECUTE FUNCTION place_in_time();

CREATE TABLE heartbeat_gaps (
    boot_id  uuid        NOT NULL,
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    PRIMARY KEY (boot_id, from_at)
);
CREATE INDEX heartbeat_gaps_by_time ON heartbeat_gaps (until_at);
COMMENT ON TABLE heartbeat_gaps IS 'Times of more than 2.5 s in which a process that lived on sent no heartbeat. Kept 31 days.';
COMMENT ON COLUMN heartbeat_gaps.boot_id IS 'The process.';
COMMENT ON COLUMN heartbeat_gaps.from_at IS 'The last heartbeat before.';
COMMENT ON COLUMN heartbeat_gaps.until_at IS 'The first one after.';

CREATE TABLE observations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('group', 'brokers', 'topic', 'sessions')),
    subject    text        NOT NULL,
    not_before timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    body       jsonb       NOT NULL,
    seen_by    text        NOT NULL
);
CREATE INDEX observations_by_subject ON observations (kind, subject, seen_at);
CREATE INDEX observations_by_time ON observations (seen_at);
COMMENT ON TABLE observations IS 'What the recorder saw from outside, a row each time that it changed. Kept 31 days.';
COMMENT ON COLUMN observations.id IS 'Order of insertion.';
COMMENT ON COLUMN observations.kind IS 'group: what its coordinator describes. brokers: which the cluster lists. topic: its id and size. sessions: how many a consumer has with this database.';
COMMENT ON COLUMN observations.subject IS 'The group, the cluster, the topic, the consumer.';
COMMENT ON COLUMN observations.not_before IS 'When it was asked last with another answer: the change lies between that and seen_at.';
COMMENT ON COLUMN observations.seen_at IS 'When it was asked, by the server''s clock.';
COMMENT ON COLUMN observations.body IS 'What was seen.';
COMMENT ON COLUMN observations.seen_by IS 'The recorder.';

CREATE TABLE recorder_spans (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorder text        NOT NULL,
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL
);
CREATE INDEX recorder_spans_by_time ON recorder_spans (until_at);
COMMENT ON TABLE recorder_spans IS 'When a recorder was there and the database answered it. Between two spans it is blind.';
COMMENT ON COLUMN recorder_spans.id IS 'Order of beginning.';
COMMENT ON COLUMN recorder_spans.recorder IS 'Which one.';
COMMENT ON COLUMN recorder_spans.from_at IS 'From here on.';
COMMENT ON COLUMN recorder_spans.until_at IS 'Up to here, at least; moved once a second.';

CREATE TABLE ownership (
    fact             bigint      PRIMARY KEY,
    group_id         text        NOT NULL,
    topic            text        NOT NULL,
    partition_number integer     NOT NULL,
    consumer_id      text        NOT NULL,
    boot_id          uuid        NOT NULL,
    member_id        text        NOT NULL,
    generation       integer     NOT NULL,
    claim            uuid,
    claimed_at       timestamptz,
    from_at          timestamptz NOT NULL,
    until_at         timestamptz,
    ended            text,
    during           tstzrange   GENERATED ALWAYS AS (tstzrange(from_at, until_at)) STORED
);
CREATE INDEX ownership_during ON ownership USING gist (during);
CREATE INDEX ownership_by_group ON ownership (group_id, topic, from_at);
COMMENT ON TABLE ownership IS 'Who had which partition, from from_at to before until_at: a verdict. Kept 31 days.';
COMMENT ON COLUMN ownership.fact IS 'Row of rebalancing_events that began it; names it for good.';
COMMENT ON COLUMN ownership.group_id IS 'Consumer group.';
COMMENT ON COLUMN ownership.topic IS 'Topic.';
COMMENT ON COLUMN ownership.partition_number IS 'Partition.';
COMMENT ON COLUMN ownership.consumer_id IS 'Who.';
COMMENT ON COLUMN ownership.boot_id IS 'Its process start.';
COMMENT ON COLUMN ownership.member_id IS 'Its member id.';
COMMENT ON COLUMN ownership.generation IS 'Generation or member epoch; -1 unknown.';
COMMENT ON COLUMN ownership.claim IS 'The claim that it wrote with; NULL before it had one.';
COMMENT ON COLUMN ownership.claimed_at IS 'When it had that.';
COMMENT ON COLUMN ownership.from_at IS 'When the group gave it the partition.';
COMMENT ON COLUMN ownership.until_at IS 'When that ended; NULL while it lasts.';
COMMENT ON COLUMN ownership.ended IS 'revoked, lost, stopped, died or superseded; NULL while it lasts.';
COMMENT ON COLUMN ownership.during IS 'The same as a range, for one look-up at any instant.';

CREATE TABLE rebalances (
    id          text        PRIMARY KEY,
    group_id    text        NOT NULL,
    topic       text        NOT NULL,
    cause       text        NOT NULL,
    protocol    text        NOT NULL,
    began_at    timestamptz NOT NULL,
    noticed_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    open        boolean     NOT NULL,
    subjects    text[]      NOT NULL,
    dark_max_ms double precision,
    dark_sum_ms double precision NOT NULL,
    moved       integer     NOT NULL,
    fewest      integer     NOT NULL,
    confidence  text        NOT NULL,
    two_owners_ms double precision NOT NULL,
    refusals    bigint      NOT NULL,
    orphaned    boolean     NOT NULL,
    part_of     text,
    revision    integer     NOT NULL,
    revised_at  timestamptz NOT NULL DEFAULT now(),
    verdict     jsonb       NOT NULL
);
CREATE INDEX rebalances_by_time ON rebalances (noticed_at DESC, id);
CREATE INDEX rebalances_by_group ON rebalances (group_id, noticed_at DESC);
CREATE INDEX rebalances_by_cause ON rebalances (cause, noticed_at DESC);
COMMENT ON TABLE rebalances IS 'Every rebalance with its cause and what it cost: a verdict, revised when facts come later. Kept 31 days.';
COMMENT ON COLUMN rebalances.id IS '<group>@<when it was noticed first>; stays.';
COMMENT ON COLUMN rebalances.group_id IS 'Consumer group.';
COMMENT ON COLUMN rebalances.topic IS 'Topic.';
COMMENT ON COLUMN rebalances.cause IS 'Why (docs/flight-recorder.md).';
COMMENT ON COLUMN rebalances.protocol IS 'consumer, cooperative-sticky or range.';
COMMENT ON COLUMN rebalances.began_at IS 'When it began to matter.';
COMMENT ON COLUMN rebalances.noticed_at IS 'When the group acted first.';
COMMENT ON COLUMN rebalances.ended_at IS 'When every partition was read again; NULL while open.';
COMMENT ON COLUMN rebalances.open IS 'Still going on.';
COMMENT ON COLUMN rebalances.subjects IS 'Consumers, or brokers, that caused it.';
COMMENT ON COLUMN rebalances.dark_max_ms IS 'Longest time that a partition was dark, in milliseconds; NULL when none was.';
COMMENT ON COLUMN rebalances.dark_sum_ms IS 'Sum over its partitions.';
COMMENT ON COLUMN rebalances.moved IS 'Partitions that another consumer has afterwards.';
COMMENT ON COLUMN rebalances.fewest IS 'The fewest that had to move.';
COMMENT ON COLUMN rebalances.confidence IS 'certain, likely or none.';
COMMENT ON COLUMN rebalances.two_owners_ms IS 'Milliseconds for which two processes took themselves for owners, over all partitions.';
COMMENT ON COLUMN rebalances.refusals IS 'Writes of stale owners that were refused.';
COMMENT ON COLUMN rebalances.orphaned IS 'Nobody had some partition afterwards.';
COMMENT ON COLUMN rebalances.part_of IS 'The rebalance that it turned out to be a part of.';
COMMENT ON COLUMN rebalances.revision IS 'How often it was judged with another outcome; from 1.';
COMMENT ON COLUMN rebalances.revised_at IS 'When it was last.';
COMMENT ON COLUMN rebalances.verdict IS 'All of it, with the evidence.';

CREATE TABLE handovers (
    rebalance_id     text        NOT NULL REFERENCES rebalances ON DELETE CASCADE,
    place            integer     NOT NULL,
    group_id         text        NOT NULL,
    topic            text        NOT NULL,
    partition_number integer     NOT NULL,
    dark_from        timestamptz NOT NULL,
    noticed_at       timestamptz,
    claimed_at       timestamptz,
    dark_until       timestamptz,
    dark_ms          double precision NOT NULL,
    during           tstzrange   GENERATED ALWAYS AS (tstzrange(dark_from, dark_until)) STORED,
    PRIMARY KEY (rebalance_id, place)
);
CREATE INDEX handovers_during ON handovers USING gist (during);
COMMENT ON TABLE handovers IS 'The times in which a partition was dark, of the verdicts in rebalances, for looking up by time.';
COMMENT ON COLUMN handovers.rebalance_id IS 'The rebalance.';
COMMENT ON COLUMN handovers.place IS 'Place in its list.';
COMMENT ON COLUMN handovers.group_id IS 'Consumer group.';
COMMENT ON COLUMN handovers.topic IS 'Topic.';
COMMENT ON COLUMN handovers.partition_number IS 'Partition.';
COMMENT ON COLUMN handovers.dark_from IS 'When the first record that waited was appended.';
COMMENT ON COLUMN handovers.noticed_at IS 'When the group noticed.';
COMMENT ON COLUMN handovers.claimed_at IS 'When the new owner could write.';
COMMENT ON COLUMN handovers.dark_until IS 'When its first batch was committed; NULL while it is dark.';
COMMENT ON COLUMN handovers.dark_ms IS 'How long it was dark, in milliseconds.';
COMMENT ON COLUMN handovers.during IS 'The same as a range.';

CREATE TABLE rebalance_notes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rebalance_id text        NOT NULL REFERENCES rebalances ON DELETE CASCADE,
    author       text        NOT NULL,
    body         text        NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rebalance_notes_by_rebalance ON rebalance_notes (rebalance_id, id);
COMMENT ON TABLE rebalance_notes IS 'What people wrote to a rebalance.';
COMMENT ON COLUMN rebalance_notes.id IS 'Order of writing.';
COMMENT ON COLUMN rebalance_notes.rebalance_id IS 'The rebalance.';
COMMENT ON COLUMN rebalance_notes.author IS 'Who, as they said.';
COMMENT ON COLUMN rebalance_notes.body IS 'What.';
COMMENT ON COLUMN rebalance_notes.written_at IS 'When.';

CREATE TABLE drills (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scenario       text        NOT NULL,
    began_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at       timestamptz,
    expect_dark_ms double precision,
    outcome        text CHECK (outcome IN ('passed', 'failed')),
    proven         boolean,
    detail         text,
    by_whom        text        NOT NULL
);
CREATE INDEX drills_by_time ON drills (began_at);
COMMENT ON TABLE drills IS 'Experiments: what was broken on purpose, and how it went.';
COMMENT ON COLUMN drills.id IS 'Its number.';
COMMENT ON COLUMN drills.scenario IS 'Such as kill-consumer.';
COMMENT ON COLUMN drills.began_at IS 'Before the damage.';
COMMENT ON COLUMN drills.ended_at IS 'After the recovery; NULL while it runs.';
COMMENT ON COLUMN drills.expect_dark_ms IS 'The longest dark time that was expected, in milliseconds.';
COMMENT ON COLUMN drills.outcome IS 'passed or failed.';
COMMENT ON COLUMN drills.proven IS 'Whether consumer verify found nothing lost and nothing doubled, at its end; NULL when it was not asked.';
COMMENT ON COLUMN drills.detail IS 'Why, in one sentence.';
COMMENT ON COLUMN drills.by_whom IS 'Who did it.';

CREATE TABLE consumer_slots (
    slot          integer PRIMARY KEY,
    group_id      text        NOT NULL,
    consumer_id   text        NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (group_id, consumer_id)
);
COMMENT ON TABLE consumer_slots IS 'The colour and pattern of each consumer on the page: given at first sight, for good.';
COMMENT ON COLUMN consumer_slots.slot IS 'From 0; sixteen look different, then they repeat.';
COMMENT ON COLUMN consumer_slots.group_id IS 'Its consumer group.';
COMMENT ON COLUMN consumer_slots.consumer_id IS 'Such as sensor-consumer-1.';
COMMENT ON COLUMN consumer_slots.first_seen_at IS 'When.';

CREATE TABLE lag_samples (
    resolution_s smallint    NOT NULL CHECK (resolution_s IN (5, 60)),
    group_id     text        NOT NULL,
    at           timestamptz NOT NULL,
    records      bigint      NOT NULL,
    PRIMARY KEY (resolution_s, group_id, at)
);
COMMENT ON TABLE lag_samples IS 'Records that waited, for looking back: a sample every five seconds, and the most of each minute. Kept 31 days.';
COMMENT ON COLUMN lag_samples.resolution_s IS '5 or 60: how long it speaks of.';
COMMENT ON COLUMN lag_samples.group_id IS 'Consumer group.';
COMMENT ON COLUMN lag_samples.at IS 'Server clock; of a minute its begin.';
COMMENT ON COLUMN lag_samples.records IS 'Over all partitions whose end is known.';

-- Around a rebalance the ledger is asked by time; entries come in the order of time, so a BRIN index is enough.
CREATE INDEX batch_ledger_by_time ON batch_ledger USING brin (stored_at);
