-- What the live view reads: throughput by second and minute, kept in the transaction of the rows, and
-- the numbered stream of events. Additive: older programs go on, and leave their seconds out.

CREATE TABLE throughput (
    resolution_s      smallint         NOT NULL CHECK (resolution_s IN (1, 60)),
    bucket            timestamptz      NOT NULL,
    target            text             NOT NULL,
    log_id            integer          NOT NULL,
    partition_number  integer          NOT NULL,
    consumer_id       text             NOT NULL,
    batches           bigint           NOT NULL,
    stored_rows       bigint           NOT NULL,
    dead_letters      bigint           NOT NULL,
    timed_records     bigint           NOT NULL,
    latency_sum_s     double precision NOT NULL,
    latency_max_s     double precision,
    PRIMARY KEY (resolution_s, bucket, target, log_id, partition_number, consumer_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE throughput IS 'Sums of batch_ledger per second (kept two hours) and per minute (kept 31 days), moved in the transaction of the rows, so that a chart costs the same whatever the tables hold.';
COMMENT ON COLUMN throughput.resolution_s IS 'Width of the bucket in seconds: 1 or 60.';
COMMENT ON COLUMN throughput.bucket IS 'Start of the bucket that the start of the storing transaction falls in. A transaction that commits late adds to a bucket of the past.';
COMMENT ON COLUMN throughput.target IS 'As in stored_offsets.';
COMMENT ON COLUMN throughput.log_id IS 'As in stored_offsets.';
COMMENT ON COLUMN throughput.partition_number IS 'As in stored_offsets.';
COMMENT ON COLUMN throughput.consumer_id IS 'Consumer that stored them: two in the second of a hand-over.';
COMMENT ON COLUMN throughput.batches IS 'Transactions.';
COMMENT ON COLUMN throughput.stored_rows IS 'Rows in the target.';
COMMENT ON COLUMN throughput.dead_letters IS 'Rows in dead_letters.';
COMMENT ON COLUMN throughput.timed_records IS 'Records that the latencies speak of: those with an append time.';
COMMENT ON COLUMN throughput.latency_sum_s IS 'Sum over the records of the seconds from Kafka''s append to the last statement before COMMIT; a batch counts with the middle between its first and its last record.';
COMMENT ON COLUMN throughput.latency_max_s IS 'The longest of these: of a batch''s first record. NULL when none had an append time.';

-- What happened, in the order in which it was committed. Facts put a line into the outbox in their own
-- transaction; one recorder at a time (it holds an advisory lock) takes lines out and numbers them, so that
-- a reader who has seen number n never finds a smaller one later.
CREATE TABLE event_outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    body        jsonb       NOT NULL
);
COMMENT ON TABLE event_outbox IS 'Events that are committed and not numbered yet.';
COMMENT ON COLUMN event_outbox.id IS 'Order of insertion, which is not the order of commits.';
COMMENT ON COLUMN event_outbox.kind IS 'What happened, such as rebalancing.';
COMMENT ON COLUMN event_outbox.occurred_at IS 'When, by the clock of who saw it.';
COMMENT ON COLUMN event_outbox.body IS 'The row that says so.';

CREATE TABLE event_stream (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body        jsonb       NOT NULL
);
CREATE INDEX event_stream_by_time ON event_stream (recorded_at);
COMMENT ON TABLE event_stream IS 'Events in the order of their commits; what /api/stream sends. Kept 31 days.';
COMMENT ON COLUMN event_stream.number IS 'Grows with each commit of the recorder; a hole is no lost event.';
COMMENT ON COLUMN event_stream.kind IS 'As in event_outbox.';
COMMENT ON COLUMN event_stream.occurred_at IS 'As in event_outbox.';
COMMENT ON COLUMN event_stream.recorded_at IS 'Server clock when it was numbered.';
COMMENT ON COLUMN event_stream.body IS 'As in event_outbox.';

CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_NAME, '');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION announce() IS 'Wakes who listens to the table''s name. Nobody relies on it: all of them also look once a second.';
CREATE TRIGGER announce AFTER INSERT ON event_outbox FOR EACH STATEMENT EXECUTE FUNCTION announce();
CREATE TRIGGER announce AFTER INSERT ON event_stream FOR EACH STATEMENT EXECUTE FUNCTION announce();

CREATE FUNCTION journal_to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_outbox (kind, occurred_at, body) VALUES ('rebalancing', NEW.timestamp, to_jsonb(NEW));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION journal_to_outbox() IS 'Puts each row of the journal on the stream of events.';
CREATE TRIGGER to_outbox AFTER INSERT ON rebalancing_events FOR EACH ROW EXECUTE FUNCTION journal_to_outbox();
