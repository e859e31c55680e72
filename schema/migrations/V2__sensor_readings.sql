-- The readings, partitioned by storage time: real data is years old when it arrives.

CREATE TABLE sensor_readings (
    sensor_id             text             NOT NULL,
    sensor_type           text             NOT NULL,
    unit                  text             NOT NULL,
    value                 double precision NOT NULL,
    event_time            timestamptz      NOT NULL,
    producer_id           text             NOT NULL,
    run_id                uuid             NOT NULL,
    sequence              bigint           NOT NULL,
    processed_by_consumer text             NOT NULL,
    log_id                integer          NOT NULL,
    kafka_partition       integer          NOT NULL,
    kafka_offset          bigint           NOT NULL,
    processing_timestamp  timestamptz      NOT NULL DEFAULT now()
) PARTITION BY RANGE (processing_timestamp);
CREATE INDEX sensor_readings_by_time ON sensor_readings USING brin (processing_timestamp);
COMMENT ON TABLE sensor_readings IS 'Every reading once. No unique key: the stored offset moves in the transaction of the rows, which makes one unnecessary.';
COMMENT ON COLUMN sensor_readings.sensor_id IS 'The sensor; key of the Kafka record.';
COMMENT ON COLUMN sensor_readings.sensor_type IS 'temperature, pressure, vibration or other.';
COMMENT ON COLUMN sensor_readings.unit IS 'UCUM code.';
COMMENT ON COLUMN sensor_readings.value IS 'Measured value, finite.';
COMMENT ON COLUMN sensor_readings.event_time IS 'The sensor''s clock; may repeat and jump back.';
COMMENT ON COLUMN sensor_readings.producer_id IS 'Process that published it.';
COMMENT ON COLUMN sensor_readings.run_id IS 'One start of that process.';
COMMENT ON COLUMN sensor_readings.sequence IS 'From 0 in the order of sending; (producer_id, run_id, sequence) is unique for ever.';
COMMENT ON COLUMN sensor_readings.processed_by_consumer IS 'Consumer that stored the row.';
COMMENT ON COLUMN sensor_readings.log_id IS 'Log that it came from (kafka_logs).';
COMMENT ON COLUMN sensor_readings.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN sensor_readings.kafka_offset IS 'Kafka offset.';
COMMENT ON COLUMN sensor_readings.processing_timestamp IS 'Start of the storing transaction by the server''s clock.';

-- Partitions of one UTC day for a table that is partitioned by storage time. The DEFAULT
-- partition takes what no day takes, so that a missing day never refuses a row.
CREATE FUNCTION ensure_day_partitions(p_table text, p_first date, p_days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    day date;
    child text;
BEGIN
    FOR i IN 0 .. p_days - 1 LOOP
        day := p_first + i;
        child := format('%s_%s', p_table, to_char(day, 'YYYYMMDD'));
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, p_table,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END;
$$;
COMMENT ON FUNCTION ensure_day_partitions(text, date, integer) IS 'Makes the missing day partitions of a table; returns how many it made.';

CREATE TABLE sensor_readings_default PARTITION OF sensor_readings DEFAULT;
CREATE TABLE batch_ledger_default PARTITION OF batch_ledger DEFAULT;
COMMENT ON TABLE sensor_readings_default IS 'Rows of days that have no partition.';
COMMENT ON TABLE batch_ledger_default IS 'Entries of days that have no partition.';
SELECT ensure_day_partitions('sensor_readings', (now() AT TIME ZONE 'UTC')::date, 8);
SELECT ensure_day_partitions('batch_ledger', (now() AT TIME ZONE 'UTC')::date, 8);

-- Commit times need track_commit_timestamp; without it committed_at is NULL and stored_at bounds it from below.
CREATE VIEW batch_ledger_commits AS
SELECT l.*,
       CASE WHEN current_setting('track_commit_timestamp')::boolean THEN pg_xact_commit_timestamp(l.xmin) END AS committed_at
  FROM batch_ledger l;
COMMENT ON VIEW batch_ledger_commits IS 'The ledger with the commit time of each entry, where the server tracks it.';
